"""A run that is stopped, or dies, resumes as if nothing had happened: to the last bit on a CPU."""

import errno
import json
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import molfm
from molfm.training import fit, recorder, status
from molfm.training.status import Reporter

SMALL = {"hidden_channels": 8, "num_layers": 1, "dropout": 0.3, "progress": False}
SAMPLERS = {  # with about 25 training molecules per dataset: epochs of 4 steps, or none
    "epoch": {"epochs": 3, "batch_size": 7},
    "share": {"epochs": 3, "batch_size": 4, "fractions": {"toy": 0.6}},
    "stream": {"steps": 12, "validate_every": 4, "batch_size": {"toy": 5}},
}


def interrupt(monkeypatch, step, by=None):
    """Make the next run stop, or fail with an error, right after a step."""
    real, waiting = Reporter.tick, [step]

    def tick(self, now):
        real(self, now)
        if waiting and now == waiting[0]:
            waiting.clear()
            if by is not None:
                raise by
            (self.folder / "stop").touch()

    monkeypatch.setattr(Reporter, "tick", tick)


def assert_equal_runs(one, other):
    assert (one.folder / "metrics.jsonl").read_text() == (other.folder / "metrics.jsonl").read_text()
    pd.testing.assert_frame_equal(one.results, other.results, check_exact=True)
    pd.testing.assert_frame_equal(one.predictions(), other.predictions(), check_exact=True)
    first, second = (load_file(run.folder / "model" / "model.safetensors") for run in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(toy):
    """A function that returns the uninterrupted run of some settings, trained once."""
    runs = {}

    def train(**settings):
        key = json.dumps(settings)
        if key not in runs:
            runs[key] = molfm.train(toy, **SMALL, **settings)
        return runs[key]

    return train


# ------------------------------------------------------------------------------------------------------------ exact resume


@pytest.mark.parametrize("step", [1, 4, 6, 8, 11])  # inside an epoch, at its end with a validation, just before the end
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_stopped_anywhere_and_resumed_equals_the_uninterrupted_one(
    toy, whole, own_home, monkeypatch, sampler, step
):
    settings = SAMPLERS[sampler]
    expected = whole(**settings)
    assert expected.metrics.step.tolist() == [4, 8, 12]
    interrupt(monkeypatch, step)
    run = molfm.train(toy, name="stopped", **SMALL, **settings)
    assert run.status["state"] == "stopped"
    assert run.status["step"] == step
    assert run.metrics.get("step", pd.Series()).tolist() == [s for s in (4, 8) if s <= step]
    assert not (run.folder / "results.parquet").exists()
    torch.manual_seed(step)  # other random numbers drawn in the process do not matter
    again = fit.resume("stopped", progress=False)
    assert again.status["state"] == "finished"
    assert_equal_runs(again, expected)


@pytest.mark.parametrize("settings", [{"accumulate": 3}, {"num_workers": 2}, {"adaptive": True, "patience": 2}])
def test_runs_with_accumulation_loader_processes_or_early_stopping_resume_exactly(
    toy, whole, own_home, monkeypatch, settings
):
    settings = SAMPLERS["epoch"] | settings
    expected = whole(**settings)
    for step in (3, 4, 10):  # one run, stopped three times
        interrupt(monkeypatch, step)
        run = molfm.train(toy, name="it", **SMALL, **settings) if step == 3 else fit.resume("it", progress=False)
        assert run.status["state"] == "stopped"
        assert run.status["step"] == step
    assert_equal_runs(fit.resume("it", progress=False), expected)


@pytest.mark.parametrize("every", [0.0, 1e9])
def test_a_failed_run_resumes_from_its_last_checkpoint_and_repeats_later_steps(
    toy, whole, own_home, monkeypatch, every
):
    expected = whole(**SAMPLERS["epoch"])
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", every)
    interrupt(monkeypatch, 10, by=RuntimeError("the loss is on fire"))
    with pytest.raises(RuntimeError, match="on fire"):
        molfm.train(toy, name="burnt", **SMALL, **SAMPLERS["epoch"])
    run = molfm.Run("burnt")
    assert run.status["state"] == "failed"
    assert "on fire" in run.status["error"]
    assert len(run.metrics) == 2
    assert recorder.last_checkpoint(run.folder).exists() == (every == 0)
    assert_equal_runs(fit.resume("burnt", progress=False), expected)


def test_a_finished_run_keeps_no_checkpoints_and_is_not_resumed(whole):
    run = whole(**SAMPLERS["epoch"])
    assert not (run.folder / "checkpoints").exists()
    with pytest.raises(ValueError, match="cannot be resumed: it has finished"):
        run.resume()
    with pytest.raises(ValueError, match="cannot be resumed"):
        fit.resume(run.folder)


def test_checkpoints_hold_data_only_and_the_weights_of_few_steps(toy, own_home, monkeypatch):
    interrupt(monkeypatch, 11)
    run = molfm.train(toy, epochs=12, batch_size=26, **SMALL)
    checkpoint = torch.load(recorder.last_checkpoint(run.folder), weights_only=True)
    assert checkpoint["global_step"] == 11
    names = {path.name for path in (run.folder / "checkpoints").iterdir()}
    best = run.metrics.step[run.metrics.val_loss.idxmin()]
    assert f"weights-{best}.safetensors" in names
    assert "last.ckpt" in names
    assert len(names) <= 3


# --------------------------------------------------------------------------------------------------------------- full disk


def test_a_disk_that_is_full_at_a_checkpoint_leaves_a_readable_status_and_the_previous_checkpoint(
    toy, whole, own_home, monkeypatch
):
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 0.0)
    real, written = torch.save, []

    def save(*args, **kwargs):
        written.append(1)
        if len(written) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match="No space left"):
        molfm.train(toy, name="full", **SMALL, **SAMPLERS["epoch"])
    status = molfm.Run("full").status
    assert status["state"] == "failed"
    assert "No space left on device" in status["error"]
    assert status["error"].startswith("Traceback")
    folder = molfm.Run("full").folder / "checkpoints"
    assert not list(folder.glob(".*"))
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 6
    monkeypatch.setattr(torch, "save", real)
    assert_equal_runs(fit.resume("full", progress=False), whole(**SAMPLERS["epoch"]))


def test_a_disk_too_full_for_the_status_still_gives_the_error(toy, own_home, monkeypatch):
    real = status.write_json

    def write_json(path, facts):
        if facts.get("state") == "failed":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, facts)

    monkeypatch.setattr(status, "write_json", write_json)
    interrupt(monkeypatch, 2, by=RuntimeError("the loss is on fire"))
    with pytest.raises(RuntimeError, match="on fire") as caught:
        molfm.train(toy, steps=3, **SMALL)
    assert "No space left" in caught.value.__notes__[0]


def test_training_and_resuming_leave_the_callers_random_numbers_and_threads_alone(toy, own_home, monkeypatch):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    interrupt(monkeypatch, 4)
    molfm.train(toy, name="quiet", **SMALL, **SAMPLERS["epoch"])
    settings = own_home / "runs" / "quiet" / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"threads": 2}))
    fit.resume("quiet", progress=False)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 1


BUSY = """
import sys, molfm, torch
torch.set_num_threads(2)
settings = {"steps": 60, "validate_every": 60, "hidden_channels": 96, "num_layers": 2, "progress": False}
batch = {"b3db": 64, "xtb": 128}
run = molfm.train("minimix", sys.argv[1], ["logBB", "xtb"], batch_size=batch, name=sys.argv[2], **settings)
"""


@pytest.mark.parametrize("layer", ["gine", "gatedgcn", "mpnnpp"])
def test_runs_on_busy_threads_are_equal_to_the_last_bit(layer, molfm_home):
    molfm.load("minimix", progress=False)
    names = [f"busy-{layer}-{number}" for number in range(3)]
    started = [subprocess.Popen([sys.executable, "-c", BUSY, layer, name]) for name in names]
    assert [process.wait() for process in started] == [0, 0, 0]
    first, *others = map(molfm.Run, names)
    for other in others:
        assert_equal_runs(first, other)
