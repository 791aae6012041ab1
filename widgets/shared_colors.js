// Colours: palettes for light and dark themes, colour scales, the ramp of a legend.

/** Blend two [r, g, b] colours; t = 0 gives `a`, t = 1 gives `b`. */
const mix = (a, b, t) => a.map((x, i) => Math.round(x + (b[i] - x) * t));
export const rgb = (color) => `rgb(${color.join(",")})`;

/** Colours for light and dark themes that colour-blind people can tell apart. */
export const PALETTES = {
  light: { paper: [255, 255, 255], missing: [224, 227, 232], line: [120, 126, 135], text: [27, 31, 36],
    negative: [0, 114, 178], positive: [213, 94, 0], low: [176, 222, 168], high: [0, 68, 48], middle: [250, 250, 250] },
  dark: { paper: [20, 23, 28], missing: [38, 43, 51], line: [130, 138, 150], text: [230, 233, 238],
    negative: [60, 150, 220], positive: [240, 120, 30], low: [16, 92, 70], high: [196, 244, 208], middle: [96, 100, 106] },
};

/**
 * Return the colour of a cell: blue to orange for classes, shades of green for numbers (position 0 to 1). The cell is paler when
 * a smaller share of its molecules has a label.
 */
export function cellColor(kind, position, share, palette) {
  if (share <= 0) return palette.missing;
  const full = kind === "binary" ? mix(palette.negative, palette.positive, position) : mix(palette.low, palette.high, position);
  return mix(palette.missing, full, 0.3 + 0.7 * share);
}

/** Return the colour of a value from -1 to 1, on a scale that is centred on 0. */
export const diverging = (t, palette) =>
  t < 0 ? mix(palette.middle, palette.negative, Math.min(1, -t)) : mix(palette.middle, palette.positive, Math.min(1, t));

function isDark(el) {
  const color = getComputedStyle(el).getPropertyValue("color").match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0];
  return color[0] + color[1] + color[2] > 382; // light text means a dark background
}

/** Draw a legend's colour ramp; `color(t)` gives the colour from t = 0 (left) to t = 1 (right). */
function ramp(color, className = "molfm-ramp") {
  const stops = [0, 0.25, 0.5, 0.75, 1].map((t) => rgb(color(t)));
  return h("span", { className, style: { background: `linear-gradient(to right, ${stops.join(",")})` } });
}
