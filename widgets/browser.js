// MoleculeBrowser: a virtual-scrolled grid of drawings, a search bar, and a pane for one molecule with its 3D view.

const CARD = { width: 196, height: 246 }; // px, with the gap: the least width, the height; as in browser.css
const PAGES_KEPT = 30;
const ELEMENTS = ("H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh " +
  "Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U").split(" ");
const ELEMENT_COLORS = { 1: [235, 235, 235], 6: [110, 115, 122], 7: [47, 134, 197], 8: [213, 94, 0], 9: [0, 158, 115], 15: [196, 106, 154],
  16: [216, 172, 30], 17: [0, 158, 115], 35: [165, 103, 63], 53: [148, 103, 189] };
const RADII = { 1: 0.22, 6: 0.36, 7: 0.35, 8: 0.34, 9: 0.32, 15: 0.44, 16: 0.44, 17: 0.42, 35: 0.46, 53: 0.5 };

// ------------------------------------------------------------------------------------------------------ three dimensions

/** Turn a rotation matrix (3 x 3, by rows) further: about the screen's vertical axis, then about its horizontal one. */
export function turned(m, dx, dy) {
  const [cx, sx, cy, sy] = [Math.cos(dx), Math.sin(dx), Math.cos(dy), Math.sin(dy)];
  const [x, y, z] = [m.slice(0, 3), m.slice(3, 6), m.slice(6, 9)];
  const x2 = x.map((v, i) => cx * v + sx * z[i]), z1 = x.map((v, i) => -sx * v + cx * z[i]);
  return [...x2, ...y.map((v, i) => cy * v - sy * z1[i]), ...y.map((v, i) => sy * v + cy * z1[i])];
}

/** Where atoms stand on the screen: x, y, depth (larger is nearer), three numbers each. */
export function projected(xyz, m) {
  const out = new Float32Array(xyz.length);
  for (let i = 0; i < xyz.length; i += 3)
    for (let axis = 0; axis < 3; axis++)
      out[i + axis] = m[3 * axis] * xyz[i] + m[3 * axis + 1] * xyz[i + 1] + m[3 * axis + 2] * xyz[i + 2];
  return out;
}

/** How values become colours: around 0 where they have both signs, else from the smallest to the largest. */
export function scaleOf(values) {
  const known = [...values].filter(Number.isFinite);
  const low = Math.min(...known), high = Math.max(...known);
  if (low < 0 && high > 0) {
    const most = Math.max(-low, high);
    return { low: -most, high: most, color: (value, palette) => diverging(value / most, palette) };
  }
  const span = high - low || 1;
  return { low, high, color: (value, palette) => mix(palette.low, palette.high, (value - low) / span) };
}

class Molecule3D {
  constructor(canvas, palette, hovered) {
    Object.assign(this, { canvas, palette, hovered, rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1], zoom: 1, atomValues: null, bondValues: null });
    this.draw = eachFrame(() => this.paint());
    let last = null;
    canvas.addEventListener("pointerdown", (event) => { last = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointerup", () => { last = null; });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return this.hovered(this.at(event.offsetX, event.offsetY));
      this.rotation = turned(this.rotation, (event.clientX - last[0]) / 90, (event.clientY - last[1]) / 90);
      last = [event.clientX, event.clientY];
      this.draw();
    });
    canvas.addEventListener("keydown", (event) => {
      const turn = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2] }[event.key];
      if (turn) this.rotation = turned(this.rotation, ...turn);
      else if (event.key === "+" || event.key === "=") this.zoom = Math.min(5, this.zoom * 1.2);
      else if (event.key === "-") this.zoom = Math.max(0.3, this.zoom / 1.2);
      else return;
      event.preventDefault();
      this.draw();
    });
    new ResizeObserver(this.draw).observe(canvas);
  }

  show(shape) {
    this.shape = shape;
    this.draw();
  }

  color(values, { atomValues, bondValues }) {
    Object.assign(this, { scale: values && scaleOf(values), atomValues, bondValues });
    this.draw();
  }

  layout() {
    const { clientWidth: width, clientHeight: height } = this.canvas, { xyz } = this.shape;
    let reach = 1;
    for (let i = 0; i < xyz.length; i += 3) reach = Math.max(reach, Math.hypot(xyz[i], xyz[i + 1], xyz[i + 2]));
    return { at: projected(xyz, this.rotation), unit: (this.zoom * 0.46 * Math.min(width, height)) / (reach + 0.3), x0: width / 2, y0: height / 2 };
  }

  at(x, y) { // the atom under a point, nearest to the viewer
    if (!this.shape) return -1;
    const { at, unit, x0, y0 } = this.layout();
    let found = -1;
    this.shape.elements.forEach((element, i) => {
      const radius = unit * (RADII[element] ?? 0.42);
      if (Math.hypot(x0 + unit * at[3 * i] - x, y0 - unit * at[3 * i + 1] - y) < radius && (found < 0 || at[3 * i + 2] > at[3 * found + 2])) found = i;
    });
    return found;
  }

  paint() {
    const context = context2d(this.canvas);
    if (!context || !this.shape) return;
    const { elements, bonds, orders } = this.shape, palette = this.palette(), { at, unit, x0, y0 } = this.layout();
    const point = (i) => [x0 + unit * at[3 * i], y0 - unit * at[3 * i + 1]];
    const valued = (values, i) => values && i < values.length && Number.isFinite(values[i]);
    const atomColor = (i) => valued(this.atomValues, i) ? this.scale.color(this.atomValues[i], palette)
      : this.scale ? palette.missing : ELEMENT_COLORS[elements[i]] ?? [150, 120, 170];
    context.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    context.lineCap = "round";
    const parts = [];
    elements.forEach((_, i) => parts.push({ depth: at[3 * i + 2], atom: i }));
    orders.forEach((_, i) => parts.push({ depth: (at[3 * bonds[2 * i] + 2] + at[3 * bonds[2 * i + 1] + 2]) / 2 - 0.2, bond: i }));
    parts.sort((a, b) => a.depth - b.depth);
    for (const { atom, bond } of parts) {
      if (atom !== undefined) {
        const [x, y] = point(atom), radius = unit * (RADII[elements[atom]] ?? 0.42), color = atomColor(atom);
        const shade = context.createRadialGradient(x - radius / 3, y - radius / 3, radius / 6, x, y, radius);
        shade.addColorStop(0, rgb(mix(color, [255, 255, 255], 0.55)));
        shade.addColorStop(0.45, rgb(color));
        shade.addColorStop(1, rgb(mix(color, [0, 0, 0], 0.4)));
        context.fillStyle = shade;
        context.beginPath();
        context.arc(x, y, radius, 0, 7);
        context.fill();
        continue;
      }
      const [a, b] = [bonds[2 * bond], bonds[2 * bond + 1]], [xa, ya] = point(a), [xb, yb] = point(b);
      const length = Math.hypot(xb - xa, yb - ya) || 1, lines = orders[bond] === 1.5 ? 2 : Math.round(orders[bond]);
      const width = unit * (lines > 1 ? 0.09 : 0.14), apart = unit * 0.17;
      for (let line = 0; line < lines; line++) {
        const shift = (line - (lines - 1) / 2) * apart, [sx, sy] = [(-(yb - ya) / length) * shift, ((xb - xa) / length) * shift];
        const half = [(xa + xb) / 2 + sx, (ya + yb) / 2 + sy];
        const own = valued(this.bondValues, bond) ? this.scale.color(this.bondValues[bond], palette) : null;
        context.setLineDash(orders[bond] === 1.5 && line ? [unit * 0.12, unit * 0.16] : []);
        for (const [end, [x, y]] of [[a, [xa + sx, ya + sy]], [b, [xb + sx, yb + sy]]]) {
          context.strokeStyle = rgb(own ?? mix(this.scale ? palette.missing : atomColor(end), palette.line, this.scale ? 0.35 : 0.1));
          context.lineWidth = own ? width * 1.6 : width;
          context.beginPath();
          context.moveTo(x, y);
          context.lineTo(...half);
          context.stroke();
        }
      }
      context.setLineDash([]);
    }
  }
}

// ----------------------------------------------------------------------------------------------------------------- pane

/** The pane of one molecule. */
function pane(ui, { select, similar }) {
  const root = h("aside", { className: "molfm-pane", ariaLabel: "One molecule" }, h("p", { className: "molfm-hint" }, "Choose a molecule to see it here."));
  let viewer = null, mark = () => {}, recolor = () => {};

  function show(detail) {
    const items = { node: "atom", edge: "bond" };
    const layers = [];
    for (const level of ["node", "edge"])
      for (const item of detail[level]) {
        for (const what of ["measured", "predicted"]) if (item[what]) layers.push({ level, item, what, values: item[what] });
        if (item.measured && item.predicted)
          layers.push({ level, item, what: "predicted − measured", values: item.predicted.map((value, i) => value - item.measured[i]) });
      }
    const canvas = h("canvas", { className: "molfm-3d", tabIndex: 0, role: "img",
      ariaLabel: `${detail.name || detail.smiles} in three dimensions. Arrow keys turn it, plus and minus zoom; its values stand in the tables below.` });
    const hover = h("p", { className: "molfm-hover" }, " ");
    const legend = h("div", { className: "molfm-legend" });
    const tables = h("div", {});
    const label = (i) => `${ELEMENTS[detail.elements[i] - 1] ?? "?"}${i + 1}`;
    const describe = (item, i) => ["measured", "predicted"].filter((what) => item[what] && i < item[what].length)
      .map((what) => `${what} ${number(item[what][i], item.unit)}${what === "predicted" && item.deviation ? ` ± ${number(item.deviation[i])}` : ""}`).join(", ");
    viewer = new Molecule3D(canvas, ui.palette, (atom) => {
      hover.textContent = atom < 0 ? " " : [label(atom), ...detail.node.map((item) => `${item.task}: ${describe(item, atom)}`).filter((text) => !text.endsWith(": "))].join(" · ");
    });

    const choose = (place) => {
      const layer = layers[place];
      const one = (level) => (layer?.level === level ? layer.values : null);
      viewer.color(layer?.values, { atomValues: one("node"), bondValues: one("edge") });
      legend.replaceChildren();
      if (layer) {
        const { low, high, color } = viewer.scale, steps = [0, 0.25, 0.5, 0.75, 1].map((t) => rgb(color(low + t * (high - low), ui.palette())));
        legend.append(h("span", {}, number(low)), h("span", { className: "molfm-ramp", style: { background: `linear-gradient(to right, ${steps.join(",")})` } }), h("span", {}, number(high, layer.item.unit)));
      }
    };
    const colors = h("select", { onchange: ui.guarded((event) => choose(event.target.value)) },
      options([["", "element"], ...layers.map((layer, i) => [String(i), `${layer.item.task}, ${layer.what}`])], ""));

    for (const level of ["node", "edge"]) {
      if (!detail[level].length) continue;
      const heads = detail[level].flatMap((item) => ["measured", "predicted"].filter((what) => item[what])
        .map((what) => ({ name: `${item.task} ${what}${item.unit ? ` (${item.unit})` : ""}`, item, what })));
      const count = heads[0].item[heads[0].what].length;
      const rows = Array.from({ length: count }, (_, i) => [
        level === "node" ? label(i) : `${label(detail.bonds[2 * i])}–${label(detail.bonds[2 * i + 1])}`,
        ...heads.map(({ item, what }) => number(item[what][i]) + (what === "predicted" && item.deviation ? ` ± ${number(item.deviation[i])}` : ""))]);
      const name = `Values of ${items[level]}s`;
      tables.append(h("details", {}, h("summary", {}, name), table([items[level], ...heads.map((head) => head.name)], rows, name)));
    }

    const withModel = detail.labels.some((row) => row.predicted !== null);
    const rows = detail.labels.map((row) => [row.task, number(row.measured, row.unit), ...(withModel ? [row.predicted === null ? "" :
      number(row.predicted, row.unit) + (row.deviation === null ? "" : ` ± ${number(row.deviation)}`)] : []), row.split || ""]);
    const chosen = h("button", { className: "molfm-choose", disabled: Boolean(ui.recorded),
      onclick: ui.guarded(() => select(detail.molecule, !detail.selected)) });
    mark = (on) => {
      detail.selected = on;
      chosen.textContent = on ? "Remove from selection" : "Add to selection";
    };
    mark(detail.selected);
    root.replaceChildren(...[
      h("h3", {}, detail.name || `Molecule ${detail.molecule}`),
      h("p", { className: "molfm-smiles" }, h("code", {}, detail.smiles)),
      h("p", { className: "molfm-small" }, `#${detail.molecule}`, Object.entries(detail.splits).map(([dataset, split]) => ` · ${dataset}: ${split || "in no split"}`)),
      h("div", { className: "molfm-buttons" }, chosen,
        h("button", { disabled: Boolean(ui.recorded), onclick: ui.guarded(() => similar(detail.smiles)) }, "Find similar")),
      field("Colour by", colors), canvas, legend, hover,
      detail.flat ? h("p", { className: "molfm-small" }, "No three-dimensional shape was found; this is the drawing.") : null,
      tables,
      table(["task", "measured", ...(withModel ? ["predicted"] : []), "split"], rows, "Labels of the molecule"),
      detail.more ? h("p", { className: "molfm-small" }, `and ${detail.more.toLocaleString("en-US")} more tasks without a label`) : null,
      detail.uncertainty ? h("p", { className: "molfm-small" }, detail.uncertainty) : null].filter(Boolean));
    viewer.show(detail);
    colors.value = layers.length ? "0" : "";
    recolor = () => choose(colors.value);
    recolor();
  }
  ui.onTheme(() => recolor());
  return { root, show, mark: (on) => mark(on) };
}

// --------------------------------------------------------------------------------------------------------------- widget

async function build(ui, model) {
  const about = await ui.ask("about");
  const view = () => model.get("view");
  const still = Boolean(ui.recorded);
  let n = 0, asked = 0, answered = 0, active = 0, opened = -1, columns = 1, pages = new Map();

  // ---- the bar
  const taskIds = about.tasks.map((task) => [task.task, task.task]);
  const unitOf = Object.fromEntries(about.tasks.map((task) => [task.task, task.unit]));
  const way = h("select", {}, options([["text", "Name, id or SMILES"], ["substructure", "Substructure (SMARTS)"], ["similarity", "Similar to (SMILES)"]]));
  const query = h("input", { type: "search", size: 22, placeholder: "aspirin, CCO, #12 …" });
  const dataset = h("select", {}, options([["", "all"], ...about.datasets.map((name) => [name, name])]));
  const split = h("select", {}, options([["", "all"], ...about.splits.map((name) => [name, name])]));
  const sort = h("select", {}, options([["", "order of the data"], ...taskIds, ...about.predicted.map((task) => [`predicted ${task}`, `${task}, predicted`])]));
  const descending = h("input", { type: "checkbox" });
  const selected = h("input", { type: "checkbox" });
  const filterTask = h("select", {}, options(taskIds));
  const presence = h("select", {}, options([["measured", "measured"], ["unmeasured", "not measured"]]));
  const low = h("input", { type: "number", step: "any", className: "molfm-narrow" });
  const high = h("input", { type: "number", step: "any", className: "molfm-narrow" });
  const pills = h("div", { className: "molfm-pills" });
  const count = h("strong", { className: "molfm-count" });

  const change = (parts) => ui.remember(parts); // what is shown follows from the view, see below
  const value = (input) => (input.value === "" ? null : Number(input.value));
  const submitted = (callback) => ui.guarded((event) => { event.preventDefault(); return callback(); });
  const search = submitted(() => change({ way: way.value, query: query.value }));
  const addFilter = submitted(() => change({ filters: [...(view().filters ?? []),
    { task: filterTask.value, presence: presence.value, min: value(low), max: value(high) }] }));
  const chooseSort = ui.guarded(() => change({ sort: sort.value.replace(/^predicted /, ""), predicted: sort.value.startsWith("predicted "), descending: descending.checked }));
  const bind = (control, callback) => control.addEventListener("change", ui.guarded(callback));
  bind(dataset, () => change({ datasets: dataset.value ? [dataset.value] : null }));
  bind(split, () => change({ split: split.value }));
  bind(selected, () => change({ selected: selected.checked }));
  sort.addEventListener("change", chooseSort);
  descending.addEventListener("change", chooseSort);
  const showLabel = h("button", { onclick: ui.guarded(() => change({ chips: [...new Set([...chips(), filterTask.value])] })) }, "Show on cards");

  const chips = () => view().chips ?? [];
  const bar = h("div", { className: "molfm-bar", role: "search" },
    h("form", { className: "molfm-row", onsubmit: search }, field("Search by", way), field("for", query), h("button", { type: "submit", className: "molfm-main" }, "Search"),
      field("Dataset", dataset), field("Split", split), h("span", { className: "molfm-field" }, field("Sort by", sort), field("descending", descending))),
    h("form", { className: "molfm-row", onsubmit: addFilter }, field("Task", filterTask), field("is", presence), field("from", low), field("to", high),
      h("button", { type: "submit" }, "Add filter"), Object.assign(showLabel, { type: "button" })),
    pills);
  if (still) bar.querySelectorAll("input,select,button").forEach((control) => { control.disabled = true; });
  const select = (on) => (answered === asked ? ui.ask("select", { on }) : ui.say("The search has not ended: the selection stays as it is."));
  const selectAll = h("button", { disabled: still, onclick: ui.guarded(() => select(true)) }, "Select all found");
  const selectNone = h("button", { disabled: still, onclick: ui.guarded(() => select(false)) }, "Unselect them");

  function mirror() { // the bar shows what the view says, whoever said it
    const now = view();
    way.value = now.way ?? "text";
    query.value = now.query ?? "";
    dataset.value = now.datasets?.[0] ?? "";
    split.value = now.split ?? "";
    sort.value = (now.predicted ? "predicted " : "") + (now.sort ?? "");
    descending.checked = Boolean(now.descending);
    selected.checked = Boolean(now.selected);
    const pill = (text, remove) => h("span", { className: "molfm-pill" }, text, h("button", { type: "button", disabled: still, ariaLabel: `Remove: ${text}`, onclick: ui.guarded(remove) }, "×"));
    const range = ({ min, max }) => [min === null || min === undefined ? "" : ` ≥ ${number(min)}`, max === null || max === undefined ? "" : ` ≤ ${number(max)}`].join("");
    pills.replaceChildren(
      ...(now.filters ?? []).map((filter, i) => pill(`${filter.task} ${filter.presence === "unmeasured" ? "not measured" : `measured${range(filter)}`}`,
        () => change({ filters: view().filters.filter((_, j) => j !== i) }))),
      ...chips().map((task) => pill(`on cards: ${task}`, () => change({ chips: chips().filter((other) => other !== task) }))));
    tell();
  }

  // ---- the grid
  const layer = h("div", { className: "molfm-layer", role: "list", ariaLabel: "Molecules" });
  const spacer = h("div", { className: "molfm-spacer" }, layer);
  const grid = h("div", { className: "molfm-grid", tabIndex: 0, role: "region", ariaLabel: "Molecules that were found" }, spacer);
  const cards = new Map(); // place -> element
  const { root: aside, show, mark } = pane(ui, {
    select: (molecule, on) => ui.ask("select", { on, molecules: [molecule] }),
    similar: (smiles) => change({ way: "similarity", query: smiles, sort: "", predicted: false }),
  });

  async function page(number) {
    if (pages.has(number)) return pages.get(number);
    const mine = pages;
    const start = number * about.page;
    const promise = ui.ask("page", { start, stop: start + about.page, tasks: chips() }).then((answer) => answer.rows);
    mine.set(number, promise);
    promise.catch(() => mine.delete(number));
    if (mine.size > PAGES_KEPT) mine.delete(mine.keys().next().value);
    return promise;
  }

  function chip(task, value, predicted) {
    const short = task.slice(task.indexOf("/") + 1), there = value !== null;
    const parts = [there || predicted === null ? number(value, unitOf[task]) : "", predicted === null ? "" : `predicted ${number(predicted)}`];
    const text = `${short}: ${parts.filter(Boolean).join(", ")}`;
    return h("span", { className: there ? "molfm-chip" : "molfm-chip missing", title: `${task}: ${number(value, unitOf[task])}` }, text);
  }

  function fill(card, row, place) {
    const name = row.name || row.smiles;
    const box = h("input", { type: "checkbox", checked: row.selected, disabled: still, ariaLabel: `Select ${name}`, tabIndex: place === active ? 0 : -1,
      onchange: ui.guarded((event) => { row.selected = event.target.checked; card.classList.toggle("selected", row.selected); return ui.ask("select", { on: row.selected, molecules: [row.molecule] }); }) });
    const open = h("button", { className: "molfm-open", ariaLabel: `${name}, molecule ${row.molecule}`, tabIndex: place === active ? 0 : -1,
      onclick: ui.guarded(() => choose(place)) }, svg(row.svg), h("span", { className: "molfm-name" }, name));
    card.classList.toggle("selected", row.selected);
    card.classList.toggle("open", row.molecule === opened);
    card.replaceChildren(open, box, h("div", { className: "molfm-chips" },
      row.similarity === null ? null : h("span", { className: "molfm-chip" }, `Tanimoto ${row.similarity.toFixed(2)}`),
      chips().map((task, i) => chip(task, row.labels[i], row.predicted[i])),
      h("span", { className: "molfm-chip count" }, `${row.n_labels} ${row.n_labels === 1 ? "label" : "labels"}`)));
  }

  function layout() {
    columns = Math.max(1, Math.floor(grid.clientWidth / CARD.width));
    const width = grid.clientWidth / columns;
    const rows = Math.ceil(n / columns);
    const shown = scrollWindow(grid.scrollTop, grid.clientHeight, CARD.height, rows);
    spacer.style.height = `${shown.height}px`;
    layer.style.transform = `translateY(${shown.top}px)`;
    const first = shown.first * columns, last = Math.min(n, shown.last * columns);
    for (const [place, card] of cards) if (place < first || place >= last) { card.remove(); cards.delete(place); }
    for (let place = first; place < last; place++) {
      let card = cards.get(place);
      if (!card) {
        card = h("div", { className: "molfm-card", role: "listitem", ariaSetSize: String(n), ariaPosInSet: String(place + 1) });
        cards.set(place, card);
        layer.append(card);
        const [mine, at] = [card, place];
        page(Math.floor(place / about.page)).then(ui.guarded((found) => { if (cards.get(at) === mine && found[at % about.page]) fill(mine, found[at % about.page], at); }), () => {});
      }
      Object.assign(card.style, { width: `${width - 8}px`, left: `${(place % columns) * width}px`, top: `${(Math.floor(place / columns) - shown.first) * CARD.height}px` });
    }
  }
  const draw = eachFrame(ui.guarded(layout));
  grid.addEventListener("scroll", draw, { passive: true });
  const observer = new ResizeObserver(draw);
  observer.observe(grid);
  ui.signal.addEventListener("abort", () => observer.disconnect());
  grid.addEventListener("keydown", ui.guarded((event) => {
    const perPage = columns * Math.max(1, Math.floor(grid.clientHeight / CARD.height));
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -perPage, PageDown: perPage, Home: -n, End: n }[event.key];
    if (!step || event.target.type === "search") return;
    event.preventDefault();
    return focus(clamp(active + step, 0, n - 1));
  }));

  async function focus(place) {
    active = place;
    const row = Math.floor(place / columns), rows = Math.ceil(n / columns), full = rows * CARD.height;
    const { height } = scrollWindow(0, grid.clientHeight, CARD.height, rows);
    const scale = (height - grid.clientHeight) / Math.max(1, full - grid.clientHeight); // 1, but for millions
    const shown = scrollWindow(grid.scrollTop, grid.clientHeight, CARD.height, rows);
    if (row <= shown.first) grid.scrollTop = row * CARD.height * scale;
    else if (row >= shown.last - 1) grid.scrollTop = Math.ceil(((row + 1) * CARD.height - grid.clientHeight) * scale) + 1;
    layout();
    await page(Math.floor(place / about.page));
    for (const [at, card] of cards) card.querySelectorAll("button,input").forEach((control) => { control.tabIndex = at === place ? 0 : -1; });
    cards.get(place)?.querySelector("button")?.focus({ preventScroll: true });
  }

  async function choose(place) {
    active = place;
    const row = (await page(Math.floor(place / about.page)))[place % about.page];
    if (!row) return; // a search is under way, and it is no longer there
    opened = row.molecule; // so that it is opened once
    ui.remember({ open: opened });
    await openMolecule(opened);
  }

  async function openMolecule(molecule) {
    opened = molecule;
    for (const [place, card] of cards) {
      const row = (await page(Math.floor(place / about.page)))[place % about.page];
      card.classList.toggle("open", row?.molecule === opened);
    }
    show(await ui.ask("detail", { molecule }));
  }

  async function remark() { // the selection changed; the cards stay, and so does the focus
    const visible = new Set([...cards.keys()].map((place) => Math.floor(place / about.page)));
    for (const number of pages.keys()) if (!visible.has(number)) pages.delete(number);
    for (const number of visible) {
      const rows = await page(number);
      const { marks } = await ui.ask("marks", { molecules: rows.map((row) => row.molecule) });
      rows.forEach((row, i) => { row.selected = marks[i]; });
    }
    for (const [place, card] of cards) {
      const row = (await page(Math.floor(place / about.page)))[place % about.page];
      card.classList.toggle("selected", Boolean(row?.selected));
      const box = card.querySelector("input");
      if (box) box.checked = Boolean(row?.selected);
    }
    if (opened >= 0) mark((await ui.ask("marks", { molecules: [opened] })).marks[0]);
    tell();
  }

  function refresh() { // same molecules, other labels
    pages = new Map();
    cards.forEach((card) => card.remove());
    cards.clear();
    tell();
    draw();
  }

  function tell() {
    const chosen = model.get("chosen").molecules;
    count.textContent = `${n.toLocaleString("en-US")} of ${about.n.toLocaleString("en-US")} molecules`;
    ui.say(`${chosen.toLocaleString("en-US")} selected`);
  }

  const question = ({ chips: _, open: __, ...rest }) => rest; // what is searched for, of a view

  async function find() {
    const mine = ++asked;
    mirror();
    for (;;) {
      const answer = await ui.ask("find", still ? ui.recorded.asked("find")[0] : { view: question(view()) });
      if (mine !== asked) return; // a newer search is under way
      if (answer.problem) ui.errors.replaceChildren(h("p", {}, answer.problem));
      else ui.errors.replaceChildren();
      if (answer.done) {
        answered = mine;
        n = still ? Math.min(answer.n, ui.recorded.asked("page").length * about.page) : answer.n;
        break;
      }
      count.textContent = `Searching: ${answer.checked.toLocaleString("en-US")} of ${answer.of.toLocaleString("en-US")} …`;
    }
    active = 0;
    grid.scrollTop = 0;
    mirror();
    refresh();
    if (still) ui.say(`A saved page: the first ${n.toLocaleString("en-US")} molecules, without a kernel to search with.`);
  }

  ui.root.append(bar, h("div", { className: "molfm-row molfm-found" }, count, field("only the selection", selected), selectAll, selectNone, ui.news), ui.errors,
    h("div", { className: "molfm-columns" }, grid, aside));
  if (still) selected.disabled = true;
  let shown = view();
  ui.listen("change:view", async () => { // from here, from Python, or from another view of this widget
    const before = shown, now = view(), changed = (of) => JSON.stringify(of(before)) !== JSON.stringify(of(now));
    shown = now;
    if (changed(question)) await find();
    else if (changed(({ chips }) => chips)) { mirror(); refresh(); }
    const { open = opened } = view();
    if (open !== opened) await openMolecule(open);
  });
  ui.listen("change:chosen", () => (view().selected ? find() : remark()));
  await find();
  if (view().open !== undefined && (!still || ui.recorded.has("detail", { molecule: view().open }))) await openMolecule(view().open);
}

function render({ model, el }) {
  const ui = frame({ model, el }, "MoleculeBrowser");
  ui.guarded(build)(ui, model);
  return ui.end;
}

export default { render };
