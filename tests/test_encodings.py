from itertools import combinations

import numpy as np
import pytest

from molfm.chem import encodings
from molfm.chem.encodings import RANDOM_WALK_STEPS, laplacian, random_walk
from molfm.chem.featurize import featurize

STEPS = np.arange(1, RANDOM_WALK_STEPS + 1)
ODD = STEPS % 2 == 1
HALF = 1e-3  # rounding error of a probability in float16


def flat(*graphs):
    """Return graphs, given as (number of atoms, list of bonds), as the three arrays of a store."""
    sizes, bonds = [n for n, _ in graphs], [np.array(b, int).reshape(-1, 2) for _, b in graphs]
    return np.cumsum([0, *sizes]), np.concatenate(bonds), np.cumsum([0, *map(len, bonds)])


def encode(*graphs):
    return random_walk(*flat(*graphs))


def dense_reference(n, bonds):
    adjacency = np.zeros((n, n))
    for begin, end in bonds:
        adjacency[begin, end] = adjacency[end, begin] = 1
    step = adjacency / np.maximum(adjacency.sum(1, keepdims=True), 1)
    return np.stack([np.diag(np.linalg.matrix_power(step, k)) for k in STEPS], axis=1)


def ring(n):
    return n, [(i, (i + 1) % n) for i in range(n)]


def path(n):
    return n, [(i, i + 1) for i in range(n - 1)]


def complete(n):
    return n, list(combinations(range(n), 2))


def random_graphs(sizes):
    """Return connected graphs in random order: trees with some rings."""
    rng = np.random.default_rng(0)
    graphs = []
    for n in sizes:
        tree = [(i, int(rng.integers(i))) for i in range(1, n)]
        pairs = {tuple(sorted(pair)) for pair in [*tree, *rng.integers(n, size=(n // 3, 2)).tolist()]}
        graphs.append((n, [pair for pair in pairs if pair[0] != pair[1]]))
    rng.shuffle(graphs)
    return graphs


def renumbered(graph, order):
    """Return the graph whose atom i is atom order[i] of the given graph."""
    number = np.argsort(order)
    return graph[0], [(number[begin], number[end]) for begin, end in graph[1]]


def side_by_side(*graphs):
    """Return one molecule that has these graphs as its parts."""
    start = np.cumsum([0, *(n for n, _ in graphs)])
    return start[-1], [
        (shift + i, shift + j) for shift, (_, bonds) in zip(start, graphs, strict=False) for i, j in bonds
    ]


def dense_laplacian(n, bonds, normalization):
    adjacency = np.zeros((n, n))
    for begin, end in bonds:
        adjacency[begin, end] = adjacency[end, begin] = 1
    degree = adjacency.sum(1)
    scale = np.maximum(degree, 1) ** -0.5 if normalization == "sym" else np.ones(n)
    return scale[:, None] * (np.diag(degree) - adjacency) * scale


def up_to_sign(found, expected):
    """Return how far each column (of unit vectors) is from the expected one or its opposite."""
    return np.minimum(np.abs(found - expected).max(0), np.abs(found + expected).max(0))


def test_a_walk_on_two_atoms_returns_at_every_second_step():
    assert encode((2, [(0, 1)])).tolist() == [[0, 1] * 8] * 2


def test_a_walk_from_an_isolated_atom_never_returns():
    assert encode((1, [])).tolist() == [[0] * RANDOM_WALK_STEPS]


def test_return_probabilities_of_a_triangle_have_their_closed_form():
    expected = (1 + 2 * (-0.5) ** STEPS) / 3
    np.testing.assert_allclose(encode(ring(3)), np.tile(expected, (3, 1)), atol=HALF)


def test_a_walk_on_a_ring_of_four_returns_only_after_even_steps():
    assert encode(ring(4)).tolist() == [np.where(ODD, 0, 0.5).tolist()] * 4


def test_a_walk_on_a_star_returns_only_after_even_steps():
    found = encode((5, [(0, i) for i in range(1, 5)]))
    assert found[0].tolist() == np.where(ODD, 0, 1).tolist()
    assert found[1:].tolist() == [np.where(ODD, 0, 0.25).tolist()] * 4


def test_parts_of_a_disconnected_molecule_do_not_affect_each_other():
    found = encode((6, [(0, 1), (2, 3), (3, 4), (4, 2)]))
    assert found[:2].tolist() == encode((2, [(0, 1)])).tolist()
    assert found[2:5].tolist() == encode(ring(3)).tolist()
    assert found[5].tolist() == [0] * RANDOM_WALK_STEPS


def test_random_walk_returns_16_float16_values_per_atom():
    found = encode(ring(5), (1, []))
    assert found.shape == (6, 16)
    assert found.dtype == np.float16
    assert random_walk(np.array([0]), np.zeros((0, 3), np.uint8), np.array([0])).shape == (0, 16)


@pytest.mark.parametrize("cells", [3_000, 2_000_000])
def test_random_graphs_of_all_sizes_match_dense_matrix_powers(cells, monkeypatch):
    """The number of graphs that are handled at once does not matter."""
    monkeypatch.setattr(encodings, "_CELLS", cells)
    graphs = random_graphs([*range(1, 34), 100])
    expected = np.concatenate([dense_reference(n, bonds) for n, bonds in graphs])
    np.testing.assert_allclose(encode(*graphs), expected, atol=HALF)


def test_molecules_match_dense_matrix_powers():
    found = featurize(["CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]", "C1CC2CCC1CC2", "C"])
    encoded = random_walk(found.atom_ptr, found.bonds, found.bond_ptr)
    for i in range(len(found.row)):
        atoms, bonds = slice(*found.atom_ptr[i : i + 2]), slice(*found.bond_ptr[i : i + 2])
        expected = dense_reference(atoms.stop - atoms.start, found.bonds[bonds, :2])
        np.testing.assert_allclose(encoded[atoms], expected, atol=HALF)


K = np.arange(8)
CLOSED_FORMS = {
    "ring, sym": (ring(11), "sym", 1 - np.cos(2 * np.pi * np.arange(11) / 11)),
    "ring, none": (ring(12), "none", 2 - 2 * np.cos(2 * np.pi * np.arange(12) / 12)),
    "path, sym": (path(10), "sym", 1 - np.cos(np.pi * np.arange(10) / 9)),
    "path, none": (path(9), "none", 2 - 2 * np.cos(np.pi * np.arange(9) / 9)),
    "complete, sym": (complete(9), "sym", [0] + [9 / 8] * 8),
    "complete, none": (complete(9), "none", [0] + [9] * 8),
    "star, sym": ((10, [(0, i) for i in range(1, 10)]), "sym", [0] + [1] * 8 + [2]),
    "star, none": ((10, [(0, i) for i in range(1, 10)]), "none", [0] + [1] * 8 + [10]),
}


@pytest.mark.parametrize(("graph", "normalization", "spectrum"), CLOSED_FORMS.values(), ids=CLOSED_FORMS)
def test_laplacian_values_are_the_smallest_of_the_closed_form(graph, normalization, spectrum):
    _, values = laplacian(*flat(graph), normalization=normalization)
    np.testing.assert_allclose(values, np.tile(np.sort(spectrum)[:8], (graph[0], 1)), atol=HALF)


def test_laplacian_vectors_of_a_path_are_cosines():
    vectors, _ = laplacian(*flat(path(20)), normalization="none")
    expected = np.cos(np.pi * K * (np.arange(20)[:, None] + 0.5) / 20)
    assert up_to_sign(vectors, expected / np.linalg.norm(expected, axis=0)).max() < HALF


def test_the_first_laplacian_vector_is_the_root_of_the_degree_or_constant():
    graph = (6, [(0, i) for i in range(1, 5)] + [(4, 5)])
    degree = np.array([[4], [1], [1], [1], [2], [1]])
    sym, none = (laplacian(*flat(graph), normalization=how) for how in ("sym", "none"))
    assert sym[1][:, 0].tolist() == none[1][:, 0].tolist() == [0] * 6
    assert up_to_sign(sym[0][:, :1], np.sqrt(degree / degree.sum())) < HALF
    assert up_to_sign(none[0][:, :1], np.sqrt(np.ones((6, 1)) / 6)) < HALF


@pytest.mark.parametrize("normalization", ["sym", "none"])
def test_laplacian_of_a_single_atom_is_one_and_zeros(normalization):
    vectors, values = laplacian(*flat((1, [])), normalization=normalization)
    assert np.abs(vectors).tolist() == [[1] + [0] * 7]
    assert values.tolist() == [[0] * 8]


def test_laplacian_of_few_atoms_is_padded_with_zeros():
    vectors, values = laplacian(*flat(path(2), path(3)))
    np.testing.assert_allclose(np.abs(vectors[:2, :2]), 0.5**0.5, atol=HALF)
    assert values.tolist() == [[0, 2] + [0] * 6] * 2 + [[0, 1, 2] + [0] * 5] * 3
    assert not vectors[:2, 2:].any()
    assert not vectors[2:, 3:].any()


def test_a_laplacian_value_of_zero_after_the_first_means_no_vector():
    """This holds even in a long chain, where the second value is smallest."""
    graphs = [path(255), path(4), (3, []), *random_graphs(range(1, 30))]
    vectors, values = laplacian(*flat(*graphs))
    part_sizes = np.repeat([255, 4, 1, *(n for n, _ in graphs[3:])], [255, 4, 3, *(n for n, _ in graphs[3:])])
    assert (np.count_nonzero(values[:, 1:], axis=1) == np.minimum(part_sizes, 8) - 1).all()
    assert not values[:, 0].any()
    assert not vectors[np.arange(8) >= part_sizes[:, None]].any()


def test_parts_of_a_molecule_have_their_own_laplacians():
    tree = (5, [(0, 1), (1, 2), (1, 3), (3, 4)])
    parts = [ring(5), (1, []), tree, path(40)]
    alone = [np.concatenate(part) for part in zip(*(laplacian(*flat(part)) for part in parts), strict=True)]
    for found, expected in zip(laplacian(*flat(side_by_side(*parts))), alone, strict=True):
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("normalization", ["sym", "none"])
def test_renumbered_parts_keep_their_laplacian_values(normalization):
    rng = np.random.default_rng(1)
    parts = [path(60), ring(30), *random_graphs([1, 1, 2, 9, 25])]
    mixed = renumbered(side_by_side(*parts), order := rng.permutation(sum(n for n, _ in parts)))
    vectors, values = laplacian(*flat(path(3), mixed, ring(4)), normalization=normalization)
    spectra = [np.linalg.eigvalsh(dense_laplacian(*part, normalization))[:8] for part in parts]
    expected = np.repeat([np.pad(w, (0, 8 - len(w))) for w in spectra], [n for n, _ in parts], axis=0)
    np.testing.assert_allclose(values[3:-4], expected[order], atol=HALF)
    residual = dense_laplacian(*mixed, normalization) @ vectors[3:-4] - values[3:-4].astype(float) * vectors[3:-4]
    assert np.abs(residual).max() < 2 * HALF


def test_renumbering_atoms_renumbers_laplacian_vectors_up_to_sign():
    tree = (13, [(i, i + 1) for i in range(11)] + [(3, 12)])  # a branched chain: all values differ
    assert np.diff(np.linalg.eigvalsh(dense_laplacian(*tree, "sym"))).min() > 0.01
    order = np.random.default_rng(0).permutation(13)
    vectors, values = laplacian(*flat(tree))
    other_vectors, other_values = laplacian(*flat(renumbered(tree, order)))
    np.testing.assert_allclose(other_values, values[order], atol=HALF)
    assert up_to_sign(other_vectors, vectors[order]).max() < HALF


def test_renumbering_atoms_rotates_laplacian_vectors_of_a_repeated_value():
    """Only the plane of both vectors is defined, so the projections onto it are compared."""
    order = np.random.default_rng(0).permutation(9)
    plane = laplacian(*flat(ring(9)))[0][order, 1:3].astype(float)
    other = laplacian(*flat(renumbered(ring(9), order)))[0][:, 1:3].astype(float)
    np.testing.assert_allclose(other @ other.T, plane @ plane.T, atol=HALF)


@pytest.mark.parametrize("normalization", ["sym", "none"])
@pytest.mark.parametrize("cells", [3_000, 200_000])
def test_laplacian_vectors_are_orthonormal_eigenvectors(cells, normalization, monkeypatch):
    monkeypatch.setattr(encodings, "_CELLS", cells)
    graphs = random_graphs([*range(1, 34), 100])
    vectors, values = laplacian(*flat(*graphs), normalization=normalization)
    for graph, start in zip(graphs, np.cumsum([0, *(n for n, _ in graphs)]), strict=False):
        n, k = graph[0], min(graph[0], 8)
        matrix = dense_laplacian(*graph, normalization)
        v, w = vectors[start : start + n, :k].astype(float), values[start : start + n, :k].astype(float)
        np.testing.assert_allclose(v.T @ v, np.eye(k), atol=2 * HALF)
        np.testing.assert_allclose(w, np.tile(np.linalg.eigvalsh(matrix)[:k], (n, 1)), rtol=HALF, atol=HALF)
        np.testing.assert_allclose(matrix @ v, w * v, atol=2 * HALF)


def test_many_graphs_get_the_same_encodings_as_each_alone():
    """They are equal to the last bit, so a prediction sees the encodings of the store."""
    graphs = random_graphs([*range(1, 20), *range(1, 20)]) * 2
    for function in (random_walk, lambda *arrays: np.hstack(laplacian(*arrays))):
        alone = np.concatenate([function(*flat(graph)) for graph in graphs])
        assert function(*flat(*graphs)).tolist() == alone.tolist()


def test_equal_graphs_are_encoded_once():
    seen = []

    def encode(adjacency):
        seen.extend(adjacency.sum((1, 2)).tolist())
        return adjacency.sum(2)[:, :, None]

    bonds = [(0, 1), (1, 2), (1, 3)]
    graphs = [(4, bonds), path(4), (4, [(3, 1), (1, 0), (2, 1)]), (5, bonds), (4, bonds), (2, []), (3, []), (2, [])]
    found = encodings._encode_each(encode, 1, *flat(*graphs))
    assert sorted(seen) == [0, 0, 6, 6, 6]
    assert found[:, 0].tolist() == [1, 3, 1, 1, 1, 2, 2, 1, 1, 3, 1, 1, 1, 3, 1, 1, 0, 1, 3, 1, 1] + [0] * 7


def test_laplacian_returns_float16_vectors_and_values():
    vectors, values = laplacian(*flat(ring(5), (1, [])), n_vectors=3)
    assert vectors.shape == values.shape == (6, 3)
    assert vectors.dtype == values.dtype == np.float16
    nothing = laplacian(np.array([0]), np.zeros((0, 3), np.uint8), np.array([0]))
    assert [array.shape for array in nothing] == [(0, 8), (0, 8)]


def test_an_unknown_normalization_is_an_error():
    with pytest.raises(ValueError, match="'sym' or 'none', not 'inv'"):
        laplacian(*flat(ring(5)), normalization="inv")


def test_molecules_have_the_values_of_their_dense_laplacian():
    found = featurize(["CC(=O)Oc1ccccc1C(=O)O", "C1CC2CCC1CC2", "C", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"])
    _, values = laplacian(found.atom_ptr, found.bonds, found.bond_ptr)
    for i in range(len(found.row)):
        atoms, bonds = slice(*found.atom_ptr[i : i + 2]), slice(*found.bond_ptr[i : i + 2])
        expected = np.linalg.eigvalsh(dense_laplacian(atoms.stop - atoms.start, found.bonds[bonds, :2], "sym"))[:8]
        np.testing.assert_allclose(
            values[atoms, : len(expected)], np.tile(expected, (len(values[atoms]), 1)), atol=HALF
        )
