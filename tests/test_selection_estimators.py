"""Candidates as scikit-learn estimators."""

import pickle

import numpy as np
import pytest
from rdkit import Chem
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

import molfm
from molfm.base.errors import InputError

SMILES = [f"{'C' * length}{end}" for length in range(1, 11) for end in ("O", "N", "Cl", "c1ccccc1", "C(=O)O")]
SIZE = np.array([Chem.MolFromSmiles(text).GetNumHeavyAtoms() for text in SMILES], float)
IS_ACID = np.array(["acid" if text.endswith("C(=O)O") else "other" for text in SMILES])


def as_smiles(numbers: np.ndarray) -> list[str]:
    """Return a chain for each row, whose length follows the row's numbers, so close rows are similar molecules."""
    place = np.clip(np.round(3 * numbers[:, 0]) + 30, 1, 60).astype(int)
    other = np.clip(np.round(3 * numbers[:, -1]) + 30, 1, 60).astype(int)
    return [f"{'C' * a}O{'C' * b}" for a, b in zip(place, other, strict=True)]


class _OnNumbers:
    """Accepts the numbers of scikit-learn's checks by turning each row into a SMILES; otherwise the same."""

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, y_numeric=isinstance(self, molfm.MoleculeRegressor))
        return super().fit(as_smiles(X), y, sample_weight)

    def predict(self, X):
        check_is_fitted(self)
        return super().predict(as_smiles(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        tags.input_tags.string = False
        tags.regressor_tags and setattr(tags.regressor_tags, "poor_score", True)
        tags.classifier_tags and setattr(tags.classifier_tags, "poor_score", True)
        return tags


class Regressor(_OnNumbers, molfm.MoleculeRegressor):
    """The regressor on numbers."""


class Classifier(_OnNumbers, molfm.MoleculeClassifier):
    """The classifier on numbers."""

    def predict_proba(self, X):
        check_is_fitted(self)
        texts = X if isinstance(X, list) else as_smiles(validate_data(self, X, reset=False))
        return super().predict_proba(texts)


EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "libsvm and its folds see a repeated molecule as two",
    "check_sample_weights_invariance": "libsvm and its folds see a repeated molecule as two",
}


@parametrize_with_checks(
    [Regressor("svm"), Classifier("svm")], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("model", ["mean", "forest", "svm", "kernels", "foundation", "descriptors"])
def test_every_quick_model_works_in_cross_validation(model):
    regressor = molfm.MoleculeRegressor(model, foundation="minimix-gine")
    found = cross_val_score(regressor, SMILES, SIZE, cv=3)
    assert np.isfinite(found).all()
    classifier = molfm.MoleculeClassifier(model, foundation="minimix-gine").fit(SMILES, IS_ACID)
    chance = classifier.predict_proba(SMILES)
    assert (
        chance.shape == (50, 2) and np.allclose(chance.sum(1), 1) and classifier.classes_.tolist() == ["acid", "other"]
    )
    assert (model == "mean") or (classifier.predict(SMILES) == IS_ACID).mean() > 0.8


def test_searches_pipelines_weights_and_pickles_work():
    search = GridSearchCV(molfm.MoleculeRegressor(), {"model": ["mean", "svm"]}, cv=3).fit(SMILES, SIZE)
    assert search.best_params_ == {"model": "svm"}
    pipeline = make_pipeline(FunctionTransformer(list), clone(search.best_estimator_)).fit(np.array(SMILES), SIZE)
    again = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(again.predict(SMILES), pipeline.predict(SMILES))
    weight = (SIZE > 6).astype(float)
    weighted = molfm.MoleculeRegressor("mean").fit(SMILES, SIZE, sample_weight=weight)
    assert np.allclose(weighted.predict(["C"]), SIZE[SIZE > 6].mean())


@pytest.mark.parametrize("model", ["finetuned", "scratch"])
def test_networks_learn_from_all_molecules(model):
    found = molfm.MoleculeRegressor(model, epochs=3).fit(SMILES, SIZE)
    assert np.isfinite(found.predict(SMILES[:3])).all()
    with pytest.raises(InputError, match="cannot weigh"):
        found.fit(SMILES, SIZE, sample_weight=np.arange(50))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "svn"}, "Unknown model 'svn'. Did you mean 'svm'"),
        ({"X": ["C", "nonsense"] * 25}, "'nonsense' at position 1"),
        ({"X": "CCO"}, "Expected a list"),
        ({"y": [np.nan] * 50}, "finite"),
    ],
)
def test_wrong_input_is_named(change, message):
    given = {"X": SMILES, "y": SIZE} | {name: value for name, value in change.items() if name != "model"}
    with pytest.raises(ValueError, match=message):
        molfm.MoleculeRegressor(change.get("model", "svm")).fit(**given)
