"""The label table as a picture: which molecules have labels of which tasks, and how labels of two tasks are related.

The table, molecules x tasks, is never built. A tile of the picture is made from the labels of its own molecules, in
blocks of bounded size. So a close view is cheap for any number of molecules, and an overview takes one pass.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from molfm.catalog.schema import DOMAINS, Task
from molfm.data.mix import Mix
from molfm.data.splits import SPLITS, uniform
from molfm.explore.lookup import Lookup

BLOCK_CELLS = 8_000_000  # cells of the table in a block: no more labels are held at once
TILE_ROWS = 256  # rows of a tile; each stands for one molecule or for many
MAX_SAMPLED = 3_000  # molecules of each dataset that the quantiles of its tasks come from
MAX_PAIRED = 200_000  # molecules on which pairs of tasks are counted; of a larger mix, a random sample
_PATTERN_BITS = 62
_BINS = 40


class Tile(NamedTuple):
    """A part of the picture: up to TILE_ROWS groups of neighbouring molecules x all tasks."""

    start: int  # first molecule, as a place in `LabelMap.order`
    per_row: int  # molecules per row; the last row may have fewer
    share: np.ndarray  # (n_rows, n_tasks) float32, share of the molecules that have a label
    mean: np.ndarray  # (n_rows, n_tasks) float32, mean of their labels in the task's unit; NaN if there are none


class Pairs(NamedTuple):
    """How the labels of any two tasks are related."""

    count: np.ndarray  # (n_tasks, n_tasks) int64, molecules with both labels
    correlation: np.ndarray  # (n_tasks, n_tasks) float32, Pearson's r over these (phi for binary); NaN if undefined
    n_molecules: int  # number of molecules counted
    of: int  # number of molecules in the mix; if it is larger, a random sample was counted


class Distribution(NamedTuple):
    """The labels of one task by split."""

    edges: np.ndarray  # (n_bins + 1,) in the task's unit; for classes, half-integers around them
    counts: dict[str, np.ndarray]  # split -> (n_bins,) int64 labels
    beyond: int  # labels outside the edges, which span only the middle 99.8% if a tail is long


def bin_edges(task: Task, value: np.ndarray) -> np.ndarray:
    """Return the edges of a histogram of a task's labels: half-integers around classes, otherwise equal bins."""
    if task.kind != "regression":
        return np.arange((task.classes or 2) + 1) - 0.5
    low, high = np.quantile(value, [0.001, 0.999]) if len(value) else (0.0, 1.0)
    whole = (value.min(), value.max()) if len(value) else (low, high)
    if whole[1] - whole[0] < 1.5 * (high - low):
        low, high = whole
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


class LabelMap:
    """The label table of a mix, read in parts.

    Methods with an argument `split` read only labels in that split; None for all splits.

    Args:
        mix: the view whose labels are shown.
    """

    def __init__(self, mix: Mix):
        self.mix, self.lookup = mix, Lookup(mix)

    @cached_property
    def tasks(self) -> np.ndarray:
        """(n_tasks,) tasks, sorted by domain, dataset and family: the columns of the picture."""
        domains, names = [*DOMAINS, None], [card.name for card in self.mix.cards]
        families = {key: i for i, key in enumerate(dict.fromkeys((t.dataset, t.family) for t in self.mix.chosen))}
        keys = [
            (domains.index(task.domain), names.index(task.dataset), families[task.dataset, task.family])
            for task in self.mix.chosen
        ]
        return np.array(sorted(range(len(keys)), key=lambda i: (*keys[i], i)), int)

    @cached_property
    def quantiles(self) -> np.ndarray:
        """(n_tasks, 2) the 5% and 95% quantiles of each regression task's labels; NaN for classes and without labels.

        They are those of molecules (for atoms and bonds, of their mean), in a random sample of at most MAX_SAMPLED
        molecules per dataset.
        """
        mix, out = self.mix, np.full((len(self.mix.chosen), 2), np.nan)
        for dataset, card in enumerate(mix.cards):
            mine = [i for i, t in enumerate(mix.chosen) if t.dataset == card.name and t.kind == "regression"]
            if not mine:
                continue
            molecules = np.unique(mix.rows.molecule[mix.rows.dataset == dataset])
            if len(molecules) > MAX_SAMPLED:
                molecules = np.sort(molecules[np.argsort(uniform(mix.key[molecules], 0))[:MAX_SAMPLED]])
            found = [(np.zeros(0, int), np.zeros(0, np.float32))]
            for part in self._blocks(molecules):
                _, task, value = self.lookup.cells(molecules[part])
                wanted = np.isin(task, mine)
                found.append((task[wanted], value[wanted]))
            task, value = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
            for number in np.unique(task):
                out[number] = np.quantile(value[task == number], (0.05, 0.95))
        return out

    @cached_property
    def order(self) -> np.ndarray:
        """(n_molecules,) molecules, sorted by label pattern: the rows of the picture.

        They are sorted by the datasets that contain them, then by the tasks that are measured for some but not all of
        their dataset (the 62 with shares nearest to a half), tasks with most labels first. Ties keep the mix's order.
        """
        mix, n_tasks = self.mix, len(self.mix.chosen)
        dataset = np.zeros(len(mix), np.uint64)
        np.bitwise_or.at(dataset, mix.rows.molecule, np.uint64(1) << mix.rows.dataset.astype(np.uint64))
        counts = np.zeros(n_tasks, np.int64)
        for number, _, item, _, _ in mix.label_blocks():
            counts += np.bincount(number[item == 0], minlength=n_tasks)
        rows = np.bincount(mix.rows.dataset, minlength=len(mix.cards))
        names = [card.name for card in mix.cards]
        share = np.clip(counts / rows[[names.index(task.dataset) for task in mix.chosen]], 0, 1)
        undecided = np.argsort(-share * (1 - share), kind="stable")[:_PATTERN_BITS]
        undecided = undecided[(share * (1 - share))[undecided] > 0]
        undecided = undecided[np.argsort(-counts[undecided], kind="stable")]
        bit = np.zeros(n_tasks, np.uint64)
        bit[undecided] = np.uint64(1) << np.arange(_PATTERN_BITS, 0, -1, dtype=np.uint64)[: len(undecided)]
        pattern = np.zeros(len(mix), np.uint64)
        for number, molecule, item, _, _ in mix.label_blocks(undecided.tolist()):
            np.bitwise_or.at(pattern, molecule[item == 0], bit[number[item == 0]])
        return np.lexsort((~pattern, ~dataset)).astype(np.int32)

    def coverage(self, n_rows: int) -> np.ndarray:
        """Return a small picture: the share of molecules with a label, (n_rows, n_tasks).

        A row is a run of molecules in `order`, all of about one length; a column is one of `tasks`. For node and edge
        tasks, a molecule counts if its first atom or bond has a label.
        """
        n, n_tasks = len(self.mix), len(self.mix.chosen)
        n_rows = min(n_rows, n)
        row_of = np.empty(n, np.int64)
        row_of[self.order] = np.arange(n) * n_rows // n
        counts = np.zeros(n_rows * n_tasks, np.int64)
        for number, molecule, item, _, _ in self.mix.label_blocks():
            first = item == 0
            counts += np.bincount(row_of[molecule[first]] * n_tasks + number[first], minlength=len(counts))
        shares = counts.reshape(n_rows, n_tasks) / np.bincount(row_of, minlength=n_rows)[:, None]
        return np.minimum(shares[:, self.tasks], 1.0)  # a dataset may list a molecule twice

    def _blocks(self, molecules: np.ndarray) -> Iterator[slice]:
        """Yield blocks of molecules whose labels can be held at once, as slices."""
        size = max(1, BLOCK_CELLS // max(1, len(self.mix.chosen)))
        for start in range(0, len(molecules), size):
            yield slice(start, min(start + size, len(molecules)))

    @property
    def levels(self) -> int:
        """The number of zoom levels; each halves the number of molecules per row, down to one in the last."""
        return max(0, int(np.ceil(np.log2(max(1, len(self.mix)) / TILE_ROWS)))) + 1

    def tile(self, level: int, number: int, split: str | None = None) -> Iterator[Tile]:
        """Make one tile, and yield its state after every block; rows that are not reached yet have share 0.

        Args:
            level: zoom level; 0 shows all molecules in one tile, and each further level halves the molecules per row.
            number: number of the tile at that level, from the top.
            split: see the class.
        """
        per_row = 2 ** (self.levels - 1 - level)
        start = number * TILE_ROWS * per_row
        molecules = self.order[start : start + TILE_ROWS * per_row]
        n_rows = -(-len(molecules) // per_row)
        size = np.full(n_rows, per_row)
        size[-1:] = len(molecules) - per_row * (n_rows - 1)
        n_tasks, column = len(self.tasks), np.argsort(self.tasks)
        count, total = np.zeros((2, n_rows * n_tasks))
        for part in self._blocks(molecules):
            place, task, value = self.lookup.cells(molecules[part], split)
            cell = (part.start + place) // per_row * n_tasks + column[task]
            count += np.bincount(cell, minlength=len(count))
            total += np.bincount(cell, value, len(total))
            mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(n_rows, n_tasks)
            share = count.reshape(n_rows, n_tasks) / size[:, None]
            yield Tile(start, per_row, share.astype(np.float32), mean.astype(np.float32))

    def labelled(
        self, start: int, stop: int, tasks: Sequence[int], every: bool = False, split: str | None = None
    ) -> np.ndarray:
        """Return the molecules between two places of `order` that have a label of any of these tasks.

        Args:
            start, stop: places in `order`.
            tasks: numbers of the tasks in the mix.
            every: whether to require a label of every task.
            split: see the class.
        """
        molecules, found = self.order[start:stop], []
        for part in self._blocks(molecules):
            place, task, _ = self.lookup.cells(molecules[part], split)
            times = np.bincount(place[np.isin(task, tasks)], minlength=part.stop - part.start)
            found.append(molecules[part][times >= (len(set(tasks)) if every else 1)])
        return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int32)

    def pairs(self, tasks: Sequence[int], split: str | None = None) -> Pairs:
        """Count the molecules with both labels for each pair of tasks (numbers in the mix), and correlate them."""
        n, sample, tasks = len(self.mix), np.arange(len(self.mix)), np.asarray(tasks, int)
        if n > MAX_PAIRED:
            sample = np.sort(np.argsort(uniform(self.mix.key, 0), kind="stable")[:MAX_PAIRED])
        center, scale = (self.mix.tasks[name].to_numpy()[tasks] for name in ("mean", "std"))
        center = np.where(np.isfinite(center), center, 0.5)  # binary tasks have no mean
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1)
        count, x, xx, xy = np.zeros((4, len(tasks), len(tasks)))
        for part in self._blocks(sample):
            values = self.lookup.values(sample[part], split)[:, tasks]
            there = np.isfinite(values)
            here = there.astype(np.float64)
            value = np.where(there, (values - center) / scale, 0)
            count += here.T @ here
            x += value.T @ here
            xx += (value**2).T @ here
            xy += value.T @ value
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = x / count
            spread = xx / count - mean**2
            spread = np.where(spread > 1e-9, spread, np.nan)  # constant where both are measured, so r is undefined
            r = (xy / count - mean * mean.T) / np.sqrt(spread * spread.T)
        r = np.where(count > 2, np.clip(r, -1, 1), np.nan)
        return Pairs(count.astype(np.int64), r.astype(np.float32), len(sample), n)

    def overlap(self) -> np.ndarray:
        """Return (n_datasets, n_datasets) int64: molecules that two datasets share; the diagonal has their sizes."""
        member = np.zeros((len(self.mix), len(self.mix.cards)), np.float32)
        member[self.mix.rows.molecule, self.mix.rows.dataset] = 1
        return np.rint(member.T.astype(np.float64) @ member).astype(np.int64)

    def distribution(self, task: int) -> Distribution:
        """Return the distribution of the labels of one task (its number in the mix) in each split."""
        _, _, split, value = self.mix.label_triples(task)
        edges = bin_edges(self.mix.chosen[task], value)
        counts = {name: np.histogram(value[split == code], edges)[0] for code, name in enumerate(SPLITS)}
        counts = {name: found for name, found in counts.items() if found.any() or name != "test_seen"}
        return Distribution(edges, counts, int(len(value) - sum(found.sum() for found in counts.values())))
