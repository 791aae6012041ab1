// LabelAtlas: tabs for the picture of all labels, task pairs, dataset overlap, audit and task table; beside them a molecule and a task.

const NO_SELECTION = "A saved page cannot select molecules. Run the widget in a notebook.";

/** The legend of the label picture; it follows the theme. */
function labelLegend(ui) {
  const root = h("div", { className: "molfm-legend molfm-colors" });
  const entry = (before, swatch, after) => h("span", { className: "molfm-key" }, before, swatch, after);
  const draw = () => {
    const p = ui.palette();
    root.replaceChildren(
      entry("", h("span", { className: "molfm-swatch", style: { background: rgb(p.missing) } }), "no label"),
      entry("inactive (0)", ramp((t) => mix(p.inactive, p.active, t), "molfm-swatch"), "active (1)"),
      entry("number: 5%", ramp((t) => mix(p.low, p.high, t), "molfm-swatch"), "95% quantile of the task"),
      h("span", { className: "molfm-small", title: "The fewer of the molecules in a row have a label, the paler is the cell." }, "paler: fewer labels"));
  };
  ui.onTheme(draw);
  draw();
  return root;
}

/** Describe a cell of the label picture in one line. `exact`: the label of a row that is one molecule, once it is known. */
function cellText(task, { first, molecules, share, labelled, mean, clipped: end }, exact) {
  const { kind, obtained, classes, unit, family } = task, named = `${task.task}${family ? ` (${family})` : ""}`;
  const rows = molecules === 1 ? `row ${number(first)}` : `rows ${number(first)}–${number(first + molecules - 1)}`;
  const value = exact === undefined ? `${end ? `${end} ` : ""}${number(Number(mean.toPrecision(4)), unit)}` : number(exact, unit);
  if (molecules === 1) return `${named}, ${rows}: ${!share ? `not ${obtained}` : kind === "regression" ? value : classes[Math.round(mean)]}`;
  const average = !share ? "" : kind === "binary" ? `, ${percent(mean, 0)} ${classes[1] === "1" ? "positive" : classes[1]}` : `, mean ${value}`;
  return `${named}, ${rows}: ${number(labelled)} of ${number(molecules)} ${obtained}${average}`;
}

async function build(ui, model) {
  const about = await ui.ask("about");
  const view = () => model.get("view"), still = Boolean(ui.recorded);

  async function select(tasks, [start, stop] = [0, about.n], every = false) {
    if (still) return ui.say(NO_SELECTION);
    const [from, to] = [Math.round(start), Math.round(stop)];
    const { found } = await ui.ask("select", { tasks, start: from, stop: to, every, split: view().split || null });
    const of = tasks.length === 1 ? tasks[0] : `${every ? "all" : "any"} of these ${number(tasks.length)} tasks`;
    const where = to - from < about.n ? ` in rows ${number(from)}–${number(to - 1)}` : "";
    ui.say(found ? `${number(found)} molecules have a label of ${of}${where}.`
      : `Nothing is there: no molecule${where} has a label of ${of}. The selection stays as it was.`);
  }

  // The views.
  const hover = h("p", { className: "molfm-hover" }, CELL_HINT);
  const card = taskCard(ui, about, (task) => select([task]));
  const molecule = rowCard(ui);
  const matrix = labelPicture(ui, about, {
    view,
    moved: ({ column }, cell) => {
      ui.guarded(card.show)(column);
      if (!cell) return;
      const task = about.tasks[column], tell = (exact) => { hover.textContent = cellText(task, cell, exact); };
      tell();
      ui.guarded(molecule.show)(cell, task.task).then((value) => { if (value !== undefined && cell.molecules === 1 && cell.share) tell(value); });
    },
    header: (column) => {
      const { dataset, domain, family } = about.tasks[column], same = about.tasks.filter((task) => task.dataset === dataset && task.family === family);
      hover.textContent = [dataset, domain, family, `${number(same.length)} ${same.length === 1 ? "task" : "tasks"}`].filter(Boolean).join(" · ");
    },
    chosen: ({ rows, columns }) => select(about.tasks.slice(...columns).map(({ task }) => task), rows),
  });
  const button = (text, callback, title) => h("button", { type: "button", title, ariaLabel: title, onclick: ui.guarded(callback) }, text);
  const zoom = h("div", { className: "molfm-row molfm-zoom" }, labelLegend(ui), h("span", { className: "molfm-right" },
    button("+", () => matrix.zoom(2), "Zoom in"), button("−", () => matrix.zoom(0.5), "Zoom out"),
    button("Region", () => matrix.zoomToRectangle(), "Zoom to the marked region"), button("All", () => matrix.whole(), "Show all")));
  const shownTasks = () => about.tasks.slice(Math.floor(matrix.window.columns[0]), Math.ceil(matrix.window.columns[1]));
  const pairs = pairsPanel(ui, about, { view, shownTasks, chosen: (tasks) => select(tasks, undefined, true) });
  const taskList = h("div", {});
  const panels = {
    Labels: { root: h("div", {}, zoom, matrix.canvas, hover), show: () => { matrix.retry(); matrix.draw(); } },
    "Task pairs": pairs,
    "Dataset overlap": { ...overlapPanel(ui, about), once: true },
    Audit: { ...auditPanel(ui, about), once: true },
    "Task table": { root: taskList, show: () => taskList.replaceChildren(taskTable(ui, about, (task) => select([task]))), once: true },
  };
  const { list, open } = tabs(ui, panels);

  // The split whose labels are shown.
  const split = segmented(ui, "Split", [["", "all"], ...about.splits.map((name) => [name, name])], view().split ?? "",
    (name) => { ui.remember({ split: name }); return showSplit(); });
  async function showSplit() {
    split.mark(view().split ?? "");
    matrix.retry();
    matrix.refresh();
    if (panels[view().tab] === pairs) await pairs.show();
  }

  ui.root.append(
    h("div", { className: "molfm-row molfm-top" }, h("strong", { className: "molfm-count" }, `${number(about.n)} molecules × ${number(about.tasks.length)} tasks`),
      list, split.root, h("span", { className: "molfm-right" }, selectionCount(ui, model))),
    ui.errors,
    h("div", { className: "molfm-columns" },
      h("div", { className: "molfm-panels" }, Object.values(panels).map(({ root }) => root)),
      h("aside", { ariaLabel: "Molecule and task under the pointer", className: "molfm-side" },
        still ? h("p", { className: "molfm-small" }, NO_SELECTION) : null, ui.news, molecule.root, card.root)));

  // Follow the view, now and whenever it changes.
  const where = view().window;
  if (where) matrix.window = { rows: where.slice(0, 2), columns: where.slice(2) };
  let last = view().split;
  ui.listen("change:view", () => { if (view().split !== last) { last = view().split; return showSplit(); } });
  await open(panels[view().tab] ? view().tab : "Labels");
  const remembered = about.tasks.findIndex(({ task }) => task === view().task);
  if (about.tasks.length) await card.show(Math.max(0, remembered));
}

const render = rendering("LabelAtlas", build);

export default { render };
