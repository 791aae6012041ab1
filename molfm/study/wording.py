"""The findings of a study in sentences."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from molfm.base.names import UnknownName, listed, minus
from molfm.plots.style import METRIC_NAMES, arm_name
from molfm.study.comparison import Comparison
from molfm.study.label_efficiency import LabelEfficiency

SENTENCES = 6  # up to so many comparisons are described one by one; of more, only those with a clear effect
_MOST_NAMED = 12  # clear comparisons that are named in one sentence
_HOW = {
    "cotrain": "Adding {} to the training",
    "finetune": "Training on {} first",
    "probe": "A linear probe on a frozen network trained on {}",
}
_DOMAINS = {"quantum": "computed quantum properties", "biological": "other biological measurements"}
_VERDICT = {"helps": "a clear gain", "hurts": "a clear loss", "cannot tell": "no visible difference"}


def finding(row: pd.Series, source: str | None = None, counted: bool = False) -> tuple[str, str]:
    """Describe in words what one comparison found, and the numbers behind it.

    Args:
        row: a row of `TransferResult.table`, `means` or `main`.
        source: what to call the source; None for its name.
        counted: say from how many labels the targets learned, because the study compares several numbers.

    Returns:
        The answer in plain words, with what it could have missed; and the details.
    """
    if row.verdict.startswith("undefined"):
        return f"{row.target}, {arm_name(row.regime, row.source)}: {row.verdict}.", ""
    metric, how = METRIC_NAMES[row.metric], _HOW[row.regime].format(source or row.source)
    where = "" if row.split == "test" else " on test molecules that the source was trained on"
    where += f", learned from {row.n_labels:,} labels," if counted else ""
    what = f"the {metric} of {row.target}"
    if row.target.startswith("mean of "):
        what = f"the mean {metric} of {row.target.removeprefix('mean of ')}"
    answer = (
        f"{how} changed {what}{where} by {row.difference:+.3f}: {_VERDICT[row.verdict]}. "
        f"A difference below {row.detectable:.2g} would probably have been missed."
    )
    detail = (
        f"{metric} on {row.n_test:,} test labels: {row.baseline:.3f} alone, {row.value:.3f} with the source; difference "
        f"{row.difference:+.3f} (95% interval {row.low:+.3f} to {row.high:+.3f}, adjusted p {row.p_adjusted:.2g}); "
        f"{row.seeds} paired seeds, {row.n_labels:,} training labels."
    )
    return minus(answer), minus(detail)


def findings(result: Comparison) -> list[tuple[str, str]]:
    """Describe a study in words: first what it is about (`Comparison.main`), then single targets with a clear effect.

    Returns:
        (sentence, details or "") of each finding.
    """
    main = result.main
    rows = result.table if result.means.empty else main
    described = rows if len(rows) <= SENTENCES else rows[rows.verdict.isin(["helps", "hurts"])]
    counted = np.size(result.request.get("n_labels")) > 1
    said = [finding(row, _in_words(result, row.source), counted) for _, row in described.iterrows()]
    if len(described) < len(rows):
        counts = f"{len(described)} of {len(rows)} comparisons show a clear effect."
        said.append((f"{counts} The others are inconclusive or undefined.", ""))
    said += [(sentence, "") for sentence in _single_targets(result)]
    if (width := result.settings.get("precision")) is not None and len(main):
        widest = (main.high - main.difference).max()
        reached = "reached" if widest <= width else "not reached: more seeds were not allowed, or would not help"
        seeds = result.settings["seeds"]
        said.append((f"The wanted precision of ±{width:g} was {reached} (±{widest:.3g} with {seeds} seeds).", ""))
    return said


def _in_words(result: Comparison, source: str) -> str | None:
    """Return what a source is, such as "computed quantum properties (xtb)", or None if its tasks have no one domain."""
    try:
        domains = {result.mix.task(task).domain for task in result.mix.expand(source.split(" + "))}
    except UnknownName:  # a checkpoint, "all" or a counted list
        return None
    words = _DOMAINS.get(domains.pop()) if len(domains) == 1 else None
    return words and f"{words} ({source})"


def _single_targets(result: Comparison) -> list[str]:
    """Return one sentence per arm about the single targets behind a mean."""
    together = {target for members in result.means.members for target, _ in members}
    table = result.table[result.table.target.isin(together)]
    sentences = []
    for (source, regime), of in table.groupby(["source", "regime"], sort=False):
        defined = of[of.difference.notna()]
        gains, losses = (list(dict.fromkeys(defined.target[defined.verdict == word])) for word in ("helps", "hurts"))
        clear = " and ".join(
            f"{len(names) or 'none'} {word}" + (f" ({listed(names, _MOST_NAMED)})" if names else "")
            for names, word in ((gains, "clearly improved"), (losses, "clearly worsened"))
        )
        left = f" {len(of) - len(defined)} are undefined, such as too few actives." if len(of) > len(defined) else ""
        rest = "the others" if gains or losses else "any of them"
        sentences.append(
            f"Of {len(defined)} single targets {arm_name(regime, source)}, {clear}. It cannot be told for {rest}.{left}"
        )
    return sentences


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of comparisons as texts, narrow enough for a page or terminal."""

    def numbers(form: str, *columns: str) -> list[str]:
        rows = table[list(columns)].itertuples(index=False)
        return ["" if row[0] != row[0] else minus(form.format(*row)) for row in rows]

    labels = table[["n_labels", "n_test"]].astype(str)
    seen = ["" if split == "test" else f", {split}" for split in table.split]
    return pd.DataFrame(
        {
            "target": table.target + seen,
            "source": table.source,
            "regime": table.regime,
            "labels, training / test": labels.n_labels + " / " + labels.n_test.replace("<NA>", "-"),
            "seeds": table.seeds.astype(str).replace("<NA>", "-"),
            "alone": numbers("{:.3f}", "baseline"),
            "with source": numbers("{:.3f}", "value"),
            "difference (95% interval)": numbers("{:+.3f} ({:+.3f} to {:+.3f})", "difference", "low", "high"),
            "detectable": numbers("{:.3f}", "detectable"),
            "adjusted p": numbers("{:.2g}", "p_adjusted"),
            "verdict": table.verdict,
        }
    )


def probe_finding(result: LabelEfficiency, arm: str, baseline: str) -> str:
    """Describe in words how one arm of a `LabelEfficiency` compares with another at every number of labels."""
    table = result.against(baseline)
    table = table[(table.arm == arm) & (table.metric == table.metric.iloc[0])]
    verdicts = [
        f"{verdict} with {', '.join(map(str, rows.n_labels))}" for verdict, rows in table.groupby("verdict", sort=False)
    ]
    ends = [
        f"With {row.n_labels} labels, {METRIC_NAMES[row.metric]} on the test set was {row.value:.2f} against "
        f"{row.baseline:.2f}, a difference of {row.difference:+.3f} (95% interval {row.low:+.3f} to {row.high:+.3f})."
        for _, row in table.iloc[[0, -1]].iterrows()
    ]
    first = table.iloc[0]
    return minus(
        f"{first.target}, {arm} compared with {baseline}: {'; '.join(verdicts)} training labels. {' '.join(ends)} "
        f"{first.draws} draws of split and training labels, about {first.n_test} test labels each."
    )


def arm_words(source: str, regime: str) -> str:
    """Return what was done to the target, such as "trained together with xtb"."""
    forms = {"cotrain": "trained together with {}", "finetune": "trained after {}", "probe": "a probe on frozen {}"}
    return forms[regime].format(source)


def history(verdicts: Mapping[int, str]) -> str:
    """Describe how the verdict of a comparison would have changed with the number of pairs.

    Args:
        verdicts: number of pairs -> verdict, in order.
    """
    if len(verdicts) < 2:
        return ""
    spans: list[list] = []  # verdict, first and last number of pairs
    for n, verdict in verdicts.items():
        if spans and spans[-1][0] == verdict:
            spans[-1][2] = n
        else:
            spans.append([verdict, n, n])
    if len(spans) == 1:
        verdict, a, b = spans[0]
        return f"With any number of pairs from {a} to {b}, the study would have said “{verdict}”."
    said = [f"“{verdict}” with {a}" + (f" to {b}" if b > a else "") for verdict, a, b in spans]
    return f"By number of pairs, the study would have said {', '.join(said[:-1])} and {said[-1]}."


def study_code(result: Comparison, folder: Path | None = None) -> list[str]:
    """Return the lines of code that give a study again.

    Args:
        result: the study.
        folder: where it was saved; None to call `molfm.transfer`, which reuses finished runs.
    """
    if folder is not None:
        return ["import molfm", "", f"result = molfm.TransferResult.load({str(folder)!r})"]
    origin = {name: value for name, value in result.mix.origin.items() if value not in (None, 0)}
    data = repr(origin.pop("data"))
    if origin:
        data = f"molfm.load({', '.join([data, *(f'{name}={value!r}' for name, value in origin.items())])})"
    arguments = ",\n    ".join([data, *(f"{name}={value!r}" for name, value in result.request.items())])
    return ["import molfm", "", f"result = molfm.transfer(\n    {arguments},\n)"]
