"""How often does a study of trained networks say that a source of noise helps or hurts?

    python benchmarks/noise.py [--targets b3db/logBB b3db/BBB] [--seeds 20] [--fast]

The sources are three columns of random numbers, one number for each molecule of B3DB. The targets are logBB and BBB
with 128 labels. The study is trained once, with many seeds. A repetition asks what a study with three or five of these
seeds would have said, at p < .05 without correction. "other seeds" compares the target alone with itself under other
seeds, unpaired: there can be no difference, so every verdict is wrong. Noise probably makes no difference, but training
on it is more training. Its mean effect on this target's test set, over all seeds and columns, is printed too, with the
standard error over seeds.

Repetitions share runs. Twenty seeds make six separate studies of three seeds or four of five for each column (half as
many for "other seeds"), so the shares are only as certain as that. The last line is one JSON object.
"""

import argparse
import json
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

import molfm
from molfm.base.files import home
from molfm.study.statistics import paired_difference
from molfm.training.metrics import PRIMARY, score

TARGETS = ("b3db/logBB", "b3db/BBB")
COLUMNS = ("first", "second", "third")
BUDGET = {"n_labels": 128, "steps": 300, "regimes": ["cotrain", "finetune"]}
OF = (3, 5)  # numbers of seeds in a repetition


def mix_with_noise(folder: Path) -> molfm.Mix:
    """Return a mix of B3DB and the dataset `noise`, whose card and table are written to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"smiles": molfm.load("b3db", progress=False).molecules.smiles})
    drawn = np.random.default_rng(0).normal(size=(len(table), len(COLUMNS)))
    table.join(pd.DataFrame(drawn, columns=COLUMNS)).to_csv(folder / "noise.csv", index=False)
    tasks = "\n".join(f"  {name}: {{}}" for name in COLUMNS)
    source = "sources:\n  - {location: 'file:noise.csv'}"
    (folder / "noise.md").write_text(f"---\nname: noise\n{source}\ntasks:\n{tasks}\n---\nDrawn numbers.\n")
    split = "split: scaffold\nfractions: [0.6, 0.15, 0.25]"
    (folder / "with_noise.md").write_text(f"---\nname: with_noise\ndatasets: [b3db, noise]\n{split}\n---\nB3DB.\n")
    return molfm.load(folder / "with_noise.md", progress=False)


def test_predictions(arm: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the predictions (seeds, labels) of runs of one target on its test set, and the table of the first run."""
    target = arm.target.iloc[0]
    tables = [molfm.Run(folder).predictions() for folder in arm.folder]
    tables = [table[(table.task == target) & (table.split == "test")] for table in tables]
    tables = [table.sort_values("mol_id") for table in tables]
    return np.stack([table.preds for table in tables]).astype(float), tables[0]


def shares(result: molfm.TransferResult, target: str, regime: str, repetitions: int) -> list[dict]:
    """Return how often studies reach a verdict, one row per number of seeds; "other seeds": see the module's text."""
    rng, metric = np.random.default_rng(0), PRIMARY[result.mix.task(target).kind]
    alone, of = test_predictions(result.arm(target, "", "alone"))
    measured, groups = of.measured.to_numpy(float), of.constitution.to_numpy()
    arms = [alone]
    if regime != "other seeds":
        arms = [test_predictions(result.arm(target, f"noise/{name}", regime))[0] for name in COLUMNS]
    before, *after = np.array([[score(metric, preds, measured) for preds in arm] for arm in [alone, *arms]])
    differences = np.mean(after, axis=0) - before  # mean over sources, because they share the baseline of a seed
    facts = {"target": target, "metric": metric, "regime": regime, "alone": before.mean()}
    if regime != "other seeds":
        error = differences.std(ddof=1) / np.sqrt(len(differences))
        facts |= {"difference": differences.mean(), "its standard error": error}
    rows = []
    for n in OF:
        found = []
        for arm in arms:
            for _ in range(repetitions // len(arms)):
                chosen = rng.permutation(len(alone))
                mine, theirs = (chosen[:n], chosen[n : 2 * n]) if regime == "other seeds" else (chosen[:n],) * 2
                found.append(paired_difference(metric, alone[mine], arm[theirs], measured, groups).interval())
        said = pd.DataFrame(found)
        helps, hurts = ((said.p < 0.05) & (sign * said.difference > 0) for sign in (1, -1))
        rows.append(facts | {"seeds": n, "repetitions": len(said), "helps": helps.mean(), "hurts": hurts.mean()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=TARGETS, choices=TARGETS)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--fast", action="store_true", help="5 steps, 10 seeds: only to check that it runs")
    given = parser.parse_args()
    if given.seeds < 2 * max(OF):
        parser.error(
            f"--seeds: expected {2 * max(OF)} or more, to compare {max(OF)} with {max(OF)}, found {given.seeds}."
        )
    budget = BUDGET | ({"steps": 5, "seeds": 10} if given.fast else {"seeds": given.seeds})
    mix = mix_with_noise(home() / "noise")
    result = molfm.transfer(mix, given.targets, [f"noise/{name}" for name in COLUMNS], **budget)
    cases = [(target, regime) for target in given.targets for regime in ("other seeds", *BUDGET["regimes"])]
    rows = [row for case in cases for row in shares(result, *case, 12 if given.fast else 240)]
    table = pd.DataFrame(rows)
    print(table.round(4).to_string(index=False))
    print(json.dumps({"settings": result.settings, "table": json.loads(table.round(5).to_json(orient="records"))}))


if __name__ == "__main__":
    main()
