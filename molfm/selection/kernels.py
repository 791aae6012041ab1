"""Similarities of molecules, on which support vector machines are built."""

import numpy as np

_CHUNK = 2_000  # molecules compared at once with all others
_LEAST = 1e-2  # of the usual standard deviation
_LARGEST = 5.0  # standardized values beyond this are cut: they are outliers of a column


def minmax(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Σ min / Σ max of counts, (n, m) float32: Tanimoto's similarity of multisets (Ralaivola et al., 2005).

    Args:
        a, b: (n, d) and (m, d) counts.
    """
    return np.concatenate([_minmax(a[start : start + _CHUNK], b) for start in range(0, max(len(a), 1), _CHUNK)])


def _minmax(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # min(x, y) is the number of levels t with x >= t and y >= t, so each level is one product of matrices of zeros and ones.
    shared, there = np.zeros((len(a), len(b)), np.float32), np.arange(a.shape[1])
    for level in range(1, 256):
        there = there[(a[:, there] >= level).any(0) & (b[:, there] >= level).any(0)]
        if not len(there):
            break
        shared += (a[:, there] >= level).astype(np.float32) @ (b[:, there] >= level).astype(np.float32).T
    sizes = a.sum(1, dtype=np.float32)[:, None] + b.sum(1, dtype=np.float32)
    return shared / np.maximum(sizes - shared, 1)


def scale_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column of x (n, d); columns that hardly vary get a large one."""
    deviation = x.std(0, dtype=np.float64)
    # A column that varies in a few training molecules alone would be blown up in new ones.
    usual = np.median(deviation[deviation > 1e-12]) if (deviation > 1e-12).any() else 1.0
    return x.mean(0, dtype=np.float64), np.maximum(np.where(deviation > 1e-12, deviation, 1.0), _LEAST * usual)


def standardized(x: np.ndarray, scale: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return x (n, d) in standard deviations from the mean of each column, cut at ±5, float32."""
    return np.clip((x - scale[0]) / scale[1], -_LARGEST, _LARGEST).astype(np.float32)


def gaussian(a: np.ndarray, b: np.ndarray, gamma: float) -> np.ndarray:
    """Return exp(-gamma |x - y|² / d) of standardized rows, (n, m)."""
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.exp(-gamma / a.shape[1] * np.maximum(square, 0))
