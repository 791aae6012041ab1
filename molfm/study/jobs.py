"""Train many runs in parallel on this machine, each after the run it needs. An interrupted run resumes."""

import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from threading import Thread

import numpy as np
from filelock import FileLock

from molfm.base.files import home
from molfm.base.processes import leave_interrupts_to_parent
from molfm.base.progress import tqdm
from molfm.data.mix import Mix
from molfm.training.run import Run
from molfm.training.status import ALIVE

IDLE_SECONDS = 60  # a worker process without work ends after this time
_START_SECONDS = 5.0  # to start worker processes
_RUN_SECONDS = 5.0  # to start and test one run, by the rough rule
_STEP_SECONDS = 0.01  # per layer, for a narrow network, with batches of a hundred molecules
_SHAPE = {"hidden_channels": 96, "num_layers": 4}  # sets the size of a network; with its defaults
_RECENT = 40  # finished runs that tell the time per step
SILENCE_SECONDS = 600  # a run on another machine counts as dead after this time without an update


@dataclass(frozen=True)
class Job:
    """A run to train.

    Attributes:
        name: name of the run folder; equal names mean equal runs.
        mix: the data to train on.
        settings: arguments of `molfm.train`, including `steps` and a batch size per dataset.
        needs: name of the job that must finish first; None if there is none.
    """

    name: str
    mix: Mix
    settings: dict
    needs: str | None = None

    @property
    def step_size(self) -> int:
        """Molecules per step."""
        return sum(self.settings["batch_size"].values())

    @property
    def size(self) -> int:
        """Molecules over all steps, a rough measure of the time the run takes."""
        return self.settings["steps"] * self.step_size


def _status(name: str) -> dict | None:
    try:
        return Run(home() / "runs" / name).status
    except FileNotFoundError:  # not started
        return None


def _is_finished(name: str) -> bool:
    return (_status(name) or {}).get("state") == "finished"


def _end_with(parent: int) -> None:
    """End this worker when its parent process is gone: a killed study cannot stop its workers. Checkpoints remain."""
    leave_interrupts_to_parent()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _train(job: Job) -> None:
    """Train or resume one run, in a worker process."""
    import torch

    from molfm.training.fit import resume, train
    from molfm.training.recorder import last_checkpoint

    torch.set_num_threads(1)
    folder = home() / "runs" / job.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # another study may need the same run
        while (status := _status(job.name) or {}).get("state") in ALIVE:  # being trained outside of a study
            if status["host"] != platform.node() and time.time() - status["updated"] > SILENCE_SECONDS:
                raise RuntimeError(
                    f"{Run(folder)!r} runs on {status['host']}, but has not been updated for {SILENCE_SECONDS} seconds "
                    f"or more. If its process is gone, delete {folder} and start the study again."
                )
            time.sleep(0.5)
        if _is_finished(job.name):
            return
        if job.mix.origin and last_checkpoint(folder).exists():
            resume(folder, progress=False)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            train(job.mix, name=job.name, progress=False, **job.settings)
    if not _is_finished(job.name):
        raise RuntimeError(f"{Run(folder)!r} was asked to stop, which ends the study. Start the study again to resume.")


def run_all(jobs: dict[str, Job], progress: bool, stop: Callable[[], bool] = lambda: False) -> None:
    """Train every unfinished job in worker processes and wait for all of them.

    Args:
        jobs: name -> job, including the jobs that others need.
        progress: show a progress bar with the time left.
        stop: asked twice per second; when it returns True, all runs end and keep their last checkpoints.

    Raises:
        Exception: the error of the first run that fails.
    """
    import loky

    waiting = {
        name: job
        for name, job in sorted(jobs.items(), key=lambda item: -item[1].size)  # longest first: workers end together
        if not _is_finished(name)
    }
    if not waiting:
        return
    total, done = sum(job.size for job in waiting.values()), 0
    running: dict[Future, Job] = {}
    n_workers = min(loky.cpu_count(), len(waiting))
    pool = loky.ProcessPoolExecutor(n_workers, timeout=IDLE_SECONDS, initializer=_end_with, initargs=(os.getpid(),))
    text = f"Training {len(waiting)} networks"
    try:
        with tqdm(total=total, desc=text, unit=" molecules", unit_scale=True, disable=not progress) as bar:
            while (waiting or running) and not stop():
                unfinished = waiting.keys() | {job.name for job in running.values()}
                for name in [name for name, job in waiting.items() if job.needs not in unfinished]:
                    job = waiting.pop(name)
                    running[pool.submit(_train, job)] = job
                for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    future.result()  # raises the error of a failed run, with its traceback
                    done += running.pop(future).size
                bar.update(max(0, done + sum(map(_taken, running.values())) - bar.n))
    finally:
        pool.shutdown(kill_workers=True)  # also after an interruption: no run may continue unnoticed


def _taken(job: Job) -> int:
    """Return how many molecules a run has seen so far."""
    return (_status(job.name) or {}).get("step", 0) * job.step_size


def share_done(jobs: Mapping[str, Job]) -> float:
    """Return the share of all molecules of some jobs that their runs have seen; 1 when all runs are finished."""
    total, done, finished = 0, 0, True
    for job in jobs.values():
        status = _status(job.name) or {}
        ended = status.get("state") == "finished"
        total, finished = total + job.size, finished and ended
        done += job.size if ended else status.get("step", 0) * job.step_size
    return 1.0 if finished else min(done / total, 0.99)


def seconds_of(jobs: Mapping[str, Job]) -> float:
    """Estimate how many seconds the unfinished runs of some jobs take on this machine.

    The measure is the time per step of finished runs of studies with a network of the same size. Without such runs it is
    a rough rule, which can be wrong by a factor of three.
    """
    import loky

    steps = [job.settings["steps"] for job in jobs.values() if not _is_finished(job.name)]
    if not steps:
        return 0.0
    settings = next(iter(jobs.values())).settings  # fine-tuning takes the network of the run before it, which is first
    channels, layers = (settings.get(name, default) for name, default in _SHAPE.items())
    if (pace := _pace((channels, layers))) is not None:
        seconds = sum(steps) * pace
    else:
        seconds = sum(steps) * _STEP_SECONDS * layers * (1 + channels / 64) + len(steps) * _RUN_SECONDS
    return seconds / min(len(steps), loky.cpu_count()) + _START_SECONDS


def _pace(shape: tuple[int, int]) -> float | None:
    """Return the seconds per step of finished runs with these numbers of channels and layers; None if there are none."""
    found = []
    folders = sorted((home() / "runs" / "transfer").glob("*/results.parquet"), key=os.path.getmtime)
    for run in (Run(path.parent) for path in folders[-_RECENT:]):
        config, status = run.config, run.status
        if status["state"] == "finished" and tuple(config[name] for name in _SHAPE) == shape:
            seconds = status["updated"] - os.path.getmtime(run.folder / "config.json")
            found.append(seconds / max(1, config["steps"]))
    return float(np.median(found)) if found else None
