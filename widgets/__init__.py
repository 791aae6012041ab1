"""Custom JupyterLab widgets (anywidget ES modules, no build step).

The prefix of a file names its widget: atlas, browser, lab, map, transfer, or shared by all. Files without a prefix are parts
for any widget.
"""

from molfm.widgets.atlas import LabelAtlas
from molfm.widgets.browser import MoleculeBrowser
from molfm.widgets.explore import explore
from molfm.widgets.lab import TrainingLab
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
