"""From a chemist's table to a model one can defend: candidates, folds, choice, report.

Start at `molfm.fit` (`fit.py`). What a fit keeps is a folder under `$MOLFM_HOME/fits`, opened by `open_fit` (`result.py`).
"""

from molfm.selection.result import FitResult, open_fit

__all__ = ["FitResult", "open_fit"]
