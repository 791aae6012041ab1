"""Runs in child processes: started, watched, stopped, killed and resumed through their folders."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import molfm
from molfm.base.files import write_json
from molfm.training import status as status_of_runs
from molfm.training.status import process_start

SMALL = {"hidden_channels": 8, "num_layers": 1, "batch_size": 8, "seed": 3}
LONG = {"epochs": 100_000, "validate_every": 50, **SMALL}


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "The condition was not met in time."
        time.sleep(0.05)


def trained_for(run, steps):
    until(lambda: run.status["step"] >= steps or run.status["state"] not in ("starting", "running"))
    assert run.status["state"] == "running", run.status["error"]


@pytest.fixture(scope="module")
def long(toy):
    """A run that takes hours unless it is stopped."""
    run = molfm.start(toy, name="long", **LONG)
    yield run
    if run.status["state"] in ("starting", "running"):
        os.kill(run.status["pid"], signal.SIGKILL)


# --------------------------------------------------------------------------------------- in this order, on the long run


def test_a_started_run_is_returned_at_once_and_trains_in_its_own_session(long):
    assert long.status["state"] == "starting"
    trained_for(long, 60)
    pid = long.status["pid"]
    assert pid != os.getpid()
    assert os.getsid(pid) == pid
    assert long.metrics.step.iloc[0] == 50
    with pytest.raises(ValueError, match="cannot be resumed: it is running"):
        long.resume()
    with pytest.raises(TimeoutError, match="still active after 0"):
        long.wait(timeout=0)


def test_a_stop_is_honoured_within_two_seconds_and_leaves_a_checkpoint(long):
    start = time.monotonic()
    long.stop()
    assert time.monotonic() - start < 2
    assert long.status["state"] == "stopped"
    assert (long.folder / "checkpoints" / "last.ckpt").exists()
    assert long.stop() is long  # it has stopped already


def test_a_resumed_run_continues_where_it_stopped(long):
    before = long.status["step"]
    assert long.resume() is long
    trained_for(long, before + 60)
    steps = long.metrics.step.tolist()
    assert steps == list(range(50, steps[-1] + 1, 50))


def test_the_status_of_a_killed_run_is_died_and_says_what_is_known(long):
    os.kill(long.status["pid"], signal.SIGKILL)
    until(lambda: long.status["state"] != "running", 5)
    status = long.status
    assert status["state"] == "died"
    assert f"Process {status['pid']} on {status['host']} ended without an error message" in status["error"]
    assert f"at step {status['step']} of {status['total_steps']}" in status["error"]
    with pytest.raises(RuntimeError, match="ended without an error message"):
        long.wait()


def test_a_killed_run_is_resumed_from_its_last_checkpoint(long):
    (long.folder / "checkpoints" / "last.tmp").write_bytes(b"half a checkpoint")
    long.resume()
    until(lambda: long.status["state"] == "running")
    long.stop()
    assert long.status["state"] == "stopped"
    steps = long.metrics.step.tolist()
    assert steps == list(range(50, steps[-1] + 1, 50))


def test_sigterm_as_sent_by_clusters_stops_the_run(long):
    long.resume()
    trained_for(long, long.status["step"] + 20)
    os.kill(long.status["pid"], signal.SIGTERM)
    long.wait(timeout=10)
    status = long.status
    assert status["state"] == "stopped"
    checkpoint = torch.load(long.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == status["step"]


def test_a_stop_requested_before_training_begins_is_honoured(long):
    before = long.status["step"]
    long.resume().stop()
    assert long.status["state"] == "stopped"
    assert long.status["step"] <= before + 50  # one step, or a validation


# ------------------------------------------------------------------------------------------------------------ other runs


def test_a_started_run_of_a_narrowed_mix_equals_the_one_in_this_process(toy, own_home):
    oxygen = toy.labels("oxygen").to_numpy() == 1
    mix = toy.select(["order", "heavy", "element"]).keep(["element"], oxygen).limit("heavy", 9, seed=5)
    settings = {"epochs": 2, "n_labels": {"heavy": 7}, **SMALL}
    there = molfm.start(mix, name="there", **settings)
    here = molfm.train(mix, name="here", progress=False, **settings)
    there.wait()
    assert there.status["state"] == "finished"
    pd.testing.assert_frame_equal(there.predictions(), here.predictions(), check_exact=True)
    pd.testing.assert_frame_equal(there.metrics, here.metrics, check_exact=True)
    for run in (there, here):
        assert run.mix.tasks.equals(mix.limit("heavy", 7, seed=3).tasks)
    config = there.config
    assert {name for name in config if config[name] != here.config[name]} == set()


def test_a_users_own_table_can_be_trained_on_in_a_child_process(own_home):
    texts = ["C" * i + "O" * (i % 3 > 0) for i in range(1, 31)]
    frame = pd.DataFrame({"smiles": texts, "size": np.arange(30.0)})
    run = molfm.start(molfm.load(frame, progress=False), steps=2, **SMALL).wait()
    assert set(run.results.task.str.split("/").str[-1]) == {"size"}


def test_the_mix_of_a_run_is_refused_if_its_split_has_changed(make_card, toy_table, own_home):
    frame = toy_table[["smiles"]].assign(size=toy_table.smiles.str.len())
    path = make_card("sided", frame, {"size": {}}, split="random", fractions=[0.6, 0.2, 0.2])
    run = molfm.train(path, steps=2, **SMALL)
    assert run.mix.tasks.n_train[0] > 0
    path.write_text(path.read_text().replace("- 0.6\n- 0.2\n- 0.2", "- 0.5\n- 0.3\n- 0.2"))
    with pytest.raises(ValueError, match="its split changed"):
        _ = molfm.Run(run.folder).mix


def test_a_failure_in_a_child_process_reports_its_traceback(toy, own_home):
    run = molfm.start(toy, steps=2, **SMALL)
    config = run.config
    write_json(run.folder / "config.json", config | {"stores": ["another"]})
    with pytest.raises(RuntimeError, match="its table changed"):
        run.wait()
    assert run.status["state"] == "failed"
    assert run.status["error"].startswith("Traceback")
    write_json(run.folder / "config.json", config)
    assert run.resume(wait=True).status["state"] == "finished"


def test_a_process_that_ends_without_a_report_has_died_and_its_log_is_quoted(toy, own_home, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "executable", "/bin/cat")  # complains about its arguments, and ends
    run = molfm.start(toy, steps=2, **SMALL)
    until(lambda: run.status["state"] == "died", 10)
    assert "log.txt" in run.status["error"]
    assert "cat: " in run.status["error"]


def test_a_mix_that_no_other_process_can_open_is_refused(toy, own_home):
    from dataclasses import replace

    with pytest.raises(ValueError, match=r"not made by molfm\.load"):
        molfm.start(replace(toy, origin={}), steps=2, **SMALL)
    assert not own_home.exists()


# ------------------------------------------------------------------------------------------------------------- the status


def test_a_reused_process_number_is_not_taken_for_the_run(tmp_path):
    facts = {"state": "running", "step": 3, "total_steps": 9, "updated": 0.0, "error": "", "host": os.uname().nodename}
    (tmp_path / "config.json").write_text("{}")
    status = tmp_path / "status.json"
    write_json(status, facts | {"pid": os.getpid(), "process_start": process_start(os.getpid())})
    assert molfm.Run(tmp_path).status["state"] == "running"
    write_json(status, facts | {"pid": os.getpid(), "process_start": "another"})
    assert molfm.Run(tmp_path).status["state"] == "died"
    write_json(status, facts | {"pid": os.getpid(), "process_start": "another", "host": "another"})
    assert molfm.Run(tmp_path).status["state"] == "running"  # unknown: it is on another machine
    assert json.loads(status.read_text())["state"] == "running"


@pytest.mark.parametrize("system", ["Linux", "another"])
def test_the_start_of_a_process_is_known_until_it_ends(monkeypatch, system):
    if system == "another":  # there is no /proc on macOS and Windows
        monkeypatch.setattr(status_of_runs, "Path", lambda _: Path("/there is none"))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_start(child.pid) == process_start(child.pid) is not None
    child.kill()
    until(lambda: process_start(child.pid) is None, 5)  # although nobody has collected its exit status yet
    child.communicate()
