"""LabelAtlas: the whole label table as a picture, and what its tasks and datasets have in common."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
import traitlets
from molfm.widgets.browser import MoleculeBrowser
from molfm.widgets.shared import MixWidget, Selection, source

from molfm.figures import DOMAIN_COLORS
from molfm.labelmap import TILE_ROWS, LabelMap, Tile
from molfm.mix import Mix

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
TILE_BYTES = 64_000_000  # kept, whatever the number of tasks
MAX_PAIRED_TASKS = 300  # in one picture of pairs
_SECONDS = 0.25  # a tile that takes longer is sent in parts
_SPREAD = 6  # standard deviations on either side of the mean that a tile tells apart
_STATIC_AUDIT = 50_000  # molecules up to which the static page has the audit


class LabelAtlas(MixWidget):
    """Look at all labels of a mix at once: molecules by tasks, tasks by tasks, datasets by datasets.

    Args:
        data: what `molfm.load` returns.

    Raises:
        TypeError: `data` is no mix, or a setting does not exist.
    """

    _esm = source("js", *SCRIPTS)
    _css = source("css", "atlas")

    def __init__(self, data: Mix, **unknown: object):
        super().__init__(data, unknown)
        self._map = LabelMap(data)
        self._tiles: dict[tuple, tuple[Tile, Iterator[Tile] | None]] = {}  # what is known of each, and what is to come
        lows, highs = zip(*map(self._range, range(len(data.chosen))), strict=True) if data.chosen else ((), ())
        self._low, self._high = np.array(lows), np.array(highs)

    def browse(self, model: object = None) -> MoleculeBrowser:
        """Return a MoleculeBrowser of what is selected here, now and whenever that changes.

        Args:
            model: as for `MoleculeBrowser`.
        """
        browser = MoleculeBrowser(self.data, model)
        browser.view = browser.view | {"selected": True}
        traitlets.link((self, "selection"), (browser, "selection"))
        return browser

    def _range(self, number: int) -> tuple[float, float]:
        """Return the values of a task that a tile tells apart."""
        task, facts = self.data.chosen[number], self.data.tasks.iloc[number]
        if task.kind != "regression":
            return 0.0, float((task.classes or 2) - 1)
        if not facts["std"] > 0:  # constant, or without training labels
            center = facts["mean"] if np.isfinite(facts["mean"]) else 0.0
            return center - 1.0, center + 1.0
        return facts["mean"] - _SPREAD * facts["std"], facts["mean"] + _SPREAD * facts["std"]

    # ------------------------------------------------------------------------------------------------------ questions

    def answer_about(self) -> dict:
        """Return what never changes: the tasks in the order of the columns, and how far the picture can be enlarged."""
        columns, tasks = self._map.tasks, self.data.tasks
        counts = [name for name in tasks if name.startswith("n_")]
        facts = tasks.iloc[columns].astype(object).where(tasks.iloc[columns].notna(), None)
        facts = facts.assign(low=self._low[columns], high=self._high[columns])
        return {
            "name": self.data.name,
            "n": len(self.data),
            "datasets": [card.name for card in self.data.cards],
            "splits": [name.removeprefix("n_") for name in counts],
            "tasks": facts.to_dict("records"),
            "levels": self._map.levels,
            "tileRows": TILE_ROWS,
            "colors": DOMAIN_COLORS,
            "maxPaired": MAX_PAIRED_TASKS,
        }

    def answer_tile(self, level: int, number: int, split: str | None = None) -> dict:
        """Return a tile, or as much of it as can be made in a moment; ask again until it is done.

        share (n_rows, n_tasks) uint16: of 65535; where there is a label at all, at least 1. mean (n_rows, n_tasks) uint16: 1
        to 65535 from the task's `low` to its `high`; 0: no label.
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
        """Return how the labels of any two of these tasks go together."""
        numbers = [self.data.task_number(task) for task in tasks[:MAX_PAIRED_TASKS]]
        found = self._map.pairs(numbers, split)
        return {
            "count": found.count.astype(np.uint32),
            "correlation": found.correlation,
            "n": found.n_molecules,
            "of": found.of,
        }

    def answer_distribution(self, task: str) -> dict:
        """Return how the labels of one task are distributed in each split."""
        found = self._map.distribution(self.data.task_number(task))
        counts = {split: count.tolist() for split, count in found.counts.items()}
        return {"edges": [float(f"{edge:.5g}") for edge in found.edges], "counts": counts, "beyond": found.beyond}

    def answer_overlap(self) -> dict:
        """Return how many molecules any two datasets share."""
        return {"counts": self._map.overlap().tolist()}

    def answer_audit(self) -> dict:
        """Return the findings of the audit."""
        return {"rows": self.data.audit().summary.to_dict("records")}

    def answer_select(self, tasks: Sequence[str], start: int, stop: int, every: bool, split: str | None = None) -> dict:
        """Select the molecules between two rows of the picture that have a label of any (or `every`) of these tasks."""
        numbers = [self.data.task_number(task) for task in tasks]
        molecules = self._map.labelled(start, stop, numbers, every, split) if numbers else np.zeros(0, np.int32)
        self.selection = Selection(molecules, tuple(tasks))
        return self.chosen

    # ------------------------------------------------------------------------------------------------------ without a kernel

    def sketch(self) -> str:
        """Return the tasks with their label counts."""
        return self.data._repr_html_()

    def questions(self) -> Iterator[tuple[str, dict]]:
        """Yield what the page asks: the whole picture first, then closer and closer."""
        yield "about", {}
        ids = [self.data.chosen[number].id for number in self._map.tasks]
        splits = [None, *(name.removeprefix("n_") for name in self.data.tasks if name.startswith("n_"))]
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
