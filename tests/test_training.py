import json
import logging
import signal
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

import molfm
from molfm.batches.loaders import MixDataModule
from molfm.data.splits import SPLITS
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training import module
from molfm.training.config import TrainConfig
from molfm.training.evaluation import label_arrays
from molfm.training.metrics import PRIMARY, score

SMALL = {"batch_size": 16, "hidden_channels": 8, "num_layers": 1, "progress": False}
METRICS = {"regression": ["mae", "mae_z", "r2", "pearson", "spearman"], "binary": ["auroc", "average_precision"]}


@pytest.fixture(scope="module")
def run(toy):
    return molfm.train(toy, steps=6, seed=1, name="training", **SMALL)


@pytest.fixture(scope="module")
def contrary(make_card, toy):
    """A dataset whose training labels mislead in validation, and whose test set has one class only."""
    split = toy.molecules[f"split:{toy.name}"].to_numpy()
    oxygen = toy.labels("oxygen").to_numpy()
    side = 2 * oxygen - 1
    table = pd.DataFrame(
        {
            "smiles": toy.molecules.smiles,
            "side": np.where(split == "val", -side, side),
            "one": np.where(split == "test", 0, oxygen),
        }
    )
    tasks = {"side": {"unit": "V"}, "one": {"kind": "binary"}}
    path = make_card("contrary", table, tasks, split="random", fractions=[0.6, 0.2, 0.2])
    mix = molfm.load(path, progress=False)
    assert mix.molecules[f"split:{mix.name}"].tolist() == split.tolist()
    return mix


@pytest.fixture
def keep_ctrl_c():
    """The Ctrl-C handler, restored afterwards: Lightning changes it when it shuts down."""
    handler = signal.getsignal(signal.SIGINT)
    yield handler
    signal.signal(signal.SIGINT, handler)


def failing(monkeypatch, error, after=0):
    """Make training fail with an error once it has taken some steps."""
    calls, real = [], module.total_loss

    def total_loss(*args):
        calls.append(args)
        if len(calls) > after:
            raise error
        return real(*args)

    monkeypatch.setattr(module, "total_loss", total_loss)


# ---------------------------------------------------------------------------------------------------------- the run folder


def test_a_run_folder_contains_settings_curves_results_and_model(run):
    names = {path.name for path in run.folder.iterdir()}
    files = {"config.json", "status.json", "metrics.jsonl", "results.parquet", "predictions.parquet"}
    assert files | {"model"} <= names <= files | {"model", "checkpoints"}
    assert {path.name for path in (run.folder / "model").iterdir()} == {"model.safetensors", "model.json"}
    assert [json.loads(line)["step"] for line in (run.folder / "metrics.jsonl").open()] == run.metrics.step.tolist()


def test_the_config_records_settings_and_package_versions(run, toy):
    config = run.config
    asked = {"model": "gine", "seed": 1, "steps": 6, "batch_size": 16, "hidden_channels": 8, "num_layers": 1}
    assert {name: config[name] for name in asked} == asked
    assert config["tasks"] == config["watch"] == toy.tasks.task.tolist()
    assert config["versions"]["torch"] == torch.__version__
    assert config["versions"]["molfm"] == molfm.__version__
    assert molfm.load(**config["data"], progress=False).tasks.equals(toy.tasks)  # it can be opened again


def test_a_finished_run_says_so(run):
    status = run.status
    assert (status["state"], status["step"], status["total_steps"], status["error"]) == ("finished", 6, 6, "")
    assert repr(run) == "Run(training: finished, step 6 of 6)"


def test_results_have_one_row_per_task_split_and_metric(run, toy):
    results = run.results
    columns = [
        "task",
        "dataset",
        "level",
        "domain",
        "split",
        "metric",
        "value",
        "unit",
        "n_labels",
        "undefined",
        "seed",
    ]
    assert results.columns.tolist() == columns
    expected = {(t.task, s, m) for t in toy.tasks.itertuples() for s in ("val", "test") for m in METRICS[t.kind]}
    assert len(results) == len(expected)
    assert set(results[["task", "split", "metric"]].itertuples(index=False, name=None)) == expected
    assert (results.seed == 1).all()
    assert (results.undefined == "").all()
    assert results.value.notna().all()
    facts = results.merge(toy.tasks, on="task", suffixes=("", "_of_task"))
    for name in ("dataset", "level", "domain"):
        assert (facts[name] == facts[f"{name}_of_task"]).all()
    assert (facts.n_labels == np.where(facts.split == "val", facts.n_val, facts.n_test)).all()
    heavy = results[(results.task == "toy/heavy") & (results.split == "test")].set_index("metric")
    assert heavy.unit["mae"] == "atoms"
    assert heavy.unit[["mae_z", "r2", "pearson", "spearman"]].isna().all()


def test_results_are_the_metrics_of_the_predictions(run, toy):
    std, table = toy.tasks["std"], run.predictions()
    for row in run.results.itertuples():
        number = toy.task_number(row.task)
        here = table[(table.split == row.split) & (table.task == row.task)]
        value = score(row.metric, here.preds.to_numpy(), here.measured.to_numpy(), std[number])
        assert row.value == pytest.approx(value)


def test_further_metrics_and_functions_are_computed_from_the_saved_predictions(run):
    found = run.evaluate(["rmse", "mcc"])
    assert found.columns.tolist() == run.results.columns.tolist()
    heavy = run.predictions().query("task == 'toy/heavy' and split == 'test'")
    error = heavy.preds - heavy.measured
    mine = found.query("task == 'toy/heavy' and split == 'test'").set_index("metric")
    assert mine.value.to_dict() == {"rmse": pytest.approx(np.sqrt((error**2).mean()))}
    assert mine.unit["rmse"] == "atoms"
    assert found[found.metric == "mcc"].task.unique().tolist() == ["toy/oxygen"]
    own = run.evaluate({"bias": lambda preds, target: (preds - target).mean()}, tasks=["heavy"])
    assert own[["task", "split", "metric"]].to_numpy().tolist() == [["toy/heavy", s, "bias"] for s in ("val", "test")]
    assert own.value.iloc[1] == pytest.approx(error.mean())
    again = run.evaluate()
    same = again[again.metric.isin(run.results.metric)].reset_index(drop=True)
    keys = ["task", "split", "metric"]
    assert same.merge(run.results, on=keys).eval("abs(value_x - value_y)").max() < 1e-6
    assert set(again.metric) - set(run.results.metric) >= {"rmse", "mcc", "f1", "ef1", "ef5", "accuracy"}
    with pytest.raises(ValueError, match="No task 'heavvy' in Run"):
        run.evaluate(["rmse"], tasks=["heavvy"])


def test_predictions_are_listed_with_the_labels_of_their_molecules(run, toy):
    table = run.predictions()
    assert table.columns.tolist() == ["split", "task", "mol_id", "constitution", "preds", "measured"]
    assert (table.split == toy.molecules[f"split:{toy.name}"][table.mol_id].to_numpy()).all()
    assert (table.constitution == toy.constitution[table.mol_id]).all()
    for number, task in enumerate(toy.chosen):
        for code, split in enumerate(SPLITS):
            mine = table[(table.task == task.id) & (table.split == split)]
            molecule, _, where, value = toy.label_triples(number)
            here = (where == code) & (split != "train")
            found = sorted(zip(mine.mol_id, mine.measured, strict=True))
            assert found == sorted(zip(molecule[here], value[here], strict=True)), (task.id, split)


def test_predictions_equal_those_of_the_saved_model(run, toy):
    texts = toy.molecules.smiles
    found = {level: run.model.predict(texts, level) for level in ("graph", "node", "edge")}
    for task in toy.chosen:
        mine = run.predictions().query(f"task == '{task.id}'")
        for molecule, group in mine.groupby("mol_id"):
            again = found[task.level].loc[found[task.level].mol_id == molecule, task.id]
            assert sorted(group.preds) == pytest.approx(sorted(again), abs=1e-4)


def test_a_run_writes_only_into_its_folder(toy, own_home, tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    run = molfm.train(toy, steps=2, **SMALL)
    assert list(work.iterdir()) == []
    assert [path for path in own_home.rglob("*") if not path.is_relative_to(run.folder)] == [own_home / "runs"]


def test_a_run_without_a_name_gets_a_unique_one(toy, own_home):
    first, second = (molfm.train(toy, steps=1, **SMALL) for _ in range(2))
    assert first.folder != second.folder
    assert first.folder.name.startswith("toy-gine-")


def test_metrics_of_a_single_class_are_undefined_and_say_why(contrary, own_home):
    results = molfm.train(contrary, tasks=["one"], steps=2, **SMALL).results
    test, val = results[results.split == "test"], results[results.split == "val"]
    assert test.value.isna().all()
    assert set(test.undefined) == {f"only class 0 among {contrary.tasks.n_test[1]} labels"}
    assert val.value.notna().all()
    assert set(val.undefined) == {""}


def test_ordinal_tasks_are_trained_and_scored_by_class_probabilities(make_card, toy, own_home):
    size = toy.sizes("node")
    table = pd.DataFrame({"smiles": toy.molecules.smiles, "size": np.digitize(size, [3, 5, 6, 7]), "heavy": size})
    card = make_card("graded", table, {"heavy": {}, "size": {"kind": "ordinal", "classes": 5}}, split="random")
    run = molfm.train(molfm.load(card, progress=False), model="gatedgcn", steps=3, **SMALL)
    assert np.isfinite(run.metrics["graded/size/auroc"]).all()
    scores = run.results[run.results.task == "graded/size"]
    assert scores.metric.unique().tolist() == ["auroc", "average_precision", "accuracy"]
    assert scores.value.notna().all()
    graded = run.predictions().query("task == 'graded/size'")
    chance = graded[[f"class_{c}" for c in range(5)]].to_numpy()
    np.testing.assert_allclose(chance.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(chance @ np.arange(5), graded.preds, atol=1e-5)
    again = run.model.predict(toy.molecules.smiles[graded.mol_id])
    np.testing.assert_allclose(again["graded/size"], graded.preds, atol=1e-4)


@pytest.mark.parametrize("model", ["gcn", "mpnnpp"])
def test_the_model_argument_selects_the_layers(toy, own_home, model):
    run = molfm.train(toy, model=model, steps=2, **SMALL)
    assert run.config["model"] == run.model.config.layer == model


# ----------------------------------------------------------------------------------------------------- opening a run again


def test_a_run_is_opened_by_name_or_by_path(run):
    for found in (molfm.Run("training"), molfm.Run(run.folder), molfm.Run(str(run.folder))):
        assert found.folder == run.folder
        pd.testing.assert_frame_equal(found.results, run.results)


def test_a_run_that_does_not_exist_is_an_error_that_names_both_places(own_home):
    with pytest.raises(FileNotFoundError, match=f"no run at nowhere or {own_home / 'runs' / 'nowhere'}"):
        molfm.Run("nowhere")


@pytest.fixture
def running(tmp_path):
    """A run in progress, whose last line of metrics is half written."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "status.json").write_text('{"state": "running", "step": 3, "total_steps": 9}')
    whole = '{"step": 1, "val_loss": 0.5}\n{"step": 2, "val_loss": 0.25}\n'
    (tmp_path / "metrics.jsonl").write_text(whole + '{"step": 3, "val_')
    return molfm.Run(tmp_path)


def test_metrics_of_a_run_in_progress_are_readable_up_to_the_last_whole_line(running):
    assert running.metrics.to_dict("list") == {"step": [1, 2], "val_loss": [0.5, 0.25]}
    (running.folder / "metrics.jsonl").unlink()
    assert len(running.metrics) == 0


def test_a_run_in_progress_has_no_results_yet(running):
    with pytest.raises(FileNotFoundError, match=r"running, step 3 of 9\) has no results yet"):
        _ = running.results
    with pytest.raises(FileNotFoundError, match="has no predictions yet"):
        _ = running.predictions()


# ------------------------------------------------------------------------------------------------------------ repeatability


def test_the_same_seed_gives_the_same_run_and_another_seed_a_different_one(toy, run, own_home):
    same, other = (molfm.train(toy, steps=6, seed=seed, **SMALL) for seed in (1, 2))
    pd.testing.assert_frame_equal(same.predictions(), run.predictions(), check_exact=True)
    pd.testing.assert_frame_equal(same.metrics, run.metrics, check_exact=True)
    pd.testing.assert_frame_equal(same.results, run.results, check_exact=True)
    assert not np.allclose(other.predictions().preds, run.predictions().preds, atol=1e-4)


# -------------------------------------------------------------------------------------------------------- length and choice


@pytest.mark.parametrize(("length", "steps"), [({"epochs": 2}, 8), ({"steps": 5}, 5), ({"steps": 3, "epochs": 9}, 3)])
def test_epochs_are_passes_over_the_molecules_and_steps_are_batches(toy, own_home, monkeypatch, length, steps):
    seen, real = [], module.MultiTaskModule.training_step

    def training_step(self, batch):
        seen.append(batch.mol_id.tolist())
        return real(self, batch)

    monkeypatch.setattr(module.MultiTaskModule, "training_step", training_step)
    members = toy.members("train").tolist()
    size = -(-len(members) // 4)  # four batches per pass
    run = molfm.train(toy, **SMALL | {"batch_size": size}, **length)
    assert len(seen) == steps
    for first in range(0, steps - 3, 4):
        assert sorted(np.concatenate(seen[first : first + 4])) == members
    assert run.config["steps"] == run.status["total_steps"] == run.status["step"] == steps
    assert run.metrics.step.iloc[-1] == steps


def test_a_run_of_epochs_is_validated_once_per_epoch(toy, own_home):
    per_epoch = -(-len(toy.members("train")) // 16)
    assert molfm.train(toy, epochs=3, **SMALL).metrics.step.tolist() == [per_epoch, 2 * per_epoch, 3 * per_epoch]


def test_a_run_of_steps_is_validated_about_twenty_times(toy, own_home):
    assert molfm.train(toy, steps=44, **SMALL).metrics.step.tolist() == list(range(2, 45, 2))


def test_a_batch_size_per_dataset_draws_that_many_from_each(toy, own_home, monkeypatch):
    sizes, real = [], module.MultiTaskModule.training_step

    def training_step(self, batch):
        sizes.append(batch.num_graphs)
        return real(self, batch)

    monkeypatch.setattr(module.MultiTaskModule, "training_step", training_step)
    run = molfm.train(toy, steps=5, **SMALL | {"batch_size": {"toy": 7}})
    assert sizes == [7] * 5
    assert run.config["batch_size"] == {"toy": 7}


def test_only_the_chosen_tasks_are_trained(toy, own_home):
    run = molfm.train(toy, tasks=["toy/graph", "order"], steps=1, **SMALL)
    assert run.config["tasks"] == run.model.tasks.task.tolist() == ["toy/heavy", "toy/oxygen", "toy/order"]
    assert set(run.results.task) == {"toy/heavy", "toy/oxygen", "toy/order"}


def test_n_labels_limits_the_training_labels_of_a_task(toy, own_home):
    run = molfm.train(toy, steps=1, n_labels={"heavy": 5}, **SMALL)
    before, after = (tasks.set_index("task") for tasks in (toy.tasks, run.model.tasks))
    assert before.n_train["toy/heavy"] > 5
    assert after.n_train["toy/heavy"] == 5
    assert after.n_test["toy/heavy"] == before.n_test["toy/heavy"]
    others = before.index.drop("toy/heavy")
    assert after.n_train[others].tolist() == before.n_train[others].tolist()
    assert run.config["n_labels"] == {"heavy": 5}


def test_only_watched_tasks_count_in_the_validation_loss_and_every_task_has_a_curve(toy, own_home):
    run = molfm.train(toy, steps=1, watch=["oxygen"], **SMALL)
    heads = [f"val_loss toy/{level}" for level in ("graph", "node", "edge")]
    curves = [f"{task}/{PRIMARY[kind]}" for task, kind in zip(toy.tasks.task, toy.tasks.kind, strict=True)]
    assert run.metrics.columns.tolist() == ["step", "train_loss", "val_loss", *heads, *curves]
    mine = run.predictions().query("split == 'val' and task == 'toy/oxygen'")
    p, y = mine.preds.to_numpy(), mine.measured.to_numpy()
    assert run.metrics.val_loss[0] == pytest.approx(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)), rel=1e-4)
    assert set(run.results.task) == set(toy.tasks.task)


def test_the_validation_loss_is_the_mean_over_heads_of_the_loss_per_label(run, toy):
    heads = run.metrics.filter(regex="^val_loss ")
    np.testing.assert_allclose(heads.mean(axis=1), run.metrics.val_loss, rtol=1e-12)
    table = run.predictions().query("split == 'val'").merge(toy.tasks, on="task")
    p, y = table.preds, table.measured
    entropy = -(y * np.log(p.where(table.kind == "binary")) + (1 - y) * np.log1p(-p.where(table.kind == "binary")))
    table["loss"] = entropy.where(table.kind == "binary", (p - y).abs() / table["std"])
    best = run.metrics.loc[run.metrics.val_loss.idxmin()]
    expected = table.groupby("level").loss.mean()
    assert expected.mean() == pytest.approx(best.val_loss, rel=1e-4)
    assert expected.to_dict() == pytest.approx({lv: best[f"val_loss toy/{lv}"] for lv in expected.index}, rel=1e-4)


def test_the_weights_of_the_lowest_validation_loss_are_kept(contrary, own_home):
    run = molfm.train(contrary, tasks=["side"], steps=20, learning_rate=0.02, **SMALL)
    losses = run.metrics.val_loss
    assert losses.min() < losses.iloc[-1] - 0.05  # the last weights are much worse
    known = contrary.labels("side")[(contrary.molecules["split:contrary"] == "val").to_numpy()]
    found = run.model.predict(contrary.molecules.smiles[known.index])["contrary/side"].to_numpy()
    error = np.abs(found - known.to_numpy()).mean()
    assert error / contrary.tasks["std"][0] == pytest.approx(losses.min(), rel=1e-4)
    mae = run.results.query("split == 'val' and metric == 'mae'")
    assert (mae.value.tolist(), mae.unit.tolist()) == ([pytest.approx(error, rel=1e-4)], ["V"])


# ----------------------------------------------------------------------------------------------------------------- refusals


def test_an_existing_name_is_refused_and_its_run_left_alone(toy, run):
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    with pytest.raises(FileExistsError, match="choose another name"):
        molfm.train(toy, steps=1, name="training", **SMALL)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "transformer"}, "Unknown model 'transformer'; expected one of gcn, gin, gine, gatedgcn, mpnnpp"),
        ({"batch_size": {"toy": 4}, "steps": None}, "A batch size per dataset needs `steps`"),
        ({"tasks": ["heavvy"]}, "No task 'heavvy' in toy. Did you mean 'heavy'"),
        ({"n_labels": {"heavy": 9999}}, "9999 were asked for"),
        ({"n_labels": {"element": 3}}, "Only labels of graph tasks"),
        ({"hidden_channels": 0}, "Expected hidden_channels"),
        ({"watch": ["heavvy"]}, "No task 'heavvy'"),
    ],
)
def test_invalid_arguments_are_refused_before_a_folder_is_made(toy, own_home, wrong, message):
    with pytest.raises(ValueError, match=message):
        molfm.train(toy, **SMALL | {"steps": 1} | wrong)
    assert not own_home.exists()


@pytest.mark.parametrize("length", [{"epochs": 0}, {"steps": 0}, {"steps": -1}])
def test_a_run_without_steps_is_refused(toy, own_home, monkeypatch, length):
    failing(monkeypatch, RuntimeError("It was trained all the same."))
    with pytest.raises(ValueError, match="to be 1 or more"):
        molfm.train(toy, **length, **SMALL)
    assert not own_home.exists()


@pytest.mark.parametrize(
    ("split", "message"), [("train", "has no training labels"), ("val", "No validation labels for toy/heavy")]
)
def test_a_split_without_labels_is_refused(toy, own_home, split, message):
    kept = toy.keep(["toy"], (toy.molecules[f"split:{toy.name}"] != split).to_numpy())
    with pytest.raises(ValueError, match=message):
        molfm.train(kept, tasks=["heavy"], steps=1, **SMALL)
    assert not own_home.exists()


# ----------------------------------------------------------------------------------------------------------------- failures


def test_a_failure_leaves_its_traceback_in_the_run_folder(toy, own_home, monkeypatch):
    failing(monkeypatch, RuntimeError("the loss is on fire"), after=2)
    with pytest.raises(RuntimeError, match="the loss is on fire"):
        molfm.train(toy, steps=5, name="burnt", **SMALL)
    status = molfm.Run("burnt").status
    assert (status["state"], status["step"], status["total_steps"]) == ("failed", 2, 5)
    assert status["error"].startswith("Traceback")
    assert "the loss is on fire" in status["error"]
    assert len(molfm.Run("burnt").metrics) == 2


def test_an_interrupted_run_counts_as_failed(toy, own_home, monkeypatch, keep_ctrl_c):
    failing(monkeypatch, KeyboardInterrupt(), after=1)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        molfm.train(toy, steps=5, name="stopped", **SMALL)
    status = molfm.Run("stopped").status
    assert (status["state"], status["step"]) == ("failed", 1)
    assert "KeyboardInterrupt" in status["error"]


def test_an_interrupt_reaches_the_caller_and_leaves_ctrl_c_working(toy, own_home, monkeypatch, keep_ctrl_c):
    failing(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match=r"The run in .*interrupted.* can be resumed") as caught:
        molfm.train(toy, steps=5, name="interrupted", **SMALL)
    assert signal.getsignal(signal.SIGINT) is keep_ctrl_c
    assert caught.value.folder == own_home / "runs" / "interrupted"


@pytest.mark.parametrize("error", [None, RuntimeError("no")])
def test_lightning_is_silenced_during_training_only(toy, own_home, monkeypatch, error):
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [logger.level for logger in loggers]
    for level, logger in enumerate(loggers, 21):
        logger.setLevel(level)
    if error:
        failing(monkeypatch, error)
    try:
        molfm.train(toy, steps=1, **SMALL)
    except RuntimeError as caught:
        assert caught is error
    after = [logger.level for logger in loggers]
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
    assert after == [21, 22, 23]


# ---------------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "step"}, "Expected schedule to be one of cosine, linear, found 'step'"),
        ({"precision": "8"}, "Expected precision to be one of 32, bf16-mixed, found '8'"),
        ({"warmup": 10}, "Expected warmup to be at least 0 and below 1"),
        ({"accumulate": 0}, "Expected accumulate to be 1 or more, found 0"),
        ({"patience": 0}, "Expected patience to be 1 or more, found 0"),
        ({"batch_size": {"toy": 0}}, "Expected batch_size to be 1 or more, found"),
        ({"batch_size": {"toy": 4}, "temperature": 2.0}, "cannot be combined with fractions or a temperature"),
        ({"dataset_weights": {"toi": 2}}, "Unknown dataset 'toi' in dataset_weights; expected toy"),
        ({"dataset_weights": {"toy": 0}}, "Expected at least one weight above 0"),
        ({"dataset_weights": {"toy": -1}}, "Expected dataset_weights to be 0 or more"),
        ({"learning_rate": 0}, "Expected learning_rate to be above 0, found 0"),
        ({"fractions": {"toi": 0.5}}, "Unknown dataset 'toi' in fractions"),
        ({"conflicts": True, "compile": True}, "conflicts cannot be combined with compile"),
        ({"num_nodes": 2}, "start the run on every node, with torchrun"),
    ],
)
@pytest.mark.parametrize("function", ["train", "start"])
def test_settings_out_of_range_are_errors_that_say_what_is_expected(toy, own_home, wrong, message, function):
    settings = {name: value for name, value in SMALL.items() if name != "progress"}
    with pytest.raises(ValueError, match=message):
        getattr(molfm, function)(toy, **settings | {"steps": 1} | wrong)
    assert not own_home.exists()


def test_an_unknown_setting_is_an_error_that_suggests_the_nearest(toy, own_home):
    with pytest.raises(TypeError, match=r"Unknown setting 'learningrate'\. Did you mean 'learning_rate'\?"):
        molfm.train(toy, learningrate=1e-3)
    with pytest.raises(TypeError, match=r"Unknown setting 'hidden_channel'\. Did you mean 'hidden_channels'\?"):
        molfm.start(toy, hidden_channel=8)
    with pytest.raises(TypeError, match=r"Unknown setting 'zzz'\. The settings are accelerator, accumulate, "):
        molfm.train(toy, zzz=1)
    assert not own_home.exists()


def test_a_run_can_be_repeated_from_its_config(toy, own_home):
    first = molfm.train(toy, epochs=2, warmup=0.5, schedule="linear", n_labels={"heavy": 9}, **SMALL)
    names = [item.name for kind in (TrainConfig, ModelConfig) for item in fields(kind)]
    config = {name: first.config[name] for name in [*names, "model", "tasks", "n_labels"]}
    again = molfm.train(molfm.load(**first.config["data"], progress=False), progress=False, **config)
    pd.testing.assert_frame_equal(again.predictions(), first.predictions(), check_exact=True)
    ignored = ("data", "versions")
    assert {k: v for k, v in again.config.items() if k not in ignored} == {
        k: v for k, v in first.config.items() if k not in ignored
    }


# ------------------------------------------------------------------------------------------------------- training steps


def steps_of(toy, monkeypatch, **settings):
    """Train, and return the gradient and the learning rate of every step."""
    gradients, rates = [], []
    real = module.MultiTaskModule.optimizer_step

    def optimizer_step(self, epoch, batch_idx, optimizer, closure):
        rates.append(optimizer.param_groups[0]["lr"])
        real(self, epoch, batch_idx, optimizer, closure)
        gradients.append(torch.cat([p.grad.flatten() for p in self.parameters() if p.grad is not None]))

    with monkeypatch.context() as patch:
        patch.setattr(module.MultiTaskModule, "optimizer_step", optimizer_step)
        molfm.train(toy, **SMALL | {"dropout": 0.0, "gradient_clip": None, "batch_size": 10} | settings)
    return gradients, rates


@pytest.mark.parametrize("sampler", [{}, {"fractions": {"toy": 1.0}}, {"batch_size": {"toy": 10}}])
def test_accumulated_batches_with_uneven_labels_give_the_gradient_of_the_whole_batch(
    toy, own_home, monkeypatch, sampler
):
    few = np.zeros(len(toy), bool)
    few[toy.members("val")] = few[toy.members("train", ["order"])[:3]] = True
    sparse = toy.keep(["order"], few).keep(["heavy"], few)
    settings = {"steps": 4, **sampler}
    (whole, _), (parts, _) = (steps_of(sparse, monkeypatch, accumulate=n, **settings) for n in (1, 4))
    assert len(whole) == len(parts) == 4
    for one, other in zip(whole, parts, strict=True):
        assert one.norm() > 0.01
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_the_learning_rate_warms_up_and_falls_to_zero(toy, own_home, monkeypatch):
    settings = {"steps": 10, "warmup": 0.2, "learning_rate": 0.01}
    _, linear = steps_of(toy, monkeypatch, schedule="linear", **settings)
    assert linear == pytest.approx([0.005, 0.01, 0.01, 0.00875, 0.0075, 0.00625, 0.005, 0.00375, 0.0025, 0.00125])
    _, cosine = steps_of(toy, monkeypatch, **settings)
    assert cosine[:3] == pytest.approx([0.005, 0.01, 0.01])
    assert cosine[6] == pytest.approx(0.005)
    assert sorted(cosine[2:], reverse=True) == cosine[2:]
    _, none = steps_of(toy, monkeypatch, warmup=0.0, steps=2, schedule="linear", learning_rate=0.01)
    assert none == pytest.approx([0.01, 0.005])


def test_gradients_are_clipped_to_the_requested_norm(toy, own_home, monkeypatch):
    gradients, _ = steps_of(toy, monkeypatch, steps=2, gradient_clip=0.01)
    assert [float(g.norm()) for g in gradients] == pytest.approx([0.01, 0.01], rel=1e-3)


def test_a_dataset_with_weight_zero_does_not_affect_the_gradient(two, own_home, monkeypatch):
    gradients = {w: steps_of(two, monkeypatch, steps=1, dataset_weights={"left": w})[0][0] for w in (0.0, 1.0, 3.0)}
    both, left, right = (gradients[w] for w in (1.0, 3.0, 0.0))
    # The mean of two heads: 1/2 l + 1/2 r, 3/4 l + 1/4 r and r.
    torch.testing.assert_close(left, 1.5 * both - 0.5 * right, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(both, right, atol=1e-4)


@pytest.fixture(scope="module")
def two(make_card, tmp_path_factory, toy_table):
    """Two datasets over the same molecules."""
    folder = tmp_path_factory.mktemp("two")
    frame = pd.DataFrame({"smiles": toy_table.smiles, "size": toy_table.smiles.str.len()})
    for name in ("left", "right"):
        make_card(name, frame, {"size": {}}, folder, split="random", fractions=[0.6, 0.2, 0.2])
    (folder / "two.md").write_text("---\nname: two\ndatasets: [left, right]\n---\n")
    return molfm.load(folder / "two.md", progress=False)


def test_fractions_and_temperature_shape_the_epochs(two, own_home):
    n = len(two.members("train"))
    settings = SMALL | {"batch_size": 10, "epochs": 2}
    assert molfm.train(two, fractions={"left": 0.5}, **settings).config["steps"] == 2 * -(-(n + n // 2) // 10)
    assert molfm.train(two, temperature=5.0, **settings).config["steps"] == 2 * -(-2 * n // 10)


def test_half_precision_reaches_almost_the_same_loss(toy, run, own_home):
    half = molfm.train(toy, steps=6, seed=1, precision="bf16-mixed", **SMALL)
    assert half.metrics.val_loss.iloc[-1] == pytest.approx(run.metrics.val_loss.iloc[-1], rel=0.02)
    assert half.metrics.val_loss.iloc[-1] != run.metrics.val_loss.iloc[-1]


def test_molecule_numbers_beyond_the_precision_of_float32_are_kept(toy):
    batch = next(iter(MixDataModule(toy, batch_size=3).train_dataloader()))
    batch.mol_id = batch.mol_id + 2**24 + 1
    model = MultiTaskModel(ModelConfig(8, 1), toy.tasks, 0)
    with torch.no_grad():
        assert set(label_arrays(model, model(batch), batch)["mol_id"]) == set(batch.mol_id.tolist())


# ----------------------------------------------------------------------------------------------------------- validation


def test_the_last_weights_are_validated_whatever_the_interval(toy, own_home):
    assert molfm.train(toy, steps=7, validate_every=3, **SMALL).metrics.step.tolist() == [3, 6, 7]
    assert molfm.train(toy, epochs=2, validate_every=100, **SMALL).metrics.step.tolist() == [4]


def test_a_run_that_stops_improving_ends_early(contrary, own_home):
    settings = {"tasks": ["side"], "learning_rate": 0.02, "steps": 40, "validate_every": 2, **SMALL}
    run = molfm.train(contrary, patience=3, **settings)
    losses = run.metrics.val_loss
    assert run.status["state"] == "finished"
    assert run.status["step"] == run.metrics.step.iloc[-1] < 40
    assert losses.argmin() == len(losses) - 4
    assert len(run.results)


def test_an_adaptive_run_evaluates_and_predicts_each_task_with_its_own_best_weights(contrary, own_home):
    settings = {"learning_rate": 0.02, "steps": 40, "validate_every": 2, **SMALL}
    plain, adaptive = (molfm.train(contrary, adaptive=value, **settings) for value in (False, True))
    pd.testing.assert_frame_equal(plain.metrics, adaptive.metrics, check_exact=True)
    one = molfm.train(
        contrary, watch=["one"], adaptive=True, **settings
    )  # tasks that are not watched use the overall best weights
    assert len(set(json.loads((one.folder / "specialists" / "tasks.json").read_text()).values())) == 1
    steps = json.loads((adaptive.folder / "specialists" / "tasks.json").read_text())
    assert steps["contrary/side"] < steps["contrary/one"]  # the first gets worse during training, the second better
    assert {path.name for path in (adaptive.folder / "specialists").iterdir()} == {
        *map(str, steps.values()),
        "tasks.json",
    }
    val = contrary.molecules.smiles[(contrary.molecules["split:contrary"] == "val").to_numpy()]
    found, model = adaptive.model.predict(val), adaptive.model
    for task in contrary.tasks.task:
        mine = adaptive.predictions().query(f"split == 'val' and task == '{task}'").sort_values("mol_id")
        assert found[task].tolist() == pytest.approx(mine.preds.tolist(), abs=1e-4)
        assert model.predict(val, tasks=[task])[task].tolist() == found[task].tolist()
    loss = {
        name: np.mean(
            np.abs(r.predictions().query("split == 'val' and task == 'contrary/side'").eval("preds - measured"))
        )
        for name, r in (("plain", plain), ("adaptive", adaptive))
    }
    assert loss["adaptive"] <= loss["plain"]
    assert model.embed(["CCO"]).shape == (1, 16)


def test_a_run_whose_loss_was_never_finite_says_so(toy, own_home, monkeypatch):
    real = module.total_loss
    monkeypatch.setattr(module, "total_loss", lambda *args: real(*args) * float("nan"))
    with pytest.raises(FloatingPointError, match="No validation had a finite loss"):
        molfm.train(toy, steps=2, name="nan", **SMALL)
    assert molfm.Run("nan").status["state"] == "failed"


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate", "schedule", "warmup", "precision", "freeze"])
def test_only_settings_that_may_be_left_open_take_none(name):
    with pytest.raises(ValueError, match=f"Expected {name} to be .*, found None"):
        molfm.TrainConfig(**{name: None})
    molfm.TrainConfig(steps=None, validate_every=None, patience=None, gradient_clip=None, dataset_weights=None)


def test_a_task_without_training_labels_is_left_out_with_a_warning(own_home):
    table = pd.DataFrame({"smiles": ["C" * (i + 1) for i in range(12)], "y": np.arange(12.0), "rare": np.nan})
    table["part"] = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    table.loc[7, "rare"] = 5.0
    mix = molfm.load(table, tasks=["y", "rare"], split="part", progress=False)
    with pytest.warns(
        UserWarning, match="^table/rare has no training labels, and will neither be trained nor predicted"
    ):
        run = molfm.train(mix, epochs=1, hidden_channels=8, num_layers=1, progress=False)
    assert run.model.predict("CCO").columns.tolist() == ["mol_id", "smiles", "table/y"]
    assert "val_loss table/graph" in run.metrics and set(run.results.task) == {"table/y"}
    assert [task.id for task in run.mix.chosen] == ["table/y"]
