"""Combines candidates, chooses among them, and measures what the choice itself gains by chance.

The ensemble is a weighted mean of candidates (Caruana et al., ICML 2004). Starting from the best one, it adds, with
replacement, the candidate that lowers the squared error (for classes, the cross-entropy) of the mean most. Its weights
for a fold come from the other folds, so its score is as honest as that of a single candidate.

The best of several scores is too good on average. So the choice is repeated: for each fold, candidates and weights are
chosen on the other folds, and only the chosen predictions of this fold count (the idea of Tsamardinos et al., Machine
Learning 107, 2018). `Choice.nested` holds these predictions; their score is the one to quote.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from molfm.selection.problem import Target
from molfm.selection.scoring import better, scored

ENSEMBLE = "ensemble"
_ROUNDS = 30  # candidates that the ensemble adds, so weights are multiples of 1/30


@dataclass(frozen=True)
class Choice:
    """The chosen candidate of one target.

    Attributes:
        winner: name of the candidate with the best out-of-fold score, which may be the ensemble.
        weights: candidate -> its weight in the ensemble, from all folds; positive ones only.
        ensemble: (n,) out-of-fold predictions of the ensemble.
        nested: (n,) out-of-fold predictions of whatever the other folds chose.
        chosen: per fold, what the other folds chose.
    """

    winner: str
    weights: dict[str, float]
    ensemble: np.ndarray
    nested: np.ndarray
    chosen: tuple[str, ...]


def greedy_weights(target: Target, preds: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, float]:
    """Return the weights of an ensemble, chosen on some labels of a target.

    Args:
        target: the target.
        preds: candidate -> (n,) out-of-fold predictions; log-odds for a binary target.
        rows: places of the labels that choose.
    """
    names, y = list(preds), target.y[rows]
    values = np.stack([preds[name][rows] for name in names])  # (m, n)
    total, taken = np.zeros(values.shape[1]), np.zeros(len(names))
    best, at_best = np.inf, taken
    for size in range(1, _ROUNDS + 1):
        mean = (total + values) / size
        losses = np.logaddexp(0, np.where(y == 1, -mean, mean)) if target.binary else (mean - y) ** 2
        place = int(np.argmin(losses.mean(1)))
        total, taken = total + values[place], taken + (np.arange(len(names)) == place)
        if (loss := losses[place].mean()) < best:
            best, at_best = loss, taken
    weights = at_best / at_best.sum()
    return {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight > 0}


def mixed(preds: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Return the weighted mean of predictions."""
    return sum(weight * preds[name] for name, weight in weights.items())


def _crossed(target: Target, preds: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return predictions of the ensemble, (n,): in each fold, with weights from the other folds of `rows`."""
    found = np.full(len(target.y), np.nan)
    for fold in np.unique(target.fold[rows]):
        here = target.fold == fold
        found[here] = mixed(preds, greedy_weights(target, preds, rows[target.fold[rows] != fold]))[here]
    return found


def _winner(target: Target, preds: Mapping[str, np.ndarray], rows: np.ndarray) -> str:
    """Return the candidate with the best score on some labels; the earlier one of equals."""
    best, winner = np.nan, next(iter(preds))
    for name, of in preds.items():
        value = scored(target, of, rows)[0]
        if np.isnan(best) or better(target.metric, value, best):
            best, winner = value, name
    return winner


def choose(target: Target, preds: Mapping[str, np.ndarray], rows: np.ndarray) -> Choice:
    """Choose among candidates and their ensemble.

    Args:
        target: the target.
        preds: candidate -> (n,) out-of-fold predictions, on one scale; the first one wins a tie.
        rows: places of the labels that choose.
    """
    folds = np.unique(target.fold[rows])
    if len(preds) < 2:
        only = next(iter(preds))
        return Choice(only, {only: 1.0}, preds[only], preds[only], (only,) * len(folds))
    ensemble = _crossed(target, preds, rows)
    winner = _winner(target, {**preds, ENSEMBLE: ensemble}, rows)
    nested, chosen = np.full(len(target.y), np.nan), []
    for fold in folds:
        others, here = rows[target.fold[rows] != fold], target.fold == fold
        # With two folds, nothing is left to judge an ensemble by.
        several = len(np.unique(target.fold[others])) > 1
        judged = {**preds, ENSEMBLE: _crossed(target, preds, others)} if several else preds
        chosen.append(_winner(target, judged, others))
        own = mixed(preds, greedy_weights(target, preds, others)) if chosen[-1] == ENSEMBLE else preds[chosen[-1]]
        nested[here] = own[here]
    return Choice(winner, greedy_weights(target, preds, rows), ensemble, nested, tuple(chosen))
