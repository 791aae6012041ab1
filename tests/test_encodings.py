import numpy as np
import pytest

from molfm import encodings
from molfm.encodings import RANDOM_WALK_STEPS, random_walk
from molfm.featurize import featurize

STEPS = np.arange(1, RANDOM_WALK_STEPS + 1)
ODD = STEPS % 2 == 1
HALF = 1e-3  # what a probability loses as float16


def encode(*graphs):
    """Encode graphs given as (number of atoms, list of bonds)."""
    sizes, bonds = [n for n, _ in graphs], [np.array(b, int).reshape(-1, 2) for _, b in graphs]
    atom_ptr, bond_ptr = np.cumsum([0, *sizes]), np.cumsum([0, *map(len, bonds)])
    return random_walk(atom_ptr, np.concatenate(bonds), bond_ptr)


def dense_reference(n, bonds):
    adjacency = np.zeros((n, n))
    for begin, end in bonds:
        adjacency[begin, end] = adjacency[end, begin] = 1
    step = adjacency / np.maximum(adjacency.sum(1, keepdims=True), 1)
    return np.stack([np.diag(np.linalg.matrix_power(step, k)) for k in STEPS], axis=1)


def ring(n):
    return n, [(i, (i + 1) % n) for i in range(n)]


def test_two_atoms_return_at_every_second_step():
    assert encode((2, [(0, 1)])).tolist() == [[0, 1] * 8] * 2


def test_an_isolated_atom_never_returns():
    assert encode((1, [])).tolist() == [[0] * RANDOM_WALK_STEPS]


def test_triangle():
    expected = (1 + 2 * (-0.5) ** STEPS) / 3
    np.testing.assert_allclose(encode(ring(3)), np.tile(expected, (3, 1)), atol=HALF)


def test_ring_of_four():
    assert encode(ring(4)).tolist() == [np.where(ODD, 0, 0.5).tolist()] * 4


def test_star():
    found = encode((5, [(0, i) for i in range(1, 5)]))
    assert found[0].tolist() == np.where(ODD, 0, 1).tolist()
    assert found[1:].tolist() == [np.where(ODD, 0, 0.25).tolist()] * 4


def test_parts_of_a_disconnected_molecule_do_not_feel_each_other():
    found = encode((6, [(0, 1), (2, 3), (3, 4), (4, 2)]))
    assert found[:2].tolist() == encode((2, [(0, 1)])).tolist()
    assert found[2:5].tolist() == encode(ring(3)).tolist()
    assert found[5].tolist() == [0] * RANDOM_WALK_STEPS


def test_shape_and_type():
    found = encode(ring(5), (1, []))
    assert found.shape == (6, 16)
    assert found.dtype == np.float16
    assert random_walk(np.array([0]), np.zeros((0, 3), np.uint8), np.array([0])).shape == (0, 16)


@pytest.mark.parametrize("cells", [3_000, 2_000_000])
def test_random_graphs_of_all_sizes_match_dense_matrix_powers(cells, monkeypatch):
    """However many graphs are handled at once."""
    monkeypatch.setattr(encodings, "_CELLS", cells)
    rng = np.random.default_rng(0)
    graphs = []
    for n in [*range(1, 34), 100]:
        tree = [(i, int(rng.integers(i))) for i in range(1, n)]
        pairs = {tuple(sorted(pair)) for pair in [*tree, *rng.integers(n, size=(n // 3, 2)).tolist()]}
        graphs.append((n, [pair for pair in pairs if pair[0] != pair[1]]))
    rng.shuffle(graphs)
    expected = np.concatenate([dense_reference(n, bonds) for n, bonds in graphs])
    np.testing.assert_allclose(encode(*graphs), expected, atol=HALF)


def test_molecules_match_dense_matrix_powers():
    found = featurize(["CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]", "C1CC2CCC1CC2", "C"])
    encoded = random_walk(found.atom_ptr, found.bonds, found.bond_ptr)
    for i in range(len(found.row)):
        atoms, bonds = slice(*found.atom_ptr[i : i + 2]), slice(*found.bond_ptr[i : i + 2])
        expected = dense_reference(atoms.stop - atoms.start, found.bonds[bonds, :2])
        np.testing.assert_allclose(encoded[atoms], expected, atol=HALF)
