"""How fast is a training epoch, compared with the same network in PyTorch Geometric, and where does the time go?

    python benchmarks/training.py [--data qm9] [--figure training.html] [--fast]

GINE of width 96 with 4 layers on the graph tasks of QM9, batches of 256, one thread, in CPU seconds of this process:

- molfm: loader, network, loss and optimizer as in `molfm.train`;
- PyG: `InMemoryDataset`, `DataLoader` and a plain network of the same shape, with unmodified `GINEConv`,
  `nn.Embedding`, `nn.Dropout`, pooling and optimizer, and labels as a dense table;
- each loader alone.

An epoch is `--batches` random batches; a whole table would take longer and show the same. The ways take turns; rates
are medians over rounds. The floating-point operations of the network's matrix products are counted, and their speed is
compared with a bare product of the layers' shape. `--figure` draws rate and peak memory against batch size, width and
number of molecules.

The last line is one JSON object.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from molfm.batches.loaders import MixDataModule

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from torch_geometric.data import InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINEConv, global_add_pool, global_mean_pool

import molfm
from molfm.batches.batch import to_batch
from molfm.chem.featurize import ATOM_FIELDS, BOND_FIELDS
from molfm.data.mix import Mix
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training.losses import task_sums, total_loss

WIDTH, LAYERS, BATCH = 96, 4, 256
GRAPHIUM = 556  # graphs per second that Graphium 2.4.7 trains on two cores of this kind of machine
KINDS = {  # kind of a profiled operation -> words in its name
    "matrix products": ("mm", "addmm", "bmm"),
    "gather and sum": ("index", "scatter", "gather", "embedding"),
    "activations": ("gelu", "relu", "threshold", "clamp_min"),
    "normalization": ("layer_norm",),
    "random numbers": ("random", "bernoulli", "dropout"),
    "optimizer": ("adam", "Optimizer", "foreach"),
}


class Plain(nn.Module):
    """The default network of molfm for graph tasks, written with unmodified layers of PyG and torch."""

    def __init__(self, n_tasks: int, width: int = WIDTH):
        super().__init__()
        self.atoms = nn.ModuleList(nn.Embedding(size, width) for size in ATOM_FIELDS.values())
        self.bonds = nn.ModuleList(nn.Embedding(size, width) for size in BOND_FIELDS.values())
        self.walk = nn.Sequential(nn.Linear(16, width), nn.GELU(), nn.Linear(width, width))
        self.convs = nn.ModuleList(
            GINEConv(nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)), train_eps=True)
            for _ in range(LAYERS)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(LAYERS + 1))
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Dropout(0.1), nn.Linear(width, n_tasks))

    def forward(self, data):
        h = sum(table(data.x[:, i].long()) for i, table in enumerate(self.atoms)) + self.walk(data.walk.float())
        e = sum(table(data.edge_attr[:, i].long()) for i, table in enumerate(self.bonds))
        for conv, norm in zip(self.convs, self.norms[:-1], strict=True):
            h = h + self.dropout(conv(norm(h), data.edge_index, e))
        h = self.norms[-1](h)
        return self.head(torch.cat([global_add_pool(h, data.batch), global_mean_pool(h, data.batch)], dim=1))


class InMemory(InMemoryDataset):
    def __init__(self, items: list):
        super().__init__()
        self.data, self.slices = self.collate(items)


def pyg_items(mix: Mix) -> list:
    """Return the training molecules as PyG `Data`, each with a dense row of normalized labels (NaN if not measured)."""
    mean, std = (torch.tensor(mix.tasks[name].to_numpy(np.float32)) for name in ("mean", "std"))
    items = []
    for batch in MixDataModule(mix, batch_size=4096).train_dataloader():
        y = torch.full((batch.num_graphs, len(mean)), torch.nan)
        y[batch.graph_item, batch.graph_task] = batch.graph_value
        y = (y - mean) / std
        for data, row in zip(batch.to_data_list(), y, strict=True):
            fields = {name: data[name] for name in ("x", "walk", "edge_index", "edge_attr")}
            items.append(type(data)(**fields, y=row[None]))
    return items


def our_step(model: MultiTaskModel, optimizer: torch.optim.Optimizer) -> Callable:
    def step(batch) -> None:
        sums, counts = task_sums(model, model(batch), batch)
        loss = total_loss(sums, counts, model.head)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def plain_step(model: Plain, optimizer: torch.optim.Optimizer) -> Callable:
    def step(data) -> None:
        there = ~data.y.isnan()
        loss = (model(data)[there] - data.y[there]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def endless(loader):
    while True:
        yield from loader


def cpu_seconds(function: Callable) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def compare(mix: Mix, n_batches: int, rounds: int) -> dict:
    model, plain = MultiTaskModel(ModelConfig(WIDTH, LAYERS), mix.tasks, 0).train(), Plain(len(mix.tasks)).train()
    ours = our_step(model, torch.optim.AdamW(model.parameters(), 1e-3, fused=True))
    not_fused = our_step(model, torch.optim.AdamW(model.parameters(), 1e-3))
    theirs = plain_step(plain, torch.optim.AdamW(plain.parameters(), 1e-3))
    our_loader = endless(MixDataModule(mix, batch_size=BATCH).train_dataloader())
    their_loader = endless(DataLoader(InMemory(pyg_items(mix)), BATCH, shuffle=True, drop_last=True))

    def epoch(loader, step: Callable) -> Callable:
        return lambda: [step(next(loader)) for _ in range(n_batches)]

    half = torch.autocast("cpu", torch.bfloat16)  # the same as `precision="bf16-mixed"`
    ways = {
        "molfm": epoch(our_loader, ours),
        "molfm, bf16": half(epoch(our_loader, ours)),
        "molfm, AdamW not fused": epoch(our_loader, not_fused),
        "PyG": epoch(their_loader, theirs),
        "loader of molfm": epoch(our_loader, lambda batch: None),
        "loader of PyG": epoch(their_loader, lambda batch: None),
    }
    found = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(n_batches * BATCH / cpu_seconds(way))
    rate = {name: float(np.median(rates)) for name, rates in found.items()}
    ratio = np.array(found["molfm"]) / np.array(found["PyG"])
    batch = next(our_loader)
    return {
        "graphs_per_s": {name: round(value) for name, value in rate.items()},
        "parameters": {
            name: sum(p.numel() for p in part.parameters()) for name, part in (("molfm", model), ("PyG", plain))
        },
        "molfm / PyG": {"median": round(float(np.median(ratio)), 2), "lowest": round(float(ratio.min()), 2)},
        "share of the loader": round(rate["molfm"] / rate["loader of molfm"], 4),
        "molfm / Graphium": round(rate["molfm"] / GRAPHIUM, 1),
        "work": work(ours, batch),
        "where the time goes": {"molfm": shares(ours, batch), "PyG": shares(theirs, next(their_loader))},
    }


def work(step: Callable, batch) -> dict:
    """Return the floating-point operations of a step's matrix products, their speed, and that of a bare product."""
    with FlopCounterMode(display=False) as counter:
        step(batch)
    flops = counter.get_total_flops()
    seconds = np.median([cpu_seconds(lambda: step(batch)) for _ in range(20)])
    h, w = torch.randn(len(batch.x), WIDTH), torch.randn(WIDTH, 2 * WIDTH)
    bare = np.median([cpu_seconds(lambda: [h @ w for _ in range(20)]) / 20 for _ in range(20)])
    return {
        "gflop_per_step": round(flops / 1e9, 3),
        "gflop_per_s_of_the_step": round(flops / seconds / 1e9, 1),
        "gflop_per_s_of_a_bare_product": round(2 * len(h) * WIDTH * 2 * WIDTH / bare / 1e9, 1),
    }


def shares(step: Callable, batch) -> dict[str, float]:
    """Return the share of a step's time per kind of operation."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(10):
            step(batch)
    spent = Counter()
    for event in found.key_averages():
        kind = next((kind for kind, words in KINDS.items() if any(word in event.key for word in words)), "other")
        spent[kind] += event.self_cpu_time_total
    return {kind: round(time_ / sum(spent.values()), 3) for kind, time_ in spent.most_common()}


# ------------------------------------------------------------------------------------------------ against size, as a figure


def one(data: str, molecules: int, batch_size: int, width: int) -> dict:
    """Train on some batches in this process; return the rate and the peak memory that the system reports."""
    mix = graph_tasks(data)
    rng = np.random.default_rng(0)
    members = rng.permutation(mix.members("train"))[:molecules]  # shuffled: molecules grow larger along the table
    model = MultiTaskModel(ModelConfig(width, LAYERS), mix.tasks, 0).train()
    step = our_step(model, torch.optim.AdamW(model.parameters(), 1e-3, fused=True))
    draw = [rng.choice(members, min(batch_size, len(members)), replace=False) for _ in range(12)]
    step(to_batch(mix.gather(draw[0], "train")))
    seconds = cpu_seconds(lambda: [step(to_batch(mix.gather(ids, "train"))) for ids in draw])
    status = Path("/proc/self/status")  # on Linux, getrusage would include the peak of the parent process
    if status.exists():
        peak = next(int(line.split()[1]) / 1e3 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"graphs_per_s": sum(map(len, draw)) / seconds, "peak_mb": peak}


def scaling(data: str, n_molecules: int) -> list[dict]:
    base = {"molecules": n_molecules, "batch_size": 256, "width": 96}
    axes = {
        "batch_size": [32, 64, 128, 256, 512, 1024],
        "width": [32, 64, 96, 128, 256, 512],
        "molecules": [n for n in (1_000, 3_000, 10_000, 30_000, 100_000) if n <= n_molecules] or [n_molecules],
    }
    rows = []
    for axis, values in axes.items():
        for value in values:
            given = base | {axis: value}
            command = [sys.executable, __file__, "--data", data, "--one", json.dumps(given)]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
            rows.append({"axis": axis, "value": value, **json.loads(out)})
            print(rows[-1], flush=True)
    return rows


def draw(rows: list[dict], path: str) -> None:
    from plotly.subplots import make_subplots

    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure = make_subplots(2, len(axes), shared_xaxes=True, vertical_spacing=0.08)
    for column, axis in enumerate(axes, 1):
        mine = [row for row in rows if row["axis"] == axis]
        for line, name in enumerate(("graphs_per_s", "peak_mb"), 1):
            values = {"x": [row["value"] for row in mine], "y": [row[name] for row in mine]}
            figure.add_scatter(
                **values, mode="lines+markers", marker_color="#0072B2", showlegend=False, row=line, col=column
            )
        figure.update_xaxes(type="log", tickvals=[row["value"] for row in mine], col=column)
        figure.update_xaxes(title_text=axis.replace("_", " "), row=2, col=column)
    figure.update_yaxes(title_text="graphs per CPU second", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="peak memory, MB", rangemode="tozero", row=2, col=1)
    figure.update_yaxes(rangemode="tozero").update_layout(title="Training GINE on one core", template="plotly_white")
    figure.write_html(path, include_plotlyjs=True)


def graph_tasks(data: str) -> Mix:
    mix = molfm.load(data, progress=False)
    return mix.select(mix.tasks.task[mix.tasks.level == "graph"].tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="qm9", help="a card with regression tasks at graph level")
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--figure", help="write a figure of rate and memory against size to this HTML file")
    parser.add_argument("--fast", action="store_true", help="the embedded part of QM9, few batches")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.one:
        print(json.dumps(one(given.data, **json.loads(given.one))))
        return
    if given.fast:
        given.data, given.batches, given.rounds = "qm9_mini", 8, 2
    mix = graph_tasks(given.data)
    result = compare(mix, given.batches, given.rounds)
    for name, value in result.items():
        print(name, json.dumps(value))
    if given.figure:
        result["scaling"] = scaling(given.data, len(mix.members("train")))
        draw(result["scaling"], given.figure)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
