"""Whether the gradients of heads agree on the trunk: exact where it can be said, and noted without changing a run."""

import numpy as np
import pytest
import torch
from test_resume import assert_equal_runs, interrupt

import molfm
from molfm.batch import to_batch
from molfm.gradients import head_cosines
from molfm.losses import task_sums
from molfm.model import ModelConfig, MultiTaskModel
from molfm.runs import COSINE

SMALL = {"hidden_channels": 8, "num_layers": 1, "dropout": 0.3, "progress": False, "batch_size": 10}


@pytest.fixture
def step(toy):
    """A model, and the losses and label counts of a batch."""
    model = MultiTaskModel(ModelConfig(8, 1, dropout=0.0), toy.tasks, seed=0)
    batch = to_batch(toy.gather(toy.members("train")[:20], "train"))
    return model, *task_sums(model, model(batch), batch)


def test_cosines_are_those_of_gradients_by_hand(toy, step):
    model, sums, counts = step
    found = head_cosines(model, sums, counts)
    pairs = [("toy/graph", "toy/node"), ("toy/graph", "toy/edge"), ("toy/node", "toy/edge")]
    assert list(found) == [f"{COSINE}{a} {b}" for a, b in pairs]
    shared = [w for part in model.parts() for module in part for w in module.parameters()]
    of_level = {}
    for level in ("graph", "node", "edge"):
        mine = torch.tensor((toy.tasks.level == level).to_numpy())
        model.zero_grad()
        (sums[mine].sum() / counts[mine].sum()).backward(retain_graph=True)
        of_level[f"toy/{level}"] = torch.cat([w.grad.flatten() for w in shared if w.grad is not None])
    for (a, b), value in zip(pairs, found.values(), strict=True):
        expected = torch.nn.functional.cosine_similarity(of_level[a], of_level[b], dim=0)
        assert value == pytest.approx(float(expected), abs=1e-5)
        assert -1 <= value <= 1


def test_one_loss_against_itself_agrees_and_against_its_opposite_does_not(toy, step):
    model, sums, counts = step
    loss = sums[0] / counts[0]
    for sign in (1, -1):
        again = torch.stack([loss * 5, loss * 0, sign * loss * 3, loss * 0])  # of the heads of graphs, nodes and bonds
        found = head_cosines(model, again, torch.tensor([1.0, 0, 1, 0]))
        assert found == {f"{COSINE}toy/graph toy/node": pytest.approx(sign, abs=1e-5)}


def test_a_head_alone_or_a_frozen_trunk_has_nothing_to_agree_on(step):
    model, sums, counts = step
    assert head_cosines(model, sums, counts * torch.tensor([1, 1, 0, 0])) == {}
    for part in model.parts():
        for module in part:
            module.requires_grad_(False)
    assert head_cosines(model, sums, counts) == {}


def test_noting_them_changes_nothing_else_of_a_run_and_is_resumed_exactly(toy, own_home, monkeypatch):
    settings = {"steps": 6, "validate_every": 2, **SMALL}
    plain, noted = (molfm.train(toy, conflicts=value, **settings) for value in (False, True))
    columns = [name for name in noted.metrics if name.startswith(COSINE)]
    losses = [f"{task}/loss" for task in toy.tasks.task]
    assert len(columns) == 3
    values = noted.metrics[columns].to_numpy()
    assert values.shape == (3, 3) and np.abs(values).max() <= 1 and len(np.unique(values)) == 9
    assert noted.metrics.drop(columns=columns + losses).equals(plain.metrics)
    n = noted.predictions.query("split == 'val'").task.value_counts().sort_index().to_numpy()
    graph = noted.metrics[losses[:2]].to_numpy() @ n[:2] / n[:2].sum()
    np.testing.assert_allclose(graph, noted.metrics["val_loss toy/graph"])
    np.testing.assert_allclose(noted.metrics["toy/element/loss"], noted.metrics["val_loss toy/node"])
    interrupt(monkeypatch, 3)
    molfm.train(toy, conflicts=True, name="it", **settings)
    assert_equal_runs(molfm.training.resume("it", progress=False), noted)
