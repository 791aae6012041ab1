"""The candidates that need no training loop: mean, forests, support vector machines, linear models.

A candidate is a fixed recipe. What it tunes, it tunes on its training labels alone, so its out-of-fold score is honest.
The recipes were chosen on training molecules of four targets of MoleculeACE (`benchmarks/own_tables.md`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from molfm.selection.describe import Described
from molfm.selection.forests import flattened
from molfm.selection.kernels import scale_of, standardized
from molfm.selection.models import Constant, Forest, Kernel, Linear, Model, columns_of, similarity

_PENALTIES = np.logspace(-1, 6, 15)  # of the ridge, chosen by leave-one-out
_STRENGTHS = np.logspace(-4, 1, 6)  # 1 / penalty of the logistic regression, chosen by `INNER` folds
_INNER = 5
TREES = 100  # 300 are no better (`benchmarks/own_tables.md`)


@dataclass(frozen=True)
class Data:
    """What a candidate learns from.

    Attributes:
        x: descriptions of all molecules of the fit.
        rows: (n,) the training molecules, numbers in x.
        y: (n,) labels.
        weight: (n,) weights.
        group: (n,) molecules that belong together where a candidate tunes itself.
        binary: whether the labels are classes.
        seed: random seed.
    """

    x: Described
    rows: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    binary: bool
    seed: int


@dataclass(frozen=True)
class Candidate:
    """A recipe.

    Attributes:
        name: what a user calls it.
        title: what it is, for tables.
        fit: trains it on labels of one target; None for networks, see `networks.py`.
        needs: descriptions that it learns from, see `describe.py`.
    """

    name: str
    title: str
    fit: Callable[[Data], Model] | None = None
    needs: tuple[str, ...] = ()


def _mean(data: Data) -> Model:
    return Constant(np.array(np.average(data.y, weights=data.weight)))


def _forest(description: str, share: float | str) -> Callable[[Data], Model]:
    def fit(data: Data) -> Model:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        kind = RandomForestClassifier if data.binary else RandomForestRegressor
        forest = kind(TREES, max_features="sqrt" if data.binary else share, random_state=data.seed, n_jobs=-1)
        x = columns_of(data.x, description)[data.rows].astype(np.float32)
        return Forest(np.array(description), **flattened(forest.fit(x, data.y, data.weight)))

    return fit


def _linear(description: str) -> Callable[[Data], Model]:
    def fit(data: Data) -> Model:
        from sklearn.linear_model import LogisticRegressionCV, RidgeCV

        x = columns_of(data.x, description)[data.rows]
        scale = scale_of(x)
        z = standardized(x, scale)
        if not data.binary:
            found = RidgeCV(_PENALTIES).fit(z, data.y, data.weight)
            return Linear(np.array(description), *scale, found.coef_, np.array(found.intercept_))
        settings = {"scoring": "neg_log_loss", "l1_ratios": (0.0,), "max_iter": 1000, "use_legacy_attributes": False}
        found = LogisticRegressionCV(Cs=_STRENGTHS, cv=inner_folds(data), **settings).fit(z, data.y, data.weight)
        return Linear(np.array(description), *scale, found.coef_[0], np.array(found.intercept_[0]))

    return fit


fit_linear = _linear("foundation")


def inner_folds(data: Data) -> list:
    """Return folds of the training labels in which molecules that belong together stay together."""
    from sklearn.model_selection import StratifiedGroupKFold

    everything = np.arange(len(data.y))
    k = int(min(_INNER, (data.y == 0).sum(), (data.y == 1).sum(), len(np.unique(data.group))))
    if k < 2:  # nothing can be left out
        return [(everything, everything)]
    folds = list(StratifiedGroupKFold(k).split(data.rows, data.y, data.group))
    usable = [
        (train, test) for train, test in folds if len(np.unique(data.y[train])) == len(np.unique(data.y[test])) == 2
    ]
    return usable or [(everything, everything)]


def _machine(parts: dict[str, float], strength: float, margin: float = 0.02) -> Callable[[Data], Model]:
    """Return a support vector machine on the mean of several similarities.

    Args:
        parts: description -> gamma of its Gaussian, 0 to compare counts.
        strength: C of the machine, for standardized labels.
        margin: epsilon, in standard deviations of the labels.
    """

    def fit(data: Data) -> Model:
        from sklearn.svm import SVC, SVR

        names, gamma = np.array(list(parts)), np.array(list(parts.values()))
        standard = [data.x.get(name) for name, width in parts.items() if width]
        standard += [] if data.x.columns is None else [data.x.columns]
        scales = [scale_of(of[data.rows]) for of in standard]
        scale = tuple(np.concatenate([of[i] for of in scales]) if scales else np.zeros(0) for i in (0, 1))
        inside = similarity(data.x, data.rows, data.x, data.rows, names, gamma, scale)
        if data.binary:
            found = SVC(kernel="precomputed", C=strength, class_weight="balanced").fit(inside, data.y, data.weight)
            offset, unit = 0.0, 1.0
        else:
            offset, unit = np.average(data.y, weights=data.weight), data.y.std() or 1.0
            machine = SVR(kernel="precomputed", C=strength, epsilon=margin)
            found = machine.fit(inside, (data.y - offset) / unit, data.weight)
        weight, intercept = found.dual_coef_[0] * unit, found.intercept_[0] * unit + offset
        return Kernel(names, gamma, *scale, data.rows[found.support_], weight, np.array(intercept))

    return fit


COUNTS = {"ecfp6": 0.0, "pairs": 0.0, "torsions": 0.0}
_BOTH = COUNTS | {"foundation": 1.0}
CANDIDATES = {
    candidate.name: candidate
    for candidate in (  # in the order in which they are tried: the quick ones first
        Candidate("mean", "training mean", _mean),
        Candidate("forest", "random forest, Morgan counts", _forest("ecfp", 0.1), ("ecfp",)),
        Candidate("svm", "SVM, atom environments", _machine(COUNTS, 3.0), tuple(COUNTS)),
        Candidate("kernels", "SVM, environments + foundation model", _machine(_BOTH, 3.0), tuple(_BOTH)),
        Candidate("foundation", "frozen foundation model, linear", fit_linear, ("foundation",)),
        Candidate("descriptors", "random forest, RDKit descriptors", _forest("descriptors", 0.33), ("descriptors",)),
        Candidate("finetuned", "foundation model, fine-tuned"),
        Candidate("scratch", "network from scratch"),
    )
}
BASELINE = "forest"
