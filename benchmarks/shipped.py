"""Train the checkpoints that come with molfm, and write them and their model cards to the package.

    python benchmarks/shipped.py minimix-gine [--seeds 3] [--fast]
    python benchmarks/shipped.py toymix-gine-40      # its runs are those of `toymix.py --recipe balanced --epochs 40`

The weights of seed 0 are shipped; the other seeds show the variation between runs. A card has, for every task, the test
metric of the shipped weights with a 95% interval (standard error over test constitutions). Finished runs are reused.
The last line is one JSON object.
"""

import argparse
import json
import os
import textwrap
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import pandas as pd
import toymix

import molfm
from molfm.base.files import home
from molfm.study.statistics import grouped_error
from molfm.training.metrics import COMPARED, averages
from molfm.training.run import Run

FILES = Path(__file__).parents[1] / "molfm" / "checkpoint_files"


SHOWN = {"regression": ("mae", "r2"), "binary": ("auroc",)}


def minimix(seed: int, fast: bool) -> Run:
    name = f"shipped/minimix-gine-{'fast-' if fast else ''}{seed}"
    if (home() / "runs" / name / "config.json").exists():
        run = Run(home() / "runs" / name)
        return run if run.status["state"] == "finished" else run.resume(wait=True)
    return molfm.train("minimix", epochs=1 if fast else 60, seed=seed, name=name, progress=False, **toymix.OURS)


def toymix_run(seed: int, fast: bool) -> Run:
    return Run(toymix.one("gine", "all", seed, 1 if fast else 40, "balanced"))


CHECKPOINTS = {
    "minimix-gine": (
        minimix,
        "MiniMix, included in molfm: QM9-mini (DFT), GFN2-xTB at graph, node and edge level, 179 assays of ToxCast, and "
        "measured BBB and logBB",
        "60 epochs on all tasks, molfm.train('minimix'), GINE, 4 layers of width 96",
        "The model is for molecules like those in QM9 (up to nine heavy atoms), B3DB (drug-like) and ToxCast (drugs, "
        "pesticides, industrial chemicals). BBB and logBB are one measurement, and logBB has few labels. A predicted "
        "probability is the probability of a hit in an assay, not of harm. Use the model to explore and to build on, "
        "not to decide on a drug. The "
        "split of each dataset is by scaffold. Molecules with a label in training are predicted better than the tables "
        "below show.",
    ),
    "toymix-gine-40": (
        toymix_run,
        "ToyMix (arXiv 2310.04292): QM9, ZINC12K and Tox21, all three at once",
        "40 epochs, each with a fifth of QM9, network of the preset toymix-gine (benchmarks/toymix.md, `balanced`)",
        "The splits are random, as in the paper, so test molecules have close relatives in training. Expect worse "
        "predictions on new chemistry. The labels of ZINC12K are formulas (computed logP and accessibility), not "
        "measurements. Tox21 was measured on 7,831 compounds. A predicted probability is the probability of being "
        "active in the assay, not of harm.",
    ),
}


def intervals(run: Run) -> pd.DataFrame:
    """Return one row per task and metric: the value on test, low and high, unit and label counts."""
    table, rows = run.predictions().query("split == 'test'"), []
    for task in run.model.tasks.itertuples():
        mine = table[table.task == task.task]
        preds, target = mine.preds.to_numpy(float), mine.measured.to_numpy(float)
        for metric in SHOWN[task.kind]:
            value, influence = COMPARED[metric](preds, target)
            half = 1.96 * grouped_error(influence, mine.constitution.to_numpy())
            low, high = value - half, value + half
            unit = (task.unit or "") if metric == "mae" else ""
            rows.append((task.task, task.level, metric, value, low, high, unit, task.n_train, len(mine)))
    names = ["task", "level", "metric", "value", "low", "high", "unit", "n_train", "n_test"]
    return pd.DataFrame(rows, columns=names)


def spread(runs: list[Run]) -> pd.DataFrame:
    """Return averages over the tasks of each dataset and level: mean and standard deviation over seeds."""
    parts = [averages(run.results).query("split == 'test'").assign(seed=i) for i, run in enumerate(runs)]
    keys = ["dataset", "level", "metric"]
    found = pd.concat(parts).groupby(keys, sort=False).value.agg(["mean", "std", "count"]).reset_index()
    return found[found.metric.isin(["mae_z", "r2", "auroc", "average_precision"])]


def markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown, with four significant digits."""

    def text(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(text, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def card(name: str, runs: list[Run], rows: pd.DataFrame, averages: pd.DataFrame) -> str:
    """Return the text of a model card: front matter, description, limitations and results."""
    _, data, recipe, limits = CHECKPOINTS[name]
    model, config = runs[0].model, runs[0].config
    size = sum(w.numel() for w in model.parameters())
    settings = ", ".join(f"{key} {config[key]}" for key in toymix.OURS)
    limits = textwrap.fill(limits, 120)
    return f"""---
name: {name}
data: "{data}"
network: "{config["layer"]}, {config["num_layers"]} layers of width {config["hidden_channels"]}, {size:,} parameters"
recipe: "{recipe}; {settings}; seed 0, weights with the lowest mean validation loss of the heads"
license: MIT
command: python benchmarks/shipped.py {name} --seeds {len(runs)}
---
# {name}

Trained on {data}. The data cards (`molfm.card`) give the licences and citations of the data.

## Limitations

{limits}

## Test set results, {len(runs)} seeds

Metrics are averaged over the tasks of a dataset and level. Each task is scored on its own labels. `mean` and `std`
(standard deviation) are over `count` seeds. `mae_z` is in standard deviations of the training labels.

{markdown(averages.round(4))}

## Results per task, shipped weights

`low` and `high` are the ends of the 95% interval, from a standard error over test constitutions.
This interval does not include the variation between training runs, which the table above shows. At node level, each
label belongs to one atom; at edge level, to one bond.

{markdown(rows)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(CHECKPOINTS), nargs="?", default="minimix-gine")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=FILES, help="write the checkpoint's folder here")
    parser.add_argument("--fast", action="store_true", help="one epoch, one seed, written to a separate folder")
    given = parser.parse_args()
    if given.fast:
        given.seeds, given.out = 1, home() / "shipped-fast"
    runs = [CHECKPOINTS[given.name][0](seed, given.fast) for seed in range(given.seeds)]
    rows, found = intervals(runs[0]), spread(runs)
    folder = given.out / given.name
    runs[0].model.save(folder)
    (folder / "card.md").write_text(card(given.name, runs, rows, found))
    print(found.round(4).to_string(index=False))
    print(rows.round(4).to_string(index=False))
    print(json.dumps({"name": given.name, "seeds": given.seeds, "averages": found.round(4).to_dict("records")}))


if __name__ == "__main__":
    main()
