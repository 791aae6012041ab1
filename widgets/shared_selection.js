// The selection in the header of a widget: how many molecules are selected, and the way back.

/** Returns the element; it follows the model. Ctrl+Z anywhere in the widget but in a text field does the same as the button. */
function selectionCount(ui, model) {
  const count = h("strong", { role: "status", ariaLive: "polite" });
  const undo = h("button", { type: "button", className: "molfm-plain", title: "Bring back the selection before (Ctrl+Z)", onclick: ui.guarded(back) }, "undo");
  function back() {
    if (!undo.disabled) return ui.ask("undo");
  }
  function tell() {
    const { molecules, earlier } = model.get("chosen");
    count.textContent = `${number(molecules)} selected`;
    undo.disabled = !earlier || Boolean(ui.recorded);
  }
  ui.root.addEventListener("keydown", ui.guarded((event) => {
    const typing = event.target.matches?.("input:not([type=checkbox]):not([type=range]), textarea, select");
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || event.shiftKey || typing) return;
    event.preventDefault();
    event.stopPropagation();
    return back();
  }));
  ui.listen("change:chosen", tell);
  tell();
  return h("span", { className: "molfm-selected" }, count, " · ", undo);
}
