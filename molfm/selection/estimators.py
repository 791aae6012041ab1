"""The candidates of a fit as scikit-learn estimators, which learn from SMILES: for pipelines, searches, cross-validation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from rdkit import Chem
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from molfm.base.errors import InputError
from molfm.base.names import did_you_mean
from molfm.chem.featurize import canonical_smiles
from molfm.chem.identity import constitution_of, hash64
from molfm.data.mix import load
from molfm.nn.checkpoints import open_model
from molfm.nn.embedder import texts_of
from molfm.selection.calibration import Curve, fit_curve
from molfm.selection.candidates import CANDIDATES, Data, fit_linear, inner_folds
from molfm.selection.describe import Described, replace_foundation
from molfm.selection.networks import FINE_TUNED, NETWORKS, train_network

_TASK = "y"


class _MoleculeModel(BaseEstimator):
    """What both estimators share."""

    _binary = False

    def __init__(self, model: str = "kernels", foundation: str = "minimol", epochs: int = 30, random_state: int = 0):
        self.model = model
        self.foundation = foundation
        self.epochs = epochs
        self.random_state = random_state

    def _fit(self, X: Sequence[str], y: np.ndarray, sample_weight: np.ndarray | None) -> None:
        """Learn from molecules and numbers or classes 0 and 1."""
        if self.model not in CANDIDATES:
            raise InputError(
                f"Unknown model {self.model!r}.{did_you_mean(str(self.model), CANDIDATES)} Expected one of {', '.join(CANDIDATES)}."
            )
        self._known = Described(_keys(X), self.foundation)
        if len(self._known) != len(y):
            raise ValueError(f"Found {len(self._known)} molecules and {len(y)} labels.")
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, float)
        if weight.shape != y.shape or not np.isfinite(weight).all():
            raise ValueError(f"Expected {len(y)} finite sample weights, found an array of shape {weight.shape}.")
        if not (weight > 0).any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        groups = np.array([hash64(constitution_of(key, Chem.MolFromSmiles(key))) for key in self._known.smiles])
        here = np.flatnonzero(weight > 0)
        self._data = Data(self._known, here, y[here], weight[here], groups[here], self._binary, self.random_state)
        self._fitted = (
            CANDIDATES[self.model].fit(self._data) if CANDIDATES[self.model].fit else self._network(sample_weight)
        )

    def _network(self, sample_weight: np.ndarray | None):
        """Train a network on all molecules, in a temporary folder."""
        if sample_weight is not None and np.ptp(sample_weight) > 0:
            raise InputError(f"model={self.model!r} cannot weigh molecules; use one of the others.")
        data = self._data
        table = pd.DataFrame({"smiles": self._known.smiles, _TASK: data.y, "side": "train"})
        # A run needs a validation label; this one is a copy, so all labels are learned from.
        table = pd.concat([table, table.iloc[:1].assign(side="val")], ignore_index=True)
        kind = "binary" if self._binary else "regression"
        mix = load(table, tasks={_TASK: {"kind": kind}}, split="side", progress=False)
        x = replace_foundation(self._known, FINE_TUNED)
        linears = [
            fit_linear(Data(x, *(getattr(data, name) for name in ("rows", "y", "weight", "group", "binary", "seed"))))
        ]
        with TemporaryDirectory() as folder:
            run = train_network(
                self.model, mix, linears, FINE_TUNED, Path(folder) / "run", data.seed, epochs=self.epochs
            )
            return open_model(run.folder)

    def _scores(self, X: Sequence[str]) -> np.ndarray:
        check_is_fitted(self, "_fitted")
        keys = _keys(X)
        if self.model in NETWORKS:
            values = self._fitted.predict(keys, progress=False)
            return values[values.columns[-1]].to_numpy(float)
        return self._fitted.predict(Described(keys, self.foundation), self._known)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
        tags.input_tags.string = True
        return tags


class MoleculeRegressor(RegressorMixin, _MoleculeModel):
    """A model of a number, learned from SMILES.

        cross_val_score(molfm.MoleculeRegressor("kernels"), smiles, y)

    Args:
        model: name of a candidate: "mean", "forest", "svm", "foundation", "kernels", "descriptors", "finetuned" or "scratch";
            see `molfm.fit`.
        foundation: name of the foundation model for "foundation" and "kernels", see `molfm.pretrained`.
        epochs: passes over the molecules, for networks.
        random_state: random seed.
    """

    def fit(
        self, X: Sequence[str], y: Sequence[float], sample_weight: Sequence[float] | None = None
    ) -> "MoleculeRegressor":
        """Learn from molecules and numbers.

        Args:
            X: SMILES (n,), or one column of them (n, 1).
            y: (n,) numbers.
            sample_weight: (n,) weights; None for equal ones. Networks cannot weigh.

        Raises:
            ValueError: a SMILES is invalid, the model is unknown, or lengths differ.
        """
        y = column_or_1d(y, dtype=float, warn=True)
        if not np.isfinite(y).all():
            raise InputError("Expected finite labels, found NaN or infinity. Leave out molecules without a label.")
        self._fit(X, y, sample_weight)
        return self

    def predict(self, X: Sequence[str]) -> np.ndarray:
        """Return predictions, (n,)."""
        return self._scores(X)


class MoleculeClassifier(ClassifierMixin, _MoleculeModel):
    """A model of two classes, learned from SMILES; otherwise like `MoleculeRegressor`.

    The scores of support vector machines become probabilities by a logistic curve, which is fitted to scores of molecules
    that were left out (Platt). The other models give probabilities themselves.

    Attributes:
        classes_: (2,) the two labels.
    """

    _binary = True

    def fit(self, X: Sequence[str], y: Sequence, sample_weight: Sequence[float] | None = None) -> "MoleculeClassifier":
        """Learn from molecules and classes; see `MoleculeRegressor.fit`.

        Raises:
            ValueError: there are not exactly two classes.
        """
        check_classification_targets(y)
        self.classes_, place = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        if len(self.classes_) != 2:
            raise InputError(
                f"Only binary classification is supported. Expected two classes, found {len(self.classes_)} class(es)."
            )
        self._fit(X, place.astype(float), sample_weight)
        self._curve = self._fit_curve() if self.model in ("svm", "kernels") else None
        return self

    def _fit_curve(self) -> Curve:
        """Fit the curve to scores of molecules that a model of the other training molecules did not learn from."""
        data, parts = self._data, []
        for train, test in inner_folds(data):
            small = replace(data, **{part: getattr(data, part)[train] for part in ("rows", "y", "weight", "group")})
            model = CANDIDATES[self.model].fit(small)
            parts.append((model.predict(data.x.take(data.rows[test]), data.x), data.y[test], data.weight[test]))
        return fit_curve(*(np.concatenate(of) for of in zip(*parts, strict=True)))

    def predict_proba(self, X: Sequence[str]) -> np.ndarray:
        """Return the probabilities of both classes, (n, 2)."""
        scores = self._scores(X)
        one = (
            expit(self._curve.log_odds(scores))
            if self._curve
            else expit(scores)
            if self.model == "foundation"
            else scores
        )
        return np.stack([1 - one, one], axis=1)

    def predict(self, X: Sequence[str]) -> np.ndarray:
        """Return the more probable class, (n,)."""
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def _keys(X: Sequence[str]) -> list[str]:
    """Return canonical SMILES.

    Raises:
        ValueError: one is invalid; the message names it.
    """
    keys = []
    for place, text in enumerate(texts_of(X)):
        key = canonical_smiles(text) if text else None
        if key is None:
            raise InputError(
                f"Expected SMILES, found {text!r} at position {place}. Leave out molecules that RDKit cannot read."
            )
        keys.append(key)
    return keys


__all__ = ["MoleculeClassifier", "MoleculeRegressor"]
