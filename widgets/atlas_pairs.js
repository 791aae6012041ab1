// Pairs of tasks: how many molecules have both labels and how the labels correlate, as a matrix and as a table.

const LISTED_PAIRS = 200; // in the table below the matrix

/** Return the 95% interval of a correlation by Fisher's transformation, or null if there are too few pairs. */
export function correlationInterval(r, n) {
  if (n < 4 || Math.abs(r) >= 1) return null;
  const z = Math.atanh(r), half = 1.96 / Math.sqrt(n - 3);
  return [Math.tanh(z - half), Math.tanh(z + half)];
}

const twoDecimals = (r) => r.toFixed(2).replace("-", "−");

/** shownTasks(): the tasks whose columns are in view. chosen(ids): called when tasks are marked. */
function pairsPanel(ui, about, { view, shownTasks, chosen }) {
  const root = h("div", {});
  let known = "", end = () => {};
  const measure = h("select", { onchange: ui.guarded(() => { ui.remember({ measure: measure.value }); return show(); }) },
    options([["count", "molecules with both labels"], ["correlation", "correlation of labels"]], view().measure));

  async function show() {
    measure.value = view().measure ?? "count";
    const split = (!ui.recorded && view().split) || null; // a saved page has only the pairs over all splits
    const recorded = ui.recorded?.asked("pairs")[0]?.tasks ?? [];
    const tasks = ui.recorded ? about.tasks.filter(({ task }) => recorded.includes(task)) : shownTasks().slice(0, about.maxPaired);
    const ids = tasks.map(({ task }) => task);
    const key = JSON.stringify([ids, split, measure.value]);
    if (key === known) return;
    known = key;
    const found = await ui.ask("pairs", { tasks: ids, split }).catch((error) => { known = ""; throw error; });
    end();
    const hover = h("p", { className: "molfm-hover" }, CELL_HINT);
    const matrix = pairMatrix(tasks, found, hover);
    end = matrix.end;
    root.replaceChildren(
      h("div", { className: "molfm-row" }, field("Show", measure), legend(found)),
      matrix.canvas, hover, ...notes(tasks, found), pairTable(ids, found));
    matrix.draw();
  }

  const counting = () => measure.value === "count";

  function pairMatrix(tasks, found, hover) {
    const t = tasks.length, most = Math.log1p(Math.max(1, ...found.count));
    const color = (a, b, palette) => {
      const count = found.count[a * t + b], r = found.correlation[a * t + b];
      if (counting()) return count ? mix(palette.low, palette.high, Math.log1p(count) / most) : palette.missing;
      return Number.isFinite(r) ? diverging(r, palette) : palette.missing;
    };
    const describe = (a, b) => {
      const count = found.count[a * t + b], r = found.correlation[a * t + b], interval = correlationInterval(r, count);
      const correlation = !Number.isFinite(r) ? "correlation undefined"
        : `r = ${number(Number(r.toFixed(3)))}${interval ? ` (95% interval ${interval.map(twoDecimals).join(" to ")})` : ""}`;
      return `${tasks[a].task} and ${tasks[b].task}: ${number(count)} molecules with both labels, ${correlation}`;
    };
    let image = null;
    const matrix = new Matrix(ui, {
      label: `${measure.selectedOptions[0].textContent} for ${t} × ${t} tasks. Move with the arrow keys, select the molecules with both labels with Enter. ` +
        "The table below lists the pairs.",
      rows: t, columns: t, left: 150, least: { rows: Math.min(t, 8), columns: Math.min(t, 8) }, step: () => 1,
      moved: ({ row, column }) => { hover.textContent = describe(row, column); },
      chosen: ({ rows, columns }) => chosen([...new Set([...tasks.slice(...rows), ...tasks.slice(...columns)].map(({ task }) => task))]),
      paint: (context, palette) => {
        if (image?.palette !== palette) image = { palette, cells: picture(t, t, (a, b) => color(a, b, palette)) };
        const { rows: [r0, r1], columns: [c0, c1] } = matrix.window, { x, y, width, height } = matrix.plot;
        context.imageSmoothingEnabled = width < c1 - c0;
        context.drawImage(image.cells, c0, r0, c1 - c0, r1 - r0, x, y, width, height);
      },
      paintAxes: (context, palette) => {
        columnHeader(context, palette, matrix, tasks);
        rowNames(context, palette, matrix, tasks);
      },
    });
    return matrix;
  }

  function legend(found) {
    const [low, high] = counting() ? ["1", `${number(Math.max(0, ...found.count))} (log scale)`] : ["−1", "1"], palette = ui.palette();
    const color = (t) => (counting() ? mix(palette.low, palette.high, t) : diverging(2 * t - 1, palette));
    return h("span", { className: "molfm-legend" }, h("span", {}, low), ramp(color), h("span", {}, high));
  }

  function notes(tasks, found) { // say what the matrix leaves out
    const texts = [];
    if (found.n < found.of) texts.push(`Counted in a random sample of ${number(found.n)} of ${number(found.of)} molecules.`);
    const which = ui.recorded ? "the first ones" : `those in view in the tab Labels, at most ${about.maxPaired}`;
    if (tasks.length < about.tasks.length) texts.push(`Shows ${tasks.length} of ${about.tasks.length} tasks: ${which}.`);
    return texts.map((text) => h("p", { className: "molfm-small" }, text));
  }

  function pairTable(ids, found) {
    const t = ids.length, pairs = [];
    for (let a = 0; a < t; a++)
      for (let b = a + 1; b < t; b++)
        if (found.count[a * t + b]) pairs.push([a, b, found.count[a * t + b], found.correlation[a * t + b]]);
    const weight = ([, , count, r]) => (counting() ? count : Math.abs(r) || -1);
    pairs.sort((one, other) => weight(other) - weight(one));
    const rows = pairs.slice(0, LISTED_PAIRS).map(([a, b, count, r]) => [ids[a], ids[b], number(count), Number.isFinite(r) ? twoDecimals(r) : ""]);
    const name = `Task pairs${pairs.length > LISTED_PAIRS ? ` (first ${LISTED_PAIRS} of ${number(pairs.length)})` : ""}`;
    return h("details", {}, h("summary", {}, name), table(["first task", "second task", "molecules with both labels", "r"], rows, name));
  }

  ui.onTheme(() => { if (known) { known = ""; ui.guarded(show)(); } });
  return { root, show };
}
