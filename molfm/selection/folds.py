"""Divides molecules into folds: groups stay together, and every fold gets its share of each target's labels.

The groups are dealt to the folds from the largest to the smallest, each to the fold that then deviates least from an equal
share of labels, actives and inactives.
"""

import numpy as np

K = 5  # folds


def deal(groups: np.ndarray, shares: np.ndarray, k: int = K, seed: int = 0) -> np.ndarray:
    """Return the fold of each molecule, (n,) int8 in 0 … k - 1; equal groups, equal folds.

    Args:
        groups: (n,) int, the group of each molecule.
        shares: (n, c) what every fold should get an equal part of, such as labels of a class.
        k: number of folds.
        seed: random seed of the order of groups of one size.
    """
    _, group = np.unique(groups, return_inverse=True)
    of_group = np.zeros((group.max(initial=-1) + 1, shares.shape[1]))
    np.add.at(of_group, group, shares)
    of_group /= np.maximum(shares.sum(0), 1e-12)  # so a rare class weighs as much as a frequent one
    order = np.random.default_rng(seed).permutation(len(of_group))
    order = order[np.argsort(-of_group.sum(1)[order], kind="stable")]
    fold, filled = np.zeros(len(of_group), np.int8), np.zeros((k, shares.shape[1]))
    for number in order:
        after = filled + of_group[number]
        fold[number] = np.argmin((after**2).sum(1) - (filled**2).sum(1))
        filled[fold[number]] = after[fold[number]]
    return fold[group]
