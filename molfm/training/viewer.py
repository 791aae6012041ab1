"""Reads a run, finished or not, for people who look at it: curves of single tasks, predictions step by step."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from molfm.catalog.schema import LEVELS
from molfm.training import snapshots
from molfm.training.curves import FILE, read_metrics, task_curve
from molfm.training.metrics import PRIMARY, score, undefined
from molfm.training.run import Run


class Curve(NamedTuple):
    """Values by step."""

    steps: np.ndarray  # (n,) int64
    values: np.ndarray  # (n,) float64, NaN where undefined


class Scatter(NamedTuple):
    """Predicted and measured values of one task after one step, (n,) each."""

    mol_id: np.ndarray
    measured: np.ndarray
    preds: np.ndarray
    val: np.ndarray  # bool: a validation label; otherwise a training label


class RunView:
    """A run and what can be drawn of it; files are read again only when they have changed.

    Args:
        run: the run.
        tasks: the tasks of the mix that it was trained on, as in `Mix.tasks`.
    """

    def __init__(self, run: Run, tasks: pd.DataFrame):
        self.run = run
        self.kind, self.level = (dict(zip(tasks.task, tasks[name], strict=True)) for name in ("kind", "level"))
        self._metrics: tuple[tuple | None, pd.DataFrame] = (None, pd.DataFrame())
        self._curves: dict[tuple[str, ...], Curve] = {}
        self._preds: dict[int, dict[str, np.ndarray]] = {}
        self._scores: dict[tuple[str, int], float] = {}

    @cached_property
    def config(self) -> dict:
        """The settings of the run."""
        return self.run.config

    @cached_property
    def tasks(self) -> list[str]:
        """The ids of the run's tasks, in the order of their numbers."""
        return self.config["tasks"]

    @property
    def metrics(self) -> pd.DataFrame:
        """`Run.metrics`."""
        path = self.run.folder / FILE
        stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else ()
        if stamp != self._metrics[0]:
            self._metrics = stamp, read_metrics(self.run.folder)
            self._curves.clear()
        return self._metrics[1]

    def curve(self, tasks: Sequence[str]) -> Curve:
        """Return the validation metric, averaged over those of these tasks for which it is defined."""
        metrics = self.metrics
        if (key := tuple(tasks)) not in self._curves:
            values = task_curve(metrics, {task: self.kind[task] for task in tasks if task in self.kind})
            self._curves[key] = Curve(metrics.step.to_numpy(np.int64), values.to_numpy(float))
        return self._curves[key]

    def train_curve(self, tasks: Sequence[str]) -> Curve:
        """Return the same metric on the sampled training labels of the snapshots."""
        steps, values = self.snapshot_steps, []
        for step in steps:
            found = [self._score(task, step) for task in tasks if task in self.tasks]
            known = [value for value in found if np.isfinite(value)]
            values.append(np.mean(known) if known else np.nan)
        return Curve(np.array(steps, np.int64), np.array(values, float))

    def _score(self, task: str, step: int) -> float:
        if (task, step) not in self._scores:
            found, kind = self.scatter(task, step), self.kind[task]
            preds, target = found.preds[~found.val], found.measured[~found.val]
            none = kind == "ordinal" or undefined(kind, target)  # a snapshot has no probabilities of classes
            self._scores[task, step] = np.nan if none else score(PRIMARY[kind], preds, target)
        return self._scores[task, step]

    def loss(self) -> tuple[Curve, Curve]:
        """Return the loss in training and in validation, over all watched tasks."""
        steps = self.metrics.step.to_numpy(np.int64)
        return tuple(Curve(steps, self.metrics[name].to_numpy(float)) for name in ("train_loss", "val_loss"))

    # -------------------------------------------------------------------------------------------------------- snapshots

    @property
    def snapshot_steps(self) -> list[int]:
        """The steps that have a snapshot."""
        return snapshots.steps(self.run.folder)

    @cached_property
    def _labels(self) -> tuple[snapshots.Labels, np.ndarray, np.ndarray]:
        """The labels of the snapshots, their order by task, and where each task starts in it."""
        labels = snapshots.read_labels(self.run.folder)
        order = np.argsort(labels.task, kind="stable")
        return labels, order, np.searchsorted(labels.task[order], np.arange(len(self.tasks) + 1))

    def _at(self, step: int) -> dict[str, np.ndarray]:
        if step not in self._preds:
            self._preds[step] = snapshots.read_snapshot(self.run.folder, step)
        return self._preds[step]

    def scatter(self, task: str, step: int) -> Scatter:
        """Return predicted and measured values of a task after a step."""
        labels, order, start = self._labels
        number = self.tasks.index(task)
        mine = order[start[number] : start[number + 1]]
        return Scatter(
            labels.mol_id[mine], labels.measured[mine], self._at(step)["preds"][mine], labels.split[mine] == 1
        )

    def pinned(self, step: int) -> dict[str, pd.DataFrame]:
        """Return the predictions of the pinned molecules by level: one row per molecule, atom or bond, one column per task."""
        found, out = self._at(step), {}
        for level in LEVELS:
            names = [task for task in self.tasks if self.level[task] == level]
            if level in found:
                out[level] = pd.DataFrame(found[level], columns=names)
        return out
