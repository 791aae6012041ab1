"""What Lightning runs: one training step, one validation, the optimizer of a `MultiTaskModel`."""

from dataclasses import replace

import lightning
import numpy as np
import torch
import torch.distributed as dist
from torch_geometric.data import Batch

from molfm.nn.multitask import MultiTaskModel
from molfm.training.config import TrainConfig
from molfm.training.evaluation import Validation, judge, label_arrays
from molfm.training.gradients import cosines
from molfm.training.losses import choose, task_sums, total_loss
from molfm.training.optimizer import make_optimizer


class MultiTaskModule(lightning.LightningModule):
    """The Lightning module of a `MultiTaskModel`.

    Args:
        model: the network to train.
        config: settings of training, with a number for `steps`.
        watched: (n_tasks,) bool, the tasks whose validation loss picks the best weights.
        weights: (n_heads,) weights of the heads in the mean loss.
    """

    def __init__(self, model: MultiTaskModel, config: TrainConfig, watched: np.ndarray, weights: torch.Tensor):
        super().__init__()
        self.model, self.config, self.watched = model, config, watched
        self.register_buffer("weights", weights, persistent=False)
        self.label_losses = choose(config.losses)
        self.losses: list[torch.Tensor] = []  # per batch since the last validation; those of a step add up
        self.collected: list[dict[str, np.ndarray]] = []
        self.cosines: dict[str, float] = {}  # of the last batch before a validation, if `conflicts` is set
        self.found: Validation | None = None  # result of the last validation

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device, non_blocking=True)  # Lightning would wait for each of its tensors

    def training_step(self, batch: Batch) -> torch.Tensor:
        sums, counts = task_sums(self.model, self.model(batch), batch, self.label_losses)
        step = self.global_step + 1
        if self.config.conflicts and (step % self.config.validate_every == 0 or step == self.config.steps):
            self.cosines = cosines(self.model, sums, counts)
        loss = total_loss(sums, batch.label_counts, self.model.head, self.weights)
        self.losses.append(loss.detach())
        return loss * self.config.accumulate  # Lightning divides by it, but the counts are of the whole step

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
