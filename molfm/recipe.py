"""How a model is trained: every setting in one dataclass, checked, and written into a run's config.json."""

from dataclasses import dataclass, fields
from difflib import get_close_matches

SCHEDULES = ("cosine", "linear")
PRECISIONS = ("32", "bf16-mixed")


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run; each is a keyword of `molfm.train` and `molfm.start`.

    The recipe of the paper (arXiv 2310.04292) is Adam at 1e-4 with 10 epochs of warm-up out of 300 and a linear decay to
    zero: `learning_rate=1e-4, weight_decay=0, schedule="linear", warmup=10 / 300, epochs=300`.

    Raises:
        ValueError: settings that are out of range or do not go together.
    """

    # ---- length
    epochs: int = 20  # passes over all molecules with a training label
    steps: int | None = None  # optimizer steps in all, in place of epochs; needed with a batch size a dataset
    validate_every: int | None = (
        None  # steps between validations; None: an epoch, or a twentieth of a run of given steps
    )
    patience: int | None = None  # validations without a lower loss after which the run ends early; None: never
    # ---- what a step sees
    batch_size: int | dict[str, int] = 128  # molecules a step, over all devices; or molecules a step from each dataset
    accumulate: int = 1  # batches that a step is cut into, to fit in memory; the gradients are those of the whole
    fractions: dict[str, float] | None = None  # dataset -> part of it that an epoch takes; of those not named, all
    temperature: float | None = None  # evens out the sizes of the datasets in an epoch, see `samplers.shares`
    seed: int = 0  # of the initial weights, the order of molecules, the choice of labels and dropout
    # ---- what it starts from
    start_from: str | None = None  # a checkpoint, see `molfm.finetune`; None: fresh weights
    start_digest: str | None = None  # of its weights, so that a change is noticed; None: whatever they are
    start_tasks: list[str] | None = None  # what it has learned before, as the checkpoint says; nothing to choose
    freeze: int | str = 0  # layers from the bottom that stay as they are, with the encoder; "all": all but heads
    layer_decay: float = 1.0  # factor of the learning rate from each layer to the one below; heads have the full one
    # ---- what is minimized, and how
    losses: dict[str, str] | None = None  # kind of task -> its loss, see `losses.LOSSES`; not named: the published ones
    dataset_weights: dict[str, float] | None = None  # dataset -> weight of its heads' losses in the mean; not named: 1
    learning_rate: float = 1e-3  # the highest of the schedule
    weight_decay: float = 1e-5  # AdamW's
    schedule: str = "cosine"  # how the learning rate falls to zero after the warm-up: "cosine" or "linear"
    warmup: float = 0.1  # part of the steps in which the learning rate rises
    gradient_clip: float | None = 1.0  # largest norm of the gradient; None: any
    # ---- what is kept
    watch: list[str] | None = (
        None  # tasks whose validation loss chooses the best weights; None: all, a head an equal part
    )
    adaptive: bool = False  # each task keeps the weights of its own best validation (doi 10.1038/s42004-025-01592-1)
    conflicts: bool = False  # note at each validation how the heads' gradients agree on the trunk, see `gradients.py`
    # ---- where and how it runs: nothing here changes what is computed but for rounding
    precision: str = "32"  # "32" or "bf16-mixed", as Lightning has them
    compile: bool = False  # torch.compile: half a minute to begin with, and on a CPU no faster a step afterwards
    num_workers: int = 0  # loader processes; 0 is right until a GPU waits
    accelerator: str = "auto"  # Lightning's: "cpu", "gpu", "auto"
    devices: int | str | list[int] = 1  # of each node; several mean a process each
    num_nodes: int = 1  # machines
    strategy: str = "auto"  # Lightning's; "auto" is distributed data parallel where there are several devices

    def __post_init__(self):
        if (self.epochs if self.steps is None else self.steps) < 1:
            raise ValueError(f"Expected epochs or steps of 1 or more, found epochs={self.epochs}, steps={self.steps}.")
        by_dataset = isinstance(self.batch_size, dict)
        if by_dataset and self.steps is None:
            raise ValueError("A batch size for each dataset needs `steps`: its streams have no common epoch.")
        if by_dataset and (self.fractions or self.temperature):
            raise ValueError("A batch size for each dataset leaves no room for fractions or a temperature.")
        least = {
            "batch_size": min(self.batch_size.values(), default=0) if by_dataset else self.batch_size,
            **{name: getattr(self, name) for name in ("validate_every", "patience", "accumulate", "num_nodes")},
        }
        for name, value in least.items():
            if value is not None and value < 1:
                raise ValueError(f"Expected {name} of 1 or more, found {value}.")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"Unknown {name} {getattr(self, name)!r}; expected one of {', '.join(known)}.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"Expected warmup as a part of the steps, in [0, 1), found {self.warmup}.")
        if self.learning_rate <= 0 or self.weight_decay < 0 or (self.gradient_clip or 1) <= 0 or self.num_workers < 0:
            raise ValueError(
                "Expected learning_rate and gradient_clip above 0, weight_decay and num_workers of 0 or more, found "
                f"{self.learning_rate}, {self.gradient_clip}, {self.weight_decay}, {self.num_workers}."
            )
        if self.start_from is None and (self.freeze or self.layer_decay != 1):
            raise ValueError("freeze and layer_decay are for fine-tuning: they need a checkpoint, start_from=….")
        if self.freeze != "all" and (not isinstance(self.freeze, int) or self.freeze < 0):
            raise ValueError(f'Expected freeze as a number of layers or "all", found {self.freeze!r}.')
        if self.conflicts and self.compile:
            raise ValueError("conflicts needs gradients that a compiled network does not keep: leave compile out.")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"Expected layer_decay above 0 and up to 1, found {self.layer_decay}.")
        if any(weight < 0 for weight in (self.dataset_weights or {}).values()):
            raise ValueError(f"Expected dataset_weights of 0 or more, found {self.dataset_weights}.")


def sort_settings(settings: dict, *kinds: type) -> list[dict]:
    """Return, for each of some dataclasses, those settings that are its fields.

    Raises:
        TypeError: a setting that none of them has, with the nearest that there is.
    """
    known = [{item.name for item in fields(kind)} for kind in kinds]
    for name in settings:
        if not any(name in names for names in known):
            everything = sorted(set().union(*known))
            near = get_close_matches(name, everything, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(everything)}."
            raise TypeError(f"Unknown setting {name!r}. {hint}")
    return [{name: value for name, value in settings.items() if name in names} for names in known]
