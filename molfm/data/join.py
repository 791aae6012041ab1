"""The rows of several prepared datasets, joined by molecule, with the split of each row.

Rows with features, such as a pH, are one molecule only if their features are equal too: a molecule that was measured
under two conditions counts twice, because a network reads the features beside the molecule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from molfm.base.arrays import pointer
from molfm.data.groups import scramble
from molfm.data.store import Shard


@dataclass(frozen=True)
class Rows:
    """The rows of all datasets of a mix, sorted by molecule: molecule i owns rows ptr[i]:ptr[i+1]."""

    ptr: np.ndarray  # (n_molecules + 1,) int64
    shard: np.ndarray  # (n_rows,) int32, index into Mix.shards
    local: np.ndarray  # (n_rows,) int32, number of the molecule in that shard
    dataset: np.ndarray  # (n_rows,) int16, index into Mix.cards
    split: np.ndarray  # (n_rows,) int8, index into splits.SPLITS, or UNUSED
    order: np.ndarray  # (n_rows,) int32, place of the row when all shards are read one after the other

    @cached_property
    def molecule(self) -> np.ndarray:
        """(n_rows,) int32, the molecule of each row."""
        return np.repeat(np.arange(len(self.ptr) - 1, dtype=np.int32), np.diff(self.ptr))

    @cached_property
    def _of_shards(self) -> list[np.ndarray]:
        inverse = np.empty(len(self.order), np.int32)
        inverse[self.order] = np.arange(len(self.order), dtype=np.int32)
        n_shards = int(self.shard.max()) + 1 if len(self.shard) else 0
        return np.split(inverse, np.cumsum(np.bincount(self.shard, minlength=n_shards))[:-1])

    def of_shard(self, number: int) -> np.ndarray:
        """Return the row of each molecule of a shard, (n_molecules_of_shard,)."""
        return self._of_shards[number] if number < len(self._of_shards) else np.zeros(0, np.int32)


def join(shards: Sequence[Shard], dataset: Sequence[int], split: Sequence[np.ndarray]) -> Rows:
    """Join shards by molecule: each molecule gets one number, in the order of first appearance.

    Args:
        shards: shards in the order of `Mix.shards`.
        dataset: index into `Mix.cards` for each shard.
        split: one array of split codes per shard, (n_molecules_of_shard,).
    """
    sizes = [len(shard.identity) for shard in shards]
    keys = np.concatenate([_key(shard) for shard in shards])
    _, first, code = np.unique(keys, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int32)
    number[np.argsort(first)] = np.arange(len(first), dtype=np.int32)  # by first appearance, not by hash
    code = number[code]
    order = np.argsort(code, kind="stable").astype(np.int32)
    ptr = pointer(np.bincount(code, minlength=len(first)))
    columns = (
        np.repeat(np.arange(len(shards), dtype=np.int32), sizes),
        np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
        np.repeat(np.asarray(dataset, np.int16), sizes),
        np.concatenate(split),
    )
    return Rows(ptr, *(column[order] for column in columns), order=order)


def _key(shard: Shard) -> np.ndarray:
    """Return a hash of what makes rows of a shard one molecule, (n,) uint64."""
    key = np.asarray(shard.identity[:, 0])
    if shard.features is None:
        return key
    bits = (np.asarray(shard.features) + np.float32(0)).view(np.uint32).astype(np.uint64)  # + 0: -0 equals 0
    for place, column in enumerate(bits.T, 1):
        key = scramble(key ^ scramble(column + np.uint64(place << 32)))  # equal values of two features differ
    return key
