"""The command `molfm fit`, and predictions with a fit; thin wrappers over `molfm.fit` and `FitResult.predict`."""

from pathlib import Path
from typing import Annotated

import typer

from molfm.app.manners import RESUMES, clear_errors, say
from molfm.app.options import Roles, roles
from molfm.app.terminal import print_table, show_page
from molfm.base.errors import InputError


def fit(
    data: Annotated[
        str,
        typer.Argument(
            help="a table (CSV, Parquet, Excel, SDF), name of a dataset or mix, or path of your own card (*.md)"
        ),
    ],
    target: Annotated[list[str], typer.Option("--target", help="name of the column or task to predict; repeatable")],
    smiles: Annotated[str, typer.Option(help="name of the SMILES column of a table")] = "smiles",
    split: Annotated[
        str | None,
        typer.Option(
            help="scaffold, random, cluster, group:COLUMN; or with a test set: time:COLUMN, official, or a column that says "
            "train, val or test; default: scaffold"
        ),
    ] = None,
    role: Roles = None,
    pic50: Annotated[
        bool, typer.Option("--pic50", help="learn concentrations as -log10 of them in mol/L: IC50 (nM) as pIC50")
    ] = False,
    minutes: Annotated[float, typer.Option(help="time that the command may take")] = 5.0,
    name: Annotated[
        str | None, typer.Option(help="name of the fit; default: made of the names of data and target")
    ] = None,
    seed: Annotated[int, typer.Option(help="random seed of folds and models")] = 0,
    out: Annotated[Path, typer.Option(help="file to write the report to")] = Path("report.html"),
) -> None:
    """Compare models of a table's targets, choose one, and write a report that defends it.

    The same command resumes, or adds candidates if --minutes is larger.
    """
    with clear_errors(RESUMES):
        if out.suffix != ".html":
            raise InputError(f"Expected --out as a file that ends in .html, found {out}.")
        from molfm.selection.fit import fit as run

        settings = {
            "split": split,
            "roles": roles(role),
            "pic50": pic50,
            "minutes": minutes,
            "name": name,
            "seed": seed,
        }
        found = run(data, target, smiles=smiles, **settings)
        for of, text in found.answers.items():
            shown = found.table[found.table.target == of]
            columns = {"title": "candidate", "value": shown.metric.iloc[0], "low": "low", "high": "high"}
            columns |= {"difference": "difference", "seconds": "seconds", "chosen": "chosen"}
            shown = shown[list(columns)].rename(columns=columns).assign(seconds=shown.seconds.round(1))
            print_table(shown.assign(chosen=["yes" if chosen else "" for chosen in shown.chosen]), of)
            typer.echo(text)
        for candidate, reason in found.left_out.items():
            say(f"left out: {candidate}: {reason}.")
        show_page(found.to_html(out))
        say(f"next: molfm predict {found.name} new.csv --out predictions.csv")


def is_fit(name: str) -> bool:
    """Return whether a name or folder is a fit, not a run or model."""
    from molfm.base.files import home

    return any((folder / "fit.json").exists() for folder in (Path(name), home() / "fits" / name))


def like_a_fit(name: str) -> str:
    """Return a hint that names the most similar fit, or an empty string."""
    from molfm.base.files import home
    from molfm.base.names import did_you_mean

    return did_you_mean(name, [path.parent.name for path in (home() / "fits").glob("*/fit.json")])


def predict_with_fit(
    name: str, given: list[str], level: str, column: str, tasks: list[str] | None, out: Path | None
) -> None:
    """Predict with a fit: a file if `out` is given, else a table on the terminal.

    Raises:
        ValueError: see `FitResult.predict`; or `tasks` are named, of which a fit has only its targets.
    """
    from molfm.data.own_table import is_table
    from molfm.selection.result import open_fit

    if tasks or level != "graph":
        raise InputError("A fit predicts all its targets, one value per molecule: leave out --task and --level.")
    found = open_fit(name)
    one_table = len(given) == 1 and is_table(given[0])
    if one_table and out is None:
        raise InputError(f"Predictions of {given[0]} are written to a file. Add --out predictions.csv.")
    made = found.predict(given[0] if one_table else given, out, column if column != "smiles" else None)
    if out is not None:
        return typer.echo(f"Written to {made}")
    print_table(made.T.reset_index().set_axis(["", *map(str, made.index)], axis=1))
