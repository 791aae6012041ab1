"""Metrics a task, by torchmetrics, on the collected label triples; an undefined one says why."""

from operator import attrgetter

import numpy as np
import pandas as pd

PRIMARY = {"regression": "r2", "binary": "auroc"}  # the metric that comparisons are made on; larger is better
_METRICS = {  # our name -> that in torchmetrics.functional
    "regression": {"mae": "mean_absolute_error", "r2": "r2_score", "spearman": "spearman_corrcoef"},
    "binary": {"auroc": "classification.binary_auroc", "average_precision": "classification.binary_average_precision"},
}


def undefined(kind: str, target: np.ndarray) -> str | None:
    """Return why the metrics of a task have no meaning on these labels, or None where they do.

    torchmetrics gives 0.0 for a ranking metric of a single class, so this has to be asked first.
    """
    if len(target) == 0:
        return "no labels"
    if kind == "binary" and len(np.unique(target)) < 2:
        return f"only class {int(target[0])} among {len(target)} labels"
    if kind == "regression" and (len(target) < 2 or np.ptp(target) == 0):
        return f"no variation among {len(target)} labels"
    return None


def score(kind: str, metric: str, preds: np.ndarray, target: np.ndarray) -> float:
    """Return one metric of one task. preds: values in the task's unit, or probabilities; shapes (n,)."""
    import torch  # here: comparing finished runs needs neither, and is done beside the processes that train
    import torchmetrics.functional.classification

    preds, target = torch.tensor(preds, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    if kind == "binary":
        target = target.long()
    return float(attrgetter(_METRICS[kind][metric])(torchmetrics.functional)(preds, target))


def evaluate(predictions: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Score every task that has labels in `predictions`, and list those that have none.

    Args:
        predictions: a row a label: split, task (number), preds, target.
        tasks: `Mix.tasks`.

    Returns:
        A row a task, split and metric: task, dataset, level, domain, split, metric, value (NaN where undefined), unit (of
        the value), n_labels, undefined (the reason, or "").
    """
    rows = []
    groups = dict(tuple(predictions.groupby(["split", "task"])))
    for split in ("val", "test"):
        for number, task in tasks.iterrows():
            group = groups.get((split, number), predictions.iloc[:0])
            preds, target = group.preds.to_numpy(), group.target.to_numpy()
            reason = undefined(task.kind, target)
            rows += [
                {
                    "task": task.task,
                    "dataset": task.dataset,
                    "level": task.level,
                    "domain": task.domain,
                    "split": split,
                    "metric": metric,
                    "value": np.nan if reason else score(task.kind, metric, preds, target),
                    "unit": task.unit if metric == "mae" else None,
                    "n_labels": len(target),
                    "undefined": reason or "",
                }
                for metric in _METRICS[task.kind]
            ]
    return pd.DataFrame(rows)
