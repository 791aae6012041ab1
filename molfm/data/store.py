"""The prepared store: a folder a shard, flat arrays that are memory-mapped and never copied as a whole.

    <name>-<hash of table, card and featurizer>/shard-00000/
        molecules.parquet   row, smiles (the key)
        rejected.parquet    row, smiles, reason
        row.npy             (n,) row of the table: what an official split goes by
        identity.npy        (n, 2) hashes of key and constitution: joins and splits
        atoms.npy, atom_ptr.npy, bonds.npy, bond_ptr.npy      see featurize.Molecules
        {graph,node,edge}_{ptr,item,task,value}.npy           labels as triples, molecule by molecule
        manifest.json       written last: sizes of all files, so that a half-written shard is seen and redone
        scaffold.npy        (n,) hashes of scaffolds, made when they are first asked for
        encoding-*.npy      positional encodings, a file for each name of encodings.py, likewise

A label is (item, task, value): item is the number of the atom or bond in its molecule (0 for the graph itself), task the
column in the card. What was not measured is not there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from molfm.base.arrays import memory_map, spans
from molfm.base.files import whole
from molfm.catalog.schema import LEVELS
from molfm.chem.encodings import WALK, encoding
from molfm.chem.encodings import field as field_of
from molfm.chem.featurize import Molecules, scaffolds


class Labels(NamedTuple):
    """The labels of one level as triples; molecule i owns ptr[i]:ptr[i+1]."""

    ptr: np.ndarray  # (n + 1,) int64
    item: np.ndarray  # (n_labels,) uint16, atom or bond in its molecule; 0 at graph level
    task: np.ndarray  # (n_labels,) uint16, column in the card
    value: np.ndarray  # (n_labels,) float32, in the card's units


@dataclass(frozen=True, eq=False)
class Shard:
    """One opened shard; its arrays are memory maps, or plain arrays for molecules that never were on disk."""

    row: np.ndarray
    identity: np.ndarray
    atoms: np.ndarray
    atom_ptr: np.ndarray
    bonds: np.ndarray
    bond_ptr: np.ndarray
    labels: dict[str, Labels]  # by level
    folder: Path | None = None
    _encodings: dict[str, np.ndarray] = field(default_factory=dict)  # those asked for so far

    def __reduce__(self):
        """A shard on disk travels to another process as its folder's name, not as its arrays."""
        return open_shard, (self.folder,)

    @cached_property
    def scaffold(self) -> np.ndarray:
        """(n,) uint64, hashes of the scaffolds; computed once, then read from beside the shard."""
        return self._kept("scaffold", lambda: scaffolds(molecules_of(self.folder).smiles))

    def encoding(self, name: str) -> np.ndarray:
        """(n_atoms, …) float16, a positional encoding (`encodings.encoding`); likewise."""
        if name not in self._encodings:
            make = partial(encoding, name, self.atom_ptr, self.bonds, self.bond_ptr)
            self._encodings[name] = self._kept(f"encoding-{name}", make)
        return self._encodings[name]

    def has(self, name: str) -> bool:
        """Return whether an array that is made when it is asked for is there already, such as "scaffold"."""
        return (self.folder / f"{name}.npy").exists()

    def _kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.npy"
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                with whole(path) as temporary:
                    np.save(temporary, make())
        return memory_map(path)


def structure(shard: Shard, local: np.ndarray, encodings: Sequence[str] = (WALK,)) -> dict[str, np.ndarray]:
    """Gather the atoms and bonds of some molecules of a shard, by their numbers in it, with these encodings of them."""
    num_atoms = shard.atom_ptr[local + 1] - shard.atom_ptr[local]
    num_bonds = shard.bond_ptr[local + 1] - shard.bond_ptr[local]
    atoms, bonds = spans(shard.atom_ptr[local], num_atoms), spans(shard.bond_ptr[local], num_bonds)
    out = {"num_atoms": num_atoms, "num_bonds": num_bonds, "atoms": shard.atoms[atoms], "bonds": shard.bonds[bonds]}
    return out | {field_of(name): shard.encoding(name)[atoms] for name in encodings}


def open_shard(folder: Path) -> Shard:
    """Open a shard; nothing is read but the headers of its arrays."""

    def load(name: str) -> np.ndarray:
        return memory_map(folder / f"{name}.npy")

    labels = {level: Labels(*(load(f"{level}_{name}") for name in Labels._fields)) for level in LEVELS}
    arrays = {name: load(name) for name in ("row", "identity", "atoms", "atom_ptr", "bonds", "bond_ptr")}
    return Shard(**arrays, labels=labels, folder=folder)


def in_memory(found: Molecules) -> Shard:
    """Return featurized molecules as a shard without labels, for predictions."""
    nothing = np.zeros(0, np.int64)
    labels = Labels(np.zeros(len(found.row) + 1, np.int64), nothing, nothing, nothing)
    arrays = (found.row, found.identity, found.atoms, found.atom_ptr, found.bonds, found.bond_ptr)
    return Shard(*arrays, dict.fromkeys(LEVELS, labels))


def molecules_of(folder: Path) -> pd.DataFrame:
    """Read which molecules a shard holds: row of the table, smiles (the key)."""
    return pd.read_parquet(folder / "molecules.parquet")


def rejected_of(folder: Path) -> pd.DataFrame:
    """Read which rows a shard's table lost: row, smiles, reason."""
    return pd.read_parquet(folder / "rejected.parquet")
