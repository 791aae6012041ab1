"""Labels beside what a model says of them: as arrays of a batch, as one validation, as the table of a finished run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import Batch

from molfm.losses import DEFAULT, label_losses
from molfm.metrics import PRIMARY, preds_of, score, undefined
from molfm.mix import Mix
from molfm.model import MultiTaskModel


def label_arrays(
    model: MultiTaskModel, out: dict, batch: Batch, losses: Mapping[str, Callable] = DEFAULT
) -> dict[str, np.ndarray]:
    """Return (task, mol_id, preds, target, loss) of every label of a batch, and class_0, … where there are ordinal tasks.

    preds as in `MultiTaskModel.read`.
    """
    parts = []
    for level in out:
        raw, loss = label_losses(model, out, batch, level, losses)
        item, task, target = (batch[f"{level}_{name}"] for name in ("item", "task", "value"))
        preds, chance = model.read(raw, task)
        if level == "edge":
            item = batch.edge_index[0, 2 * item]
        graph = item if level == "graph" else batch.batch[item]
        classes = chance.unbind(1) if "ordinal" in model.tasks.kind.array else ()
        parts.append([task, batch.mol_id[graph], preds, model.labels(target, task), loss, *classes])
    joined = [torch.cat(arrays).cpu() for arrays in zip(*parts, strict=True)]
    arrays = [(part.float() if part.is_floating_point() else part).numpy() for part in joined]  # numpy has no bfloat16
    names = ["task", "mol_id", "preds", "target", "loss", *(f"class_{c}" for c in range(len(arrays) - 5))]
    return dict(zip(names, arrays, strict=True))


@dataclass(frozen=True)
class Validation:
    """What one validation found: the line for metrics.jsonl, and the loss a label of each task."""

    line: dict[str, float]
    task_losses: dict[str, float]


def judge(model: MultiTaskModel, found: dict[str, np.ndarray], watched: np.ndarray) -> Validation:
    """Return losses and metrics of one validation.

    The line has the mean over heads of their loss a label of watched tasks (`val_loss`), each head's over all of its tasks
    that were found (`val_loss DATASET/LEVEL`), and the metric of each watched task.

    Args:
        found: as from `label_arrays`, of all labels of the molecules that are validated.
        watched: (n_tasks,) bool.
    """
    sums = np.bincount(found["task"], found["loss"], len(watched))
    counts = np.bincount(found["task"], minlength=len(watched))
    head, names = model.head.cpu().numpy(), model.tasks.task

    def of_heads(tasks: np.ndarray) -> dict[str, float]:
        parts = {name: tasks & (head == h) for h, name in enumerate(model.head_names())}
        return {
            name: float(sums[mine].sum() / counts[mine].sum()) for name, mine in parts.items() if counts[mine].any()
        }

    line = {"val_loss": float(np.mean(list(of_heads(watched).values())))}
    line |= {f"val_loss {name}": loss for name, loss in of_heads(counts > 0).items()}
    for number in np.flatnonzero(watched):
        kind, here = model.tasks.kind[number], found["task"] == number
        if not undefined(kind, found["target"][here]):
            metric = PRIMARY[kind]
            preds = preds_of(kind, found, here)
            line[f"{names[number]}/{metric}"] = score(kind, metric, preds, found["target"][here])
    return Validation(line, {names[i]: float(sums[i] / counts[i]) for i in np.flatnonzero(counts)})


def predictions(model: MultiTaskModel, mix: Mix, loaders: dict[str, Iterable[Batch]]) -> pd.DataFrame:
    """Return a row a label of some splits: split, task (number), mol_id, constitution, preds, target; in their units.

    Args:
        loaders: split -> its batches.
    """
    model.eval()
    parts = []
    with torch.no_grad():
        for split, loader in loaders.items():
            for batch in loader:
                batch = batch.to(model.mean.device)
                parts.append(pd.DataFrame({"split": split, **label_arrays(model, model(batch), batch)}))
    table = pd.concat(parts, ignore_index=True).drop(columns="loss")
    table.insert(3, "constitution", mix.constitution[table.mol_id])
    return table
