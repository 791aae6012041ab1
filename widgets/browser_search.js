// The search bar: one box that understands names, SMILES, SMARTS and #12; split, dataset, order and the labels on the cards.

const WAY_NAMES = { text: "name or molecule", substructure: "substructure", similarity: "similarity" };

/** change(parts): merges into the view. Returns the bar, the controls for a selection, and mirror(way), which shows the view. */
function searchBar(ui, about, { view, change }) {
  const still = Boolean(ui.recorded);
  const submitted = (callback) => ui.guarded((event) => { event.preventDefault(); return callback(); });
  const select = (pairs, callback, label) => h("select", { ariaLabel: label, onchange: ui.guarded(callback) }, options(pairs));

  const query = h("input", { type: "search", size: 20, ariaLabel: "Search", placeholder: "name, SMILES, SMARTS or #12" });
  const way = select([["", "auto"], ...Object.entries(WAY_NAMES)], () => change({ way: way.value }), "Search by");
  const splits = segmented(ui, "Split", [["", "all"], ...about.splits.map((name) => [name, name])], "", (split) => change({ split }));
  const dataset = select([["", "all datasets"], ...about.datasets.map((name) => [name, name])],
    () => change({ datasets: dataset.value ? [dataset.value] : null }), "Dataset");

  // The order: original, count of labels, a task's labels, predictions or errors. An option's value is "by task".
  const known = about.predicted.filter((task) => task.known);
  const group = (label, pairs) => (pairs.length ? h("optgroup", { label }, options(pairs)) : null);
  const sort = select([], () => order(), "Sort by");
  sort.append(...[...options([["", "original order"], ["count", `number of ${about.counted.what}`]]),
    group("biggest errors: |predicted − label|", known.map(({ task }) => [`error ${task}`, `error of ${task}`])),
    group("labels", about.tasks.map(({ task }) => [`label ${task}`, task])),
    group("predictions", about.predicted.map(({ task }) => [`predicted ${task}`, `${task}, predicted`]))].filter(Boolean));
  const descending = h("button", { type: "button", title: "Reverse the order", onclick: ui.guarded(() => change({ descending: !view().descending })) });
  function order() {
    const [by, ...task] = sort.value.split(" ");
    return change({ by: by || "label", sort: task.join(" "), descending: by === "error" || by === "count" });
  }

  // The labels that the cards show.
  const chips = () => view().chips ?? [];
  const shown = h("span", { className: "molfm-pills" });
  const more = select([], () => { const task = more.value; return task && change({ chips: [...chips(), task] }); }, "Show another label on the cards");
  const pill = (task) => h("span", { className: "molfm-pill", title: task }, shortName(task),
    h("button", { type: "button", ariaLabel: `Do not show ${task} on the cards`, onclick: ui.guarded(() => change({ chips: chips().filter((other) => other !== task) })) }, "×"));

  const top = h("form", { className: "molfm-row molfm-top", role: "search", onsubmit: submitted(() => change({ query: query.value })) },
    query, sketchButton(ui, { start: () => (["substructure", "similarity"].includes(view().way) ? view().query : ""), done: change }),
    h("button", { type: "submit", className: "molfm-main" }, "Search"), way);
  const below = h("div", { className: "molfm-row" }, splits.root, dataset, field("Sort by", h("span", { className: "molfm-sort" }, sort, descending)),
    h("span", { className: "molfm-field" }, h("span", {}, "On cards"), shown, more));
  if (still) for (const control of [way, ...below.querySelectorAll("input,select,button")]) control.disabled = true;
  if (about.note) below.append(h("p", { className: "molfm-small" }, about.note));
  query.addEventListener("search", ui.guarded(() => { if (!query.value && view().query) return change({ query: "" }); })); // the cross in the box

  function mirror(readAs = "") {
    const now = view(), by = now.by ?? "label";
    way.value = now.way ?? "";
    query.value = now.query ?? "";
    way.options[0].textContent = now.query && readAs && !now.way ? `auto: ${WAY_NAMES[readAs]}` : "auto";
    dataset.value = now.datasets?.[0] ?? "";
    splits.mark(now.split ?? "");
    sort.value = by === "count" ? "count" : now.sort ? `${by} ${now.sort}` : "";
    descending.textContent = now.descending ? "↓ largest first" : "↑ smallest first";
    descending.hidden = !sort.value;
    shown.replaceChildren(...chips().map(pill));
    more.replaceChildren(...options([["", "+"], ...[...about.tasks.filter(({ level }) => level === "graph"), ...about.predicted.filter((task) => !task.known)]
      .filter(({ task }) => !chips().includes(task)).map(({ task }) => [task, task])], ""));
  }
  return { top, below, mirror };
}
