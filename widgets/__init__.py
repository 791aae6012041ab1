"""Custom JupyterLab widgets (anywidget ES modules, no build step).

The prefix of a file names its widget: atlas, browser, lab, map, transfer, or shared by all. Files without a prefix are parts
for any widget.
"""

from molfm.widgets.atlas import LabelAtlas
from molfm.widgets.browser import MoleculeBrowser
from molfm.widgets.explore import explore
from molfm.widgets.map import EmbeddingMap
from molfm.widgets.molecule3d import Molecule3D
from molfm.widgets.shared import Selection, link
from molfm.widgets.transfer import TransferExplorer

__all__ = [
    "EmbeddingMap",
    "LabelAtlas",
    "Molecule3D",
    "MoleculeBrowser",
    "Selection",
    "TrainingLab",
    "TransferExplorer",
    "explore",
    "link",
]


def __getattr__(name: str):
    if name != "TrainingLab":
        raise AttributeError(f"module 'molfm.widgets' has no attribute {name!r}")
    from molfm.widgets.lab import TrainingLab  # imports torch, which looking at data and results does not need

    globals()[name] = TrainingLab
    return TrainingLab
