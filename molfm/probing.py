"""Label efficiency: how far does a task get with few labels, by what its molecules are described with?

An arm is a description of molecules with a model on top. Arms are compared on the same draws of training labels, which are
nested (the 32 labels of a draw are among its 64), and on the whole test set. A draw may have a split of its own: which
scaffolds happen to be tested changes more than which molecules were labelled. Whatever an arm has to choose, it chooses
inside the training labels that it was given: the ridge's penalty by leave-one-out, the logistic regression's by five folds of
constitutions. Intervals are those of `statistics.paired_interval`, against one baseline. Nothing here imports torch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from molfm.catalog import Task
from molfm.metrics import undefined
from molfm.mix import Mix
from molfm.splits import SPLITS
from molfm.statistics import paired_interval, score

if TYPE_CHECKING:
    import plotly.graph_objects as go

# (train, y, test, seed) -> predictions of test; train and test are numbers of molecules in the mix, y the labels of train.
Arm = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]

BASELINE = "Morgan + forest"
MORGAN_BITS, MORGAN_RADIUS = 2048, 2
METRICS = {"regression": ("r2", "mae"), "binary": ("auroc",)}
FOLDS = 5  # of training labels, in which a logistic regression's penalty is chosen
_PENALTIES = np.logspace(-1, 6, 29)  # of the ridge
_STRENGTHS = np.logspace(-5, 1, 13)  # 1 / penalty, of the logistic regression
_SHIPPED = "checkpoint_files/minimol/logbb_fingerprints.parquet"


@dataclass(frozen=True)
class LabelEfficiency:
    """What arms make of few labels. Made by `label_efficiency`.

    Attributes:
        task: the target.
        preds: (number of training labels, arm) -> (draws, n), the predictions for what any draw tested; 0 where it did not.
        tested: (draws, n) bool, which of the molecules each draw tested.
        measured: (n,) their labels.
        constitution: (n,) what the bootstrap draws.
        baseline: the arm that the others are compared with.
    """

    task: Task
    preds: dict[tuple[int, str], np.ndarray]
    tested: np.ndarray
    measured: np.ndarray
    constitution: np.ndarray
    baseline: str

    @property
    def arms(self) -> list[str]:
        """The arms in the order in which they were given."""
        return list(dict.fromkeys(arm for _, arm in self.preds))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row an arm, number of labels, draw and metric: arm, n_labels, draw, metric, value (on test)."""
        rows = []
        for (n, arm), metric in product(self.preds, METRICS[self.task.kind]):
            for draw, at in enumerate(self.tested):
                rows.append((arm, n, draw, metric, score(metric, self.preds[n, arm][draw, at], self.measured[at])))
        return pd.DataFrame(rows, columns=["arm", "n_labels", "draw", "metric", "value"])

    @property
    def table(self) -> pd.DataFrame:
        """The other arms against the baseline, see `against`."""
        return self.against(self.baseline)

    def against(self, baseline: str) -> pd.DataFrame:
        """Compare all other arms with one of them.

        Returns:
            A row an arm, number of labels and metric: target, arm, metric, n_labels (training), n_test (labels, mean over
            draws), draws, baseline and value (means over draws), difference, low, high (95% interval), detectable, verdict
            ("better", "worse" or "cannot tell").

        Raises:
            ValueError: no such arm.
        """
        _check_baseline(baseline, self.arms)
        if baseline not in self._tables:
            self._tables[baseline] = self._compare(baseline)
        return self._tables[baseline]

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return {}

    def _compare(self, baseline: str) -> pd.DataFrame:
        rows = []
        for (n, arm), metric in product(self.preds, METRICS[self.task.kind]):
            if arm != baseline:
                pair = self.preds[n, baseline], self.preds[n, arm]
                cell = paired_interval(metric, *pair, self.measured, self.constitution, self.tested)
                facts = {"target": self.task.id, "arm": arm, "metric": metric, "n_labels": n}
                facts |= {"n_test": round(self.tested.sum(1).mean()), "draws": len(self.tested)}
                rows.append(facts | cell | {"verdict": _verdict(metric, cell)})
        return pd.DataFrame(rows)

    def figure(self) -> "go.Figure":
        """Return the curves, and the differences from the baseline with their intervals."""
        from molfm.figures import label_efficiency_curves

        return label_efficiency_curves(self)


def _check_baseline(baseline: str, arms: Iterable[str]) -> None:
    if baseline not in arms:
        raise ValueError(f"The baseline {baseline!r} is none of the arms: {', '.join(arms)}.")


def _verdict(metric: str, cell: dict[str, float]) -> str:
    higher, lower = cell["low"] > 0, cell["high"] < 0
    better, worse = (lower, higher) if metric == "mae" else (higher, lower)
    return "better" if better else "worse" if worse else "cannot tell"


# ---------------------------------------------------------------------------------------------------------- descriptions


def labelled(mix: Mix, task: str) -> pd.Series:
    """Return the SMILES of the molecules that a graph task has labels of, indexed by their numbers in the mix."""
    return mix.molecules.smiles[mix.labels(task).notna().to_numpy()]


def morgan(smiles: pd.Series) -> pd.DataFrame:
    """Return Morgan fingerprints of radius 2 as log(1 + count), (n, 2048) float32, indexed as `smiles`."""
    from rdkit import Chem
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=MORGAN_RADIUS, fpSize=MORGAN_BITS)
    counts = [generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in smiles]
    return pd.DataFrame(np.log1p(np.array(counts, np.float32)), smiles.index)


def descriptors(smiles: pd.Series, progress: bool = True) -> pd.DataFrame:
    """Return all of RDKit's descriptors, some 200 (n, d) float32, indexed as `smiles`; too large a value becomes the largest."""
    from rdkit import Chem
    from rdkit.Chem.Descriptors import CalcMolDescriptors

    bar = tqdm(smiles, desc="RDKit descriptors", unit=" molecules", disable=not progress)
    values = [list(CalcMolDescriptors(Chem.MolFromSmiles(text)).values()) for text in bar]
    largest = np.finfo(np.float32).max
    return pd.DataFrame(np.clip(np.array(values, float), -largest, largest).astype(np.float32), smiles.index)


def shipped_fingerprints(smiles: pd.Series) -> pd.DataFrame:
    """Return the published model's fingerprints of molecules with a logBB, (n, 512) float32, indexed as `smiles`.

    They are a file of the package, in half precision: what `molfm.pretrained("minimol").embed` gives. `benchmarks/probe.py`
    writes it.

    Raises:
        KeyError: a molecule that is not among them.
    """
    table = pq.read_table(files("molfm") / _SHIPPED)
    values = table["fingerprint"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return pd.DataFrame(values.astype(np.float32), table["smiles"].to_pandas()).loc[smiles].set_axis(smiles.index)


# ------------------------------------------------------------------------------------------------------------------ arms


def linear(mix: Mix, task: str, features: pd.DataFrame) -> Arm:
    """Return an arm: ridge regression, or logistic regression for a binary task, on features (n, d) by molecule."""
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.model_selection import StratifiedGroupKFold

    binary = _kind(mix, task) == "binary"

    def arm(train: np.ndarray, y: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        x = features.loc[train].to_numpy()
        if not binary:
            return RidgeCV(_PENALTIES).fit(x, y).predict(features.loc[test].to_numpy())
        # Stereoisomers are near-duplicates: apart, they would choose too weak a penalty.
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
    """Return an arm: a random forest on features (n, d) by molecule, with a third of them (class: the root) at each split."""
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


def reference_values(mix: Mix, task: str, runs: Sequence[tuple[int, int]]) -> list[tuple[str, int, int, float]]:
    """Return what the baseline, a forest on Morgan fingerprints, makes of a task: (task, n_labels, seed, value on test).

    Args:
        runs: (n_labels, seed) of each; the labels are those that `Mix.limit` leaves.
    """
    number, n_train = mix.task_number(task), len(mix.members("train", [task]))
    metric, name = METRICS[_kind(mix, task)][0], mix.chosen[number].name
    arm = forest(mix, task, morgan(labelled(mix, task)))
    values: dict[tuple[int, int], float] = {}
    for n, seed in tqdm(runs, desc=f"Random forests of {name}", unit=" fits", leave=False):
        drawn = (n, seed if n < n_train else 0)  # of all labels there is one draw
        if drawn not in values:
            # Label by label, since a molecule may be listed twice, in training and in the test set too.
            molecule, _, split, y = (mix.limit(task, n, seed) if n < n_train else mix)._labels_of(number)
            train, test = (split == SPLITS.index(part) for part in ("train", "test"))
            preds = arm(molecule[train], y[train], molecule[test], seed)
            values[drawn] = score(metric, preds, y[test].astype(float))
        values[n, seed] = values[drawn]
    return [(task, int(n), int(seed), values[n, seed]) for n, seed in runs]


def _kind(mix: Mix, task: str) -> str:
    return mix.chosen[mix.task_number(task)].kind


# ------------------------------------------------------------------------------------------------------------ comparison


def label_efficiency(
    mixes: Sequence[Mix],
    target: str,
    arms: Mapping[str, Arm],
    n_labels: Sequence[int | None],
    baseline: str = BASELINE,
    progress: bool = True,
) -> LabelEfficiency:
    """Compare arms with a baseline over numbers of training labels.

    Args:
        mixes: a draw each, two at least: the same data, split anew each time (`molfm.load("minimix", seed=k)`), or one mix
            again and again, where the split is given and only the training labels are to be drawn.
        target: a graph task, regression or binary.
        arms: by name, the baseline among them.
        n_labels: training labels to draw; None: as many as every split has.

    Raises:
        ValueError: another kind of target, mixes of different molecules, a test set whose metrics mean nothing, one draw
            alone, too few labels, or no baseline.
    """
    number = mixes[0].task_number(target)
    task = mixes[0].chosen[number]
    if task.kind not in METRICS or task.level != "graph":
        raise ValueError(
            f"Expected a regression or binary graph task; {task.id} is {task.kind}, at {task.level} level."
        )
    _check_baseline(baseline, arms)
    if len(mixes) < 2:
        raise ValueError("An interval needs at least 2 draws, found 1.")
    if any(not np.array_equal(mix.key, mixes[0].key) for mix in mixes[1:]):
        raise ValueError("Expected mixes of the same molecules, which differ in their split alone.")
    mixes = [mix.select([task.id]) for mix in mixes]
    y = mixes[0].labels(task.id).to_numpy()
    tests = [mix.members("test") for mix in mixes]
    for test in tests:
        if reason := undefined(task.kind, y[test]):
            raise ValueError(f"{task.id} cannot be tested: {reason}.")
    most = min(len(mix.members("train")) for mix in mixes)
    counts = list(dict.fromkeys(n or most for n in n_labels))
    union = np.unique(np.concatenate(tests))
    tested = np.stack([np.isin(union, test) for test in tests])
    for n, draw in product(counts, range(len(mixes))) if task.kind == "binary" else ():
        drawn = y[mixes[draw].limit(task.id, n, draw).members("train")]
        rarest = min((drawn == 0).sum(), (drawn == 1).sum())
        if rarest < FOLDS:
            raise ValueError(
                f"{task.id}: draw {draw} of {n} training labels has {rarest} of one class, and {FOLDS} folds need as many. Ask "
                "for more labels."
            )
    preds = {(n, name): np.zeros(tested.shape) for n in counts for name in arms}
    jobs = list(product(counts, range(len(mixes))))
    # Threads of BLAS would wait for each other wherever another process is busy.
    with threadpool_limits(1, "blas"), tqdm(total=len(jobs) * len(arms), unit=" fits", disable=not progress) as bar:
        bar.set_description(f"{task.name} from few labels")
        for n, draw in jobs:
            train = mixes[draw].limit(task.id, n, draw).members("train")
            for name, arm in arms.items():
                preds[n, name][draw, tested[draw]] = arm(train, y[train], tests[draw], draw)
                bar.update()
    return LabelEfficiency(task, preds, tested, y[union].astype(float), mixes[0].constitution[union], baseline)
