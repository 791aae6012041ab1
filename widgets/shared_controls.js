// Controls: tabs, segmented choices, check boxes with three states.

/**
 * Make tabs for `panels`, name -> { root, show, once }. show() runs each time the tab is opened, or only the first time if `once` is
 * true. Returns the tab list and `open(name)`.
 */
function tabs(ui, panels) {
  const names = Object.keys(panels), filled = new Set();
  const id = Math.random().toString(36).slice(2);
  const buttons = names.map((name, i) => h("button", { role: "tab", id: `${id}-tab-${i}`, "aria-controls": `${id}-panel-${i}`,
    onclick: ui.guarded(() => { ui.remember({ tab: name }); return open(name); }),
    onkeydown: ui.guarded((event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = buttons[(i + step + names.length) % names.length];
      next.focus();
      next.click();
    }) }, name));
  names.forEach((name, i) => {
    const { root } = panels[name];
    root.id = `${id}-panel-${i}`;
    root.setAttribute("role", "tabpanel");
    root.setAttribute("aria-labelledby", `${id}-tab-${i}`);
  });
  async function open(name) {
    names.forEach((other, i) => {
      buttons[i].setAttribute("aria-selected", String(other === name));
      buttons[i].tabIndex = other === name ? 0 : -1;
      panels[other].root.hidden = other !== name;
    });
    if (panels[name].once && filled.has(name)) return;
    filled.add(name);
    try { await panels[name].show(); } catch (error) { filled.delete(name); throw error; }
  }
  return { list: h("div", { role: "tablist", ariaLabel: "Views", className: "molfm-tabs" }, buttons), open };
}

/** Make a row of buttons of which one is pressed. `pairs`: [value, text]. Returns { root, mark(value) }. */
function segmented(ui, label, pairs, chosen, callback) {
  const buttons = pairs.map(([value, text]) =>
    h("button", { type: "button", value, onclick: ui.guarded(() => { mark(value); return callback(value); }) }, text));
  function mark(value) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(pairs[i][0] === value)));
  }
  mark(chosen);
  return { root: h("div", { className: "molfm-segmented", role: "group", ariaLabel: label }, buttons), mark };
}

/** Make a slider with its value as text. `steps` are the possible values in order; `chosen` is added to them. Returns { root, input, set(value) }. */
function slider(ui, label, steps, chosen, { text = (value) => number(value), callback = () => {}, moved = () => {} } = {}) {
  const values = steps.includes(chosen) ? steps : [...steps, chosen].sort((a, b) => a - b);
  const shown = h("output", {}, text(chosen));
  const nearest = (value) => values.reduce((best, one, i) => (Math.abs(one - value) < Math.abs(values[best] - value) ? i : best), 0);
  const input = h("input", { type: "range", min: 0, max: values.length - 1, step: 1, ariaLabel: label,
    oninput: ui.guarded(() => { tell(); return moved(now()); }), onchange: ui.guarded(() => callback(now())) });
  const now = () => values[Number(input.value)];
  const tell = () => { shown.textContent = text(now()); input.setAttribute("aria-valuetext", text(now())); };
  const set = (value) => { input.value = String(nearest(value)); tell(); };
  set(chosen);
  return { root: h("label", { className: "molfm-slider" }, h("span", {}, label), input, shown), input, set };
}

/** Make a check box that is on, off or partly on (null). */
function checkbox(ui, label, state, callback) {
  return h("input", { type: "checkbox", ariaLabel: label, checked: Boolean(state), indeterminate: state === null,
    onchange: ui.guarded((event) => callback(event.target.checked)) });
}
