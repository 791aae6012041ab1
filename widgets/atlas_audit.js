// The audit's findings: duplicates, contradictions, leakage and more. A large mix is audited only on request.

const AUDITED_AT_ONCE = 50_000; // molecules

function auditPanel(ui, about) {
  const root = h("div", {});

  async function run() {
    root.replaceChildren(h("p", {}, "Auditing … The first audit also computes scaffolds."));
    const { rows } = await ui.ask("audit").catch((error) => { offer(); throw error; });
    root.replaceChildren(table(["check", "dataset", "task", "compared with", "found", "out of", "note"],
      rows.map((row) => [row.check, row.dataset, row.task, row.other, number(row.count), number(row.of), row.note]), "Audit findings"));
  }
  function offer() {
    root.replaceChildren(h("p", {}, `The audit of ${number(about.n)} molecules may take several minutes.`),
      h("button", { onclick: ui.guarded(run) }, "Run audit"));
  }
  function show() {
    if (ui.recorded && !ui.recorded.has("audit", {}))
      return root.replaceChildren(h("p", {}, "This saved page does not contain the audit. Run the widget in a notebook to see it."));
    return ui.recorded || about.n < AUDITED_AT_ONCE ? run() : offer();
  }
  return { root, show };
}
