"""Label efficiency: how far does a task get with few labels, by what its molecules are described with?

An arm is a description of molecules with a model on top. Arms are compared on the same draws of training labels, which are
nested (the 32 labels of a draw are among its 64), and on the whole test set. A draw may have a split of its own: which
scaffolds happen to be tested changes more than which molecules were labelled. Whatever an arm has to choose, it chooses
inside the training labels that it was given: the ridge's penalty by leave-one-out, the logistic regression's by five folds of
constitutions. Intervals are those of `statistics.paired_interval`, against one baseline. Nothing here imports torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from molfm.catalog.schema import Task
from molfm.data.mix import Mix
from molfm.plots.label_efficiency import label_efficiency_curves
from molfm.study.simple_models import BASELINE, FOLDS, METRICS, Arm
from molfm.study.statistics import paired_interval
from molfm.training.metrics import score, undefined

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class LabelEfficiency:
    """What arms make of few labels. Made by `label_efficiency`.

    Attributes:
        task: the target.
        preds: (number of training labels, arm) -> (draws, n), the predictions for what any draw tested; 0 where it did not.
        tested: (draws, n) bool, which of the molecules each draw tested.
        measured: (n,) their labels.
        constitution: (n,) what the bootstrap draws.
        baseline: the arm that the others are compared with.
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
        """A row an arm, number of labels, draw and metric: arm, n_labels, draw, metric, value (on test)."""
        rows = []
        for (n, arm), metric in product(self.preds, METRICS[self.task.kind]):
            for draw, at in enumerate(self.tested):
                rows.append((arm, n, draw, metric, score(metric, self.preds[n, arm][draw, at], self.measured[at])))
        return pd.DataFrame(rows, columns=["arm", "n_labels", "draw", "metric", "value"])

    @property
    def table(self) -> pd.DataFrame:
        """The other arms against the baseline, see `against`."""
        return self.against(self.baseline)

    def against(self, baseline: str) -> pd.DataFrame:
        """Compare all other arms with one of them.

        Returns:
            A row an arm, number of labels and metric: target, arm, metric, n_labels (training), n_test (labels, mean over
            draws), draws, baseline and value (means over draws), difference, low, high (95% interval), detectable, verdict
            ("better", "worse" or "cannot tell").

        Raises:
            ValueError: no such arm.
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
                cell = paired_interval(metric, *pair, self.measured, self.constitution, self.tested)
                facts = {"target": self.task.id, "arm": arm, "metric": metric, "n_labels": n}
                facts |= {"n_test": round(self.tested.sum(1).mean()), "draws": len(self.tested)}
                rows.append(facts | cell | {"verdict": _verdict(metric, cell)})
        return pd.DataFrame(rows)

    def figure(self) -> "go.Figure":
        """Return the curves, and the differences from the baseline with their intervals."""
        return label_efficiency_curves(self.runs, self.table, self.baseline)


def _check_baseline(baseline: str, arms: Iterable[str]) -> None:
    if baseline not in arms:
        raise ValueError(f"The baseline {baseline!r} is none of the arms: {', '.join(arms)}.")


def _verdict(metric: str, cell: dict[str, float]) -> str:
    higher, lower = cell["low"] > 0, cell["high"] < 0
    better, worse = (lower, higher) if metric == "mae" else (higher, lower)
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
    """Compare arms with a baseline over numbers of training labels.

    Args:
        mixes: a draw each, two at least: the same data, split anew each time (`molfm.load("minimix", seed=k)`), or one mix
            again and again, where the split is given and only the training labels are to be drawn.
        target: a graph task, regression or binary.
        arms: by name, the baseline among them.
        n_labels: training labels to draw; None: as many as every split has.

    Raises:
        ValueError: another kind of target, mixes of different molecules, a test set whose metrics mean nothing, one draw
            alone, too few labels, or no baseline.
    """
    number = mixes[0].task_number(target)
    task = mixes[0].chosen[number]
    if task.kind not in METRICS or task.level != "graph":
        raise ValueError(
            f"Expected a regression or binary graph task; {task.id} is {task.kind}, at {task.level} level."
        )
    _check_baseline(baseline, arms)
    if len(mixes) < 2:
        raise ValueError("An interval needs at least 2 draws, found 1.")
    if any(not np.array_equal(mix.key, mixes[0].key) for mix in mixes[1:]):
        raise ValueError("Expected mixes of the same molecules, which differ in their split alone.")
    mixes = [mix.select([task.id]) for mix in mixes]
    y = mixes[0].labels(task.id).to_numpy()
    tests = [mix.members("test") for mix in mixes]
    for test in tests:
        if reason := undefined(task.kind, y[test]):
            raise ValueError(f"{task.id} cannot be tested: {reason}.")
    most = min(len(mix.members("train")) for mix in mixes)
    counts = list(dict.fromkeys(n or most for n in n_labels))
    union = np.unique(np.concatenate(tests))
    tested = np.stack([np.isin(union, test) for test in tests])
    for n, draw in product(counts, range(len(mixes))) if task.kind == "binary" else ():
        drawn = y[mixes[draw].limit(task.id, n, draw).members("train")]
        rarest = min((drawn == 0).sum(), (drawn == 1).sum())
        if rarest < FOLDS:
            raise ValueError(
                f"{task.id}: draw {draw} of {n} training labels has {rarest} of one class, and {FOLDS} folds need as many. Ask "
                "for more labels."
            )
    preds = {(n, name): np.zeros(tested.shape) for n in counts for name in arms}
    jobs = list(product(counts, range(len(mixes))))
    # Threads of BLAS would wait for each other wherever another process is busy.
    with threadpool_limits(1, "blas"), tqdm(total=len(jobs) * len(arms), unit=" fits", disable=not progress) as bar:
        bar.set_description(f"{task.name} from few labels")
        for n, draw in jobs:
            train = mixes[draw].limit(task.id, n, draw).members("train")
            for name, arm in arms.items():
                preds[n, name][draw, tested[draw]] = arm(train, y[train], tests[draw], draw)
                bar.update()
    return LabelEfficiency(task, preds, tested, y[union].astype(float), mixes[0].constitution[union], baseline)
