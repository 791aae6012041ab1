"""How the browser finds the molecules of a view: filters, search and order, a moment at a time."""

import json
import time
from collections.abc import Iterator, Sequence

import numpy as np

from molfm.base.errors import InputError
from molfm.chem.featurize import canonical_smiles
from molfm.explore.lookup import Lookup
from molfm.explore.search import near_names, search, smarts, way_of
from molfm.nn.mix_predictions import MixPredictions


class Finder:
    """Finds the molecules of a view and keeps the results.

    A view is a dict: `query` and `way` (one of `explore.search.WAYS`; "" for what the query looks like); `datasets`, `split`,
    `filters` and `selected`; `sort` (a task), `by` ("label", "predicted", "error" or "count", the number of labels)
    and `descending`.

    Attributes:
        found: numbers of the molecules found so far, in the view's order.
        similarity: molecule -> Tanimoto similarity to the query of a similarity search.
        pattern: the substructure searched for; None otherwise.

    Args:
        lookup: access to the mix.
        predictions: what the models predict.
        counted: numbers of the tasks whose labels are counted.
    """

    def __init__(self, lookup: Lookup, predictions: MixPredictions, counted: Sequence[int]):
        self.lookup, self.predictions, self.counted = lookup, predictions, counted
        self.found, self.similarity, self.pattern = np.arange(len(lookup.mix)), {}, None
        self._near: list[str] = []  # names like the one that was not found
        self._among = len(lookup.mix)  # molecules that the filters leave
        self._sought, self._steps = None, iter(())  # the view that is shown or being searched, and its search

    def forget(self) -> None:
        """Search anew at the next call of `find`."""
        self._sought = None

    def find(self, view: dict, selected: np.ndarray, until: float) -> dict:
        """Start or resume the search of a view until a time of `time.perf_counter`; returns its state."""
        key = json.dumps(view, sort_keys=True)
        known, self._sought = key == self._sought, None  # None: a search that fails starts from the beginning
        text = view.get("query", "").strip()
        way = view.get("way") or way_of(text)
        problem, checked, of = "", 0, 0
        try:
            if not known:
                self.found = np.zeros(0, int)
                self._steps = self._finding(view, text, way, selected)
            checked, of = next(self._steps, (0, 0))
            while checked < of and time.perf_counter() < until:
                checked, of = next(self._steps, (of, of))
            self._sought = key
        except InputError as error:  # invalid input, not a failure of the widget
            problem = str(error)
        state = {"n": len(self.found), "done": checked >= of, "checked": checked, "of": of, "problem": problem}
        empty = state["done"] and not problem and not state["n"]
        facts = {"near": self._near, "way": way, "among": self._among}
        return state | facts | {"asMolecule": bool(empty and text and way == "text" and canonical_smiles(text))}

    def _finding(self, view: dict, text: str, way: str, selected: np.ndarray) -> Iterator[tuple[int, int]]:
        """Filter, search and sort. Yields the progress: molecules checked, molecules to check."""
        self.similarity, self._near, self.pattern = {}, [], None
        among = self._filtered(view, selected)
        self._among = len(among)
        self.pattern = smarts(text) if text and way == "substructure" else None
        if text:
            hits, scores = [], []
            for hit in search(self.lookup, text, way, among):
                hits.append(hit.molecules)
                scores.append(hit.similarity)
                yield hit.checked - 1, len(among)
            among = np.concatenate(hits) if hits else among
            if way == "similarity" and hits:
                score = np.concatenate(scores)
                self.similarity = dict(zip(among.tolist(), score.round(3).tolist(), strict=True))
                among = among[np.argsort(-score, kind="stable")]
            if way == "text" and not len(among):
                for names in near_names(self.lookup, text):
                    self._near = names
                    yield 0, 1
        by = view.get("by", "label")
        if by == "count" or view.get("sort"):
            for done in self._predicting(view.get("sort"), by, among):
                yield done - 1, len(among)
            values = self._sort_values(view.get("sort"), by)[among]
            order = np.argsort(-values if view.get("descending") else values, kind="stable")  # NaN last, in both orders
            among = among[order]
        self.found = among
        yield len(among), len(among)

    def _filtered(self, view: dict, selected: np.ndarray) -> np.ndarray:
        mix = self.lookup.mix
        here = self.lookup.members(view.get("datasets"), view.get("split") or None)
        if view.get("selected"):
            here &= np.isin(np.arange(len(mix)), selected)
        for wanted in view.get("filters", []):
            values = self.lookup.column(mix.task_number(wanted["task"]))
            if wanted.get("presence") == "unmeasured":
                here &= np.isnan(values)
                continue
            here &= np.isfinite(values)
            if wanted.get("min") is not None:
                here &= values >= wanted["min"]
            if wanted.get("max") is not None:
                here &= values <= wanted["max"]
        return np.flatnonzero(here)

    def _predicting(self, task: str, by: str, among: np.ndarray) -> Iterator[int]:
        if by == "error":
            among = among[np.isfinite(self.lookup.column(self.lookup.mix.task_number(task))[among])]
        return self.predictions.fill([task] if by in ("predicted", "error") else [], among)

    def _sort_values(self, task: str, by: str) -> np.ndarray:
        """Return what a view sorts by, (n_molecules,)."""
        if by == "count":
            return self.lookup.counts(self.counted).astype(np.float32)
        if by == "predicted":
            return self.predictions.column(task)
        measured = self.lookup.column(self.lookup.mix.task_number(task))
        return np.abs(self.predictions.column(task) - measured) if by == "error" else measured
