// TransferExplorer: the bar, the matrix of targets and sources, and the panel with the evidence of the open cell.

const POLL = 700; // ms between two looks at what runs

async function build(ui, model) {
  const about = await ui.ask("about"), view = () => model.get("view");
  const count = () => Math.min(view().count ?? 0, about.counts.length - 1), which = () => view().p ?? "p_adjusted";
  const unfolded = () => view().unfolded ?? about.rows.flatMap((row, i) => (row.kind === "network" && about.rows.filter(({ parent }) => parent === i).length <= 30 ? [i] : []));
  let answer, read, work = { blocks: [], planned: true, busy: false, version: 0 }, watching = false;

  // ---- what is known

  const cell = (row, column) => read(row, column, which());
  const block = (row, column) => work.blocks.find((one) => one.group === about.rows[row].group && one.column === column && one.count === count());
  function sortValue(row) {
    const sort = view().sort ?? "", column = view().column ?? 0;
    if (sort === "name") return about.rows[row].label;
    if (sort === "labels") return about.rows[row].labels;
    if (sort === "difference") return cell(row, column).difference ?? null;
    return about.columns.map((_, j) => cell(row, j).baseline).find(Number.isFinite) ?? null;
  }
  const shown = () => visibleRows(about.rows, { search: view().search ?? "", unfolded: unfolded(), value: view().sort ? sortValue : null, down: !answer.lessIsBetter || view().sort !== "difference" });
  const inside = (row, target) => { for (let i = target; i >= 0; i = about.rows[i].parent) if (i === row) return true; return false; };
  const members = (row, column) => about.rows.flatMap(({ kind, label }, i) => (kind === "target" && inside(row, i) && cell(i, column).state === CELL.tested ? [{ row: i, label, cell: cell(i, column) }] : []))
    .sort((a, b) => (b.cell.difference - a.cell.difference) * (answer.lessIsBetter ? -1 : 1));

  // ---- what happens

  let last = view();
  async function follow() { // the view was changed here, in Python, or in another view of this widget
    const before = last, now = view(), changed = (...names) => names.some((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]));
    last = now;
    bar.mirror();
    if (changed("count")) { await load(); took(work); }
    matrix.draw();
    if (changed("open", "count", "p")) await show();
  }
  function remember(change) {
    ui.remember(change);
    return ui.recorded ? follow() : null; // a saved page has no model that tells of the change
  }

  const hover = h("p", { className: "molfm-hover" }, " ");
  const bar = transferBar(ui, about, { view, set: remember, run, stop: async () => { took(await ui.ask("stop")); } });
  const matrix = transferMatrix(ui, about, { shown, cell, block, unfolded, metric: () => answer.metrics.join(" or "),
    opened: () => view().open, sorted: () => (view().sort === "difference" ? view().column ?? 0 : -1),
    open: (row, column) => remember({ open: [row, column, count()] }),
    fold: (row) => remember({ unfolded: unfolded().includes(row) ? unfolded().filter((one) => one !== row) : [...unfolded(), row] }),
    sortBy: (column) => remember({ sort: "difference", column }), hovered: (text) => { hover.textContent = text; } });
  const panel = transferPanel(ui, model, about, { view, run, members, openRow: (row, column) => remember({ open: [row, column, count()] }),
    measure: async (row, counts) => {
      for (;;) {
        const planned = await ui.ask("measure", { row, counts });
        took(planned);
        if (planned.done) break;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      ui.say("Planned. Choose the number of labels above the matrix, and run its cells.");
    },
    select: async (molecules) => { await ui.ask("select", { molecules }); ui.say(`${number(molecules.length)} molecules selected. A linked MoleculeBrowser shows them.`); } });

  async function run(blocks) {
    took(await ui.ask("run", { blocks }));
    return watch();
  }
  function took(answered) {
    const before = work;
    work = answered;
    about.counts = answered.counts;
    bar.mirror();
    bar.tell(work, count());
    if (JSON.stringify(before.blocks) !== JSON.stringify(work.blocks)) {
      matrix.draw();
      hover.textContent = " "; // it may tell what is no longer so
      const open = view().open;
      if (open && cell(open[0], open[1]).state === CELL.missing) return show();
    }
  }
  async function load() {
    answer = await ui.ask("matrix", { count: count() });
    read = cellReader(answer, about.columns.length);
  }
  async function show() {
    const [row, column, of] = view().open ?? [];
    if (row === undefined || of !== count()) return panel.empty();
    const found = cell(row, column);
    return found.state === CELL.tested ? panel.show(row, column, count()) : panel.unrun(row, column, found, block(row, column));
  }

  /** Follow what runs, and the means while they are computed, until nothing is left to wait for. */
  async function watch() {
    if (watching) return;
    watching = true;
    try {
      for (;;) {
        const version = answer.version, means = answer.means;
        await took(await ui.ask("blocks"));
        if (work.version !== version || !means) {
          await load();
          matrix.draw();
          if (work.version !== version) await show();
        }
        if ((!work.busy && answer.means && work.version === answer.version) || ui.recorded || ui.signal.aborted) return;
        await new Promise((resolve) => setTimeout(resolve, POLL));
      }
    } finally {
      watching = false;
    }
  }

  ui.root.append(bar.root, ui.errors, h("div", { className: "molfm-columns" },
    h("div", { className: "molfm-main-part" }, matrix.root, hover, transferKey(ui)), panel.root));
  await load();
  bar.mirror();
  matrix.draw();
  ui.listen("change:view", follow);
  if (!ui.recorded || ui.recorded.has("blocks", {})) ui.guarded(watch)();
  await show();
}

const render = rendering("TransferExplorer", build);

export default { render };
