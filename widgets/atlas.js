// LabelAtlas: the label table as a picture that is enlarged tile by tile, pairs of tasks, datasets, the audit.

const TILE_BYTES = 64e6; // kept in the browser, whatever the number of tasks
const MARGIN = { left: 62, right: 8, bottom: 8 };
const SPLIT_STYLE = { train: ["#0072b2", ""], val: ["#e69f00", "5 3"], test: ["#d55e00", "2 2"], test_seen: ["#cc79a7", "8 3 2 3"] };

// ------------------------------------------------------------------------------------------------------- pure functions

/** The finest level whose rows are a pixel or more high: 0 is the coarsest, a row of the last is one molecule. */
export function levelFor(molecules, pixels, levels) {
  return clamp(levels - 1 - Math.ceil(Math.log2(Math.max(1, molecules / Math.max(1, pixels)))), 0, levels - 1);
}

/** A window (start, end) zoomed by a factor about a place that stays where it is, within 0 to `most` and not below `least`. */
export function zoomed([start, end], factor, about, most, least) {
  const span = clamp((end - start) / factor, Math.min(least, most), most);
  const from = clamp(about - ((about - start) / (end - start)) * span, 0, most - span);
  return [from, from + span];
}

/** Round numbers for an axis, at most `count` of them. */
export function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const out = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) out.push(Number(value.toPrecision(12)));
  return out;
}

/** 95% interval of a correlation by Fisher's transformation; null where there are too few pairs. */
export function correlationInterval(r, n) {
  if (n < 4 || Math.abs(r) >= 1) return null;
  const z = Math.atanh(r), half = 1.96 / Math.sqrt(n - 3);
  return [Math.tanh(z - half), Math.tanh(z + half)];
}

/** Where a mean stands on its task's colours, 0 to 1; a tile tells 6 standard deviations apart, the colours 2. */
export const colorPosition = (kind, mean) => (kind === "regression" ? clamp(((mean - 1) / 65534 - 0.5) * 3 + 0.5, 0, 1) : (mean - 1) / 65534);

/** A tile's mean in the task's unit. */
export const decoded = (mean, { low, high }) => (mean ? low + ((mean - 1) / 65534) * (high - low) : NaN);

// ------------------------------------------------------------------------------------------------------- a large matrix

/** A canvas that shows a part of a matrix: zooming, panning, a cursor and a rectangle, by pointer and by keys. */
class Matrix {
  constructor(ui, { label, rows, columns, top, least, paint, step, moved, chosen, changed, left = MARGIN.left }) {
    Object.assign(this, { ui, rows, columns, top, least, paintInside: paint, step, moved, chosen, changed, left });
    this.window = { rows: [0, rows], columns: [0, columns] };
    this.cursor = null;
    this.rectangle = null;
    this.canvas = h("canvas", { className: "molfm-matrix", tabIndex: 0, role: "img", ariaLabel: label });
    this.draw = eachFrame(ui.guarded(() => this.paint()));
    const observer = new ResizeObserver(this.draw), forget = ui.onTheme(this.draw);
    observer.observe(this.canvas);
    this.end = () => { observer.disconnect(); forget(); ui.signal.removeEventListener("abort", this.end); };
    ui.signal.addEventListener("abort", this.end);
    this.listen();
  }

  get plot() {
    return { x: this.left, y: this.top(), width: this.canvas.clientWidth - this.left - MARGIN.right, height: this.canvas.clientHeight - this.top() - MARGIN.bottom };
  }
  x(column) { const { x, width } = this.plot, [a, b] = this.window.columns; return x + ((column - a) / (b - a)) * width; }
  y(row) { const { y, height } = this.plot, [a, b] = this.window.rows; return y + ((row - a) / (b - a)) * height; }
  cell(x, y) { // row and column under a point, or null
    const { x: x0, y: y0, width, height } = this.plot, { rows, columns } = this.window;
    if (x < x0 || y < y0 || x > x0 + width || y > y0 + height) return null;
    const row = rows[0] + ((y - y0) / height) * (rows[1] - rows[0]), column = columns[0] + ((x - x0) / width) * (columns[1] - columns[0]);
    return { row: clamp(Math.floor(row), 0, this.rows - 1), column: clamp(Math.floor(column), 0, this.columns - 1) };
  }

  show(window) {
    this.window = window;
    this.changed?.(window);
    this.refresh();
  }
  refresh() { // the cell under the cursor may stand for fewer molecules now, or what it holds has come
    if (this.cursor) this.moved(this.cursor);
    this.draw();
  }
  zoom(factor, at = null) {
    const { rows, columns } = this.window, middle = ([a, b]) => (a + b) / 2;
    const about = at ?? (this.cursor && { row: this.cursor.row + 0.5, column: this.cursor.column + 0.5 }) ?? { row: middle(rows), column: middle(columns) };
    this.show({ rows: zoomed(rows, factor, about.row, this.rows, this.least.rows), columns: zoomed(columns, factor, about.column, this.columns, this.least.columns) });
  }
  pan(rows, columns) {
    const moved = ([a, b], by, most) => { const from = clamp(a + by, 0, most - (b - a)); return [from, from + b - a]; };
    this.show({ rows: moved(this.window.rows, rows, this.rows), columns: moved(this.window.columns, columns, this.columns) });
  }
  whole() { this.show({ rows: [0, this.rows], columns: [0, this.columns] }); }
  zoomToRectangle() {
    if (!this.rectangle) return this.zoom(2);
    const { rows, columns } = this.rectangle;
    const grow = ([a, b], least, most) => zoomed([a, Math.max(b, a + 1e-9)], 1, (a + b) / 2, most, least);
    this.show({ rows: grow(rows, this.least.rows, this.rows), columns: grow(columns, this.least.columns, this.columns) });
  }

  moveTo(cell, extend) {
    if (extend && !this.anchor) this.anchor = this.cursor ?? cell;
    if (!extend) this.anchor = null;
    this.cursor = cell;
    if (this.anchor) this.rectangle = this.between(this.anchor, cell);
    this.moved(cell);
    this.draw();
  }
  between(a, b) {
    const step = this.step(), down = (row) => Math.floor(row / step) * step;
    return { rows: [down(Math.min(a.row, b.row)), Math.min(this.rows, down(Math.max(a.row, b.row)) + step)],
      columns: [Math.min(a.column, b.column), Math.max(a.column, b.column) + 1] };
  }

  listen() {
    const { canvas, ui } = this;
    let pressed = null;
    const on = (event, callback, settings) => canvas.addEventListener(event, ui.guarded(callback), settings);
    on("pointerdown", (event) => {
      canvas.focus();
      pressed = this.cell(event.offsetX, event.offsetY);
      if (pressed) canvas.setPointerCapture(event.pointerId);
    });
    on("pointermove", (event) => {
      const cell = this.cell(event.offsetX, event.offsetY);
      if (!cell) return;
      if (pressed) this.rectangle = this.between(pressed, cell);
      this.anchor = null;
      this.cursor = cell;
      this.moved(cell);
      this.draw();
    });
    on("pointerup", () => {
      if (!pressed) return;
      this.rectangle ??= this.between(pressed, pressed);
      if (this.cursor) this.rectangle = this.between(pressed, this.cursor);
      pressed = null;
      this.draw();
      return this.chosen(this.rectangle);
    });
    canvas.addEventListener("wheel", (event) => { // only where the reader has come to the picture: else the page scrolls
      if (document.activeElement !== canvas && canvas.getRootNode().activeElement !== canvas) return;
      event.preventDefault();
      const at = this.cell(event.offsetX, event.offsetY);
      if (at) this.zoom(event.deltaY < 0 ? 1.3 : 1 / 1.3, at);
    }, { passive: false });
    on("keydown", (event) => {
      const step = this.step(), { rows, columns } = this.window;
      const moves = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      const span = rows[1] - rows[0];
      if (event.key in moves) {
        const [down, right] = moves[event.key];
        const from = this.cursor ?? { row: Math.floor(rows[0]), column: Math.floor(columns[0]) };
        const to = this.cursor ? { row: clamp(from.row + down, 0, this.rows - 1), column: clamp(from.column + right, 0, this.columns - 1) } : from;
        this.moveTo(to, event.shiftKey);
        const over = (value, [a, b], size) => (value < a ? value - a : value + size > b ? value + size - b : 0);
        const [dr, dc] = [over(to.row, rows, step), over(to.column, columns, 1)];
        if (dr || dc) this.pan(dr, dc);
      } else if (event.key === "+" || event.key === "=") this.zoom(2);
      else if (event.key === "-") this.zoom(0.5);
      else if (event.key === "0") this.whole();
      else if (event.key === "PageDown") this.pan(span / 2, 0);
      else if (event.key === "PageUp") this.pan(-span / 2, 0);
      else if (event.key === "Escape") { this.rectangle = this.anchor = null; this.draw(); }
      else if (event.key === "Enter" && (this.rectangle || this.cursor)) {
        this.rectangle ??= this.between(this.cursor, this.cursor);
        event.preventDefault();
        this.draw();
        return this.chosen(this.rectangle);
      } else return;
      event.preventDefault();
    });
  }

  paint() {
    const context = context2d(this.canvas);
    if (!context) return;
    const palette = this.ui.palette(), { x, y, width, height } = this.plot;
    context.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.fillStyle = rgb(palette.missing);
    context.fillRect(x, y, width, height);
    this.paintInside(context, palette, this);
    for (const [area, color, line] of [[this.rectangle, palette.text, 2], [this.cursor && this.between(this.cursor, this.cursor), palette.text, 1]]) {
      if (!area) continue;
      const box = [this.x(area.columns[0]), this.y(area.rows[0]), this.x(area.columns[1]) - this.x(area.columns[0]), Math.max(2, this.y(area.rows[1]) - this.y(area.rows[0]))];
      context.lineWidth = line + 2;
      context.strokeStyle = rgb(palette.paper);
      context.strokeRect(...box);
      context.lineWidth = line;
      context.strokeStyle = rgb(color);
      context.strokeRect(...box);
    }
    context.restore();
    context.strokeStyle = rgb(palette.line);
    context.lineWidth = 1;
    context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
  }

  /** Names above columns, turned, where there is room for them; and a band a group of columns. */
  header(context, palette, tasks, colors, short = (task) => task.task.slice(task.task.indexOf("/") + 1)) {
    const { x, y, width } = this.plot, [a, b] = this.window.columns;
    context.save();
    context.beginPath();
    context.rect(x - 1, 0, width + 2, y);
    context.clip();
    context.font = "11px system-ui, sans-serif";
    for (let i = Math.floor(a); i < Math.min(b, tasks.length); ) {
      let j = i;
      while (j < tasks.length && tasks[j].dataset === tasks[i].dataset && tasks[j].domain === tasks[i].domain) j++;
      const left = Math.max(x, this.x(i)), right = Math.min(x + width, this.x(j));
      context.fillStyle = colors[tasks[i].domain] ?? "#999999";
      context.fillRect(left + 0.5, y - 6, right - left - 1, 5);
      context.fillStyle = rgb(palette.text);
      const text = `${tasks[i].dataset}${tasks[i].domain ? ` · ${tasks[i].domain}` : ""}`;
      if (right - left > 30) context.fillText(clipped(context, text, right - left - 4), left + 1, 12);
      i = j;
    }
    if (this.x(1) - this.x(0) >= 9)
      for (let i = Math.floor(a); i < Math.min(b, tasks.length); i++) {
        context.save();
        context.translate((this.x(i) + this.x(i + 1)) / 2 + 4, y - 10);
        context.rotate(-Math.PI / 2);
        context.fillText(clipped(context, short(tasks[i]), y - 32), 0, 0);
        context.restore();
      }
    context.restore();
  }
}

function clipped(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}

/** An image of cells, one pixel each. */
function picture(columns, rows, color) {
  const canvas = h("canvas", { width: Math.max(1, columns), height: Math.max(1, rows) });
  const image = new ImageData(canvas.width, canvas.height);
  for (let row = 0, at = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, at += 4) {
      const [r, g, b] = color(row, column);
      image.data.set([r, g, b, 255], at);
    }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// ---------------------------------------------------------------------------------------------------------- the picture

function labelPicture(ui, about, { view, moved, chosen }) {
  const tiles = new Map(), failed = new Set(); // key -> { answer, image, palette }; keys
  const most = Math.max(8, Math.floor(TILE_BYTES / (about.tileRows * about.tasks.length * 8)));
  let shades = null;
  const split = () => view().split || null;
  const keyFor = (level, number) => `${split()}/${level}/${number}`;

  function shade(kind, position, share, palette) { // rounded, so that a tile of a million cells needs few colours
    if (shades?.palette !== palette) shades = { palette, found: new Map() };
    const [p, s] = [Math.round(position * 63), share > 0 ? Math.max(1, Math.round(share * 31)) : 0];
    const key = (kind === "binary" ? 4096 : 0) + p * 64 + s;
    if (!shades.found.has(key)) shades.found.set(key, cellColor(kind, p / 63, s / 31, palette));
    return shades.found.get(key);
  }

  async function load(level, number, key) {
    const of = split();
    for (;;) {
      const answer = await ui.ask("tile", { level, number, split: of }).catch((error) => { failed.add(key); ui.say(""); throw error; });
      if (!tiles.has(key)) return;
      tiles.set(key, { answer });
      if (level === 0) ui.say(answer.done ? "" : "Reading labels …");
      matrix.refresh();
      if (answer.done) return;
    }
  }

  function retry() { // when the reader moves on: a redraw would ask for what fails again and again
    failed.forEach((key) => tiles.delete(key));
    failed.clear();
  }

  function tile(level, number) {
    const key = keyFor(level, number);
    if (tiles.has(key)) {
      const found = tiles.get(key);
      tiles.delete(key);
      tiles.set(key, found); // most recently used last
      return found;
    }
    if (ui.recorded && !ui.recorded.has("tile", { level, number, split: split() })) return null;
    tiles.set(key, {});
    ui.guarded(load)(level, number, key);
    for (const old of tiles.keys()) { // the whole picture stays
      if (tiles.size <= most) break;
      if (!old.endsWith("/0/0")) tiles.delete(old);
    }
    return null;
  }

  const level = () => {
    let wanted = levelFor(matrix.window.rows[1] - matrix.window.rows[0], matrix.plot.height, about.levels);
    if (ui.recorded) while (wanted > 0 && !ui.recorded.has("tile", { level: wanted, number: firstTile(wanted), split: split() })) wanted--;
    return wanted;
  };
  const perRow = (of) => 2 ** (about.levels - 1 - of);
  const firstTile = (of) => Math.floor(matrix.window.rows[0] / (perRow(of) * about.tileRows));

  function paintTile(context, palette, found) {
    const { share, mean, start, perRow: size } = found.answer, [rows, columns] = share.shape;
    if (found.palette !== palette)
      Object.assign(found, { palette, image: picture(columns, rows, (row, column) => {
        const at = row * columns + column, { kind } = about.tasks[column];
        return shade(kind, colorPosition(kind, mean[at]), share[at] / 65535, palette);
      }) });
    const { rows: [r0, r1], columns: [c0, c1] } = matrix.window;
    const from = Math.max(0, (r0 - start) / size), to = Math.min(rows, (r1 - start) / size);
    if (to <= from) return;
    const last = Math.min(about.n, start + to * size); // the last row may stand for fewer molecules
    const [x, y, width, height] = [matrix.x(c0), matrix.y(start + from * size), matrix.x(c1) - matrix.x(c0), matrix.y(last) - matrix.y(start + from * size)];
    context.imageSmoothingEnabled = width < c1 - c0; // rows are never drawn smaller than they are
    context.drawImage(found.image, c0, from, c1 - c0, to - from, x, y, width, height);
  }

  function values(context, palette) { // where cells are large, what they hold is written: never colour alone
    const [w, t] = [matrix.x(1) - matrix.x(0), matrix.y(1) - matrix.y(0)], { rows: [r0, r1], columns: [c0, c1] } = matrix.window;
    if (w < 30 || t < 13) return;
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "center";
    for (let row = Math.floor(r0); row < Math.min(r1, about.n); row++)
      for (let column = Math.floor(c0); column < Math.min(c1, about.tasks.length); column++) {
        const found = at(row, column), task = about.tasks[column];
        if (!found?.share) continue;
        const color = shade(task.kind, found.position, found.share, palette);
        context.fillStyle = color[0] * 0.3 + color[1] * 0.59 + color[2] * 0.11 > 140 ? "#000000" : "#ffffff";
        const texts = task.kind === "binary" ? [found.mean > 0.5 ? "+" : "−"] : [3, 2].map((digits) => number(Number(found.mean.toPrecision(digits))));
        const text = texts.find((one) => context.measureText(one).width < w - 3); // a number is never cut short
        if (text) context.fillText(text, (matrix.x(column) + matrix.x(column + 1)) / 2, (matrix.y(row) + matrix.y(row + 1)) / 2 + 4);
      }
    context.textAlign = "start";
  }

  function at(row, column) { // what the finest loaded tile knows of a cell
    for (let of = level(); of >= 0; of--) {
      const size = perRow(of), n = Math.floor(row / (size * about.tileRows)), found = tiles.get(keyFor(of, n));
      if (!found?.answer) continue;
      const { share, mean, start } = found.answer, line = Math.floor((row - start) / size);
      if (line >= share.shape[0]) continue;
      const place = line * share.shape[1] + column, task = about.tasks[column];
      const first = start + line * size, molecules = Math.min(size, about.n - first);
      return { first, molecules, share: share[place] / 65535, labelled: Math.round((share[place] / 65535) * molecules) || (share[place] ? 1 : 0),
        mean: decoded(mean[place], task), position: colorPosition(task.kind, mean[place]) };
    }
    return null;
  }

  const matrix = new Matrix(ui, {
    label: `Labels of ${about.n.toLocaleString("en-US")} molecules (rows) in ${about.tasks.length} tasks (columns). Arrow keys move, with shift they mark a region, enter selects its molecules, ` +
      "plus and minus zoom, 0 shows all. The tab Table has the same as numbers.",
    rows: about.n, columns: about.tasks.length, top: () => 148, least: { rows: 16, columns: Math.min(about.tasks.length, 24) },
    step: () => perRow(level()),
    moved: (cell) => moved(cell, at(cell.row, cell.column)), chosen,
    changed: (window) => { retry(); ui.remember({ window: [...window.rows, ...window.columns].map((value) => Math.round(value * 100) / 100) }); },
    paint: (context, palette) => {
      const of = level(), size = perRow(of) * about.tileRows, whole = tile(0, 0);
      if (whole?.answer) paintTile(context, palette, whole);
      if (of > 0) for (let n = firstTile(of); n * size < Math.min(about.n, matrix.window.rows[1]); n++) {
        const found = tile(of, n);
        if (found?.answer) paintTile(context, palette, found);
      }
      values(context, palette);
      context.fillStyle = rgb(palette.paper);
      about.tasks.forEach((task, column) => {
        if (column && task.dataset !== about.tasks[column - 1].dataset) context.fillRect(matrix.x(column) - 1, matrix.plot.y, 2, matrix.plot.height);
      });
      context.restore(); // outside the plot now: the axes
      context.save();
      matrix.header(context, palette, about.tasks, about.colors);
      context.font = "11px system-ui, sans-serif";
      context.fillStyle = rgb(palette.text);
      context.textAlign = "right";
      for (const value of ticks(...matrix.window.rows, Math.floor(matrix.plot.height / 46)))
        context.fillText(value.toLocaleString("en-US"), matrix.left - 6, clamp(matrix.y(value) + 4, matrix.plot.y + 9, matrix.canvas.clientHeight - 4));
      context.textAlign = "start";
      context.fillText("molecules", 2, matrix.plot.y - 8);
      context.beginPath();
      context.rect(matrix.plot.x, matrix.plot.y, matrix.plot.width, matrix.plot.height);
      context.clip();
    },
  });
  return Object.assign(matrix, { retry });
}

// -------------------------------------------------------------------------------------------------------- distributions

/** A task's labels by split: lines for numbers, bars for classes, and the same as a table. */
function distributionChart(task, found) {
  const splits = Object.keys(found.counts), classes = task.kind !== "regression";
  const width = 300, height = 150, box = { x: 34, y: 8, width: 258, height: 108 };
  const total = Object.fromEntries(splits.map((split) => [split, found.counts[split].reduce((a, b) => a + b, 0)]));
  const share = (split, bin) => found.counts[split][bin] / Math.max(1, total[split]);
  const bins = found.edges.length - 1;
  const top = Math.max(1e-9, ...splits.flatMap((split) => found.counts[split].map((_, bin) => share(split, bin))));
  const low = found.edges[0], high = found.edges[bins];
  const x = (value) => box.x + ((value - low) / (high - low)) * box.width, y = (value) => box.y + box.height * (1 - value / top);
  const parts = [h("svg:line", { x1: box.x, x2: box.x + box.width, y1: y(0), y2: y(0), class: "axis" })];
  for (const value of ticks(0, top, 3)) parts.push(h("svg:text", { x: box.x - 4, y: y(value) + 4, "text-anchor": "end" }, `${Math.round(value * 1000) / 10}%`));
  for (const value of classes ? found.edges.slice(0, -1).map((edge) => edge + 0.5) : ticks(low, high, 4))
    parts.push(h("svg:text", { x: x(value), y: y(0) + 14, "text-anchor": "middle" }, number(value)));
  parts.push(h("svg:text", { x: box.x + box.width / 2, y: height - 4, "text-anchor": "middle" }, classes ? "class" : task.unit || "value"));
  splits.forEach((split, place) => {
    const [color, dash] = SPLIT_STYLE[split];
    if (classes) for (let bin = 0; bin < bins; bin++) {
      const bar = (0.7 * (x(1) - x(0))) / splits.length, left = x(found.edges[bin] + 0.15) + place * bar;
      parts.push(h("svg:rect", { x: left, y: y(share(split, bin)), width: Math.max(1, bar - 2), height: y(0) - y(share(split, bin)), fill: color }));
    } else {
      const line = found.edges.slice(0, -1).map((edge, bin) => `${x(edge)},${y(share(split, bin))} ${x(found.edges[bin + 1])},${y(share(split, bin))}`).join(" ");
      parts.push(h("svg:polyline", { points: line, fill: "none", stroke: color, "stroke-width": 1.8, "stroke-dasharray": dash }));
    }
  });
  const label = `Distribution of ${task.task} by split`;
  const text = (bin) => (classes ? String(found.edges[bin] + 0.5) : `${number(found.edges[bin])} to ${number(found.edges[bin + 1])}`);
  const key = splits.map((split) => h("span", { className: "molfm-key" },
    h("svg:svg", { width: 22, height: 8, "aria-hidden": "true" }, h("svg:line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke: SPLIT_STYLE[split][0], "stroke-width": 3, "stroke-dasharray": classes ? "" : SPLIT_STYLE[split][1] })),
    `${split} ${total[split].toLocaleString("en-US")}`));
  return [
    h("svg:svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "molfm-chart" }, parts),
    h("div", { className: "molfm-keys" }, key),
    found.beyond ? h("p", { className: "molfm-small" }, `${found.beyond.toLocaleString("en-US")} labels in the far tails are outside.`) : null,
    h("details", {}, h("summary", {}, "As a table"), table([classes ? "class" : `from, to${task.unit ? ` (${task.unit})` : ""}`, ...splits],
      Array.from({ length: bins }, (_, bin) => [text(bin), ...splits.map((split) => found.counts[split][bin].toLocaleString("en-US"))]), label))].filter(Boolean);
}

// ------------------------------------------------------------------------------------------------------ pairs of tasks

function pairsPanel(ui, about, { view, shownTasks, chosen }) {
  const root = h("div", {});
  let known = "", end = () => {};
  const measure = h("select", { onchange: ui.guarded(() => { ui.remember({ measure: measure.value }); return show(); }) },
    options([["count", "molecules with both labels"], ["correlation", "correlation of the labels"]], view().measure));

  async function show() {
    measure.value = view().measure ?? "count";
    const tasks = ui.recorded ? about.tasks.filter((task) => ui.recorded.asked("pairs")[0]?.tasks.includes(task.task)) : shownTasks().slice(0, about.maxPaired);
    const key = JSON.stringify([tasks.map((task) => task.task), ui.recorded ? "" : view().split, measure.value]);
    if (key === known) return;
    known = key;
    const ids = tasks.map((task) => task.task), t = tasks.length;
    const found = await ui.ask("pairs", { tasks: ids, split: (!ui.recorded && view().split) || null }).catch((error) => { known = ""; throw error; });
    const most = Math.log1p(Math.max(1, ...found.count));
    const color = (a, b, palette) => {
      const count = found.count[a * t + b], r = found.correlation[a * t + b];
      if (measure.value === "count") return count ? mix(palette.low, palette.high, Math.log1p(count) / most) : palette.missing;
      return Number.isFinite(r) ? diverging(r, palette) : palette.missing;
    };
    const describe = (a, b) => {
      const count = found.count[a * t + b], r = found.correlation[a * t + b], interval = correlationInterval(r, count);
      return `${ids[a]} and ${ids[b]}: ${count.toLocaleString("en-US")} molecules with both` + (Number.isFinite(r)
        ? `, r = ${number(Number(r.toFixed(3)))}${interval ? ` (95% interval ${interval.map((end) => end.toFixed(2)).join(" to ").replaceAll("-", "−")})` : ""}` : ", no correlation defined");
    };
    const line = h("p", { className: "molfm-hover" }, "Point at a cell.");
    let image = null;
    end();
    const matrix = new Matrix(ui, {
      label: `${measure.selectedOptions[0].textContent} of ${t} x ${t} tasks. Arrow keys move, enter selects the molecules with both labels. The table below has the pairs.`,
      rows: t, columns: t, top: () => 148, left: 150, least: { rows: Math.min(t, 8), columns: Math.min(t, 8) }, step: () => 1,
      moved: ({ row, column }) => { line.textContent = describe(row, column); },
      chosen: ({ rows, columns }) => chosen([...new Set([...ids.slice(...rows), ...ids.slice(...columns)])]),
      paint: (context, palette) => {
        if (image?.palette !== palette) image = { palette, cells: picture(t, t, (a, b) => color(a, b, palette)) };
        const { rows: [r0, r1], columns: [c0, c1] } = matrix.window, { x, y, width, height } = matrix.plot;
        context.imageSmoothingEnabled = width < c1 - c0;
        context.drawImage(image.cells, c0, r0, c1 - c0, r1 - r0, x, y, width, height);
        context.restore();
        context.save();
        matrix.header(context, palette, tasks, about.colors);
        context.font = "11px system-ui, sans-serif";
        context.fillStyle = rgb(palette.text);
        context.textAlign = "right";
        if (matrix.y(1) - matrix.y(0) >= 9) for (let i = Math.floor(r0); i < r1 && i < t; i++) {
          const middle = (matrix.y(i) + matrix.y(i + 1)) / 2 + 4;
          if (middle > y) context.fillText(clipped(context, ids[i].slice(ids[i].indexOf("/") + 1), 140), x - 6, middle);
        }
        context.textAlign = "start";
        context.beginPath();
        context.rect(x, y, width, height);
        context.clip();
      },
    });
    end = matrix.end;
    const pairs = [];
    for (let a = 0; a < t; a++) for (let b = a + 1; b < t; b++) if (found.count[a * t + b]) pairs.push([a, b, found.count[a * t + b], found.correlation[a * t + b]]);
    const weight = ([, , count, r]) => (measure.value === "count" ? count : Math.abs(r) || -1);
    pairs.sort((one, other) => weight(other) - weight(one));
    const listed = pairs.slice(0, 200).map(([a, b, count, r]) => [ids[a], ids[b], count.toLocaleString("en-US"), Number.isFinite(r) ? r.toFixed(2).replace("-", "−") : ""]);
    const ramp = (palette) => [0, 0.25, 0.5, 0.75, 1].map((at) => rgb(measure.value === "count" ? mix(palette.low, palette.high, at) : diverging(2 * at - 1, palette))).join(",");
    const name = `Pairs of tasks${pairs.length > 200 ? `, the first 200 of ${pairs.length.toLocaleString("en-US")}` : ""}`;
    root.replaceChildren(
      h("div", { className: "molfm-row" }, field("Show", measure), h("span", { className: "molfm-legend" },
        h("span", {}, measure.value === "count" ? "1" : "−1"), h("span", { className: "molfm-ramp", style: { background: `linear-gradient(to right, ${ramp(ui.palette())})` } }),
        h("span", {}, measure.value === "count" ? `${Math.max(0, ...found.count).toLocaleString("en-US")} (log scale)` : "1"))),
      matrix.canvas, line,
      ...(found.n < found.of ? [h("p", { className: "molfm-small" }, `Counted on a random sample of ${found.n.toLocaleString("en-US")} of ${found.of.toLocaleString("en-US")} molecules.`)] : []),
      ...(t < about.tasks.length ? [h("p", { className: "molfm-small" }, `${t} of ${about.tasks.length} tasks: the columns that the picture shows, ${about.maxPaired} at most.`)] : []),
      h("details", {}, h("summary", {}, name), table(["task", "and task", "molecules with both", "r"], listed, name)));
    matrix.draw();
  }
  ui.onTheme(() => { if (known) { known = ""; ui.guarded(show)(); } });
  return { root, show };
}

// --------------------------------------------------------------------------------------------------------------- widget

async function build(ui, model) {
  const about = await ui.ask("about");
  const view = () => model.get("view"), still = Boolean(ui.recorded), numberOf = (n) => n.toLocaleString("en-US");
  let task = -1, asked = 0;

  const line = h("p", { className: "molfm-hover" }, "Point at a cell, or move with the arrow keys.");
  const card = h("div", { className: "molfm-taskcard" });
  const chosenLine = h("p", {});
  const facts = ({ kind, unit, level }) => `${level} level, ${kind}${unit ? `, ${unit}` : ""}`;

  async function select(tasks, [start, stop] = [0, about.n], every = false) {
    if (still) return ui.say("A saved page cannot select: it needs a running kernel.");
    const answer = await ui.ask("select", { tasks, start: Math.round(start), stop: Math.round(stop), every, split: view().split || null });
    tell(answer);
  }
  function tell({ molecules, tasks }) {
    chosenLine.textContent = `Selected: ${numberOf(molecules)} molecules, ${numberOf(tasks.length)} ${tasks.length === 1 ? "task" : "tasks"}`;
  }
  async function showTask(column) {
    if (column === task) return;
    task = column;
    const mine = ++asked, shown = about.tasks[column];
    await new Promise((resolve) => setTimeout(resolve, 60)); // the pointer may only pass by
    if (mine !== asked) return;
    const question = { task: shown.task };
    if (still && !ui.recorded.has("distribution", question)) return;
    const found = await ui.ask("distribution", question);
    if (mine !== asked) return;
    ui.remember({ task: shown.task });
    const n = about.splits.map((split) => shown[`n_${split}`]).reduce((a, b) => a + b, 0);
    const center = shown.positive_rate !== null && shown.positive_rate !== undefined ? `, ${(100 * shown.positive_rate).toFixed(1)}% positive in training`
      : shown.mean !== null ? `, mean ${number(shown.mean)}, standard deviation ${number(shown.std)} in training` : "";
    card.replaceChildren(h("h3", {}, shown.task), h("p", { className: "molfm-small" }, `${facts(shown)}; ${numberOf(n)} labels${center}`),
      ...distributionChart(shown, found),
      h("button", { disabled: still, onclick: ui.guarded(() => select([shown.task])) }, "Select its molecules"));
  }

  const matrix = labelPicture(ui, about, {
    view,
    moved: ({ column }, cell) => {
      const { task: name, kind, unit } = about.tasks[column];
      ui.guarded(showTask)(column);
      if (!cell) return;
      const rows = cell.molecules === 1 ? `row ${numberOf(cell.first)}` : `rows ${numberOf(cell.first)}–${numberOf(cell.first + cell.molecules - 1)}`;
      const value = kind === "binary" && cell.molecules > 1 ? `${(100 * cell.mean).toFixed(0)}% positive` : number(Number(cell.mean.toPrecision(4)), unit);
      line.textContent = `${name}, ${rows}: ${cell.molecules === 1 ? (cell.share ? value : "not measured") : `${numberOf(cell.labelled)} of ${numberOf(cell.molecules)} measured${cell.share ? `, mean ${value}` : ""}`}`;
    },
    chosen: ({ rows, columns }) => select(about.tasks.slice(...columns).map(({ task: name }) => name), rows),
  });
  const split = h("select", { onchange: ui.guarded(() => { ui.remember({ split: split.value }); return again(); }) }, options([["", "all"], ...about.splits.map((name) => [name, name])], view().split ?? ""));
  const button = (text, callback) => h("button", { onclick: ui.guarded(callback) }, text);
  const swatch = (...colors) => h("span", { className: "molfm-swatch", style: { background: colors.length > 1 ? `linear-gradient(to right, ${colors.map(rgb).join(",")})` : rgb(colors[0]) } });
  const legend = h("div", { className: "molfm-legend molfm-colors" });
  const drawLegend = () => {
    const p = ui.palette();
    const entry = (text, ...colors) => h("span", { className: "molfm-key" }, swatch(...colors), text);
    legend.replaceChildren(entry("not measured", p.missing), entry("negative", p.negative), entry("positive", p.positive),
      entry("number, mean ± 2 sd", p.low, p.high), h("span", { className: "molfm-small" }, "The paler, the fewer of a row's molecules have a label."));
  };
  ui.onTheme(drawLegend);
  drawLegend();

  const shownTasks = () => about.tasks.slice(Math.floor(matrix.window.columns[0]), Math.ceil(matrix.window.columns[1]));
  const pairs = pairsPanel(ui, about, { view, shownTasks, chosen: (tasks) => select(tasks, undefined, true) });

  // ---- tabs
  const panels = {
    Labels: h("div", {},
      h("div", { className: "molfm-row" }, button("Zoom in", () => matrix.zoom(2)), button("Zoom out", () => matrix.zoom(0.5)), button("Whole", () => matrix.whole()),
        button("Zoom to region", () => matrix.zoomToRectangle())), legend, matrix.canvas, line),
    "Tasks × tasks": pairs.root,
    Datasets: h("div", {}),
    Audit: h("div", {}),
    Table: h("div", {}),
  };
  const fill = {
    Labels: () => { matrix.retry(); matrix.draw(); },
    "Tasks × tasks": pairs.show,
    Datasets: async () => {
      const { counts } = await ui.ask("overlap"), names = about.datasets;
      const cell = (i, j) => `${numberOf(counts[i][j])}${i === j ? "" : ` (${((100 * counts[i][j]) / Math.max(1, counts[i][i])).toFixed(1)}%)`}`;
      panels.Datasets.replaceChildren(h("p", { className: "molfm-small" }, "Molecules that two datasets share; in brackets, of the row's dataset."),
        table(["dataset", ...names], names.map((name, i) => [name, ...names.map((_, j) => cell(i, j))]), "Datasets × datasets"));
    },
    Audit: async () => {
      if (still && !ui.recorded.has("audit", {})) return panels.Audit.replaceChildren(h("p", {}, "This page was saved without the audit."));
      const offer = () => panels.Audit.replaceChildren(h("p", {}, `The audit of ${numberOf(about.n)} molecules may take minutes.`), button("Run it", show));
      const show = async () => {
        panels.Audit.replaceChildren(h("p", {}, "Auditing … scaffolds are computed the first time."));
        const { rows } = await ui.ask("audit").catch((error) => { offer(); throw error; });
        panels.Audit.replaceChildren(table(["check", "dataset", "task", "compared with", "found", "of", "note"],
          rows.map((row) => [row.check, row.dataset, row.task, row.other, numberOf(row.count), numberOf(row.of), row.note]), "What the audit found"));
      };
      return still || about.n < 50_000 ? show() : offer();
    },
    Table: () => {
      const rate = (row) => (row.positive_rate !== null && row.positive_rate !== undefined ? `${(100 * row.positive_rate).toFixed(1)}% positive` : row.mean === null ? "" : `${number(row.mean)} ± ${number(row.std)}`);
      panels.Table.replaceChildren(table(["task", "domain", "level", "kind", "unit", ...about.splits, "training labels", "select"],
        about.tasks.map((row) => [row.task, row.domain, row.level, row.kind, row.unit, ...about.splits.map((name) => numberOf(row[`n_${name}`])), rate(row),
          h("button", { disabled: still, ariaLabel: `Select the molecules of ${row.task}`, onclick: ui.guarded(() => select([row.task])) }, "Select")]), "Tasks with their label counts"));
    },
  };
  const filled = new Set();
  const names = Object.keys(panels);
  const id = Math.random().toString(36).slice(2);
  const tabs = names.map((name, i) => h("button", { role: "tab", id: `${id}-tab-${i}`, "aria-controls": `${id}-panel-${i}`, onclick: ui.guarded(() => { ui.remember({ tab: name }); return open(name); }),
    onkeydown: ui.guarded((event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(i + step + names.length) % names.length];
      next.focus();
      next.click();
    }) }, name));
  names.forEach((name, i) => {
    panels[name].id = `${id}-panel-${i}`;
    panels[name].setAttribute("role", "tabpanel");
    panels[name].setAttribute("aria-labelledby", `${id}-tab-${i}`);
  });
  async function open(name) {
    names.forEach((other, i) => {
      tabs[i].setAttribute("aria-selected", String(other === name));
      tabs[i].tabIndex = other === name ? 0 : -1;
      panels[other].hidden = other !== name;
    });
    if (name === "Labels" || name.startsWith("Tasks") || !filled.has(name)) {
      filled.add(name);
      try { await fill[name](); } catch (error) { filled.delete(name); throw error; }
    }
  }
  async function again() { // another split
    split.value = view().split ?? "";
    matrix.retry();
    matrix.refresh();
    if (view().tab?.startsWith("Tasks")) await pairs.show();
  }

  ui.root.append(
    h("div", { className: "molfm-row" }, h("strong", { className: "molfm-count" }, `${numberOf(about.n)} molecules × ${numberOf(about.tasks.length)} tasks`),
      h("div", { role: "tablist", ariaLabel: "Views", className: "molfm-tabs" }, tabs), field("Split", split), ui.news),
    ui.errors,
    h("div", { className: "molfm-columns" }, h("div", { className: "molfm-panels" }, Object.values(panels)),
      h("aside", { ariaLabel: "Selection and task", className: "molfm-side" }, h("h3", {}, "Selection"), chosenLine,
        h("p", { className: "molfm-small" }, still ? "A saved page: it can be looked at, but not selected from." : "Drag over a region, or press enter on a cell."), card)));
  tell(model.get("chosen"));
  const where = view().window;
  if (where) matrix.window = { rows: where.slice(0, 2), columns: where.slice(2) };
  ui.listen("change:chosen", () => tell(model.get("chosen")));
  let last = view().split;
  ui.listen("change:view", () => { if (view().split !== last) { last = view().split; return again(); } });
  await open(view().tab ?? "Labels");
  const remembered = about.tasks.findIndex(({ task: name }) => name === view().task);
  if (about.tasks.length) await showTask(Math.max(0, remembered));
}

function render({ model, el }) {
  const ui = frame({ model, el }, "LabelAtlas");
  ui.guarded(build)(ui, model);
  return ui.end;
}

export default { render };
