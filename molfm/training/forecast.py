"""Forecasts what a run will take, from a few training steps measured on this machine.

`python -m molfm.training.forecast LAYER FILE` measures, in its own process: training steps of networks of several widths
and depths on batches of several sizes, and the memory that they take. The result is kept in
`$MOLFM_HOME/forecast/LAYER-….json`.
"""

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch

from molfm.base.files import home, write_json
from molfm.batches.batch import to_batch
from molfm.chem.featurize import featurize
from molfm.data.mix import Mix
from molfm.data.store import in_memory, structure
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training.config import TrainConfig

SHAPES = ((32, 2), (32, 6), (96, 2), (96, 4), (192, 4))  # width and layers that are measured
SIZES = (16, 128)  # molecules per batch
_REPEATS = 3
_SMILES = (  # of the size of drugs
    *("CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CN1CCCC1c1cccnc1"),
    *("CN1CCN(CC1)C1=Nc2cc(Cl)ccc2Nc2ccccc21", "COc1ccc2nc(S(=O)Cc3ncc(C)c(OC)c3C)[nH]c2c1", "OC(=O)c1ccccc1O"),
    "CC12CCC3c4ccc(O)cc4CCC3C1CCC2O",
)


@dataclass(frozen=True)
class Machine:
    """What training costs on this machine, for one kind of layer."""

    step: list[float]  # seconds of a step: constant, per atom, per atom and layer, and that times width and width²
    startup: float  # seconds until a new process has imported everything
    base: float  # bytes of such a process
    activation: float  # bytes per atom, layer and channel in a training step

    def seconds(self, atoms: float, width: int, layers: int) -> float:
        """Return the seconds of one training step on a batch of so many atoms."""
        return float(np.dot(self.step, _terms(atoms, width, layers)))


def _terms(atoms: float, width: int, layers: int) -> list[float]:
    return [1.0, atoms, atoms * layers, atoms * layers * width, atoms * layers * width**2]


@dataclass(frozen=True)
class Forecast:
    """What a run will take."""

    parameters: int
    seconds: float
    memory: float  # bytes
    passes: dict[str, float]  # task -> how often each of its training labels is seen


def calibration(layer: str) -> Machine | None:
    """Return what was measured for a kind of layer, or None while it is measured; the first call starts measuring."""
    path = _file(layer)
    if path.exists():
        return Machine(**json.loads(path.read_text()))
    if (process := _measuring.get(path)) is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "molfm.training.forecast", layer, str(path)]
        _measuring[path] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    elif process.poll() not in (None, 0):
        raise RuntimeError(f"Measuring this machine failed:\n{process.stderr.read().decode(errors='replace')[-2000:]}")
    return None


_measuring: dict[Path, subprocess.Popen] = {}


def _file(layer: str) -> Path:
    return home() / "forecast" / f"{layer}-{platform.node()}-torch-{version('torch')}-{os.cpu_count()}.json"


def forecast(mix: Mix, shape: ModelConfig, config: TrainConfig, machine: Machine) -> Forecast:
    """Forecast a run with a batch size per dataset.

    Args:
        mix: the tasks and labels that it trains on.
        shape, config: its settings, with numbers for `steps` and `validate_every`.
        machine: what was measured, for the same kind of layer.
    """
    n_train, atoms, n_val = {}, {}, 0.0
    sizes = mix.sizes("node")
    passes = {}
    for name, batch in config.batch_size.items():
        tasks = [task.id for task in mix.chosen if task.dataset == name]
        members = mix.members("train", tasks)
        n_train[name] = len(members)
        atoms[name] = batch * sizes[members].mean()
        n_val += sizes[mix.members("val", tasks)].sum()
        passes |= dict.fromkeys(tasks, config.steps * batch / len(members))
    per_step = machine.seconds(sum(atoms.values()), shape.hidden_channels, shape.num_layers)
    per_atom = machine.seconds(1e4, shape.hidden_channels, shape.num_layers) / 1e4 / 3  # forward only
    n_validations = -(-config.steps // config.validate_every)
    n_test = sizes[mix.members("test")].sum()
    seconds = machine.startup + config.steps * per_step + per_atom * (n_val * (n_validations + 1) + n_test)
    parameters = n_parameters(shape, mix.tasks)
    activations = machine.activation * sum(atoms.values()) * shape.num_layers * shape.hidden_channels
    return Forecast(parameters, seconds, machine.base + 16 * parameters + activations, passes)


def n_parameters(shape: ModelConfig, tasks: pd.DataFrame) -> int:
    """Return the number of weights of a network."""
    with torch.device("meta"):  # counted without memory
        return sum(weight.numel() for weight in MultiTaskModel(shape, tasks).parameters())


# ------------------------------------------------------------------------------------------------------------ measuring


def measure(layer: str) -> Machine:
    """Measure this machine; takes some seconds."""
    process = psutil.Process()
    startup = time.time() - process.create_time()
    shard = in_memory(featurize(list(_SMILES) * (max(SIZES) // len(_SMILES))))
    tasks = pd.DataFrame(
        {"task": ["a/y"], "dataset": "a", "level": "graph", "kind": "regression", "mean": 0.0, "std": 1.0}
    )
    rows, seconds, memory = [], [], []
    base = float(process.memory_info().rss)
    for width, layers in SHAPES:
        config = ModelConfig(hidden_channels=width, num_layers=layers, layer=layer)
        model = MultiTaskModel(config, tasks, seed=0).train()
        optimizer = torch.optim.AdamW(model.parameters())
        for size in SIZES:
            batch = to_batch(structure(shard, np.arange(size), config.encodings))
            times = []
            for _ in range(_REPEATS):
                start = time.perf_counter()
                loss = model(batch)["graph"].square().mean()
                held = float(process.memory_info().rss)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                times.append(time.perf_counter() - start)
            rows.append(_terms(batch.num_nodes, width, layers))
            seconds.append(min(times))
            memory.append((batch.num_nodes * layers * width, held - base))
    from scipy.optimize import nnls

    weights = 1 / np.array(seconds)  # relative errors count, not those of the slowest
    step, _ = nnls(np.array(rows) * weights[:, None], np.ones(len(rows)))
    channels, held = np.array(memory).T
    return Machine(step.tolist(), startup, base, float((channels @ held) / (channels @ channels)))


if __name__ == "__main__":
    write_json(Path(sys.argv[2]), asdict(measure(sys.argv[1])))
