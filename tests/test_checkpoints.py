"""The checkpoints that come with molfm, and their model cards."""

import numpy as np
import pytest
import yaml

import molfm
from molfm.nn.checkpoints import FILES, NAMES

SHIPPED = [name for name in NAMES if (FILES / name / "model.json").exists()]


def front_matter(name):
    _, front, text = molfm.pretrained(name, progress=False).card.split("---\n", 2)
    return yaml.safe_load(front), text


def test_two_checkpoints_come_with_molfm_and_are_small():
    assert SHIPPED == ["minimix-gine", "toymix-gine-40"]
    for name in SHIPPED:
        assert sum(file.stat().st_size for file in (FILES / name).iterdir()) < 1.4e6


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_checkpoint_predicts_every_task_of_each_level_without_a_download(name, own_home, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    model = molfm.pretrained(name)
    for level, tasks in model.tasks.groupby("level"):
        found = model.predict(["CC(=O)Oc1ccccc1C(=O)O", "CCO"], level)
        assert set(tasks.task) < set(found.columns) and np.isfinite(found[tasks.task]).all(axis=None)
    assert not own_home.exists() and model.origin == name


def test_a_notebook_shows_a_model_card_rendered():
    shown = molfm.pretrained(SHIPPED[0]).card._repr_markdown_()
    assert shown.startswith("# ") and "\n- license: MIT" in shown


@pytest.mark.parametrize("name", SHIPPED)
def test_a_model_card_names_data_recipe_licence_and_the_command_that_makes_it(name):
    front, text = front_matter(name)
    size = sum(w.numel() for w in molfm.pretrained(name).parameters())
    assert front["name"] == name and f"{size:,} parameters" in front["network"]
    assert all(front[fact] for fact in ("data", "recipe", "license", "command")) and "## Limitations" in text


def test_the_model_card_of_minimix_gine_states_its_test_metrics():
    _, text = front_matter("minimix-gine")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    said = {(row[0], row[2]): [float(value) for value in row[3:6]] for row in rows if "/" in row[0]}
    mix, model = molfm.load("minimix", progress=False), molfm.pretrained("minimix-gine")
    labels = mix.labels("logBB")
    rows = labels.index[(mix.molecules["split:b3db"] == "test") & labels.notna()]
    preds = model.predict(mix.molecules.smiles[rows], tasks=["logBB"])["b3db/logBB"].to_numpy(float)
    error = float(np.abs(preds - labels[rows]).mean())
    value, low, high = said["b3db/logBB", "mae"]
    assert error == pytest.approx(value, abs=0.001) and low < value < high


def test_an_unknown_name_is_an_error_that_lists_the_named_models(own_home):
    with pytest.raises(
        FileNotFoundError,
        match=r"There is no model or run at nothing .*Named models: minimol, minimix-gine, toymix-gine-40",
    ):
        molfm.pretrained("nothing")
