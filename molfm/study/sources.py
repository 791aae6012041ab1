"""Sources of a transfer study: what a target may learn from, and which source labels must be hidden."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from molfm.base.errors import InputError
from molfm.base.names import AmbiguousName, UnknownName, counted, listed
from molfm.catalog.schema import Task
from molfm.data.mix import Mix

ALL = "all"
HELD_OUT = ("molecules", "scaffolds", "nothing")
_MOST_NAMED = 3  # names in the label of a source; more are counted


@dataclass(frozen=True)
class TransferSource:
    """Tasks of the mix, or a checkpoint that was trained on something else.

    Attributes:
        label: name in tables and figures.
        tasks: ids of tasks of the mix; empty for a checkpoint.
        checkpoint: name or folder that `molfm.pretrained` opens; None for tasks.
        digest: hash of the checkpoint's weights; None for tasks.
        known: ids of the tasks that the checkpoint was trained on, including those of the checkpoint it started from.
    """

    label: str
    tasks: tuple[str, ...] = ()
    checkpoint: str | None = None
    digest: str | None = None
    known: frozenset[str] = frozenset()


def read_sources(mix: Mix, sources: str | Sequence[str | Sequence[str]]) -> list[TransferSource]:
    """Return the requested sources; see `molfm.transfer`.

    A long list of tasks is labelled by their number.

    Raises:
        TypeError: a source is neither names nor a path.
        UnknownName: a name is neither in the mix nor a checkpoint.
        ValueError: a source is listed twice, or "all" is the union of a single source.
    """
    named = [sources] if isinstance(sources, str | Path) else list(sources)
    found: list[TransferSource] = []
    for source in (_read_source(mix, source) for source in named if source != ALL):
        if any((source.tasks, source.checkpoint) == (other.tasks, other.checkpoint) for other in found):
            raise InputError(f"Source {source.label} is listed twice.")
        labels = sum(other.label.partition(" no. ")[0] == source.label for other in found)
        found.append(replace(source, label=f"{source.label} no. {labels + 1}") if labels else source)
    of_mix = [source for source in found if source.tasks]
    if ALL in named and len(of_mix) == 1:
        raise InputError(
            f"{ALL!r} is the union of the sources listed with it, and here only {of_mix[0].label} is listed. List more "
            f"sources, or {ALL!r} by itself."
        )
    if ALL in named:
        union = dict.fromkeys(task for source in of_mix for task in source.tasks)
        found.append(TransferSource(ALL, tuple(union)))  # without tasks: all outside the target's dataset
    return found


def _read_source(mix: Mix, source: str | Path | Sequence[str]) -> TransferSource:
    if not isinstance(source, str | Path | Sequence):
        raise TypeError(
            "Expected a source as tasks, datasets or levels, or as the name or folder of a checkpoint, found "
            f"{source!r}."
        )
    names = [str(source)] if isinstance(source, str | Path) else list(source)
    label = " + ".join(names)
    try:
        numbers = mix.numbers(names)
        short = label if len(names) <= _MOST_NAMED else counted([mix.chosen[number] for number in numbers])
        return TransferSource(short, tuple(mix.chosen[number].id for number in numbers))
    except UnknownName as error:
        from molfm.nn.checkpoints import body_hash, open_checkpoint  # imports torch, which tasks do not need

        if len(names) > 1 or isinstance(error, AmbiguousName):
            raise
        try:
            model = open_checkpoint(label)
        except FileNotFoundError as missing:
            raise UnknownName(f"{error} {missing}") from None
        return TransferSource(
            label, (), model.origin, body_hash(model), frozenset([*model.tasks.task, *model.learned_before])
        )


def fit_source(mix: Mix, targets: Sequence[str], source: TransferSource) -> TransferSource:
    """Return a source as targets of one dataset may use it: without the targets themselves.

    "all" also loses other copies of their labels. "all" without tasks becomes all tasks outside the targets' dataset.

    Raises:
        ValueError: the source repeats a target's measurement, is a checkpoint that was trained on a target, or has no
            tasks left.
    """
    owns = [mix.task(target) for target in targets]
    same = {other.id: own.id for own, other in product(owns, mix.chosen) if _one_measurement(own, other)}
    if not source.checkpoint:
        dropped = same if source.label == ALL else {own.id for own in owns}
        tasks = source.tasks or [task.id for task in mix.chosen if task.dataset != owns[0].dataset]
        source = replace(source, tasks=tuple(name for name in tasks if name not in dropped))
        if not source.tasks:
            raise InputError(
                f"Source {source.label} has no tasks for {listed(targets, 3)}: there are none besides the targets "
                "themselves and copies of their labels."
            )
    for other, own in same.items():
        if other in source.known:
            raise InputError(
                f"The checkpoint {source.label} was trained on {other}, so it cannot be a source for {own}."
            )
        if other in source.tasks:
            raise InputError(f"{other} and {own} are one measurement, so neither can be a source for the other.")
    return source


def _one_measurement(one: Task, other: Task) -> bool:
    return one.id in (other.id, other.same_as) or other.id == one.same_as


def hide(mix: Mix, targets: Sequence[str], source: Sequence[str], held_out: str = "molecules") -> Mix:
    """Return the mix without the source labels of molecules that the targets are judged on.

    Hidden are all source labels of a target's test molecules, and of those validation molecules that the source trains
    on. A molecule may validate both source and target: otherwise a source with the same molecules would have no
    validation labels left.

    Args:
        mix: the data.
        targets: names of the targets.
        source: ids of the source's tasks; empty for a checkpoint, from which nothing can be hidden.
        held_out: "molecules" hides the labels of all molecules with the constitution of such a molecule; "scaffolds"
            also those of all molecules with its scaffold; "nothing" hides none.
    """
    if held_out == "nothing" or not source:
        return mix
    validated = mix.members("val", targets)
    tested = np.concatenate([mix.members(split, targets) for split in ("test", "test_seen")])
    trained, hidden = np.zeros((2, len(mix)), bool)
    trained[mix.members("train", source)] = True
    for kind in (mix.constitution, *([mix.scaffold] if held_out == "scaffolds" else [])):
        hidden |= np.isin(kind, kind[tested]) | (np.isin(kind, kind[validated]) & trained)
    return mix.keep(source, ~hidden)
