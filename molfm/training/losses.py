"""Losses over label triples: missing labels are not stored, so nothing is masked.

A task's loss is a segment sum over its labels. A head (one dataset, one level) divides the sum over its tasks by the
number of their labels, over all accumulated batches and processes of a step. The total is the mean over the heads of
the model.

The loss per label is chosen by name for each kind of task, such as `losses={"ordinal": "cross_entropy"}`. Its arguments
are the outputs of the model, raw (n, C), and the labels, target (n,): z-units for regression, else the class number. It
returns (n,). For a censored label, an output on the right side of its limit is no error.
"""

from collections.abc import Callable, Mapping

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from molfm.base.errors import InputError
from molfm.nn.multitask import MultiTaskModel

ALPHA = 0.5  # α of hybrid_ce, as published in arXiv 2310.04292
GAMMA = 2.0  # γ of focal, the best in arXiv 1708.02002


def mae(raw: Tensor, target: Tensor) -> Tensor:
    """Return |error| in standard deviations of the training labels."""
    return (raw[:, 0] - target).abs()


def mse(raw: Tensor, target: Tensor) -> Tensor:
    """Return error² in variances of the training labels."""
    return (raw[:, 0] - target).square()


def bce(raw: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of σ(raw), the probability of class 1."""
    return F.binary_cross_entropy_with_logits(raw[:, 0], target, reduction="none")


def focal(raw: Tensor, target: Tensor) -> Tensor:
    """Return (1 - p)² · cross-entropy, where p is the probability of the right class (arXiv 1708.02002, without its α).

    Labels that are already right count less. On assays with few actives it ranks better, but its probabilities are worse
    (`benchmarks/losses.md`).
    """
    loss = bce(raw, target)
    return (-torch.expm1(-loss)) ** GAMMA * loss  # p = exp(-cross-entropy)


def cross_entropy(raw: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of the class probabilities p = softmax(raw); it ignores the order of classes."""
    return F.cross_entropy(raw, target.long(), reduction="none")


def hybrid_ce(raw: Tensor, target: Tensor) -> Tensor:
    """Return α · cross-entropy + (1 - α) · (Σ c p_c - target)², worse for farther classes (arXiv 2310.04292)."""
    # Not a matrix product, because mixed precision would round it.
    expected = (raw.softmax(1) * torch.arange(raw.shape[1], device=raw.device)).sum(1)
    return ALPHA * cross_entropy(raw, target) + (1 - ALPHA) * (expected - target).square()


LOSSES = {  # by kind of task; the first is that of the paper's baselines
    "regression": {"mae": mae, "mse": mse},
    "binary": {"bce": bce, "focal": focal},
    "ordinal": {"hybrid_ce": hybrid_ce, "cross_entropy": cross_entropy},
}


def choose(losses: Mapping[str, str] | None = None) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return the loss function of each kind of task; kinds that are not named get the first of `LOSSES`.

    Raises:
        ValueError: a kind or loss is unknown.
    """
    found = {kind: next(iter(known.values())) for kind, known in LOSSES.items()}
    for kind, name in (losses or {}).items():
        if name not in LOSSES.get(kind, {}):
            known = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in LOSSES.items())
            raise InputError(f"Unknown loss {name!r} for kind {kind!r}; expected {known}.")
        found[kind] = LOSSES[kind][name]
    return found


DEFAULT = choose()


def bounded(raw: Tensor, target: Tensor, side: Tensor) -> Tensor:
    """Return targets (n,) with which an output on the right side of a limit is no error and has no gradient.

    Args:
        raw: (n, C) outputs; the first is that of regression tasks, the only ones with censored labels.
        target: (n,) labels in z-units; for a censored label, the limit.
        side: (n,) int8, 1 if the true value is above the limit, -1 if it is below, 0 for an exact label.
    """
    output = raw[:, 0].detach()
    return torch.where((side * (output - target)) > 0, output, target)


def label_losses(
    model: MultiTaskModel, out: dict[str, Tensor], batch: Batch, level: str, losses: Mapping[str, Callable] = DEFAULT
) -> tuple[Tensor, Tensor]:
    """Return outputs (n_labels, C), for `MultiTaskModel.read`, and losses (n_labels,) of one level's labels.

    Weights of labels are not in the losses; `task_sums` multiplies by them.
    """
    item, task, value = batch[f"{level}_item"], batch[f"{level}_task"], batch[f"{level}_value"]
    raw, target = model.outputs(out[level], item, task).float(), model.normalize(value, task)
    if f"{level}_side" in batch:
        target = bounded(raw, target, batch[f"{level}_side"])
    kinds = model.kinds[level]
    if len(kinds) == 1:
        return raw, losses[kinds[0]](raw, target)
    # Every kind on every label, of which one counts: choosing labels by a mask would make a GPU wait for the CPU.
    loss = torch.zeros_like(target)
    for kind in kinds:
        mine = model.is_kind(kind, task)
        loss = torch.where(mine, losses[kind](raw, torch.where(mine, target, 0.0)), loss)
    return raw, loss


def task_sums(
    model: MultiTaskModel, out: dict[str, Tensor], batch: Batch, losses: Mapping[str, Callable] = DEFAULT
) -> tuple[Tensor, Tensor]:
    """Return the loss summed over each task's labels and the number of labels, both (n_tasks,).

    If labels have weights, the losses are multiplied by them; the numbers are the same.

    Args:
        out: outputs of the model on this batch, by level.
        losses: loss function of each kind of task, from `choose`.
    """
    sums = model.mean.new_zeros(len(model.tasks))
    counts = torch.zeros_like(sums)
    for level in out:
        _, loss = label_losses(model, out, batch, level, losses)
        task = batch[f"{level}_task"]
        if f"{level}_weight" in batch:
            loss = loss * batch[f"{level}_weight"]
        sums = sums.index_add(0, task, loss)
        counts = counts.index_add(0, task, torch.ones_like(loss))
    return sums, counts


def total_loss(sums: Tensor, counts: Tensor, head: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over heads of their loss per label.

    Args:
        sums: (n_tasks,) losses from `task_sums`.
        counts: (n_tasks,) labels per task in all batches that this process accumulates in a step
            (`batch.label_counts`); this function adds those of other processes.
        head: (n_tasks,) number of each task's head.
        weights: (n_heads,) weights of the mean; None for equal weights.
    """
    if weights is None:
        weights = sums.new_ones(int(head.max()) + 1)
    per_head = torch.zeros_like(weights).index_add(0, head, sums)
    labels = torch.zeros_like(weights).index_add(0, head, counts)
    if dist.is_available() and dist.is_initialized():
        # Gradients are averaged over processes: dividing by the mean count gives sum / count over all of them.
        dist.all_reduce(labels)
        labels = labels / dist.get_world_size()
    return (weights * per_head / labels.clamp(min=1e-9)).sum() / weights.sum()
