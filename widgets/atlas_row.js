// The molecule of the row under the pointer: its structure and name.

/** Returns the card and show(cell, task), which resolves to the exact label of the cell's first molecule, or to undefined. */
function rowCard(ui) {
  const hint = h("p", { className: "molfm-hint" }, ui.recorded ? "" : "Drag over a region, or press Enter on a cell, to select molecules.");
  const root = h("div", { className: "molfm-rowcard" }, hint);
  let asked = 0;

  async function show({ first, molecules }, task) {
    const mine = ++asked;
    if (ui.recorded) return;
    await new Promise((resolve) => setTimeout(resolve, 60)); // ignore a pointer that only passes by
    if (mine !== asked) return;
    const found = await ui.ask("row", { row: first, task });
    if (mine !== asked) return;
    root.replaceChildren(h("h4", {}, molecules === 1 ? "molecule" : `one of ${number(molecules)} molecules`), svg(found.svg),
      h("p", {}, h("strong", {}, found.name || found.smiles), h("span", { className: "molfm-small" }, ` #${found.molecule}`)));
    return found.value ?? undefined;
  }
  return { root, show };
}
