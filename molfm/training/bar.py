"""The progress bar of a run: steps, the latest loss, and the best validation loss so far."""

from typing import Any

import lightning
from tqdm.std import tqdm as Bar

from molfm.base.progress import tqdm


class StepBar(lightning.Callback):
    """Shows the steps of a run, in the first process only."""

    def __init__(self):
        self.bar: Bar | None = None
        self.best = float("inf")

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.is_global_zero:
            self.bar = tqdm(
                total=trainer.estimated_stepping_batches, initial=trainer.global_step, desc="Training", unit=" steps"
            )

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *batch: Any) -> None:
        if self.bar is not None and trainer.global_step > self.bar.n:
            self.bar.update(trainer.global_step - self.bar.n)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.bar is not None:
            loss = module.found.line["val_loss"]
            self.best = min(loss, self.best)
            self.bar.set_postfix(val_loss=f"{loss:.3f}", best=f"{self.best:.3f}", refresh=False)

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_exception(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, exception: BaseException
    ) -> None:
        self.on_train_end(trainer, module)
