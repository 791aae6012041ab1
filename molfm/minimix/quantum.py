"""Quantum labels that molfm computes itself: GFN2-xTB on one conformer (extra `quantum`).

One molecule gives labels at three levels. The geometry is a single ETKDGv3 conformer (fixed seed), relaxed with MMFF94,
or with UFF if MMFF94 lacks a parameter, but not with xTB. For the same versions to give the same numbers, all limits
are numbers of iterations, never times, and workers must run with `OMP_NUM_THREADS=1`.

GFN2-xTB: Bannwarth, Ehlert, Grimme, doi 10.1021/acs.jctc.8b01176. ALPB: Ehlert et al., doi 10.1021/acs.jctc.1c00471.
"""

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from molfm.chem.conformers import embed

HARTREE_IN_EV = 27.211386245988
HARTREE_IN_KCAL = 627.509474063
ATOMIC_DIPOLE_IN_DEBYE = 2.541746473
BOHR_IN_ANGSTROM = 0.529177210903

SEED = 20260101
MAX_ATOMS = 110  # with hydrogens; the cost grows with the cube of this number

GRAPH_LABELS = ("energy_per_atom", "homo", "lumo", "gap", "dipole", "solvation_energy", "h_charge_max", "charge_min")


class QuantumError(Exception):
    """The labels of a molecule cannot be computed; the message is the reason, short enough to be counted."""


def conformer(mol: Chem.Mol) -> Chem.Mol:
    """Return `mol` with hydrogens and one relaxed 3D conformer.

    Raises:
        QuantumError: the molecule has several fragments or too many atoms, or no embedding or force field is found.
    """
    if "." in Chem.MolToSmiles(mol):
        raise QuantumError("several fragments")
    mol = Chem.AddHs(mol)
    if mol.GetNumAtoms() > MAX_ATOMS:
        raise QuantumError(f"over {MAX_ATOMS} atoms with hydrogens")
    if not embed(mol, SEED):
        raise QuantumError("no 3D embedding")
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=500)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=500)
    else:
        raise QuantumError("no force field parameters")
    return mol


def xtb_labels(smiles: str) -> dict[str, float | np.ndarray]:
    """Compute GFN2-xTB labels of one molecule.

    Returns:
        The graph labels in `GRAPH_LABELS` (energies of orbitals and per atom in eV, dipole in debye, solvation free
        energy in water in kcal/mol, largest hydrogen and smallest atomic Mulliken charge in e; NaN if undefined, such
        as the dipole of an ion or the hydrogen charge without hydrogens), `charge` (n_heavy_atoms,) in e, and
        `bond_order` (n_bonds,), Wiberg's. The last two are in the order of `Chem.MolFromSmiles(smiles)`.

    Raises:
        QuantumError: the labels cannot be computed.
    """
    from tblite.interface import Calculator  # from the extra `quantum`; nothing else in molfm needs it

    heavy = Chem.MolFromSmiles(smiles)
    mol = conformer(heavy)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    net_charge = Chem.GetFormalCharge(mol)
    calculator = Calculator(
        "GFN2-xTB",
        numbers,
        mol.GetConformer().GetPositions() / BOHR_IN_ANGSTROM,
        charge=net_charge,
        uhf=sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()),
    )
    calculator.set("verbosity", 0)
    calculator.set("max-iter", 250)
    try:
        result = calculator.singlepoint()
        gas = {key: np.array(result[key]) for key in ("energy", "charges", "dipole", "orbital-energies")}
        filled = np.array(result["orbital-occupations"]).ravel() > 0.5
        # tblite gives the shape (atoms, atoms, spin), but the numbers of open shells lie in memory as (spin, atoms, atoms).
        orders = np.ravel(result["bond-orders"]).reshape(-1, len(numbers), len(numbers)).sum(axis=0)
        calculator.add("alpb-solvation", "water")
        in_water = float(calculator.singlepoint(result)["energy"])  # overwrites `result`, so the gas phase was copied
    except RuntimeError as error:
        raise QuantumError("no convergence") from error

    orbitals = gas["orbital-energies"].ravel() * HARTREE_IN_EV
    if filled.all() or not filled.any():
        raise QuantumError("no frontier orbitals")
    homo, lumo = orbitals[filled].max(), orbitals[~filled].min()
    charges, hydrogen = gas["charges"], numbers == 1
    return {
        "energy_per_atom": float(gas["energy"]) * HARTREE_IN_EV / len(numbers),
        "homo": homo,
        "lumo": lumo,
        "gap": lumo - homo,
        "dipole": np.linalg.norm(gas["dipole"]) * ATOMIC_DIPOLE_IN_DEBYE if net_charge == 0 else np.nan,
        "solvation_energy": (in_water - float(gas["energy"])) * HARTREE_IN_KCAL,
        "h_charge_max": charges[hydrogen].max() if hydrogen.any() else np.nan,
        "charge_min": charges.min(),
        # AddHs appends the hydrogens, so heavy atoms keep their numbers.
        "charge": charges[: heavy.GetNumAtoms()],
        "bond_order": np.array([orders[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in heavy.GetBonds()]),
    }
