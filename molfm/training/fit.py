"""The ways to train: `train` in this process, `start` in a child process, `finetune` a checkpoint, `resume` a run.

All of them make or read a plan (`plan.py`) and execute it (`execute.py`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from molfm.data.mix import Mix
from molfm.data.reopen import check_origin
from molfm.nn.predictor import Predictor
from molfm.training.execute import execute, n_devices
from molfm.training.plan import Plan, launched, make_folder, make_plan, read_plan
from molfm.training.recorder import is_first_process
from molfm.training.run import Run
from molfm.training.status import Interrupted, Reporter


def train(
    data: str | Path | pd.DataFrame | Mix,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    *,
    n_labels: dict[str, int] | None = None,
    smiles: str = "smiles",
    split: str | None = None,
    roles: Mapping[str, object] | None = None,
    name: str | None = None,
    progress: bool = True,
    **settings,
) -> Run:
    """Train one model on all chosen tasks at once, and return its run when it has finished.

    Runs in this process; with several devices it starts child processes and waits for them. A run that is asked to stop
    (`Run.stop`, from another process) returns early and can be resumed.

    Args:
        data: a `Mix`, or anything that `molfm.load` opens.
        model: kind of layer, one of gcn, gin, gine, gatedgcn, mpnnpp, with default settings; or a preset, which is a
            network with its recipe: toymix-gcn|gin|gine|gatedgcn|mpnnpp, largemix-gcn|gin|gine (`presets.PRESETS`).
            None for gine, or for the checkpoint's network if `start_from` is set.
        tasks: task ids, datasets, or levels of datasets (`Mix.expand`); None for all tasks.
        epochs: passes over all molecules with a training label; None for the preset's number, or 20.
        seed: random seed of the initial weights, the order of molecules, the choice of labels and dropout.
        n_labels: task -> number of training labels to keep (`Mix.limit`); None to keep all.
        smiles, split, roles: name of the SMILES column, the split, and what other columns are for, see `molfm.load`; for
            data that is not a `Mix`.
        name: name of the run folder under `$MOLFM_HOME/runs`; None to make one up. Required under torchrun and SLURM.
        progress: show progress bars.
        settings: settings of training, see `TrainConfig` (steps, batch_size, learning_rate, schedule, patience,
            precision, devices, …), and of the network, see `ModelConfig` (hidden_channels, num_layers, dropout, …).
            They override those of a preset.

    Raises:
        TypeError: a setting is unknown.
        ValueError: the model is unknown, there are no training labels, or settings cannot be combined.
        FileExistsError: a run with this name exists.
    """
    plan = make_plan(data, model, tasks, epochs, seed, n_labels, smiles, split, roles, progress, settings)
    if not launched() and n_devices(plan.config) > 1:
        run = _launch(plan, name)
        try:
            return run.wait()
        except KeyboardInterrupt as error:
            run.stop(wait=False)  # else the child process would train on unnoticed
            raise Interrupted(run.folder) from error
    folder = make_folder(plan, name)
    with Reporter(folder, plan.config.steps, silent=not is_first_process()) as reporter:
        execute(plan, folder, reporter, progress)
    return Run(folder)


def start(
    data: str | Path | pd.DataFrame | Mix,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    *,
    n_labels: dict[str, int] | None = None,
    smiles: str = "smiles",
    split: str | None = None,
    roles: Mapping[str, object] | None = None,
    name: str | None = None,
    progress: bool = True,
    **settings,
) -> Run:
    """Train like `train`, but in a child process, and return the run at once.

    Training continues when a cell is interrupted, the kernel restarted or the notebook closed. `Run.stop` ends it and
    `Run.wait` waits for it. Its output is in `log.txt` in the run folder.

    Args:
        data, model, tasks, epochs, seed, n_labels, smiles, split, roles, name, settings: see `train`.
        progress: show progress bars while data is prepared.

    Raises:
        TypeError, ValueError, FileExistsError: see `train`.
        ValueError: the mix was not made by `molfm.load`, so another process cannot open it.
    """
    return _launch(
        make_plan(data, model, tasks, epochs, seed, n_labels, smiles, split, roles, progress, settings), name
    )


def _launch(plan: Plan, name: str | None) -> Run:
    """Write the run folder of a plan, and train it in a child process."""
    check_origin(plan.mix.origin)
    return Run(make_folder(plan, name)).launch()


def finetune(
    checkpoint: str | Path | Predictor,
    data: str | Path | pd.DataFrame | Mix,
    tasks: Sequence[str] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    *,
    n_labels: dict[str, int] | None = None,
    smiles: str = "smiles",
    split: str | None = None,
    roles: Mapping[str, object] | None = None,
    name: str | None = None,
    progress: bool = True,
    **settings,
) -> Run:
    """Fine-tune a checkpoint's encoder and trunk on new tasks, under new heads; otherwise like `train`.

    Args:
        checkpoint: anything that `molfm.pretrained` opens, or a model that it returned or that was saved.
        data, tasks, epochs, seed, n_labels, smiles, split, roles, name, progress: see `train`.
        settings: see `train`. For fine-tuning: freeze (number of layers that stay fixed, from the bottom, with the
            encoder; "all" trains only the heads), layer_decay (factor of the learning rate from each layer to the one
            below) and head_channels (0 for linear heads). The other settings of the network are the checkpoint's,
            except dropout and three_classes, which may change.

    Raises:
        TypeError, FileExistsError: see `train`.
        FileNotFoundError, DownloadError: the checkpoint is not available.
        ValueError: see `train`; or a setting differs from the checkpoint's network, or the model was never saved.
    """
    chosen = {
        "n_labels": n_labels,
        "smiles": smiles,
        "split": split,
        "roles": roles,
        "name": name,
        "progress": progress,
    }
    return train(data, None, tasks, epochs, seed, **chosen, start_from=checkpoint, **settings)


def resume(run: str | Path, progress: bool = True) -> Run:
    """Resume a run in this process, from its last checkpoint or the start; `Run.resume` uses a child process.

    Args:
        run: folder or name of the run.
        progress: show a progress bar.

    Raises:
        FileNotFoundError: there is no such run.
        ValueError: the run is running or has finished, or its data cannot be opened again.
    """
    found = Run(run)
    # A run that is "starting" waits for this process, and a stop request that is already there is meant for it.
    if is_first_process() and found.status["state"] != "starting":
        found.check_resumable()
        (found.folder / "stop").unlink(missing_ok=True)
    settings, threads = found.config, torch.get_num_threads()
    try:
        torch.set_num_threads(settings["threads"])  # the same number of threads gives the same sums to the last bit
        with Reporter(found.folder, settings["steps"], silent=not is_first_process()) as reporter:
            execute(read_plan(found.folder, settings), found.folder, reporter, progress)
    finally:
        torch.set_num_threads(threads)
    return found
