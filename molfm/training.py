"""Training with Lightning: one function from a mix to a run folder, in this process or in one of its own.

A run is one Lightning epoch of all its steps: our samplers know about passes over the data, so that a run can stop after
any step and go on from there. The batch size is that of a step, over all devices and accumulated batches; so the same
settings mean the same training on one device or many.
"""

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from lightning.pytorch.utilities import rank_zero_only
from torch_geometric.data import Batch

from molfm.checkpoints import take_over
from molfm.download import home
from molfm.evaluation import Validation, judge, label_arrays, predictions
from molfm.gradients import cosines
from molfm.inference import Predictor
from molfm.losses import choose, task_sums, total_loss
from molfm.metrics import evaluate
from molfm.mix import Mix
from molfm.model import ModelConfig, MultiTaskModel, network_class
from molfm.optimization import freeze, make_optimizer
from molfm.planning import head_weights, launched, make_datamodule, make_plan
from molfm.recipe import TrainConfig
from molfm.recorder import Recorder, is_first_process, last_checkpoint
from molfm.runs import Reporter, Run, check_origin, write_json
from molfm.splits import SPLITS


class MultiTaskModule(lightning.LightningModule):
    """What Lightning needs to know about a `MultiTaskModel`.

    Args:
        model: to be trained.
        config: how, with `steps` as a number.
        watched: (n_tasks,) bool, the tasks whose validation loss chooses the best weights.
        weights: (n_heads,) of the heads' losses in the mean.
    """

    def __init__(self, model: MultiTaskModel, config: TrainConfig, watched: np.ndarray, weights: torch.Tensor):
        super().__init__()
        self.model, self.config, self.watched = model, config, watched
        self.register_buffer("weights", weights, persistent=False)
        self.label_losses = choose(config.losses)
        self.losses: list[torch.Tensor] = []  # of the batches since the last validation; they add up to that of a step
        self.collected: list[dict[str, np.ndarray]] = []
        self.cosines: dict[str, float] = {}  # of the last batch before a validation, where `conflicts` is set
        self.found: Validation | None = None  # by the last validation

    def training_step(self, batch: Batch) -> torch.Tensor:
        sums, counts = task_sums(self.model, self.model(batch), batch, self.label_losses)
        step = self.global_step + 1
        if self.config.conflicts and (step % self.config.validate_every == 0 or step == self.config.steps):
            self.cosines = cosines(self.model, sums, counts)
        loss = total_loss(sums, batch.label_counts, self.model.head, self.weights)
        self.losses.append(loss.detach())
        return loss * self.config.accumulate  # Lightning divides by it, and the counts are those of the step already

    def validation_step(self, batch: Batch) -> None:
        self.collected.append(label_arrays(self.model, self.model(batch), batch, self.label_losses))

    def on_validation_epoch_end(self) -> None:
        parts = [{name: np.concatenate([part[name] for part in self.collected]) for name in self.collected[0]}]
        self.collected.clear()
        losses = torch.stack([loss.to(self.device) for loss in self.losses])
        train_loss = losses.sum() / len(losses) * self.config.accumulate
        self.losses.clear()
        if self.trainer.world_size > 1:
            train_loss = self.trainer.strategy.reduce(train_loss, reduce_op="mean")
            mine, parts = parts[0], [None] * self.trainer.world_size
            dist.all_gather_object(parts, mine)
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        result = judge(self.model, found, self.watched)
        line = {"step": self.global_step, "train_loss": float(train_loss), **result.line, **self.cosines}
        if self.config.conflicts:
            line |= {f"{task}/loss": loss for task, loss in result.task_losses.items()}
        self.found = replace(result, line=line)

    def configure_optimizers(self) -> dict:
        return make_optimizer(self.model, self.config)


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


def _trainer(config: TrainConfig, recorder: Recorder, progress: bool) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=1,
        val_check_interval=min(config.validate_every, config.steps) * config.accumulate,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.gradient_clip,
        precision=config.precision if "-" in config.precision else f"{config.precision}-true",
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=False,
        callbacks=[recorder],
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
    )


def _evaluate(folder: Path, mix: Mix, config: TrainConfig, network: MultiTaskModel, recorder: Recorder) -> None:
    """Judge the best weights on val and test, each task by its own where that is wanted, and write all of it."""
    splits = [split for split in SPLITS[1:] if split != "test_seen" or len(mix.members(split))]
    loaders = {split: make_datamodule(mix, network.config, config).in_order(split) for split in splits}
    own = {task.id: recorder.best_step(task.id) for task in mix.chosen}
    parts = []
    for step in sorted(set(own.values())):
        tasks = [name for name, best in own.items() if best == step]
        recorder.load_weights(network, step)
        table = predictions(network, mix, loaders)
        parts.append(table[table.task.isin([mix.task_number(name) for name in tasks])])
        if config.adaptive:
            network.save(folder / "specialists" / str(step))
    if config.adaptive:
        write_json(folder / "specialists" / "tasks.json", own)
    recorder.load_weights(network, recorder.best_step())
    network.save(folder / "model")
    table = pd.concat(parts, ignore_index=True)
    table.to_parquet(folder / "predictions.parquet")
    evaluate(table, mix.tasks).assign(seed=config.seed).to_parquet(folder / "results.parquet")


def _execute(folder: Path, shape: ModelConfig, config: TrainConfig, open_mix: Callable[[], Mix], progress: bool) -> Run:
    """Train what a run folder says, from its last checkpoint on if there is one, and evaluate it."""
    reporter = Reporter(folder, config.steps, silent=not is_first_process())
    with reporter:
        mix = open_mix()
        torch.manual_seed(config.seed + rank_zero_only.rank)  # each process its own dropout
        network = network_class(shape)(shape, mix.tasks, config.seed)
        network.learned_before = config.start_tasks or ()
        last = last_checkpoint(folder)
        if config.start_from is not None and not last.exists():
            take_over(network, config)
        freeze(network, config.freeze)
        if config.compile:
            network.compile(dynamic=True)
        watched = np.isin([task.id for task in mix.chosen], config.watch)
        weight = head_weights(mix, config.dataset_weights)
        of_head = network.tasks.dataset.groupby(network.head.numpy()).first()
        weights = torch.tensor([weight[dataset] for dataset in of_head])
        module = MultiTaskModule(network, config, watched, weights)
        recorder = Recorder(folder, config, reporter)
        data = make_datamodule(mix, shape, config)
        with _quiet():
            trainer = _trainer(config, recorder, progress)
            try:
                trainer.fit(
                    module,
                    datamodule=data,
                    ckpt_path=last if last.exists() else None,
                    weights_only=True,  # a checkpoint is data: nothing in it may execute
                )
            except SystemExit as ended:  # what Lightning makes of Ctrl-C; it would end the caller's interpreter
                raise KeyboardInterrupt from ended
            finally:
                data.close()
        if trainer.is_global_zero:
            network.to(trainer.strategy.root_device)
            _evaluate(folder, mix, config, network, recorder)
            recorder.clean_up()
    return Run(folder)


def _n_devices(config: TrainConfig) -> int:
    if config.devices == 1:
        return 1
    with _quiet():
        return lightning.Trainer(accelerator=config.accelerator, devices=config.devices, logger=False).num_devices


def train(
    data: str | Mix,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    *,
    n_labels: dict[str, int] | None = None,
    name: str | None = None,
    progress: bool = True,
    **settings,
) -> Run:
    """Train one model on all chosen tasks at once, and return its run folder when it is finished.

    It happens in this process; with several devices, in processes of their own, for which this one waits. A run that is
    asked to stop (`Run.stop`, from another process) returns early, and can be resumed.

    Args:
        data: a `Mix`, or anything that `molfm.load` opens.
        model: kind of layers, one of gcn, gin, gine, gatedgcn, mpnnpp, with the settings below at their defaults; or a
            preset, which is a network with its recipe: toymix-gcn|gin|gine|gatedgcn|mpnnpp, largemix-gcn|gin|gine
            (`presets.PRESETS`). None: gine or, where `start_from` names a checkpoint, what that is.
        tasks: task ids, datasets, or levels of datasets (`Mix.expand`); None: all.
        epochs: passes over all molecules with a training label; None: as the preset has it, else 20.
        seed: of the initial weights, the order of molecules, the choice of labels and dropout.
        n_labels: task -> number of training labels to keep (`Mix.limit`).
        name: of the run folder, under `$MOLFM_HOME/runs`; under torchrun or SLURM it has to be given.
        progress: show progress bars.
        settings: of training, see `TrainConfig` (steps, batch_size, learning_rate, schedule, patience, precision, devices,
            …), and of the model, see `ModelConfig` (hidden_channels, num_layers, dropout, …). They win over a preset's.

    Raises:
        TypeError: an unknown setting.
        ValueError: an unknown model, no training labels, or settings that do not go together.
        FileExistsError: a run of that name exists.
    """
    plan = make_plan(data, model, tasks, epochs, seed, n_labels, progress, settings)
    if launched():
        if name is None:
            raise ValueError("Several processes train together here: give the run a name, so that all find its folder.")
        folder = plan.make_folder(name) if is_first_process() else home() / "runs" / name
    elif _n_devices(plan.config) > 1:
        check_origin(plan.mix.origin)
        run = Run(plan.make_folder(name)).launch()
        try:
            return run.wait()
        except KeyboardInterrupt:
            run.stop(wait=False)  # nothing must train on unseen
            raise
    else:
        folder = plan.make_folder(name)
    return _execute(folder, plan.shape, plan.config, lambda: plan.mix, progress)


def start(
    data: str | Mix,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    *,
    n_labels: dict[str, int] | None = None,
    name: str | None = None,
    progress: bool = True,
    **settings,
) -> Run:
    """Train as `train` does, but in a process of its own, and return the run at once.

    An interrupted cell, a restarted kernel or a closed notebook leave it alone; `Run.stop` ends it, `Run.wait` waits for it.
    What it prints is in `log.txt` in its folder.

    Args:
        data, model, tasks, epochs, seed, n_labels, name, settings: as of `train`.
        progress: show progress bars while data is prepared.

    Raises:
        TypeError, ValueError, FileExistsError: as `train` does.
        ValueError: a mix that was not made by `molfm.load`, which another process could not open.
    """
    plan = make_plan(data, model, tasks, epochs, seed, n_labels, progress, settings)
    check_origin(plan.mix.origin)
    return Run(plan.make_folder(name)).launch()


def finetune(
    checkpoint: str | Path | Predictor,
    data: str | Mix,
    tasks: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    *,
    n_labels: dict[str, int] | None = None,
    name: str | None = None,
    progress: bool = True,
    **settings,
) -> Run:
    """Train a checkpoint's encoder and trunk on further tasks, under new heads, as `train` does.

    Args:
        checkpoint: anything that `molfm.pretrained` opens, or a model that comes from it or was saved.
        data, tasks, epochs, seed, n_labels, name, progress: as of `train`.
        settings: as of `train`, of which these are for fine-tuning: freeze (that many layers, from the bottom, and the encoder
            stay as they are; "all": the heads alone are trained), layer_decay (factor of the learning rate from each layer to
            the one below), head_channels (0: linear heads). What else makes the network's shape is the checkpoint's.

    Raises:
        TypeError, FileExistsError: as `train` does.
        FileNotFoundError, DownloadError: no such checkpoint.
        ValueError: as `train` does; a shape that the checkpoint does not have; a model that was never saved.
    """
    chosen = {"n_labels": n_labels, "name": name, "progress": progress, "start_from": checkpoint, **settings}
    return train(data, None, tasks, epochs, seed, **chosen)


def resume(run: str | Path, progress: bool = True) -> Run:
    """Go on with a run in this process, from its last checkpoint or the start; see `Run.resume` for a process of its own.

    Args:
        run: its folder, or its name.
        progress: show a progress bar.

    Raises:
        FileNotFoundError: no such run.
        ValueError: it runs already, or has finished.
    """
    found = Run(run)
    # One that is starting waits for this process, and a stop asked for by now is meant for it.
    if is_first_process() and found.status["state"] != "starting":
        found.check_resumable()
        (found.folder / "stop").unlink(missing_ok=True)
    config = found.config
    torch.set_num_threads(config["threads"])  # sums over threads: with as many, the same to the last bit
    shape, settings = (
        kind(**{item.name: config[item.name] for item in fields(kind) if item.name in config})
        for kind in (ModelConfig, TrainConfig)
    )
    return _execute(found.folder, shape, settings, lambda: found.mix, progress)
