// The controls of a map: what places the points, what colours them, and the legend of the colours.

const LAYOUTS = [["pca", "Principal components"], ["umap", "UMAP"], ["tasks", "Two tasks"]];

/** Return the colour of a shade t, 0 to 1, for a kind of values. */
const shadeColor = (kind, t, palette) =>
  kind === "none" ? palette.quiet : kind === "class" ? mix(palette.inactive, palette.active, t) : mix(palette.low, palette.high, t);

/** Name what colours the points, in words. */
const colorName = ([what, name] = []) => ({ label: name, error: `error of ${name}`, dataset: `dataset ${name}`, split: `split ${name}` })[what] ?? "";

/** Tasks as options, grouped by dataset. */
function taskOptions(tasks, what) {
  const groups = new Map();
  for (const task of tasks) groups.set(task.dataset, [...(groups.get(task.dataset) ?? []), task]);
  return [...groups].map(([dataset, members]) =>
    h("optgroup", { label: what ? `${what}: ${dataset}` : dataset }, members.map(({ task }) => h("option", { value: JSON.stringify(what ? [what, task] : task) },
      (what === "error" ? "error of " : "") + shortName(task)))));
}

/** change(parts): merges into the view. Returns { rows, mirror() }, which shows the view. */
function mapControls(ui, about, { view, change, mode, actions }) {
  const still = Boolean(ui.recorded), graph = about.tasks.filter(({ level }) => level === "graph");
  const both = () => change({ layout: ["tasks", JSON.parse(x.value), JSON.parse(y.value)], window: null });
  const pick = (way) => (way === "tasks" ? both() : change({ layout: [way], window: null }));
  const ways = segmented(ui, "Layout", LAYOUTS.filter(([way]) => (way !== "umap" || about.umap) && (way !== "tasks" || graph.length > 1)), "pca", pick);
  const axis = () => h("select", { onchange: ui.guarded(both) }, taskOptions(about.tasks));
  const x = axis(), y = axis();
  const axes = h("span", { className: "molfm-row molfm-axes" }, field("Across", x), field("Up", y));
  const predicted = about.tasks.filter(({ task }) => about.predicted.includes(task));
  const member = (what, name) => h("option", { value: JSON.stringify([what, name]) }, `${what} ${name}`);
  const color = h("select", { onchange: ui.guarded(() => change({ color: JSON.parse(color.value) })) },
    h("option", { value: "[]" }, "nothing"),
    h("optgroup", { label: "dataset" }, about.datasets.map((name) => member("dataset", name))),
    h("optgroup", { label: "split" }, about.splits.map((name) => member("split", name))),
    taskOptions(about.tasks, "label"), taskOptions(predicted, "error"));
  const modes = segmented(ui, "Dragging", [["lasso", "Lasso"], ["pan", "Pan"]], mode(), (to) => change({ mode: to }));
  const button = ([text, label, callback]) => h("button", { type: "button", ariaLabel: label, title: label, onclick: ui.guarded(callback) }, text);
  if (still) for (const control of [x, y, color, ...ways.root.children]) control.disabled = true;
  if (graph.length > 1) { x.value = JSON.stringify(graph[0].task); y.value = JSON.stringify(graph[1].task); }

  function mirror() {
    const { layout = ["pca"], color: by = [] } = view();
    ways.mark(layout[0]);
    axes.hidden = layout[0] !== "tasks";
    if (layout[0] === "tasks") [x.value, y.value] = layout.slice(1).map((task) => JSON.stringify(task));
    color.value = JSON.stringify(by);
    modes.mark(mode());
  }
  const rows = [
    h("div", { className: "molfm-row" }, ways.root, axes, field("Colour by", color), ui.news),
    h("div", { className: "molfm-row" }, modes.root, actions.map(button)),
  ];
  return { rows, mirror };
}

/** The legend: classes by name, numbers as a ramp, and what is not measured or selected. It follows the theme. */
function mapLegend(ui) {
  const root = h("div", { className: "molfm-key" }), text = h("p", { className: "molfm-small" });
  let shown = null;
  const dot = (color, name, edge = color) =>
    h("span", { className: "molfm-entry" }, h("span", { className: "molfm-dot", style: { background: rgb(color), border: `1px solid ${rgb(edge)}` } }), name);
  function draw() {
    if (!shown) return;
    const { kind, low, high, names, unit, by } = shown, palette = ui.palette(), at = (t) => shadeColor(kind, t, palette);
    const scale = names.length ? names.map((name, i) => dot(at(i), name))
      : [h("span", { className: "molfm-legend" }, number(low), ramp(at), number(high, unit))];
    root.replaceChildren(...(kind === "none" ? [] : [h("h4", {}, colorName(by)), ...scale]),
      ...(["label", "error"].includes(by[0]) ? [dot(palette.paper, "not measured", palette.edge)] : []), dot(palette.focus, "selected"), text);
    text.textContent = shown.text;
  }
  ui.onTheme(draw);
  return { root, show: (color) => { shown = color; draw(); } };
}
