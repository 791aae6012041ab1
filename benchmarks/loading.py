"""From SMILES to batches, compared with PyTorch Geometric and chemprop: speed of one core and bytes per molecule.

    pip install chemprop && python benchmarks/loading.py [--fast]

Featurizing: SMILES to a store on disk (without labels), compared with `torch_geometric.utils.from_smiles` and
chemprop's default featurizer, which make objects in memory and do not canonicalize, and with bare `Chem.MolFromSmiles`
of RDKit, which all of them need. Encodings are timed separately: 16 random-walk probabilities and 8 Laplacian vectors
of every atom.

Batches: 512 molecules in random order, from the memory-mapped store; from PyG's `InMemoryDataset` and `DataLoader`;
from PyG's `Batch.from_data_list` on a list of ready `Data`; and from chemprop's cached `MoleculeDataset` and its
collate function. Labels are left out, because they are the same numbers for all.

All ways run on one thread, in turn, in CPU seconds of this process, so other work on the machine counts little. Rates
are medians over the rounds. The last line is one JSON object. chemprop is left out if it is not installed.
"""

import argparse
import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from rdkit import Chem, rdBase
from torch_geometric.data import Batch, InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.utils import from_smiles

import molfm
from molfm.batches.batch import to_batch
from molfm.catalog.schema import LEVELS
from molfm.chem.encodings import WALK, laplacian, random_walk
from molfm.chem.featurize import featurize
from molfm.data.prepare import write_shard
from molfm.data.store import Labels, open_shard, structure

try:
    from chemprop.data import MoleculeDatapoint, MoleculeDataset
    from chemprop.data.collate import collate_batch
    from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer
except ImportError:
    MoleculeDatapoint = None

BATCH = 512
TARGETS = {  # ratio -> at least
    "featurize: molfm / bare RDKit": 0.5,
    "featurize: molfm / PyG": 3,
    "batches: molfm / PyG DataLoader": 40,
}


def without_labels(n_molecules: int) -> dict[str, Labels]:
    nothing = [np.zeros(0, dtype) for dtype in (np.uint16, np.uint16, np.float32)]
    return dict.fromkeys(LEVELS, Labels(np.zeros(n_molecules + 1, np.int64), *nothing))


def write_store(smiles: list[str], folder: Path) -> None:
    parts = [featurize(smiles[start : start + 1000], start, levels=()) for start in range(0, len(smiles), 1000)]
    write_shard(folder, [(found, without_labels(len(found.row))) for found in parts])


class InMemory(InMemoryDataset):
    def __init__(self, items: list):
        super().__init__()
        self.data, self.slices = self.collate(items)


def seconds(function: Callable) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def rates(ways: dict[str, Callable], items: int, rounds: int) -> dict[str, float]:
    """Return items per CPU second for each way, the median over rounds in which the ways take turns."""
    found = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(items / seconds(way))
    return {name: round(float(np.median(rate))) for name, rate in found.items()}


def measure(smiles: list[str], folder: Path, rounds: int) -> dict:
    ways = {
        "bare RDKit": lambda: [Chem.MolFromSmiles(text) for text in smiles],
        "molfm, to disk": lambda: write_store(smiles, folder),
        "PyG from_smiles": lambda: [from_smiles(text) for text in smiles],
    }
    if MoleculeDatapoint:
        featurizer = SimpleMoleculeMolGraphFeaturizer()
        ways["chemprop"] = lambda: [featurizer(Chem.MolFromSmiles(text)) for text in smiles]
    featurized = rates(ways, len(smiles), rounds)
    shard = open_shard(folder)
    graphs = (shard.atom_ptr, shard.bonds, shard.bond_ptr)
    encodings = {"random walk": lambda: random_walk(*graphs), "Laplacian": lambda: laplacian(*graphs)}
    encoded = rates(encodings, len(smiles), rounds)
    encoded["molfm, to disk, both encodings"] = round(
        1 / (1 / featurized["molfm, to disk"] + sum(1 / rate for rate in encoded.values()))
    )

    order = np.random.default_rng(0)
    chosen = [order.permutation(len(smiles))[:BATCH] for _ in range(20)]
    items = [from_smiles(text) for text in smiles]
    in_memory = InMemory(items)
    few = [chosen[0]]  # one batch is enough for ways that take a hundred times as long
    shard.encoding(WALK)  # computed here once; the computation is timed above
    batches = {
        "molfm, arrays": (lambda c: [structure(shard, i, ()) for i in c], chosen),
        "molfm": (lambda c: [to_batch(structure(shard, i, ())) for i in c], chosen),
        "molfm, with the random walk": (lambda c: [to_batch(structure(shard, i, (WALK,))) for i in c], chosen),
        "PyG Batch.from_data_list": (lambda c: [Batch.from_data_list([items[j] for j in i]) for i in c], few),
        "PyG InMemoryDataset and DataLoader": (
            lambda c: list(DataLoader(in_memory[c[0].tolist()], BATCH, shuffle=True)),
            few,
        ),
    }
    sizes = {
        "molfm store": sum(file.stat().st_size for file in folder.iterdir() if "encoding" not in file.name),
        "molfm random walk": shard.encoding(WALK).nbytes,
        "PyG InMemoryDataset": sum(value.nbytes for _, value in in_memory._data if isinstance(value, torch.Tensor)),
    }
    if MoleculeDatapoint:
        data = MoleculeDataset([MoleculeDatapoint.from_smi(text, y=np.zeros(1)) for text in smiles])
        data.cache = True
        batches["chemprop, cached"] = (lambda c: [collate_batch([data[int(j)] for j in i]) for i in c], few)
        sizes["chemprop, pickled cache"] = sum(len(pickle.dumps(data[i].mg)) for i in range(len(smiles)))
    read = {
        name: rates({name: lambda w=way, c=c: w(c)}, len(c) * BATCH, rounds)[name] for name, (way, c) in batches.items()
    }
    ratios = {
        "featurize: molfm / bare RDKit": featurized["molfm, to disk"] / featurized["bare RDKit"],
        "featurize: molfm / PyG": featurized["molfm, to disk"] / featurized["PyG from_smiles"],
        "batches: molfm / PyG DataLoader": read["molfm"] / read["PyG InMemoryDataset and DataLoader"],
    }
    return {
        "molecules": len(smiles),
        "featurized_per_s": featurized,
        "encoded_per_s": encoded,
        "graphs_per_s_in_batches": read,
        "bytes_per_molecule": {name: round(size / len(smiles)) for name, size in sizes.items()},
        "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "missed": [name for name, ratio in ratios.items() if ratio < TARGETS[name]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="a fifth of the molecules, one round")
    fast = parser.parse_args().fast
    torch.set_num_threads(1)
    results = {}
    with tempfile.TemporaryDirectory() as temporary, rdBase.BlockLogs():
        for name in ("b3db", "qm9_mini"):
            smiles = molfm.load(name).molecules.smiles.tolist()[:: 5 if fast else 1]
            # Spelled in a random order of atoms, as in a table, so none is canonical by luck.
            spelled = [Chem.MolToSmiles(Chem.MolFromSmiles(text), doRandom=True) for text in smiles]
            for title, texts in ((f"{name}, canonical", smiles), (f"{name}, random spellings", spelled)):
                results[title] = measure(texts, Path(temporary) / "shard", rounds=1 if fast else 3)
                print(title, json.dumps(results[title], indent=1))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
