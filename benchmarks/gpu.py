"""How fast does molfm train, load and predict on a GPU, and where does the time go?

    python benchmarks/gpu.py [--minutes 6] [--out gpu.md] [--fast]

One command that prepares what it needs from the embedded data. It prints a line per measurement, then a Markdown table
(also to `--out`, for `benchmarks/gpu.md`), then one JSON object. `--fast` runs every part in small on any machine.

A machine with CUDA and PyTorch (tested for 2.4 and newer; Python 3.11 or newer) needs molfm's dependencies:
`pip install -e .`. Without a network, carry the wheels that it lacks: rdkit 2024.3+, torch-geometric 2.5+ (and its xxhash,
aiohttp), lightning 2.6+ (torchmetrics, lightning-utilities), pyarrow, pandas 2.2+, scikit-learn 1.8+, scipy, pooch,
platformdirs, loky, filelock, threadpoolctl, safetensors, orjson, tqdm, pyyaml, requests, psutil. chemprop 2 is measured
if it is installed.

Parts, the most important first. A part that would not end in time is listed as left out, never dropped silently:

- steps:    the network's step alone, on batches that are on the device: three networks, precisions and batch sizes
- loading:  ways to bring batches to the device, alone and with the step; the share of a step that each one costs
- peers:    the same network as PyG's `InMemoryDataset` and `DataLoader` train it; chemprop's trainer
- profile:  kernels per step, the device's idle time, arithmetic and memory rates against those of bare operations
- trainer:  `molfm.train` as a user calls it; a stopped and resumed run against an uninterrupted one; two devices
- predict:  SMILES to predictions and to embeddings
- compile:  `torch.compile` with dynamic shapes; shapes padded to a few sizes, as CUDA graphs
"""

import argparse
import json
import os
import platform
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle
from pathlib import Path

os.environ.setdefault("MOLFM_HOME", tempfile.mkdtemp(prefix="molfm-gpu-"))  # nothing in the user's cache is touched

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from training import InMemory, Plain, graph_tasks, plain_step, pyg_items

import molfm
from molfm.batches.batch import to_batch
from molfm.batches.loaders import BatchLoader, MixDataset, ResidentDataset
from molfm.batches.samplers import EpochSampler, Passes
from molfm.catalog.schema import LEVELS
from molfm.data.mix import Mix
from molfm.nn.checkpoints import new_model
from molfm.nn.config import ModelConfig
from molfm.nn.minimol import CONFIG as MINIMOL
from molfm.nn.multitask import MultiTaskModel
from molfm.training.losses import choose, label_losses, task_sums, total_loss

COLUMNS = ("part", "network", "batch", "way", "graphs_per_s", "steps_per_s", "peak_gb", "note")


@dataclass
class Size:
    """How much is measured."""

    batches: tuple[int, ...] = (256, 1024, 4096, 8192)
    seconds: float = 1.0  # per measurement, at least
    steps: int = 400  # of a run through the trainer
    molecules: int = 20_000  # predicted
    workers: tuple[int, ...] = (4, 12)


FAST = Size((32, 64), 0.05, 32, 64, (1,))


class Bench:
    """The measurements of one machine: rows of the table, and facts that are not rates."""

    def __init__(self, size: Size, minutes: float, device: torch.device, fast: bool):
        self.size, self.device, self.fast = size, device, fast
        self.end = time.monotonic() + 60 * minutes
        self.precisions = ("fp32", "tf32", "bf16") if device.type == "cuda" else ("fp32",)
        # Compiling C++ for a CPU takes a minute, so `--fast` only traces there.
        self.backend = "aot_eager" if fast and device.type != "cuda" else "inductor"
        self.fastest = self.precisions[-1]  # what the parts after `steps` use
        self.rows: list[dict] = []
        self.facts: dict = {}

    def run(self, part: str, measure: Callable, seconds: float) -> None:
        """Run a part if `seconds` are left for it. An error is reported in the table, and the next part goes on."""
        if self.end - time.monotonic() < seconds:
            self.add(part, note=f"left out: fewer than {seconds:.0f} s were left")
            return
        try:
            measure(self)
        except Exception as error:
            traceback.print_exc()
            self.add(part, note=f"failed: {type(error).__name__}: {error}"[:200])
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def add(self, part: str, **facts) -> None:
        self.rows.append({"part": part, **facts})
        print(
            f"{self.end - time.monotonic():5.0f} s left |",
            " | ".join(f"{k} {_short(v)}" for k, v in self.rows[-1].items()),
        )

    def wait(self) -> None:
        """Wait for the device, so that a clock shows what was done and not what was asked for."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def time(self, step: Callable[[], None], warm: int = 5) -> tuple[float, float | None]:
        """Return the seconds per call of `step`, and the peak memory of the device in GB."""
        for _ in range(1 if self.fast else warm):
            step()
        self.wait()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        n, start = 0, time.perf_counter()
        while n < 3 or time.perf_counter() - start < self.size.seconds:
            for _ in range(1 if self.fast else 5):
                step()
                n += 1
            self.wait()
        taken = (time.perf_counter() - start) / n
        return taken, torch.cuda.max_memory_allocated() / 1e9 if self.device.type == "cuda" else None

    def rate(self, part: str, network: str, batch: int, way: str, step: Callable[[], None], **facts) -> float:
        """Measure a step of `batch` molecules, add it to the table, and return its seconds."""
        taken, peak = self.time(step)
        found = {"graphs_per_s": round(batch / taken), "steps_per_s": round(1 / taken, 1), "peak_gb": peak}
        self.add(part, network=network, batch=batch, way=way, **found, **facts)
        return taken

    # -------------------------------------------------------------------------------------------------- what is trained

    @cached_property
    def mix(self) -> Mix:
        return molfm.load("minimix", progress=False)

    @cached_property
    def networks(self) -> dict[str, tuple[ModelConfig, Mix]]:
        """The three networks, with the tasks that they train: all levels, but the published one has no bond vectors."""
        nodes = self.mix.tasks.task[self.mix.tasks.level != "edge"].tolist()
        small = {"hidden_channels": 8, "num_layers": 1} if self.fast else {}
        found = {
            "GINE 96": (molfm.preset("toymix-gine").config, self.mix),
            "GINE 704": (molfm.preset("largemix-gine").config, self.mix),
            "published 10M": (MINIMOL, self.mix.select(nodes)),
        }
        return {
            name: (
                replace(config, head_channels=None, three_classes=False, **(small if name != "published 10M" else {})),
                mix,
            )
            for name, (config, mix) in found.items()
        }

    def network(self, name: str) -> tuple[MultiTaskModel, torch.optim.Optimizer, Mix]:
        config, mix = self.networks[name]
        model = new_model(config, mix.tasks, 0).to(self.device).train()
        return model, torch.optim.AdamW(model.parameters(), 1e-3, fused=True), mix

    def batches(self, mix: Mix, config: ModelConfig, size: int, n: int = 6) -> list[Batch]:
        """Return batches that are on the device already."""
        members, rng = mix.members("train"), np.random.default_rng(0)
        made = (to_batch(mix.gather(rng.choice(members, size), "train", None, config.encodings)) for _ in range(n))
        return [_counted(batch, len(mix.chosen)).to(self.device) for batch in made]


def _counted(batch: Batch, n_tasks: int) -> Batch:
    batch.label_counts = torch.bincount(
        torch.cat([batch[f"{level}_task"] for level in LEVELS]), minlength=n_tasks
    ).float()
    return batch


def _round(value: float) -> float:
    """Return a number with three digits."""
    return float(f"{value:.3g}")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def precision(name: str, device: torch.device):
    """Return the context of a step in a precision."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name != "fp32"
    return torch.autocast(device.type, torch.bfloat16) if name == "bf16" else nullcontext()


def step_of(
    model: MultiTaskModel, optimizer: torch.optim.Optimizer, batches: Iterator[Batch], how: str, device: torch.device
) -> Callable[[], None]:
    """Return a training step as `molfm.train` takes it: forward, losses of all levels, backward, clipping, optimizer."""
    weights, losses = torch.ones(len(model.heads), device=device), choose()

    def step() -> None:
        batch = next(batches).to(device, non_blocking=True)
        with precision(how, device):
            sums, _ = task_sums(model, model(batch), batch, losses)
        loss = total_loss(sums, batch.label_counts, model.head, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


# ------------------------------------------------------------------------------------------------------------- the parts


def steps(bench: Bench) -> None:
    """The step alone, in each precision, at each batch size."""
    for name, (config, mix) in bench.networks.items():
        sizes = bench.size.batches if name == "GINE 96" else bench.size.batches[::2]
        for size in sizes:
            batches = bench.batches(mix, config, size)
            for how in bench.precisions:
                model, optimizer, _ = bench.network(name)
                bench.rate("steps", name, size, how, step_of(model, optimizer, cycle(batches), how, bench.device))
    model, _, mix = bench.network("GINE 96")
    size = bench.size.batches[0]
    batches = cycle(bench.batches(mix, model.config, size))
    slow = torch.optim.AdamW(model.parameters(), 1e-3, foreach=True)
    bench.rate(
        "steps", "GINE 96", size, "fp32, optimizer not fused", step_of(model, slow, batches, "fp32", bench.device)
    )


def loading(bench: Bench) -> None:
    """Each way to bring batches to the device: alone, with the step, and its share of the step."""
    config, mix = bench.networks["GINE 96"]
    members = mix.members("train")
    resident = ResidentDataset(bench.device, mix, "train", config.encodings)
    bench.facts["resident GB per million molecules"] = _round(resident.resident.nbytes / len(members) / 1e3)
    for size in (bench.size.batches[0], bench.size.batches[-1]):
        sampler = Passes(EpochSampler(members, size, 0, shuffle=True), 10**6)
        gpu = bench.device.type == "cuda"
        ways = {"gathered by the CPU": (0, False)}
        ways |= {f"gathered by the CPU, {n} loader processes, pinned": (n, gpu) for n in (0, *bench.size.workers)}
        datasets = {way: MixDataset(mix, "train", config.encodings, range(1), 1, *how) for way, how in ways.items()}
        datasets["gathered on the device"] = resident
        model, optimizer, _ = bench.network("GINE 96")
        ready = cycle(bench.batches(mix, config, size))
        alone, _ = bench.time(step_of(model, optimizer, ready, "fp32", bench.device))
        for way, dataset in datasets.items():
            loader = BatchLoader(dataset, sampler)
            batches = iter(loader)
            only, _ = bench.time(lambda b=batches: next(b).to(bench.device, non_blocking=True))
            bench.rate("loading", "GINE 96", size, way, step_of(model, optimizer, batches, "fp32", bench.device))
            with_step = size / bench.rows[-1]["graphs_per_s"]
            share = f"loader's share {max(0.0, 1 - alone / with_step):.1%}; alone {size / only:,.0f} graphs/s"
            bench.rows[-1]["note"] = share
            print(" " * 14, share, flush=True)
            loader.close()


def peers(bench: Bench) -> None:
    """The same network in plain PyG, with its own loader, against molfm's step with its batches on the device."""
    mix = graph_tasks("qm9_mini")
    items = pyg_items(mix)
    for size in (bench.size.batches[0], bench.size.batches[min(1, len(bench.size.batches) - 1)]):
        plain, config = Plain(len(mix.tasks)).to(bench.device).train(), ModelConfig(96, 4)
        optimizer = torch.optim.AdamW(plain.parameters(), 1e-3)
        inner, taken = plain_step(plain, optimizer), {}
        for workers in (0, bench.size.workers[-1]):
            loader = DataLoader(
                InMemory(items), size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
            )
            batches = _endless(loader)
            way = f"PyG, {workers} loader processes"
            taken[way] = bench.rate(
                "peers", "GINE 96, QM9", size, way, lambda b=batches, s=inner: s(next(b).to(bench.device))
            )
        model = new_model(config, mix.tasks, 0).to(bench.device).train()
        sampler = Passes(EpochSampler(mix.members("train"), size, 0, shuffle=True), 10**6)
        ours = iter(BatchLoader(ResidentDataset(bench.device, mix, "train", config.encodings), sampler))
        fused = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
        step = step_of(model, fused, ours, "fp32", bench.device)
        mine = bench.rate("peers", "GINE 96, QM9", size, "molfm, gathered on the device", step)
        bench.facts[f"molfm / PyG at {size}"] = {way: round(other / mine, 2) for way, other in taken.items()}


def chemprop(bench: Bench) -> None:
    """chemprop's own trainer on the same molecules and the graph tasks of QM9."""
    try:
        from chemprop import data, models
        from chemprop import nn as layers
    except ImportError:
        bench.add("peers", network="chemprop", note="not installed")
        return
    import lightning

    mix = graph_tasks("qm9_mini")
    members, size = mix.members("train")[: 256 if bench.fast else 3_000], bench.size.batches[0]
    smiles = mix.molecules.smiles.to_numpy()[members]
    y = np.stack([mix.labels(task.id).to_numpy()[members] for task in mix.chosen], axis=1)
    y = (y - np.nanmean(y, 0)) / np.nanstd(y, 0)
    points = [data.MoleculeDatapoint.from_smi(text, row) for text, row in zip(smiles, y, strict=True)]
    loader = data.build_dataloader(data.MoleculeDataset(points), size, num_workers=0)
    network = models.MPNN(
        layers.BondMessagePassing(), layers.MeanAggregation(), layers.RegressionFFN(n_tasks=y.shape[1])
    )
    epochs = 2 if bench.fast else 6
    ends: list[float] = []

    class Clock(lightning.Callback):
        def on_train_epoch_end(self, *_) -> None:
            bench.wait()
            ends.append(time.perf_counter())

    lightning.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if bench.device.type == "cuda" else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock()],
    ).fit(network, loader)
    taken = (ends[-1] - ends[0]) / (epochs - 1)  # the first epoch warms up
    found = {"graphs_per_s": round(len(loader) * size / taken), "steps_per_s": round(len(loader) / taken, 1)}
    bench.add("peers", network="chemprop, QM9", batch=size, way="its trainer", **found)


def profiled(bench: Bench) -> None:
    """What a step does on the device, for the smallest and the largest batch."""
    bare = _bare_rates(bench)
    bench.facts["bare rates"] = bare
    found = bench.facts["profile"] = {}
    for name, size, how in (
        ("GINE 96", bench.size.batches[0], "fp32"),
        ("GINE 96", bench.size.batches[-1], bench.fastest),
        ("GINE 704", bench.size.batches[-1], bench.fastest),
    ):
        model, optimizer, mix = bench.network(name)
        batches = cycle(bench.batches(mix, model.config, size, 2))
        step = step_of(model, optimizer, batches, how, bench.device)
        taken, _ = bench.time(step)
        with FlopCounterMode(display=False) as counter:
            step()
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.device.type == "cuda" else [])]
        n = 2 if bench.fast else 10
        with profile(activities=kinds) as trace:
            for _ in range(n):
                step()
            bench.wait()
        kernels = [event for event in trace.events() if event.device_type == torch.autograd.DeviceType.CUDA]
        by_name: dict[str, float] = {}
        for event in kernels or trace.key_averages():
            spent = event.time_range.elapsed_us() if kernels else event.self_cpu_time_total
            by_name[event.name if kernels else event.key] = by_name.get(event.name if kernels else event.key, 0) + spent
        speed = counter.get_total_flops() / taken / 1e12
        busy = sum(by_name.values()) / n / 1e6
        top = sorted(by_name.items(), key=lambda item: -item[1])[:8]
        facts = {
            "ms per step": round(taken * 1e3, 3),
            "kernels per step": len(kernels) // n,
            "device idle": round(max(0.0, 1 - busy / taken), 3) if kernels else None,
            "TFLOP/s": _round(speed),
            "share of the bare product": _round(speed / bare[f"{how} TFLOP/s"]),
            "top": {key[:60]: round(value / sum(by_name.values()), 3) for key, value in top},
        }
        found[f"{name}, {size}, {how}"] = facts
        print(f"profile of {name}, batch {size}, {how}: {facts}")


def _bare_rates(bench: Bench) -> dict[str, float]:
    """Return the rates of a large matrix product and of a copy on this device."""
    n, rates = 512 if bench.fast else 8192, {}
    for how in bench.precisions:
        precision(how, bench.device)
        kind = torch.bfloat16 if how == "bf16" else torch.float32
        a, b = (torch.randn(n, n, device=bench.device, dtype=kind) for _ in range(2))
        rates[f"{how} TFLOP/s"] = _round(2 * n**3 / bench.time(lambda a=a, b=b: a @ b)[0] / 1e12)
    source = torch.empty(2**22 if bench.fast else 2**28, device=bench.device)
    into = torch.empty_like(source)
    rates["memory GB/s"] = round(2 * 4 * source.numel() / bench.time(lambda: into.copy_(source))[0] / 1e9, 1)
    return rates


def trainer(bench: Bench) -> None:
    """`molfm.train`, with and without batches made on the device; resume; two devices."""
    accelerator, n = "gpu" if bench.device.type == "cuda" else "cpu", bench.size.steps
    size = bench.size.batches[0]
    shape = {"hidden_channels": 16, "num_layers": 2} if bench.fast else {"hidden_channels": 96, "num_layers": 4}
    settings = {"batch_size": size, "accelerator": accelerator, "progress": False, **shape}
    mix = bench.mix
    for on_device in (True, False):
        taken = []
        for steps_ in (n // 4, n):  # the difference leaves out what a run costs besides its steps
            start = time.perf_counter()
            molfm.train(mix, steps=steps_, validate_every=steps_, on_device=on_device, **settings)
            taken.append(time.perf_counter() - start)
        each, way = (taken[1] - taken[0]) / (n - n // 4), f"molfm.train, on_device={on_device}"
        found = (
            {"graphs_per_s": round(size / each), "steps_per_s": round(1 / each, 1)}
            if each > 0 and not bench.fast
            else {}
        )
        bench.add(
            "trainer", network="GINE 96, codes", batch=size, way=way, **found, note=f"{n} steps: {taken[1]:.1f} s"
        )
    every = max(1, n // 4)
    whole = molfm.train(mix, steps=n, validate_every=every, seed=1, **settings)
    run = molfm.start(mix, steps=n, validate_every=every, seed=1, **settings)
    while run.status["state"] in ("starting", "running") and run.status["step"] < n // 3:
        time.sleep(0.02)
    run.stop()
    stopped = run.status["step"]
    if run.status["state"] == "stopped":
        run.resume(wait=True)
    difference = float(np.abs(whole.metrics.val_loss - run.metrics.val_loss).max())
    bench.facts["resume"] = {"stopped after": stopped, "of": n, "largest difference of val_loss": difference}
    print("resume:", bench.facts["resume"])
    if torch.cuda.device_count() > 1:
        start = time.perf_counter()
        molfm.train(mix, steps=n, validate_every=n, devices=2, **settings)
        bench.add(
            "trainer",
            network="GINE 96, codes",
            batch=size,
            way="two devices",
            note=f"{time.perf_counter() - start:.1f} s",
        )
    else:
        bench.add("trainer", way="two devices", note="one device here")


def predict(bench: Bench) -> None:
    """SMILES to numbers, featurizing included."""
    model, _, mix = bench.network("GINE 96")
    smiles = (mix.molecules.smiles.tolist() * 2)[: bench.size.molecules]
    for way, function in (("predictions", model.predict), ("embeddings", model.embed)):
        function(smiles[:32], progress=False)
        start = time.perf_counter()
        function(smiles, progress=False)
        found = {"graphs_per_s": round(len(smiles) / (time.perf_counter() - start))}
        bench.add("predict", network="GINE 96", way=f"{way}, from SMILES", **found)


# --------------------------------------------------------------------------------------------- compiled and padded steps


def compiled(bench: Bench) -> None:
    """`torch.compile` as `compile=True` of `molfm.train` does it: shapes may change from batch to batch."""
    for name in ("GINE 96",) if bench.fast else ("GINE 96", "GINE 704"):
        for size in bench.size.batches[:1] if bench.fast else (bench.size.batches[0], bench.size.batches[-1]):
            model, optimizer, mix = bench.network(name)
            batches = cycle(bench.batches(mix, model.config, size))
            start = time.perf_counter()
            model.compile(dynamic=True, backend=bench.backend)
            step = step_of(model, optimizer, batches, bench.fastest, bench.device)
            step()
            bench.wait()
            note = f"compiled in {time.perf_counter() - start:.0f} s"
            bench.rate("compile", name, size, f"{bench.fastest}, dynamic shapes", step, note=note)


def pad(batch: Batch, n_atoms: int, n_bonds: int, n_labels: dict[str, int]) -> Batch:
    """Return a batch of fixed sizes: a last molecule of isolated atoms and loops takes what is missing.

    A label that fills up belongs to this molecule and has the weight 0 (`graph_weight`, `node_weight`, `edge_weight`).
    """
    out, graphs, atoms, bonds = batch.clone(), batch.num_graphs, len(batch.x), batch.edge_index.shape[1] // 2
    zeros = {name: (n_atoms - atoms, *batch[name].shape[1:]) for name in ("x", "walk", "laplacian") if name in batch}
    for name, shape in zeros.items():
        out[name] = torch.cat([batch[name], batch[name].new_zeros(shape)])
    loops = torch.full((2, 2 * (n_bonds - bonds)), atoms, device=batch.x.device)
    out.edge_index = torch.cat([batch.edge_index, loops], dim=1)
    out.edge_attr = torch.cat([batch.edge_attr, batch.edge_attr.new_zeros(loops.shape[1], batch.edge_attr.shape[1])])
    out.batch = torch.cat([batch.batch, batch.batch.new_full((n_atoms - atoms,), graphs)])
    out.ptr = torch.cat([batch.ptr, batch.ptr.new_full((1,), n_atoms)])
    out._num_graphs = graphs + 1
    for level, item in (("graph", graphs), ("node", atoms), ("edge", bonds)):
        missing = n_labels[level] - len(batch[f"{level}_item"])
        for name, fill in (("item", item), ("task", 0), ("value", 0.0)):
            values = batch[f"{level}_{name}"]
            out[f"{level}_{name}"] = torch.cat([values, values.new_full((missing,), fill)])
        weight = torch.ones(n_labels[level], device=batch.x.device)
        weight[n_labels[level] - missing :] = 0
        out[f"{level}_weight"] = weight
    return out


def padded(bench: Bench) -> None:
    """Batches of one shape, compiled for it, replayed as a CUDA graph: no launches by the CPU."""
    for size in bench.size.batches[:1] if bench.fast else (bench.size.batches[0], bench.size.batches[1]):
        model, optimizer, mix = bench.network("GINE 96")
        found = bench.batches(mix, model.config, size)
        up = lambda n: (int(n * 1.02) // 64 + 2) * 64  # noqa: E731
        n_atoms, n_bonds = up(max(len(b.x) for b in found)), up(max(b.edge_index.shape[1] // 2 for b in found))
        n_labels = {level: up(max(len(b[f"{level}_item"]) for b in found)) for level in LEVELS}
        batches = cycle([pad(batch, n_atoms, n_bonds, n_labels) for batch in found])
        weights, losses = torch.ones(len(model.heads), device=bench.device), choose()

        def loss_of(batch: Batch, model=model, weights=weights, losses=losses) -> torch.Tensor:
            sums, out = torch.zeros(len(model.tasks), device=bench.device), model(batch)
            for level in out:
                _, loss = label_losses(model, out, batch, level, losses)
                sums = sums.index_add(0, batch[f"{level}_task"], loss * batch[f"{level}_weight"])
            return total_loss(sums, batch.label_counts, model.head, weights)

        how = {"mode": "reduce-overhead"} if bench.device.type == "cuda" else {"backend": bench.backend}
        fixed = torch.compile(loss_of, dynamic=False, **how)

        def step(fixed=fixed, batches=batches, model=model, optimizer=optimizer) -> None:
            if bench.device.type == "cuda":
                torch.compiler.cudagraph_mark_step_begin()
            with precision(bench.fastest, bench.device):
                loss = fixed(next(batches))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

        start = time.perf_counter()
        step()
        bench.wait()
        note = f"compiled in {time.perf_counter() - start:.0f} s; {n_atoms:,} atoms, {n_bonds:,} bonds"
        bench.rate("compile", "GINE 96", size, f"{bench.fastest}, one padded shape, CUDA graph", step, note=note)


# --------------------------------------------------------------------------------------------------------------- results


def _endless(loader: DataLoader) -> Iterator[Batch]:
    while True:
        yield from loader


def machine(device: torch.device) -> dict:
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "device": gpu.name if gpu else f"CPU, {torch.get_num_threads()} threads",
        "memory GB": round(gpu.total_memory / 1e9, 1) if gpu else None,
        "devices": torch.cuda.device_count(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def markdown(facts: dict, rows: list[dict]) -> str:
    """Return the results as a Markdown table with the machine above it."""
    lines = [
        f"{facts['machine']['device']}, torch {facts['machine']['torch']}, {facts['machine']['cores']} CPU cores.",
        "",
    ]
    lines += [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for row in rows:
        lines.append("| " + " | ".join("" if row.get(name) is None else _short(row[name]) for name in COLUMNS) + " |")
    lines += ["", *(f"- {name}: {json.dumps(value)}" for name, value in facts.items() if name != "machine")]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0, help="time for everything")
    parser.add_argument("--out", type=Path, help="file to write the Markdown table to")
    parser.add_argument("--fast", action="store_true", help="every part in small, also on a CPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    device = torch.device(given.device)
    bench = Bench(FAST if given.fast else Size(), given.minutes, device, given.fast)
    bench.facts["machine"] = machine(device)
    print(json.dumps(bench.facts["machine"]), flush=True)
    bench.mix.members("train")  # prepares the data
    bench.facts["parameters"] = {
        name: sum(weight.numel() for weight in new_model(config, mix.tasks).parameters())
        for name, (config, mix) in bench.networks.items()
    }
    print(f"{len(bench.mix):,} molecules are ready; {bench.end - time.monotonic():.0f} s are left", flush=True)
    scale = 0.05 if given.fast else 1
    for part, measure, seconds in (
        ("steps", steps, 60),
        ("loading", loading, 40),
        ("peers", peers, 30),
        ("profile", profiled, 20),
        ("trainer", trainer, 60),
        ("predict", predict, 15),
        ("peers", chemprop, 20),
        ("compile", padded, 60),
        ("compile", compiled, 90),
    ):
        bench.run(part, measure, seconds * scale)
    text = markdown(bench.facts, bench.rows)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    print(json.dumps({**bench.facts, "rows": bench.rows}))


if __name__ == "__main__":
    main()
