// The frame of a widget: its root element, status line, errors and theme, and its link to the kernel.

/**
 * Set up a widget in `el` and return what its parts need (`ui`).
 *
 * root: the widget's element. news: its status line. errors: its list of errors.
 * ask(question, args): ask the kernel; an error is shown in the widget.
 * guarded(callback): wrap a callback; an error is shown in the widget and reported to Python.
 * listen(event, callback): listen to the model until the widget is removed.
 * remember(change): merge a change into `view`, which is synced with Python.
 * palette(): the colours of the current theme. onTheme(listener): call `listener` when the theme changes; returns how to stop.
 * say(text): set the status line.
 * signal: aborted when the widget is removed. end(): ends everything the widget listens to.
 * recorded: the recorded answers in a saved page, otherwise null.
 */
function frame({ model, el }, name) {
  const abort = new AbortController();
  const news = h("p", { className: "molfm-news", role: "status", ariaLive: "polite" });
  const errors = h("div", { className: "molfm-errors", role: "alert" });
  const root = h("section", { className: `molfm molfm-${name.toLowerCase()}`, ariaLabel: name });
  root.dataset.lmSuppressShortcuts = "true"; // "0 0" would restart JupyterLab's kernel
  for (const kind of ["keydown", "keypress"]) // JupyterLab would take Enter from a field, so that nothing is submitted
    root.addEventListener(kind, (event) => { if (event.key === "Enter" && event.target.matches("input, select, textarea")) event.stopPropagation(); });
  const kernel = h("p", { className: "molfm-kernel", role: "status", hidden: true });
  root.append(kernel);
  el.append(root);
  // Python puts a form without scripts into the same output, for pages without a kernel. It is hidden while the widget works.
  const still = (hidden) => el.closest(".jp-OutputArea, .output")?.querySelectorAll(".molfm-still").forEach((node) => { node.hidden = hidden; });
  const note = (text) => { kernel.textContent = text; kernel.hidden = !text; };
  const themed = () => root.classList.toggle("dark", isDark(root.parentElement));
  const listeners = new Set();
  const rethemed = () => { themed(); listeners.forEach((listener) => listener()); };
  const observer = new MutationObserver(rethemed);
  for (const node of [document.documentElement, document.body])
    observer.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name", "theme", "data-theme", "style"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rethemed, { signal: abort.signal });
  abort.signal.addEventListener("abort", () => observer.disconnect());
  requestAnimationFrame(rethemed); // styles apply once the element is in the page

  let ended = false;
  const gone = () => {
    ended = true;
    errors.replaceChildren();
    note(GONE);
    still(false);
  };
  const waiting = (on) => {
    if (ended) return;
    note(on ? "No answer from the kernel so far: it is busy with a cell, or this page has no kernel." : "");
    still(!on);
  };
  const reach = (send) => { // what talks to the kernel throws once the kernel is gone
    try { send(); } catch { gone(); }
  };
  const fail = (error, inBrowser = true) => {
    if (ended) return;
    const text = error?.message ?? String(error);
    errors.replaceChildren(h("p", {}, text, " ", h("button", { onclick: () => errors.replaceChildren() }, "Dismiss")));
    if (inBrowser) reach(() => model.send({ failed: error?.stack ?? text }));
  };
  const asked = connect(model, abort.signal, { waiting, gone });
  requestAnimationFrame(() => { if (!ended) still(true); });
  const ask = (question, args) =>
    asked(question, args).catch((error) => {
      if (!error.gone) fail(error, false); // the kernel knows already
      throw Object.assign(error, { told: true });
    });
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
    reach(() => model.save_changes());
  };
  const palette = () => PALETTES[root.classList.contains("dark") ? "dark" : "light"];
  const say = (text) => { if (news.textContent !== text) news.textContent = text; };
  return { root, news, errors, ask, guarded, listen, remember, palette, say, signal: abort.signal, end: () => abort.abort(),
    onTheme: (listener) => { listeners.add(listener); return () => listeners.delete(listener); }, recorded: model.recorded ? model : null };
}

/** Return the function that anywidget calls to show a widget; `build(ui, model)` fills it. */
const rendering = (name, build) => ({ model, el }) => {
  const ui = frame({ model, el }, name);
  ui.guarded(build)(ui, model);
  return ui.end;
};
