"""Flat arrays of many molecules: pointers say where each molecule's part begins and ends."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def pointer(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return where each of n parts begins in a flat array, and where the last one ends: (n + 1,) int64 for (n,) counts."""
    out = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=out[1:])
    return out


def joined(pointers: Sequence[np.ndarray]) -> np.ndarray:
    """Return the pointer of several flat arrays that are concatenated, from their pointers (n_k + 1,)."""
    return pointer(np.concatenate([np.diff(one) for one in pointers]))


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return `arange(start, start + length)` of every pair, concatenated: the one gather that all batches are made of."""
    first = np.cumsum(lengths) - lengths
    return np.repeat(starts - first, lengths) + np.arange(lengths.sum())


def memory_map(path: Path) -> np.ndarray:
    """Open a .npy file without reading it."""
    # A plain array over the map: np.memmap runs Python code at every indexing, which a batch does hundreds of times.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
