// The picture of all labels (molecules × tasks), drawn from tiles at the level of detail that the zoom needs.

/** Return the finest level whose rows are at least a pixel high. Level 0 is the coarsest; in the last, a row is one molecule. */
export function levelFor(molecules, pixels, levels) {
  return clamp(levels - 1 - Math.ceil(Math.log2(Math.max(1, molecules / Math.max(1, pixels)))), 0, levels - 1);
}

/** Place a tile's mean on the task's colour scale, 0 to 1. For numbers, the colours span the middle third of what a tile resolves. */
export const colorPosition = (kind, mean) => (kind === "regression" ? clamp(((mean - 1) / 65534) * 3 - 1, 0, 1) : (mean - 1) / 65534);

/** Convert a tile's mean to the task's unit. */
export const decoded = (mean, { least, most }) => (mean ? least + ((mean - 1) / 65534) * (most - least) : NaN);

/** Return `shade(kind, position, share, palette)`, a cached `cellColor`. Rounding keeps the colours of a million cells few. */
function shades() {
  let known = null;
  return (kind, position, share, palette) => {
    if (known?.palette !== palette) known = { palette, found: new Map() };
    const [p, s] = [Math.round(position * 63), share > 0 ? Math.max(1, Math.round(share * 31)) : 0];
    const key = (kind === "binary" ? 4096 : 0) + p * 64 + s;
    if (!known.found.has(key)) known.found.set(key, cellColor(kind, p / 63, s / 31, palette));
    return known.found.get(key);
  };
}

/**
 * moved(cell, content): called when the cursor moves; the content is null until the cell's tile is loaded.
 * chosen(rectangle): called when a rectangle is marked. header(column): called when the pointer is over the header of a column.
 */
function labelPicture(ui, about, { view, moved, chosen, header }) {
  const shade = shades();
  const tiles = tileStore(ui, about, {
    split: () => view().split || null,
    failed: () => ui.say(""),
    arrived: (level, done) => {
      if (level === 0) ui.say(done ? "" : "Loading labels …");
      matrix.refresh();
    },
  });
  const perRow = (level) => 2 ** (about.levels - 1 - level); // molecules
  const firstTile = (level) => Math.floor(matrix.window.rows[0] / (perRow(level) * about.tileRows));

  function shownLevel() {
    let level = levelFor(matrix.window.rows[1] - matrix.window.rows[0], matrix.plot.height, about.levels);
    while (level > 0 && !tiles.available(level, firstTile(level))) level--;
    return level;
  }

  function at(row, column) { // the content of a cell, from the finest loaded tile
    for (let level = shownLevel(); level >= 0; level--) {
      const size = perRow(level), answer = tiles.loaded(level, Math.floor(row / (size * about.tileRows)));
      if (!answer) continue;
      const { share, mean, start } = answer, line = Math.floor((row - start) / size);
      if (line >= share.shape[0]) continue;
      const place = line * share.shape[1] + column, task = about.tasks[column];
      const first = start + line * size, molecules = Math.min(size, about.n - first), part = share[place] / 65535;
      return { first, molecules, share: part, labelled: Math.round(part * molecules) || (share[place] ? 1 : 0),
        mean: decoded(mean[place], task), clipped: task.kind === "regression" ? { 1: "≤", 65535: "≥" }[mean[place]] ?? "" : "", position: colorPosition(task.kind, mean[place]) };
    }
    return null;
  }

  function paintTile(context, palette, found) {
    const { share, mean, start, perRow: size } = found.answer, [rows, columns] = share.shape;
    if (found.palette !== palette)
      Object.assign(found, { palette, image: picture(columns, rows, (row, column) => {
        const place = row * columns + column, { kind } = about.tasks[column];
        return shade(kind, colorPosition(kind, mean[place]), share[place] / 65535, palette);
      }) });
    const { rows: [r0, r1], columns: [c0, c1] } = matrix.window;
    const from = Math.max(0, (r0 - start) / size), to = Math.min(rows, (r1 - start) / size);
    if (to <= from) return;
    const last = Math.min(about.n, start + to * size); // the last row may stand for fewer molecules
    const [x, y] = [matrix.x(c0), matrix.y(start + from * size)], [width, height] = [matrix.x(c1) - x, matrix.y(last) - y];
    context.imageSmoothingEnabled = width < c1 - c0; // smooth only if columns are narrower than a pixel
    context.drawImage(found.image, c0, from, c1 - c0, to - from, x, y, width, height);
  }

  function paintValues(context, palette) { // large cells show their value as text, not by colour alone
    const [width, height] = [matrix.x(1) - matrix.x(0), matrix.y(1) - matrix.y(0)];
    const { rows: [r0, r1], columns: [c0, c1] } = matrix.window;
    if (width < 30 || height < 13) return;
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "center";
    for (let row = Math.floor(r0); row < Math.min(r1, about.n); row++)
      for (let column = Math.floor(c0); column < Math.min(c1, about.tasks.length); column++) {
        const found = at(row, column), task = about.tasks[column];
        if (!found?.share) continue;
        const color = shade(task.kind, found.position, found.share, palette);
        context.fillStyle = color[0] * 0.3 + color[1] * 0.59 + color[2] * 0.11 > 140 ? "#000000" : "#ffffff";
        const rounded = [3, 2].map((digits) => number(Number(found.mean.toPrecision(digits))));
        const texts = task.kind === "binary" ? [found.mean > 0.5 ? "+" : "−"] : rounded;
        const text = texts.find((one) => context.measureText(one).width < width - 3); // omit a number rather than cut it
        if (text) context.fillText(text, (matrix.x(column) + matrix.x(column + 1)) / 2, (matrix.y(row) + matrix.y(row + 1)) / 2 + 4);
      }
    context.textAlign = "start";
  }

  function paint(context, palette) {
    const level = shownLevel(), size = perRow(level) * about.tileRows, whole = tiles.tile(0, 0);
    if (whole?.answer) paintTile(context, palette, whole);
    if (level > 0) for (let n = firstTile(level); n * size < Math.min(about.n, matrix.window.rows[1]); n++) {
      const found = tiles.tile(level, n);
      if (found?.answer) paintTile(context, palette, found);
    }
    paintValues(context, palette);
    context.fillStyle = rgb(palette.paper);
    about.tasks.forEach((task, column) => { // a line between datasets
      if (column && task.dataset !== about.tasks[column - 1].dataset) context.fillRect(matrix.x(column) - 1, matrix.plot.y, 2, matrix.plot.height);
    });
  }

  const matrix = new Matrix(ui, {
    label: `Labels of ${number(about.n)} molecules (rows) for ${about.tasks.length} tasks (columns). Move with the arrow keys, ` +
      "mark a region with Shift and the arrow keys, select its molecules with Enter, let go with Escape, undo with Ctrl+Z, zoom with plus and minus, show everything with 0. " +
      "The tab Task table lists the label counts.",
    rows: about.n, columns: about.tasks.length, left: 62, least: { rows: 16, columns: Math.min(about.tasks.length, 24) },
    step: () => perRow(shownLevel()),
    moved: (cell) => moved(cell, at(cell.row, cell.column)), chosen,
    changed: ({ rows, columns }) => { tiles.retry(); ui.remember({ window: [...rows, ...columns].map((value) => Math.round(value * 100) / 100) }); },
    paint, header,
    paintAxes: (context, palette) => {
      columnHeader(context, palette, matrix, about.tasks);
      rowTicks(context, palette, matrix, "molecules");
    },
  });
  return Object.assign(matrix, { retry: tiles.retry });
}
