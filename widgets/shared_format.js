// Numbers and names as people read them, and round numbers for axes.

/** Write a number with sensible digits, a real minus sign and its unit. */
export function number(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "not measured";
  const size = Math.abs(value);
  const text = Number.isInteger(value) ? value.toLocaleString("en-US")
    : size >= 1e5 || size < 1e-3 ? value.toExponential(2)
    : value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(size)) - 1));
  return (unit ? `${text} ${unit}` : text).replace("-", "−");
}

/** Write a number with at most so many significant digits. */
const rounded = (value, digits = 3, unit = "") =>
  `${value.toLocaleString("en-US", { maximumSignificantDigits: digits }).replace("-", "−")}${unit ? ` ${unit}` : ""}`;

/** Write a share (0 to 1) in percent. */
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;

/** A task's name without its dataset: "b3db/logBB" becomes "logBB". */
const shortName = (task) => task.slice(task.indexOf("/") + 1);

/** Return a name as nodes that break only after "/", "_" and "-", never inside a word. */
const breakable = (name) => name.split(/(?<=[/_-])/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));

/** Return round numbers for an axis, at most `count` of them. */
export function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const out = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) out.push(Number(value.toPrecision(12)));
  return out;
}
