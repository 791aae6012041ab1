// The sketcher: a button that opens OpenChemLib's editor in a dialog, so that a structure can be drawn as a query.

let editorModule = null; // promise of OpenChemLib, one for all sketchers

/** Load the editor from the bytes that Python has fetched, or throw why that is not possible. */
async function loadEditor(ui) {
  for (;;) {
    const answer = await ui.ask("editor");
    if (!answer.done) continue;
    if (answer.problem) throw new Error(answer.problem);
    const address = URL.createObjectURL(new Blob([answer.script], { type: "text/javascript" }));
    return import(address).finally(() => URL.revokeObjectURL(address));
  }
}

/** The button "Draw". start(): a SMILES to begin with, or "". done({ way, query }): "substructure" with a SMARTS, or "similarity" with a SMILES. */
function sketchButton(ui, { start, done }) {
  const place = h("div", { className: "molfm-editor" }), problem = h("p", { className: "molfm-problem", role: "alert" });
  const smiles = h("input", { type: "text", size: 40, spellcheck: false, onchange: ui.guarded(() => { if (editor) show(smiles.value); }) });
  const button = (text, way, main) => h("button", { type: "button", className: main ? "molfm-main" : "", disabled: true, onclick: ui.guarded(() => finish(way)) }, text);
  const find = [button("Find molecules with it", "substructure", true), button("Find similar molecules", "similarity")];
  const dialog = h("dialog", { className: "molfm-sketcher", ariaLabel: "Draw a structure" },
    h("h3", {}, "Draw a structure"), place, problem, field("SMILES", smiles),
    h("div", { className: "molfm-row" }, find, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel")),
    h("p", { className: "molfm-small" }, "The editor is OpenChemLib (BSD-3-Clause). It is downloaded from npm once; what you draw stays on this machine."));
  dialog.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take letters for commands
  dialog.addEventListener("close", () => { editor?.destroy(); editor = null; });
  ui.root.append(dialog);
  let editor = null, chemistry = null;

  function show(text) {
    let drawn;
    try { drawn = chemistry.Molecule.fromSmiles(text.trim()); } catch { problem.textContent = `The editor cannot read the SMILES “${text}”.`; return; }
    problem.textContent = "";
    drawn.setFragment(true); // without it, open valences would be filled with hydrogens
    editor.setMolecule(drawn);
    tell();
  }
  function tell() {
    const drawn = editor.getMolecule(), empty = !drawn.getAllAtoms();
    smiles.value = empty ? "" : whole(drawn).toIsomericSmiles();
    find.forEach((one) => { one.disabled = empty; });
  }
  function whole(drawn) { // as a molecule, not as a fragment
    const copy = drawn.getCompactCopy();
    copy.setFragment(false);
    return copy;
  }
  function finish(way) {
    const drawn = editor.getMolecule(), query = way === "similarity" ? whole(drawn).toIsomericSmiles() : drawn.toIsomericSmiles({ createSmarts: true });
    dialog.close();
    return done({ way, query });
  }
  async function open() {
    dialog.showModal();
    problem.textContent = "";
    if (!chemistry) {
      place.replaceChildren(h("p", { className: "molfm-small", role: "status" }, "Loading the editor. The first time it is downloaded (1.1 MB) …"));
      try {
        chemistry = await (editorModule ??= loadEditor(ui));
        if (!dialog.open) return; // closed while it was loading
      } catch (error) {
        editorModule = null; // asked again at the next click
        place.replaceChildren();
        problem.textContent = `The editor is not available. ${error.message}`;
        return;
      }
    }
    place.replaceChildren();
    editor = new chemistry.CanvasEditor(place, { initialFragment: true }); // a new one each time fits the dialog's size
    editor.setOnChangeListener(ui.guarded(tell));
    show(start());
  }
  return h("button", { type: "button", disabled: Boolean(ui.recorded), onclick: ui.guarded(open) }, "Draw");
}
