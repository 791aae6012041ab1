"""Sends a run's learning curves to TensorBoard or Weights & Biases as well, through Lightning's loggers.

`metrics.jsonl` stays the record that molfm reads. What a logger writes lies in the run folder too, and nothing leaves
this machine: `tensorboard --logdir RUN` shows it, and `wandb sync RUN/wandb/offline-run-…` uploads it if you want to.
"""

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

import lightning
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from molfm.base.errors import InputError
from molfm.base.files import home


def check_installed(name: str | None) -> None:
    """Raise ValueError with the command that installs it if the package of a logger is missing."""
    if name is not None and find_spec(name) is None:
        raise InputError(f'logger="{name}" needs the package {name}. Install it with: pip install "molfm[loggers]"')


class LogCurves(lightning.Callback):
    """Logs each validation as it stands in metrics.jsonl, and the learning rate; in the first process only.

    Args:
        folder: the run folder.
        name: "tensorboard" or "wandb".
    """

    def __init__(self, folder: Path, name: str):
        check_installed(name)
        self.folder, self.name = folder, name
        self.logger: Logger | None = None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        if self.name == "tensorboard":
            # A run that resumes repeats the steps since its checkpoint, which replace those of before.
            self.logger = TensorBoardLogger(
                self.folder, name="", version="tensorboard", default_hp_metric=False, purge_step=trainer.global_step + 1
            )
        else:
            self.logger = _wandb(self.folder)
        self.logger.log_hyperparams(json.loads((self.folder / "config.json").read_text()))

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.logger is not None:
            line = {name: value for name, value in module.found.line.items() if name != "step"}
            line["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]  # of the heads; others may be lower
            self.logger.log_metrics(line, trainer.global_step)

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.logger is not None:
            self.logger.finalize("success")
            if self.name == "wandb":
                self.logger.experiment.finish()
            self.logger = None

    def on_exception(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, exception: BaseException
    ) -> None:
        self.on_train_end(trainer, module)


def _wandb(folder: Path) -> WandbLogger:
    """Return a logger of Weights & Biases that writes into the run folder, prints nothing and sends nothing."""
    import wandb  # optional

    os.environ.setdefault("WANDB_CACHE_DIR", str(home()))  # else its logs go to ~/.cache
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else it would send reports of its own errors
    name = re.sub(r"[^\w.-]", "-", folder.name)
    # Parts of a run that resumes have one id, so that they are one run after `wandb sync`.
    run = wandb.init(
        project="molfm",
        name=name,
        id=name,
        dir=folder,
        mode="offline",
        settings=wandb.Settings(
            silent=True, console="off", disable_git=True, x_disable_stats=True, x_disable_machine_info=True
        ),
    )
    return WandbLogger(experiment=run)
