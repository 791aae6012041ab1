"""How good predictions are, with intervals: RMSE or AUROC of out-of-fold predictions, and differences between candidates.

Every prediction comes from a model that did not learn from the molecule. An AUROC compares only molecules of one fold,
because the scores of different models have different scales. Intervals come from the influence of each label, summed
over constitutions (see `molfm.study.statistics`).
"""

import numpy as np
from scipy.stats import norm

from molfm.selection.problem import Target
from molfm.study.statistics import LESS_IS_BETTER, LEVEL, grouped_error
from molfm.training.metrics import auroc, rmse, score

BESIDE = {"rmse": ("r2", "mae"), "auroc": ("average_precision",)}  # metrics reported beside the one that chooses


def auroc_within(preds: np.ndarray, y: np.ndarray, fold: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the share of pairs of one fold and two classes in the right order, and the influence of each label, (n,).

    NaN if no fold has both classes.
    """
    influence, pairs, right = np.zeros(len(y)), 0.0, 0.0
    parts = []
    for number in np.unique(fold):
        here = np.flatnonzero(fold == number)
        value, of_label = auroc(preds[here], y[here])
        if np.isnan(value):
            continue
        positive = y[here] == 1
        n, m = positive.sum(), (~positive).sum()
        share = of_label * np.where(positive, n, m) + value  # of the pairs of each label
        parts.append((here, share, np.where(positive, m, n)))
        pairs, right = pairs + n * m, right + value * n * m
    if not pairs:
        return np.nan, np.full(len(y), np.nan)
    for here, share, partners in parts:
        influence[here] = partners * (share - right / pairs) / pairs
    return right / pairs, influence


def scored(target: Target, preds: np.ndarray, rows: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the value of the target's metric on some of its labels, and their influence, (n_rows,).

    Args:
        target: the target.
        preds: (n,) predictions of all its labels.
        rows: (n_rows,) places of the labels that count.
    """
    if target.metric == "rmse":
        return rmse(preds[rows], target.y[rows])
    return auroc_within(preds[rows], target.y[rows], target.fold[rows])


def counted(target: Target, test: bool) -> np.ndarray:
    """Return the places of the labels that count in scores: those of the test set, or of the folds."""
    return np.flatnonzero(target.scored & ((target.fold < 0) == test))


def interval(target: Target, preds: np.ndarray, rows: np.ndarray, other: np.ndarray | None = None) -> dict[str, float]:
    """Return value, low and high of a score, or of its difference from another one on the same labels."""
    value, influence = scored(target, preds, rows)
    if other is not None:
        base, of_base = scored(target, other, rows)
        value, influence = value - base, influence - of_base
    half = norm.isf(LEVEL / 2) * float(grouped_error(influence, target.constitution[rows]))
    return {"value": float(value), "low": float(value - half), "high": float(value + half)}


def beside(target: Target, preds: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Return the further metrics of predictions: R² and mean absolute error, or the average precision."""
    return {name: score(name, preds[rows], target.y[rows]) for name in BESIDE[target.metric]}


def better(metric: str, value: float, than: float) -> bool:
    """Return whether a value of a metric is better than another; NaN is never better."""
    return value < than if metric in LESS_IS_BETTER else value > than
