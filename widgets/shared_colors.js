// Colours: palettes for light and dark themes, colour scales, the ramp of a legend.

/** Blend two [r, g, b] colours; t = 0 gives `a`, t = 1 gives `b`. */
const mix = (a, b, t) => a.map((x, i) => Math.round(x + (b[i] - x) * t));
export const rgb = (color) => `rgb(${color.join(",")})`;

/** The colours of a theme as [r, g, b] by role; `THEMES` is made from molfm/base/colors.py. Missing labels are the background. */
export const PALETTES = Object.fromEntries(Object.entries(THEMES).map(([name, roles]) => [name, { ...roles, missing: roles.paper }]));

/**
 * Return the colour of a cell: inactive to active for classes, pale to full for numbers (position 0 to 1). The cell is paler when
 * a smaller share of its molecules has a label.
 */
export function cellColor(kind, position, share, palette) {
  if (share <= 0) return palette.missing;
  const full = kind === "binary" ? mix(palette.inactive, palette.active, position) : mix(palette.low, palette.high, position);
  return mix(palette.missing, full, 0.3 + 0.7 * share);
}

/** Return the colour of a signed number, -1 to 1: negative over zero to positive. */
export const diverging = (t, palette) =>
  t < 0 ? mix(palette.zero, palette.negative, Math.min(1, -t)) : mix(palette.zero, palette.positive, Math.min(1, t));

/** Return a CSS background of diagonal lines, which stands for "cannot tell". */
const hatched = (palette) =>
  `repeating-linear-gradient(135deg, transparent 0 4px, ${rgb(mix(palette.paper, palette.edge, 0.55))} 4px 5px)`;

function isDark(el) {
  const color = getComputedStyle(el).getPropertyValue("color").match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0];
  return color[0] + color[1] + color[2] > 382; // light text means a dark background
}

/** Draw a legend's colour ramp; `color(t)` gives the colour from t = 0 (left) to t = 1 (right). */
function ramp(color, className = "molfm-ramp") {
  const stops = [0, 0.25, 0.5, 0.75, 1].map((t) => rgb(color(t)));
  return h("span", { className, style: { background: `linear-gradient(to right, ${stops.join(",")})` } });
}
