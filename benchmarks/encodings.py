"""How fast are positional encodings of a whole table, compared with one molecule at a time?

    python benchmarks/encodings.py [--fast]

Computes the 16-step random walk and the 8 Laplacian vectors of the same molecules in three ways, in turn, on one
thread: `molfm.chem.encodings`, a plain NumPy function of one molecule, and PyTorch Geometric's transforms. All start
from the arrays of the store, so parsing SMILES is not timed, and PyG's `Data` objects are made beforehand. Each table
is timed as it is and with its distinct graphs only, because `molfm.chem.encodings` encodes a repeated graph once.

The last line is one JSON object: molecules per CPU second and ratios, both medians over the rounds, the ratios with
their range; and the share of molecules with a repeated value among their 8, whose vectors are ambiguous beyond their
sign.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from itertools import pairwise

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE

import molfm
from molfm.base.arrays import spans
from molfm.chem.encodings import laplacian, random_walk

Graph = tuple[int, np.ndarray]  # number of atoms, (n_bonds, 2) bonds


def adjacency_matrix(graph: Graph) -> np.ndarray:
    n, bonds = graph
    adjacency = np.zeros((n, n))
    adjacency[bonds[:, 0], bonds[:, 1]] = adjacency[bonds[:, 1], bonds[:, 0]] = 1
    return adjacency


def walk_of_one(graph: Graph) -> np.ndarray:
    adjacency = adjacency_matrix(graph)
    step = adjacency / np.maximum(adjacency.sum(1, keepdims=True), 1)
    powers = [step]
    for _ in range(15):
        powers.append(powers[-1] @ step)
    return np.stack([np.diag(power) for power in powers], axis=1).astype(np.float16)


def laplacian_of_one(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 8) vectors and (8,) values of the whole graph, even if it is not connected."""
    n = graph[0]
    adjacency = adjacency_matrix(graph)
    degree = adjacency.sum(1)
    scale = 1 / np.sqrt(np.maximum(degree, 1))
    found_values, found_vectors = np.linalg.eigh(scale[:, None] * (np.diag(degree) - adjacency) * scale)
    vectors, values = np.zeros((n, 8), np.float16), np.zeros(8, np.float16)
    vectors[:, :n], values[:n] = found_vectors[:, :8], found_values[:8]
    return vectors, values


def chosen(shard: object, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (atom_ptr, bonds, bond_ptr) of some molecules of a shard."""
    sizes, counts = np.diff(shard.atom_ptr)[keep], np.diff(shard.bond_ptr)[keep]
    bonds = shard.bonds[spans(shard.bond_ptr[keep], counts)]
    return np.append(0, np.cumsum(sizes)), bonds, np.append(0, np.cumsum(counts))


def seconds(function: Callable) -> float:
    start = time.process_time()  # of this process only, so other work on the machine does not count
    function()
    return time.process_time() - start


def measure(arrays: tuple[np.ndarray, np.ndarray, np.ndarray], rounds: int) -> dict:
    """Time all three ways in turn, and check that they agree."""
    atom_ptr, bonds, bond_ptr = arrays
    ends = [bonds[start:end, :2].astype(int) for start, end in pairwise(bond_ptr)]
    graphs: list[Graph] = list(zip(np.diff(atom_ptr).tolist(), ends, strict=True))
    data = [Data(edge_index=torch.from_numpy(np.vstack([e, e[:, ::-1]]).T.copy()), num_nodes=n) for n, e in graphs]
    pyg_walk = AddRandomWalkPE(16)
    # PyG leaves out the trivial vector, and raises for molecules that have too few other vectors.
    pyg_laplacian = [AddLaplacianEigenvectorPE(k, is_undirected=True) for k in range(9)]
    ways = {
        "walk": lambda: random_walk(*arrays),
        "laplacian": lambda: laplacian(*arrays),
        "walk, numpy one by one": lambda: [walk_of_one(graph) for graph in graphs],
        "laplacian, numpy one by one": lambda: [laplacian_of_one(graph) for graph in graphs],
        "walk, PyG": lambda: [pyg_walk(d.clone()) for d in data],
        "laplacian, PyG": lambda: [pyg_laplacian[min(8, d.num_nodes - 1)](d.clone()) for d in data],
    }
    walk, values = random_walk(*arrays), laplacian(*arrays)[1]
    repeated = 0
    for graph, start in zip(graphs, atom_ptr, strict=False):
        np.testing.assert_allclose(walk[start : start + graph[0]], walk_of_one(graph), atol=1e-3)
        spectrum = laplacian_of_one(graph)[1]
        repeated += bool((np.diff(spectrum[: graph[0]]) < 1e-3).any())
        if graph[0] == 1 or spectrum[1] > 1e-6:  # connected
            np.testing.assert_allclose(values[start], spectrum, atol=1e-3)
    rates = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(len(graphs) / seconds(way))
    for way in ("", ", numpy one by one", ", PyG"):  # both encodings of a molecule, one after the other
        pair = zip(rates["walk" + way], rates["laplacian" + way], strict=True)
        rates["both" + way] = [1 / (1 / a + 1 / b) for a, b in pair]
    result = {
        "molecules": len(graphs),
        "mean_atoms": round(float(np.diff(atom_ptr).mean()), 1),
        "share_with_a_repeated_value": round(repeated / len(graphs), 3),
        "molecules_per_second": {name: round(float(np.median(rate))) for name, rate in rates.items()},
        "times_faster": {},
    }
    for what in ("walk", "laplacian", "both"):
        for peer in ("numpy one by one", "PyG"):
            ratio = np.array(rates[what]) / rates[f"{what}, {peer}"]
            found = [round(float(r), 1) for r in (np.median(ratio), ratio.min(), ratio.max())]
            result["times_faster"][f"{what}, {peer}"] = dict(zip(("median", "lowest", "highest"), found, strict=True))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="every 5th molecule, one round: small stacks, low ratios")
    fast = parser.parse_args().fast
    torch.set_num_threads(1)
    results = {}
    for name in ("b3db", "qm9_mini"):
        shard = molfm.load(name).shards[0]
        everything = np.arange(0, len(shard.atom_ptr) - 1, 5 if fast else 1)
        key = [shard.bonds[shard.bond_ptr[i] : shard.bond_ptr[i + 1], :2].tobytes() for i in everything]
        sizes = np.diff(shard.atom_ptr)[everything]
        distinct = everything[sorted({pair: k for k, pair in enumerate(zip(key, sizes, strict=True))}.values())]
        for title, keep in ((name, everything), (f"{name}, distinct graphs", distinct)):
            result = results[title] = measure(chosen(shard, keep), rounds=1 if fast else 3)
            print(f"{title}: {result['molecules']} molecules")
            for what, ratio in result["times_faster"].items():
                print(f"  {what:28} {ratio['median']:6} times faster ({ratio['lowest']} … {ratio['highest']})")
    print(json.dumps(results, ensure_ascii=False))


if __name__ == "__main__":
    main()
