"""Trains a plan with Lightning in this process, and evaluates the best weights.

Lightning sees a run as a single epoch. molfm's samplers handle the passes over the data, so a run can stop and resume
after any step. The batch size counts the molecules of a step over all devices and accumulated batches, so the same
settings mean the same training on one device or many.
"""

import logging
import warnings
from contextlib import contextmanager
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from molfm.base.files import whole, write_json
from molfm.data.splits import SPLITS
from molfm.nn.checkpoints import new_model, take_over
from molfm.nn.multitask import MultiTaskModel
from molfm.training.bar import StepBar
from molfm.training.config import TrainConfig
from molfm.training.evaluation import predictions
from molfm.training.loggers import LogCurves
from molfm.training.metrics import evaluate
from molfm.training.module import MultiTaskModule
from molfm.training.optimizer import freeze
from molfm.training.plan import Plan
from molfm.training.recorder import Recorder, last_checkpoint, own_random_state
from molfm.training.snapshots import Snapshots
from molfm.training.status import Reporter


@contextmanager
def _quiet():
    """Silence Lightning's messages about loaders and hardware, but not its errors."""
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


def _trainer(config: TrainConfig, callbacks: list[Callback]) -> lightning.Trainer:
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
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@own_random_state()
def execute(plan: Plan, folder: Path, reporter: Reporter, progress: bool) -> None:
    """Train a plan in this process, from the last checkpoint in its folder if any, and evaluate the best weights.

    The caller's random numbers go on as if nothing had been drawn.
    """
    config, mix = plan.config, plan.mix
    torch.manual_seed(config.seed + rank_zero_only.rank)  # each process has its own dropout
    network = new_model(plan.shape, mix.tasks, config.seed)
    network.learned_before = config.start_tasks or ()
    if plan.shape.features:
        network.scale_features(mix.features(mix.members("train")))
    last = last_checkpoint(folder)
    if config.start_from is not None and not last.exists():
        take_over(network, config.start_from, config.start_digest, config.keep_heads)
    freeze(network, config.freeze)
    if config.compile:
        network.compile(dynamic=True)
    watched = np.isin([task.id for task in mix.chosen], config.watch)
    of_head = network.tasks.dataset.groupby(network.head.numpy()).first()
    weights = torch.tensor([plan.weights[dataset] for dataset in of_head])
    module = MultiTaskModule(network, config, watched, weights)
    recorder = Recorder(folder, config, reporter)
    callbacks = [recorder, *([StepBar()] if progress else [])]
    if config.logger is not None:  # before the recorder, as below
        callbacks.insert(0, LogCurves(folder, config.logger))
    if config.pinned is not None:  # first, because the recorder ends a stopped run after its validation
        callbacks.insert(0, Snapshots(folder, mix, config.pinned, config.watch))
    with _quiet():
        trainer = _trainer(config, callbacks)
        try:
            trainer.fit(
                module,
                datamodule=plan.data,
                ckpt_path=last if last.exists() else None,
                weights_only=True,  # a checkpoint is data: nothing in it may execute
            )
        except SystemExit as ended:  # Lightning turns Ctrl-C into this; it would end the caller's interpreter
            raise KeyboardInterrupt from ended
        finally:
            plan.data.close()
    if trainer.is_global_zero:
        network.to(trainer.strategy.root_device)
        plan.data.trainer = None  # from now on this process reads whole splits, not its share of them
        _evaluate(plan, folder, network, recorder)
        recorder.clean_up()


def _evaluate(plan: Plan, folder: Path, network: MultiTaskModel, recorder: Recorder) -> None:
    """Evaluate the best weights (with `adaptive`, each task's own) on all splits except train; write the results."""
    mix, adaptive = plan.mix, plan.config.adaptive
    splits = [split for split in SPLITS[1:] if split != "test_seen" or len(mix.members(split))]
    loaders = {split: plan.data.in_order(split) for split in splits}
    best = {task.id: recorder.best_step(task.id) for task in mix.chosen}
    parts = []
    for step in sorted(set(best.values())):
        recorder.load_weights(network, step)
        table = predictions(network, mix, loaders)
        parts.append(table[table.task.map(best) == step])
        if adaptive:
            network.save(folder / "specialists" / str(step))
    if adaptive:
        write_json(folder / "specialists" / "tasks.json", best)
    recorder.load_weights(network, recorder.best_step())
    network.save(folder / "model")
    table = pd.concat(parts, ignore_index=True)
    results = evaluate(table, mix.tasks).assign(seed=plan.config.seed)
    for name, found in (("predictions", table), ("results", results)):
        with whole(folder / f"{name}.parquet") as temporary:
            found.to_parquet(temporary)


def n_devices(config: TrainConfig) -> int:
    """Return the number of devices that Lightning would use for these settings."""
    if config.devices == 1:
        return 1
    with _quiet():
        return lightning.Trainer(accelerator=config.accelerator, devices=config.devices, logger=False).num_devices
