"""What molecules have in common: parent, constitution, tautomers and scaffold, by which splits and the audit group them.

The parent is the largest fragment, neutralized, so a base and its salts have one. The constitution is the parent without
stereochemistry and isotopes. Tautomers have different constitutions; `tautomer_hashes` tells which belong together.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolHash
from rdkit.Chem.MolStandardize import rdMolStandardize
from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol

_BEYOND_CONSTITUTION = re.compile(r"[@/\\]|\[\d")
_MARKED_HYDROGEN = re.compile(r"\[\d+H\]")
_HAS_FORMS = re.compile(r"\.|\[[^\]]*[+-]")  # several fragments or a charge: its parent may differ
_NITRO = re.compile(r"\[N\+\]\(=O\)\[O-\]|O=\[N\+\]\(\[O-\]\)")  # charges that belong to every form
_LARGEST_FRAGMENT = rdMolStandardize.LargestFragmentChooser(preferOrganic=True)
_UNCHARGER = rdMolStandardize.Uncharger(canonicalOrder=True, force=True)
# Forms that neither hash of `tautomer_hashes` joins, with the form in which they are compared.
with rdBase.BlockLogs():  # it announces itself
    _COMPARED = rdMolStandardize.NormalizerFromData(
        "//\tName\tSMIRKS\n"
        "nitroso to oxime\t[CX4;!H0:1]-[NX2:2]=[O:3]>>[C:1]=[N:2]-[OH:3]\n"
        "azo to hydrazone\t[CX4;!H0:1]-[NX2:2]=[NX2:3]>>[C:1]=[N:2]-[NH:3]\n"
        "phosphite to phosphonate\t[PX3:1]-[OH:2]>>[PH:1]=[O:2]\n",
        rdMolStandardize.CleanupParameters(),
    )


def hash64(text: str) -> int:
    """Return a stable 64-bit hash of a text, equal on every machine, in every process and version."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def constitution_of(key: str, mol: Chem.Mol) -> str:
    """Return the canonical SMILES of a molecule's parent (`_parent`) without stereo and isotopes."""
    if not (_BEYOND_CONSTITUTION.search(key) or _has_forms(key)):
        return key
    return Chem.MolToSmiles(_parent(key, mol), isomericSmiles=False)


def _has_forms(key: str) -> bool:
    """Return whether a molecule may have another parent than itself."""
    return bool(_HAS_FORMS.search(key)) and bool(_HAS_FORMS.search(_NITRO.sub("", key)))


def _parent(key: str, mol: Chem.Mol) -> Chem.Mol:
    """Return the largest fragment, neutralized, without isotopes; a base and its salt have the same one.

    A molecule that RDKit cannot neutralize, such as some metal complexes, is its own parent.
    """
    mol = _without_isotopes(key, mol)
    if _has_forms(key):
        try:
            return _UNCHARGER.uncharge(_LARGEST_FRAGMENT.choose(mol))
        except Chem.MolSanitizeException:
            pass
    return mol


def _without_isotopes(key: str, mol: Chem.Mol) -> Chem.Mol:
    """Return the molecule with deuterium and tritium as implicit hydrogens."""
    if not _MARKED_HYDROGEN.search(key):
        return mol
    mol = Chem.Mol(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    return Chem.RemoveHs(mol)


def scaffolds(keys: Sequence[str]) -> np.ndarray:
    """Return a 64-bit hash of each parent's scaffold, (n,) uint64 (Bemis and Murcko, J. Med. Chem. 39, 2887, 1996).

    A molecule without rings has no scaffold. Its constitution is hashed instead, or all of them would form one group.
    """

    def scaffold(key: str) -> str:
        parent = _parent(key, Chem.MolFromSmiles(key))
        return Chem.MolToSmiles(GetScaffoldForMol(parent), isomericSmiles=False) or Chem.MolToSmiles(
            parent, isomericSmiles=False
        )

    with rdBase.BlockLogs():
        return np.array([hash64(scaffold(key)) for key in keys], np.uint64)


def constitutions(keys: Sequence[str]) -> list[str]:
    """Return the constitutions of molecules as SMILES, or the key where RDKit cannot read it, as of some charged rings."""

    def constitution(key: str) -> str:
        text = constitution_of(key, Chem.MolFromSmiles(key))
        return key if text == key or Chem.MolFromSmiles(text) is None else text

    with rdBase.BlockLogs():
        return list(map(constitution, keys))


def tautomer_hashes(keys: Sequence[str]) -> np.ndarray:
    """Return two 64-bit hashes of each constitution, (n, 2) uint64: molecules that share one of them are tautomers.

    The first is that of RDKit's hash `HetAtomTautomerv2`, the second that of InChI with its options for keto and enol
    forms and for shifts over several bonds. Neither finds all: the first misses the enols of tetracyclines and of
    warfarin, the second that of acetone. Open and closed forms of sugars stay apart.
    """

    def hashes(constitution: str) -> tuple[int, int]:
        mol = Chem.MolFromSmiles(constitution)
        # Parsed again, because the transformations leave the aromatic bonds of the old form.
        mol = Chem.MolFromSmiles(Chem.MolToSmiles(_COMPARED.normalize(mol))) or mol
        inchi = Chem.MolToInchi(mol, options="/SNon /KET /15T")
        found = rdMolHash.MolHash(mol, rdMolHash.HashFunction.HetAtomTautomerv2)
        return hash64(found or constitution), hash64(inchi or constitution)

    with rdBase.BlockLogs():
        return np.array([hashes(text) for text in constitutions(keys)], np.uint64).reshape(-1, 2)
