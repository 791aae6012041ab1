"""Turns gathered arrays into a PyG `Batch`.

Fields of a batch of B molecules with N atoms, M bonds and E = 2 M directed edges (bond b is edges 2b and 2b + 1):

    x (N, 9) uint8             atom codes, chem.featurize.ATOM_FIELDS
    walk (N, 16) float16       random-walk encoding, if it was gathered
    laplacian (N, 2 K)         float16, K eigenvectors, then their eigenvalues, if they were gathered
    edge_index (2, E)          both directions of every bond
    edge_attr (E, 3) uint8     bond codes, chem.featurize.BOND_FIELDS
    batch (N,), ptr (B + 1,)   molecule of each atom, first atom of each molecule
    mol_id (B,)                number of each molecule in its mix
    graph_item, graph_task, graph_value    labels as triples: item is the number of the molecule, atom (node_…) or bond
    node_item, …, edge_item, …             (edge_…) in this batch, task the row of Mix.tasks, value in the task's unit
    graph_side, graph_weight, …            if labels are censored (data/cells.py) or weighted, one entry per label
    features (B, n_features)   float32, numbers that graph heads read beside the molecule, if the mix has any
    label_counts (n_tasks,)    labels per task in all batches that this process has in the same optimizer step
"""

import numpy as np
import torch
from torch_geometric.data import Batch, Data

from molfm.base.arrays import pointer
from molfm.catalog.schema import LEVELS
from molfm.chem.encodings import FIELDS as ENCODINGS
from molfm.chem.featurize import BOND_CODES

# Fields that hold numbers of molecules, atoms or bonds: PyG shifts them back when it takes a batch apart.
_COUNTED_IN = {"edge_index": "node", "graph_item": "graph", "node_item": "node", "edge_item": "edge"}

LABEL_FIELDS = ("item", "task", "value", "side", "weight")  # of each level; a batch may lack the last two


def to_batch(arrays: dict[str, np.ndarray]) -> Batch:
    """Return gathered arrays (`Mix.gather`) as a PyG `Batch`, which PyG can take apart again."""
    sizes = {"node": arrays["num_atoms"], "edge": arrays["num_bonds"], "graph": np.ones_like(arrays["num_atoms"])}
    ptr = pointer(sizes["node"])
    edge_index = np.empty((2, 2 * len(arrays["bonds"])), np.int64)
    first = np.repeat(ptr[:-1], sizes["edge"])
    for end in (0, 1):  # each bond is followed by its reverse
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
    if "features" in arrays:
        fields["features"], slices["features"] = arrays["features"], pointer(sizes["graph"])
    for level in LEVELS:
        if f"{level}_item" in arrays:
            names = [name for of in LABEL_FIELDS if (name := f"{level}_{of}") in arrays]
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


def weighted(arrays: dict[str, np.ndarray], weights: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return gathered arrays whose labels have the weights of their task and class, times those that they had.

    Args:
        arrays: from `Mix.gather`.
        weights: (n_tasks, 2), for labels of at most 0.5 and for greater ones, so for classes 0 and 1 of a binary task;
            None to return the arrays as they are.
    """
    if weights is None:
        return arrays
    out = dict(arrays)
    for level in LEVELS:
        task, upper = arrays[f"{level}_task"], (arrays[f"{level}_value"] > 0.5).astype(int)
        out[f"{level}_weight"] = (weights[task, upper] * arrays.get(f"{level}_weight", 1)).astype(np.float32)
    return out
