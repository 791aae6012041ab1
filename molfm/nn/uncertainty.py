"""Uncertainty of predictions: the spread over several models, or over the dropout of one model, and intervals from it.

A spread is no interval: it is usually far too small. `interval` scales it on held-out labels until it covers 90% of them
(split conformal prediction, arXiv 2107.07511) and measures the coverage on labels that were not used for the scale.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from torch import nn


N_SAMPLES = 20  # predictions with dropout
COVERAGE = 0.9  # share of new labels that an interval should contain
MIN_LABELS = 40  # labelled molecules that an interval needs: each half then has enough for its own scale


class Interval(NamedTuple):
    """How wide the intervals of a task must be."""

    factor: float  # half width divided by the standard deviation, or the half width itself if there is no deviation
    n: int  # held-out molecules behind it
    covered: float  # share of their labels inside the interval, when each half is scaled by the other


def interval(
    error: np.ndarray, deviation: np.ndarray | None, molecule: np.ndarray, coverage: float = COVERAGE
) -> Interval | None:
    """Scale the spread of predictions on held-out labels of one task until it covers their errors.

    The interval holds for molecules like the held-out ones, if the model did not learn from these.

    Args:
        error: (n,) predicted minus measured values.
        deviation: (n,) standard deviations of the predictions, positive; None for intervals of constant width.
        molecule: (n,) the molecule of each label; labels of one molecule stay in one half.
        coverage: share of labels that the interval should contain.

    Returns:
        None if fewer than MIN_LABELS molecules have a label.
    """
    owners, owner = np.unique(molecule, return_inverse=True)
    if len(owners) < MIN_LABELS:
        return None
    score = np.abs(error) / (1.0 if deviation is None else np.maximum(deviation, 1e-12))
    half = np.random.default_rng(0).permutation(len(owners))[owner] % 2

    def factor(scores: np.ndarray) -> float:
        place = int(np.ceil((len(scores) + 1) * coverage))
        return float(np.sort(scores)[min(place, len(scores)) - 1])

    inside = [score[half != part] <= factor(score[half == part]) for part in (0, 1)]
    return Interval(factor(score), len(owners), float(np.concatenate(inside).mean()))


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
