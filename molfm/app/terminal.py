"""The terminal output of the command line: tables, findings and paths."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from molfm.app.manners import say
from molfm.base.names import minus

if TYPE_CHECKING:
    import pandas as pd

    from molfm.study.label_efficiency import LabelEfficiency
    from molfm.study.transfer import TransferResult
    from molfm.training.run import Run


_WIDE = 10_000  # columns where there is no terminal: rows in a pipe or file are not broken
_UPRIGHT = 3  # up to so many comparisons are printed as columns, to fit on a narrow terminal


def print_table(table: "pd.DataFrame", title: str = "") -> None:
    """Print a DataFrame, with decimals at three significant digits and missing values as blanks."""
    from rich.console import Console
    from rich.markup import escape  # the brackets of a SMILES are no markup
    from rich.table import Table

    rich_table = Table(title=escape(title))
    for name in table.columns:
        rich_table.add_column(
            escape(str(name)), justify="right" if table[name].dtype.kind in "fiu" else "left", overflow="fold"
        )
    for row, missing in zip(table.itertuples(index=False), table.isna().to_numpy(), strict=True):
        cells = [
            "" if absent else f"{value:.3g}" if isinstance(value, float) else str(value)
            for value, absent in zip(row, missing, strict=True)
        ]
        rich_table.add_row(*map(escape, cells))
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_WIDE)
    console.print(rich_table)


def print_markdown(text: str) -> None:
    """Render Markdown on a terminal; print its source into a pipe or file."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=min(100, Console().width))
    if console.is_terminal:
        console.print()
        console.print(Markdown(text))
    else:
        typer.echo(f"\n{text}")


def show_estimate(data: str, smiles: str) -> None:
    """Print the disk, time and memory that preparing a dataset will take (`data.estimate.estimate`)."""
    import pandas as pd

    from molfm.data.estimate import STAND_IN, estimate

    found = estimate(data, smiles)

    def texts(column: str, form: str, unit: float = 1) -> list[str]:
        return [form.format(value / unit) if value == value else "unknown" for value in found[column]]

    shown = {
        "dataset": found.dataset,
        "rows": texts("rows", "{:,.0f}"),
        "disk: store": texts("store", "{:,.0f} MB", 1e6),
        "disk: encodings": texts("encodings", "{:,.0f} MB", 1e6),
        "time": texts("seconds", "{:,.1f} min", 60),
        "peak memory": texts("memory", "{:,.0f} MB", 1e6),
        "basis": found.basis,
    }
    print_table(pd.DataFrame(shown), f"Preparing {data}: an estimate")
    if found.basis.str.startswith("other").any():
        say(
            "nothing was downloaded. For a table that is not on this disk, the estimate uses molecules of "
            f"{STAND_IN} and counts every label as measured, so a sparse table will take less."
        )


def show_run(run: "Run") -> None:
    """Print a run's test results and its folder, or how to resume it."""
    if run.status["state"] != "finished":
        return say(f"{run!r}. Resume it with: molfm train --resume {run.folder}")
    results = run.results.query("split == 'test'")
    print_table(results[["task", "metric", "value", "unit", "n_labels", "undefined"]])
    typer.echo(f"Run folder: {run.folder}")


def show_page(page: Path) -> None:
    """Print the path of a report."""
    typer.echo(f"\nReport: {Path(page).resolve()}")


def show_transfer(result: "TransferResult") -> None:
    """Print the findings of a study in words, and its main comparisons as rows (as columns, if there are few)."""
    from molfm.plots.style import METRIC_NAMES
    from molfm.study.wording import compact, findings

    shown = compact(result.table if result.means.empty else result.main)
    if len(shown) <= _UPRIGHT:
        shown = shown.T.reset_index().set_axis(["", *map(str, range(1, len(shown) + 1))], axis=1)
    for sentence, detail in findings(result):
        typer.echo(f"{sentence} {detail}".rstrip())
    metrics = ", ".join(METRIC_NAMES[name] for name in result.table.metric.unique())
    print_table(shown, f"Transfer: {metrics} on test")


def show_probe(found: "LabelEfficiency") -> None:
    """Print how a foundation model's fingerprints, the last arm, compare with each other arm."""
    from molfm.plots.style import METRIC_NAMES
    from molfm.study.wording import probe_finding

    *others, arm = found.arms
    for other in others:
        rows = found.against(other)
        rows = rows[(rows.arm == arm) & (rows.metric == rows.metric.iloc[0])]
        spans = zip(rows.difference, rows.low, rows.high, strict=True)
        rows = rows.assign(span=[minus(f"{d:+.3f} ({low:+.3f} to {high:+.3f})") for d, low, high in spans])
        names = {"n_labels": "labels", "baseline": other, "value": arm, "span": "difference (95% interval)"}
        print_table(
            rows[[*names, "verdict"]].rename(columns=names),
            f"{METRIC_NAMES[rows.metric.iloc[0]]} of {found.task.id} from few labels",
        )
        typer.echo(probe_finding(found, arm, other))
