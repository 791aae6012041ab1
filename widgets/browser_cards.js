// The grid of molecule cards. Only the cards in view exist; their content is requested page by page.

const CARD = { width: 168, height: 184 }; // minimum width and height in px, with the gap; see browser.css
const PAGES_KEPT = 30;

/** Return the rows that a virtual scroll shows and the offset of the first. A browser cannot scroll further than `most` pixels. */
export function scrollWindow(scrollTop, viewHeight, rowHeight, nRows, most = 8e6) {
  const full = nRows * rowHeight, height = Math.min(full, most);
  const room = Math.max(1, height - viewHeight);
  const at = full <= most ? scrollTop : (clamp(scrollTop, 0, room) / room) * (full - viewHeight);
  const first = Math.max(0, Math.floor(at / rowHeight));
  const last = Math.min(nRows, Math.ceil((at + viewHeight) / rowHeight));
  return { height, first, last, top: scrollTop - (at - first * rowHeight) };
}

/**
 * A card's `place` is its position in the search results. chips(): tasks whose labels the cards show. open(molecule): called on a
 * click. rows(start): the rows of a page, as a promise.
 */
function cardGrid(ui, about, { chips, open, rows }) {
  const still = Boolean(ui.recorded);
  const factsOf = Object.fromEntries([...about.predicted, ...about.tasks].map((facts) => [facts.task, facts]));
  const layer = h("div", { className: "molfm-layer", role: "list", ariaLabel: "Molecules" });
  const spacer = h("div", { className: "molfm-spacer" }, layer);
  const grid = h("div", { className: "molfm-grid", tabIndex: 0, role: "region", ariaLabel: "Search results" }, spacer);
  const cards = new Map(); // place -> element
  let n = 0, active = 0, opened = -1, columns = 1, pages = new Map(); // page number -> promise of its rows

  // ---- content

  const pageOf = (place) => Math.floor(place / about.page);
  function page(index) {
    if (pages.has(index)) return pages.get(index);
    const mine = pages, promise = rows(index * about.page);
    mine.set(index, promise);
    promise.catch(() => mine.delete(index));
    if (mine.size > PAGES_KEPT) mine.delete(mine.keys().next().value);
    return promise;
  }
  const rowAt = async (place) => (await page(pageOf(place)))[place % about.page];

  function chip(task, value, predicted) {
    const there = value !== null, text = chipText(factsOf[task], task, value, predicted);
    return h("span", { className: there || predicted !== null ? "molfm-chip" : "molfm-chip missing" }, text);
  }
  function texts(row) {
    const { of, what } = about.counted;
    return [
      row.similarity === null ? null : h("span", { className: "molfm-chip" }, `similarity ${row.similarity.toFixed(2)}`),
      ...chips().map((task, i) => chip(task, row.labels[i], row.predicted[i])),
      h("span", { className: "molfm-chip count" }, `${number(row.counted)} of ${number(of)} ${what}`)].filter(Boolean);
  }

  function fill(card, row, place) {
    const name = row.name || row.smiles, tabIndex = place === active ? 0 : -1;
    const box = h("input", { type: "checkbox", checked: row.selected, disabled: still, ariaLabel: `Select ${name}`, tabIndex,
      onchange: ui.guarded((event) => {
        row.selected = event.target.checked;
        card.classList.toggle("selected", row.selected);
        return ui.ask("select", { on: row.selected, molecules: [row.molecule] });
      }) });
    const button = h("button", { className: "molfm-open", ariaLabel: `Show ${name}, molecule ${row.molecule}`, tabIndex,
      onclick: ui.guarded(() => choose(place)) }, row.svg ? svg(row.svg) : h("span", { className: "molfm-undrawn" }, row.smiles),
      h("span", { className: "molfm-name" }, name));
    const lines = row.labels ? texts(row) : [];
    card.title = [name, row.smiles, ...lines.map((line) => line.textContent)].join("\n");
    card.classList.toggle("selected", row.selected);
    card.classList.toggle("open", row.molecule === opened);
    card.replaceChildren(button, box, h("div", { className: "molfm-chips" }, lines));
  }

  // ---- position

  function layout() {
    columns = Math.max(1, Math.floor(grid.clientWidth / CARD.width));
    const width = grid.clientWidth / columns;
    const shown = scrollWindow(grid.scrollTop, grid.clientHeight, CARD.height, Math.ceil(n / columns));
    spacer.style.height = `${shown.height}px`;
    layer.style.transform = `translateY(${shown.top}px)`;
    const first = shown.first * columns, last = Math.min(n, shown.last * columns);
    for (const [place, card] of cards) if (place < first || place >= last) { card.remove(); cards.delete(place); }
    for (let place = first; place < last; place++) {
      const card = cards.get(place) ?? add(place);
      Object.assign(card.style, { width: `${width - 8}px`, left: `${(place % columns) * width}px`,
        top: `${(Math.floor(place / columns) - shown.first) * CARD.height}px` });
    }
  }
  function add(place) {
    const card = h("div", { className: "molfm-card", role: "listitem", ariaSetSize: String(n), ariaPosInSet: String(place + 1) });
    cards.set(place, card);
    layer.append(card);
    rowAt(place).then(ui.guarded((row) => { if (row && cards.get(place) === card) fill(card, row, place); }), () => {});
    return card;
  }
  const draw = eachFrame(ui.guarded(layout));
  grid.addEventListener("scroll", draw, { passive: true });
  const observer = new ResizeObserver(draw);
  observer.observe(grid);
  ui.signal.addEventListener("abort", () => observer.disconnect());

  // ---- keyboard

  grid.addEventListener("keydown", ui.guarded((event) => {
    const perPage = columns * Math.max(1, Math.floor(grid.clientHeight / CARD.height));
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -perPage, PageDown: perPage, Home: -n, End: n }[event.key];
    if (!step) return;
    event.preventDefault();
    return focus(clamp(active + step, 0, n - 1));
  }));
  async function focus(place) {
    active = place;
    const row = Math.floor(place / columns), rows = Math.ceil(n / columns), full = rows * CARD.height;
    const { height } = scrollWindow(0, grid.clientHeight, CARD.height, rows);
    const scale = (height - grid.clientHeight) / Math.max(1, full - grid.clientHeight); // 1, except for millions of rows
    const shown = scrollWindow(grid.scrollTop, grid.clientHeight, CARD.height, rows);
    if (row <= shown.first) grid.scrollTop = row * CARD.height * scale;
    else if (row >= shown.last - 1) grid.scrollTop = Math.ceil(((row + 1) * CARD.height - grid.clientHeight) * scale) + 1;
    layout();
    await page(pageOf(place));
    for (const [at, card] of cards) card.querySelectorAll("button,input").forEach((control) => { control.tabIndex = at === place ? 0 : -1; });
    cards.get(place)?.querySelector("button")?.focus({ preventScroll: true });
  }
  async function choose(place) {
    active = place;
    const row = await rowAt(place);
    if (row) await open(row.molecule); // a new search may have removed it
  }

  // ---- updates from the widget

  function refresh() { // same molecules, other labels
    pages = new Map();
    layer.replaceChildren();
    cards.clear();
    draw();
  }
  function show(found) { // new search results
    n = found;
    active = 0;
    grid.scrollTop = 0;
    refresh();
  }
  async function markOpened(molecule) {
    opened = molecule;
    for (const [place, card] of cards) card.classList.toggle("open", (await rowAt(place))?.molecule === opened);
  }
  async function markSelected() { // after a change of the selection; keeps the cards and the focus
    const visible = new Set([...cards.keys()].map(pageOf));
    for (const index of pages.keys()) if (!visible.has(index)) pages.delete(index);
    for (const index of visible) {
      const found = await page(index);
      const { marks } = await ui.ask("marks", { molecules: found.map((row) => row.molecule) });
      found.forEach((row, i) => { row.selected = marks[i]; });
    }
    for (const [place, card] of cards) {
      const selected = Boolean((await rowAt(place))?.selected), box = card.querySelector("input");
      card.classList.toggle("selected", selected);
      if (box) box.checked = selected;
    }
  }
  const empty = (...nodes) => { layer.replaceChildren(); cards.clear(); layer.append(h("div", { className: "molfm-empty", role: "listitem" }, nodes)); };
  return { root: grid, show, empty, refresh, markOpened, markSelected };
}
