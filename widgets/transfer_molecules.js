// The test molecules that gained and lost most, as drawings with names.

/** select(molecules): called to select them. */
function moleculesSection(ui, found, { select }) {
  const share = (value) => percent(value, 0);
  const words = ({ measured, alone, other }) => (found.binary
    ? `${measured ? "active" : "inactive"}: ahead of ${share(alone)} → ${share(other)}`
    : `measured ${number(Number(measured.toPrecision(3)), found.unit)}: ${number(Number(alone.toPrecision(3)))} → ${number(Number(other.toPrecision(3)))}`);
  const card = (row) => h("li", {}, svg(row.svg), h("span", { className: "molfm-name" }, row.name), h("span", { className: "molfm-small" }, words(row)),
    h("span", {}, found.binary ? `${signed(row.gain)}` : signed(row.gain)));
  const gained = found.rows.filter(({ gain }) => gain > 0), lost = found.rows.filter(({ gain }) => gain < 0).reverse();
  const list = (title, rows) => (rows.length ? [h("p", {}, title), h("ul", { className: "molfm-molecules" }, rows.map(card))] : []);
  const explained = found.binary
    ? "“Ahead of” is the share of molecules of the other class that are ranked on the right side of this one. Its mean over a class is the AUROC."
    : "The number below a molecule is by how much the absolute error of its prediction fell.";
  return section("Predicted better, and worse", list("Gained most", gained), list("Lost most", lost),
    h("p", { className: "molfm-small" }, `${explained} Means over all seeds, of ${number(found.n)} test labels.`),
    ui.recorded ? null : h("button", { onclick: ui.guarded(() => select(found.rows.map(({ molecule }) => molecule))) }, "Select these molecules"));
}
