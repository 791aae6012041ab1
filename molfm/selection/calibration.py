"""From scores to probabilities, and from errors to intervals: both learned from out-of-fold predictions.

Regression: the width of an interval follows how far a molecule is from the training molecules and how much the candidates
disagree about it; a quantile of the out-of-fold errors, in units of this width, makes it cover 95% (normalized conformal
prediction, Papadopoulos et al. 2011; with out-of-fold errors as in CV+, Barber et al., arXiv 1905.02928). Binary: scores
become probabilities by a logistic curve (Platt), and a class is excluded if its training molecules hardly ever get such a
score (class-conditional conformal prediction). The coverage is measured: each fold is judged by the other folds.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.special import expit, logit

COVERAGE = 0.95
_EDGE = 1e-3  # probabilities are kept this far from 0 and 1 before their logarithm is taken


@dataclass(frozen=True)
class Curve:
    """A logistic curve from scores to log-odds."""

    slope: float
    offset: float

    def log_odds(self, score: np.ndarray) -> np.ndarray:
        """Return the log-odds of class 1."""
        return self.slope * score + self.offset


def fit_curve(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Curve:
    """Fit Platt's curve to scores and classes (n,); the targets are smoothed, so perfect scores stay finite."""
    from sklearn.linear_model import LogisticRegression

    unit = score.std()
    if not unit > 0:
        return Curve(0.0, float(logit(np.clip(np.average(y, weights=weight), _EDGE, 1 - _EDGE))))
    # Every label counts once as itself and with 1 / (n + 2) as the other class: Platt's smoothing.
    n = np.where(y == 1, (y == 1).sum(), (y == 0).sum())
    rows, classes = np.concatenate([score, score]) / unit, np.concatenate([y, 1 - y])
    weights = np.concatenate([weight * (n + 1) / (n + 2), weight / (n + 2)])
    found = LogisticRegression(C=1e6).fit(rows[:, None], classes, weights)
    return Curve(float(found.coef_[0, 0]) / unit, float(found.intercept_[0]))


@dataclass(frozen=True)
class Width:
    """What the intervals of a target are made of.

    Attributes:
        base, far, split: half width = factor · (base + far · (1 - similarity) + split · disagreement), for regression.
        factor: makes the intervals cover `COVERAGE` of the out-of-fold labels.
        low, high: for a binary target, the log-odds up to which class 1, and from which class 0, is excluded.
        covered: measured share of labels inside intervals that were made from the other folds.
        n: labels behind it.
    """

    base: float
    far: float
    split: float
    factor: float
    low: float
    high: float
    covered: float
    n: int

    def half(self, similarity: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
        """Return half widths, (n,), in the unit of the target."""
        return self.factor * _scale((self.base, self.far, self.split), similarity, disagreement)

    def facts(self) -> dict:
        """Return all numbers, for a JSON file."""
        return asdict(self)


def _scale(of: tuple[float, float, float], similarity: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
    return of[0] + of[1] * (1 - similarity) + of[2] * disagreement


def _quantile(scores: np.ndarray, coverage: float) -> float:
    place = int(np.ceil((len(scores) + 1) * coverage))
    return float(np.sort(scores)[min(place, len(scores)) - 1])


def _regression(error: np.ndarray, similarity: np.ndarray, disagreement: np.ndarray, coverage: float) -> tuple:
    columns = np.stack([np.ones(len(error)), 1 - similarity, disagreement], axis=1)
    found, _ = nnls(columns, error)
    floor = 0.1 * error.mean() + 1e-12  # an interval of no width would claim certainty
    found[0] = max(found[0], floor)
    return (*found, _quantile(error / _scale(found, similarity, disagreement), coverage))


def fit_width(
    error: np.ndarray, similarity: np.ndarray, disagreement: np.ndarray, fold: np.ndarray, coverage: float = COVERAGE
) -> Width:
    """Learn the intervals of a regression target from out-of-fold predictions.

    Args:
        error: (n,) absolute errors.
        similarity: (n,) Tanimoto's similarity to the nearest molecule of the other folds.
        disagreement: (n,) standard deviation over candidates.
        fold: (n,) folds, for the measured coverage.
        coverage: wanted share of labels inside.
    """
    inside = np.zeros(len(error), bool)
    for number in np.unique(fold):
        here = fold == number
        *scale, factor = _regression(error[~here], similarity[~here], disagreement[~here], coverage)
        inside[here] = error[here] <= factor * _scale(tuple(scale), similarity[here], disagreement[here])
    base, far, split, factor = map(float, _regression(error, similarity, disagreement, coverage))
    return Width(base, far, split, factor, 0.0, 0.0, float(inside.mean()), len(error))


def fit_classes(log_odds: np.ndarray, y: np.ndarray, fold: np.ndarray, coverage: float = COVERAGE) -> Width:
    """Learn when a class can be excluded, from out-of-fold log-odds and classes (n,)."""

    def ends(rows: np.ndarray) -> tuple[float, float]:
        of_one, of_zero = log_odds[rows & (y == 1)], log_odds[rows & (y == 0)]
        low = -_quantile(-of_one, coverage) if len(of_one) else -np.inf
        return low, _quantile(of_zero, coverage) if len(of_zero) else np.inf

    inside = np.zeros(len(y), bool)
    for number in np.unique(fold):
        here = fold == number
        low, high = ends(~here)
        inside[here] = np.where(y == 1, log_odds >= low, log_odds <= high)[here]
    low, high = map(float, ends(np.ones(len(y), bool)))
    return Width(0.0, 0.0, 0.0, 0.0, low, high, float(inside.mean()), len(y))


def probability(log_odds: np.ndarray) -> np.ndarray:
    """Return probabilities of class 1."""
    return expit(log_odds)
