"""Assigns rows to train, val and test: by molecule, by a column of times or groups, or as the table's authors did.

By molecule, in a mix: the molecule's group (all molecules of a scaffold, or all stereoisomers and salts of a parent) is
hashed with the seed, and the hash decides. So a molecule has the same split in every dataset that uses the same method,
seed and fractions, whatever other rows there are, and a table can be split while it streams. The price: sizes are right
on average, not exactly. `data.tasks` shows the resulting label counts.

A user's own table is split exactly: its groups (`groups.py`), in the order of their hashes, fill test and val. Rows that
are added later may therefore move others. Clusters, times, groups of a column, and folds need the whole table too, so
they split one table, never a mix.

By row: an official split is a file of row numbers; a column of the table works too. Both belong to that one table. Rows
that they do not name are in no split. `test_seen` holds test molecules that another dataset of the mix has in training.
"""

import hashlib
import heapq
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from molfm.base.arrays import memory_map
from molfm.base.errors import InputError
from molfm.base.files import home, whole
from molfm.catalog.download import digest, fetch
from molfm.catalog.http import DownloadError
from molfm.data import groups
from molfm.data.groups import Pool, scramble
from molfm.data.prepare import make_scaffolds
from molfm.data.split_method import Method, read_method
from molfm.data.store import Shard, rejected_of
from molfm.data.tables import Table, read_column

SPLITS = ("train", "val", "test", "test_seen")
UNUSED = -1  # code of rows in no split
_FEW = 10  # rows below which an empty split needs no explanation
_HAVE = {"random": "parent"}  # what the molecules of a group have in common, if not what the method is called


def uniform(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Return pseudo-random numbers in [0, 1), (n,) float64, for hashes (n,) uint64 and a seed (splitmix64)."""
    with np.errstate(over="ignore"):  # the sum wraps around by design
        x = hashes.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    return (scramble(x) >> np.uint64(11)) * 2.0**-53


def assign(groups: np.ndarray, seed: int, fractions: tuple[float, float, float]) -> np.ndarray:
    """Return 0, 1 or 2 (train, val, test), (n,) int8, for hashes of groups (n,) uint64; equal groups, equal splits."""
    return np.searchsorted(np.cumsum(fractions)[:2], uniform(groups, seed), side="right").astype(np.int8)


def assign_exactly(groups: np.ndarray, seed: int, fractions: tuple[float, float, float]) -> np.ndarray:
    """Return the same as `assign`, but with sizes as near to the fractions as groups allow; for a table that is complete.

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
        if not any(free.values()):
            break
        part = next((part for part in wanted if size[number] <= free[part]), 0)
        if part:
            code[number], free[part] = part, free[part] - size[number]
    for part in wanted:  # what is still free is filled with the group that comes nearest, even if it is larger
        while len(in_train := order[(code[order] == 0) & (order != largest)]) and free[part] > 0:
            number = in_train[np.argmin(np.abs(size[in_train] - free[part]))]
            if part in code and size[number] >= 2 * free[part]:
                break
            code[number], free[part] = part, free[part] - size[number]
    return code[group]


def assign_fold(groups: np.ndarray, seed: int, fold: int, folds: int) -> np.ndarray:
    """Return codes (n,) int8: one fold is test, the next one (after the last, the first) val, and the others train.

    The folds depend on groups, seed and their number alone, and have nearly the same size: a group goes to the fold that
    is smallest so far, large groups first.

    Raises:
        InputError: there are fewer groups than folds.
    """
    names, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise InputError(
            f"{folds} folds need at least {folds} groups of molecules, found {len(names)}. Ask for fewer folds, or for "
            f'another split; "random {fold}/{folds}" has the smallest groups.'
        )
    # Among groups whose size differs less than twofold, chance decides: otherwise each seed would give the same folds.
    order = np.lexsort((uniform(names, seed), -np.floor(np.log2(size))))
    sizes, of_group = [(0, number) for number in range(folds)], np.zeros(len(names), int)
    for number in order:
        so_far, smallest = sizes[0]
        of_group[number] = smallest
        heapq.heapreplace(sizes, (so_far + int(size[number]), smallest))
    codes = np.zeros(folds, np.int8)
    codes[[fold % folds, fold - 1]] = 1, 2
    return codes[of_group[group]]


def assign_by_time(times: np.ndarray, fractions: tuple[float, float, float]) -> np.ndarray:
    """Return codes (n,) int8: the newest are test, those before val, the oldest train, equal times together.

    Sizes are as near to the fractions as equal times allow. NaN gives `UNUSED`. Of two times, the later one is test.
    """
    codes, known = np.full(len(times), UNUSED, np.int8), ~np.isnan(times)
    moments, moment, size = np.unique(times[known], return_inverse=True, return_counts=True)
    before = np.concatenate([[0], np.cumsum(size)])  # number of items before each moment
    n, last = int(before[-1]), len(moments)
    train, val, test = (fraction > 0 for fraction in fractions)

    def cut(n_items: int, low: int, high: int) -> int:
        """Return how many moments to take for about so many items, from `low` to `high`."""
        return int(np.clip(np.argmin(np.abs(before - n_items)), low, max(low, high)))

    def wanted(part: int) -> int:
        return max(1, round(fractions[part] * n)) if fractions[part] > 0 else 0

    test_from = cut(n - wanted(2), min(train + val, last - 1), last - test)
    val_from = cut(before[test_from] - wanted(1), min(train, test_from), test_from - val)
    if last == 1:
        test_from = val_from = 1
    codes[known] = np.where(moment >= test_from, 2, moment >= val_from)
    return codes


# ---------------------------------------------------------------------------------------------------------- from row to code


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


# ------------------------------------------------------------------------------------------------------------- all methods


def _warn_of_empty_splits(name: str, method: Method, codes: np.ndarray, of: np.ndarray, fractions: tuple) -> None:
    """Warn if a part with a fraction is empty; `of`, (n,), is what is never divided: groups or times."""
    empty = [SPLITS[part] for part in range(3) if fractions[part] > 0 and not (codes == part).any()]
    if not empty or len(codes) < _FEW:
        return
    n_groups, what = len(np.unique(of[codes != UNUSED])), _HAVE.get(method.name, method.name)
    has = f"{len(codes):,} of {len(codes):,} molecules have one {what}"
    if n_groups > 1:
        has = f"the {len(codes):,} molecules have only {n_groups} {what}s"
    if method.column:
        has += f" in column {method.column!r}"
    other = "" if method.name == "random" else 'split="random", or '
    warnings.warn(
        f"{name}: its {method.text} split leaves {' and '.join(empty)} empty: {has}. Use {other}a column of the table "
        "that says train, val or test: split=COLUMN.",
        stacklevel=5,
    )


def _whole_codes(
    table: Table, shards: Sequence[Shard], method: Method, seed: int, progress: bool, pool: Pool
) -> np.ndarray:
    """Return the codes (n,) int8 of a table that is split as a whole, with parents on one side and exact sizes."""
    if not any(len(shard.row) for shard in shards):  # all rows were rejected
        return np.zeros(0, np.int8)
    parent, fractions = groups.parents(shards, progress, pool), table.card.fractions
    rows, where = np.concatenate([shard.row for shard in shards]), f"{table.paths[0].name}, column {method.column!r}"
    values = read_column(table, method.column)[rows] if method.column else None
    if method.name == "time":
        of = groups.first_times(values, rows, parent, where)
        codes = assign_by_time(of, fractions)
    else:
        if method.name == "group":
            of = groups.by_column(values, rows, parent, where)
        elif method.name == "cluster":
            of = groups.by_cluster(shards, parent, progress)
        else:
            of = groups.by_scaffold(shards, parent, progress, pool) if method.name == "scaffold" else parent
        if method.folds:
            return assign_fold(of, seed, method.fold, method.folds)
        codes = assign_exactly(of, seed, fractions)
    _warn_of_empty_splits(table.card.name, method, codes, of, fractions)
    return codes


def split_codes(
    table: Table,
    shards: Sequence[Shard],
    method: str | None,
    seed: int,
    progress: bool,
    pool: Pool = lambda: None,
    own_table: bool = False,
) -> list[np.ndarray]:
    """Return the split codes of a dataset's molecules, one array (n_molecules_of_shard,) int8 per shard.

    Args:
        table: the dataset's table.
        shards: the table's prepared shards.
        method: see `read_method`; "official" becomes "random" if the source has no official split. None for the method
            that the card names. See `check_method`.
        seed: random seed of splits by molecule.
        progress: show progress bars.
        pool: function that returns the executor for computing scaffolds, see `prepare.worker_pool`.
        own_table: the table stands alone, so its sizes can be exact.

    Raises:
        DownloadError: the official split could not be downloaded.
        ValueError: the split file or column is invalid, or names rows that the table does not have; or there are fewer
            groups than folds.

    Warns:
        UserWarning: a split leaves a part empty, rows have no time, or groups share molecules; the warning says what to
            do.
    """
    asked = read_method(method or table.card.split)
    by_row = asked.name in ("official", "column")
    codes = _row_codes(table, asked.text, progress) if by_row else None
    if codes is None:
        asked = Method("random", "random") if by_row else asked
        sizes = [len(shard.identity) for shard in shards]
        if own_table or asked.whole_table:
            codes = _whole_codes(table, shards, asked, seed, progress, pool)
        else:
            if asked.name == "scaffold":
                make_scaffolds(shards, progress, pool)
            of = [shard.scaffold if asked.name == "scaffold" else shard.identity[:, 1] for shard in shards]
            codes = assign(np.concatenate(of), seed, table.card.fractions)
        return np.split(codes, np.cumsum(sizes)[:-1])
    if len(codes) > max((int(shard.row[-1]) + 1 for shard in shards if len(shard.row)), default=0):
        n_rows = sum(len(shard.row) + len(rejected_of(shard.folder)) for shard in shards)
        if len(codes) > n_rows:
            raise InputError(
                f"{table.card.name}: its split names row {len(codes) - 1:,}, but {table.paths[0].name} has {n_rows:,} "
                "rows, counted from 0. The split and the table belong to different versions of the dataset."
            )
    codes = np.append(codes, np.int8(UNUSED))  # the last code is for all rows beyond those that the split names
    return [codes[np.minimum(shard.row, len(codes) - 1)] for shard in shards]
