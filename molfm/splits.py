"""Train, val and test as a property of the molecule, not of its row.

A group of molecules (a scaffold, or a constitution: all stereoisomers) is hashed with the seed, and the hash says where
it goes. So the same molecule falls on the same side in every dataset that is split with the same method, seed and
fractions, whatever other rows there are, and a table can be split while it streams by. The price: the sizes are right
on average, not exactly; `data.tasks` shows the label counts that came out.
"""

import numpy as np

SPLITS = ("train", "val", "test")
GROUPS = {"random": 1, "scaffold": 2}  # column of `Molecules.identity` that is kept together


def uniform(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Return numbers in [0, 1), (n,) float64, that look random and depend on hash (uint64) and seed alone (splitmix64)."""
    with np.errstate(over="ignore"):  # the sums wrap around by design
        x = hashes.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


def assign(groups: np.ndarray, seed: int, fractions: tuple[float, float, float]) -> np.ndarray:
    """Return 0, 1 or 2 (train, val, test) for each of `groups`, (n,) uint64 hashes; equal groups, equal split."""
    return np.searchsorted(np.cumsum(fractions)[:2], uniform(groups, seed), side="right").astype(np.int8)
