// The points of a map as pixels: from afar a picture of density, near by single disks. No element per point.

const FEW = 3000; // visible points that are drawn as disks
// What lies on a pixel, in 32 bits: the number of points with a value, up to 2,000; two flags; the sum of the values' shades.
const ONE = 2 ** 20, FULL = 2000 * ONE, MARKED = 2 ** 19, UNKNOWN = 2 ** 18, SUM = UNKNOWN - 1;

/** Put points in a unit square around the origin, y upwards; `equal`: with one scale for both axes. Returns [places, to data]. */
export function unitPlaces(xy, equal) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < xy.length; i += 2) {
    if (xy[i] < x0) x0 = xy[i];
    if (xy[i] > x1) x1 = xy[i];
    if (xy[i + 1] < y0) y0 = xy[i + 1];
    if (xy[i + 1] > y1) y1 = xy[i + 1];
  }
  if (!xy.length) [x0, y0, x1, y1] = [0, 0, 1, 1];
  let half = [(x1 - x0) / 2 || 1, (y1 - y0) / 2 || 1];
  if (equal) half = [Math.max(...half), Math.max(...half)];
  const middle = [(x0 + x1) / 2, (y0 + y1) / 2], out = new Float32Array(xy.length);
  for (let i = 0; i < xy.length; i++) out[i] = (xy[i] - middle[i & 1]) / half[i & 1];
  return [out, ([x, y]) => [middle[0] + x * half[0], middle[1] + y * half[1]]];
}

/** Give each value its place on the scale as 1 to 64; 0 is unknown. Without values every point is 64. */
export function shadesOf(values, low, high, n) {
  if (!values.length) return new Uint8Array(n).fill(64);
  return Uint8Array.from(values, (value) => (Number.isNaN(value) ? 0 : 1 + Math.round(63 * clamp((value - low) / (high - low || 1), 0, 1))));
}

/** Return the indices of the points whose place is within a window [left, bottom, right, top]. */
export function visible(places, [left, bottom, right, top]) {
  const out = new Uint32Array(places.length / 2);
  let n = 0;
  for (let i = 0; i < out.length; i++) {
    const x = places[2 * i], y = places[2 * i + 1];
    if (x >= left && x <= right && y >= bottom && y <= top) out[n++] = i;
  }
  return out.subarray(0, n);
}

/** The colour of a point whose value is not known: close to the background. */
const unknownColor = (palette) => mix(palette.paper, palette.line, 0.5);

/** Draws points. The buffers live as long as the size stays, so that a frame allocates nothing. */
class PointPicture {
  constructor() { this.width = this.height = 0; }

  resize(width, height) {
    if (this.width === width && this.height === height) return;
    Object.assign(this, { width, height, image: new ImageData(width, height), stack: new Int32Array(width * height),
      known: new Uint32Array(width * height), chosen: new Uint32Array(width * height) });
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.canvas = h("canvas", { width, height });
  }

  /** Colours as numbers, by shade and density: 64 x 32 of them. color(t): of a shade, 0 to 1. */
  paint(color, palette) {
    const pack = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    this.table = new Uint32Array(64 * 32);
    for (let shade = 0; shade < 64; shade++)
      for (let dense = 0; dense < 32; dense++)
        this.table[32 * shade + dense] = pack(mix(palette.paper, color(shade / 63), 0.85 + (0.15 * dense) / 31));
    this.marked = Uint32Array.from({ length: 32 }, (_, dense) => pack(mix(palette.paper, palette.focus, 0.6 + (0.4 * dense) / 31)));
    this.unknown = pack(unknownColor(palette));
  }

  /**
   * Draw many points: a pixel's colour is the mean shade of the points on it, and the stronger, the more there are.
   * places, shades, marks: of all points. seen: indices to draw. x(place), y(place): a * place + b in pixels. size: of a point in pixels.
   */
  density({ places, shades, marks, seen, ax, bx, ay, by, size }) {
    const { width, height, stack, pixels, known, chosen, marked, table, unknown } = this, shift = (size - 1) >> 1;
    stack.fill(0); pixels.fill(0);
    for (let k = 0; k < seen.length; k++) { // first each point on one pixel: writing in all directions is what takes long
      const i = seen[k], shade = shades[i];
      const x = ((ax * places[2 * i] + bx + 0.5) | 0) - shift, y = ((ay * places[2 * i + 1] + by + 0.5) | 0) - shift, at = y * width + x;
      if (x < 0 || y < 0 || x + size > width || y + size > height) continue;
      const before = stack[at], after = !shade ? before | UNKNOWN : before < FULL ? before + ONE + shade : before;
      stack[at] = marks[i] ? after | MARKED : after;
    }
    let most = 1, n = 0, m = 0;
    for (let at = 0; at < stack.length; at++) {
      const value = stack[at];
      if (!value) continue;
      if (value >= most * ONE + ONE) most = value >> 20;
      if (value & MARKED) chosen[m++] = at;
      else if (value >= ONE) known[n++] = at;
      else put(at, unknown);
    }
    const scale = 31 / Math.log(most + 1), step = Uint8Array.from({ length: most + 1 }, (_, count) => (most === 1 ? 31 : Math.round(scale * Math.log(count + 1))));
    for (let k = 0; k < n; k++) { // what matters more covers what matters less
      const value = stack[known[k]], count = value >> 20;
      put(known[k], table[32 * (Math.round((value & SUM) / count) - 1) + step[count]]);
    }
    for (let k = 0; k < m; k++) put(chosen[k], marked[step[stack[chosen[k]] >> 20] || 16]);
    function put(first, color) {
      for (let row = first, end = first + size * width; row < end; row += width) for (let at = row; at < row + size; at++) pixels[at] = color;
    }
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
  }

  /** Draw a few points as disks: unknown ones first, selected ones with a ring. */
  disks(context, { places, shades, marks, seen, ax, bx, ay, by, radius }, color, palette) {
    const paths = new Map(), rings = new Path2D();
    for (const i of seen) {
      const x = ax * places[2 * i] + bx, y = ay * places[2 * i + 1] + by, path = paths.get(shades[i]) ?? new Path2D();
      paths.set(shades[i], path);
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 7);
      if (marks[i]) { rings.moveTo(x + radius + 1, y); rings.arc(x, y, radius + 1, 0, 7); }
    }
    context.lineWidth = 1;
    for (const shade of [...paths.keys()].sort((a, b) => a - b)) {
      context.fillStyle = rgb(shade ? color((shade - 1) / 63) : palette.paper); // unknown: an empty ring
      context.strokeStyle = rgb(shade ? palette.paper : palette.edge);
      context.fill(paths.get(shade));
      context.stroke(paths.get(shade));
    }
    context.strokeStyle = rgb(palette.focus);
    context.lineWidth = 2;
    context.stroke(rings);
  }
}
