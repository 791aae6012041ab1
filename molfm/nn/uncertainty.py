"""Uncertainty of predictions: the spread over several models, or over the dropout of one model."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from torch import nn


N_SAMPLES = 20  # predictions with dropout


def spread(
    models: Sequence,
    smiles: str | Sequence[str],
    level: str = "graph",
    tasks: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Predict with standard deviations, in the tasks' units; for binary tasks, of the probability.

    Several models (a deep ensemble, arXiv 1612.01474) give their mean and spread. One model gives its prediction and
    the spread of N_SAMPLES predictions with dropout left on (arXiv 1506.02142). Neither shows errors that all members
    share: read the spread as a lower bound.

    Args:
        models: one or several models, from `molfm.pretrained` or `Run.model`.
        smiles, level, tasks: see `Predictor.predict`.
        seed: random seed of the dropout.

    Returns:
        The table of `predict`, and a table like it with standard deviations, or None for one model without dropout.
    """
    smiles = [smiles] if isinstance(smiles, str) else list(smiles)
    if len(models) > 1:
        tables = [model.predict(smiles, level, tasks) for model in models]
        values = np.stack([table[_columns(table)].to_numpy(np.float64) for table in tables])
        return _with(tables[0], values.mean(axis=0)), _with(tables[0], values.std(axis=0, ddof=1))
    [model] = models
    table = model.predict(smiles, level, tasks)
    layers = _dropout_layers(model)
    if not layers:
        return table, None
    import torch

    with torch.random.fork_rng(devices=[]), _left_on(layers), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first call has reported invalid SMILES
        torch.manual_seed(seed)
        samples = model.predict(smiles * N_SAMPLES, level, tasks)  # in one call; every copy gets its own dropout
    columns = _columns(table)
    values = samples[columns].to_numpy(np.float64).reshape(N_SAMPLES, len(table), len(columns))
    return table, _with(table, values.std(axis=0, ddof=1))


def _dropout_layers(model: object) -> "list[nn.Module]":
    from torch import nn

    from molfm.nn.layers import Dropout

    modules = model.modules() if isinstance(model, nn.Module) else ()
    return [layer for layer in modules if isinstance(layer, Dropout | nn.Dropout) and layer.p > 0]


@contextmanager
def _left_on(layers: "list[nn.Module]") -> Iterator[None]:
    """Keep dropout active although the model is in evaluation mode."""
    hooks = [layer.register_forward_pre_hook(lambda layer, _: layer.train() and None) for layer in layers]
    try:
        yield
    finally:
        for hook, layer in zip(hooks, layers, strict=True):
            hook.remove()
            layer.eval()


def _columns(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if "/" in name]  # tasks; other columns name the molecule, atom or bond


def _with(table: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Return a copy of a table with new values of its tasks, (n_rows, n_columns)."""
    return table.assign(**dict(zip(_columns(table), values.T, strict=True)))
