"""Why tasks help or hurt each other: whether their gradients pull the weights that they share the same way."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from molfm.model import MultiTaskModel
from molfm.runs import COSINE, TASK_COSINE

MOST_TASKS = 40  # of more, each pair of which is a column of the metrics, heads alone are compared


def cosines(model: MultiTaskModel, sums: Tensor, counts: Tensor) -> dict[str, float]:
    """Return the cosine between the gradients of losses a label, on all that is learned but the heads, of each pair.

    Pairs are of heads and, unless each has one or there are more than `MOST_TASKS`, of tasks. 1: what helps one helps the
    other; 0: neither knows of the other; -1: each undoes the other (arXiv 2001.06782, section 2.2). What has no label in the
    batch is left out.

    Args:
        sums: (n_tasks,) losses as from `losses.task_sums`, with their graph, which is kept.
        counts: (n_tasks,) labels.
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
