"""Trained models by name: published ones, and those of run folders."""

from pathlib import Path
from typing import TYPE_CHECKING

from molfm.runs import Run

if TYPE_CHECKING:
    from molfm.inference import Predictor

PUBLISHED = ("minimol",)


def pretrained(name: str | Path, progress: bool = True) -> "Predictor":
    """Return a trained model, ready to predict and embed.

    Args:
        name: "minimol", the published model of LargeMix with all its heads (`molfm.minimol`); or a run's folder or name.
        progress: show a progress bar while something is downloaded.

    Raises:
        FileNotFoundError: neither is called so.
        DownloadError: the published weights cannot be had; the message says how to place them by hand.
    """
    if name in PUBLISHED:
        from molfm.minimol import load_minimol

        return load_minimol(progress)
    try:
        return Run(name).model
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Published models: {', '.join(PUBLISHED)}.") from error
