"""How often a transfer study says "helps" or "hurts" where a source does nothing, and how often it sees what is there.

    python benchmarks/verdicts.py [--repetitions 2000] [--fast]

Predictions are drawn, nothing is trained: a target on 150 test labels in 120 constitutions, what both arms of a pair get
wrong alike, and each run's own error, either from label to label only or, as seeds do it, with some runs better than others
throughout. `paired_interval` and `add_verdicts` are what `molfm.transfer` calls. A wrong verdict in 5 of 100 comparisons is
what 0.05 promises; of a study of ten targets, one with any wrong verdict in 5 of 100.

The interval counts an error from label to label twice, in its seeds and in its test set, and so promises less than it keeps
there; where some runs are better than others, the seeds alone know of it.

A second table has test sets with few actives among 150 inactives, where each arm has learned something else that every seed
knows and that tells nothing of activity: what the bootstrap over test molecules is there for. It says how many actives a
verdict needs (`statistics.FEWEST`).

The last line is one JSON object.
"""

import argparse
import json
from itertools import product

import numpy as np
import pandas as pd

from molfm.study.statistics import add_verdicts, paired_interval

SEEDS = (3, 5, 10)
TARGETS = 10  # of a study
LABELS, CONSTITUTIONS = 150, 120
ACTIVES = (1, 2, 3, 5, 10, 20, 40)
SPREADS = {
    "labels": 0.0,
    "runs": 0.5,
}  # what a run's own error varies by: standard deviation of its logarithm over runs


def cell(rng: np.random.Generator, metric: str, seeds: int, spread: float, gain: float) -> dict:
    """Return one comparison, in which the source makes each run's own error smaller by a part `gain`."""
    target = rng.normal(size=LABELS)
    shared = target + rng.normal(0, 0.7, LABELS)
    sizes = 0.7 * np.exp(rng.normal(0, spread, (2, seeds))) * np.array([[1.0], [1 - gain]])
    arms = [[shared + rng.normal(0, size, LABELS) for size in of] for of in sizes]
    measured = target if metric == "r2" else (target > 0).astype(float)
    return paired_interval(metric, *arms, measured, rng.integers(0, CONSTITUTIONS, LABELS))


def shares(rng: np.random.Generator, metric: str, seeds: int, spread: str, repetitions: int) -> dict:
    """Return how often comparisons and whole studies come to a verdict."""
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
    """Return how often a verdict is wrong with so many actives in the test set; an AUROC, three seeds."""
    target, wrong = np.repeat([1.0, 0.0], [actives, LABELS]), 0
    for _ in range(repetitions):
        shared = target + rng.normal(size=len(target))
        own = [shared + rng.normal(0, 0.7, len(target)) for _ in range(2)]
        arms = [[preds + rng.normal(0, 0.1, len(target)) for _ in range(3)] for preds in own]
        wrong += paired_interval("auroc", *arms, target, np.arange(len(target)))["p"] < 0.05
    return {"actives": actives, "comparisons": repetitions, "wrong verdict": wrong / repetitions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--fast", action="store_true", help="40 repetitions: only to see that it runs")
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
