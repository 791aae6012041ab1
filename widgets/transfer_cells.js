// One cell of the matrix: its verdict, its mark and its text.

export const CELL = { missing: 0, tested: 1, undefined: 2 }; // states in the answer "matrix", see molfm/study/matrix.py
const MARK = { width: 34, height: 20, least: 0.15 }; // px of the most certain mark; share of its area that a mark has at least
const CLEAR = 0.05; // p-value of a clear verdict, see LEVEL in molfm/study/statistics.py

/** Write a difference with its sign. */
export const signed = (value) => `${value > 0 ? "+" : ""}${value.toFixed(3)}`.replace("-", "−").replace(/^[+−](0\.0*)$/, "$1");

const plainNumber = (value) => value.toFixed(3).replace("-", "−").replace(/^−(0\.0*)$/, "$1");

/** Return "helps", "hurts" or "cannot tell". With an error metric, less is better. */
export function verdictFor(difference, p, lessIsBetter) {
  if (!(p <= CLEAR)) return "cannot tell";
  return difference > 0 === !lessIsBetter ? "helps" : "hurts";
}

/** The cells of the answer "matrix" by row and column, judged by raw or corrected p-values (`which`: "p" or "p_adjusted"). */
function cellReader(answer, columns) {
  const at = (row, column) => row * columns + column;
  const half = (i) => (answer.high[i] - answer.low[i]) / 2;
  let narrowest = Infinity, largest = 0;
  answer.state.forEach((state, i) => {
    if (state !== CELL.tested) return;
    narrowest = Math.min(narrowest, half(i));
    largest = Math.max(largest, Math.abs(answer.difference[i]));
  });
  return (row, column, which) => {
    const i = at(row, column), state = answer.state[i];
    if (state !== CELL.tested) return { state, reason: answer.reasons[answer.reason[i]] };
    const numbers = Object.fromEntries(["difference", "low", "high", "p", "p_adjusted", "baseline", "value", "detectable"].map((name) => [name, answer[name][i]]));
    return { state, ...numbers, seeds: answer.seeds[i], verdict: verdictFor(numbers.difference, numbers[which], answer.lessIsBetter),
      certainty: Math.max(MARK.least, narrowest / half(i)), strength: Math.abs(numbers.difference) / largest };
  };
}

/** The mark of a verdict: its area shows how certain it is, its colour the difference. "Cannot tell" is hatched, never pale. */
function verdictMark(cell, palette) {
  const side = Math.sqrt(cell.certainty), clear = cell.verdict !== "cannot tell";
  const full = palette[cell.verdict];
  const background = clear ? rgb(mix(palette.paper, full, 0.45 + 0.55 * cell.strength)) : hatched(palette);
  return h("span", { className: `molfm-mark${clear ? "" : " unclear"}`,
    style: { width: `${MARK.width * side}px`, height: `${MARK.height * side}px`, background, borderColor: clear ? rgb(full) : "" } });
}

/** Describe a cell in one sentence, for the line below the matrix and for screen readers. */
function cellSentence(name, words, cell, block, metric) {
  const where = `${name}, ${words}`;
  if (cell.state === CELL.tested)
    return `${where}: ${cell.verdict}. ${metric} ${plainNumber(cell.baseline)} alone, ${plainNumber(cell.value)} with the source; difference ${signed(cell.difference)} ` +
      `(${signed(cell.low)} to ${signed(cell.high)}); p ${number(Number(cell.p.toPrecision(2)))}, corrected ${number(Number(cell.p_adjusted.toPrecision(2)))}`;
  if (cell.state === CELL.undefined) return `${where}: ${cell.reason}`;
  if (!block) return `${where}: not part of this study`;
  const states = { open: `not run, about ${duration(block.seconds)}`, waiting: "waits for its turn", running: `running, ${percent(block.done, 0)} done`,
    failed: `failed: ${block.why}`, refused: `refused: ${block.why}`, done: "the verdict is being computed" };
  return `${where}: ${states[block.state]}`;
}

/** Write a number of seconds as people say it. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** The content of a cell's button. `main`: whether the row shows the cost of its whole block. */
function cellContent(cell, block, main, palette) {
  if (cell.state === CELL.tested) return [verdictMark(cell, palette), h("span", { className: "molfm-value" }, cell.verdict === "cannot tell" ? "" : signed(cell.difference))];
  if (cell.state === CELL.undefined) return [h("span", { className: "molfm-value quiet" }, "undefined")];
  if (!block) return [];
  const words = { open: duration(block.seconds), waiting: "waiting", running: percent(block.done, 0), failed: "failed", refused: "refused", done: "…" };
  if (!main) return [];
  const bar = block.state === "running" ? h("span", { className: "molfm-progress", style: { width: percent(block.done, 0) } }) : null;
  return [bar, h("span", { className: "molfm-value" }, words[block.state])].filter(Boolean);
}
