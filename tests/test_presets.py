from dataclasses import fields

import numpy as np
import pytest
import torch

from molfm.batches.batch import to_batch
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training.losses import LOSSES, choose, task_sums, total_loss
from molfm.training.presets import PRESETS, preset, settings_of

SIZES = {"toymix": (150_000, 200_000), "largemix": (3_600_000, 6_600_000)}  # as published; LargeMix 4-6 million, ± 10%


def test_presets_are_named_after_the_baselines_of_the_paper():
    names = [f"toymix-{layer}" for layer in ("gcn", "gin", "gine", "gatedgcn", "mpnnpp")]
    assert list(PRESETS) == [*names, *(f"largemix-{layer}" for layer in ("gcn", "gin", "gine"))]
    for name, item in PRESETS.items():
        assert name == item.name == f"{item.mix}-{item.config.layer}"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_as_large_as_published(name):
    counts = PRESETS[name].parameters()
    least, most = SIZES[PRESETS[name].mix]
    assert least <= sum(counts.values()) <= most
    heads = {"toymix": 3, "largemix": 5}[PRESETS[name].mix]  # LargeMix has one at node level
    assert sum(part.startswith("head") for part in counts) == heads


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_a_step_lowers_its_loss(name, toy):
    preset = PRESETS[name]
    model = MultiTaskModel(preset.config, toy.tasks, seed=0)
    batch = to_batch(toy.gather(toy.members("train"), "train", encodings=preset.config.encodings))
    first = preset.learning_rate / 100  # as at the start of the warm-up
    optimizer = torch.optim.AdamW(model.parameters(), first, weight_decay=preset.weight_decay)
    model.eval()  # without dropout, so that the two losses can be compared

    def loss():
        return total_loss(*task_sums(model, model(batch), batch, choose(preset.losses)), model.head)

    before = loss()
    before.backward()
    optimizer.step()
    assert loss() < before


def test_a_preset_prints_as_a_table_with_parameter_counts():
    preset = PRESETS["toymix-gin"]
    counts = preset.parameters()
    for text in (str(preset), preset._repr_html_()):
        assert "toymix-gin" in text
        assert "learning_rate" in text
        assert f"{counts['head graph:qm9']:,}" in text
        assert f"{sum(counts.values()):,}" in text
    # 96 pooled channels -> 256 -> 19 tasks
    assert counts["head graph:qm9"] == 97 * 256 + 257 * 19


def test_a_name_sets_the_fields_of_a_model_and_its_recipe():
    assert settings_of("gin") == {"layer": "gin"}
    found = settings_of("largemix-gine")
    shape = {item.name for item in fields(ModelConfig)}
    assert ModelConfig(**{name: value for name, value in found.items() if name in shape}).hidden_channels == 704
    recipe = {"epochs", "batch_size", "warmup", "learning_rate", "weight_decay", "schedule", "losses"}
    assert found.keys() == shape | recipe
    assert found["losses"] == {kind: next(iter(names)) for kind, names in LOSSES.items()}
    assert np.isclose(found["warmup"] * found["epochs"], 10)
    with pytest.raises(ValueError, match=r"Unknown model 'toymix-gat'; expected one of gcn, .* largemix-gine"):
        settings_of("toymix-gat")


def test_an_unknown_preset_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"Unknown preset 'toymix-gat'; expected one of toymix-gcn, .* largemix-gine"):
        preset("toymix-gat")
