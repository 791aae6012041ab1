"""Why tasks help or hurt each other: whether their gradients pull the weights that they share the same way."""

from itertools import combinations

import torch
from torch import Tensor

from molfm.model import MultiTaskModel
from molfm.runs import COSINE


def head_cosines(model: MultiTaskModel, sums: Tensor, counts: Tensor) -> dict[str, float]:
    """Return the cosine between the gradients of each two heads' losses a label, on all that is learned but the heads.

    1: what helps one helps the other; 0: neither knows of the other; -1: each undoes the other (arXiv 2001.06782, section
    2.2). Heads without a label in the batch are left out.

    Args:
        sums: (n_tasks,) losses as from `losses.task_sums`, with their graph, which is kept.
        counts: (n_tasks,) labels.
    """
    shared = [weight for weight in model.body().values() if weight.requires_grad]
    losses, labels = (sums.new_zeros(len(model.heads)).index_add(0, model.head, of) for of in (sums, counts))
    there = labels.nonzero().flatten().tolist()
    if not shared or len(there) < 2:
        return {}
    names = model.head_names()
    gradients = []
    for head in there:
        parts = torch.autograd.grad(losses[head] / labels[head], shared, retain_graph=True, allow_unused=True)
        parts = [w.new_zeros(w.numel()) if g is None else g.flatten() for w, g in zip(shared, parts, strict=True)]
        gradients.append(torch.nn.functional.normalize(torch.cat(parts), dim=0))
    pairs = combinations(range(len(there)), 2)
    return {f"{COSINE}{names[there[a]]} {names[there[b]]}": float(gradients[a] @ gradients[b]) for a, b in pairs}
