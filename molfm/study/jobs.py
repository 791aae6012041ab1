"""Many runs at once: over the cores of this machine, each after what it needs, and on where an earlier attempt stopped."""

import os
import platform
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from threading import Thread

from filelock import FileLock
from tqdm.auto import tqdm

from molfm.base.files import home
from molfm.data.mix import Mix
from molfm.training.run import Run
from molfm.training.status import ALIVE

IDLE_SECONDS = 60  # after which a process without work ends
SILENCE_SECONDS = 600  # after which a run on another machine is taken for gone


@dataclass(frozen=True)
class Job:
    """A run to be trained.

    Attributes:
        name: of the run folder; equal names mean equal runs.
        mix: what it is trained on.
        settings: of `training.train`, with `steps` and a batch size for each dataset.
        needs: the name of another job that has to be finished before.
    """

    name: str
    mix: Mix
    settings: dict
    needs: str | None = None

    @property
    def step_size(self) -> int:
        """Molecules a step."""
        return sum(self.settings["batch_size"].values())

    @property
    def size(self) -> int:
        """Molecules in all: how long it takes, roughly."""
        return self.settings["steps"] * self.step_size


def _status(name: str) -> dict | None:
    try:
        return Run(home() / "runs" / name).status
    except FileNotFoundError:  # not begun
        return None


def _is_finished(name: str) -> bool:
    return (_status(name) or {}).get("state") == "finished"


def _end_with(parent: int) -> None:
    """Let this process end when its study is gone, killed with no chance to say so; what it trained is in a checkpoint."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _train(job: Job) -> None:
    """Train one run, or go on with it, in a process of its own."""
    import torch

    from molfm.training.fit import resume, train
    from molfm.training.recorder import last_checkpoint

    torch.set_num_threads(1)
    folder = home() / "runs" / job.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # another study may need the same run
        while (status := _status(job.name) or {}).get("state") in ALIVE:  # somebody trains it, outside of studies
            if status["host"] != platform.node() and time.time() - status["updated"] > SILENCE_SECONDS:
                raise RuntimeError(
                    f"{Run(folder)!r} runs on {status['host']}, which was last heard of {SILENCE_SECONDS} seconds ago or more. "
                    f"If its process is gone, delete {folder} and ask again."
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
        raise RuntimeError(f"{Run(folder)!r} was asked to stop, and so does what needs it. Ask again, and it goes on.")


def run_all(jobs: dict[str, Job], progress: bool) -> None:
    """Train every job that is not finished yet, with a bar that tells the time left.

    Raises:
        Exception: whatever the first run that failed raised.
    """
    import loky

    waiting = {
        name: job
        for name, job in sorted(jobs.items(), key=lambda item: -item[1].size)  # long ones first: all end together
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
            while waiting or running:
                unfinished = waiting.keys() | {job.name for job in running.values()}
                for name in [name for name, job in waiting.items() if job.needs not in unfinished]:
                    job = waiting.pop(name)
                    running[pool.submit(_train, job)] = job
                for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    future.result()  # a failed run is the study's failure, with its traceback
                    done += running.pop(future).size
                bar.update(max(0, done + sum(map(_taken, running.values())) - bar.n))
    finally:
        pool.shutdown(kill_workers=True)  # also when interrupted: nothing must train on unseen


def _taken(job: Job) -> int:
    """Return how many molecules a run has seen so far."""
    return (_status(job.name) or {}).get("step", 0) * job.step_size
