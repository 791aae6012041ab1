"""Label efficiency: how well can a task be predicted from few labels, with different descriptions of its molecules?

An arm is a description of molecules with a model on top. All arms get the same draws of training labels, which are
nested (the 32 labels of a draw are among its 64), and predict the whole test set. A draw may have its own split,
because the choice of test scaffolds changes results more than the choice of labelled molecules. Arms tune themselves on
their training labels only: the ridge chooses its penalty by leave-one-out, the logistic regression by five folds of
constitutions. Intervals come from `molfm.study.statistics`, against one baseline. Nothing here imports torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from molfm.base.errors import InputError
from molfm.base.progress import tqdm
from molfm.catalog.schema import Task
from molfm.data.mix import Mix
from molfm.plots.label_efficiency import label_efficiency_curves
from molfm.study.simple_models import BASELINE, FOLDS, METRICS, Arm
from molfm.study.statistics import LESS_IS_BETTER, paired_difference
from molfm.training.metrics import score, undefined

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class LabelEfficiency:
    """The results of arms that learned from few labels. Made by `label_efficiency`.

    The n molecules below are those that at least one draw tests.

    Attributes:
        task: the target.
        preds: (number of training labels, arm) -> (draws, n) predictions; 0 for molecules that a draw does not test.
        tested: (draws, n) bool, the molecules that each draw tests.
        measured: (n,) labels.
        constitution: (n,) uint64, equal for stereoisomers and salts; the bootstrap resamples constitutions.
        baseline: name of the arm that the others are compared with.
    """

    task: Task
    preds: dict[tuple[int, str], np.ndarray]
    tested: np.ndarray
    measured: np.ndarray
    constitution: np.ndarray
    baseline: str

    @property
    def arms(self) -> list[str]:
        """The arms in the order in which they were given."""
        return list(dict.fromkeys(arm for _, arm in self.preds))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per arm, number of labels, draw and metric: arm, n_labels, draw, metric, value (on test)."""
        rows = []
        for (n, arm), metric in product(self.preds, METRICS[self.task.kind]):
            for draw, at in enumerate(self.tested):
                rows.append((arm, n, draw, metric, score(metric, self.preds[n, arm][draw, at], self.measured[at])))
        return pd.DataFrame(rows, columns=["arm", "n_labels", "draw", "metric", "value"])

    @property
    def table(self) -> pd.DataFrame:
        """The comparison of all other arms with the baseline; see `against`."""
        return self.against(self.baseline)

    def against(self, baseline: str) -> pd.DataFrame:
        """Compare all other arms with the arm named `baseline`.

        Returns:
            One row per arm, number of labels and metric: target, arm, metric, n_labels (training), n_test (labels, mean
            over draws), draws, baseline and value (means over draws), difference, low, high (95% interval), p,
            detectable, verdict ("better", "worse" or "cannot tell").

        Raises:
            ValueError: there is no such arm.
        """
        _check_baseline(baseline, self.arms)
        if baseline not in self._tables:
            self._tables[baseline] = self._compare(baseline)
        return self._tables[baseline]

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return {}

    def _compare(self, baseline: str) -> pd.DataFrame:
        rows = []
        for (n, arm), metric in product(self.preds, METRICS[self.task.kind]):
            if arm != baseline:
                pair = self.preds[n, baseline], self.preds[n, arm]
                cell = paired_difference(metric, *pair, self.measured, self.constitution, self.tested).interval()
                facts = {"target": self.task.id, "arm": arm, "metric": metric, "n_labels": n}
                facts |= {"n_test": round(self.tested.sum(1).mean()), "draws": len(self.tested)}
                rows.append(facts | cell | {"verdict": _verdict(metric, cell)})
        return pd.DataFrame(rows)

    def figure(self) -> "go.Figure":
        """Return a figure of the curves, and of the differences from the baseline with their intervals."""
        return label_efficiency_curves(self.runs, self.table, self.baseline)


def _check_baseline(baseline: str, arms: Iterable[str]) -> None:
    if baseline not in arms:
        raise InputError(f"Unknown baseline {baseline!r}; expected one of the arms {', '.join(arms)}.")


def _verdict(metric: str, cell: dict[str, float]) -> str:
    higher, lower = cell["low"] > 0, cell["high"] < 0
    better, worse = (lower, higher) if metric in LESS_IS_BETTER else (higher, lower)
    return "better" if better else "worse" if worse else "cannot tell"


# ------------------------------------------------------------------------------------------------------------ comparison


def label_efficiency(
    mixes: Sequence[Mix],
    target: str,
    arms: Mapping[str, Arm],
    n_labels: Sequence[int | None],
    baseline: str = BASELINE,
    progress: bool = True,
) -> LabelEfficiency:
    """Compare arms with a baseline at several numbers of training labels.

    Args:
        mixes: one mix per draw, at least two: either the same data with a new split each, as from
            `molfm.load("minimix", seed=k)`, or one mix repeated, to draw only the training labels anew.
        target: name of a regression or binary task at graph level.
        arms: name -> arm, including the baseline.
        n_labels: numbers of training labels to draw; None for as many as every split has.
        baseline: name of the arm that the others are compared with.
        progress: show a progress bar.

    Raises:
        ValueError: the target is ordinal or not at graph level, the mixes hold different molecules, there is only one
            draw, a test set has no defined metric, there are too few labels, or `baseline` is not an arm.
    """
    number = mixes[0].task_number(target)
    task = mixes[0].chosen[number]
    if task.kind not in METRICS or task.level != "graph":
        raise InputError(
            f"Expected a regression or binary task at graph level; {task.id} is {task.kind} at {task.level} level."
        )
    _check_baseline(baseline, arms)
    if len(mixes) < 2:
        raise InputError("An interval needs at least 2 draws, found 1.")
    if any(not np.array_equal(mix.key, mixes[0].key) for mix in mixes[1:]):
        raise InputError("Expected mixes of the same molecules that differ only in their split.")
    mixes = [mix.select([task.id]) for mix in mixes]
    y = mixes[0].labels(task.id).to_numpy()
    tests = [mix.members("test") for mix in mixes]
    for test in tests:
        if reason := undefined(task.kind, y[test]):
            raise InputError(f"{task.id} cannot be tested: {reason}.")
    most = min(len(mix.members("train")) for mix in mixes)
    counts = list(dict.fromkeys(n or most for n in n_labels))
    union = np.unique(np.concatenate(tests))
    tested = np.stack([np.isin(union, test) for test in tests])
    for n, draw in product(counts, range(len(mixes))) if task.kind == "binary" else ():
        drawn = y[mixes[draw].limit(task.id, n, draw).members("train")]
        rarest = min((drawn == 0).sum(), (drawn == 1).sum())
        if rarest < FOLDS:
            raise InputError(
                f"{task.id}: draw {draw} of {n} training labels has only {rarest} of one class; {FOLDS} folds need at "
                f"least {FOLDS}. Use more labels."
            )
    preds = {(n, name): np.zeros(tested.shape) for n in counts for name in arms}
    jobs = list(product(counts, range(len(mixes))))
    # BLAS threads would wait for each other while other processes keep the cores busy.
    shown = {"desc": f"{task.name} from few labels", "unit": " fits", "disable": not progress}
    with threadpool_limits(1, "blas"), tqdm(total=len(jobs) * len(arms), **shown) as bar:
        for n, draw in jobs:
            train = mixes[draw].limit(task.id, n, draw).members("train")
            for name, arm in arms.items():
                preds[n, name][draw, tested[draw]] = arm(train, y[train], tests[draw], draw)
                bar.update()
    return LabelEfficiency(task, preds, tested, y[union].astype(float), mixes[0].constitution[union], baseline)
