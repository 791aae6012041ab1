"""LabelAtlas: the whole label table as a picture, pairs of tasks, and the overlap of datasets."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
from molfm.widgets.browser import MoleculeBrowser
from molfm.widgets.shared import MixWidget, Selection, link, source

from molfm.catalog.schema import Task
from molfm.data.mix import Mix
from molfm.explore.label_map import TILE_ROWS, LabelMap, Tile
from molfm.plots.style import DOMAIN_COLORS

SCRIPTS = (  # joined in this order
    "atlas_axes",
    "atlas_matrix",
    "atlas_tiles",
    "atlas_labels",
    "atlas_pairs",
    "atlas_overlap",
    "atlas_audit",
    "atlas_distribution",
    "atlas_tasks",
    "atlas",
)
TILE_BYTES = 64_000_000  # size of the tile cache, whatever the number of tasks
MAX_PAIRED_TASKS = 300  # in one matrix of task pairs
_SECONDS = 0.25  # a tile that takes longer is sent in parts
_SPREAD = 6  # a tile resolves this many standard deviations on either side of the mean
_STATIC_AUDIT = 50_000  # the static page contains the audit up to this number of molecules


def _range(task: Task, mean: float, std: float) -> tuple[float, float]:
    """Return the lowest and highest value of a task that a tile resolves."""
    if task.kind != "regression":
        return 0.0, float((task.classes or 2) - 1)
    if not std > 0:  # constant, or without training labels
        center = mean if np.isfinite(mean) else 0.0
        return center - 1.0, center + 1.0
    return mean - _SPREAD * std, mean + _SPREAD * std


class LabelAtlas(MixWidget):
    """Show all labels of a mix at once: molecules × tasks, pairs of tasks, and the overlap of datasets.

    Args:
        data: the result of `molfm.load`.

    Raises:
        TypeError: `data` is not a mix, or a setting does not exist.
    """

    _esm = source("js", *SCRIPTS)
    _css = source("css", "atlas")

    def __init__(self, data: Mix, **unknown: object):
        super().__init__(data, unknown)
        self._map = LabelMap(data)
        self._tiles: dict[tuple, tuple[Tile, Iterator[Tile] | None]] = {}  # what is computed so far, and the rest
        ranges = [_range(*facts) for facts in zip(data.chosen, data.tasks["mean"], data.tasks["std"], strict=True)]
        self._low, self._high = np.array(ranges, float).reshape(-1, 2).T

    def browse(self, model: object = None) -> MoleculeBrowser:
        """Return a MoleculeBrowser that shows the molecules selected here and follows every change of the selection.

        Args:
            model: model or models for predictions, as for `MoleculeBrowser`.
        """
        browser = MoleculeBrowser(self.data, model)
        browser.view = browser.view | {"selected": True}
        link(self, browser)
        return browser

    # ------------------------------------------------------------------------------------------------------ questions

    def answer_about(self) -> dict:
        """Return the constant facts: the tasks in column order, the zoom levels, datasets, splits and colours."""
        columns, tasks = self._map.tasks, self.data.tasks
        facts = tasks.iloc[columns].astype(object).where(tasks.iloc[columns].notna(), None)
        facts = facts.assign(low=self._low[columns], high=self._high[columns])
        return {
            "name": self.data.name,
            "n": len(self.data),
            "datasets": [card.name for card in self.data.cards],
            "splits": self.data.splits,
            "tasks": facts.to_dict("records"),
            "levels": self._map.levels,
            "tileRows": TILE_ROWS,
            "colors": DOMAIN_COLORS,
            "maxPaired": MAX_PAIRED_TASKS,
        }

    def answer_tile(self, level: int, number: int, split: str | None = None) -> dict:
        """Return a tile, or the part that is computed in a moment. Repeat the question until `done` is true.

        share: (n_rows, n_tasks) uint16, share of labelled molecules times 65535, at least 1 if there is a label.
        mean: (n_rows, n_tasks) uint16, 1 to 65535 for the task's `low` to `high`; 0 means no label.
        """
        key, until = (split, level, number), time.perf_counter() + _SECONDS
        tile, coming = self._tiles.pop(key, None) or (None, self._map.tile(level, number, split))
        while coming:
            if (more := next(coming, None)) is None:
                coming = None
            else:
                tile = more
            if time.perf_counter() > until:
                break
        self._tiles[key] = tile, coming
        while len(self._tiles) > max(8, TILE_BYTES // (8 * TILE_ROWS * max(1, len(self.data.chosen)))):
            self._tiles.pop(next(iter(self._tiles)))
        columns = self._map.tasks
        low, high = self._low[columns], self._high[columns]
        share = np.where(tile.share > 0, np.maximum(1, np.rint(tile.share * 65535)), 0).astype(np.uint16)
        mean = 1 + np.rint(65534 * np.clip((tile.mean - low) / (high - low), 0, 1))
        mean = np.where(np.isfinite(tile.mean), mean, 0).astype(np.uint16)
        return {"start": tile.start, "perRow": tile.per_row, "done": coming is None, "share": share, "mean": mean}

    def answer_pairs(self, tasks: Sequence[str], split: str | None = None) -> dict:
        """Return the number of molecules with both labels, and the correlation, for every two of these tasks."""
        numbers = [self.data.task_number(task) for task in tasks[:MAX_PAIRED_TASKS]]
        found = self._map.pairs(numbers, split)
        return {
            "count": found.count.astype(np.uint32),
            "correlation": found.correlation,
            "n": found.n_molecules,
            "of": found.of,
        }

    def answer_distribution(self, task: str) -> dict:
        """Return the distribution of one task's labels in each split."""
        found = self._map.distribution(self.data.task_number(task))
        counts = {split: count.tolist() for split, count in found.counts.items()}
        return {"edges": [float(f"{edge:.5g}") for edge in found.edges], "counts": counts, "beyond": found.beyond}

    def answer_overlap(self) -> dict:
        """Return the number of molecules that each two datasets share."""
        return {"counts": self._map.overlap().tolist()}

    def answer_audit(self) -> dict:
        """Return the findings of the audit."""
        return {"rows": self.data.audit().summary.to_dict("records")}

    def answer_select(self, tasks: Sequence[str], start: int, stop: int, every: bool, split: str | None = None) -> dict:
        """Select the molecules between two rows of the picture that have a label for any (or `every`) of these tasks."""
        numbers = [self.data.task_number(task) for task in tasks]
        molecules = self._map.labelled(start, stop, numbers, every, split) if numbers else np.zeros(0, np.int32)
        self.selection = Selection(molecules, tuple(tasks))
        return self.chosen

    # ------------------------------------------------------------------------------------------------------ without a kernel

    def sketch(self) -> str:
        """Return the tasks with their label counts."""
        return self.data._repr_html_()

    def questions(self) -> Iterator[tuple[str, dict]]:
        """Yield the questions of the static page: the whole picture first, then more and more detail."""
        yield "about", {}
        ids = [self.data.chosen[number].id for number in self._map.tasks]
        splits = [None, *self.data.splits]
        for split in splits:
            yield from self._whole_tiles(split, 0)
        yield "overlap", {}
        if len(self.data) <= _STATIC_AUDIT:
            yield "audit", {}
        yield "pairs", {"tasks": ids[:MAX_PAIRED_TASKS], "split": None}
        for task in ids:
            yield "distribution", {"task": task}
        for level in range(1, self._map.levels):
            yield from self._whole_tiles(None, level)

    def _whole_tiles(self, split: str | None, level: int) -> Iterator[tuple[str, dict]]:
        rows = TILE_ROWS * 2 ** (self._map.levels - 1 - level)
        for number in range(-(-len(self.data) // rows)):
            question = {"level": level, "number": number, "split": split}
            while not self.answer_tile(**question)["done"]:
                pass
            yield "tile", question
