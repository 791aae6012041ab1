"""MoleculeBrowser: draw, search, filter and sort the molecules of a mix, and show one of them in three dimensions."""

import html
import json
import time
from collections.abc import Iterator, Sequence

import numpy as np
from molfm.widgets.scripts import Sketcher
from molfm.widgets.shared import MixWidget, Selection, source

from molfm.base.errors import InputError
from molfm.chem.conformers import conformer
from molfm.chem.drawing import draw_smiles
from molfm.data.mix import Mix
from molfm.explore.lookup import Lookup
from molfm.explore.search import search, smarts
from molfm.nn.uncertainty import spread
from molfm.training.run import Run

SCRIPTS = (
    "viewer3d",
    "sketcher",
    "browser_search",
    "browser_cards",
    "browser_detail",
    "browser",
)  # joined in this order
PAGE = 24  # molecules per request of the browser
MAX_PAGE = 60  # molecules per answer
MAX_ROWS = 500  # tasks listed for one molecule, measured ones first
DRAWING = (190, 130)  # pixels
_SECONDS = 0.25  # a search reports its progress this often; in between the kernel is free
_PREDICTED = 512  # molecules predicted at once during a sort
_STATIC_PAGES = 2  # pages of molecules in the static page
_SKETCHED = 8  # molecules in a saved notebook without a kernel
_CHIPS = 3  # labels shown below a drawing by default


class MoleculeBrowser(Sketcher, MixWidget):
    """Browse the molecules of a mix: search, filter and sort them, and show all data about one of them.

    Args:
        data: the result of `molfm.load`.
        model: what predicts: a model (`molfm.pretrained`, `Run.model`), a run, or a list of them; None for no predictions.
            The uncertainty is the spread of several models, or of one model's dropout (see `molfm.nn.uncertainty`).

    Raises:
        TypeError: `data` is not a mix, `model` cannot predict, or a setting does not exist.
    """

    _esm = source("js", *SCRIPTS)
    _css = source("css", "viewer3d", "sketcher", "browser")

    def __init__(self, data: Mix, model: object = None, **unknown: object):
        super().__init__(data, unknown)
        models = list(model) if isinstance(model, Sequence) else [] if model is None else [model]
        self._models = [item.model if isinstance(item, Run) else item for item in models]
        for item in self._models:
            if not hasattr(item, "predict"):
                raise TypeError(f"model: expected a model, a run or a list of them, found {type(item).__name__}.")
        self._lookup = Lookup(data)
        self._sought, self._search = None, iter(())  # the view that is shown or being searched, and its search
        self._found = np.arange(len(data))  # results so far, in the order of the view
        self._similarity: dict[int, float] = {}
        self._pattern = None  # a SMARTS to highlight
        self._predictions: dict[str, np.ndarray] = {}  # task -> (n_molecules,) float32, NaN: not yet predicted
        self.view = {"chips": [task.id for task in data.chosen if task.level == "graph"][:_CHIPS]}
        self.observe(self._selected_anew, "selection")

    def _selected_anew(self, _: dict) -> None:
        if self.view.get("selected"):  # the results depend on the selection
            self._sought = None

    # ------------------------------------------------------------------------------------------------------ questions

    def answer_about(self) -> dict:
        """Return the constant facts: datasets, splits and tasks."""
        tasks = self.data.tasks
        return {
            "name": self.data.name,
            "n": len(self.data),
            "datasets": [card.name for card in self.data.cards],
            "splits": self.data.splits,
            "tasks": tasks[["task", "level", "kind", "unit"]].to_dict("records"),
            "predicted": [task for task in self._predicted("graph") if task in set(tasks.task)],
            "page": PAGE,
        }

    def answer_find(self, view: dict) -> dict:
        """Start or resume the search of a view for a moment. Repeat the question until `done` is true."""
        key = json.dumps(view, sort_keys=True)
        known, self._sought = key == self._sought, None  # None: a search that fails starts from the beginning
        if not known:
            self._found = np.zeros(0, int)
            try:
                self._search = self._finding(view)
                checked, of = next(self._search, (0, 0))
            except InputError as error:  # invalid input, not a failure of the widget
                return {"n": 0, "done": True, "problem": str(error)}
        else:
            checked, of = next(self._search, (0, 0))
        until = time.perf_counter() + _SECONDS
        while checked < of and time.perf_counter() < until:
            checked, of = next(self._search, (of, of))
        self._sought = key
        return {"n": len(self._found), "done": checked >= of, "checked": checked, "of": of, "problem": ""}

    def answer_page(self, start: int, stop: int, tasks: Sequence[str] = ()) -> dict:
        """Return a range of the search results with their labels for these tasks."""
        molecules = self._found[start : min(stop, start + MAX_PAGE)]
        numbers = [self.data.task_number(task) for task in tasks]
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
                "svg": draw_smiles(smiles, *DRAWING, self._pattern),
                "labels": [_number(value) for value in row[numbers]],
                "predicted": [
                    _number(self._predictions[t][molecule]) if t in self._predictions else None for t in tasks
                ],
                "n_labels": int(np.isfinite(row).sum()),
                "similarity": self._similarity.get(molecule),
            }
            for molecule, smiles, name, row in facts
        ]
        return {"rows": [row | {"selected": mark} for row, mark in zip(rows, marks, strict=True)]}

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
        predicted, deviation, reason = self._predict("graph", smiles)
        for number, task in enumerate(self.data.chosen):
            if task.level == "graph":
                graph.append([task.id, _number(values[number]), task.unit or "", splits.get(task.dataset)])
        known = {row[0] for row in graph}
        units = self._units("graph")
        graph += [[task, None, units[task], None] for task in predicted if task not in known]
        rows = [
            {
                "task": task,
                "unit": unit,
                "measured": value,
                "split": split,
                "predicted": _number(predicted[task][0]) if task in predicted else None,
                "deviation": _number(deviation[task][0]) if task in deviation else None,
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
            "uncertainty": reason,
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
        chosen = self._found if molecules is None else np.array(molecules)
        merged = (np.union1d if on else np.setdiff1d)(self.selection.molecules, chosen)
        self.selection = Selection(merged, self.selection.tasks)
        return self.chosen

    # --------------------------------------------------------------------------------------------- computing the answers

    def _finding(self, view: dict) -> Iterator[tuple[int, int]]:
        """Search, filter and sort as the view says. Yields the progress: molecules checked, molecules to check."""
        among = self._filtered(view)
        text, way = view.get("query", "").strip(), view.get("way", "text")
        self._similarity, self._pattern = {}, smarts(text) if text and way == "substructure" else None
        if text:
            hits, scores = [], []
            for hit in search(self._lookup, text, way, among):
                hits.append(hit.molecules)
                scores.append(hit.similarity)
                yield hit.checked - 1, len(among)
            among = np.concatenate(hits) if hits else among
            if way == "similarity" and hits:
                score = np.concatenate(scores)
                self._similarity = dict(zip(among.tolist(), score.round(3).tolist(), strict=True))
                among = among[np.argsort(-score, kind="stable")]
        if by := view.get("sort"):
            task = self.data.task(by).id
            if view.get("predicted"):
                yield from self._predicting(task, among)
            values = (
                self._predictions[task] if view.get("predicted") else self._lookup.column(self.data.task_number(task))
            )
            values = values[among]
            order = np.argsort(-values if view.get("descending") else values, kind="stable")  # NaN last, in both orders
            among = among[order]
        self._found = among
        yield len(among), len(among)

    def _filtered(self, view: dict) -> np.ndarray:
        here = self._lookup.members(view.get("datasets"), view.get("split") or None)
        if view.get("selected"):
            here &= np.isin(np.arange(len(self.data)), self.selection.molecules)
        for wanted in view.get("filters", []):
            values = self._lookup.column(self.data.task_number(wanted["task"]))
            if wanted.get("presence") == "unmeasured":
                here &= np.isnan(values)
                continue
            here &= np.isfinite(values)
            if wanted.get("min") is not None:
                here &= values >= wanted["min"]
            if wanted.get("max") is not None:
                here &= values <= wanted["max"]
        return np.flatnonzero(here)

    def _predicting(self, task: str, among: np.ndarray) -> Iterator[tuple[int, int]]:
        known = self._predictions.setdefault(task, np.full(len(self.data), np.nan, np.float32))
        missing = among[np.isnan(known[among])]
        for start in range(0, len(missing), _PREDICTED):
            part = missing[start : start + _PREDICTED]
            smiles = self._lookup.smiles(part)
            known[part] = np.mean([model.predict(smiles, tasks=[task])[task] for model in self._models], axis=0)
            yield start, len(missing)

    def _predicted(self, level: str) -> list[str]:
        """Return the tasks of a level that all models predict."""
        tables = [model.tasks[model.tasks.level == level].task for model in self._models]
        return [task for task in tables[0] if all(task in set(table) for table in tables)] if tables else []

    def _units(self, level: str) -> dict[str, str]:
        """Return the units of all tasks of a level, both of the data and of the models."""
        tables = [self.data.tasks, *(model.tasks for model in self._models)]
        return {task: unit for table in tables for task, unit in table[table.level == level][["task", "unit"]].values}

    def _predict(self, level: str, smiles: str) -> tuple[dict, dict, str]:
        """Return predictions and standard deviations by task, and a sentence about the deviations."""
        tasks = self._predicted(level)
        if not tasks:
            return {}, {}, ""
        table, deviation = spread(self._models, [smiles], level, tasks)
        predicted = {task: table[task].to_numpy(np.float32) for task in tasks}
        if deviation is None:
            return predicted, {}, "No uncertainty: the model has no dropout. Pass several models to get one."
        members = f"{len(self._models)} models" if len(self._models) > 1 else "the model's dropout samples"
        return (
            predicted,
            {task: deviation[task].to_numpy(np.float32) for task in tasks},
            f"± is one standard deviation over {members}.",
        )

    def _items(self, molecule: int, smiles: str, level: str) -> list[dict]:
        """Return the measured and predicted values of a molecule's atoms or bonds, one item per task."""
        measured = {self.data.chosen[i].id: values for i, values in self._lookup.items(molecule, level).items()}
        predicted, deviation, _ = self._predict(level, smiles)
        units = self._units(level)
        return [
            {
                "task": task,
                "unit": units[task] or "",
                "measured": measured.get(task),
                "predicted": predicted.get(task),
                "deviation": deviation.get(task),
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

    def questions(self) -> Iterator[tuple[str, dict]]:
        """Yield the questions of the static page about the first molecules."""
        yield "about", {}
        while True:
            answer = self.answer_find(self.view)
            if answer["done"]:
                break
        yield "find", {"view": self.view}
        shown = self._found[: PAGE * _STATIC_PAGES]
        for start in range(0, len(shown), PAGE):
            yield "page", {"start": start, "stop": start + PAGE, "tasks": self.view.get("chips", [])}
        for molecule in shown.tolist():
            yield "detail", {"molecule": molecule}


def _number(value: float) -> float | None:
    """Return a number for JSON, without NaN and without digits beyond float32 precision."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
