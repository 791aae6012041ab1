"""A run is a folder: everything that was set, measured and learned, in files that anything can read.

config.json          what was asked for, and the versions it ran on
status.json          state (running, finished, failed), step, total_steps, and the traceback of a failure
metrics.jsonl        one line a validation, appended while it runs
results.parquet      task, dataset, level, domain, split, metric, value, unit, n_labels, undefined, seed
predictions.parquet  split, task, mol_id, constitution, preds, target: the labels of val and test, in their units
model/               model.safetensors and model.json, the best weights
checkpoints/         Lightning's own, while it trains
"""

import json
import os
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from molfm.download import home

if TYPE_CHECKING:
    from molfm.model import MultiTaskModel


def write_json(path: Path, facts: dict) -> None:
    """Write JSON whole or not at all, so that a reader never meets half a file."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(facts, indent=1))
    temporary.replace(path)


class Run:
    """A run folder, finished or not.

    Args:
        folder: its path, or its name under `$MOLFM_HOME/runs`.

    Raises:
        FileNotFoundError: no run there.
    """

    def __init__(self, folder: str | Path):
        path = Path(folder)
        self.folder = path if (path / "config.json").exists() else home() / "runs" / path
        if not (self.folder / "config.json").exists():
            raise FileNotFoundError(f"There is no run at {path} or {self.folder}: no config.json.")

    def __repr__(self) -> str:
        status = self.status
        return f"Run({self.folder.name}: {status['state']}, step {status['step']} of {status['total_steps']})"

    @property
    def config(self) -> dict:
        """What was asked for."""
        return json.loads((self.folder / "config.json").read_text())

    @property
    def status(self) -> dict:
        """Where it stands now: state, step, total_steps, updated (seconds since 1970), error."""
        return json.loads((self.folder / "status.json").read_text())

    @property
    def metrics(self) -> pd.DataFrame:
        """The learning curves so far, a row a validation: step, train_loss, val_loss, and a column a watched metric."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return pd.DataFrame([json.loads(line) for line in lines if line.endswith("}")])

    @property
    def results(self) -> pd.DataFrame:
        """Final metrics of the best weights, a row a task, split and metric."""
        return self._table("results")

    @property
    def predictions(self) -> pd.DataFrame:
        """Predicted and measured values of the val and test labels, in their units; mol_id is a row of `Mix.molecules`."""
        return self._table("predictions")

    def _table(self, name: str) -> pd.DataFrame:
        path = self.folder / f"{name}.parquet"
        if not path.exists():
            raise FileNotFoundError(f"{self!r} has no {name} yet.")
        return pd.read_parquet(path)

    @cached_property
    def model(self) -> "MultiTaskModel":
        """The best weights, ready to predict."""
        from molfm.model import MultiTaskModel

        return MultiTaskModel.load(self.folder / "model")


def new_folder(name: str | None, prefix: str) -> Path:
    """Make the folder of a new run.

    Raises:
        FileExistsError: a run of that name exists.
    """
    folder = (
        home()
        / "runs"
        / (name or f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.time_ns() % 1000:03d}")
    )
    if (folder / "config.json").exists():
        raise FileExistsError(f"There is a run at {folder} already; choose another name, or delete that folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
