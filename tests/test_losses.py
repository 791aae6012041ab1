from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import molfm
from molfm.batches.batch import to_batch
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training.losses import LOSSES, choose, label_losses, task_sums, total_loss

SHAPE = ModelConfig(hidden_channels=8, num_layers=1, dropout=0.0)


@pytest.fixture(scope="module")
def mix(make_card, toy_card, toy_table):
    """The toy dataset and a second one on half of its molecules: five heads in all, and missing labels."""
    more = pd.DataFrame(
        {
            "smiles": toy_table.smiles[::2],
            "carbons": [
                None if i % 3 == 0 else text.lower().count("c") for i, text in enumerate(toy_table.smiles[::2])
            ],
            "ring": [float("1" in text) for text in toy_table.smiles[::2]],
            "size": [None if i % 4 == 0 else min(len(text) // 4, 2) for i, text in enumerate(toy_table.smiles[::2])],
            "grade": [min(len(text) // 2, 4) for text in toy_table.smiles[::2]],
            "carbon": [[None if z == 7 else float(z == 6) for z in atoms] for atoms in toy_table.element[::2]],
        }
    )
    tasks = {"carbons": {}, "ring": {"kind": "binary"}, "carbon": {"level": "node", "kind": "binary"}}
    tasks |= {"size": {"kind": "ordinal", "classes": 3}, "grade": {"kind": "ordinal", "classes": 5}}
    make_card("more", more, tasks, toy_card.parent, split="random", fractions=[0.6, 0.2, 0.2])
    both = toy_card.with_name("both.md")
    both.write_text("---\nname: both\ndatasets: [toy, more]\n---\n")
    # Heads and levels are mixed in the numbering of tasks.
    names = ["more/carbon", "heavy", "order", "size", "ring", "element", "oxygen", "grade", "carbons"]
    return molfm.load(both, progress=False).select(names)


def build(tasks):
    """Return a model with predictions far from zero and class probabilities far from equal."""
    model = MultiTaskModel(SHAPE, tasks, seed=0)
    for head in model.heads.values():
        torch.nn.init.normal_(head[-1].weight, generator=torch.Generator().manual_seed(0))
    return model


@pytest.fixture
def model(mix):
    return build(mix.tasks)


def batch_of(mix, molecules):
    return to_batch(mix.gather(np.asarray(molecules), "train"))


PAPER = {"regression": "mae", "binary": "bce", "ordinal": "hybrid_ce"}


def dense(model, out, batch, losses=PAPER):
    """Return the losses of a dense implementation: for each task one per item of the batch, NaN if unmeasured."""
    found = {}
    for number, task in model.tasks.iterrows():
        predicted = out[task.level][:, model.columns[number, 0]]
        mine = batch[f"{task.level}_task"] == number
        labels = torch.full_like(predicted, torch.nan)
        labels[batch[f"{task.level}_item"][mine]] = batch[f"{task.level}_value"][mine]
        target, p = labels.nan_to_num(), predicted.sigmoid()
        if task.kind == "ordinal":
            first = model.columns[number, 0]
            logits = out[task.level][:, first : first + task.classes]
            chance = logits.exp() / logits.exp().sum(1, keepdim=True)
            loss = -chance[torch.arange(len(chance)), target.long()].log()
            if losses["ordinal"] == "hybrid_ce":
                expected = sum(c * chance[:, c] for c in range(task.classes))
                loss = 0.5 * loss + 0.5 * (expected - target) ** 2
        elif task.kind == "binary":
            loss = -(target * p.log() + (1 - target) * (1 - p).log())
            if losses["binary"] == "focal":
                loss = (1 - torch.where(target == 1, p, 1 - p)) ** 2 * loss
        else:
            error = predicted - (target - task["mean"]) / task["std"]
            loss = error.abs() if losses["regression"] == "mae" else error**2
        found[number] = torch.where(labels.isnan(), torch.nan, loss)
    return found


def dense_total(model, out, batch, names=PAPER):
    losses, heads = dense(model, out, batch, names), []
    for _, group in model.tasks.groupby(["dataset", "level"]):
        entries = torch.cat([losses[number] for number in group.index])
        measured = ~entries.isnan()
        heads.append(entries[measured].mean() if measured.any() else entries.new_zeros(()))
    assert len(heads) == 5
    return sum(heads) / len(heads)


def gradients(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), found, strict=True)]


def loss_of(model, batch, losses=None):
    return total_loss(*task_sums(model, model(batch), batch, choose(losses)), model.head)


# --------------------------------------------------------------------------------------- triples against a dense matrix


def test_task_sums_equal_the_sums_over_a_dense_matrix(mix, model):
    batch = batch_of(mix, np.arange(len(mix)))
    out = model(batch)
    sums, counts = task_sums(model, out, batch)
    losses = dense(model, out, batch)
    assert counts.tolist() == mix.tasks.n_train.tolist()
    for number, task in mix.tasks.iterrows():
        assert int((~losses[number].isnan()).sum()) == counts[number], task.task
        assert sums[number].item() == pytest.approx(losses[number].nansum().item(), rel=1e-5), task.task


def test_a_regression_loss_is_the_absolute_error_in_standard_deviations(mix, model):
    batch = batch_of(mix, mix.members("train"))
    raw, loss = label_losses(model, model(batch), batch, "graph")
    predicted, _ = model.read(raw, batch.graph_task)
    number = mix.task_number("heavy")
    mine = batch.graph_task == number
    task = mix.tasks.loc[number]
    error = (predicted[mine] - batch.graph_value[mine]).abs()
    assert len(error) == task.n_train
    assert loss[mine].tolist() == pytest.approx((error / task["std"]).tolist(), abs=1e-5)


@pytest.mark.parametrize("molecules", [range(42), [0, 2, 6, 20, 24, 34, 38], [5]])
def test_loss_and_gradients_equal_a_dense_masked_mean(mix, model, molecules):
    batch = batch_of(mix, molecules)
    loss, expected = loss_of(model, batch), dense_total(model, model(batch), batch)
    assert expected > 0.1
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, reference in zip(gradients(model, loss), gradients(model, expected), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in LOSSES.items() for name in names])
def test_a_loss_chosen_by_its_name_equals_its_dense_masked_reference(mix, model, kind, name):
    batch = batch_of(mix, range(42))
    loss, expected = loss_of(model, batch, {kind: name}), dense_total(model, model(batch), batch, PAPER | {kind: name})
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, reference in zip(gradients(model, loss), gradients(model, expected), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-6)
    if name != PAPER[kind]:
        assert loss.item() != pytest.approx(loss_of(model, batch).item(), rel=1e-3)


@pytest.mark.parametrize("wrong", [{"regression": "bce"}, {"ordinal": "ce"}, {"multiclass": "mae"}])
def test_an_unknown_loss_is_an_error_that_lists_the_known_ones(wrong):
    with pytest.raises(
        ValueError, match="expected regression: mae, mse; binary: bce, focal; ordinal: hybrid_ce, cross_entropy"
    ):
        choose(wrong)


def test_five_classes_can_be_merged_into_three(mix):
    task = torch.tensor([mix.task_number("grade")] * 5 + [mix.task_number("size"), mix.task_number("carbons")])
    value = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 2.0, 4.0])
    three = MultiTaskModel(replace(SHAPE, three_classes=True), mix.tasks, seed=0)
    assert three.labels(value, task).tolist() == [0, 0, 1, 2, 2, 2, 4]
    assert MultiTaskModel(SHAPE, mix.tasks, seed=0).labels(value, task).tolist() == value.tolist()
    assert three.heads["graph:more"][-1].out_features == 1 + 1 + 3 + 3
    assert loss_of(three, batch_of(mix, range(42))).isfinite()


def test_every_head_weighs_the_same_however_many_labels_it_has():
    sums, counts = torch.tensor([8.0, 2.0, 3.0, 0.5]), torch.tensor([80.0, 20.0, 1.0, 1.0])
    # Head 0 has tasks 0 and 1: 10 / 100; head 1 has tasks 2 and 3: 3.5 / 2.
    assert total_loss(sums, counts, torch.tensor([0, 0, 1, 1])).item() == pytest.approx((0.1 + 1.75) / 2)


def test_weights_of_heads_make_a_weighted_mean():
    sums, counts, head = torch.tensor([8.0, 2.0, 3.5]), torch.tensor([80.0, 20.0, 2.0]), torch.tensor([0, 0, 1])
    assert total_loss(sums, counts, head, torch.tensor([3.0, 1.0])).item() == pytest.approx((3 * 0.1 + 1.75) / 4)


# ---------------------------------------------------------------------------------------------------------- without labels


def test_a_head_without_labels_adds_nothing_and_gets_no_gradient(mix, model):
    unlabelled = mix.keep(["order", "more/carbon"], np.zeros(len(mix), bool))
    batch, complete = batch_of(unlabelled, mix.members("train")), batch_of(mix, mix.members("train"))
    assert len(batch.edge_task) == 0
    assert len(batch.node_task) > 0
    loss = loss_of(model, batch)
    out = model(complete)
    sums, counts = task_sums(model, out, complete)
    without = {"edge:toy", "node:more"}
    parts = [sums[model.head == h].sum() / counts[model.head == h].sum() for h in range(5)]
    kept = [part for part, name in zip(parts, model.heads, strict=True) if name not in without]
    assert len(kept) == 3
    assert loss.item() == pytest.approx(sum(kept).item() / 5, rel=1e-5)
    loss.backward()
    for name, head in model.heads.items():
        for parameter in head.parameters():
            silent = parameter.grad is None or not parameter.grad.any()
            assert silent == (name in without), name


def test_a_batch_without_labels_has_loss_zero_and_zero_gradients(mix, model):
    nothing = mix.keep(["toy", "more"], np.zeros(len(mix), bool))
    loss = loss_of(model, batch_of(nothing, [0, 20, 34]))
    assert loss.item() == 0
    loss.backward()
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert found
    assert not any(gradient.any() for gradient in found)  # nor NaN, which counts as true


# --------------------------------------------------------------------------------------------------------- two processes


def gradients_over_processes(rank, folder, tasks, cases):
    """Write, for each case, the gradients of this process's batch, averaged over the processes as training does it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model, found = build(tasks), []
    for parts in cases:
        averaged = gradients(model, loss_of(model, to_batch(parts[rank])))
        for gradient in averaged:
            dist.all_reduce(gradient)
            gradient /= 2
        found.append(averaged)
    torch.save(found, f"{folder}/gradients{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_with_uneven_labels_get_the_gradients_of_a_single_process(mix, model, tmp_path):
    labelled = mix.members("train")
    bare = np.setdiff1d(np.arange(len(mix)), labelled)
    atoms = np.intersect1d(labelled, [0, 1, 2])  # molecules of one heavy atom: no edge labels
    assert len(bare)
    assert len(batch_of(mix, atoms).node_task)
    assert not len(batch_of(mix, atoms).edge_task)
    # First a head with labels on one process only, then a process without any label, then none on either.
    cases = [(atoms, np.setdiff1d(labelled, atoms)), (bare, labelled), (bare, bare[:1])]
    arrays = [tuple(mix.gather(part, "train") for part in parts) for parts in cases]
    mp.spawn(gradients_over_processes, (str(tmp_path), mix.tasks, arrays), nprocs=2)
    first, second = (torch.load(tmp_path / f"gradients{rank}.pt") for rank in (0, 1))
    for parts, mine, theirs in zip(cases, first, second, strict=True):
        expected = gradients(model, loss_of(model, batch_of(mix, np.concatenate(parts))))
        for one, other, reference in zip(mine, theirs, expected, strict=True):
            assert torch.equal(one, other)
            torch.testing.assert_close(one, reference, rtol=1e-4, atol=1e-6)
