"""EmbeddingMap without a browser: what it answers about points, colours and the selection."""

import numpy as np
import pytest
from molfm.widgets import EmbeddingMap, Selection, link
from molfm.widgets import map as map_module

from molfm.explore.lookup import Lookup
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel

HEAVY = ["tasks", "toy/heavy", "toy/oxygen"]


@pytest.fixture
def shown(toy, own_home):
    return EmbeddingMap(toy)


@pytest.fixture
def model(toy):
    return MultiTaskModel(ModelConfig(hidden_channels=16, num_layers=1), toy.tasks)


def finished(ask, **args):
    while not (answer := ask(**args))["done"]:
        assert answer["progress"]
    return answer


def test_points_arrive_in_parts_and_without_a_model_the_map_says_fingerprints(shown, monkeypatch):
    monkeypatch.setattr(map_module, "_SECONDS", 0)
    first = shown.answer_points(["pca"])
    assert first == {"done": False, "progress": "Computing fingerprints: 0 of 42"}
    answer = finished(shown.answer_points, layout=["pca"])
    assert (answer["xy"].shape, answer["xy"].dtype, answer["molecules"].dtype) == ((42, 2), np.float32, np.int32)
    assert "no model was given" in shown.answer_about()["basis"]


def test_a_model_a_run_and_a_name_can_embed_and_nothing_else(toy, toy_run, model, own_home):
    assert EmbeddingMap(toy, "minimix-gine")._basis == "embeddings of minimix-gine"
    assert len(finished(EmbeddingMap(toy, toy_run).answer_points, layout=["pca"])["xy"]) == 42
    assert EmbeddingMap(toy, model)._basis == "embeddings of the model"
    with pytest.raises(TypeError, match="expected a model, a run or the name of one, found int"):
        EmbeddingMap(toy, 3)


def test_without_umap_learn_the_browser_does_not_offer_umap(shown, monkeypatch):
    for there in (False, True):
        monkeypatch.setattr(map_module.embedding, "umap_is_installed", lambda there=there: there)
        assert shown.answer_about()["umap"] is there


def test_a_label_colours_the_points_it_was_measured_for(shown, toy):
    heavy = toy.labels("heavy").to_numpy()
    answer = shown.answer_color(["pca"], ["label", "toy/heavy"])
    np.testing.assert_array_equal(answer["values"], heavy[shown.answer_points(["pca"])["molecules"]])
    assert [answer["low"], answer["high"]] == np.nanquantile(heavy, [0.05, 0.95]).tolist()
    assert answer["text"].startswith(f"{np.isfinite(heavy).sum()} of 42 points are measured.")
    classes = shown.answer_color(["pca"], ["label", "toy/oxygen"])
    assert (classes["kind"], classes["low"], classes["high"]) == ("class", 0, 1)
    assert classes["names"] == ["0", "1"]  # the card of this task does not name its classes
    atoms = shown.answer_color(["pca"], ["label", "toy/element"])
    assert atoms["kind"] == "number"


def test_datasets_and_splits_colour_their_members(shown, toy):
    test = shown.answer_color(["pca"], ["split", "test"])
    np.testing.assert_array_equal(test["values"], Lookup(toy).members(None, "test"))
    assert shown.answer_color(["pca"], ["dataset", "toy"])["values"].all()
    assert shown.answer_color(["pca"], [])["kind"] == "none"


def test_an_error_is_predicted_minus_measured_and_computed_once(toy, model, own_home, monkeypatch):
    shown = EmbeddingMap(toy, model)
    assert shown.answer_about()["predicted"] == ["toy/heavy", "toy/oxygen"]
    answer = finished(shown.answer_color, layout=["pca"], by=["error", "toy/heavy"])
    molecules = shown.answer_points(["pca"])["molecules"]
    predicted = model.predict(Lookup(toy).smiles(molecules))["toy/heavy"]
    np.testing.assert_allclose(
        answer["values"], np.abs(predicted - toy.labels("heavy")[molecules].to_numpy()), atol=1e-4
    )
    assert "training molecules" in answer["text"]
    monkeypatch.setattr(model, "predict", None)
    assert shown.answer_color(["pca"], ["error", "toy/heavy"])["done"]


def test_a_lasso_selects_what_is_inside_and_shift_adds(shown, toy):
    points = shown.answer_points(HEAVY)
    box = [[0, 0.5], [3.5, 0.5], [3.5, 2], [0, 2]]  # up to 3 heavy atoms, with oxygen
    shown.answer_lasso(HEAVY, box, add=False)
    heavy, oxygen = toy.labels("heavy"), toy.labels("oxygen")
    first = np.flatnonzero((heavy <= 3) & (oxygen == 1))
    assert shown.selection.molecules.tolist() == first.tolist()
    marks = shown.answer_marks(HEAVY)
    assert points["molecules"][marks["marks"] == 1].tolist() == first.tolist()
    shown.answer_lasso(HEAVY, [[6.5, -1], [20, -1], [20, 2], [6.5, 2]], add=True)
    assert shown.selection.molecules.tolist() == np.flatnonzero(((heavy <= 3) & (oxygen == 1)) | (heavy > 6)).tolist()
    shown.answer_undo()
    assert shown.selection.molecules.tolist() == first.tolist()


def test_a_single_point_is_added_and_taken_away_again(shown):
    for add, molecule, expected in [(False, 5, [5]), (True, 3, [3, 5]), (True, 5, [3]), (False, 5, [5])]:
        shown.answer_select([molecule], add)
        assert shown.selection.molecules.tolist() == expected
    shown.answer_select([], add=False)
    assert len(shown.selection) == 0


def test_another_widgets_selection_is_marked_and_listed(shown, toy):
    other = EmbeddingMap(toy)
    link(other, shown)
    other.selection = Selection([20, 9], ["heavy"])
    assert np.flatnonzero(shown.answer_marks(["pca"])["marks"]).tolist() == [9, 20]
    assert shown.answer_rows() == {"rows": [[9, "", "CC=O"], [20, "", "c1ccccc1"]], "n": 2}
    shown.answer_select([1], add=True)
    assert shown.selection.tasks == ("toy/heavy",)


def test_a_molecule_without_a_label_is_counted_but_not_on_the_map_of_two_tasks(shown):
    shown.selection = Selection([8, 9])  # the tenth has no `heavy`
    marks = shown.answer_marks(HEAVY)
    assert (marks["marks"].sum(), marks["selected"]) == (1, 2)


def test_memory_holds_a_bounded_number_of_layouts_and_colours(shown, monkeypatch):
    monkeypatch.setattr(map_module, "_KEPT", 3)
    for x in ("heavy", "oxygen", "element", "order"):
        for y in ("heavy", "oxygen"):
            shown.answer_points(["tasks", x, y])
    assert len(shown._known) == 3


def test_a_saved_notebook_shows_the_points_once_they_are_known(toy, shown):
    finished(shown.answer_points, layout=["pca"])
    for one in (shown, EmbeddingMap(toy)):  # the second reads what is kept on disk
        assert one.sketch().count("h0") == 42


def test_a_mix_without_graph_tasks_is_shown_in_one_colour(toy, own_home):
    shown = EmbeddingMap(toy.select(["element"]))
    assert shown.view["color"] == []
    assert len(finished(shown.answer_points, layout=["pca"])["xy"]) == 42


def test_a_sample_of_a_large_mix_is_said(shown, toy, monkeypatch):
    monkeypatch.setattr(map_module, "SHOWN", 10)
    monkeypatch.setattr(map_module.embedding, "SHOWN", 10)
    about = shown.answer_about()
    assert (about["n"], about["shown"]) == (42, 10)
    assert len(finished(EmbeddingMap(toy).answer_points, layout=["pca"])["molecules"]) == 10
