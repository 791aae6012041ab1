// MoleculeBrowser: search and filters, the results as a grid of cards, the details of one molecule. All follow the synced view.

/** Return the part of a view that determines the search results. */
const searchOf = ({ chips: _, open: __, ...rest }) => rest;

/** Say why nothing was found and what to try; `act` makes a button that changes the view. */
function nothingFound(answer, view, about, act) {
  const query = (view.query ?? "").trim(), { way, near, among } = answer, say = (...parts) => h("p", {}, parts.flat());
  const narrowed = among < about.n, where = narrowed ? `among the ${number(among)} molecules that split, dataset and filters leave` : `in ${about.name}`;
  const out = [];
  if (!among) out.push(say(view.selected ? "No molecule is selected, or none of the selected ones fits the other filters." : "No molecule fits all filters."));
  else if (way === "substructure") out.push(say(`No molecule ${where} contains the substructure ${query}.`));
  else if (query.startsWith("#")) out.push(say(`There is no molecule ${query} ${where}: they are numbered from 0 to ${number(about.n - 1)}.`));
  else if (query) {
    out.push(say(`No name, ID or SMILES ${where} is or contains “${query}”.`));
    if (near.length) out.push(say("Names like it: ", near.map((name) => act(name, { query: name, way: "text" }))));
    out.push(say("Names come from the tables of the datasets. Try another name of the molecule, a part of it, or its SMILES."));
    if (answer.asMolecule) out.push(say(act("Molecules that contain it", { way: "substructure" }), act("Similar molecules", { way: "similarity" })));
  }
  if (narrowed) out.push(say(act("Remove split, dataset and filters", { split: "", datasets: null, filters: [], selected: false })));
  return out;
}

async function build(ui, model) {
  const about = await ui.ask("about");
  const view = () => model.get("view"), still = Boolean(ui.recorded), saved = still ? await savedMolecules(ui, about) : null;
  let n = 0, asked = 0, answered = 0, opened = -1, calibrating = false; // results, last search begun, last finished, molecule in the panel

  const shownChips = () => [...new Set([...(view().chips ?? []), ...(view().sort && !still ? [view().sort] : [])])];
  const bar = searchBar(ui, about, { view, change: (parts) => { ui.remember(parts); if (still) return find(); } });
  const filters = filterPanel(ui, about, { view, change: ui.remember });
  const cards = cardGrid(ui, about, {
    chips: shownChips,
    rows: saved?.rows ?? ((start) => ui.ask("page", { start, stop: start + about.page, tasks: shownChips() }).then((answer) => answer.rows)),
    open: (molecule) => {
      opened = molecule; // set first, so the change of the view does not open it again
      ui.remember({ open: molecule });
      return open(molecule);
    },
  });
  const panel = detailPanel(ui, about, {
    select: (molecule, on) => ui.ask("select", { on, molecules: [molecule] }),
    similar: (smiles) => ui.remember({ way: "similarity", query: smiles, sort: "", by: "label" }),
  });
  const count = h("strong", { className: "molfm-count" });
  const select = (on) => (answered === asked ? ui.ask("select", { on }) : ui.say("The search is still running. Change the selection when it has finished."));
  const button = (text, title, on) => h("button", { type: "button", title, disabled: still, onclick: ui.guarded(() => select(on)) }, text);
  const only = h("input", { type: "checkbox", disabled: still, onchange: ui.guarded(() => ui.remember({ selected: only.checked })) });

  const tell = () => { count.textContent = `${number(n)} of ${number(about.n)} molecules`; };

  async function open(molecule) {
    if (still && !ui.recorded.has("detail", { molecule }))
      return ui.say("This saved page has no more about this molecule. Run the widget in a notebook to see it.");
    opened = molecule;
    await cards.markOpened(molecule);
    const detail = await ui.ask("detail", { molecule });
    if (opened !== molecule) return;
    panel.show(detail);
    if (about.predicted.length && !detail.calibrated && !still && !calibrating) await calibrate();
  }
  async function calibrate() { // in the background: what the intervals of predictions are worth
    calibrating = true;
    while (!(await ui.ask("calibrate")).done && !ui.signal.aborted);
    if (opened >= 0) panel.show(await ui.ask("detail", { molecule: opened }));
  }

  async function markSelected() {
    await cards.markSelected();
    if (opened >= 0) panel.mark((await ui.ask("marks", { molecules: [opened] })).marks[0]);
  }

  async function find() {
    const mine = ++asked;
    const answer = await (still ? findSaved() : findNow(mine));
    if (!answer || mine !== asked) return; // a newer search has begun
    answered = mine;
    ui.errors.replaceChildren(...(answer.problem ? [h("p", {}, answer.problem)] : []));
    n = answer.n;
    only.checked = Boolean(view().selected);
    bar.mirror(answer.way);
    cards.show(n);
    tell();
    ui.say("");
    if (!n) {
      opened = -1;
      panel.clear();
      const act = (text, parts) => h("button", { type: "button", disabled: still && !("query" in parts), onclick: ui.guarded(() => { ui.remember(parts); if (still) return find(); }) }, text);
      cards.empty(...(answer.problem ? [] : nothingFound(answer, view(), about, act)));
    }
    await filters.mirror();
  }
  async function findNow(mine) {
    bar.mirror();
    for (;;) {
      const answer = await ui.ask("find", { view: searchOf(view()) });
      if (mine !== asked || answer.done) return answer;
      count.textContent = `Searching: ${number(answer.checked)} of ${number(answer.of)} molecules …`;
    }
  }
  async function findSaved() { // among the molecules of the saved page, by name and text
    const found = saved.search(view().query ?? "");
    return { n: found, way: "text", near: [], among: saved.all, problem: "" };
  }

  const side = h("aside", { className: "molfm-pane", ariaLabel: "Filters and molecule details" }, filters.root, panel.root);
  bar.top.append(count, ui.news, h("span", { className: "molfm-right" }, selectionCount(ui, model)));
  bar.below.append(h("span", { className: "molfm-right molfm-sort" }, field("Selected only", only),
    button("Select all", "Select all molecules that were found", true), button("Deselect all", "Deselect all molecules that were found", false)));
  ui.root.append(bar.top, bar.below, ui.errors, h("div", { className: "molfm-columns" }, cards.root, side));
  if (still) ui.root.append(h("p", { className: "molfm-small" }, `Saved page: ${saved.complete ? `names and SMILES of all ${number(saved.all)} molecules` : `the first ${number(saved.all)} molecules`}, ` +
    `drawings of the first ${number(saved.drawn)}, all data of the first ${number(ui.recorded.asked("detail").length)}. Search by name, a part of a SMILES or #number; run the widget in a notebook for the rest.`));

  let shown = view();
  ui.listen("change:view", async () => { // changed here, in Python, or in another view of this widget
    const before = shown, now = view(), changed = (part) => JSON.stringify(part(before)) !== JSON.stringify(part(now));
    shown = now;
    if (changed(searchOf)) await find();
    else if (changed(({ chips }) => chips)) { bar.mirror(); cards.refresh(); }
    const { open: wanted = opened } = view();
    if (wanted !== opened && n) await open(wanted);
  });
  ui.listen("change:chosen", () => (view().selected ? find() : markSelected()));
  await find();
  const { open: wanted } = view();
  if (wanted !== undefined && n && (!still || ui.recorded.has("detail", { molecule: wanted }))) await open(wanted);
}

const render = rendering("MoleculeBrowser", build);

export default { render };
