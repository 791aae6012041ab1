"""Positional encodings: numbers that tell a graph network where an atom sits in its molecule.

Computed for whole stores at once: molecules of similar size are padded to dense matrices and handled together.
"""

import numpy as np

from molfm.featurize import spans

RANDOM_WALK_STEPS = 16
_BUCKET = 8  # sizes are rounded up to a multiple of this
_CELLS = 2_000_000  # matrix entries handled at once: bounds the memory to some tens of MB


def random_walk(atom_ptr: np.ndarray, bonds: np.ndarray, bond_ptr: np.ndarray) -> np.ndarray:
    """Return the probabilities that a random walk is back at its atom after 1 … 16 steps (arXiv 2110.07875).

    An atom without neighbours never returns: all zeros.

    Args:
        atom_ptr: (n + 1,) first atom of each molecule.
        bonds: (n_bonds, 2 or more) both ends of each bond, numbered in its molecule.
        bond_ptr: (n + 1,) first bond of each molecule.

    Returns:
        (n_atoms, 16) float16.
    """
    sizes = np.diff(atom_ptr)
    out = np.zeros((int(atom_ptr[-1]), RANDOM_WALK_STEPS), np.float16)
    bucket = -(-sizes // _BUCKET) * _BUCKET
    for width in np.unique(bucket):
        members = np.flatnonzero(bucket == width)
        for part in np.array_split(members, -(-len(members) * width**2 // _CELLS)):
            counts = np.diff(bond_ptr)[part]
            slot = np.repeat(np.arange(len(part)), counts)
            rows = spans(bond_ptr[part], counts)
            begin, end = bonds[rows, 0], bonds[rows, 1]
            walk = np.zeros((len(part), width, width), np.float32)
            walk[slot, begin, end] = walk[slot, end, begin] = 1
            walk /= np.maximum(walk.sum(2, keepdims=True), 1)  # one step: to a neighbour at random
            power, returns = walk, []
            for _ in range(RANDOM_WALK_STEPS):
                returns.append(np.einsum("bii->bi", power).copy())
                power = power @ walk
            real = np.arange(width) < sizes[part][:, None]
            out[spans(atom_ptr[part], sizes[part])] = np.stack(returns, axis=-1)[real]
    return out
