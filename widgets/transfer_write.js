// Writes a comparison into the notebook: a paragraph and a cell with code, inserted below the widget, or copied.

/**
 * Insert cells below the one that shows the widget. JupyterLab and Notebook 7 give a widget's manager the document; other
 * front ends do not. Returns whether it worked.
 */
export function insertBelow(manager, modelId, cells) {
  const notebook = manager?.context?.model?.sharedModel;
  if (!notebook?.insertCells || !notebook.cells) return false;
  const shows = (cell) => cell.cell_type === "code" && JSON.stringify(cell.getOutputs?.() ?? []).includes(modelId);
  const place = notebook.cells.findIndex(shows);
  notebook.insertCells(place < 0 ? notebook.cells.length : place + 1, cells);
  return true;
}

/** Copy a text. Returns whether the browser allowed it. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // the page is not secure, or the browser refused; the text box below is there to copy from
  }
}

/** The button and what it wrote. `asked`: a comparison as { row, column, count }. */
function writeSection(ui, model, about, asked) {
  const shown = h("div", {}), told = h("p", { role: "status" });
  const box = (label, text) => h("label", { className: "molfm-written" }, h("span", { className: "molfm-small" }, label), h("textarea", { readOnly: true, rows: clamp(text.split("\n").length + 1, 5, 12), value: text, spellcheck: false }));
  async function write() {
    const { text, code } = await complete(ui, "write", asked, () => !ui.signal.aborted);
    const cell = (cell_type, source) => ({ cell_type, source, metadata: {}, ...(cell_type === "code" ? { outputs: [], execution_count: null } : {}) });
    const inserted = !ui.recorded && insertBelow(model.widget_manager, about.model, [cell("markdown", text), cell("code", code)]);
    const copied = !inserted && (await copyText(`${text}\n\n${code}`));
    told.textContent = inserted ? "Inserted below this cell: the paragraph, and a cell that makes the figure. Run it to see the figure."
      : copied ? "Copied to the clipboard. Paste it into a cell." : "This page can neither insert a cell nor use the clipboard. Copy the text from here.";
    shown.replaceChildren(box("Paragraph", text), box("Code of the figure", code));
  }
  return h("div", { className: "molfm-section" }, h("button", { className: "molfm-main", onclick: ui.guarded(write) }, ui.recorded ? "Copy paragraph and code" : "Write into the notebook"), told, shown);
}
