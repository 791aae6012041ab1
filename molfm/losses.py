"""Losses over triples: what was not measured is not there, so nothing is masked.

A task's loss is a segment sum over its labels. A head (one dataset, one level) divides the sum over its tasks by the
count of their labels, over all accumulated batches and processes of a step; the total is the mean over the heads that
the model has.

The loss of one label is chosen with a word a kind, `losses={"ordinal": "cross_entropy"}`. It is a function of what the
model says, raw (n, C), and of what is right, target (n,): z-units for regression, else the number of the class.
"""

from collections.abc import Callable, Mapping

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from molfm.model import MultiTaskModel

ALPHA = 0.5  # of hybrid_ce, as published


def mae(raw: Tensor, target: Tensor) -> Tensor:
    """|error|, in standard deviations of the training labels."""
    return (raw[:, 0] - target).abs()


def mse(raw: Tensor, target: Tensor) -> Tensor:
    """error², in variances of the training labels."""
    return (raw[:, 0] - target).square()


def bce(raw: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the probability σ(raw) of class 1."""
    return F.binary_cross_entropy_with_logits(raw[:, 0], target, reduction="none")


def cross_entropy(raw: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the class probabilities p = softmax(raw), whose order it does not know."""
    return F.cross_entropy(raw, target.long(), reduction="none")


def hybrid_ce(raw: Tensor, target: Tensor) -> Tensor:
    """α · cross-entropy + (1 - α) · (Σ c p_c - target)²: farther classes are worse (arXiv 2310.04292, α = 0.5)."""
    # Not as a matrix product, which mixed precision would round.
    expected = (raw.softmax(1) * torch.arange(raw.shape[1], device=raw.device)).sum(1)
    return ALPHA * cross_entropy(raw, target) + (1 - ALPHA) * (expected - target).square()


LOSSES = {  # by kind of task; the first is what the paper's baselines use
    "regression": {"mae": mae, "mse": mse},
    "binary": {"bce": bce},
    "ordinal": {"hybrid_ce": hybrid_ce, "cross_entropy": cross_entropy},
}


def choose(losses: Mapping[str, str] | None = None) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return the loss function of each kind, of those not named the first of `LOSSES`.

    Raises:
        ValueError: an unknown kind or loss.
    """
    found = {kind: next(iter(known.values())) for kind, known in LOSSES.items()}
    for kind, name in (losses or {}).items():
        if name not in LOSSES.get(kind, {}):
            known = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in LOSSES.items())
            raise ValueError(f"There is no loss {name!r} for kind {kind!r}; expected {known}.")
        found[kind] = LOSSES[kind][name]
    return found


DEFAULT = choose()


def label_losses(
    model: MultiTaskModel, out: dict[str, Tensor], batch: Batch, level: str, losses: Mapping[str, Callable] = DEFAULT
) -> tuple[Tensor, Tensor]:
    """Return (raw (n_labels, C), loss (n_labels,)) of one level's labels; raw as `MultiTaskModel.read` takes it."""
    item, task, value = batch[f"{level}_item"], batch[f"{level}_task"], batch[f"{level}_value"]
    raw, target = model.outputs(out[level], item, task).float(), model.normalize(value, task)
    kinds = model.kinds[level]
    if len(kinds) == 1:
        return raw, losses[kinds[0]](raw, target)
    loss = torch.zeros_like(target)
    for kind in kinds:
        mine = model.is_kind(kind, task)
        loss[mine] = losses[kind](raw[mine], target[mine])
    return raw, loss


def task_sums(
    model: MultiTaskModel, out: dict[str, Tensor], batch: Batch, losses: Mapping[str, Callable] = DEFAULT
) -> tuple[Tensor, Tensor]:
    """Return the loss summed over each task's labels and the number of labels, both (n_tasks,).

    Args:
        losses: of each kind of task, from `choose`.
    """
    sums = model.mean.new_zeros(len(model.tasks))
    counts = torch.zeros_like(sums)
    for level in out:
        _, loss = label_losses(model, out, batch, level, losses)
        task = batch[f"{level}_task"]
        sums = sums.index_add(0, task, loss)
        counts = counts.index_add(0, task, torch.ones_like(loss))
    return sums, counts


def total_loss(sums: Tensor, counts: Tensor, head: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over heads of their loss a label.

    Args:
        sums: (n_tasks,) as from `task_sums`.
        counts: (n_tasks,) labels a task of all batches that this process adds up in a step (`batch.label_counts`); those
            of other processes are added here.
        head: (n_tasks,) number of each task's head.
        weights: (n_heads,) of the mean; None: all the same.
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
