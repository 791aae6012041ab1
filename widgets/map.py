"""EmbeddingMap: the molecules of a mix as points, laid out by a model's embeddings, by fingerprints, or by two tasks."""

import html
import time
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from molfm.widgets.shared import MixWidget, Selection, opened, source

from molfm.chem.drawing import draw_smiles
from molfm.data.mix import Mix
from molfm.explore import embedding
from molfm.explore.embedding import SHOWN, Layout
from molfm.explore.lookup import Lookup

SCRIPTS = ("map_points", "map_axes", "map_plot", "map_card", "map_controls", "map")  # joined in this order
DRAWING = (190, 120)  # pixels
MAX_ROWS = 200  # selected molecules in the table
_SECONDS = 0.2  # a computation reports its progress this often; in between the kernel is free
_KEPT = 12  # layouts and colours in memory, 1.2 MB each for 100,000 points
_QUANTILES = (0.05, 0.95)  # numbers beyond them have the colours of the ends
_STATIC_CARDS = 400  # molecules whose structure is in the static page
_SKETCHED = 2_000  # points in a saved notebook without a kernel


class EmbeddingMap(MixWidget):
    """Show the molecules of a mix as points that can be coloured, looked at and selected.

    Args:
        data: the result of `molfm.load`. Of more than `SHOWN` molecules, a random sample is shown.
        model: what embeds the molecules and predicts for the colour "error": a model, a run, or a name or folder that
            `molfm.pretrained` opens. None for Morgan fingerprints, and no errors.

    Raises:
        TypeError: `data` is not a mix, `model` cannot embed, or a setting does not exist.
    """

    _esm = source("js", *SCRIPTS)
    _css = source("css", "map")

    def __init__(self, data: Mix, model: object = None, **unknown: object):
        super().__init__(data, unknown)
        self._model = opened(model)
        if self._model is not None and not hasattr(self._model, "embed"):
            raise TypeError(f"model: expected a model, a run or the name of one, found {type(model).__name__}.")
        self._lookup = Lookup(data)
        self._known: dict[tuple, object] = {}  # what is computed: layouts and colours
        self._running: dict[tuple, Generator] = {}  # what is being computed
        first = next((task.id for task in data.chosen if task.level == "graph"), None)
        self.view = {"layout": ["pca"], "color": ["label", first] if first else []}

    @cached_property
    def _basis(self) -> str:
        """What the points stand for, in words."""
        if self._model is None:
            return "Morgan fingerprints (no model was given)"
        origin = getattr(self._model, "origin", None)
        return f"embeddings of {Path(origin).name}" if origin else "embeddings of the model"

    def _advanced(self, key: tuple, steps: Generator) -> dict:
        """Go on with a computation for a moment. Returns its `result`, or its `progress`; only the first `steps` count."""
        if key in self._known:
            return {"result": self._kept(key, self._known.pop(key))}
        steps = self._running.pop(key, steps)  # a computation that fails is begun anew
        until = time.perf_counter() + _SECONDS
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                return {"result": self._kept(key, end.value)}
            if time.perf_counter() > until:
                self._running[key] = steps
                return {"progress": progress}

    def _kept(self, key: tuple, result: object) -> object:
        """Remember a result as the most recent one, and forget the oldest."""
        self._known[key] = result
        while len(self._known) > _KEPT:
            self._known.pop(next(iter(self._known)))
        return result

    def _layout(self, layout: Sequence[str]) -> dict:
        key, (way, *tasks) = tuple(layout), layout
        if way == "tasks":
            return {"result": self._known.get(key) or self._kept(key, embedding.against(self._lookup, *tasks))}
        steps = {"pca": embedding.principal, "umap": embedding.umap}[way](self._lookup, self._model)
        return self._advanced(key, steps)

    def _points(self, layout: Sequence[str]) -> Layout:
        """Return a layout; what the browser asks about one it has shown is usually still in memory."""
        while "result" not in (found := self._layout(layout)):
            pass
        return found["result"]

    # ------------------------------------------------------------------------------------------------------ questions

    def answer_about(self) -> dict:
        """Return the constant facts: tasks, datasets, splits, what is embedded, and what cannot be done here and why."""
        tasks, n = self.data.tasks, len(self.data)
        table = getattr(self._model, "tasks", None)
        can = set() if table is None else set(table[table.level == "graph"].task)
        return {
            "name": self.data.name,
            "n": n,
            "shown": min(n, SHOWN),
            "basis": self._basis,
            "tasks": tasks[["task", "dataset", "level", "kind", "unit"]].to_dict("records"),
            "predicted": [task.id for task in self.data.chosen if task.id in can and task.level == "graph"],
            "datasets": [card.name for card in self.data.cards],
            "splits": self.data.splits,
            "umap": embedding.umap_is_installed(),
        }

    def answer_points(self, layout: Sequence[str]) -> dict:
        """Return the points of a layout, or progress. Repeat the question until `done` is true.

        Args:
            layout: ["pca"], ["umap"], or ["tasks", X, Y] with two tasks.

        Returns:
            molecules: (m,) int32. xy: (m, 2) float32. axes, note: what they show, and what a reader has to know.
        """
        found = self._layout(layout)
        if "progress" in found:
            return {"done": False, "progress": found["progress"]}
        made = found["result"]
        return {"done": True, "molecules": made.molecules, "xy": made.xy, "axes": list(made.axes), "note": made.note}

    def answer_color(self, layout: Sequence[str], by: Sequence[str]) -> dict:
        """Return what colours the points of a layout, or progress. Repeat the question until `done` is true.

        Args:
            by: ["label", TASK], ["error", TASK], ["dataset", NAME] or ["split", NAME]; [] for one colour.

        Returns:
            values: (m,) float32, NaN for unknown. kind: "class", "number" or "none". low, high: the ends of the scale.
            names: of the two classes, if there are two. text: how many are known, and how to read it.
        """
        if not by:
            return _color(np.zeros(0), "none")
        (what, name), molecules = by, self._points(layout).molecules
        if what in ("dataset", "split"):
            members = self._lookup.members(*(([name], None) if what == "dataset" else (None, name)))
            values, names = members[molecules].astype(np.float32), [f"not in {name}", f"in {name}"]
            count = f"{int(values.sum()):,} of {len(molecules):,} points are in {name}."
            return _color(values, "class", names=names, text=count)
        task = self.data.task(name)
        if what == "error":
            found = self._advanced(
                ("error", task.id, *layout), embedding.errors(self._lookup, self._model, task.id, molecules)
            )
            if "progress" in found:
                return {"done": False, "progress": found["progress"]}
            values = found["result"]
        else:
            values = self._lookup.column(self.data.task_number(task.id))[molecules]
        known = values[np.isfinite(values)]
        classes = what == "label" and task.kind != "regression" and task.level == "graph"
        ends = (
            (0.0, float((task.classes or 2) - 1))
            if classes
            else tuple(np.quantile(known, _QUANTILES))
            if len(known)
            else (0.0, 1.0)
        )
        text = f"{len(known):,} of {len(molecules):,} points are measured."
        if what == "error":
            seen = self._lookup.members(None, "train")[molecules][np.isfinite(values)].mean() if len(known) else 0
            text += f" {100 * seen:.0f}% of them are training molecules of this mix, where a model that learned from it errs less."
        if classes:
            names = list(task.class_names or ("0", "1")) if task.kind == "binary" else []
            return _color(values, "class", ends, names, text)
        return _color(
            values, "number", ends, text=f"{text} The scale runs from the 5% to the 95% quantile.", unit=task.unit or ""
        )

    def answer_card(self, molecule: int) -> dict:
        """Return the structure and the name of one molecule."""
        one = np.array([molecule])
        [smiles], [name], [splits] = self._lookup.smiles(one), self._lookup.names(one), self._lookup.splits(one)
        return {"name": name, "smiles": smiles, "svg": draw_smiles(smiles, *DRAWING), "splits": splits}

    def answer_marks(self, layout: Sequence[str]) -> dict:
        """Return which points are selected, (m,) uint8."""
        marks = np.isin(self._points(layout).molecules, self.selection.molecules)
        return {"marks": marks.astype(np.uint8), "selected": len(self.selection)}

    def answer_rows(self) -> dict:
        """Return names and SMILES of the first selected molecules."""
        molecules = self.selection.molecules[:MAX_ROWS]
        facts = zip(molecules.tolist(), self._lookup.names(molecules), self._lookup.smiles(molecules), strict=True)
        return {"rows": [list(row) for row in facts], "n": len(self.selection)}

    def answer_lasso(self, layout: Sequence[str], polygon: Sequence[Sequence[float]], add: bool) -> dict:
        """Select the molecules inside a polygon, in the coordinates of `answer_points`; `add` keeps those selected before."""
        points = self._points(layout)
        return self.answer_select(points.molecules[embedding.inside(points.xy, np.array(polygon, float))], add)

    def answer_select(self, molecules: Sequence[int], add: bool) -> dict:
        """Select molecules. With `add`, keep those selected before, but deselect a single one that was."""
        chosen, before = np.asarray(molecules, np.int64), self.selection.molecules
        if add:
            chosen = np.setxor1d(before, chosen) if len(chosen) == 1 else np.union1d(before, chosen)
        self.selection = Selection(chosen, self.selection.tasks)
        return self.chosen

    # ------------------------------------------------------------------------------------------------------ without a kernel

    def sketch(self) -> str:
        """Return the points without colours if their coordinates are kept, otherwise what the widget would show."""
        text = html.escape(f"{len(self.data):,} molecules of {self.data.name} by {self._basis}.")
        found = self._layout(self.view["layout"]).get("result")  # at once if it is kept on disk
        if not found or not len(found.xy):
            return f"<p>{text} Run the notebook to see the map.</p>"
        xy = found.xy[:: max(1, len(found.xy) // _SKETCHED)]
        low, high = xy.min(axis=0), xy.max(axis=0)
        at = np.rint(5 + 390 * (xy - low) / np.where(high > low, high - low, 1)).astype(int)
        path = "".join(f"M{x} {400 - y}h0" for x, y in at.tolist())
        return (
            f"<p>{text}</p><svg viewBox='0 0 400 400' width='400' role='img' aria-label='{text}'>"
            f"<path d='{path}' stroke='currentColor' stroke-width='3' stroke-linecap='round' opacity='.4'/></svg>"
        )

    def questions(self) -> Iterator[tuple[str, dict]]:
        """Yield the questions of the static page: the present picture, then the structures of some molecules."""
        yield "about", {}
        layout, by = self.view["layout"], self.view.get("color", [])
        points = self._points(layout)
        yield "points", {"layout": layout}
        while not self.answer_color(layout, by)["done"]:
            pass
        yield "color", {"layout": layout, "by": by}
        yield "marks", {"layout": layout}
        yield "rows", {}
        for molecule in points.molecules[:: max(1, len(points.molecules) // _STATIC_CARDS)].tolist():
            yield "card", {"molecule": molecule}


def _color(
    values: np.ndarray,
    kind: str,
    ends: tuple[float, float] = (0.0, 1.0),
    names: Sequence[str] = (),
    text: str = "",
    unit: str = "",
) -> dict:
    low, high = map(float, ends)
    values = values.astype(np.float32)
    return {
        "done": True,
        "values": values,
        "kind": kind,
        "low": low,
        "high": high,
        "names": names,
        "text": text,
        "unit": unit,
    }
