// The distribution of one task's labels in each split, as a chart (lines for numbers, bars for classes) and as a table.

const SPLIT_STYLE = { // width and dashes of a line, opacity of a bar
  train: [1.2, "", 0.35], val: [2.4, "", 0.6], test: [1.8, "2 3", 0.95], test_seen: [1.8, "8 3 2 3", 0.8],
};

/** Return the elements of chart, key and table; `found` is the kernel's answer to "distribution". */
function distributionChart(task, found) {
  const splits = Object.keys(found.counts), classes = task.kind !== "regression";
  const width = 300, height = 150, box = { x: 34, y: 8, width: 258, height: 108 };
  const total = Object.fromEntries(splits.map((split) => [split, found.counts[split].reduce((a, b) => a + b, 0)]));
  const share = (split, bin) => found.counts[split][bin] / Math.max(1, total[split]);
  const bins = found.edges.length - 1;
  const top = Math.max(1e-9, ...splits.flatMap((split) => found.counts[split].map((_, bin) => share(split, bin))));
  const low = found.edges[0], high = found.edges[bins];
  const x = (value) => box.x + ((value - low) / (high - low)) * box.width, y = (value) => box.y + box.height * (1 - value / top);

  const parts = [h("svg:line", { x1: box.x, x2: box.x + box.width, y1: y(0), y2: y(0), class: "axis" })];
  for (const value of ticks(0, top, 3))
    parts.push(h("svg:text", { x: box.x - 4, y: y(value) + 4, "text-anchor": "end" }, `${Math.round(value * 1000) / 10}%`));
  for (const value of classes ? found.edges.slice(0, -1).map((edge) => edge + 0.5) : ticks(low, high, 4))
    parts.push(h("svg:text", { x: x(value), y: y(0) + 14, "text-anchor": "middle" }, classes ? task.classes[value] : number(value)));
  parts.push(h("svg:text", { x: box.x + box.width / 2, y: height - 4, "text-anchor": "middle" }, classes ? "" : task.unit || "value"));
  splits.forEach((split, place) => {
    const [stroke, dash, opacity] = SPLIT_STYLE[split];
    if (classes) for (let bin = 0; bin < bins; bin++) {
      const bar = (0.7 * (x(1) - x(0))) / splits.length, left = x(found.edges[bin] + 0.15) + place * bar, at = y(share(split, bin));
      parts.push(h("svg:rect", { x: left, y: at, width: Math.max(1, bar - 2), height: y(0) - at, fill: "currentColor", opacity }));
    } else {
      const points = found.edges.slice(0, -1).map((edge, bin) => `${x(edge)},${y(share(split, bin))} ${x(found.edges[bin + 1])},${y(share(split, bin))}`);
      parts.push(h("svg:polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": stroke, "stroke-dasharray": dash }));
    }
  });

  const label = `Distribution of ${task.task} by split`;
  const key = splits.map((split) => {
    const [stroke, dash, opacity] = SPLIT_STYLE[split];
    const line = h("svg:line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke: "currentColor", "stroke-width": classes ? 6 : stroke,
      "stroke-dasharray": classes ? "" : dash, opacity: classes ? opacity : 1 });
    return h("span", { className: "molfm-key" }, h("svg:svg", { width: 22, height: 8, "aria-hidden": "true" }, line), `${split} ${number(total[split])}`);
  });
  const bin = (i) => (classes ? task.classes[i] : `${number(found.edges[i])} to ${number(found.edges[i + 1])}`);
  const columns = [classes ? "class" : `from, to${task.unit ? ` (${task.unit})` : ""}`, ...splits];
  const rows = Array.from({ length: bins }, (_, i) => [bin(i), ...splits.map((split) => number(found.counts[split][i]))]);
  return [
    h("svg:svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "molfm-chart" }, parts),
    h("div", { className: "molfm-keys" }, key),
    found.beyond ? h("p", { className: "molfm-small" }, `${number(found.beyond)} labels are not shown (outliers, or rows in no split).`) : null,
    h("details", {}, h("summary", {}, "Show as table"), table(columns, rows, label)),
  ].filter(Boolean);
}
