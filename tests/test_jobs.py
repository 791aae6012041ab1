"""Runs of a study start after the run they need, and resume where an earlier attempt stopped."""

import subprocess
import sys
import time

import pytest
from test_resume import assert_equal_runs, interrupt

import molfm
from molfm.nn.checkpoints import body_hash
from molfm.study import jobs
from molfm.study.jobs import Job
from molfm.training.recorder import last_checkpoint

SETTINGS = {"steps": 8, "batch_size": {"toy": 8}, "hidden_channels": 8, "num_layers": 1, "dropout": 0.3}


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_run_starts_when_the_run_it_needs_has_finished(toy, own_home):
    first = Job("first", toy, SETTINGS)
    tuned = {"steps": 2, "batch_size": {"toy": 8}, "start_from": "first"}
    plan = {"second": Job("second", toy, tuned, needs="first"), "first": first}
    jobs.run_all(plan, progress=False)
    runs = {name: molfm.Run(name) for name in plan}
    assert runs["second"].config["start_digest"] == body_hash(runs["first"].model)
    written = {name: run.status["updated"] for name, run in runs.items()}
    jobs.run_all(plan, progress=True)  # all runs are finished, so none is trained again
    assert {name: run.status["updated"] for name, run in runs.items()} == written


def test_an_interrupted_run_resumes_from_its_checkpoint_and_equals_an_uninterrupted_one(toy, own_home, monkeypatch):
    expected = molfm.train(toy, progress=False, name="expected", **SETTINGS)
    interrupt(monkeypatch, 5)
    with pytest.raises(RuntimeError, match="was asked to stop"):
        jobs._train(Job("it", toy, SETTINGS))
    assert last_checkpoint(molfm.Run("it").folder).exists()
    jobs._train(Job("it", toy, SETTINGS | {"steps": 99}))  # the settings that the run started with count
    assert_equal_runs(molfm.Run("it"), expected)


def test_a_study_waits_for_a_run_that_is_being_trained_elsewhere(toy, own_home, monkeypatch):
    other = molfm.start(toy, name="it", progress=False, **SETTINGS | {"steps": 40})
    began = time.time()
    jobs._train(Job("it", toy, SETTINGS))
    assert other.status["state"] == "finished"
    assert other.config["steps"] == 40
    assert other.status["updated"] > began


def test_the_error_of_a_failed_run_is_raised(toy, own_home):
    plan = {"bad": Job("bad", toy, SETTINGS | {"hidden_channels": 0})}
    with pytest.raises(ValueError, match="Expected hidden_channels"):
        jobs.run_all(plan, progress=False)


def test_the_worker_processes_of_a_killed_study_end(toy_card, own_home):
    code = f"""
import molfm
from molfm.study.jobs import Job, run_all
toy = molfm.load({str(toy_card)!r}, progress=False)
run_all({{"it": Job("it", toy, {SETTINGS | {"steps": 100_000}})}}, progress=False)
"""
    study = subprocess.Popen([sys.executable, "-c", code])
    try:
        until(lambda: (own_home / "runs" / "it" / "status.json").exists() and molfm.Run("it").status["step"] > 0)
        assert molfm.Run("it").status["state"] == "running"
    finally:
        study.kill()
        study.wait()
    until(lambda: molfm.Run("it").status["state"] == "died", seconds=20)
