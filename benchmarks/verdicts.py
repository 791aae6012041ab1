"""How often does a transfer study see an effect where there is none, and how often does it see one that is there?

    python benchmarks/verdicts.py [--repetitions 2000] [--fast]

Predictions are simulated; nothing is trained. A target has 150 test labels in 120 constitutions. Both arms of a pair
share one error, and each run has its own error: either independent for each label, or, as with real seeds, larger in
some runs than in others. The simulation calls `paired_difference` and `add_verdicts`, as `molfm.transfer` does. The level
of 0.05 allows a wrong verdict in 5 of 100 comparisons, and any wrong verdict in 5 of 100 studies of ten targets.

The interval counts errors that are independent for each label twice, over seeds and over test sets, so it is wider than
necessary for these. If some runs are better than others, only the variation over seeds shows it.

A second table is of test sets with few actives among 150 inactives. Each arm has learned something different that all
its seeds share and that says nothing about activity; the bootstrap over test molecules has to cover this. The table
shows how many actives a verdict needs (`statistics.FEWEST`).

The last line is one JSON object.
"""

import argparse
import json
from itertools import product

import numpy as np
import pandas as pd

from molfm.study.statistics import add_verdicts, paired_difference
from molfm.training.metrics import score

SEEDS = (3, 5, 10)
TARGETS = 10  # per study
LABELS, CONSTITUTIONS = 150, 120
ACTIVES = (1, 2, 3, 5, 10, 20, 40)
COMPARED_WITH_BOOTSTRAP = 20  # repetitions, because a bootstrap is slow
# What a run's own error varies with -> standard deviation of its logarithm over runs
SPREADS = {"labels": 0.0, "runs": 0.5}


def cell(rng: np.random.Generator, metric: str, seeds: int, spread: float, gain: float) -> dict:
    """Return one comparison, in which the source reduces each run's own error by the fraction `gain`."""
    target = rng.normal(size=LABELS)
    shared = target + rng.normal(0, 0.7, LABELS)
    sizes = 0.7 * np.exp(rng.normal(0, spread, (2, seeds))) * np.array([[1.0], [1 - gain]])
    arms = [[shared + rng.normal(0, size, LABELS) for size in of] for of in sizes]
    measured = target if metric == "r2" else (target > 0).astype(float)
    return paired_difference(metric, *arms, measured, rng.integers(0, CONSTITUTIONS, LABELS)).interval()


def shares(rng: np.random.Generator, metric: str, seeds: int, spread: str, repetitions: int) -> dict:
    """Return how often comparisons and whole studies reach a verdict."""
    nothing = pd.DataFrame([cell(rng, metric, seeds, SPREADS[spread], 0.0) for _ in range(repetitions)])
    there = pd.DataFrame([cell(rng, metric, seeds, SPREADS[spread], 0.5) for _ in range(repetitions // 4)])
    studies = [add_verdicts(nothing[i : i + TARGETS].assign(verdict=None)) for i in range(0, repetitions, TARGETS)]
    wrong = [(study.verdict != "cannot tell").any() for study in studies]
    return {
        "metric": metric,
        "seeds": seeds,
        "errors vary by": spread,
        "comparisons": repetitions,
        "wrong verdict": (nothing.p < 0.05).mean(),
        "studies of ten": len(studies),
        "any wrong verdict": np.mean(wrong),
        "half the error gone, seen": (there.p < 0.05).mean(),
    }


def few_actives(rng: np.random.Generator, actives: int, repetitions: int) -> dict:
    """Return how often a verdict is wrong with few actives in the test set, for an AUROC and three seeds."""
    target, wrong, ratios = np.repeat([1.0, 0.0], [actives, LABELS]), 0, []
    for repetition in range(repetitions):
        shared = target + rng.normal(size=len(target))
        own = [shared + rng.normal(0, 0.7, len(target)) for _ in range(2)]
        arms = [[preds + rng.normal(0, 0.1, len(target)) for _ in range(3)] for preds in own]
        found = paired_difference("auroc", *arms, target, np.arange(len(target)))
        wrong += found.interval()["p"] < 0.05
        if repetition < COMPARED_WITH_BOOTSTRAP:
            ratios.append(found.standard_errors[1] / bootstrap(rng, arms, target))
    facts = {"actives": actives, "comparisons": repetitions, "wrong verdict": wrong / repetitions}
    return facts | {"standard error / bootstrap": float(np.mean(ratios))}


def bootstrap(rng: np.random.Generator, arms: list[list[np.ndarray]], target: np.ndarray) -> float:
    """Return the standard deviation of the mean difference in AUROC over 300 resampled test sets."""
    differences = []
    while len(differences) < 300:
        drawn = rng.integers(0, len(target), len(target))
        if 0 < target[drawn].mean() < 1:
            before, after = ([score("auroc", preds[drawn], target[drawn]) for preds in runs] for runs in arms)
            differences.append(np.mean(after) - np.mean(before))
    return float(np.std(differences, ddof=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--fast", action="store_true", help="40 repetitions: only to check that it runs")
    given = parser.parse_args()
    repetitions, rng = 40 if given.fast else given.repetitions, np.random.default_rng(0)
    cases = product(("r2", "auroc"), SEEDS, SPREADS)
    table = pd.DataFrame([shares(rng, *case, repetitions) for case in cases])
    print(table.round(3).to_string(index=False))
    rare = pd.DataFrame([few_actives(rng, actives, repetitions // 2) for actives in ACTIVES])
    print(rare.round(3).to_string(index=False))
    print(json.dumps({"table": table.round(4).to_dict("records"), "few actives": rare.round(4).to_dict("records")}))


if __name__ == "__main__":
    main()
