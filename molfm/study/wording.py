"""The findings of a study in sentences."""

import pandas as pd

from molfm.plots.style import METRIC_NAMES, arm_name
from molfm.study.comparison import Comparison
from molfm.study.label_efficiency import LabelEfficiency

SENTENCES = 6  # up to so many comparisons are described one by one; of more, only those with a clear effect
_HOW = {
    "cotrain": "Training together with {}",
    "finetune": "Fine-tuning a network pretrained on {}",
    "probe": "A linear probe on a frozen network trained on {}",
}
_EFFECT = {"helps": "improved", "hurts": "worsened", "cannot tell": "made no visible difference to"}


def finding(row: pd.Series) -> str:
    """Describe in words what one row of `TransferResult.table` found, and what it could have missed."""
    if row.verdict.startswith("undefined"):
        return f"{row.target}, {arm_name(row.regime, row.source)}: {row.verdict}."
    metric, how = METRIC_NAMES[row.metric], _HOW[row.regime].format(row.source)
    where = "the test set" if row.split == "test" else "test molecules that the source was trained on"
    return (
        f"{how} {_EFFECT[row.verdict]} {row.target}: {metric} on {where} was {row.baseline:.2f} for the target alone "
        f"and {row.value:.2f} with the source, a difference of {row.difference:+.3f} (95% interval {row.low:+.3f} to "
        f"{row.high:+.3f}, adjusted p {row.p_adjusted:.2g}; {row.seeds} paired seeds, {row.n_labels} training labels, "
        f"{row.n_test} test labels). A difference below {row.detectable:.2g} would probably have been missed."
    )


def findings(result: Comparison) -> list[str]:
    """Describe a study in sentences: first the means of targets, then each comparison.

    With more than `SENTENCES` comparisons, only those with a clear effect are described, and the last sentence counts
    them.
    """
    table = result.table
    described = table if len(table) <= SENTENCES else table[table.verdict.isin(["helps", "hurts"])]
    sentences = [finding(row) for rows in (result.means, described) for _, row in rows.iterrows()]
    if len(described) < len(table):
        sentences += [
            f"{len(described)} of {len(table)} comparisons show a clear effect. The others are inconclusive or "
            "undefined."
        ]
    return sentences


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
    return (
        f"{first.target}, {arm} compared with {baseline}: {'; '.join(verdicts)} training labels. {' '.join(ends)} "
        f"{first.draws} draws of split and training labels, about {first.n_test} test labels each."
    )
