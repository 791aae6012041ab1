"""Which recipe is best for training a target with few labels alone? Chosen on validation labels, never on test labels.

    python benchmarks/few_labels.py [--counts 32 128] [--seeds 5] [--fast]

Trains logBB and BBB of MiniMix with the default network of `molfm.train`. As in a study, the validation labels that
choose a run's weights are reduced with its training labels. The remaining validation labels judge the recipe. Prints R²
and AUROC on these, as mean and standard deviation over seeds, and the median step of the chosen weights. The last line
is one JSON object.
"""

import argparse
import json
import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

import molfm
from molfm.training.metrics import PRIMARY, score

TARGETS = ("b3db/logBB", "b3db/BBB")
RECIPES = {
    "1,000 steps": {"steps": 1000},
    "250 steps": {"steps": 250},
    "250 steps at 2e-3": {"steps": 250, "learning_rate": 2e-3},
    "250 steps, dropout .3": {"steps": 250, "dropout": 0.3},
    "100 steps": {"steps": 100},
}


def judge(mix: molfm.Mix, target: str, count: int, seed: int, settings: dict) -> dict:
    """Train a run and return how well it predicts the validation labels that did not choose its weights."""
    batch = {target.split("/")[0]: 32}
    chosen = {"tasks": [target], "n_labels": {target: count}, "batch_size": batch, "seed": seed}
    run = molfm.train(mix, **chosen, **settings, progress=False)
    limited = mix.select([target]).limit(target, count, seed)
    left = np.setdiff1d(mix.members("val", [target]), limited.members("val", [target]))
    measured = mix.labels(target).to_numpy(float)[left]
    preds = run.model.predict(mix.molecules.smiles.iloc[left], progress=False)[target].to_numpy(float)
    metric = PRIMARY[mix.task(target).kind]
    step = run.metrics.set_index("step").val_loss.idxmin()
    facts = {"target": target, "labels": count, "metric": metric, "of": len(left)}
    return facts | {"value": score(metric, preds, measured), "step": step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="5 steps, 1 seed: only to see that it runs")
    given = parser.parse_args()
    mix = molfm.load("minimix", progress=False)
    rows = []
    for target in TARGETS:
        for count in given.counts:
            for recipe, settings in RECIPES.items():
                settings = settings | ({"steps": 5} if given.fast else {})
                seeds = range(1 if given.fast else given.seeds)
                rows += [{"recipe": recipe} | judge(mix, target, count, seed, settings) for seed in seeds]
    keys = ["target", "labels", "recipe", "metric", "of"]
    table = pd.DataFrame(rows).groupby(keys, sort=False).agg({"value": ["mean", "std"], "step": "median"})
    table.columns = ["mean", "standard deviation", "step"]
    print(table.round(3).to_string())
    print(
        json.dumps({"seeds": given.seeds, "table": json.loads(table.reset_index().round(4).to_json(orient="records"))})
    )


if __name__ == "__main__":
    main()
