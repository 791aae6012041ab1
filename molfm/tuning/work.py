"""Trains the trials of a search in child processes, a few at a time."""

import time
import warnings
from collections.abc import Callable, Mapping

import torch

from molfm.base.errors import InputError
from molfm.base.progress import tqdm
from molfm.data.mix import Mix
from molfm.training.plan import Plan, make_folder, make_plan
from molfm.training.run import Run
from molfm.tuning.space import rounded
from molfm.tuning.trials import Trials, Watched

_POLL_SECONDS = 0.5


class Runs:
    """Makes the runs of trials.

    Args:
        mix: the data.
        settings: settings of `molfm.train` that all trials share.
        seed: random seed of every run.
        threads: threads of each run on a CPU.
    """

    def __init__(self, mix: Mix, settings: Mapping[str, object], seed: int, threads: int):
        self.mix, self.settings, self.seed, self.threads = mix, dict(settings), seed, threads

    def plan(self, params: Mapping[str, object]) -> Plan:
        """Check the settings of a trial; for errors, see `molfm.train`."""
        settings = self.settings | rounded(params)
        model, epochs, n_labels = (settings.pop(name, None) for name in ("model", "epochs", "n_labels"))
        return make_plan(self.mix, model, None, epochs, self.seed, n_labels, "smiles", None, None, False, settings)

    def begin(self, watched: Watched, name: str) -> None:
        """Start the run of a trial in a child process, or resume it after an interruption.

        Raises:
            ValueError: these settings cannot be combined.
        """
        if watched.run is None:
            before = torch.get_num_threads()
            try:
                torch.set_num_threads(self.threads)  # config.json records it, and the child takes it from there
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the plan of the search has warned already
                    watched.run = Run(make_folder(self.plan(watched.trial.params), name))
            finally:
                torch.set_num_threads(before)
        if not (watched.run.folder / "status.json").exists() or watched.run.status["state"] == "died":
            watched.run.launch()


def train_trials(
    trials: Trials,
    ask: Callable[[], Watched | None],
    runs: Runs,
    n_trials: int,
    workers: int,
    end: float,
    progress: bool,
) -> None:
    """Train trials until there are no more. Ctrl-C stops them, and they can be resumed.

    Args:
        trials: the trials of the search.
        ask: returns the next trial, or None.
        runs: makes their runs.
        n_trials: number of trials of the search, for the bar.
        workers: trials that this process trains at the same time.
        end: `time.monotonic()` after which no more trials start.
        progress: show a bar.

    Raises:
        ValueError: the first trials all failed.
    """
    watched: list[Watched] = []
    bar = tqdm(total=n_trials, desc="Trials", unit=" trials", disable=not progress)
    try:
        while True:
            while len(watched) < workers and time.monotonic() < end and (trial := ask()) is not None:
                try:
                    runs.begin(trial, trials.run_name(trial.trial.number))
                    watched.append(trial)
                except InputError as error:
                    trials.fail(trial, str(error))
            if not watched:
                return
            watched = [trial for trial in watched if not trials.update(trial)]
            n_ended, best = trials.standing()
            bar.set_postfix_str("" if best is None else f"lowest validation loss {best:.4g}", refresh=False)
            bar.update(n_ended - bar.n)
            time.sleep(_POLL_SECONDS)
    finally:
        bar.close()
        for trial in watched:  # after an interruption or an error: nothing may train on unnoticed
            trial.run.stop(wait=False)
            trial.lock.release()  # a notebook keeps the traceback of an interruption, and with it these objects
