"""A mix: one dataset or several, joined by molecule, as tables to look at and flat arrays to train on.

`load` opens (and, the first time, prepares) the stores; a `Mix` is immutable, and `select` and `limit` return narrower
views of the same files. A molecule that several datasets know is one molecule, and each dataset keeps its own rows,
labels and split for it. Nothing here imports torch; `datamodule` hands over to `batch.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from molfm.catalog import LEVELS, SPLIT_METHODS, CardError, DataCard, Task, card, datasets_of
from molfm.encodings import WALK
from molfm.featurize import spans
from molfm.rows import Rows, join, split_codes
from molfm.splits import SPLITS, UNUSED, uniform
from molfm.store import Shard, make_scaffolds, molecules_of, open_shard, pointer, prepare, structure, worker_pool
from molfm.tables import card_from_table, is_table, locate

if TYPE_CHECKING:
    from molfm.batch import MixDataModule
    from molfm.quality import Audit


@dataclass(frozen=True)
class Mix:
    """One dataset or several, joined by molecule. Made by `molfm.load`."""

    name: str
    cards: tuple[DataCard, ...]
    shards: tuple[Shard, ...]
    rows: Rows
    chosen: tuple[Task, ...]  # the tasks in force; their order is the numbering of tasks everywhere
    kept: dict[int, np.ndarray] = field(default_factory=dict)  # task -> (n_molecules,) bool: where its labels are kept
    origin: dict = field(default_factory=dict)  # the arguments of `load`, so that a run can say what it was trained on

    def __len__(self) -> int:
        return len(self.rows.ptr) - 1

    def __getstate__(self) -> dict:
        """What a loader process is sent: the fields, without the tables that were made from them to look at."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __repr__(self) -> str:
        names = ", ".join(c.name for c in self.cards)
        return f"Mix({self.name}: {len(self):,} molecules, {len(self.chosen)} tasks of {names})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.tasks.to_html(index=False, max_rows=40)}"

    # ------------------------------------------------------------------------------------------------ choosing tasks

    def task_number(self, name: str) -> int:
        """Return a task's number in this mix, by its id (`b3db/logBB`) or, where that is unambiguous, its bare name.

        Raises:
            CardError: no such task, or several of that name; the message lists what was meant or matches.
        """
        ids = [task.id for task in self.chosen]
        if name in ids:
            return ids.index(name)
        matches = [i for i, task in enumerate(self.chosen) if task.name == name]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise CardError(f"{name!r} is a task of several datasets: {', '.join(ids[i] for i in matches)}.")
        near = get_close_matches(name, [*ids, *(task.name for task in self.chosen)], n=3)
        raise CardError(
            f"No task {name!r} in {self.name}. "
            + (f"Near: {', '.join(near)}." if near else f"Tasks: {', '.join(ids[:40])}.")
        )

    def expand(self, names: Sequence[str]) -> list[str]:
        """Return task ids for names of tasks, of datasets (all their tasks) or of a dataset's level (`xtb_b3db/node`)."""
        found: list[str] = []
        for name in [names] if isinstance(names, str) else names:
            group = [t.id for t in self.chosen if name in (t.dataset, f"{t.dataset}/{t.level}")]
            found += group or [self.chosen[self.task_number(name)].id]
        return list(dict.fromkeys(found))

    def select(self, names: Sequence[str]) -> "Mix":
        """Return the mix with these tasks only (see `expand`); molecules without any of their labels stay listed."""
        numbers = [self.task_number(name) for name in self.expand(names)]
        kept = {new: self.kept[old] for new, old in enumerate(numbers) if old in self.kept}
        return replace(self, chosen=tuple(self.chosen[i] for i in numbers), kept=kept)

    def keep(self, tasks: Sequence[str], molecules: np.ndarray) -> "Mix":
        """Return the mix with the labels of these tasks (see `expand`) only where `molecules`, (n_molecules,) bool, is true."""
        numbers = [self.task_number(name) for name in self.expand(tasks)]
        return replace(self, kept=self.kept | {i: self.kept.get(i, True) & molecules for i in numbers})

    def limit(self, task: str, n_labels: int, seed: int = 0) -> "Mix":
        """Return the mix with only `n_labels` training labels of a graph task, and validation labels in proportion.

        The choice depends on the molecules and the seed alone and is nested: 64 labels are among the 128 of one seed.

        Raises:
            ValueError: the task has fewer training labels than that, or is not at graph level.
        """
        number = self.task_number(task)
        if self.chosen[number].level != "graph":
            raise ValueError(
                f"Only labels of graph tasks can be limited, {task} is at {self.chosen[number].level} level."
            )
        molecule, _, split, _ = self._labels_of(number)
        molecule, first = np.unique(molecule, return_index=True)  # one that is listed twice counts once
        split = split[first]
        available = np.bincount(split, minlength=len(SPLITS))
        if not 0 < n_labels <= available[0]:
            raise ValueError(f"{task} has {available[0]} labelled training molecules; {n_labels} were asked for.")
        mask = np.ones(len(self), bool)
        quota = {0: n_labels, 1: max(1, round(n_labels * available[1] / available[0]))}
        rank = uniform(self.key[molecule], seed)
        for part, size in quota.items():
            members = np.flatnonzero(split == part)
            mask[molecule[members[np.argsort(rank[members], kind="stable")[size:]]]] = False
        return self.keep([task], mask)

    # ------------------------------------------------------------------------------------------------ tables to look at

    def _of_molecules(self, of_shards: Iterable[np.ndarray]) -> np.ndarray:
        """Return (n_molecules,) of what each shard has for its molecules, (n_molecules_of_shard,)."""
        return np.concatenate(list(of_shards))[self.rows.order[self.rows.ptr[:-1]]]

    @cached_property
    def key(self) -> np.ndarray:
        """(n_molecules,) uint64, a hash of each molecule's SMILES."""
        return self._of_molecules(shard.identity[:, 0] for shard in self.shards)

    @cached_property
    def constitution(self) -> np.ndarray:
        """(n_molecules,) uint64, equal for stereoisomers: what a bootstrap over the test set should resample."""
        return self._of_molecules(shard.identity[:, 1] for shard in self.shards)

    @cached_property
    def scaffold(self) -> np.ndarray:
        """(n_molecules,) uint64, equal for equal scaffolds; computed when it is first asked for."""
        with worker_pool() as pool:
            make_scaffolds(self.shards, True, pool)
        return self._of_molecules(shard.scaffold for shard in self.shards)

    @cached_property
    def molecules(self) -> pd.DataFrame:
        """The molecules, a row each: smiles (the key), its datasets, and its split in each of them."""
        smiles = self._of_molecules(molecules_of(shard.folder).smiles.to_numpy(object) for shard in self.shards)
        table = pd.DataFrame({"smiles": smiles})
        for number, item in enumerate(self.cards):
            mine = np.flatnonzero(self.rows.dataset == number)[::-1]  # reversed: the first row of a molecule wins
            split = np.full(len(self), -1, np.int8)
            split[self.rows.molecule[mine]] = self.rows.split[mine]
            names = pd.Categorical.from_codes(split, categories=list(SPLITS))
            table[f"split:{item.name}" if len(self.cards) > 1 else "split"] = names
        table.insert(1, "datasets", self._dataset_names())
        return table

    def _dataset_names(self) -> pd.Categorical:
        bit = np.zeros(len(self), np.int64)
        np.bitwise_or.at(bit, self.rows.molecule, 1 << self.rows.dataset.astype(np.int64))
        seen, code = np.unique(bit, return_inverse=True)
        names = [", ".join(c.name for i, c in enumerate(self.cards) if b >> i & 1) for b in seen]
        return pd.Categorical.from_codes(code, categories=names)

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """The tasks, a row each, with label counts a split and statistics of the training labels (in the task's unit)."""
        n, counts = len(self.chosen), np.zeros((len(self.chosen), len(SPLITS)), np.int64)
        size, mean, square = np.zeros((3, n))  # of the training labels: their number, mean, summed squared deviation
        for number, _, _, split, value in self._labels():
            counts += np.bincount(number * len(SPLITS) + split, minlength=counts.size).reshape(counts.shape)
            number, value = number[split == 0], value[split == 0].astype(np.float64)
            more = np.bincount(number, minlength=n)
            there = np.maximum(more, 1)
            here = np.bincount(number, value, n) / there
            away, total = here - mean, np.maximum(size + more, 1)
            square += np.bincount(number, (value - here[number]) ** 2, n) + away**2 * size * more / total
            mean += away * more / total
            size += more
        known, binary = size > 0, np.array([task.kind == "binary" for task in self.chosen], bool)
        facts = {
            "task": [task.id for task in self.chosen],
            **{
                name: [getattr(task, name) or "" for task in self.chosen]
                for name in ("dataset", "level", "kind", "domain", "unit")
            },
            "classes": pd.array([task.classes for task in self.chosen], dtype="Int64"),  # of ordinal tasks
            **{f"n_{split}": counts[:, code] for code, split in enumerate(SPLITS)},
            "mean": np.where(known & ~binary, mean, np.nan),
            "std": np.where(known & ~binary, np.sqrt(square / np.maximum(size, 1)), np.nan),
            "positive_rate": np.where(known & binary, mean, np.nan),
        }
        idle = set() if (self.rows.split == SPLITS.index("test_seen")).any() else {"n_test_seen"}
        idle |= set() if any(task.classes for task in self.chosen) else {"classes"}
        return pd.DataFrame({name: values for name, values in facts.items() if name not in idle})

    def _labels(self, wanted: Sequence[int] | None = None) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the labels of some tasks (None: all) as this view keeps them, a shard and level at a time.

        Each time (number of the task, molecule, item, split, value); labels of rows that are in no split are left out.
        """
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
                here = split != UNUSED
                for task, mask in self.kept.items():
                    here &= (number != task) | mask[molecule]
                found = (number, molecule, labels.item[hit], split, labels.value[hit])
                yield tuple(array[here] for array in found)

    def _labels_of(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return all labels of one task as (molecule, item, split, value), as this view keeps them."""
        empty = (np.zeros(0, dtype) for dtype in (np.int32, np.uint16, np.int8, np.float32))
        parts = [tuple(empty), *(found[1:] for found in self._labels([number]))]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def labels(self, task: str) -> pd.Series:
        """Return one task's labels aligned with `molecules`, in the task's unit, missing where unmeasured.

        For a node (edge) task each entry is a float32 array over the atoms (bonds) of `Chem.MolFromSmiles(smiles)`, or
        None; a single unmeasured atom is NaN in it. Where a dataset lists a molecule twice, its first row counts (see `audit`).
        """
        number = self.task_number(task)
        level = self.chosen[number].level
        molecule, item, _, value = self._labels_of(number)
        molecule, item, value = molecule[::-1], item[::-1], value[::-1]  # the first row is written last
        if level == "graph":
            out = np.full(len(self), np.nan, np.float32)
            out[molecule] = value
            return pd.Series(out, name=self.chosen[number].id)
        sizes = self._sizes(level)
        ptr = np.concatenate([[0], np.cumsum(sizes)])
        flat = np.full(ptr[-1], np.nan, np.float32)
        flat[ptr[molecule] + item] = value
        blocks = np.empty(len(self), object)
        for i in np.unique(molecule):
            blocks[i] = flat[ptr[i] : ptr[i + 1]]
        return pd.Series(blocks, name=self.chosen[number].id)

    def _sizes(self, level: str) -> np.ndarray:
        """Return the number of atoms or bonds of every molecule."""
        pointers = (shard.atom_ptr if level == "node" else shard.bond_ptr for shard in self.shards)
        return self._of_molecules(map(np.diff, pointers))

    def audit(self) -> "Audit":
        """Return what a careful reader should know before trusting this mix; see `quality.audit`."""
        from molfm.quality import audit

        return audit(self)

    # ------------------------------------------------------------------------------------------------ arrays to train on

    def members(self, split: str, tasks: Sequence[str] | None = None) -> np.ndarray:
        """Return the molecules that carry at least one label in a split, of these tasks (see `expand`) or of any."""
        wanted = None if tasks is None else [self.task_number(name) for name in self.expand(tasks)]
        code, found = SPLITS.index(split), np.zeros(len(self), bool)
        for _, molecule, _, where, _ in self._labels(wanted):
            found[molecule[where == code]] = True
        return np.flatnonzero(found)

    def gather(
        self, molecules: np.ndarray, split: str, only: np.ndarray | None = None, encodings: Sequence[str] = (WALK,)
    ) -> dict[str, np.ndarray]:
        """Return the arrays of a batch: structures of `molecules` and their labels of one split.

        Args:
            molecules: (n,) numbers of molecules; they come back in the order of their shards, see `mol_id`.
            only: (n,) dataset whose labels are wanted for each of them, by number; None: all.
            encodings: positional encodings that come along, by their names in `encodings.py`.
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
        for level in LEVELS:
            at, item, task, value = self.row_labels(level, row)
            place_ = place[at]
            by_molecule = np.argsort(place_, kind="stable")
            out[f"{level}_item"] = (pointer(sizes[level])[place_] + item)[by_molecule]
            out[f"{level}_task"] = task[by_molecule].astype(np.int64)
            out[f"{level}_value"] = value[by_molecule].astype(np.float32)
            out[f"{level}_counts"] = np.bincount(place_, minlength=len(molecules))
        return out | {"mol_id": molecules}

    @cached_property
    def _numbering(self) -> list[np.ndarray]:
        """For each dataset, the number in this mix of each of its card's tasks; -1: not chosen."""
        number = {task.id: i for i, task in enumerate(self.chosen)}
        return [np.array([number.get(task.id, -1) for task in item.tasks]) for item in self.cards]

    def row_labels(self, level: str, row: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the labels that this view has of some rows, at one level: (place in `row`, item, task, value)."""
        rows, nothing = self.rows, np.zeros(0, np.int64)
        parts = [(nothing, nothing, nothing, np.zeros(0, np.float32))]
        for s in np.unique(rows.shard[row]):
            place = np.flatnonzero(rows.shard[row] == s)
            local, labels = rows.local[row[place]], self.shards[s].labels[level]
            counts = labels.ptr[local + 1] - labels.ptr[local]
            at = spans(labels.ptr[local], counts)
            task = self._numbering[rows.dataset[row[place[0]]]][labels.task[at]]
            found = (np.repeat(place, counts), labels.item[at].astype(np.int64), task, labels.value[at])
            chosen = task >= 0
            parts.append(tuple(array[chosen] for array in found))
        place, item, task, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        for number, mask in self.kept.items():
            here = (task != number) | mask[rows.molecule[row[place]]]
            place, item, task, value = place[here], item[here], task[here], value[here]
        return place, item, task, value

    def datamodule(self, **settings) -> "MixDataModule":
        """Return the LightningDataModule of this mix; see `batch.MixDataModule` for its settings."""
        from molfm.batch import MixDataModule

        return MixDataModule(self, **settings)


def load(
    data: "str | Path | pd.DataFrame",
    smiles: str = "smiles",
    tasks: list[str] | dict[str, dict] | None = None,
    split: str | None = None,
    seed: int = 0,
    progress: bool = True,
    executor: Executor | None = None,
) -> Mix:
    """Open a dataset or mix; the first time, download it and featurize it into the cache, with progress bars.

    Args:
        data: the name of a shipped card, the path of a card of your own (`*.md`), or a table of your own: CSV, Parquet
            or a DataFrame.
        smiles, tasks: of a table of your own, see `tables.card_from_table`.
        split: "official" (where a table's source has none: "random"), "scaffold", "random" (by constitution), or a
            column of the table that says train, val or test; None: as each card says.
        seed: of the split.
        executor: featurizes large tables; any of `concurrent.futures`, such as `dask.distributed.Client(…).get_executor()`.
            None: processes on this machine.

    Raises:
        CardError: an unknown name, a card that is wrong, or an unknown split.
        DownloadError: a table or official split cannot be had; the message says how to place it by hand.
        TableError: a table that does not hold what its card says.
    """
    own_table = is_table(data)
    if own_table:
        cards = [card_from_table(data, smiles, tasks, () if split in SPLIT_METHODS else (split,))]
        name = cards[0].name
    else:
        cards, name = datasets_of(data), card(data).name
    shards, dataset, codes = [], [], []
    tables = [locate(item, progress) for item in cards]
    with worker_pool() as pool:
        for number, table in enumerate(tables):
            opened = [
                open_shard(folder) for folder in prepare(table, progress, (lambda: executor) if executor else pool)
            ]
            shards += opened
            dataset += [number] * len(opened)
            codes += split_codes(table, opened, split, seed, progress, pool)
    located = cards[0].sources[0].locations[0].removeprefix("file:") if own_table else str(data)
    if located.endswith(".md"):
        located = str(Path(located).resolve())  # so that it is found again from another working folder
    origin = {"data": located, "split": split, "seed": seed}
    if own_table:
        origin |= {"smiles": smiles, "tasks": tasks}
    cards = tuple(table.card for table in tables)
    chosen = tuple(task for item in cards for task in item.tasks)
    mix = Mix(name, cards, tuple(shards), join(shards, dataset, codes), chosen, origin=origin)
    return mix.select(tasks) if tasks and not own_table else mix
