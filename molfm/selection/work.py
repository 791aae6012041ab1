"""Does the work of a fit within its time, and keeps every finished piece on disk.

A fit is a folder under `$MOLFM_HOME/fits`:

    fit.json                     what was asked, and what it was asked of; a call with the same name must ask the same
    state.json                   seconds spent, epochs of the networks, what was left out and why
    molecules.parquet            smiles of all labelled molecules; models refer to them by number
    described/NAME.npy           their descriptions
    folds/CANDIDATE-FOLD.npz     predictions for the labels of a fold (of the test set, for the fold "all"), and the seconds
    models/CANDIDATE-TARGET.npz  the model that learned from all folds, as arrays (`models.py`)
    models/CANDIDATE-FOLD/       for networks, the models of all folds, whose mean predicts

A candidate counts if all its folds are there. Quick candidates come first. One whose folds would not fit into the rest of
the time is left out and named, with the minutes that it would need. Quick candidates are fitted once more to all folds,
because the mean of the models of the folds is worse by 1 to 3% (`benchmarks/own_tables.md`).
"""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from molfm.base.files import whole, write_json
from molfm.base.progress import tqdm
from molfm.selection.candidates import BASELINE, CANDIDATES, Candidate
from molfm.selection.describe import Described
from molfm.selection.models import read_model, save_model
from molfm.selection.problem import Problem, Target
from molfm.selection.training import training_data

if TYPE_CHECKING:
    from molfm.selection.networks import Networks

ALL = "all"  # stands for the fold of a model that learned from all folds
ALWAYS = ("mean", BASELINE)  # the candidates that every fit has, whatever its time
_AFTERWARDS = 0.18  # share of the time that the last fits, the learning curve, the report and a margin need


class Work:
    """The folds of all candidates.

    Args:
        problem: targets and folds.
        x: descriptions of the problem's molecules.
        folder: the folder of the fit.
        seed: random seed.
        seconds: time for everything, from `begin`.
        begin: when the call began, in seconds of `time.monotonic`; None for now.
        progress: show a progress bar.
    """

    def __init__(
        self,
        problem: Problem,
        x: Described,
        folder: Path,
        seed: int,
        seconds: float = 0.0,
        begin: float | None = None,
        progress: bool = False,
    ):
        self.problem, self.x, self.folder, self.seed, self.progress = problem, x, folder, seed, progress
        self.state = (
            json.loads(self._state.read_text("utf-8")) if self._state.exists() else {"spent": 0.0, "epochs": {}}
        )
        self.seconds, self.begin = seconds, time.monotonic() if begin is None else begin
        self.before = self.state["spent"]
        self.left_out: dict[str, str] = {}
        self._networks: Networks | None = None
        self._has_test = any(target.n_test for target in problem.targets)

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    @property
    def spent(self) -> float:
        """The seconds spent so far, with those of earlier calls that were interrupted."""
        return self.before + time.monotonic() - self.begin

    @property
    def left(self) -> float:
        """The seconds left for candidates."""
        return self.seconds * (1 - _AFTERWARDS) - self.spent

    def note(self, **facts) -> None:
        """Write facts into state.json, with the time spent."""
        self.state |= facts | {"spent": self.spent}
        write_json(self._state, self.state)

    # ------------------------------------------------------------------------------------------------------------ files

    def path(self, name: str, fold: int | str) -> Path:
        """Return the file with the predictions of a candidate for a fold."""
        return self.folder / "folds" / f"{name}-{fold}.npz"

    def model_path(self, name: str, number: int) -> Path:
        """Return the file of the model of a quick candidate and target, or the folder of a network and fold."""
        return self.folder / "models" / (f"{name}-{number}.npz" if CANDIDATES[name].fit else f"{name}-{number}")

    def is_done(self, name: str) -> bool:
        """Return whether all folds of a candidate are there, and its predictions of a test set."""
        folds = [*range(self.problem.k), *([ALL] if CANDIDATES[name].fit and self._has_test else [])]
        return all(self.path(name, fold).exists() for fold in folds)

    def finished(self) -> list[str]:
        """Return the candidates whose folds are all there, in the order in which they are tried."""
        return [name for name in CANDIDATES if self.is_done(name)]

    def seconds_of(self, name: str) -> float:
        """Return the seconds that the folds of a candidate took."""
        return sum(float(self.read(name, fold)["seconds"]) for fold in range(self.problem.k))

    def read(self, name: str, fold: int | str) -> dict[str, np.ndarray]:
        """Return what `keep` wrote."""
        with np.load(self.path(name, fold), allow_pickle=False) as found:
            return dict(found)

    def predictions(self, name: str, number: int) -> np.ndarray:
        """Return a candidate's predictions for all labels of a target, (n,).

        In each fold, they are those of the model that did not learn from it; in the test set, those of the model that
        learned from all folds (for networks, the mean over all models).
        """
        target, found = self.problem.targets[number], np.zeros(len(self.problem.targets[number].y))
        k, test = self.problem.k, target.fold < 0
        for fold in range(k):
            preds, here = self.read(name, fold)[f"target_{number}"], self._asked(name, target, fold)
            found[here] += np.where(test[here], preds / k, preds)
        if CANDIDATES[name].fit and test.any():
            found[test] = self.read(name, ALL)[f"target_{number}"]
        return found

    # ------------------------------------------------------------------------------------------------------------- work

    def run(self, names: list[str]) -> None:
        """Fit candidates on all folds, as far as the time allows."""
        k = self.problem.k
        with tqdm(total=len(names) * k, unit=" fits", disable=not self.progress) as bar:
            for name in names:
                candidate = CANDIDATES[name]
                bar.set_description(candidate.title)
                if not self.is_done(name):
                    (self._quick if candidate.fit else self._network)(candidate, bar.update)
                bar.n = (names.index(name) + 1) * k
                bar.refresh()
        self.note()

    def _quick(self, candidate: Candidate, tick: Callable[[int], None]) -> None:
        """Fit a candidate on every fold, unless the first ones show that it takes too long."""
        name, k, took = candidate.name, self.problem.k, []
        if self.left <= 0 and name not in ALWAYS:
            self.left_out[name] = "the time was over before it began"
            return
        describing = sum(self.x.seconds(description) for description in candidate.needs)
        if describing > self.left and name not in ALWAYS:
            self.left_out[name] = _would_need(describing)
            return
        for description in candidate.needs:
            self.x.get(description)
        folds = [*range(k), *([ALL] if self._has_test else [])]
        for done, fold in enumerate(folds, 1):
            if not self.path(name, fold).exists():
                begin = time.monotonic()
                self._fit_quick(candidate, fold)
                took.append(time.monotonic() - begin)
                self.note()
            tick(1)
            needed = float(np.mean(took or [0.0])) * (len(folds) - done)
            if needed > self.left and name not in ALWAYS:
                self.left_out[name] = _would_need(sum(took) + needed)
                return

    def complete(self, names: Iterable[str]) -> None:
        """Fit quick candidates to all folds, and train nothing else: what predicts new molecules."""
        for name in names:
            if CANDIDATES[name].fit and not self.path(name, ALL).exists():
                self._fit_quick(CANDIDATES[name], ALL)

    def _fit_quick(self, candidate: Candidate, fold: int | str) -> None:
        begin, found = time.monotonic(), {}
        # Threads of BLAS would wait for each other while other processes keep cores busy.
        with threadpool_limits(1, "blas"):
            for number, target in enumerate(self.problem.targets):
                seed = self.seed + (self.problem.k if fold == ALL else fold)
                model = candidate.fit(training_data(target, self.x, None if fold == ALL else fold, seed))
                if fold == ALL:
                    save_model(model, self.model_path(candidate.name, number))
                rows = target.row[self._asked(candidate.name, target, fold)]
                found[f"target_{number}"] = model.predict(self.x.take(rows), self.x)
        self.keep(candidate.name, fold, found | {"seconds": np.array(time.monotonic() - begin)})

    def _asked(self, name: str, target: Target, fold: int | str) -> np.ndarray:
        """Return the places of the labels that the model of a fold predicts."""
        if CANDIDATES[name].fit:
            return np.flatnonzero(target.fold == (-1 if fold == ALL else fold))
        return np.flatnonzero((target.fold == fold) | (target.fold < 0))

    def keep(self, name: str, fold: int | str, arrays: dict[str, np.ndarray]) -> None:
        """Keep arrays of a candidate and fold in one file."""
        with whole(self.path(name, fold)) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    def _network(self, candidate: Candidate, tick: Callable[[int], None]) -> None:
        """Train a network on every fold, for as many epochs as fit into its part of the time."""
        from molfm.selection.networks import NETWORKS, Networks, predict

        name, k = candidate.name, self.problem.k
        networks = self._networks = self._networks or Networks(self.problem, self.x, self.seed)
        waiting = [other for other in NETWORKS if not self.is_done(other) and other not in self.left_out]
        share = self.left / max(len(waiting), 1)
        epochs = self.state["epochs"].get(name, 0)
        if not epochs:
            epochs, needed = networks.epochs(name, share, self.folder / "pilot")
            if not epochs:
                self.left_out[name] = _would_need(needed)
                return
            self.note(epochs=self.state["epochs"] | {name: epochs})
        took: list[float] = []
        for fold in range(k):
            if not self.path(name, fold).exists():
                if took and max(took) > self.left:
                    self.left_out[name] = _would_need(max(took) * k)
                    return
                begin, folder = time.monotonic(), self.model_path(name, fold)
                networks.fit(name, fold, epochs, folder)
                tasks = [target.task.id for target in self.problem.targets]
                found = predict(folder, self.x, tasks)
                preds = {
                    f"target_{i}": found[of.row[self._asked(name, of, fold)], i]
                    for i, of in enumerate(self.problem.targets)
                }
                took.append(time.monotonic() - begin)
                self.keep(name, fold, preds | {"seconds": np.array(took[-1])})
                self.note()
            tick(1)

    def predict(self, name: str, number: int, x: Described) -> np.ndarray:
        """Return a candidate's predictions of a target for new molecules, (n,)."""
        if CANDIDATES[name].fit:
            return read_model(self.model_path(name, number)).predict(x, self.x)
        from molfm.selection.networks import predict

        task = [self.problem.targets[number].task.id]
        models = [self.model_path(name, fold) for fold in range(self.problem.k)]
        return np.mean([predict(folder, x, task)[:, 0] for folder in models], axis=0)


def _would_need(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "no time was left to begin"
    return f"its folds would need {max(seconds / 60, 0.1):.1f} more minutes"
