"""molfm: multi-task molecular foundation models, notebook-first.

Names are loaded at first use, so `import molfm` stays fast and browsing data never imports torch.
"""

import os
from importlib import import_module
from importlib.metadata import version

_HOME = {  # public name -> the module it lives in
    "FitResult": "selection.result",
    "Mix": "data.mix",
    "MoleculeClassifier": "selection.estimators",
    "MoleculeEmbedder": "nn.embedder",
    "MoleculeRegressor": "selection.estimators",
    "Run": "training.run",
    "TrainConfig": "training.config",
    "TransferResult": "study.transfer",
    "TuningResult": "tuning.result",
    "card": "catalog.shipped",
    "cards": "catalog.shipped",
    "finetune": "training.fit",
    "fit": "selection.fit",
    "load": "data.mix",
    "preset": "training.presets",
    "pretrained": "nn.checkpoints",
    "start": "training.fit",
    "train": "training.fit",
    "transfer": "study.transfer",
    "tune": "tuning.tune",
}
__all__ = sorted(_HOME)
__version__ = version("molfm")

# Torch's CPU libraries read these once, when they are loaded. Without the first, waiting threads spin, which makes
# training in a notebook ten times slower as soon as another process needs a core. Without the second, compiled kernels
# are kept for the last 1,024 shapes: about 400 MB that are never reused, because every batch has its own shapes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8")


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'molfm' has no attribute {name!r}")
    value = getattr(import_module(f"molfm.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
