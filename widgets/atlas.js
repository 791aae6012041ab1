// LabelAtlas: tabs for the picture of all labels, task pairs, dataset overlap, audit and task table; beside them the selection.

const NO_SELECTION = "A saved page cannot select molecules. Run the widget in a notebook.";

/** The legend of the label picture; it follows the theme. */
function labelLegend(ui) {
  const root = h("div", { className: "molfm-legend molfm-colors" });
  const entry = (text, swatch) => h("span", { className: "molfm-key" }, swatch, text);
  const plain = (color) => h("span", { className: "molfm-swatch", style: { background: rgb(color) } });
  const draw = () => {
    const p = ui.palette();
    root.replaceChildren(
      entry("not measured", plain(p.missing)), entry("negative", plain(p.negative)), entry("positive", plain(p.positive)),
      entry("number: mean ± 2 SD", ramp((t) => mix(p.low, p.high, t), "molfm-swatch")),
      h("span", { className: "molfm-small" }, "Paler cells: fewer of the row's molecules have a label."));
  };
  ui.onTheme(draw);
  draw();
  return root;
}

/** Describe a cell of the label picture in one line. */
function cellText({ task, kind, unit }, { first, molecules, share, labelled, mean }) {
  const rows = molecules === 1 ? `row ${number(first)}` : `rows ${number(first)}–${number(first + molecules - 1)}`;
  const value = number(Number(mean.toPrecision(4)), unit);
  if (molecules === 1) return `${task}, ${rows}: ${share ? value : "not measured"}`;
  const average = !share ? "" : kind === "binary" ? `, ${percent(mean, 0)} positive` : `, mean ${value}`;
  return `${task}, ${rows}: ${number(labelled)} of ${number(molecules)} measured${average}`;
}

async function build(ui, model) {
  const about = await ui.ask("about");
  const view = () => model.get("view"), still = Boolean(ui.recorded);

  // The selection.
  const selection = h("p", {});
  function tell({ molecules, tasks }) {
    selection.textContent = `Selected: ${number(molecules)} molecules, ${number(tasks.length)} ${tasks.length === 1 ? "task" : "tasks"}`;
  }
  async function select(tasks, [start, stop] = [0, about.n], every = false) {
    if (still) return ui.say(NO_SELECTION);
    tell(await ui.ask("select", { tasks, start: Math.round(start), stop: Math.round(stop), every, split: view().split || null }));
  }

  // The views.
  const hover = h("p", { className: "molfm-hover" }, CELL_HINT);
  const card = taskCard(ui, about, (task) => select([task]));
  const matrix = labelPicture(ui, about, {
    view,
    moved: ({ column }, cell) => {
      ui.guarded(card.show)(column);
      if (cell) hover.textContent = cellText(about.tasks[column], cell);
    },
    chosen: ({ rows, columns }) => select(about.tasks.slice(...columns).map(({ task }) => task), rows),
  });
  const button = (text, callback) => h("button", { onclick: ui.guarded(callback) }, text);
  const zoom = h("div", { className: "molfm-row" }, button("Zoom in", () => matrix.zoom(2)), button("Zoom out", () => matrix.zoom(0.5)),
    button("Show all", () => matrix.whole()), button("Zoom to region", () => matrix.zoomToRectangle()));
  const shownTasks = () => about.tasks.slice(Math.floor(matrix.window.columns[0]), Math.ceil(matrix.window.columns[1]));
  const pairs = pairsPanel(ui, about, { view, shownTasks, chosen: (tasks) => select(tasks, undefined, true) });
  const taskList = h("div", {});
  const panels = {
    Labels: { root: h("div", {}, zoom, labelLegend(ui), matrix.canvas, hover), show: () => { matrix.retry(); matrix.draw(); } },
    "Task pairs": pairs,
    "Dataset overlap": { ...overlapPanel(ui, about), once: true },
    Audit: { ...auditPanel(ui, about), once: true },
    "Task table": { root: taskList, show: () => taskList.replaceChildren(taskTable(ui, about, (task) => select([task]))), once: true },
  };
  const { list, open } = tabs(ui, panels);

  // The split whose labels are shown.
  const split = h("select", { onchange: ui.guarded(() => { ui.remember({ split: split.value }); return showSplit(); }) },
    options([["", "all"], ...about.splits.map((name) => [name, name])], view().split ?? ""));
  async function showSplit() {
    split.value = view().split ?? "";
    matrix.retry();
    matrix.refresh();
    if (panels[view().tab] === pairs) await pairs.show();
  }

  ui.root.append(
    h("div", { className: "molfm-row" }, h("strong", { className: "molfm-count" }, `${number(about.n)} molecules × ${number(about.tasks.length)} tasks`),
      list, field("Split", split), ui.news),
    ui.errors,
    h("div", { className: "molfm-columns" },
      h("div", { className: "molfm-panels" }, Object.values(panels).map(({ root }) => root)),
      h("aside", { ariaLabel: "Selection and task details", className: "molfm-side" }, h("h3", {}, "Selection"), selection,
        h("p", { className: "molfm-small" }, still ? NO_SELECTION : "Drag over a region, or press Enter on a cell, to select molecules."),
        card.root)));

  // Follow the view, now and whenever it changes.
  tell(model.get("chosen"));
  const where = view().window;
  if (where) matrix.window = { rows: where.slice(0, 2), columns: where.slice(2) };
  ui.listen("change:chosen", () => tell(model.get("chosen")));
  let last = view().split;
  ui.listen("change:view", () => { if (view().split !== last) { last = view().split; return showSplit(); } });
  await open(panels[view().tab] ? view().tab : "Labels");
  const remembered = about.tasks.findIndex(({ task }) => task === view().task);
  if (about.tasks.length) await card.show(Math.max(0, remembered));
}

function render({ model, el }) {
  const ui = frame({ model, el }, "LabelAtlas");
  ui.guarded(build)(ui, model);
  return ui.end;
}

export default { render };
