"""Metrics per task on collected labels, and their averages; an undefined metric says why.

Metrics that a study compares (R², AUROC, mean absolute error) come with the influence of each label; a plain score is
the same function, so results, learning curves and studies cannot disagree. The others are scikit-learn's and SciPy's.

Predictions stand in a table with one row per label: preds (values in the task's unit, probabilities of class 1, or
expected classes) and, if there are ordinal tasks, class_0, class_1, …, the probabilities of their classes.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata

PRIMARY = {"regression": "r2", "binary": "auroc", "ordinal": "auroc"}  # the metric of comparisons; larger is better
METRICS = {  # kind of task -> what `evaluate` reports
    "regression": ("mae", "mae_z", "r2", "pearson", "spearman"),  # mae_z: in standard deviations of the training labels
    "binary": ("auroc", "average_precision"),
    "ordinal": ("auroc", "average_precision", "accuracy"),  # the first two: each class against all others, averaged
}


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


COMPARED = {"r2": r2, "mae": mae, "auroc": auroc}


# --------------------------------------------------------------------------------------------------------------- scores


def score(metric: str, preds: np.ndarray, target: np.ndarray, std: float = 1.0) -> float:
    """Return one metric of one task; NaN where it is undefined, such as a correlation with constant predictions.

    Args:
        metric: one of `METRICS`.
        preds: (n,) values in the task's unit, or probabilities; (n, classes) for an ordinal task.
        target: (n,) measured values in the task's unit, or classes.
        std: standard deviation of the training labels, the unit of mae_z; 0 or NaN counts as 1, as in the model.
    """
    preds, target = np.asarray(preds, float), np.asarray(target, float)
    if metric == "accuracy":
        return float((preds.argmax(1) == target).mean())
    if preds.ndim == 2:
        classes = np.unique(target).astype(int)
        return float(np.mean([score(metric, preds[:, c], target == c) for c in classes]))
    if metric == "mae_z":
        return score("mae", preds, target) / (std if std > 0 else 1.0)
    if metric in COMPARED:
        return float(COMPARED[metric](preds, target)[0])
    if metric == "average_precision":
        from sklearn.metrics import average_precision_score

        return float(average_precision_score(target, preds))
    from scipy.stats import pearsonr, spearmanr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about constant predictions: the value is NaN, and `evaluate` says so
        return float({"pearson": pearsonr, "spearman": spearmanr}[metric](preds, target)[0])


def preds_of(kind: str, table: Mapping[str, np.ndarray], rows=slice(None)) -> np.ndarray:
    """Return the `preds` of `score` for some rows of a table of predictions: (n,), or (n, classes) if ordinal."""
    if kind != "ordinal":
        return np.asarray(table["preds"])[rows]
    names = [name for name in table if name.startswith("class_")]
    return np.stack([np.asarray(table[name])[rows] for name in names], axis=1)


def evaluate(predictions: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Score every task that has labels in `predictions`, and list those that have none.

    Args:
        predictions: as `Run.predictions` returns them.
        tasks: `Mix.tasks`.

    Returns:
        One row per task, split and metric: task, dataset, level, domain, split, metric, value (NaN where undefined),
        unit (of the value), n_labels, undefined (the reason, or "").
    """
    rows = []
    groups = dict(tuple(predictions.groupby(["split", "task"])))
    for split in dict.fromkeys(["val", "test", *predictions.split]):
        for task in tasks.to_dict("records"):
            group = groups.get((split, task["task"]), predictions.iloc[:0])
            measured, kind = group.measured.to_numpy(), task["kind"]
            reason = undefined(kind, measured)
            preds = None if reason else preds_of(kind, group)
            for metric in METRICS[kind]:
                value = np.nan if reason else score(metric, preds, measured, task["std"])
                rows.append(
                    {
                        **{name: task[name] for name in ("task", "dataset", "level", "domain")},
                        "split": split,
                        "metric": metric,
                        "value": value,
                        "unit": task["unit"] if metric == "mae" else None,
                        "n_labels": len(measured),
                        "undefined": reason or ("the predictions do not vary" if np.isnan(value) else ""),
                    }
                )
    return pd.DataFrame(rows)


def averages(results: pd.DataFrame) -> pd.DataFrame:
    """Average the results of each dataset and level over its tasks, with equal weights.

    Args:
        results: from `evaluate`; if it has a column `seed`, each seed is averaged separately.

    Returns:
        One row per dataset, level, split and metric (and seed): value (NaN if no task is defined), n_tasks averaged,
        n_undefined left out, n_labels of the averaged tasks, undefined (the reasons with their counts, or ""). `mae` is
        NaN if tasks have different units; use `mae_z`.
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
