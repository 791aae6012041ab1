"""Differences between paired runs: metrics over resampled test sets, intervals, p-values, and their correction for many.

The interval of a difference covers two sources of chance, both of which a single run hides:

    seeds      Student's t over the paired differences (a percentile bootstrap over three seeds is wrong one time in four)
    test set   a bootstrap over test constitutions, paired: both runs lose and win the same molecules

    half-width² = (t · s / √n_seeds)² + (1.96 · s_bootstrap)²

The p-value is that of the widest interval that does not reach 0. The smallest detectable difference is what its own interval
would have told from 0 with a chance of 80%; where verdicts are corrected for many comparisons, more is needed.

A bootstrap over a test set with two actives knows nothing of a third. Where fewer than `FEWEST` constitutions are there of a
class, or of a regression task at all, a source that does nothing would be found to help or hurt more often than one time in
twenty (`benchmarks/verdicts.py`): there is no verdict then.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import false_discovery_control, norm, t

from molfm.training.metrics import WEIGHTED

BOOTSTRAPS = 1000
LEVEL = 0.05  # of the intervals, and of false discoveries among the verdicts
FEWEST = 10
_BLOCK = 4_000_000  # weights that are in memory at a time
_SMALLEST_P = 1e-12


def too_few(kind: str, target: np.ndarray, groups: np.ndarray) -> str | None:
    """Return why a test set is too small for a verdict, or None where it is not.

    Args:
        kind: "regression" or "binary".
        target: (n,) the labels.
        groups: (n,) constitution of each label's molecule.
    """
    classes = {"": groups} if kind == "regression" else {f" of class {c}": groups[target == c] for c in (0, 1)}
    for name, members in classes.items():
        if (n := len(np.unique(members))) < FEWEST:
            return f"only {n} molecules{name}, a verdict needs {FEWEST},"
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
        baseline, other: for each seed the predictions (n,) of the two runs, on the same test labels.
        target: (n,) the labels.
        groups: (n,) constitution of each label's molecule: what the bootstrap draws.
        tested: for each seed which of the labels (n,) are in its test set, where every seed has a split of its own; None: all.
        parts: of several tasks which of the labels (n,) are whose: the metric is then their mean; None: they are one task's.

    Returns:
        baseline and value (means over seeds), difference, low, high, p, detectable (see the module's text).

    Raises:
        ValueError: fewer than two seeds.
    """
    n = len(baseline)
    if n < 2:
        raise ValueError(f"An interval over seeds needs at least two, found {n}.")
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
    """Yield weights (b, n) of resampled test sets, a block at a time."""
    _, member = np.unique(groups, return_inverse=True)
    n_groups, rng = member.max() + 1, np.random.default_rng(0)
    size = max(1, _BLOCK // len(groups))
    for start in range(0, BOOTSTRAPS, size):
        draws = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), min(size, BOOTSTRAPS - start))
        yield draws[:, member].astype(float)


def _half_width(p: float, seeds: float, test: float, n: int) -> float:
    """Return half the width of the interval of level p from the standard errors over seeds and over test sets."""
    return np.hypot(t.isf(p / 2, n - 1) * seeds, norm.isf(p / 2) * test)


def _p_value(difference: float, seeds: float, test: float, n: int) -> float:
    """Return the level at which the interval just reaches 0; 1 where nothing differs."""
    if difference == 0:
        return 1.0
    if _half_width(_SMALLEST_P, seeds, test, n) <= difference:
        return _SMALLEST_P
    return brentq(lambda p: _half_width(p, seeds, test, n) - difference, _SMALLEST_P, 1.0)


def add_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the comparisons with `p_adjusted` and, where it has no verdict yet, the `verdict`.

    p_adjusted bounds the share of false ones among all that a study calls found (Benjamini and Hochberg), over all rows; a
    verdict other than "cannot tell" has one of at most 0.05. So of many comparisons one may be undecided whose own interval
    leaves 0 out.
    """
    table, defined = table.astype({"verdict": object}), table.p.notna()
    table["p_adjusted"] = np.nan
    table.loc[defined, "p_adjusted"] = (
        false_discovery_control(table.p[defined].to_numpy(float)) if defined.any() else []
    )
    found = np.where(table.difference > 0, "helps", "hurts")
    table.loc[defined, "verdict"] = np.where(table.p_adjusted <= LEVEL, found, "cannot tell")[defined]
    return table
