"""Maps of molecules: coordinates with exact expectations, and what is kept of them."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rdkit import Chem
from sklearn.decomposition import PCA

from molfm.explore import embedding
from molfm.explore.embedding import SHOWN, against, components, errors, inside, principal, sample, umap
from molfm.explore.lookup import Lookup
from molfm.explore.search import fingerprints


class Model:
    """Counts the molecules that it embeds; chlorine cannot be embedded."""

    def __init__(self):
        self.embedded = 0

    def embed(self, smiles, progress):
        self.embedded += len(smiles)
        mols = [Chem.MolFromSmiles(text) for text in smiles]
        rows = [
            [m.GetNumAtoms(), text.count("O"), text.count("c") ** 2, 7] for m, text in zip(mols, smiles, strict=True)
        ]
        vectors = np.array(rows, np.float32)
        vectors[["Cl" in text for text in smiles]] = np.nan
        return vectors

    def predict(self, smiles, tasks, progress):
        return {tasks[0]: SimpleNamespace(to_numpy=lambda: np.zeros(len(smiles), np.float32))}

    def digest(self):
        return "counts"


@pytest.fixture
def lookup(toy):
    return Lookup(toy)


def result(steps):
    """Return what a computation in steps returns, and the lines about its progress."""
    lines = []
    while True:
        try:
            lines.append(next(steps))
        except StopIteration as end:
            return end.value, lines


def test_components_are_those_of_scikit_learn(lookup, own_home, monkeypatch):
    monkeypatch.setattr(embedding, "_CHUNKS", (4, 7))
    found, lines = result(components(lookup))
    assert lines[:2] == ["Computing fingerprints: 0 of 42", "Computing fingerprints: 4 of 42"]
    expected = PCA(41).fit(fingerprints(lookup.smiles(np.arange(42))))
    np.testing.assert_allclose(found.share[:41], expected.explained_variance_ratio_, atol=1e-5)
    np.testing.assert_allclose(
        np.abs(found.scores[:, :2]),
        np.abs(expected.transform(fingerprints(lookup.smiles(found.molecules)))[:, :2]),
        atol=2e-3,
    )


def test_embeddings_are_computed_once_and_what_cannot_be_embedded_is_left_out(lookup, toy, own_home):
    model = Model()
    first, _ = result(principal(lookup, model))
    assert first.molecules.tolist() == [i for i, text in enumerate(toy.molecules.smiles) if "Cl" not in text]
    assert first.axes[0].startswith("PC 1 (") and first.axes[0].endswith("% of the variance)")
    assert first.note.endswith(" 2 molecules that the model cannot embed are left out.")
    again, lines = result(principal(lookup, model))
    assert (model.embedded, lines) == (42, [])
    np.testing.assert_array_equal(first.xy, again.xy)
    assert [path.suffix for path in (own_home / "maps").iterdir()] == [".npz"]


def test_umap_starts_from_the_components_and_is_kept(lookup, own_home, monkeypatch):
    made = []

    class UMAP:  # umap-learn is optional
        def __init__(self, **settings):
            made.append(settings)

        def fit_transform(self, scores):
            return scores[:, 1::-1]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    found, _ = result(umap(lookup))
    again, _ = result(umap(lookup))
    scores = result(components(lookup))[0].scores
    np.testing.assert_array_equal(found.xy, scores[:, 1::-1])
    np.testing.assert_array_equal(found.xy, again.xy)
    assert made == [{"init": "pca", "random_state": 0, "n_jobs": 1}]
    assert "mean nothing" in found.note


def test_without_umap_learn_umap_is_an_error(lookup, own_home, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ModuleNotFoundError):
        result(umap(lookup))


def test_two_tasks_show_the_molecules_with_both_labels(lookup, toy):
    heavy, oxygen = toy.labels("heavy").to_numpy(), toy.labels("oxygen").to_numpy()
    found = against(lookup, "heavy", "oxygen")
    assert found.molecules.tolist() == np.flatnonzero(np.isfinite(heavy)).tolist()
    np.testing.assert_array_equal(found.xy[:, 0], heavy[found.molecules])
    np.testing.assert_array_equal(np.rint(found.xy[:, 1]), oxygen[found.molecules])
    assert len(set(found.xy[:, 1].tolist())) > 30  # spread within the class
    assert found.axes == ("toy/heavy (atoms)", "toy/oxygen (class)")
    assert found.note.startswith(f"{len(found.molecules)} of 42 molecules have both labels. Molecules of one class")
    assert against(lookup, "heavy", "element").axes[1] == "toy/element, mean over atoms"


def test_an_error_is_the_distance_from_the_measured_value(lookup, toy):
    molecules = np.array([3, 9, 20])
    found, _ = result(errors(lookup, Model(), "toy/heavy", molecules))
    np.testing.assert_array_equal(found, toy.labels("heavy")[molecules])


def test_a_large_mix_is_shown_by_a_random_sample_that_is_always_the_same():
    molecules = np.arange(3 * SHOWN)
    chosen = sample(molecules)
    assert len(np.unique(chosen)) == SHOWN
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, sample(molecules))
    assert abs(chosen.mean() / SHOWN - 1.5) < 0.02
    assert sample(molecules[:5]).tolist() == [0, 1, 2, 3, 4]


def test_points_in_a_hollow_polygon_are_told_from_those_beside_it():
    polygon = np.array([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]])
    points = np.array([[1, 1], [2, 3], [3.5, 3], [5, 1], [2, 0.5], [-1, 2]], np.float32)
    assert inside(points, polygon).tolist() == [True, False, True, False, True, False]
