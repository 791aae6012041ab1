"""The public function `tune`: a search for settings, whose trials are ordinary runs in child processes."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import loky
import torch
from filelock import FileLock

from molfm.base.errors import InputError
from molfm.base.files import home, is_fast, write_json
from molfm.data.mix import APART, Mix, load
from molfm.data.reopen import check_origin, write_mix
from molfm.training.plan import launched
from molfm.training.recipe import short_names
from molfm.tuning.result import FOLDER, REQUEST, TuningResult, open_tuning
from molfm.tuning.space import NEW, OF_CHECKPOINT, Choices, check_space, defaults, distributions

_FAST_TRIALS = 2  # with MOLFM_FAST=1


def tune(
    data: str | Path | Mix,
    space: Mapping[str, Choices] | None = None,
    n_trials: int = 20,
    *,
    tasks: Sequence[str] | None = None,
    minutes: float | None = None,
    workers: int | None = None,
    prune: bool = True,
    seed: int = 0,
    smiles: str = "smiles",
    split: str | None = None,
    roles: Mapping[str, object] | None = None,
    name: str | None = None,
    progress: bool = True,
    **settings,
) -> TuningResult:
    """Search for settings of `molfm.train` that give the lowest validation loss. Needs Optuna: `pip install "molfm[tune]"`.

    Trial 0 has the settings that you would get without a search. Later trials are drawn at random first, and then near the
    best so far (tree-structured Parzen estimator, Bergstra et al. 2011). Test labels take no part in it. Each trial is a
    run folder, so you can open, resume, or predict with any of them.

    An interrupted search resumes when you call it again, and a larger `n_trials` continues it. The same call in several
    processes, or on several machines with a common `$MOLFM_HOME`, works on one search together. With several GPUs, start
    one per GPU, each with its `CUDA_VISIBLE_DEVICES`; on a cluster, use a job array.

    Args:
        data: a `Mix`, or anything that `molfm.load` opens.
        space: setting -> what it may be: a list of values, or (low, high): a range, of whole numbers if both are whole.
            Ranges over a factor of 10 or more are searched on a logarithmic scale. None for a space of six settings
            (`tuning.space.NEW`), or of five if the runs start from a checkpoint (`OF_CHECKPOINT`).
        n_trials: number of trials in total, with those that ended early or failed.
        tasks: task ids, datasets, or levels of datasets; None for all tasks.
        minutes: time after which no more trials start; None for no limit. Those that are running are finished.
        workers: trials that run at the same time; None for one per core, or one if there is a GPU. On a CPU, each takes
            about 0.7 GB of memory.
        prune: end a trial early if its validation loss is worse than the median of others at the same point.
        seed: random seed of the search and of every run.
        smiles, split, roles: see `molfm.load`; for data that is not a `Mix`.
        name: name of the search; None for one made of the names of data and tasks.
        progress: show a progress bar.
        settings: settings of `molfm.train` that all trials share, such as model, epochs or start_from.

    Raises:
        TypeError: a setting is unknown.
        ValueError: Optuna is missing; the space, a number or a setting is out of range; a setting is both varied and fixed;
            a search of this name has other data or settings; or the first three trials fail.
    """
    if find_spec("optuna") is None:
        raise InputError('A search needs the package optuna. Install it with: pip install "molfm[tune]"')
    if launched():
        raise InputError(
            "torchrun and srun start processes that train one model together. Start a search in a job array."
        )
    for what, number in (("n_trials", n_trials), ("workers", workers)):
        if number is not None and not (isinstance(number, int) and number > 0):
            raise InputError(f"Expected {what} as a whole number above 0, found {number!r}.")
    if minutes is not None and not (isinstance(minutes, int | float) and minutes > 0):
        raise InputError(f"Expected minutes as a number above 0, found {minutes!r}.")
    from_checkpoint = settings.get("start_from") is not None
    space = dict(space) if space is not None else OF_CHECKPOINT if from_checkpoint else NEW
    if is_fast():
        n_trials = min(n_trials, _FAST_TRIALS)
    settings = {name: value for name, value in settings.items() if value is not None}
    if both := space.keys() & settings.keys():
        raise InputError(f"{sorted(both)[0]} is varied and fixed at the same time: leave one out.")
    check_space(space, from_checkpoint)
    if "epochs" in space and (settings.get("steps") or "steps" in space):
        raise InputError("steps is the length of a run, so that epochs would have no effect: vary or fix one of them.")
    if not isinstance(data, Mix):
        mix = load(data, smiles, tasks, split, progress=progress, roles=roles)
    elif split is not None or smiles != "smiles" or roles:
        raise InputError(f"{data!r} is loaded already. Give smiles, split and roles to molfm.load.")
    else:
        mix = data if tasks is None else data.select(tasks)
    check_origin(mix.origin)
    # These import Optuna, which need not be installed.
    from molfm.tuning.trials import Trials
    from molfm.tuning.work import Runs, train_trials

    if workers is None:
        workers = 1 if torch.cuda.is_available() else loky.cpu_count()
    runs = Runs(mix, settings, seed, max(1, loky.cpu_count() // workers))
    plan = runs.plan({})  # before there is a folder: it checks the settings
    if from_checkpoint:
        settings["start_from"] = plan.config.start_from  # its name or folder, as JSON can hold it
    kinds = {name: {"range" if isinstance(values, tuple) else "values": values} for name, values in space.items()}
    request = {"named": _named(plan.mix), "space": kinds, "settings": settings, "seed": seed}
    folder = _folder(name, mix, tasks)
    first = defaults(space, plan.shape, plan.config)
    _remember(folder, mix, request | {"defaults": first})
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    trials = Trials(folder, prune)
    ask = partial(trials.ask, n_trials, distributions(space), first, seed)
    train_trials(trials, ask, runs, n_trials, workers, end, progress)
    return open_tuning(folder)


def _named(mix: Mix) -> list[str]:
    """Return short names of the tasks, as `molfm.train` takes them; none if they are all tasks of the data."""
    whole = load(**{name: value for name, value in mix.origin.items() if name != APART}, progress=False)
    tasks = [task.id for task in mix.chosen]
    return [] if len(tasks) == len(whole.chosen) else short_names(whole, tasks)


def _folder(name: str | None, mix: Mix, tasks: Sequence[str] | None) -> Path:
    if name is None:
        name = re.sub(r"[^\w.+-]+", "-", "-".join([mix.name, *(tasks or ())]))[:80]
    elif not re.fullmatch(r"[\w.+-]+", name) or set(name) <= {"."}:
        raise InputError(f"Expected a name of letters, digits, '.', '-', '+' and '_', found {name!r}.")
    return home() / "runs" / FOLDER / name


def _remember(folder: Path, mix: Mix, request: dict) -> None:
    """Write what was asked, or check that it was the same before."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "ask.lock"):
        request = json.loads(json.dumps(request | write_mix(folder, mix)))
        if not (folder / REQUEST).exists():
            return write_json(folder / REQUEST, request)
    before = json.loads((folder / REQUEST).read_text("utf-8"))
    for key, value in request.items():
        if value != before.get(key):
            raise InputError(
                f"There is a search named {folder.name}, with {key} {before.get(key)!r}, not {value!r}. "
                f"Choose another name, or delete {folder}."
            )
