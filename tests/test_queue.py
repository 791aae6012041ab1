"""Runs that wait for a core, and what a viewer reads of a run: curves of tasks, snapshots, warnings, the code of a recipe."""

import shlex

import numpy as np
import pytest

import molfm
from molfm.app.cli import app
from molfm.training import queue, snapshots
from molfm.training.alerts import alerts
from molfm.training.forecast import Machine, forecast, n_parameters
from molfm.training.metrics import score
from molfm.training.plan import make_plan
from molfm.training.recipe import command, python_call, short_names
from molfm.training.run import Run
from molfm.training.viewer import RunView

SMALL = {"hidden_channels": 8, "num_layers": 1, "steps": 4, "validate_every": 2}


@pytest.fixture(scope="module")
def watched(toy, molfm_home):
    """A finished run that recorded snapshots."""
    return molfm.train(toy, seed=1, progress=False, pinned=["CCO", "Oc1ccccc1"], batch_size=8, **SMALL)


# ------------------------------------------------------------------------------------------------------------ the queue


def test_a_run_beyond_the_cores_waits_and_starts_when_one_is_free(toy, own_home, monkeypatch):
    monkeypatch.setattr(queue.os, "cpu_count", lambda: 1)
    first, second = (queue.enqueue(toy, seed=seed, batch_size=8, **SMALL) for seed in (0, 1))
    assert second.status["state"] == "queued"
    assert [run.folder for run in queue.all_runs()] == [first.folder, second.folder]
    queue.advance()
    assert second.status["state"] == "queued"
    first.wait(120)
    queue.advance()
    assert second.wait(120).status["state"] == "finished"


def test_a_run_that_waits_can_be_stopped_and_resumed(toy, own_home, monkeypatch):
    monkeypatch.setattr(queue.os, "cpu_count", lambda: -1)  # nothing may run
    run = queue.enqueue(toy, batch_size=8, **SMALL)
    assert run.stop().status["state"] == "stopped"
    queue.advance()
    assert run.status["state"] == "stopped"
    assert run.resume(wait=True).status["state"] == "finished"


def test_two_processes_do_not_start_the_same_run(toy, own_home, monkeypatch):
    monkeypatch.setattr(queue.os, "cpu_count", lambda: -1)
    run = queue.enqueue(toy, batch_size=8, **SMALL)
    (run.folder / "turn").touch()  # another process is starting it
    monkeypatch.setattr(queue.os, "cpu_count", lambda: 8)
    queue.advance()
    assert run.status["state"] == "queued"


# ------------------------------------------------------------------------------------------------------------ snapshots


def test_the_last_snapshot_is_what_the_network_predicts(watched, toy):
    view, step = RunView(watched, toy.tasks), 4
    assert view.snapshot_steps == snapshots.steps(watched.folder) == [2, 4]
    best = watched.metrics.set_index("step").val_loss.idxmin()
    model, found = watched.model, view.pinned(int(best))
    for level in ("graph", "node", "edge"):
        table = model.predict(["CCO", "Oc1ccccc1"], level)[found[level].columns]
        np.testing.assert_allclose(found[level], table, rtol=1e-4, atol=1e-5)
    heavy = view.scatter("toy/heavy", int(best))
    predictions = watched.predictions().query("task == 'toy/heavy' and split == 'val'").set_index("mol_id").preds
    np.testing.assert_allclose(heavy.preds[heavy.val], predictions[heavy.mol_id[heavy.val]], rtol=1e-4, atol=1e-5)
    assert (heavy.measured == toy.labels("heavy").to_numpy()[heavy.mol_id]).all()
    assert set(heavy.mol_id[~heavy.val]) <= set(toy.members("train"))
    train = view.train_curve(["toy/heavy"])
    of = view.scatter("toy/heavy", step)
    assert train.values[-1] == pytest.approx(score("r2", of.preds[~of.val], of.measured[~of.val]))


def test_a_curve_of_several_tasks_is_the_mean_of_their_metrics(watched, toy):
    view = RunView(watched, toy.tasks)
    both = view.curve(["toy/heavy", "toy/oxygen"]).values
    one, other = (view.curve([task]).values for task in ("toy/heavy", "toy/oxygen"))
    np.testing.assert_allclose(both, (one + other) / 2)
    assert np.isnan(view.curve(["toy/unknown"]).values).all()


def test_a_run_without_pinned_molecules_writes_no_snapshots(toy, own_home):
    run = molfm.train(toy, progress=False, batch_size=8, **SMALL)
    assert snapshots.steps(run.folder) == []
    with pytest.raises(FileNotFoundError):
        snapshots.read_labels(run.folder)


def test_recording_snapshots_does_not_change_what_is_learned(watched, toy, own_home):
    other = molfm.train(toy, seed=1, progress=False, batch_size=8, **SMALL)
    assert other.model.digest() == watched.model.digest()


# ----------------------------------------------------------------------------------------------------------- the recipe


def test_tasks_are_named_as_shortly_as_possible(toy):
    everything = [task.id for task in toy.chosen]
    assert short_names(toy, everything) == ["toy"]
    assert short_names(toy, ["toy/heavy"]) == ["toy/heavy"]
    for tasks in (everything, ["toy/heavy", "toy/oxygen"], everything[1:]):
        assert sorted(toy.expand(short_names(toy, tasks))) == sorted(tasks)


def test_the_code_and_the_command_of_a_recipe_make_the_same_run(toy, own_home, monkeypatch):
    settings = {"tasks": ["heavy"], "steps": 2, "batch_size": {"toy": 8}, "n_labels": {"heavy": 5}, "watch": ["heavy"]}
    settings |= {"hidden_channels": 8, "num_layers": 1, "seed": 3, "pinned": ["CCO"]}
    data = toy.origin
    names = {}
    exec(python_call(data, settings), names)
    by_code = names["run"].wait(120)
    words = shlex.split(command(data, settings))
    assert words[:2] == ["molfm", "train"]
    with pytest.raises(SystemExit) as ended:
        app([*words[1:], "--name", "by-command"])
    assert not ended.value.code
    by_command = Run("by-command")
    assert by_command.model.digest() == by_code.model.digest()


# ----------------------------------------------------------------------------------------------- forecasts and warnings


def test_a_forecast_counts_weights_and_passes_exactly(toy):
    settings = {"steps": 30, "batch_size": {"toy": 8}, "hidden_channels": 16, "num_layers": 2}
    plan = make_plan(toy, None, ["heavy"], None, 0, {"heavy": 6}, "smiles", None, None, False, settings)
    machine = Machine([0.01, 0, 0, 0, 0], startup=5.0, base=1e8, activation=100.0)
    found = forecast(plan.mix, plan.shape, plan.config, machine)
    model = molfm.train(plan.mix, steps=1, batch_size=8, hidden_channels=16, num_layers=2, progress=False).model
    assert found.parameters == n_parameters(plan.shape, plan.mix.tasks) == sum(p.numel() for p in model.parameters())
    assert found.passes == {"toy/heavy": 30 * 8 / 6}
    assert found.seconds > 5 + 30 * 0.01
    assert found.memory > 1e8


def curve(*metric, **settings):
    n = len(metric)
    loss = np.linspace(1, 0.5, n)
    facts = {"name": "R² of logBB", "n_val": 100, "val_loss": loss, "train_loss": loss, "total_steps": 100} | settings
    return alerts(np.linspace(10, 100, n).astype(int), np.array(metric), facts.pop("total_steps"), **facts)


def test_warnings_say_what_a_curve_shows_and_nothing_else():
    assert curve(0.1, 0.2, 0.3, 0.35, 0.36, finished=False) == []
    [text] = curve(0.1, 0.4, 0.3, 0.3, 0.2)
    assert "not got better since step 32 while the training loss still falls" in text
    [text] = curve(0.1, 0.2, 0.3, 0.35, 0.3, finished=True, forest=0.5)
    assert text == "A random forest on fingerprints is better: 0.50, against 0.35 at best."
    [text] = curve(0.1, 0.2, 0.3, 0.4, 0.5, finished=True)
    assert "longer run may be better" in text
    assert any("noise" in text for text in curve(0.1, 0.2, n_val=8))
    assert any("no longer a number" in text for text in curve(0.1, 0.2, val_loss=np.array([1, np.nan])))
    assert curve() == []
