"""Single molecules of a mix: SMILES, names and labels of some molecules, without reading the others.

`data/mix.py` has tables of whole datasets; this module fills a page with molecules. It reads only what is asked for, so
a dataset of millions opens as quickly as a small one.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from molfm.base.arrays import spans
from molfm.catalog.http import DownloadError
from molfm.data.mix import Mix
from molfm.data.splits import SPLITS, UNUSED
from molfm.data.store import molecules_of
from molfm.data.tables import locate, read_column

NAME_COLUMNS = ("name", "mol_id", "compound_name", "compound_id", "id", "title")  # the first that a table has counts
_SHARDS_KEPT = 64  # shards whose SMILES stay in memory, some 5 MB each
_COLUMNS_KEPT = 8  # tasks whose labels stay in memory


class Lookup:
    """Reads single molecules of a mix.

    Args:
        mix: the view that is read; labels that it does not keep are missing.
    """

    def __init__(self, mix: Mix):
        self.mix = mix
        self._shard = lru_cache(_SHARDS_KEPT)(lambda number: molecules_of(mix.shards[number].folder))
        self.column = lru_cache(_COLUMNS_KEPT)(self._column)
        self._names: list[np.ndarray | None] | None = None

    def smiles(self, molecules: np.ndarray) -> list[str]:
        """Return the SMILES of molecules, given by their numbers."""
        rows, out = self.mix.rows, np.empty(len(molecules), object)
        first = rows.ptr[molecules]
        for number in np.unique(rows.shard[first]):
            mine = rows.shard[first] == number
            out[mine] = self._shard(number).smiles.iloc[rows.local[first[mine]]]
        return out.tolist()

    def names(self, molecules: np.ndarray) -> list[str]:
        """Return the names of molecules in the datasets' own tables (see `NAME_COLUMNS`); "" if they have none."""
        row, place = self._rows(molecules)
        out = [{} for _ in molecules]  # "caffeine" and "Caffeine" are one name
        for at, name in zip(place.tolist(), self._row_names(row), strict=True):
            if name:
                out[at].setdefault(name.lower(), name)
        return [" / ".join(found.values()) for found in out]

    def named(self, text: str, molecules: np.ndarray) -> np.ndarray:
        """Return (n,) bool: whether a name of each of these molecules contains the text, ignoring case."""
        row, place = self._rows(molecules)
        names = pd.Series(self._row_names(row), dtype=object)
        hit = names.str.contains(text, case=False, regex=False, na=False).to_numpy(bool)
        out = np.zeros(len(molecules), bool)
        out[place[hit]] = True
        return out

    def _rows(self, molecules: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return all rows of molecules, and for each row the place of its molecule in `molecules`."""
        ptr = self.mix.rows.ptr
        counts = ptr[molecules + 1] - ptr[molecules]
        return spans(ptr[molecules], counts), np.repeat(np.arange(len(molecules)), counts)

    def _row_names(self, row: np.ndarray) -> np.ndarray:
        """Return the name of each row, (n,) object; None if it has none."""
        mix, out = self.mix, np.full(len(row), None, object)
        if self._names is None:
            self._names = [_names_of(card) for card in mix.cards]
        for dataset, names in enumerate(self._names):
            if names is None:
                continue
            for number in np.unique(mix.rows.shard[row[mix.rows.dataset[row] == dataset]]):
                mine = mix.rows.shard[row] == number
                out[mine] = names[mix.shards[number].row[mix.rows.local[row[mine]]]]
        return out

    def cells(self, molecules: np.ndarray, split: str | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return labels as (place in `molecules`, task, value), one per molecule and task, in the tasks' units.

        The value of an atom or bond task is the mean over the measured atoms or bonds. If a dataset lists a molecule
        twice, its first row counts for graph tasks, as in `Mix.labels`.

        Args:
            molecules: (n,) numbers of the molecules; memory grows with how many the caller asks for.
            split: return only labels in this split; None for any split.
        """
        mix = self.mix
        row, place = self._rows(molecules)
        where = mix.rows.split[row]
        used = where != UNUSED if split is None else where == SPLITS.index(split)
        row, place = row[used], place[used]
        at, _, task, value = mix.row_labels("graph", row)
        owner = place * len(mix.cards) + mix.rows.dataset[row]
        if len(np.unique(owner)) < len(owner):  # one dataset has a molecule in several rows
            _, first = np.unique(place[at] * len(mix.chosen) + task, return_index=True)
            at, task, value = at[first], task[first], value[first]
        parts = [(place[at], task, value)]
        for level in {task.level for task in mix.chosen} - {"graph"}:
            at, _, task, value = mix.row_labels(level, row)
            cell, inverse, count = np.unique(
                place[at] * len(mix.chosen) + task, return_inverse=True, return_counts=True
            )
            mean = np.bincount(inverse, value, len(cell)) / count
            parts.append((*np.divmod(cell, len(mix.chosen)), mean.astype(np.float32)))
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def values(self, molecules: np.ndarray, split: str | None = None) -> np.ndarray:
        """Return the labels of `cells` as a table, (n_molecules, n_tasks) float32; NaN if unmeasured."""
        place, task, value = self.cells(molecules, split)
        out = np.full((len(molecules), len(self.mix.chosen)), np.nan, np.float32)
        out[place, task] = value
        return out

    def items(self, molecule: int, level: str, split: str | None = None) -> dict[int, np.ndarray]:
        """Return one molecule's labels at "node" or "edge" level: task number -> (n_items,) float32; NaN if unmeasured.

        The atoms or bonds are in the order of `Chem.MolFromSmiles` of the molecule's SMILES. `split` is as for `cells`.
        """
        mix = self.mix
        row, _ = self._rows(np.array([molecule]))
        first = mix.shards[mix.rows.shard[row[0]]]
        ptr, local = first.atom_ptr if level == "node" else first.bond_ptr, mix.rows.local[row[0]]
        where = mix.rows.split[row]
        used = where != UNUSED if split is None else where == SPLITS.index(split)
        _, item, task, value = mix.row_labels(level, row[used])
        out = {}
        for number in np.unique(task).tolist():
            mine = task == number
            out[number] = np.full(int(ptr[local + 1] - ptr[local]), np.nan, np.float32)
            out[number][item[mine][::-1]] = value[mine][::-1]
        return out

    def counts(self, numbers: Sequence[int]) -> np.ndarray:
        """Return how many of these tasks each molecule has a label of, (n_molecules,) int32."""
        out = np.zeros(len(self.mix), np.int32)
        for _, molecule, item, _, _ in self.mix.label_blocks(numbers):
            out += np.bincount(molecule[item == 0], minlength=len(out)).astype(np.int32)
        return out

    def _column(self, number: int) -> np.ndarray:
        """Return one task's labels for all molecules, (n_molecules,) float32, as in `values`."""
        mix = self.mix
        if mix.chosen[number].level == "graph":
            return mix.labels(mix.chosen[number].id).to_numpy()
        molecule, _, _, value = mix.label_triples(number)
        total, count = (np.bincount(molecule, weights, len(mix)) for weights in (value, None))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)

    def splits(self, molecules: np.ndarray) -> list[dict[str, str]]:
        """Return for each molecule its split by dataset; "" if it is in no split."""
        row, place = self._rows(molecules)
        names = [card.name for card in self.mix.cards]
        out: list[dict[str, str]] = [{} for _ in molecules]
        for at, dataset, split in zip(place, self.mix.rows.dataset[row], self.mix.rows.split[row], strict=True):
            out[at].setdefault(names[dataset], "" if split == UNUSED else SPLITS[split])
        return out

    def members(self, datasets: list[str] | None = None, split: str | None = None) -> np.ndarray:
        """Return (n_molecules,) bool: which molecules have a row of these datasets in this split; None for any."""
        rows, here = self.mix.rows, np.ones(len(self.mix.rows.local), bool)
        if datasets is not None:
            here &= np.isin(rows.dataset, [i for i, card in enumerate(self.mix.cards) if card.name in datasets])
        if split is not None:
            here &= rows.split == SPLITS.index(split)
        out = np.zeros(len(self.mix), bool)
        out[rows.molecule[here]] = True
        return out


def _names_of(card) -> np.ndarray | None:
    """Return the name of each row of a dataset's table; None if no column has names or the table is not here."""
    try:
        table = locate(card, progress=False, download=False)
    except DownloadError:
        return None
    if table is None:
        return None
    columns = {column.lower(): column for column in reversed(table.columns())}
    found = next((columns[name] for name in NAME_COLUMNS if name in columns), None)
    return None if found in (None, table.source.smiles) else read_column(table, found)
