// The bar above the matrix: number of labels, p-values, order, search, and what runs.

const ORDERS = [["", "order of the study"], ["name", "name"], ["difference", "difference"], ["alone", "metric alone"], ["labels", "number of labels"]];

/** set(change): changes the view. run(blocks), stop(): start blocks, stop all. */
function transferBar(ui, about, { view, set, run, stop }) {
  const targets = about.rows.filter(({ kind }) => kind === "target").length;
  const judged = segmented(ui, "p-values", [["p_adjusted", "corrected p"], ["p", "raw p"]], view().p ?? "p_adjusted", (p) => set({ p }));
  const order = h("select", { onchange: ui.guarded(() => set({ sort: order.value })) }, options(ORDERS, view().sort ?? ""));
  const search = h("input", { type: "search", placeholder: "Find a target", ariaLabel: "Find a target", value: view().search ?? "", oninput: ui.guarded(() => set({ search: search.value })) });
  const count = h("select", { onchange: ui.guarded(() => set({ count: Number(count.value), open: null })) });
  const counts = field("Labels of each target", count), work = h("div", { className: "molfm-row molfm-work" });
  const root = h("div", {}, h("div", { className: "molfm-row" }, h("strong", { className: "molfm-count" },
    `${targets === 1 ? "1 target" : `${number(targets)} targets`} × ${about.columns.length} ${about.columns.length === 1 ? "way" : "ways"} to use a source · ${about.seeds} paired seeds`), ui.news),
  h("div", { className: "molfm-row" }, counts, judged.root, field("Sort by", order), search), work);

  function mirror() {
    judged.mark(view().p ?? "p_adjusted");
    order.value = view().sort ?? "";
    if (search.value !== (view().search ?? "")) search.value = view().search ?? "";
    count.replaceChildren(...options(about.counts.map((n, i) => [String(i), n === null ? "all" : number(n)]), String(view().count ?? 0)));
    counts.hidden = about.counts.length < 2;
  }

  /** Say what runs and what is left. `shown`: the place of the number of labels that is shown. */
  function tell({ blocks, left, planned, busy }, shown) {
    const here = blocks.filter((one) => one.count === shown), nameOf = ({ group, column }) => `${about.rows.find((row) => row.group === group).label} ${about.columns[column].words}`;
    const of = (...states) => blocks.filter(({ state }) => states.includes(state));
    const [running] = of("running"), open = here.filter(({ state }) => state === "open" || state === "failed"), failed = of("failed");
    const parts = [];
    if (!planned) parts.push(h("span", {}, "Planning the runs …"));
    if (running) {
      const waiting = of("waiting").length;
      parts.push(h("progress", { value: running.done, max: 1, ariaLabel: "Progress of the block that runs" }),
        h("span", {}, `Running ${nameOf(running)}: ${percent(running.done, 0)}${waiting ? `, ${waiting} waiting` : ""}`), h("button", { onclick: ui.guarded(stop) }, "Stop"));
    } else if (planned && of("done").length && busy) parts.push(h("span", {}, "Computing the verdicts …"));
    const queued = running ? [] : open;
    if (queued.length && !ui.recorded) {
      const seconds = left[shown];
      parts.push(h("button", { onclick: ui.guarded(() => run(queued.map(({ block }) => block))) },
        queued.length === 1 ? `Run the empty cell (about ${duration(seconds)})` : `Run all ${queued.length} empty cells (about ${duration(seconds)})`));
    }
    for (const block of failed) parts.push(h("p", { className: "molfm-failure", role: "alert" }, `${nameOf(block)} failed: ${block.why}`));
    work.hidden = !parts.length;
    work.replaceChildren(...parts);
  }
  return { root, mirror, tell };
}

/** The key of the matrix. */
function transferKey(ui) {
  const root = h("div", { className: "molfm-legend molfm-transfer-key" });
  const draw = () => {
    const palette = ui.palette(), of = (verdict, certainty = 1) => verdictMark({ verdict, certainty, strength: 1 }, palette);
    const entry = (text, ...marks) => h("span", { className: "molfm-key" }, marks, text);
    root.replaceChildren(entry("helps", of("helps")), entry("hurts", of("hurts")), entry("cannot tell", of("cannot tell")),
      entry("size: how certain", of("cannot tell", 0.25), of("cannot tell", 0.6)), entry("run this cell", h("span", { className: "molfm-cost" }, "40 s")));
  };
  ui.onTheme(draw);
  draw();
  return root;
}
