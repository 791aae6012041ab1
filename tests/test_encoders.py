import os
from pathlib import Path

import numpy as np
import pytest
import torch

from molfm.batches.batch import to_batch
from molfm.chem.featurize import ATOM_FIELDS, BOND_FIELDS, featurize
from molfm.data.store import in_memory, structure
from molfm.nn.encoders import ENCODERS, FieldTable, LaplacianEncoder, atom_numbers, bond_numbers

DATA = Path(os.environ.get("MOLFM_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
REFERENCE = DATA / "minimol_reference" / "reference.npz"
VARIED = ["CC(=O)Oc1ccccc1", "C/C=C/C[NH3+]", "C", "[Na+].[Cl-]", "CC"]


def batch_of(smiles, encodings=("walk-16", "laplacian-8-none")):
    found = featurize(smiles)
    return to_batch(structure(in_memory(found), np.arange(len(found.row)), encodings))


def made(name, with_bonds=True):
    torch.manual_seed(0)
    return ENCODERS[name](8, with_bonds)


def atoms_of(smiles):
    """Return the numbers of each atom, (n, 85)."""
    codes = torch.from_numpy(featurize([smiles]).atoms)
    return FieldTable(ATOM_FIELDS, torch.tensor(atom_numbers()))(codes)


# ------------------------------------------------------------------------------------------------------ the paper's numbers


def test_atoms_have_the_85_numbers_of_the_paper():
    oxygen, hydrogens = atoms_of("[OH3+]")[0], atoms_of("[CH3]")[0]
    assert np.flatnonzero(oxygen).tolist() == [
        0,
        1,
        5 + 2,
        49 + 15,
        69 + 1,
        77 + 3,
    ]  # third element, group 16, period 2
    assert oxygen[[0, 1]].tolist() == [1, 1]  # three neighbours - 2, charge
    assert hydrogens[:5].tolist() == [1, 0, 1, 0, 0]
    benzene = atoms_of("c1ccccc1")
    assert benzene.shape == (6, 85)
    assert benzene[0, :5].tolist() == [1, 0, 0, 1, 1]
    assert np.flatnonzero(benzene[0, 5:]).tolist() == [0, 44 + 13, 64 + 1, 72 + 4]


def test_every_atom_has_one_element_group_period_and_valence():
    for text in ("CCO", "[U]", "[La]", "[Og]", "F[U](F)(F)(F)(F)(F)(F)F", "[He]"):
        numbers = atoms_of(text)
        for first, last in ((5, 49), (49, 69), (69, 77), (77, 85)):
            assert (numbers[:, first:last].sum(1) == 1).all(), text
    assert atoms_of("[U]")[0, 48] == 1  # the column of all other elements


def test_groups_and_periods_follow_the_periodic_table():
    expected = {"H": (1, 1), "He": (18, 1), "Be": (2, 2), "B": (13, 2), "Ne": (18, 2), "Al": (13, 3), "K": (1, 4)}
    expected |= {"Sc": (3, 4), "Zn": (12, 4), "Br": (17, 4), "Y": (3, 5), "Xe": (18, 5), "Cs": (1, 6), "La": (3, 6)}
    expected |= {"Ce": (19, 6), "Yb": (19, 6), "Hf": (4, 6), "Pt": (10, 6), "Pb": (14, 6), "Rn": (18, 6), "U": (19, 7)}
    for element, (group, period) in expected.items():
        numbers = atoms_of(f"[{element}]")[0]
        found = (int(numbers[49:69].argmax()) + 1, int(numbers[69:77].argmax()) + 1)
        assert found == (group, period), element


def test_bonds_have_the_13_numbers_of_the_paper():
    table = FieldTable(BOND_FIELDS, torch.tensor(bond_numbers()))

    def numbers(smiles):
        return [np.flatnonzero(row).tolist() for row in table(batch_of([smiles]).edge_attr[::2])]

    assert numbers("C#CC") == [[2, 5], [0, 5]]
    assert numbers("C1CC1") == [[0, 5, 12]] * 3
    assert numbers("c1ccccc1") == [[3, 5, 12]] * 6
    assert sorted(map(tuple, numbers("C/C=C/C"))) == [(0, 5), (0, 5), (1, 8)]  # E
    assert (1, 7) in map(tuple, numbers("C/C=C\\C"))  # Z


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the published model's outputs")
def test_numbers_and_encodings_equal_the_inputs_of_the_published_model():
    reference = np.load(REFERENCE, allow_pickle=False)
    atom_ptr, bond_ptr = (np.append(0, np.cumsum(reference[name])) for name in ("num_atoms", "num_edges"))
    atoms = FieldTable(ATOM_FIELDS, torch.tensor(atom_numbers()))
    bonds = FieldTable(BOND_FIELDS, torch.tensor(bond_numbers()))
    for i, smiles in enumerate(reference["smiles"].tolist()):
        mine, theirs = slice(*atom_ptr[i : i + 2]), slice(*bond_ptr[i : i + 2])
        places = featurize([smiles], levels=["node"], as_labels=False).places["node"]
        node = np.argsort(places.order)[reference["smiles_atom"][mine]]  # stored atoms in the order of the reference
        batch = batch_of([smiles])
        assert np.array_equal(atoms(batch.x)[node], reference["x"][mine]), smiles
        number = {tuple(ends): k for k, ends in enumerate(batch.edge_index.T.tolist())}
        order = [number[tuple(ends)] for ends in node[reference["edge_index"][:, theirs]].T.tolist()]
        assert np.array_equal(bonds(batch.edge_attr)[order], reference["edge_attr"][theirs]), smiles
        assert np.array_equal(batch.laplacian[node, 8:].float(), reference["laplacian_eigenvalues"][mine]), smiles
        if len(node) > 1:  # a single atom always returns in the reference, never in molfm
            walk = batch.walk[node].float()
            np.testing.assert_allclose(walk, reference["random_walk"][mine], atol=1e-3, err_msg=smiles)


# ---------------------------------------------------------------------------------------------------------------- encoders


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_returns_vectors_of_atoms_and_bonds(name):
    batch = batch_of(VARIED)
    h, e = made(name)(batch)
    assert (h.shape, e.shape) == ((batch.num_nodes, 8), (batch.num_edges, 8))
    assert h.isfinite().all()
    assert torch.equal(e[::2], e[1::2])
    assert made(name, with_bonds=False)(batch)[1] is None


@pytest.mark.parametrize("name", ENCODERS)
def test_a_bond_is_encoded_by_its_codes(name):
    encoder, batch = made(name), batch_of(VARIED)
    torch.testing.assert_close(encoder(batch)[1], encoder.of_bonds(batch.edge_attr))


@pytest.mark.parametrize("name", ENCODERS)
def test_permuting_the_atoms_of_a_batch_permutes_their_vectors(name):
    encoder, batch = made(name).eval(), batch_of(VARIED[:1])
    order = torch.randperm(batch.num_nodes, generator=torch.Generator().manual_seed(0))
    moved = batch.clone()
    moved.x, moved.walk, moved.laplacian = batch.x[order], batch.walk[order], batch.laplacian[order]
    torch.testing.assert_close(encoder(moved)[0], encoder(batch)[0][order])


@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_reach_every_parameter(name):
    encoder = made(name)
    h, e = encoder(batch_of(VARIED))
    (h.square().sum() + e.square().sum()).backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_vectors_of_all_codes_are_summed():
    table = FieldTable.learned({"a": 3, "b": 2}, 5)
    found = table(torch.tensor([[2, 0], [0, 1]], dtype=torch.uint8))
    torch.testing.assert_close(found, torch.stack([table.rows[2] + table.rows[3], table.rows[0] + table.rows[4]]))


# ----------------------------------------------------------------------------------------------- Laplacian eigenvectors


@pytest.fixture
def pairs():
    """An encoder, and a list that records the inputs of its set network."""
    torch.manual_seed(0)
    encoder, shown = LaplacianEncoder(16, 4), []
    encoder.of_pair.register_forward_pre_hook(lambda _, args: shown.append(args[0].detach()))
    return encoder, shown


def test_training_flips_eigenvectors_alike_in_a_molecule_and_never_eigenvalues(pairs):
    encoder, shown = pairs
    batch = batch_of(["CCCCCCCCO"] * 40)
    laplacian = batch.laplacian.float()
    encoder(laplacian, batch.batch, 40)
    sign = shown[0][:, :, 0] / laplacian[:, :8]
    sign = sign.where(laplacian[:, :8] != 0, torch.nan).reshape(40, 9, 8)
    low, high = sign.nan_to_num(9).amin(1), sign.nan_to_num(-9).amax(1)
    assert torch.equal(low, high)
    assert set(low.unique().tolist()) == {-1.0, 1.0}
    assert 0.3 < (low == 1).float().mean() < 0.7
    assert torch.equal(shown[0][:, :, 1], laplacian[:, 8:])
    encoder.eval()(laplacian, batch.batch, 40)
    assert torch.equal(shown[1], torch.stack(laplacian.chunk(2, 1), 2))


def test_eigenvectors_that_a_small_molecule_lacks_are_ignored():
    torch.manual_seed(0)
    encoder, batch = LaplacianEncoder(16, 4).eval(), batch_of(["CC", "C"])
    found = encoder(batch.laplacian.float(), batch.batch, 2)
    narrow = torch.cat([batch.laplacian[:, :2], batch.laplacian[:, 8:10]], 1).float()
    torch.testing.assert_close(found, encoder(narrow, batch.batch, 2))
    alone = encoder(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), 1)  # one eigenvector, with eigenvalue 0
    torch.testing.assert_close(found[2:], alone)
