// A saved page without a kernel: it answers questions from recorded answers.

/** Return the key of a recorded answer: JSON with sorted keys, as Python writes it. */
export function keyOf(ask, args) {
  const sorted = (value) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
      : Array.isArray(value) ? value.map(sorted) : value;
  return JSON.stringify([ask, sorted(args)]);
}

/** Replaces the kernel's model in a saved page; it knows the recorded answers only. */
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
    const message = found ? { id, answer: found[0] } : { id, error: "This saved page does not contain the answer. Run the widget in a notebook to get it." };
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const buffers = found ? found[1].map((text) => new DataView(bytes(text).buffer)) : [];
    queueMicrotask(() => this.listeners["msg:custom"].forEach((listener) => listener(message, buffers)));
  }
}

/** Show a widget at its place in the page that `to_html` wrote. */
function showStatic(place, state) {
  const answers = JSON.parse(document.getElementById(`answers-${place}`).textContent);
  const el = document.createElement("div");
  document.getElementById(`widget-${place}`).append(el);
  render({ model: new Recorded(answers, state), el });
  if (!state.complete) el.after(h("p", {}, "The page reached its size limit, so some data is left out. Run the widget in a notebook to see everything."));
}
