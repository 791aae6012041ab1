"""Custom JupyterLab widgets: one .py, .js and .css side by side each (anywidget ES modules, no build step)."""

from molfm.widgets.atlas import LabelAtlas
from molfm.widgets.browser import MoleculeBrowser
from molfm.widgets.shared import Selection

__all__ = ["LabelAtlas", "MoleculeBrowser", "Selection"]
