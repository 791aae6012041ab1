"""The course's checked exercises. `check` says whether an answer is right and, if it is not, what to look at."""

import plotly.io

from molfm.lessons.checks import budget, check, progress, reveal
from molfm.plots.style import SERIES_COLORS

# Figures that a lesson makes with plotly express look like those of the library.
plotly.io.templates["molfm"] = {"layout": {"colorway": SERIES_COLORS, "height": 380}}
plotly.io.templates.default = "plotly_white+molfm"

__all__ = ["budget", "check", "progress", "reveal"]
