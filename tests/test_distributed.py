"""Several processes on one machine train like a single one: same batches, label counts, curves and results."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import molfm

SETTINGS = {"hidden_channels": 8, "num_layers": 1, "dropout": 0.0, "batch_size": 8, "epochs": 4, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def sparse(toy):
    """The toy mix with bond labels of three training molecules only, and each graph task on one half of the molecules.

    So in most steps, a head has no labels in one process or in both.
    """
    half = np.arange(len(toy)) % 2 == 0
    few = np.zeros(len(toy), bool)
    few[toy.members("train", ["order"])[:3]] = few[toy.members("val", ["order"])] = True
    few[toy.members("test", ["order"])] = True
    return toy.keep(["order"], few).keep(["heavy"], half).keep(["oxygen"], ~half)


@pytest.fixture(scope="module")
def alone(sparse):
    return molfm.train(sparse, **SETTINGS, progress=False)


def assert_same_training(run, expected):
    assert run.status["state"] == "finished", run.status["error"]
    pd.testing.assert_frame_equal(run.metrics, expected.metrics, rtol=1e-4, atol=1e-5)
    pd.testing.assert_frame_equal(run.predictions(), expected.predictions(), rtol=1e-3, atol=1e-4)
    first, second = (load_file(r.folder / "model" / "model.safetensors") for r in (run, expected))
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=1e-3, atol=1e-4)


def test_two_processes_train_like_one_with_sparse_and_uneven_labels(sparse, alone):
    run = molfm.train(sparse, **SETTINGS, devices=2, name="two")
    assert_same_training(run, alone)
    assert "unused" not in (run.folder / "log.txt").read_text()


def test_two_processes_that_accumulate_batches_train_like_one_that_does_not(sparse, alone):
    assert_same_training(molfm.train(sparse, **SETTINGS, devices=2, accumulate=3), alone)


def test_a_run_of_two_processes_stopped_and_resumed_equals_the_uninterrupted_one(sparse, own_home):
    settings = SETTINGS | {"dropout": 0.3, "epochs": 60, "validate_every": 20, "devices": 2}
    expected = molfm.train(sparse, **settings)
    run = molfm.start(sparse, **settings)
    try:
        end = time.monotonic() + 60
        while run.status["step"] < 25 and time.monotonic() < end:
            time.sleep(0.01)
        run.stop(wait=False).wait(timeout=30)
        assert run.status["state"] == "stopped"
        assert 25 <= run.status["step"] < run.status["total_steps"]
        run.resume().wait(timeout=60)
    finally:
        if run.status["state"] in ("starting", "running"):
            os.kill(run.status["pid"], signal.SIGKILL)
    pd.testing.assert_frame_equal(run.metrics, expected.metrics, check_exact=True)
    pd.testing.assert_frame_equal(run.predictions(), expected.predictions(), check_exact=True)


def test_the_command_trains_under_torchrun(toy_card, toy, tmp_path, own_home):
    settings = {"--steps": 6, "--batch-size": 8, "--name": "torchrun", "--accelerator": "cpu", "--devices": 2}
    words = [str(word) for pair in settings.items() for word in pair]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "molfm.app.cli", "train", str(toy_card), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Run folder:") == 1
    run = molfm.Run("torchrun")
    assert run.status["state"] == "finished"
    assert run.metrics.step.tolist() == [1, 2, 3, 4, 5, 6]
    assert json.loads((run.folder / "config.json").read_text())["devices"] == 2
    assert len(run.predictions()) == toy.tasks[["n_val", "n_test"]].sum().sum()
