"""The candidates that are networks: one from scratch, and a foundation model that is fine-tuned. All targets together.

Fine-tuning has two stages (LP-FT, Kumar et al., arXiv 2202.10054): linear heads are fitted to the frozen model's vectors
in closed form, and then the whole network is trained from there. No fold is used to stop early: a run trains for a fixed
number of steps, and its last weights count.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from molfm.base.files import whole
from molfm.data.mix import Mix
from molfm.data.splits import UNUSED
from molfm.selection.candidates import fit_linear
from molfm.selection.describe import Described, replace_foundation
from molfm.selection.models import Linear
from molfm.selection.problem import Problem
from molfm.selection.training import training_data

if TYPE_CHECKING:
    from molfm.training.run import Run

BATCH = 32  # molecules per step
_EPOCHS = {"finetuned": (8, 60), "scratch": (20, 100)}  # fewest, below which a network is left out, and most
_RECIPES = {
    "finetuned": {"learning_rate": 1e-3, "weight_decay": 0.01},
    "scratch": {"learning_rate": 2e-3, "weight_decay": 0.01},
}
FINE_TUNED = "minimix-gine"
NETWORKS = tuple(_EPOCHS)
_PILOT = 6  # steps whose time predicts that of a run


@dataclass(frozen=True)
class Networks:
    """Trains networks on the folds of a problem.

    Attributes:
        problem: targets and folds.
        x: descriptions of the labelled molecules.
        seed: random seed.
        foundation: name of the foundation model that is fine-tuned: the small one, because the published one
            is too slow for the minutes of a fit on a CPU.
    """

    problem: Problem
    x: Described
    seed: int
    foundation: str = FINE_TUNED

    def epochs(self, name: str, seconds: float, folder: Path) -> tuple[int, float]:
        """Return for how many epochs a network can be trained on every fold, and the seconds that its least would take.

        Args:
            name: "finetuned" or "scratch".
            seconds: time for all folds.
            folder: folder for the run that measures the time.

        Returns:
            The epochs (0 if the fewest do not fit), and the seconds of all folds with the fewest epochs.
        """
        fewest, most = _EPOCHS[name]
        if seconds < 10:
            return 0, float("nan")
        begin = time.monotonic()
        run = self._train(name, 0, folder, steps=_PILOT)
        whole_run = time.monotonic() - begin
        stepping = run.status["seconds"]
        shutil.rmtree(folder)
        per_epoch = stepping / _PILOT * -(-len(self._members(0)) // BATCH)
        fixed = whole_run - stepping
        k = self.problem.k
        # A run's first steps are slower than the others, and that is the margin for a busy machine.
        possible = int((seconds / k - fixed) / max(per_epoch, 1e-9))
        return (min(most, possible) if possible >= fewest else 0), k * (fixed + fewest * per_epoch)

    def fit(self, name: str, fold: int, epochs: int, folder: Path) -> None:
        """Train a network on all folds except one, and keep its model in `folder`."""
        run = self._train(name, fold, folder.with_name(f"{folder.name}.run"), epochs=epochs)
        with whole(folder) as temporary:
            shutil.copytree(run.folder / "model", temporary)
        shutil.rmtree(run.folder)

    def _members(self, fold: int) -> np.ndarray:
        return np.flatnonzero((self.problem.fold >= 0) & (self.problem.fold != fold))

    def _train(self, name: str, fold: int, folder: Path, **length):
        mix = _without(self.problem, fold)
        linears = []
        if name == "finetuned":
            x = replace_foundation(self.x, self.foundation)
            linears = [fit_linear(training_data(of, x, fold, self.seed)) for of in self.problem.targets]
        return train_network(name, mix, linears, self.foundation, folder, self.seed + fold, **length)


def train_network(
    name: str, mix: Mix, linears: Sequence[Linear], foundation: str, folder: Path, seed: int, **length
) -> "Run":
    """Train a network on the training set of a mix for a fixed number of steps or epochs.

    Args:
        name: "finetuned" or "scratch".
        mix: its validation set needs a label, but does not influence the weights.
        linears: for "finetuned", the linear models of the foundation model's vectors from which the heads start, one per
            task of the mix.
        foundation: name of the foundation model.
        folder: folder of the run.
        seed: random seed.
        length: epochs or steps.
    """
    from molfm.training.fit import finetune, train

    shutil.rmtree(folder, ignore_errors=True)
    settings = length | _RECIPES[name] | {"seed": seed, "batch_size": BATCH, "losses": {"regression": "mse"}}
    # One validation, at the end: the fold must not choose the weights.
    settings |= {"validate_every": 10**9, "name": str(folder), "progress": False, "accelerator": "cpu"}
    if name == "scratch":
        return train(mix, **settings)
    start = folder.with_name(f"{folder.name}.probe")
    _write_probe(mix, linears, foundation, start)
    try:
        return finetune(start, mix, head_channels=0, keep_heads=True, **settings)
    finally:
        shutil.rmtree(start)


def _write_probe(mix: Mix, linears: Sequence[Linear], foundation: str, folder: Path) -> None:
    """Write the foundation model with linear heads that were fitted to its frozen vectors."""
    import torch

    from molfm.nn.checkpoints import new_model, pretrained

    model = pretrained(foundation, progress=False)
    network = new_model(replace(model.config, head_channels=0, features=mix.feature_names), mix.tasks, 0)
    if mix.feature_names:
        network.scale_features(mix.features(mix.members("train")))
    there = network.state_dict().keys()
    network.load_state_dict({name: of for name, of in model.body().items() if name in there}, strict=False)
    heads = list(network.heads.values())
    before = np.cumsum([0, *(head.out_features for head in heads)])  # of the outputs of all heads
    for number, linear in enumerate(linears):
        weight = linear.weight / linear.deviation
        intercept = float(linear.intercept) - weight @ linear.mean
        if mix.feature_names:  # the network standardizes them by itself
            of_features = weight[-len(mix.feature_names) :].copy()
            intercept += of_features @ network.feature_mean.numpy()
            weight[-len(mix.feature_names) :] = of_features * network.feature_std.numpy()
        mean, std = float(network.mean[number]), float(network.std[number])
        owner = int(network.head[number])
        column = int(network.columns[number, 0] - before[owner])
        with torch.no_grad():
            heads[owner].weight[column] = torch.tensor(weight / std)
            heads[owner].bias[column] = (intercept - mean) / std
    network.save(folder)


def _without(problem: Problem, fold: int) -> Mix:
    """Return the mix with one fold as validation set, and the others as training set; the test set in no split."""
    mix = problem.mix
    code = np.full(len(mix), UNUSED, np.int8)
    code[problem.molecule[problem.fold >= 0]] = 0
    code[problem.molecule[problem.fold == fold]] = 1
    # Another process could not open this split again, so nothing says where the data came from.
    return replace(mix, rows=replace(mix.rows, split=code[mix.rows.molecule]), origin={})


def predict(folder: Path, x: Described, tasks: Sequence[str]) -> np.ndarray:
    """Return a kept network's predictions of the molecules of x, (n, n_tasks)."""
    from molfm.nn.checkpoints import open_model

    model = open_model(folder)
    features = None if x.columns is None else pd.DataFrame(x.columns, columns=list(model.config.features))
    table = model.predict(list(x.smiles), "graph", list(tasks), progress=False, features=features)
    return table[list(tasks)].to_numpy(float)
