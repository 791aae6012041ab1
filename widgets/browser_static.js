// Search in a saved page without a kernel: names, numbers and texts of SMILES of all molecules, and the recorded cards.

/** Read the recorded lines "number, name, SMILES". Returns null if the page does not have them. */
async function readIndex(ui) {
  if (!ui.recorded?.has("index", {})) return null;
  const { lines } = await ui.ask("index");
  const text = await new Response(new Blob([lines]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  return text.split("\n").map((line) => {
    const [molecule, name, smiles] = line.split("\t");
    return { molecule: Number(molecule), name, smiles, text: `${name}\n${smiles}`.toLowerCase() };
  });
}

/**
 * Returns { search(query), rows(start) }: search returns the number of molecules whose name or SMILES contains the query. Molecules
 * beyond the recorded pages have a name and a SMILES but no drawing.
 */
async function savedMolecules(ui, about) {
  const asked = ui.recorded.asked("page").sort((a, b) => a.start - b.start), drawn = new Map(), order = [];
  for (const question of asked)
    for (const row of (await ui.ask("page", question)).rows) { drawn.set(row.molecule, row); order.push(row); }
  const index = await readIndex(ui), all = index ?? order.map(({ molecule, name, smiles }) => ({ molecule, name, smiles, text: `${name}\n${smiles}`.toLowerCase() }));
  let found = all;
  function search(query) {
    const text = query.trim().toLowerCase();
    found = !text ? all : /^#\d+$/.test(text) ? all.filter(({ molecule }) => molecule === Number(text.slice(1))) : all.filter((one) => one.text.includes(text));
    return found.length;
  }
  const bare = ({ molecule, name, smiles }) => ({ molecule, name, smiles, selected: false, similarity: null, labels: null });
  const rows = async (start) => found.slice(start, start + about.page).map((one) => drawn.get(one.molecule) ?? bare(one));
  return { search, rows, drawn: drawn.size, all: all.length, complete: Boolean(index) };
}
