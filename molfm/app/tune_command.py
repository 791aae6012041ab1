"""The command `molfm tune`; a thin wrapper over `molfm.tune`."""

from pathlib import Path
from typing import Annotated

import typer

from molfm.app.manners import RESUMES, clear_errors, say
from molfm.app.options import Column, Data, Pic50, Roles, Set, Split, choices, named, roles, value
from molfm.app.terminal import print_table, show_page


def tune(
    data: Data,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=LOW..HIGH or NAME=A,B,C: what a setting may be, such as learning_rate=1e-4..1e-2; repeatable; default: six "
            "settings of network and training"
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="task, dataset, or dataset/level; repeatable; default: all")
    ] = None,
    trials: Annotated[int, typer.Option(help="number of trials in total")] = 20,
    minutes: Annotated[float | None, typer.Option(help="time after which no more trials start")] = None,
    workers: Annotated[
        int | None, typer.Option(help="trials that run at the same time; default: one per core, or one on a GPU")
    ] = None,
    no_pruning: Annotated[bool, typer.Option("--no-pruning", help="finish trials that fall behind, too")] = False,
    others: Set = None,
    seed: Annotated[int, typer.Option(help="random seed of the search and of every run")] = 0,
    smiles: Column = "smiles",
    split: Split = None,
    role: Roles = None,
    pic50: Pic50 = None,
    name: Annotated[
        str | None, typer.Option(help="name of the search; default: made of the names of data and tasks")
    ] = None,
    out: Annotated[Path, typer.Option(help="file to write the report to")] = Path("tuning.html"),
) -> None:
    """Search for settings of training that give the lowest validation loss, and write a report.

    The same command resumes. In several processes, or on machines with a common $MOLFM_HOME, it works on one search together.
    """
    with clear_errors(RESUMES):
        from molfm.tuning.tune import tune as run

        if pic50:
            tasks = {task: {} for task in tasks or ()} | {column: {"pic50": True} for column in pic50}
        found = run(
            data,
            named("vary", vary, "VALUES", choices) if vary else None,
            trials,
            tasks=tasks,
            minutes=minutes,
            workers=workers,
            prune=not no_pruning,
            seed=seed,
            smiles=smiles,
            split=split,
            roles=roles(role),
            name=name,
            **named("set", others or [], "VALUE", value),
        )
        print_table(
            found.table.drop(columns=["run"] if found.table.error.any() else ["run", "error"]), found.folder.name
        )
        if len(found.test):
            print_table(found.test, "test scores")
        typer.echo(found.answer)
        show_page(found.to_html(out))
        if (found.table.state == "finished").any():
            say(f"next: {found.command}")
