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

/** Return the text of a chip, such as "crosses", "logBB −0.100, model 0.200", "crosses, model 97%" (for this class) or "no logBB". */
function chipText(facts, task, value, predicted) {
  const name = shortName(task), there = value !== null && value !== undefined, modelled = predicted !== null && predicted !== undefined;
  const label = there ? (facts.named ? labelText(facts, value) : `${name} ${labelText(facts, value)}`) : "";
  if (!modelled) return label || `no ${name}`;
  if (!there) return `${name} model: ${predictionText(facts, predicted)}`;
  if (facts.kind === "binary") return `${label}, model ${percent(value >= 0.5 ? predicted : 1 - predicted, 0)}`;
  return `${label}, model ${number(predicted)}`;
}
