"""What does a hyperparameter search buy, and what does ending trials early save?

    python benchmarks/tuning.py [--task logBB] [--trials 20] [--epochs 60] [--seeds 3] [--fast]

Two searches over the default space with the same seed, one that ends hopeless trials early and one that finishes all. Then the
best settings of each and the default are trained with further seeds, because the best of many trials of one seed is partly
luck: the table has test R² (or AUROC) per seed. The last line is one JSON object.
"""

import argparse
import json
import time

import pandas as pd

import molfm
from molfm.training.metrics import PRIMARY


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="logBB", help="task of minimix")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3, help="further seeds of the chosen settings")
    parser.add_argument("--fast", action="store_true", help="2 trials of 1 epoch: only to check that it runs")
    given = parser.parse_args()
    trials, epochs, seeds = (2, 1, 1) if given.fast else (given.trials, given.epochs, given.seeds)
    data = molfm.load("minimix", progress=False).select([given.task])
    [task], facts, chosen = data.tasks.to_dict("records"), {}, {"default": {"epochs": epochs}}
    for how, prune in (("all trials finished", False), ("hopeless trials ended early", True)):
        name = f"benchmark-{given.task}-{trials}-{epochs}-{'pruned' if prune else 'all'}"
        begin = time.monotonic()
        found = molfm.tune(data, n_trials=trials, prune=prune, epochs=epochs, name=name)
        facts[how] = {"seconds": round(time.monotonic() - begin), "training seconds": round(found.table.seconds.sum())}
        facts[how] |= {"states": found.table.state.value_counts().to_dict(), "best": found.table.val_loss.min()}
        facts[how] |= {"default": found.table.val_loss[found.table.default].min(), "settings": found.settings}
        chosen[how] = {name: value for name, value in found.settings.items() if name != "seed"}
    rows = []
    for how, settings in chosen.items():
        for seed in range(1, seeds + 1):
            run = molfm.train(data, seed=seed, progress=False, **settings)
            results = run.results[run.results.metric == PRIMARY[task["kind"]]].set_index("split").value
            rows.append(
                {"settings": how, "seed": seed, "val_loss": run.metrics.val_loss.min(), "test": results["test"]}
            )
    table = pd.DataFrame(rows)
    print(table.round(4).to_string(index=False))
    print(table.groupby("settings", sort=False)[["val_loss", "test"]].agg(["mean", "std"]).round(4).to_string())
    print(json.dumps(facts | {"runs": rows}, default=float))


if __name__ == "__main__":
    main()
