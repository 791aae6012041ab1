"""Simple models on fixed descriptions of molecules: ridge, logistic regression, random forest. Needs no torch."""

from collections.abc import Callable, Sequence
from importlib.resources import files

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from rdkit import Chem
from rdkit.Chem.Descriptors import CalcMolDescriptors
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from molfm.base.progress import tqdm
from molfm.data.mix import Mix
from molfm.data.splits import SPLITS
from molfm.training.metrics import score

# (train, y, test, seed) -> (m,) predictions; train (n,) and test (m,) are molecule numbers in the mix, y (n,) labels
Arm = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]

BASELINE = "Morgan + forest"
MORGAN_BITS, MORGAN_RADIUS = 2048, 2
METRICS = {"regression": ("r2", "mae"), "binary": ("auroc",)}
FOLDS = 5  # folds of the training labels that choose the penalty of the logistic regression
_PENALTIES = np.logspace(-1, 6, 29)  # of the ridge
_STRENGTHS = np.logspace(-5, 1, 13)  # 1 / penalty of the logistic regression
_SHIPPED = "checkpoint_files/minimol/logbb_fingerprints.parquet"


def labelled(mix: Mix, task: str) -> pd.Series:
    """Return the SMILES of all molecules with a label of a graph task, indexed by molecule number in the mix."""
    return mix.molecules.smiles[mix.labels(task).notna().to_numpy()]


def morgan(smiles: pd.Series) -> pd.DataFrame:
    """Return Morgan fingerprints of radius 2 as log(1 + count), (n, 2048) float32, indexed as `smiles`."""
    generator = GetMorganGenerator(radius=MORGAN_RADIUS, fpSize=MORGAN_BITS)
    counts = [generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in smiles]
    return pd.DataFrame(np.log1p(np.array(counts, np.float32)), smiles.index)


def descriptors(smiles: pd.Series, progress: bool = True) -> pd.DataFrame:
    """Return all RDKit descriptors (about 200), (n, d) float32, indexed as `smiles`, clipped to float32's range."""
    bar = tqdm(smiles, desc="RDKit descriptors", unit=" molecules", disable=not progress)
    values = [list(CalcMolDescriptors(Chem.MolFromSmiles(text)).values()) for text in bar]
    largest = np.finfo(np.float32).max
    return pd.DataFrame(np.clip(np.array(values, float), -largest, largest).astype(np.float32), smiles.index)


def shipped_fingerprints(smiles: pd.Series) -> pd.DataFrame:
    """Return the published model's fingerprints of molecules with a logBB, (n, 512) float32, indexed as `smiles`.

    They are the output of `molfm.pretrained("minimol").embed`, shipped with the package in half precision.
    `benchmarks/probe.py --ship` writes the file.

    Raises:
        KeyError: a molecule has no fingerprint in the file.
    """
    table = pq.read_table(files("molfm") / _SHIPPED)
    values = table["fingerprint"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return pd.DataFrame(values.astype(np.float32), table["smiles"].to_pandas()).loc[smiles].set_axis(smiles.index)


def linear(mix: Mix, task: str, features: pd.DataFrame) -> Arm:
    """Return an arm: ridge regression, or logistic regression for a binary task.

    Args:
        mix: the data.
        task: name of a graph task.
        features: (n, d), indexed by molecule number.
    """
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.model_selection import StratifiedGroupKFold

    binary = _kind(mix, task) == "binary"

    def arm(train: np.ndarray, y: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        x = features.loc[train].to_numpy()
        if not binary:
            return RidgeCV(_PENALTIES).fit(x, y).predict(features.loc[test].to_numpy())
        # Stereoisomers are near-duplicates: in different folds, they would lead to too weak a penalty.
        folds = list(StratifiedGroupKFold(FOLDS).split(x, y, mix.constitution[train]))
        model = LogisticRegressionCV(
            Cs=_STRENGTHS,
            l1_ratios=(0.0,),
            cv=folds,
            scoring="neg_log_loss",
            max_iter=1000,
            use_legacy_attributes=False,
        )
        return model.fit(x, y).predict_proba(features.loc[test].to_numpy())[:, 1]

    return arm


def forest(mix: Mix, task: str, features: pd.DataFrame, trees: int = 500) -> Arm:
    """Return an arm: a random forest.

    Args:
        mix: the data.
        task: name of a graph task.
        features: (n, d), indexed by molecule number. A split tries a third of them (square root for a binary task).
        trees: number of trees.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    binary = _kind(mix, task) == "binary"

    def arm(train: np.ndarray, y: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        x, unseen = features.loc[train].to_numpy(), features.loc[test].to_numpy()
        if binary:
            model = RandomForestClassifier(trees, random_state=seed, n_jobs=-1)
            return model.fit(x, y).predict_proba(unseen)[:, 1]
        model = RandomForestRegressor(trees, max_features=1 / 3, random_state=seed, n_jobs=-1)
        return model.fit(x, y).predict(unseen)

    return arm


def reference_values(
    mix: Mix, task: str, runs: Sequence[tuple[int, int]], features: pd.DataFrame | None = None, progress: bool = True
) -> list[tuple[str, int, int, float]]:
    """Train a random forest for each run: (task, n_labels, seed, test metric).

    Args:
        mix: the data.
        task: name of a graph task.
        runs: (n_labels, seed) of each run; `Mix.limit` chooses the training labels, as in a study.
        features: (n, d), indexed by molecule number; None for Morgan fingerprints.
        progress: show a progress bar.
    """
    number, n_train = mix.task_number(task), len(mix.members("train", [task]))
    metric, name = METRICS[_kind(mix, task)][0], mix.chosen[number].name
    arm = forest(mix, task, morgan(labelled(mix, task)) if features is None else features)
    values: dict[tuple[int, int], float] = {}
    for n, seed in tqdm(runs, desc=f"Random forests of {name}", unit=" fits", leave=False, disable=not progress):
        drawn = (n, seed if n < n_train else 0)  # with all labels, there is only one draw
        if drawn not in values:
            # One row per label: a molecule may be listed twice, even in training and in the test set.
            molecule, _, split, y = (mix.limit(task, n, seed) if n < n_train else mix).label_triples(number)
            train, test = (split == SPLITS.index(part) for part in ("train", "test"))
            preds = arm(molecule[train], y[train], molecule[test], seed)
            values[drawn] = score(metric, preds, y[test].astype(float))
        values[n, seed] = values[drawn]
    return [(task, int(n), int(seed), values[n, seed]) for n, seed in runs]


def validation_reference(mix: Mix, task: str, seed: int = 0) -> dict[str, float]:
    """Return the primary metric on the validation labels of a graph task: of the training mean, and of a random forest.

    Args:
        mix: the data, with the training labels that both learn from.
        task: name of the task.
        seed: random seed of the forest.
    """
    number, metric = mix.task_number(task), METRICS[_kind(mix, task)][0]
    molecule, _, split, y = mix.label_triples(number)
    train, val = (split == SPLITS.index(part) for part in ("train", "val"))
    arm = forest(mix, task, morgan(mix.molecules.smiles[np.unique(molecule[train | val])]))
    preds = {"mean": np.full(val.sum(), y[train].mean()), "forest": arm(molecule[train], y[train], molecule[val], seed)}
    return {name: score(metric, of, y[val].astype(float)) for name, of in preds.items()}


def _kind(mix: Mix, task: str) -> str:
    return mix.task(task).kind
