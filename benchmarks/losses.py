"""Do other losses than the defaults pay off: mse or huber in place of mae, focal in place of bce?

    python benchmarks/losses.py [--seeds 6] [--fast]

Small networks, trained alone, with each loss on the same paired seeds (initial weights, choice and order of labels):

- logBB of MiniMix with all its training labels and with 128;
- BBB with all its training labels and with 128;
- the assays of ToxCast with less than 5% actives among their training labels, trained together; the mean over those
  whose test set has enough molecules of both classes for a verdict.

The loss also picks the best weights in validation, as in every run. Prints test metrics and the interval of their
difference from the default loss; for average precision and the cross-entropy of the predicted probabilities, which shows
how well they are calibrated, over seeds alone. The last line is one JSON object.
"""

import argparse
import json
import os
from itertools import product

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.metrics import log_loss
from torch import Tensor

import molfm
from molfm.study.pairs import tested_tables
from molfm.study.statistics import Difference, intervals, mean_of, paired_difference, too_few
from molfm.training.losses import LOSSES
from molfm.training.metrics import COMPARED, score

NETWORK = {"hidden_channels": 32, "num_layers": 3, "learning_rate": 2e-3}
VALIDATIONS = 8  # per run; more would take longer than the training
RARE = 0.05  # share of actives below which an assay counts as imbalanced
CASES = {  # name -> tasks (None: the imbalanced assays), number of training labels (None: all), settings
    "logBB, all labels": (["b3db/logBB"], None, {"steps": 240, "batch_size": 32}),
    "logBB, 128 labels": (["b3db/logBB"], 128, {"steps": 120, "batch_size": 32}),
    "BBB, all labels": (["b3db/BBB"], None, {"steps": 240, "batch_size": 64}),
    "BBB, 128 labels": (["b3db/BBB"], 128, {"steps": 120, "batch_size": 32}),
    "imbalanced assays of ToxCast": (None, None, {"steps": 600, "batch_size": 64}),
}
ARMS = {"regression": ("mae", "mse", "huber"), "binary": ("bce", "focal")}  # the first is the default
METRICS = {"regression": ("r2", "mae"), "binary": ("auroc", "average_precision", "cross_entropy")}


def huber(raw: Tensor, target: Tensor) -> Tensor:
    """Return error² / 2 up to one standard deviation of the training labels, then |error| - 1/2 (Huber, 1964)."""
    return F.huber_loss(raw[:, 0], target, reduction="none", delta=1.0)


def imbalanced(mix: molfm.Mix) -> list[str]:
    """Return the assays of ToxCast that have few actives among their training labels."""
    table = mix.tasks
    return table.task[(table.dataset == "toxcast") & (table.positive_rate < RARE)].tolist()


def difference(
    metric: str, tasks: list[str], default: list[dict[str, pd.DataFrame]], other: list[dict[str, pd.DataFrame]]
) -> Difference:
    """Return the difference of a metric, averaged over tasks, between the tested tables of two losses."""
    found = []
    for task in tasks:
        first = default[0][task]
        arms = ([tables[task].preds.to_numpy() for tables in arm] for arm in (default, other))
        found.append(paired_difference(metric, *arms, first.measured.to_numpy(), first.constitution.to_numpy()))
    return mean_of(found)


def over_seeds(
    metric: str, tasks: list[str], default: list[dict[str, pd.DataFrame]], other: list[dict[str, pd.DataFrame]]
) -> dict[str, float]:
    """Return the same with an interval over seeds alone, for a metric whose error over test sets is not known."""

    def values(arm: list[dict[str, pd.DataFrame]]) -> np.ndarray:
        return np.array(
            [np.mean([value(tables[task].preds, tables[task].measured) for task in tasks]) for tables in arm]
        )

    def value(preds: pd.Series, measured: pd.Series) -> float:
        return log_loss(measured, preds, labels=[0, 1]) if metric == "cross_entropy" else score(metric, preds, measured)

    before, after = values(default), values(other)
    spread, n = (after - before).std(ddof=1), len(before)
    found = intervals(before.mean(), after.mean(), spread / np.sqrt(n), np.float64(0), n)
    return {name: float(value) for name, value in found.items()}


def compare(mix: molfm.Mix, name: str, seeds: int, fast: bool) -> list[dict]:
    """Train one case with every loss and return a row per loss and metric."""
    tasks, count, settings = CASES[name]
    tasks, settings = tasks or imbalanced(mix), {**NETWORK, **settings} | ({"steps": 5} if fast else {})
    settings["validate_every"] = max(1, settings["steps"] // VALIDATIONS)
    kind = mix.task(tasks[0]).kind
    arms = {}
    for loss in ARMS[kind]:
        arms[loss] = []
        for seed in range(seeds):
            limit = None if count is None else dict.fromkeys(tasks, count)
            chosen = {"tasks": tasks, "n_labels": limit, "seed": seed, "losses": {kind: loss}}
            run = molfm.train(mix, **chosen, **settings, progress=False)
            arms[loss].append(tested_tables(run.folder, tasks))
    first = next(iter(arms.values()))[0]
    judged = [task for task in tasks if too_few(kind, first[task].measured, first[task].constitution) is None]
    default, *others = arms
    rows = []
    for metric, loss in product(METRICS[kind], others):
        given = metric, judged, arms[default], arms[loss]
        found = difference(*given).interval() if metric in COMPARED else over_seeds(*given)
        facts = {"case": name, "tasks": len(judged), "metric": metric, "loss": loss, "default": default}
        rows.append(facts | found)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--fast", action="store_true", help="5 steps, 2 seeds: only to see that it runs")
    given = parser.parse_args()
    if given.fast:
        given.seeds = 2
    torch.set_num_threads(1)
    LOSSES["regression"]["huber"] = huber  # molfm does not have it: it bought nothing here
    mix = molfm.load("minimix", progress=False)
    rows = []
    for name in CASES:
        rows += compare(mix, name, given.seeds, given.fast)
        print(f"{name}: done", flush=True)
    table = pd.DataFrame(rows).round(4)
    print(table.to_string())
    print(json.dumps({"seeds": given.seeds, "table": json.loads(table.to_json(orient="records"))}))


if __name__ == "__main__":
    main()
