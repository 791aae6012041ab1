// A molecule in three dimensions: balls and sticks on a canvas that rotates and zooms, coloured by element or by values.

const ELEMENTS = ("H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh " +
  "Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U").split(" ");
const OTHER_COLOR = [150, 120, 170];
const RADII = { 1: 0.22, 6: 0.36, 7: 0.35, 8: 0.34, 9: 0.32, 15: 0.44, 16: 0.44, 17: 0.42, 35: 0.46, 53: 0.5 }; // of the drawn balls, in ångström
const OTHER_RADIUS = 0.42;

/** Name an atom by element and number, such as "C3"; `i` counts from 0. */
const atomName = (elements, i) => `${ELEMENTS[elements[i] - 1] ?? "?"}${i + 1}`;

/** Rotate a rotation matrix (3 x 3, by rows) further: around the screen's vertical axis, then around its horizontal one. */
export function turned(m, dx, dy) {
  const [cx, sx, cy, sy] = [Math.cos(dx), Math.sin(dx), Math.cos(dy), Math.sin(dy)];
  const [x, y, z] = [m.slice(0, 3), m.slice(3, 6), m.slice(6, 9)];
  const x2 = x.map((v, i) => cx * v + sx * z[i]), z1 = x.map((v, i) => -sx * v + cx * z[i]);
  return [...x2, ...y.map((v, i) => cy * v - sy * z1[i]), ...y.map((v, i) => sy * v + cy * z1[i])];
}

/** Project atoms on the screen: x, y and depth (larger is nearer), three numbers per atom. */
export function projected(xyz, m) {
  const out = new Float32Array(xyz.length);
  for (let i = 0; i < xyz.length; i += 3)
    for (let axis = 0; axis < 3; axis++)
      out[i + axis] = m[3 * axis] * xyz[i] + m[3 * axis + 1] * xyz[i + 1] + m[3 * axis + 2] * xyz[i + 2];
  return out;
}

/** Choose a colour scale: centred on 0 for values of both signs, otherwise from the smallest to the largest. */
export function scaleOf(values) {
  const known = [...values].filter(Number.isFinite);
  const low = Math.min(...known), high = Math.max(...known);
  if (low < 0 && high > 0) {
    const most = Math.max(-low, high);
    return { low: -most, high: most, color: (value, palette) => diverging(value / most, palette) };
  }
  const span = high - low || 1;
  return { low, high, color: (value, palette) => mix(palette.low, palette.high, (value - low) / span) };
}

/**
 * Draw a molecule on a new canvas. Dragging and the arrow keys rotate it; the wheel and plus and minus zoom.
 *
 * shape: { elements (n), xyz (3n), bonds (2m, pairs of atoms), orders (m) }. label: accessible name of the canvas.
 * palette(): the colours of the current theme. hovered(atom): called with the atom under the pointer, or -1.
 *
 * Returns { canvas, color }. color({ atoms, bonds }) colours atoms or bonds by values, or by element without values. It returns the
 * scale { low, high, color(value, palette) }, or null. Call it again when the theme changes.
 */
export function viewer3d(shape, { label, palette, hovered }) {
  const { elements, xyz, bonds, orders } = shape;
  const canvas = h("canvas", { className: "molfm-3d", tabIndex: 0, role: "img", ariaLabel: label });
  let rotation = [1, 0, 0, 0, 1, 0, 0, 0, 1], zoom = 1, values = {}, scale = null;
  const draw = eachFrame(paint);

  let reach = 1; // distance of the outermost atom
  for (let i = 0; i < xyz.length; i += 3) reach = Math.max(reach, Math.hypot(xyz[i], xyz[i + 1], xyz[i + 2]));

  function layout() { // positions and radii on the canvas; `unit` is pixels per ångström
    const { clientWidth: width, clientHeight: height } = canvas, at = projected(xyz, rotation);
    const unit = (zoom * 0.46 * Math.min(width, height)) / (reach + 0.3);
    return { unit, point: (i) => [width / 2 + unit * at[3 * i], height / 2 - unit * at[3 * i + 1]], depth: (i) => at[3 * i + 2],
      radius: (i) => unit * (RADII[elements[i]] ?? OTHER_RADIUS) };
  }

  function atomAt(x, y) { // the nearest atom to the viewer under a point, or -1
    const { point, depth, radius } = layout();
    let found = -1;
    elements.forEach((_, i) => {
      const [xi, yi] = point(i);
      if (Math.hypot(xi - x, yi - y) < radius(i) && (found < 0 || depth(i) > depth(found))) found = i;
    });
    return found;
  }

  function paint() {
    const context = context2d(canvas);
    if (!context) return;
    const colors = palette(), place = layout(), { depth } = place;
    const valued = (all, i) => all && i < all.length && Number.isFinite(all[i]);
    const atomColor = (i) => valued(values.atoms, i) ? scale.color(values.atoms[i], colors)
      : scale ? colors.missing : ELEMENT_COLORS[elements[i]] ?? OTHER_COLOR;
    const halfColor = (i) => mix(scale ? colors.missing : atomColor(i), colors.line, scale ? 0.35 : 0.1);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    context.lineCap = "round";
    const parts = []; // from back to front
    elements.forEach((_, i) => parts.push({ depth: depth(i), atom: i }));
    orders.forEach((_, i) => parts.push({ depth: (depth(bonds[2 * i]) + depth(bonds[2 * i + 1])) / 2 - 0.2, bond: i }));
    parts.sort((a, b) => a.depth - b.depth);
    for (const { atom, bond } of parts) {
      if (atom !== undefined) paintAtom(context, place, atom, atomColor(atom));
      else paintBond(context, place, bond, valued(values.bonds, bond) ? scale.color(values.bonds[bond], colors) : null, halfColor);
    }
  }

  function paintAtom(context, { point, radius }, atom, color) {
    const [x, y] = point(atom), size = radius(atom);
    const shade = context.createRadialGradient(x - size / 3, y - size / 3, size / 6, x, y, size);
    shade.addColorStop(0, rgb(mix(color, [255, 255, 255], 0.55)));
    shade.addColorStop(0.45, rgb(color));
    shade.addColorStop(1, rgb(mix(color, [0, 0, 0], 0.4)));
    context.fillStyle = shade;
    context.beginPath();
    context.arc(x, y, size, 0, 7);
    context.fill();
  }

  function paintBond(context, { point, unit }, bond, own, halfColor) { // one line per order, each half in its atom's colour
    const [a, b] = [bonds[2 * bond], bonds[2 * bond + 1]], [xa, ya] = point(a), [xb, yb] = point(b);
    const length = Math.hypot(xb - xa, yb - ya) || 1, lines = orders[bond] === 1.5 ? 2 : Math.round(orders[bond]);
    const width = unit * (lines > 1 ? 0.09 : 0.14), apart = unit * 0.17;
    for (let line = 0; line < lines; line++) {
      const shift = (line - (lines - 1) / 2) * apart, [sx, sy] = [(-(yb - ya) / length) * shift, ((xb - xa) / length) * shift];
      context.setLineDash(orders[bond] === 1.5 && line ? [unit * 0.12, unit * 0.16] : []); // aromatic: the second line is dashed
      for (const [end, x, y] of [[a, xa + sx, ya + sy], [b, xb + sx, yb + sy]]) {
        context.strokeStyle = rgb(own ?? halfColor(end));
        context.lineWidth = own ? width * 1.6 : width;
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo((xa + xb) / 2 + sx, (ya + yb) / 2 + sy);
        context.stroke();
      }
    }
    context.setLineDash([]);
  }

  let last = null; // the last point of a drag
  canvas.addEventListener("pointerdown", (event) => { last = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { last = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return hovered(atomAt(event.offsetX, event.offsetY));
    rotation = turned(rotation, (event.clientX - last[0]) / 90, (event.clientY - last[1]) / 90);
    last = [event.clientX, event.clientY];
    draw();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom = clamp(zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15), 0.3, 5);
    draw();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const turn = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2] }[event.key];
    if (turn) rotation = turned(rotation, ...turn);
    else if (event.key === "+" || event.key === "=") zoom = Math.min(5, zoom * 1.2);
    else if (event.key === "-") zoom = Math.max(0.3, zoom / 1.2);
    else return;
    event.preventDefault();
    draw();
  });
  new ResizeObserver(draw).observe(canvas);

  function color({ atoms = null, bonds: ofBonds = null } = {}) {
    values = { atoms, bonds: ofBonds };
    scale = atoms ?? ofBonds ? scaleOf(atoms ?? ofBonds) : null;
    draw();
    return scale;
  }
  return { canvas, color };
}
