// The axes of a matrix: task names and dataset bands above the columns, row numbers or task names beside the rows.

const AXIS_FONT = "11px system-ui, sans-serif";
const HEADER_HEIGHT = 148; // px above the plot: dataset, turned task name, coloured band
const READABLE = 9; // px: the smallest row or column that gets a name

/** Write turned task names above the columns, where they fit, and one band per group of columns with the same dataset and domain. */
function columnHeader(context, palette, matrix, tasks, colors) {
  const { x, y, width } = matrix.plot, [a, b] = matrix.window.columns;
  context.save();
  context.beginPath();
  context.rect(x - 1, 0, width + 2, y);
  context.clip();
  context.font = AXIS_FONT;
  for (let i = Math.floor(a); i < Math.min(b, tasks.length); ) {
    let j = i;
    while (j < tasks.length && tasks[j].dataset === tasks[i].dataset && tasks[j].domain === tasks[i].domain) j++;
    const left = Math.max(x, matrix.x(i)), right = Math.min(x + width, matrix.x(j));
    context.fillStyle = colors[tasks[i].domain] ?? "#999999";
    context.fillRect(left + 0.5, y - 6, right - left - 1, 5);
    context.fillStyle = rgb(palette.text);
    const text = `${tasks[i].dataset}${tasks[i].domain ? ` · ${tasks[i].domain}` : ""}`;
    if (right - left > 30) context.fillText(clipped(context, text, right - left - 4), left + 1, 12);
    i = j;
  }
  if (matrix.x(1) - matrix.x(0) >= READABLE)
    for (let i = Math.floor(a); i < Math.min(b, tasks.length); i++) {
      context.save();
      context.translate((matrix.x(i) + matrix.x(i + 1)) / 2 + 4, y - 10);
      context.rotate(-Math.PI / 2);
      context.fillText(clipped(context, shortName(tasks[i].task), y - 32), 0, 0);
      context.restore();
    }
  context.restore();
}

/** Write round row numbers beside the rows; `unit` names what a row stands for. */
function rowTicks(context, palette, matrix, unit) {
  const { y, height } = matrix.plot;
  context.font = AXIS_FONT;
  context.fillStyle = rgb(palette.text);
  context.textAlign = "right";
  for (const value of ticks(...matrix.window.rows, Math.floor(height / 46)))
    context.fillText(number(value), matrix.left - 6, clamp(matrix.y(value) + 4, y + 9, matrix.canvas.clientHeight - 4));
  context.textAlign = "start";
  context.fillText(unit, 2, y - 8);
}

/** Write task names beside the rows, where they fit. */
function rowNames(context, palette, matrix, tasks) {
  if (matrix.y(1) - matrix.y(0) < READABLE) return;
  const { x, y } = matrix.plot, [a, b] = matrix.window.rows;
  context.font = AXIS_FONT;
  context.fillStyle = rgb(palette.text);
  context.textAlign = "right";
  for (let i = Math.floor(a); i < Math.min(b, tasks.length); i++) {
    const middle = (matrix.y(i) + matrix.y(i + 1)) / 2 + 4;
    if (middle > y) context.fillText(clipped(context, shortName(tasks[i].task), matrix.left - 10), x - 6, middle);
  }
  context.textAlign = "start";
}
