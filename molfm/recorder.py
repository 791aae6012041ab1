"""What a run writes while it trains: learning curves, the best weights, and checkpoints that it can go on from.

    checkpoints/last.ckpt               everything a run is made of: weights, optimizer, schedule, place in the data, every
                                        random state. Replaced as a whole, now and then and when the run is asked to stop
    checkpoints/weights-STEP.safetensors  the best weights so far, all told and, if `adaptive`, of each task

Weights of a validation are there as long as the run, or the checkpoint that it would go on from, counts them among the
best: with `adaptive` there are at most as many as tasks, or validations, whichever is less.
"""

import json
import random
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import load_file, save_file

from molfm.recipe import TrainConfig
from molfm.runs import Reporter, Stopped

CHECKPOINT_SECONDS = 30.0  # between checkpoints; what a killed run loses at most, and a validation
OVERALL = ""  # the name, among those of tasks, of all watched tasks together


def is_first_process() -> bool:
    """Return whether this is the process, of those that train together, that writes the run folder."""
    return rank_zero_only.rank == 0


def last_checkpoint(folder: Path) -> Path:
    """Return where a run has its checkpoint, whether it is there or not."""
    return folder / "checkpoints" / "last.ckpt"


def _random_state() -> dict:
    """Return the state of every random generator of this process, as tensors and plain numbers."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (other code may draw from the global one)
    state = {"torch": torch.get_rng_state(), "python": random.getstate()}
    state["numpy"] = [kind, torch.from_numpy(keys.astype(np.int64)), *rest]
    state["cuda"] = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return state


def _set_random_state(state: dict) -> None:
    torch.set_rng_state(state["torch"].cpu())
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if state["cuda"]:
        torch.cuda.set_rng_state_all([part.cpu() for part in state["cuda"]])


def _of_all_processes(value) -> list:
    """Return what each process of the run has for this, in their order."""
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


class Recorder(Callback):
    """Writes curves, weights and checkpoints of one run, and ends it early or on request.

    Args:
        folder: of the run.
        config: with `steps` and `validate_every` as numbers.
        reporter: told of every step.
    """

    def __init__(self, folder: Path, config: TrainConfig, reporter: Reporter):
        self.folder, self.config, self.reporter = folder, config, reporter
        self.best: dict[
            str, tuple[float, int]
        ] = {}  # name of a task, or OVERALL -> its lowest loss, and the step of that
        self.saved: set[int] = set()  # steps whose weights the last checkpoint counts among the best
        self.stale = 0  # validations since the last lower loss
        self.checkpointed = time.monotonic()
        self.module = None  # what is trained, once it is
        self.processes: list[dict] | None = None  # what each of them has for itself, to be set before the first batch

    # --------------------------------------------------------------------------------------------------------- the steps

    def on_train_start(self, trainer, module) -> None:
        self.module = module
        if trainer.is_global_zero:
            _cut_metrics(self.folder, trainer.global_step)

    def on_train_batch_start(self, trainer, module, *_) -> None:
        if self.processes is not None:  # now: what was drawn to set up the loaders is drawn once in a run
            if len(self.processes) != trainer.world_size:
                raise ValueError(
                    f"The checkpoint is of {len(self.processes)} processes, and {trainer.world_size} go on with it: resume with "
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
            trainer.should_stop = True  # has Lightning validate the last weights, also between two validations
        elif step % self.config.validate_every:
            self._between_steps(trainer)

    def on_validation_end(self, trainer, module) -> None:
        found = module.found
        if trainer.is_global_zero:
            with open(self.folder / "metrics.jsonl", "a") as file:
                file.write(json.dumps(found.line) + "\n")
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
        """Write a checkpoint if it is time for one or the run is asked to stop, and end it in that case."""
        stop = (self.folder / "stop").exists() or trainer.received_sigterm  # as a cluster sends before it takes a node
        due = stop or time.monotonic() - self.checkpointed > CHECKPOINT_SECONDS
        if trainer.world_size > 1:  # they have to agree
            stop, due = trainer.strategy.broadcast((stop, due))
        if due:
            self._write_checkpoint(trainer)
        if stop:
            if trainer.is_global_zero:
                (self.folder / "stop").unlink(missing_ok=True)
            raise Stopped

    # --------------------------------------------------------------------------------------------------------- the files

    def _write_checkpoint(self, trainer) -> None:
        path = last_checkpoint(self.folder)
        temporary = path.with_suffix(".tmp")
        path.parent.mkdir(exist_ok=True)
        try:
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                temporary.replace(path)
        finally:
            if trainer.is_global_zero:
                temporary.unlink(missing_ok=True)  # half a file: it may be what fills the disk
        self.saved = {step for _, step in self.best.values()}
        self.checkpointed = time.monotonic()

    def _weights(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"weights-{step}.safetensors"

    def _save_weights(self, model: torch.nn.Module, step: int) -> None:
        path = self._weights(step)
        path.parent.mkdir(exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def _remove_weights(self) -> None:
        """Remove the weights that nothing refers to any more."""
        wanted = {self._weights(step) for step in self.saved.union(step for _, step in self.best.values())}
        for path in (self.folder / "checkpoints").glob("weights-*.safetensors"):
            if path not in wanted:
                path.unlink()

    def best_step(self, name: str = OVERALL) -> int:
        """Return the step whose weights were best for a task or, where that is not known, for all watched ones together.

        Raises:
            FloatingPointError: no validation had a finite loss.
        """
        if OVERALL not in self.best:
            raise FloatingPointError(
                "No validation had a finite loss, so there are no best weights: lower learning_rate or gradient_clip, and "
                "look for extreme labels with data.tasks."
            )
        return self.best.get(name, self.best[OVERALL])[1]

    def load_weights(self, model: torch.nn.Module, step: int) -> None:
        """Load into a model the weights that were kept after a step."""
        model.load_state_dict(load_file(self._weights(step)))

    def clean_up(self) -> None:
        """Remove what only a run that goes on needs."""
        shutil.rmtree(self.folder / "checkpoints")
        (self.folder / "stop").unlink(missing_ok=True)

    # ----------------------------------------------------------------------------------------- what a checkpoint knows of it

    def state_dict(self) -> dict:
        mine = {"losses": [float(loss) for loss in self.module.losses], "random": _random_state()}
        return {"best": self.best, "stale": self.stale, "processes": _of_all_processes(mine)}

    def load_state_dict(self, state: dict) -> None:
        self.best = {name: (loss, step) for name, (loss, step) in state["best"].items()}
        self.stale, self.saved = state["stale"], {step for _, step in self.best.values()}
        self.processes = state["processes"]


def _cut_metrics(folder: Path, step: int) -> None:
    """Forget the validations after a step: a run that goes on from there will repeat them."""
    path = folder / "metrics.jsonl"
    if path.exists():
        lines = [
            line for line in path.read_text().splitlines() if line.endswith("}") and json.loads(line)["step"] <= step
        ]
        path.with_suffix(".tmp").write_text("".join(f"{line}\n" for line in lines))
        path.with_suffix(".tmp").replace(path)
