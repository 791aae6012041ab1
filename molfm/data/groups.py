"""Groups: which molecules of a table must be on one side of a split.

A parent's salts, stereoisomers and tautomers are always together: a network that trained on one of them knows the
others. A group is a parent, or all parents of a scaffold, of a cluster of similar molecules, or of one value of a column.
Groups are hashes, so they depend neither on the order of the rows nor on the machine.
"""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from molfm.base.arrays import pointer
from molfm.base.errors import InputError
from molfm.base.names import listed
from molfm.base.progress import tqdm
from molfm.chem.identity import constitutions, hash64, tautomer_hashes
from molfm.chem.similarity import clusters
from molfm.data.prepare import POOL_FROM_ROWS, make_scaffolds
from molfm.data.store import Shard, kept, molecules_of
from molfm.data.times import read_times

Pool = Callable[[], Executor | None]  # see prepare.worker_pool
_PARENTS, _CLUSTERS = "parents-1", "clusters-1"  # names of the files; another number for another definition
_CHUNK = 500  # molecules per task of a process
_ROUNDS = 3  # bonds that the description of an atom's surroundings reaches


def scramble(x: np.ndarray) -> np.ndarray:
    """Return numbers that look random, (n,) uint64, equal for equal x (n,) uint64 (the last step of splitmix64)."""
    with np.errstate(over="ignore"):  # the products wrap around by design
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def connected(*labels: np.ndarray) -> np.ndarray:
    """Return groups (n,) uint64 that join items with an equal label in any of several arrays (n,) uint64.

    A group has the smallest of its first labels as its name.
    """
    n = len(labels[0])
    codes = [np.unique(one, return_inverse=True)[1] for one in labels]
    start = n + pointer([code.max(initial=-1) + 1 for code in codes])
    item = np.tile(np.arange(n), len(labels))
    label = np.concatenate([code + first for code, first in zip(codes, start, strict=False)])
    graph = coo_array((np.ones(len(item), bool), (item, label)), shape=(start[-1], start[-1]))
    part = connected_components(graph, directed=False)[1][:n]
    name = np.full(part.max(initial=-1) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(name, part, labels[0])
    return name[part]


# ------------------------------------------------------------------------------------------------------------- parents


def parents(shards: Sequence[Shard], progress: bool, pool: Pool) -> np.ndarray:
    """Return a hash of each molecule's parent, (n,) uint64, equal for its salts, stereoisomers and tautomers.

    It is the smallest hash of the parent's constitutions. Made at the first call and kept beside the shards.

    Args:
        shards: all shards of a table.
        progress: show progress bars.
        pool: function that returns the executor for many molecules, see `prepare.worker_pool`.
    """
    return kept(shards[0].folder.parent / f"{_PARENTS}.npy", lambda: _parents(shards, progress, pool))


def _parents(shards: Sequence[Shard], progress: bool, pool: Pool) -> np.ndarray:
    """Hash the tautomers of those molecules that may have one in the table: comparing atoms and bonds is fast."""
    key, constitution = np.concatenate([shard.identity for shard in shards]).T
    names, code = np.unique(constitution, return_inverse=True)
    alike = np.flatnonzero(_has_lookalike(shards, code))
    if not len(alike):
        return constitution
    keys = _keys(shards, _smallest(key, code)[alike])
    chunks = [keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK)]
    executor = pool() if len(keys) > POOL_FROM_ROWS else None
    found = []
    with tqdm(total=len(keys), desc="Tautomers", unit=" molecules", disable=not progress) as bar:
        for hashes in (executor.map if executor else map)(tautomer_hashes, chunks):
            found.append(hashes)
            bar.update(len(hashes))
    joined = names.copy()
    joined[alike] = connected(names[alike], *np.concatenate(found).T)
    return joined[code]


def _has_lookalike(shards: Sequence[Shard], code: np.ndarray) -> np.ndarray:
    """Return whether another constitution has a fragment with the same heavy atoms and connections, (n_codes,) bool.

    Tautomers do. Their bond orders, charges and hydrogens, which are ignored here, differ.

    Args:
        shards: all shards of a table.
        code: (n,) constitution of each molecule, numbered from 0.
    """
    start = pointer([len(shard.identity) for shard in shards])
    parts = [_fragments(shard) for shard in shards]
    owner = np.concatenate([code[first + molecule] for first, (molecule, _) in zip(start, parts, strict=False)])
    fragment = np.concatenate([hashes for _, hashes in parts])
    pairs = pd.DataFrame({"owner": owner, "fragment": fragment}).drop_duplicates()
    shared = pairs.fragment.duplicated(keep=False)
    out = np.zeros(code.max(initial=-1) + 1, bool)
    out[pairs.owner[shared]] = True
    return out


def _fragments(shard: Shard) -> tuple[np.ndarray, np.ndarray]:
    """Return the molecule and a hash of each fragment of several heavy atoms: two arrays (n_fragments,)."""
    molecule = np.repeat(np.arange(len(shard.identity)), np.diff(shard.atom_ptr))
    ends = shard.bonds_at(np.arange(len(shard.bonds)))[:, :2].astype(np.int64)
    ends += np.repeat(shard.atom_ptr[:-1], np.diff(shard.bond_ptr))[:, None]
    a, b = ends.T
    element = shard.atoms[:, 0].astype(np.uint64)
    heavy = (element > 1).astype(np.uint64)
    code = scramble(element) * heavy
    for _ in range(_ROUNDS):  # as Morgan and Weisfeiler and Leman did: an atom is what it was, and what surrounds it
        around = np.zeros_like(code)
        np.add.at(around, a, code[b])
        np.add.at(around, b, code[a])
        code = scramble(code + scramble(around)) * heavy
    n_atoms = len(molecule)
    bonds = coo_array((np.ones(len(a), bool), (a, b)), shape=(n_atoms, n_atoms))
    n_fragments, fragment = connected_components(bonds, directed=False)
    total, size, owner = np.zeros(n_fragments, np.uint64), np.zeros(n_fragments, np.uint64), np.zeros(n_fragments, int)
    np.add.at(total, fragment, code)
    np.add.at(size, fragment, heavy)
    owner[fragment] = molecule
    return owner[size > 1], total[size > 1]


def _smallest(values: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Return the place of the smallest value of each code, (n_codes,), for values and codes (n,)."""
    order = np.lexsort((values, code))
    return order[np.unique(code[order], return_index=True)[1]]


def _keys(shards: Sequence[Shard], numbers: np.ndarray) -> list[str]:
    """Return the SMILES of molecules by their numbers (n,) in all shards."""
    start = pointer([len(shard.identity) for shard in shards])
    owner, keys = np.searchsorted(start, numbers, side="right") - 1, np.empty(len(numbers), object)
    for number in np.unique(owner):
        mine = owner == number
        keys[mine] = molecules_of(shards[number].folder).smiles.to_numpy(object)[numbers[mine] - start[number]]
    return keys.tolist()


# ------------------------------------------------------------------------------------------------------ groups of parents


def by_scaffold(shards: Sequence[Shard], parent: np.ndarray, progress: bool, pool: Pool) -> np.ndarray:
    """Return groups (n,) uint64 of parents with one scaffold; scaffolds of one parent's tautomers form one group."""
    make_scaffolds(shards, progress, pool)
    return connected(np.concatenate([shard.scaffold for shard in shards]), parent)


def by_cluster(shards: Sequence[Shard], parent: np.ndarray, progress: bool) -> np.ndarray:
    """Return groups (n,) uint64 of similar parents, see `chem.similarity`; kept beside the shards."""

    def make() -> np.ndarray:
        # A parent is compared in the constitution whose hash is its name. Sorted by it: the order of rows must not count.
        names, code = np.unique(parent, return_inverse=True)
        key, constitution = np.concatenate([shard.identity for shard in shards]).T
        own = np.flatnonzero(constitution == parent)
        smiles = constitutions(_keys(shards, own[_smallest(key[own], code[own])]))
        return names[clusters(smiles, progress)][code]

    return kept(shards[0].folder.parent / f"{_CLUSTERS}.npy", make)


def by_column(values: np.ndarray, rows: np.ndarray, parent: np.ndarray, where: str) -> np.ndarray:
    """Return groups (n,) uint64 of parents with one value in a column. A row without a value groups by its parent.

    Args:
        values: (n,) text or numbers, None for empty cells.
        rows: (n,) numbers of the rows, for messages.
        parent: (n,) from `parents`.
        where: name of the file and column, for messages.

    Raises:
        InputError: the column is empty.

    Warns:
        UserWarning: groups were joined, because they share a parent; the warning counts them.
    """
    words = pd.Series(["" if value is None else str(value).strip() for value in values], dtype=object)
    words = words.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)  # a column of whole numbers with gaps holds 1.0
    given = (words != "").to_numpy()
    if not given.any():
        raise InputError(f"{where}: expected the names or numbers of groups, found only empty cells.")
    texts, code = np.unique(words.to_numpy(str), return_inverse=True)
    group = np.where(given, np.array([hash64(text) for text in texts], np.uint64)[code], parent)
    joined = connected(group, parent)
    pairs = pd.DataFrame({"parent": parent, "group": group, "joined": joined})[given].drop_duplicates()
    several = pairs[pairs.parent.duplicated(keep=False)]
    if len(several):
        most, touched = several.parent.mode()[0], pairs[pairs.joined.isin(several.joined)]
        places = np.flatnonzero(given & (parent == most))
        names = [str(text) for text in np.unique(texts[code[places]])]
        warnings.warn(
            f"{where}: {several.parent.nunique():,} molecules are in several groups, first of all that of row "
            f"{rows[places[0]]}, which is in {listed(map(repr, names), 4)}. So that no molecule is on both sides of the "
            f"split, {touched.group.nunique():,} groups were joined to {touched.joined.nunique():,}, and "
            f"{np.unique(joined).size:,} remain. Reference compounds join no groups if you leave the column empty for "
            "them. Salts, stereoisomers and tautomers count as one molecule.",
            stacklevel=5,
        )
    return joined


def first_times(values: np.ndarray, rows: np.ndarray, parent: np.ndarray, where: str) -> np.ndarray:
    """Return when each molecule's parent was first measured, (n,) float64, NaN if no row of the parent has a time.

    Args:
        values: (n,) see `times.read_times`.
        rows: (n,) numbers of the rows, for messages.
        parent: (n,) from `parents`.
        where: name of the file and column, for messages.

    Raises:
        InputError: a cell is neither a date nor a number, or the column is empty.

    Warns:
        UserWarning: some parents have no time; the warning counts their rows.
    """
    times = read_times(values, rows, where)
    names, code = np.unique(parent, return_inverse=True)
    first = np.full(len(names), np.inf)
    np.fmin.at(first, code, times)
    out = np.where(np.isinf(first), np.nan, first)[code]
    missing = np.flatnonzero(np.isnan(out))
    if len(missing) == len(out):
        raise InputError(f"{where}: expected dates or numbers, found only empty cells.")
    if len(missing):
        warnings.warn(
            f"{where}: {len(missing):,} of {len(out):,} rows have no time (the first is row {rows[missing[0]]}), and "
            "their molecules have none in other rows. They are in no split, because nobody can say whether they are "
            "old or new. Fill in their times to use them.",
            stacklevel=5,
        )
    return out
