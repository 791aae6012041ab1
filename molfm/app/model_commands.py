"""The commands that use a trained model: predict and embed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molfm.app.fit_command import is_fit, like_a_fit, predict_with_fit
from molfm.app.manners import RESUMES, clear_errors
from molfm.app.options import Column
from molfm.app.terminal import print_table
from molfm.base.errors import InputError

if TYPE_CHECKING:
    from molfm.data.tables import SmilesTable


Model = Annotated[
    str, typer.Argument(help="name or folder of a run or fit, or minimol, the published model of LargeMix")
]
Input = Annotated[list[str], typer.Argument(help="SMILES, or a table of them (CSV, Parquet, Excel, SDF)")]


def _given(texts: list[str], column: str) -> "list[str] | SmilesTable":
    from molfm.data.own_table import is_table
    from molfm.data.tables import SmilesTable

    return SmilesTable(Path(texts[0]), column) if len(texts) == 1 and is_table(texts[0]) else texts


def predict(
    model: Model,
    smiles: Input,
    level: Annotated[str, typer.Option(help="graph, node or edge")] = "graph",
    tasks: Annotated[list[str] | None, typer.Option("--task", help="name of a task; repeatable; default: all")] = None,
    column: Column = "smiles",
    out: Annotated[
        Path | None, typer.Option(help="write this file (.parquet or .csv) instead of printing a table")
    ] = None,
) -> None:
    """Predict tasks of one level, in physical units where these are known.

    The columns of a table are kept beside its predictions. With --out, millions of molecules take no more memory than some
    thousands, and an interrupted command resumes. A fit (of molfm fit) adds intervals and the nearest training molecules.
    """
    with clear_errors(RESUMES if out is not None else ""):
        if is_fit(model):
            return predict_with_fit(model, smiles, level, column, tasks, out)
        from molfm.nn.checkpoints import pretrained

        given = _given(smiles, column)
        if given is not smiles and out is None:
            raise InputError(f"Predictions of {smiles[0]} are written to a file. Add --out predictions.parquet.")
        try:
            found = pretrained(model)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}{like_a_fit(model)}") from error
        if out is not None:
            return typer.echo(f"Written to {found.predict(given, level, tasks, out)}")
        table = found.predict(given, level, tasks)
        print_table(table.T.reset_index().set_axis(["", *map(str, table.index)], axis=1) if level == "graph" else table)


def embed(
    model: Model,
    smiles: Input,
    out: Annotated[Path, typer.Option(help="Parquet file to write, with columns mol_id, smiles and embedding")],
    column: Column = "smiles",
) -> None:
    """Write the vectors that a model's graph heads read, such as MiniMol's fingerprints."""
    with clear_errors(RESUMES):
        from molfm.nn.checkpoints import pretrained

        typer.echo(f"Written to {pretrained(model).embed(_given(smiles, column), out)}")
