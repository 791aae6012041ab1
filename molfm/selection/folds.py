"""Divides molecules into folds: related molecules stay together, and every fold gets its share of each target's labels.

Related are molecules of one scaffold, salts of one parent and, as far as a hash tells, tautomers of each other. The
groups are dealt to the folds from the largest to the smallest, each to the fold that then deviates least from an equal
share of labels, actives and inactives.
"""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from molfm.chem.identity import hash64

K = 5  # folds


def tautomers(smiles: Sequence[str]) -> np.ndarray:
    """Return a hash of each molecule that most of its tautomers share, (n,) uint64, ignoring charges and stereo."""
    which = rdMolHash.HashFunction.HetAtomTautomer
    with rdBase.BlockLogs():
        texts = (rdMolHash.MolHash(Chem.MolFromSmiles(text), which) for text in smiles)
        # The last part counts hydrogens and the charge, in which a salt differs from its base.
        return np.array([hash64(text.rsplit("_", 2)[0]) for text in texts], np.uint64)


def joined(*identities: np.ndarray) -> np.ndarray:
    """Return groups, (n,) int, of molecules that are connected by at least one identity, each (n,)."""
    n, edges = len(identities[0]), []
    for identity in identities:
        first = np.unique(identity, return_index=True, return_inverse=True)
        edges.append(np.stack([np.arange(n), first[1][first[2]]]))
    begin, end = np.concatenate(edges, axis=1)
    return connected_components(coo_array((np.ones(len(begin), bool), (begin, end)), (n, n)), directed=False)[1]


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
