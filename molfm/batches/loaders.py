"""Loaders of batches that resume where they stopped."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch_geometric.data import Batch

from molfm.base.names import UnknownName
from molfm.batches.batch import to_batch
from molfm.batches.samplers import EpochSampler, Passes, ShareSampler, StreamSampler
from molfm.batches.shares import check_batches, shares
from molfm.catalog.schema import LEVELS
from molfm.chem.encodings import WALK
from molfm.data.view import View


class MixDataset(Dataset):
    """Gathers the batches of one request: (molecules, the dataset whose labels each one carries, or None for all).

    Args:
        mix: the mix to read.
        split: the split whose labels are wanted.
        encodings: names of the positional encodings to gather.
        parts: batches of a request to gather here; the others belong to other processes.
        n_parts: number of batches that a request is divided into.
    """

    def __init__(
        self,
        mix: View,
        split: str,
        encodings: Sequence[str] = (WALK,),
        parts: range = range(1),
        n_parts: int = 1,
    ):
        self.mix, self.split, self.encodings = mix, split, encodings
        self.parts, self.n_parts = parts, n_parts

    def __getitem__(self, request: tuple[np.ndarray, np.ndarray | None]) -> list[Batch]:
        batches = [self._part(*request, part) for part in self.parts]
        tasks = torch.cat([batch[f"{level}_task"] for batch in batches for level in LEVELS])
        counts = torch.bincount(tasks, minlength=len(self.mix.chosen)).float()
        for batch in batches:
            batch.label_counts = counts
        return batches

    def _part(self, molecules: np.ndarray, datasets: np.ndarray | None, part: int) -> Batch:
        # Every n-th, not a run: a request with several datasets lists them one after the other.
        mine = slice(part, None, self.n_parts)
        only = None if datasets is None else datasets[mine]
        if part >= len(molecules):  # every process needs a batch in every step: one molecule, no labels
            mine, only = slice(1), np.full(1, -1)
        return to_batch(self.mix.gather(molecules[mine], self.split, only, self.encodings))


class _Rest(Sampler):
    """A sampler without its first `start` requests."""

    def __init__(self, sampler: Sampler, start: int):
        self.sampler, self.start = sampler, start

    def __iter__(self) -> Iterator:
        return islice(self.sampler, self.start, None)


class BatchLoader:
    """The batches of this process, in the order of a sampler; its state is the number of batches it has handed out.

    Lightning keeps the state in its checkpoints. A loader that loads a state resumes with the next batch.
    """

    batch_sampler = None  # Lightning reads it from a loader with a sampler, because a DataLoader has both

    def __init__(self, dataset: MixDataset, sampler: Sampler, num_workers: int = 0):
        self.dataset, self.sampler, self.num_workers = dataset, sampler, num_workers
        self.handed_out = self.start = 0
        self._running: Callable[[], Iterator[Batch] | None] = lambda: None

    def __len__(self) -> int:
        return len(self.sampler) * len(self.dataset.parts)

    def state_dict(self) -> dict[str, int]:
        return {"handed_out": self.handed_out}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = state["handed_out"]

    def close(self) -> None:
        """End the loader processes, which would keep waiting if training stops before the last batch."""
        if (running := self._running()) is not None:
            running.close()

    def __iter__(self) -> Iterator[Batch]:
        self.close()
        running = self._batches()
        self._running = weakref.ref(running)  # a strong reference would be a cycle that keeps the processes alive
        return running

    def _batches(self) -> Iterator[Batch]:
        self.handed_out, self.start = self.start, 0
        step, part = divmod(self.handed_out, len(self.dataset.parts))
        # Loader processes read ahead, so the state counts batches handed out, not batches read.
        loader = DataLoader(
            self.dataset, None, sampler=_Rest(self.sampler, step), collate_fn=list, num_workers=self.num_workers
        )
        for batch in islice((batch for batches in loader for batch in batches), part, None):
            self.handed_out += 1
            yield batch


class MixDataModule(lightning.LightningDataModule):
    """Train, val and test loaders of PyG batches from a mix.

    Args:
        mix: the mix to read.
        batch_size: molecules per optimizer step, or molecules per step from each dataset, which needs `steps`.
        steps: length of the training loader in optimizer steps; None for one epoch.
        seed: random seed of the training order.
        fractions, temperature: how often the molecules of each dataset occur in an epoch, see `shares`; None for once.
        watch: tasks (see `Mix.expand`) whose molecules make up the val loader; None for all tasks.
        encodings: positional encodings that the model reads (`ModelConfig.encodings`).
        num_workers: loader processes; gathering is so fast that 0 is right until a GPU waits.
        accumulate: batches that a step is divided into.

    Under a distributed Trainer, each process gets its share of every step and of every batch of the other loaders. So
    the batch size counts all processes together, and the Trainer needs `use_distributed_sampler=False`.

    Raises:
        ValueError: the settings cannot be combined, see `check_batches`.
    """

    def __init__(
        self,
        mix: View,
        batch_size: int | dict[str, int] = 128,
        steps: int | None = None,
        seed: int = 0,
        fractions: dict[str, float] | None = None,
        temperature: float | None = None,
        watch: list[str] | None = None,
        encodings: Sequence[str] = (WALK,),
        num_workers: int = 0,
        accumulate: int = 1,
    ):
        super().__init__()
        check_batches(batch_size, steps, fractions, temperature)
        self.fractions, self.temperature = fractions, temperature
        self.mix, self.batch_size, self.steps, self.seed = mix, batch_size, steps, seed
        self.watch, self.encodings, self.num_workers, self.accumulate = watch, encodings, num_workers, accumulate
        self._loaders: list[BatchLoader] = []

    def _loader(self, split: str, sampler: Sampler, accumulate: int = 1) -> BatchLoader:
        rank, n_ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        parts = range(rank * accumulate, (rank + 1) * accumulate)
        dataset = MixDataset(self.mix, split, self.encodings, parts, n_ranks * accumulate)
        self._loaders.append(BatchLoader(dataset, sampler, self.num_workers))
        return self._loaders[-1]

    def close(self) -> None:
        """End the processes of all loaders."""
        for loader in self._loaders:
            loader.close()

    def train_dataloader(self) -> BatchLoader:
        sampler = self._sampler()
        if self.steps is not None and not isinstance(sampler, StreamSampler):
            sampler = Passes(sampler, self.steps)
        return self._loader("train", sampler, self.accumulate)

    def _sampler(self) -> EpochSampler | ShareSampler | StreamSampler:
        by_dataset = isinstance(self.batch_size, dict)
        if not by_dataset and self.fractions is None and self.temperature is None:
            return EpochSampler(self.mix.members("train"), self.batch_size, self.seed, shuffle=True)
        names = [item.name for item in self.mix.cards]
        chosen = list(self.batch_size) if by_dataset else list(dict.fromkeys(task.dataset for task in self.mix.chosen))
        if unknown := [name for name in chosen if name not in names]:
            raise UnknownName(f"Unknown dataset {unknown[0]!r} in batch_size; expected {', '.join(names)}.")
        ids = {name: [task.id for task in self.mix.chosen if task.dataset == name] for name in chosen}
        streams = {name: self.mix.members("train", ids[name]) for name in chosen}
        if empty := [name for name, members in streams.items() if not len(members)]:
            raise ValueError(f"{empty[0]} has no training labels among the chosen tasks, so no batch can draw from it.")
        numbers = {name: names.index(name) for name in streams}
        if by_dataset:
            return StreamSampler(streams, numbers, self.batch_size, self.steps, self.seed)
        sizes = {name: len(members) for name, members in streams.items()}
        counts = shares(sizes, self.fractions or {}, self.temperature or 1.0)
        return ShareSampler(streams, numbers, counts, self.batch_size, self.seed)

    def steps_per_epoch(self) -> int:
        """Return the number of optimizer steps per epoch, or `steps` where batch sizes are per dataset."""
        return len(self._sampler())

    def in_order(self, split: str, tasks: list[str] | None = None) -> BatchLoader:
        """Return a loader of all molecules of a split with a label of these tasks (None for any task), in order."""
        return self._loader(split, EpochSampler(self.mix.members(split, tasks), 256, self.seed, shuffle=False))

    def val_dataloader(self) -> BatchLoader:
        return self.in_order("val", self.watch)

    def test_dataloader(self) -> BatchLoader:
        return self.in_order("test")
