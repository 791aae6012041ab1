"""Metrics a task, by torchmetrics, on the collected label triples, and their averages; an undefined one says why.

What is predicted stands in a table, a row a label: preds (values in the task's unit, probabilities of class 1, expected
classes) and, where there are ordinal tasks, the probabilities class_0, class_1, … of their classes.
"""

from collections.abc import Mapping
from operator import attrgetter

import numpy as np
import pandas as pd

PRIMARY = {"regression": "r2", "binary": "auroc", "ordinal": "auroc"}  # what comparisons are made on; larger is better
_METRICS = {  # our name -> that in torchmetrics.functional
    "regression": {
        "mae": "mean_absolute_error",
        "mae_z": "mean_absolute_error",  # in standard deviations of the training labels: can be averaged over tasks
        "r2": "r2_score",
        "pearson": "pearson_corrcoef",
        "spearman": "spearman_corrcoef",
    },
    "binary": {"auroc": "classification.binary_auroc", "average_precision": "classification.binary_average_precision"},
    "ordinal": {  # the first two of each class against all others, averaged over the classes that there are
        "auroc": "classification.binary_auroc",
        "average_precision": "classification.binary_average_precision",
        "accuracy": None,
    },
}


def undefined(kind: str, target: np.ndarray) -> str | None:
    """Return why the metrics of a task have no meaning on these labels, or None where they do.

    torchmetrics gives 0.0 for a ranking metric of a single class, so this has to be asked first.
    """
    if len(target) == 0:
        return "no labels"
    if kind != "regression" and len(np.unique(target)) < 2:
        return f"only class {int(target[0])} among {len(target)} labels"
    if kind == "regression" and (len(target) < 2 or np.ptp(target) == 0):
        return f"no variation among {len(target)} labels"
    return None


def preds_of(kind: str, table: Mapping[str, np.ndarray], rows=slice(None)) -> np.ndarray:
    """Return what `score` reads from some rows of a table of predictions: (n,), of ordinal tasks (n, classes)."""
    if kind != "ordinal":
        return np.asarray(table["preds"])[rows]
    names = [name for name in table if name.startswith("class_")]
    return np.stack([np.asarray(table[name])[rows] for name in names], axis=1)


def score(kind: str, metric: str, preds: np.ndarray, target: np.ndarray, std: float = 1.0) -> float:
    """Return one metric of one task.

    Args:
        kind: of the task.
        metric: regression: mae, mae_z, r2, pearson, spearman; binary: auroc, average_precision; ordinal: these two, each
            class against all others and averaged over the classes among the labels, and accuracy.
        preds: (n,) values in the task's unit, or probabilities; of ordinal tasks (n, classes).
        target: (n,) in the task's unit, or classes.
        std: of the training labels, the unit of mae_z; one that cannot be divided by counts as 1, as in the model.
    """
    import torch  # here: comparing finished runs needs neither, and is done beside the processes that train
    import torchmetrics.functional.classification

    preds, target = torch.tensor(preds, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    if metric == "accuracy":
        return float((preds.argmax(1) == target).double().mean())
    function = attrgetter(_METRICS[kind][metric])(torchmetrics.functional)
    if kind == "ordinal":
        classes = target.unique().long()
        return float(torch.stack([function(preds[:, c], (target == c).long()) for c in classes]).mean())
    value = float(function(preds, target.long() if kind == "binary" else target))
    return value / std if metric == "mae_z" and std > 0 else value


def evaluate(predictions: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Score every task that has labels in `predictions`, and list those that have none.

    Args:
        predictions: a row a label: split, task (number), preds, target, and class_0, … where tasks are ordinal.
        tasks: `Mix.tasks`.

    Returns:
        A row a task, split and metric: task, dataset, level, domain, split, metric, value (NaN where undefined), unit (of
        the value), n_labels, undefined (the reason, or "").
    """
    rows = []
    groups = dict(tuple(predictions.groupby(["split", "task"])))
    for split in dict.fromkeys(["val", "test", *predictions.split]):
        for number, task in tasks.iterrows():
            group = groups.get((split, number), predictions.iloc[:0])
            target, reason = group.target.to_numpy(), undefined(task.kind, group.target.to_numpy())
            preds = preds_of(task.kind, group) if not reason else None
            rows += [
                {
                    "task": task.task,
                    "dataset": task.dataset,
                    "level": task.level,
                    "domain": task.domain,
                    "split": split,
                    "metric": metric,
                    "value": np.nan if reason else score(task.kind, metric, preds, target, task["std"]),
                    "unit": task.unit if metric == "mae" else None,
                    "n_labels": len(target),
                    "undefined": reason or "",
                }
                for metric in _METRICS[task.kind]
            ]
    return pd.DataFrame(rows)


def averages(results: pd.DataFrame) -> pd.DataFrame:
    """Average the results of each dataset and level over its tasks, each task an equal part.

    Args:
        results: from `evaluate`; where it has a `seed`, each seed is averaged by itself.

    Returns:
        A row a dataset, level, split and metric (and seed): value (NaN where it would average nothing), n_tasks that it
        averages, n_undefined that it leaves out, n_labels of the first, undefined (the reasons with their counts, or "").
        `mae` is left to `mae_z` where tasks have different units.
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
