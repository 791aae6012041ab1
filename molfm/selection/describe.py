"""How candidates see molecules: counts of atom environments, RDKit descriptors, a foundation model's fingerprint.

Each description is computed when a candidate first asks for it. A fit keeps them beside its models, because the models
refer to training molecules by number.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem.rdFingerprintGenerator import GetAtomPairGenerator, GetMorganGenerator, GetTopologicalTorsionGenerator

from molfm.base.files import whole
from molfm.study.simple_models import descriptors

_BITS = 2048
_SAMPLE = 24  # molecules whose time predicts that of all
_GENERATORS = {  # the environments that the kernels compare
    "ecfp": GetMorganGenerator(radius=2, fpSize=_BITS),
    "ecfp6": GetMorganGenerator(radius=3, fpSize=2 * _BITS),
    "pairs": GetAtomPairGenerator(fpSize=_BITS),
    "torsions": GetTopologicalTorsionGenerator(fpSize=_BITS),
}
FOUNDATIONS = ("minimol", "minimix-gine")  # the first one that is at hand


def counts(smiles: Sequence[str], which: str) -> np.ndarray:
    """Return how often environments occur, (n, bits) uint8; 255 stands for 255 or more.

    Args:
        smiles: the molecules.
        which: "ecfp" and "ecfp6" (Morgan, radius 2 and 3), "pairs" of atoms, or "torsions".
    """
    generator = _GENERATORS[which]
    found = [generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in smiles]
    return np.minimum(np.array(found).reshape(len(found), -1), 255).astype(np.uint8)


def _descriptors(smiles: Sequence[str]) -> np.ndarray:
    values = descriptors(pd.Series(list(smiles), dtype=object), progress=False).to_numpy()
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def filled(columns: np.ndarray) -> np.ndarray:
    """Return columns (n, k) with the mean of each column in place of NaN."""
    there = ~np.isnan(columns)
    mean = np.where(there, columns, 0).sum(0) / np.maximum(there.sum(0), 1)
    return np.where(np.isnan(columns), mean, columns).astype(np.float32)


class Described:
    """Descriptions of molecules, computed at first use.

    Args:
        smiles: valid SMILES.
        foundation: name of the foundation model whose fingerprint is used.
        columns: (n, k) further columns of the user's table that describe the molecules; None for none.
        folder: where to keep the descriptions; None to keep them in memory only.
    """

    def __init__(
        self, smiles: Sequence[str], foundation: str, columns: np.ndarray | None = None, folder: Path | None = None
    ):
        self.smiles, self.foundation, self.columns, self.folder = list(smiles), foundation, columns, folder
        self._known: dict[str, np.ndarray] = {}
        self.others: dict[str, Described] = {}  # the same molecules, described by other foundation models

    def __len__(self) -> int:
        return len(self.smiles)

    def get(self, name: str) -> np.ndarray:
        """Return a description, (n, d): a name of `counts`, "descriptors", or "foundation"."""
        if name not in self._known:
            path = self.folder and self.folder / f"{name}.npy"
            if path and path.exists():
                self._known[name] = np.load(path, allow_pickle=False)
            else:
                self._known[name] = self._makers(name)(self.smiles)
                if path:
                    with whole(path) as temporary:
                        np.save(temporary, self._known[name])
        return self._known[name]

    def seconds(self, name: str) -> float:
        """Return about how many seconds a description will take, from a sample; 0 if it is known."""
        if name in self._known or (self.folder and (self.folder / f"{name}.npy").exists()):
            return 0.0
        make, sample = self._makers(name), self.smiles[:: max(1, len(self) // _SAMPLE)][:_SAMPLE]
        begin = time.monotonic()
        make(sample)
        return (time.monotonic() - begin) / max(len(sample), 1) * len(self)

    def take(self, rows: np.ndarray) -> "Described":
        """Return the descriptions of some molecules, (m,) numbers, which are computed here if they are not known yet."""
        return _Part(self, rows)

    def _makers(self, name: str) -> Callable[[Sequence[str]], np.ndarray]:
        if name in _GENERATORS:
            return lambda smiles: counts(smiles, name)
        if name == "descriptors":
            return _descriptors
        from molfm.nn.checkpoints import pretrained  # imports torch, which most candidates do not need

        model = pretrained(self.foundation, progress=False)
        return lambda smiles: model.embed(smiles, progress=False)


class _Part(Described):
    """Some molecules of others that are described."""

    def __init__(self, of: Described, rows: np.ndarray):
        columns = None if of.columns is None else of.columns[rows]
        super().__init__([of.smiles[row] for row in rows], of.foundation, columns)
        self.of, self.rows = of, rows

    def get(self, name: str) -> np.ndarray:
        return self.of.get(name)[self.rows]


def replace_foundation(x: Described, foundation: str) -> Described:
    """Return the same molecules, described by another foundation model."""
    if x.foundation == foundation:
        return x
    other = Described(x.smiles, foundation, x.columns, x.folder and x.folder / foundation)
    return x.others.setdefault(foundation, other)
