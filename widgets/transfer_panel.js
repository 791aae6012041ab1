// The panel beside the matrix: the evidence of the open comparison, or what it takes to run it.

const minus = (text) => text.replace(/(?<=^|[\s(])-(?=\d)/g, "−"); // real minus signs in the sentences of Python
const FURTHER = [0.25, 4]; // numbers of labels that are offered, relative to the one that is shown

/** Ask a question until its answer is complete. `here()`: whether the answer is still wanted; partial(answer): shows what is there. */
async function complete(ui, question, args, here, partial = () => {}) {
  for (;;) {
    const answer = await ui.ask(question, args);
    if (!here()) return null;
    if (answer.done) return answer;
    partial(answer);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** run(blocks), measure(row, counts): start runs. openTarget(label): open one target of a mean. members(row): its targets with verdicts. */
function transferPanel(ui, model, about, { view, run, measure, select, members, openRow }) {
  const root = h("aside", { className: "molfm-side", ariaLabel: "The open comparison" });
  let current = 0;

  const title = (text, words, domain) => [h("h3", {}, text), h("p", { className: "molfm-small" }, domain ? h("span", { className: "molfm-dot", style: { background: `var(--${domain})` } }) : null, ` ${words}`)];

  function empty() {
    current++;
    root.replaceChildren(h("h3", {}, "What the matrix says"), h("p", {}, "Each cell compares a target trained alone with the same target trained with a source, over paired seeds."),
      h("p", { className: "molfm-hint" }, about.complete ? "Open a cell to see the evidence behind it." : "Open a cell to see its evidence, or run an empty one. A cell says about how long it takes on this machine."));
  }

  /** A cell without a verdict: why, and how to get one. */
  function unrun(row, column, cell, block) {
    current++;
    const { words, domain } = about.columns[column], { label, kind } = about.rows[row];
    const others = about.rows.filter(({ group, kind: of }) => group === about.rows[row].group && of === "target").length;
    const together = others > 1 ? ` The ${number(others)} targets of this network are trained together, so they are run together.` : "";
    const content = {
      undefined: [h("p", {}, `There is no verdict: ${cell.reason.replace("undefined: ", "")}.`)],
      refused: [h("p", {}, h("strong", {}, "This comparison is refused. "), block?.why ?? ""), h("p", { className: "molfm-small" }, "It would report a gain that is not transfer, or it cannot be made.")],
      open: [h("p", {}, `Not run. It takes about ${duration(block?.seconds ?? 0)} on this machine.${together}`)],
      failed: [h("p", { className: "molfm-failure" }, `It failed: ${block?.why}`)],
      waiting: [h("p", {}, "Waits for its turn.")], running: [h("p", {}, `Running: ${percent(block?.done ?? 0, 0)}.`)], done: [h("p", {}, "The verdict is being computed.")],
      missing: [h("p", {}, "This comparison is not part of the study.")],
    };
    const state = cell.state === CELL.undefined ? "undefined" : (block?.state ?? "missing");
    const button = ["open", "failed"].includes(state) && !ui.recorded ? h("button", { className: "molfm-main", onclick: ui.guarded(() => run([block.block])) }, state === "failed" ? "Try again" : `Run (about ${duration(block.seconds)})`) : null;
    root.replaceChildren(...title(kind === "target" ? label : `mean of ${label}`, words, domain), ...content[state], button ?? "");
  }

  function targetsSection(row, column) {
    const found = members(row, column);
    const line = ({ row: target, label, cell }) => h("li", {}, h("button", { className: "molfm-plain", onclick: ui.guarded(() => openRow(target, column)) }, label), ` ${signed(cell.difference)}, ${cell.verdict}`);
    if (!found.length) return null;
    const clear = found.filter(({ cell }) => cell.verdict !== "cannot tell").length;
    return section("Its targets", note(`${clear || "None"} of ${number(found.length)} single targets ${clear === 1 ? "has" : "have"} a clear verdict. The largest gains and losses:`),
      h("ul", { className: "molfm-targets" }, [...found.slice(0, 4), ...found.slice(Math.max(4, found.length - 4))].map(line)));
  }

  async function show(row, column, count) {
    const mine = ++current, here = () => mine === current && !ui.signal.aborted, asked = { row, column, count };
    const recorded = (question) => !ui.recorded || ui.recorded.has(question, asked);
    if (!recorded("cell")) return root.replaceChildren(h("p", {}, "This saved page does not contain this comparison. Run the widget in a notebook to see it."));
    const cell = await ui.ask("cell", asked);
    if (!here()) return;
    const { words, domain } = about.columns[column], target = about.rows[row].kind === "target";
    const pairs = pairsSection(ui, cell, { view });
    const slots = Object.fromEntries(["curves", "efficiency", "gradients", "molecules"].map((name) => [name, h("div", {})]));
    const label = view().p === "p" ? verdictFor(cell.difference, cell.p, cell.lessIsBetter) : cell.verdict;
    root.replaceChildren(...title(cell.title, words, domain),
      h("p", { className: "molfm-answer" }, h("strong", { className: label.replace(" ", "-") }, label === "helps" ? "It helps. " : label === "hurts" ? "It hurts. " : "Cannot tell. "), minus(cell.answer)),
      h("p", { className: "molfm-small" }, minus(cell.detail)), ...cell.seen.map((text) => h("p", {}, text)),
      cell.lessIsBetter ? note("The metric is an error: less is better.") : "",
      recorded("write") ? writeSection(ui, model, about, asked) : "", pairs.root, slots.efficiency, target ? "" : targetsSection(row, column) ?? "", slots.curves, slots.gradients, slots.molecules);
    if (!recorded("history")) return root.append(note("This saved page has the details of the comparisons that were open when it was saved."));
    const history = await complete(ui, "history", asked, here);
    if (!history) return;
    pairs.fill(history);
    const curves = await complete(ui, "curves", asked, here);
    if (!curves) return;
    slots.curves.replaceChildren(curvesSection(curves, cell, cell.pairs.baseline.length));
    slots.gradients.replaceChildren(gradientsSection(curves));
    if (target && recorded("molecules")) {
      const molecules = await complete(ui, "molecules", asked, here);
      if (!molecules) return;
      slots.molecules.replaceChildren(moleculesSection(ui, molecules, { select }));
    }
    if (recorded("efficiency")) await efficiency(asked, cell, slots.efficiency, here);
  }

  async function efficiency(asked, cell, slot, here, forests = null) {
    const draw = (found) => slot.replaceChildren(efficiencySection(found, cell, {
      train: ui.guarded(() => efficiency(asked, cell, slot, here, { forests: true })), more: found.rows.length < 2 && !ui.recorded ? further(asked, cell) : null }));
    const found = await complete(ui, "efficiency", { ...asked, ...forests }, here, draw);
    if (found) draw(found);
  }

  /** A button that measures the comparison with fewer and more labels. */
  function further({ row, count }, cell) {
    const now = about.counts[count], { labels, n } = about.rows[row], each = Math.floor(labels / n);
    const base = now ?? each, counts = [...new Set(FURTHER.map((factor) => Math.round(base * factor)))].filter((k) => k >= 16 && k < each && !about.counts.includes(k));
    if (!counts.length) return null;
    return h("button", { onclick: ui.guarded(() => measure(row, counts)) }, `Plan it with ${counts.map((k) => number(k)).join(" and ")} labels`);
  }
  return { root, show, unrun, empty };
}
