"""Differences between paired runs: intervals, p-values, and correction for many comparisons.

The interval of a difference covers two sources of chance that a single run hides:

    seeds      Student's t over the paired differences (a percentile bootstrap of three seeds is wrong one time in four)
    test set   the standard error over test constitutions, from the influence of each label on the difference; both runs
               are scored on the same molecules, and the labels of one constitution count as one observation

    half-width² = (t · s / √n_seeds)² + (1.96 · s_test)²

s_test agrees with a bootstrap over constitutions to a few percent (`benchmarks/verdicts.py`). The p-value is the level at which the interval just reaches 0. The smallest detectable difference is the one
whose own 95% interval would exclude 0 with a chance of 80%; verdicts that are corrected for many comparisons need a
larger one.

Two actives in a test set say nothing about a third. With fewer than `FEWEST` constitutions of a class, or in total for a
regression task, a source without effect would be said to help or hurt more than one time in twenty
(`benchmarks/verdicts.py`), so there is no verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm, t

from molfm.base.errors import InputError
from molfm.training.metrics import COMPARED

LEVEL = 0.05  # significance level of the intervals, and the share of false discoveries among clear verdicts
LESS_IS_BETTER = ("mae", "rmse")  # error metrics
FEWEST = 10  # constitutions that a verdict needs, of each class for a binary task
_SMALLEST_P = 1e-12
_HALVINGS = 48  # of the logarithm of a p-value: as exact as its double precision allows
KEYS = ("target", "source", "regime", "n_labels", "split")  # what identifies a row of a table of comparisons


def too_few(kind: str, target: np.ndarray, groups: np.ndarray) -> str | None:
    """Return why a test set is too small for a verdict, or None if it is large enough.

    Args:
        kind: "regression" or "binary".
        target: (n,) test labels.
        groups: (n,) constitution of each label's molecule.
    """
    classes = {"": groups} if kind == "regression" else {f" of class {c}": groups[target == c] for c in (0, 1)}
    for name, members in classes.items():
        if (n := len(np.unique(members))) < FEWEST:
            return f"too few molecules{name} ({n}, a verdict needs {FEWEST})"
    return None


@dataclass(frozen=True)
class Difference:
    """The difference of a metric between paired runs, with what its interval needs.

    Attributes:
        baseline, value: (n_seeds,) the metric of the two runs of each pair.
        influence: (n_seeds, n_labels) influence of each test label on the difference of each pair, see
            `training.metrics`.
        groups: (n_labels,) constitution of each label's molecule.
    """

    baseline: np.ndarray
    value: np.ndarray
    influence: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.value)

    def pairs(self) -> dict[str, np.ndarray]:
        """Return what `after` needs: baseline, value and test_error, each (n_seeds,).

        The test error of a pair is the standard error over test sets of the mean difference over this pair and those
        before it.
        """
        so_far = self.influence.cumsum(0) / np.arange(1, len(self) + 1)[:, None]
        return {"baseline": self.baseline, "value": self.value, "test_error": grouped_error(so_far, self.groups)}

    @property
    def standard_errors(self) -> tuple[float, float]:
        """The standard errors of the mean difference over seeds and over test sets."""
        by_seed = self.value - self.baseline
        return by_seed.std(ddof=1) / np.sqrt(len(self)), float(grouped_error(self.influence.mean(0), self.groups))

    def interval(self) -> dict[str, float]:
        """Return the means over seeds and the interval: baseline, value, difference, low, high, p and detectable."""
        found = intervals(self.baseline.mean(), self.value.mean(), *self.standard_errors, len(self))
        return {name: float(value) for name, value in found.items()}


def intervals(baseline: np.ndarray, value: np.ndarray, seeds: np.ndarray, test: np.ndarray, n: np.ndarray) -> dict:
    """Return the intervals of many differences at once: baseline, value, difference, low, high, p and detectable.

    Args:
        baseline, value: means over seeds.
        seeds, test: standard errors of the mean difference over seeds and over test sets.
        n: number of seeds.
    """
    difference = value - baseline
    half = _half_width(LEVEL, seeds, test, n)
    return {
        "baseline": baseline,
        "value": value,
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "p": _p_values(difference, seeds, test, n),
        "detectable": np.hypot(
            (t.isf(LEVEL / 2, n - 1) + t.ppf(0.8, n - 1)) * seeds, (norm.isf(LEVEL / 2) + norm.ppf(0.8)) * test
        ),
    }


def grouped_error(influence: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return standard errors over test sets, given the influence of each label and its constitution.

    Args:
        influence: (n_labels,) for one error, or (k, n_labels) for k errors.
        groups: (n_labels,) constitution of each label's molecule.
    """
    place = np.unique(groups, return_inverse=True)[1]
    by_group = np.array([np.bincount(place, row) for row in np.atleast_2d(influence)])
    n = by_group.shape[1]
    error = np.sqrt(n / (n - 1) * (by_group**2).sum(1)) if n > 1 else np.full(len(by_group), np.nan)
    return error.reshape(influence.shape[:-1])


def paired_difference(
    metric: str,
    baseline: Sequence[np.ndarray],
    other: Sequence[np.ndarray],
    target: np.ndarray,
    groups: np.ndarray,
    tested: Sequence[np.ndarray] | None = None,
) -> Difference:
    """Return the difference of a metric over paired seeds.

    Args:
        metric: "r2", "mae", "rmse" or "auroc".
        baseline, other: per seed, the predictions (n,) of the two runs for the same test labels.
        target: (n,) test labels.
        groups: (n,) constitution of each label's molecule.
        tested: per seed, a mask (n,) of the labels in its test set, if every seed has its own split; None for all
            labels.

    Raises:
        ValueError: there are fewer than two seeds.
    """
    n = len(baseline)
    if n < 2:
        raise InputError(f"An interval over seeds needs at least two, found {n}.")
    values, influence = np.empty((2, n)), np.zeros((n, len(target)))
    for seed in range(n):
        here = slice(None) if tested is None else tested[seed]
        for arm, sign, runs in ((0, -1, baseline), (1, 1, other)):
            values[arm, seed], of_labels = COMPARED[metric](runs[seed][here], target[here])
            influence[seed, here] += sign * of_labels * _small_sample(metric, target[here])
    return Difference(*values, influence, groups)


def _small_sample(metric: str, target: np.ndarray) -> np.ndarray | float:
    """Return what makes the variance of an AUROC unbiased for few labels of a class, as in DeLong (1988); else 1."""
    if metric != "auroc":
        return 1.0
    size = np.where(target == 1, (target == 1).sum(), (target != 1).sum())
    return np.sqrt(size / np.maximum(size - 1, 1))


def mean_of(differences: Sequence[Difference]) -> Difference:
    """Return the difference of the mean metric of several tasks, whose test molecules may be the same."""
    n = len(differences)
    return Difference(
        np.mean([of.baseline for of in differences], axis=0),
        np.mean([of.value for of in differences], axis=0),
        np.concatenate([of.influence for of in differences], axis=1) / n,
        np.concatenate([of.groups for of in differences]),
    )


def seeds_for(width: float, half: float, spread: float, n: int) -> float:
    """Return how many paired seeds make an interval as narrow as wanted; infinity if no number of seeds does.

    Args:
        width: the wanted half-width.
        half: the half-width with `n` seeds.
        spread: standard deviation of the difference over seeds.
        n: number of seeds so far.
    """
    if half <= width:
        return n
    room = width**2 - max(0.0, half**2 - _half_width(LEVEL, spread / np.sqrt(n), 0.0, n) ** 2)  # without the test set
    if room <= 0:
        return np.inf
    while _half_width(LEVEL, spread / np.sqrt(n), 0.0, n) ** 2 > room:
        n += 1
    return n


def _half_width(p: float, seeds: float, test: float, n: int) -> float:
    """Return half the width of the interval at level p, given the standard errors over seeds and over test sets."""
    return np.hypot(t.isf(p / 2, n - 1) * seeds, norm.isf(p / 2) * test)


def _p_values(difference: np.ndarray, seeds: np.ndarray, test: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the levels at which the intervals just reach 0, by bisection; 1 where the difference is 0."""
    size = np.abs(difference)
    low, high = np.full(np.shape(size), np.log(_SMALLEST_P)), np.zeros(np.shape(size))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        wide = _half_width(np.exp(middle), seeds, test, n) > size  # at a larger level, the interval is narrower
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    return np.where(np.isnan(size), np.nan, np.where(size == 0, 1.0, np.exp(high)))


def add_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of comparisons with `p_adjusted` and, for rows that have a p-value, the `verdict`.

    p_adjusted controls the share of false discoveries over all rows (Benjamini and Hochberg). A verdict is "helps" or
    "hurts" if p_adjusted is at most 0.05, so a comparison can be "cannot tell" although its own interval excludes 0.
    """
    table, defined = table.astype({"verdict": object}), table.p.notna()
    table["p_adjusted"] = np.nan
    table.loc[defined, "p_adjusted"] = (
        false_discovery_control(table.p[defined].to_numpy(float)) if defined.any() else []
    )
    better = table.difference > 0
    if "metric" in table:
        better ^= table.metric.isin(LESS_IS_BETTER)
    found = np.where(better, "helps", "hurts")
    table.loc[defined, "verdict"] = np.where(table.p_adjusted <= LEVEL, found, "cannot tell")[defined]
    table["verdict"] = table.verdict.tolist()  # the dtype of plain texts, which a saved table has when it is read again
    return table


def after(table: pd.DataFrame, pairs: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return a table of comparisons as it would be after the first `n` pairs of runs.

    Args:
        table: `Comparison.table` or `Comparison.means`.
        pairs: its pairs, one row per comparison and seed.
        n: number of pairs, at least 2; a comparison with fewer counts as it is.

    Raises:
        ValueError: there are fewer than two pairs.
    """
    if n < 2:
        raise InputError(f"An interval over seeds needs at least two, found {n}.")
    if table.p.isna().all():
        return table
    keys = list(KEYS)
    first = pairs.sort_values("seed", kind="stable").groupby(keys, sort=False).head(n)
    first = first.assign(by_seed=first.value - first.baseline).groupby(keys, sort=False)
    facts = first.agg(
        **{"seeds": ("seed", "size"), "baseline": ("baseline", "mean"), "value": ("value", "mean")},
        **{"spread": ("by_seed", "std"), "test": ("test_error", "last")},
    )
    seeds = facts.spread / np.sqrt(facts.seeds)
    arrays = (of.to_numpy() for of in (facts.baseline, facts.value, seeds, facts.test, facts.seeds))
    found = pd.DataFrame(intervals(*arrays), facts.index).assign(seeds=facts.seeds)
    columns = table.columns
    defined, rest = table[table.p.notna()], table[table.p.isna()]
    defined = defined.drop(columns=found.columns).join(found, on=keys)
    return add_verdicts(pd.concat([defined, rest]).loc[table.index][columns].astype({"seeds": "Int64"}))
