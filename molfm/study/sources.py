"""What a target may learn from, and what has to be hidden from it: sources of a transfer study."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from molfm.base.names import UnknownName
from molfm.catalog.schema import Task
from molfm.data.mix import Mix

ALL = "all"
HELD_OUT = ("molecules", "scaffolds", "nothing")


@dataclass(frozen=True)
class TransferSource:
    """Tasks of the mix, or a checkpoint that was trained on something else.

    Attributes:
        label: what it is called.
        tasks: ids; none: it is a checkpoint.
        checkpoint: what `molfm.pretrained` opens.
        digest: of the checkpoint's weights.
        known: the tasks that the checkpoint was trained on, and those that it started from.
    """

    label: str
    tasks: tuple[str, ...] = ()
    checkpoint: str | None = None
    digest: str | None = None
    known: frozenset[str] = frozenset()


def read_sources(mix: Mix, sources: str | Sequence[str | Sequence[str]]) -> list[TransferSource]:
    """Return the alternatives that are asked for.

    Raises:
        UnknownName: a name is neither in the mix nor that of a checkpoint.
        ValueError: a union of one.
    """
    named = [sources] if isinstance(sources, str | Path) else list(sources)
    found = [_read_source(mix, source) for source in named if source != ALL]
    if twice := [label for label, count in Counter(source.label for source in found).items() if count > 1]:
        raise ValueError(f"Source {twice[0]} is listed twice.")
    of_mix = [source for source in found if source.tasks]
    if ALL in named and len(of_mix) == 1:
        raise ValueError(
            f"{ALL!r} is the union of the sources that are listed with it, and here that is {of_mix[0].label} alone: list "
            f"more of them, or {ALL!r} by itself."
        )
    if ALL in named:
        union = [task for source in of_mix for task in source.tasks] or [task.id for task in mix.chosen]
        found.append(TransferSource(ALL, tuple(dict.fromkeys(union))))
    return found


def _read_source(mix: Mix, source: str | Path | Sequence[str]) -> TransferSource:
    if not isinstance(source, str | Path | Sequence):
        raise TypeError(
            f"Expected a source as tasks, datasets or levels, or as the name or folder of a checkpoint, found {source!r}."
        )
    names = [str(source)] if isinstance(source, str | Path) else list(source)
    label = " + ".join(names)
    try:
        return TransferSource(label, tuple(mix.expand(names)))
    except UnknownName as error:
        from molfm.nn.checkpoints import body_hash, open_checkpoint  # here: it imports torch

        if len(names) > 1:
            raise
        try:
            model = open_checkpoint(label)
        except FileNotFoundError:
            raise UnknownName(f"{error} There is no checkpoint {label!r} either.") from None
        return TransferSource(
            label, (), model.origin, body_hash(model), frozenset([*model.tasks.task, *model.learned_before])
        )


def fit_source(mix: Mix, targets: Sequence[str], source: TransferSource) -> TransferSource:
    """Return the source as it is for targets of one dataset: of "all", what is neither of that dataset nor their measurement.

    Raises:
        ValueError: it is a target's own measurement, or of their dataset, or a checkpoint that was trained on them.
    """
    owns = [mix.task(target) for target in targets]
    dataset = owns[0].dataset
    same = {other.id: own.id for own, other in product(owns, mix.chosen) if _one_measurement(own, other)}
    if source.label == ALL:
        left = (name for name in source.tasks if name.split("/")[0] != dataset and name not in same)
        source = TransferSource(ALL, tuple(left))
    if not source.tasks and not source.checkpoint:
        raise ValueError(f"There is no source for {targets[0]}: every task is of its own dataset {dataset}.")
    for other, own in same.items():
        if other in source.known:
            raise ValueError(f"The checkpoint {source.label} was trained on {other}: no source for {own}.")
        if other in source.tasks and other != own:
            raise ValueError(f"{other} and {own} are one measurement: neither can be the source of the other.")
    if any(name.split("/")[0] == dataset for name in source.tasks):
        raise ValueError(
            f"Source {source.label} has tasks of the target's own dataset {dataset}: their batches would mix."
        )
    return source


def _one_measurement(one: Task, other: Task) -> bool:
    return one.id in (other.id, other.same_as) or other.id == one.same_as


def hide(mix: Mix, targets: Sequence[str], source: Sequence[str], held_out: str = "molecules") -> Mix:
    """Return the mix without the source labels that would tell of what targets are judged by.

    These are all of molecules that a target is tested on, and training labels of those that it is validated on. What the
    source itself is validated on may be what a target is: else a source of the same molecules would have nothing left.

    Args:
        held_out: "molecules": of every molecule with the constitution of such a one; "scaffolds": also of every one with
            its scaffold; "nothing": none.
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
