"""The command line. Each command is a thin wrapper over one function; `manners.py` says how it ends."""

import json
import os
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from molfm.app.fit_command import fit
from molfm.app.manners import RESUMES, clear_errors, say
from molfm.app.model_commands import embed, predict
from molfm.app.options import (
    Column,
    Data,
    Pic50,
    Roles,
    Set,
    Split,
    count_or_counts,
    counts,
    named,
    number_of_labels,
    roles,
    value,
)
from molfm.app.terminal import (
    print_markdown,
    print_table,
    show_estimate,
    show_page,
    show_probe,
    show_run,
    show_transfer,
)
from molfm.app.tune_command import tune
from molfm.base.errors import InputError

app = typer.Typer(no_args_is_help=True, add_completion=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        from molfm import __version__

        typer.echo(f"molfm {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="print the version and exit")
    ] = False,
) -> None:
    """Multi-task molecular foundation models, notebook-first."""


@app.command()
def cards(
    name: Annotated[str | None, typer.Argument(help="name of a dataset or mix; leave it out to list all")] = None,
    croissant: Annotated[bool, typer.Option("--croissant", help="print Croissant metadata (JSON-LD)")] = False,
) -> None:
    """List the data cards, or show one."""
    with clear_errors():
        from molfm.catalog.shipped import card
        from molfm.catalog.shipped import cards as all_cards

        if name is None:
            if croissant:
                raise InputError("--croissant describes one card. Name it, as in: molfm cards b3db --croissant")
            return print_table(all_cards())
        found = card(name)
        if croissant:
            from molfm.catalog.croissant import to_croissant

            return typer.echo(json.dumps(to_croissant(found), indent=2, ensure_ascii=False))
        typer.echo(f"{found.title or found.name}\n")
        for key, value in found.facts().items():
            typer.echo(f"{key}: {value}")
        if found.tasks:
            print_table(found.table())
        print_markdown(found.text)


@app.command()
def fetch(
    data: Annotated[str, typer.Argument(help="name of a dataset or mix, or path of your own card (*.md)")],
) -> None:
    """Download the tables and official splits of a dataset or mix, and print where they are."""
    with clear_errors(RESUMES):
        import pandas as pd

        from molfm.catalog.shipped import datasets_of
        from molfm.data.splits import official_split
        from molfm.data.tables import locate

        rows = []
        for item in datasets_of(data):
            table = locate(item)
            split = official_split(table)
            paths = [*table.paths, *([split] if split else [])]
            rows += [(item.name, path.stat().st_size / 1e6, str(path)) for path in paths]
        print_table(pd.DataFrame(rows, columns=["dataset", "MB", "file"]))


@app.command()
def prepare(
    data: Data,
    smiles: Column = "smiles",
    split: Split = None,
    role: Roles = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only estimate disk, time and memory from a sample; download nothing")
    ] = False,
) -> None:
    """Featurize a dataset or mix into the cache, and show its tasks, rejected rows and audit."""
    with clear_errors(RESUMES):
        if dry_run:
            return show_estimate(data, smiles)
        from molfm.data.mix import load

        mix = load(data, smiles=smiles, split=split, roles=roles(role))
        print_table(mix.tasks.replace("", None).dropna(axis="columns", how="all"), repr(mix))
        typer.echo(str(mix.audit()))


@app.command()
def train(
    data: Annotated[
        str | None, typer.Argument(help="name of a dataset or mix, path of your own card (*.md), or a table")
    ] = None,
    resume: Annotated[str | None, typer.Option(help="resume this run (name or folder) with its own settings")] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="task, dataset, or dataset/level; repeatable; default: all")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="type of layers, such as gine, or a preset, such as toymix-gine; default: gine")
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", help="fine-tune this model: minimol, or a run or model by name or folder"),
    ] = None,
    freeze: Annotated[
        str | None, typer.Option(help="number of layers, from the bottom, to freeze with the encoder; or all")
    ] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="factor of the learning rate from each layer to the one below")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over the molecules")] = None,
    steps: Annotated[int | None, typer.Option(help="training steps in total, instead of --epochs")] = None,
    batch_size: Annotated[
        list[str] | None,
        typer.Option(help="molecules per step, over all devices; or DATASET=NUMBER, repeatable, with --steps"),
    ] = None,
    n_labels: Annotated[
        list[str] | None, typer.Option(help="TASK=NUMBER: training labels to keep; repeatable; default: all")
    ] = None,
    watch: Annotated[
        list[str] | None, typer.Option(help="task whose validation loss chooses the weights; repeatable; default: all")
    ] = None,
    hidden_channels: Annotated[int | None, typer.Option(help="width of the network")] = None,
    num_layers: Annotated[int | None, typer.Option(help="number of message-passing layers")] = None,
    accumulate: Annotated[int | None, typer.Option(help="batches that each step is split into")] = None,
    losses: Annotated[
        list[str] | None,
        typer.Option(
            "--loss",
            help="KIND=LOSS: regression=mse, binary=focal or ordinal=cross_entropy in place of the default; repeatable",
        ),
    ] = None,
    task_weights: Annotated[
        list[str] | None,
        typer.Option(
            "--task-weight", help="NAME=NUMBER: weight of the labels of a task, dataset or family; repeatable"
        ),
    ] = None,
    balance_classes: Annotated[
        bool | None, typer.Option("--balance-classes", help="let both classes of a binary task count the same")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="highest learning rate of the schedule")] = None,
    schedule: Annotated[str | None, typer.Option(help="cosine or linear")] = None,
    warmup: Annotated[float | None, typer.Option(help="fraction of the steps in which the learning rate rises")] = None,
    patience: Annotated[int | None, typer.Option(help="validations without a lower loss that end the run")] = None,
    adaptive: Annotated[bool | None, typer.Option("--adaptive", help="keep the best weights of each task")] = None,
    precision: Annotated[str | None, typer.Option(help="32 or bf16-mixed")] = None,
    accelerator: Annotated[str | None, typer.Option(help="cpu, gpu or auto")] = None,
    devices: Annotated[int | None, typer.Option(help="devices per node")] = None,
    num_nodes: Annotated[
        int | None, typer.Option(help="number of machines; start the command on each, with torchrun or srun")
    ] = None,
    num_workers: Annotated[int | None, typer.Option(help="number of loader processes")] = None,
    seed: Annotated[int, typer.Option(help="random seed of weights, order and dropout")] = 0,
    logger: Annotated[
        str | None, typer.Option(help="also log learning curves for tensorboard or wandb (offline) in the run folder")
    ] = None,
    others: Set = None,
    smiles: Column = "smiles",
    split: Split = None,
    role: Roles = None,
    pic50: Pic50 = None,
    name: Annotated[str | None, typer.Option(help="name of the run folder")] = None,
) -> None:
    """Train one model on all chosen tasks, or resume a run, and show the results on the test set.

    Options that are not given come from the preset, or else from molfm.TrainConfig. torchrun or SLURM's srun may start
    this command, once per device.
    """
    given = locals().items()
    apart = ("data", "resume", "role", "pic50", "others")
    settings = {name: value for name, value in given if name not in apart and value is not None}
    with clear_errors():
        if (data is None) == (resume is None):
            raise InputError("Expected either data to train on, or --resume with a run, but not both.")
        from molfm.training import fit as training

        if freeze is not None and freeze.isdigit():
            settings["freeze"] = int(freeze)
        if batch_size:
            settings["batch_size"] = count_or_counts("batch-size", batch_size)
        if n_labels:
            settings["n_labels"] = counts("n-labels", n_labels)
        if role:
            settings["roles"] = roles(role)
        if pic50:
            settings["tasks"] = {task: {} for task in tasks or ()} | {column: {"pic50": True} for column in pic50}
        if task_weights:
            settings["task_weights"] = named("task-weight", task_weights, "NUMBER", float)
        settings |= named("set", others or [], "VALUE", value)
        if losses:
            settings["losses"] = named("loss", losses, "LOSS", str)
        run = training.resume(resume) if resume is not None else training.train(data, **settings)
        if training.is_first_process():
            show_run(run)


@app.command()
def transfer(
    data: Data,
    targets: Annotated[
        list[str], typer.Option("--target", help="task, or dataset whose tasks are trained together; repeatable")
    ],
    sources: Annotated[
        list[str],
        typer.Option(
            "--source",
            help="tasks, datasets, levels or families, separated by commas; a checkpoint; or all; repeatable",
        ),
    ],
    regimes: Annotated[
        list[str] | None, typer.Option("--regime", help="cotrain, finetune or probe; repeatable; default: all")
    ] = None,
    seeds: Annotated[int, typer.Option(help="number of seeds, each a pair of runs per comparison")] = 5,
    precision: Annotated[
        float | None, typer.Option(help="add seeds until intervals are at most this far to each side, such as 0.01")
    ] = None,
    max_seeds: Annotated[int, typer.Option(help="the most seeds that --precision may add up to")] = 30,
    n_labels: Annotated[
        list[str] | None,
        typer.Option(help="training labels to keep of the target, a number or all; repeatable; default: all"),
    ] = None,
    steps: Annotated[int, typer.Option(help="steps of every run that sees the target")] = 1000,
    pretrain_steps: Annotated[
        int | None, typer.Option(help="steps on the source before finetune and probe; default: as many as --steps")
    ] = None,
    target_batch: Annotated[int, typer.Option(help="target molecules per step")] = 32,
    source_batch: Annotated[int, typer.Option(help="molecules per step of each source dataset")] = 64,
    held_out: Annotated[
        str, typer.Option(help="what to hide from sources: molecules, scaffolds (stricter) or nothing")
    ] = "molecules",
    model: Annotated[str, typer.Option(help="type of layers, such as gine, or a preset, such as toymix-gine")] = "gine",
    learning_rate: Annotated[float | None, typer.Option(help="highest learning rate of the schedule")] = None,
    conflicts: Annotated[
        bool,
        typer.Option(
            "--conflicts", help="also show whether gradients of target and sources agree, and the loss of each task"
        ),
    ] = False,
    smiles: Column = "smiles",
    split: Split = None,
    save: Annotated[Path | None, typer.Option(help="folder to write the tables to")] = None,
    out: Annotated[Path, typer.Option(help="file to write the report to")] = Path("transfer.html"),
) -> None:
    """Measure whether training on other tasks helps a target, with intervals, and write a report.

    An interrupted study resumes when you start it again.
    """
    with clear_errors(RESUMES):
        from molfm.data.mix import load
        from molfm.study.plan import REGIMES
        from molfm.study.transfer import transfer as run_transfer

        settings = {"conflicts": True} if conflicts else {}
        settings |= {} if learning_rate is None else {"learning_rate": learning_rate}
        result = run_transfer(
            load(data, smiles, split=split),
            targets,
            [source if source == "all" else source.split(",") for source in sources],
            regimes or REGIMES,
            seeds,
            [number_of_labels(text) for text in n_labels] if n_labels else None,
            steps=steps,
            pretrain_steps=pretrain_steps,
            target_batch=target_batch,
            source_batch=source_batch,
            held_out=held_out,
            precision=precision,
            max_seeds=max_seeds,
            model=model,
            **settings,
        )
        if save is not None:
            result.save(save)
        show_transfer(result)
        show_page(result.to_html(out))


for command in (tune, fit, predict, embed):
    app.command()(command)


@app.command()
def quickstart(
    full: Annotated[
        bool, typer.Option("--full", help="run the studies with more seeds, labels and a larger network")
    ] = False,
    out: Annotated[Path, typer.Option(help="file to write the report to")] = Path("quickstart.html"),
) -> None:
    """Test whether quantum chemistry, or a foundation model, helps a task with few labels, in three minutes."""
    with clear_errors(RESUMES):
        from molfm.app import quickstart as study

        result, found = study.run(out, full=full)
        show_transfer(result)
        show_probe(found)
        show_page(out)
        say("next: molfm lab")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    folder: Annotated[Path, typer.Option(help="folder of your own copy of the notebooks")] = Path("molfm-notebooks"),
) -> None:
    """Copy the course and open its first notebook in JupyterLab; further options are passed to JupyterLab."""
    if find_spec("jupyterlab") is None:
        say('JupyterLab is not installed. Install it with: pip install "molfm[lab]"')
        raise typer.Exit(2)
    import nbformat.sign  # installed with JupyterLab

    folder.mkdir(parents=True, exist_ok=True)
    for source in files("molfm.notebooks").iterdir():
        target = folder / source.name
        if source.name.endswith(".ipynb") and not target.exists():  # never overwrite the user's work
            target.write_bytes(source.read_bytes())
            # In an unsigned notebook, JupyterLab would hide the drawn molecules until their cells run again.
            nbformat.sign.NotebookNotary().sign(nbformat.read(target, as_version=4))
    say(f"opening {folder.resolve()}; stop with Ctrl-C.")
    # Plotly's default renderer would also write its library, 5 MB, into every saved notebook.
    os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype")
    sys.stdout.flush()  # execv does not flush
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(folder / "00_quickstart.ipynb"), *context.args])


if __name__ == "__main__":
    app()
