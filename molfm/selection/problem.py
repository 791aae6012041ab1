"""What a fit is asked: the labels of each target, one per molecule, and the folds that all candidates share."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from molfm.base.errors import InputError
from molfm.base.files import whole, write_json
from molfm.catalog.schema import Task
from molfm.chem.identity import tautomer_hashes
from molfm.data.groups import connected
from molfm.data.mix import Mix
from molfm.data.split_method import read_method
from molfm.selection.folds import K, deal

METRIC = {"regression": "rmse", "binary": "auroc"}  # kind of task -> the metric that chooses
FEWEST_LABELS, FEWEST_OF_CLASS = (
    20,
    5,
)  # labelled molecules, and those of the rarer class, below which nothing is fitted
LARGE = 5_000  # labelled molecules from which a test set is held out
TEST_SHARE = 0.2  # of the molecules of a large table


@dataclass(frozen=True)
class Target:
    """The labels of one target, one per molecule; several measurements of a molecule are averaged.

    Attributes:
        task: the task.
        row: (n,) numbers of the molecules among those of the problem.
        y: (n,) labels; for a binary target 0 or 1, by majority.
        weight: (n,) weights in training.
        side: (n,) int8, 0 for a measured value, -1 (1) if the true value is at most (at least) `y`.
        fold: (n,) the fold of each molecule, -1 in the test set.
        constitution: (n,) hash, equal for stereoisomers and salts of one parent.
        repeated: molecules with several measurements.
        noise: standard deviation of repeated measurements (regression), or the share that disagree (binary); NaN if none.
        tied: molecules of a binary target that were left out, because as many measurements say 0 as 1.
    """

    task: Task
    row: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    side: np.ndarray
    fold: np.ndarray
    constitution: np.ndarray
    repeated: int
    noise: float
    tied: int

    @property
    def metric(self) -> str:
        """The metric that chooses: rmse, or auroc for a binary target."""
        return METRIC[self.task.kind]

    @property
    def binary(self) -> bool:
        """Whether the target has two classes."""
        return self.task.kind == "binary"

    @cached_property
    def scored(self) -> np.ndarray:
        """(n,) bool, the labels that count in scores: measured ones, not those at a limit."""
        return self.side == 0

    @property
    def n_test(self) -> int:
        """The number of labels of the test set."""
        return int((self.fold < 0).sum())


@dataclass(frozen=True)
class Problem:
    """Targets with their folds.

    Attributes:
        name: what the data is called.
        smiles: SMILES of all molecules with a label of a target.
        ids: their ids; "" where a table has none.
        targets: the targets, in the order in which they were named.
        k: number of folds.
        how: how the folds were made, in words.
        notes: what a reader should know about folds and labels, in sentences.
        mix: the data, with the targets only; None in a fit that was opened again.
        molecule: (n,) numbers of the molecules in the mix.
    """

    name: str
    smiles: list[str]
    ids: list[str]
    targets: tuple[Target, ...]
    k: int
    how: str
    notes: tuple[str, ...]
    mix: Mix | None = None
    molecule: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.smiles)

    @cached_property
    def fold(self) -> np.ndarray:
        """(n,) the fold of each molecule, -1 in the test set."""
        found = np.full(len(self), -1, np.int8)
        for target in self.targets:
            found[target.row] = target.fold
        return found

    @cached_property
    def digest(self) -> str:
        """A hash of structures, labels, weights and folds."""
        found = hashlib.sha256("\n".join(self.smiles).encode())
        for target in self.targets:
            found.update(target.task.id.encode())
            for array in (target.row, target.y, target.weight, target.side, target.fold):
                found.update(np.ascontiguousarray(array))
        return found.hexdigest()

    def save(self, folder: Path) -> None:
        """Write molecules.parquet and labels.parquet, and what else `read_problem` needs, into a folder."""
        parts = [
            pd.DataFrame({name: getattr(target, name) for name in _LABEL_COLUMNS}).assign(target=number)
            for number, target in enumerate(self.targets)
        ]
        for name, table in (
            ("molecules", pd.DataFrame({"smiles": self.smiles, "id": self.ids})),
            ("labels", pd.concat(parts)),
        ):
            with whole(folder / f"{name}.parquet") as temporary:
                table.to_parquet(temporary, index=False)
        facts = {"name": self.name, "k": self.k, "how": self.how, "notes": list(self.notes)}
        targets = [asdict(target.task) | {name: getattr(target, name) for name in _FACTS} for target in self.targets]
        write_json(folder / "problem.json", facts | {"targets": targets})


_LABEL_COLUMNS = ("row", "y", "weight", "side", "fold", "constitution")
_FACTS = ("repeated", "noise", "tied")


def read_problem(folder: Path) -> Problem:
    """Read what `Problem.save` wrote."""
    facts = json.loads((folder / "problem.json").read_text("utf-8"))
    labels = dict(tuple(pd.read_parquet(folder / "labels.parquet").groupby("target")))
    targets = []
    for number, given in enumerate(facts.pop("targets")):
        own = {name: given.pop(name) for name in _FACTS}
        task = Task(**given | {"class_names": tuple(given["class_names"])})
        targets.append(Target(task, **{name: labels[number][name].to_numpy() for name in _LABEL_COLUMNS}, **own))
    table = pd.read_parquet(folder / "molecules.parquet")
    smiles, ids = table.smiles.tolist(), table.id.tolist()
    return Problem(facts["name"], smiles, ids, tuple(targets), facts["k"], facts["how"], tuple(facts["notes"]))


def names_test(split: str | None) -> bool:
    """Return whether a split says which molecules are the test set, and not only which belong together."""
    method = read_method(split or "scaffold")
    return method.folds > 0 or method.name in ("official", "time", "column")


def make_problem(
    mix: Mix, targets: Sequence[str], split: str | None, seed: int = 0, folds: np.ndarray | None = None
) -> Problem:
    """Collect the labels of targets, and divide their molecules into folds.

    Args:
        mix: the data; its split is used where `split` names a test set.
        targets: names of regression or binary tasks at graph level.
        split: the split that the user named, see `molfm.load`; None for scaffold.
        seed: random seed of the folds.
        folds: (n_molecules,) folds that are made already, of a split by clusters or groups; None to make them here.

    Raises:
        UnknownName: there is no such task.
        ValueError: a target is of another kind or level, has too few labels, or equal ones; or the split leaves no folds.
    """
    mix, notes = mix.select(list(targets)), []
    for task in mix.chosen:
        if task.kind not in METRIC or task.level != "graph":
            raise InputError(
                f"A target must be a regression or binary task at graph level; {task.id} is {task.kind} at {task.level} level."
            )
    raw = [_labels(mix, number, notes) for number in range(len(mix.chosen))]
    labelled = np.unique(np.concatenate([found["molecule"] for found in raw]))
    test, how_test = _test_set(mix, raw, labelled, split)
    if folds is not None:
        groups, how = folds[labelled], f"whole groups of {split!r} stay together"
    else:
        groups, how = _groups(mix, labelled, split, notes)
    for found, task in zip(raw, mix.chosen, strict=True):
        _check(task, found["y"][~np.isin(found["molecule"], test)], "" if not len(test) else " outside the test set")
    fold = np.full(len(mix), -2, np.int8)
    if how_test is None and len(labelled) >= LARGE:
        parts = deal(groups, _shares(raw, labelled), round(1 / TEST_SHARE), seed + 1)
        test, how_test = labelled[parts == 0], f"whole groups with {TEST_SHARE:.0%} of the molecules"
    here = ~np.isin(labelled, test)
    # A rare class needs two groups per fold; folds without it could not be scored.
    k = K
    if len(np.unique(groups[here])) < 2:
        raise InputError(
            f"{mix.name}: all molecules are one group ({how}), so there is nothing to compare. Use split='random'."
        )
    k = min(k, len(np.unique(groups[here])))
    fold[labelled[here]] = deal(groups[here], _shares(raw, labelled)[here], k, seed)
    fold[test] = -1
    _warn_of_uneven(mix, raw, fold, k, notes)
    made = []
    for task, found in zip(mix.chosen, raw, strict=True):
        molecule = found.pop("molecule")
        identity = {"fold": fold[molecule], "constitution": mix.constitution[molecule]}
        made.append(Target(task, np.searchsorted(labelled, molecule), **identity, **found))
    text = f"{k} folds; {how}" + (f"; test set: {how_test}" if how_test else "")
    molecules = mix.molecules.iloc[labelled]
    named = [name for name in molecules if name.startswith("id:")]
    ids = molecules[named[0]].fillna("").tolist() if named else [""] * len(molecules)
    return Problem(mix.name, molecules.smiles.tolist(), ids, tuple(made), k, text, tuple(notes), mix, labelled)


def _labels(mix: Mix, number: int, notes: list[str]) -> dict:
    """Return the labels of one task, one per molecule: the fields of `Target` that need no folds."""
    task = mix.chosen[number]
    molecule, _, _, value = mix.label_triples(number)
    side, weight = mix.label_extras(number)
    value, usable = value.astype(float), np.isfinite(value) & (weight > 0)
    exact = np.zeros(len(mix), bool)
    exact[molecule[usable & (side == 0)]] = True
    usable &= (side == 0) | ~exact[molecule]  # a measured value says more than a limit
    molecule, value, weight, side = (array[usable] for array in (molecule, value, weight, side))
    names, first, place, times = np.unique(molecule, return_index=True, return_inverse=True, return_counts=True)
    total = np.bincount(place, weight)
    mean = np.bincount(place, value * weight) / np.maximum(total, 1e-12)
    several = times > 1
    if task.kind == "binary":
        noise = float(((mean > 0) & (mean < 1))[several].mean()) if several.any() else np.nan
        tied = mean == 0.5
        y, keep = (mean > 0.5).astype(float), ~tied
    else:
        square = np.bincount(place, (value - mean[place]) ** 2)[several].sum()
        noise = float(np.sqrt(square / (times[several] - 1).sum())) if several.any() else np.nan
        tied, y, keep = np.zeros(len(names), bool), mean, np.ones(len(names), bool)
    if tied.any():
        notes.append(
            f"{task.name}: {tied.sum()} molecules were left out, because as many of their measurements say 0 as 1."
        )
    if (limits := int((side[first][keep] != 0).sum())) > 0:
        what = "1 label is a limit" if limits == 1 else f"{limits:,} labels are limits"
        notes.append(
            f"{task.name}: {what}, such as >50. Networks learn limits as limits, other candidates as values. They do not count "
            "in scores."
        )
    return {
        "molecule": names[keep],
        "y": y[keep],
        "weight": (total / times)[keep].astype(np.float32),
        "side": side[first][keep],
        "repeated": int(several.sum()),
        "noise": noise,
        "tied": int(tied.sum()),
    }


def _check(task: Task, y: np.ndarray, where: str) -> None:
    """Raise ValueError if labels (n,) are too few or too equal to fit and score anything."""
    if len(y) < FEWEST_LABELS:
        raise InputError(
            f"{task.id} has {len(y)} labelled molecules{where}; a fit needs at least {FEWEST_LABELS}. With fewer, any score is "
            "chance: measure more, or add a task with more labels."
        )
    if task.kind == "regression" and np.ptp(y) == 0:
        raise InputError(f"{task.id} is {y[0]:g} for all {len(y)} molecules{where}: there is nothing to learn.")
    rarest = int(min((y == 0).sum(), (y == 1).sum())) if task.kind == "binary" else len(y)
    if rarest < FEWEST_OF_CLASS:
        raise InputError(
            f"{task.id} has only {rarest} molecules of its rarer class{where}; a fit needs at least {FEWEST_OF_CLASS}."
        )


def _test_set(mix: Mix, raw: list[dict], labelled: np.ndarray, split: str | None) -> tuple[np.ndarray, str | None]:
    """Return the molecules of a named test set and how it was named; none, and None, if the split names none."""
    if not names_test(split):
        return np.zeros(0, int), None
    test = np.intersect1d(mix.members("test"), labelled)
    if not len(test):
        raise InputError(f"split={split!r} puts no labelled molecule into the test set.")
    train = np.union1d(mix.members("train"), mix.members("val"))
    if not len(np.setdiff1d(np.intersect1d(train, labelled), test)):
        raise InputError(f"split={split!r} leaves no molecules besides the test set.")
    return test, f"as {split!r} says"


def _groups(mix: Mix, labelled: np.ndarray, split: str | None, notes: list[str]) -> tuple[np.ndarray, str]:
    """Return the group of each labelled molecule, (n,), and how groups were made, in words."""
    hashes = tautomer_hashes(mix.molecules.smiles.iloc[labelled])
    same = connected(mix.constitution[labelled], *hashes.T)
    if split is not None and read_method(split).name == "random":
        return same, "molecules at random; stereoisomers, salts and tautomers stay together"
    found = connected(same, mix.scaffold[labelled])
    sizes = np.unique(found, return_counts=True)[1]
    if len(sizes) < K or sizes.max() > len(labelled) * 0.6:
        if split == "scaffold":
            notes.append(
                f"The largest scaffold has {sizes.max()} of {len(labelled)} molecules, so folds differ in size."
            )
            return found, "whole scaffolds stay together"
        notes.append(
            f"{sizes.max()} of {len(labelled)} molecules share one scaffold, so the folds are random. Scores hold for close "
            "analogues of these molecules, not for new scaffolds."
        )
        return same, "molecules at random, because nearly all share one scaffold"
    return found, "whole scaffolds, salts, stereoisomers and tautomers stay together"


def _shares(raw: list[dict], labelled: np.ndarray) -> np.ndarray:
    """Return what each fold should get an equal part of, (n_labelled, c): labels; of two classes, each apart."""
    columns = []
    for found in raw:
        place, classes = np.searchsorted(labelled, found["molecule"]), np.unique(found["y"])
        parts = [found["y"] == c for c in classes] if len(classes) == 2 else [np.ones(len(place), bool)]
        for part in parts:
            columns.append(np.zeros(len(labelled)))
            columns[-1][place[part]] = 1
    return np.stack(columns, axis=1)


def _warn_of_uneven(mix: Mix, raw: list[dict], fold: np.ndarray, k: int, notes: list[str]) -> None:
    for task, found in zip(mix.chosen, raw, strict=True):
        of, y = fold[found["molecule"]], found["y"]
        if task.kind != "binary":
            continue
        rarer = float(y.mean() < 0.5)
        if (n := int(((y == rarer) & (of >= 0)).sum())) < 4 * k:
            notes.append(f"{task.name}: only {n} molecules have class {rarer:.0f}, so every score of it is uncertain.")
