// What all widgets share: questions to the kernel, safe DOM, themes, scales, tables. It stands before each widget's module.

// ------------------------------------------------------------------------------------------------ questions and answers

/** Turn references to buffers (see `packed` in shared.py) back into typed arrays. */
export function unpacked(value, buffers) {
  if (Array.isArray(value)) return value.map((item) => unpacked(item, buffers));
  if (!value || typeof value !== "object") return value;
  if (!("$buffer" in value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpacked(v, buffers)]));
  const types = { float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array };
  const view = buffers[value.$buffer];
  const bytes = view instanceof ArrayBuffer ? new Uint8Array(view) : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const array = new types[value.dtype](bytes.slice().buffer); // a copy: buffers of a message need not be aligned
  array.shape = value.shape;
  return array;
}

/** The key of a recorded answer: JSON with sorted keys, as Python writes it. */
export function keyOf(ask, args) {
  const sorted = (value) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
      : Array.isArray(value) ? value.map(sorted) : value;
  return JSON.stringify([ask, sorted(args)]);
}

/** Ask the kernel: `ask(name, args)` promises the answer of the Python method `answer_<name>`. */
function connect(model, signal) {
  const waiting = new Map();
  const prefix = Math.random().toString(36).slice(2); // several views of one model must not take each other's answers
  let count = 0;
  const listen = (message, buffers) => {
    const found = waiting.get(message.id);
    if (!found) return;
    waiting.delete(message.id);
    if (message.error) found.reject(new Error(message.error));
    else found.resolve(unpacked(message.answer, buffers));
  };
  model.on("msg:custom", listen);
  signal.addEventListener("abort", () => model.off("msg:custom", listen));
  return (ask, args = {}) =>
    new Promise((resolve, reject) => {
      const id = `${prefix}-${++count}`;
      waiting.set(id, { resolve, reject });
      model.send({ id, ask, args });
    });
}

/** Stands in for the kernel's model in a static page: it has the recorded answers, and nothing else. */
export class Recorded {
  constructor(answers, state) {
    this.answers = answers;
    this.state = state;
    this.listeners = { "msg:custom": new Set() };
    this.recorded = true;
  }
  get(name) { return this.state[name]; }
  set(name, value) { this.state[name] = value; }
  save_changes() {}
  on(event, listener) { (this.listeners[event] ??= new Set()).add(listener); }
  off(event, listener) { this.listeners[event]?.delete(listener); }
  has(ask, args) { return keyOf(ask, args) in this.answers; }
  asked(ask) { return Object.keys(this.answers).map((key) => JSON.parse(key)).filter(([name]) => name === ask).map(([, args]) => args); }
  send({ id, ask, args, failed }) {
    if (failed) return;
    const found = this.answers[keyOf(ask, args)];
    const message = found ? { id, answer: found[0] } : { id, error: "This page was saved without that: it needs a running kernel." };
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const buffers = found ? found[1].map((text) => new DataView(bytes(text).buffer)) : [];
    queueMicrotask(() => this.listeners["msg:custom"].forEach((listener) => listener(message, buffers)));
  }
}

function showStatic(state) {
  const answers = JSON.parse(document.getElementById("answers").textContent);
  const el = document.createElement("div");
  document.getElementById("widget").append(el);
  render({ model: new Recorded(answers, state), el });
  if (!state.complete) el.after(h("p", {}, "Not everything had room in this page; what is missing needs a running kernel."));
}

// ------------------------------------------------------------------------------------------------------------------- DOM

/** Make an element. Text is always text: nothing that comes from data is read as HTML. */
export function h(tag, props = {}, ...children) {
  const node = tag.includes(":") ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style" && typeof value === "object") Object.assign(node.style, value);
    else if (name in node && !tag.includes(":") && !["list", "form"].includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG_ELEMENTS = new Set(["svg", "g", "path", "line", "ellipse", "circle", "polygon", "rect", "text", "tspan"]);

/** Read an SVG text into an element, keeping only shapes: no scripts, handlers, links or foreign content. */
export function svg(text) {
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  const clean = (node) => {
    for (const child of [...node.childNodes]) {
      if (child.nodeType === 3) continue;
      if (child.nodeType !== 1 || !SVG_ELEMENTS.has(child.localName)) child.remove();
      else clean(child);
    }
    for (const { name, value } of [...node.attributes])
      if (/^on|href|^id$/i.test(name) || /url\(|javascript:|expression/i.test(value)) node.removeAttribute(name);
  };
  if (root.localName !== "svg") return h("svg:svg");
  clean(root);
  root.setAttribute("aria-hidden", "true"); // what it shows stands beside it as text
  return document.importNode(root, true);
}

/** A table of texts; a numeric column is aligned to the right. */
export function table(columns, rows, caption) {
  const right = columns.map((_, i) => rows.every((row) => row[i] === "" || row[i] === null || /^[−+\-\d.,%± e]+$/.test(String(row[i]))));
  return h("div", { className: "molfm-table", tabIndex: 0, role: "region", ariaLabel: caption },
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((name, i) => h("th", { scope: "col", className: right[i] ? "right" : "" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) =>
        h("td", { className: right[i] ? "right" : "" }, cell instanceof Node ? cell : String(cell ?? ""))))))));
}

/** A labelled control. */
function field(label, control) {
  return h("label", { className: "molfm-field" }, h("span", {}, label), control);
}

function options(pairs, chosen) {
  return pairs.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
}

// --------------------------------------------------------------------------------------------------------------- numbers

/** A number as people read it, with its unit. */
export function number(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "not measured";
  const size = Math.abs(value);
  const text = Number.isInteger(value) ? value.toLocaleString("en-US")
    : size >= 1e5 || size < 1e-3 ? value.toExponential(2)
    : value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(size)) - 1));
  return (unit ? `${text} ${unit}` : text).replace("-", "−");
}

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** What a virtual scroll shows: which rows, and how far the first is shifted. Browsers cannot scroll further than `most`. */
export function scrollWindow(scrollTop, viewHeight, rowHeight, nRows, most = 8e6) {
  const full = nRows * rowHeight, height = Math.min(full, most);
  const room = Math.max(1, height - viewHeight);
  const at = full <= most ? scrollTop : (clamp(scrollTop, 0, room) / room) * (full - viewHeight);
  const first = Math.max(0, Math.floor(at / rowHeight));
  const last = Math.min(nRows, Math.ceil((at + viewHeight) / rowHeight));
  return { height, first, last, top: scrollTop - (at - first * rowHeight) };
}

// --------------------------------------------------------------------------------------------------------------- colours

const mix = (a, b, t) => a.map((x, i) => Math.round(x + (b[i] - x) * t));
export const rgb = (color) => `rgb(${color.join(",")})`;

/** Colours that colour-blind people tell apart, for light and dark ground. */
export const PALETTES = {
  light: { paper: [255, 255, 255], missing: [224, 227, 232], line: [120, 126, 135], text: [27, 31, 36],
    negative: [0, 114, 178], positive: [213, 94, 0], low: [176, 222, 168], high: [0, 68, 48], middle: [250, 250, 250] },
  dark: { paper: [20, 23, 28], missing: [38, 43, 51], line: [130, 138, 150], text: [230, 233, 238],
    negative: [60, 150, 220], positive: [240, 120, 30], low: [16, 92, 70], high: [196, 244, 208], middle: [96, 100, 106] },
};

/** The colour of a cell: of a class blue to orange, of a number along one green; the fewer have a label, the paler. */
export function cellColor(kind, position, share, palette) {
  if (share <= 0) return palette.missing;
  const full = kind === "binary" ? mix(palette.negative, palette.positive, position) : mix(palette.low, palette.high, position);
  return mix(palette.missing, full, 0.3 + 0.7 * share);
}

/** A colour for a value on a scale whose middle is 0 (-1 to 1). */
export const diverging = (t, palette) =>
  t < 0 ? mix(palette.middle, palette.negative, Math.min(1, -t)) : mix(palette.middle, palette.positive, Math.min(1, t));

function isDark(el) {
  const color = getComputedStyle(el).getPropertyValue("color").match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0];
  return color[0] + color[1] + color[2] > 382; // light text stands on a dark ground
}

// ----------------------------------------------------------------------------------------------------------- the widget

/** The frame of a widget: its root, its line of news, its errors; and what every widget does with the kernel. */
function frame({ model, el }, name) {
  const abort = new AbortController();
  const news = h("p", { className: "molfm-news", role: "status", ariaLive: "polite" });
  const errors = h("div", { className: "molfm-errors", role: "alert" });
  const root = h("section", { className: `molfm molfm-${name.toLowerCase()}`, ariaLabel: name });
  el.append(root);
  const themed = () => root.classList.toggle("dark", isDark(root.parentElement));
  const listeners = new Set();
  const rethemed = () => { themed(); listeners.forEach((listener) => listener()); };
  const observer = new MutationObserver(rethemed);
  for (const node of [document.documentElement, document.body])
    observer.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name", "theme", "data-theme", "style"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rethemed, { signal: abort.signal });
  abort.signal.addEventListener("abort", () => observer.disconnect());
  requestAnimationFrame(rethemed); // styles are there only once the element is in the page

  const fail = (error, inBrowser = true) => {
    const text = error?.message ?? String(error);
    errors.replaceChildren(h("p", {}, text, " ", h("button", { onclick: () => errors.replaceChildren() }, "Dismiss")));
    if (inBrowser) model.send({ failed: error?.stack ?? text });
  };
  const asked = connect(model, abort.signal);
  const ask = (question, args) =>
    asked(question, args).catch((error) => {
      fail(error, false); // the kernel knows
      throw Object.assign(error, { told: true });
    });
  /** A callback whose failure is shown here and told to Python. */
  const guarded = (callback) => async (...args) => {
    try {
      return await callback(...args);
    } catch (error) {
      if (!error?.told && !abort.signal.aborted) fail(error);
    }
  };
  const listen = (event, callback) => {
    const safe = guarded(callback);
    model.on(event, safe);
    abort.signal.addEventListener("abort", () => model.off(event, safe));
  };
  const remember = (change) => {
    model.set("view", { ...model.get("view"), ...change });
    model.save_changes();
  };
  const palette = () => PALETTES[root.classList.contains("dark") ? "dark" : "light"];
  const say = (text) => { if (news.textContent !== text) news.textContent = text; };
  return { root, news, errors, ask, guarded, listen, remember, palette, say, signal: abort.signal, end: () => abort.abort(),
    onTheme: (listener) => { listeners.add(listener); return () => listeners.delete(listener); }, recorded: model.recorded ? model : null };
}

/** Draw a canvas at the screen's resolution; returns its context in CSS pixels, or null while it has no size. */
function context2d(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, scale = window.devicePixelRatio || 1;
  if (!width || !height) return null;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return context;
}

/** Call a function at most once a frame. */
function eachFrame(callback) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; callback(); });
  };
}
