// The pairs of a comparison: linked dots, one pair per seed, and the interval after the first 2, 3, … of them.

const PAIR_WIDTH = 340;

/** Return round numbers for an axis with their texts, all with as many decimals as their step needs. */
function axisTexts(low, high, count) {
  const at = ticks(low, high, count), step = at.length > 1 ? at[1] - at[0] : 1;
  return at.map((value) => [value, value.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9))).replace("-", "−")]);
}

/** Draw one line per pair, from the target alone (open) to with the source (filled). Pairs beyond `used` are pale. */
function pairDots({ baseline, value }, used, metric) {
  const n = baseline.length, step = clamp(150 / n, 8, 18), height = 12 + n * step + 34;
  const [low, high] = rangeOf([...baseline, ...value]), x = (at) => 16 + ((at - low) / (high - low)) * (PAIR_WIDTH - 32);
  const parts = [];
  for (let i = 0; i < n; i++) {
    const y = 12 + i * step, opacity = i < used ? 1 : 0.3;
    parts.push(h("svg:g", { opacity }, h("svg:title", {}, `seed ${i}: ${plainNumber(baseline[i])} alone, ${plainNumber(value[i])} with the source`),
      h("svg:line", { x1: x(baseline[i]), x2: x(value[i]), y1: y, y2: y, stroke: "currentColor", "stroke-width": 1 }),
      h("svg:circle", { cx: x(baseline[i]), cy: y, r: 4, class: "open" }), h("svg:circle", { cx: x(value[i]), cy: y, r: 4, fill: "currentColor" })));
  }
  const bottom = 12 + n * step;
  parts.push(h("svg:line", { x1: 16, x2: PAIR_WIDTH - 16, y1: bottom, y2: bottom, class: "axis" }));
  for (const [at, text] of axisTexts(low, high, 5)) parts.push(h("svg:text", { x: x(at), y: bottom + 14, "text-anchor": "middle" }, text));
  parts.push(h("svg:text", { x: PAIR_WIDTH / 2, y: bottom + 29, "text-anchor": "middle", class: "quiet" }, `${metric} on test: ○ alone, ● with the source`));
  return h("svg:svg", { viewBox: `0 0 ${PAIR_WIDTH} ${height}`, class: "molfm-chart", role: "img",
    "aria-label": `${n} pairs of runs: ${metric} alone and with the source` }, parts);
}

/** Draw the interval after the first 2, 3, … pairs; the one of `used` pairs is strong. */
function intervalBars(steps, used, verdict) {
  const step = clamp(170 / steps.length, 7, 17), bottom = 10 + steps.length * step, width = PAIR_WIDTH;
  const [low, high] = rangeOf([0, ...steps.flatMap((of) => [of.low, of.high])]), x = (at) => 30 + ((at - low) / (high - low)) * (width - 46);
  const parts = [h("svg:line", { x1: x(0), x2: x(0), y1: 4, y2: bottom, class: "axis" })];
  steps.forEach((of, i) => {
    const y = 10 + i * step, found = verdict(of), chosen = of.seeds === used, color = found === "cannot tell" ? "var(--edge)" : `var(--${found})`;
    const unclear = found === "cannot tell" ? "3 2" : "";
    parts.push(h("svg:g", { opacity: chosen ? 1 : 0.55 }, h("svg:title", {}, `${of.seeds} pairs: ${signed(of.difference)} (${signed(of.low)} to ${signed(of.high)}), ${found}`),
      h("svg:line", { x1: x(of.low), x2: x(of.high), y1: y, y2: y, style: { stroke: color }, "stroke-width": chosen ? 4 : 2, "stroke-dasharray": unclear }),
      h("svg:circle", { cx: x(of.difference), cy: y, r: chosen ? 4 : 2.5, style: { fill: color } })));
    if (step >= 11 || i % Math.ceil(11 / step) === 0) parts.push(h("svg:text", { x: 18, y: y + 4, "text-anchor": "end", class: chosen ? "" : "quiet" }, String(of.seeds)));
  });
  for (const [at, text] of axisTexts(low, high, 4)) parts.push(h("svg:text", { x: x(at), y: bottom + 14, "text-anchor": "middle" }, at > 0 ? `+${text}` : text));
  parts.push(h("svg:text", { x: width / 2, y: bottom + 29, "text-anchor": "middle", class: "quiet" }, "difference with its 95% interval, by number of pairs"));
  return h("svg:svg", { viewBox: `0 0 ${width} ${bottom + 34}`, class: "molfm-chart", role: "img", "aria-label": "Interval of the difference by number of pairs" }, parts);
}

/** The section on pairs. `cell`: the answer "cell"; fill(history) adds the slider once the answer "history" is here. */
function pairsSection(ui, cell, { view }) {
  const n = cell.pairs.baseline.length, root = h("div", { className: "molfm-section" });
  const heading = h("h4", {}, `${n} pairs, one per seed`);
  let draw = (used) => root.replaceChildren(heading, pairDots(cell.pairs, used, cell.metric));
  draw(n);
  function fill({ steps, words }) {
    if (!steps.length) return;
    const verdict = (of) => verdictFor(of.difference, of[view().p ?? "p_adjusted"], cell.lessIsBetter);
    const dots = h("div", {}), bars = h("div", {}), found = h("p", { className: "molfm-verdict", role: "status" });
    draw = (used) => {
      const of = steps.find(({ seeds }) => seeds === used);
      dots.replaceChildren(pairDots(cell.pairs, used, cell.metric));
      bars.replaceChildren(intervalBars(steps, used, verdict));
      found.replaceChildren(h("strong", {}, `With the first ${used} pairs: ${verdict(of)}. `),
        `${signed(of.difference)} (${signed(of.low)} to ${signed(of.high)}), ${(view().p ?? "p_adjusted") === "p" ? "raw" : "corrected"} p ${number(Number(of[view().p ?? "p_adjusted"].toPrecision(2)))}.`);
    };
    const used = slider(ui, "Pairs used", steps.map(({ seeds }) => seeds), n, { text: (value) => `${value} of ${n}`, moved: (value) => draw(value) });
    draw(n);
    root.replaceChildren(heading, dots, steps.length > 1 ? used.root : "", found, bars, h("p", { className: "molfm-small" }, words));
  }
  return { root, fill };
}
