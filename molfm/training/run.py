"""A run is a folder with everything that was set, measured and learned, in plain files.

config.json          all settings, and the versions of the packages
kept.npz             which molecules keep labels of a task, if the mix was narrowed so
status.json          state, step, total_steps, the process, and the traceback of a failure; see `Run.status`
metrics.jsonl        one line per validation, appended during the run
results.parquet      task, dataset, level, domain, split, metric, value, unit, n_labels, undefined, seed
predictions.parquet  split, task, mol_id, constitution, preds, measured: one row per label of val and test
model/               model.safetensors and model.json, the best weights
specialists/         with `adaptive`: the best weights of single tasks; tasks.json names the folder of each task
snapshots/           with `pinned`: what the network predicted at each validation (`snapshots.py`)
tensorboard/, wandb/ with `logger`: the learning curves once more (`loggers.py`)
checkpoints/         what the run needs to resume after a stop or a crash; removed when it finishes
log.txt              the output of a run in a child process
stop                 exists while the run is asked to stop

Starting and stopping use these files too, so any process can follow, stop and resume a run.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from molfm.base.errors import InputError
from molfm.base.files import home
from molfm.base.names import TaskName, resolve
from molfm.data.mix import Mix
from molfm.data.reopen import check_origin, read_mix
from molfm.training.curves import read_metrics
from molfm.training.metrics import EVERY, Metric, evaluate
from molfm.training.status import ALIVE, LOG_TAIL, QUEUED, Reporter, process_start

if TYPE_CHECKING:
    from molfm.nn.predictor import Predictor


_children: list[subprocess.Popen] = []  # kept, so ended processes are reaped


class Run:
    """A run folder, finished or not.

    Args:
        folder: path of the folder, or its name under `$MOLFM_HOME/runs`.

    Raises:
        FileNotFoundError: there is no run at either place.
    """

    def __init__(self, folder: str | Path):
        path = Path(folder)
        self.folder = path if (path / "config.json").exists() else home() / "runs" / path
        if not (self.folder / "config.json").exists():
            raise FileNotFoundError(f"There is no run at {path} or {self.folder}: expected a folder with config.json.")

    def __repr__(self) -> str:
        status = self.status
        return f"Run({self.folder.name}: {status['state']}, step {status['step']} of {status['total_steps']})"

    # -------------------------------------------------------------------------------------------- content of the folder

    @property
    def config(self) -> dict:
        """The settings in config.json."""
        return json.loads((self.folder / "config.json").read_text())

    @property
    def status(self) -> dict:
        """The current status: state, step, total_steps, updated (seconds since 1970), seconds (of
        training so far, without the time of a stop), error, pid and host.

        States: queued (it waits for a core), starting, running, stopped (it can be resumed), finished, failed (`error` has the traceback) and died:
        the process ended without an error message, for example because it was killed (`error` says what is known).
        """
        status = json.loads((self.folder / "status.json").read_text())
        if status["state"] in ALIVE and status.get("pid") and status["host"] == platform.node():
            start = process_start(status["pid"])
            if start is None or start != status["process_start"]:
                again = json.loads((self.folder / "status.json").read_text())  # it may have ended properly in between
                return (
                    again
                    if again["state"] not in ALIVE
                    else status | {"state": "died", "error": self._why_died(status)}
                )
        return status

    def _why_died(self, status: dict) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status["updated"]))
        text = (
            f"Process {status['pid']} on {status['host']} ended without an error message: it was killed, ran out of "
            f"memory, or the machine went down. Its last report is from {when}, at step {status['step']} of "
            f"{status['total_steps']}."
        )
        log = self.folder / "log.txt"
        tail = log.read_text(errors="replace")[-LOG_TAIL:].strip() if log.exists() else ""
        return text + (f"\nThe end of {log}:\n{tail}" if tail else "")

    @property
    def metrics(self) -> pd.DataFrame:
        """The learning curves so far, one row per validation.

        Columns: step, train_loss, val_loss, `val_loss DATASET/LEVEL` of each head with validation labels, and
        `TASK/METRIC` of each task; with `conflicts` also `TASK/loss`, `cosine HEAD HEAD` and
        `task cosine TASK\tTASK`.
        """
        return read_metrics(self.folder)

    @property
    def results(self) -> pd.DataFrame:
        """The metrics of the best weights, one row per task, split and metric."""
        return self._table("results")

    def predictions(self) -> pd.DataFrame:
        """Return predicted and measured values of the val and test labels, one row per label.

        Columns: split, task (its id), mol_id (row of `mix.molecules`), constitution (equal for stereoisomers and salts), preds
        and measured in the task's unit (for a binary task the probability and the class, for an ordinal task the
        expected class and the class), and class_0, class_1, … if there are ordinal tasks.
        """
        return self._table("predictions")

    def evaluate(
        self, metrics: Sequence[str] | Mapping[str, Metric] | None = None, tasks: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Score the saved predictions anew, with further metrics or functions of your own; nothing is trained.

        Metrics beyond those of `results`: rmse for regression; accuracy, balanced_accuracy, f1 and mcc (a probability of
        0.5 or more counts as class 1), ef1 and ef5 (enrichment factor of the top 1% and 5%) for binary tasks.

        Args:
            metrics: names, such as `["mcc", "ef1"]`; or `{name: function}`, where `function(preds, target)` returns a
                number. preds are values in the task's unit (n,), probabilities of class 1 (n,), or of all classes
                (n, classes) for an ordinal task; target (n,) is what was measured. None for every metric of molfm.
            tasks: tasks, datasets, or levels of datasets to score (`Mix.expand`); None for all.

        Returns:
            The columns of `results`, one row per task, split and metric; `molfm.training.metrics.averages` averages
            them over tasks.

        Raises:
            FileNotFoundError: the run has not finished.
            ValueError: a metric is unknown or fits no task, or a function fails; the message names metric and task.
        """
        table = self.predictions()
        known = pd.DataFrame(json.loads((self.folder / "model" / "model.json").read_text("utf-8"))["tasks"])
        if tasks is not None:
            names = [TaskName(*row) for row in known[["task", "dataset", "level", "family"]].to_numpy()]
            chosen = [place for name in tasks for place in resolve(name, names, repr(self))]
            known = known.iloc[sorted(set(chosen))]
        if metrics is None:
            metrics = [name for name in EVERY if known.kind.isin(EVERY[name]).any()]
        elif isinstance(metrics, str):
            metrics = [metrics]
        return evaluate(table, known.astype({"std": float}), metrics).assign(seed=self.config["seed"])

    def _table(self, name: str) -> pd.DataFrame:
        path = self.folder / f"{name}.parquet"
        if not path.exists():
            raise FileNotFoundError(f"{self!r} has no {name} yet.")
        return pd.read_parquet(path)

    @cached_property
    def model(self) -> "Predictor":
        """The model with the best weights, ready to predict."""
        from molfm.nn.checkpoints import open_model  # imports torch, which looking at a run does not need

        return open_model(self.folder)

    @cached_property
    def mix(self) -> Mix:
        """The mix that the run was trained on, opened again.

        Raises:
            ValueError: the mix cannot be opened again or has changed.
        """
        return read_mix(self.folder, self.config)

    # -------------------------------------------------------------------------------------------- starting and stopping

    def launch(self) -> "Run":
        """Train what config.json says in a child process, from the last checkpoint if there is one; return at once."""
        reporter = Reporter(self.folder, self.config["steps"])
        if (self.folder / "status.json").exists():
            reporter.step = self.status["step"]
        (self.folder / "stop").unlink(missing_ok=True)
        reporter.say("starting")
        command = [sys.executable, "-m", "molfm.training", str(self.folder.resolve())]
        with open(self.folder / "log.txt", "ab") as log:
            # In a new session, so signals that interrupt or end this process do not reach it.
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        _children[:] = [child, *(other for other in _children if other.poll() is None)]
        reporter.say("starting", pid=child.pid)
        return self

    def stop(self, wait: bool = True) -> "Run":
        """Ask the run to stop after the current step or validation; it writes a checkpoint first.

        Args:
            wait: wait until it has stopped, instead of returning at once.

        Raises:
            RuntimeError: the run failed or died instead.
        """
        state = self.status["state"]
        if state == QUEUED:
            Reporter(self.folder, self.config["steps"]).say("stopped")
        elif state in ALIVE:
            (self.folder / "stop").touch()
            if wait:
                self.wait()
        return self

    def wait(self, timeout: float | None = None) -> "Run":
        """Wait until the run has finished or stopped.

        Args:
            timeout: seconds to wait; None for no limit.

        Raises:
            RuntimeError: the run failed or died; the message has the traceback, or what is known.
            TimeoutError: the run is still active after `timeout` seconds.
        """
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (status := self.status)["state"] in ALIVE:
            if time.monotonic() > end:
                raise TimeoutError(f"{self!r} is still active after {timeout} seconds.")
            time.sleep(0.1)
        if status["state"] in ("failed", "died"):
            raise RuntimeError(f"{self!r}\n{status['error']}")
        return self

    def resume(self, wait: bool = False) -> "Run":
        """Resume from the last checkpoint after a stop, a failure or a kill, in a child process.

        On a CPU, the result equals that of an uninterrupted run to the last bit.

        Args:
            wait: wait until the run has finished or stopped again, instead of returning at once.

        Raises:
            ValueError: the run is running or has finished, or another process cannot open its mix.
        """
        self.check_resumable()
        self.launch()
        return self.wait() if wait else self

    def check_resumable(self) -> None:
        """Raise ValueError if the run cannot be resumed."""
        state = self.status["state"]
        if state in ALIVE or state == "finished":
            raise InputError(f"{self!r} cannot be resumed: it {'has' if state == 'finished' else 'is'} {state}.")
        check_origin(self.config["data"])


def new_folder(name: str | None, prefix: str) -> Path:
    """Make the folder of a new run.

    Raises:
        FileExistsError: a run with this name exists.
    """
    folder = (
        home()
        / "runs"
        / (name or f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.time_ns() % 10**9:09d}")
    )
    if (folder / "config.json").exists():
        raise FileExistsError(f"There is already a run at {folder}; choose another name, or delete that folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
