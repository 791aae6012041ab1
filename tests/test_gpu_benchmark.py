"""benchmarks/gpu.py runs on any machine, and its padded batches train the same network."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from molfm.batches.batch import to_batch
from molfm.catalog.schema import LEVELS
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training.losses import label_losses, task_sums

FOLDER = Path(__file__).parents[1] / "benchmarks"


def test_the_benchmark_measures_every_part_and_resumes_exactly_on_a_cpu(tmp_path):
    command = [sys.executable, "gpu.py", "--fast", "--device", "cpu", "--minutes", "20", "--out", tmp_path / "gpu.md"]
    environment = os.environ | {"MOLFM_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not [row for row in found["rows"] if "failed" in row.get("note", "") or "left out" in row.get("note", "")]
    measured = {row["part"] for row in found["rows"] if row.get("graphs_per_s", 0) > 0}
    assert measured >= {"steps", "loading", "peers", "predict", "compile"}
    assert {row["network"] for row in found["rows"] if row["part"] == "steps"} == {
        "GINE 96",
        "GINE 704",
        "published 10M",
    }
    assert found["resume"]["largest difference of val_loss"] == 0
    assert 0 < found["resume"]["stopped after"] < found["resume"]["of"]
    assert "| part | network |" in (tmp_path / "gpu.md").read_text()


def test_a_padded_batch_has_the_losses_of_the_batch(toy, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    gpu = import_module("gpu")
    torch.manual_seed(0)
    model = MultiTaskModel(ModelConfig(16, 2, encoder="features"), toy.tasks, 0).eval()
    batch = to_batch(toy.gather(np.arange(7), "train", None, model.config.encodings))
    padded = gpu.pad(batch, len(batch.x) + 5, batch.edge_index.shape[1] // 2 + 3, dict.fromkeys(LEVELS, 100))
    expected, _ = task_sums(model, model(batch), batch)
    sums, out = torch.zeros(len(model.tasks)), model(padded)
    for level in out:
        _, loss = label_losses(model, out, padded, level)
        sums = sums.index_add(0, padded[f"{level}_task"], loss * padded[f"{level}_weight"])
    assert sums.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert [len(padded[f"{level}_item"]) for level in LEVELS] == [100] * 3
