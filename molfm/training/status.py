"""The status of a run: status.json, and whether its process is alive."""

import json
import os
import platform
import time
import traceback
from pathlib import Path

import psutil

from molfm.base.files import write_json

ALIVE = ("starting", "running")
QUEUED = "queued"  # a run folder that waits for its turn, see `queue.py`
LOG_TAIL = 4000  # characters of the log that an error quotes


class Stopped(Exception):
    """Raised inside a run that was asked to stop, once its checkpoint is on disk."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a run, which can be resumed.

    Attributes:
        folder: the run folder.
    """

    def __init__(self, folder: Path):
        super().__init__(f"The run in {folder} was interrupted; it can be resumed.")
        self.folder = folder


def process_start(pid: int) -> str | None:
    """Return when a process of this machine started, in the system's own format; None if it has ended or never existed.

    Together with the number, it distinguishes a process from a later one with the same number.
    """
    if Path("/proc/self/stat").exists():  # psutil's time would change whenever Linux corrects its clock
        try:
            facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if facts[0] in "ZX" else facts[19]
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:
        return None


class Reporter:
    """Writes a run's status.json; as a context manager it records how the run ended, and catches `Stopped`.

    Ctrl-C becomes `Interrupted`.

    Args:
        folder: the run folder.
        total_steps: number of steps of the whole run.
        silent: write nothing; for all but one of several processes.
    """

    def __init__(self, folder: Path, total_steps: int, silent: bool = False):
        self.folder, self.total_steps, self.silent = folder, total_steps, silent
        self.step, self.written = 0, 0.0
        path = folder / "status.json"
        self.earlier = json.loads(path.read_text()).get("seconds", 0.0) if path.exists() else 0.0  # before a stop
        self.began: float | None = None  # when this process began to train

    def say(self, state: str, error: str = "", pid: int | None = None) -> None:
        """Write the status of a process; `pid` None means this one."""
        if self.silent:
            return
        self.written = time.time()
        pid = pid or os.getpid()
        facts = {"state": state, "step": self.step, "total_steps": self.total_steps, "updated": self.written}
        facts["seconds"] = self.earlier + (0.0 if self.began is None else self.written - self.began)
        facts |= {"error": error, "pid": pid, "process_start": process_start(pid), "host": platform.node()}
        write_json(self.folder / "status.json", facts)

    def tick(self, step: int) -> None:
        """Note a finished step, and write the status at most twice per second."""
        self.step = step
        if time.time() - self.written > 0.5:
            self.say("running")

    def __enter__(self) -> "Reporter":
        self.began = time.time()
        self.say("running")
        return self

    def __exit__(self, kind, error, _) -> bool:
        if kind is None or kind is Stopped:
            self.say("stopped" if kind else "finished")
            return kind is Stopped
        try:
            self.say("failed", "".join(traceback.format_exception(error)))
        except OSError as unwritten:  # a full disk, most likely the cause of the error too
            error.add_note(f"{self.folder / 'status.json'} could not be written either: {unwritten}")
        if kind is KeyboardInterrupt:
            raise Interrupted(self.folder) from error
        return False
