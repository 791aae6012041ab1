// What is known about the point under the pointer, and the table of the selected molecules.

const CARDS_KEPT = 200;

/** The card beside a point. describe(index): its value in words. moleculeAt(index). Returns { root, show(index, pixel) }. */
function pointCard(ui, { describe, moleculeAt, room }) {
  const root = h("div", { className: "molfm-point", role: "status", hidden: true }), known = new Map();
  let shown = -1;

  async function facts(molecule) {
    if (known.has(molecule)) return known.get(molecule);
    if (ui.recorded && !ui.recorded.has("card", { molecule })) return null;
    await new Promise((resolve) => setTimeout(resolve, 40)); // ignore a pointer that only passes by
    if (shown !== molecule) return null;
    const found = await ui.ask("card", { molecule });
    known.set(molecule, found);
    if (known.size > CARDS_KEPT) known.delete(known.keys().next().value);
    return found;
  }

  async function show(index, pixel) {
    root.hidden = index < 0;
    const molecule = index < 0 ? -1 : moleculeAt(index);
    if (index >= 0) {
      const { width, height } = room(), [x, y] = pixel, right = x > width / 2, below = y > height / 2;
      Object.assign(root.style, { left: right ? "auto" : `${x + 14}px`, right: right ? `${width - x + 14}px` : "auto",
        top: below ? "auto" : `${y + 8}px`, bottom: below ? `${height - y + 8}px` : "auto" });
    }
    if (molecule === shown) return;
    shown = molecule;
    if (molecule < 0) return;
    const value = h("p", {}, describe(index)), plain = h("p", { className: "molfm-small" }, `molecule ${number(molecule)}`);
    root.replaceChildren(plain, value);
    const found = await facts(molecule);
    if (found && shown === molecule) root.replaceChildren(svg(found.svg), h("strong", {}, found.name || found.smiles), value);
  }
  return { root, show, forget: () => { shown = -1; } };
}

/** The table of the selected molecules, filled when it is opened. describe(molecule): its value in words. */
function selectedTable(ui, { describe, heading }) {
  const body = h("div", {}), summary = h("summary", {}, "Show the selection as a table");
  const root = h("details", { ontoggle: ui.guarded(() => refresh()) }, summary, body);
  async function refresh() {
    if (!root.open) return;
    const { rows, n } = await ui.ask("rows");
    body.replaceChildren(n ? table(["molecule", "name", "SMILES", heading()].filter(Boolean),
      rows.map(([molecule, name, smiles]) => [number(molecule), name, h("code", {}, smiles), describe(molecule)].slice(0, heading() ? 4 : 3)),
      rows.length < n ? `The first ${number(rows.length)} of ${number(n)} selected molecules` : `${number(n)} selected molecules`)
      : h("p", { className: "molfm-small" }, "Nothing is selected. Draw a lasso around points, or press Enter on a point."));
  }
  return { root, refresh };
}
