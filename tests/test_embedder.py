import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

import molfm
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel

SMILES = ["CCO", "c1ccccc1", "CC(=O)O", "CCN", "C1CCCCC1", "CCCl", "CC#N", "COC", "CCCC", "CCS"]
TASKS = [{"task": "t/y", "dataset": "t", "level": "graph", "kind": "regression", "unit": "", "mean": 0.0, "std": 1.0}]
MODEL = MultiTaskModel(ModelConfig(hidden_channels=4, num_layers=1, pooling="mean"), pd.DataFrame(TASKS), seed=0).eval()


class OnNumbers(molfm.MoleculeEmbedder):
    """Accepts the numbers of scikit-learn's checks by turning each row into a SMILES; otherwise the same."""

    def fit(self, X, y=None):
        return super().fit(as_smiles(validate_data(self, X)), y)

    def transform(self, X):
        check_is_fitted(self)
        return super().transform(as_smiles(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        tags.input_tags.string = tags.input_tags.allow_nan = False
        return tags


def as_smiles(X):
    return [f"{'C' * (1 + abs(int(row.sum() * 7)) % 9)}{'NOS'[abs(int(row[0] * 5)) % 3]}" for row in X]


# scikit-learn's checks use tables of numbers; of the transformer itself they only check that it can be cloned.
@pytest.mark.filterwarnings("ignore:Can't test estimator")
@parametrize_with_checks([molfm.MoleculeEmbedder("small"), OnNumbers("small")])
def test_it_passes_scikit_learns_checks(estimator, check, monkeypatch):
    monkeypatch.setattr("molfm.nn.embedder.pretrained", {"small": MODEL}.__getitem__)
    check(estimator)


def test_a_pipeline_with_a_memory_embeds_the_same_molecules_once(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr("molfm.nn.embedder.pretrained", lambda name: opened.append(name) or MODEL)
    for alpha in (0.1, 1.0):
        steps = molfm.MoleculeEmbedder("small"), Ridge(alpha)
        make_pipeline(*steps, memory=str(tmp_path)).fit(SMILES, np.arange(10.0))
    assert opened == ["small"]


@pytest.mark.parametrize(
    "column",
    [
        SMILES,
        tuple(SMILES),
        np.array(SMILES),
        np.array(SMILES, object)[:, None],
        pd.Series(SMILES, index=range(10, 20)),
        pd.DataFrame({"smiles": SMILES}),
    ],
    ids=["list", "tuple", "array of text", "column of objects", "Series", "DataFrame"],
)
def test_any_column_of_text_gives_the_models_embeddings(column):
    found = molfm.MoleculeEmbedder(MODEL).fit_transform(column)
    assert found.dtype == np.float32
    assert np.array_equal(found, MODEL.embed(SMILES))


def test_invalid_smiles_are_counted_and_named_and_give_nan():
    with pytest.warns(UserWarning, match="3 of 4 SMILES have no embedding. The first is 'CCX' at position 1"):
        found = molfm.MoleculeEmbedder(MODEL).fit_transform(["CCO", "CCX", None, np.nan])
    assert np.isnan(found).all(1).tolist() == [False, True, True, True]
    assert np.isfinite(found[0]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("CCO", "a list, array or Series of SMILES, found 'CCO'"),
        (iter(SMILES), "a list, array or Series of SMILES"),
        (["CCO", 3], r"SMILES as text, found 3 \(int\) at position 1"),
        (np.zeros((2, 1)), r"SMILES as text, found 0.0 \(float\) at position 0"),
        ([["CCO", "CC"]], r"one column of SMILES, found an array of shape \(1, 2\)"),
        (pd.DataFrame({"a": ["CC"], "b": ["CC"]}), r"one column of SMILES, found an array of shape \(1, 2\)"),
    ],
)
def test_input_that_is_not_one_column_of_text_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        molfm.MoleculeEmbedder(MODEL).fit(wrong)


def test_an_invalid_or_unfitted_model_is_refused():
    with pytest.raises(TypeError, match="Expected a model, or the name or folder of one, found 3"):
        molfm.MoleculeEmbedder(3).fit(SMILES)
    with pytest.raises(FileNotFoundError, match="minimol"):
        molfm.MoleculeEmbedder("nowhere").fit(SMILES)
    with pytest.raises(NotFittedError):
        molfm.MoleculeEmbedder(MODEL).transform(SMILES)


def test_a_run_folder_gives_the_embeddings_of_its_model(toy_run):
    found = molfm.MoleculeEmbedder(toy_run.folder).fit_transform(SMILES)
    assert np.array_equal(found, toy_run.model.embed(SMILES))


def test_it_works_in_pipelines_cross_validation_and_grid_search():
    pipeline = make_pipeline(molfm.MoleculeEmbedder(MODEL), SimpleImputer(), Ridge())
    y = np.array([len(smiles) for smiles in SMILES], float)
    by_hand = Ridge().fit(MODEL.embed(SMILES), y).predict(MODEL.embed(["CCCO"]))
    assert pipeline.fit(SMILES, y).predict(["CCCO"]) == pytest.approx(by_hand)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(cross_val_score(pipeline, SMILES, y, cv=2)).all()
    search = GridSearchCV(pipeline, {"ridge__alpha": [0.1, 1.0]}, cv=2).fit(SMILES, y)
    assert search.best_params_["ridge__alpha"] in (0.1, 1.0)


@pytest.mark.parametrize("through", ["pickle", "joblib"])
def test_a_saved_transformer_contains_its_model(through, tmp_path, toy_run):
    fitted = molfm.MoleculeEmbedder(toy_run.folder).fit(SMILES)
    if through == "pickle":
        back = pickle.loads(pickle.dumps(fitted))
    else:
        joblib.dump(fitted, tmp_path / "embedder.joblib")
        back = joblib.load(tmp_path / "embedder.joblib")
    back.model = "nowhere"
    assert np.array_equal(back.transform(SMILES), fitted.transform(SMILES))


def test_a_clone_has_the_model_but_is_not_fitted():
    copied = clone(molfm.MoleculeEmbedder(MODEL).fit(SMILES))
    with pytest.raises(NotFittedError):
        check_is_fitted(copied)
    assert np.array_equal(copied.fit_transform(SMILES), MODEL.embed(SMILES))


def test_a_table_keeps_the_index_of_the_smiles_and_names_its_columns():
    embedder = molfm.MoleculeEmbedder(MODEL).set_output(transform="pandas")
    table = embedder.fit_transform(pd.Series(SMILES, index=list("abcdefghij")))
    names = [f"moleculeembedder{i}" for i in range(4)]
    assert table.columns.tolist() == embedder.get_feature_names_out().tolist() == names
    assert table.index.tolist() == list("abcdefghij")
