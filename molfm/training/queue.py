"""Runs that wait for their turn: at most one run trains per core, and the next one starts when another ends.

A queued run is a run folder whose status is "queued", so the queue survives a restart of Python. It moves on while some
process calls `advance`.
"""

import os
from contextlib import suppress
from pathlib import Path

from molfm.base.files import home
from molfm.data.reopen import check_origin
from molfm.training.plan import make_folder, make_plan
from molfm.training.run import Run
from molfm.training.status import ALIVE, QUEUED, Reporter


def enqueue(data: object, tasks: list[str] | None = None, seed: int = 0, name: str | None = None, **settings) -> Run:
    """Make a run that starts as soon as a core is free; for the arguments and errors, see `molfm.train`."""
    model, n_labels = settings.pop("model", None), settings.pop("n_labels", None)
    plan = make_plan(data, model, tasks, None, seed, n_labels, "smiles", None, None, False, settings)
    check_origin(plan.mix.origin)
    folder = make_folder(plan, name)
    Reporter(folder, plan.config.steps).say(QUEUED)
    advance()
    return Run(folder)


def advance() -> None:
    """Start queued runs, the oldest first, while fewer runs are training than this machine has cores."""
    found = [(run, run.status["state"]) for run in all_runs()]
    waiting = [run for run, state in found if state == QUEUED]
    free = (os.cpu_count() or 1) - sum(state in ALIVE for _, state in found)
    for run in waiting[: max(0, free)]:
        with suppress(FileExistsError):  # another process has just started it
            (run.folder / "turn").touch(exist_ok=False)
            run.launch()


def all_runs() -> list[Run]:
    """Return the runs under `$MOLFM_HOME/runs` that have a status, the oldest first; without those of studies."""
    folders = [
        path.parent for path in (home() / "runs").glob("*/config.json") if (path.parent / "status.json").exists()
    ]
    return [Run(folder) for folder in sorted(folders, key=_made)]


def _made(folder: Path) -> float:
    return (folder / "config.json").stat().st_mtime
