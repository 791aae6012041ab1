"""What a search found, and its report."""

import html
import json
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from molfm.base.errors import InputError
from molfm.base.files import home, write_text
from molfm.base.names import did_you_mean, minus
from molfm.plots.page import figure_html, page_html, table_html
from molfm.plots.tuning import losses_by_setting
from molfm.training.recipe import command
from molfm.training.run import Run
from molfm.tuning.scores import COLUMNS, compare_tests
from molfm.tuning.space import Choices, is_log, rounded

if TYPE_CHECKING:
    import plotly.graph_objects as go

FOLDER = "tuning"  # under `$MOLFM_HOME/runs`; each search is a folder of it
REQUEST = "tuning.json"  # in the folder of a search: what was asked
STATES = {"COMPLETE": "finished", "PRUNED": "ended early", "FAIL": "failed"}  # Optuna's words -> ours; others: running


@dataclass(frozen=True, repr=False)
class TuningResult:
    """A search. Made by `molfm.tune`; opened again with `molfm.tuning.open_tuning(name)`.

    Attributes:
        folder: the folder of the search, with one run folder per trial.
        asked: what was asked: data, tasks, space, settings, defaults and seed.
        table: one row per trial: trial, state (finished, ended early, failed or running), val_loss (the lowest of
            its validations), default (whether it has the default settings), one column per varied setting,
            seconds, run (its name) and error (why it failed, or "").
    """

    folder: Path
    asked: dict
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"TuningResult({self.folder.name}: {len(self.table)} trials)"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.answer)}</p>{table_html(self._shown())}"

    def _shown(self) -> pd.DataFrame:
        """Return the table as a page shows it."""
        table = self.table.drop(columns=["error"]) if (self.table.error == "").all() else self.table
        texts = {
            name: [f"{value:.4g}" if isinstance(value, float) else str(value) for value in table[name]]
            for name in table
        }
        return pd.DataFrame(texts | {"default": ["yes" if default else "" for default in table.default]})

    @property
    def space(self) -> dict[str, Choices]:
        """The space: setting -> a list of values, or (low, high)."""
        return {name: tuple(of["range"]) if "range" in of else of["values"] for name, of in self.asked["space"].items()}

    def _finished(self) -> pd.DataFrame:
        """Return the finished trials, the best first."""
        found = self.table[self.table.state == "finished"]
        if found.empty:
            raise InputError(f"No trial of {self.folder.name} has finished.")
        return found.sort_values("val_loss", kind="stable")

    @property
    def best(self) -> Run:
        """The finished run with the lowest validation loss.

        Raises:
            ValueError: no trial has finished.
        """
        return Run(self._finished().run.iloc[0])

    @property
    def settings(self) -> dict:
        """The settings of the best run, as `molfm.train` takes them.

        Raises:
            ValueError: no trial has finished.
        """
        config = self.best.config
        varied = {name: config[name] for name in self.space}
        return self.asked["settings"] | varied | {"seed": self.asked["seed"]}

    @property
    def answer(self) -> str:
        """What the search found, in a few sentences."""
        counts = self.table.state.value_counts()
        parts = [f"{counts[state]} {state}" for state in (*STATES.values(), "running") if counts.get(state)]
        text = f"{len(self.table)} trials: {', '.join(parts)}."
        if not counts.get("finished"):
            return text
        found = self._finished()
        text += f" The lowest validation loss is {found.val_loss.iloc[0]:.4g}, of trial {found.trial.iloc[0]}"
        if found.default.iloc[0]:
            text += ", which has the default settings: the search found nothing better."
        elif found.default.any():
            text += f"; with the default settings it is {found.val_loss[found.default].iloc[0]:.4g}."
        else:
            text += "."
        return minus(f"{text} The lowest of many losses is too low by chance, so judge the settings by test scores.")

    @cached_property
    def test(self) -> pd.DataFrame:
        """Test scores of the best run beside those of the default settings; the search has not looked at them.

        One row per regression or binary task (of more than 12, one per dataset, level and metric, averaged): task, metric (r2
        or auroc), n_labels, default, best, difference, low and high, its 95% interval over test molecules. Other seeds
        would scatter as well. Empty if the default settings were not tried, or are the best.
        """
        found = self._finished()
        if found.default.iloc[0] or not found.default.any():
            return pd.DataFrame(columns=list(COLUMNS))
        return compare_tests(Run(found.run[found.default].iloc[0]), self.best)

    @property
    def command(self) -> str:
        """The command that trains with the best settings."""
        return command(self.asked["data"], {"tasks": self.asked["named"]} | self.settings)

    @property
    def figure(self) -> "go.Figure":
        """The validation loss of each trial, by its number and by each setting."""
        logarithmic = [name for name, values in self.space.items() if is_log(values)]
        return losses_by_setting(self.table, list(self.space), logarithmic)

    def to_html(self, path: str | Path = "tuning.html") -> Path:
        """Write the report as one page that needs no network, and return its path."""
        parts = [
            f"<h1>Settings for {html.escape(self.folder.name)}</h1>",
            f"<p class='finding'>{html.escape(self.answer)}</p>",
            "<h2>What each setting did</h2>",
            "<p>One point per trial. An open point is a trial that ended early, with the lowest loss up to then. The square is "
            "the default, the star the best. Look for a slope: without one, a setting hardly matters in this range.</p>",
            figure_html(self.figure, "validation loss of each trial, by number and by each setting"),
        ]
        if len(self.test):
            rows = self.test.round(3).map(lambda value: minus(str(value)))
            parts += [
                "<h2>Test scores</h2>",
                "<p>The search has not looked at these labels. The interval (95%) is over test molecules; another seed would "
                "change the scores as well.</p>",
                table_html(rows),
            ]
        if (self.table.state == "finished").any():
            parts += ["<h2>Train with the best settings</h2>", f"<pre>{html.escape(self.command)}</pre>"]
            parts += ["<p>Or predict with the best run itself:</p>"]
            words = ["molfm", "predict", self._finished().run.iloc[0], "new.csv", "--out", "predictions.csv"]
            parts += [f"<pre>{html.escape(shlex.join(words))}</pre>"]
        parts += ["<h2>All trials</h2>", table_html(self._shown())]
        write_text(Path(path), page_html(f"Settings for {self.folder.name}", parts))
        return Path(path)


def open_tuning(name: str | Path) -> TuningResult:
    """Open a search again, by its name or folder.

    Raises:
        FileNotFoundError: there is no search of this name.
    """
    from molfm.tuning.trials import ERROR, Trials

    parent = home() / "runs" / FOLDER
    folder = next((of for of in (Path(name), parent / name) if (of / REQUEST).exists()), None)
    if folder is None:
        known = [path.parent.name for path in parent.glob(f"*/{REQUEST}")]
        raise FileNotFoundError(f"There is no search at {name} or {parent / name}.{did_you_mean(str(name), known)}")
    asked = json.loads((folder / REQUEST).read_text("utf-8"))
    trials, rows = Trials(folder), []
    for trial in trials:
        run = trials.run(trial.number)
        row = {"trial": trial.number, "state": STATES.get(trial.state.name, "running")}
        lowest = min(trial.intermediate_values.values(), default=float("nan"))
        row["val_loss"] = trial.value if row["state"] == "finished" else lowest
        row["default"] = asked["defaults"] is not None and trial.number == 0
        row |= rounded(trial.params)
        row["seconds"] = float("nan") if run is None else round(run.status["seconds"], 1)
        row["run"] = "" if run is None else trials.run_name(trial.number)
        rows.append(row | {"error": trial.user_attrs.get(ERROR, "")})
    return TuningResult(folder, asked, pd.DataFrame(rows))
