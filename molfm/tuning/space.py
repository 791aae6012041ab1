"""The space of a search: what each setting may be, checked before anything is trained."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from molfm.base.errors import InputError
from molfm.base.names import did_you_mean
from molfm.nn.config import ModelConfig
from molfm.training.config import TrainConfig
from molfm.training.plan import FREE

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_LEARNING = {"learning_rate": (3e-4, 1e-2), "weight_decay": (1e-6, 1e-1), "batch_size": [32, 64, 128]}
NEW = _LEARNING | {"hidden_channels": [48, 96, 192], "num_layers": (2, 6), "dropout": (0.0, 0.3)}  # new weights
OF_CHECKPOINT = _LEARNING | {"dropout": (0.0, 0.3), "layer_decay": (0.5, 1.0)}  # a checkpoint keeps its shape
# Only settings that leave the validation loss comparable, and say what is learned rather than where.
_OF_TRAINING = (
    *("epochs", "steps", "patience", "batch_size", "temperature", "freeze", "layer_decay", "learning_rate"),
    *("weight_decay", "schedule", "warmup", "gradient_clip"),
)
_OF_NETWORK = tuple(
    item.name for item in fields(ModelConfig) if item.name not in ("three_classes", "features", "network")
)
LOG_FROM = 10  # a range whose end is so many times its start is searched on a logarithmic scale
DIGITS = 3  # significant digits of a number that is drawn from a range

Scalar = bool | int | float | str | None
Choices = list[Scalar] | tuple[float, float]


def check_space(space: Mapping[str, Choices], from_checkpoint: bool) -> None:
    """Check a space.

    Args:
        space: setting -> a list of values to choose from, or (low, high): a range, of whole numbers if both are whole.
        from_checkpoint: whether runs start from a checkpoint, whose network keeps its shape.

    Raises:
        ValueError: a setting is unknown or cannot be tuned, or its values are out of range or fewer than two.
    """
    if not space:
        raise InputError("The space has no setting to vary. Name one, such as learning_rate=(1e-4, 1e-2).")
    known = _OF_TRAINING + (tuple(name for name in _OF_NETWORK if name in FREE) if from_checkpoint else _OF_NETWORK)
    for name, values in space.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(f"{name!r} cannot be tuned here.{hint} Settings that can: {', '.join(known)}.")
        _check(name, values)


def _check(name: str, values: object) -> None:
    expected = f"Expected {name} as a list of at least two values, or as a range (low, high), found {values!r}."
    if isinstance(values, tuple):
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if len(values) != 2 or not numbers or not values[0] < values[1]:
            raise InputError(expected)
    elif not isinstance(values, list) or len(values) < 2 or len(set(map(repr, values))) < len(values):
        raise InputError(expected)
    elif wrong := [value for value in values if not isinstance(value, Scalar)]:
        raise InputError(f"Expected single numbers or words as values of {name}, found {wrong[0]!r}.")
    kind = ModelConfig if name in _OF_NETWORK else TrainConfig
    for value in values:  # of a range, its ends
        start = {"start_from": "any"} if name in ("freeze", "layer_decay") else {}
        try:
            kind(**start, **{name: value})
        except TypeError as error:
            raise InputError(f"{value!r} is no value of {name}: {error}") from error


def distributions(space: Mapping[str, Choices]) -> "dict[str, BaseDistribution]":
    """Return the space in Optuna's terms."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found = {}
    for name, values in space.items():
        if isinstance(values, list):
            found[name] = CategoricalDistribution(values)
        else:
            low, high = values
            kind = IntDistribution if all(isinstance(end, int) for end in values) else FloatDistribution
            found[name] = kind(low, high, log=is_log(values))
    return found


def is_log(values: Choices) -> bool:
    """Return whether a range is searched on a logarithmic scale: if it spans a factor of 10 or more."""
    return isinstance(values, tuple) and values[0] > 0 and values[1] >= LOG_FROM * values[0]


def rounded(params: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the values of a trial, with floats at three significant digits, as a user would write them."""
    return {name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for name, value in params.items()}


def defaults(space: Mapping[str, Choices], shape: ModelConfig, config: TrainConfig) -> dict[str, Scalar] | None:
    """Return what the varied settings are if nobody varies them; None if one of these values is outside the space."""
    found = {name: getattr(shape if name in _OF_NETWORK else config, name) for name in space}
    return found if all(_inside(value, space[name]) for name, value in found.items()) else None


def _inside(value: Scalar, values: Choices) -> bool:
    if isinstance(values, list):
        return value in values
    return isinstance(value, int | float) and values[0] <= value <= values[1]
