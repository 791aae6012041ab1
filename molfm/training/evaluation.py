"""Labels beside their predictions: for a batch, for one validation, and for the table of a finished run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import Batch

from molfm.data.mix import Mix
from molfm.nn.multitask import MultiTaskModel
from molfm.training.losses import DEFAULT, label_losses
from molfm.training.metrics import PRIMARY, preds_of, score, undefined


def label_arrays(
    model: MultiTaskModel, out: dict, batch: Batch, losses: Mapping[str, Callable] = DEFAULT
) -> dict[str, np.ndarray]:
    """Return arrays with one entry per label of a batch: task, mol_id, preds, target and loss.

    With censored labels also side (see `data/cells.py`), with weighted labels weight, and with ordinal tasks class_0, …,
    the probabilities of the classes. preds are the values of `MultiTaskModel.read`.

    Args:
        out: outputs of the model on this batch, by level.
        losses: loss function of each kind of task, from `losses.choose`.
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
        found = {"task": task, "mol_id": batch.mol_id[graph], "preds": preds, "target": model.labels(target, task)}
        found |= {"loss": loss} | {f"class_{c}": of for c, of in enumerate(classes)}
        parts.append(found | {name: batch[of] for name in ("side", "weight") if (of := f"{level}_{name}") in batch})
    joined = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    # numpy has no bfloat16
    return {name: (of.float() if of.is_floating_point() else of).numpy() for name, of in joined.items()}


@dataclass(frozen=True)
class Validation:
    """The result of one validation: the line for metrics.jsonl, and the loss per label of each task."""

    line: dict[str, float]
    task_losses: dict[str, float]


def judge(model: MultiTaskModel, found: dict[str, np.ndarray], watched: np.ndarray) -> Validation:
    """Return losses and metrics of one validation.

    The line contains `val_loss`, the mean over heads of the loss per label of their watched tasks;
    `val_loss DATASET/LEVEL`, the loss per label of each head over all its tasks; and the metric of each task. Losses are
    multiplied by the weights of labels. Metrics are of exact labels, which all count the same.

    Args:
        found: arrays as `label_arrays` returns them, for all validation labels.
        watched: (n_tasks,) bool, the tasks that count in `val_loss`.
    """
    sums = np.bincount(found["task"], found["loss"] * found.get("weight", 1.0), len(watched))
    counts = np.bincount(found["task"], minlength=len(watched))
    head, names = model.head.cpu().numpy(), model.tasks.task

    def of_heads(tasks: np.ndarray) -> dict[str, float]:
        parts = {name: tasks & (head == h) for h, name in enumerate(model.head_names())}
        return {
            name: float(sums[mine].sum() / counts[mine].sum()) for name, mine in parts.items() if counts[mine].any()
        }

    line = {"val_loss": float(np.mean(list(of_heads(watched).values())))}
    line |= {f"val_loss {name}": loss for name, loss in of_heads(counts > 0).items()}
    exact = np.flatnonzero(found["side"] == 0) if "side" in found else np.arange(len(found["task"]))
    exact = exact[np.argsort(found["task"][exact], kind="stable")]
    ends = np.cumsum(np.bincount(found["task"][exact], minlength=len(watched)))
    for number, here in enumerate(np.split(exact, ends[:-1])):
        kind = model.tasks.kind[number]
        if not undefined(kind, found["target"][here]):
            metric = PRIMARY[kind]
            preds = preds_of(kind, found, here)
            line[f"{names[number]}/{metric}"] = score(metric, preds, found["target"][here])
    return Validation(line, {names[i]: float(sums[i] / counts[i]) for i in np.flatnonzero(counts)})


def predictions(model: MultiTaskModel, mix: Mix, loaders: dict[str, Iterable[Batch]]) -> pd.DataFrame:
    """Return a table with one row per label of some splits; see `Run.predictions` for the columns.

    Args:
        mix: the mix that the molecules belong to.
        loaders: split -> its batches.
    """
    model.eval()
    parts = []
    with torch.no_grad():
        for split, loader in loaders.items():
            for batch in loader:
                batch = batch.to(model.mean.device)
                parts.append(pd.DataFrame({"split": split, **label_arrays(model, model(batch), batch)}))
    table = pd.concat(parts, ignore_index=True).drop(columns=["loss", "weight"], errors="ignore")
    table = table.rename(columns={"target": "measured"})
    table["task"] = model.tasks.task.to_numpy()[table.task]
    table.insert(3, "constitution", mix.constitution[table.mol_id])
    return table
