"""Clusters of similar molecules, for splits: the method of Taylor and Butina on Morgan fingerprints.

A molecule with many neighbours is a centre, unless it is a neighbour of an earlier centre. Then each molecule joins the
centre most similar to it. The clusters depend only on the set of molecules, not on their order.

Source: R. Taylor, J. Chem. Inf. Comput. Sci. 35, 59 (1995); D. Butina, ibid. 39, 747 (1999).
"""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator

from molfm.base.progress import tqdm

SIMILARITY = 0.4  # molecules at least so similar (Tanimoto) are neighbours
COUNTED = 20_000  # neighbours are counted among so many molecules, or the time would grow with the square of the number
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)


class _Fingerprints:
    """Fingerprints of n molecules as one column per molecule, so that comparing one with all adds a few rows."""

    def __init__(self, smiles: Sequence[str]):
        with rdBase.BlockLogs():
            self.bits = [
                np.array(_MORGAN.GetFingerprint(Chem.MolFromSmiles(text)).GetOnBits(), np.int64) for text in smiles
            ]
        self.columns = np.zeros((2048, len(smiles)), np.uint8)
        for number, bits in enumerate(self.bits):
            self.columns[bits, number] = 1
        self.n_bits = np.array([len(bits) for bits in self.bits], np.float32)

    def similarity(self, number: int, most: int | None = None) -> np.ndarray:
        """Return the Tanimoto similarity of one molecule to the first `most`, or all, (most,) float32."""
        # Costs 2 kB of memory per molecule, but no loop over pairs in Python.
        bits, columns = self.bits[number], self.columns[:, :most]
        common = np.zeros(columns.shape[1], np.uint8 if len(bits) < 256 else np.uint16)
        for bit in bits:
            np.add(common, columns[bit], out=common)
        return common / (self.n_bits[:most] + len(bits) - common)


def clusters(smiles: Sequence[str], progress: bool = False) -> np.ndarray:
    """Return the centre of each molecule's cluster, as a number in `smiles`, (n,) int64.

    Args:
        smiles: molecules, each once. Of two that are equally good centres, the earlier one counts.
        progress: show a progress bar.
    """
    prints, n = _Fingerprints(smiles), len(smiles)
    centre, nearest = np.full(n, -1), np.zeros(n, np.float32)
    with tqdm(total=2 * n, desc="Clusters", unit=" molecules", disable=not progress) as bar:
        neighbours = np.zeros(n, np.int64)
        for number in range(n):
            neighbours[number] = np.count_nonzero(prints.similarity(number, COUNTED) >= SIMILARITY)
            bar.update()
        for number in np.argsort(-neighbours, kind="stable"):
            bar.update()
            if centre[number] >= 0:
                continue
            similarity = prints.similarity(number)
            nearer = (similarity >= SIMILARITY) & (similarity > nearest)
            nearer[number] = True
            centre[nearer], nearest[nearer] = number, similarity[nearer]
    return centre
