import numpy as np
import pytest

from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.nn.uncertainty import MIN_LABELS, interval, spread


def models(toy, *seeds, dropout=0.0):
    config = ModelConfig(hidden_channels=16, num_layers=2, dropout=dropout)
    return [MultiTaskModel(config, toy.tasks, seed=seed) for seed in seeds]


def test_several_models_give_their_mean_and_standard_deviation(toy):
    members = models(toy, 0, 1, 2)
    mean, deviation = spread(members, ["CCO", "CC"])
    each = np.stack([model.predict(["CCO", "CC"])["toy/heavy"] for model in members])
    np.testing.assert_allclose(mean["toy/heavy"], each.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation["toy/heavy"], each.std(axis=0, ddof=1), rtol=1e-6)
    assert mean.smiles.tolist() == ["CCO", "CC"]


@pytest.mark.parametrize("level", ["graph", "node", "edge"])
def test_dropout_gives_a_spread_and_leaves_predictions_unchanged(toy, level):
    [model] = models(toy, 0, dropout=0.3)
    before = model.predict(["CCO"], level)
    table, deviation = spread([model], ["CCO"], level)
    assert table.equals(before)
    assert model.predict(["CCO"], level).equals(before)
    task = next(name for name in table if "/" in name)
    assert (deviation[task] > 0).all()
    assert deviation.equals(spread([model], ["CCO"], level)[1])


def test_a_molecule_without_bonds_gives_no_rows_at_edge_level(toy):
    for members in (models(toy, 0, dropout=0.3), models(toy, 0, 1)):
        for table in spread(members, ["C"], "edge"):
            assert len(table) == 0


def test_one_model_without_dropout_has_no_spread(toy):
    assert spread(models(toy, 0), ["CCO"])[1] is None


def test_an_interval_covers_nine_of_ten_new_labels_however_small_the_spread():
    random = np.random.default_rng(1)
    true = random.uniform(0.5, 2, 4000)  # standard deviations of the errors
    error, spread_of = random.normal(0, true), true / 7  # the spread is far too small
    found = interval(error[:2000], spread_of[:2000], np.arange(2000))
    new = np.abs(error[2000:]) <= found.factor * spread_of[2000:]
    assert found.factor == pytest.approx(7 * 1.645, rel=0.06)
    assert new.mean() == pytest.approx(0.9, abs=0.02)
    assert found.covered == pytest.approx(0.9, abs=0.02)
    constant = interval(error[:2000], None, np.arange(2000))
    assert (np.abs(error[2000:]) <= constant.factor).mean() == pytest.approx(0.9, abs=0.02)


def test_a_few_held_out_molecules_give_no_interval_however_many_atoms_they_have():
    atoms = np.repeat(np.arange(MIN_LABELS - 1), 20)
    assert interval(np.ones(len(atoms)), None, atoms) is None
