"""Batches that are assembled on a device, from a training set that lives in its memory.

A GPU trains on small molecules faster than a CPU core gathers and copies them. So the training set is copied to the
device once, as the small integers of the store: 1 to 2 GB per million drug-like molecules, with encodings and labels.
From then on, only the places of a batch's molecules cross the bus. The rest are index operations on the device that never wait for it: the CPU knows all
sizes beforehand.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from molfm.base.arrays import pointer
from molfm.batches.batch import LABEL_FIELDS, weighted
from molfm.catalog.schema import LEVELS
from molfm.chem.encodings import field
from molfm.chem.featurize import BOND_CODES
from molfm.data.view import View

_CHUNK = 16_384  # molecules that are copied at once
_LARGEST_SHARE = 0.3  # of the device's free memory


class Resident:
    """The structures of some molecules and their labels of one split, in the memory of a device.

    Args:
        mix: the mix to copy from.
        split: the split whose labels are wanted.
        molecules: (n,) numbers of the molecules, each once.
        encodings: names of the positional encodings.
        device: where the arrays live and the batches are made.
        weights: (n_tasks, 2) weights of labels, see `batch.weighted`; None for none.
    """

    def __init__(
        self,
        mix: View,
        split: str,
        molecules: np.ndarray,
        encodings: Sequence[str],
        device: torch.device,
        weights: np.ndarray | None = None,
    ):
        self.device, self.fields = device, [field(name) for name in encodings]
        self.n_tasks, self.n_datasets = len(mix.chosen), len(mix.cards)
        rows = mix.rows
        self._shard = rows.shard[rows.ptr[:-1]]  # of each molecule; a batch is ordered by it, as in `View.gather`
        names = [card.name for card in mix.cards]
        dataset_of = np.array([names.index(task.dataset) for task in mix.chosen])
        parts = [
            _local(weighted(mix.gather(some, split, None, encodings), weights), dataset_of, self.n_datasets)
            for some in np.split(molecules, range(_CHUNK, len(molecules), _CHUNK))
        ]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self._place = np.full(len(mix), -1)
        self._place[joined["mol_id"]] = np.arange(len(molecules))
        # Places and sizes stay on the CPU. Labels have one part per molecule and dataset.
        self._ptr = {name: pointer(joined.pop(name)) for name in ("num_atoms", "num_bonds", *_counts())}
        self._on_device = {name: torch.from_numpy(array).to(device) for name, array in joined.items()}
        self._bond_codes = torch.from_numpy(BOND_CODES.copy()).to(device)

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take on the device."""
        return sum(array.numel() * array.element_size() for array in self._on_device.values())

    def batches(self, requests: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> list[Batch]:
        """Return what `to_batch(mix.gather(molecules, split, datasets))` returns for each request, made on the device.

        Each batch has `label_counts` too. PyG cannot take it apart. Making several batches takes hardly longer than
        making one, because small operations on a GPU take the same time whatever their size.

        Args:
            requests: (molecules (B,), datasets (B,) or None for all); datasets are the numbers of the datasets whose
                labels are wanted, for each molecule.
        """
        molecules, first, last = (np.concatenate(parts) for parts in zip(*map(self._ordered, requests), strict=True))
        sizes = np.array([len(request[0]) for request in requests])
        place = self._place[molecules]
        spans = dict.fromkeys(("num_atoms", "num_bonds"), (place, place + 1)) | dict.fromkeys(_counts(), (first, last))
        starts = {name: self._ptr[name][begin] for name, (begin, _) in spans.items()}
        lengths = {name: self._ptr[name][end] - starts[name] for name, (_, end) in spans.items()}
        of_batch = {name: np.add.reduceat(lengths[name], pointer(sizes)[:-1]) for name in spans}
        # The first atom and bond of each molecule in its batch, and the molecule's own number there.
        rank = {name: _within(lengths[name], sizes) for name in ("num_atoms", "num_bonds")}
        rank["graph"] = _within(np.ones_like(place), sizes)
        ptr = np.insert(rank["num_atoms"], np.cumsum(sizes), of_batch["num_atoms"])
        number = np.repeat(np.arange(len(sizes)), sizes)
        # One copy for all: small copies cost as much as large ones.
        sent = [molecules, number, place, *starts.values(), *lengths.values(), *rank.values(), ptr]
        flat = torch.from_numpy(np.concatenate(sent).astype(np.int64))
        if self.device.type == "cuda":
            flat = flat.pin_memory()
        mol_id, number, where, *rest, ptr = flat.to(self.device, non_blocking=True).split([len(part) for part in sent])
        n = len(spans)
        parts = {
            name: _spans(start, length, int(lengths[name].sum()))
            for name, start, length in zip(spans, rest[:n], rest[n : 2 * n], strict=True)
        }
        fields = self._gathered(parts, dict(zip(rank, rest[2 * n :], strict=True)), number, where, len(sizes))
        of_batch |= {"graph": sizes, "ptr": sizes + 1, "edges": 2 * of_batch["num_bonds"]}
        of_batch["label_counts"] = np.full(len(sizes), self.n_tasks)
        fields |= {"mol_id": (mol_id, "graph"), "ptr": (ptr, "ptr")}
        cut = {
            name: tensor.split(of_batch[of].tolist(), dim=-1 if name == "edge_index" else 0)
            for name, (tensor, of) in fields.items()
        }
        made = []
        for i, size in enumerate(sizes.tolist()):
            batch = Batch(_base_cls=Data, **{name: tensors[i] for name, tensors in cut.items()})
            batch._num_graphs = size
            made.append(batch)
        return made

    def _ordered(self, request: tuple[np.ndarray, np.ndarray | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the molecules of a request as `View.gather` orders them, and the first and last part of their labels."""
        molecules, datasets = request
        sort = np.argsort(self._shard[molecules], kind="stable")
        molecules = molecules[sort]
        first = self._place[molecules] * self.n_datasets
        if datasets is None:
            return molecules, first, first + self.n_datasets
        datasets = datasets[sort]
        first = first + np.maximum(datasets, 0)
        return molecules, first, first + (datasets >= 0)

    def _gathered(
        self,
        parts: dict[str, tuple[Tensor, Tensor]],
        rank: dict[str, Tensor],
        number: Tensor,
        place: Tensor,
        n_batches: int,
    ) -> dict[str, tuple[Tensor, str]]:
        """Return the fields of all batches one after the other, each with the name of what it counts.

        Args:
            parts: for each kind of part, the molecule and the place of each of its entries.
            rank: first atom, first bond and number of each molecule in its batch.
            number: batch of each molecule.
            place: place of each molecule in the arrays on the device.
            n_batches: number of batches.
        """
        have = self._on_device
        owner, atom = parts["num_atoms"]
        owner_of_bond, bond = parts["num_bonds"]
        ends = have["ends"].index_select(0, bond).long() + rank["num_atoms"].index_select(0, owner_of_bond)[:, None]
        code = have["code"].index_select(0, bond).long().repeat_interleave(2, output_size=2 * len(bond))
        fields = {
            "x": (have["atoms"].index_select(0, atom), "num_atoms"),
            "batch": (rank["graph"].index_select(0, owner), "num_atoms"),
            "edge_index": (torch.stack([ends.flatten(), ends.flip(1).flatten()]), "edges"),  # each bond, its reverse
            "edge_attr": (self._bond_codes.index_select(0, code), "edges"),
            **{name: (have[name].index_select(0, atom), "num_atoms") for name in self.fields},
        }
        if "features" in have:
            fields["features"] = have["features"].index_select(0, place), "graph"
        counts = torch.zeros(n_batches * self.n_tasks, device=self.device)
        for level, before in zip(LEVELS, ("graph", "num_atoms", "num_bonds"), strict=True):
            name = f"{level}_counts"
            owner_of_label, label = parts[name]
            item, task = (have[f"{level}_{what}"].index_select(0, label).long() for what in ("item", "task"))
            fields[f"{level}_item"] = item + rank[before].index_select(0, owner_of_label), name
            fields[f"{level}_task"] = task, name
            for rest in LABEL_FIELDS[2:]:
                if f"{level}_{rest}" in have:
                    fields[f"{level}_{rest}"] = have[f"{level}_{rest}"].index_select(0, label), name
            cell = number.index_select(0, owner_of_label) * self.n_tasks + task
            counts.index_add_(0, cell, torch.ones_like(cell, dtype=counts.dtype))
        return fields | {"label_counts": (counts, "label_counts")}


def fits(mix: View, split: str, encodings: Sequence[str], device: torch.device) -> bool:
    """Return whether a device is a GPU on which a split takes a small part of the free memory, judged by a sample."""
    if device.type != "cuda":
        return False
    molecules = mix.members(split)
    sample = molecules[np.linspace(0, len(molecules) - 1, min(len(molecules), 1_000)).astype(int)]
    taken = Resident(mix, split, np.unique(sample), encodings, torch.device("cpu")).nbytes / len(np.unique(sample))
    return taken * len(molecules) < _LARGEST_SHARE * torch.cuda.mem_get_info(device)[0]


def _within(lengths: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return where each length starts, (n,), counted anew for every run of `sizes` lengths."""
    starts = pointer(lengths)[:-1]
    return starts - np.repeat(starts[pointer(sizes)[:-1]], sizes)


def _counts() -> list[str]:
    return [f"{level}_counts" for level in LEVELS]


def _local(arrays: dict[str, np.ndarray], dataset_of: np.ndarray, n_datasets: int) -> dict[str, np.ndarray]:
    """Return gathered arrays with items numbered within their molecule and labels counted by molecule and dataset."""
    n = len(arrays["mol_id"])
    bonds = arrays["bonds"]
    out = {name: arrays[name] for name in arrays if not name.startswith(LEVELS) and name != "bonds"}
    # Torch can do hardly anything with uint16, the type of the ends in large molecules.
    ends = bonds[:, :2].astype(np.int16 if bonds.dtype == np.uint16 else np.uint8)
    out |= {"ends": ends, "code": bonds[:, 2].astype(np.uint8)}
    sizes = {"graph": np.ones(n, np.int64), "node": arrays["num_atoms"], "edge": arrays["num_bonds"]}
    for level in LEVELS:
        owner = np.repeat(np.arange(n), arrays[f"{level}_counts"])
        part = owner * n_datasets + dataset_of[arrays[f"{level}_task"]]
        order = np.argsort(part, kind="stable")
        out[f"{level}_item"] = (arrays[f"{level}_item"] - pointer(sizes[level])[owner])[order].astype(np.int16)
        out[f"{level}_task"] = arrays[f"{level}_task"][order].astype(np.int16)
        out |= {name: arrays[name][order] for of in LABEL_FIELDS[2:] if (name := f"{level}_{of}") in arrays}
        out[f"{level}_counts"] = np.bincount(part, minlength=n * n_datasets)
    return out


def _spans(starts: Tensor, lengths: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """Return the number of the span and the place of each entry of `arange(start, start + length)` of every span."""
    owner = torch.arange(len(starts), device=starts.device).repeat_interleave(lengths, output_size=total)
    shift = starts - lengths.cumsum(0) + lengths
    return owner, shift.index_select(0, owner) + torch.arange(total, device=starts.device)
