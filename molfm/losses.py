"""Losses over triples: what was not measured is not there, so nothing is masked.

A task's loss is a segment sum over its labels. A head (one dataset, one level) divides the sum over its tasks by the
count of their labels, over all accumulated batches and processes of a step; the total is the mean over the heads that
the model has.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch

from molfm.model import MultiTaskModel


def label_losses(model: MultiTaskModel, out: dict[str, Tensor], batch: Batch, level: str) -> tuple[Tensor, Tensor]:
    """Return (prediction, loss), both (n_labels,), of one level's labels: |error| in z-units, cross-entropy for classes."""
    item, task, value = batch[f"{level}_item"], batch[f"{level}_task"], batch[f"{level}_value"]
    predicted = out[level][item, model.column[task]]
    target = model.normalize(value, task)
    loss = torch.where(
        model.binary[task],
        F.binary_cross_entropy_with_logits(predicted, target.clamp(0, 1), reduction="none"),
        (predicted - target).abs(),
    )
    return predicted, loss


def task_sums(model: MultiTaskModel, out: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the loss summed over each task's labels and the number of labels, both (n_tasks,)."""
    sums = model.mean.new_zeros(len(model.tasks))
    counts = torch.zeros_like(sums)
    for level in out:
        _, loss = label_losses(model, out, batch, level)
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
