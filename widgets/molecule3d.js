// Molecule3D: a molecule in three dimensions in the output of a notebook cell. Our canvas, until 3Dmol's viewer is loaded.

/**
 * shape, label: as for `viewer3d`. values: one per heavy atom, or null, with their unit. height: in pixels. viewer: the number that
 * py3Dmol gave its viewer.
 */
function showMolecule(root, { shape, values, unit, label, height, viewer }) {
  const own = root.querySelector(".molfm-own"), theirs = root.querySelector(".molfm-3dmol");
  root.classList.toggle("dark", isDark(root.parentElement));
  const palette = () => PALETTES[root.classList.contains("dark") ? "dark" : "light"];
  const name = h("p", { className: "molfm-small" }, "\u00a0");
  const hovered = (atom) => {
    const value = values && atom >= 0 && atom < values.length ? `: ${number(values[atom], unit)}` : "";
    name.textContent = atom < 0 ? "\u00a0" : atomName(shape.elements, atom) + value;
  };
  const { canvas, color } = viewer3d(shape, { label, palette, hovered });
  const scale = color(values ? { atoms: values.map((value) => value ?? NaN) } : {});
  canvas.style.height = `${height}px`;
  own.replaceChildren(canvas); // until now: a drawing, for pages where no scripts run
  for (const attribute of ["role", "aria-label"]) own.removeAttribute(attribute); // the canvas has its own
  root.append(name, ...(scale ? [h("p", { className: "molfm-row" }, number(scale.low),
    ramp((t) => scale.color(scale.low + t * (scale.high - scale.low), palette())), number(scale.high, unit))] : []));
  globalThis.$3Dmolpromise?.then(() => { // without a network it is never fulfilled
    const shown = globalThis[`viewer_${viewer}`];
    if (!shown) return;
    Object.assign(theirs, { hidden: false, tabIndex: 0, role: "img", ariaLabel: label });
    own.hidden = true;
    if (scale) shape.elements.forEach((_, i) => paint(shown, i, rgb(values[i] == null ? palette().missing : scale.color(values[i], palette()))));
    shown.setBackgroundColor(rgb(palette().paper));
    shown.setHoverable({}, true, (atom) => hovered(atom.index), () => hovered(-1));
    theirs.addEventListener("keydown", (event) => {
      const turn = { ArrowLeft: [-12, "y"], ArrowRight: [12, "y"], ArrowUp: [-12, "x"], ArrowDown: [12, "x"] }[event.key];
      if (turn) shown.rotate(...turn);
      else if (event.key === "+" || event.key === "=") shown.zoom(1.2);
      else if (event.key === "-") shown.zoom(1 / 1.2);
      else return;
      event.preventDefault();
      shown.render();
    });
    requestAnimationFrame(() => { shown.resize(); shown.zoomTo(); shown.render(); });
  });
}

/** Colour one atom and its halves of bonds in 3Dmol's viewer. */
function paint(shown, index, color) {
  shown.setStyle({ index }, { stick: { radius: 0.12, color }, sphere: { scale: 0.25, color } });
}
