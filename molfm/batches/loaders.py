"""Loaders of batches that resume where they stopped."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch_geometric.data import Batch

from molfm.base.errors import InputError
from molfm.base.names import UnknownName
from molfm.batches.batch import to_batch, weighted
from molfm.batches.resident import Resident, fits
from molfm.batches.samplers import EpochSampler, Passes, ShareSampler, StreamSampler
from molfm.batches.shares import check_batches, shares
from molfm.catalog.schema import LEVELS
from molfm.chem.encodings import WALK
from molfm.data.view import View

Request = tuple[np.ndarray, np.ndarray | None]  # molecules, and the dataset whose labels each carries (None for all)
TOGETHER = 16_384  # molecules of the batches that a device makes at once


class MixDataset(Dataset):
    """Gathers the batches of one request: (molecules, the dataset whose labels each one carries, or None for all).

    Args:
        mix: the mix to read.
        split: the split whose labels are wanted.
        encodings: names of the positional encodings to gather.
        parts: batches of a request to gather here; the others belong to other processes.
        n_parts: number of batches that a request is divided into.
        num_workers: loader processes.
        pin_memory: keep batches where a GPU can copy them from without waiting.
        weights: (n_tasks, 2) weights of labels, see `batch.weighted`; None for none.
    """

    def __init__(
        self,
        mix: View,
        split: str,
        encodings: Sequence[str] = (WALK,),
        parts: range = range(1),
        n_parts: int = 1,
        num_workers: int = 0,
        pin_memory: bool = False,
        weights: np.ndarray | None = None,
    ):
        self.mix, self.split, self.encodings, self.weights = mix, split, encodings, weights
        self.parts, self.n_parts, self.num_workers, self.pin_memory = parts, n_parts, num_workers, pin_memory

    def __getitem__(self, request: Request) -> list[Batch]:
        parts = (self._part(request, part) for part in self.parts)
        gathered = (self.mix.gather(m, self.split, only, self.encodings) for m, only in parts)
        batches = [to_batch(weighted(arrays, self.weights)) for arrays in gathered]
        tasks = torch.cat([batch[f"{level}_task"] for batch in batches for level in LEVELS])
        counts = torch.bincount(tasks, minlength=len(self.mix.chosen)).float()
        for batch in batches:
            batch.label_counts = counts
        return batches

    def _part(self, request: Request, part: int) -> Request:
        molecules, datasets = request
        if part >= len(molecules):  # every process needs a batch in every step: one molecule, no labels
            return molecules[:1], np.full(1, -1)
        # Every n-th, not a run: a request with several datasets lists them one after the other.
        mine = slice(part, None, self.n_parts)
        return molecules[mine], None if datasets is None else datasets[mine]

    def read(self, requests: Sampler) -> Iterator[list[Batch]]:
        """Yield the batches of each request."""
        settings = {"collate_fn": list, "num_workers": self.num_workers, "pin_memory": self.pin_memory}
        return iter(DataLoader(self, None, sampler=requests, **settings))


class ResidentDataset(MixDataset):
    """A `MixDataset` that copies its molecules to a device once, and makes the batches there; see `resident.py`."""

    def __init__(
        self,
        device: torch.device,
        mix: View,
        split: str,
        encodings: Sequence[str],
        *parts,
        weights: np.ndarray | None = None,
    ):
        super().__init__(mix, split, encodings, *parts)
        self.resident = Resident(mix, split, mix.members(split), encodings, device, weights)

    def read(self, requests: Sampler) -> Iterator[list[Batch]]:
        """Yield the batches of each request; those of several requests are made together."""
        waiting = iter(requests)
        while first := next(waiting, None):
            several = [first, *islice(waiting, max(0, TOGETHER // len(first[0]) - 1))]
            parts = [self._part(request, part) for request in several for part in self.parts]
            made = iter(self.resident.batches(parts))
            for _ in several:
                batches = list(islice(made, len(self.parts)))
                counts = torch.stack([batch.label_counts for batch in batches]).sum(0)
                for batch in batches:
                    batch.label_counts = counts
                yield batches


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

    def __init__(self, dataset: MixDataset, sampler: Sampler):
        self.dataset, self.sampler = dataset, sampler
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
        loader = self.dataset.read(_Rest(self.sampler, step))
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
        on_device: let a GPU assemble the training batches if its memory has room for the training set.
        weights: (n_tasks, 2) weights of labels, see `batch.weighted`; None for none.

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
        on_device: bool = True,
        weights: np.ndarray | None = None,
    ):
        super().__init__()
        check_batches(batch_size, steps, fractions, temperature)
        self.fractions, self.temperature = fractions, temperature
        self.mix, self.batch_size, self.steps, self.seed = mix, batch_size, steps, seed
        self.watch, self.encodings, self.num_workers, self.accumulate = watch, encodings, num_workers, accumulate
        self.on_device, self.weights, self._loaders = on_device, weights, []

    def _loader(self, split: str, sampler: Sampler, accumulate: int = 1) -> BatchLoader:
        rank, n_ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        parts = (range(rank * accumulate, (rank + 1) * accumulate), n_ranks * accumulate)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if split == "train" and self.on_device and fits(self.mix, split, self.encodings, device):
            dataset = ResidentDataset(device, self.mix, split, self.encodings, *parts, weights=self.weights)
        else:
            rest = {"num_workers": self.num_workers, "pin_memory": device.type == "cuda", "weights": self.weights}
            dataset = MixDataset(self.mix, split, self.encodings, *parts, **rest)
        self._loaders.append(BatchLoader(dataset, sampler))
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
            raise InputError(f"{empty[0]} has no training labels among the chosen tasks, so no batch can draw from it.")
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
