"""Molecules in three dimensions: coordinates for pictures and for quantum labels."""

from typing import NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom, rdForceFieldHelpers

_EMBEDDINGS = 20  # attempts to find coordinates
_SEED, _SECONDS = 7, 10  # random seed and time limit of a conformer that is only shown
_LARGEST = 120  # heavy atoms of a conformer that is only shown: larger ones take minutes
_STEPS = 10_000  # steps of the force field times number of atoms
_GAP = 3.5  # Å between the parts of a mixture


def embed(mol: Chem.Mol, seed: int, seconds: int = 0) -> bool:
    """Give a molecule 3D coordinates by ETKDGv3 (doi 10.1021/acs.jcim.0c00025), and return whether it succeeded.

    Args:
        mol: the molecule with hydrogens, changed in place.
        seed: random seed.
        seconds: time limit of each of two tries; 0 for none, so the result does not depend on the machine.
    """
    settings = rdDistGeom.ETKDGv3()
    settings.randomSeed, settings.maxIterations, settings.timeout = seed, _EMBEDDINGS, seconds
    if rdDistGeom.EmbedMolecule(mol, settings) >= 0:
        return True
    settings.useRandomCoords = True  # succeeds more often for large rings and cages
    return rdDistGeom.EmbedMolecule(mol, settings) >= 0


class Conformer(NamedTuple):
    """A molecule in three dimensions; heavy atoms come first, in the order of `Chem.MolFromSmiles(smiles)`."""

    elements: np.ndarray  # (n_atoms,) uint8, atomic numbers
    xyz: np.ndarray  # (n_atoms, 3) float32, in Å
    bonds: np.ndarray  # (n_bonds, 2) uint16; bonds between heavy atoms come first, in the order of that molecule
    orders: np.ndarray  # (n_bonds,) float32; 1.5 is aromatic
    flat: bool  # whether no 3D coordinates were found, so these are the drawing's, without hydrogens


def conformer(smiles: str) -> Conformer:
    """Return one conformer with its hydrogens: ETKDGv3 (doi 10.1021/acs.jcim.0c00025) from a fixed seed, then MMFF94.

    It is a plausible shape, not the one of lowest energy, and not the geometry that labels were computed for. The parts
    of a salt or mixture stand side by side, because their position to each other is not known. Large molecules are flat.
    """
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    flat = mol.GetNumHeavyAtoms() > _LARGEST or not embed(mol, _SEED, _SECONDS)
    if flat:
        mol = Chem.MolFromSmiles(smiles)
        rdDepictor.Compute2DCoords(mol)
    elif rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=_STEPS // mol.GetNumAtoms())
    bonds = list(mol.GetBonds())
    xyz = mol.GetConformer().GetPositions()
    if not flat:
        _side_by_side(mol, xyz)
    xyz -= xyz.mean(axis=0)
    axes = np.linalg.svd(xyz, full_matrices=True)[2]  # the widest side faces the viewer
    axes[2] *= np.sign(np.linalg.det(axes))  # rotated, never mirrored
    return Conformer(
        np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], np.uint8),
        (xyz @ axes.T).astype(np.float32),
        np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds], np.uint16).reshape(-1, 2),
        np.array([b.GetBondTypeAsDouble() for b in bonds], np.float32),
        flat,
    )


def _side_by_side(mol: Chem.Mol, xyz: np.ndarray) -> None:
    """Move the parts of a mixture apart along the first axis; each part was placed around the origin."""
    end = None
    for atoms in map(list, Chem.GetMolFrags(mol)):
        if end is not None:
            xyz[atoms, 0] += end + _GAP - xyz[atoms, 0].min()
        end = xyz[atoms, 0].max()
