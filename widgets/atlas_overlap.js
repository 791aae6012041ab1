// The number of molecules that each pair of datasets shares, as a table.

function overlapPanel(ui, about) {
  const root = h("div", {}), names = about.datasets;

  async function show() {
    const { counts } = await ui.ask("overlap");
    const cell = (i, j) => `${number(counts[i][j])}${i === j ? "" : ` (${percent(counts[i][j] / Math.max(1, counts[i][i]))})`}`;
    root.replaceChildren(
      h("p", { className: "molfm-small" }, "Number of molecules that two datasets share, with the percentage of the row's dataset."),
      table(["dataset", ...names], names.map((name, i) => [name, ...names.map((_, j) => cell(i, j))]), "Molecules shared by datasets"));
  }
  return { root, show };
}
