"""Opens trained models by name or folder, and copies the weights that fine-tuning starts from."""

import json
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch_geometric.data import Batch

from molfm.base.arrays import pointer
from molfm.base.errors import InputError
from molfm.base.files import home
from molfm.base.names import did_you_mean
from molfm.nn.config import ModelConfig
from molfm.nn.minimol import Minimol, load_minimol
from molfm.nn.multitask import MultiTaskModel, hash_of
from molfm.nn.predictor import Predictor

CLASSES = {"multitask": MultiTaskModel, "minimol": Minimol}  # by their names in `nn.config.NETWORKS`
FILES = files("molfm") / "checkpoint_files"
NAMES = ("minimol", "minimix-gine", "toymix-gine-40")


def new_model(config: ModelConfig, tasks: pd.DataFrame, seed: int | None = None) -> MultiTaskModel:
    """Return a network with fresh weights; see `MultiTaskModel` for the arguments."""
    return CLASSES[config.network](config, tasks, seed)


# -------------------------------------------------------------------------------------------------------- from a folder


def open_model(folder: str | Path) -> Predictor:
    """Open the model in a folder: one that `model.save` wrote, or the best weights of a finished run.

    Raises:
        FileNotFoundError: the folder contains no model.
    """
    folder = Path(folder)
    if (folder / "model.json").exists():
        return _read(folder)
    if not (folder / "model" / "model.json").exists():
        raise FileNotFoundError(f"There is no model in {folder}: expected model.json of a saved model or finished run.")
    model, own = _read(folder / "model"), folder / "specialists"
    return Specialists(own, model) if own.exists() else model


def _read(folder: Path) -> MultiTaskModel:
    """Read what `MultiTaskModel.save` wrote, onto the CPU."""
    facts = json.loads((folder / "model.json").read_text("utf-8"))
    tasks = pd.DataFrame(facts["tasks"])
    statistics = ["mean", "std", "positive_rate"]
    tasks[statistics] = tasks[statistics].astype(float)
    tasks["classes"] = tasks.classes.astype("Int64") if "classes" in tasks else pd.array([None] * len(tasks), "Int64")
    model = new_model(ModelConfig(**facts["config"]), tasks)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.origin, model.learned_before = str(folder.resolve()), facts.get("learned_before", ())
    return model.eval()


class Specialists(Predictor):
    """One model per task, with the weights of the task's own best validation; for runs with `adaptive=True`.

    Args:
        folder: the folder `specialists` of a run.
        model: the model that was best for all watched tasks together; it predicts tasks that have no weights of their
            own.
    """

    def __init__(self, folder: Path, model: MultiTaskModel):
        self.model, self.config, self.tasks = model, model.config, model.tasks
        steps = json.loads((folder / "tasks.json").read_text())
        self._models = {step: _read(folder / str(step)) for step in sorted(set(steps.values()))}
        self._model_of = [self._models[steps[task]] if task in steps else model for task in self.tasks.task]

    def values(self, batch: Batch, level: str, chosen: np.ndarray) -> Tensor:
        parts, places, columns = [], [], pointer([len(self.column_names([task])) for task in chosen])
        for model in dict.fromkeys(self._model_of[task] for task in chosen):
            mine = [place for place, task in enumerate(chosen) if self._model_of[task] is model]
            parts.append(model.values(batch, level, np.asarray(chosen)[mine]))
            places += [np.arange(columns[place], columns[place + 1]) for place in mine]
        return torch.cat(parts, dim=1)[:, np.argsort(np.concatenate(places))]

    def vectors(self, batch: Batch) -> Tensor:
        return self.model.vectors(batch)

    def column_names(self, chosen: np.ndarray) -> list[str]:
        return self.model.column_names(chosen)

    def digest(self) -> str:
        return blake2b("".join(model.digest() for model in (self.model, *self._models.values())).encode()).hexdigest()


# -------------------------------------------------------------------------------------------------------------- by name


class ModelCard(str):
    """A model card: Markdown with YAML front matter, like a data card; notebooks show it rendered."""

    def _repr_markdown_(self) -> str:
        _, front, text = self.split("---\n", 2)
        return text + "\n---\n\n" + "\n".join(f"- {line}" for line in front.splitlines())


def pretrained(name: str | Path, progress: bool = True) -> Predictor:
    """Return a trained model, ready to predict and embed.

    Args:
        name: "minimol", the published LargeMix model with all its heads (`molfm.nn.minimol`); "minimix-gine" or
            "toymix-gine-40", which come with molfm and need no download; the folder or name of a run; or a folder that
            `model.save` wrote. Named models have a model card in Markdown, `model.card`.
        progress: show a progress bar during a download.

    Raises:
        FileNotFoundError: there is no model or run with this name.
        DownloadError: the published weights could not be downloaded; the message says where to place them by hand.
    """
    if name in NAMES:
        model = load_minimol(progress) if name == "minimol" else _read(Path(str(FILES / name)))
        model.origin, model.card = name, ModelCard((FILES / name / "card.md").read_text("utf-8"))
        return model
    folders = (Path(name), home() / "runs" / name)
    for folder in folders:
        if (folder / "config.json").exists() or (folder / "model.json").exists():
            return open_model(folder)
    raise FileNotFoundError(
        f"There is no model or run at {folders[0]} or {folders[1]}.{did_you_mean(str(name), NAMES)} "
        f"Named models: {', '.join(NAMES)}."
    )


# ---------------------------------------------------------------------------------------------------------- fine-tuning


def open_checkpoint(source: str | Path | Predictor) -> MultiTaskModel:
    """Return the model to fine-tune: a given model, or the one that `pretrained` opens.

    Raises:
        FileNotFoundError, DownloadError: see `pretrained`.
        ValueError: the model has not been saved, so a resumed run could not open it again.
    """
    model = source if isinstance(source, Predictor) else pretrained(source)
    model = model.model if isinstance(model, Specialists) else model
    if model.origin is None:
        raise InputError(
            "This model has not been saved, so a resumed run could not find its weights: call model.save(folder) first."
        )
    return model


def body_hash(model: MultiTaskModel) -> str:
    """Return a hash of a model's `body`, by which a run recognizes the weights that it started from."""
    return hash_of(model.body())


def check_weights(model: MultiTaskModel, expected: str | None) -> str:
    """Return the digest of a checkpoint's `body`, after comparing it with the expected one unless that is None.

    Raises:
        ValueError: the digest differs from the expected one.
    """
    found = body_hash(model)
    if expected not in (None, found):
        raise InputError(
            f"The weights of {model.origin} have changed: their digest was {expected} and is now {found}. Restore the "
            "former weights, or start a new run."
        )
    return found


def take_over(network: MultiTaskModel, checkpoint: str, digest: str, heads: bool = False) -> None:
    """Copy the encoder and trunk of a checkpoint into a new network.

    Args:
        network: the new network; its heads stay as they are unless `heads` is set.
        checkpoint: anything that `pretrained` opens.
        digest: digest of the checkpoint's `body` when the run was planned.
        heads: also copy the heads, with the means and standard deviations that turn their outputs into units.

    Raises:
        FileNotFoundError, DownloadError: the checkpoint is no longer available.
        ValueError: its weights have changed since the run was planned; or its heads are not those of the new network.
    """
    model = open_checkpoint(checkpoint)
    check_weights(model, digest)
    there = network.state_dict().keys()
    taken = {name: weight for name, weight in model.body().items() if name in there}
    if heads:
        taken |= _head_weights(model, network)
    # Either network may lack bond vectors: when its trunk ignores bonds and it has no edge-level task.
    network.load_state_dict(taken, strict=False)


def _head_weights(model: MultiTaskModel, network: MultiTaskModel) -> dict[str, Tensor]:
    """Return the weights of a model's heads, and the units of their outputs, after checking that they fit a network."""
    names, wanted = (of.tasks[["task", "level", "kind"]].to_numpy().tolist() for of in (model, network))
    found, expected = (
        {
            name: tensor
            for name, tensor in of.state_dict().items()
            if name.startswith("heads.") or name in ("mean", "std")
        }
        for of in (model, network)
    )
    shapes, expected_shapes = ({name: tensor.shape for name, tensor in of.items()} for of in (found, expected))
    if names != wanted or shapes != expected_shapes:
        raise InputError(
            f"keep_heads: {model.origin} does not have the heads of this run. Expected the same tasks in the same order and "
            "the same head_channels. Leave out keep_heads to train new heads."
        )
    return found
