// The axes of a matrix: datasets, families and task names above the columns, row numbers or task names beside the rows.

const AXIS_FONT = "11px system-ui, sans-serif";
const READABLE = 9; // px: the smallest row or column that gets a name
const GROUPS_HEIGHT = 42; // px above the plot: dataset, family, coloured band
const NAMES_HEIGHT = 108; // px for turned task names, once columns are wide enough
const OVERHANG = 40; // px that a label may reach beyond a narrow group

/** Return the height of the header for columns of some width in px: names get room as they become readable. */
export const headerHeight = (columnWidth) => GROUPS_HEIGHT + NAMES_HEIGHT * clamp((columnWidth - READABLE + 3) / 3, 0, 1);

/** A task's name without its dataset and its family, which stand above. */
const ownName = ({ task, family }) => {
  const name = shortName(task);
  return family && name.startsWith(`${family}_`) ? name.slice(family.length + 1) : name;
};

/** Return the groups of neighbouring columns that agree in a key: [{ start, end, task }]. */
function columnGroups(tasks, key) {
  const groups = [];
  tasks.forEach((task, i) => {
    if (i && key(task) === key(tasks[i - 1])) groups.at(-1).end = i + 1;
    else groups.push({ start: i, end: i + 1, task });
  });
  return groups;
}

/** Choose which labels to write so that none touches another or passes `end`: [{ text, x }]. A label starts in its own group. */
export function placedLabels(groups, width, end) {
  const out = [];
  let free = -Infinity;
  for (const { left, right, text } of groups) {
    const x = Math.max(left, free), wide = width(text);
    if (!text || x > right || x + wide > Math.min(end, Math.max(right, left + OVERHANG))) continue;
    out.push({ text, x });
    free = x + wide + 8;
  }
  return out;
}

/** Write datasets and families above their columns where they fit, a band in the colour of the domain, and turned task names. */
function columnHeader(context, palette, matrix, tasks) {
  const { x, y, width } = matrix.plot, [a, b] = matrix.window.columns;
  context.save();
  context.beginPath();
  context.rect(x - 1, 0, width + 2, y);
  context.clip();
  context.font = AXIS_FONT;
  const inView = ({ start, end }) => end > a && start < b;
  const placed = (key, text) => placedLabels(columnGroups(tasks, key).filter(inView).map(({ start, end, task }) =>
    ({ left: Math.max(x, matrix.x(start)), right: Math.min(x + width, matrix.x(end)), text: text(task) })), (one) => context.measureText(one).width, x + width);
  const ofDataset = (task) => `${task.dataset}/${task.domain}`, ofFamily = (task) => `${ofDataset(task)}/${task.family}`;
  context.fillStyle = rgb(palette.text);
  context.font = `600 ${AXIS_FONT}`;
  for (const { text, x: at } of placed(ofDataset, (task) => task.dataset)) context.fillText(text, at + 1, 12);
  context.font = AXIS_FONT;
  context.fillStyle = rgb(palette.quiet);
  for (const { text, x: at } of placed(ofFamily, (task) => task.family)) context.fillText(text, at + 1, 27);
  for (const { start, end, task } of columnGroups(tasks, ofFamily).filter(inView)) {
    context.fillStyle = rgb(palette[task.domain] ?? palette.quiet);
    context.fillRect(matrix.x(start), y - 6, Math.max(1, matrix.x(end) - matrix.x(start) - 1), 4);
  }
  context.fillStyle = rgb(palette.text);
  const wide = matrix.x(1) - matrix.x(0);
  if (wide >= READABLE)
    for (let i = Math.floor(a); i < Math.min(b, tasks.length); i++) {
      context.save();
      context.translate((matrix.x(i) + matrix.x(i + 1)) / 2 + 4, y - 10);
      context.rotate(-Math.PI / 2);
      context.fillText(clipped(context, ownName(tasks[i]), y - 46), 0, 0);
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
