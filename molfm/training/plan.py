"""Validates a training request before it starts, and keeps everything that the check opened."""

import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment

from molfm.base.errors import InputError
from molfm.base.files import home, write_json
from molfm.base.names import listed
from molfm.batches.loaders import MixDataModule
from molfm.data.mix import Mix, load
from molfm.data.reopen import read_mix, write_mix
from molfm.nn.checkpoints import check_weights, open_checkpoint
from molfm.nn.config import ModelConfig
from molfm.training.config import TrainConfig, sort_settings
from molfm.training.loggers import check_installed
from molfm.training.losses import choose
from molfm.training.presets import settings_of
from molfm.training.recorder import is_first_process
from molfm.training.run import new_folder
from molfm.training.weights import label_weights

_VALIDATIONS = 20  # in a run with a given number of steps
_OTHER_SPLIT = 'Use another split, such as "random", or a column that says train, val or test; see molfm.load.'
FREE = ("dropout", "head_channels", "three_classes")  # settings of a network that fine-tuning may change


@dataclass(frozen=True)
class Plan:
    """A checked training request. Made by `make_plan` for a new run, by `read_plan` for one that resumes."""

    mix: Mix
    model: str  # the layer or preset that was requested
    shape: ModelConfig
    config: TrainConfig  # with numbers in place of None for its length, and task ids in `watch`
    n_labels: dict[str, int] | None
    data: MixDataModule  # loaders of `mix`
    weights: dict[str, float]  # dataset -> weight of its heads in the loss


def make_plan(
    data: str | Mix,
    model: str | None,
    tasks: Sequence[str] | None,
    epochs: int | None,
    seed: int,
    n_labels: dict[str, int] | None,
    smiles: str,
    split: str | None,
    roles: Mapping[str, object] | None,
    progress: bool,
    settings: dict,
) -> Plan:
    """Check the arguments of `molfm.train`; see there for arguments and errors."""
    named = {} if model is None else settings_of(model)
    requested = named | ({} if epochs is None else {"epochs": epochs}) | {"seed": seed} | settings
    of_model, of_training = sort_settings(requested, ModelConfig, TrainConfig)
    config = TrainConfig(**of_training)
    if config.start_from is not None:
        shape, config = _like_checkpoint(of_model, config)
    elif (shape := ModelConfig(**of_model)).network != "multitask":
        raise InputError(f"network={shape.network!r} can only be fine-tuned: add start_from={shape.network!r}.")
    choose(config.losses)
    check_installed(config.logger)
    if config.num_nodes > 1 and not launched():
        raise InputError(f"num_nodes={config.num_nodes}: start the run on every node, with torchrun or SLURM's srun.")
    if not isinstance(data, Mix):
        mix = load(data, smiles, tasks, split, progress=progress, roles=roles)
    elif split is not None or smiles != "smiles" or roles:
        raise InputError(f"{data!r} is loaded already. Give smiles, split and roles to molfm.load.")
    else:
        mix = data if tasks is None else data.select(tasks)
    for count in dict.fromkeys((n_labels or {}).values()):
        mix = mix.limit([task for task, wanted in n_labels.items() if wanted == count], count, seed)
    mix = _with_training_labels(mix)
    if tuple(settings.get("features", mix.feature_names)) != mix.feature_names:
        raise InputError(
            f"The data has the features {listed(mix.feature_names) or 'none'}, but {settings['features']} were asked for. They "
            'are columns of a table: give roles={"features": […]}.'
        )
    shape = replace(shape, features=mix.feature_names)
    weights = _head_weights(mix, config.dataset_weights)
    watched = mix.expand(config.watch) if config.watch is not None else [task.id for task in mix.chosen]
    if not len(mix.members("val", watched)):
        raise InputError(
            f"No validation labels for {listed(watched)}, so the best weights cannot be chosen. {_OTHER_SPLIT}"
        )
    config = replace(config, watch=watched)
    loaders = _loaders(mix, shape, config)
    epoch = loaders.steps_per_epoch()
    steps = config.steps or config.epochs * epoch
    every = config.validate_every or (max(1, steps // _VALIDATIONS) if config.steps else epoch)
    loaders.steps = steps
    return Plan(
        mix, model or shape.layer, shape, replace(config, steps=steps, validate_every=every), n_labels, loaders, weights
    )


def _with_training_labels(mix: Mix) -> Mix:
    """Leave out the tasks that have no training label: their predictions would be made up.

    Warns:
        UserWarning: tasks are left out; the warning lists them.
    """
    labelled = np.zeros(len(mix.chosen), bool)
    for number, _, _, split, _ in mix.label_blocks():
        labelled[number[split == 0]] = True
    if labelled.all():
        return mix
    missing = [task.id for task, there in zip(mix.chosen, labelled, strict=True) if not there]
    if not labelled.any():
        raise InputError(f"{mix!r} has no training labels. {_OTHER_SPLIT}")
    verb = "has" if len(missing) == 1 else "have"
    warnings.warn(
        f"{listed(missing, 10)} {verb} no training labels, and will neither be trained nor predicted.", stacklevel=4
    )
    return mix.select([task.id for task, there in zip(mix.chosen, labelled, strict=True) if there])


def read_plan(folder: Path, settings: dict) -> Plan:
    """Read the plan of an existing run.

    Args:
        folder: the run folder.
        settings: the content of its config.json.

    Raises:
        ValueError: its data cannot be opened again or has changed.
    """
    shape, config = (
        kind(**{item.name: settings[item.name] for item in fields(kind) if item.name in settings})
        for kind in (ModelConfig, TrainConfig)
    )
    mix = read_mix(folder, settings)
    weights = _head_weights(mix, config.dataset_weights)
    return Plan(mix, settings["model"], shape, config, settings["n_labels"], _loaders(mix, shape, config), weights)


def make_folder(plan: Plan, name: str | None) -> Path:
    """Make the run folder of a plan, with config.json in it.

    Of several processes that torchrun or SLURM started, the first one makes the folder and the others return its path.

    Raises:
        FileExistsError: a run of that name exists.
        ValueError: several processes train together, and the run has no name.
    """
    if launched():
        if name is None:
            raise InputError("Several processes train this run together and must find the same folder: add name=….")
        if not is_first_process():
            return home() / "runs" / name
    folder = new_folder(name, f"{plan.mix.name}-{plan.model}")
    packages = ("molfm", "torch", "torch-geometric", "rdkit", "lightning")
    settings = {
        **write_mix(folder, plan.mix),
        "model": plan.model,
        "n_labels": plan.n_labels,
        **asdict(plan.config),
        **asdict(plan.shape),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
    }
    write_json(folder / "config.json", settings)
    return folder


def _like_checkpoint(of_model: dict, config: TrainConfig) -> tuple[ModelConfig, TrainConfig]:
    """Return the settings of the checkpoint's network with new heads, and the training settings with its digest."""
    found = open_checkpoint(config.start_from)
    shape = asdict(found.config)
    for name, value in of_model.items():
        if name not in FREE and value != shape[name]:
            raise InputError(
                f"{name} is {shape[name]!r} in {found.origin} and cannot become {value!r}: fine-tuning may only change "
                f"{', '.join(FREE)}."
            )
    if config.freeze != "all" and config.freeze > found.config.num_layers:
        raise InputError(f"freeze={config.freeze}: {found.origin} has {found.config.num_layers} layers.")
    return ModelConfig(**shape | of_model), replace(
        config,
        start_from=found.origin,
        start_digest=check_weights(found, config.start_digest),
        start_tasks=list(dict.fromkeys([*found.tasks.task, *found.learned_before])),
    )


def _loaders(mix: Mix, shape: ModelConfig, config: TrainConfig) -> MixDataModule:
    """Return the loaders of a run."""
    names = (
        "batch_size",
        "steps",
        "seed",
        "fractions",
        "temperature",
        "watch",
        "num_workers",
        "accumulate",
        "on_device",
    )
    chosen = {name: getattr(config, name) for name in names}
    return MixDataModule(mix, encodings=shape.encodings, weights=label_weights(mix, config), **chosen)


def _head_weights(mix: Mix, given: dict[str, float] | None) -> dict[str, float]:
    """Return the weight of every dataset: 1 unless given."""
    datasets = list(dict.fromkeys(task.dataset for task in mix.chosen))
    if unknown := [name for name in given or {} if name not in datasets]:
        raise InputError(f"Unknown dataset {unknown[0]!r} in dataset_weights; expected {', '.join(datasets)}.")
    weights = {name: float((given or {}).get(name, 1.0)) for name in datasets}
    if not sum(weights.values()):
        raise InputError(f"Expected at least one weight above 0, found dataset_weights={given}.")
    return weights


def launched() -> bool:
    """Return whether this process is one of several that torchrun or SLURM started."""
    if SLURMEnvironment.detect():
        return SLURMEnvironment().world_size() > 1
    return LightningEnvironment().creates_processes_externally
