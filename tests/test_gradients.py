"""Cosines between the gradients of heads and tasks: exact, and recorded without changing a run."""

from itertools import combinations

import numpy as np
import pytest
import torch
from test_resume import assert_equal_runs, interrupt

import molfm
from molfm.batches.batch import to_batch
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training import gradients
from molfm.training.curves import COSINE, TASK_COSINE
from molfm.training.gradients import cosines
from molfm.training.losses import task_sums

SMALL = {"hidden_channels": 8, "num_layers": 1, "dropout": 0.3, "progress": False, "batch_size": 10}


@pytest.fixture
def step(toy):
    """A model, and the losses and label counts of a batch."""
    model = MultiTaskModel(ModelConfig(8, 1, dropout=0.0), toy.tasks, seed=0)
    batch = to_batch(toy.gather(toy.members("train")[:20], "train"))
    return model, *task_sums(model, model(batch), batch)


def test_cosines_equal_those_of_gradients_computed_by_hand(toy, step):
    model, sums, counts = step
    found = cosines(model, sums, counts)
    shared = [w for part in model.parts() for module in part for w in module.parameters()]
    by_hand = {}
    parts = {f"toy/{level}": toy.tasks.level == level for level in ("graph", "node", "edge")}
    for name, mine in (parts | {task: toy.tasks.task == task for task in toy.tasks.task}).items():
        mine = torch.tensor(mine.to_numpy())
        model.zero_grad()
        (sums[mine].sum() / counts[mine].sum()).backward(retain_graph=True)
        by_hand[name] = torch.cat([w.grad.flatten() for w in shared if w.grad is not None])
    pairs = {f"{COSINE}{a} {b}": (a, b) for a, b in combinations(parts, 2)}
    pairs |= {f"{TASK_COSINE}{a}\t{b}": (a, b) for a, b in combinations(toy.tasks.task, 2)}
    assert list(found) == list(pairs) and len(pairs) == 3 + 6
    for name, (a, b) in pairs.items():
        expected = torch.nn.functional.cosine_similarity(by_hand[a], by_hand[b], dim=0)
        assert found[name] == pytest.approx(float(expected), abs=1e-5)
        assert -1 <= found[name] <= 1


def test_tasks_are_compared_unless_each_head_has_one_or_they_are_too_many(toy, step, monkeypatch):
    model, sums, counts = step
    monkeypatch.setattr(gradients, "MOST_TASKS", 3)
    assert len(cosines(model, sums, counts)) == 3
    single = MultiTaskModel(ModelConfig(8, 1), toy.select(["oxygen", "element"]).tasks, seed=0)
    batch = to_batch(toy.select(["oxygen", "element"]).gather(toy.members("train")[:20], "train"))
    assert list(cosines(single, *task_sums(single, single(batch), batch))) == [f"{COSINE}toy/graph toy/node"]


def test_one_loss_against_itself_agrees_and_against_its_opposite_does_not(toy, step):
    model, sums, counts = step
    loss = sums[0] / counts[0]
    for sign in (1, -1):
        again = torch.stack([loss * 5, loss * 0, sign * loss * 3, loss * 0])  # heavy, oxygen, element, order
        found = cosines(model, again, torch.tensor([1.0, 0, 1, 0]))
        names = [f"{COSINE}toy/graph toy/node", f"{TASK_COSINE}toy/heavy\ttoy/element"]
        assert found == dict.fromkeys(names, pytest.approx(sign, abs=1e-5))


def test_heads_without_labels_and_frozen_trunks_have_no_cosines(step):
    model, sums, counts = step
    assert list(cosines(model, sums, counts * torch.tensor([1, 1, 0, 0]))) == [f"{TASK_COSINE}toy/heavy\ttoy/oxygen"]
    assert cosines(model, sums, counts * torch.tensor([1, 0, 0, 0])) == {}
    for part in model.parts():
        for module in part:
            module.requires_grad_(False)
    assert cosines(model, sums, counts) == {}


def test_recording_cosines_does_not_change_a_run_and_resumes_exactly(toy, own_home, monkeypatch):
    settings = {"steps": 6, "validate_every": 2, **SMALL}
    plain, noted = (molfm.train(toy, conflicts=value, **settings) for value in (False, True))
    columns = [name for name in noted.metrics if name.startswith((COSINE, TASK_COSINE))]
    losses = [f"{task}/loss" for task in toy.tasks.task]
    assert len(columns) == 3 + 6
    values = noted.metrics[columns].to_numpy()
    assert values.shape == (3, 9) and np.abs(values).max() <= 1 and (np.ptp(values, 0) > 0).all()
    assert noted.metrics.drop(columns=columns + losses).equals(plain.metrics)
    n = noted.predictions().query("split == 'val'").task.value_counts()[toy.tasks.task].to_numpy()
    graph = noted.metrics[losses[:2]].to_numpy() @ n[:2] / n[:2].sum()
    np.testing.assert_allclose(graph, noted.metrics["val_loss toy/graph"])
    np.testing.assert_allclose(noted.metrics["toy/element/loss"], noted.metrics["val_loss toy/node"])
    interrupt(monkeypatch, 3)
    molfm.train(toy, conflicts=True, name="it", **settings)
    assert_equal_runs(molfm.training.fit.resume("it", progress=False), noted)
