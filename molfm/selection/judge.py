"""Judges the candidates of one target: scores with intervals, the choice, its optimism, and the width of intervals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from molfm.selection.calibration import Curve, Width, fit_classes, fit_curve, fit_width, probability
from molfm.selection.candidates import BASELINE, CANDIDATES
from molfm.selection.choice import ENSEMBLE, Choice, choose, mixed
from molfm.selection.describe import Described
from molfm.selection.kernels import minmax
from molfm.selection.problem import Target
from molfm.selection.scoring import beside, counted, interval
from molfm.selection.work import Work

NESTED = "nested"  # the row of a table with the predictions of whatever the other folds chose
TABLE = (
    *("target", "candidate", "title", "metric", "value", "low", "high"),
    *("difference", "difference_low", "difference_high", "r2", "mae", "average_precision"),
    *("n", "scored_on", "seconds", "weight", "chosen"),
)
_TITLES = {ENSEMBLE: "ensemble", NESTED: "whatever the other folds chose"}


@dataclass(frozen=True)
class Judged:
    """The verdict on one target.

    Attributes:
        target: the target.
        preds: candidate -> (n,) predictions in the unit of the target, or probabilities; with the ensemble.
        choice: the chosen candidate.
        curves: candidate -> its logistic curve; empty for regression.
        width: what intervals are made of.
        similarity: (n,) Tanimoto's similarity of each molecule to the nearest one that its model learned from.
        nearest: (n,) that molecule, a number in the problem.
        disagreement: (n,) standard deviation over the members of the chosen ensemble; 0 for a single candidate.
        table: one row per candidate, see `FitResult.table`.
    """

    target: Target
    preds: dict[str, np.ndarray]
    choice: Choice
    curves: dict[str, Curve]
    width: Width
    similarity: np.ndarray
    nearest: np.ndarray
    disagreement: np.ndarray
    table: pd.DataFrame

    @property
    def winner(self) -> str:
        """The name of the chosen candidate."""
        return self.choice.winner

    @property
    def members(self) -> dict[str, float]:
        """The candidates behind the chosen model, with their weights."""
        return self.choice.weights if self.winner == ENSEMBLE else {self.winner: 1.0}

    @property
    def quoted(self) -> pd.Series:
        """The row of the table to quote: of the test set if there is one, else the nested score."""
        chosen = self.table.chosen if self.target.n_test else self.table.candidate == NESTED
        return self.table[chosen].iloc[0]


def nearest(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of the nearest known molecule, (m,), and Tanimoto's similarity to it, (m,).

    Args:
        known: (n, d) counts of Morgan environments; only whether there are any counts.
        asked: (m, d).
    """
    places, values = [np.zeros(0, int)], [np.zeros(0)]
    for start in range(0, len(asked), 1_000):
        found = minmax((asked[start : start + 1_000] > 0).astype(np.uint8), (known > 0).astype(np.uint8))
        places.append(found.argmax(1))
        values.append(found.max(1))
    return np.concatenate(places), np.concatenate(values)


def _nearest_in_training(target: Target, x: Described) -> tuple[np.ndarray, np.ndarray]:
    counts = x.get("ecfp")[target.row]
    place, value = np.zeros(len(target.y), int), np.zeros(len(target.y))
    for fold in np.unique(target.fold):
        here, known = np.flatnonzero(target.fold == fold), np.flatnonzero((target.fold >= 0) & (target.fold != fold))
        found, value[here] = nearest(counts[known], counts[here])
        place[here] = target.row[known[found]]
    return place, value


def judge(work: Work, number: int) -> Judged:
    """Judge the finished candidates of a target.

    Args:
        work: the work of a fit.
        number: number of the target.
    """
    target = work.problem.targets[number]
    raw = {name: work.predictions(name, number) for name in work.finished()}
    rows, curves = counted(target, test=False), {}
    if target.binary:
        curves = {name: fit_curve(of[rows], target.y[rows], target.weight[rows]) for name, of in raw.items()}
        raw = {name: curves[name].log_odds(of) for name, of in raw.items()}
    choice = choose(target, raw, rows)
    test = counted(target, test=True)
    ensemble = choice.ensemble.copy()
    ensemble[target.fold < 0] = mixed(raw, choice.weights)[target.fold < 0]
    raw[ENSEMBLE] = ensemble
    place, similarity = _nearest_in_training(target, work.x)
    members = choice.weights if choice.winner == ENSEMBLE else {choice.winner: 1.0}
    disagreement = _spread(np.stack([raw[name] for name in members]))
    winner = raw[choice.winner]
    if target.binary:
        width = fit_classes(winner[rows], target.y[rows], target.fold[rows])
    else:
        error = np.abs(winner - target.y)[rows]
        width = fit_width(error, similarity[rows], disagreement[rows], target.fold[rows])
    table = _table(work, target, raw, choice, test if len(test) else rows)
    preds = {name: probability(of) for name, of in raw.items()} if target.binary else raw
    return Judged(target, preds, choice, curves, width, similarity, place, disagreement, table)


def _spread(values: np.ndarray) -> np.ndarray:
    return values.std(0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])


def _table(work: Work, target: Target, raw: dict[str, np.ndarray], choice: Choice, rows: np.ndarray) -> pd.DataFrame:
    """Return the scores of all candidates on some labels: those of the folds, or those of the test set."""
    found, on_test = [], bool(target.n_test)
    shown = raw if on_test else {**raw, NESTED: choice.nested}
    for name, preds in shown.items():
        facts = {"target": target.task.id, "candidate": name, "metric": target.metric, "n": len(rows)}
        facts |= interval(target, preds, rows)
        against = interval(target, preds, rows, raw[BASELINE])
        facts |= dict(zip(("difference", "difference_low", "difference_high"), against.values(), strict=True))
        preds = probability(preds) if target.binary else preds
        facts |= {"scored_on": "test" if on_test else "folds"} | beside(target, preds, rows)
        facts["title"] = _TITLES[name] if name in _TITLES else CANDIDATES[name].title
        facts["seconds"] = work.seconds_of(name) if name in CANDIDATES else np.nan
        facts["weight"] = choice.weights.get(name, 0.0) if name in CANDIDATES else np.nan
        found.append(facts | {"chosen": name == choice.winner})
    return pd.DataFrame(found).reindex(columns=list(TABLE))


def conformal(judged: Judged, value: np.ndarray, similarity: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
    """Return low and high of predictions, (n, 2): an interval, or the lowest and highest class that is not excluded.

    Args:
        judged: the verdict.
        value: (n,) predictions; log-odds for a binary target.
        similarity, disagreement: (n,) as in `Judged`.
    """
    width = judged.width
    if judged.target.binary:
        # If both classes are excluded, the prediction is unlike either: nothing is said.
        zero, one = value <= width.high, value >= width.low
        return np.stack([np.where(zero | ~one, 0.0, 1.0), np.where(one | ~zero, 1.0, 0.0)], axis=1)
    half = width.half(similarity, disagreement)
    return np.stack([value - half, value + half], axis=1)
