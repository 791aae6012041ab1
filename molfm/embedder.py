"""Molecules into scikit-learn: a trained model's embeddings as a transformer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from molfm.checkpoints import pretrained

if TYPE_CHECKING:
    from molfm.inference import Predictor


class MoleculeEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn SMILES into a trained model's embeddings, for pipelines and cross-validation.

        make_pipeline(MoleculeEmbedder(), RidgeCV()).fit(smiles, y)

    Nothing is learned from the SMILES: `fit` opens the model, which a pickled transformer then carries along. To embed the
    same molecules once and not in every fold, embed them beforehand, or give the pipeline a `memory` (and the model's name:
    joblib cannot hash a network).

    Args:
        model: what `molfm.pretrained` opens by name or folder, or a model.

    Attributes:
        model_: the model in use, after `fit`.
    """

    def __init__(self, model: "str | Path | Predictor" = "minimol"):
        self.model = model

    def fit(self, X: Sequence[str], y=None) -> "MoleculeEmbedder":
        """Open the model.

        Args:
            X: SMILES, (n,): a list, array or Series, or one column (n, 1) of an array or DataFrame.
            y: not used.

        Raises:
            TypeError: a `model` that neither is a name nor embeds.
            ValueError: an `X` that is no SMILES.
            FileNotFoundError, DownloadError: as `molfm.pretrained`.
        """
        _texts(X)
        self.model_ = pretrained(self.model) if isinstance(self.model, str | Path) else self.model
        if not hasattr(self.model_, "embed"):
            raise TypeError(f"Expected the name of a model, a run's folder or a model, found {self.model!r}.")
        self._n_features_out = self.model_.embed([]).shape[1]
        return self

    def transform(self, X: Sequence[str]) -> np.ndarray:
        """Return embeddings, (n, d) float32; a SMILES that is no molecule has a row of NaN, and a warning names it.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: an `X` that is no SMILES.
        """
        check_is_fitted(self)
        return self.model_.embed(_texts(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
        tags.input_tags.string, tags.input_tags.allow_nan = True, True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _texts(X: Sequence[str]) -> list[str | None]:
    """Return a column of SMILES as a list; None where there is none."""
    if isinstance(X, str) or not hasattr(X, "__len__"):  # an iterator would be used up by `fit`
        raise ValueError(f"Expected a list, array or Series of SMILES, found {X!r}.")
    column = np.asarray(X if hasattr(X, "__array__") else list(X), dtype=object)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise ValueError(f"Expected one column of SMILES, found an array of shape {column.shape}.")
    column = np.where(pd.isna(column), None, column)
    for place, text in enumerate(column):
        if text is not None and not isinstance(text, str):
            raise ValueError(f"Expected SMILES as text, found {text!r} at place {place}, a {type(text).__name__}.")
    return column.tolist()
