"""The rows of several prepared datasets, joined by molecule, and the side of the split that each row is on."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from molfm.catalog import CardError
from molfm.download import DownloadError, digest, fetch, home
from molfm.splits import GROUPS, UNUSED, assign, codes_of, read_official
from molfm.store import Shard, make_scaffolds, rejected_of
from molfm.tables import Table, read_column


@dataclass(frozen=True)
class Rows:
    """The rows of all datasets of a mix, sorted by molecule: molecule i owns rows ptr[i]:ptr[i+1]."""

    ptr: np.ndarray  # (n_molecules + 1,) int64
    shard: np.ndarray  # (n_rows,) int32, index into Mix.shards
    local: np.ndarray  # (n_rows,) int32, molecule in that shard
    dataset: np.ndarray  # (n_rows,) int16, index into Mix.cards
    split: np.ndarray  # (n_rows,) int8, code of splits.SPLITS, or UNUSED
    order: np.ndarray  # (n_rows,) int32, place of the row when all shards are simply read one after the other

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
    """Number the molecules of several shards, as they come, and those that several of them know once.

    Args:
        shards: in the order of Mix.shards.
        dataset: the dataset of each shard.
        split: (n_molecules,) codes of each shard.
    """
    sizes = [len(shard.identity) for shard in shards]
    keys = np.concatenate([shard.identity[:, 0] for shard in shards])
    _, first, code = np.unique(keys, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int32)
    number[np.argsort(first)] = np.arange(len(first), dtype=np.int32)  # by first appearance, not by hash
    code = number[code]
    order = np.argsort(code, kind="stable").astype(np.int32)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=len(first)))]).astype(np.int64)
    columns = (
        np.repeat(np.arange(len(shards), dtype=np.int32), sizes),
        np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
        np.repeat(np.asarray(dataset, np.int16), sizes),
        np.concatenate(split),
    )
    return Rows(ptr, *(column[order] for column in columns), order=order)


def _cached_codes(table: Table, kind: str, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return row codes that `make()` gives, kept in the cache: so that opening a prepared dataset imports no torch."""
    folder = home() / "splits"
    path = folder / f"{table.card.name}-{kind}-{key[:16]}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, make())
        temporary.replace(path)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def official_split(table: Table, progress: bool = True) -> Path | None:
    """Return the file of a table's official split, downloaded if need be; None where its source has none.

    Raises:
        DownloadError: it cannot be had.
    """
    card, source = table.card, table.source
    if not source.splits:
        return None
    try:
        [path] = fetch(source.splits, card.name, source.splits_sha256, card.folder, progress)
    except DownloadError as error:
        hint = 'or split by molecule: molfm.load(…, split="random") or split="scaffold".'
        raise DownloadError(
            f"The official split of {card.name} cannot be had.\n{error}\nPlace it as said, {hint}"
        ) from error
    return path


def _row_codes(table: Table, method: str, progress: bool) -> np.ndarray | None:
    """Return the codes of a split that goes by row, (n_rows,) int8; None where the table's source has no official one."""
    card = table.card
    if method != "official":
        names = table.columns()
        if method not in names:
            raise CardError(
                f"Unknown split {method!r} of {card.name}; expected official, {', '.join(GROUPS)}, or a column of its "
                f"table: {', '.join(names[:30])}."
            )
        content = "".join(digest(path, card.name) for path in table.paths)
        where = f"{table.paths[0].name}, column {method!r}"
        return _cached_codes(
            table,
            "column",
            hashlib.sha256((content + method).encode()).hexdigest(),
            lambda: codes_of(read_column(table, method), where),
        )
    if (path := official_split(table, progress)) is None:
        return None
    return _cached_codes(table, "official", digest(path, card.name), lambda: read_official(path))


def split_codes(
    table: Table,
    shards: Sequence[Shard],
    method: str | None,
    seed: int,
    progress: bool,
    pool: Callable[[], Executor | None] = lambda: None,
) -> list[np.ndarray]:
    """Return the split of each molecule of a dataset's shards, codes of `splits.SPLITS`.

    Args:
        method: "official", "scaffold", "random", or a column of the table; None: as the card says.
        pool: gives the executor that computes scaffolds, see `store.worker_pool`.

    Raises:
        CardError: an unknown method.
        DownloadError: the official split cannot be had.
        ValueError: the split file or column is not what it should be, or names rows that the table does not have.
    """
    method = method or table.card.split
    codes = None if method in GROUPS else _row_codes(table, method, progress)
    if codes is None:
        if method == "scaffold":
            make_scaffolds(shards, progress, pool)
        groups = [shard.scaffold if method == "scaffold" else shard.identity[:, 1] for shard in shards]
        return [assign(group, seed, table.card.fractions) for group in groups]
    if len(codes) > max((int(shard.row[-1]) + 1 for shard in shards if len(shard.row)), default=0):
        n_rows = sum(len(shard.row) + len(rejected_of(shard.folder)) for shard in shards)
        if len(codes) > n_rows:
            raise ValueError(
                f"{table.card.name}: its split names row {len(codes) - 1:,}, but {table.paths[0].name} has {n_rows:,} rows, "
                "counted from 0. One of the two belongs to another version of the dataset."
            )
    codes = np.append(codes, np.int8(UNUSED))  # for rows beyond those that the split names
    return [codes[np.minimum(shard.row, len(codes) - 1)] for shard in shards]
