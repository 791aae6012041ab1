// The curves of a run: a small one per task or group, a large one of what is in focus, warnings, and the guess of a class.

const METRIC_NAMES = { r2: "R²", auroc: "AUROC" };

/** Return the last finite value of an array, or null. */
export function lastOf(values) {
  for (let i = values.length - 1; i >= 0; i--) if (Number.isFinite(values[i])) return values[i];
  return null;
}

const pairs = (xs, ys) => Array.from(xs, (x, i) => [x, ys[i]]);
const twoDigits = (value) => (value === null ? "–" : value.toFixed(2).replace("-", "−"));

/** now(): { focus, measure, run, curves, runs, guess, guessing }. focus(name), measure(kind) and guess(value) are called on a choice. */
function curvesPanel(ui, about, { now, focus, measure, guess, at }) {
  const tiles = h("div", { className: "molfm-tiles", role: "group", ariaLabel: "Tasks of the run" });
  const title = h("h4", {}), chart = h("div", {}), read = h("p", { className: "molfm-small molfm-read" }), told = h("div", { className: "molfm-alerts", role: "status" });
  const choice = segmented(ui, "Show", [["metric", "metric"], ["loss", "loss"]], now().measure, measure);
  const byName = Object.fromEntries(about.tasks.map((task) => [task.task, task]));
  const members = (name) => about.groups.find(({ id }) => id === name)?.tasks.map((number) => about.tasks[number]) ?? (byName[name] ? [byName[name]] : []);
  const domain = (name) => members(name)[0]?.domain ?? "";
  const metricOf = (name) => METRIC_NAMES[members(name)[0]?.metric] ?? "metric";
  const nameOf = (name) => (members(name).length > 1 ? `${name.replace("/", " · ")} (${members(name).length})` : shortName(name));
  let drawn = "";

  function drawTiles() {
    const { curves, run, focus: chosen } = now(), mine = curves[run]?.tiles ?? {};
    const kept = document.activeElement?.dataset?.focus;
    tiles.replaceChildren(...Object.entries(mine).map(([name, values]) => {
      const button = h("button", { type: "button", className: "molfm-tile", ariaPressed: String(name === chosen), title: name, onclick: ui.guarded(() => focus(name)) },
        sparkline(pairs(curves[run].steps, values)),
        h("span", { className: "molfm-tilename" }, h("span", { className: "molfm-dot", style: { background: domain(name) ? `var(--${domain(name)})` : "" } }), nameOf(name)),
        h("span", { className: "molfm-number" }, `${metricOf(name)} ${twoDigits(lastOf(values))}`));
      button.dataset.focus = name;
      return button;
    }));
    if (kept) [...tiles.children].find((button) => button.dataset.focus === kept)?.focus();
  }

  function drawChart() {
    const { curves, run, focus: name, measure: kind, runs, guess: guessed, guessing, total } = now(), mine = curves[run];
    if (!mine || !mine.steps.length) {
      title.textContent = name ? `${nameOf(name)} · ${kind === "loss" ? "loss" : metricOf(name)}` : "Learning curve";
      const state = runs.find((one) => one.name === run)?.state;
      const text = !run ? "No run yet. Choose what to learn from and press Start." : state === "queued" ? "Waiting for a free core …"
        : ["starting", "running"].includes(state) ? "Starting. The first validation comes soon …" : "This run ended before its first validation.";
      chart.replaceChildren(h("p", { className: "molfm-empty" }, text));
      read.textContent = "";
      return;
    }
    title.textContent = kind === "loss" ? "Loss · all watched tasks" : `${nameOf(name)} · ${metricOf(name)} on validation`;
    const lines = [], levels = [], loss = kind === "loss";
    if (!guessing) {
      for (const [other, found] of Object.entries(curves)) if (other !== run)
        lines.push({ name: runs.find((one) => one.name === other)?.short ?? other, points: pairs(found.steps, loss ? found.valLoss : found.metric), style: "earlier", quiet: true });
      lines.push({ name: "training", points: loss ? pairs(mine.steps, mine.trainLoss) : pairs(mine.trainSteps, mine.train), style: "training" });
      lines.push({ name: "validation", points: pairs(mine.steps, loss ? mine.valLoss : mine.metric), style: "validation" });
    }
    const { forest, mean } = mine.reference ?? {};
    if (!loss && Number.isFinite(forest)) levels.push({ name: `random forest ${twoDigits(forest)}`, y: forest });
    if (!loss && Number.isFinite(mean)) levels.push({ name: metricOf(name) === "AUROC" ? "chance" : "mean of the labels", y: mean });
    if (!loss && guessed !== null) levels.push({ name: `your guess ${twoDigits(guessed)}`, y: guessed });
    const focusRange = loss || guessing ? {} : { range: rangeOf([...lines.flatMap(({ points }) => points.slice(Math.min(2, points.length - 1)).map(([, y]) => y)), ...levels.map(({ y }) => y)]) };
    chart.replaceChildren(lineChart({ width: Math.max(300, chart.clientWidth || 430), lines, levels, label: `Learning curve: ${title.textContent}. The table below lists the last values.`,
      x: { label: "step", range: [0, Math.max(total, mine.steps.at(-1))] }, y: guessing ? { range: [-0.1, 1] } : focusRange,
      marks: now().step ? [[now().step, "shown on the right"]] : [],
      read: (step) => {
        if (step === null) { tellLast(); return; }
        const place = mine.steps.reduce((best, one, i) => (Math.abs(one - step) < Math.abs(mine.steps[best] - step) ? i : best), 0);
        const value = loss ? mine.valLoss[place] : mine.metric[place];
        read.textContent = guessing ? "" : `Step ${number(mine.steps[place])}: ${rounded(value)} on validation`;
        at(mine.steps[place]);
      } }));
    tellLast();
  }

  function tellLast() {
    const { curves, run, measure: kind, guess: guessed, guessing } = now(), mine = curves[run], values = kind === "loss" ? mine.valLoss : mine.metric;
    if (guessing) { read.textContent = "What will the best validation value be? The curve is shown after your guess."; return; }
    const best = [...values].filter(Number.isFinite), top = best.length ? (kind === "loss" ? Math.min(...best) : Math.max(...best)) : null;
    const result = guessed !== null && top !== null && kind !== "loss" ? ` You guessed ${twoDigits(guessed)}: ${twoDigits(Math.abs(top - guessed))} too ${guessed > top ? "high" : "low"} so far.` : "";
    read.textContent = top === null ? "" : `Best so far: ${rounded(top)} at step ${number(mine.steps[values.indexOf(top)])}.${result}`;
  }

  const input = h("input", { type: "number", step: 0.01, className: "molfm-narrow", ariaLabel: "Your guess" });
  const form = h("form", { className: "molfm-row", onsubmit: ui.guarded((event) => { event.preventDefault(); if (input.value !== "") guess(Number(input.value)); }) },
    h("span", {}, "My guess"), input, h("button", { type: "submit" }, "Show the curve"));

  function show() {
    choice.mark(now().measure);
    form.hidden = !now().guessing;
    const mine = now().curves[now().run];
    const key = JSON.stringify([now().run, now().focus, now().measure, now().guessing, now().guess, now().step, mine?.steps.length, mine?.snapshots.length, mine?.reference, Object.keys(now().curves), now().runs.find(({ name }) => name === now().run)?.state]);
    if (key === drawn) return;
    drawn = key;
    drawTiles();
    drawChart();
    told.replaceChildren(...(now().guessing ? [] : mine?.alerts ?? []).map((text) => h("p", {}, text)),
      ...(mine?.reference?.pending ? [h("p", { className: "molfm-small" }, "A random forest is being trained for comparison …")] : []),
      ...(mine?.reference?.problem ? [h("p", { className: "molfm-small" }, `There is no random forest for comparison. ${mine.reference.problem}`)] : []));
  }
  const again = () => { drawn = ""; show(); };
  let width = 0;
  const resized = new ResizeObserver(eachFrame(() => { if (Math.abs(chart.clientWidth - width) > 1) { width = chart.clientWidth; again(); } }));
  resized.observe(chart);
  ui.signal.addEventListener("abort", () => resized.disconnect());
  ui.onTheme(again);
  return { metricName: () => `${metricOf(now().focus)} of ${nameOf(now().focus)}`,
    root: h("div", { className: "molfm-curves" }, tiles, h("div", { className: "molfm-row molfm-title" }, title, choice.root), form, chart, read, told), show };
}
