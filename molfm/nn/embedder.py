"""A scikit-learn transformer that turns molecules into a trained model's embeddings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from molfm.base.errors import InputError
from molfm.nn.checkpoints import pretrained
from molfm.nn.predictor import Predictor


class MoleculeEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn SMILES into a trained model's embeddings, for pipelines and cross-validation.

        make_pipeline(MoleculeEmbedder(), RidgeCV()).fit(smiles, y)

    Nothing is learned from the SMILES: `fit` only opens the model, and a pickled transformer contains it. To embed the
    same molecules once instead of in every fold, embed them beforehand, or give the pipeline a `memory`; then pass the
    model by name, because joblib cannot hash a network.

    Args:
        model: a name or folder that `molfm.pretrained` opens, or a model.

    Attributes:
        model_: the model in use; set by `fit`.
    """

    def __init__(self, model: str | Path | Predictor = "minimol"):
        self.model = model

    def fit(self, X: Sequence[str], y=None) -> "MoleculeEmbedder":
        """Open the model.

        Args:
            X: SMILES: a list, array or Series (n,), or an array or DataFrame with one column (n, 1).
            y: not used.

        Raises:
            TypeError: `model` is neither a name nor a model that embeds.
            ValueError: `X` is not one column of text.
            FileNotFoundError, DownloadError: see `molfm.pretrained`.
        """
        texts_of(X)
        self.model_ = pretrained(self.model) if isinstance(self.model, str | Path) else self.model
        if not hasattr(self.model_, "embed"):
            raise TypeError(f"Expected a model, or the name or folder of one, found {self.model!r}.")
        self._n_features_out = self.model_.embed([]).shape[1]
        return self

    def transform(self, X: Sequence[str]) -> np.ndarray:
        """Return embeddings, (n, d) float32; invalid SMILES give a row of NaN and a warning.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: `X` is not one column of text.
        """
        check_is_fitted(self)
        return self.model_.embed(texts_of(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
        tags.input_tags.string, tags.input_tags.allow_nan = True, True
        tags.transformer_tags.preserves_dtype = []
        return tags


def texts_of(X: Sequence[str]) -> list[str | None]:
    """Return a column of SMILES as a list; missing values become None."""
    if isinstance(X, str) or not hasattr(X, "__len__"):  # an iterator would be used up by `fit`
        raise InputError(f"Expected a list, array or Series of SMILES, found {X!r}.")
    column = np.asarray(X if hasattr(X, "__array__") else list(X), dtype=object)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise InputError(f"Expected one column of SMILES, found an array of shape {column.shape}.")
    column = np.where(pd.isna(column), None, column)
    for place, text in enumerate(column):
        if text is not None and not isinstance(text, str):
            raise InputError(f"Expected SMILES as text, found {text!r} ({type(text).__name__}) at position {place}.")
    return column.tolist()
