"""From SMILES to flat arrays: the only place where a molecule is a Python object.

Every molecule is stored as its key, the canonical isomeric SMILES without atom-map numbers, parsed again: so its atoms
and bonds have one order whatever string it came as, and labels of several datasets meet on the same atoms. Codes are
small integers; which numbers a model sees is the encoder's business (`model.py`). This module never imports torch.
"""

import re
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import orjson
from rdkit import Chem, rdBase
from rdkit.Chem.rdMolInterchange import MolsToJSON
from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol

VERSION = 1  # part of the cache key of every store: raise it whenever a code below changes its meaning
MAX_ATOMS = 255  # bond ends are stored as uint8

# Columns of an atom's codes with their number of values; larger values are clipped to the last one.
ATOM_FIELDS = {
    "element": 119,  # atomic number
    "degree": 9,  # neighbours, hydrogens included
    "charge": 15,  # formal charge + 7
    "radicals": 4,  # unpaired electrons
    "valence": 9,  # sum of bond orders, hydrogens included
    "hydrogens": 6,
    "aromatic": 2,
    "in_ring": 2,
    "chirality": 3,  # no label, R, S (CIP, so that it does not depend on the order of atoms)
}
# A bond's three codes share one byte on disk; BOND_CODES[byte] gives them back.
BOND_FIELDS = {
    "type": 5,  # single, double, triple, aromatic, other
    "stereo": 4,  # none, any, Z, E
    "in_ring": 2,
}
BOND_CODES = np.stack(np.unravel_index(np.arange(40), tuple(BOND_FIELDS.values())), axis=1).astype(np.uint8)  # (40, 3)
_BOND_STEREO = {"unspecified": 0, "either": 1, "cis": 2, "trans": 3}  # relative to the atoms of highest CIP rank: Z, E
_CIP = {"R": 1, "S": 2}
_MARKED_HYDROGEN = re.compile(r"\[\d+H\]")
_DATIVE = 17  # RDKit's number for it in JSON; what is not a bond with an order is 0 there


class Rejected(NamedTuple):
    """A row that is no molecule we can store."""

    row: int
    smiles: str
    reason: str


class Molecules(NamedTuple):
    """Featurized molecules, concatenated: molecule i owns atoms atom_ptr[i]:atom_ptr[i+1], and its bonds likewise."""

    row: np.ndarray  # (n,) int64, the input row it came from
    smiles: list[str]  # (n,) the key
    identity: np.ndarray  # (n, 3) uint64, 64-bit hashes of key, constitution (no stereo, no isotopes), scaffold
    atoms: np.ndarray  # (n_atoms, 9) uint8, ATOM_FIELDS
    atom_ptr: np.ndarray  # (n + 1,) int64
    bonds: np.ndarray  # (n_bonds, 3) uint8: both ends, numbered in the molecule, and the byte of BOND_CODES
    bond_ptr: np.ndarray  # (n + 1,) int64
    atom_order: np.ndarray  # (n_atoms,) int64, the stored atom's place in the input's labels
    bond_order: np.ndarray  # (n_bonds,) int64, likewise
    rejected: list[Rejected]


class _NotStorable(Exception):
    pass


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return `arange(start, start + length)` of every pair, concatenated: the one gather that all batches are made of."""
    first = np.cumsum(lengths) - lengths
    return np.repeat(starts - first, lengths) + np.arange(lengths.sum())


def _parse(smiles: object) -> Chem.Mol:
    if not isinstance(smiles, str) or not smiles.strip():
        raise _NotStorable("empty SMILES")
    mol = Chem.MolFromSmiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        raise _NotStorable("RDKit cannot parse this SMILES")
    if mol.GetNumAtoms() > MAX_ATOMS:
        raise _NotStorable(f"{mol.GetNumAtoms()} atoms, at most {MAX_ATOMS} can be stored")
    return mol


def _label_places(mol: Chem.Mol) -> np.ndarray:
    """Return each atom's place in a node label: its map number where the SMILES carries them, else its own number."""
    numbers = np.array([atom.GetAtomMapNum() for atom in mol.GetAtoms()])
    if not numbers.any():
        return np.arange(len(numbers))
    first = numbers.min()  # RDKit reads "map number 0" and "no map number" alike
    if first > 1 or not np.array_equal(np.sort(numbers), np.arange(first, first + len(numbers))):
        raise _NotStorable("atom-map numbers must be all of 0…n-1 or 1…n")
    return numbers - first


def _canonical(mol: Chem.Mol, text: str) -> str:
    if ":" in text:  # else there are no map numbers, and walking over atoms from Python is slow
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(0)
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)  # numbers made like neighbours look different
    key = Chem.MolToSmiles(mol)
    if "*" in key:
        raise _NotStorable("dummy atom (*): a fragment, not a molecule")
    return key


def canonical_smiles(smiles: str) -> str | None:
    """Return a molecule's key: canonical isomeric SMILES without atom-map numbers; None where it cannot be stored."""
    try:
        return _canonical(_parse(smiles), smiles)
    except _NotStorable:
        return None


def _stored(text: object, by_map_number: bool) -> tuple[str, Chem.Mol, np.ndarray, np.ndarray]:
    """Return the key, its molecule, and the places of its atoms and bonds in the labels of the input string."""
    mol = _parse(text)
    places = _label_places(mol) if by_map_number and ":" in text else np.arange(mol.GetNumAtoms())
    key = _canonical(mol, text)
    if key == text:  # it is in its stored order already
        return key, mol, places, np.arange(mol.GetNumBonds())
    order = np.array(mol.GetProp("_smilesAtomOutputOrder")[1:-1].rstrip(",").split(","), int)
    stored = Chem.MolFromSmiles(key)
    if stored is None or stored.GetNumAtoms() != len(order):
        raise _NotStorable(f"its canonical SMILES {key} does not parse to the same atoms")
    bonds = [
        mol.GetBondBetweenAtoms(int(order[b.GetBeginAtomIdx()]), int(order[b.GetEndAtomIdx()]))
        for b in stored.GetBonds()
    ]
    return key, stored, places[order], np.array([b.GetIdx() for b in bonds], int)


def hash64(text: str) -> int:
    """Return a stable 64-bit hash of a text: equal on every machine, process and version."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _identity(mol: Chem.Mol, key: str) -> tuple[int, int, int]:
    if _MARKED_HYDROGEN.search(key):  # deuterium and tritium are hydrogen here
        mol = Chem.Mol(mol)
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
        mol = Chem.RemoveHs(mol)
    constitution = Chem.MolToSmiles(mol, isomericSmiles=False)
    scaffold = Chem.MolToSmiles(GetScaffoldForMol(mol), isomericSmiles=False)
    # Without a ring there is no scaffold; such a molecule is a group of its own, else they would all be one.
    return hash64(key), hash64(constitution), hash64(scaffold or constitution)


def _codes(mols: list[Chem.Mol]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (atoms, atom_ptr, bonds, bond_ptr) as in `Molecules`.

    RDKit writes all molecules as JSON in C++ and NumPy does the counting: several times faster than asking every atom
    and bond object from Python (tests compare the two).
    """
    records = orjson.loads(MolsToJSON(mols))["molecules"] if mols else []
    atoms = [atom for record in records for atom in record["atoms"]]
    bonds = [bond for record in records for bond in record.get("bonds", ())]
    atom_ptr = np.cumsum([0, *(len(record["atoms"]) for record in records)])
    bond_ptr = np.cumsum([0, *(len(record.get("bonds", ())) for record in records)])

    def gather(items: list[dict], name: str, default: int) -> np.ndarray:
        return np.fromiter((item.get(name, default) for item in items), np.int64, len(items))

    ends = np.array([bond["atoms"] for bond in bonds], np.int64).reshape(-1, 2)
    shift = np.repeat(atom_ptr[:-1], np.diff(bond_ptr))
    order, hydrogens = gather(bonds, "bo", 1), gather(atoms, "impHs", 0)
    neighbours = np.bincount((ends + shift[:, None]).ravel(), minlength=len(atoms))
    share = np.repeat(np.where(order == _DATIVE, 0, order)[:, None], 2, axis=1)
    share[order == _DATIVE, 1] = 1  # it counts in the valence of the atom that it points to
    bond_sum = np.bincount((ends + shift[:, None]).ravel(), share.ravel(), len(atoms))

    aromatic_atom, in_ring = np.zeros(len(atoms), bool), np.zeros(len(atoms), bool)
    chirality, aromatic_bond, ring_pairs = np.zeros(len(atoms), np.int64), np.zeros(len(bonds), bool), []
    for record, atom0, bond0 in zip(records, atom_ptr.tolist(), bond_ptr.tolist(), strict=False):
        notes = record["extensions"][0]
        aromatic_atom[[atom0 + i for i in notes.get("aromaticAtoms", ())]] = True
        aromatic_bond[[bond0 + i for i in notes.get("aromaticBonds", ())]] = True
        for i, label in notes.get("cipCodes", ()):
            chirality[atom0 + i] = _CIP.get(label, 0)
        for ring in notes.get("atomRings", ()):
            in_ring[[atom0 + i for i in ring]] = True
            ring_pairs += [(atom0 + i, atom0 + j) for i, j in zip(ring, ring[1:] + ring[:1], strict=True)]

    def pair_codes(pairs: np.ndarray) -> np.ndarray:
        return pairs.min(1) * (len(atoms) + 1) + pairs.max(1)

    bond_in_ring = np.isin(pair_codes(ends + shift[:, None]), pair_codes(np.array(ring_pairs, int).reshape(-1, 2)))
    fields = {
        "element": gather(atoms, "z", 6),
        "degree": neighbours + hydrogens,
        "charge": gather(atoms, "chg", 0) + 7,
        "radicals": gather(atoms, "nRad", 0),
        "valence": bond_sum + hydrogens,
        "hydrogens": hydrogens,
        "aromatic": aromatic_atom,
        "in_ring": in_ring,
        "chirality": chirality,
    }
    codes = np.stack([np.clip(fields[name], 0, size - 1) for name, size in ATOM_FIELDS.items()], axis=1)
    stereo = np.array([_BOND_STEREO[bond.get("stereo", "unspecified")] for bond in bonds], np.int64)
    kind = np.where(aromatic_bond, 3, np.where((order > 3) | (order < 1), 4, order - 1))
    byte = np.ravel_multi_index((kind, stereo, bond_in_ring.astype(int)), tuple(BOND_FIELDS.values()))
    return codes.astype(np.uint8), atom_ptr, np.column_stack([ends, byte]).astype(np.uint8), bond_ptr


def featurize(smiles: list[str], first_row: int = 0, by_map_number: bool = True) -> Molecules:
    """Featurize SMILES; what cannot be stored is listed in `rejected` with its row and reason, never dropped silently.

    Args:
        smiles: the input strings.
        first_row: the row number of `smiles[0]` in its table.
        by_map_number: node labels follow the atom-map numbers of a SMILES that carries them (`atom_order`); else the order
            in which RDKit parses it.
    """
    rows, keys, mols, identity, atom_order, bond_order, rejected = [], [], [], [], [], [], []
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles, first_row):
            try:
                key, mol, atom_places, bond_places = _stored(text, by_map_number)
            except _NotStorable as reason:
                rejected.append(Rejected(row, "" if text is None else str(text), str(reason)))
                continue
            rows.append(row)
            keys.append(key)
            mols.append(mol)
            identity.append(_identity(mol, key))
            atom_order.append(atom_places)
            bond_order.append(bond_places)
        atoms, atom_ptr, bonds, bond_ptr = _codes(mols)
    empty = [np.zeros(0, np.int64)]
    return Molecules(
        row=np.array(rows, np.int64),
        smiles=keys,
        identity=np.array(identity, np.uint64).reshape(-1, 3),
        atoms=atoms,
        atom_ptr=atom_ptr,
        bonds=bonds,
        bond_ptr=bond_ptr,
        atom_order=np.concatenate(atom_order or empty),
        bond_order=np.concatenate(bond_order or empty),
        rejected=rejected,
    )
