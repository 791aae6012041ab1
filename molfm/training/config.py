"""The settings of a training run, in one dataclass that checks them; config.json of the run records them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from molfm.base.errors import InputError
from molfm.base.names import did_you_mean
from molfm.batches.shares import check_batches

SCHEDULES = ("cosine", "linear")
PRECISIONS = ("32", "bf16-mixed")
LOGGERS = ("tensorboard", "wandb")


def _values(setting: object) -> list:
    """Return the values of a setting: a single one, or one per dataset."""
    return list(setting.values()) if isinstance(setting, dict) else [setting]


def _at_least(least: float) -> tuple[str, Callable[[object], bool]]:
    return f"{least} or more", lambda setting: all(value >= least for value in _values(setting))


def _above(least: float) -> tuple[str, Callable[[object], bool]]:
    return f"above {least}", lambda setting: all(value > least for value in _values(setting))


def _one_of(words: Sequence[str]) -> tuple[str, Callable[[object], bool]]:
    return f"one of {', '.join(words)}", lambda setting: setting in words


# setting -> what is expected, in words and as a check
_RANGES = {
    **dict.fromkeys(
        ("epochs", "steps", "validate_every", "patience", "batch_size", "accumulate", "num_nodes"), _at_least(1)
    ),
    **dict.fromkeys(("weight_decay", "num_workers", "dataset_weights", "task_weights", "gradient_clip"), _at_least(0)),
    "learning_rate": _above(0),
    "schedule": _one_of(SCHEDULES),
    "precision": _one_of(PRECISIONS),
    "logger": _one_of(LOGGERS),
    "warmup": ("at least 0 and below 1 (a fraction of the steps)", lambda share: 0 <= share < 1),
    "layer_decay": ("above 0 and at most 1", lambda factor: 0 < factor <= 1),
    "freeze": (
        'a number of layers or "all"',
        lambda layers: layers == "all" or (isinstance(layers, int) and layers >= 0),
    ),
}
_MAY_BE_NONE = ("steps", "validate_every", "patience", "dataset_weights", "task_weights", "gradient_clip", "logger")
# settings that cannot be combined, and the message
_TOGETHER = (
    (
        lambda c: c.start_from is None and (c.freeze or c.layer_decay != 1),
        "freeze and layer_decay need a checkpoint to fine-tune: add start_from=….",
    ),
    (
        lambda c: c.start_from is None and c.keep_heads,
        "keep_heads needs a checkpoint to fine-tune: add start_from=….",
    ),
    (
        lambda c: c.conflicts and c.compile,
        "conflicts cannot be combined with compile: it needs gradients that a compiled network does not keep.",
    ),
)


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run; each is a keyword of `molfm.train` and `molfm.start`.

    The recipe of the paper (arXiv 2310.04292) is Adam at 1e-4 with 10 epochs of warm-up out of 300 and a linear decay
    to zero: `learning_rate=1e-4, weight_decay=0, schedule="linear", warmup=10 / 300, epochs=300`.

    Raises:
        ValueError: a setting is out of range, or settings cannot be combined.
    """

    # ---- length
    epochs: int = 20  # passes over all molecules with a training label
    steps: int | None = None  # optimizer steps of the run, instead of epochs; required with a batch size per dataset
    validate_every: int | None = None  # steps between validations; None: one epoch, or 1/20 of the run if steps is set
    patience: int | None = None  # end the run after this many validations without a lower loss; None: never
    # ---- what a step sees
    batch_size: int | dict[str, int] = 128  # molecules per step over all devices, in total or from each dataset
    accumulate: int = 1  # batches per step, to save memory; the gradient is that of the whole step
    fractions: dict[str, float] | None = None  # dataset -> part of it that an epoch uses; other datasets: all
    temperature: float | None = None  # above 1, small datasets come more often and large ones less; `batches/shares.py`
    seed: int = 0  # random seed of the initial weights, the order of molecules, the choice of labels and dropout
    # ---- what it starts from
    start_from: str | None = None  # checkpoint to fine-tune, see `molfm.finetune`; None: new weights
    start_digest: str | None = None  # expected digest of its weights, to notice a change; None: any
    start_tasks: list[str] | None = None  # tasks it was trained on before; molfm fills this in
    keep_heads: bool = False  # start from the checkpoint's heads too; it must have one for every task of this run
    freeze: int | str = 0  # number of layers to freeze, from the bottom, with the encoder; "all": all except the heads
    layer_decay: float = 1.0  # factor of the learning rate from each layer to the one below; heads get the full rate
    # ---- what is minimized, and how
    losses: dict[str, str] | None = None  # kind of task -> name of its loss (`losses.py`); other kinds: as published
    dataset_weights: dict[str, float] | None = None  # dataset -> weight of its heads in the mean loss; others: 1
    task_weights: dict[str, float] | None = None  # task, dataset or family -> weight of its labels' losses; others: 1
    balance_classes: bool = False  # the two classes of a binary task count equally, by its training labels
    learning_rate: float = 1e-3  # peak learning rate
    weight_decay: float = 1e-5  # weight decay of AdamW
    schedule: str = "cosine"  # how the learning rate falls to zero after the warm-up: "cosine" or "linear"
    warmup: float = 0.1  # fraction of the steps in which the learning rate rises
    gradient_clip: float | None = 1.0  # largest norm of the gradient; None: no clipping
    # ---- what is kept
    watch: list[str] | None = None  # tasks whose validation loss (mean over heads) picks the best weights; None: all
    adaptive: bool = False  # each task keeps the weights of its own best validation (doi 10.1038/s42004-025-01592-1)
    conflicts: bool = False  # record each task's loss and how gradients agree at each validation (`gradients.py`)
    pinned: list[str] | None = None  # SMILES to predict at each validation, beside a sample of labels (`snapshots.py`)
    logger: str | None = None  # "tensorboard" or "wandb" (offline): also log the learning curves there (`loggers.py`)
    # ---- where and how it runs: changes results by rounding only
    precision: str | int = "32"  # "32" or "bf16-mixed", as in Lightning
    compile: bool = False  # use torch.compile: starts half a minute later; on a CPU, steps are no faster
    on_device: bool = True  # a GPU with room for the training set assembles the batches itself (`batches/resident.py`)
    num_workers: int = 0  # loader processes; 0 is best unless a GPU waits for data
    accelerator: str = "auto"  # Lightning's accelerator: "cpu", "gpu" or "auto"
    devices: int | str | list[int] = 1  # devices per node; several devices use one process each
    num_nodes: int = 1  # number of machines
    strategy: str = "auto"  # Lightning's strategy; "auto" means distributed data parallel on several devices

    def __post_init__(self):
        if isinstance(self.precision, int):  # 32, the number
            object.__setattr__(self, "precision", str(self.precision))
        for name, (expected, is_right) in _RANGES.items():
            value = getattr(self, name)
            if not (value is None and name in _MAY_BE_NONE) and (value is None or not is_right(value)):
                raise InputError(f"Expected {name} to be {expected}, found {value!r}.")
        for is_wrong, message in _TOGETHER:
            if is_wrong(self):
                raise InputError(message)
        check_batches(self.batch_size, self.steps, self.fractions, self.temperature)


class UnknownSetting(InputError, TypeError):
    """A keyword that is no setting, as Python's own error for an unknown keyword."""


def sort_settings(settings: dict, *kinds: type) -> list[dict]:
    """Split settings among dataclasses: one dict for each, with the settings that are its fields.

    Raises:
        UnknownSetting: a setting belongs to none of them; the message suggests the most similar one.
    """
    known = [{item.name for item in fields(kind)} for kind in kinds]
    everything = sorted(set().union(*known))
    for name in settings:
        if name not in everything:
            hint = did_you_mean(name, everything) or f" The settings are {', '.join(everything)}."
            raise UnknownSetting(f"Unknown setting {name!r}.{hint}")
    return [{name: value for name, value in settings.items() if name in names} for names in known]
