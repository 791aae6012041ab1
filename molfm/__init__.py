"""molfm: multi-task molecular foundation models, notebook-first.

Names are loaded when first used, so that `import molfm` stays fast and browsing data never imports torch.
"""

from importlib import import_module
from importlib.metadata import version

_HOME = {  # public name -> the module it lives in
    "Mix": "mix",
    "Run": "runs",
    "card": "catalog",
    "cards": "catalog",
    "load": "mix",
    "train": "training",
    "transfer": "study",
}
__all__ = sorted(_HOME)
__version__ = version("molfm")


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'molfm' has no attribute {name!r}")
    value = getattr(import_module(f"molfm.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
