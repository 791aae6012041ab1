// How many molecules each two datasets share, as a table.

function overlapPanel(ui, about) {
  const root = h("div", {}), names = about.datasets;

  async function show() {
    const { counts } = await ui.ask("overlap");
    const cell = (i, j) => `${number(counts[i][j])}${i === j ? "" : ` (${percent(counts[i][j] / Math.max(1, counts[i][i]))})`}`;
    root.replaceChildren(
      h("p", { className: "molfm-small" }, "Molecules that two datasets share; in brackets, of the row's dataset."),
      table(["dataset", ...names], names.map((name, i) => [name, ...names.map((_, j) => cell(i, j))]), "Datasets × datasets"));
  }
  return { root, show };
}
