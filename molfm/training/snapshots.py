"""What a network predicts at each validation of a run, so that people can watch it learn.

snapshots/labels.npz   split (0: train, 1: val), task, mol_id, measured: the labels that are predicted each time, a sample
snapshots/STEP.npz     preds of these labels after this step, (n,) float32; and, for the pinned molecules, `graph`, `node`
                       and `edge`, (items, tasks of the level) float32, with atoms and bonds as `Predictor.predict` orders them

All values are in the tasks' units. A run records them if `TrainConfig.pinned` is set.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from molfm.base.files import whole
from molfm.batches.batch import to_batch
from molfm.catalog.schema import LEVELS
from molfm.data.mix import Mix
from molfm.nn.multitask import MultiTaskModel
from molfm.training.evaluation import label_arrays

SAMPLED = ("train", "val")
WATCHED, OTHERS = 256, 64  # molecules of each dataset and split: with labels of watched tasks, and with any label
_BATCH = 256
_FOLDER = "snapshots"


class Labels(NamedTuple):
    """The labels that each snapshot predicts; (n,) each."""

    split: np.ndarray  # place in SAMPLED
    task: np.ndarray  # number of the task in the run's mix
    mol_id: np.ndarray  # row of the mix's molecules
    measured: np.ndarray


class Snapshots(Callback):
    """Writes a snapshot at each validation.

    Args:
        folder: the run folder.
        mix: the data of the run.
        pinned: SMILES of molecules whose predictions are written with all their atoms and bonds.
        watched: ids of the tasks whose molecules are sampled first.
    """

    def __init__(self, folder: Path, mix: Mix, pinned: Sequence[str], watched: Sequence[str]):
        self.folder, self.mix, self.pinned = folder / _FOLDER, mix, list(pinned)
        self.molecules = {split: _sample(mix, split, watched) for split in SAMPLED}

    def on_validation_end(self, trainer, module) -> None:
        if not trainer.is_global_zero:
            return
        model: MultiTaskModel = module.model
        parts = []
        with torch.inference_mode():  # Lightning has set evaluation mode
            for code, (split, molecules) in enumerate(self.molecules.items()):
                for start in range(0, len(molecules), _BATCH):
                    part = molecules[start : start + _BATCH]
                    batch = to_batch(self.mix.gather(part, split, None, model.config.encodings)).to(model.mean.device)
                    found = label_arrays(model, model(batch), batch)
                    parts.append({"split": np.full(len(found["task"]), code, np.uint8), **found})
        joined = {name: np.concatenate([part[name] for part in parts]) for name in ("split", *parts[0])}
        if not (self.folder / "labels.npz").exists():
            labels = Labels(joined["split"], joined["task"], joined["mol_id"].astype(np.int32), joined["target"])
            _write(self.folder / "labels.npz", **labels._asdict())
        learned = [level for level in LEVELS if self.pinned and (model.tasks.level == level).any()]
        pinned = {level: _values(model, self.pinned, level) for level in learned}
        _write(self.folder / f"{trainer.global_step}.npz", preds=joined["preds"].astype(np.float32), **pinned)


def _sample(mix: Mix, split: str, watched: Sequence[str]) -> np.ndarray:
    """Return sorted molecules of a split: a fixed random choice from each dataset."""
    chosen, draw = [np.zeros(0, np.int64)], np.random.default_rng(0)
    of_dataset = {task.dataset: [] for task in mix.chosen}
    for task in mix.chosen:
        of_dataset[task.dataset].append(task.id)
    for tasks in of_dataset.values():
        for names, size in (([task for task in tasks if task in set(watched)], WATCHED), (tasks, OTHERS)):
            if names:
                chosen.append(draw.permutation(mix.members(split, names))[:size])
    return np.unique(np.concatenate(chosen))


def _values(model: MultiTaskModel, smiles: list[str], level: str) -> np.ndarray:
    table = model.predict(smiles, level, progress=False)
    return table[model.tasks.task[model.tasks.level == level]].to_numpy(np.float32)


def _write(path: Path, **arrays: np.ndarray) -> None:
    with whole(path) as temporary:
        np.savez_compressed(temporary, **arrays)


# -------------------------------------------------------------------------------------------------------------- reading


def steps(run: Path) -> list[int]:
    """Return the steps after which a run wrote a snapshot, in order."""
    return sorted(int(path.stem) for path in (run / _FOLDER).glob("*.npz") if path.stem.isdigit())


def read_labels(run: Path) -> Labels:
    """Return the labels of a run's snapshots.

    Raises:
        FileNotFoundError: the run has written no snapshot yet.
    """
    with np.load(run / _FOLDER / "labels.npz", allow_pickle=False) as found:
        return Labels(**found)


def read_snapshot(run: Path, step: int) -> dict[str, np.ndarray]:
    """Return the arrays of one snapshot.

    Raises:
        FileNotFoundError: there is none after this step.
    """
    with np.load(run / _FOLDER / f"{step}.npz", allow_pickle=False) as found:
        return dict(found)
