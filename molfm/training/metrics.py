"""Metrics per task on collected labels, and their averages; an undefined metric says why.

Metrics that a study compares (R², AUROC, mean absolute and root mean squared error) come with the influence of each
label; a plain score is the same function, so results, learning curves and studies cannot disagree. The others, except
the enrichment factor, are scikit-learn's and SciPy's.

Predictions stand in a table with one row per label: preds (values in the task's unit, probabilities of class 1, or
expected classes) and, if there are ordinal tasks, class_0, class_1, …, the probabilities of their classes.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from molfm.base.errors import InputError
from molfm.base.names import did_you_mean

PRIMARY = {"regression": "r2", "binary": "auroc", "ordinal": "auroc"}  # the metric of comparisons; larger is better
METRICS = {  # kind of task -> what the results of every run report
    "regression": ("mae", "mae_z", "r2", "pearson", "spearman"),  # mae_z: in standard deviations of the training labels
    "binary": ("auroc", "average_precision"),
    "ordinal": ("auroc", "average_precision", "accuracy"),  # the first two: each class against all others, averaged
}
ON_REQUEST = {  # kind of task -> further metrics, for `Run.evaluate`; left out of results to keep them short
    "regression": ("rmse",),
    "binary": ("accuracy", "balanced_accuracy", "f1", "mcc", "ef1", "ef5"),
    "ordinal": (),
}
EVERY = {  # metric -> the kinds of tasks that it fits
    name: [kind for kind in METRICS if name in (*METRICS[kind], *ON_REQUEST[kind])]
    for of in (METRICS, ON_REQUEST)
    for names in of.values()
    for name in names
}
THRESHOLD = 0.5  # probability from which accuracy, balanced_accuracy, f1 and mcc count a molecule as class 1
_FRACTIONS = {"ef1": 0.01, "ef5": 0.05}  # parts of the test set whose enrichment is measured
_IN_UNIT = ("mae", "rmse")  # metrics in the unit of the task

Metric = Callable[[np.ndarray, np.ndarray], float]  # of preds and target, as in `score`


def undefined(kind: str, target: np.ndarray) -> str | None:
    """Return why the metrics of a task mean nothing on these labels (n,), or None if they do."""
    if len(target) == 0:
        return "no labels"
    if kind != "regression" and len(np.unique(target)) < 2:
        return f"only class {int(target[0])} among {len(target)} labels"
    if kind == "regression" and (len(target) < 2 or np.ptp(target) == 0):
        return f"no variation among {len(target)} labels"
    return None


# ----------------------------------------------------------------------------------------------- metrics with influence
#
# The influence of a label is the derivative of the metric with respect to the label's weight, at equal weights of 1. The
# influences sum to zero. Their sum of squares is the variance of the metric over test sets to first order, which for
# AUROC is DeLong's (1988).


def r2(preds: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return R² of predictions and targets (n,), and its influence, (n,). Right at any scale and offset of the labels.

    NaN if all targets are equal.
    """
    total, error = (target - target.mean()) ** 2, (preds - target) ** 2  # centred: else sums of squares lose precision
    if not (size := total.sum()) > 0:
        return np.nan, np.full(len(target), np.nan)
    unexplained = error.sum() / size
    return 1 - unexplained, (unexplained * total - error) / size


def auroc(preds: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return AUROC of scores and classes (n,), where equal scores count half, and its influence, (n,).

    NaN if there is only one class.
    """
    positive = target == 1
    n, n_positive = len(target), int(positive.sum())
    if n_positive in (0, n):
        return np.nan, np.full(n, np.nan)
    rank, rank_in_class = rankdata(preds), np.empty(n)  # average ranks of ties
    for mine in (positive, ~positive):
        rank_in_class[mine] = rankdata(preds[mine])
    lower = rank - rank_in_class  # labels of the other class with a lower score, and half of those with an equal one
    share = np.where(positive, lower / (n - n_positive), 1 - lower / n_positive)  # of pairs in the right order
    value = share[positive].mean()
    return value, (share - value) / np.where(positive, n_positive, n - n_positive)


def mae(preds: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean absolute error of predictions and targets (n,), and its influence, (n,)."""
    error = np.abs(preds - target)
    return error.mean(), (error - error.mean()) / len(error)


def rmse(preds: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the root mean squared error of predictions and targets (n,), and its influence, (n,)."""
    error = (preds - target) ** 2
    value = np.sqrt(error.mean())
    return value, (error - error.mean()) / (2 * len(error) * (value or 1.0))


COMPARED = {"r2": r2, "mae": mae, "rmse": rmse, "auroc": auroc}


# --------------------------------------------------------------------------------------------------------------- scores


def enrichment(preds: np.ndarray, target: np.ndarray, fraction: float) -> float:
    """Return the enrichment factor: how many times more actives the top of the ranking holds than a random choice.

    The top has ⌈fraction · n⌉ molecules, as in RDKit, so at least one: of fewer than 100 molecules, the top 1% is the
    first. Of molecules with equal scores at its end, a random choice counts, in expectation. The largest possible value
    is 1 / fraction, or less if actives fill the top (Truchon and Bayly, doi 10.1021/ci600426e).

    Args:
        preds: (n,) scores.
        target: (n,) classes, 1 for actives.
        fraction: size of the top as a part of n.
    """
    size = int(np.ceil(round(fraction * len(preds), 9)))  # rounded: 0.01 · 700 is 7.000000000000001
    last = np.sort(preds)[-size]  # the lowest score in the top
    above, tied = preds > last, preds == last
    hits = target[above].sum() + target[tied].mean() * (size - above.sum())
    return float(hits / size / target.mean())


def score(metric: str, preds: np.ndarray, target: np.ndarray, std: float = 1.0) -> float:
    """Return one metric of one task; NaN where it is undefined, such as a correlation with constant predictions.

    Args:
        metric: one of `METRICS` or `ON_REQUEST`.
        preds: (n,) values in the task's unit, or probabilities; (n, classes) for an ordinal task.
        target: (n,) measured values in the task's unit, or classes.
        std: standard deviation of the training labels, the unit of mae_z; 0 or NaN counts as 1, as in the model.
    """
    preds, target = np.asarray(preds, float), np.asarray(target, float)
    if metric in ("accuracy", "balanced_accuracy", "f1", "mcc"):
        return _of_classes(metric, preds.argmax(1) if preds.ndim == 2 else preds >= THRESHOLD, target)
    if preds.ndim == 2:
        classes = np.unique(target).astype(int)
        return float(np.mean([score(metric, preds[:, c], target == c) for c in classes]))
    if metric == "mae_z":
        return score("mae", preds, target) / (std if std > 0 else 1.0)
    if metric in COMPARED:
        return float(COMPARED[metric](preds, target)[0])
    if metric in _FRACTIONS:
        return enrichment(preds, target, _FRACTIONS[metric])
    if metric == "average_precision":
        from sklearn.metrics import average_precision_score

        return float(average_precision_score(target, preds))
    from scipy.stats import pearsonr, spearmanr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about constant predictions: the value is NaN, and `evaluate` says so
        return float({"pearson": pearsonr, "spearman": spearmanr}[metric](preds, target)[0])


def _of_classes(metric: str, preds: np.ndarray, target: np.ndarray) -> float:
    """Return a metric of predicted and measured classes, (n,) each; F1 and MCC of a single predicted class are 0."""
    from sklearn import metrics

    function = {
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "f1": metrics.f1_score,
        "mcc": metrics.matthews_corrcoef,
    }[metric]
    return float(function(target.astype(int), preds.astype(int)))


def preds_of(kind: str, table: Mapping[str, np.ndarray], rows=slice(None)) -> np.ndarray:
    """Return the `preds` of `score` for some rows of a table of predictions: (n,), or (n, classes) if ordinal."""
    if kind != "ordinal":
        return np.asarray(table["preds"])[rows]
    names = [name for name in table if name.startswith("class_")]
    return np.stack([np.asarray(table[name])[rows] for name in names], axis=1)


def evaluate(
    predictions: pd.DataFrame, tasks: pd.DataFrame, metrics: Iterable[str] | Mapping[str, Metric] | None = None
) -> pd.DataFrame:
    """Score every task that has labels in `predictions`, and list those that have none.

    Args:
        predictions: as `Run.predictions` returns them. Censored labels are left out: nobody knows their errors.
        tasks: `Mix.tasks`.
        metrics: names of `METRICS` or `ON_REQUEST`, each for the kinds of tasks that it fits; or name -> function of
            preds and target (see `score`), for all tasks. None for what the results of a run report.

    Returns:
        One row per task, split and metric: task, dataset, level, domain, split, metric, value (NaN where undefined),
        unit (of the value), n_labels, undefined (the reason, or "").

    Raises:
        ValueError: a metric is unknown or fits no task, or a function fails; the message names metric and task.
    """
    if isinstance(metrics, Mapping):
        own, names = metrics, {kind: list(metrics) for kind in METRICS}
    else:
        own, names = {}, METRICS if metrics is None else _requested(list(metrics), tasks)
    rows = []
    if "side" in predictions:
        predictions = predictions[predictions.side == 0]
    groups = dict(tuple(predictions.groupby(["split", "task"])))
    for split in dict.fromkeys(["val", "test", *predictions.split]):
        for task in tasks.to_dict("records"):
            group = groups.get((split, task["task"]), predictions.iloc[:0])
            measured, kind = group.measured.to_numpy(), task["kind"]
            reason = undefined(kind, measured)
            preds = None if reason else preds_of(kind, group)
            for metric in names[kind]:
                nan = "its function returned NaN" if metric in own else "the predictions do not vary"
                if reason:
                    value = np.nan
                elif metric in own:
                    value = _own_score(metric, own[metric], preds, measured, f"{task['task']} on {split}")
                else:
                    value = score(metric, preds, measured, task["std"])
                rows.append(
                    {
                        **{name: task[name] for name in ("task", "dataset", "level", "domain")},
                        "split": split,
                        "metric": metric,
                        "value": value,
                        "unit": task["unit"] if metric in _IN_UNIT and metric not in own else None,
                        "n_labels": len(measured),
                        "undefined": reason or (nan if np.isnan(value) else ""),
                    }
                )
    return pd.DataFrame(rows)


def _requested(names: list[str], tasks: pd.DataFrame) -> dict[str, list[str]]:
    """Return the requested metrics of each kind of task."""
    for name in names:
        if name not in EVERY:
            raise InputError(
                f"Unknown metric {name!r}.{did_you_mean(str(name), EVERY)} Expected a function, or one of {', '.join(EVERY)}."
            )
        if not tasks.kind.isin(EVERY[name]).any():
            raise InputError(f"{name} is a metric of {' and '.join(EVERY[name])} tasks, and there are none.")
    return {kind: [name for name in names if kind in EVERY[name]] for kind in METRICS}


def _own_score(name: str, function: Metric, preds: np.ndarray, measured: np.ndarray, where: str) -> float:
    """Return the value of a user's function on copies of the arrays, with errors that say where it failed."""
    try:
        value = function(np.array(preds, float), np.array(measured, float))
    except Exception as error:
        raise InputError(f"Metric {name!r} of {where} failed: {type(error).__name__}: {error}") from error
    if np.ndim(value) or not hasattr(value, "__float__"):
        raise InputError(f"Metric {name!r} of {where}: expected one number, found {value!r}.")
    return float(value)


def averages(results: pd.DataFrame) -> pd.DataFrame:
    """Average the results of each dataset and level over its tasks, with equal weights.

    Args:
        results: from `evaluate`; if it has a column `seed`, each seed is averaged separately.

    Returns:
        One row per dataset, level, split and metric (and seed): value (NaN if no task is defined), n_tasks averaged,
        n_undefined left out, n_labels of the averaged tasks, undefined (the reasons with their counts, or ""). An error in
        the task's unit is NaN if tasks have different units; use `mae_z`.
    """
    keys = [name for name in ("dataset", "level", "split", "metric", "seed") if name in results]
    rows = []
    for place, group in results.groupby(keys, sort=False):
        defined = group[group.undefined == ""]
        reasons = (
            group.undefined[group.undefined != ""].str.replace(r" among \d+ labels", "", regex=True).value_counts()
        )
        texts = [f"{count} × {reason}" for reason, count in reasons.items()]
        value = defined.value.mean()
        if group.unit.fillna("").nunique() > 1:
            value, texts = np.nan, [*texts, "several units, see mae_z"]
        facts = {"value": value, "n_tasks": len(defined), "n_undefined": len(group) - len(defined)}
        facts |= {"n_labels": defined.n_labels.sum(), "undefined": "; ".join(texts)}
        rows.append(dict(zip(keys, place, strict=True)) | facts)
    return pd.DataFrame(rows)
