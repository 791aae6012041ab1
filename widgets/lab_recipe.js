// The recipe of the next run: what it learns from, how, what that costs, and the code for it.

const KNOB_NAMES = { labels: "labels kept", num_layers: "layers", hidden_channels: "width", learning_rate: "learning rate", batch: "batch", steps: "steps" };
const KNOB_HELP = {
  labels: "Training labels that the target keeps", num_layers: "Message-passing layers", hidden_channels: "Channels of each atom's vector",
  learning_rate: "Highest learning rate of the schedule", batch: "Molecules of each dataset in a step", steps: "Training steps",
};
const rate = (value) => value.toExponential().replace("e-", "e−").replace("e+0", "");

/** Write a time in seconds as people say it. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Return the state of a check box over some tasks: true (all chosen), null (some) or false. */
export function partOf(tasks, chosen) {
  const n = tasks.filter((task) => chosen.has(task)).length;
  return n === 0 ? false : n === tasks.length ? true : null;
}

/** recipe(): the current recipe. change(parts): merges into it. */
function recipePanel(ui, about, { recipe, change }) {
  const still = Boolean(ui.recorded), id = (number) => about.tasks[number].task;
  const labels = (numbers) => numbers.reduce((sum, number) => sum + about.tasks[number].n_train, 0);
  const tree = h("div", { className: "molfm-tree", role: "group", ariaLabel: "Tasks to learn from" }), knobs = h("div", {});
  const says = h("p", { className: "molfm-says", role: "status" }), code = h("pre", { tabIndex: 0 }), line = h("pre", { tabIndex: 0 });
  const open = new Set();

  const groupOf = (name) => about.groups.find((group) => group.id === name);
  const targets = () => groupOf(recipe().target)?.tasks.map(id) ?? [recipe().target];
  function choose(numbers, on) {
    const now = new Set(recipe().tasks);
    for (const number of numbers) on ? now.add(id(number)) : now.delete(id(number));
    change({ tasks: about.tasks.map(({ task }) => task).filter((task) => now.has(task)) });
  }
  const box = (label, numbers, chosen) => checkbox(ui, `Learn from ${label}`, partOf(numbers.map(id), chosen), (on) => choose(numbers, on));
  const count = (numbers) => h("span", { className: "molfm-number" }, number(labels(numbers)));

  function drawTree() {
    const chosen = new Set(recipe().tasks);
    const domains = [...new Set(about.groups.map(({ domain }) => domain))];
    tree.replaceChildren(...domains.map((domain) => {
      const groups = about.groups.filter((group) => group.domain === domain), all = groups.flatMap(({ tasks }) => tasks);
      const rows = groups.map((group) => {
        const name = group.id.replace("/", " · "), n = group.tasks.length;
        if (n === 1) return h("label", { className: "molfm-leaf" }, box(id(group.tasks[0]), group.tasks, chosen), h("span", {}, shortName(id(group.tasks[0]))), count(group.tasks));
        const inside = h("div", { className: "molfm-inside" });
        const details = h("details", { open: open.has(group.id), ontoggle: () => {
          details.open ? open.add(group.id) : open.delete(group.id);
          if (details.open && !inside.childNodes.length) inside.append(...group.tasks.map((task) =>
            h("label", { className: "molfm-leaf" }, box(id(task), [task], new Set(recipe().tasks)), h("span", { title: id(task) }, shortName(id(task))), count([task]))));
        } }, h("summary", { title: `${n} tasks` }, `${name} (${n})`), inside);
        return h("div", { className: "molfm-leaf" }, box(name, group.tasks, chosen), details, count(group.tasks));
      });
      const dot = h("span", { className: "molfm-dot", style: { background: domain ? `var(--${domain})` : "" } });
      return h("div", { className: "molfm-domain" }, h("label", { className: "molfm-leaf" }, box(domain || "other tasks", all, chosen), dot, h("span", {}, domain || "other"), count(all)), rows);
    }));
    if (still) for (const input of tree.querySelectorAll("input")) input.disabled = true;
  }

  const graph = (number) => about.tasks[number].level === "graph";
  function presetTasks(kind) {
    const mine = new Set(targets()), domain = about.tasks.find(({ task }) => mine.has(task))?.domain;
    const wanted = { alone: () => false, quantum: (task) => task.domain === "quantum", biology: (task) => task.domain === domain, everything: () => true }[kind];
    return about.tasks.filter((task) => mine.has(task.task) || wanted(task)).map(({ task }) => task);
  }

  function drawKnobs() {
    const now = recipe(), chosen = new Set(now.tasks);
    const groups = about.groups.filter(({ tasks }) => tasks.length > 1 && tasks.every((one) => graph(one) && chosen.has(id(one))));
    const singles = about.tasks.filter(({ task, level }) => chosen.has(task) && level === "graph").map(({ task }) => task);
    const target = h("select", { ariaLabel: "Target", onchange: ui.guarded(() => change({ target: target.value, labels: null })) },
      options([...groups.map((group) => [group.id, `${group.id}, mean of ${group.tasks.length}`]), ...singles.map((task) => [task, shortName(task)])], now.target));
    if (target.value !== now.target) target.prepend(h("option", { value: now.target, selected: true }, `${shortName(now.target)} (not chosen)`));
    const least = Math.min(...about.tasks.filter(({ task }) => targets().includes(task)).map(({ n_train }) => n_train));
    const kept = [...about.labels.filter((n) => n < least), null];
    const knob = (name, values, text) => slider(ui, KNOB_NAMES[name], values, now[name], { text, callback: (value) => change({ [name]: value }) }).root;
    const checkpoint = h("select", { ariaLabel: "Start from", onchange: ui.guarded(() => change({ start_from: checkpoint.value || null })) },
      options([["", "new weights"], ...[...new Set([...about.checkpoints, ...(now.start_from ? [now.start_from] : [])])].map((name) => [name, name])], now.start_from ?? ""));
    const model = h("select", { ariaLabel: "Layer", onchange: ui.guarded(() => change({ model: model.value })) }, options(about.models.map((name) => [name, name]), now.model));
    const seed = h("input", { type: "number", min: 0, step: 1, value: now.seed, className: "molfm-narrow", ariaLabel: "Seed", onchange: ui.guarded(() => change({ seed: Math.max(0, Math.round(Number(seed.value)) || 0) })) });
    const presets = [["alone", "alone"], ["quantum", "with quantum"], ["biology", "with biology"], ["everything", "everything"]];
    knobs.replaceChildren(...[
      h("div", { className: "molfm-pair" }, h("span", {}, "target"), target),
      h("div", { className: "molfm-presets", role: "group", ariaLabel: "Learn the target" }, presets.map(([kind, text]) =>
        h("button", { type: "button", ariaPressed: String(JSON.stringify(presetTasks(kind)) === JSON.stringify(now.tasks)), onclick: ui.guarded(() => change({ tasks: presetTasks(kind) })) }, text))),
      knob("labels", kept, (value) => (value === null ? `all ${number(least)}` : number(value))),
      h("div", { className: "molfm-pair" }, h("span", {}, "start from"), checkpoint),
      ...(now.start_from ? [h("p", { className: "molfm-small" }, "Layers and width are those of the checkpoint.")] : [
        h("div", { className: "molfm-pair" }, h("span", {}, "layer"), model), knob("num_layers", about.knobs.num_layers), knob("hidden_channels", about.knobs.hidden_channels)]),
      knob("learning_rate", about.knobs.learning_rate, rate), knob("batch", about.knobs.batch), knob("steps", about.knobs.steps),
      h("div", { className: "molfm-pair" }, h("span", {}, "seed"), seed),
    ]);
    knobs.querySelectorAll(".molfm-slider input").forEach((input) => { input.title = Object.entries(KNOB_NAMES).filter(([, name]) => name === input.ariaLabel).map(([key]) => KNOB_HELP[key])[0] ?? ""; });
    if (still) for (const control of knobs.querySelectorAll("input,select,button")) control.disabled = true;
  }

  let asked = 0;
  async function plan() {
    if (still) return;
    const mine = ++asked;
    for (;;) {
      const found = await ui.ask("plan", { recipe: recipe() });
      if (mine !== asked) return;
      says.classList.toggle("wrong", Boolean(found.problem));
      code.textContent = found.code ?? "";
      line.textContent = found.command ?? "";
      says.replaceChildren(...(found.problem ? [found.problem] : sentence(found)));
      if (!found.measuring) return;
      await new Promise((resolve) => setTimeout(resolve, 700));
      if (ui.signal.aborted || mine !== asked) return;
    }
  }
  function sentence({ parameters, seconds, memory, passes, others, measuring }) {
    const strong = (text) => h("strong", {}, text), times = (value) => (value < 9.5 ? rounded(value, 2) : number(Math.round(value)));
    const out = ["A network of ", strong(number(parameters)), " weights"];
    if (measuring) return [...out, ". Measuring how fast this machine is …"];
    if (seconds === undefined) return [...out, "."];
    out.push(", about ", strong(duration(seconds)), ` and ${rounded(memory / 1e9, 2)} GB here.`);
    if (passes !== null) out.push(" It will see each label of the target ", strong(`${times(passes)} times`), others === null ? "." : `, and each other label ${times(others)} times.`);
    return out;
  }
  const copy = (what, node) => h("button", { type: "button", className: "molfm-plain", disabled: still, onclick: ui.guarded(async () => {
    await navigator.clipboard.writeText(node.textContent);
    ui.say(`The ${what} is on the clipboard.`);
  }) }, `Copy ${what}`);

  const root = h("div", { className: "molfm-recipe" }, h("h4", {}, "Learn from"), tree, h("h4", {}, "How"), knobs, says,
    h("details", {}, h("summary", {}, "Code"), code, copy("Python", code), line, copy("command", line)));
  function show() { drawTree(); drawKnobs(); ui.guarded(plan)(); }
  return { root, show, targets };
}
