// The table of runs, the settings in which some of them differ, and the molecules with the largest errors.

const STATES = { queued: "waiting", starting: "starting", running: "running", stopped: "stopped", finished: "finished", failed: "failed", died: "died" };
const ALIVE = ["queued", "starting", "running"];

/** Sort rows by a column, missing values last; the same order for equal values. */
export function sortedBy(rows, key, descending) {
  if (!key) return rows;
  const missing = (row) => row[key] === null || row[key] === undefined;
  return [...rows].sort((a, b) => missing(a) - missing(b) || (descending ? -1 : 1) * (a[key] > b[key] ? 1 : a[key] < b[key] ? -1 : 0));
}

/** now(): { runs, run, compared, metric }. The callbacks act on a run by its name. */
function runsPanel(ui, { now, open, compare, load, settings }) {
  const root = h("div", { className: "molfm-runs" }), differ = h("div", {}), columns = [
    ["short", "run"], ["state", "state"], ["learned", "learned from"], ["labels", "labels"], ["step", "steps"], ["best", ""], ["seconds", "time"]];
  let by = null, descending = true, drawn = "";

  function show() {
    const { runs, run, compared, metric } = now(), key = JSON.stringify([runs, run, compared, metric, by, descending]);
    if (key === drawn) return;
    drawn = key;
    const held = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const head = columns.map(([name, text]) => h("th", { scope: "col", ariaSort: by === name ? (descending ? "descending" : "ascending") : "none" },
      h("button", { type: "button", className: "molfm-plain", "data-key": `sort ${name}`, onclick: ui.guarded(() => { descending = by === name ? !descending : true; by = name; show(); }) }, text || `best ${metric}`)));
    const body = sortedBy(runs, by, descending).map((one) => {
      const act = (text, callback, label = `${text} ${one.short}`) => h("button", { type: "button", className: "molfm-plain", ariaLabel: label, "data-key": label, disabled: Boolean(ui.recorded), onclick: ui.guarded(callback) }, text);
      const box = checkbox(ui, `Draw ${one.short} beside the run that is shown`, compared.includes(one.name) || one.name === run, (on) => compare(one.name, on));
      box.disabled = one.name === run || Boolean(ui.recorded);
      return h("tr", { className: one.name === run ? "shown" : "" },
        h("td", {}, act(one.short, () => open(one.name), `Show ${one.short}`)), h("td", {}, STATES[one.state] ?? one.state), h("td", {}, one.learned), h("td", {}, one.labels),
        h("td", { className: "right" }, one.step === one.total ? number(one.total) : `${number(one.step)} of ${number(one.total)}`),
        h("td", { className: "right" }, one.best === null ? "" : rounded(one.best)), h("td", { className: "right" }, duration(one.seconds)),
        h("td", { className: "molfm-acts" }, h("label", {}, box, " draw"), act("settings", () => load(one.name), `Take the settings of ${one.short}`)));
    });
    root.replaceChildren(h("h4", {}, "Runs"), runs.length ? h("div", { className: "molfm-table", tabIndex: 0, role: "region", ariaLabel: "Runs" },
      h("table", {}, h("thead", {}, h("tr", {}, head, h("th", { scope: "col" }, "actions"))), h("tbody", {}, body)))
      : h("p", { className: "molfm-empty" }, "No run on this mix yet."), differ);
    if (held) [...root.querySelectorAll("[data-key]")].find((node) => node.dataset.key === held)?.focus();
    ui.guarded(drawDifferences)();
  }

  let asked = "";
  async function drawDifferences() {
    const { run, compared, runs } = now(), names = [run, ...compared.filter((name) => name !== run)];
    const key = JSON.stringify(names);
    if (key === asked || ui.recorded) return;
    asked = key;
    if (names.length < 2) return differ.replaceChildren();
    const { rows } = await ui.ask("compare", { runs: names });
    if (asked !== key) return;
    const short = (name) => runs.find((one) => one.name === name)?.short ?? name;
    differ.replaceChildren(rows.length ? table(["setting", ...names.map(short)], rows, "Settings in which the drawn runs differ") : h("p", { className: "molfm-small" }, "The drawn runs have the same settings."));
  }
  return { root, show };
}

/** The molecules with the largest errors on validation labels. */
function worstPanel(ui, { select }) {
  const root = h("div", { className: "molfm-worst" });
  function show(rows) {
    if (!rows.length) return root.replaceChildren();
    const cards = rows.map(({ name, svg: text, task, measured, predicted }) => h("figure", {}, svg(text), h("figcaption", {},
      h("strong", {}, name), h("span", {}, `${shortName(task)}: measured ${rounded(measured)}, predicted ${rounded(predicted)}`))));
    root.replaceChildren(h("div", { className: "molfm-row" }, h("h4", {}, "Largest errors on validation"),
      h("button", { type: "button", className: "molfm-plain", disabled: Boolean(ui.recorded), onclick: ui.guarded(() => select(rows.map(({ molecule }) => molecule))) }, "Select these molecules")),
      h("div", { className: "molfm-cards" }, cards));
  }
  return { root, show };
}
