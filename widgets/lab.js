// TrainingLab: the recipe, the curves of a run, what it predicts, and the table of runs; it looks at the run folders while runs train.

const POLL = { active: 400, idle: 4000 }; // milliseconds between looks at the runs

async function build(ui, model) {
  const about = await ui.ask("about"), still = Boolean(ui.recorded);
  const view = () => model.get("view"), recipe = () => model.get("recipe") ?? about.recipe;
  let state = { runs: [], curves: {} }, timer = 0, hovered = null;

  const run = () => (state.runs.some(({ name }) => name === view().run) ? view().run : state.runs[0]?.name ?? null);
  const current = () => state.runs.find(({ name }) => name === run()) ?? null;
  const focus = () => view().focus ?? current()?.target ?? recipe().target;
  const guesses = () => view().guesses ?? {};
  const guess = () => guesses()[run()] ?? null;
  const guessing = () => Boolean(view().guessFirst) && run() !== null && guess() === null;
  const compared = () => (view().compared ?? []).filter((name) => state.runs.some((one) => one.name === name));

  const plan = recipePanel(ui, about, { recipe, change: (parts) => {
    model.set("recipe", { ...recipe(), ...parts });
    model.save_changes();
    plan.show();
  } });
  const select = async (molecules) => {
    await ui.ask("select", { molecules });
    ui.say(`${number(molecules.length)} ${molecules.length === 1 ? "molecule" : "molecules"} selected.`);
  };
  const curves = curvesPanel(ui, about, {
    now: () => ({ focus: focus(), measure: view().measure ?? "metric", run: run(), curves: state.curves, runs: state.runs, guess: guess(), guessing: guessing(),
      step: view().step ?? null, total: current()?.total ?? 0 }),
    focus: (name) => { ui.remember({ focus: name, step: null }); return look(); },
    measure: (kind) => { ui.remember({ measure: kind }); show(); },
    guess: (value) => { ui.remember({ guesses: { ...guesses(), [run()]: value } }); show(); },
    at: (step) => { hovered = step; },
  });
  curves.root.addEventListener("click", ui.guarded((event) => { // a click on the chart shows that step on the right
    if (hovered === null || !event.target.closest("svg.molfm-chart")) return undefined;
    ui.remember({ step: hovered });
    return show();
  }));
  const watch = watchPanel(ui, about, {
    now: () => ({ run: run(), focus: focus(), step: view().step ?? null, chosen: model.get("chosen")?.checksum, snapshots: guessing() ? [] : state.curves[run()]?.snapshots ?? [] }),
    step: (step) => { ui.remember({ step }); return show(); }, select,
  });
  const runs = runsPanel(ui, {
    now: () => ({ runs: state.runs, run: run(), compared: compared(), metric: focus() ? curves.metricName() : "value" }),
    open: (name) => { ui.remember({ run: name, step: null, focus: null }); return look(); },
    compare: (name, on) => { ui.remember({ compared: on ? [...compared(), name] : compared().filter((other) => other !== name) }); return look(); },
    load: async (name) => { await take((await ui.ask("recipe", { run: name })).recipe, `The recipe has the settings of ${name} now.`); },
  });
  const worst = worstPanel(ui, { select });

  async function take(next, text) {
    model.set("recipe", next);
    model.save_changes();
    plan.show();
    ui.say(text);
  }
  const button = (text, callback, className = "") => h("button", { type: "button", className, disabled: still, onclick: ui.guarded(callback) }, text);
  const status = h("span", { className: "molfm-status", role: "status", ariaLive: "off" }), problem = h("div", { className: "molfm-problem" });
  const stop = button("Stop", async () => { stop.disabled = true; await ui.ask("stop", { run: run() }); return look(); });
  const resume = button("Resume", async () => { await ui.ask("resume", { run: run() }); return look(); });
  const fork = button("Fork", async () => take((await ui.ask("fork", { run: run() })).recipe, "The next run starts from these weights."));
  const start = button("Start", async () => {
    start.disabled = true;
    try {
      const { run: name } = await ui.ask("start", { recipe: recipe() });
      ui.remember({ run: name, focus: recipe().target, step: null });
      await look();
    } finally { start.disabled = false; }
  }, "molfm-main");
  const guessFirst = h("input", { type: "checkbox", disabled: still, onchange: ui.guarded(() => { ui.remember({ guessFirst: guessFirst.checked }); show(); }) });

  function tell() {
    const now = current(), alive = now && ALIVE.includes(now.state);
    const left = now?.left === null || now?.left === undefined ? "" : ` · ${duration(now.left)} left`;
    const texts = { queued: "waiting for a free core", starting: "starting …", running: `step ${number(now?.step ?? 0)} of ${number(now?.total ?? 0)}${left}`,
      stopped: `stopped at step ${number(now?.step ?? 0)}`, finished: `finished, ${number(now?.total ?? 0)} steps`, failed: "failed", died: "the process ended" };
    status.textContent = now ? `${now.short}: ${texts[now.state] ?? now.state}` : "";
    stop.hidden = !alive;
    stop.disabled = still;
    resume.hidden = !now || !["stopped", "failed", "died"].includes(now.state);
    fork.hidden = now?.state !== "finished";
    start.textContent = state.runs.length ? "Start another" : "Start";
    const text = now && ["failed", "died"].includes(now.state) ? now.error : "";
    if (problem.dataset.text !== text) {
      problem.dataset.text = text;
      const lines = text.trim().split("\n");
      problem.replaceChildren(...(text ? [h("p", {}, now.state === "died" ? lines[0] : `The run failed: ${lines.at(-1)}`), h("details", {}, h("summary", {}, "The whole message"), h("pre", { tabIndex: 0 }, text))] : []));
    }
  }
  async function show() {
    tell();
    guessFirst.checked = Boolean(view().guessFirst);
    curves.show();
    runs.show();
    await watch.show();
    worst.show(watch.worst());
  }
  async function look() {
    clearTimeout(timer);
    const wanted = [run(), ...compared().filter((name) => name !== run())].filter(Boolean);
    const question = still ? ui.recorded.asked("poll")[0] : { focus: focus() ?? null, shown: wanted.length ? wanted : view().run ? [view().run] : [] };
    try {
      const found = await ui.ask("poll", question);
      for (const [place, one] of [...found.runs].reverse().entries()) one.short = `run ${place + 1}`;
      const first = !state.runs.length && found.runs.length && !question.shown.length;
      state = found;
      await show();
      if (first) return look(); // the curves of the newest run
    } finally {
      if (!still && !ui.signal.aborted) {
        const active = state.runs.some((one) => ALIVE.includes(one.state)) || state.curves[run()]?.reference?.pending;
        clearTimeout(timer);
        timer = setTimeout(ui.guarded(look), active ? POLL.active : POLL.idle);
      }
    }
    return undefined;
  }
  ui.signal.addEventListener("abort", () => clearTimeout(timer));

  ui.root.append(
    h("div", { className: "molfm-row molfm-head" }, h("strong", {}, "Training lab"), h("span", { className: "molfm-small" }, `${about.name} · ${number(about.n)} molecules`), ui.news,
      selectionCount(ui, model), status, stop, resume, fork, start),
    ui.errors, problem,
    h("div", { className: "molfm-lab" }, plan.root,
      h("div", { className: "molfm-centre" }, curves.root, h("label", { className: "molfm-small molfm-first" }, guessFirst, "Guess first: hide the curve of a new run until you have guessed."), worst.root), watch.root),
    runs.root);
  plan.show();
  ui.listen("change:view", show);
  ui.listen("change:chosen", show);
  ui.listen("change:recipe", () => plan.show());
  await look();
}

const render = rendering("TrainingLab", build);

export default { render };
