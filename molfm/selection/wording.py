"""The sentences of a fit: the answer, the optimism, which chemistry it knows."""

from itertools import pairwise

import numpy as np
import pandas as pd

from molfm.base.names import minus
from molfm.selection.candidates import BASELINE, CANDIDATES
from molfm.selection.choice import ENSEMBLE
from molfm.selection.judge import NESTED, Judged
from molfm.selection.scoring import counted, interval

_NAME = {"rmse": "RMSE", "auroc": "AUROC"}
_VISIBLE = 0.0005  # a gain below it is 0.000
FEW = 50  # labels below which every sentence warns


def number(value: float, metric: str = "rmse") -> str:
    """Return a score with the digits that mean something."""
    return minus(
        f"{value:.3f}"
        if metric == "auroc" or abs(value) < 1
        else f"{value:.2f}"
        if abs(value) < 100
        else f"{value:,.0f}"
    )


def span(row: pd.Series, low: str = "low", high: str = "high") -> str:
    """Return the two ends of an interval in words."""
    return f"{number(row[low], row.metric)} to {number(row[high], row.metric)}"


def named(candidate: str, members: dict[str, float]) -> str:
    """Return what a candidate is, in words."""
    if candidate != ENSEMBLE:
        return CANDIDATES[candidate].title
    parts = sorted(members, key=members.get, reverse=True)
    titles = [f"{CANDIDATES[name].title} ({members[name]:.0%})" for name in parts]
    return f"an ensemble of {', '.join(titles[:-1])} and {titles[-1]}" if len(titles) > 1 else titles[0]


def answer(judged: Judged, how: str) -> str:
    """Return the answer for one target in one or two sentences."""
    target, row = judged.target, judged.quoted
    unit = f" {target.task.unit}" if target.task.unit and row.metric == "rmse" else ""
    where = "on the held-out test set" if target.n_test else "on molecules that its models had not seen"
    base = judged.table[judged.table.candidate == BASELINE].iloc[0]
    first = (
        f"{target.task.name} is predicted with an {_NAME[row.metric]} of {number(row.value, row.metric)}{unit} "
        f"(95% interval {span(row)}) {where} ({row.n:,} molecules; {how})"
    )
    mean = judged.table[judged.table.candidate == "mean"].iloc[0]
    first += f", by {named(judged.winner, judged.choice.weights)}."
    constant = f"Always predicting the mean gives {number(mean.value)}" if row.metric == "rmse" else "Chance gives 0.5"
    second = f" {constant}, a random forest {number(base.value, base.metric)}; "
    improves = (row.difference < 0) == (row.metric == "rmse")
    ends = f"{row.difference_low:+.3f} to {row.difference_high:+.3f}"
    found = minus(f"difference {row.difference:+.3f}, 95% interval {ends}")
    if row.difference == 0:
        second += "the forest is the choice."
    elif (row.difference_low > 0) == (row.difference_high > 0):
        second += f"the choice is {'better' if improves else 'worse'} than the forest ({found})."
    else:
        second += f"the choice cannot be told from the forest ({found})."
    return first + second + _doubt(judged)


def _doubt(judged: Judged) -> str:
    """Return why an answer should not be relied on, or an empty string."""
    target, row = judged.target, judged.quoted
    rows = counted(target, test=bool(target.n_test))
    if row.metric == "auroc":
        if row.low <= 0.5:
            return " That is not clearly better than chance."
    elif judged.winner == "mean":
        return " No candidate is better than the mean: this table does not show that the target can be predicted."
    else:
        against = interval(target, judged.preds[judged.winner], rows, judged.preds["mean"])
        if against["high"] >= 0:
            return " That is not clearly better than always predicting the mean."
    return f" With {row.n} molecules, all of this is rough." if row.n < FEW else ""


def optimism(judged: Judged) -> str:
    """Return what the choice itself gained by chance, in a sentence."""
    table = judged.table.set_index("candidate")
    if judged.target.n_test:
        return "Candidates were chosen on the folds and scored once on the test set, so the choice gains nothing by chance."
    best, nested = table.value[judged.winner], table.value[NESTED]
    gain = (nested - best) if judged.target.metric == "rmse" else (best - nested)
    chosen = pd.Series(judged.choice.chosen).value_counts()
    picks = ", ".join(f"{_short(name)} {_times(count)}" for name, count in chosen.items())
    return minus(
        f"The chosen candidate scores {number(best, judged.target.metric)} on the folds that chose it. When each fold is "
        f"scored by what the other folds chose ({picks}), the score is {number(nested, judged.target.metric)}"
        + (f": the choice flatters itself by {gain:.3f}" if gain >= _VISIBLE else ", which is no worse")
        + ". The answer above quotes the second number."
    )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _short(name: str) -> str:
    return "the ensemble" if name == ENSEMBLE else name


def chemistry(judged: Judged) -> tuple[str, pd.DataFrame]:
    """Return which chemistry a model knows: a sentence, and one row per third of the molecules, the most foreign first.

    Columns: similarity_low, similarity_high, value, low, high, n.
    """
    target = judged.target
    rows = counted(target, test=bool(target.n_test))
    preds, edges = judged.preds[judged.winner], np.quantile(judged.similarity[rows], [0, 1 / 3, 2 / 3, 1])
    table = []
    for low, high in pairwise(edges):
        inside = (judged.similarity[rows] >= low) & ((judged.similarity[rows] < high) | (high == edges[-1]))
        if inside.sum() < 5 or low == high:
            continue
        facts = {"similarity_low": low, "similarity_high": high}
        table.append(facts | interval(target, preds, rows[inside]) | {"n": int(inside.sum())})
    table = pd.DataFrame(table, columns=["similarity_low", "similarity_high", "value", "low", "high", "n"]).dropna()
    if len(table) < 2:
        return "The molecules are too few, or too alike, to say where the model is weak.", table
    far, near = table.iloc[0], table.iloc[-1]
    metric = _NAME[target.metric]
    sentence = (
        f"Molecules whose nearest training molecule has a similarity below {far.similarity_high:.2f} are predicted with an "
        f"{metric} of {number(far.value, target.metric)}, those above {near.similarity_low:.2f} with {number(near.value, target.metric)}."
    )
    apart = far.low > near.high if target.metric == "rmse" else far.high < near.low
    more = " Distrust predictions of distant molecules." if apart else " The difference is within chance."
    return sentence + more, table


def coverage(judged: Judged, wanted: float) -> str:
    """Return how well the intervals hold, in a sentence."""
    width = judged.width
    if judged.target.binary:
        return (
            f"A class is excluded if fewer than {1 - wanted:.0%} of its molecules get such a score. Checked on folds that had no "
            f"part in it, the true class was kept for {width.covered:.1%} of {width.n} molecules."
        )
    return (
        f"Prediction intervals are meant to contain {wanted:.0%} of new measurements. Checked on folds that had no part in "
        f"their width, they contained {width.covered:.1%} of {width.n}. They hold for molecules like these."
    )
