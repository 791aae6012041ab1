"""The multi-task network: integer codes -> encoder -> trunk -> one head per dataset and level.

    encoder   turns codes and positional encodings into vectors (encoders.py)
    trunk     layers with residuals and LayerNorm (layers.py)
    heads     read the pooled atoms and the features (graph), the atom (node), or the bond and both its atoms, symmetrically (edge)

An ordinal task has one output per class, other tasks have one; `columns` gives their columns in the outputs of a level.

For the same seed, the encoder and trunk start from the same weights whatever the heads are, so runs with and without
further tasks can be compared in pairs.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch_geometric.data import Batch

from molfm.base.arrays import pointer
from molfm.base.files import whole, write_json
from molfm.catalog.schema import KINDS, LEVELS
from molfm.nn.config import ModelConfig
from molfm.nn.encoders import ENCODERS
from molfm.nn.layers import LAYERS, Dropout, Trunk, pool
from molfm.nn.predictor import Predictor


@contextmanager
def _seeded(seed: int | None, part: str):
    """Draw a part's initial weights from its own seed without changing the caller's random state; None uses that."""
    state = torch.get_rng_state()
    if seed is not None:
        torch.manual_seed(crc32(f"{seed}/{part}".encode()))  # torch's generator uses only 32 bits of a seed
    try:
        yield
    finally:
        if seed is not None:
            torch.set_rng_state(state)


class MultiTaskModel(Predictor, nn.Module):
    """A network that predicts every task of a mix, with one head per dataset and level.

    Args:
        config: settings of the network.
        tasks: rows of `Mix.tasks`; their order is the numbering of tasks in batches.
        seed: random seed of the initial weights; None to draw them from torch's current random state.
    """

    def __init__(self, config: ModelConfig, tasks: pd.DataFrame, seed: int | None = None):
        super().__init__()
        self.config, self.tasks = config, tasks.reset_index(drop=True)
        self.origin: str | None = None  # what `molfm.pretrained` opens these weights by; None if unsaved
        self.learned_before: Sequence[str] = ()  # ids of tasks that encoder and trunk were trained on before
        n = len(tasks)
        width = self._build(seed)
        width["graph"] += len(config.features)
        if config.features:  # graph heads read them in standard deviations from their mean
            self.register_buffer("feature_mean", torch.zeros(len(config.features)))
            self.register_buffer("feature_std", torch.ones(len(config.features)))
        labelled = self.tasks.get("classes", pd.Series(1, range(n))).fillna(1).to_numpy(int)
        classes = np.where((labelled == 5) & config.three_classes, 3, labelled)
        self.heads, self.kinds = nn.ModuleDict(), {}
        columns, head_of = np.empty((n, classes.max(initial=1)), np.int64), np.empty(n, np.int64)
        for level in LEVELS:
            start = 0
            of_level = self.tasks[self.tasks.level == level]
            self.kinds[level] = of_level.kind.unique().tolist()
            for dataset, group in of_level.groupby("dataset", sort=False):
                outputs = int(classes[group.index].sum())
                with _seeded(seed, f"{dataset}/{level}"):
                    self.heads[f"{level}:{dataset}"] = self._head(width[level], dataset, outputs)
                first = start + pointer(classes[group.index])[:-1]
                columns[group.index] = first[:, None] + np.arange(columns.shape[1])
                head_of[group.index] = len(self.heads) - 1
                start += outputs
        there = np.arange(columns.shape[1]) < classes[:, None]
        regression = (self.tasks.kind == "regression").to_numpy()
        mean, std = (np.where(regression, self.tasks[name], fill) for name, fill in (("mean", 0.0), ("std", 1.0)))
        # One label, or constant ones, have no spread: their unit stays, and the network starts at the mean.
        self.register_buffer("mean", torch.tensor(np.nan_to_num(mean.astype(float)), dtype=torch.float32))
        self.register_buffer("std", torch.tensor(np.where(std > 0, std, 1.0), dtype=torch.float32))
        facts = {"kind": [KINDS.index(kind) for kind in self.tasks.kind], "head": head_of}
        facts |= {"columns": np.where(there, columns, columns[:, :1]), "there": there, "merged": labelled > classes}
        for name, values in facts.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)

    # ---------------------------------------------------------------------------------------------------------- network

    def _build(self, seed: int | None) -> dict[str, int]:
        """Make encoder and trunk, and return the number of channels that the heads of each level read."""
        config, c = self.config, self.config.hidden_channels
        with_bonds = LAYERS[config.layer].bonds != "ignored" or (self.tasks.level == "edge").any()
        with _seeded(seed, "encoder"):
            self.encoder = ENCODERS[config.encoder](c, with_bonds)
        with _seeded(seed, "trunk"):
            self.trunk = Trunk(
                config.layer, c, config.num_layers, config.dropout, config.expansion, config.virtual_node
            )
        return {"graph": config.pooled_channels, "node": c, "edge": 2 * c}

    def _head(self, channels: int, dataset: str, outputs: int) -> nn.Module:
        hidden, dropout = self.config.head_width(dataset), self.config.dropout
        if not hidden:
            return nn.Linear(channels, outputs)
        return nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, outputs))

    def body(self) -> dict[str, nn.Parameter]:
        """Return all weights except those of the heads: what tasks share, and what fine-tuning starts from."""
        return {name: weight for name, weight in self.named_parameters() if not name.startswith("heads.")}

    def head_names(self) -> list[str]:
        """Return the names of the heads in their order: dataset/level, as `Mix.expand` reads them."""
        return ["/".join(reversed(name.split(":", 1))) for name in self.heads]

    def parts(self) -> list[list[nn.Module]]:
        """Return all modules except the heads, bottom first: encoder, each layer, modules between trunk and heads."""
        layers: list[list[nn.Module]] = [[] for _ in range(self.config.num_layers)]
        for module in self.trunk.children():
            if isinstance(module, nn.ModuleList):  # one module per layer; virtual nodes: one fewer
                for layer, mine in zip(layers, module, strict=False):
                    layer.append(mine)
            else:
                layers[-1].append(module)
        above = [module for name, module in self.named_children() if name not in ("encoder", "trunk", "heads")]
        return [[self.encoder], *layers, *([above] if above else [])]

    def embed_atoms(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return the trunk's atom vectors (N, channels) and bond vectors (E, channels), or None for unused bonds."""
        h, e = self.encoder(batch)
        return self.trunk(h, batch.edge_index, e, batch.batch, batch.num_graphs)

    def forward(self, batch: Batch, levels: Sequence[str] = LEVELS) -> dict[str, Tensor]:
        """Return (n_items, n_outputs) of each level: normalized values; logits of binary tasks and ordinal classes."""
        h, e = self.embed_atoms(batch)
        out = {}
        for level in levels:
            heads = [head for name, head in self.heads.items() if name.startswith(f"{level}:")]
            if heads:
                vectors = self._items(level, h, e, batch)
                if level == "graph" and self.config.features:
                    vectors = torch.cat([vectors, self._features(batch.features).to(vectors.dtype)], dim=1)
                out[level] = torch.cat([head(vectors) for head in heads], dim=1)
        return out

    def _features(self, values: Tensor) -> Tensor:
        """Return features (B, n_features) in standard deviations from their mean; the mean where one is missing."""
        return ((values - self.feature_mean) / self.feature_std).nan_to_num(0.0)

    def scale_features(self, values: np.ndarray) -> None:
        """Set the scale of the features to that of training molecules, (n, n_features) with NaN where one is missing."""
        mean, std = (np.nan_to_num(of(values.astype(float), axis=0)) for of in (np.nanmean, np.nanstd))
        self.feature_mean.copy_(torch.from_numpy(mean))
        self.feature_std.copy_(torch.from_numpy(np.where(std > 0, std, 1.0)))

    def _items(self, level: str, h: Tensor, e: Tensor | None, batch: Batch) -> Tensor:
        if level == "node":
            return h
        if level == "edge":
            begin, end = (h.index_select(0, atom) for atom in batch.edge_index[:, ::2])  # one direction of each bond
            bond = (e[::2] + e[1::2]) / 2
            return torch.cat([begin + end + bond, (begin - end).abs()], dim=1)
        return self.pooled(h, batch)

    def pooled(self, h: Tensor, batch: Batch) -> Tensor:
        """Pool the atom vectors (N, channels) of each molecule; this is what `embed` returns."""
        return pool(h, batch.batch, batch.num_graphs, self.config.pooling)

    # -------------------------------------------------------------------------------------------- from outputs to tasks

    def outputs(self, out: Tensor, item: Tensor, task: Tensor) -> Tensor:
        """Return outputs (n, C) of n pairs of item and task; C is the most classes of any task, -inf fills the rest."""
        place = item[:, None] * out.shape[1] + self.columns[task]
        raw = out.flatten().index_select(0, place.flatten()).view(place.shape)
        return raw if self.columns.shape[1] == 1 else raw.masked_fill(~self.there[task], -torch.inf)

    def read(self, raw: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """Turn outputs (…, C) of tasks (…) into values (…) and class probabilities (…, C).

        Values are in the task's unit; for a binary task, the probability of class 1; for an ordinal task, the expected
        class Σ c p_c. The class probabilities are meaningful for ordinal tasks only.
        """
        first, chance = raw[..., 0], raw.softmax(-1)
        expected = (chance * torch.arange(raw.shape[-1], device=raw.device)).sum(-1)
        values = first * self.std[task] + self.mean[task]
        values = torch.where(self.is_kind("binary", task), first.sigmoid(), values)
        return torch.where(self.is_kind("ordinal", task), expected, values), chance

    def is_kind(self, kind: str, task: Tensor) -> Tensor:
        """Return which tasks (…) are of a kind, one of `catalog.schema.KINDS`: (…) bool."""
        return self.kind[task] == KINDS.index(kind)

    def labels(self, value: Tensor, task: Tensor) -> Tensor:
        """Return label values in their units, with five classes merged into three if `three_classes` is set."""
        if not self.config.three_classes:
            return value
        return torch.where(self.merged[task], (value > 1).to(value.dtype) + (value > 2).to(value.dtype), value)

    def normalize(self, value: Tensor, task: Tensor) -> Tensor:
        """Turn label values (in their units) into the targets of the heads: z-units for regression, else the class."""
        return (self.labels(value, task) - self.mean[task]) / self.std[task]

    # ------------------------------------------------------------------------------------------------------ predictions

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Predict in evaluation mode, and leave each module in the mode it was in."""
        training = [module for module in self.modules() if module.training]
        self.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True

    def values(self, batch: Batch, level: str, chosen: np.ndarray) -> Tensor:
        with self._evaluating():
            task = torch.as_tensor(chosen, device=self.mean.device)
            out = self(batch.to(self.mean.device), (level,))[level]
            raw = out[:, self.columns[task]].masked_fill(~self.there[task], -torch.inf)  # (n_items, n_tasks, C)
            values, chance = self.read(raw, task)
            shown = self.there[task] & self.is_kind("ordinal", task)[:, None]
            shown = torch.cat([torch.ones_like(shown[:, :1]), shown], dim=1)  # (n_tasks, 1 + C)
            return torch.cat([values[:, :, None], chance], dim=2)[:, shown]

    def vectors(self, batch: Batch) -> Tensor:
        with self._evaluating():
            batch = batch.to(self.mean.device)
            return self.pooled(self.embed_atoms(batch)[0], batch)

    def column_names(self, chosen: np.ndarray) -> list[str]:
        names = []
        for task, kind, there in zip(
            self.tasks.task[chosen], self.tasks.kind[chosen], self.there.cpu().numpy()[chosen], strict=True
        ):
            names += [task, *(f"{task}={c}" for c in range(there.sum() if kind == "ordinal" else 0))]
        return names

    def digest(self) -> str:
        return hash_of(self.state_dict())

    # ------------------------------------------------------------------------------------------------------------ files

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors` (weights) and `model.json` (settings and tasks), which hold no executable code."""
        folder = Path(folder)
        with whole(folder / "model.safetensors") as temporary:
            save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, temporary)
        facts = {
            "config": asdict(self.config),
            "tasks": json.loads(self.tasks.to_json(orient="records", double_precision=15)),
            "learned_before": list(self.learned_before),
        }
        write_json(folder / "model.json", facts)
        self.origin = str(folder.resolve())


def hash_of(weights: dict[str, Tensor]) -> str:
    """Return a hash of tensors and their names."""
    found = blake2b(digest_size=16)
    for name, tensor in weights.items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy())
    return found.hexdigest()
