"""A run is a folder: everything that was set, measured and learned, in files that anything can read.

config.json          what was asked for, and the versions it ran on
kept.npz             where the labels of a task were kept, if the mix was narrowed so
status.json          state, step, total_steps, the process, and the traceback of a failure; see `Run.status`
metrics.jsonl        one line a validation, appended while it runs
results.parquet      task, dataset, level, domain, split, metric, value, unit, n_labels, undefined, seed
predictions.parquet  split, task, mol_id, constitution, preds, target: the labels of val and test, in their units
model/               model.safetensors and model.json, the best weights
specialists/         the best weights of single tasks, and tasks.json, which says whose (`adaptive`)
checkpoints/         what it needs to go on after a stop or a crash, until it is finished
log.txt              what a run in a process of its own printed
stop                 there while a stop is asked for

Starting and stopping go through these files too, so that a run can be followed, stopped and resumed from any process.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from molfm.download import home
from molfm.mix import Mix, load

if TYPE_CHECKING:
    from molfm.inference import Predictor

ALIVE = ("starting", "running")
COSINE = "cosine "  # how columns of metrics begin that tell of two heads' gradients, see `gradients.py`
TASK_COSINE = "task cosine "  # and of two tasks', with a tab between their names, which may have blanks
LOG_TAIL = 4000  # characters of the log that a status quotes
_children: list[subprocess.Popen] = []  # kept, so that those that ended are reaped


class Stopped(Exception):
    """Raised inside a run that was asked to stop, once it is safe on disk."""


def write_json(path: Path, facts: dict) -> None:
    """Write JSON whole or not at all, so that a reader never meets half a file."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(facts, indent=1))
    temporary.replace(path)


def process_start(pid: int) -> str | None:
    """Return when a process of this machine started, in the system's own terms; None: there is none (any more).

    Together with the number this tells a process from a later one that was given the same number.
    """
    if Path("/proc/self/stat").exists():
        try:
            facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if facts[0] in "ZX" else facts[19]
    found = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True).stdout.split()
    return None if not found or found[0].startswith("Z") else " ".join(found[1:])


class Reporter:
    """Writes a run's status.json; as a context it says how the run ended. `Stopped` ends it without an error.

    Args:
        folder: of the run.
        total_steps: of the whole run.
        silent: write nothing, in all but one of several processes.
    """

    def __init__(self, folder: Path, total_steps: int, silent: bool = False):
        self.folder, self.total_steps, self.silent = folder, total_steps, silent
        self.step, self.written = 0, 0.0

    def say(self, state: str, error: str = "", pid: int | None = None) -> None:
        if self.silent:
            return
        self.written = time.time()
        pid = pid or os.getpid()
        facts = {"state": state, "step": self.step, "total_steps": self.total_steps, "updated": self.written}
        facts |= {"error": error, "pid": pid, "process_start": process_start(pid), "host": platform.node()}
        write_json(self.folder / "status.json", facts)

    def tick(self, step: int) -> None:
        self.step = step
        if time.time() - self.written > 0.5:
            self.say("running")

    def __enter__(self) -> "Reporter":
        self.say("running")
        return self

    def __exit__(self, kind, error, _) -> bool:
        if kind is None or kind is Stopped:
            self.say("stopped" if kind else "finished")
            return kind is Stopped
        try:
            self.say("failed", "".join(traceback.format_exception(error)))
        except OSError as unwritten:  # a full disk, and the error is most likely that
            error.add_note(f"Nor could {self.folder / 'status.json'} be written: {unwritten}")
        return False


class Run:
    """A run folder, finished or not.

    Args:
        folder: its path, or its name under `$MOLFM_HOME/runs`.

    Raises:
        FileNotFoundError: no run there.
    """

    def __init__(self, folder: str | Path):
        path = Path(folder)
        self.folder = path if (path / "config.json").exists() else home() / "runs" / path
        if not (self.folder / "config.json").exists():
            raise FileNotFoundError(f"There is no run at {path} or {self.folder}: no config.json.")

    def __repr__(self) -> str:
        status = self.status
        return f"Run({self.folder.name}: {status['state']}, step {status['step']} of {status['total_steps']})"

    # ------------------------------------------------------------------------------------------------ what it was and is

    @property
    def config(self) -> dict:
        """What was asked for."""
        return json.loads((self.folder / "config.json").read_text())

    @property
    def status(self) -> dict:
        """Where it stands now: state, step, total_steps, updated (seconds since 1970), error, and pid, host of its process.

        The states: starting, running, stopped (it can be resumed), finished, failed (`error` has the traceback), and died:
        its process is gone without having said why, as when it was killed (`error` says what is known).
        """
        status = json.loads((self.folder / "status.json").read_text())
        if status["state"] in ALIVE and status.get("pid") and status["host"] == platform.node():
            start = process_start(status["pid"])
            if start is None or start != status["process_start"]:
                again = json.loads((self.folder / "status.json").read_text())  # its last word may have come in between
                return (
                    again
                    if again["state"] not in ALIVE
                    else status | {"state": "died", "error": self._obituary(status)}
                )
        return status

    def _obituary(self, status: dict) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status["updated"]))
        text = (
            f"Process {status['pid']} on {status['host']} is gone without having said why: killed, out of memory, or the "
            f"machine went down. It was last heard of at {when}, at step {status['step']} of {status['total_steps']}."
        )
        log = self.folder / "log.txt"
        tail = log.read_text(errors="replace")[-LOG_TAIL:].strip() if log.exists() else ""
        return text + (f"\nThe end of {log}:\n{tail}" if tail else "")

    @property
    def metrics(self) -> pd.DataFrame:
        """The learning curves so far, a row a validation.

        Columns: step, train_loss, val_loss, `val_loss DATASET/LEVEL` of each head with validation labels, and `TASK/METRIC` of
        those that are watched; with `conflicts` also `TASK/loss`, `cosine HEAD HEAD` and `task cosine TASK\tTASK`.
        """
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return pd.DataFrame([json.loads(line) for line in lines if line.endswith("}")])

    @property
    def results(self) -> pd.DataFrame:
        """Final metrics of the best weights, a row a task, split and metric."""
        return self._table("results")

    @property
    def predictions(self) -> pd.DataFrame:
        """Predicted and measured values of the val and test labels, in their units; mol_id is a row of `mix.molecules`."""
        return self._table("predictions")

    def _table(self, name: str) -> pd.DataFrame:
        path = self.folder / f"{name}.parquet"
        if not path.exists():
            raise FileNotFoundError(f"{self!r} has no {name} yet.")
        return pd.read_parquet(path)

    @cached_property
    def model(self) -> "Predictor":
        """The best weights, ready to predict."""
        from molfm.model import MultiTaskModel, Specialists

        model, own = MultiTaskModel.load(self.folder / "model"), self.folder / "specialists"
        return Specialists(own, model) if own.exists() else model

    @cached_property
    def mix(self) -> Mix:
        """What it was trained on, opened again.

        Raises:
            ValueError: it cannot be opened again, or is not what it was.
        """
        return read_mix(self.folder, self.config)

    # ------------------------------------------------------------------------------------------ starting and stopping it

    def launch(self) -> "Run":
        """Let a process of its own train what config.json says, from the last checkpoint on, and return at once."""
        reporter = Reporter(self.folder, self.config["steps"])
        if (self.folder / "status.json").exists():
            reporter.step = self.status["step"]
        (self.folder / "stop").unlink(missing_ok=True)
        reporter.say("starting")
        command = [sys.executable, "-m", "molfm.cli", "train", "--resume", str(self.folder.resolve())]
        with open(self.folder / "log.txt", "ab") as log:
            # A session of its own: what interrupts or ends this process does not reach it.
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        _children[:] = [child, *(other for other in _children if other.poll() is None)]
        reporter.say("starting", pid=child.pid)
        return self

    def stop(self, wait: bool = True) -> "Run":
        """Ask the run to stop after the step it is in; it writes a checkpoint first. A validation is brought to its end.

        Args:
            wait: return when it has stopped.

        Raises:
            RuntimeError: it failed or died instead.
        """
        if self.status["state"] in ALIVE:
            (self.folder / "stop").touch()
            if wait:
                self.wait()
        return self

    def wait(self, timeout: float | None = None) -> "Run":
        """Wait until the run is finished or stopped.

        Raises:
            RuntimeError: it failed or died; the message has the traceback, or what is known.
            TimeoutError: it goes on after `timeout` seconds.
        """
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (status := self.status)["state"] in ALIVE:
            if time.monotonic() > end:
                raise TimeoutError(f"{self!r} goes on after {timeout} seconds.")
            time.sleep(0.1)
        if status["state"] in ("failed", "died"):
            raise RuntimeError(f"{self!r}\n{status['error']}")
        return self

    def resume(self, wait: bool = False) -> "Run":
        """Go on from the last checkpoint, in a process of its own: after a stop, a failure or a kill.

        A run on a CPU gives what it would have given without the interruption, to the last bit.

        Args:
            wait: return when it is finished or stopped again, instead of at once.

        Raises:
            ValueError: it is running, has finished, or was trained on a mix that another process cannot open.
        """
        self.check_resumable()
        self.launch()
        return self.wait() if wait else self

    def check_resumable(self) -> None:
        """Raise ValueError where there is nothing to resume."""
        state = self.status["state"]
        if state in ALIVE or state == "finished":
            raise ValueError(f"{self!r} cannot be resumed: it {'has' if state == 'finished' else 'is'} {state}.")
        check_origin(self.config["data"])


# ------------------------------------------------------------------------------------------------------------ the folder


def contents_of(mix: Mix) -> dict:
    """Return what identifies a mix's content: the names of its prepared stores, and a hash of which row is in which split."""
    splits = hashlib.sha256(np.ascontiguousarray(mix.rows.split)).hexdigest()
    return {"stores": [shard.folder.parent.name for shard in mix.shards], "splits": splits}


def check_origin(origin: dict) -> None:
    """Raise ValueError for a mix that another process cannot open."""
    if not origin:
        raise ValueError(
            "This mix was not made by molfm.load, so no other process can open it: train with molfm.train in this process, "
            "or make the mix with molfm.load."
        )


def write_mix(folder: Path, mix: Mix) -> dict:
    """Write into a folder what is needed to open this mix again (`read_mix`), and return what its JSON file should say."""
    if mix.kept:
        np.savez_compressed(folder / "kept.npz", **{str(task): np.packbits(mask) for task, mask in mix.kept.items()})
    return {"data": mix.origin, **contents_of(mix), "tasks": [task.id for task in mix.chosen]}


def read_mix(folder: Path, facts: dict) -> Mix:
    """Open the mix again that `write_mix` wrote into a folder, and of which it returned these facts.

    Raises:
        ValueError: it cannot be opened again, or is not what it was.
    """
    check_origin(facts["data"])
    mix = load(**facts["data"], progress=False).select(facts["tasks"])
    for name, found in contents_of(mix).items():
        if found != facts[name]:
            part = {"stores": "table", "splits": "split"}[name]
            raise ValueError(f"{facts['data']['data']} is not what {folder.name} was made with: its {part} changed.")
    path = folder / "kept.npz"
    if not path.exists():
        return mix
    with np.load(path, allow_pickle=False) as packed:
        kept = {int(task): np.unpackbits(packed[task], count=len(mix)).astype(bool) for task in packed}
    return replace(mix, kept=kept)


def new_folder(name: str | None, prefix: str) -> Path:
    """Make the folder of a new run.

    Raises:
        FileExistsError: a run of that name exists.
    """
    folder = (
        home()
        / "runs"
        / (name or f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.time_ns() % 10**9:09d}")
    )
    if (folder / "config.json").exists():
        raise FileExistsError(f"There is a run at {folder} already; choose another name, or delete that folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
