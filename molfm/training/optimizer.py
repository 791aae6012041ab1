"""Which weights are trained and how fast: frozen parts, learning rates by depth, AdamW and its schedule."""

import math

import torch
from torch import nn

from molfm.nn.multitask import MultiTaskModel
from molfm.training.config import TrainConfig


def freeze(model: MultiTaskModel, how_many: int | str) -> None:
    """Freeze the lowest parts of a model: they are not trained, and run in evaluation mode.

    Args:
        model: the model to change.
        how_many: number of layers from the bottom, together with the encoder; 0 for none, "all" for all except the
            heads.
    """
    parts = model.parts()
    for modules in parts if how_many == "all" else parts[: how_many + 1] if how_many else []:
        for module in modules:
            module.eval().requires_grad_(False)  # Lightning does not change a module's mode


def parameter_groups(model: MultiTaskModel, config: TrainConfig) -> list[dict]:
    """Return the trained weights in groups, one per learning rate, the heads first.

    The rate of a part is learning_rate · layer_decay^d, where d counts parts from the top and the heads have d = 0
    (arXiv 2003.10555, appendix A).
    """
    groups = [[model.heads]] if config.layer_decay != 1 else [[model]]
    groups += reversed(model.parts()) if config.layer_decay != 1 else []
    found = []
    for distance, modules in enumerate(groups):
        learned = [w for w in nn.ModuleList(modules).parameters() if w.requires_grad]
        if learned:
            found.append({"params": learned, "lr": config.learning_rate * config.layer_decay**distance})
    return found


def rate_factor(config: TrainConfig, step: int) -> float:
    """Return the learning rate of a step as a fraction of its peak: it rises linearly, then falls to zero."""
    warm = round(config.warmup * config.steps)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, config.steps - warm)
    return 1 - done if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def make_optimizer(model: MultiTaskModel, config: TrainConfig) -> dict:
    """Return AdamW and its schedule, one factor per step, in the form that Lightning expects.

    Args:
        model: the model to train.
        config: settings of training, with a number for `steps`.
    """
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config),
        weight_decay=config.weight_decay,
        # Fused saves a tenth of a step on a CPU, but Lightning cannot clip its gradients in bf16-mixed.
        fused=config.precision == "32",
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(config, step))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
