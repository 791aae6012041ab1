// Labels in words: classes by their names, "measured" or "computed", the chips of a card.

/** Write a label: a class by its name, a number with its unit. `facts` is the task's entry in `about`. */
function labelText(facts, value) {
  if (value === null || value === undefined) return `not ${facts?.obtained ?? "measured"}`;
  return facts?.classes?.length ? facts.classes[Math.round(value)] : number(value, facts?.unit === "log10" ? "" : facts?.unit);
}

/** Write a prediction: the likelier class with its probability, or a number. */
function predictionText(facts, value) {
  if (facts?.kind === "binary") return `${facts.classes[Number(value >= 0.5)]} (${percent(Math.max(value, 1 - value), 0)})`;
  return number(value, facts?.unit === "log10" ? "" : facts?.unit);
}

/** Return the text of a chip: "crosses", "logBB −0.100", "logBB −0.100, predicted 0.200" or "no logBB". */
function chipText(facts, task, value, predicted) {
  const name = shortName(task), there = value !== null && value !== undefined;
  const parts = [];
  if (there) parts.push(facts.named ? labelText(facts, value) : `${name} ${labelText(facts, value)}`);
  else if (predicted === null || predicted === undefined) parts.push(`no ${name}`);
  if (predicted !== null && predicted !== undefined) parts.push(`${there ? "" : `${name} `}predicted ${predictionText(facts, predicted)}`);
  return parts.join(", ");
}
