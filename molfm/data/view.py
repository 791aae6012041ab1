"""A view of one dataset or several, joined by molecule: which tasks and labels count, and the arrays of a batch.

A view is immutable. `select`, `keep` and `limit` return narrower views of the same files. A molecule that several
datasets contain is one molecule; each dataset keeps its own rows, labels and split for it. Nothing here imports torch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Self

import numpy as np

from molfm.base.arrays import pointer, spans
from molfm.base.errors import InputError
from molfm.base.names import resolve, resolve_one
from molfm.catalog.schema import LEVELS, DataCard, Task
from molfm.chem.encodings import WALK
from molfm.data.join import Rows
from molfm.data.prepare import make_scaffolds, worker_pool
from molfm.data.splits import SPLITS, UNUSED, uniform
from molfm.data.store import Labels, Shard, structure

_EXTRAS = {  # optional fields of labels, and what they are where a shard lacks them
    "side": lambda n: np.zeros(n, np.int8),
    "weight": lambda n: np.ones(n, np.float32),
}


def _extra(labels: Labels, name: str, place: np.ndarray) -> np.ndarray:
    values = getattr(labels, name)
    return _EXTRAS[name](len(place)) if values is None else values[place]


@dataclass(frozen=True)
class View:
    """What a training run or an audit reads of prepared datasets; `Mix` adds tables to look at."""

    name: str
    cards: tuple[DataCard, ...]
    shards: tuple[Shard, ...]
    rows: Rows
    chosen: tuple[Task, ...]  # the selected tasks; their order numbers the tasks everywhere
    kept: dict[int, np.ndarray] = field(default_factory=dict)  # task number -> (n_molecules,) bool: labels kept
    origin: dict = field(default_factory=dict)  # arguments of `load` and `apart`, so a run can record its data

    def __len__(self) -> int:
        return len(self.rows.ptr) - 1

    def __getstate__(self) -> dict:
        """Return what a loader process receives: the fields, without the tables derived from them."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __repr__(self) -> str:
        names = ", ".join(c.name for c in self.cards)
        return f"Mix({self.name}: {len(self):,} molecules, {len(self.chosen)} tasks of {names})"

    @property
    def splits(self) -> list[str]:
        """The splits in use: train, val, test, and test_seen if a dataset has it."""
        return [split for split in SPLITS if split != "test_seen" or (self.rows.split == SPLITS.index(split)).any()]

    # --------------------------------------------------------------------------------------- choosing tasks and labels

    def numbers(self, names: str | Sequence[str]) -> list[int]:
        """Return the numbers of the tasks that names stand for, each once; see `base.names.resolve`.

        Raises:
            UnknownName: a name matches nothing, or several tasks have it.
        """
        names = [names] if isinstance(names, str) else names
        return list(dict.fromkeys(i for name in names for i in resolve(name, self.chosen, self.name)))

    def expand(self, names: str | Sequence[str]) -> list[str]:
        """Return the ids of the tasks that names stand for; see `numbers`."""
        return [self.chosen[number].id for number in self.numbers(names)]

    def task_number(self, name: str) -> int:
        """Return the number of the one task that a name stands for.

        Raises:
            UnknownName: no task matches, or several do.
        """
        return resolve_one(name, self.chosen, self.name)

    def task(self, name: str) -> Task:
        """Return the one task that a name stands for; see `task_number`."""
        return self.chosen[self.task_number(name)]

    def select(self, names: str | Sequence[str]) -> Self:
        """Return a view with these tasks only (see `numbers`). Molecules without any of their labels stay listed."""
        numbers = self.numbers(names)
        kept = {new: self.kept[old] for new, old in enumerate(numbers) if old in self.kept}
        return replace(self, chosen=tuple(self.chosen[i] for i in numbers), kept=kept)

    def keep(self, tasks: str | Sequence[str], molecules: np.ndarray) -> Self:
        """Return a view that keeps labels of these tasks (see `numbers`) only for some molecules.

        Args:
            tasks: names of tasks, datasets or levels.
            molecules: (n_molecules,) bool, whose labels are kept.
        """
        return self._kept_only(dict.fromkeys(self.numbers(tasks), np.array(molecules, bool)))

    def _kept_only(self, masks: dict[int, np.ndarray]) -> Self:
        """Return a view that also drops what masks, task number -> (n_molecules,) bool, do not keep."""
        return replace(self, kept=self.kept | {i: self.kept[i] & m if i in self.kept else m for i, m in masks.items()})

    @cached_property
    def _masks(self) -> tuple[np.ndarray, np.ndarray]:
        """The masks of `kept`, each once, below one that keeps everything, and the row of each task's mask."""
        distinct = {id(mask): mask for mask in self.kept.values()}  # many tasks may share one
        place = {key: row for row, key in enumerate(distinct, 1)}
        row_of = np.zeros(len(self.chosen), np.int64)
        for task, mask in self.kept.items():
            row_of[task] = place[id(mask)]
        return np.stack([np.ones(len(self), bool), *distinct.values()]), row_of

    def _keeps(self, task: np.ndarray, molecule: np.ndarray) -> np.ndarray:
        """Return whether the view keeps labels, given by task and molecule, (n,) each."""
        if not self.kept:
            return np.ones(len(task), bool)
        masks, row_of = self._masks
        return masks[row_of[task], molecule]

    def limit(self, tasks: str | Sequence[str], n_labels: int, seed: int = 0) -> Self:
        """Return a view with only `n_labels` training labels of each task, and validation labels in proportion.

        The choice depends only on molecules and seed, and is nested: for one seed, 64 labels are among the 128.

        Args:
            tasks: names of graph tasks (see `numbers`).
            n_labels: number of training labels, where a molecule that is listed twice counts once.
            seed: random seed of the choice.

        Raises:
            ValueError: a task has fewer training labels, or is not at graph level.
        """
        numbers = self.numbers(tasks)
        for task in (self.chosen[number] for number in numbers):
            if task.level != "graph":
                raise InputError(f"Only labels of graph tasks can be limited; {task.id} is at {task.level} level.")
        blocks = [(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int8))]
        blocks += [(number, molecule, split) for number, molecule, _, split, _ in self.label_blocks(numbers)]
        number, molecule, split = (np.concatenate(arrays) for arrays in zip(*blocks, strict=True))
        order = np.lexsort((molecule, number))
        number, molecule, split = number[order], molecule[order], split[order]
        # A molecule that is listed twice counts once, with its first label.
        first = np.ones(len(number), bool)
        first[1:] = (np.diff(number) != 0) | (np.diff(molecule) != 0)
        number, molecule, split = number[first], molecule[first], split[first]
        rank, masks = uniform(self.key[molecule], seed), {}
        for task in numbers:
            mine = slice(*np.searchsorted(number, [task, task + 1]))
            available = np.bincount(split[mine], minlength=len(SPLITS))
            if not 0 < n_labels <= available[0]:
                raise InputError(
                    f"{self.chosen[task].id} has {available[0]} labelled training molecules; {n_labels} were asked for."
                )
            quota = {0: n_labels, 1: max(1, round(n_labels * available[1] / available[0]))}
            masks[task] = np.ones(len(self), bool)
            for part, size in quota.items():
                members = mine.start + np.flatnonzero(split[mine] == part)
                masks[task][molecule[members[np.argsort(rank[members], kind="stable")[size:]]]] = False
        return self._kept_only(masks)

    # ------------------------------------------------------------------------------------------- identity of molecules

    @cached_property
    def key(self) -> np.ndarray:
        """(n_molecules,) uint64, a hash of each molecule's SMILES."""
        return self._of_molecules(shard.identity[:, 0] for shard in self.shards)

    @cached_property
    def constitution(self) -> np.ndarray:
        """(n_molecules,) uint64, equal for stereoisomers and for salts of one parent.

        Bootstraps over a test set should resample these."""
        return self._of_molecules(shard.identity[:, 1] for shard in self.shards)

    @cached_property
    def scaffold(self) -> np.ndarray:
        """(n_molecules,) uint64, equal for equal scaffolds; computed at first use."""
        with worker_pool() as pool:
            make_scaffolds(self.shards, True, pool)
        return self._of_molecules(shard.scaffold for shard in self.shards)

    def _of_molecules(self, of_shards: Iterable[np.ndarray]) -> np.ndarray:
        """Return one value per molecule, (n_molecules,), from one array per shard, (n_molecules_of_shard,)."""
        return np.concatenate(list(of_shards))[self.rows.order[self.rows.ptr[:-1]]]

    def sizes(self, level: str) -> np.ndarray:
        """Return the number of atoms or bonds of every molecule."""
        pointers = (shard.atom_ptr if level == "node" else shard.bond_ptr for shard in self.shards)
        return self._of_molecules(map(np.diff, pointers))

    # -------------------------------------------------------------------------------------------------------- features

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the numbers that a network reads beside a molecule, such as pH; of all datasets together."""
        return tuple(dict.fromkeys(name for card in self.cards for name in card.features))

    def features(self, molecules: np.ndarray) -> np.ndarray:
        """Return the features of molecules (n,), (n, n_features) float32; NaN where their dataset lacks one."""
        out = np.full((len(molecules), len(self.feature_names)), np.nan, np.float32)
        first = self.rows.ptr[molecules]
        for s in np.unique(self.rows.shard[first]):
            shard, place = self.shards[s], np.flatnonzero(self.rows.shard[first] == s)
            if shard.features is not None:
                card = self.cards[self.rows.dataset[first[place[0]]]]
                columns = [self.feature_names.index(name) for name in card.features]
                out[place[:, None], columns] = shard.features[self.rows.local[first[place]]]
        return out

    # ---------------------------------------------------------------------------------------------------------- labels

    def members(self, split: str, tasks: Sequence[str] | None = None) -> np.ndarray:
        """Return the molecules (numbers) with a label in a split, of these tasks (see `numbers`; None for any)."""
        wanted = None if tasks is None else self.numbers(tasks)
        code, found = SPLITS.index(split), np.zeros(len(self), bool)
        for _, molecule, _, where, _ in self.label_blocks(wanted):
            found[molecule[where == code]] = True
        return np.flatnonzero(found)

    def label_blocks(self, wanted: Sequence[int] | None = None) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the labels that this view keeps, one shard and level at a time.

        Args:
            wanted: numbers of tasks; None for all.

        Yields:
            (number of the task, molecule, item, split code, value), arrays of one length. Labels of rows in no split
            are left out.
        """
        for found, _, _ in self._blocks(wanted):
            yield found

    def _blocks(self, wanted: Sequence[int] | None) -> Iterator[tuple[tuple[np.ndarray, ...], Labels, np.ndarray]]:
        """Yield what `label_blocks` yields, with the labels of the shard and the places of those that are yielded."""
        for index, shard in enumerate(self.shards):
            row_of = self.rows.of_shard(index)
            if not len(row_of):
                continue
            numbering = self._numbering[self.rows.dataset[row_of[0]]]
            if wanted is not None:
                numbering = np.where(np.isin(numbering, wanted), numbering, -1)
            for level, labels in shard.labels.items():
                if not any(self.chosen[number].level == level for number in numbering[numbering >= 0]):
                    continue
                number = numbering[labels.task]
                hit = np.flatnonzero(number >= 0)
                row = row_of[np.searchsorted(labels.ptr, hit, side="right") - 1]
                number, molecule, split = number[hit], self.rows.molecule[row], self.rows.split[row]
                here = (split != UNUSED) & self._keeps(number, molecule)
                found = (number, molecule, labels.item[hit], split, labels.value[hit])
                yield tuple(array[here] for array in found), labels, hit[here]

    def label_triples(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return all labels of one task that this view keeps: molecule, item, split code, value."""
        empty = (np.zeros(0, dtype) for dtype in (np.int32, np.uint16, np.int8, np.float32))
        parts = [tuple(empty), *(found[1:] for found in self.label_blocks([number]))]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def label_extras(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the side (int8, see `data/cells.py`) and the weight (float32) of each label of `label_triples`."""
        parts = [tuple(make(0) for make in _EXTRAS.values())]
        for _, labels, place in self._blocks([number]):
            parts.append(tuple(_extra(labels, name, place) for name in _EXTRAS))
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    @cached_property
    def is_censored(self) -> bool:
        """Whether there are censored labels, of any task."""
        return any(labels.side is not None for shard in self.shards for labels in shard.labels.values())

    @cached_property
    def is_weighted(self) -> bool:
        """Whether labels have weights, of any task."""
        return any(labels.weight is not None for shard in self.shards for labels in shard.labels.values())

    @property
    def extras(self) -> list[str]:
        """The fields that labels have beside their values: "side" if some are censored, "weight" if they have weights."""
        return ["side"] * self.is_censored + ["weight"] * self.is_weighted

    def row_labels(self, level: str, row: np.ndarray, extras: Sequence[str] = ()) -> tuple[np.ndarray, ...]:
        """Return this view's labels of some rows at one level: place in `row`, item, task, value, and `extras`."""
        rows, nothing = self.rows, np.zeros(0, np.int64)
        parts = [(nothing, nothing, nothing, np.zeros(0, np.float32), *(_EXTRAS[name](0) for name in extras))]
        for s in np.unique(rows.shard[row]):
            place = np.flatnonzero(rows.shard[row] == s)
            local, labels = rows.local[row[place]], self.shards[s].labels[level]
            counts = labels.ptr[local + 1] - labels.ptr[local]
            at = spans(labels.ptr[local], counts)
            task = self._numbering[rows.dataset[row[place[0]]]][labels.task[at]]
            found = (np.repeat(place, counts), labels.item[at].astype(np.int64), task, labels.value[at])
            chosen = task >= 0
            parts.append(tuple(array[chosen] for array in (*found, *(_extra(labels, name, at) for name in extras))))
        found = tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if self.kept:
            here = self._keeps(found[2], rows.molecule[row[found[0]]])
            found = tuple(array[here] for array in found)
        return found

    @cached_property
    def _numbering(self) -> list[np.ndarray]:
        """For each dataset, the number in this view of each of its card's tasks, or -1 if not selected."""
        number = {task.id: i for i, task in enumerate(self.chosen)}
        return [np.array([number.get(task.id, -1) for task in item.tasks]) for item in self.cards]

    # ----------------------------------------------------------------------------------------------- arrays of a batch

    def gather(
        self, molecules: np.ndarray, split: str, only: np.ndarray | None = None, encodings: Sequence[str] = (WALK,)
    ) -> dict[str, np.ndarray]:
        """Return the arrays of a batch: structures of `molecules` and their labels of one split.

        Args:
            molecules: (n,) numbers of molecules; they come back ordered by shard, as `mol_id`.
            split: the split whose labels are wanted.
            only: (n,) number of the dataset whose labels are wanted, for each molecule; None for all datasets.
            encodings: names of the positional encodings to gather, see `chem.encodings`.
        """
        rows = self.rows
        sort = np.argsort(rows.shard[rows.ptr[molecules]], kind="stable")
        molecules, only = molecules[sort], None if only is None else only[sort]
        first = rows.ptr[molecules]
        parts = [
            structure(self.shards[s], rows.local[first[rows.shard[first] == s]], encodings)
            for s in np.unique(rows.shard[first])
        ]
        out = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        sizes = {"graph": np.ones_like(molecules), "node": out["num_atoms"], "edge": out["num_bonds"]}

        counts = rows.ptr[molecules + 1] - first
        row, place = spans(first, counts), np.repeat(np.arange(len(molecules)), counts)
        wanted = rows.split[row] == SPLITS.index(split)
        if only is not None:
            wanted &= rows.dataset[row] == only[place]
        row, place = row[wanted], place[wanted]
        extras = self.extras
        for level in LEVELS:
            at, item, task, value, *more = self.row_labels(level, row, extras)
            owner = place[at]  # place of the molecule of each label
            by_molecule = np.argsort(owner, kind="stable")
            out[f"{level}_item"] = (pointer(sizes[level])[owner] + item)[by_molecule]
            out[f"{level}_task"] = task[by_molecule].astype(np.int64)
            out[f"{level}_value"] = value[by_molecule].astype(np.float32)
            out |= {f"{level}_{name}": of[by_molecule] for name, of in zip(extras, more, strict=True)}
            out[f"{level}_counts"] = np.bincount(owner, minlength=len(molecules))
        if self.feature_names:
            out["features"] = self.features(molecules)
        return out | {"mol_id": molecules}
