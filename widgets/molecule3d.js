// Molecule3D: a molecule in three dimensions in the output of a notebook cell. Our canvas, until 3Dmol's viewer is there.

/** Run 3Dmol.js, which is packed as Base64 of gzip, as py3Dmol does: no module loader of the page may take it. */
async function run3Dmol(script) {
  const bytes = Uint8Array.from(atob(script), (letter) => letter.charCodeAt(0));
  const plain = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  const address = URL.createObjectURL(new Blob([plain], { type: "text/javascript" })), { exports, module } = globalThis;
  Object.assign(globalThis, { exports: {}, module: {} });
  await new Promise((onload, onerror) => document.head.append(h("script", { src: address, onload, onerror })));
  Object.assign(globalThis, { exports, module });
  URL.revokeObjectURL(address);
}

/**
 * shape, label: as for `viewer3d`. values: one per heavy atom, or null, with their unit. height: in pixels. viewer: the number that
 * py3Dmol gave its viewer, and script: 3Dmol.js, packed; both are missing while 3Dmol.js has not been downloaded.
 */
function showMolecule(root, { shape, values, unit, label, height, viewer, script }) {
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
  if (!script) return;
  const ready = globalThis.molfm3Dmol;
  globalThis.molfm3Dmol = null; // the first molecule of a page runs the script for all
  if (ready) run3Dmol(script).then(ready);
  globalThis.$3Dmolpromise.then(() => {
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
