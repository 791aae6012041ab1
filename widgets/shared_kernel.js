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

/** Return `ask(name, args)`, which resolves to the answer of the Python method `answer_<name>`. */
function connect(model, signal) {
  const waiting = new Map();
  const prefix = Math.random().toString(36).slice(2); // keeps the answers of several views of one model apart
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
