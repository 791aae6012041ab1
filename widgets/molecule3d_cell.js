// A molecule in three dimensions in the output of a notebook cell: our canvas, replaced by 3Dmol's viewer once that is loaded.

/**
 * shape, label: as for `molecule3d`. values: one per heavy atom, or null. height: in pixels. viewer: py3Dmol's number of its viewer.
 */
function showCell(root, { shape, values, unit, label, height, viewer }) {
  const own = root.querySelector(".molfm-own"), theirs = root.querySelector(".molfm-3dmol");
  root.classList.toggle("dark", isDark(root.parentElement));
  const palette = () => PALETTES[root.classList.contains("dark") ? "dark" : "light"];
  const name = h("p", { className: "molfm-small" }, "\u00a0");
  const hovered = (atom) => {
    const value = values && atom >= 0 && atom < values.length ? `: ${number(values[atom], unit)}` : "";
    name.textContent = atom < 0 ? "\u00a0" : atomName(shape.elements, atom) + value;
  };
  const { canvas, color } = molecule3d(shape, { label, palette, hovered });
  const scale = color(values ? { atoms: values.map((value) => value ?? NaN) } : {});
  const legend = scale && h("p", { className: "molfm-row" }, number(scale.low),
    ramp((t) => scale.color(scale.low + t * (scale.high - scale.low), palette())), number(scale.high, unit));
  canvas.style.height = `${height}px`;
  own.replaceChildren(canvas, name); // until now: a drawing, for pages where nothing runs
  if (legend) root.append(legend);
  globalThis.$3Dmolpromise?.then(() => { // never comes without a network
    theirs.hidden = false;
    own.hidden = true;
    const shown = globalThis[`viewer_${viewer}`];
    requestAnimationFrame(() => { shown?.resize(); shown?.zoomTo(); shown?.render(); });
  });
}
