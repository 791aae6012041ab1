"""Why tasks help or hurt each other: cosines between their gradients on the weights that they share."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from molfm.nn.multitask import MultiTaskModel
from molfm.training.curves import COSINE, TASK_COSINE

MOST_TASKS = 40  # with more tasks only heads are compared, because each pair is a column of the metrics


def cosines(model: MultiTaskModel, sums: Tensor, counts: Tensor) -> dict[str, float]:
    """Return the cosine between the gradients of each pair of losses per label, on trained weights except heads.

    Pairs are of heads and of tasks; pairs of tasks are left out if every head has one task or there are more than
    `MOST_TASKS`. 1: what helps one helps the other; 0: they do not affect each other; -1: each undoes the other
    (arXiv 2001.06782, section 2.2). Heads and tasks without a label in the batch are left out.

    Args:
        model: the model that made the losses.
        sums: (n_tasks,) losses from `losses.task_sums`, with their autograd graph, which is kept.
        counts: (n_tasks,) labels per task.
    """
    shared = [weight for weight in model.body().values() if weight.requires_grad]
    if not shared:
        return {}
    losses, labels = (sums.new_zeros(len(model.heads)).index_add(0, model.head, of) for of in (sums, counts))
    found = {f"{COSINE}{a} {b}": value for (a, b), value in _pairs(model.head_names(), losses, labels, shared).items()}
    if len(losses) < len(sums) <= MOST_TASKS:
        of_tasks = _pairs(model.tasks.task.tolist(), sums, counts, shared)
        found |= {f"{TASK_COSINE}{a}\t{b}": value for (a, b), value in of_tasks.items()}
    return found


def _pairs(names: Sequence[str], losses: Tensor, labels: Tensor, shared: list[Tensor]) -> dict[tuple[str, str], float]:
    """Return the cosine of each pair of losses that have labels."""
    there, gradients = labels.nonzero().flatten().tolist(), []
    for number in there if len(there) > 1 else ():
        parts = torch.autograd.grad(losses[number] / labels[number], shared, retain_graph=True, allow_unused=True)
        parts = [w.new_zeros(w.numel()) if g is None else g.flatten() for w, g in zip(shared, parts, strict=True)]
        gradients.append(torch.nn.functional.normalize(torch.cat(parts), dim=0))
    pairs = combinations(zip(there, gradients, strict=False), 2)
    return {(names[a], names[b]): float(one @ other) for (a, one), (b, other) in pairs}
