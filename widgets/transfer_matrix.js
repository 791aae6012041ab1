// The matrix of targets and sources. Only the rows in view exist; means come before the targets that are folded into them.

const ROW_HEIGHT = 30; // px, also in transfer.css
const COLUMN_WIDTH = 106;

/** Return the rows to show, in order. `value(row)` is what they are sorted by, or null for the order of the study. */
export function visibleRows(rows, { search = "", unfolded = [], value = null, down = true }) {
  const order = (numbers) => {
    if (!value) return numbers;
    const known = numbers.map((i) => [i, value(i)]), missing = ([, v]) => v === null || Number.isNaN(v);
    const compare = ([, a], [, b]) => (typeof a === "string" ? a.localeCompare(b) : down ? b - a : a - b);
    return [...known.filter((pair) => !missing(pair)).sort(compare), ...known.filter(missing)].map(([i]) => i);
  };
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) {
    const found = rows.flatMap((row, i) => (words.every((word) => `${row.task} ${row.label}`.toLowerCase().includes(word)) ? [i] : []));
    return order(found);
  }
  const children = new Map();
  rows.forEach(({ parent }, i) => (children.has(parent) ? children.get(parent).push(i) : children.set(parent, [i])));
  const out = new Set(unfolded), walk = (i) => [i, ...(out.has(i) ? order(children.get(i) ?? []).flatMap(walk) : [])];
  return order(children.get(-1) ?? []).flatMap(walk);
}

/**
 * columns: { source, regime, words, domain }. shown(): the rows to show. cell(row, column), block(row, column): what is known.
 * open(row, column): called on a click. fold(row): called to fold or unfold. sortBy(column): called on a column's name.
 */
function transferMatrix(ui, about, { shown, cell, block, opened, unfolded, sorted, metric, open, fold, sortBy, hovered }) {
  const { rows, columns } = about, template = `var(--names) repeat(${columns.length}, ${COLUMN_WIDTH}px)`;
  const layer = h("div", { className: "molfm-layer", role: "rowgroup" }), spacer = h("div", { className: "molfm-spacer", role: "presentation" }, layer);
  const head = h("div", { className: "molfm-head", role: "rowgroup" });
  const root = h("div", { className: "molfm-transfer-matrix", role: "grid", ariaLabel: "Targets and sources", tabIndex: -1 }, head, spacer);
  let list = [], place = [0, 0]; // the cell that the Tab key reaches

  function drawHead() {
    const names = columns.map(({ source, regime, words, domain }, i) => {
      const first = i === 0 || columns[i - 1].source !== source;
      return h("div", { role: "columnheader", className: first ? "first" : "" },
        h("button", { className: "molfm-plain", title: `Sort by the difference of targets ${words}`, ariaPressed: String(sorted() === i), onclick: ui.guarded(() => sortBy(i)) },
          h("span", { className: "molfm-source" }, domain ? h("span", { className: "molfm-dot", style: { background: `var(--${domain})` } }) : null, source),
          h("span", { className: "molfm-regime" }, { cotrain: "together", finetune: "before", probe: "frozen" }[regime])));
    });
    head.replaceChildren(h("div", { role: "row", className: "molfm-line", style: { gridTemplateColumns: template } },
      h("div", { role: "columnheader", className: "molfm-name" }, "target"), names));
  }

  const drawn = new Map(); // what a row shows -> its element, so that a redraw keeps what is under the pointer
  function rowElement(i, at) {
    const facts = columns.map((_, j) => [cell(i, j), block(i, j)]);
    const key = JSON.stringify([i, at, at === place[0] && place[1], opened()?.[0] === i && opened()[1], unfolded().includes(i), ui.root.classList.contains("dark"), facts]);
    if (!drawn.has(key)) drawn.set(key, newRow(i, at));
    return [key, drawn.get(key)];
  }
  function newRow(i, at) {
    const row = rows[i], folds = row.kind !== "target", out = unfolded().includes(i), palette = ui.palette();
    const title = folds ? h("button", { className: "molfm-plain", ariaExpanded: String(out), onclick: ui.guarded(() => fold(i)), tabIndex: at === place[0] ? 0 : -1 },
      `${out ? "▾" : "▸"} ${row.kind === "family" ? `${row.label} (${row.n})` : row.label}`) : h("span", {}, row.label);
    const name = h("div", { role: "rowheader", className: `molfm-name ${row.kind}`, title: row.task || `mean of ${row.n} targets`, style: { paddingLeft: `${row.depth * 14}px` } }, title);
    const cells = columns.map(({ words }, j) => {
      const found = cell(i, j), mine = block(i, j), [r, c] = opened() ?? [];
      const text = cellSentence(row.kind === "target" ? row.label : `mean of ${row.label}`, words, found, mine, metric());
      const state = found.state === CELL.tested ? "tested" : found.state === CELL.undefined ? "undefined" : (mine?.state ?? "missing");
      return h("div", { role: "gridcell" }, h("button", { className: `molfm-cell ${state}`, ariaLabel: text, tabIndex: at === place[0] && j === place[1] ? 0 : -1,
        ariaPressed: String(r === i && c === j), onclick: ui.guarded(() => { place = [at, j]; return open(i, j); }),
        onpointerenter: () => hovered(text), onfocus: () => hovered(text) }, cellContent(found, mine, row.depth === 0, palette)));
    });
    return h("div", { role: "row", className: `molfm-line ${row.kind}`, ariaRowIndex: String(at + 2), style: { gridTemplateColumns: template } }, name, cells);
  }

  function layout() {
    const first = Math.max(0, Math.floor(root.scrollTop / ROW_HEIGHT) - 2), last = Math.min(list.length, first + Math.ceil((root.clientHeight || 600) / ROW_HEIGHT) + 4);
    const focused = layer.contains(document.activeElement) || (root.getRootNode() !== document && layer.contains(root.getRootNode().activeElement));
    layer.style.transform = `translateY(${first * ROW_HEIGHT}px)`;
    const wanted = new Map(list.slice(first, last).map((i, k) => rowElement(i, first + k)));
    for (const [key, element] of drawn) if (!wanted.has(key)) { element.remove(); drawn.delete(key); }
    [...wanted.values()].forEach((element, k) => { if (layer.children[k] !== element) layer.insertBefore(element, layer.children[k] ?? null); });
    if (focused) layer.querySelector(".molfm-cell[tabindex='0']")?.focus({ preventScroll: true });
  }
  function draw() {
    list = shown();
    place = [clamp(place[0], 0, Math.max(0, list.length - 1)), place[1]];
    root.setAttribute("aria-rowcount", String(list.length + 1));
    spacer.style.height = `${list.length * ROW_HEIGHT}px`;
    drawHead();
    layout();
  }
  const soon = eachFrame(ui.guarded(layout));
  root.addEventListener("scroll", soon, { passive: true });
  root.addEventListener("keydown", ui.guarded((event) => {
    if (!event.target.classList.contains("molfm-cell")) return;
    const page = Math.max(1, Math.floor(root.clientHeight / ROW_HEIGHT) - 2);
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-page, 0], PageDown: [page, 0], Home: [-list.length, 0], End: [list.length, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    place = [clamp(place[0] + step[0], 0, list.length - 1), clamp(place[1] + step[1], 0, columns.length - 1)];
    const top = place[0] * ROW_HEIGHT, room = root.clientHeight - head.offsetHeight - ROW_HEIGHT;
    root.scrollTop = clamp(root.scrollTop, top - room, top);
    layout();
    layer.querySelector(".molfm-cell[tabindex='0']")?.focus({ preventScroll: true });
  }));
  ui.onTheme(soon);
  return { root, draw };
}
