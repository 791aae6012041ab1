"""Training with Lightning: one function from a mix to a run folder."""

import json
import logging
import platform
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from importlib.metadata import version

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch_geometric.data import Batch

from molfm.layers import LAYERS
from molfm.losses import label_losses, task_sums, total_loss
from molfm.metrics import PRIMARY, evaluate, preds_of, score, undefined
from molfm.mix import Mix, load
from molfm.model import ModelConfig, MultiTaskModel
from molfm.runs import Run, new_folder, write_json

MODELS = tuple(LAYERS)
_VALIDATIONS = 20  # in a run of given steps


def _label_arrays(model: MultiTaskModel, out: dict, batch: Batch) -> dict[str, np.ndarray]:
    """Return (task, mol_id, preds, target, loss) of every label of a batch, and class_0, … where there are ordinal tasks.

    preds as in `MultiTaskModel.read`.
    """
    parts = []
    for level in out:
        raw, loss = label_losses(model, out, batch, level)
        item, task, target = (batch[f"{level}_{name}"] for name in ("item", "task", "value"))
        preds, chance = model.read(raw, task)
        if level == "edge":
            item = batch.edge_index[0, 2 * item]
        graph = item if level == "graph" else batch.batch[item]
        classes = chance.unbind(1) if "ordinal" in model.tasks.kind.array else ()
        parts.append([task, batch.mol_id[graph], preds, model.labels(target, task), loss, *classes])
    joined = [torch.cat(arrays).float().cpu().numpy() for arrays in zip(*parts, strict=True)]
    names = ["task", "mol_id", "preds", "target", "loss", *(f"class_{c}" for c in range(len(joined) - 5))]
    arrays = dict(zip(names, joined, strict=True))
    return arrays | {"task": arrays["task"].astype(int)}


class MultiTaskModule(lightning.LightningModule):
    """What Lightning needs to know about a `MultiTaskModel`.

    Args:
        model: to be trained.
        learning_rate: the highest; it rises over the first tenth of the steps and falls to zero as a cosine.
        weight_decay: AdamW's.
        total_steps: of the whole run.
        watched: (n_tasks,) bool, the tasks whose validation loss chooses the best weights.
    """

    def __init__(
        self, model: MultiTaskModel, learning_rate: float, weight_decay: float, total_steps: int, watched: np.ndarray
    ):
        super().__init__()
        self.model, self.learning_rate, self.weight_decay = model, learning_rate, weight_decay
        self.total_steps, self.watched = total_steps, watched
        self.losses: list[torch.Tensor] = []  # of the training steps since the last validation
        self.collected: list[dict[str, np.ndarray]] = []
        self.last: dict[str, float] = {}

    def training_step(self, batch: Batch) -> torch.Tensor:
        sums, counts = task_sums(self.model, self.model(batch), batch)
        loss = total_loss(sums, counts, self.model.head)
        self.losses.append(loss.detach())
        return loss

    def validation_step(self, batch: Batch) -> None:
        self.collected.append(_label_arrays(self.model, self.model(batch), batch))

    def on_validation_epoch_end(self) -> None:
        found = {name: np.concatenate([part[name] for part in self.collected]) for name in self.collected[0]}
        self.collected.clear()
        self.last = {"step": self.global_step}
        if self.losses:
            self.last["train_loss"] = float(torch.stack(self.losses).mean())
            self.losses.clear()
        mine = self.watched[found["task"]]
        sums = np.bincount(found["task"][mine], found["loss"][mine], len(self.watched))
        counts = np.bincount(found["task"][mine], minlength=len(self.watched))
        head = self.model.head.cpu().numpy()
        heads = [(sums[head == h].sum(), counts[head == h].sum()) for h in np.unique(head)]
        self.last["val_loss"] = float(np.mean([total / count for total, count in heads if count]))
        for number in np.flatnonzero(self.watched):
            task, here = self.model.tasks.loc[number], found["task"] == number
            if not undefined(task.kind, found["target"][here]):
                metric = PRIMARY[task.kind]
                value = score(task.kind, metric, preds_of(task.kind, found, here), found["target"][here])
                self.last[f"{task.task}/{metric}"] = value
        self.log("val_loss", self.last["val_loss"])

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        warm = max(1, self.total_steps // 10)

        def factor(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + np.cos(np.pi * (step - warm) / max(1, self.total_steps - warm)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _RunWriter(Callback):
    """Keeps metrics.jsonl and status.json up to date while a run goes on."""

    def __init__(self, run_folder, total_steps: int):
        self.folder, self.total_steps, self.written = run_folder, total_steps, 0.0

    def status(self, state: str, step: int, error: str = "") -> None:
        facts = {"state": state, "step": step, "total_steps": self.total_steps, "updated": time.time(), "error": error}
        write_json(self.folder / "status.json", facts)

    def on_train_batch_end(self, trainer, *_) -> None:
        if time.time() - self.written > 0.5:
            self.written = time.time()
            self.status("running", trainer.global_step)

    def on_validation_end(self, trainer, module) -> None:
        with open(self.folder / "metrics.jsonl", "a") as file:
            file.write(json.dumps(module.last) + "\n")


@contextmanager
def _quiet():
    """Silence what Lightning says about loaders and hardware; its errors still come through."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*isinstance.treespec.*")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _predictions(model: MultiTaskModel, mix: Mix, loaders: dict) -> pd.DataFrame:
    model.eval()
    parts = []
    with torch.no_grad():
        for split, loader in loaders.items():
            for batch in loader:
                batch = batch.to(model.mean.device)
                parts.append(pd.DataFrame({"split": split, **_label_arrays(model, model(batch), batch)}))
    table = pd.concat(parts, ignore_index=True).drop(columns="loss")
    table["mol_id"] = table.mol_id.astype(int)
    table.insert(3, "constitution", mix.constitution[table.mol_id])
    return table


def train(
    data: str | Mix,
    model: str = "gine",
    tasks: Sequence[str] | None = None,
    epochs: int = 20,
    seed: int = 0,
    *,
    steps: int | None = None,
    batch_size: int | dict[str, int] = 128,
    n_labels: dict[str, int] | None = None,
    watch: Sequence[str] | None = None,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-5,
    hidden_channels: int = ModelConfig.hidden_channels,
    num_layers: int = ModelConfig.num_layers,
    dropout: float = ModelConfig.dropout,
    name: str | None = None,
    progress: bool = True,
) -> Run:
    """Train one model on all chosen tasks at once, in this process, and return its run folder.

    Args:
        data: a `Mix`, or anything that `molfm.load` opens.
        model: the trunk's layers: gcn, gin, gine, gatedgcn or mpnnpp.
        tasks: task ids, datasets, or levels of datasets (`Mix.expand`); None: all.
        epochs: passes over all molecules with a training label.
        seed: of the initial weights, the order of molecules, the choice of labels and dropout.
        steps: batches in all, in place of epochs; needed with a batch size a dataset.
        batch_size: molecules a batch, or molecules a batch from each dataset (`batch.StreamSampler`).
        n_labels: task -> number of training labels to keep (`Mix.limit`).
        watch: tasks whose validation loss chooses the best weights; None: all, a head an equal part.
        learning_rate, weight_decay: of AdamW, see `MultiTaskModule`.
        hidden_channels, num_layers, dropout: of the model.
        name: of the run folder, under `$MOLFM_HOME/runs`.

    Raises:
        ValueError: an unknown model, no training labels, or settings that do not go together.
        FileExistsError: a run of that name exists.
    """
    if model not in MODELS:
        raise ValueError(f"Unknown model {model!r}; expected one of {', '.join(MODELS)}.")
    if (epochs if steps is None else steps) < 1:
        raise ValueError(f"Expected epochs or steps of 1 or more, found epochs={epochs}, steps={steps}.")
    if isinstance(batch_size, dict) and steps is None:
        raise ValueError("A batch size for each dataset needs `steps`: its streams have no common epoch.")
    mix = data if isinstance(data, Mix) else load(data)
    if tasks is not None:
        mix = mix.select(tasks)
    for task, count in (n_labels or {}).items():
        mix = mix.limit(task, count, seed)
    watched = mix.expand(watch) if watch is not None else [task.id for task in mix.chosen]
    if not len(mix.members("train")):
        raise ValueError(f"{mix!r} has no training labels.")
    if not len(mix.members("val", watched)):
        raise ValueError(f"No validation labels for {', '.join(watched[:5])}: nothing could choose the best weights.")
    shape = ModelConfig(hidden_channels, num_layers, dropout, layer=model)
    module_data = mix.datamodule(
        batch_size=batch_size, steps=steps, seed=seed, watch=watched, encodings=shape.encodings
    )
    per_epoch = len(module_data.train_dataloader())
    total = steps or epochs * per_epoch

    folder = new_folder(name, f"{mix.name}-{model}")
    settings = {
        "data": mix.origin,
        "model": model,
        "tasks": [task.id for task in mix.chosen],
        "seed": seed,
        "steps": total,
        "batch_size": batch_size,
        "n_labels": n_labels,
        "watch": watched,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        **shape.__dict__,
        "versions": {p: version(p) for p in ("molfm", "torch", "torch-geometric", "rdkit", "lightning")}
        | {"python": platform.python_version()},
    }
    write_json(folder / "config.json", settings)
    writer = _RunWriter(folder, total)
    writer.status("running", 0)
    try:
        torch.manual_seed(seed)
        network = MultiTaskModel(shape, mix.tasks, seed)
        is_watched = np.isin([task.id for task in mix.chosen], watched)
        module = MultiTaskModule(network, learning_rate, weight_decay, total, is_watched)
        best = ModelCheckpoint(folder / "checkpoints", "best", "val_loss", save_weights_only=True)
        with _quiet():
            trainer = lightning.Trainer(
                max_steps=total,
                val_check_interval=max(1, total // _VALIDATIONS) if steps else None,
                check_val_every_n_epoch=None if steps else 1,
                gradient_clip_val=1.0,
                num_sanity_val_steps=0,
                logger=False,
                callbacks=[best, writer],
                enable_progress_bar=progress,
                enable_model_summary=False,
            )
            try:
                trainer.fit(module, datamodule=module_data)
            except SystemExit as ended:  # what Lightning makes of Ctrl-C; it would end the caller's interpreter
                raise KeyboardInterrupt from ended
        state = torch.load(best.best_model_path, weights_only=True)["state_dict"]
        module.load_state_dict(state)
        network.save(folder / "model")
        loaders = {split: module_data.in_order(split) for split in ("val", "test")}
        predictions = _predictions(network, mix, loaders)
        predictions.to_parquet(folder / "predictions.parquet")
        results = evaluate(predictions, mix.tasks)
        results.assign(seed=seed).to_parquet(folder / "results.parquet")
    except BaseException:
        writer.status("failed", module.global_step if "trainer" in locals() else 0, traceback.format_exc())
        raise
    writer.status("finished", total)
    return Run(folder)
