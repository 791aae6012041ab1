"""Test scores of two runs side by side, with intervals over test molecules."""

import numpy as np
import pandas as pd
from scipy.stats import norm

from molfm.base.errors import InputError
from molfm.study.statistics import LEVEL, grouped_error
from molfm.training.metrics import COMPARED
from molfm.training.run import Run

COLUMNS = ("task", "metric", "n_labels", "default", "best", "difference", "low", "high")
_MANY = 12  # scores of more tasks are averaged


def compare_tests(default: Run, best: Run) -> pd.DataFrame:
    """Return the test scores of two runs on the same data, one row per regression or binary task (`COLUMNS`).

    Of more than 12 tasks, there is one row per dataset, level and metric, with means over tasks.
    """
    results = best.results[best.results.split == "test"]
    ordinal = set(results.task[results.metric == "accuracy"])
    wanted = results[results.metric.isin(["r2", "auroc"]) & results.value.notna() & ~results.task.isin(ordinal)]
    labels = [_test_labels(run) for run in (default, best)]
    rows = []
    for of in wanted.itertuples():
        both = [table[table.task == of.task] for table in labels]
        if not np.array_equal(both[0][["mol_id", "measured"]], both[1][["mol_id", "measured"]]):
            raise InputError(f"{default!r} and {best!r} were tested on different labels of {of.task}.")
        (value, before), (other, after) = (
            COMPARED[of.metric](table.preds.to_numpy(), table.measured.to_numpy()) for table in both
        )
        rows.append(
            (of.task, f"{of.dataset}/{of.level}", of.metric, value, other, after - before, both[0].constitution)
        )
    if len(rows) > _MANY:
        groups: dict[tuple, list] = {}
        for row in rows:
            groups.setdefault(row[1:3], []).append(row)
        return _table([(f"{len(of)} tasks of {name}", metric, *_mean(of)) for (name, metric), of in groups.items()])
    return _table([(task, metric, *rest) for task, _, metric, *rest in rows])


def _test_labels(run: Run) -> pd.DataFrame:
    found = run.predictions()
    exact = found.side == 0 if "side" in found else True
    return found[(found.split == "test") & exact]


def _mean(rows: list[tuple]) -> tuple:
    """Return the mean of both scores, and the influences of all labels on their difference."""
    n = len(rows)
    scores = [np.mean([row[place] for row in rows]) for place in (3, 4)]
    return *scores, np.concatenate([row[5] for row in rows]) / n, np.concatenate([row[6] for row in rows])


def _table(rows: list[tuple]) -> pd.DataFrame:
    found = []
    for task, metric, value, other, influence, constitution in rows:
        half = norm.isf(LEVEL / 2) * float(grouped_error(influence, np.asarray(constitution)))
        change = other - value
        found.append((task, metric, len(influence), value, other, change, change - half, change + half))
    return pd.DataFrame(found, columns=list(COLUMNS))
