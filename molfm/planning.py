"""What a run is to be, checked before it begins: its data, the shape of its network and every setting, as numbers."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment

from molfm.batch import MixDataModule
from molfm.checkpoints import check_weights, open_checkpoint
from molfm.losses import choose
from molfm.mix import Mix, load
from molfm.model import ModelConfig
from molfm.presets import settings_of
from molfm.recipe import TrainConfig, sort_settings
from molfm.runs import new_folder, write_json, write_mix

_VALIDATIONS = 20  # in a run of given steps
_FREE = ("dropout", "head_channels", "three_classes")  # what of its shape a checkpoint leaves to choose


@dataclass(frozen=True)
class Plan:
    """A run that was checked and can begin."""

    mix: Mix
    model: str
    shape: ModelConfig
    config: TrainConfig  # with numbers in place of None for its length, and task ids in `watch`
    n_labels: dict[str, int] | None

    def make_folder(self, name: str | None) -> Path:
        """Make the run folder, with config.json in it.

        Raises:
            FileExistsError: a run of that name exists.
        """
        folder = new_folder(name, f"{self.mix.name}-{self.model}")
        settings = {
            **write_mix(folder, self.mix),
            "model": self.model,
            "n_labels": self.n_labels,
            **asdict(self.config),
            **asdict(self.shape),
            "threads": torch.get_num_threads(),
            "versions": {p: version(p) for p in ("molfm", "torch", "torch-geometric", "rdkit", "lightning")}
            | {"python": platform.python_version()},
        }
        write_json(folder / "config.json", settings)
        return folder


def make_plan(
    data: str | Mix,
    model: str | None,
    tasks: Sequence[str] | None,
    epochs: int | None,
    seed: int,
    n_labels: dict[str, int] | None,
    progress: bool,
    settings: dict,
) -> Plan:
    """Check what `training.train` was asked for; see there for arguments and errors."""
    named = {} if model is None else settings_of(model)
    chosen = named | ({} if epochs is None else {"epochs": epochs}) | {"seed": seed} | settings
    of_model, of_training = sort_settings(chosen, ModelConfig, TrainConfig)
    config = TrainConfig(**of_training)
    if config.start_from is not None:
        shape, config = _like_checkpoint(of_model, config)
    elif (shape := ModelConfig(**of_model)).network != "multitask":
        raise ValueError(f"network={shape.network!r} is there to be fine-tuned only: start_from={shape.network!r}.")
    choose(config.losses)
    if config.num_nodes > 1 and not launched():
        raise ValueError(f"num_nodes={config.num_nodes}: start it on every node, with torchrun or SLURM's srun.")
    mix = data if isinstance(data, Mix) else load(data, progress=progress)
    if tasks is not None:
        mix = mix.select(tasks)
    for task, count in (n_labels or {}).items():
        mix = mix.limit(task, count, seed)
    head_weights(mix, config.dataset_weights)
    watched = mix.expand(config.watch) if config.watch is not None else [task.id for task in mix.chosen]
    if not len(mix.members("train")):
        raise ValueError(f"{mix!r} has no training labels.")
    if not len(mix.members("val", watched)):
        raise ValueError(f"No validation labels for {', '.join(watched[:5])}: nothing could choose the best weights.")
    an_epoch = make_datamodule(mix, shape, config).steps_an_epoch()
    steps = config.steps or config.epochs * an_epoch
    every = config.validate_every or (max(1, steps // _VALIDATIONS) if config.steps else an_epoch)
    config = replace(config, steps=steps, validate_every=every, watch=watched)
    return Plan(mix, model or shape.layer, shape, config, n_labels)


def _like_checkpoint(of_model: dict, config: TrainConfig) -> tuple[ModelConfig, TrainConfig]:
    """Return the shape of the checkpoint's network under new heads, and the settings with its weights named for good."""
    found = open_checkpoint(config.start_from)
    shape = asdict(found.config)
    for name, value in of_model.items():
        if name not in _FREE and value != shape[name]:
            raise ValueError(
                f"{name} is {shape[name]!r} in {found.origin} and cannot be {value!r}: a checkpoint leaves only "
                f"{', '.join(_FREE)} to choose."
            )
    if config.freeze != "all" and config.freeze > found.config.num_layers:
        raise ValueError(f"freeze={config.freeze}: {found.origin} has {found.config.num_layers} layers.")
    return ModelConfig(**shape | of_model), replace(
        config,
        start_from=found.origin,
        start_digest=check_weights(found, config),
        start_tasks=list(dict.fromkeys([*found.tasks.task, *found.learned_before])),
    )


def make_datamodule(mix: Mix, shape: ModelConfig, config: TrainConfig) -> MixDataModule:
    """Return what a run reads, in the order that its settings say."""
    names = ("batch_size", "steps", "seed", "fractions", "temperature", "watch", "num_workers", "accumulate")
    return mix.datamodule(encodings=shape.encodings, **{name: getattr(config, name) for name in names})


def head_weights(mix: Mix, weights: dict[str, float] | None) -> dict[str, float]:
    """Return the weight of every dataset, and check those that are given."""
    datasets = list(dict.fromkeys(task.dataset for task in mix.chosen))
    if unknown := [name for name in weights or {} if name not in datasets]:
        raise ValueError(f"Unknown dataset {unknown[0]!r} in dataset_weights; expected {', '.join(datasets)}.")
    found = {name: float((weights or {}).get(name, 1.0)) for name in datasets}
    if not sum(found.values()):
        raise ValueError(f"Expected a dataset with a weight above 0, found dataset_weights={weights}.")
    return found


def launched() -> bool:
    """Return whether this process is one of several that torchrun or SLURM started."""
    if SLURMEnvironment.detect():
        return SLURMEnvironment().world_size() > 1
    return LightningEnvironment().creates_processes_externally
