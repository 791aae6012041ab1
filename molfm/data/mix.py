"""A mix: one dataset or several, joined by molecule, as tables to look at and flat arrays to train on.

`load` opens the stores and, the first time, prepares them. A `Mix` is a `View` with tables to look at. Batches for
training are made from it in `molfm.batches`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from molfm.base.arrays import pointer
from molfm.base.errors import InputError
from molfm.catalog.shipped import card, datasets_of
from molfm.data.audit import Audit, audit
from molfm.data.join import join
from molfm.data.own_table import card_from_table, is_table
from molfm.data.prepare import prepare, worker_pool
from molfm.data.split_method import check_method, from_roles, split_column
from molfm.data.splits import SPLITS, UNUSED, split_codes
from molfm.data.store import molecules_of, open_shard
from molfm.data.tables import locate
from molfm.data.view import View

APART = "apart"  # entry of a view's origin: dataset -> the tasks that `Mix.apart` moved there


@dataclass(frozen=True, repr=False)
class Mix(View):
    """One dataset or several, joined by molecule. Made by `molfm.load`."""

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self._tasks.to_html(index=False, max_rows=40)}"

    @property
    def molecules(self) -> pd.DataFrame:
        """A copy of the table of molecules, one row each.

        Columns: smiles (the key), datasets (names of the datasets that contain it), `split:NAME` per dataset, missing
        where the dataset does not contain the molecule or puts it in no split, and `id:NAME` per dataset with ids. A
        molecule with features, such as a pH, has one row per set of features, which are further columns.
        """
        return self._molecules.copy()

    @cached_property
    def _molecules(self) -> pd.DataFrame:
        table = {
            "smiles": self._of_molecules(molecules_of(shard.folder).smiles.to_numpy(object) for shard in self.shards)
        }
        table["datasets"] = self._dataset_names()
        for number, item in enumerate(self.cards):
            mine = np.flatnonzero(self.rows.dataset == number)[::-1]  # reversed: the first row of a molecule wins
            split = np.full(len(self), UNUSED, np.int8)
            split[self.rows.molecule[mine]] = self.rows.split[mine]
            table[f"split:{item.name}"] = pd.Categorical.from_codes(split, categories=list(SPLITS))
            if item.sources and item.sources[0].roles.id:
                table[f"id:{item.name}"] = self._ids(number)
        if self.feature_names:
            table |= dict(zip(self.feature_names, self.features(np.arange(len(self))).T, strict=True))
        return pd.DataFrame(table)

    def _ids(self, dataset: int) -> np.ndarray:
        """Return the id of the first row of each molecule in a dataset, (n_molecules,) object."""
        found, every = np.full(len(self), None, object), []
        for index, shard in enumerate(self.shards):
            row = self.rows.of_shard(index)
            if len(row) and self.rows.dataset[row[0]] == dataset:
                every.append((row, molecules_of(shard.folder).id.to_numpy(object)))
        for row, ids in reversed(every):
            found[self.rows.molecule[row[::-1]]] = ids[::-1]  # reversed: the first row of a molecule wins
        return found

    def _dataset_names(self) -> pd.Categorical:
        bit = np.zeros(len(self), np.int64)
        np.bitwise_or.at(bit, self.rows.molecule, 1 << self.rows.dataset.astype(np.int64))
        seen, code = np.unique(bit, return_inverse=True)
        names = [", ".join(c.name for i, c in enumerate(self.cards) if b >> i & 1) for b in seen]
        return pd.Categorical.from_codes(code, categories=names)

    @property
    def tasks(self) -> pd.DataFrame:
        """A copy of the table of tasks, one row each.

        Columns: task (the id), dataset, level, kind, domain, family, unit, classes (number, for ordinal tasks),
        n_train, n_val, n_test, n_test_seen (labels per split), and statistics of the training labels: mean and std in
        the task's unit, or positive_rate for binary tasks.
        """
        return self._tasks.copy()

    @cached_property
    def _tasks(self) -> pd.DataFrame:
        counts, n, mean, std = self._statistics()
        binary = np.array([task.kind == "binary" for task in self.chosen], bool)
        facts = ("dataset", "level", "kind", "domain", "family", "unit")
        return pd.DataFrame(
            {
                "task": [task.id for task in self.chosen],
                **{name: [getattr(task, name) or "" for task in self.chosen] for name in facts},
                "classes": pd.array([task.classes for task in self.chosen], dtype="Int64"),
                **{f"n_{split}": counts[:, code] for code, split in enumerate(SPLITS)},
                "mean": np.where((n > 0) & ~binary, mean, np.nan),
                "std": np.where((n > 0) & ~binary, std, np.nan),
                "positive_rate": np.where((n > 0) & binary, mean, np.nan),
            }
        )

    def _statistics(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return label counts (n_tasks, n_splits), and number, mean and std of the training labels, each (n_tasks,).

        One pass over the labels: means and squared deviations of blocks are combined (Chan, Golub and LeVeque, 1983).
        """
        n_tasks = len(self.chosen)
        counts = np.zeros((n_tasks, len(SPLITS)), np.int64)
        n, mean, square = np.zeros((3, n_tasks))  # square: summed squared deviations from the mean
        for number, _, _, split, value in self.label_blocks():
            counts += np.bincount(number * len(SPLITS) + split, minlength=counts.size).reshape(counts.shape)
            number, value = number[split == 0], value[split == 0].astype(np.float64)
            more = np.bincount(number, minlength=n_tasks)
            block_mean = np.bincount(number, value, n_tasks) / np.maximum(more, 1)
            shift, total = block_mean - mean, np.maximum(n + more, 1)
            square += np.bincount(number, (value - block_mean[number]) ** 2, n_tasks) + shift**2 * n * more / total
            mean += shift * more / total
            n += more
        return counts, n, mean, np.sqrt(square / np.maximum(n, 1))

    def labels(self, task: str) -> pd.Series:
        """Return one task's labels aligned with `molecules`, in the task's unit, missing where unmeasured.

        For a node (edge) task, each entry is a float32 array over the atoms (bonds) of `Chem.MolFromSmiles(smiles)`,
        NaN for a single unmeasured one, or None. Where a dataset lists a molecule twice, the first measured value
        counts (see `audit`).
        """
        number = self.task_number(task)
        level = self.chosen[number].level
        molecule, item, _, value = self.label_triples(number)
        molecule, item, value = molecule[::-1], item[::-1], value[::-1]  # the first row is written last
        if level == "graph":
            out = np.full(len(self), np.nan, np.float32)
            out[molecule] = value
            return pd.Series(out, name=self.chosen[number].id)
        sizes = self.sizes(level)
        ptr = pointer(sizes)
        flat = np.full(ptr[-1], np.nan, np.float32)
        flat[ptr[molecule] + item] = value
        blocks = np.empty(len(self), object)
        for i in np.unique(molecule):
            blocks[i] = flat[ptr[i] : ptr[i + 1]]
        return pd.Series(blocks, name=self.chosen[number].id)

    def apart(self, names: str | Sequence[str], dataset: str) -> Self:
        """Return a view in which some tasks of a dataset form a dataset of their own, with the same molecules.

        Batches then draw molecules for these tasks separately, and a model gives them a head of their own. So tasks of
        one dataset can be trained as those of two.

        Args:
            names: names of tasks of one dataset (see `numbers`).
            dataset: name of the new dataset.

        Raises:
            ValueError: the tasks belong to several datasets, or there is a dataset of that name.
        """
        numbers = self.numbers(names)
        owners = list(dict.fromkeys(self.chosen[i].dataset for i in numbers))
        if len(owners) > 1:
            raise InputError(f"Expected tasks of one dataset, found tasks of {', '.join(owners)}.")
        datasets = [item.name for item in self.cards]
        if dataset in datasets:
            raise InputError(f"{self.name} has a dataset named {dataset} already.")
        owner, rows = datasets.index(owners[0]), self.rows
        of_shards = [rows.of_shard(i) for i in range(len(self.shards))]
        numbering = [int(rows.dataset[of[0]]) if len(of) else -1 for of in of_shards]
        copied = [i for i, number in enumerate(numbering) if number == owner]
        shards = (*self.shards, *(self.shards[i] for i in copied))
        splits = [rows.split[of_shards[i]] for i in [*range(len(self.shards)), *copied]]
        card_of = self.cards[owner]
        own_tasks = tuple(replace(task, dataset=dataset) for task in card_of.tasks)
        moved = set(numbers)
        return replace(
            self,
            cards=(*self.cards, replace(card_of, name=dataset, tasks=own_tasks)),
            shards=shards,
            rows=join(shards, numbering + [len(self.cards)] * len(copied), splits),
            chosen=tuple(replace(task, dataset=dataset) if i in moved else task for i, task in enumerate(self.chosen)),
            origin=self.origin and {**self.origin, APART: {**self.origin.get(APART, {}), dataset: self.expand(names)}},
        )

    def audit(self) -> Audit:
        """Return what a reader should know before trusting this mix; see `molfm.data.audit`."""
        return audit(self)


def load(
    data: "str | Path | pd.DataFrame",
    smiles: str = "smiles",
    tasks: list[str] | dict[str, dict] | None = None,
    split: str | None = None,
    seed: int = 0,
    progress: bool = True,
    executor: Executor | None = None,
    roles: Mapping[str, object] | None = None,
) -> Mix:
    """Open a dataset or mix; the first time, download it and featurize it into the cache.

    Args:
        data: name of a shipped card, path of your own card (`*.md`), or your own table: a CSV, TSV, text, Parquet,
            Excel, SDF or SMI file, or a DataFrame, whose SMILES column may also hold molecules of RDKit.
        smiles: name of the SMILES column, for your own table.
        tasks: for your own table, its label columns, see `own_table.card_from_table`; for a card, the tasks to select.
            None for all; a warning then says which columns of your table became tasks, and `audit` keeps the list.
        split: what is kept on one side of the split, or who decides. None for each card's own split.

            - "random": every molecule with its salts and stereoisomers.
            - "scaffold": also all molecules with one scaffold.
            - "cluster": all molecules of a cluster of similar ones (`chem.similarity`).
            - "time:COLUMN": the newest molecules are test, those before them val, and the oldest train. The column holds
              numbers or dates (`times.read_times`). A molecule is as old as its first measurement. Rows of molecules
              without a time are in no split.
            - "group:COLUMN": all rows with one value in a column, such as a project or a series. Groups that share a
              molecule are joined.
            - "scaffold 2/5", also with "random", "cluster" or "group:COLUMN": the molecules are divided into five folds
              of nearly equal size. Fold 2 is test, the next one val, and the others train.
            - "official": as published, or "random" if the table's source has no official split.
            - A column of the table that says train, val or test, or numbers at least three folds: the highest is test,
              the next val.

            Clusters, times, groups and folds split one table, not a mix. Your own table is split exactly 80/10/10, or as
            exactly as its groups allow, and tautomers of a molecule stay together, too.
        seed: random seed of the split; with folds, of how they are divided. A split by time has no chance in it.
        progress: show progress bars.
        executor: featurizes large tables; any executor of `concurrent.futures`, such as
            `dask.distributed.Client(…).get_executor()`. None for processes on this machine.
        roles: for your own table, role -> column: `id`, `weight` (of labels in training), `relation` (`>` or `<` of
            censored labels), `group` and `time` (for splits), `features` (numbers such as pH that a network reads beside
            the molecule), `ignore`; see `catalog.schema.Roles`. With `time` or `group`, this is the split if none is
            named.

    Raises:
        CardError: the name or the split is unknown, or the card is wrong.
        DownloadError: a table or official split could not be downloaded; the message says where to place it by hand.
        TableError: a table does not hold what its card says.
    """
    own_table = is_table(data)
    if own_table:
        split = from_roles(split, roles or {})
        column = split_column(split)
        cards = [card_from_table(data, smiles, tasks, [column] if column else [], roles)]
        name = cards[0].name
    elif roles:
        raise InputError(f"Roles are for your own table; those of {data} stand in its card.")
    else:
        cards, name = datasets_of(data), card(data).name
    shards, dataset, codes = [], [], []
    tables = [locate(item, progress) for item in cards]
    for table in tables:
        found = list(map(str, data.columns)) if isinstance(data, pd.DataFrame) else table.columns()
        check_method(split, table, found, len(tables) == 1)
    with worker_pool() as pool:
        for number, table in enumerate(tables):
            opened = [
                open_shard(folder) for folder in prepare(table, progress, (lambda: executor) if executor else pool)
            ]
            shards += opened
            dataset += [number] * len(opened)
            codes += split_codes(table, opened, split, seed, progress, pool, own_table)
    located = cards[0].sources[0].locations[0].removeprefix("file:") if own_table else str(data)
    if located.endswith(".md"):
        located = str(Path(located).resolve())  # a run may open it from another working folder
    origin = {"data": located, "split": split, "seed": seed}
    if own_table:
        # Named, so that whoever opens the mix again need not judge its columns again.
        origin |= {
            "smiles": smiles,
            "tasks": tasks or [column for column, use, _ in cards[0].columns if use == "target"],
        }
        origin |= {"roles": dict(roles)} if roles else {}
    cards = tuple(table.card for table in tables)
    chosen = tuple(task for item in cards for task in item.tasks)
    mix = Mix(name, cards, tuple(shards), join(shards, dataset, codes), chosen, origin=origin)
    return mix.select(tasks) if tasks and not own_table else mix
