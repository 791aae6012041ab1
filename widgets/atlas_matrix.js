// A canvas that shows a part of a large matrix: zoom, pan, a cursor and a rectangle, by pointer and by keyboard.

const CELL_HINT = "Hover over a cell or use the arrow keys. The wheel zooms, dragging selects, Escape lets go.";
const MARGIN = { right: 8, bottom: 8 }; // px beside the plot

/** Zoom a window [start, end] around a fixed place. The window stays within 0 to `most` and spans at least `least`. */
export function zoomed([start, end], factor, about, most, least) {
  const span = clamp((end - start) / factor, Math.min(least, most), most);
  const from = clamp(about - ((about - start) / (end - start)) * span, 0, most - span);
  return [from, from + span];
}

/** Move a window by `by` within 0 to `most`. */
function shifted([start, end], by, most) {
  const from = clamp(start + by, 0, most - (end - start));
  return [from, from + end - start];
}

class Matrix {
  /**
   * label: accessible name. rows, columns: size of the matrix. left: space for names beside the plot, in px; above it, the columns
   * have their header. header(column): called when the pointer is over the header.
   * least: the smallest numbers of rows and columns that a zoom shows. step(): number of rows that are drawn as one.
   * paint(context, palette) draws inside the plot, paintAxes(context, palette) beside it.
   * moved(cell): called when the cursor moves. chosen(rectangle): called when a rectangle is marked.
   * changed(window): called after zooming or panning.
   */
  constructor(ui, { label, rows, columns, left, least, step, paint, paintAxes, moved, chosen, changed, header = null }) {
    Object.assign(this, { ui, rows, columns, left, least, step, paintInside: paint, paintAxes, moved, chosen, changed, header });
    this.window = { rows: [0, rows], columns: [0, columns] };
    this.cursor = null;
    this.rectangle = null;
    this.canvas = h("canvas", { className: "molfm-matrix", tabIndex: 0, role: "img", ariaLabel: label });
    this.draw = eachFrame(ui.guarded(() => this.paint()));
    const observer = new ResizeObserver(this.draw), forget = ui.onTheme(this.draw);
    observer.observe(this.canvas);
    this.end = () => { observer.disconnect(); forget(); ui.signal.removeEventListener("abort", this.end); };
    ui.signal.addEventListener("abort", this.end);
    this.listenToPointer();
    this.listenToKeys();
  }

  get plot() {
    const { canvas: { clientWidth, clientHeight }, left: x, window: { columns: [a, b] } } = this, width = clientWidth - x - MARGIN.right;
    const y = headerHeight(width / Math.max(1, b - a));
    return { x, y, width, height: clientHeight - y - MARGIN.bottom };
  }
  x(column) { const { x, width } = this.plot, [a, b] = this.window.columns; return x + ((column - a) / (b - a)) * width; }
  y(row) { const { y, height } = this.plot, [a, b] = this.window.rows; return y + ((row - a) / (b - a)) * height; }
  columnAt(x) { const { x: x0, width } = this.plot, [a, b] = this.window.columns; return clamp(Math.floor(a + ((x - x0) / width) * (b - a)), 0, this.columns - 1); }
  cell(x, y) { // the row and column under a point, or null
    const { x: x0, y: y0, width, height } = this.plot, { rows } = this.window;
    if (x < x0 || y < y0 || x > x0 + width || y > y0 + height) return null;
    const row = rows[0] + ((y - y0) / height) * (rows[1] - rows[0]);
    return { row: clamp(Math.floor(row), 0, this.rows - 1), column: this.columnAt(x) };
  }

  show(window) {
    this.window = window;
    this.changed?.(window);
    this.refresh();
  }
  refresh() { // the cell under the cursor may stand for fewer molecules now, or its content may have arrived
    if (this.cursor) this.moved(this.cursor);
    this.draw();
  }
  zoom(factor, at = null) {
    const { rows, columns } = this.window, { least, cursor } = this, middle = ([a, b]) => (a + b) / 2;
    const about = at ?? (cursor ? { row: cursor.row + 0.5, column: cursor.column + 0.5 } : { row: middle(rows), column: middle(columns) });
    this.show({ rows: zoomed(rows, factor, about.row, this.rows, least.rows), columns: zoomed(columns, factor, about.column, this.columns, least.columns) });
  }
  pan(rows, columns) {
    this.show({ rows: shifted(this.window.rows, rows, this.rows), columns: shifted(this.window.columns, columns, this.columns) });
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
  between(a, b) { // the rectangle that two cells span, in whole steps
    const step = this.step(), down = (row) => Math.floor(row / step) * step;
    return { rows: [down(Math.min(a.row, b.row)), Math.min(this.rows, down(Math.max(a.row, b.row)) + step)],
      columns: [Math.min(a.column, b.column), Math.max(a.column, b.column) + 1] };
  }

  listenToPointer() {
    const { canvas, ui } = this, on = (event, callback) => canvas.addEventListener(event, ui.guarded(callback));
    on("pointerdown", (event) => {
      canvas.focus();
      this.pressed = this.cell(event.offsetX, event.offsetY);
      if (this.pressed) canvas.setPointerCapture(event.pointerId);
    });
    on("pointermove", (event) => {
      const cell = this.cell(event.offsetX, event.offsetY);
      if (!cell && !this.pressed && event.offsetX >= this.left && event.offsetY < this.plot.y) this.header?.(this.columnAt(event.offsetX));
      if (!cell) return;
      if (this.pressed) this.rectangle = this.between(this.pressed, cell);
      this.anchor = null;
      this.cursor = cell;
      this.moved(cell);
      this.draw();
    });
    on("pointerup", () => {
      if (!this.pressed) return;
      this.rectangle = this.between(this.pressed, this.cursor ?? this.pressed);
      this.pressed = null;
      this.draw();
      return this.chosen(this.rectangle);
    });
    canvas.addEventListener("wheel", (event) => { // where nothing is left to zoom or to move, the page scrolls
      const { rows: [r0, r1], columns: [c0, c1] } = this.window, whole = r1 - r0 >= this.rows && c1 - c0 >= this.columns;
      const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY), by = event.deltaX || event.deltaY;
      const at = this.cell(event.offsetX, event.offsetY);
      if (!at || (whole && (sideways || event.deltaY > 0))) return;
      event.preventDefault();
      if (sideways) this.pan(0, (Math.sign(by) * (c1 - c0)) / 10);
      else this.zoom(Math.exp(-clamp(event.deltaY, -200, 200) * 0.003), { row: at.row + 0.5, column: at.column + 0.5 });
      const now = this.cell(event.offsetX, event.offsetY);
      if (now) this.moveTo(now, false);
    }, { passive: false });
  }

  listenToKeys() {
    const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const half = () => (this.window.rows[1] - this.window.rows[0]) / 2;
    const keys = {
      "+": () => this.zoom(2), "=": () => this.zoom(2), "-": () => this.zoom(0.5), 0: () => this.whole(),
      PageDown: () => this.pan(half(), 0), PageUp: () => this.pan(-half(), 0),
      Escape: () => { this.rectangle = this.anchor = this.pressed = null; this.draw(); },
      Enter: () => {
        this.rectangle ??= this.between(this.cursor, this.cursor);
        this.draw();
        return this.chosen(this.rectangle);
      },
    };
    this.canvas.addEventListener("keydown", this.ui.guarded((event) => {
      const { key } = event;
      if (!(key in arrows || key in keys) || (key === "Enter" && !this.rectangle && !this.cursor)) return;
      event.preventDefault();
      return key in arrows ? this.moveCursor(...arrows[key], event.shiftKey) : keys[key]();
    }));
  }
  moveCursor(down, right, extend) { // the first key press only places the cursor
    const step = this.step(), { rows, columns } = this.window, { cursor } = this;
    const to = cursor ? { row: clamp(cursor.row + down * step, 0, this.rows - 1), column: clamp(cursor.column + right, 0, this.columns - 1) }
      : { row: Math.floor(rows[0]), column: Math.floor(columns[0]) };
    this.moveTo(to, extend);
    const over = (value, [a, b], size) => (value < a ? value - a : value + size > b ? value + size - b : 0);
    const [dr, dc] = [over(to.row, rows, step), over(to.column, columns, 1)];
    if (dr || dc) this.pan(dr, dc);
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
    this.paintInside(context, palette);
    if (this.rectangle) this.outline(context, palette, this.rectangle, 2, palette.focus);
    if (this.cursor) this.outline(context, palette, this.between(this.cursor, this.cursor), 1, palette.text);
    context.restore();
    this.paintAxes(context, palette);
    context.strokeStyle = rgb(palette.line);
    context.lineWidth = 1;
    context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
  }
  outline(context, palette, { rows, columns }, lineWidth, line) {
    const [left, top] = [this.x(columns[0]), this.y(rows[0])];
    const box = [left, top, this.x(columns[1]) - left, Math.max(2, this.y(rows[1]) - top)];
    for (const [color, width] of [[palette.paper, lineWidth + 2], [line, lineWidth]]) { // two strokes are visible on any colour
      context.lineWidth = width;
      context.strokeStyle = rgb(color);
      context.strokeRect(...box);
    }
  }
}
