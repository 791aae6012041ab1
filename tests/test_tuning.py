"""A search for settings: its space, its trials, interruptions, failures, several processes, and what it reports."""

import html
import inspect
import math

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import molfm
from molfm.app import cli
from molfm.app.options import choices
from molfm.base.errors import InputError
from molfm.nn.config import ModelConfig
from molfm.training.config import TrainConfig
from molfm.training.recipe import OPTIONS, command
from molfm.training.run import Run
from molfm.tuning import open_tuning
from molfm.tuning.scores import compare_tests
from molfm.tuning.space import NEW, OF_CHECKPOINT, check_space, defaults, distributions, is_log, rounded
from molfm.tuning.trials import Trials

SMALL = {"hidden_channels": 8, "steps": 4, "validate_every": 2}
SPACE = {"learning_rate": (1e-4, 1e-2), "batch_size": [4, 8, 128], "num_layers": (1, 4)}


# ------------------------------------------------------------------------------------------------------------ the space


def test_the_spaces_that_come_with_molfm_hold_the_default_settings():
    for space, from_checkpoint in ((NEW, False), (OF_CHECKPOINT, True)):
        check_space(space, from_checkpoint)
        assert defaults(space, ModelConfig(), TrainConfig()) is not None


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "no setting to vary"),
        ({"learning_rat": (1e-4, 1e-2)}, "Did you mean 'learning_rate'"),
        ({"losses": ["mse", "mae"]}, "cannot be tuned here"),
        ({"seed": [0, 1]}, "cannot be tuned here"),
        ({"learning_rate": 1e-3}, "list of at least two values"),
        ({"learning_rate": [1e-3]}, "list of at least two values"),
        ({"learning_rate": [1e-3, 1e-3]}, "list of at least two values"),
        ({"learning_rate": (1e-2, 1e-4)}, "range"),
        ({"learning_rate": (1e-4, 1e-3, 1e-2)}, "range"),
        ({"learning_rate": ("low", "high")}, "range"),
        ({"learning_rate": (-1.0, 1.0)}, "learning_rate"),
        ({"layer": ["gine", "gime"]}, "gime"),
        ({"batch_size": [{"a": 1}, {"a": 2}]}, "single numbers or words"),
    ],
)
def test_a_wrong_space_says_what_is_wrong(space, message):
    with pytest.raises(InputError, match=message):
        check_space(space, False)


def test_a_checkpoint_keeps_the_shape_of_its_network():
    with pytest.raises(InputError, match=r"hidden_channels.*cannot be tuned here"):
        check_space({"hidden_channels": [8, 16]}, True)
    check_space({"layer_decay": (0.5, 1.0), "freeze": [0, 2, "all"]}, True)


def test_ranges_are_whole_or_logarithmic_as_they_look():
    found = distributions(
        {"num_layers": (2, 6), "learning_rate": (1e-4, 1e-2), "dropout": (0.0, 0.3), "layer": ["gin", "gine"]}
    )
    assert [of.__class__.__name__ for of in found.values()] == [
        *("IntDistribution", "FloatDistribution", "FloatDistribution", "CategoricalDistribution")
    ]
    assert [getattr(of, "log", None) for of in found.values()] == [False, True, False, None]
    assert not is_log((0.0, 10.0)) and not is_log([1, 100])
    assert rounded({"a": 0.0123456, "b": 3, "c": None, "d": "gin"}) == {"a": 0.0123, "b": 3, "c": None, "d": "gin"}


def test_values_of_the_command_line():
    assert choices("1e-4..1e-2") == (1e-4, 1e-2)
    assert choices("2..6") == (2, 6) and isinstance(choices("2..6")[0], int)
    assert choices("gin,gine") == ["gin", "gine"]
    assert choices("none,0.5,2,true") == [None, 0.5, 2, True]


def test_defaults_outside_the_space_are_not_tried():
    assert defaults({"num_layers": (5, 6)}, ModelConfig(), TrainConfig()) is None
    assert defaults({"layer": ["gin", "gcn"]}, ModelConfig(), TrainConfig()) is None


# ------------------------------------------------------------------------------------------------------------ a search


@pytest.fixture(scope="module")
def search(toy, molfm_home):
    return molfm.tune(toy, SPACE, 4, name="toy", workers=2, progress=False, **SMALL)


def test_the_best_trial_has_the_lowest_validation_loss(search):
    table = search.table
    assert table.state.isin(["finished", "ended early"]).all() and list(table.trial) == [0, 1, 2, 3]
    assert list(table.default) == [True, False, False, False]
    runs = [Run(name) for name in table.run]
    np.testing.assert_allclose(table.val_loss, [run.metrics.val_loss.min() for run in runs])
    finished = table[table.state == "finished"]
    assert search.best.folder.name == f"{finished.trial[finished.val_loss.idxmin()]:04d}"
    for row, run in zip(table.itertuples(), runs, strict=True):
        assert run.config["steps"] == 4 and run.config["seed"] == 0
        assert all(run.config[name] == getattr(row, name) for name in SPACE)
    assert search.settings == SMALL | {name: search.best.config[name] for name in SPACE} | {"seed": 0}


def test_test_scores_are_those_of_the_runs(search):
    default, best = Run("tuning/toy/0000"), Run("tuning/toy/0002")
    found, tests = compare_tests(default, best), [run.results.query("split == 'test'") for run in (default, best)]
    defined = tests[0][tests[0].metric.isin(["r2", "auroc"]) & tests[0].value.notna()]
    assert list(found.task) == list(defined.task) and len(found) >= 3
    for row in found.itertuples():
        for value, table in zip((row.default, row.best), tests, strict=True):
            of_run = table[(table.task == row.task) & (table.metric == row.metric)].iloc[0]
            assert value == pytest.approx(of_run.value, abs=1e-6) and row.n_labels == of_run.n_labels
        assert row.low <= row.difference <= row.high
        assert row.difference == pytest.approx(row.best - row.default)


def test_the_report_says_what_was_found(search, tmp_path):
    text = search.to_html(tmp_path / "report.html").read_text("utf-8")
    assert html.escape(search.answer) in text and html.escape(search.command) in text
    assert text.count("Plotly.newPlot") >= 1
    assert f"{search.table.val_loss.min():.4f}" in text
    assert open_tuning("toy").table.equals(search.table)


def test_a_larger_search_goes_on(search, toy):
    before = {path: path.stat().st_mtime_ns for path in search.folder.glob("0*/results.parquet")}
    same = molfm.tune(toy, SPACE, 4, name="toy", progress=False, **SMALL)
    assert same.table.equals(search.table)
    more = molfm.tune(toy, SPACE, 5, name="toy", progress=False, **SMALL)
    assert len(more.table) == 5 and more.table[:4].equals(search.table)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 8}, "search named toy, with settings"),
        ({"seed": 1}, "search named toy, with seed"),
        ({"name": "a/b"}, "Expected a name of letters"),
        ({"n_trials": 0}, "n_trials as a whole number above 0"),
        ({"n_trials": 2.5}, "n_trials as a whole number above 0"),
        ({"minutes": -1}, "minutes as a number above 0"),
        ({"workers": 0}, "workers as a whole number above 0"),
        ({"learning_rate": 1e-3}, "learning_rate is varied and fixed"),
        ({"split": "random"}, "loaded already"),
        ({"space": {"epochs": (1, 3)}}, "steps is the length of a run"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(search, toy, changed, message):
    given = {"space": SPACE, "n_trials": 4, "name": "toy", "progress": False} | SMALL | changed
    with pytest.raises(InputError, match=message):
        molfm.tune(toy, **given)


def test_an_unknown_search_names_the_most_similar(search):
    with pytest.raises(FileNotFoundError, match="Did you mean 'toy'"):
        open_tuning("toi")


# -------------------------------------------------------------------------------------- failures, interruptions, company


def test_a_trial_that_fails_is_counted_and_the_search_goes_on(toy, own_home):
    space = {"learning_rate": [1e-3, 1e18]}
    found = molfm.tune(
        toy, space, 3, workers=2, progress=False, batch_size=8, num_layers=1, gradient_clip=None, **SMALL
    )
    failed = found.table[found.table.state == "failed"]
    assert len(failed) == (found.table.learning_rate == 1e18).sum() > 0
    assert failed.error.str.contains("finite loss").all() and "failed" in found.answer
    assert found.settings["learning_rate"] == 1e-3


def test_a_search_ends_when_everything_fails(toy, own_home):
    space, rest = {"learning_rate": [1e18, 1e19]}, {"num_layers": 1, "gradient_clip": None}
    with pytest.raises(InputError, match=r"first 3 trials failed.*\n?.*finite loss"):
        molfm.tune(toy, space, 10, workers=1, progress=False, batch_size=8, **rest, **SMALL)


def test_the_trials_of_a_process_that_died_are_taken_over(toy, own_home):
    folder = own_home / "runs" / "tuning" / "orphan"
    folder.mkdir(parents=True)
    space = {"num_layers": (1, 4)}
    lost = Trials(folder).ask(2, distributions(space), {"num_layers": 4}, 0)
    assert Trials(folder).ask(1, distributions(space), None, 0) is None  # its process is watching it
    lost.lock.release()
    found = molfm.tune(toy, space, 2, name="orphan", workers=1, progress=False, batch_size=8, **SMALL)
    assert list(found.table.state) == ["finished", "finished"] and found.table.num_layers[0] == 4


def test_an_interrupted_trial_resumes(toy, own_home, monkeypatch):
    from molfm.tuning import work

    space, rest = {"num_layers": (1, 4)}, {"name": "cut", "workers": 1, "progress": False, "batch_size": 8}

    def interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work.time, "sleep", interrupt)  # as Ctrl-C while it waits
        with pytest.raises(KeyboardInterrupt) as kept:  # with its traceback, as a notebook does
            molfm.tune(toy, space, 1, **rest, **SMALL | {"steps": 400})
    assert (Run("tuning/cut/0000").folder / "stop").exists() and kept
    found = molfm.tune(toy, space, 1, **rest, **SMALL | {"steps": 400})
    assert list(found.table.state) == ["finished"] and list(found.table.run) == ["tuning/cut/0000"]
    assert Run("tuning/cut/0000").status["step"] == 400


def test_a_trial_that_is_stopped_by_hand_counts_as_ended_early(tmp_path):
    trials, space = Trials(tmp_path), distributions({"num_layers": (1, 4)})
    trial = trials.ask(10, space, None, 0)
    trial.run = _FakeRun([1.0])
    trial.run.status["state"] = "stopped"
    assert trials.update(trial) and [of.state.name for of in trials] == ["PRUNED"]


def test_processes_that_share_a_search_get_different_trials_and_no_more_than_asked(tmp_path):
    space = distributions({"learning_rate": (1e-4, 1e-2)})
    one, other = Trials(tmp_path), Trials(tmp_path)
    asked = [trials.ask(3, space, None, 0) for trials in (one, other, one, other, one)]
    assert [None if trial is None else trial.trial.number for trial in asked] == [0, 1, 2, None, None]
    assert len({trial.trial.params["learning_rate"] for trial in asked[:3]}) == 3


class _FakeRun:
    """A run whose validations a test writes."""

    def __init__(self, losses):
        self.metrics = pd.DataFrame({"step": 10 * np.arange(1, len(losses) + 1), "val_loss": losses})
        self.status = {"state": "running", "total_steps": 100}
        self.asked_to_stop = False

    def stop(self, wait):
        self.asked_to_stop = True


def test_a_trial_that_falls_behind_is_ended_after_a_fifth_of_its_run(tmp_path):
    trials, space = Trials(tmp_path), distributions({"num_layers": (1, 4)})
    for _ in range(5):
        trial = trials.ask(10, space, None, 0)
        trial.run = _FakeRun(np.linspace(1, 0.5, 10))
        trial.run.status["state"] = "finished"
        assert trials.update(trial)
    trial = trials.ask(10, space, None, 0)
    for n_validations, ended in ((1, False), (3, True)):
        trial.run = _FakeRun([2.0] * n_validations)
        assert not trials.update(trial)
        assert trial.run.asked_to_stop == ended
    trial.run.status["state"] = "stopped"
    assert trials.update(trial)
    better = trials.ask(10, space, None, 0)
    better.run = _FakeRun([0.4] * 9)
    assert not trials.update(better) and not better.run.asked_to_stop
    assert trials.standing() == (6, 0.5)


def test_a_validation_without_a_finite_loss_does_not_end_the_search(tmp_path):
    trials, space = Trials(tmp_path), distributions({"num_layers": (1, 4)})
    trial = trials.ask(10, space, None, 0)
    trial.run = _FakeRun([1.0, math.nan, 0.7])
    trial.run.status["state"] = "finished"
    assert trials.update(trial) and trials.standing() == (1, 0.7)


# ---------------------------------------------------------------------------------------------------------- the command


def test_the_command_searches_and_says_what_to_do_next(own_home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smiles = ["C" * n for n in range(1, 31)]
    pd.DataFrame({"SMILES": smiles, "y": np.arange(30.0)}).to_csv("mine.csv", index=False)
    words = [
        "tune",
        "mine.csv",
        "--smiles",
        "SMILES",
        "--task",
        "y",
        "--trials",
        "2",
        "--vary",
        "num_layers=1..4",
        "--workers",
        "2",
    ]
    done = CliRunner().invoke(cli.app, [*words, "--set", "steps=4", "--set", "hidden_channels=8", "--name", "mine"])
    assert done.exit_code == 0, done.output
    assert "2 trials: 2 finished" in done.stdout and (tmp_path / "tuning.html").exists()
    following = done.stderr.partition("next: molfm ")[2].splitlines()[0].split()
    done = CliRunner().invoke(cli.app, following)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vary", "learning_rate"], "expected NAME=VALUES"),
        (["--vary", "learning_rate=5"], "list of at least two values"),
        (["--set", "dropout"], "expected NAME=VALUE"),
        (["--set", "dropuot=0.1"], "Did you mean 'dropout'"),
    ],
)
def test_the_command_explains_wrong_options(own_home, words, message):
    done = CliRunner().invoke(cli.app, ["tune", "b3db", "--task", "logBB", *words])
    assert done.exit_code == 2 and message in " ".join(done.stderr.split())


def test_commands_have_the_options_that_recipes_write():
    known = set()
    for parameter in inspect.signature(cli.train).parameters.values():
        option = parameter.annotation.__metadata__[0]
        # typer reads `Option("--from")` as a default value
        names = [option.default] if isinstance(option.default, str) else []
        known |= {*(names or [f"--{parameter.name.replace('_', '-')}"])}
    assert {f"--{name}" for name in OPTIONS.values()} <= known
    text = command(
        {"data": "a.csv", "tasks": {"IC50 (nM)": {"pic50": True}, "y": {}}}, {"dropout": 0.2, "layer": "gin"}
    )
    assert text == "molfm train a.csv --pic50 'IC50 (nM)' --task y --set dropout=0.2 --set layer=gin"
