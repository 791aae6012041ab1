"""The trials of a search: which settings each tries, and how its run fares. Several processes may share a search.

Optuna draws the settings and decides which runs are not worth finishing; its journal, `trials.log`, is the record. Trial 7
trains in the run folder `0007` beside it. Whoever watches a trial holds the lock `0007.lock`. The lock of a process that
ended is free, so the next one takes its trials over, whatever state their runs are in.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from molfm.base.errors import InputError
from molfm.training.run import Run
from molfm.training.status import ALIVE

ERROR = "error"  # attribute of a trial that failed: why
_STUDY = "tuning"
_BEFORE_PRUNING = 5  # trials that are finished before any is ended early
_SHARE_BEFORE_PRUNING = 20  # percent of a run in which it is not ended
_HOPELESS = 3  # so many failures before any success end a search


@dataclass
class Watched:
    """A trial that this process watches.

    Attributes:
        lock: held as long as it is watched.
        run: its run; None until it has one.
        percent: part of the run, in percent, up to which Optuna knows its validations.
        pruned: whether its run was asked to end early.
        taken_over: whether another process began it, whose interruption may still be stopping the run.
    """

    trial: Trial
    lock: FileLock
    run: Run | None = None
    percent: int = -1
    pruned: bool = False
    taken_over: bool = False


class Trials:
    """The trials in the folder of a search.

    Args:
        folder: the folder.
        prune: end runs early whose validation loss is worse than the median of others at the same point.
    """

    def __init__(self, folder: Path, prune: bool = True):
        optuna.logging.set_verbosity(logging.WARNING)
        self.folder = folder
        path = str(folder / "trials.log")
        storage = JournalStorage(JournalFileBackend(path, JournalFileOpenLock(path)))
        never = optuna.pruners.NopPruner()
        median = optuna.pruners.MedianPruner(_BEFORE_PRUNING, _SHARE_BEFORE_PRUNING, n_min_trials=_BEFORE_PRUNING)
        self._study = optuna.create_study(
            study_name=_STUDY, storage=storage, load_if_exists=True, pruner=median if prune else never
        )

    def __iter__(self) -> Iterator[FrozenTrial]:
        return iter(self._study.get_trials(deepcopy=False))

    def ask(self, most: int, space: Mapping, first: dict | None, seed: int) -> Watched | None:
        """Return the next trial to watch: one that nobody watches, or a new one while there are fewer than `most`.

        Args:
            most: number of trials of the search.
            space: setting -> Optuna's distribution.
            first: settings of the first trial; None if they are drawn too.
            seed: random seed of the search.
        """
        with FileLock(self.folder / "ask.lock"):  # counting and adding are one act, whoever else asks
            trials = list(self)
            for trial in trials:
                if trial.state == TrialState.RUNNING and (lock := self._lock(trial.number)):
                    known = max(trial.intermediate_values, default=-1)
                    begun = Trial(self._study, trial._trial_id)
                    return Watched(begun, lock, self.run(trial.number), known, taken_over=True)
            if len(trials) >= most:
                return None
            if not trials and first is not None:
                self._study.enqueue_trial(first)
            # A seed for each trial: processes that share a search would else draw the same settings.
            self._study.sampler = optuna.samplers.TPESampler(seed=seed * 100_003 + len(trials))
            trial = self._study.ask(dict(space))
            return Watched(trial, self._lock(trial.number))

    def _lock(self, number: int) -> FileLock | None:
        """Return the lock of a trial, or None if another watches it."""
        lock = FileLock(self.folder / f"{number:04d}.lock", timeout=0)
        with suppress(Timeout):
            return lock.acquire() and lock
        return None

    def run(self, number: int) -> Run | None:
        """Return the run of a trial, or None if it has none."""
        with suppress(FileNotFoundError):
            if (run := Run(self.folder / f"{number:04d}")).folder.parent == self.folder:
                return run
        return None

    def run_name(self, number: int) -> str:
        """Return the name of the run of a trial."""
        return f"{self.folder.parent.name}/{self.folder.name}/{number:04d}"

    def standing(self) -> tuple[int, float | None]:
        """Return how many trials have ended, and the lowest validation loss of those that finished."""
        trials = list(self)
        values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
        return sum(trial.state.is_finished() for trial in trials), min(values, default=None)

    def update(self, watched: Watched) -> bool:
        """Look at a run: report its validations, end it if it is not worth finishing, and return whether it has ended."""
        status = watched.run.status  # read first: what was validated before it ended is in the metrics then
        losses = watched.run.metrics
        for step, loss in losses[["step", "val_loss"]].to_numpy():
            if (percent := round(100 * step / status["total_steps"])) > watched.percent:
                watched.trial.report(float(loss), percent)
                watched.percent = percent
        if status["state"] in ALIVE:
            if not watched.pruned and watched.trial.should_prune():
                watched.run.stop(wait=False)
                watched.pruned = True
            return False
        if status["state"] == "stopped" and watched.taken_over and not watched.pruned:
            watched.taken_over = False
            watched.run.launch()
            return False
        if status["state"] == "finished":
            self._tell(watched, TrialState.COMPLETE, float(np.nanmin(losses.val_loss)))
        elif status["state"] == "stopped":
            self._tell(watched, TrialState.PRUNED)
        else:
            self.fail(watched, status["error"].strip().splitlines()[-1])
        return True

    def fail(self, watched: Watched, why: str) -> None:
        """Note that a trial failed.

        Raises:
            ValueError: the first trials all failed, so that more would be in vain.
        """
        watched.trial.set_user_attr(ERROR, why)
        self._tell(watched, TrialState.FAIL)
        ended = [trial for trial in self if trial.state.is_finished()]
        failed = [trial for trial in ended if trial.state == TrialState.FAIL]
        if len(failed) == len(ended) >= _HOPELESS:
            raise InputError(
                f"The first {len(failed)} trials failed, so the search ended. Trial {failed[0].number}: "
                f"{failed[0].user_attrs[ERROR]}"
            )

    def _tell(self, watched: Watched, state: TrialState, value: float | None = None) -> None:
        self._study.tell(watched.trial, value, state)
        watched.lock.release()
