"""MiniMol, the published LargeMix model (arXiv 2404.14986): 10 million parameters, 3,313 tasks, with molfm's layers.

    encoder   85 atom and 13 bond numbers, 8 Laplacian eigenvectors, the random walk -> h (N, 128), e (E, 168)
    trunk     16 GINE layers of width 336, the last of 512, with virtual nodes between them
    graph     max over atoms (the fingerprint, 512), MLP to 1024, one head per dataset
    node      MLP to 64, one head

The weights come in half precision from a file in the wheel `minimol` on the package index; no code of that package is
run. The published network halves the inputs of some modules, because it was tuned at half the width; here their weights
are halved.
"""

from importlib.resources import files
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.nn import GINEConv

from molfm.base.errors import InputError
from molfm.catalog.download import fetch
from molfm.catalog.schema import Task
from molfm.catalog.shipped import card, expand_tasks
from molfm.chem.encodings import RANDOM_WALK_STEPS
from molfm.chem.featurize import ATOM_FIELDS, BOND_FIELDS
from molfm.data.mix import Mix, load
from molfm.data.tables import locate
from molfm.nn.config import ModelConfig
from molfm.nn.encoders import N_EIGENVECTORS, FieldTable, atom_numbers, bond_numbers
from molfm.nn.layers import VirtualNode
from molfm.nn.multitask import MultiTaskModel

WHEEL = "pypi:minimol==1.3.5#minimol/ckpts/minimol_v1/state_dict.pth"
WHEEL_SHA256 = "faa431c550682dfeed9f5b5503e3efef2a3d85a782afa256150449bb209f9eda"
ATOMS, BONDS, WIDTH, FINGERPRINT, LAYERS = 128, 168, 336, 512, 16
HEADS = {  # level:dataset -> its name in the published file, in the order of our tasks
    "graph:l1000_vcap": "l1000_vcap",
    "graph:l1000_mcf7": "l1000_mcf7",
    "graph:pcba_1328": "pcba_1328",
    "graph:pcqm4m_g25_n4": "pcqm4m_g25",
    "node:pcqm4m_g25_n4": "pcqm4m_n4",
}
UNIT_MOLECULES, LEAST_MOLECULES, LEAST_R2 = 2000, 4, 0.5  # for `Minimol.fit_units`
_WALK = "encoder_manager.pe_encoders.rw_pos"
CONFIG = ModelConfig(
    hidden_channels=FINGERPRINT,
    num_layers=LAYERS,
    dropout=0.0,
    encoder="features",
    virtual_node="logsum",
    pooling="max",
    head_channels=128,
    three_classes=True,
    network="minimol",
)


def dense(in_channels: int, out_channels: int, activation: nn.Module | None = None) -> nn.Sequential:
    """Return a linear map and LayerNorm, followed by an activation if one is given."""
    return nn.Sequential(nn.Linear(in_channels, out_channels), nn.LayerNorm(out_channels), activation or nn.Identity())


class Encoder(nn.Module):
    """Encodes the numbers and encodings of `encoders.FeatureEncoder` with the published MLPs."""

    def __init__(self):
        super().__init__()
        self.numbers = FieldTable(ATOM_FIELDS, torch.tensor(atom_numbers(), dtype=torch.float32))
        self.bond_numbers = FieldTable(BOND_FIELDS, torch.tensor(bond_numbers(), dtype=torch.float32))
        self.of_pair = nn.Sequential(nn.Linear(2, 64), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
        self.of_pairs = nn.Linear(64, 32)
        self.of_walk = nn.Sequential(
            nn.LayerNorm(RANDOM_WALK_STEPS), dense(RANDOM_WALK_STEPS, 64, nn.ReLU()), dense(64, 32, nn.ReLU())
        )
        self.of_atoms = nn.Sequential(dense(32 + 85, 256, nn.ReLU()), dense(256, ATOMS))
        self.of_bonds = nn.Sequential(dense(13, 128, nn.ReLU()), dense(128, BONDS))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        vectors, values = batch.laplacian.float().split(N_EIGENVECTORS, dim=1)
        alone = (batch.ptr.diff() == 1)[batch.batch]
        walk = batch.walk.float().masked_fill(alone[:, None], 1.0)  # as published: a single atom always returns
        return self.encode(self.numbers(batch.x), self.bond_numbers(batch.edge_attr), vectors, values, walk)

    def encode(
        self, atoms: Tensor, bonds: Tensor, vectors: Tensor, values: Tensor, walk: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return h (N, 128), e (E, 168) from atoms (N, 85), bonds (E, 13), vectors and values (N, 8), walk (N, 16)."""
        # Eigenvectors that a small molecule lacks are zeros and are not masked: the model was trained so.
        pairs = self.of_pair(torch.stack([values, vectors], dim=2)).sum(1)
        h = self.of_atoms(torch.cat([self.of_pairs(pairs) + self.of_walk(walk), atoms], dim=1))
        return h, self.of_bonds(bonds)


class Trunk(nn.Module):
    """GINE layers as published: LayerNorm and GELU after each, residuals and virtual nodes between them.

    Shapes: h (N, 128), edge_index (2, E), e (E, 168) -> h (N, 512), e unchanged.
    """

    def __init__(self):
        super().__init__()
        sizes = [ATOMS, *[WIDTH] * (LAYERS - 1), FINGERPRINT]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList(nn.LayerNorm(size) for size in sizes[1:])
        for before, after in pairwise(sizes):
            inner = nn.Sequential(*dense(before, before, nn.GELU()), nn.Linear(before, after))
            self.convs.append(GINEConv(inner, train_eps=True, edge_dim=BONDS))
        self.virtual_nodes = nn.ModuleList(
            VirtualNode(WIDTH, "logsum", dense(WIDTH, WIDTH, nn.GELU()), nn.Linear(WIDTH, WIDTH))
            for _ in range(LAYERS - 1)
        )

    def forward(
        self, h: Tensor, edge_index: Tensor, e: Tensor, batch: Tensor, num_graphs: int
    ) -> tuple[Tensor, Tensor]:
        before, v = None, 0.0
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            h = nn.functional.gelu(norm(conv(h, edge_index, e)))
            if i < LAYERS - 1:
                h = before = h if before is None else h + before
                h, v = self.virtual_nodes[i](h, v, batch, num_graphs)
        return h, e


class Minimol(MultiTaskModel):
    """MiniMol with its heads; `load_minimol` loads the weights, and `embed` returns the fingerprint of 512 numbers."""

    def _build(self, seed: int | None) -> dict[str, int]:
        if (self.tasks.level == "edge").any():
            raise InputError("MiniMol has no bond vectors for edge-level heads: choose graph or node tasks.")
        self.encoder, self.trunk = Encoder(), Trunk()
        self.of_graph = nn.Sequential(
            dense(FINGERPRINT, 512, nn.ReLU()), nn.Linear(512, 1024), nn.LayerNorm(1024, elementwise_affine=False)
        )
        self.of_node = nn.Sequential(dense(FINGERPRINT, 256, nn.ReLU()), nn.Linear(256, 64))
        return {"graph": 1024, "node": 64}

    def _head(self, channels: int, dataset: str, outputs: int) -> nn.Module:
        hidden = self.config.head_width(dataset)
        if not hidden:
            return nn.Linear(channels, outputs)
        # As published: heads of genes have no activation, only LayerNorm.
        return nn.Sequential(
            *dense(channels, hidden, nn.Identity() if dataset.startswith("l1000") else nn.ReLU()),
            nn.Linear(hidden, outputs),
        )

    def _items(self, level: str, h: Tensor, e: Tensor | None, batch: Batch) -> Tensor:
        return self.of_node(h) if level == "node" else self.of_graph(self.pooled(h, batch))

    def fit_units(self, data: Mix | str | None = None, progress: bool = True) -> pd.DataFrame:
        """Make regression tasks predict in physical units: value = mean + std · z, fitted by least squares.

        The weights were published without label statistics, so before this call predictions are in z-units.

        Args:
            data: a mix or dataset with labels of these tasks, such as "pcqm4m_g25_n4" if its table is available; at
                most 2,000 molecules are used. None for the fit to ten published rows (`benchmarks/minimol.py`), shipped
                with molfm.
            progress: show a progress bar.

        Returns:
            One row per regression task: task, unit, n_molecules, n_labels, mean, std, r2 and rmse (in the unit). r2 and
            rmse are leave-one-out: each molecule is judged by the fit to all others. Tasks with labels for fewer than
            four molecules or an r2 below 0.5 stay in z-units.

        Raises:
            ValueError: `data` has no label of these tasks.
        """
        if data is None:
            found = pd.read_csv(files("molfm") / "checkpoint_files" / "minimol" / "units.csv", keep_default_na=False)
        else:
            found = unit_fits(self, load(data, progress=progress) if isinstance(data, str) else data, progress)
        row = self.tasks.reset_index().set_index("task")["index"]
        for item in found[found.r2 >= LEAST_R2].itertuples():
            number = row[item.task]
            self.tasks.loc[number, ["mean", "std"]], self.tasks.loc[number, "unit"] = (item.mean, item.std), item.unit
            self.mean[number], self.std[number] = item.mean, item.std
        return found


# ---------------------------------------------------------------------------------------------------------------- units


def unit_fits(model: Minimol, data: Mix, progress: bool = True) -> pd.DataFrame:
    """Return the table of `Minimol.fit_units` without changing the model.

    Raises:
        ValueError: none of the model's regression tasks has a label in `data`.
    """
    wanted = model.tasks[model.tasks.kind == "regression"]
    wanted = wanted[wanted.task.isin([task.id for task in data.chosen])]
    labels = {task: data.label_triples(data.task_number(task)) for task in wanted.task}
    labelled = np.unique(np.concatenate([np.zeros(0, int), *(found[0] for found in labels.values())]))
    if not len(labelled):
        raise InputError(f"{data!r} has no labels of MiniMol's regression tasks; expected those of pcqm4m_g25_n4.")
    molecules = labelled[np.linspace(0, len(labelled) - 1, min(len(labelled), UNIT_MOLECULES)).round().astype(int)]
    smiles = data.molecules.smiles.iloc[molecules].tolist()
    rows = []
    for level, of_level in wanted.groupby("level", sort=False):
        table = model.predict(smiles, level, of_level.task, progress=progress)
        first = np.searchsorted(table.mol_id, np.arange(len(molecules)))
        for number, task in of_level.task.items():
            molecule, item, _, value = labels[task]
            mine = np.isin(molecule, molecules)
            place = np.searchsorted(molecules, molecule[mine])
            z = (table[task].to_numpy(float)[first[place] + item[mine]] - float(model.mean[number])) / float(
                model.std[number]
            )
            rows.append({"task": task, "unit": data.task(task).unit or ""} | _fit(z, value[mine], place))
    return pd.DataFrame(rows)


def _fit(z: np.ndarray, value: np.ndarray, molecule: np.ndarray) -> dict[str, float]:
    """Fit value = mean + std · z, and judge each molecule by the fit to all others."""
    value = value.astype(float)
    _, group = np.unique(molecule, return_inverse=True)
    n = group.max(initial=-1) + 1
    facts = {"n_molecules": n, "n_labels": len(z)}
    if n < LEAST_MOLECULES:
        return facts | dict.fromkeys(("mean", "std", "r2", "rmse"), np.nan)
    of_group = np.stack([np.bincount(group, weights) for weights in (np.ones_like(z), z, value, z * z, z * value)])

    def line(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count, z_sum, v_sum, zz, zv = sums
        slope = (count * zv - z_sum * v_sum) / (count * zz - z_sum**2)
        return (v_sum - slope * z_sum) / count, slope

    mean, std = line(of_group.sum(1))
    left_out_mean, left_out_std = line(of_group.sum(1, keepdims=True) - of_group)
    error = value - left_out_mean[group] - left_out_std[group] * z
    r2 = 1 - (error**2).sum() / ((value - value.mean()) ** 2).sum()
    return facts | {"mean": mean, "std": std, "r2": r2, "rmse": np.sqrt((error**2).mean())}


# ---------------------------------------------------------------------------------------------------- tasks and weights


def published_tasks() -> pd.DataFrame:
    """Return the 3,313 tasks in the order of the model's outputs, as rows like those of `Mix.tasks`.

    Genes and assays are named after their columns if the dataset's table is on this disk, otherwise they are numbered:
    the published file does not name them. It has no label statistics either, so units are z-units.
    """
    rows = []
    for level, name in (head.split(":") for head in HEADS):
        rows += [
            {
                "task": task.id,
                "dataset": name,
                "level": level,
                "kind": task.kind,
                "domain": task.domain,
                "unit": "z" if task.kind == "regression" else "",
                "classes": task.classes,  # of the labels; the model merges five into three
                "mean": 0.0,
                "std": 1.0,
                "positive_rate": float("nan"),
            }
            for task in _columns(name)
            if task.level == level
        ]
    return pd.DataFrame(rows).astype({"classes": "Int64"})


def _columns(name: str) -> tuple[Task, ...]:
    """Return the tasks of a dataset in column order, named if its table is on this disk, else numbered."""
    item = card(name)
    if "*" not in item.tasks[0].name:
        return item.tasks
    if table := locate(item, progress=False, download=False):
        return table.card.tasks
    [pattern] = item.tasks
    return expand_tasks(item, [pattern.name.replace("*", f"#{number}") for number in range(pattern.count)]).tasks


def _modules() -> dict[str, str]:
    """Return the published name of each module with weights -> our name."""
    found: dict[str, str] = {}

    def add(theirs: str, ours: str) -> None:  # for modules that `dense` makes
        found.update({f"{theirs}.linear": f"{ours}.0", f"{theirs}.normalization": f"{ours}.1"})

    places = _WALK.rpartition(".")[0]
    found[f"{places}.la_pos.linear_in.linear"] = "encoder.of_pair.0"
    for number, ours in enumerate(("encoder.of_pair.1", "encoder.of_pair.3")):
        found[f"{places}.la_pos.pe_encoder.fully_connected.{number}.linear"] = ours
    found[f"{places}.la_pos.post_mlp.fully_connected.0.linear"] = "encoder.of_pairs"
    found[f"{places}.rw_pos.pe_encoder.first_normalization"] = "encoder.of_walk.0"
    for number in (0, 1):
        add(f"{places}.rw_pos.pe_encoder.fully_connected.{number}", f"encoder.of_walk.{number + 1}")
        add(f"pre_nn.layers.{number}", f"encoder.of_atoms.{number}")
        add(f"pre_nn_edges.layers.{number}", f"encoder.of_bonds.{number}")
    for number in range(LAYERS):
        layer, conv = f"gnn.layers.{number}", f"trunk.convs.{number}"
        found |= {
            f"{layer}.model": conv,
            f"{layer}.model.lin": f"{conv}.lin",
            f"{layer}.norm_layer": f"trunk.norms.{number}",
        }
        add(f"{layer}.model.nn.fully_connected.0", f"{conv}.nn")
        found[f"{layer}.model.nn.fully_connected.1.linear"] = f"{conv}.nn.3"
    for number in range(LAYERS - 1):
        theirs, ours = f"gnn.virtual_node_layers.{number}", f"trunk.virtual_nodes.{number}"
        add(f"{theirs}.fc_layer", f"{ours}.mlp")
        found[f"{theirs}.node_projection"] = f"{ours}.projection"
    for level in ("graph", "node"):
        theirs = f"task_heads.graph_output_nn.{level}.graph_output_nn.layers"
        add(f"{theirs}.0", f"of_{level}.0")
        found[f"{theirs}.1.linear"] = f"of_{level}.1"
    for head, theirs in HEADS.items():
        add(f"task_heads.task_heads.{theirs}.layers.0", f"heads.{head}")
        found[f"task_heads.task_heads.{theirs}.layers.1.linear"] = f"heads.{head}.3"
    return found


def _is_scaled(ours: str) -> bool:
    """Return whether the published network halves the inputs of this module; see the top of this file."""
    return "projection" in ours or (ours.startswith("heads.") and ours.endswith(".3"))


def load_minimol(progress: bool = True) -> Minimol:
    """Return MiniMol with its published weights, downloaded through pip on first use (21 MB, SHA-256 checked).

    Raises:
        DownloadError: the wheel could not be downloaded; the message says where to place it by hand.
        ValueError: the file does not hold the published tensors.
    """
    [path] = fetch([WHEEL], "minimol", WHEEL_SHA256, progress=progress)
    published, modules = torch.load(path, map_location="cpu", weights_only=True), _modules()
    state = {}
    for name, tensor in published.items():
        module, _, kind = name.removeprefix("model.").rpartition(".")
        if module == f"{_WALK}.first_normalization":  # a second copy of the same tensors
            continue
        if module not in modules:
            raise InputError(f"{path}: expected the tensors of MiniMol v1, found {name}.")
        ours, tensor = modules[module], tensor.float()
        state[f"{ours}.{kind}"] = tensor / 2 if kind == "weight" and _is_scaled(ours) else tensor
    model = Minimol(CONFIG, published_tasks())
    missing = model.load_state_dict(state, strict=False)
    left = [name for name in missing.missing_keys if name not in ("mean", "std")]
    if left or missing.unexpected_keys:
        raise InputError(
            f"{path}: expected the tensors of MiniMol v1, but {(left + missing.unexpected_keys)[0]} does not match."
        )
    return model.eval()
