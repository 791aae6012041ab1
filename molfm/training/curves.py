"""Learning curves: the file they are written to, the names of its columns, and tables made from several runs."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from molfm.base.files import write_text
from molfm.catalog.schema import LEVELS
from molfm.training.metrics import PRIMARY

FILE = "metrics.jsonl"  # in a run folder
FIRST = ("step", "train_loss", "val_loss")  # columns that every run has
COSINE = "cosine "  # starts the column of two heads' gradients: `cosine HEAD HEAD`, see `gradients.py`
TASK_COSINE = "task cosine "  # starts the column of two tasks, whose names may contain spaces: a tab separates them
MOST_TASKS = 12  # losses of more tasks are shown per head

_HEAD = rf".+?/(?:{'|'.join(LEVELS)})"
_PAIR = re.compile(rf"{COSINE}({_HEAD}) ({_HEAD})")


def read_metrics(folder: Path) -> pd.DataFrame:
    """Return the learning curves of a run so far, one row per validation; see `Run.metrics`."""
    path = folder / FILE
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    # A line without its closing brace is still being written.
    found = pd.DataFrame([json.loads(line) for line in lines if line.endswith("}")])
    return found if len(found) else pd.DataFrame(columns=list(FIRST))


def append_metrics(folder: Path, line: dict[str, float]) -> None:
    """Add one validation to the learning curves of a run."""
    with open(folder / FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def cut_metrics(folder: Path, step: int) -> None:
    """Remove the validations after a step: a run that resumes there repeats them."""
    path = folder / FILE
    if path.exists():
        lines = [line for line in path.read_text("utf-8").splitlines() if line.endswith("}")]
        write_text(path, "".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= step))


def mean_metrics(folders: Sequence[str | Path]) -> pd.DataFrame:
    """Return the learning curves of runs by step, averaged over the runs."""
    return pd.concat([read_metrics(Path(folder)) for folder in folders]).groupby("step").mean()


def task_curve(metrics: pd.DataFrame, kinds: Mapping[str, str]) -> pd.Series:
    """Return the validation metric at each row of a run's learning curves, averaged over tasks.

    Args:
        metrics: from `read_metrics`.
        kinds: id of a task -> its kind; tasks without a curve do not count, and NaN stands for none.
    """
    names = [f"{task}/{PRIMARY[kind]}" for task, kind in kinds.items()]
    return metrics.reindex(columns=[name for name in names if name in metrics]).mean(axis=1)


def head_cosines(folders: Sequence[str | Path]) -> pd.DataFrame:
    """Return cosines between the gradients of heads by step, averaged over runs; one column per pair of heads."""
    curves = mean_metrics(folders)
    pairs = _head_pairs(curves)
    return curves[list(pairs)].set_axis([" and ".join(pair) for pair in pairs.values()], axis=1)


def mean_cosines(folders: Sequence[str | Path]) -> pd.DataFrame:
    """Return cosines between gradients, averaged over training: one row per run and pair (one, other, cosine).

    Pairs are of tasks if the runs recorded them, else of heads.
    """
    means = pd.DataFrame([read_metrics(Path(folder)).mean() for folder in folders])
    columns = [name for name in means if name.startswith(TASK_COSINE)]
    pairs = {name: tuple(name.removeprefix(TASK_COSINE).split("\t")) for name in columns} or _head_pairs(means)
    rows = [(*pair, value) for name, pair in pairs.items() for value in means[name].dropna()]
    return pd.DataFrame(rows, columns=["one", "other", "cosine"])


def loss_curves(folders: Sequence[str | Path]) -> pd.DataFrame:
    """Return validation losses by step, averaged over runs: one column per task, or per head above `MOST_TASKS`."""
    curves = mean_metrics(folders)
    tasks = curves.filter(regex="/loss$").rename(columns=lambda name: name.removesuffix("/loss"))
    if tasks.shape[1] <= MOST_TASKS:
        return tasks
    return curves.filter(regex="^val_loss ").rename(columns=lambda name: name.removeprefix("val_loss "))


def _head_pairs(metrics: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the columns about two heads' gradients, each with the names of the two."""
    found = [_PAIR.fullmatch(name) for name in metrics]
    return {match[0]: (match[1], match[2]) for match in found if match}
