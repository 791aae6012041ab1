// The findings of the audit: duplicates, contradictions, leakage. A large mix is audited on request only.

const AUDITED_AT_ONCE = 50_000; // molecules

function auditPanel(ui, about) {
  const root = h("div", {});

  async function run() {
    root.replaceChildren(h("p", {}, "Auditing … scaffolds are computed the first time."));
    const { rows } = await ui.ask("audit").catch((error) => { offer(); throw error; });
    root.replaceChildren(table(["check", "dataset", "task", "compared with", "found", "of", "note"],
      rows.map((row) => [row.check, row.dataset, row.task, row.other, number(row.count), number(row.of), row.note]), "What the audit found"));
  }
  function offer() {
    root.replaceChildren(h("p", {}, `The audit of ${number(about.n)} molecules may take minutes.`), h("button", { onclick: ui.guarded(run) }, "Run it"));
  }
  function show() {
    if (ui.recorded && !ui.recorded.has("audit", {})) return root.replaceChildren(h("p", {}, "This page was saved without the audit."));
    return ui.recorded || about.n < AUDITED_AT_ONCE ? run() : offer();
  }
  return { root, show };
}
