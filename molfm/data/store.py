"""The prepared store: one folder per shard, with flat arrays that are memory-mapped and never copied as a whole.

`prepare.py` writes it; the last two kinds of files are added at their first use.

    <name>-<hash of table, card and featurizer>/shard-00000/
        molecules.parquet   row, smiles (the key), and id if the card has a column of ids
        rejected.parquet    row, smiles, reason
        changed.parquet     row, smiles, change: rows of which a part is not stored
        row.npy             (n,) row of the table, for splits by row
        identity.npy        (n, 2) hashes of key and of the parent's constitution, for joins and splits
        atoms.npy, atom_ptr.npy, bonds.npy, bond_ptr.npy      see chem.featurize.Molecules; ends of bonds modulo 256
        far_bond.npy, far_ends.npy    numbers of the bonds with an end beyond atom 255, and both their ends in full
        {graph,node,edge}_{ptr,item,task,value}.npy           labels as triples, ordered by molecule
        {graph,node,edge}_{side,weight}.npy                   only if there are censored labels, or weights
        features.npy        (n, n_features) the card's features; only if it has any
        manifest.json       written last: sizes of all files, so a damaged shard is noticed and made again
        scaffold.npy        (n,) hashes of scaffolds
        encoding-*.npy      positional encodings, one file per name, see chem.encodings
    <name>-<hash>/parents.npy, clusters.npy     (n,) groups of the whole table, see groups.py

A label is (item, task, value): item is the number of the atom or bond in its molecule (0 for the graph itself), task
the number of the task in the card. Unmeasured labels are not stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from molfm.base.arrays import memory_map, spans
from molfm.base.files import remove_unfinished, whole
from molfm.catalog.schema import LEVELS
from molfm.chem.encodings import WALK, encoding
from molfm.chem.encodings import field as field_of
from molfm.chem.featurize import Molecules
from molfm.chem.identity import scaffolds

OPTIONAL = ("side", "weight")  # fields of labels that a shard may lack
ARRAYS = ("row", "identity", "atoms", "atom_ptr", "bonds", "bond_ptr", "far_bond", "far_ends")


class Labels(NamedTuple):
    """The labels of one level as triples; molecule i owns ptr[i]:ptr[i+1]."""

    ptr: np.ndarray  # (n + 1,) int64
    item: np.ndarray  # (n_labels,) uint16, atom or bond in its molecule; 0 at graph level
    task: np.ndarray  # (n_labels,) uint16, number of the task in the card
    value: np.ndarray  # (n_labels,) float32, in the card's units
    side: np.ndarray | None = None  # (n_labels,) int8, see data/cells.py; None: no label is censored
    weight: np.ndarray | None = None  # (n_labels,) float32; None: every label counts the same


@dataclass(frozen=True, eq=False)
class Shard:
    """One opened shard; its arrays are memory maps, or plain arrays for molecules that were never on disk."""

    row: np.ndarray
    identity: np.ndarray
    atoms: np.ndarray
    atom_ptr: np.ndarray
    bonds: np.ndarray  # use `bonds_at`
    bond_ptr: np.ndarray
    far_bond: np.ndarray
    far_ends: np.ndarray
    labels: dict[str, Labels]  # by level
    folder: Path | None = None
    features: np.ndarray | None = None  # (n, n_features) float32, or None if the card has none
    _encodings: dict[str, np.ndarray] = field(default_factory=dict)  # by name, those used so far

    def __reduce__(self):
        """Send a shard to another process as the path of its folder, not as arrays."""
        return open_shard, (self.folder,)

    @cached_property
    def scaffold(self) -> np.ndarray:
        """(n,) uint64, hashes of the scaffolds; computed at first use and kept in the shard's folder."""
        return self._kept("scaffold", lambda: scaffolds(molecules_of(self.folder).smiles))

    def bonds_at(self, number: np.ndarray) -> np.ndarray:
        """Return bonds (n, 3) by their numbers (n,): both ends, and the byte for BOND_CODES."""
        bonds = self.bonds[number]
        if len(self.far_bond):
            place = np.minimum(np.searchsorted(self.far_bond, number), len(self.far_bond) - 1)
            far = self.far_bond[place] == number
            bonds = bonds.astype(np.uint16)
            bonds[far, :2] = self.far_ends[place[far]]
        return bonds

    def encoding(self, name: str) -> np.ndarray:
        """Return a positional encoding, (n_atoms, …) float16, see `chem.encodings.encoding`; kept like scaffolds."""
        if name not in self._encodings:
            self._encodings[name] = self._kept(f"encoding-{name}", lambda: self._encode(name))
        return self._encodings[name]

    def _encode(self, name: str) -> np.ndarray:
        bonds = self.bonds_at(np.arange(len(self.bonds))) if len(self.far_bond) else self.bonds
        return encoding(name, self.atom_ptr, bonds, self.bond_ptr)

    def has(self, name: str) -> bool:
        """Return whether an array that is made at first use, such as "scaffold", is there already."""
        return (self.folder / f"{name}.npy").exists()

    def _kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        return make() if self.folder is None else kept(self.folder / f"{name}.npy", make)


def kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array in a .npy file, which is made at the first call; other processes wait for it."""
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            remove_unfinished(path)
            with whole(path) as temporary:
                np.save(temporary, make())
    return memory_map(path)


def structure(shard: Shard, local: np.ndarray, encodings: Sequence[str] = (WALK,)) -> dict[str, np.ndarray]:
    """Gather atoms, bonds and positional encodings of some molecules of a shard, (n,) numbers in it."""
    num_atoms = shard.atom_ptr[local + 1] - shard.atom_ptr[local]
    num_bonds = shard.bond_ptr[local + 1] - shard.bond_ptr[local]
    atoms, bonds = spans(shard.atom_ptr[local], num_atoms), spans(shard.bond_ptr[local], num_bonds)
    out = {"num_atoms": num_atoms, "num_bonds": num_bonds, "atoms": shard.atoms[atoms], "bonds": shard.bonds_at(bonds)}
    return out | {field_of(name): shard.encoding(name)[atoms] for name in encodings}


def open_shard(folder: Path) -> Shard:
    """Open a shard; only the headers of its arrays are read."""

    def load(name: str) -> np.ndarray:
        return memory_map(folder / f"{name}.npy")

    def load_if_there(name: str) -> np.ndarray | None:
        return load(name) if (folder / f"{name}.npy").exists() else None

    names = [name for name in Labels._fields if name not in OPTIONAL]
    labels = {
        level: Labels(
            *(load(f"{level}_{name}") for name in names), *(load_if_there(f"{level}_{name}") for name in OPTIONAL)
        )
        for level in LEVELS
    }
    arrays = {name: load(name) for name in ARRAYS}
    return Shard(**arrays, labels=labels, features=load_if_there("features"), folder=folder)


def in_memory(found: Molecules) -> Shard:
    """Return featurized molecules as a shard without labels, for predictions."""
    nothing = np.zeros(0, np.int64)
    labels = Labels(np.zeros(len(found.row) + 1, np.int64), nothing, nothing, nothing)
    arrays = (found.row, found.identity, found.atoms, found.atom_ptr, found.bonds, found.bond_ptr)
    return Shard(*arrays, nothing, nothing, dict.fromkeys(LEVELS, labels))


def molecules_of(folder: Path) -> pd.DataFrame:
    """Read the molecules of a shard: row of the table, smiles (the key), and id if the card has a column of ids."""
    return pd.read_parquet(folder / "molecules.parquet")


def rejected_of(folder: Path) -> pd.DataFrame:
    """Read the rejected rows of a shard: row of the table, smiles, reason."""
    return pd.read_parquet(folder / "rejected.parquet")


def changed_of(folder: Path) -> pd.DataFrame:
    """Read the rows of a shard of which a part is not stored: row of the table, smiles, change."""
    return pd.read_parquet(folder / "changed.parquet")
