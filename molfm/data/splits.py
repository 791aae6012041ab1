"""Assigns rows to train, val and test, either by molecule or as the table's authors did.

By molecule: the molecule's group (all molecules of a scaffold, or all stereoisomers and salts of a parent) is hashed with
the seed, and the hash decides. So a molecule has the same split in every dataset that uses the same method, seed and
fractions, whatever other rows there are, and a table can be split while it streams. The price: sizes are right on
average, not exactly. `data.tasks` shows the resulting label counts. A user's own small table is split exactly instead:
its groups, in the order of their hashes, fill test and val.

By row: an official split is a file of row numbers; a column of the table works too. Both belong to that one table. Rows
that they do not name are in no split. `test_seen` holds test molecules that another dataset of the mix has in training.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import pandas as pd

from molfm.base.arrays import memory_map
from molfm.base.errors import InputError
from molfm.base.files import home, whole
from molfm.catalog.download import digest, fetch
from molfm.catalog.http import DownloadError
from molfm.catalog.schema import CardError
from molfm.data.prepare import make_scaffolds
from molfm.data.store import Shard, rejected_of
from molfm.data.tables import Table, read_column

SPLITS = ("train", "val", "test", "test_seen")
UNUSED = -1  # code of rows in no split
SMALL = 1_000  # rows of a user's own table below which sizes are exact: there, chance would be off by a tenth and more
_FEW = 10  # rows below which an empty split needs no explanation
GROUPS = ("random", "scaffold")  # methods that split by molecule: by its constitution, by its scaffold


def uniform(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Return pseudo-random numbers in [0, 1), (n,) float64, for hashes (n,) uint64 and a seed (splitmix64)."""
    with np.errstate(over="ignore"):  # the sums wrap around by design
        x = hashes.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


def assign(groups: np.ndarray, seed: int, fractions: tuple[float, float, float]) -> np.ndarray:
    """Return 0, 1 or 2 (train, val, test), (n,) int8, for hashes of groups (n,) uint64; equal groups, equal splits."""
    return np.searchsorted(np.cumsum(fractions)[:2], uniform(groups, seed), side="right").astype(np.int8)


def assign_exactly(groups: np.ndarray, seed: int, fractions: tuple[float, float, float]) -> np.ndarray:
    """Return the same as `assign`, but with sizes that are exact where groups allow it; for small tables.

    The largest group is always in train. Val and test get a group each, if they have a fraction and there are enough
    groups, however large these are.
    """
    names, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    code = np.zeros(len(names), np.int8)
    wanted = [part for part in (1, 2) if fractions[part] > 0]
    free = {part: max(1, round(fractions[part] * len(groups))) for part in wanted}
    order = np.argsort(uniform(names, seed), kind="stable")
    largest = order[np.argmax(size[order])] if len(order) else None
    for number in order[order != largest]:
        part = next((part for part in wanted if size[number] <= free[part]), 0)
        if part:
            code[number], free[part] = part, free[part] - size[number]
    for part in wanted:
        in_train = order[code[order] == 0]
        if part not in code and len(in_train) > 1:  # all groups are too large: take the smallest
            code[in_train[np.argmin(size[in_train])]] = part
    return code[group]


def _row_numbers(numbers: object) -> np.ndarray:
    found = np.asarray(numbers).ravel()
    if len(found) and found.dtype.kind not in "iu":  # masks and fractions could be mistaken for row numbers
        raise TypeError(f"row numbers must be whole numbers, found {found[0]!r}")
    return found.astype(np.int64)


def read_official(path: Path) -> np.ndarray:
    """Read a split file and return the code of each row, (n_rows,) int8: an index into `SPLITS`, or `UNUSED`.

    Args:
        path: `.pt` (`torch.save` of a dict of lists; read with `weights_only=True`) or `.json` (the same as an object):
            {"train": [row, …], "val": […], "test": […], "test_seen": […]}, the last optional.

    Raises:
        ValueError: the file does not hold that, or lists a row more than once.
    """
    expected = f"expected {', '.join(SPLITS[:3])} and optionally {SPLITS[3]}, each a list of row numbers"
    try:
        if path.suffix == ".json":
            parts = json.loads(path.read_text("utf-8"))
        else:
            import torch  # not at the top: a dataset that was split before opens without torch

            parts = torch.load(path, weights_only=True)
        rows = {name: _row_numbers(numbers) for name, numbers in parts.items()}
    except Exception as error:  # whatever a broken or foreign file raises
        raise InputError(f"{path}: {expected}, but it could not be read: {error}") from error
    if not set(SPLITS[:3]) <= set(rows) <= set(SPLITS):
        raise InputError(f"{path}: {expected}, found {', '.join(map(str, rows)) or 'nothing'}.")
    every = np.concatenate(list(rows.values()))
    if len(every) and every.min() < 0:
        raise InputError(f"{path}: {expected}, found row {every.min()}.")
    codes = np.full(every.max() + 1 if len(every) else 0, UNUSED, np.int8)
    for name, numbers in rows.items():
        if len(again := numbers[codes[numbers] != UNUSED]) or len(np.unique(numbers)) < len(numbers):
            row = again[0] if len(again) else np.sort(numbers)[np.flatnonzero(np.diff(np.sort(numbers)) == 0)[0]]
            raise InputError(f"{path}: row {row} is listed more than once.")
        codes[numbers] = SPLITS.index(name)
    return codes


_NAMES = dict(zip(SPLITS, range(len(SPLITS)), strict=True)) | {
    **{"training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "testing": 2},
    **dict.fromkeys(("", "nan", "none"), UNUSED),
}


def codes_of(names: np.ndarray, where: str) -> np.ndarray:
    """Return the codes, (n,) int8, of a column of split names or fold numbers, (n,); None becomes `UNUSED`.

    Args:
        names: names of splits in any case: train, val (also valid, validation, dev), test, test_seen; or numbers of at
            least three folds, of which the highest is test, the next val and the others train. None or blank: no split.
        where: name of the file and column, for the message.

    Raises:
        ValueError: a name is not a split, or there are fewer than three folds; the message names the row.
    """
    words = pd.Series(["" if name is None else str(name).strip().lower() for name in names], dtype=object)
    fold = pd.to_numeric(words, errors="coerce")
    if fold.notna().any() and (words[fold.isna()].map(_NAMES) == UNUSED).all():
        folds = np.sort(fold.dropna().unique())
        if len(folds) < 3:
            raise InputError(
                f"{where}: expected the numbers of at least three folds, found {', '.join(f'{f:g}' for f in folds)}. "
                "Write train, val and test instead."
            )
        codes = (fold == folds[-1]) * 2 + (fold == folds[-2])
        return np.where(fold.isna(), UNUSED, codes).astype(np.int8)
    codes = words.map(_NAMES)
    if len(wrong := np.flatnonzero(codes.isna())):
        raise InputError(
            f"{where}, row {wrong[0]}: expected one of {', '.join(SPLITS)} or nothing, found {names[wrong[0]]!r}."
        )
    return codes.to_numpy(np.int8)


def _cached_codes(table: Table, kind: str, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the row codes from `make()`, cached, so opening a prepared dataset imports no torch."""
    path = home() / "splits" / f"{table.card.name}-{kind}-{key[:16]}.npy"
    if not path.exists():
        with whole(path) as temporary:
            np.save(temporary, make())
    return memory_map(path)


def official_split(table: Table, progress: bool = True) -> Path | None:
    """Return the file of a table's official split, downloading it if needed; None if the table's source has none.

    Raises:
        DownloadError: the file could not be downloaded.
    """
    card, source = table.card, table.source
    if not source.splits:
        return None
    try:
        [path] = fetch(source.splits, card.name, source.splits_sha256, card.folder, progress)
    except DownloadError as error:
        hint = 'Place it as described, or split by molecule: molfm.load(…, split="random") or split="scaffold".'
        raise DownloadError(f"The official split of {card.name} is not available.\n{error}\n{hint}") from error
    return path


def _row_codes(table: Table, method: str, progress: bool) -> np.ndarray | None:
    """Return the codes of a split by row, (n_rows,) int8; None if the table's source has no official split."""
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


def _warn_of_empty_splits(
    name: str, method: str, codes: np.ndarray, groups: np.ndarray, fractions: tuple[float, float, float]
) -> None:
    empty = [SPLITS[part] for part in range(3) if fractions[part] > 0 and not (codes == part).any()]
    if empty:
        sizes = np.unique(groups, return_counts=True)[1]
        together = "one scaffold" if method == "scaffold" else "one constitution"
        other = 'split="random", or ' if method == "scaffold" else ""
        warnings.warn(
            f"{name}: its {method} split leaves {' and '.join(empty)} empty: {sizes.max():,} of {len(codes):,} molecules "
            f"have {together}. Use {other}a column of the table that says train, val or test: split=COLUMN.",
            stacklevel=4,
        )


def split_codes(
    table: Table,
    shards: Sequence[Shard],
    method: str | None,
    seed: int,
    progress: bool,
    pool: Callable[[], Executor | None] = lambda: None,
    own_table: bool = False,
) -> list[np.ndarray]:
    """Return the split codes of a dataset's molecules, one array (n_molecules_of_shard,) int8 per shard.

    Args:
        table: the dataset's table.
        shards: the table's prepared shards.
        method: "official" ("random" if the source has no official split), "scaffold", "random", or a column of the
            table. None for the method that the card names.
        seed: random seed of splits by molecule.
        progress: show progress bars.
        pool: function that returns the executor for computing scaffolds, see `prepare.worker_pool`.
        own_table: the table stands alone, so if it is small, its sizes can be exact.

    Raises:
        CardError: the method is unknown.
        DownloadError: the official split could not be downloaded.
        ValueError: the split file or column is invalid, or names rows that the table does not have.

    Warns:
        UserWarning: a user's own table leaves a split empty; the warning says why and what to do.
    """
    method = method or table.card.split
    codes = None if method in GROUPS else _row_codes(table, method, progress)
    if codes is None:
        if method == "scaffold":
            make_scaffolds(shards, progress, pool)
        groups = [shard.scaffold if method == "scaffold" else shard.identity[:, 1] for shard in shards]
        fractions, joined = table.card.fractions, np.concatenate(groups)
        by_rank = own_table and len(joined) < SMALL
        codes = (assign_exactly if by_rank else assign)(joined, seed, fractions)
        if own_table and len(joined) >= _FEW:
            _warn_of_empty_splits(table.card.name, method, codes, joined, fractions)
        return np.split(codes, np.cumsum([len(group) for group in groups])[:-1])
    if len(codes) > max((int(shard.row[-1]) + 1 for shard in shards if len(shard.row)), default=0):
        n_rows = sum(len(shard.row) + len(rejected_of(shard.folder)) for shard in shards)
        if len(codes) > n_rows:
            raise InputError(
                f"{table.card.name}: its split names row {len(codes) - 1:,}, but {table.paths[0].name} has {n_rows:,} "
                "rows, counted from 0. The split and the table belong to different versions of the dataset."
            )
    codes = np.append(codes, np.int8(UNUSED))  # the last code is for all rows beyond those that the split names
    return [codes[np.minimum(shard.row, len(codes) - 1)] for shard in shards]
