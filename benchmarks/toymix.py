"""The paper's ToyMix baselines: GCN, GIN and GINE, each dataset alone and all together, next to the published figures.

    python benchmarks/toymix.py [--epochs 300] [--seeds 3] [--models gcn gin gine]
        [--recipe paper|small-batches|ours|balanced] [--fast]

Without options, this command runs the paper's full recipe: 300 epochs, learning rate 1e-4 after 10 epochs of warm-up,
linear decay. It needs the official files (downloaded, or in the folder `MOLFM_MIRROR`). Fewer epochs keep the shape of
the schedule. The other recipes (see RECIPES) change neither network, data nor splits. Every run is a run folder under
`runs/toymix`; interrupted runs are resumed and finished runs are reused. Two processes of one thread each share two
cores.

Prints test-set figures at the weights of the best validation loss, as mean and standard deviation over seeds: MAE in
z-units averaged over a dataset's tasks, AUROC and average precision averaged over the assays. The last line is one JSON
object.
"""

import argparse
import json
import os
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import loky
import pandas as pd

import molfm
from molfm.base.files import home
from molfm.training.metrics import averages
from molfm.training.run import Run

DATASETS = ("qm9", "zinc12k", "tox21")
METRICS = (("qm9", "mae_z"), ("zinc12k", "mae_z"), ("tox21", "auroc"), ("tox21", "average_precision"))
PUBLISHED = {  # arXiv 2310.04292: (alone, together)
    "gcn": ((0.102, 0.119), (0.348, 0.226), (0.773, 0.850), (0.334, 0.446)),
    "gin": ((0.0976, 0.117), (0.303, 0.189), (0.789, 0.841), (0.350, 0.454)),
    "gine": ((0.0959, 0.102), (0.266, 0.147), (0.783, 0.836), (0.345, 0.455)),
}
OURS = {"learning_rate": 2e-3, "weight_decay": 1e-2, "schedule": "cosine", "warmup": 0.1, "batch_size": 128}
RECIPES = {
    "paper": {},  # the preset's own recipe
    "small-batches": {"batch_size": 17},  # as many Tox21 molecules as in a batch of 320 from all of ToyMix
    "ours": OURS,
    # An epoch has a fifth of QM9, so the small datasets come five times as often.
    "balanced": OURS | {"fractions": {"qm9": 0.2}},
}


def one(model: str, tasks: str, seed: int, epochs: int, recipe: str) -> str:
    """Train, resume or find a run, and return its folder."""
    import torch

    torch.set_num_threads(1)
    name = f"toymix/{model}-{tasks}-{recipe}-{epochs}-{seed}"
    if (home() / "runs" / name / "config.json").exists():
        run = Run(home() / "runs" / name)
        return str((run if run.status["state"] == "finished" else run.resume(wait=True)).folder)
    chosen = None if tasks == "all" else [tasks]
    common = {"tasks": chosen, "epochs": epochs, "seed": seed, "name": name, "progress": False}
    run = molfm.train("toymix", model=f"toymix-{model}", **common, **RECIPES[recipe])
    return str(run.folder)


def table(folders: dict[tuple, str]) -> pd.DataFrame:
    """Return one row per model and metric: our values alone and together, and the published ones."""
    rows = []
    for (model, tasks, seed), folder in folders.items():
        found = averages(Run(folder).results)
        found = found[(found.split == "test") & (found.level == "graph")]
        for dataset, metric in METRICS:
            value = found[(found.dataset == dataset) & (found.metric == metric)].value
            if len(value):
                side = "together" if tasks == "all" else "alone"
                rows.append((model, dataset, metric, side, seed, float(value.iloc[0])))
    every = pd.DataFrame(rows, columns=["model", "dataset", "metric", "side", "seed", "value"])
    spread = every.groupby(["model", "dataset", "metric", "side"], sort=False).value.agg(["mean", "std", "count"])
    wide = spread.unstack("side")
    out = []
    for model, dataset, metric in wide.index:
        published = PUBLISHED[model][METRICS.index((dataset, metric))]
        row = {"model": model, "dataset": dataset, "metric": metric}
        for side, figure in zip(("alone", "together"), published, strict=True):
            if ("mean", side) in wide:
                row[side] = wide.loc[(model, dataset, metric), ("mean", side)]
                row[f"{side} sd"] = wide.loc[(model, dataset, metric), ("std", side)]
            row[f"{side}, published"] = figure
        out.append(row)
    return pd.DataFrame(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=list(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument("--tasks", nargs="+", choices=[*DATASETS, "all"], default=["all", *DATASETS])
    parser.add_argument("--recipe", choices=list(RECIPES), default="paper")
    parser.add_argument("--fast", action="store_true", help="1 epoch, 1 seed, without QM9: only to check that it runs")
    given = parser.parse_args()
    if given.fast:
        given.epochs, given.seeds, given.tasks = 1, 1, ["zinc12k", "tox21"]
    molfm.load("toymix").molecules  # noqa: B018  prepare the data before the processes start
    jobs = [(m, t, s) for s in range(given.seeds) for t in given.tasks for m in given.models]
    start, folders = time.time(), {}
    with loky.ProcessPoolExecutor(loky.cpu_count()) as pool:
        futures = {pool.submit(one, *job, given.epochs, given.recipe): job for job in jobs}
        for future, job in futures.items():
            folders[job] = future.result()
            print(f"{time.time() - start:7.0f} s", *job, flush=True)
    found = table(folders)
    print(found.round(4).to_string(index=False))
    facts = {"epochs": given.epochs, "seeds": given.seeds, "recipe": given.recipe}
    print(json.dumps(facts | {"table": found.round(4).to_dict("records")}))


if __name__ == "__main__":
    main()
