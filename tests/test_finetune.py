"""Fine-tuning: a checkpoint's encoder and trunk under new heads; lower layers are frozen or learn more slowly."""

import json
import shutil

import numpy as np
import pytest
import torch
from test_minimol import REFERENCE
from test_resume import assert_equal_runs, interrupt

import molfm
from molfm.base.errors import InputError
from molfm.nn.checkpoints import body_hash
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training import fit, module, recorder
from molfm.training.config import TrainConfig
from molfm.training.optimizer import parameter_groups

QUICK = {"steps": 4, "batch_size": 16, "progress": False}


def unchanged_parts(run, checkpoint):
    """Return for each part, bottom first, whether its weights equal the checkpoint's to the last bit."""
    return [
        all(
            torch.equal(new, old)
            for mine, theirs in zip(after, before, strict=True)
            for new, old in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
        )
        for after, before in zip(run.model.parts(), checkpoint.parts(), strict=True)
    ]


@pytest.mark.parametrize(("freeze", "same"), [(0, [0, 0, 0]), (1, [1, 1, 0]), (2, [1, 1, 1]), ("all", [1, 1, 1])])
def test_frozen_parts_stay_the_same_to_the_last_bit_and_the_others_learn(toy, toy_run, own_home, freeze, same):
    run = molfm.finetune(toy_run.folder, toy, tasks=["heavy"], freeze=freeze, **QUICK)
    assert unchanged_parts(run, toy_run.model) == same
    assert run.model.tasks.task.tolist() == ["toy/heavy"]
    smiles = ["CCO", "c1ccccc1"]
    assert np.array_equal(run.model.embed(smiles), toy_run.model.embed(smiles)) == all(same)


def test_a_run_may_start_from_the_heads_of_a_checkpoint_with_the_same_tasks(toy, toy_run, own_home):
    smiles, still = ["CCO", "c1ccccc1"], QUICK | {"learning_rate": 1e-12}
    kept = molfm.finetune(toy_run.folder, toy, keep_heads=True, **still).model.predict(smiles)
    assert np.allclose(kept.iloc[:, 2:], toy_run.model.predict(smiles).iloc[:, 2:], atol=1e-5)
    with pytest.raises(InputError, match="does not have the heads of this run"):
        molfm.finetune(toy_run.folder, toy, tasks=["heavy"], keep_heads=True, **QUICK)
    with pytest.raises(InputError, match="keep_heads needs a checkpoint"):
        molfm.train(toy, keep_heads=True, **QUICK)


def test_frozen_parts_stay_in_evaluation_mode_and_the_others_use_dropout_after_validations_too(
    toy, toy_run, own_home, monkeypatch
):
    seen, real = [], module.MultiTaskModule.training_step

    def training_step(self, batch):
        parts = [*self.model.parts(), [self.model.heads]]
        seen.append([{m.training for module in part for m in module.modules()} for part in parts])
        return real(self, batch)

    monkeypatch.setattr(module.MultiTaskModule, "training_step", training_step)
    molfm.finetune(toy_run.folder, toy, freeze=1, validate_every=1, dropout=0.5, **QUICK)
    assert seen == [[{False}, {False}, {True}, {True}]] * 4


def test_the_learning_rate_falls_from_the_heads_down_to_the_encoder(toy):
    model = MultiTaskModel(ModelConfig(8, 3, layer="gatedgcn", virtual_node="sum"), toy.tasks, seed=0)
    config = TrainConfig(start_from="any", layer_decay=0.5, learning_rate=0.8)
    groups = parameter_groups(model, config)
    assert [group["lr"] for group in groups] == pytest.approx([0.8, 0.4, 0.2, 0.1, 0.05])
    names = {id(weights): name for name, weights in model.named_parameters()}
    parts = [{".".join(names[id(w)].split(".")[:3]) for w in group["params"]} for group in groups]
    assert {name.split(".")[0] for name in parts[0]} == {"heads"}
    assert {name for name in parts[1] if "virtual" not in name} == {
        *(f"trunk.{kind}.2" for kind in ("layers", "norms", "bond_norms")),
        *("trunk.norm.weight", "trunk.norm.bias"),
    }
    assert parts[3] == {f"trunk.{kind}.0" for kind in ("layers", "norms", "bond_norms", "virtual_nodes")}
    assert {name.split(".")[0] for name in parts[4]} == {"encoder"}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert len(parameter_groups(model, TrainConfig())) == 1


def test_the_optimizer_has_no_frozen_weights(toy, toy_run, own_home, monkeypatch):
    interrupt(monkeypatch, 2)
    run = molfm.finetune(toy_run.folder, toy, tasks=["heavy"], freeze="all", **QUICK)
    state = torch.load(recorder.last_checkpoint(run.folder), weights_only=True)["optimizer_states"][0]
    assert len(state["state"]) == 4  # weights and biases of a head with two linear maps


def test_heads_of_width_zero_are_linear(toy, toy_run, own_home):
    run = molfm.finetune(toy_run.folder, toy, tasks=["heavy", "order"], freeze="all", head_channels=0, **QUICK)
    assert {type(head) for head in run.model.heads.values()} == {torch.nn.Linear}
    embedded = torch.tensor(run.model.embed(["CCO"]))
    head = run.model.heads["graph:toy"]
    expected = head(embedded) * run.model.std[0] + run.model.mean[0]
    assert run.model.predict(["CCO"])["toy/heavy"][0] == pytest.approx(expected.item(), rel=1e-4)


def test_the_config_records_the_checkpoint_and_repeats_the_run(toy, toy_run, own_home):
    run = molfm.finetune(toy_run.model, toy, tasks=["heavy"], layer_decay=0.7, **QUICK)
    config = run.config
    assert config["start_from"] == str((toy_run.folder / "model").resolve())
    assert config["start_digest"] == body_hash(toy_run.model)
    assert (config["freeze"], config["layer_decay"], config["hidden_channels"]) == (0, 0.7, 16)
    same = {name: config[name] for name in ("start_from", "start_digest", "layer_decay")}
    assert_equal_runs(molfm.train(toy, tasks=["heavy"], **same, **QUICK), run)


@pytest.fixture
def origin(toy, tmp_path):
    """The folder of a model that a test may change or remove."""
    MultiTaskModel(ModelConfig(8, 2, dropout=0.3), toy.tasks, seed=3).save(tmp_path / "origin")
    return tmp_path / "origin"


@pytest.mark.parametrize("settings", [{"freeze": 1}, {"layer_decay": 0.5}])
def test_a_stopped_run_resumes_without_its_origin_and_equals_the_uninterrupted_one(
    toy, origin, own_home, monkeypatch, settings
):
    expected = molfm.finetune(origin, toy, **settings, **QUICK | {"steps": 8})
    interrupt(monkeypatch, 3)
    run = molfm.finetune(origin, toy, name="it", **settings, **QUICK | {"steps": 8})
    assert run.status["state"] == "stopped"
    shutil.rmtree(origin)
    assert_equal_runs(fit.resume("it", progress=False), expected)


def test_a_run_that_failed_before_its_first_checkpoint_needs_its_origin_unchanged(
    toy, origin, own_home, monkeypatch, tmp_path
):
    expected = molfm.finetune(origin, toy, **QUICK)
    interrupt(monkeypatch, 1, by=RuntimeError("the loss is on fire"))
    with pytest.raises(RuntimeError, match="on fire"):
        molfm.finetune(origin, toy, name="it", **QUICK)
    origin.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="origin"):
        fit.resume("it", progress=False)
    MultiTaskModel(ModelConfig(8, 2, dropout=0.3), toy.tasks, seed=4).save(origin)
    with pytest.raises(ValueError, match=r"The weights of .*origin have changed: their digest was"):
        fit.resume("it", progress=False)
    shutil.rmtree(origin)
    (tmp_path / "elsewhere").rename(origin)
    assert_equal_runs(fit.resume("it", progress=False), expected)


def test_a_child_process_fine_tunes_the_same(toy, origin, own_home):
    expected = molfm.finetune(origin, toy, freeze=1, **QUICK)
    run = molfm.start(toy, start_from=origin, freeze=1, **QUICK)
    assert_equal_runs(run.wait(120), expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden_channels": 32}, "hidden_channels is 8 in .*origin and cannot become 32"),
        ({"freeze": 3}, "freeze=3: .*origin has 2 layers"),
        ({"freeze": "most"}, "Expected freeze to be a number of layers or \"all\", found 'most'"),
        ({"layer_decay": 1.5}, "Expected layer_decay to be above 0 and at most 1"),
        ({"start_digest": "0"}, "have changed: their digest was 0 and is"),
    ],
)
def test_settings_that_do_not_fit_the_checkpoint_are_refused_before_a_folder_is_made(
    toy, origin, own_home, wrong, message
):
    with pytest.raises(ValueError, match=message):
        molfm.finetune(origin, toy, **QUICK | wrong)
    assert not own_home.exists()


def test_fine_tuning_without_a_checkpoint_that_can_be_reopened_is_refused(toy, own_home):
    with pytest.raises(ValueError, match=r"call model\.save\(folder\) first"):
        molfm.finetune(MultiTaskModel(ModelConfig(8, 1), toy.tasks, seed=0), toy, **QUICK)
    with pytest.raises(FileNotFoundError, match=r"There is no model or run at nowhere .* Named models: minimol"):
        molfm.finetune("nowhere", toy, **QUICK)
    with pytest.raises(ValueError, match="need a checkpoint to fine-tune"):
        molfm.train(toy, freeze="all", **QUICK)
    with pytest.raises(ValueError, match="start_from='minimol'"):
        molfm.train(toy, network="minimol", **QUICK)
    assert not own_home.exists()


def test_a_model_saved_before_networks_had_names_is_loaded(toy, origin):
    facts = json.loads((origin / "model.json").read_text())
    assert facts["config"].pop("network") == "multitask"
    (origin / "model.json").write_text(json.dumps(facts))
    model = molfm.pretrained(origin)
    assert type(model) is MultiTaskModel
    assert model.origin == str(origin)
    facts["config"]["network"] = "os.system"
    (origin / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"Unknown network 'os\.system'; expected one of multitask, minimol"):
        molfm.pretrained(origin)


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the published model's weights")
def test_the_published_model_can_be_fine_tuned_and_reloaded(toy, own_home):
    run = molfm.finetune("minimol", toy, tasks=["heavy", "element"], freeze=15, **QUICK | {"steps": 1})
    checkpoint = molfm.pretrained("minimol", progress=False)
    assert type(run.model) is type(checkpoint)
    assert unchanged_parts(run, checkpoint) == [True] * 16 + [False] * 2
    graphs = run.predictions().query("task == 'toy/heavy'")
    again = run.model.predict(toy.molecules.smiles.iloc[graphs.mol_id])["toy/heavy"]
    assert again.tolist() == pytest.approx(graphs.preds.tolist(), abs=1e-3)
    with pytest.raises(ValueError, match="no bond vectors for edge-level heads"):
        molfm.finetune("minimol", toy, tasks=["order"], **QUICK)


def test_the_hash_of_a_body_ignores_units_and_heads(toy, toy_run):
    model, other = toy_run.model, molfm.Run(toy_run.folder).model
    with torch.no_grad():
        other.mean += 1
        other.std *= 2
        for weight in other.heads.parameters():
            weight += 1
    assert body_hash(model) == body_hash(other) and model.digest() != other.digest()
    with torch.no_grad():
        next(other.trunk.parameters()).add_(1)
    assert body_hash(model) != body_hash(other)
