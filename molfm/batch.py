"""Batches: flat arrays become PyG `Batch` objects, and loaders of them that can go on where they stopped.

Fields of a batch of B molecules with N atoms, M bonds and E = 2 M directed edges (bond b is edges 2b and 2b + 1):

    x (N, 9) uint8             atom codes, featurize.ATOM_FIELDS
    walk (N, 16) float16       random-walk encoding, where it was gathered; likewise
    laplacian (N, 2 K)         K eigenvectors, then their values
    edge_index (2, E)          both directions of every bond
    edge_attr (E, 3) uint8     bond codes, featurize.BOND_FIELDS
    batch (N,), ptr (B + 1,)   molecule of each atom, first atom of each molecule
    mol_id (B,)                number of the molecule in its mix
    graph_item, graph_task, graph_value    labels as triples: item numbers the molecules, atoms (node_…) or bonds
    node_item, …, edge_item, …             (edge_…) of this batch; task is the row of Mix.tasks; value in task's unit
    label_counts (n_tasks,)    labels a task in this batch and the others of its optimizer step, of this process
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch_geometric.data import Batch, Data

from molfm.catalog import LEVELS
from molfm.encodings import FIELDS as ENCODINGS
from molfm.encodings import WALK
from molfm.featurize import BOND_CODES
from molfm.mix import Mix
from molfm.samplers import EpochSampler, Passes, ShareSampler, StreamSampler, shares
from molfm.store import pointer

# What a graph adds to the numbers in a field, in units of its molecules, atoms or bonds.
_COUNTED_IN = {"edge_index": "node", "graph_item": "graph", "node_item": "node", "edge_item": "edge"}


def to_batch(arrays: dict[str, np.ndarray]) -> Batch:
    """Return gathered arrays (`Mix.gather`) as a PyG `Batch` that can also be taken apart again."""
    sizes = {"node": arrays["num_atoms"], "edge": arrays["num_bonds"], "graph": np.ones_like(arrays["num_atoms"])}
    ptr = pointer(sizes["node"])
    edge_index = np.empty((2, 2 * len(arrays["bonds"])), np.int64)
    first = np.repeat(ptr[:-1], sizes["edge"])
    for end in (0, 1):  # each bond, then its other direction
        edge_index[end, ::2] = edge_index[1 - end, 1::2] = arrays["bonds"][:, end] + first
    fields = {
        "x": arrays["atoms"],
        "edge_index": edge_index,
        "edge_attr": BOND_CODES.take(np.repeat(arrays["bonds"][:, 2], 2), axis=0),
    }
    slices = {"x": ptr, "edge_index": pointer(2 * sizes["edge"]), "edge_attr": pointer(2 * sizes["edge"])}
    for name in ENCODINGS:
        if name in arrays:
            fields[name], slices[name] = arrays[name], ptr
    if "mol_id" in arrays:
        fields["mol_id"], slices["mol_id"] = arrays["mol_id"], pointer(sizes["graph"])
    for level in LEVELS:
        if f"{level}_item" in arrays:
            names = [f"{level}_{name}" for name in ("item", "task", "value")]
            fields |= {name: arrays[name] for name in names}
            slices |= dict.fromkeys(names, pointer(arrays[f"{level}_counts"]))
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in fields.items()}
    batch = Batch(_base_cls=Data, **tensors)
    batch.batch = torch.from_numpy(np.repeat(np.arange(len(sizes["node"])), sizes["node"]))
    batch.ptr = torch.from_numpy(ptr)
    batch._num_graphs = len(sizes["node"])
    nothing = torch.zeros(len(sizes["node"]), dtype=torch.long)
    steps = {level: torch.from_numpy(pointer(count)[:-1]) for level, count in sizes.items()}
    batch._slice_dict = {name: torch.from_numpy(slices[name]) for name in fields}
    batch._inc_dict = {name: steps[_COUNTED_IN[name]] if name in _COUNTED_IN else nothing for name in fields}
    return batch


class MixDataset(Dataset):
    """Gathers the batches of one request: (molecules, datasets whose labels are wanted, or None).

    Args:
        mix, split, encodings: what to read.
        parts, n_parts: a request is dealt out into `n_parts` batches, of which these are gathered here. The others belong
            to other processes.
    """

    def __init__(
        self,
        mix: Mix,
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
        # Every n-th, not a run of neighbours: a request that draws from several datasets has them one after the other.
        mine = slice(part, None, self.n_parts)
        only = None if datasets is None else datasets[mine]
        if part >= len(molecules):  # each process takes part in every step: with a molecule, but without its labels
            mine, only = slice(1), np.full(1, -1)
        return to_batch(self.mix.gather(molecules[mine], self.split, only, self.encodings))


class _From(Sampler):
    """What a sampler yields, without the first few."""

    def __init__(self, sampler: Sampler, start: int):
        self.sampler, self.start = sampler, start

    def __iter__(self) -> Iterator:
        return islice(self.sampler, self.start, None)


class BatchLoader:
    """The batches of this process, in the order of a sampler; its state is the number of those it has handed out.

    Lightning keeps that state in its checkpoints, and a loader that was given one goes on with the batch that follows.
    """

    batch_sampler = None  # Lightning asks for it where there is a sampler, as a DataLoader has both

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
        """End the loader processes; a training that stops before the last batch would leave them to wait."""
        if (running := self._running()) is not None:
            running.close()

    def __iter__(self) -> Iterator[Batch]:
        self.close()
        running = self._batches()
        self._running = weakref.ref(running)  # else the two would keep each other, and the processes, alive
        return running

    def _batches(self) -> Iterator[Batch]:
        self.handed_out, self.start = self.start, 0
        step, part = divmod(self.handed_out, len(self.dataset.parts))
        # Loader processes read ahead; what counts is what was handed out.
        loader = DataLoader(
            self.dataset, None, sampler=_From(self.sampler, step), collate_fn=list, num_workers=self.num_workers
        )
        for batch in islice((batch for batches in loader for batch in batches), part, None):
            self.handed_out += 1
            yield batch


class MixDataModule(lightning.LightningDataModule):
    """A mix as train, val and test loaders of PyG batches.

    Args:
        mix: what to read.
        batch_size: molecules an optimizer step; or molecules a step from each dataset, which needs `steps`.
        steps: what the training loader gives in one go, in optimizer steps; None: an epoch.
        seed: of the order in training.
        fractions, temperature: how often the molecules of each dataset come in an epoch, see `shares`; None: once.
        watch: tasks (see `Mix.expand`) whose molecules make up the val loader; None: all.
        encodings: that the model reads (`ModelConfig.encodings`).
        num_workers: loader processes; gathering is so fast that 0 is right until a GPU waits.
        accumulate: batches that a step is cut into.

    Under a distributed Trainer each process gets its share of every step, and of every batch of the other loaders. So the
    batch size is that of all processes together, and the Trainer needs `use_distributed_sampler=False`.
    """

    def __init__(
        self,
        mix: Mix,
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
        if isinstance(batch_size, dict) and (fractions or temperature):
            raise ValueError("A batch size for each dataset leaves no room for fractions or a temperature.")
        if isinstance(batch_size, dict) and steps is None:
            raise ValueError("A batch size for each dataset needs `steps`: its streams have no common epoch.")
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
        streams = {name: self.mix.members("train", [name]) for name in chosen}
        if empty := [name for name, members in streams.items() if not len(members)]:
            raise ValueError(f"{empty[0]} has no training labels among the chosen tasks, so no batch can draw from it.")
        numbers = {name: names.index(name) for name in streams}
        if by_dataset:
            return StreamSampler(streams, numbers, self.batch_size, self.steps, self.seed)
        sizes = {name: len(members) for name, members in streams.items()}
        counts = shares(sizes, self.fractions or {}, self.temperature or 1.0)
        return ShareSampler(streams, numbers, counts, self.batch_size, self.seed)

    def steps_an_epoch(self) -> int:
        """Return the number of optimizer steps in which the training molecules are gone through."""
        return len(self._sampler())

    def in_order(self, split: str, tasks: list[str] | None = None) -> BatchLoader:
        """Return a loader of every molecule of a split that has a label of these tasks (None: any), in order."""
        return self._loader(split, EpochSampler(self.mix.members(split, tasks), 256, self.seed, shuffle=False))

    def val_dataloader(self) -> BatchLoader:
        return self.in_order("val", self.watch)

    def test_dataloader(self) -> BatchLoader:
        return self.in_order("test")
