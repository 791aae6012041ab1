// The search bar: query, dataset, split, order and filters. Every control writes to the view and shows its state.

/** change(parts): merges into the view. Returns the bar, the checkbox for selected molecules, and mirror(), which shows the view. */
function searchBar(ui, about, { view, change }) {
  const still = Boolean(ui.recorded), all = ["", "all"];
  const named = (names) => names.map((name) => [name, name]);
  const taskIds = named(about.tasks.map(({ task }) => task));
  const value = (input) => (input.value === "" ? null : Number(input.value));
  const submitted = (callback) => ui.guarded((event) => { event.preventDefault(); return callback(); });
  const select = (pairs, callback) => h("select", callback ? { onchange: ui.guarded(callback) } : {}, options(pairs));
  const checkbox = (callback) => h("input", { type: "checkbox", onchange: ui.guarded(callback) });
  const limit = () => h("input", { type: "number", step: "any", className: "molfm-narrow" });

  const way = select([["text", "name, ID or SMILES"], ["substructure", "substructure (SMARTS)"], ["similarity", "similarity (SMILES)"]]);
  const query = h("input", { type: "search", size: 22, placeholder: "aspirin, CCO, #12 …" });
  const dataset = select([all, ...named(about.datasets)], () => change({ datasets: dataset.value ? [dataset.value] : null }));
  const split = select([all, ...named(about.splits)], () => change({ split: split.value }));
  const order = () => change({ sort: sort.value.replace(/^predicted /, ""), predicted: sort.value.startsWith("predicted "), descending: descending.checked });
  const sort = select([["", "original order"], ...taskIds, ...about.predicted.map((task) => [`predicted ${task}`, `${task} (predicted)`])], order);
  const descending = checkbox(order);
  const selected = checkbox(() => change({ selected: selected.checked }));
  const filterTask = select(taskIds), presence = select([["measured", "measured"], ["unmeasured", "not measured"]]);
  const low = limit(), high = limit();
  const pills = h("div", { className: "molfm-pills" });

  const search = submitted(() => change({ way: way.value, query: query.value }));
  const addFilter = submitted(() => change({ filters: [...(view().filters ?? []),
    { task: filterTask.value, presence: presence.value, min: value(low), max: value(high) }] }));
  const chips = () => view().chips ?? [];
  const showOnCards = ui.guarded(() => change({ chips: [...new Set([...chips(), filterTask.value])] }));

  const root = h("div", { className: "molfm-bar", role: "search" },
    h("form", { className: "molfm-row", onsubmit: search },
      field("Search by", way), field("Query", query), sketchButton(ui, { start: () => (query.value && way.value !== "text" ? query.value : ""), done: change }),
      h("button", { type: "submit", className: "molfm-main" }, "Search"),
      field("Dataset", dataset), field("Split", split), h("span", { className: "molfm-field" }, field("Sort by", sort), field("Descending", descending))),
    h("form", { className: "molfm-row", onsubmit: addFilter },
      field("Task", filterTask), field("Label", presence), field("Min", low), field("Max", high),
      h("button", { type: "submit" }, "Add filter"), h("button", { type: "button", onclick: showOnCards }, "Show on cards")),
    pills);
  if (still) for (const control of [selected, ...root.querySelectorAll("input,select,button")]) control.disabled = true;

  const pill = (text, remove) => h("span", { className: "molfm-pill" }, text,
    h("button", { type: "button", disabled: still, ariaLabel: `Remove ${text}`, onclick: ui.guarded(remove) }, "×"));
  const there = (bound) => bound !== null && bound !== undefined;
  const range = ({ min, max }) => [there(min) ? ` ≥ ${number(min)}` : "", there(max) ? ` ≤ ${number(max)}` : ""].filter(Boolean).join(" and");
  const filterText = (filter) => `${filter.task} ${filter.presence === "unmeasured" ? "not measured" : `measured${range(filter)}`}`;

  function mirror() {
    const now = view();
    way.value = now.way ?? "text";
    query.value = now.query ?? "";
    dataset.value = now.datasets?.[0] ?? "";
    split.value = now.split ?? "";
    sort.value = (now.predicted ? "predicted " : "") + (now.sort ?? "");
    descending.checked = Boolean(now.descending);
    selected.checked = Boolean(now.selected);
    pills.replaceChildren(
      ...(now.filters ?? []).map((filter, i) => pill(filterText(filter), () => change({ filters: view().filters.filter((_, j) => j !== i) }))),
      ...chips().map((task) => pill(`shown on cards: ${task}`, () => change({ chips: chips().filter((other) => other !== task) }))));
  }
  return { root, selected, mirror };
}
