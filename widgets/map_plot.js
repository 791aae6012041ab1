// The map itself: a canvas that zooms, pans, draws a lasso, and has a cursor, by pointer and by keyboard.

const REACH = 12; // px: the farthest point that the pointer means
const STEP = 4; // px between two corners of a lasso
const MOST_CORNERS = 400;
const MANY = 30000; // visible points that are drawn at CSS resolution, whatever the screen's, to keep 60 frames a second
const FRAME = { left: 58, right: 10, top: 8, bottom: 36 }; // px beside the plot

class PointPlot {
  /**
   * label(): accessible name. color(t): of a shade, 0 to 1. pointed(index, [x, y] in px): called with the point under the pointer or
   * cursor, or -1. picked(index, add), lassoed(corners in data, add), escaped(): what the reader did. moved(window): after zoom or pan.
   */
  constructor(ui, { color, pointed, picked, lassoed, escaped, moved }) {
    Object.assign(this, { ui, color, pointed, picked, lassoed, escaped, moved, mode: "lasso", cursor: -1, lasso: [], points: null });
    this.view = { x: 0, y: 0, zoom: 1 };
    this.picture = new PointPicture();
    this.canvas = h("canvas", { className: "molfm-map", tabIndex: 0, role: "img", ariaLabel: "Map of molecules" });
    this.canvas.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take its keys for commands
    this.draw = eachFrame(ui.guarded(() => this.paint()));
    const observer = new ResizeObserver(this.draw);
    observer.observe(this.canvas);
    const forget = ui.onTheme(this.draw);
    ui.signal.addEventListener("abort", () => { observer.disconnect(); forget(); });
    this.listenToPointer();
    this.listenToKeys();
  }

  /** Show points. places: unit coordinates; toData: back to the data's. equal: one scale for both axes. ticked: axes with numbers. */
  show(points) { // { places, toData, equal, ticked, axes, shades, marks }
    this.points = points;
    this.cursor = -1;
    this.lasso = [];
    this.draw();
  }

  // ---- coordinates

  get plot() {
    const { clientWidth, clientHeight } = this.canvas;
    return { x: FRAME.left, y: FRAME.top, width: Math.max(1, clientWidth - FRAME.left - FRAME.right), height: Math.max(1, clientHeight - FRAME.top - FRAME.bottom) };
  }
  get transform() { // pixel = a * place + b
    const { x, y, width, height } = this.plot, { view } = this, room = 0.96;
    const half = this.points?.equal ? [Math.min(width, height), Math.min(width, height)] : [width, height];
    const ax = (room * half[0] * view.zoom) / 2, ay = (-room * half[1] * view.zoom) / 2;
    return { ax, bx: x + width / 2 - ax * view.x, ay, by: y + height / 2 - ay * view.y };
  }
  place([px, py]) { const { ax, bx, ay, by } = this.transform; return [(px - bx) / ax, (py - by) / ay]; }
  pixel(index) {
    const { ax, bx, ay, by } = this.transform, { places } = this.points;
    return [ax * places[2 * index] + bx, ay * places[2 * index + 1] + by];
  }
  get window() { // [left, bottom, right, top] in places
    const { x, y, width, height } = this.plot;
    return [...this.place([x, y + height]), ...this.place([x + width, y])];
  }
  corners() { // of what is visible, in data
    const [left, bottom, right, top] = this.window;
    return [[left, bottom], [right, bottom], [right, top], [left, top]].map(this.points.toData);
  }

  move(view) {
    this.view = { x: clamp(view.x, -1, 1), y: clamp(view.y, -1, 1), zoom: clamp(view.zoom, 0.5, 4000) };
    this.draw();
    this.moved(this.view);
  }
  zoom(factor, at = null) {
    const { x, y, width, height } = this.plot, about = at ?? (this.cursor >= 0 ? this.pixel(this.cursor) : [x + width / 2, y + height / 2]);
    const [px, py] = this.place(about), { view } = this, zoom = clamp(view.zoom * factor, 0.5, 4000), k = view.zoom / zoom;
    this.move({ x: px + (view.x - px) * k, y: py + (view.y - py) * k, zoom });
  }
  pan(dx, dy) { // in px
    const { ax, ay } = this.transform;
    this.move({ ...this.view, x: this.view.x - dx / ax, y: this.view.y - dy / ay });
  }
  whole() { this.move({ x: 0, y: 0, zoom: 1 }); }

  // ---- points

  nearest([px, py], reach, fits = () => true) { // the nearest point to a pixel, or -1
    const { ax, bx, ay, by } = this.transform, { places } = this.points;
    let found = -1, best = reach * reach;
    for (let i = 0; i < places.length / 2; i++) {
      const dx = ax * places[2 * i] + bx - px, dy = ay * places[2 * i + 1] + by - py, far = dx * dx + dy * dy;
      if (far < best && fits(dx, dy)) { best = far; found = i; }
    }
    return found;
  }
  point(index) {
    this.cursor = index;
    this.pointed(index, index < 0 ? null : this.pixel(index));
    this.draw();
  }
  step(right, down) { // to the nearest point in that direction; the first key press only places the cursor
    const { x, y, width, height } = this.plot;
    if (this.cursor < 0) return this.point(this.nearest([x + width / 2, y + height / 2], Infinity));
    const ahead = (dx, dy) => { const along = dx * right + dy * down; return along > 0.5 && Math.abs(dx * down - dy * right) <= along; };
    const next = this.nearest(this.pixel(this.cursor), Infinity, ahead);
    if (next < 0) return;
    this.cursor = next;
    const [px, py] = this.pixel(next), over = (value, low, size) => (value < low ? low - value + 20 : value > low + size ? low + size - value - 20 : 0);
    const [dx, dy] = [over(px, x, width), over(py, y, height)];
    if (dx || dy) this.pan(dx, dy);
    this.point(next);
  }

  // ---- pointer and keyboard

  listenToPointer() {
    const { canvas, ui } = this, on = (event, callback) => canvas.addEventListener(event, ui.guarded(callback));
    const at = (event) => [event.offsetX, event.offsetY];
    let pressed = null, last = null, dragged = false;
    on("pointerdown", (event) => {
      if (!this.points || event.button) return;
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      pressed = last = at(event);
      dragged = false;
    });
    on("pointermove", (event) => {
      if (!this.points) return;
      const now = at(event);
      if (!pressed) return this.point(this.nearest(now, REACH));
      if (!dragged && Math.hypot(now[0] - pressed[0], now[1] - pressed[1]) < STEP) return;
      if (!dragged) { dragged = true; this.lasso = this.mode === "lasso" ? [this.place(pressed)] : []; this.point(-1); }
      if (this.mode === "pan") this.pan(now[0] - last[0], now[1] - last[1]);
      else if (Math.hypot(now[0] - last[0], now[1] - last[1]) < STEP) return;
      else this.lasso.push(this.place(now));
      last = now;
      this.draw();
    });
    on("pointerup", (event) => {
      if (!pressed) return;
      pressed = null;
      if (!dragged) { const index = this.nearest(at(event), REACH); return index < 0 ? undefined : this.picked(index, event.shiftKey); }
      return this.finish(event.shiftKey);
    });
    on("pointercancel", () => { pressed = null; this.lasso = []; this.draw(); });
    on("pointerleave", () => { if (!pressed) this.point(-1); });
    canvas.addEventListener("wheel", ui.guarded((event) => {
      if (!this.points) return;
      event.preventDefault();
      this.zoom(Math.exp(-clamp(event.deltaY, -100, 100) / 350), at(event));
    }), { passive: false });
  }
  finish(add) {
    const every = Math.ceil(this.lasso.length / MOST_CORNERS), corners = this.lasso.filter((_, i) => i % every === 0);
    this.lasso = [];
    this.draw();
    return corners.length > 2 ? this.lassoed(corners.map(this.points.toData), add) : undefined;
  }

  listenToKeys() {
    const keys = { ArrowLeft: () => this.step(-1, 0), ArrowRight: () => this.step(1, 0), ArrowUp: () => this.step(0, -1), ArrowDown: () => this.step(0, 1),
      "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5), 0: () => this.whole(),
      Enter: (event) => (this.cursor < 0 ? undefined : this.picked(this.cursor, event.shiftKey)),
      Escape: () => { if (!this.lasso.length) return this.escaped(); this.lasso = []; this.draw(); } };
    this.canvas.addEventListener("keydown", this.ui.guarded((event) => {
      if (!(event.key in keys) || !this.points || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      return keys[event.key](event);
    }));
  }

  // ---- drawing

  paint() {
    const context = context2d(this.canvas);
    if (!context || !this.points) return;
    const palette = this.ui.palette(), box = this.plot, { canvas: { clientWidth, clientHeight }, transform: { ax, bx, ay, by } } = this;
    context.clearRect(0, 0, clientWidth, clientHeight);
    context.save();
    context.beginPath();
    context.rect(box.x, box.y, box.width, box.height);
    context.clip();
    this.paintPoints(context, palette, box);
    if (this.lasso.length) paintLasso(context, palette, this.lasso.map(([x, y]) => [ax * x + bx, ay * y + by]));
    if (this.cursor >= 0) paintCursor(context, palette, this.pixel(this.cursor));
    context.restore();
    paintAxes(context, palette, this);
  }
  paintPoints(context, palette, box) {
    const { points, picture, view, transform: { ax, bx, ay, by } } = this, scale = window.devicePixelRatio || 1, color = (t) => this.color(t, palette);
    const key = [view, points, palette, box.width, box.height, scale];
    const same = this.drawn && key.every((part, i) => part === this.drawn.key[i]); // only the cursor or the lasso has changed
    const seen = same ? this.drawn.seen : visible(points.places, this.window);
    if (seen.length > FEW) {
      const fine = seen.length > MANY ? 1 : scale;
      if (!same) {
        picture.resize(Math.round(box.width * fine), Math.round(box.height * fine));
        if (this.drawn?.key[1] !== points || this.drawn?.key[2] !== palette) picture.paint(color, palette);
        picture.density({ ...points, seen, ax: ax * fine, bx: (bx - box.x) * fine, ay: ay * fine, by: (by - box.y) * fine,
          size: Math.round(fine * (seen.length > MANY ? 2 : 3)) });
      }
      context.drawImage(picture.canvas, box.x, box.y, box.width, box.height);
    } else picture.disks(context, { ...points, seen, ax, bx, ay, by, radius: seen.length > 600 ? 3 : 4.5 }, color, palette);
    this.drawn = { key, seen };
  }
}
