// One task as a card with its facts and distribution, and all tasks as a table with their label counts.

const isRate = ({ positive_rate: rate }) => rate !== null && rate !== undefined;

/** The card of one task. `select(task)` selects the molecules with its labels. */
function taskCard(ui, about, select) {
  const root = h("div", { className: "molfm-taskcard" });
  let shown = -1, asked = 0;

  async function show(column) {
    if (column === shown) return;
    shown = column;
    const mine = ++asked, task = about.tasks[column], question = { task: task.task };
    await new Promise((resolve) => setTimeout(resolve, 60)); // the pointer may only pass by
    if (mine !== asked) return;
    if (ui.recorded && !ui.recorded.has("distribution", question)) return;
    const found = await ui.ask("distribution", question);
    if (mine !== asked) return;
    ui.remember(question);
    const { kind, unit, level, mean, std, positive_rate: rate } = task;
    const n = about.splits.map((split) => task[`n_${split}`]).reduce((a, b) => a + b, 0);
    const center = isRate(task) ? `, ${percent(rate)} positive in training`
      : mean !== null ? `, mean ${number(mean)}, standard deviation ${number(std)} in training` : "";
    root.replaceChildren(
      h("h3", {}, task.task),
      h("p", { className: "molfm-small" }, `${level} level, ${kind}${unit ? `, ${unit}` : ""}; ${number(n)} labels${center}`),
      ...distributionChart(task, found),
      h("button", { disabled: Boolean(ui.recorded), onclick: ui.guarded(() => select(task.task)) }, "Select its molecules"));
  }
  return { root, show };
}

/** The table of all tasks, with a button each that selects the molecules with its labels. */
function taskTable(ui, about, select) {
  const summary = (task) => (isRate(task) ? `${percent(task.positive_rate)} positive` : task.mean === null ? "" : `${number(task.mean)} ± ${number(task.std)}`);
  const button = (task) => h("button", { disabled: Boolean(ui.recorded), ariaLabel: `Select the molecules of ${task.task}`,
    onclick: ui.guarded(() => select(task.task)) }, "Select");
  return table(["task", "domain", "level", "kind", "unit", ...about.splits, "training labels", "select"],
    about.tasks.map((task) => [task.task, task.domain, task.level, task.kind, task.unit,
      ...about.splits.map((split) => number(task[`n_${split}`])), summary(task), button(task)]), "Tasks with their label counts");
}
