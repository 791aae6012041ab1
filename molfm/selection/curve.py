"""Would more data help? The score of a quick candidate with a quarter, half and three quarters of the labels."""

from dataclasses import replace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from molfm.base.names import minus
from molfm.selection.candidates import CANDIDATES
from molfm.selection.scoring import counted, interval
from molfm.selection.training import training_data
from molfm.selection.work import Work

SHARES = (0.25, 0.5, 0.75)
_FEWEST = 10  # training labels below which a share is left out


def best_quick(work: Work, number: int, table: pd.DataFrame) -> str:
    """Return the quick candidate with the best score on a target."""
    quick = table[table.candidate.isin([name for name in work.finished() if CANDIDATES[name].fit and name != "mean"])]
    best = quick.value.idxmin() if work.problem.targets[number].metric == "rmse" else quick.value.idxmax()
    return str(quick.candidate[best])


def learning_curve(work: Work, number: int, name: str) -> pd.DataFrame:
    """Return the scores of a candidate on all folds, with parts of their training labels.

    A smaller part is contained in a larger one. The time decides whether there is a curve at all.

    Returns:
        One row per number of training labels: n_labels, value, low, high; and difference, difference_low,
        difference_high of the score with all labels from that with these. Empty if the time does not allow it.
    """
    target, rows = work.problem.targets[number], counted(work.problem.targets[number], test=False)
    full = work.predictions(name, number)
    columns = ["n_labels", "value", "low", "high", "difference", "difference_low", "difference_high"]
    allowed = (work.seconds - work.spent) / len(work.problem.targets) / 2
    if work.seconds_of(name) * sum(SHARES) > allowed and not work.path("curve", number).exists():
        return pd.DataFrame(columns=columns)
    kept = work.path("curve", number)
    if not kept.exists():
        found = {f"{share:g}": _with(work, number, name, share) for share in SHARES}
        work.keep("curve", number, {share: of for share, of in found.items() if of is not None})
    parts = work.read("curve", number)
    n = np.mean([(target.fold[rows] != fold).sum() for fold in range(work.problem.k)])
    table = []
    for share, preds in [*((float(s), parts[f"{s:g}"]) for s in SHARES if f"{s:g}" in parts), (1.0, full)]:
        against = interval(target, full, rows, preds)
        names = ("difference", "difference_low", "difference_high")
        facts = interval(target, preds, rows) | dict(zip(names, against.values(), strict=True))
        table.append({"n_labels": round(n * share)} | facts)
    return pd.DataFrame(table, columns=columns)


def _with(work: Work, number: int, name: str, share: float) -> np.ndarray | None:
    """Return out-of-fold predictions, (n,), of models that learned from a share of the training labels."""
    target, out = work.problem.targets[number], np.zeros(len(work.problem.targets[number].y))
    for fold in range(work.problem.k):
        data = training_data(target, work.x, fold, work.seed + fold)
        order = np.random.default_rng([work.seed, fold]).permutation(len(data.y))
        mine = order[: round(share * len(order))]
        if (
            len(mine) < _FEWEST
            or np.ptp(data.y[mine]) == 0
            or (data.binary and min(np.bincount(data.y[mine].astype(int))) < 2)
        ):
            return None
        small = replace(data, **{part: getattr(data, part)[mine] for part in ("rows", "y", "weight", "group")})
        here = np.flatnonzero(target.fold == fold)
        with threadpool_limits(1, "blas"):
            out[here] = CANDIDATES[name].fit(small).predict(work.x.take(target.row[here]), work.x)
    return out


def in_words(curve: pd.DataFrame, metric: str, unit: str) -> str:
    """Return what a learning curve says about more data, in one or two sentences; "" if there is none."""
    if len(curve) < 2:
        return ""
    half = curve.iloc[(curve.n_labels - curve.n_labels.iloc[-1] / 2).abs().argmin()]
    n, sign = int(curve.n_labels.iloc[-1]), -1 if metric == "rmse" else 1
    gain, low, high = sign * half.difference, *sorted((sign * half.difference_low, sign * half.difference_high))
    name = (
        f"the typical error (RMSE) by {gain:.2g}{f' {unit}' if unit else ''}"
        if metric == "rmse"
        else f"the AUROC by {gain:.2g}"
    )
    way = "lowered" if metric == "rmse" else "raised"
    span = (
        f"(95% interval {low:.3f} to {high:.3f})"
        if max(abs(low), abs(high)) < 1
        else f"(95% interval {low:.3g} to {high:.3g})"
    )
    first = minus(f"Going from {int(half.n_labels)} to {n} training labels {way} {name} {span}.")
    if low > 0:
        return f"{first} More data of this kind would probably help: twice as many labels may gain somewhat less than that."
    if high > 0 and gain > 0:
        return f"{first} Whether more data of this kind would help cannot be told from this table."
    return (
        f"{first} The curve is flat: more data of this kind would hardly help; other chemistry or a better assay might."
    )
