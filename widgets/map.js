// EmbeddingMap: the points, the controls above them, and beside them the legend and the selection.

async function build(ui, model) {
  const about = await ui.ask("about");
  const view = () => model.get("view"), still = Boolean(ui.recorded), layout = () => view().layout ?? ["pca"];
  let points = null, color = null, asked = 0, moving = 0;

  const canSelect = (callback) => (...args) => (still ? ui.say("A saved page cannot select molecules. Run the widget in a notebook.") : callback(...args));
  const select = canSelect((molecules, add) => ui.ask("select", { molecules, add }));
  const undo = canSelect(() => ui.ask("undo"));
  const valueText = (value) => (color.names.length && !Number.isNaN(value) ? color.names[value] : number(Number.isNaN(value) ? null : value, color.unit));
  const describe = (index) => (color?.values.length ? `${colorName(color.by)}: ${valueText(color.values[index])}` : "");
  const card = pointCard(ui, { describe, moleculeAt: (index) => points.molecules[index],
    room: () => ({ width: plot.canvas.clientWidth, height: plot.canvas.clientHeight }) });
  const plot = new PointPlot(ui, {
    color: (t, palette) => shadeColor(color?.kind ?? "none", t, palette),
    pointed: ui.guarded(card.show),
    picked: (index, add) => { ui.remember({ open: points.molecules[index] }); return select([points.molecules[index]], add); },
    lassoed: canSelect((polygon, add) => ui.ask("lasso", { layout: layout(), polygon, add })),
    escaped: () => select([], false),
    moved: (window) => { clearTimeout(moving); moving = setTimeout(() => ui.remember({ window }), 400); },
  });
  const controls = mapControls(ui, about, { view, change: ui.remember, mode: () => view().mode ?? "lasso", actions: [
    ["+", "Zoom in", () => plot.zoom(1.5)], ["−", "Zoom out", () => plot.zoom(1 / 1.5)], ["Show all", "Show all points", () => plot.whole()],
    ["Select what is in view", "Select all points in view", () => (points ? plot.lassoed(plot.corners(), false) : undefined)]] });
  const legend = mapLegend(ui);
  const rows = selectedTable(ui, { heading: () => colorName(color?.by),
    describe: (molecule) => { const index = points.molecules.indexOf(molecule); return index < 0 || !color?.values.length ? "not on this map" : valueText(color.values[index]); } });
  const answer = h("strong", {}), note = h("p", { className: "molfm-small" }), wait = h("p", { className: "molfm-wait", role: "status" }), selected = h("p", {});
  const clear = h("button", { disabled: still, onclick: ui.guarded(() => select([], false)) }, "Clear");
  const back = h("button", { disabled: still, onclick: ui.guarded(undo) }, "Undo");

  /** Repeat a question until it is done, and tell its progress. Returns null when a newer question has begun. */
  async function finished(mine, question, args) {
    for (;;) {
      const found = await ui.ask(question, args);
      if (mine !== asked) return null;
      wait.textContent = found.done ? "" : `${found.progress} …`;
      if (found.done) return found;
    }
  }
  async function load(anew) {
    const mine = ++asked, where = layout(), by = view().color ?? [];
    controls.mirror();
    if (anew || !points) {
      const found = await finished(mine, "points", { layout: where });
      if (!found) return;
      const [places, toData] = unitPlaces(found.xy, where[0] !== "tasks");
      points = { ...found, places, toData, equal: where[0] !== "tasks", ticked: where[0] !== "umap",
        marks: new Uint8Array(found.molecules.length), shades: shadesOf([], 0, 1, found.molecules.length) };
      color = null;
      plot.canvas.setAttribute("aria-label", `Map of ${number(found.molecules.length)} molecules: ${found.axes.join(" and ")}. Go from point to point ` +
        "with the arrow keys, select with Enter, add with Shift and Enter, deselect with Escape, undo with Control and Z, zoom with plus and minus, " +
        "show all with 0. A table below lists the selection.");
      plot.view = view().window ?? { x: 0, y: 0, zoom: 1 };
      plot.show(points);
      tell();
      await mark();
    }
    const found = await finished(mine, "color", { layout: where, by });
    if (!found) return;
    color = { ...found, by };
    points = { ...points, shades: shadesOf(found.values, found.low, found.high, points.molecules.length) };
    card.forget();
    const { cursor } = plot;
    plot.show(points);
    if (!anew && cursor >= 0) plot.point(cursor);
    legend.show(color);
    await rows.refresh();
  }
  function tell() {
    const n = points.molecules.length, chosen = about.n > about.shown && layout()[0] !== "tasks" ? `, a random sample of ${number(about.n)},` : "";
    answer.textContent = layout()[0] === "tasks" ? `${number(n)} molecules of ${about.name} by two tasks.`
      : `${number(n)} molecules of ${about.name}${chosen} by ${about.basis}.`;
    note.textContent = points.note + (about.umap ? "" : " For UMAP, install umap-learn.");
    if (!n) wait.textContent = "No molecule has both labels. Choose other tasks.";
  }
  async function mark() {
    if (!points) return;
    const { marks, selected: count } = await ui.ask("marks", { layout: layout() });
    if (marks.length !== points.molecules.length) return; // of another layout, which asks for its own
    points = plot.points = { ...points, marks };
    const here = marks.reduce((sum, one) => sum + one, 0);
    selected.textContent = !count ? "Nothing is selected." : `${number(count)} selected` + (here < count ? `, ${number(count - here)} of them not on this map.` : ".");
    clear.disabled = still || !count;
    plot.draw();
    await rows.refresh();
  }

  ui.root.append(...controls.rows, ui.errors,
    h("div", { className: "molfm-columns" },
      h("div", { className: "molfm-main-part" }, h("p", {}, answer, " ", note), h("div", { className: "molfm-plot" }, plot.canvas, card.root, wait)),
      h("aside", { ariaLabel: "Colours and selection", className: "molfm-side" }, legend.root,
        h("h4", {}, "Selection"), selected, h("div", { className: "molfm-row" }, clear, back),
        h("p", { className: "molfm-small" }, still ? "Run the widget in a notebook to select." : "Drag a lasso around points. Shift adds to the selection, Escape clears it."),
      )), rows.root);
  ui.root.addEventListener("keydown", ui.guarded((event) => {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    return undo();
  }));

  let shown = view();
  const follow = () => { plot.mode = view().mode ?? "lasso"; plot.canvas.classList.toggle("pan", plot.mode === "pan"); controls.mirror(); };
  ui.listen("change:view", () => { // changed here, in Python, or in another view of this widget
    const before = shown, now = view(), differs = (name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]);
    shown = now;
    follow();
    if (differs("layout") || differs("color")) return load(differs("layout"));
    if (differs("open")) pointAtOpen();
  });
  function pointAtOpen() { // a molecule that was opened elsewhere
    const index = points ? points.molecules.indexOf(view().open) : -1;
    if (index >= 0 && index !== plot.cursor) plot.point(index);
  }
  ui.listen("change:chosen", mark);
  follow();
  await load(true);
}

const render = rendering("EmbeddingMap", build);

export default { render };
