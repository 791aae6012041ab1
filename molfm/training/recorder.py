"""Writes what a run needs while it trains: learning curves, the best weights, and checkpoints to resume from.

    checkpoints/last.ckpt   everything needed to resume: weights, optimizer, schedule, position in the data, all random
                            states. Replaced as a whole from time to time, and when the run is asked to stop
    checkpoints/weights-STEP.safetensors   the best weights so far, overall and, if `adaptive`, of each task

Weights are kept as long as the run, or the checkpoint that it would resume from, counts them among the best. With
`adaptive` their number grows with the number of tasks, up to the number of validations.
"""

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import load_file, save_file

from molfm.base.errors import InputError
from molfm.base.files import remove_unfinished, whole
from molfm.training.config import TrainConfig
from molfm.training.curves import append_metrics, cut_metrics
from molfm.training.status import Reporter, Stopped

CHECKPOINT_SECONDS = 30.0  # between checkpoints: a killed run loses at most this, plus a validation
OVERALL = ""  # stands for all watched tasks together, among names of tasks


def is_first_process() -> bool:
    """Return whether this process, of those that train together, writes the run folder."""
    return rank_zero_only.rank == 0


def last_checkpoint(folder: Path) -> Path:
    """Return the path of a run's checkpoint, which need not exist."""
    return folder / "checkpoints" / "last.ckpt"


def _random_state() -> dict:
    """Return the states of all random generators of this process, as tensors and plain numbers."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (other code may draw from the global one)
    state = {"torch": torch.get_rng_state(), "python": random.getstate()}
    state["numpy"] = [kind, torch.from_numpy(keys.astype(np.int64)), *rest]
    state["cuda"] = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return state


def _set_random_state(state: dict) -> None:
    torch.set_rng_state(state["torch"].cpu())
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if state["cuda"]:
        torch.cuda.set_rng_state_all([part.cpu() for part in state["cuda"]])


@contextmanager
def own_random_state() -> Iterator[None]:
    """Leave the random generators of this process as they were before the block."""
    before = _random_state()
    try:
        yield
    finally:
        _set_random_state(before)


def _of_all_processes(value) -> list:
    """Return this value of every process of the run, in their order."""
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


class Recorder(Callback):
    """Writes curves, weights and checkpoints of one run, and ends it early or on request.

    Args:
        folder: the run folder.
        config: settings of training, with numbers for `steps` and `validate_every`.
        reporter: writer of the run's status, called after every step.
    """

    def __init__(self, folder: Path, config: TrainConfig, reporter: Reporter):
        self.folder, self.config, self.reporter = folder, config, reporter
        self.best: dict[str, tuple[float, int]] = {}  # name of a task, or OVERALL -> its lowest loss, and at which step
        self.saved: set[int] = set()  # steps whose weights the last checkpoint counts among the best
        self.stale = 0  # validations since the last lower loss
        self.checkpointed = time.monotonic()
        self.module = None  # the module in training, set when it starts
        self.processes: list[dict] | None = None  # state of each, to restore before the first batch

    # -------------------------------------------------------------------------------------------------------- the steps

    def on_train_start(self, trainer, module) -> None:
        self.module = module
        if trainer.is_global_zero:
            cut_metrics(self.folder, trainer.global_step)

    def on_train_batch_start(self, trainer, module, *_) -> None:
        if self.processes is not None:  # not before: setting up the loaders draws random numbers
            if len(self.processes) != trainer.world_size:
                raise InputError(
                    f"The checkpoint is from {len(self.processes)} processes, but {trainer.world_size} resume it: use "
                    "as many devices and nodes as before."
                )
            mine, self.processes = self.processes[trainer.global_rank], None
            module.losses = [torch.tensor(loss) for loss in mine["losses"]]
            _set_random_state(mine["random"])

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if (batch_idx + 1) % self.config.accumulate:
            return
        step = trainer.global_step
        self.reporter.tick(step)
        if step == self.config.steps:
            trainer.should_stop = True  # makes Lightning validate the last weights, whatever the interval
        elif step % self.config.validate_every:
            self._between_steps(trainer)

    def on_validation_end(self, trainer, module) -> None:
        found = module.found
        if trainer.is_global_zero:
            append_metrics(self.folder, found.line)
        watched = set(self.config.watch if self.config.adaptive else [])
        losses = {OVERALL: found.line["val_loss"]}
        losses |= {task: loss for task, loss in found.task_losses.items() if task in watched}
        better = {name for name, loss in losses.items() if loss < self.best.get(name, (np.inf, 0))[0]}
        self.best |= {name: (losses[name], trainer.global_step) for name in better}
        if trainer.is_global_zero:
            if better:
                self._save_weights(module.model, trainer.global_step)
            self._remove_weights()
        self.stale = 0 if OVERALL in better else self.stale + 1
        if self.config.patience and self.stale >= self.config.patience:
            trainer.should_stop = True
        if not trainer.should_stop:
            self._between_steps(trainer)

    def _between_steps(self, trainer) -> None:
        """Write a checkpoint if one is due or the run is asked to stop; end the run in the latter case."""
        stop = (self.folder / "stop").exists() or trainer.received_sigterm  # clusters send it before they take a node
        due = stop or time.monotonic() - self.checkpointed > CHECKPOINT_SECONDS
        if trainer.world_size > 1:  # all processes must agree
            stop, due = trainer.strategy.broadcast((stop, due))
        if due:
            self._write_checkpoint(trainer)
        if stop:
            if trainer.is_global_zero:
                (self.folder / "stop").unlink(missing_ok=True)
            raise Stopped

    # -------------------------------------------------------------------------------------------------------- the files

    def _write_checkpoint(self, trainer) -> None:
        path = last_checkpoint(self.folder)
        if trainer.is_global_zero:
            remove_unfinished(path)
        # All processes take part in saving, under the path of the first one.
        with whole(path) if trainer.is_global_zero else nullcontext(path) as temporary:
            trainer.save_checkpoint(trainer.strategy.broadcast(temporary))
        self.saved = {step for _, step in self.best.values()}
        self.checkpointed = time.monotonic()

    def _weights(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"weights-{step}.safetensors"

    def _save_weights(self, model: torch.nn.Module, step: int) -> None:
        with whole(self._weights(step)) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, temporary)

    def _remove_weights(self) -> None:
        """Remove weights that are no longer among the best."""
        wanted = {self._weights(step) for step in self.saved.union(step for _, step in self.best.values())}
        for path in (self.folder / "checkpoints").glob("weights-*.safetensors"):
            if path not in wanted:
                path.unlink()

    def best_step(self, name: str = OVERALL) -> int:
        """Return the step with the best weights for a task, or for all watched tasks together if the task has none.

        Raises:
            FloatingPointError: no validation had a finite loss.
        """
        if OVERALL not in self.best:
            raise FloatingPointError(
                "No validation had a finite loss, so there are no best weights: lower learning_rate or gradient_clip, "
                "and look for extreme labels in data.tasks."
            )
        return self.best.get(name, self.best[OVERALL])[1]

    def load_weights(self, model: torch.nn.Module, step: int) -> None:
        """Load the weights that were saved after a step into a model."""
        model.load_state_dict(load_file(self._weights(step)))

    def clean_up(self) -> None:
        """Remove what only a run that resumes needs: checkpoints and a stop request."""
        shutil.rmtree(self.folder / "checkpoints")
        (self.folder / "stop").unlink(missing_ok=True)

    # -------------------------------------------------------------------------------------------- state in a checkpoint

    def state_dict(self) -> dict:
        mine = {"losses": [float(loss) for loss in self.module.losses], "random": _random_state()}
        return {"best": self.best, "stale": self.stale, "processes": _of_all_processes(mine)}

    def load_state_dict(self, state: dict) -> None:
        self.best = {name: (loss, step) for name, (loss, step) in state["best"].items()}
        self.stale, self.saved = state["stale"], {step for _, step in self.best.values()}
        self.processes = state["processes"]
