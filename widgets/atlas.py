"""LabelAtlas: the whole label table as a picture, pairs of tasks, and the overlap of datasets."""

import time
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from molfm.widgets.browser import MoleculeBrowser
from molfm.widgets.shared import MixWidget, Selection, link, source

from molfm.catalog.schema import Task
from molfm.chem.drawing import draw_smiles
from molfm.data.mix import Mix
from molfm.explore.label_map import TILE_ROWS, LabelMap, Tile

SCRIPTS = (  # joined in this order
    "atlas_axes",
    "atlas_matrix",
    "atlas_tiles",
    "atlas_labels",
    "atlas_pairs",
    "atlas_overlap",
    "atlas_audit",
    "atlas_distribution",
    "atlas_row",
    "atlas_tasks",
    "atlas",
)
TILE_BYTES = 64_000_000  # size of the tile cache, whatever the number of tasks
MAX_PAIRED_TASKS = 300  # in one matrix of task pairs
_SECONDS = 0.25  # a tile that takes longer is sent in parts
_DRAWING = (160, 104)  # pixels
_STATIC_AUDIT = 50_000  # the static page contains the audit up to this number of molecules


def _range(task: Task, low: float, high: float) -> tuple[float, float]:
    """Return the values of a task at the ends of its colours, given its 5% and 95% quantiles."""
    if task.kind != "regression":
        return 0.0, float((task.classes or 2) - 1)
    if not np.isfinite(low):  # no labels
        return 0.0, 1.0
    return (low, high) if high > low else (low - 1.0, low + 1.0)


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
        self._lookup = self._map.lookup
        self._tiles: dict[tuple, tuple[Tile, Iterator[Tile] | None]] = {}  # what is computed so far, and the rest

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The values at both ends of the colours of each column, (n_tasks,) each."""
        ranges = [_range(self.data.chosen[i], *self._map.quantiles[i]) for i in self._map.tasks]
        low, high = np.array(ranges, float).reshape(-1, 2).T
        return low, high

    @cached_property
    def _resolved(self) -> tuple[np.ndarray, np.ndarray]:
        """What a tile resolves, (n_tasks,) each: for numbers, three times the range of the colours, for the text about a cell."""
        low, high = self._ends
        wider = np.where([self.data.chosen[i].kind == "regression" for i in self._map.tasks], high - low, 0)
        return low - wider, high + wider

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
        """Return the constant facts: the tasks in column order, the zoom levels, datasets and splits."""
        columns, tasks = self._map.tasks, self.data.tasks
        facts = tasks.iloc[columns].astype(object).where(tasks.iloc[columns].notna(), None)
        (low, high), (least, most) = self._ends, self._resolved
        chosen = [self.data.chosen[i] for i in columns]
        facts = facts.assign(
            low=low,
            high=high,
            least=least,
            most=most,
            classes=[list(t.class_names or map(str, range(t.classes or 2))) * (t.kind != "regression") for t in chosen],
            obtained=[t.obtained for t in chosen],
        )
        return {
            "name": self.data.name,
            "n": len(self.data),
            "datasets": [card.name for card in self.data.cards],
            "splits": self.data.splits,
            "tasks": facts.to_dict("records"),
            "levels": self._map.levels,
            "tileRows": TILE_ROWS,
            "maxPaired": MAX_PAIRED_TASKS,
        }

    def answer_tile(self, level: int, number: int, split: str | None = None) -> dict:
        """Return a tile, or the part that is computed in a moment. Repeat the question until `done` is true.

        share: (n_rows, n_tasks) uint16, share of labelled molecules times 65535, at least 1 if there is a label.
        mean: (n_rows, n_tasks) uint16, 1 to 65535 for the task's `least` to `most`, clipped there; 0 means no label.
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
        low, high = self._resolved
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
        """Select the molecules between two rows of the picture that have a label for any (or `every`) of these tasks.

        If there is none, the selection stays.
        """
        numbers = [self.data.task_number(task) for task in tasks]
        molecules = self._map.labelled(start, stop, numbers, every, split) if numbers else np.zeros(0, np.int32)
        if len(molecules):
            self.selection = Selection(molecules, tuple(tasks))
        return {"found": len(molecules)}

    def answer_row(self, row: int, task: str) -> dict:
        """Return what is known about the molecule in one row of the picture, and its exact label of a task."""
        one = self._map.order[[row]]
        [smiles], [name] = self._lookup.smiles(one), self._lookup.names(one)
        value = float(self._lookup.values(one)[0, self.data.task_number(task)])
        facts = {"molecule": int(one[0]), "smiles": smiles, "name": name, "svg": draw_smiles(smiles, *_DRAWING)}
        return facts | {"value": float(f"{value:.6g}") if np.isfinite(value) else None}

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
