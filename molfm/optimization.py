"""What is learned of a network and how fast: frozen parts, learning rates by depth, AdamW and its schedule."""

import math

import torch
from torch import nn

from molfm.model import MultiTaskModel
from molfm.recipe import TrainConfig


def freeze(model: MultiTaskModel, how_many: int | str) -> None:
    """Leave the lowest parts of a model as they are: they learn nothing, and work as they do in prediction.

    Args:
        how_many: layers, from the bottom, together with the encoder; 0: none, and "all": everything but the heads.
    """
    parts = model.parts()
    for modules in parts if how_many == "all" else parts[: how_many + 1] if how_many else []:
        for module in modules:
            module.eval().requires_grad_(False)  # Lightning leaves the mode of each module as it finds it


def parameter_groups(model: MultiTaskModel, config: TrainConfig) -> list[dict]:
    """Return the weights that are learned in groups of one learning rate each, the heads' first.

    A part's rate is learning_rate · layer_decay^d, where d counts parts from the top and heads have 0 (arXiv 2003.10555,
    appendix A).
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
    """Return what part of the highest learning rate a step has: rising evenly, then falling to zero."""
    warm = round(config.warmup * config.steps)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, config.steps - warm)
    return 1 - done if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def make_optimizer(model: MultiTaskModel, config: TrainConfig) -> dict:
    """Return AdamW and its schedule, a factor for each step, as Lightning takes them.

    Args:
        config: with `steps` as a number.
    """
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config),
        weight_decay=config.weight_decay,
        fused=config.precision == "32",  # a tenth of a step on a CPU; Lightning clips no gradients of it in bf16-mixed
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(config, step))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
