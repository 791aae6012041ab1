"""How often a transfer study says "helps" or "hurts" where a source does nothing, and how often it sees what is there.

    python benchmarks/verdicts.py [--repetitions 2000] [--fast]

Predictions are drawn, nothing is trained: a target on 150 test labels in 120 constitutions, what both arms of a pair get
wrong alike, and each run's own error. `paired_interval` and `add_verdicts` are what `molfm.transfer` calls. A wrong verdict
in 5 of 100 comparisons is what 0.05 promises; of a study of ten targets, one with any wrong verdict in 5 of 100.

The last line is one JSON object.
"""

import argparse
import json

import numpy as np
import pandas as pd

from molfm.statistics import add_verdicts, paired_interval

SEEDS = (3, 5, 10)
TARGETS = 10  # of a study
LABELS, CONSTITUTIONS = 150, 120


def cell(rng: np.random.Generator, metric: str, seeds: int, gain: float) -> dict:
    """Return one comparison, in which the source makes each run's own error smaller by a part `gain`."""
    target = rng.normal(size=LABELS)
    shared = target + rng.normal(0, 0.7, LABELS)
    arms = [[shared + rng.normal(0, 0.7 * (1 - part), LABELS) for _ in range(seeds)] for part in (0.0, gain)]
    measured = target if metric == "r2" else (target > 0).astype(float)
    return paired_interval(metric, *arms, measured, rng.integers(0, CONSTITUTIONS, LABELS))


def shares(rng: np.random.Generator, metric: str, seeds: int, repetitions: int) -> dict:
    """Return how often comparisons and whole studies come to a verdict."""
    nothing = pd.DataFrame([cell(rng, metric, seeds, 0.0) for _ in range(repetitions)])
    there = pd.DataFrame([cell(rng, metric, seeds, 0.5) for _ in range(repetitions // 4)])
    studies = [add_verdicts(nothing[i : i + TARGETS].assign(verdict=None)) for i in range(0, repetitions, TARGETS)]
    wrong = [(study.verdict != "cannot tell").any() for study in studies]
    return {
        "metric": metric,
        "seeds": seeds,
        "comparisons": repetitions,
        "wrong verdict": (nothing.p < 0.05).mean(),
        "studies of ten": len(studies),
        "any wrong verdict": np.mean(wrong),
        "half the error gone, seen": (there.p < 0.05).mean(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--fast", action="store_true", help="40 repetitions: only to see that it runs")
    given = parser.parse_args()
    repetitions, rng = 40 if given.fast else given.repetitions, np.random.default_rng(0)
    table = pd.DataFrame([shares(rng, metric, seeds, repetitions) for metric in ("r2", "auroc") for seeds in SEEDS])
    print(table.round(3).to_string(index=False))
    print(json.dumps({"table": table.round(4).to_dict("records")}))


if __name__ == "__main__":
    main()
