"""Trained models by name, published ones and those of folders; and what a new network takes over from one."""

from importlib.resources import files
from pathlib import Path

from molfm.inference import Predictor
from molfm.minimol import load_minimol
from molfm.model import MultiTaskModel, Specialists, hash_of
from molfm.recipe import TrainConfig
from molfm.runs import Run

FILES = files("molfm") / "checkpoint_files"
NAMES = ("minimol", "minimix-gine", "toymix-gine")


class ModelCard(str):
    """What is to be known of a model: Markdown with YAML front matter, as a data card has; a notebook shows it rendered."""

    def _repr_markdown_(self) -> str:
        _, front, text = self.split("---\n", 2)
        return text + "\n---\n\n" + "\n".join(f"- {line}" for line in front.splitlines())


def pretrained(name: str | Path, progress: bool = True) -> Predictor:
    """Return a trained model, ready to predict and embed.

    Args:
        name: "minimol", the published model of LargeMix with all its heads (`molfm.minimol`); "minimix-gine" or
            "toymix-gine", which come with molfm and need no download; a run's folder or name; or a folder that `model.save`
            wrote. Models that have a name have a model card, `model.card` (Markdown).
        progress: show a progress bar while something is downloaded.

    Raises:
        FileNotFoundError: none of these is called so.
        DownloadError: the published weights cannot be had; the message says how to place them by hand.
    """
    if name in NAMES:
        model = load_minimol(progress) if name == "minimol" else MultiTaskModel.load(FILES / name)
        model.origin, model.card = name, ModelCard((FILES / name / "card.md").read_text("utf-8"))
        return model
    if (Path(name) / "model.json").exists():
        return MultiTaskModel.load(name)
    try:
        return Run(name).model
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Models with a name: {', '.join(NAMES)}.") from error


# --------------------------------------------------------------------------------------------------------- fine-tuning


def open_checkpoint(source: str | Path | Predictor) -> MultiTaskModel:
    """Return the model to start from: one that is given, or what `pretrained` finds.

    Raises:
        FileNotFoundError, DownloadError: as of `pretrained`.
        ValueError: a model that was never saved, so that a resumed run could not find it again.
    """
    model = source if isinstance(source, Predictor) else pretrained(source)
    model = model.model if isinstance(model, Specialists) else model
    if model.origin is None:
        raise ValueError(
            "This model is in no folder, so a resumed run could not find its weights again: write it with model.save(folder)."
        )
    return model


def body_hash(model: MultiTaskModel) -> str:
    """Return a hash of a model's `body`, by which a run knows what it started from."""
    return hash_of(model.body())


def check_weights(model: MultiTaskModel, config: TrainConfig) -> str:
    """Return the digest of a checkpoint's `body`, having compared it with the one that is expected, if one is.

    Raises:
        ValueError: they are not what they were.
    """
    found = body_hash(model)
    if config.start_digest not in (None, found):
        raise ValueError(
            f"The weights of {model.origin} have changed: their digest was {config.start_digest} and is {found}. Put the "
            "former ones back, or start a new run."
        )
    return found


def take_over(network: MultiTaskModel, config: TrainConfig) -> None:
    """Give a new network the encoder and trunk of the checkpoint that its run starts from.

    Raises:
        FileNotFoundError, DownloadError: the checkpoint is not there any more.
        ValueError: its weights have changed since the run began.
    """
    model = open_checkpoint(config.start_from)
    check_weights(model, config)
    there = network.state_dict().keys()
    # Absent in one of both: bonds' vectors, where a trunk ignores them and no task is of bonds.
    network.load_state_dict({name: weight for name, weight in model.body().items() if name in there}, strict=False)
