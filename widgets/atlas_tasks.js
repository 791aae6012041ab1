// One task as a card (facts and label distribution), and all tasks as a table with label counts.

const isRate = ({ positive_rate: rate }) => rate !== null && rate !== undefined;

/** The card of one task. `select(task)` selects the molecules that have a label for it. */
function taskCard(ui, about, select) {
  const root = h("div", { className: "molfm-taskcard" });
  let shown = -1, asked = 0;

  async function show(column) {
    if (column === shown) return;
    shown = column;
    const mine = ++asked, task = about.tasks[column], question = { task: task.task };
    await new Promise((resolve) => setTimeout(resolve, 60)); // ignore a pointer that only passes by
    if (mine !== asked) return;
    if (ui.recorded && !ui.recorded.has("distribution", question)) return;
    const found = await ui.ask("distribution", question);
    if (mine !== asked) return;
    ui.remember(question);
    const { kind, unit, level, mean, std, positive_rate: rate, obtained, classes, domain } = task;
    const n = about.splits.map((split) => task[`n_${split}`]).reduce((a, b) => a + b, 0);
    const center = isRate(task) ? `; ${percent(rate)} of the training labels: ${classes[1] === "1" ? "positive" : classes[1]}`
      : mean !== null ? `; training mean ${number(mean)}, standard deviation ${number(std)}` : "";
    root.replaceChildren(...[
      h("h3", { className: "molfm-tasktitle" }, h("span", { className: "molfm-dot", style: { background: `var(--${domain || "quiet"})` }, title: domain || "no domain" }), h("span", {}, breakable(task.task))),
      h("p", { className: "molfm-small" }, `${level} level, ${kind}${unit ? `, ${unit}` : ""}; ${number(n)} ${obtained} labels${center}`),
      kind === "regression" && n ? h("p", { className: "molfm-small" }, `Colours from ${number(Number(task.low.toPrecision(3)))} to ${number(Number(task.high.toPrecision(3)), unit)}`) : null,
      ...distributionChart(task, found),
      h("button", { disabled: Boolean(ui.recorded), onclick: ui.guarded(() => select(task.task)) }, "Select labelled molecules")].filter(Boolean));
  }
  return { root, show };
}

/** The table of all tasks; a button per task selects the molecules that have a label for it. */
function taskTable(ui, about, select) {
  const summary = (task) => isRate(task) ? `${percent(task.positive_rate)} ${task.classes[1] === "1" ? "positive" : task.classes[1]}`
    : task.mean === null ? "" : `${number(task.mean)} ± ${number(task.std)}`;
  const button = (task) => h("button", { disabled: Boolean(ui.recorded), ariaLabel: `Select molecules labelled for ${task.task}`,
    onclick: ui.guarded(() => select(task.task)) }, "Select");
  return table(["task", "domain", "level", "kind", "unit", ...about.splits, "training labels", "select"],
    about.tasks.map((task) => [task.task, task.domain, task.level, task.kind, task.unit,
      ...about.splits.map((split) => number(task[`n_${split}`])), summary(task), button(task)]), "Label counts per task");
}
