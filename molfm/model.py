"""The model: integer codes -> encoder -> GINE trunk -> one head a dataset and level.

    encoder   codes become vectors, the random-walk encoding is added
    trunk     GINE layers (arXiv 1905.12265, eq. 4.1) with residuals and LayerNorm
    heads     graph: mean and sum over atoms; node: the atom; edge: both its atoms, symmetrically

The trunk starts from the same weights for the same seed whatever heads come with it, so that runs with and without
further tasks can be compared pair by pair.
"""

import json
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from rdkit import Chem
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.nn import GINEConv, global_add_pool

from molfm.batch import to_batch
from molfm.catalog import LEVELS
from molfm.encodings import RANDOM_WALK_STEPS
from molfm.featurize import ATOM_FIELDS, BOND_FIELDS, Molecules, featurize
from molfm.store import in_memory, structure

PREDICT_BATCH = 256


@dataclass(frozen=True)
class ModelConfig:
    """The numbers that fix a model's shape."""

    hidden_channels: int = 96
    num_layers: int = 4
    dropout: float = 0.1

    def __post_init__(self):
        if self.hidden_channels < 1 or self.num_layers < 1 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"Expected hidden_channels and num_layers of 1 or more and a dropout in [0, 1), found {self}."
            )


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


class CodeEmbedding(nn.Module):
    """The sum of one learned vector a field. Shapes: (n, n_fields) integer codes -> (n, channels)."""

    def __init__(self, fields: dict[str, int], channels: int):
        super().__init__()
        self.table = nn.Embedding(sum(fields.values()), channels)
        nn.init.normal_(self.table.weight, std=len(fields) ** -0.5)
        self.register_buffer("offset", torch.tensor([0, *np.cumsum(list(fields.values()))[:-1]]), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        return self.table(codes.long() + self.offset).sum(1)


class Encoder(nn.Module):
    """Codes of a batch -> atom vectors (N, channels) and bond vectors (E, channels)."""

    def __init__(self, channels: int):
        super().__init__()
        self.atoms = CodeEmbedding(ATOM_FIELDS, channels)
        self.bonds = CodeEmbedding(BOND_FIELDS, channels)
        self.walk = nn.Sequential(nn.Linear(RANDOM_WALK_STEPS, channels), nn.GELU(), nn.Linear(channels, channels))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.atoms(batch.x) + self.walk(batch.walk.to(self.atoms.table.weight.dtype)), self.bonds(
            batch.edge_attr
        )


class GINE(nn.Module):
    """The trunk. Shapes: h (N, channels), edge_index (2, E), e (E, channels) -> (N, channels)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        c = config.hidden_channels
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for _ in range(config.num_layers):
            mlp = nn.Sequential(nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, c))
            self.convs.append(GINEConv(mlp, train_eps=True))
            self.norms.append(nn.LayerNorm(c))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, h: Tensor, edge_index: Tensor, e: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = h + self.dropout(conv(norm(h), edge_index, e))
        return h


class MultiTaskModel(nn.Module):
    """Predicts every task of a mix, each dataset and level through a head of its own.

    Args:
        config: the shape.
        tasks: rows of `Mix.tasks`; their order is the numbering of tasks in batches.
        seed: of the initial weights; None leaves them to the caller.
    """

    def __init__(self, config: ModelConfig, tasks: pd.DataFrame, seed: int | None = None):
        super().__init__()
        self.config, self.tasks = config, tasks.reset_index(drop=True)
        c = config.hidden_channels
        with _seeded(seed, "trunk"):
            self.encoder, self.trunk, self.norm = Encoder(c), GINE(config), nn.LayerNorm(c)
        width = {"graph": 2 * c, "node": c, "edge": 2 * c}
        self.heads = nn.ModuleDict()
        column, head_of = np.empty(len(tasks), np.int64), np.empty(len(tasks), np.int64)
        for level in LEVELS:
            start = 0
            of_level = self.tasks[self.tasks.level == level]
            for dataset, group in of_level.groupby("dataset", sort=False):
                with _seeded(seed, f"{dataset}/{level}"):
                    self.heads[f"{level}:{dataset}"] = nn.Sequential(
                        nn.Linear(width[level], c), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(c, len(group))
                    )
                column[group.index] = start + np.arange(len(group))
                head_of[group.index] = len(self.heads) - 1
                start += len(group)
        binary = (self.tasks.kind == "binary").to_numpy()
        mean, std = (np.where(binary, fill, self.tasks[name]) for name, fill in (("mean", 0.0), ("std", 1.0)))
        # A constant or unlabelled task cannot be normalized; it is left as it is.
        usable = np.isfinite(mean) & np.isfinite(std) & (std > 0)
        self.register_buffer("mean", torch.tensor(np.where(usable, mean, 0.0), dtype=torch.float32))
        self.register_buffer("std", torch.tensor(np.where(usable, std, 1.0), dtype=torch.float32))
        self.register_buffer("binary", torch.tensor(binary), persistent=False)
        self.register_buffer("column", torch.tensor(column), persistent=False)
        self.register_buffer("head", torch.tensor(head_of), persistent=False)

    # -------------------------------------------------------------------------------------------------------- network

    def embed_atoms(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the trunk's output (N, channels) and the bond vectors (E, channels)."""
        h, e = self.encoder(batch)
        return self.norm(self.trunk(h, batch.edge_index, e)), e

    def forward(self, batch: Batch, levels: Sequence[str] = LEVELS) -> dict[str, Tensor]:
        """Return, by level, (n_items, n_tasks_of_level): normalized values, or logits of binary tasks."""
        h, e = self.embed_atoms(batch)
        out = {}
        for level in levels:
            heads = [head for name, head in self.heads.items() if name.startswith(f"{level}:")]
            if heads:
                features = self._items(level, h, e, batch)
                out[level] = torch.cat([head(features) for head in heads], dim=1)
        return out

    def _items(self, level: str, h: Tensor, e: Tensor, batch: Batch) -> Tensor:
        if level == "node":
            return h
        if level == "edge":
            begin, end = batch.edge_index[:, ::2]  # one direction of each bond
            return torch.cat([h[begin] + h[end] + e[::2], (h[begin] - h[end]).abs()], dim=1)
        total = global_add_pool(h, batch.batch, batch.num_graphs)
        count = (batch.ptr[1:] - batch.ptr[:-1]).to(h.dtype)[:, None]
        return torch.cat([total / 16, total / count], dim=1)  # 16: about the atoms of a molecule, keeps both near 1

    def normalize(self, value: Tensor, task: Tensor) -> Tensor:
        """Turn label values (in their units) into what the heads predict: z-units; classes stay as they are."""
        return (value - self.mean[task]) / self.std[task]

    # ------------------------------------------------------------------------------------------------------ predictions

    @torch.no_grad()
    def _batches(self, found: Molecules):
        shard, device = in_memory(found), self.mean.device
        self.eval()
        for start in range(0, len(found.row), PREDICT_BATCH):
            local = np.arange(start, min(start + PREDICT_BATCH, len(found.row)))
            yield local, to_batch(structure(shard, local)).to(device)

    def predict(
        self, smiles: str | Sequence[str], level: str = "graph", tasks: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Predict tasks of one level: physical units for regression, probabilities for binary tasks.

        Args:
            smiles: one SMILES or several.
            level: "graph": a row a molecule; "node": a row an atom, "edge": a row a bond, in the order of
                `Chem.MolFromSmiles(smiles)`.
            tasks: task ids or bare names; None: all of the level.

        Returns:
            A DataFrame: `mol` (place in the input), `smiles`, at node level `atom` and `element`, at edge level `begin`
            and `end`, then a column a task. A SMILES that is no molecule gives a row without values at graph level, none
            elsewhere, and a warning that names it.

        Raises:
            ValueError: an unknown level or task.
        """
        if level not in LEVELS:
            raise ValueError(f"Unknown level {level!r}; expected one of {', '.join(LEVELS)}.")
        texts = [smiles] if isinstance(smiles, str) else list(smiles)
        chosen = self._chosen(level, tasks)
        found = featurize(texts, levels={level} - {"graph"}, as_labels=False)
        if found.rejected:
            first = found.rejected[0]
            warnings.warn(
                f"{len(found.rejected)} of {len(texts)} SMILES have no prediction; the first: "
                f"{first.smiles!r} at place {first.row}: {first.reason}.",
                stacklevel=2,
            )
        parts = []
        for _, batch in self._batches(found):
            with torch.no_grad():
                out = self(batch, (level,))[level][:, self.column[chosen]]
            value = torch.where(self.binary[chosen], out.sigmoid(), out * self.std[chosen] + self.mean[chosen])
            parts.append(value.cpu().numpy())
        values = np.concatenate(parts) if parts else np.zeros((0, len(chosen)), np.float32)
        names = self.tasks.task[chosen].tolist()
        if level == "graph":
            table = np.full((len(texts), len(chosen)), np.nan, np.float32)
            table[found.row] = values
            frame = pd.DataFrame(table, columns=names)
            frame.insert(0, "smiles", texts)
            frame.insert(0, "mol", np.arange(len(texts)))
            return frame
        ptr, order = found.atom_ptr if level == "node" else found.bond_ptr, found.places[level].order
        sizes = np.diff(ptr)
        back = np.empty(len(order), np.int64)  # the stored order, turned back into the order of the input
        back[np.repeat(ptr[:-1], sizes) + order] = np.arange(len(order))
        frame = pd.DataFrame(values[back], columns=names)
        frame.insert(0, "smiles", np.repeat(np.array(texts, object)[found.row], sizes))
        frame.insert(0, "mol", np.repeat(found.row, sizes))
        mols = [Chem.MolFromSmiles(texts[row]) for row in found.row]
        if level == "node":
            frame.insert(2, "atom", order[back])
            frame.insert(3, "element", [atom.GetSymbol() for mol in mols for atom in mol.GetAtoms()])
        else:
            frame.insert(2, "begin", [bond.GetBeginAtomIdx() for mol in mols for bond in mol.GetBonds()])
            frame.insert(3, "end", [bond.GetEndAtomIdx() for mol in mols for bond in mol.GetBonds()])
        return frame

    def _chosen(self, level: str, tasks: Sequence[str] | None) -> np.ndarray:
        of_level = self.tasks.index[self.tasks.level == level]
        if not len(of_level):
            raise ValueError(f"This model has no task at {level} level; it has {', '.join(self.tasks.level.unique())}.")
        if tasks is None:
            return of_level.to_numpy(copy=True)
        chosen = []
        for name in [tasks] if isinstance(tasks, str) else tasks:
            ids = self.tasks.task[of_level]
            match = of_level[(ids == name) | (ids.str.split("/").str[-1] == name)]
            if len(match) != 1:
                raise ValueError(f"{len(match)} {level} tasks are called {name!r}; this model has {', '.join(ids)}.")
            chosen.append(match[0])
        return np.array(chosen)

    def embed(self, smiles: str | Sequence[str]) -> np.ndarray:
        """Return the vectors that the graph heads read, (n, 2 · hidden_channels) float32; NaN for what is no molecule."""
        texts = [smiles] if isinstance(smiles, str) else list(smiles)
        found = featurize(texts, levels=())
        out = np.full((len(texts), 2 * self.config.hidden_channels), np.nan, np.float32)
        for local, batch in self._batches(found):
            with torch.no_grad():
                out[found.row[local]] = self._items("graph", *self.embed_atoms(batch), batch).cpu().numpy()
        return out

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
        }
        (folder / "model.json").write_text(json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: str | Path) -> "MultiTaskModel":
        """Read what `save` wrote, onto the CPU."""
        facts = json.loads((Path(folder) / "model.json").read_text())
        tasks = pd.DataFrame(facts["tasks"])
        statistics = ["mean", "std", "positive_rate"]
        tasks[statistics] = tasks[statistics].astype(float)
        model = cls(ModelConfig(**facts["config"]), tasks)
        model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
        return model.eval()
