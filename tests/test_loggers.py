"""Curves in TensorBoard and Weights & Biases: what is read back equals the run's own record."""

import json
import struct

import pytest
import torch

import molfm
from molfm.training import loggers
from molfm.training.fit import resume
from molfm.training.status import Reporter

SMALL = {"steps": 6, "validate_every": 2, "batch_size": 16, "hidden_channels": 8, "num_layers": 1, "progress": False}


@pytest.fixture(scope="module")
def plain(toy):
    """The same run without a logger."""
    return molfm.train(toy, **SMALL)


def of_tensorboard(run):
    """Return what a run logged, step -> name -> value."""
    pytest.importorskip("tensorboard", reason='needs tensorboard: pip install "molfm[loggers]"')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.folder / "tensorboard"))
    found.Reload()
    steps = {}
    for name in found.Tags()["scalars"]:
        for event in found.Scalars(name):
            steps.setdefault(event.step, {})[name] = event.value
    return steps


def records(data):
    """Yield the records of a file of Weights & Biases: LevelDB's log format after 7 bytes, in blocks of 32 KiB."""
    parts = []
    for start in range(0, len(data), 2**15):
        block, at = data[start : start + 2**15], 7 if start == 0 else 0
        while at + 7 <= len(block):
            _, size, kind = struct.unpack_from("<IHB", block, at)
            if kind == 0:
                break
            parts.append(block[at + 7 : at + 7 + size])
            at += 7 + size
            if kind in (1, 4):  # a whole record, or the last part of one
                yield b"".join(parts)
                parts.clear()


def of_wandb(run):
    """Return what a run logged, step -> name -> value."""
    pytest.importorskip("wandb", reason='needs wandb: pip install "molfm[loggers]"')
    from wandb.proto.wandb_internal_pb2 import Record

    steps = {}
    for path in sorted((run.folder / "wandb").glob("offline-run-*/*.wandb")):
        for data in records(path.read_bytes()):
            record = Record.FromString(data)
            items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            if items:
                line = {name: json.loads(value) for name, value in items.items() if not name.startswith("_")}
                steps[line.pop("trainer/global_step")] = line
    return steps


@pytest.mark.parametrize(("name", "read"), [("tensorboard", of_tensorboard), ("wandb", of_wandb)])
def test_what_a_logger_holds_equals_the_curves_of_the_run(toy, plain, own_home, monkeypatch, name, read):
    pytest.importorskip(name, reason=f'needs {name}: pip install "molfm[loggers]"')
    monkeypatch.setenv("WANDB_MODE", "online")  # a user's environment does not put a run on the internet
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    run = molfm.train(toy, **SMALL, logger=name)
    curves, logged = run.metrics.set_index("step"), read(run)
    assert sorted(logged) == curves.index.tolist() == [2, 4, 6]
    for step, line in curves.to_dict("index").items():
        rate = logged[step].pop("learning_rate")
        assert 0 <= rate < 1e-3
        mine = {title.replace(" ", "_"): value for title, value in logged[step].items() if title != "epoch"}
        assert mine == pytest.approx({title.replace(" ", "_"): value for title, value in line.items()}, rel=1e-5)
    assert {"train_loss", "val_loss", "toy/heavy/r2"} <= set(mine)
    theirs = plain.model.state_dict()
    assert all(torch.equal(theirs[part], weight) for part, weight in run.model.state_dict().items())


@pytest.mark.parametrize(("name", "read"), [("tensorboard", of_tensorboard), ("wandb", of_wandb)])
def test_a_run_that_resumes_logs_every_validation_once(toy, own_home, monkeypatch, name, read):
    pytest.importorskip(name, reason=f'needs {name}: pip install "molfm[loggers]"')
    real = Reporter.tick

    def tick(self, step):
        real(self, step)
        if step == 3:
            (self.folder / "stop").touch()

    monkeypatch.setattr(Reporter, "tick", tick)
    run = molfm.train(toy, **SMALL, logger=name, name=name)
    assert (run.status["state"], run.metrics.step.tolist()) == ("stopped", [2])
    resume(name, progress=False)
    assert sorted(read(run)) == run.metrics.step.tolist() == [2, 4, 6]


def test_a_missing_package_is_refused_in_one_line_before_anything_is_written(toy, own_home, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'logger="wandb" needs .* Install it with: pip install "molfm\[loggers\]"'):
        molfm.train(toy, **SMALL, logger="wandb")
    assert not own_home.exists()


def test_an_unknown_logger_is_refused(toy):
    with pytest.raises(ValueError, match="Expected logger to be one of tensorboard, wandb, found 'mlflow'"):
        molfm.train(toy, **SMALL, logger="mlflow")
