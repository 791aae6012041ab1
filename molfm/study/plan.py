"""Plan a transfer study: check the request, list the comparisons, and list the runs that they need."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from molfm.base.errors import InputError
from molfm.base.files import home
from molfm.data.mix import Mix
from molfm.data.reopen import contents_of
from molfm.data.splits import SPLITS
from molfm.study.jobs import Job
from molfm.study.pairs import Cell
from molfm.study.sources import HELD_OUT, TransferSource, fit_source, hide
from molfm.study.statistics import too_few
from molfm.training.config import TrainConfig, sort_settings
from molfm.training.metrics import undefined

_SHAPE_RUNS = ("base", "catalog", "chem", "data", "batches", "nn", "training")  # wings whose code shapes a run
REGIMES = ("alone", "cotrain", "finetune", "probe")
_SOURCE = "{} as source"  # name of a dataset's tasks that a target of the same dataset learns from
_OWN = (  # settings of `molfm.train` that the study sets itself
    *("batch_size", "fractions", "temperature", "watch", "seed", "epochs", "freeze", "layer_decay"),
    *("start_from", "start_digest", "start_tasks"),
)
_OF_FINETUNE = (
    "learning_rate",
    "weight_decay",
    "schedule",
    "warmup",
    "gradient_clip",
    "freeze",
    "layer_decay",
    "dropout",
)


@dataclass(frozen=True)
class Budget:
    """The budget of every run of a study, in the arguments of `molfm.transfer`; the same for all compared runs."""

    seeds: int
    steps: int
    target_batch: int
    pretrain_steps: int
    source_batch: int

    def __str__(self) -> str:
        return (
            f"{self.seeds} paired seeds. Every run takes {self.steps:,} steps with {self.target_batch} target "
            f"molecules each. cotrain adds {self.source_batch} molecules of each source dataset to every step. "
            f"finetune and probe first take {self.pretrain_steps:,} steps with as many source molecules. The target's "
            "validation loss chooses the weights."
        )


@dataclass(frozen=True)
class Request:
    """A checked request for a study. Made by `check_request`."""

    mix: Mix
    groups: list[tuple[str, ...]]  # each the ids of targets that are trained together
    regimes: Sequence[str]
    counts: list[int | None]  # numbers of training labels of a target; None for all
    budget: Budget
    held_out: str
    shape: dict  # settings of the network
    recipe: dict  # settings of training
    finetune: dict  # settings of fine-tuning that differ


def check_request(
    mix: Mix,
    targets: str | Sequence[str | Sequence[str]],
    regimes: str | Sequence[str],
    n_labels: int | Sequence[int | None] | None,
    budget: Budget,
    held_out: str,
    finetune: dict,
    settings: dict,
) -> Request:
    """Check the arguments of `molfm.transfer`, which describes them and the errors."""
    from molfm.nn.config import ModelConfig  # imports torch, which comparing finished runs does not need
    from molfm.training.presets import settings_of

    groups = [tuple(mix.expand(target)) for target in ([targets] if isinstance(targets, str) else targets)]
    regimes = [regimes] if isinstance(regimes, str) else list(regimes)
    # Python integers, because they are saved as JSON.
    counts = [None if n is None else int(n) for n in ([n_labels] if np.ndim(n_labels) == 0 else n_labels)]
    _check_numbers(budget, counts)
    for name, found, known in (("regime", regimes, REGIMES), ("held_out", [held_out], HELD_OUT)):
        if unknown := [word for word in found if word not in known]:
            raise InputError(f"Unknown {name} {unknown[0]!r}; expected {', '.join(known)}.")
    if taken := [name for name in settings if name in _OWN]:
        raise TypeError(
            f"The study sets {taken[0]} itself; use steps, target_batch, source_batch, seeds and finetune instead."
        )
    if other := [name for name in finetune if name not in _OF_FINETUNE]:
        raise TypeError(
            f"finetune cannot set {other[0]}, because budgets are equal; it can set {', '.join(_OF_FINETUNE)}."
        )
    _check_targets(mix, groups)
    settings = dict(settings)
    model = settings.pop("model", None)
    shape, recipe = sort_settings((settings_of(model) if model else {}) | settings, ModelConfig, TrainConfig)
    return Request(mix, groups, regimes, counts, budget, held_out, shape, recipe, finetune)


def _check_numbers(budget: Budget, counts: Sequence[int | None]) -> None:
    for name, value in asdict(budget).items():
        if value < 1:
            raise InputError(f"Expected {name} of 1 or more, found {value}.")
    if budget.seeds < 2:
        raise InputError(f"A comparison needs at least 2 seeds for an interval, found {budget.seeds}.")
    if wrong := [count for count in counts if count is not None and count < 1]:
        raise InputError(f"Expected n_labels of 1 or more, or None for all labels, found {wrong[0]}.")


def _check_targets(mix: Mix, groups: Sequence[Sequence[str]]) -> None:
    if twice := [name for name, count in Counter(name for group in groups for name in group).items() if count > 1]:
        raise InputError(f"Target {twice[0]} is listed twice. List it once, alone or with others of its dataset.")
    for group in groups:
        tasks = [mix.task(name) for name in group]
        if len({task.dataset for task in tasks}) > 1:
            raise InputError(f"Targets that are trained together must belong to one dataset, found {', '.join(group)}.")
        for task in tasks:
            if task.kind == "ordinal" or task.level != "graph":
                raise InputError(
                    f"{task.id} is {task.kind} at {task.level} level; a target must be a regression or binary task at "
                    "graph level."
                )


def why_undefined(
    mix: Mix, pairs: Sequence[tuple[str, int | None]], seeds: range
) -> dict[tuple[str, int | None], str | None]:
    """Return why targets, each with a number of training labels (None for all), cannot be judged; None if they can.

    Args:
        mix: the data.
        pairs: (id of a target, number of training labels).
        seeds: the seeds whose draws of training labels are checked.
    """
    kind = {target: mix.task(target).kind for target, _ in pairs}
    labels = _labels_by_task(mix, list(kind))
    reasons = {}
    for target, count in pairs:
        molecule, split, value = labels[target]
        train, val = (np.unique(molecule[split == SPLITS.index(name)]) for name in ("train", "val"))
        tested = split == SPLITS.index("test")
        measured, groups = value[tested], mix.constitution[molecule[tested]]
        if not len(train) or not len(val):
            reasons[target, count] = f"no {'validation' if len(train) else 'training'} labels"
        elif len(train) < (count or 0):
            reasons[target, count] = f"only {len(train)} training labels, but n_labels={count}"
        elif reason := undefined(kind[target], measured) or too_few(kind[target], measured, groups):
            reasons[target, count] = f"{reason} in the test set"
        elif count is None and (reason := undefined(kind[target], value[split == SPLITS.index("train")])):
            reasons[target, count] = f"{reason} in training"
    for count, seed in product(dict.fromkeys(n for _, n in pairs if n is not None), seeds):
        open_ = [target for target, n in pairs if n == count and (target, n) not in reasons]
        drawn = _labels_by_task(mix.limit(open_, count, seed), open_) if open_ else {}
        for target, (_, split, value) in drawn.items():
            if reason := undefined(kind[target], value[split == SPLITS.index("train")]):
                reasons[target, count] = f"{reason} in training (seed {seed})"
    return {pair: reasons.get(pair) for pair in pairs}


def _labels_by_task(mix: Mix, targets: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the labels of graph tasks, each as (molecule, split code, value), from one pass over all labels."""
    numbers = mix.numbers(targets)
    empty = [(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(0, np.float32))]
    blocks = [(number, molecule, split, value) for number, molecule, _, split, value in mix.label_blocks(numbers)]
    number, *columns = (np.concatenate(arrays) for arrays in zip(*empty, *blocks, strict=True))
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], [[i, i + 1] for i in numbers])
    return {
        target: tuple(column[order[first:last]] for column in columns)
        for target, (first, last) in zip(targets, bounds, strict=True)
    }


@cache
def _code() -> list[str]:
    """Return a hash of the code below this wing and the versions of the packages that compute a run."""
    root, found = Path(__file__).parents[1], hashlib.sha256()
    for wing in _SHAPE_RUNS:
        for path in sorted((root / wing).glob("*.py")):
            found.update(path.read_bytes())
    return [found.hexdigest(), *map(version, ("torch", "torch-geometric", "lightning"))]


def _run_name(mix: Mix, label: str, settings: dict) -> str:
    """Name a run after everything that shapes it, so a study finds the runs that it has already trained."""
    # Many tasks may share one mask.
    hashes = {id(mask): hashlib.sha256(np.packbits(mask)).hexdigest() for mask in mix.kept.values()}
    kept = {number: hashes[id(mask)] for number, mask in sorted(mix.kept.items())}
    facts = [_code(), mix.origin, contents_of(mix), [task.id for task in mix.chosen], kept, settings]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    readable = f"{label}-seed{settings['seed']}".replace("/", ".").replace(" ", "")
    return f"transfer/{readable[-80:]}-{digest}"


class Study:
    """The comparisons of a request and the runs that they need. A run that several comparisons share is trained once.

    Attributes:
        cells: the comparisons.
        jobs: name -> run, for all runs.
        seen: (target, source) -> constitutions that the source was trained on; only for `held_out="nothing"`.
    """

    def __init__(self, request: Request, alternatives: Sequence[TransferSource]):
        self.request, self.mix, self.budget = request, request.mix, request.budget
        self._dataset = {task.id: task.dataset for task in request.mix.chosen}
        self.cells: list[Cell] = []
        self.jobs: dict[str, Job] = {}
        self.seen: dict[tuple, np.ndarray] = {}
        # (target, source label, regime, n_labels, seed) -> name of the run, for runs that see a target
        self._names: dict[tuple, str] = {}
        # The same, with the group in place of the target: targets that are trained together share a run.
        self._of_groups: dict[tuple, str] = {}
        self._n_trained: dict[tuple[str, ...], dict[str, int]] = {}  # group -> training molecules of each target
        n_train = dict(zip(self.mix.tasks.task, self.mix.tasks.n_train, strict=True))
        for group in request.groups:
            # None and a count of all labels mean the same runs.
            pairs = [pair for t in group for pair in {n or n_train[t]: (t, n) for n in request.counts}.values()]
            reasons = why_undefined(self.mix, pairs, range(self.budget.seeds))
            for alternative in alternatives:
                self._compare_with(fit_source(self.mix, group, alternative), group, reasons, n_train)
        if not self.cells:
            raise InputError(
                "Nothing to compare: give at least one source, and cotrain, finetune or probe as a regime (a checkpoint cannot "
                "be cotrained)."
            )

    def _compare_with(
        self, source: TransferSource, group: tuple[str, ...], reasons: dict[tuple, str | None], n_train: dict[str, int]
    ) -> None:
        """Add the comparisons of one group of targets with one source."""
        hidden = hide(self.mix, group, source.tasks, self.request.held_out)
        if source.tasks and self.request.held_out == "nothing":
            constitutions = np.unique(hidden.constitution[hidden.members("train", source.tasks)])
            self.seen |= {(target, source): constitutions for target in group}
        left = hidden.select(source.tasks).tasks if source.tasks else None
        n_source = None if left is None else left.n_train.sum()
        for ((target, count), undefined_because), regime in product(reasons.items(), self.request.regimes):
            if regime == "alone" or (regime == "cotrain" and not source.tasks):
                continue
            reason = undefined_because or (None if left is None else _why_not(left, regime))
            cell = Cell(target, group, source, regime, count, count or n_train[target], n_source, reason)
            self.cells.append(cell)
            if not reason:
                self._plan(cell, hidden)

    def _plan(self, cell: Cell, hidden: Mix) -> None:
        """Plan the runs of a comparison.

        Args:
            cell: the comparison.
            hidden: the mix without the source labels that are held out.
        """
        for source, regime in ((None, "alone"), (cell.source, cell.regime)):
            for seed in range(self.budget.seeds):
                of_group = (cell.group, source, regime, cell.count, seed)
                if of_group not in self._of_groups:
                    self._of_groups[of_group] = self._run(cell, source, regime, seed, hidden)
                key = (cell.target, source.label if source else "", regime, cell.n_labels, seed)
                self._names[key] = self._of_groups[of_group]

    def _run(self, cell: Cell, source: TransferSource | None, regime: str, seed: int, hidden: Mix) -> str:
        group, tasks = list(cell.group), source.tasks if source else ()
        sources = dict.fromkeys(map(self._dataset.get, tasks), self.budget.source_batch)
        settings = {
            **self._recipe_of(group if regime != "cotrain" else [*group, *tasks]),
            "steps": self.budget.steps,
            "batch_size": {self._dataset[cell.target]: self.budget.target_batch},
            "n_labels": self._limits(cell),
            "watch": group,
            "seed": seed,
        }
        own = self._dataset[cell.target]
        label = f"{cell.target if len(group) == 1 else own}-{regime}-{source.label if source else ''}"
        if regime == "alone":
            return self._job(self.mix.select(group), label, self.request.shape | settings)
        if regime == "cotrain":
            together = hidden.select([*group, *tasks])
            if beside := [name for name in tasks if self._dataset[name] == own]:
                # Tasks of the target's own dataset get batches and a head of their own, as those of another dataset.
                together = together.apart(beside, _SOURCE.format(own))
                sources[_SOURCE.format(own)] = sources.pop(own)
            settings["batch_size"] |= sources
            return self._job(together, label, self.request.shape | settings)
        start, before = {"start_from": source.checkpoint, "start_digest": source.digest}, None
        if tasks:
            pretrain = {"steps": self.budget.pretrain_steps, "batch_size": sources, "seed": seed}
            recipe = self.request.shape | self._recipe_of(tasks)
            before = self._job(hidden.select(tasks), f"before-{source.label}", recipe | pretrain)
            start = {"start_from": before}
        how = self.request.finetune if regime == "finetune" else {"freeze": "all", "head_channels": 0}
        return self._job(self.mix.select(group), label, settings | how | start, before)

    def _recipe_of(self, tasks: Sequence[str]) -> dict:
        """Return the training settings for a run of these tasks, with `dataset_weights` of its own datasets only."""
        given, datasets = self.request.recipe.get("dataset_weights"), set(map(self._dataset.get, tasks))
        own = {name: weight for name, weight in (given or {}).items() if name in datasets}
        return self.request.recipe | ({"dataset_weights": own} if given else {})

    def _limits(self, cell: Cell) -> dict[str, int] | None:
        """Return how many training labels each target keeps; a target that has fewer keeps all and is not judged."""
        if not cell.count:
            return None
        if cell.group not in self._n_trained:
            train = SPLITS.index("train")
            labels = _labels_by_task(self.mix, cell.group)
            counts = {target: len(np.unique(of[split == train])) for target, (of, split, _) in labels.items()}
            self._n_trained[cell.group] = counts
        return {target: cell.count for target, n in self._n_trained[cell.group].items() if n >= cell.count}

    def _job(self, mix: Mix, label: str, settings: dict, needs: str | None = None) -> str:
        name = _run_name(mix, label, settings)
        self.jobs[name] = Job(name, mix, settings, needs)
        return name

    def jobs_of(self, cell: Cell) -> dict[str, Job]:
        """Return the runs that a comparison needs, by name: both arms of each pair, and what they start from."""
        arms = ((None, "alone"), (cell.source, cell.regime))
        keys = ((cell.group, *arm, cell.count, seed) for arm in arms for seed in range(self.budget.seeds))
        names = [self._of_groups[key] for key in keys] if not cell.reason else []
        needed = [self.jobs[name].needs for name in names]
        return {name: self.jobs[name] for name in dict.fromkeys([*filter(None, needed), *names])}

    def runs(self) -> pd.DataFrame:
        """Return `TransferResult.runs` without the values: one row per target and run that sees it."""
        table = pd.DataFrame(self._names.keys(), columns=["target", "source", "regime", "n_labels", "seed"])
        return table.assign(folder=[str(home() / "runs" / name) for name in self._names.values()])


def _why_not(left: pd.DataFrame, regime: str) -> str | None:
    """Return why a source cannot be trained on, given its remaining tasks and labels, or None if it can."""
    by_dataset = left.groupby("dataset", sort=False).n_train.sum()
    if not by_dataset.all():
        return f"no training labels of the source dataset {by_dataset.index[by_dataset == 0][0]} are left"
    if regime != "cotrain" and not left.n_val.sum():
        return "no validation labels of the source are left"
    return None
