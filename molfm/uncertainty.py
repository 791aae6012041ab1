"""How far predictions can be trusted: the spread of several models, or of one model's dropout."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from torch import nn

N_SAMPLES = 20  # of a model's dropout


def spread(
    models: Sequence,
    smiles: str | Sequence[str],
    level: str = "graph",
    tasks: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Predict with a standard deviation, in the tasks' units; of a binary task, of its probability.

    Of several models (a deep ensemble, arXiv 1612.01474): mean and spread over them. Of one: its prediction, and the spread
    of N_SAMPLES predictions with dropout left on (arXiv 1506.02142). Neither knows of what all its members get wrong alike:
    read it as a lower bound.

    Args:
        models: one or several, as `molfm.pretrained` or `Run.model` give.
        smiles, level, tasks: as for `predict`.
        seed: of the dropout.

    Returns:
        The table of `predict`, and one like it with standard deviations; None where one model has no dropout.
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
        warnings.simplefilter("ignore")  # what is no molecule was named once
        torch.manual_seed(seed)
        samples = model.predict(smiles * N_SAMPLES, level, tasks)  # in one batch, each with a dropout of its own
    columns = _columns(table)
    values = samples[columns].to_numpy(np.float64).reshape(N_SAMPLES, len(table), len(columns))
    return table, _with(table, values.std(axis=0, ddof=1))


def _dropout_layers(model: object) -> "list[nn.Module]":
    from torch import nn

    from molfm.layers import Dropout

    modules = model.modules() if isinstance(model, nn.Module) else ()
    return [layer for layer in modules if isinstance(layer, Dropout | nn.Dropout) and layer.p > 0]


@contextmanager
def _left_on(layers: "list[nn.Module]") -> Iterator[None]:
    """Let dropout drop although the model is evaluated."""
    hooks = [layer.register_forward_pre_hook(lambda layer, _: layer.train() and None) for layer in layers]
    try:
        yield
    finally:
        for hook, layer in zip(hooks, layers, strict=True):
            hook.remove()
            layer.eval()


def _columns(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if "/" in name]  # of tasks; the others say which molecule, atom or bond


def _with(table: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Return a table with other values (n_rows, n_columns) of its tasks."""
    return table.assign(**dict(zip(_columns(table), values.T, strict=True)))
