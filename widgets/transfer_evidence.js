// The evidence of a comparison: learning curves, gradients, and how many labels the source is worth.

/** Return the mean curve of several runs, [[step, mean]], and the band from the lowest to the highest run. */
export function meanCurve(seeds, steps, values) {
  const at = new Map();
  steps.forEach((step, i) => { if (Number.isFinite(values[i])) at.set(step, [...(at.get(step) ?? []), values[i]]); });
  const sorted = [...at].sort((a, b) => a[0] - b[0]);
  return { points: sorted.map(([step, of]) => [step, of.reduce((a, b) => a + b, 0) / of.length]), band: sorted.map(([step, of]) => [step, Math.min(...of), Math.max(...of)]) };
}

const section = (title, ...content) => h("div", { className: "molfm-section" }, h("h4", {}, title), content.flat(2));
const note = (text) => h("p", { className: "molfm-small" }, text);

/** The learning curves of both arms. */
function curvesSection(found, cell, seeds) {
  const alone = meanCurve(found.aloneseed, found.alonestep, found.alonevalue), other = meanCurve(found.otherseed, found.otherstep, found.othervalue);
  if (!alone.points.length && !other.points.length) return section("Learning curves", note("These runs recorded no validation of the target."));
  return section("Learning curves",
    lineChart({ width: 340, height: 190, label: `${cell.metric} on validation labels by training step, alone and with the source`,
      x: { label: "step with the target" }, lines: [
        { name: "alone", style: "dashed", ...alone }, { name: "with source", style: "validation", ...other }] }),
    note(`${cell.metric} on validation labels, mean of ${seeds} seeds. Bands reach from the lowest to the highest seed.`));
}

/** Whether the gradients of target and source agreed through training. */
function gradientsSection(found) {
  const title = "Do their gradients agree?";
  if (found.regime !== "cotrain") return section(title, note("Target and source were not trained in the same steps, so their gradients never met."));
  if (!found.cosines.length) return section(title, note("This study did not record gradients. Add conflicts=True to molfm.transfer to record them."));
  return section(title,
    lineChart({ width: 340, height: 180, label: "Cosine of gradients through training", x: { label: "step" }, y: { range: [-1, 1] }, levels: [{ name: "unrelated", y: 0 }],
      lines: found.cosines.map(({ name, step, value }, i) => ({ name: found.cosines.length > 1 ? "" : name, style: i ? "series" : "validation", points: [...step].map((x, j) => [x, value[j]]) })) }),
    note(`Cosine between the gradients on shared weights: 1 means that a step for one is a step for the other, −1 that each undoes the other. Lines: ${found.cosines.map(({ name }) => name).join("; ")}.`));
}

/** Say how many labels a source is worth. */
function worthWords({ labels, low, high, why }) {
  if (labels === null) return `How many labels the source is worth cannot be said: ${why}.`;
  const at = (value) => (value === null ? "more than was measured" : number(Math.round(value)));
  return `The source is worth about ${number(Math.round(labels))} further labels of the target (95% interval ${at(low)} to ${at(high)}).`;
}

/** How the metric grows with labels, with and without the source, beside simple models. `more`: buttons to measure more. */
function efficiencySection(found, cell, { train, more }) {
  const title = "How many labels is it worth?";
  const several = found.rows.length > 1, sorted = found.rows.map(({ n }) => n);
  const simple = Object.entries(found.simple);
  const waiting = found.done ? null : note(found.trained ? `Training random forests: ${found.trained} of ${found.of} targets …` : "Training random forests on fingerprints and descriptors …");
  const forests = found.done && !simple.length ? h("button", { onclick: train }, `Train random forests of ${number(found.of)} targets (some minutes)`) : null;
  if (!several) {
    const rows = [["alone", cell.baseline], ["with the source", cell.value], ...simple.map(([name, of]) => [name, of[0]?.[1] ?? NaN])];
    return section(title, note(worthWords(found.worth)), table(["trained on the same labels", `${cell.metric} on test`], rows.map(([name, value]) => [name, number(Number(value.toFixed(3)))]), `With ${number(sorted[0] ?? cell.nLabels)} labels of each target`),
      waiting, forests, more);
  }
  const lines = [
    { name: "alone", style: "dashed", points: found.rows.map(({ n, baseline }) => [n, baseline]) },
    { name: "with source", style: "validation", points: found.rows.map(({ n, value }) => [n, value]), band: found.rows.map(({ n, baseline, low, high }) => [n, baseline + low, baseline + high]) },
    ...simple.map(([name, points]) => ({ name: name.replace("random forest, ", "forest, "), style: "baseline", points })),
  ];
  const rows = found.rows.map(({ n, baseline, value, difference, low, high }) => [number(n), number(Number(baseline.toFixed(3))), number(Number(value.toFixed(3))), `${signed(difference)} (${signed(low)} to ${signed(high)})`]);
  return section(title, h("p", {}, worthWords(found.worth)),
    lineChart({ width: 340, height: 210, label: `${cell.metric} on test by number of labels`, x: { label: "training labels (logarithmic)", log: true, ticks: sorted }, lines }),
    note("The band is the 95% interval of the difference, drawn around the target alone."), waiting, forests,
    h("details", {}, h("summary", {}, "Show as table"), table(["labels", "alone", "with source", "difference"], rows, "By number of labels")), more);
}
