// MoleculeBrowser: search and filters, the results as a grid of cards, the details of one molecule. All follow the synced view.

/** Return the part of a view that determines the search results. */
const searchOf = ({ chips: _, open: __, ...rest }) => rest;

async function build(ui, model) {
  const about = await ui.ask("about");
  const view = () => model.get("view"), still = Boolean(ui.recorded);
  let n = 0, asked = 0, answered = 0, opened = -1; // number of results, last search begun, last search finished, molecule in the panel

  const bar = searchBar(ui, about, { view, change: ui.remember });
  const cards = cardGrid(ui, about, {
    chips: () => view().chips ?? [],
    open: (molecule) => {
      opened = molecule; // set first, so the change of the view does not open it again
      ui.remember({ open: molecule });
      return open(molecule);
    },
  });
  const panel = detailPanel(ui, {
    select: (molecule, on) => ui.ask("select", { on, molecules: [molecule] }),
    similar: (smiles) => ui.remember({ way: "similarity", query: smiles, sort: "", predicted: false }),
  });
  const count = h("strong", { className: "molfm-count" });
  const select = (on) => (answered === asked ? ui.ask("select", { on }) : ui.say("The search is still running. Change the selection when it has finished."));
  const selectAll = h("button", { disabled: still, onclick: ui.guarded(() => select(true)) }, "Select all results");
  const selectNone = h("button", { disabled: still, onclick: ui.guarded(() => select(false)) }, "Deselect all results");

  function tell() {
    count.textContent = `${number(n)} of ${number(about.n)} molecules`;
    ui.say(`${number(model.get("chosen").molecules)} selected`);
  }

  async function open(molecule) {
    opened = molecule;
    await cards.markOpened(molecule);
    panel.show(await ui.ask("detail", { molecule }));
  }

  async function markSelected() {
    await cards.markSelected();
    if (opened >= 0) panel.mark((await ui.ask("marks", { molecules: [opened] })).marks[0]);
    tell();
  }

  async function find() {
    const mine = ++asked;
    bar.mirror();
    tell();
    for (;;) {
      const answer = await ui.ask("find", still ? ui.recorded.asked("find")[0] : { view: searchOf(view()) });
      if (mine !== asked) return; // a newer search has begun
      ui.errors.replaceChildren(...(answer.problem ? [h("p", {}, answer.problem)] : []));
      if (answer.done) {
        answered = mine;
        n = still ? Math.min(answer.n, ui.recorded.asked("page").length * about.page) : answer.n;
        break;
      }
      count.textContent = `Searching: ${number(answer.checked)} of ${number(answer.of)} molecules …`;
    }
    bar.mirror();
    cards.show(n);
    tell();
    if (still) ui.say(`This saved page shows the first ${number(n)} molecules. Run the widget in a notebook to search.`);
  }

  ui.root.append(bar.root,
    h("div", { className: "molfm-row molfm-found" }, count, field("Selected only", bar.selected), selectAll, selectNone, ui.news),
    ui.errors, h("div", { className: "molfm-columns" }, cards.root, panel.root));

  let shown = view();
  ui.listen("change:view", async () => { // changed here, in Python, or in another view of this widget
    const before = shown, now = view(), changed = (part) => JSON.stringify(part(before)) !== JSON.stringify(part(now));
    shown = now;
    if (changed(searchOf)) await find();
    else if (changed(({ chips }) => chips)) { bar.mirror(); cards.refresh(); tell(); }
    const { open: wanted = opened } = view();
    if (wanted !== opened) await open(wanted);
  });
  ui.listen("change:chosen", () => (view().selected ? find() : markSelected()));
  await find();
  const { open: wanted } = view();
  if (wanted !== undefined && (!still || ui.recorded.has("detail", { molecule: wanted }))) await open(wanted);
}

function render({ model, el }) {
  const ui = frame({ model, el }, "MoleculeBrowser");
  ui.guarded(build)(ui, model);
  return ui.end;
}

export default { render };
