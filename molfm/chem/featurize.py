"""Turn SMILES into flat arrays of atoms and bonds; stores and batches hold these instead of molecule objects.

Every molecule is stored as its key: the canonical isomeric SMILES without atom-map numbers. Its atoms and bonds are in
the order of this text, so labels of several datasets meet on the same atoms, whatever SMILES they came with. Codes are
small integers; `nn/encoders.py` decides which numbers a model sees. This module never imports torch.
"""

import re
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd
from rdkit import Chem, rdBase

from molfm.base.arrays import pointer
from molfm.chem.identity import constitution_of, hash64
from molfm.chem.smiles import AROMATIC, DOUBLE, OTHER, SINGLE, TRIPLE, Graphs, is_readable, read_graphs

VERSION = 3  # part of every store's cache key: raise it whenever a code or an identity changes its meaning
MAX_ATOMS = 2_000  # positional encodings take seconds for a molecule of this size, and grow with its cube

# Columns of an atom's codes, each with its number of values; larger values are clipped to the last one.
ATOM_FIELDS = {
    "element": 119,  # atomic number
    "degree": 9,  # neighbours, hydrogens included
    "charge": 15,  # formal charge + 7
    "radicals": 4,  # unpaired electrons
    "valence": 9,  # sum of bond orders, hydrogens included
    "hydrogens": 6,
    "aromatic": 2,
    "in_ring": 2,
    "chirality": 3,  # no label, R, S; CIP labels do not depend on the order of atoms
}
# A bond's three codes share one byte on disk; BOND_CODES[byte] returns them.
BOND_FIELDS = {
    "type": 5,  # single, double, triple, aromatic, other
    "stereo": 4,  # none, any, Z, E
    "in_ring": 2,
}
BOND_CODES = np.stack(np.unravel_index(np.arange(40), tuple(BOND_FIELDS.values())), axis=1).astype(np.uint8)  # (40, 3)
_BOND_ORDER = {
    Chem.BondType.SINGLE: SINGLE,
    Chem.BondType.DOUBLE: DOUBLE,
    Chem.BondType.TRIPLE: TRIPLE,
    Chem.BondType.AROMATIC: AROMATIC,
}
_BOND_STEREO = {  # relative to the atoms of highest CIP rank, so it does not depend on the order of atoms
    Chem.BondStereo.STEREOANY: 1,
    Chem.BondStereo.STEREOZ: 2,
    Chem.BondStereo.STEREOE: 3,
}
_CIP = {"R": 1, "S": 2}
_MAP_NUMBER = re.compile(r":\d+\]")
_ATOM_TEXT = re.compile(r"\[[^\]]*?(?::(\d+))?\]|Br|Cl|[A-Za-z*]")  # an atom as written; group 1 is its map number
_KEEP_HYDROGENS = Chem.SmilesParserParams()
_KEEP_HYDROGENS.removeHs = False
_ABSOLUTE = Chem.StereoGroupType.STEREO_ABSOLUTE


class Rejected(NamedTuple):
    """A row that cannot be stored as a molecule."""

    row: int
    smiles: str
    reason: str


class Changed(NamedTuple):
    """A row that is stored as another molecule than its text says, or without a part of its text."""

    row: int
    smiles: str
    change: str


class Places(NamedTuple):
    """The places of stored atoms (or bonds) in labels that follow the input SMILES."""

    order: np.ndarray  # (n_atoms,) or (n_bonds,) int64, place of each stored atom or bond
    written: np.ndarray  # (n,) int64, number of places of each molecule, including hydrogens that its SMILES writes out


class Molecules(NamedTuple):
    """Featurized molecules, concatenated: molecule i owns atoms atom_ptr[i]:atom_ptr[i+1], and bonds likewise."""

    row: np.ndarray  # (n,) int64, input row of each molecule
    smiles: list[str]  # (n,) keys
    identity: np.ndarray  # (n, 2) uint64, 64-bit hashes of key and of the parent's constitution (`identity.py`)
    atoms: np.ndarray  # (n_atoms, 9) uint8, ATOM_FIELDS
    atom_ptr: np.ndarray  # (n + 1,) int64
    bonds: np.ndarray  # (n_bonds, 3) uint8 (uint16 if a molecule has more than 256 atoms): both ends, numbered within
    # the molecule, and the byte for BOND_CODES
    bond_ptr: np.ndarray  # (n + 1,) int64
    places: dict[str, Places]  # by level, for the levels that were asked for
    rejected: list[Rejected]
    changed: list[Changed]


class _Parsed(NamedTuple):
    """One molecule on its way into the arrays."""

    key: str
    mol: Chem.Mol
    order: Sequence[int]  # for each atom of the key, its number in mol
    change: str  # what is not stored as the text says; "" if nothing is

    def bond(self, begin: int, end: int) -> Chem.Bond:
        """Return the bond of mol between two atoms of the key."""
        return self.mol.GetBondBetweenAtoms(int(self.order[begin]), int(self.order[end]))


class _NotStorable(Exception):
    pass


# ------------------------------------------------------------------------------------------------------- one molecule


def _without_map_numbers(smiles: object) -> str:
    if not isinstance(smiles, str) or not smiles.strip():
        raise _NotStorable("empty SMILES")
    if "\n" in smiles.strip():  # RDKit would read the first line and ignore the others
        raise _NotStorable("several lines, expected one SMILES")
    # RDKit must not see them: they make equal neighbours look different, which creates false stereocentres.
    return _MAP_NUMBER.sub("]", smiles) if ":" in smiles else smiles


def _parse(text: str) -> _Parsed:
    """Parse a SMILES without map numbers."""
    mol = Chem.MolFromSmiles(text)
    if mol is None or mol.GetNumAtoms() == 0:
        raise _NotStorable("RDKit cannot parse this SMILES")
    if mol.GetNumAtoms() > MAX_ATOMS:
        raise _NotStorable(f"{mol.GetNumAtoms()} atoms, at most {MAX_ATOMS} can be stored")
    change = _without_relative_stereo(mol) if "|" in text else ""
    key = Chem.MolToSmiles(mol)
    if "*" in key:
        raise _NotStorable("dummy atom (*): a fragment, not a molecule")
    if key == text:  # already in the stored order
        return _Parsed(key, mol, range(mol.GetNumAtoms()), change)
    return _Parsed(key, mol, np.fromstring(mol.GetProp("_smilesAtomOutputOrder")[1:-1], int, sep=","), change)


def _without_relative_stereo(mol: Chem.Mol) -> str:
    """Unspecify racemic and relative centres, which a CXSMILES extension names, in place; return what changed."""
    groups = [group for group in mol.GetStereoGroups() if group.GetGroupType() != _ABSOLUTE]
    if not groups:
        return "CXSMILES extension: only what changes atoms and bonds is kept"
    for group in groups:
        for atom in group.GetAtoms():
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        for bond in group.GetBonds():
            bond.SetStereo(Chem.BondStereo.STEREONONE)
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    return "CXSMILES extension: racemic or relative centres became unspecified"


def canonical_smiles(smiles: str) -> str | None:
    """Return a molecule's key, the canonical isomeric SMILES without atom-map numbers; None if it cannot be stored."""
    try:
        return _parse(_without_map_numbers(smiles)).key
    except _NotStorable:
        return None


def smiles_text(item: object) -> str | None:
    """Return a SMILES as text, or None if it is missing. An RDKit molecule becomes its SMILES."""
    if isinstance(item, Chem.Mol):
        return Chem.MolToSmiles(item)
    if item is None or item is pd.NA or (isinstance(item, float) and np.isnan(item)):
        return None
    return str(item)


# ------------------------------------------------------------------------------------------- atoms and bonds in labels


def _written(text: str, mol: Chem.Mol) -> tuple[Sequence[int], Sequence[int], int, int]:
    """Return the places of mol's atoms and bonds in its SMILES, and the numbers of atoms and bonds that it writes.

    Places differ from RDKit's numbers if hydrogens are written out that RDKit makes implicit.
    """
    if "[H" not in text:
        n_atoms, n_bonds = mol.GetNumAtoms(), mol.GetNumBonds()
        return range(n_atoms), range(n_bonds), n_atoms, n_bonds
    full = Chem.MolFromSmiles(text, _KEEP_HYDROGENS)
    for item in (*full.GetAtoms(), *full.GetBonds()):
        item.SetIntProp("written", item.GetIdx())
    kept = Chem.RemoveHs(full)
    if kept.GetNumAtoms() != mol.GetNumAtoms():
        raise _NotStorable("unclear which of the hydrogens it writes out are atoms")
    atoms, bonds = ([item.GetIntProp("written") for item in items] for items in (kept.GetAtoms(), kept.GetBonds()))
    return atoms, bonds, full.GetNumAtoms(), full.GetNumBonds()


def _by_map_number(smiles: str, atoms: Sequence[int], n_written: int) -> tuple[np.ndarray, int]:
    """Return the places of atoms in a node label, by map number if the SMILES has them, and the label's length."""
    numbers = np.array([int(number or 0) for number in _ATOM_TEXT.findall(smiles)])  # missing: 0, as in RDKit
    atoms = np.asarray(atoms)
    if not numbers.any():
        return atoms, n_written
    for counted in (numbers, numbers[atoms]):  # all written atoms, or only the stored ones
        first = counted.min()
        if first <= 1 and np.array_equal(np.sort(counted), np.arange(first, first + len(counted))):
            return numbers[atoms] - first, len(counted)
    raise _NotStorable("atom-map numbers must be all of 0…n-1 or 1…n")


# ------------------------------------------------------------------------------------------------------ many molecules

_OF_KIND = list(ATOM_FIELDS)[:-2]  # fields that follow from an atom's text and the orders of its bonds
_codes_of_kind: dict[int, list[int]] = {}  # RDKit's answer for the first atom of each kind that this process met


def _codes_of(atom: Chem.Atom) -> list[int]:
    """Return an atom's codes for the fields in `_OF_KIND`."""
    values = (
        atom.GetAtomicNum(),
        atom.GetTotalDegree(),
        atom.GetFormalCharge() + 7,
        atom.GetNumRadicalElectrons(),
        atom.GetTotalValence(),
        atom.GetTotalNumHs(),
        int(atom.GetIsAromatic()),
    )
    return [min(max(value, 0), ATOM_FIELDS[name] - 1) for name, value in zip(_OF_KIND, values, strict=True)]


def _chirality(atom: Chem.Atom) -> int:
    return _CIP.get(atom.GetProp("_CIPCode"), 0) if atom.HasProp("_CIPCode") else 0


def _bond_bytes(order: np.ndarray, stereo: np.ndarray, in_ring: np.ndarray) -> np.ndarray:
    return np.ravel_multi_index((order, stereo, in_ring.astype(int)), tuple(BOND_FIELDS.values()))


def _read(parsed: list[_Parsed]) -> tuple[np.ndarray, ...]:
    """Return (atoms, atoms per molecule, bonds, bonds per molecule), read from the texts of the keys."""
    graphs = read_graphs([item.key for item in parsed])
    sizes = np.diff(graphs.atom_ptr)
    if not np.array_equal(sizes, [item.mol.GetNumAtoms() for item in parsed]):
        return _ask(parsed)  # RDKit wrote something that `read_graphs` cannot read after all
    molecule_of = np.repeat(np.arange(len(parsed)), sizes)
    local = np.arange(len(molecule_of)) - graphs.atom_ptr[molecule_of]

    kinds, first, kind = np.unique(_kinds(graphs), return_index=True, return_inverse=True)
    for number, atom in zip(kinds.tolist(), first.tolist(), strict=True):
        if number not in _codes_of_kind:
            # Parsed from the key, because RDKit's valence can depend on how a molecule is written.
            mol = Chem.MolFromSmiles(parsed[molecule_of[atom]].key)
            _codes_of_kind[number] = _codes_of(mol.GetAtomWithIdx(int(local[atom])))
    atoms = np.zeros((len(local), len(ATOM_FIELDS)), np.uint8)
    atoms[:, :-2] = np.array([_codes_of_kind[number] for number in kinds.tolist()], np.uint8)[kind]
    atoms[graphs.ends[graphs.ring_bond].ravel(), -2] = 1
    for atom in np.flatnonzero(graphs.marked_atom).tolist():
        item = parsed[molecule_of[atom]]
        atoms[atom, -1] = _chirality(item.mol.GetAtomWithIdx(int(item.order[local[atom]])))

    molecule_of_bond = molecule_of[graphs.ends[:, 0]]
    ends, stereo = local[graphs.ends], np.zeros(len(graphs.ends), np.int64)
    has_direction = np.array([("/" in item.key or "\\" in item.key) for item in parsed])
    for bond in np.flatnonzero((graphs.order == DOUBLE) & has_direction[molecule_of_bond]).tolist():
        stereo[bond] = _BOND_STEREO.get(parsed[molecule_of_bond[bond]].bond(*ends[bond]).GetStereo(), 0)
    bonds = np.column_stack([ends, _bond_bytes(graphs.order, stereo, graphs.ring_bond)])
    return atoms, sizes, bonds.astype(_type_of_ends(sizes)), np.diff(graphs.bond_ptr)


def _type_of_ends(sizes: np.ndarray) -> type:
    return np.uint8 if sizes.max(initial=0) <= 256 else np.uint16


def _kinds(graphs: Graphs) -> np.ndarray:
    """Return the kind of each atom, (n_atoms,) int64: equal for equal texts and equal numbers of bonds by order."""
    kind = graphs.token
    for order in (SINGLE, DOUBLE, TRIPLE, AROMATIC):
        kind = 16 * kind + np.bincount(graphs.ends[graphs.order == order].ravel(), minlength=len(kind))
    return kind


def _ask(parsed: list[_Parsed]) -> tuple[np.ndarray, ...]:
    """Return the same as `_read`, but ask RDKit for each atom and bond."""
    mols = [Chem.MolFromSmiles(item.key) for item in parsed]
    atoms = [[*_codes_of(a), int(a.IsInRing()), _chirality(a)] for mol in mols for a in mol.GetAtoms()]
    listed = [bond for mol in mols for bond in mol.GetBonds()]
    byte = _bond_bytes(
        np.array([_BOND_ORDER.get(bond.GetBondType(), OTHER) for bond in listed], np.int64),
        np.array([_BOND_STEREO.get(bond.GetStereo(), 0) for bond in listed], np.int64),
        np.array([bond.IsInRing() for bond in listed], bool),
    )
    ends = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in listed], np.int64).reshape(-1, 2)
    sizes = np.array([mol.GetNumAtoms() for mol in mols], np.int64)
    counts = np.array([mol.GetNumBonds() for mol in mols], np.int64)
    bonds = np.column_stack([ends, byte]).astype(_type_of_ends(sizes))
    return np.array(atoms, np.uint8).reshape(-1, len(ATOM_FIELDS)), sizes, bonds, counts


def featurize(
    smiles: Sequence[str], first_row: int = 0, levels: Collection[str] = ("node", "edge"), as_labels: bool = True
) -> Molecules:
    """Featurize SMILES; rows that cannot be stored are listed in `rejected` with their reason, never dropped silently.

    `changed` lists rows with a CXSMILES extension, which a key cannot hold.

    Args:
        smiles: the input strings.
        first_row: row number of `smiles[0]` in its table.
        levels: levels ("node", "edge") for which to return the places of stored atoms and bonds in the input.
        as_labels: whether to count places as labels do: an atom's map number if the SMILES has them, else its place
            among all written atoms, including hydrogens. If False, places are numbers in `Chem.MolFromSmiles(smiles)`.
    """
    rows, parsed, identity, rejected, changed = [], [], [], [], []
    order: dict[str, list] = {level: [] for level in levels}
    written: dict[str, list[int]] = {level: [] for level in levels}
    with rdBase.BlockLogs():
        for row, given in enumerate(smiles, first_row):
            try:
                text = _without_map_numbers(given)
                item = _parse(text)
                if levels:
                    atoms, bonds, n_atoms, n_bonds = _written(text, item.mol) if as_labels else _written("", item.mol)
                    if as_labels and ":" in given:  # a name or an extension may follow the SMILES
                        atoms, n_atoms = _by_map_number(given.split()[0], atoms, n_atoms)
            except _NotStorable as reason:
                rejected.append(Rejected(row, "" if given is None else str(given), str(reason)))
                continue
            rows.append(row)
            parsed.append(item)
            if item.change:
                changed.append(Changed(row, given, item.change))
            constitution, code = constitution_of(item.key, item.mol), hash64(item.key)
            identity.append((code, code if constitution is item.key else hash64(constitution)))
            if "node" in levels:
                order["node"].append(np.asarray(atoms)[item.order])
                written["node"].append(n_atoms)
            if "edge" in levels:
                order["edge"].append(bonds)
                written["edge"].append(n_bonds)
        runs = groupby(parsed, key=lambda item: is_readable(item.key))
        parts = [(_read if readable else _ask)(list(run)) for readable, run in runs] or [_ask([])]
        atoms, sizes, bonds, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        bond_ptr = pointer(counts)
        if "edge" in levels:
            for i, item in enumerate(parsed):
                ends = bonds[bond_ptr[i] : bond_ptr[i + 1], :2].tolist()
                order["edge"][i] = [order["edge"][i][item.bond(*pair).GetIdx()] for pair in ends]
    joined = {level: np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64) for level, parts in order.items()}
    return Molecules(
        row=np.array(rows, np.int64),
        smiles=[item.key for item in parsed],
        identity=np.array(identity, np.uint64).reshape(-1, 2),
        atoms=atoms,
        atom_ptr=pointer(sizes),
        bonds=bonds,
        bond_ptr=bond_ptr,
        places={level: Places(joined[level], np.array(written[level], np.int64)) for level in levels},
        rejected=rejected,
        changed=changed,
    )
