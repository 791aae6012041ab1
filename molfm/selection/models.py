"""Fitted models as plain arrays: what is saved is what predicts, and nothing is pickled.

Each class has `predict(x, known)`: x describes new molecules, `known` those of the fit, to which a kernel model refers by
number. For a binary target, predictions are scores whose order counts; `calibration.py` turns them into probabilities.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np

from molfm.base.files import whole
from molfm.selection.describe import Described
from molfm.selection.forests import follow
from molfm.selection.kernels import gaussian, minmax, standardized


class Model(Protocol):
    """A fitted model."""

    def predict(self, x: Described, known: Described) -> np.ndarray:
        """Return predictions for the molecules of x, (n,)."""


def columns_of(x: Described, description: str) -> np.ndarray:
    """Return a description with the user's own columns beside it, (n, d)."""
    found = x.get(description)
    return found if x.columns is None else np.concatenate([found.astype(np.float32), x.columns], axis=1)


@dataclass(frozen=True)
class Constant:
    """The weighted mean of the training labels."""

    value: np.ndarray  # ()

    def predict(self, x: Described, known: Described) -> np.ndarray:
        return np.full(len(x), float(self.value))


@dataclass(frozen=True)
class Forest:
    """A random forest, see `forests.py`."""

    description: np.ndarray  # (), its name
    feature: np.ndarray
    threshold: np.ndarray
    right: np.ndarray
    value: np.ndarray
    root: np.ndarray

    def predict(self, x: Described, known: Described) -> np.ndarray:
        return follow(vars(self), columns_of(x, str(self.description)))


@dataclass(frozen=True)
class Linear:
    """A linear model of a standardized description."""

    description: np.ndarray  # (), its name
    mean: np.ndarray  # (d,)
    deviation: np.ndarray  # (d,)
    weight: np.ndarray  # (d,)
    intercept: np.ndarray  # ()

    def predict(self, x: Described, known: Described) -> np.ndarray:
        z = standardized(columns_of(x, str(self.description)), (self.mean, self.deviation))
        return (z @ self.weight.astype(np.float64)) + float(self.intercept)


@dataclass(frozen=True)
class Kernel:
    """A weighted sum of similarities to training molecules: a support vector machine, or a kernel ridge.

    The similarity of molecules, K, is the mean over parts: counts are compared by `minmax`, other descriptions by `gaussian`.
    With the user's own columns, whose similarity is G, it is (K + G + KG) / 3: G alone lets a column act on all molecules, KG
    lets it act on some (`benchmarks/columns.py`).
    """

    parts: np.ndarray  # (p,) names of descriptions
    gamma: np.ndarray  # (p,) of `gaussian`; 0 for counts
    mean: np.ndarray  # (columns of all parts that are standardized, then the user's own,)
    deviation: np.ndarray
    support: np.ndarray  # (s,) numbers of molecules of the fit
    weight: np.ndarray  # (s,)
    intercept: np.ndarray  # ()

    def predict(self, x: Described, known: Described) -> np.ndarray:
        found = similarity(
            x, np.arange(len(x)), known, self.support, self.parts, self.gamma, (self.mean, self.deviation)
        )
        return found @ self.weight + float(self.intercept)


OWN_GAMMA = 0.25  # of the Gaussian of the user's own columns


def similarity(
    x: Described,
    rows: np.ndarray,
    known: Described,
    columns: np.ndarray,
    parts: np.ndarray,
    gamma: np.ndarray,
    scale: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return the similarity of molecules of x to molecules of `known`, (n_rows, n_columns); see `Kernel`."""
    total, start = np.zeros((len(rows), len(columns)), np.float32), 0
    for name, width in zip(parts, gamma, strict=True):
        if width == 0:
            total += minmax(x.get(str(name))[rows], known.get(str(name))[columns])
            continue
        a, b = x.get(str(name))[rows], known.get(str(name))[columns]
        mine = tuple(of[start : start + a.shape[1]] for of in scale)
        start += a.shape[1]
        total += gaussian(standardized(a, mine), standardized(b, mine), float(width))
    total /= len(parts)
    if x.columns is None:
        return total
    mine = tuple(of[start:] for of in scale)
    own = gaussian(standardized(x.columns[rows], mine), standardized(known.columns[columns], mine), OWN_GAMMA)
    return (total + own + total * own) / 3


_KINDS = {kind.__name__: kind for kind in (Constant, Forest, Linear, Kernel)}


def save_model(model: Model, path: Path) -> None:
    """Write a model as one file of arrays."""
    arrays = {item.name: np.asarray(getattr(model, item.name)) for item in fields(model)}
    with whole(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, kind=np.array(type(model).__name__), **arrays)


def read_model(path: Path) -> Model:
    """Read what `save_model` wrote; nothing in the file can execute."""
    with np.load(path, allow_pickle=False) as found:
        return _KINDS[str(found["kind"])](**{name: found[name] for name in found.files if name != "kind"})
