// Line charts as SVG: round ticks, lines that differ by style, names beside their ends, values under the pointer.

const LINE_STYLES = { // style -> width and dashes; colour stays with domains and differences
  validation: [2, ""], training: [1, ""], earlier: [1, ""], baseline: [1.2, "2 3"], series: [1.6, ""], dashed: [1.6, "6 3"],
};

/** Return the range of some numbers with a little room, never empty. */
export function rangeOf(values, room = 0.06) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return [0, 1];
  const low = Math.min(...known), high = Math.max(...known), extra = (high - low || Math.abs(high) || 1) * room;
  return [low - extra, high + extra];
}

/** Keep at most `most` points of a line: the first, the last, and the extremes of equal parts between them. */
export function thinned(points, most = 400) {
  if (points.length <= most) return points;
  const parts = Math.floor(most / 2) - 1, out = [points[0]];
  for (let part = 0; part < parts; part++) {
    const slice = points.slice(1 + Math.floor((part * (points.length - 2)) / parts), 1 + Math.floor(((part + 1) * (points.length - 2)) / parts));
    if (!slice.length) continue;
    const low = slice.reduce((a, b) => (b[1] < a[1] ? b : a)), high = slice.reduce((a, b) => (b[1] > a[1] ? b : a));
    out.push(...(low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
  }
  return [...out, points.at(-1)];
}

/** Move labels apart so that none covers another; `places` are wanted heights, in order of the result. */
export function spaced(places, gap, low, high) {
  const order = places.map((place, i) => [place, i]).sort((a, b) => a[0] - b[0]), out = [];
  let next = low;
  for (const [place, i] of order) { out[i] = Math.max(place, next); next = out[i] + gap; }
  let limit = high;
  for (const [, i] of order.reverse()) { out[i] = Math.min(out[i], limit); limit = out[i] - gap; }
  return out;
}

/**
 * Draw lines over an axis.
 *
 * lines: { name, points: [[x, y]], style (a key of LINE_STYLES), color (CSS, otherwise ink), quiet, band: [[x, low, high]] };
 * levels: { name, y }, dotted lines across. x, y: { label, range, log, text(value) }; the range is that of the points by default.
 * marks: [[x, name]], thin vertical lines. label: what the chart shows, for screen readers. read(x): called with the pointer's x, or null.
 */
function lineChart({ width = 430, height = 250, lines, levels = [], marks = [], x = {}, y = {}, label, read = null }) {
  const shown = lines.map((line) => ({ style: "series", ...line, points: thinned(line.points.filter((point) => point.every(Number.isFinite))) }));
  const named = shown.filter((line) => line.name && line.points.length), beside = [...named, ...levels.filter(({ name }) => name)];
  const right = beside.length ? Math.min(170, 12 + 6.2 * Math.max(...beside.map(({ name }) => name.length))) : 10;
  const box = { x: 46, y: 8, width: width - 46 - right, height: height - 8 - 34 };
  const scaled = x.log ? Math.log : (value) => value;
  const xs = shown.flatMap(({ points }) => points.map(([at]) => at));
  const [x0, x1] = x.range ?? (xs.length ? [Math.min(...xs), Math.max(...xs)] : [0, 1]);
  const [y0, y1] = y.range ?? rangeOf([...shown.flatMap(({ points, band = [] }) => [...points.map(([, at]) => at), ...band.flatMap(([, a, b]) => [a, b])]),
    ...levels.map((level) => level.y)]);
  const px = (value) => box.x + ((scaled(value) - scaled(x0)) / (scaled(x1) - scaled(x0) || 1)) * box.width;
  const py = (value) => clamp(box.y + box.height * (1 - (value - y0) / (y1 - y0 || 1)), box.y - 2, box.y + box.height);
  const text = (value, axis) => (axis.text ?? ((one) => rounded(one, 6)))(value);
  const parts = [];
  for (const value of ticks(y0, y1, Math.max(2, Math.floor(box.height / 42))))
    parts.push(h("svg:line", { x1: box.x, x2: box.x + box.width, y1: py(value), y2: py(value), class: "grid" }),
      h("svg:text", { x: box.x - 6, y: py(value) + 4, "text-anchor": "end" }, text(value, y)));
  const stops = x.ticks ?? ticks(x0, x1, Math.max(2, Math.floor(box.width / 70)));
  for (const value of stops) parts.push(h("svg:text", { x: px(value), y: box.y + box.height + 15, "text-anchor": "middle" }, text(value, x)));
  parts.push(h("svg:line", { x1: box.x, x2: box.x + box.width, y1: box.y + box.height, y2: box.y + box.height, class: "axis" }));
  if (x.label) parts.push(h("svg:text", { x: box.x + box.width / 2, y: height - 3, "text-anchor": "middle", class: "quiet" }, x.label));
  for (const level of levels) {
    const at = py(level.y);
    parts.push(h("svg:line", { x1: box.x, x2: box.x + box.width, y1: at, y2: at, class: "level" }));
  }
  for (const [at, name] of marks)
    parts.push(h("svg:line", { x1: px(at), x2: px(at), y1: box.y, y2: box.y + box.height, class: "mark" }, h("svg:title", {}, name)));
  for (const { points, style, color, quiet, band } of shown) {
    if (band?.length)
      parts.push(h("svg:polygon", { points: [...band.map(([at, low]) => `${px(at)},${py(low)}`), ...[...band].reverse().map(([at, , high]) => `${px(at)},${py(high)}`)].join(" "),
        class: "band", style: { fill: color ?? "currentColor" } }));
    const [stroke, dash] = LINE_STYLES[style];
    const look = { stroke: color ?? "currentColor", "stroke-width": stroke, "stroke-dasharray": dash, opacity: quiet ? 0.4 : 1, fill: "none" };
    if (points.length > 1) parts.push(h("svg:polyline", { points: points.map(([a, b]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join(" "), ...look }));
    else if (points.length) parts.push(h("svg:circle", { cx: px(points[0][0]), cy: py(points[0][1]), r: 2.5, fill: color ?? "currentColor" }));
  }
  const end = (one) => (one.points ? one.points.at(-1) : [x1, one.y]);
  const heights = spaced(beside.map((one) => py(end(one)[1])), 14, box.y + 4, box.y + box.height);
  beside.forEach((one, i) => {
    const at = one.points ? px(end(one)[0]) + 6 : box.x + box.width + 6;
    parts.push(h("svg:text", { x: Math.min(at, width - 6.2 * one.name.length), y: heights[i] + 4, style: { fill: one.color ?? "" }, class: one.quiet || !one.points ? "quiet" : "" }, one.name));
  });
  const root = h("svg:svg", { viewBox: `0 0 ${width} ${height}`, class: "molfm-chart", role: "img", "aria-label": label }, parts);
  if (read) {
    const hair = h("svg:line", { y1: box.y, y2: box.y + box.height, class: "hair", visibility: "hidden" });
    root.append(hair);
    root.addEventListener("pointermove", (event) => {
      const bounds = root.getBoundingClientRect(), at = clamp(((event.clientX - bounds.left) / bounds.width) * width, box.x, box.x + box.width);
      const value = x.log ? Math.exp(scaled(x0) + ((at - box.x) / box.width) * (scaled(x1) - scaled(x0))) : x0 + ((at - box.x) / box.width) * (x1 - x0);
      for (const [name, one] of Object.entries({ x1: at, x2: at, visibility: "visible" })) hair.setAttribute(name, one);
      read(value);
    });
    root.addEventListener("pointerleave", () => { hair.setAttribute("visibility", "hidden"); read(null); });
  }
  return root;
}

/** A small line without axes. */
function sparkline(points, { width = 96, height = 28, color = "currentColor" } = {}) {
  const known = thinned(points.filter((point) => point.every(Number.isFinite)), 60);
  const [x0, x1] = known.length ? [known[0][0], known.at(-1)[0]] : [0, 1], [y0, y1] = rangeOf(known.map(([, y]) => y), 0);
  const at = ([x, y]) => [2 + ((x - x0) / (x1 - x0 || 1)) * (width - 6), height - 3 - ((y - y0) / (y1 - y0 || 1)) * (height - 6)];
  const parts = [h("svg:polyline", { points: known.map((point) => at(point).map((value) => value.toFixed(1)).join(",")).join(" "), fill: "none", stroke: color, "stroke-width": 1.4 })];
  if (known.length) {
    const [cx, cy] = at(known.at(-1));
    parts.push(h("svg:circle", { cx, cy, r: 2, fill: color }));
  }
  return h("svg:svg", { viewBox: `0 0 ${width} ${height}`, class: "molfm-spark", "aria-hidden": "true" }, parts);
}
