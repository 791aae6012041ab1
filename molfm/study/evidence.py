"""What stands behind one comparison of a study: learning curves, molecules that gained and lost, and its worth in labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from molfm.data.mix import Mix
from molfm.study.comparison import Comparison
from molfm.study.pairs import tested_tables
from molfm.study.simple_models import descriptors, labelled, morgan, reference_values
from molfm.study.statistics import LESS_IS_BETTER
from molfm.training.curves import read_metrics, task_curve
from molfm.training.metrics import auroc

SIMPLE = ("random forest, fingerprints", "random forest, descriptors")  # models that `simple_baselines` trains


class Worth(NamedTuple):
    """How many further labels of the target would be worth as much as a source.

    labels, low, high: the number and its 95% interval; NaN where it cannot be said.
    why: why no number can be said; "" if it can.
    """

    labels: float
    low: float
    high: float
    why: str


def labels_worth(counts: Sequence[int], alone: Sequence[float], row: pd.Series) -> Worth:
    """Return how many labels a source is worth, read off the curve of the target alone.

    The curve is interpolated between measured numbers of labels, on a logarithmic axis, and never beyond them.

    Args:
        counts: increasing numbers of training labels.
        alone: the metric of the target alone at each.
        row: a row of `Comparison.table` at one of these counts.
    """

    def no(why: str) -> Worth:
        return Worth(np.nan, np.nan, np.nan, why)

    if len(counts) < 2:
        return no("the target alone was trained with one number of labels only")
    if row.verdict == "cannot tell":
        return no("the difference cannot be told from 0")
    if row.verdict != "helps":
        return no("the source does not help")
    here = int(np.searchsorted(counts, row.n_labels))
    if here == len(counts) - 1:
        return no(f"nothing was measured with more than {row.n_labels:,} labels")
    up = -1 if row.metric in LESS_IS_BETTER else 1
    later = up * np.asarray(alone[here:], float)
    if later.max() <= later[0]:
        return no("with more labels, the target alone is not better")
    ends = sorted([row.low, row.high], key=lambda gain: up * gain)
    found = [_labels_for(up * (row.baseline + gain), counts[here:], later) for gain in (row.difference, *ends)]
    if np.isnan(found[0]):
        return no(f"it is worth more than {counts[-1] - row.n_labels:,} labels, the most that was measured")
    return Worth(*(n - row.n_labels for n in found), "")


def _labels_for(value: float, counts: Sequence[int], alone: np.ndarray) -> float:
    """Return where a curve first reaches a value; NaN if it never does."""
    if value <= alone[0]:
        return float(counts[0])
    for i in range(1, len(counts)):
        if alone[i] >= value:
            share = (value - alone[i - 1]) / (alone[i] - alone[i - 1])
            return float(np.exp(np.log(counts[i - 1]) + share * np.log(counts[i] / counts[i - 1])))
    return np.nan


def arm_folders(
    result: Comparison, target: str, source: str, regime: str, n_labels: int
) -> tuple[list[str], list[str]]:
    """Return the run folders of the target alone, and with the source, paired by seed."""
    alone = result.arm(target, "", "alone", n_labels).set_index("seed").folder
    other = result.arm(target, source, regime, n_labels).set_index("seed").folder
    seeds = [seed for seed in sorted(other.index) if seed in alone.index]
    return alone[seeds].tolist(), other[seeds].tolist()


def curves(result: Comparison, targets: Sequence[str], folders: Sequence[str]) -> pd.DataFrame:
    """Return the validation metric through training, averaged over targets: one row per run and validation.

    Columns: seed (place of the folder), step and value.
    """
    kinds, parts = {target: result.mix.task(target).kind for target in targets}, []
    for seed, folder in enumerate(folders):
        metrics = read_metrics(Path(folder))
        values = task_curve(metrics, kinds)
        if values.notna().any():
            parts.append(pd.DataFrame({"seed": seed, "step": metrics.step, "value": values}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["seed", "step", "value"])


def changed_molecules(result: Comparison, target: str, alone: Sequence[str], other: Sequence[str]) -> pd.DataFrame:
    """Return the test molecules of a target, those that gained most first.

    Args:
        result: the study.
        target: id of the target.
        alone, other: run folders of the two arms, paired by seed.

    Returns:
        One row per test label: mol_id, measured, alone, other and gain, averaged over seeds. For a regression task,
        alone and other are predictions, and the gain is by how much the absolute error fell. For a binary task, they are
        the share of test molecules of the other class that are ranked on the right side of this one, and the gain is its
        rise. The mean of these shares over a class is the AUROC.
    """
    binary = result.mix.task(target).kind == "binary"
    arms = []
    for folders in (alone, other):
        tables = [tested_tables(folder, [target])[target] for folder in folders]
        tables = [table[table.split == "test"] for table in tables]
        preds = [table.preds.to_numpy() for table in tables]
        measured = tables[0].measured.to_numpy()
        values = [_ranked(of, measured) for of in preds] if binary else preds
        error = [1 - of for of in values] if binary else [np.abs(of - measured) for of in preds]
        arms.append((np.mean(values, axis=0), np.mean(error, axis=0)))
    (before, wrong_before), (after, wrong_after) = arms
    found = pd.DataFrame({"mol_id": tables[0].mol_id.to_numpy(), "measured": measured, "alone": before, "other": after})
    return found.assign(gain=wrong_before - wrong_after).sort_values("gain", ascending=False, ignore_index=True)


def _ranked(preds: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return the share of labels of the other class on the right side of each label, (n,), from its influence."""
    value, influence = auroc(preds, measured)
    positive = measured == 1
    return value + influence * np.where(positive, positive.sum(), (~positive).sum())


def simple_features(mix: Mix, targets: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return fingerprints and RDKit's descriptors of all molecules with a label of some targets, by model of `SIMPLE`.

    Descriptors take some milliseconds per molecule.
    """
    smiles = pd.concat([labelled(mix, target) for target in targets])
    smiles = smiles[~smiles.index.duplicated()]
    return {SIMPLE[0]: morgan(smiles), SIMPLE[1]: descriptors(smiles, progress=False)}


def simple_baselines(
    mix: Mix, target: str, runs: Sequence[tuple[int, int]], features: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Train random forests on the labels of some runs of a target alone.

    Args:
        mix: the data.
        target: id of the target.
        runs: (n_labels, seed) of each run.
        features: `simple_features` of this target, and of others if you like.

    Returns:
        Name of the model -> n_labels, seed and value (test metric).
    """
    columns = ["target", "n_labels", "seed", "value"]
    return {
        name: pd.DataFrame(reference_values(mix, target, runs, of, progress=False), columns=columns).drop(
            columns="target"
        )
        for name, of in features.items()
    }
