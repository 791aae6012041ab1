"""Graphs that are read from canonical SMILES as text, against RDKit's molecules."""

import numpy as np
import pytest
from rdkit import Chem

from molfm.chem.smiles import AROMATIC, DOUBLE, SINGLE, TRIPLE, is_readable, read_graphs

ORDER = {
    Chem.BondType.SINGLE: SINGLE,
    Chem.BondType.DOUBLE: DOUBLE,
    Chem.BondType.TRIPLE: TRIPLE,
    Chem.BondType.AROMATIC: AROMATIC,
}
DIFFICULT = {
    "ring number used twice": "C1CC1C1CC1",
    "two digits on one atom": "C12C3C4C1C5C2C3C45",
    "more than nine open rings": "C1%10%11CC2%12C3CC1C1C%10C4C5C%11C2C3C%12C1C45",
    "branches in branches": "CC(C(C(C)(C)O)(Cl)Br)(C#N)c1ccccc1",
    "ring behind branches": "O=C1CCC(=C2CC2)C1",
    "fragments with rings": "C1CC1.c1ccccc1.[Na+].[Cl-]",
    "biphenyl": "c1ccc(-c2ccccc2)cc1",
    "fluorene": "c1ccc2c(c1)Cc1ccccc1-2",
    "direction in an aromatic ring": "CC/N=c1/cc2oc3cc(NCC)c(C)cc3c(-c3ccccc3C(=O)OCC)c-2cc1C",
    "double bond that closes a ring": "C1=C\\CCCCCC/1",
    "chlorine, bromine, boron, carbon": "CB(Cl)c1c(Br)cccc1Cl",
    "brackets": "[nH]1cccc1.[13CH4].C[N+](=O)[O-].[se]1cccc1.[SiH4].F[P-](F)(F)(F)(F)F",
    "one atom": "C",
    "hydrogen": "[H][H]",
}


def key_of(smiles):
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


def as_read(smiles):
    """Return for each molecule its number of atoms, and its bonds as (begin, end, order, in_ring)."""
    graphs = read_graphs(smiles)
    out = []
    for i in range(len(smiles)):
        bonds = slice(*graphs.bond_ptr[i : i + 2])
        ends = (graphs.ends[bonds] - graphs.atom_ptr[i]).tolist()
        rest = zip(graphs.order[bonds].tolist(), graphs.ring_bond[bonds].tolist(), strict=True)
        out.append((int(np.diff(graphs.atom_ptr)[i]), [(*e, *r) for e, r in zip(ends, rest, strict=True)]))
    return out


def as_parsed(smiles):
    mol = Chem.MolFromSmiles(smiles)
    bonds = [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), ORDER[bond.GetBondType()], bond.IsInRing())
        for bond in mol.GetBonds()
    ]
    return mol.GetNumAtoms(), bonds


@pytest.mark.parametrize("smiles", DIFFICULT.values(), ids=DIFFICULT)
def test_atoms_and_bonds_are_those_of_rdkit_in_its_order(smiles):
    key = key_of(smiles)
    assert as_read([key]) == [as_parsed(key)]


def test_many_molecules_are_read_like_each_alone():
    keys = [key_of(smiles) for smiles in DIFFICULT.values()]
    assert as_read(keys) == [as_parsed(key) for key in keys]


@pytest.mark.parametrize("smiles", ["[NH3]->[Pt]", "[Re]$[Re]", "C~C", "*C", "C%(100)C"])
def test_smiles_that_cannot_be_read_are_recognized(smiles):
    assert not is_readable(smiles)
