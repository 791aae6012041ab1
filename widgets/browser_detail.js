// The details of one molecule: 3D structure, values of atoms and bonds, labels and predictions.

const LEVEL_ITEMS = { node: "atom", edge: "bond" };

/** Write a predicted value and its standard deviation, if there is one. */
const predictedText = (value, deviation, unit) => number(value, unit) + (deviation === null || deviation === undefined ? "" : ` ± ${number(deviation)}`);

/** Write the measured or predicted value of the i-th atom or bond. */
const itemText = (item, what, i, unit) => (what === "predicted" ? predictedText(item[what][i], item.deviation?.[i], unit) : number(item[what][i], unit));

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
function itemTables(detail) {
  return Object.entries(LEVEL_ITEMS).filter(([level]) => detail[level].length).map(([level, thing]) => {
    const heads = detail[level].flatMap((item) => given(item).map((what) => ({ item, what })));
    const name = (i) => level === "node" ? atomName(detail.elements, i)
      : `${atomName(detail.elements, detail.bonds[2 * i])}–${atomName(detail.elements, detail.bonds[2 * i + 1])}`;
    const rows = Array.from({ length: heads[0].item[heads[0].what].length }, (_, i) => [name(i), ...heads.map(({ item, what }) => itemText(item, what, i))]);
    const columns = heads.map(({ item, what }) => `${item.task} ${what}${item.unit ? ` (${item.unit})` : ""}`);
    const caption = `Values per ${thing}`;
    return h("details", {}, h("summary", {}, caption), table([thing, ...columns], rows, caption));
  });
}

/** The table of the molecule's graph-level labels and predictions. */
function labelTable(detail) {
  const withModel = detail.labels.some((row) => row.predicted !== null);
  const predicted = (row) => (row.predicted === null ? "" : predictedText(row.predicted, row.deviation, row.unit));
  return table(["task", "measured", ...(withModel ? ["predicted"] : []), "split"],
    detail.labels.map((row) => [row.task, number(row.measured, row.unit), ...(withModel ? [predicted(row)] : []), row.split || ""]), "Labels of this molecule");
}

/** The 3D structure, a choice of colours, their legend and a line about the atom under the pointer. */
function structure(ui, detail) {
  const hover = h("p", { className: "molfm-hover" }, " "), legend = h("div", { className: "molfm-legend" });
  const layers = colorLayers(detail);
  const describe = (item, atom) => given(item).filter((what) => atom < item[what].length) // hydrogens have no values
    .map((what) => `${what} ${itemText(item, what, atom, item.unit)}`).join(", ");
  const { canvas, color } = viewer3d(detail, {
    label: `3D structure of ${detail.name || detail.smiles}. Rotate with the arrow keys, zoom with plus and minus. ` +
      "The tables below list the values.",
    palette: ui.palette,
    hovered: (atom) => {
      if (atom < 0) { hover.textContent = " "; return; }
      const values = detail.node.map((item) => [item.task, describe(item, atom)]).filter(([, text]) => text);
      hover.textContent = [atomName(detail.elements, atom), ...values.map(([task, text]) => `${task}: ${text}`)].join(" · ");
    },
  });
  const choice = h("select", { onchange: ui.guarded(() => recolor()) },
    options([["", "element"], ...layers.map((layer, i) => [String(i), `${layer.item.task}, ${layer.what}`])], layers.length ? "0" : ""));
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
function detailPanel(ui, { select, similar }) {
  const root = h("aside", { className: "molfm-pane", ariaLabel: "Molecule details" },
    h("p", { className: "molfm-hint" }, "Click a molecule to see its details."));
  const still = Boolean(ui.recorded), small = (...texts) => h("p", { className: "molfm-small" }, ...texts);
  let mark = () => {}, recolor = () => {};

  function show(detail) {
    const chosen = h("button", { className: "molfm-choose", disabled: still, onclick: ui.guarded(() => select(detail.molecule, !detail.selected)) });
    mark = (on) => {
      detail.selected = on;
      chosen.textContent = on ? "Remove from selection" : "Add to selection";
    };
    mark(detail.selected);
    const view = structure(ui, detail);
    recolor = view.recolor;
    root.replaceChildren(...[
      h("h3", {}, detail.name || `Molecule ${detail.molecule}`),
      h("p", { className: "molfm-smiles" }, h("code", {}, detail.smiles)),
      small(`#${detail.molecule}`, Object.entries(detail.splits).map(([dataset, split]) => ` · ${dataset}: ${split || "not in a split"}`)),
      h("div", { className: "molfm-buttons" }, chosen,
        h("button", { disabled: still, onclick: ui.guarded(() => similar(detail.smiles)) }, "Find similar molecules")),
      ...view.parts,
      detail.flat ? small("No 3D structure could be computed; the picture shows the flat drawing.") : null,
      h("div", {}, itemTables(detail)),
      labelTable(detail),
      detail.more ? small(`${number(detail.more)} more tasks are not listed.`) : null,
      detail.uncertainty ? small(detail.uncertainty) : null,
    ].filter(Boolean));
  }
  ui.onTheme(() => recolor());
  return { root, show, mark: (on) => mark(on) };
}
