"""Hyperparameter search: many runs with different settings, compared by their validation labels.

Start at `molfm.tune` (`tune.py`). A search is a folder under `$MOLFM_HOME/runs/tuning` with one run folder per trial, and
`open_tuning` (`result.py`) opens it again.
"""

from molfm.tuning.result import TuningResult, open_tuning

__all__ = ["TuningResult", "open_tuning"]
