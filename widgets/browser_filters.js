// The filters: for each chosen task, the histogram of its labels with ends to drag, or its classes to choose from.

/** change(parts): merges into the view. Returns the panel and mirror(), which shows the view's filters. */
function filterPanel(ui, about, { view, change }) {
  const still = Boolean(ui.recorded), factsOf = Object.fromEntries(about.tasks.map((facts) => [facts.task, facts]));
  const list = h("div", { className: "molfm-filters" }), histograms = new Map();
  const add = h("select", { ariaLabel: "Add a filter", disabled: still, onchange: ui.guarded(() => {
    const task = add.value;
    add.value = "";
    return task && change({ filters: [...filters(), { task, presence: "measured", min: null, max: null }] });
  }) });
  const root = h("div", {}, list, add);
  const filters = () => view().filters ?? [];
  let shown = "";

  function set(i, parts) {
    return change({ filters: filters().map((filter, j) => (i === j ? { ...filter, ...parts } : filter)) });
  }
  function histogramOf(task) {
    if (!histograms.has(task)) {
      const answer = ui.ask("histogram", { task });
      answer.catch(() => histograms.delete(task));
      histograms.set(task, answer);
    }
    return histograms.get(task);
  }

  async function block(filter, i) {
    const facts = factsOf[filter.task], { task } = filter, name = shortName(task), missing = filter.presence === "unmeasured";
    const remove = h("button", { className: "molfm-plain", type: "button", ariaLabel: `Remove the filter ${name}`,
      onclick: ui.guarded(() => change({ filters: filters().filter((_, j) => j !== i) })) }, "×");
    const head = h("div", { className: "molfm-filterhead" }, h("h4", { title: task }, name), remove);
    const found = await histogramOf(task), n = found.counts.reduce((a, b) => a + b, 0);
    const none = [["unmeasured", `not ${facts.obtained}`]];
    if (facts.classes.length) {
      const value = missing ? "unmeasured" : filter.min ?? "";
      const pairs = [["", `any ${number(n)}`], ...facts.classes.map((one, c) => [c, `${one} ${number(found.counts[c])}`]), ...none];
      const pick = (one) => (one === "unmeasured" ? set(i, { presence: one, min: null, max: null })
        : set(i, { presence: "measured", min: one === "" ? null : one, max: one === "" ? null : one }));
      return h("div", { className: "molfm-filter" }, head, segmented(ui, `${name} of the molecules`, pairs, value, pick).root);
    }
    const text = (bound) => number(bound, facts.unit === "log10" ? "" : facts.unit);
    const bound = (which, placeholder) => h("input", { type: "number", step: "any", ariaLabel: `${which === "min" ? "At least" : "At most"}, ${name}`,
      className: "molfm-narrow", value: filter[which] ?? "", placeholder: placeholder === null ? "" : String(Number(placeholder.toPrecision(3))),
      disabled: missing, onchange: ui.guarded((event) => set(i, { [which]: event.target.value === "" ? null : Number(event.target.value) })) });
    const presence = segmented(ui, `Labels of ${name}`, [["measured", `${facts.obtained} ${number(n)}`], ...none],
      missing ? "unmeasured" : "measured", (one) => set(i, { presence: one, min: null, max: null }));
    const parts = missing || !n ? [] : [
      rangeHistogram(ui, { found, label: name, bounds: [filter.min, filter.max], text, changed: ([min, max]) => set(i, { min, max }) }),
      h("div", { className: "molfm-row molfm-bounds" }, bound("min", found.ends[0]), h("span", {}, "to"), bound("max", found.ends[1]),
        h("span", { className: "molfm-small" }, facts.unit || ""))];
    return h("div", { className: "molfm-filter" }, head, ...parts, presence.root);
  }

  async function mirror() {
    const now = filters(), key = JSON.stringify(now);
    const taken = new Set(now.map(({ task }) => task));
    add.replaceChildren(...options([["", now.length ? "Add another filter …" : "Filter by a label …"],
      ...about.tasks.filter(({ task }) => !taken.has(task)).map(({ task }) => [task, task])], ""));
    if (key === shown) return;
    shown = key;
    const focused = root.contains(root.getRootNode().activeElement) && root.getRootNode().activeElement.getAttribute("aria-label");
    const blocks = await Promise.all(now.map(block));
    if (shown !== key) return; // changed again
    list.replaceChildren(...blocks);
    if (focused) [...list.querySelectorAll("[aria-label]")].find((node) => node.ariaLabel === focused || node.getAttribute("aria-label") === focused)?.focus();
  }
  return { root, mirror };
}
