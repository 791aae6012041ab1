"""What a candidate learns from in each fold."""

import numpy as np

from molfm.selection.candidates import Data
from molfm.selection.describe import Described
from molfm.selection.problem import Target


def training_data(target: Target, x: Described, fold: int | None, seed: int) -> Data:
    """Return what a candidate learns from: the labels of a target outside a fold and the test set.

    Args:
        target: the target.
        x: descriptions of the problem's molecules.
        fold: the fold that is left out; None to leave out only the test set.
        seed: random seed.
    """
    here = np.flatnonzero((target.fold >= 0) & (target.fold != (-1 if fold is None else fold)))
    facts = (target.y[here], target.weight[here].astype(float), target.constitution[here], target.binary, seed)
    return Data(x, target.row[here], *facts)
