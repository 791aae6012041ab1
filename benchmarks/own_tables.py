"""How good is `molfm fit` on strangers' tables? MoleculeACE: 30 targets of ChEMBL with their own test sets and cliffs.

    python benchmarks/own_tables.py [--targets CHEMBL1862_Ki …] [--minutes 5] [--chemprop PYTHON] [--report] [--fast]

Each target (J. Chem. Inf. Model. 62, 5938, 2022; package MoleculeACE 3.0.0, data CC BY-SA, used and not shipped) has a split
into training and test molecules, and marks molecules with an activity cliff. Arms, all of which see the same training
molecules, and the test molecules only to predict them once:

    molfm fit             what `molfm.fit(…, minutes=5)` chooses; two cores
    Morgan + forest       500 trees on Morgan counts (`study.simple_models`)
    descriptors + forest  500 trees on RDKit descriptors
    SVM + ECFP            the best method of the paper, with the hyperparameters that its authors tuned for each target
    chemprop              its command with default settings, if an environment that has it is named

The recipes of `molfm fit` were chosen on training molecules of CHEMBL2034_Ki, CHEMBL237_EC50, CHEMBL1862_Ki and CHEMBL4792_Ki
(`--report` marks them). Finished arms are kept under `$MOLFM_HOME/own_tables`, so the script resumes. `--report` prints the
tables of `own_tables.md` from what is there; the last line is one JSON object.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from zipfile import ZipFile

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import pandas as pd
import yaml
from scipy.stats import norm
from sklearn.svm import SVR

import molfm
from molfm.base.files import home, write_json
from molfm.catalog.download import fetch_pypi
from molfm.data.mix import Mix
from molfm.selection.describe import counts
from molfm.study.simple_models import descriptors, forest, morgan
from molfm.study.statistics import grouped_error
from molfm.training.metrics import rmse

PACKAGE = ("MoleculeACE==3.0.0", "c2028c9a75281eab53d3b3e7dc11cbc8ac970d008bac4a0d3927f11ac2024bdc")
DEVELOPED = ("CHEMBL2034_Ki", "CHEMBL237_EC50", "CHEMBL1862_Ki", "CHEMBL4792_Ki")
FIT, MORGAN, DESCRIPTORS, SVM, CHEMPROP = (
    "molfm fit",
    "Morgan + forest",
    "descriptors + forest",
    "SVM + ECFP",
    "chemprop",
)
_DATA = "MoleculeACE/Data/benchmark_data"
_SETTINGS = "MoleculeACE/Data/configures/benchmark/{}/SVM_ECFP.yml"


def targets() -> list[str]:
    """Return the names of all targets."""
    with ZipFile(fetch_pypi(*PACKAGE)) as wheel:
        return sorted(Path(name).stem for name in wheel.namelist() if name.startswith(_DATA) and name.endswith(".csv"))


def table_of(target: str) -> pd.DataFrame:
    """Return a target's table: smiles, y (pKi or pEC50, in -log10 M), split, cliff."""
    with ZipFile(fetch_pypi(*PACKAGE)) as wheel, wheel.open(f"{_DATA}/{target}.csv") as file:
        found = pd.read_csv(file)
    # The file has -log10 of nM.
    return pd.DataFrame({"smiles": found.smiles, "y": found.y + 9, "split": found.split, "cliff": found.cliff_mol == 1})


def published_svm(target: str) -> dict:
    """Return the hyperparameters that the paper's authors tuned for a target."""
    with ZipFile(fetch_pypi(*PACKAGE)) as wheel:
        return yaml.safe_load(wheel.read(_SETTINGS.format(target)))


# ------------------------------------------------------------------------------------------------------------------ arms


def by_fit(table: pd.DataFrame, target: str, minutes: float) -> tuple[np.ndarray, dict]:
    found = molfm.fit(
        table[["smiles", "y", "split"]],
        "y",
        split="split",
        minutes=minutes,
        name=f"ace-{target}-{minutes:g}",
        progress=False,
    )
    rows = found.predictions()
    rows = rows[rows.chosen & (rows.fold < 0)].set_index("smiles")
    keys = _keys(table[table.split == "test"].smiles)
    inside = (rows.measured >= rows.low) & (rows.measured <= rows.high)
    facts = {"chosen": found.judged[0].winner, "covered": float(inside.mean()), "left_out": found.left_out}
    facts["candidates"] = found.table.set_index("candidate").value.round(4).to_dict()
    return rows.preds.groupby(level=0).first().loc[keys].to_numpy(), facts


def _keys(smiles: pd.Series) -> list[str]:
    from molfm.chem.featurize import canonical_smiles

    return [canonical_smiles(text) for text in smiles]


def by_forest(table: pd.DataFrame, features: pd.DataFrame) -> np.ndarray:
    train, test = (table.index[table.split == part].to_numpy() for part in ("train", "test"))
    mix = _mix(table)
    return forest(mix, "y", features)(train, table.y[train].to_numpy(), test, 0)


def _mix(table: pd.DataFrame) -> Mix:
    return molfm.load(table[["smiles", "y"]], tasks=["y"], progress=False)


def by_svm(table: pd.DataFrame, target: str) -> np.ndarray:
    bits = (counts(table.smiles, "ecfp") > 0).astype(float)
    if bits.shape[1] != 1024:  # the paper's fingerprints have 1,024 bits
        bits = np.maximum(bits[:, :1024], bits[:, 1024:])
    train, test = ((table.split == part).to_numpy() for part in ("train", "test"))
    return SVR(**published_svm(target)).fit(bits[train], table.y[train]).predict(bits[test])


def by_chemprop(table: pd.DataFrame, python: str) -> np.ndarray:
    command = str(Path(python).parent / "chemprop")
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "test"):
            table[table.split == part][["smiles", "y"]].to_csv(f"{folder}/{part}.csv", index=False)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
        train = [
            "train",
            "--data-path",
            f"{folder}/train.csv",
            "--task-type",
            "regression",
            "--output-dir",
            f"{folder}/model",
        ]
        subprocess.run([command, *train, "--smiles-columns", "smiles", "--target-columns", "y"], **quiet)
        predict = ["predict", "--test-path", f"{folder}/test.csv", "--model-paths", f"{folder}/model"]
        subprocess.run([command, *predict, "--preds-path", f"{folder}/out.csv", "--smiles-columns", "smiles"], **quiet)
        made = pd.read_csv(f"{folder}/out.csv")
    return made[[name for name in made if name.startswith("pred") or name == "y"][-1]].to_numpy(float)


def run_arm(arm: str, table: pd.DataFrame, target: str, given: argparse.Namespace) -> dict:
    """Return an arm's predictions of the test molecules, and the seconds that it took."""
    begin, facts = time.monotonic(), {}
    if arm == FIT:
        preds, facts = by_fit(table, target, given.minutes)
    elif arm == MORGAN:
        preds = by_forest(table, morgan(table.smiles))
    elif arm == DESCRIPTORS:
        preds = by_forest(table, descriptors(table.smiles, progress=False))
    elif arm == SVM:
        preds = by_svm(table, target)
    else:
        preds = by_chemprop(table, given.chemprop)
    return {"preds": preds.tolist(), "seconds": time.monotonic() - begin} | facts


# ---------------------------------------------------------------------------------------------------------------- report


def scores(names: list[str], minutes: float) -> pd.DataFrame:
    """Return one row per target and finished arm: RMSE of all and of cliff molecules, difference from the forest, seconds."""
    rows = []
    for target in names:
        table, known = table_of(target), {}
        test = table[table.split == "test"]
        for arm in (FIT, MORGAN, DESCRIPTORS, SVM, CHEMPROP):
            path = _path(target, arm, minutes)
            if path.exists():
                known[arm] = json.loads(path.read_text("utf-8"))
        for arm, facts in known.items():
            value, influence = rmse(np.array(facts["preds"]), test.y.to_numpy())
            cliff, _ = rmse(np.array(facts["preds"])[test.cliff], test.y[test.cliff].to_numpy())
            row = {"target": target, "arm": arm, "n_train": (table.split == "train").sum(), "n_test": len(test)}
            row |= {"rmse": value, "cliff": cliff, "seconds": facts["seconds"], "chosen": facts.get("chosen", "")}
            row["covered"] = facts.get("covered", np.nan)
            if MORGAN in known:
                base, of_base = rmse(np.array(known[MORGAN]["preds"]), test.y.to_numpy())
                error = float(grouped_error(influence - of_base, np.arange(len(test))))
                row |= {"difference": value - base, "half": norm.isf(0.025) * error}
            rows.append(row)
    return pd.DataFrame(rows)


def _path(target: str, arm: str, minutes: float) -> Path:
    word = f"fit-{minutes:g}" if arm == FIT else arm.replace(" + ", "-")
    return home() / "own_tables" / f"{target}-{word}.json"


def show(found: pd.DataFrame) -> dict:
    """Print the tables, and return the summary."""
    wide = found.pivot(index="target", columns="arm", values="rmse")
    complete = wide.dropna(axis=1, thresh=len(wide)).columns
    ranks = wide[complete].rank(axis=1).mean()
    print(found.round(3).to_string(index=False))
    both = found.groupby("arm")[["rmse", "cliff", "seconds", "covered"]].mean()
    summary = both.assign(rank=ranks, targets=found.groupby("arm").size()).sort_values("rmse")
    print(f"\nMeans over targets; ranks among arms that all {len(wide)} targets have\n{summary.round(3).to_string()}")
    fresh = found[~found.target.isin(DEVELOPED)]
    fit = found[found.arm == FIT]
    worse = fit[fit.difference - fit.half > 0].target.tolist()
    better = fit[fit.difference + fit.half < 0].target.tolist()
    print(f"\nmolfm fit against Morgan + forest: better beyond the interval on {len(better)} targets, worse on {worse}")
    print(
        f"Without the targets that recipes were chosen on:\n{fresh.groupby('arm')[['rmse', 'cliff']].mean().round(3).to_string()}"
    )
    return {
        "targets": len(wide),
        "means": summary.round(4).reset_index().to_dict("records"),
        "better": better,
        "worse": worse,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", help="default: all 30")
    parser.add_argument("--minutes", type=float, default=5.0, help="time of each fit")
    parser.add_argument("--chemprop", help="Python of an environment with chemprop")
    parser.add_argument("--report", action="store_true", help="only print what is finished")
    parser.add_argument(
        "--fast", action="store_true", help="the smallest target and a tenth of a minute: only to check"
    )
    given = parser.parse_args()
    names = given.targets or (["CHEMBL2835_Ki"] if given.fast else targets())
    given.minutes = 0.1 if given.fast else given.minutes
    arms = (MORGAN, SVM, DESCRIPTORS, FIT, *([CHEMPROP] if given.chemprop else []))
    for target in [] if given.report else names:
        table = table_of(target)
        for arm in arms:
            path = _path(target, arm, given.minutes)
            if not path.exists():
                write_json(path, run_arm(arm, table, target, given))
                print(target, arm, f"{json.loads(path.read_text('utf-8'))['seconds']:.0f} s", flush=True)
    print(json.dumps(show(scores(names, given.minutes))))


if __name__ == "__main__":
    main()
