import numpy as np
import pytest

from molfm.explore.lookup import Lookup
from molfm.nn.config import ModelConfig
from molfm.nn.mix_predictions import MixPredictions
from molfm.nn.multitask import MultiTaskModel


@pytest.fixture
def predictions(toy, monkeypatch):
    monkeypatch.setattr("molfm.nn.uncertainty.MIN_LABELS", 4)  # the toy's validation split is small
    models = [MultiTaskModel(ModelConfig(hidden_channels=16, num_layers=1), toy.tasks, seed=seed) for seed in (0, 1)]
    return MixPredictions(models, Lookup(toy))


def test_only_the_molecules_asked_for_are_predicted_and_none_twice(toy, predictions, monkeypatch):
    some = np.array([3, 30, 7])
    assert list(predictions.fill(["toy/heavy"], some)) == [3]
    column = predictions.column("toy/heavy")
    assert np.flatnonzero(np.isfinite(column)).tolist() == [3, 7, 30]
    smiles = toy.molecules.smiles[some].tolist()
    mean = np.mean([model.predict(smiles)["toy/heavy"] for model in predictions.models], axis=0)
    np.testing.assert_allclose(column[some], mean, rtol=1e-5)
    monkeypatch.setattr("molfm.nn.mix_predictions.AT_ONCE", 2)
    assert list(predictions.fill(["toy/heavy"], np.array([3, 4, 5, 6]))) == [2, 3]


@pytest.mark.parametrize("level", ["graph", "node", "edge"])
def test_intervals_come_from_the_validation_labels_of_every_level(toy, predictions, level):
    steps = list(predictions.calibrate(level))
    found = {task: one for task, one in predictions.intervals[level].items() if one}
    assert set(found) == {task.id for task in toy.chosen if task.level == level and task.kind == "regression"}
    [(task, one)] = found.items()
    held_out = toy.members("val", [task])
    assert one.n == steps[-1][0] == steps[-1][1] == len(held_out)
    inside, total = 0, 0
    for molecule in held_out.tolist():
        values, width = predictions.of(toy.molecules.smiles[molecule], level)
        measured = np.atleast_1d(toy.labels(task)[molecule])
        inside += (np.abs(values[task] - measured) <= width[task] * 1.0001).sum()
        total += len(measured)
    assert inside / total >= 0.9


def test_classes_have_no_interval(predictions):
    list(predictions.calibrate("graph"))
    assert "toy/oxygen" not in predictions.of("CCO", "graph")[1]
