"""MoleculeBrowser: draw, search, filter and sort the molecules of a mix, and show one of them in three dimensions."""

import gzip
import html
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from molfm.widgets.browser_find import Finder
from molfm.widgets.scripts import Sketcher
from molfm.widgets.shared import MixWidget, Selection, opened, source

from molfm.catalog.schema import LEVELS
from molfm.chem.conformers import conformer
from molfm.chem.drawing import draw_smiles
from molfm.data.mix import Mix
from molfm.explore.label_map import bin_edges
from molfm.explore.lookup import Lookup
from molfm.nn.mix_predictions import MixPredictions

SCRIPTS = (  # joined in this order
    "viewer3d",
    "sketcher",
    "browser_labels",
    "browser_histogram",
    "browser_filters",
    "browser_search",
    "browser_cards",
    "browser_detail",
    "browser_static",
    "browser",
)
PAGE = 24  # molecules per request of the browser
MAX_PAGE = 60  # molecules per answer
MAX_ROWS = 500  # tasks listed for one molecule, those with labels first
DRAWING = (160, 104)  # pixels
MANY_TASKS = 12  # of a dataset with more tasks, a card shows how many have a label
_SECONDS = 0.25  # a search reports its progress this often; in between the kernel is free
_STATIC_DETAILS = 48  # molecules of the static page with all their data
_STATIC_PAGES = 20  # pages of molecules with drawings in the static page
_STATIC_INDEX = 200_000  # a static page of more molecules has no names and SMILES of all
_INDEXED = 10_000  # molecules whose names and SMILES are read at once
_SKETCHED = 8  # molecules in a saved notebook without a kernel
_CHIPS = 2  # labels shown below a drawing by default


class MoleculeBrowser(Sketcher, MixWidget):
    """Browse the molecules of a mix: search, filter and sort them, and show all data about one of them.

    Args:
        data: the result of `molfm.load`.
        model: what predicts: a model, a run, a name or folder that `molfm.pretrained` opens, or a list of them; None for no
            predictions.
            Their 90% intervals are measured on validation labels of the mix (see `molfm.nn.uncertainty`).

    Raises:
        TypeError: `data` is not a mix, `model` cannot predict, or a setting does not exist.
    """

    _esm = source("js", *SCRIPTS)
    _css = source("css", "viewer3d", "sketcher", "browser")

    def __init__(self, data: Mix, model: object = None, **unknown: object):
        super().__init__(data, unknown)
        several = isinstance(model, Sequence) and not isinstance(model, str)
        models = [opened(item) for item in (model if several else [] if model is None else [model])]
        for item in models:
            if not hasattr(item, "predict"):
                raise TypeError(f"model: expected a model, a run or a list of them, found {type(item).__name__}.")
        self._lookup = Lookup(data)
        self._predictions = MixPredictions(models, self._lookup)
        self._calibration: Iterator[tuple[str, int, int]] | None = None
        self._finder = Finder(self._lookup, self._predictions, self._counted_tasks)
        self.view = {"chips": self._default_chips()}
        self.observe(self._selected_anew, "selection")

    def _default_chips(self) -> list[str]:
        """Return the labels that most people look for: measured biological ones, of datasets with few tasks."""
        counted = self._counted
        graph = [task for task in self.data.chosen if task.level == "graph"]
        few = [task for task in graph if not counted or task.dataset != counted] or graph
        few.sort(key=lambda task: (task.obtained == "computed", task.domain != "biological"))
        return [task.id for task in few[:_CHIPS]]

    @cached_property
    def _counted(self) -> str | None:
        """The dataset whose labels the cards count: of those with many graph tasks, a measured one if there is one."""
        tasks = Counter(task.dataset for task in self.data.chosen if task.level == "graph")
        measured = {task.dataset for task in self.data.chosen if task.obtained == "measured"}
        many = [name for name, n in tasks.items() if n > MANY_TASKS]
        return max(many, key=lambda name: (name in measured, tasks[name]), default=None)

    @cached_property
    def _counted_tasks(self) -> list[int]:
        return [i for i, t in enumerate(self.data.chosen) if t.level == "graph" and self._counted in (None, t.dataset)]

    def _selected_anew(self, _: dict) -> None:
        if self.view.get("selected"):  # the results depend on the selection
            self._finder.forget()

    # ------------------------------------------------------------------------------------------------------ questions

    def answer_about(self) -> dict:
        """Return the constant facts: datasets, splits, tasks of the mix and of the model."""
        known = {task.id for task in self.data.chosen}
        predicted = self._predictions.tasks("graph")
        facts = [
            {
                "task": task.id,
                "level": task.level,
                "kind": task.kind,
                "unit": task.unit or "",
                "domain": task.domain or "",
                "classes": list(task.class_names or map(str, range(task.classes or 2)))
                if task.kind != "regression"
                else [],
                "named": bool(task.class_names),
                "obtained": task.obtained,
            }
            for task in self.data.chosen
        ]
        note = ""
        if predicted and known.isdisjoint(predicted):
            note = f"The model predicts {len(predicted):,} tasks, none of which this mix has: there are no errors to sort by."
        biological = all(self.data.chosen[i].domain == "biological" for i in self._counted_tasks)
        return {
            "name": self.data.name,
            "n": len(self.data),
            "datasets": [card.name for card in self.data.cards],
            "splits": self.data.splits,
            "tasks": facts,
            "predicted": [{"task": task, "unit": unit, "known": task in known} for task, unit in predicted.items()],
            "counted": {"of": len(self._counted_tasks), "what": "assays" if self._counted and biological else "labels"},
            "note": note,
            "page": PAGE,
        }

    def answer_find(self, view: dict) -> dict:
        """Start or resume the search of a view for a moment. Repeat the question until `done` is true."""
        until = time.perf_counter() + _SECONDS
        return self._finder.find(view, self.selection.molecules, until)

    def answer_page(self, start: int, stop: int, tasks: Sequence[str] = ()) -> dict:
        """Return a range of the search results with their labels and predictions of these tasks."""
        molecules = self._finder.found[start : min(stop, start + MAX_PAGE)]
        of_model, of_data = self._predictions.tasks("graph"), {task.id for task in self.data.chosen}
        known = {t: self.data.task_number(t) for t in tasks if t in of_data or t not in of_model}
        predicted = [task for task in tasks if task in of_model]
        for _ in self._predictions.fill(predicted, molecules):
            pass
        values = self._lookup.values(molecules)
        facts = zip(
            molecules.tolist(), self._lookup.smiles(molecules), self._lookup.names(molecules), values, strict=True
        )
        marks = self.answer_marks(molecules)["marks"]
        rows = [
            {
                "molecule": molecule,
                "smiles": smiles,
                "name": name,
                "svg": draw_smiles(smiles, *DRAWING, self._finder.pattern),
                "labels": [_number(row[known[task]]) if task in known else None for task in tasks],
                "predicted": [
                    _number(self._predictions.column(t)[molecule]) if t in predicted else None for t in tasks
                ],
                "counted": int(np.isfinite(row[self._counted_tasks]).sum()),
                "similarity": self._finder.similarity.get(molecule),
            }
            for molecule, smiles, name, row in facts
        ]
        return {"rows": [row | {"selected": mark} for row, mark in zip(rows, marks, strict=True)]}

    def answer_histogram(self, task: str) -> dict:
        """Return how many molecules have which label of a task; for atoms and bonds, the mean of a molecule counts."""
        number = self.data.task_number(task)
        values = self._lookup.column(number)
        there = values[np.isfinite(values)]
        edges = bin_edges(self.data.chosen[number], there)
        counts = np.histogram(np.clip(there, edges[0], edges[-1]), edges)[0]
        ends = [_number(there.min()), _number(there.max())] if len(there) else [None, None]
        return {"edges": [float(f"{edge:.5g}") for edge in edges], "counts": counts.tolist(), "ends": ends}

    def answer_calibrate(self) -> dict:
        """Measure intervals of the predictions for a moment. Repeat the question until `done` is true."""
        if self._calibration is None:
            levels = [level for level in LEVELS if self._predictions.tasks(level)]
            self._calibration = ((level, *step) for level in levels for step in self._predictions.calibrate(level))
        until, at = time.perf_counter() + _SECONDS, None
        while time.perf_counter() < until and (at := next(self._calibration, None)) is not None:
            pass
        return {"done": at is None, "at": list(at or ())}

    def answer_marks(self, molecules: Sequence[int]) -> dict:
        """Return which of these molecules are selected."""
        return {"marks": np.isin(molecules, self.selection.molecules).tolist()}

    def answer_detail(self, molecule: int) -> dict:
        """Return all data about one molecule, its atoms and its bonds."""
        one = np.array([molecule])
        [smiles], [name], [values] = self._lookup.smiles(one), self._lookup.names(one), self._lookup.values(one)
        [splits] = self._lookup.splits(one)
        shape = conformer(smiles)
        graph = []
        predicted, width = self._predictions.of(smiles, "graph")
        for number, task in enumerate(self.data.chosen):
            if task.level == "graph":
                graph.append([task.id, _number(values[number]), task.unit or "", splits.get(task.dataset)])
        known, units = {row[0] for row in graph}, self._predictions.tasks("graph")
        graph += [[task, None, units[task], None] for task in predicted if task not in known]
        rows = [
            {
                "task": task,
                "unit": unit,
                "measured": value,
                "split": split,
                "predicted": _number(predicted[task][0]) if task in predicted else None,
                "width": _number(width[task][0]) if task in width else None,
                "interval": self._interval("graph", task),
            }
            for task, value, unit, split in graph
        ]
        rows.sort(key=lambda row: (row["measured"] is None, row["predicted"] is None))
        return {
            "molecule": molecule,
            "smiles": smiles,
            "name": name,
            "splits": splits,
            "selected": self.answer_marks([molecule])["marks"][0],
            "labels": rows[:MAX_ROWS],
            "more": max(0, len(rows) - MAX_ROWS),
            "calibrated": "graph" in self._predictions.intervals,
            "elements": shape.elements,
            "xyz": shape.xyz,
            "bonds": shape.bonds,
            "orders": shape.orders,
            "flat": shape.flat,
            "node": self._items(molecule, smiles, "node"),
            "edge": self._items(molecule, smiles, "edge"),
        }

    def answer_select(self, on: bool, molecules: Sequence[int] | None = None) -> dict:
        """Add molecules to the selection or remove them; None means all search results."""
        chosen = self._finder.found if molecules is None else np.array(molecules)
        merged = (np.union1d if on else np.setdiff1d)(self.selection.molecules, chosen)
        self.selection = Selection(merged, self.selection.tasks)
        return self.chosen

    # --------------------------------------------------------------------------------------------- computing the answers

    def _interval(self, level: str, task: str) -> dict | None:
        """Return the evidence of a task's interval: held-out molecules and the share of their labels inside."""
        found = self._predictions.intervals.get(level, {}).get(task)
        return found and {"n": found.n, "covered": round(found.covered, 3)}

    def _items(self, molecule: int, smiles: str, level: str) -> list[dict]:
        """Return the measured and predicted values of a molecule's atoms or bonds, one item per task."""
        measured = {self.data.chosen[i].id: values for i, values in self._lookup.items(molecule, level).items()}
        predicted, width = self._predictions.of(smiles, level)
        units = self._predictions.tasks(level) | {t.id: t.unit or "" for t in self.data.chosen if t.level == level}
        return [
            {
                "task": task,
                "unit": units[task],
                "measured": measured.get(task),
                "predicted": predicted.get(task),
                "width": width[task].astype(np.float32) if task in width else None,
                "interval": self._interval(level, task),
            }
            for task in dict.fromkeys([*measured, *predicted])
        ]

    # ------------------------------------------------------------------------------------------------------ without a kernel

    def sketch(self) -> str:
        """Return drawings of the first molecules."""
        molecules = np.arange(min(_SKETCHED, len(self.data)))
        cells = [
            f"<figure style='margin:4px;display:inline-block'>{draw_smiles(smiles, *DRAWING)}"
            f"<figcaption style='max-width:190px;overflow-wrap:anywhere;font-size:12px'>{html.escape(name or smiles)}</figcaption></figure>"
            for smiles, name in zip(self._lookup.smiles(molecules), self._lookup.names(molecules), strict=True)
        ]
        caption = f"{html.escape(repr(self.data))}, the first {len(molecules)} molecules:"
        return f"<p>{caption}</p><div>{''.join(cells)}</div>"

    def answer_index(self) -> dict:
        """Return names and SMILES of all search results for the static page: gzipped lines "number, name, SMILES"."""
        lines = "\n".join(
            f"{molecule}\t{' '.join(name.split())}\t{smiles}"
            for part in np.array_split(self._finder.found, 1 + len(self._finder.found) // _INDEXED)
            for molecule, name, smiles in zip(
                part.tolist(), self._lookup.names(part), self._lookup.smiles(part), strict=True
            )
        )
        return {"lines": np.frombuffer(gzip.compress(lines.encode(), mtime=0), np.uint8)}

    def questions(self) -> Iterator[tuple[str, dict]]:
        """Yield the questions of the static page: names and SMILES of all molecules, all data of the first ones, more drawings."""
        yield "about", {}
        while not self.answer_find(self.view)["done"]:
            pass
        yield "find", {"view": self.view}
        chips = self.view.get("chips", [])
        starts = range(0, min(len(self._finder.found), PAGE * _STATIC_PAGES), PAGE)
        pages = [("page", {"start": start, "stop": start + PAGE, "tasks": chips}) for start in starts]
        yield from pages[:1]
        if len(self._finder.found) <= _STATIC_INDEX:
            yield "index", {}
        for molecule in self._finder.found[:_STATIC_DETAILS].tolist():
            yield "detail", {"molecule": molecule}
        yield from pages[1:]


def _number(value: float) -> float | None:
    """Return a number for JSON, without NaN and without digits beyond float32 precision."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
