// The details of one molecule: 3D structure, values of atoms and bonds, labels and predictions.

const LEVEL_ITEMS = { node: "atom", edge: "bond" };

/** Write a predicted value with its interval, if there is one: "0.20 (−0.29 to 0.69)". */
function predictedText(value, width, unit = "") {
  if (width === null || width === undefined || !Number.isFinite(width)) return number(value, unit);
  const digits = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(width || 1))));
  const [mid, low, high] = [value, value - width, value + width].map((one) => one.toFixed(digits).replace("-", "−"));
  return `${mid}${unit ? ` ${unit}` : ""} (${low} to ${high})`;
}

/** Write the label or the predicted value of the i-th atom or bond. */
const itemText = (item, what, i, unit) => (what === "predicted" ? predictedText(item[what][i], item.width?.[i], unit) : number(item[what][i], unit));

/** What "measured" is called for a task: computed labels are not measured. */
const sayOf = (item, what, obtained) => (what === "measured" ? obtained(item.task) : what.replace("measured", obtained(item.task)));

const given = (item) => ["measured", "predicted"].filter((what) => item[what]);

/** List the values that atoms and bonds can be coloured by. */
function colorLayers(detail) {
  const layers = [];
  for (const level of Object.keys(LEVEL_ITEMS))
    for (const item of detail[level]) {
      for (const what of given(item)) layers.push({ level, item, what, values: item[what] });
      if (item.measured && item.predicted)
        layers.push({ level, item, what: "predicted − measured", values: item.predicted.map((value, i) => value - item.measured[i]) });
    }
  return layers;
}

/** The tables of values per atom and per bond. */
function itemTables(detail, obtained) {
  return Object.entries(LEVEL_ITEMS).filter(([level]) => detail[level].length).map(([level, thing]) => {
    const heads = detail[level].flatMap((item) => given(item).map((what) => ({ item, what })));
    const name = (i) => level === "node" ? atomName(detail.elements, i)
      : `${atomName(detail.elements, detail.bonds[2 * i])}–${atomName(detail.elements, detail.bonds[2 * i + 1])}`;
    const rows = Array.from({ length: heads[0].item[heads[0].what].length }, (_, i) => [name(i), ...heads.map(({ item, what }) => itemText(item, what, i))]);
    const columns = heads.map(({ item, what }) => `${item.task} ${sayOf(item, what, obtained)}${item.unit ? ` (${item.unit})` : ""}`);
    const caption = `Values per ${thing}`;
    return h("details", {}, h("summary", {}, caption), table([thing, ...columns], rows, caption));
  });
}

/** The tables of the molecule's graph-level labels and predictions: those with a label or a regression prediction, then the others. */
function labelTables(detail, factsOf) {
  const withModel = detail.labels.some((row) => row.predicted !== null);
  const predicted = (row) => (row.predicted === null ? ""
    : factsOf[row.task]?.kind === "binary" ? predictionText(factsOf[row.task], row.predicted) : predictedText(row.predicted, row.width));
  const label = (row) => (row.measured === null ? "" : labelText({ ...factsOf[row.task], unit: "" }, row.measured));
  const name = (row) => h("span", {}, breakable(row.task), row.unit ? h("span", { className: "molfm-small" }, ` ${row.unit}`) : null);
  const list = (rows, caption) => table(["task", "label", ...(withModel ? ["model"] : [])],
    rows.map((row) => [name(row), label(row), ...(withModel ? [predicted(row)] : [])]), caption);
  const there = detail.labels.filter((row) => row.measured !== null), rest = detail.labels.filter((row) => row.measured === null);
  const computed = there.filter((row) => factsOf[row.task]?.obtained === "computed"), measured = there.filter((row) => !computed.includes(row));
  return [measured.length ? list(measured, `Measured (${number(measured.length)})`) : null,
    computed.length ? list(computed, `Computed (${number(computed.length)})`) : null,
    rest.length ? h("details", {}, h("summary", {}, `${number(rest.length)} tasks without a label`), list(rest, "Without a label")) : null].filter(Boolean);
}

/** Say what the intervals stand for, or why there are none. */
function intervalNote(detail) {
  if (!detail.labels.some((row) => row.predicted !== null)) return "";
  const known = detail.labels.filter((row) => row.interval), shown = known.find((row) => row.measured !== null) ?? known[0];
  if (!detail.calibrated) return "Measuring 90% intervals on validation labels …";
  if (!shown) return "No intervals: too few validation labels to measure them on.";
  const lowest = Math.min(...known.map((row) => row.interval.covered));
  return `In brackets: 90% intervals. Their widths are measured on validation labels of the mix; on labels left out of that they covered ` +
    `${percent(shown.interval.covered, 0)} for ${shown.task} (${number(shown.interval.n)} molecules), at least ${percent(lowest, 0)} for every task. ` +
    "They hold for molecules like these that the model has not learned from.";
}

/** The 3D structure, a choice of colours, their legend and a line about the atom under the pointer. */
function structure(ui, detail, obtained) {
  const hover = h("p", { className: "molfm-hover" }, " "), legend = h("div", { className: "molfm-legend" });
  const layers = colorLayers(detail);
  const describe = (item, atom) => given(item).filter((what) => atom < item[what].length) // hydrogens have no values
    .map((what) => `${sayOf(item, what, obtained)} ${itemText(item, what, atom, item.unit)}`).join(", ");
  const { canvas, color } = viewer3d(detail, {
    label: `3D structure of ${detail.name || detail.smiles}. Drag or use the arrow keys to rotate, the wheel or plus and minus to zoom. ` +
      "The tables below list the values.",
    palette: ui.palette,
    hovered: (atom) => {
      if (atom < 0) { hover.textContent = " "; return; }
      const values = detail.node.map((item) => [item.task, describe(item, atom)]).filter(([, text]) => text);
      hover.textContent = [atomName(detail.elements, atom), ...values.map(([task, text]) => `${task}: ${text}`)].join(" · ");
    },
  });
  const choice = h("select", { onchange: ui.guarded(() => recolor()) },
    options([["", "element"], ...layers.map((layer, i) => [String(i), `${layer.item.task}, ${sayOf(layer.item, layer.what, obtained)}`])], layers.length ? "0" : ""));
  function recolor() {
    const layer = layers[choice.value];
    const scale = color(layer && { [`${LEVEL_ITEMS[layer.level]}s`]: layer.values });
    legend.replaceChildren(...(scale ? [
      h("span", {}, number(scale.low)),
      ramp((t) => scale.color(scale.low + t * (scale.high - scale.low), ui.palette())),
      h("span", {}, number(scale.high, layer.item.unit))] : []));
  }
  recolor();
  return { parts: [field("Colour by", choice), canvas, legend, hover], recolor };
}

/** select(molecule, on): add the molecule to the selection, or remove it. similar(smiles): search for similar molecules. */
function detailPanel(ui, about, { select, similar }) {
  const hint = () => h("p", { className: "molfm-hint" }, "Click a molecule to see its structure, labels and predictions.");
  const root = h("div", { className: "molfm-detail" }, hint());
  const factsOf = Object.fromEntries(about.tasks.map((facts) => [facts.task, facts])), obtained = (task) => factsOf[task]?.obtained ?? "measured";
  const still = Boolean(ui.recorded), small = (...texts) => h("p", { className: "molfm-small" }, ...texts);
  let mark = () => {}, recolor = () => {};

  function show(detail) {
    const chosen = h("button", { className: "molfm-choose", disabled: still, onclick: ui.guarded(() => select(detail.molecule, !detail.selected)) });
    mark = (on) => {
      detail.selected = on;
      chosen.textContent = on ? "Remove from selection" : "Add to selection";
    };
    mark(detail.selected);
    const view = structure(ui, detail, obtained), note = intervalNote(detail);
    recolor = view.recolor;
    root.replaceChildren(...[
      h("h3", {}, detail.name || `Molecule ${detail.molecule}`),
      h("p", { className: "molfm-smiles" }, h("code", {}, detail.smiles)),
      small(`#${detail.molecule}`, Object.entries(detail.splits).map(([dataset, split]) => ` · ${dataset}: ${split || "not in a split"}`)),
      h("div", { className: "molfm-buttons" }, chosen,
        h("button", { disabled: still, onclick: ui.guarded(() => similar(detail.smiles)) }, "Find similar molecules")),

      ...view.parts,
      ...labelTables(detail, factsOf),
      note ? small(note) : null,
      detail.flat ? small("No 3D structure could be computed; the picture shows the flat drawing.") : null,
      h("div", {}, itemTables(detail, obtained)),
      detail.more ? small(`${number(detail.more)} more tasks are not listed.`) : null,
    ].filter(Boolean));
  }
  ui.onTheme(() => recolor());
  const clear = () => { mark = recolor = () => {}; root.replaceChildren(hint()); };
  return { root, show, clear, mark: (on) => mark(on) };
}
