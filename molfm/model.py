"""The model: integer codes -> encoder -> trunk -> one head a dataset and level.

    encoder   codes and positional encodings become vectors (encoders.py)
    trunk     layers with residuals and LayerNorm (layers.py)
    heads     graph: its atoms, pooled; node: the atom; edge: the bond and both its atoms, symmetrically

A task has one output, an ordinal one as many as it has classes; `columns` says where they stand among a level's outputs.

The trunk starts from the same weights for the same seed whatever heads come with it, so that runs with and without
further tasks can be compared pair by pair.
"""

import json
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch_geometric.data import Batch

from molfm.catalog import KINDS, LEVELS
from molfm.encoders import ENCODERS
from molfm.inference import Predictor
from molfm.layers import LAYERS, POOLINGS, VIRTUAL_NODES, Dropout, Trunk, pool
from molfm.store import pointer

NETWORKS = {"multitask": ("molfm.model", "MultiTaskModel"), "minimol": ("molfm.minimol", "Minimol")}


@dataclass(frozen=True)
class ModelConfig:
    """What fixes a model's shape; saved beside its weights.

    Raises:
        ValueError: an unknown word, or a number that makes no model.
    """

    hidden_channels: int = 96
    num_layers: int = 4
    dropout: float = 0.1
    layer: str = "gine"  # gcn, gin, gine, gatedgcn or mpnnpp (layers.LAYERS)
    expansion: int = 2  # hidden width of a layer's MLPs, in units of hidden_channels
    virtual_node: str = "none"  # or mean, sum, logsum: how it pools
    encoder: str = "codes"  # or features, the numbers of arXiv 2310.04292 (encoders.ENCODERS)
    pooling: str = "sum+mean"  # what a graph head reads: sum, mean, max, logsum, or several joined by +
    head_channels: int | dict[str, int] | None = None  # hidden width of (each dataset's) heads; 0: linear ones
    three_classes: bool = False  # ordinal tasks of 5 classes are told as 3: {0, 1}, 2, {3, 4}
    network: str = "multitask"  # or minimol, with encoder and trunk as published (minimol.py)

    def __post_init__(self):
        if self.hidden_channels < 1 or self.num_layers < 1 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"Expected hidden_channels and num_layers of 1 or more and a dropout in [0, 1), found {self}."
            )
        widths = self.head_channels.values() if isinstance(self.head_channels, dict) else [self.head_channels or 0]
        if self.expansion < 1 or min(widths, default=0) < 0:
            raise ValueError(f"Expected an expansion of 1 or more and head_channels of 0 or more, found {self}.")
        words = [("layer", self.layer, LAYERS), ("virtual_node", self.virtual_node, VIRTUAL_NODES)]
        words += [("encoder", self.encoder, ENCODERS), ("network", self.network, NETWORKS)]
        words += [("pooling", way, POOLINGS) for way in self.pooling.split("+")]
        for name, word, known in words:
            if word not in known:
                raise ValueError(f"Unknown {name} {word!r}; expected one of {', '.join(known)}.")

    @property
    def encodings(self) -> tuple[str, ...]:
        """The positional encodings that a batch must carry, by their names in `encodings.py`."""
        return ENCODERS[self.encoder].encodings

    @property
    def pooled_channels(self) -> int:
        """How many numbers describe a molecule: what `MultiTaskModel.embed` gives."""
        return self.hidden_channels * len(self.pooling.split("+"))

    def head_width(self, dataset: str) -> int:
        """Return the hidden width of a dataset's heads."""
        width = self.head_channels
        width = width.get(dataset) if isinstance(width, dict) else width
        return self.hidden_channels if width is None else width


@contextmanager
def _seeded(seed: int | None, part: str):
    """Draw a part's first weights from a seed of its own, and leave the caller's random state as it was."""
    state = torch.get_rng_state()
    if seed is not None:
        torch.manual_seed(crc32(f"{seed}/{part}".encode()))  # torch's generator looks at 32 bits only
    try:
        yield
    finally:
        if seed is not None:
            torch.set_rng_state(state)


class MultiTaskModel(Predictor, nn.Module):
    """Predicts every task of a mix, each dataset and level through a head of its own.

    Args:
        config: the shape.
        tasks: rows of `Mix.tasks`; their order is the numbering of tasks in batches.
        seed: of the initial weights; None leaves them to the caller.
    """

    def __init__(self, config: ModelConfig, tasks: pd.DataFrame, seed: int | None = None):
        super().__init__()
        self.config, self.tasks = config, tasks.reset_index(drop=True)
        self.origin: str | None = None  # where these weights can be had: a folder, or a name for `molfm.pretrained`
        self.learned_before: Sequence[
            str
        ] = ()  # ids of tasks that its encoder and trunk were trained on under other heads
        n = len(tasks)
        width = self._build(seed)
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
                first = start + np.append(0, np.cumsum(classes[group.index])[:-1])
                columns[group.index] = first[:, None] + np.arange(columns.shape[1])
                head_of[group.index] = len(self.heads) - 1
                start += outputs
        there = np.arange(columns.shape[1]) < classes[:, None]
        regression = (self.tasks.kind == "regression").to_numpy()
        mean, std = (np.where(regression, self.tasks[name], fill) for name, fill in (("mean", 0.0), ("std", 1.0)))
        # A constant or unlabelled task cannot be normalized; it is left as it is.
        usable = np.isfinite(mean) & np.isfinite(std) & (std > 0)
        self.register_buffer("mean", torch.tensor(np.where(usable, mean, 0.0), dtype=torch.float32))
        self.register_buffer("std", torch.tensor(np.where(usable, std, 1.0), dtype=torch.float32))
        facts = {"kind": [KINDS.index(kind) for kind in self.tasks.kind], "head": head_of}
        facts |= {"columns": np.where(there, columns, columns[:, :1]), "there": there, "merged": labelled > classes}
        for name, values in facts.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)

    # -------------------------------------------------------------------------------------------------------- network

    def _build(self, seed: int | None) -> dict[str, int]:
        """Make encoder and trunk, and return how many channels the heads of each level read."""
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
        """Return all weights but those of the heads: what tasks share, and what a fine-tuning takes over."""
        return {name: weight for name, weight in self.named_parameters() if not name.startswith("heads.")}

    def parts(self) -> list[list[nn.Module]]:
        """Return all modules but the heads, from the bottom: the encoder, each layer, and what stands between them and heads."""
        layers: list[list[nn.Module]] = [[] for _ in range(self.config.num_layers)]
        for module in self.trunk.children():
            if isinstance(module, nn.ModuleList):  # one a layer; of virtual nodes one less
                for layer, mine in zip(layers, module, strict=False):
                    layer.append(mine)
            else:
                layers[-1].append(module)
        above = [module for name, module in self.named_children() if name not in ("encoder", "trunk", "heads")]
        return [[self.encoder], *layers, *([above] if above else [])]

    def embed_atoms(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return what the trunk makes of atoms (N, channels) and bonds (E, channels)."""
        h, e = self.encoder(batch)
        return self.trunk(h, batch.edge_index, e, batch.batch, batch.num_graphs)

    def forward(self, batch: Batch, levels: Sequence[str] = LEVELS) -> dict[str, Tensor]:
        """Return, by level, (n_items, n_outputs): normalized values, logits of binary tasks and of ordinal classes."""
        h, e = self.embed_atoms(batch)
        out = {}
        for level in levels:
            heads = [head for name, head in self.heads.items() if name.startswith(f"{level}:")]
            if heads:
                features = self._items(level, h, e, batch)
                out[level] = torch.cat([head(features) for head in heads], dim=1)
        return out

    def _items(self, level: str, h: Tensor, e: Tensor | None, batch: Batch) -> Tensor:
        if level == "node":
            return h
        if level == "edge":
            begin, end = batch.edge_index[:, ::2]  # one direction of each bond
            bond = (e[::2] + e[1::2]) / 2
            return torch.cat([h[begin] + h[end] + bond, (h[begin] - h[end]).abs()], dim=1)
        return self.pooled(h, batch)

    def pooled(self, h: Tensor, batch: Batch) -> Tensor:
        """Return what the atoms (N, channels) of each molecule are together: what `embed` gives."""
        return pool(h, batch.batch, batch.num_graphs, self.config.pooling)

    # ------------------------------------------------------------------------------------------ from outputs to tasks

    def outputs(self, out: Tensor, item: Tensor, task: Tensor) -> Tensor:
        """Return the outputs (n, C) for n items and tasks; C: most classes of any task, -inf where one has fewer."""
        raw = out[item[:, None], self.columns[task]]
        return raw if self.columns.shape[1] == 1 else raw.masked_fill(~self.there[task], -torch.inf)

    def read(self, raw: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """Turn outputs (…, C) of tasks (…) into values (…) and class probabilities (…, C).

        Values are in the task's unit; of a binary task the probability of class 1; of an ordinal one the expected class,
        Σ c p_c. The probabilities mean something for ordinal tasks only.
        """
        first, chance = raw[..., 0], raw.softmax(-1)
        expected = (chance * torch.arange(raw.shape[-1], device=raw.device)).sum(-1)
        values = first * self.std[task] + self.mean[task]
        values = torch.where(self.is_kind("binary", task), first.sigmoid(), values)
        return torch.where(self.is_kind("ordinal", task), expected, values), chance

    def is_kind(self, kind: str, task: Tensor) -> Tensor:
        """Return which of these tasks (…) are of one of `catalog.KINDS`, (…) bool."""
        return self.kind[task] == KINDS.index(kind)

    def labels(self, value: Tensor, task: Tensor) -> Tensor:
        """Return label values as the model tells them: in their units, classes merged where `three_classes` says so."""
        if not self.config.three_classes:
            return value
        return torch.where(self.merged[task], (value > 1).to(value.dtype) + (value > 2).to(value.dtype), value)

    def normalize(self, value: Tensor, task: Tensor) -> Tensor:
        """Turn label values (in their units) into what the heads predict: z-units; classes stay as they are."""
        return (self.labels(value, task) - self.mean[task]) / self.std[task]

    # ------------------------------------------------------------------------------------------------------ predictions

    def values(self, batch: Batch, level: str, chosen: np.ndarray) -> Tensor:
        self.eval()
        task = torch.as_tensor(chosen, device=self.mean.device)
        out = self(batch.to(self.mean.device), (level,))[level]
        raw = out[:, self.columns[task]].masked_fill(~self.there[task], -torch.inf)  # (n_items, n_tasks, C)
        values, chance = self.read(raw, task)
        shown = self.there[task] & self.is_kind("ordinal", task)[:, None]
        shown = torch.cat([torch.ones_like(shown[:, :1]), shown], dim=1)  # (n_tasks, 1 + C)
        return torch.cat([values[:, :, None], chance], dim=2)[:, shown]

    def vectors(self, batch: Batch) -> Tensor:
        self.eval()
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
        """Write `model.safetensors` (weights) and `model.json` (shape and tasks): nothing that could execute."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / "model.safetensors"
        )
        facts = {
            "config": asdict(self.config),
            "tasks": json.loads(self.tasks.to_json(orient="records", double_precision=15)),
            "learned_before": list(self.learned_before),
        }
        (folder / "model.json").write_text(json.dumps(facts, indent=1))
        self.origin = str(folder.resolve())

    @classmethod
    def load(cls, folder: str | Path) -> "MultiTaskModel":
        """Read what `save` wrote, onto the CPU; of `MultiTaskModel` it is the network that was saved."""
        facts = json.loads((Path(folder) / "model.json").read_text())
        tasks = pd.DataFrame(facts["tasks"])
        statistics = ["mean", "std", "positive_rate"]
        tasks[statistics] = tasks[statistics].astype(float)
        if "classes" in tasks:
            tasks["classes"] = tasks.classes.astype("Int64")
        config = ModelConfig(**facts["config"])
        model = (network_class(config) if cls is MultiTaskModel else cls)(config, tasks)
        model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
        model.origin, model.learned_before = str(Path(folder).resolve()), facts.get("learned_before", ())
        return model.eval()


def hash_of(weights: dict[str, Tensor]) -> str:
    """Return a hash of tensors and their names."""
    found = blake2b(digest_size=16)
    for name, tensor in weights.items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy())
    return found.hexdigest()


def network_class(config: ModelConfig) -> type[MultiTaskModel]:
    """Return the class of the network that a shape is of; only those in `NETWORKS` are ever imported."""
    module, name = NETWORKS[config.network]
    return getattr(import_module(module), name)


class Specialists(Predictor):
    """A model for each task: the weights of its own best validation. Made by `Run.model` for runs with `adaptive=True`.

    Args:
        folder: `specialists` of a run.
        model: the weights that were best for all watched tasks together; they serve tasks without a validation label.
    """

    def __init__(self, folder: Path, model: MultiTaskModel):
        self.model, self.config, self.tasks = model, model.config, model.tasks
        steps = json.loads((folder / "tasks.json").read_text())
        self._models = {step: MultiTaskModel.load(folder / str(step)) for step in sorted(set(steps.values()))}
        self._model_of = [self._models[steps[task]] if task in steps else model for task in self.tasks.task]

    def values(self, batch: Batch, level: str, chosen: np.ndarray) -> Tensor:
        parts, places, columns = [], [], pointer([len(self.column_names([task])) for task in chosen])
        for model in dict.fromkeys(self._model_of[task] for task in chosen):
            mine = [place for place, task in enumerate(chosen) if self._model_of[task] is model]
            parts.append(model.values(batch, level, np.asarray(chosen)[mine]))
            places += [np.arange(columns[place], columns[place + 1]) for place in mine]
        return torch.cat(parts, dim=1)[:, np.argsort(np.concatenate(places))]

    def vectors(self, batch: Batch) -> Tensor:
        return self.model.vectors(batch)

    def column_names(self, chosen: np.ndarray) -> list[str]:
        return self.model.column_names(chosen)

    def digest(self) -> str:
        return blake2b("".join(model.digest() for model in (self.model, *self._models.values())).encode()).hexdigest()
