"""Differences between paired runs: resampled metrics, intervals, p-values, and correction for many comparisons.

The interval of a difference covers two sources of chance that a single run hides:

    seeds      Student's t over the paired differences (a percentile bootstrap of three seeds is wrong one time in four)
    test set   a paired bootstrap over test constitutions: both runs are scored on the same resampled molecules

    half-width² = (t · s / √n_seeds)² + (1.96 · s_bootstrap)²

The p-value is the level at which the interval just reaches 0. The smallest detectable difference is the one whose own
95% interval would exclude 0 with a chance of 80%; verdicts that are corrected for many comparisons need a larger one.

A bootstrap over a test set with two actives knows nothing about a third. With fewer than `FEWEST` constitutions of a
class, or in total for a regression task, a source without effect would be said to help or hurt more than one time in
twenty (`benchmarks/verdicts.py`), so there is no verdict.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import false_discovery_control, norm, t

from molfm.base.errors import InputError
from molfm.training.metrics import WEIGHTED

BOOTSTRAPS = 1000
LEVEL = 0.05  # significance level of the intervals, and the share of false discoveries among clear verdicts
FEWEST = 10  # constitutions that a verdict needs, of each class for a binary task
_BLOCK = 4_000_000  # weights in memory at a time
_SMALLEST_P = 1e-12


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


def paired_interval(
    metric: str,
    baseline: Sequence[np.ndarray],
    other: Sequence[np.ndarray],
    target: np.ndarray,
    groups: np.ndarray,
    tested: Sequence[np.ndarray] | None = None,
    parts: Sequence[np.ndarray] | None = None,
) -> dict[str, float]:
    """Return the mean difference of a metric over paired seeds with its 95% interval.

    Args:
        metric: "r2", "mae" or "auroc".
        baseline, other: per seed, the predictions (n,) of the two runs for the same test labels.
        target: (n,) test labels.
        groups: (n,) constitution of each label's molecule; the bootstrap resamples constitutions.
        tested: per seed, a mask (n,) of the labels in its test set, if every seed has its own split; None for all
            labels.
        parts: per task, a mask (n,) of its labels, to compare the mean metric of several tasks; None for one task.

    Returns:
        baseline and value (means over seeds of the metric of `baseline` and `other`), difference, low, high, p and
        detectable (see the module's text).

    Raises:
        ValueError: there are fewer than two seeds.
    """
    n = len(baseline)
    if n < 2:
        raise InputError(f"An interval over seeds needs at least two, found {n}.")
    everything = np.ones(len(target), bool)
    shown = [everything] * n if tested is None else tested

    def value(preds: np.ndarray, at: np.ndarray, weights: np.ndarray) -> np.ndarray:
        members = [at & part for part in parts or [everything]]
        return np.mean([WEIGHTED[metric](preds[mine], target[mine], weights[:, mine]) for mine in members], axis=0)

    def values(runs: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
        return np.stack([value(preds, at, weights) for preds, at in zip(runs, shown, strict=True)])

    before, after = (values(runs, np.ones((1, len(target))))[:, 0] for runs in (baseline, other))
    by_seed = after - before
    seeds = by_seed.std(ddof=1) / np.sqrt(n)
    resampled = [(values(other, weights) - values(baseline, weights)).mean(0) for weights in _resamples(groups)]
    test = np.nanstd(np.concatenate(resampled), ddof=1)
    difference, half = by_seed.mean(), _half_width(LEVEL, seeds, test, n)
    return {
        "baseline": before.mean(),
        "value": after.mean(),
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "p": _p_value(abs(difference), seeds, test, n),
        "detectable": np.hypot(
            (t.isf(LEVEL / 2, n - 1) + t.ppf(0.8, n - 1)) * seeds, (norm.isf(LEVEL / 2) + norm.ppf(0.8)) * test
        ),
    }


def _resamples(groups: np.ndarray):
    """Yield the weights (b, n) of resampled test sets, one block of resamples at a time."""
    _, member = np.unique(groups, return_inverse=True)
    n_groups, rng = member.max() + 1, np.random.default_rng(0)
    size = max(1, _BLOCK // len(groups))
    for start in range(0, BOOTSTRAPS, size):
        draws = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), min(size, BOOTSTRAPS - start))
        yield draws[:, member].astype(float)


def _half_width(p: float, seeds: float, test: float, n: int) -> float:
    """Return half the width of the interval at level p, given the standard errors over seeds and over test sets."""
    return np.hypot(t.isf(p / 2, n - 1) * seeds, norm.isf(p / 2) * test)


def _p_value(difference: float, seeds: float, test: float, n: int) -> float:
    """Return the level at which the interval just reaches 0; 1 if the difference is 0."""
    if difference == 0:
        return 1.0
    if _half_width(_SMALLEST_P, seeds, test, n) <= difference:
        return _SMALLEST_P
    return brentq(lambda p: _half_width(p, seeds, test, n) - difference, _SMALLEST_P, 1.0)


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
    found = np.where(table.difference > 0, "helps", "hurts")
    table.loc[defined, "verdict"] = np.where(table.p_adjusted <= LEVEL, found, "cannot tell")[defined]
    return table
