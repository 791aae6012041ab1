// Questions to the Python kernel and its answers, with arrays as binary buffers.

/** Replace references to buffers (see `packed` in shared.py) with typed arrays. */
export function unpacked(value, buffers) {
  if (Array.isArray(value)) return value.map((item) => unpacked(item, buffers));
  if (!value || typeof value !== "object") return value;
  if (!("$buffer" in value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpacked(v, buffers)]));
  const types = { float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int32: Int32Array };
  const view = buffers[value.$buffer];
  const bytes = view instanceof ArrayBuffer ? new Uint8Array(view) : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const array = new types[value.dtype](bytes.slice().buffer); // copied: a message's buffers may not be aligned
  array.shape = value.shape;
  return array;
}

const GONE = "The kernel was restarted: run this cell again.";
const PATIENCE = 3000; // ms without any answer, after which the reader is told why nothing happens

/**
 * Return `ask(name, args)`, which resolves to the answer of the Python method `answer_<name>`.
 *
 * waiting(on): called when answers have been missing for some seconds, and when they come again. gone(): called when the kernel that
 * made the widget has ended; no answer will come any more.
 */
function connect(model, signal, { waiting: tell, gone }) {
  const waiting = new Map();
  const prefix = Math.random().toString(36).slice(2); // keeps the answers of several views of one model apart
  let count = 0, timer = null, ended = false;
  const watch = () => { // start anew with every sign of life
    clearTimeout(timer);
    timer = waiting.size && !ended ? setTimeout(() => tell(true), PATIENCE) : null;
  };
  const listen = (message, buffers) => {
    const found = waiting.get(message.id);
    if (!found) return;
    waiting.delete(message.id);
    tell(false);
    watch();
    if (message.error) found.reject(new Error(message.error));
    else found.resolve(unpacked(message.answer, buffers));
  };
  const end = () => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    gone();
  };
  const live = () => { if (model.get("_comm_live") === false || model.comm_live === false) end(); };
  model.on("msg:custom", listen);
  model.on("comm_live_update", live);
  signal.addEventListener("abort", () => { clearTimeout(timer); model.off("msg:custom", listen); model.off("comm_live_update", live); });
  return (ask, args = {}) =>
    new Promise((resolve, reject) => {
      const id = `${prefix}-${++count}`;
      waiting.set(id, { resolve, reject });
      try {
        model.send({ id, ask, args });
      } catch { // JupyterLab: "Cannot send"
        end();
      }
      if (ended) { waiting.delete(id); return reject(Object.assign(new Error(GONE), { gone: true })); }
      if (!timer) watch();
    });
}
