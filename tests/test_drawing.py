"""Drawings and conformers."""

import time

import numpy as np
from rdkit import Chem

from molfm.chem.conformers import conformer
from molfm.chem.drawing import draw_smiles


def test_a_drawing_takes_the_colour_of_the_text_around_it():
    page = draw_smiles("CCO", 190, 130)
    assert page.startswith("<svg")
    assert "currentColor" in page
    assert "#000000" not in page


def test_atoms_that_match_are_highlighted():
    plain, marked = (draw_smiles("CCO", 190, 130, pattern) for pattern in (None, Chem.MolFromSmarts("O")))
    assert marked.count("<ellipse") == plain.count("<ellipse") + 1


def test_a_conformer_has_plausible_bond_lengths_and_the_atoms_of_the_smiles_first():
    shape = conformer("c1ccccc1O")
    assert not shape.flat
    assert shape.elements.tolist() == [6] * 6 + [8] + [1] * 6
    begin, end = shape.xyz[shape.bonds[:, 0]], shape.xyz[shape.bonds[:, 1]]
    lengths = np.linalg.norm(begin - end, axis=1)
    assert ((lengths > 0.9) & (lengths < 1.6)).all()
    heavy = Chem.MolFromSmiles("c1ccccc1O")
    first = [[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in heavy.GetBonds()]
    assert shape.bonds[: len(first)].tolist() == first


def test_a_conformer_is_not_mirrored():
    shape = conformer("F[C@](Cl)(Br)I")
    mol = Chem.AddHs(Chem.MolFromSmiles("F[C@](Cl)(Br)I"))
    Chem.rdDistGeom.EmbedMolecule(mol, 7)
    sides = []
    for xyz in (shape.xyz, mol.GetConformer().GetPositions()):
        a, b, c = (xyz[i] - xyz[1] for i in (0, 2, 3))
        sides.append(np.sign(np.dot(a, np.cross(b, c))))
    assert sides[0] == sides[1]


def test_a_conformer_is_the_same_each_time():
    assert np.array_equal(conformer("CC(=O)Oc1ccccc1C(=O)O").xyz, conformer("CC(=O)Oc1ccccc1C(=O)O").xyz)


def test_a_single_atom_is_at_the_origin():
    assert conformer("[Na+]").xyz.tolist() == [[0, 0, 0]]


def test_the_parts_of_a_salt_stand_side_by_side():
    for smiles in ("[Na+].[Cl-]", "CC[NH3+].[Cl-]", "O.O.CC(=O)O", "c1ccccc1.c1ccccc1"):
        xyz = conformer(smiles).xyz
        apart = np.linalg.norm(xyz[:, None] - xyz[None], axis=2)[np.triu_indices(len(xyz), 1)]
        assert apart.min() > 0.9, smiles


def test_a_large_molecule_is_shown_flat_at_once():
    start = time.monotonic()
    shape = conformer("C1" + "C" * 298 + "O1")
    assert shape.flat
    assert len(shape.xyz) == 300
    assert time.monotonic() - start < 30  # its conformer takes minutes
