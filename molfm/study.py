"""Transfer, measured: does training on other tasks help a target, and could we have seen it if it did?

Every cell is a comparison of paired runs, with the target alone as the baseline:

    alone      the target, from fresh weights
    cotrain    target and source in every step
    finetune   a network trained on the source first, then on the target, under a new head
    probe      the same, but its encoder and trunk stay as they are and the head is linear

The same seed fixes the target's training labels, its molecules in every step and the weights that training begins with. All runs
take the same number of steps that see the target, with as many target molecules in each, and the target's validation loss
alone chooses their weights. What a source knows of the molecules that the target is tested on is hidden from it; but what a checkpoint
from elsewhere knew is not, and its network is another than the baseline's: such a row says what it is worth, not what its data is.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from time import time

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from molfm import __version__
from molfm.comparison import Cell, TransferResult, compare
from molfm.download import home
from molfm.jobs import Job, run_all
from molfm.metrics import undefined
from molfm.mix import Mix, load
from molfm.runs import contents_of
from molfm.sources import HELD_OUT, Source, fit_source, hide, read_sources
from molfm.splits import SPLITS
from molfm.statistics import too_few

REGIMES = ("alone", "cotrain", "finetune", "probe")
_OWN = (
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
    """What every run of a study is given; the same for all that are compared."""

    seeds: int
    steps: int
    target_batch: int
    pretrain_steps: int
    source_batch: int

    def __str__(self) -> str:
        return (
            f"{self.seeds} paired seeds; every run takes {self.steps:,} steps that see {self.target_batch} target molecules "
            f"each. cotrain: {self.source_batch} molecules of each source dataset beside them; finetune and probe: "
            f"{self.pretrain_steps:,} steps on as many before. The target's validation loss chooses the weights."
        )


# ------------------------------------------------------------------------------------------------------------- the plan


def why_undefined(mix: Mix, target: str, n_labels: int | None, seeds: int) -> str | None:
    """Return why a target cannot be judged, with so many training labels, or None where it can."""
    task, number = mix.chosen[mix.task_number(target)], mix.task_number(target)
    molecule, _, split, value = mix._labels_of(number)
    train, val = (np.unique(molecule[split == SPLITS.index(name)]) for name in ("train", "val"))
    if not len(train) or not len(val):
        return f"no {'validation' if len(train) else 'training'} labels"
    if len(train) < (n_labels or 0):
        return f"{len(train)} training labels, {n_labels} were asked for"
    tested = split == SPLITS.index("test")
    measured, groups = value[tested], mix.constitution[molecule[tested]]
    if reason := undefined(task.kind, measured) or too_few(task.kind, measured, groups):
        return f"{reason} in the test set"
    for seed in range(seeds if n_labels else 1):
        view = mix.limit(target, n_labels, seed) if n_labels else mix
        _, _, where, labels = view._labels_of(number)
        if reason := undefined(task.kind, labels[where == SPLITS.index("train")]):
            return f"{reason} in training" + (f" (seed {seed})" if n_labels else "")
    return None


def _run_name(mix: Mix, label: str, settings: dict) -> str:
    """Name a run after everything that shapes it, so that a study finds again what it has trained before."""
    kept = {number: hashlib.sha256(np.packbits(mask)).hexdigest() for number, mask in sorted(mix.kept.items())}
    facts = [__version__, mix.origin, contents_of(mix), [task.id for task in mix.chosen], kept, settings]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    readable = f"{label}-seed{settings['seed']}".replace("/", ".").replace(" ", "")
    return f"transfer/{readable[-80:]}-{digest}"


class _Plan:
    """The runs of a study; a run that several cells need is trained once.

    Attributes:
        jobs: all runs, by name.
        names: (target, source, regime, n_labels, seed) -> name of that run, of those that see a target.
    """

    def __init__(self, mix: Mix, budget: Budget, shape: dict, recipe: dict, finetune: dict):
        self.mix, self.budget = mix, budget
        self.shape, self.recipe, self.finetune = shape, recipe, finetune
        self.jobs: dict[str, Job] = {}
        self.names: dict[tuple, str] = {}
        self._of_groups: dict[tuple, str] = {}

    def add(self, cell: Cell, hidden: Mix) -> None:
        """Plan what a cell compares.

        Args:
            hidden: the mix, without what its source must not know.
        """
        for source, regime in ((None, "alone"), (cell.source, cell.regime)):
            for seed in range(self.budget.seeds):
                of_group = (cell.group, source, regime, cell.count, seed)
                if of_group not in self._of_groups:
                    self._of_groups[of_group] = self._run(cell, source, regime, seed, hidden)
                key = (cell.target, source.label if source else "", regime, cell.n_labels, seed)
                self.names[key] = self._of_groups[of_group]

    def _run(self, cell: Cell, source: Source | None, regime: str, seed: int, hidden: Mix) -> str:
        group, tasks = list(cell.group), source.tasks if source else ()
        sources = dict.fromkeys(map(_dataset, tasks), self.budget.source_batch)
        settings = {
            **self._recipe_of(group if regime != "cotrain" else [*group, *tasks]),
            "steps": self.budget.steps,
            "batch_size": {_dataset(cell.target): self.budget.target_batch},
            "n_labels": self._limits(cell),
            "watch": group,
            "seed": seed,
        }
        label = f"{cell.target if len(group) == 1 else _dataset(cell.target)}-{regime}-{source.label if source else ''}"
        if regime == "alone":
            return self._job(self.mix.select(group), label, self.shape | settings)
        if regime == "cotrain":
            settings["batch_size"] |= sources
            return self._job(hidden.select([*group, *tasks]), label, self.shape | settings)
        start, before = {"start_from": source.checkpoint, "start_digest": source.digest}, None
        if tasks:
            pretrain = {"steps": self.budget.pretrain_steps, "batch_size": sources, "seed": seed}
            recipe = self.shape | self._recipe_of(tasks)
            before = self._job(hidden.select(tasks), f"before-{source.label}", recipe | pretrain)
            start = {"start_from": before}
        how = self.finetune if regime == "finetune" else {"freeze": "all", "head_channels": 0}
        return self._job(self.mix.select(group), label, settings | how | start, before)

    def _recipe_of(self, tasks: Sequence[str]) -> dict:
        """Return the settings of a run of these tasks: of `dataset_weights` those of its own datasets."""
        given, datasets = self.recipe.get("dataset_weights"), set(map(_dataset, tasks))
        own = {name: weight for name, weight in (given or {}).items() if name in datasets}
        return self.recipe | ({"dataset_weights": own} if given else {})

    def _limits(self, cell: Cell) -> dict[str, int] | None:
        """Return how many training labels to keep of each target; one that has fewer keeps them, and is not judged."""
        if not cell.count:
            return None
        n = {target: len(self.mix.members("train", [target])) for target in cell.group}
        return {target: cell.count for target in cell.group if n[target] >= cell.count}

    def _job(self, mix: Mix, label: str, settings: dict, needs: str | None = None) -> str:
        name = _run_name(mix, label, settings)
        self.jobs[name] = Job(name, mix, settings, needs)
        return name

    def runs(self) -> pd.DataFrame:
        """Return the runs that see a target, a row each, as in `TransferResult` but for their values."""
        table = pd.DataFrame(self.names.keys(), columns=["target", "source", "regime", "n_labels", "seed"])
        return table.assign(folder=[str(home() / "runs" / name) for name in self.names.values()])


def _dataset(task: str) -> str:
    return task.split("/")[0]


def _why_not(left: pd.DataFrame, regime: str) -> str | None:
    """Return why a source, of which these tasks and labels are left, cannot be learned from, or None where it can."""
    by_dataset = left.groupby("dataset", sort=False).n_train.sum()
    if not by_dataset.all():
        return f"no training labels of {by_dataset.index[by_dataset == 0][0]}, a source, are left"
    if regime != "cotrain" and not left.n_val.sum():
        return "no validation labels of the source are left"
    return None


def _check(
    mix: Mix,
    groups: Sequence[Sequence[str]],
    regimes: Sequence[str],
    counts: Sequence[int | None],
    budget: Budget,
    held_out: str,
    settings: dict,
    finetune: dict,
) -> None:
    for name, value in asdict(budget).items():
        if value < 1:
            raise ValueError(f"Expected {name} of 1 or more, found {value}.")
    if wrong := [count for count in counts if count is not None and count < 1]:
        raise ValueError(f"Expected n_labels of 1 or more, or None for all labels, found {wrong[0]}.")
    for name, found, known in (("regime", regimes, REGIMES), ("held_out", [held_out], HELD_OUT)):
        if unknown := [word for word in found if word not in known]:
            raise ValueError(f"Unknown {name} {unknown[0]!r}; expected {', '.join(known)}.")
    if budget.seeds < 2:
        raise ValueError(f"A comparison needs at least 2 seeds for an interval, found {budget.seeds}.")
    if taken := [name for name in settings if name in _OWN]:
        raise TypeError(
            f"{taken[0]} is for the study to set: see steps, target_batch, source_batch, seeds and finetune."
        )
    if budget := [name for name in finetune if name not in _OF_FINETUNE]:
        raise TypeError(f"{budget[0]} is not for finetune to set, only {', '.join(_OF_FINETUNE)}: budgets are equal.")
    if twice := [name for name, count in Counter(name for group in groups for name in group).items() if count > 1]:
        raise ValueError(
            f"{twice[0]} is asked for twice: a target is judged once, alone or with others of its dataset."
        )
    for group in groups:
        if len(set(map(_dataset, group))) > 1:
            raise ValueError(f"Targets that are trained together must be of one dataset, found {', '.join(group)}.")
    for task in (mix.chosen[mix.task_number(name)] for group in groups for name in group):
        if task.kind == "ordinal" or task.level != "graph":
            raise ValueError(
                f"{task.id} is {task.kind} at {task.level} level; a target must be a regression or binary task of graphs."
            )


def transfer(
    data: str | Mix,
    targets: str | Sequence[str | Sequence[str]],
    sources: str | Path | Sequence[str | Path | Sequence[str]],
    regimes: str | Sequence[str] = REGIMES,
    seeds: int = 5,
    n_labels: int | Sequence[int | None] | None = None,
    *,
    steps: int = 1000,
    pretrain_steps: int | None = None,
    target_batch: int = 32,
    source_batch: int = 64,
    held_out: str = "molecules",
    finetune: dict | None = None,
    progress: bool = True,
    **settings,
) -> TransferResult:
    """Compare training on each target alone with what each source adds to it, at equal budgets.

    Args:
        data: a `Mix`, or anything that `molfm.load` opens.
        targets: graph tasks; a dataset, or a list of tasks of one, is trained together and each of its tasks judged by itself.
        sources: the alternatives; each a task, a dataset, a level of one (`xtb_b3db/node`), a list of these, or a checkpoint
            (see `molfm.pretrained`; fine-tuned and probed only). "all": the tasks of all others together or, by itself, of
            every dataset but the target's.
        regimes: of "alone" (the baseline, always run), "cotrain", "finetune" and "probe"; see the module's text.
        seeds: pairs of runs; two at least.
        n_labels: training labels of the target to keep, or several such numbers for a curve; None: all. Fewer labels are
            among the more of the same seed, and validation labels shrink with them.
        steps: of every run that sees the target; with few labels take few (`benchmarks/few_labels.py`), but `pretrain_steps` no fewer.
        pretrain_steps: on the source before; None: as many as `steps`.
        target_batch: target molecules a step, in every run.
        source_batch: molecules a step of each source dataset.
        held_out: what sources must not know: "molecules", any label of those that the target is tested on, and training
            labels of those that it is validated on, whatever their stereochemistry; "scaffolds", the same of all others of
            their scaffolds; "nothing": then test molecules that a source was trained on are reported apart, as `test_seen`.
        finetune: settings of `molfm.finetune` for the regime of that name: learning_rate, weight_decay, schedule, warmup,
            gradient_clip, freeze, layer_decay, dropout.
        settings: further arguments of `molfm.train`, the same for every run.

    Runs are ordinary run folders under `runs/transfer/`; a study that was interrupted, or asked again with more seeds,
    trains only what is missing.

    Raises:
        TypeError: an unknown setting, or a source that is neither names nor a path.
        CardError: an unknown task or source.
        ValueError: an unknown regime, an ordinal target, a source that is the target's own measurement, too few seeds,
            numbers below 1.
    """
    from molfm.model import ModelConfig  # here, like all that imports torch
    from molfm.presets import settings_of
    from molfm.recipe import TrainConfig, sort_settings

    start = time()
    mix = data if isinstance(data, Mix) else load(data, progress=progress)
    groups = [tuple(mix.expand(target)) for target in ([targets] if isinstance(targets, str) else targets)]
    regimes = [regimes] if isinstance(regimes, str) else regimes
    # Plain numbers, since they are kept as JSON.
    counts = [None if n is None else int(n) for n in ([n_labels] if np.ndim(n_labels) == 0 else n_labels)]
    budget = Budget(seeds, steps, target_batch, steps if pretrain_steps is None else pretrain_steps, source_batch)
    _check(mix, groups, regimes, counts, budget, held_out, settings, finetune or {})
    model = settings.pop("model", None)
    shape, recipe = sort_settings((settings_of(model) if model else {}) | settings, ModelConfig, TrainConfig)
    plan, cells, seen = _Plan(mix, budget, shape, recipe, finetune or {}), [], {}
    alternatives = read_sources(mix, sources)
    n_train = dict(zip(mix.tasks.task, mix.tasks.n_train, strict=True))
    for group in groups:
        # A number that is all of a target's labels, and None, are one.
        pairs = [pair for target in group for pair in {n or n_train[target]: (target, n) for n in counts}.values()]
        reasons = {pair: why_undefined(mix, *pair, seeds) for pair in pairs}
        for source in (fit_source(mix, group, source) for source in alternatives):
            hidden = hide(mix, group, source.tasks, held_out)
            if source.tasks and held_out == "nothing":
                constitutions = np.unique(hidden.constitution[hidden.members("train", source.tasks)])
                seen |= {(target, source): constitutions for target in group}
            left = hidden.select(source.tasks).tasks if source.tasks else None
            for (target, count), regime in product(pairs, regimes):
                if regime == "alone" or (regime == "cotrain" and not source.tasks):
                    continue
                n, n_source = count or n_train[target], None if left is None else left.n_train.sum()
                reason = reasons[target, count] or (None if left is None else _why_not(left, regime))
                cells.append(Cell(target, group, source, regime, count, n, n_source, reason))
                if not reason:
                    plan.add(cells[-1], hidden)
    if not cells:
        raise ValueError("Nothing to compare: expected a source, and a regime besides alone that it can be used in.")
    if progress:
        tqdm.write(str(budget))
    run_all(plan.jobs, progress)
    table, values = compare(mix, plan.runs(), cells, seen)
    given = {"held_out": held_out, "finetune": finetune, "model": model, **settings}
    chosen = asdict(budget) | {name: value for name, value in given.items() if value is not None}
    return TransferResult(table, plan.runs().assign(value=values), mix, chosen, time() - start)
