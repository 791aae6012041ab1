"""Molecules to look at: drawn as SVG, and in three dimensions. The only place that asks RDKit for pictures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from rdkit.Chem.Draw import rdMolDraw2D

# Read on white and on black: mid-tones of Okabe and Ito's colours. Everything else is drawn in the text's own colour.
_ATOM_COLORS = {
    7: "#2f86c5",
    8: "#d55e00",
    9: "#009e73",
    17: "#009e73",
    35: "#a5673f",
    53: "#9467bd",
    16: "#b8860b",
    15: "#c46a9a",
}
_MATCH = (0.34, 0.71, 0.91, 0.45)  # of atoms that a search found
_BLACK = "#000000"
_EMBEDDINGS = 20  # tries to find coordinates
_SECONDS = 10  # for them
_STEPS = 10_000  # of the force field, times atoms
_GAP = 3.5  # Å between the parts of a mixture


def _rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))


def draw(
    mol: Chem.Mol,
    width: int,
    height: int,
    atoms: Mapping[int, tuple] | None = None,
    bonds: Sequence[int] = (),
    palette: bool = True,
) -> str:
    """Return a molecule as an SVG element, on a transparent ground.

    Args:
        mol: what is drawn.
        width, height: in pixels.
        atoms: atom -> its highlight's colour, (r, g, b) or (r, g, b, a) in 0 to 1.
        bonds: those that are highlighted with their atoms.
        palette: colours for elements other than carbon; else all in one.
    """
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.useBWAtomPalette()
    if palette:
        options.updateAtomPalette({number: _rgb(color) for number, color in _ATOM_COLORS.items()})
    rdMolDraw2D.PrepareAndDrawMolecule(
        drawer,
        mol,
        highlightAtoms=list(atoms or {}),
        highlightAtomColors=dict(atoms or {}),
        highlightBonds=list(bonds),
        highlightBondColors=dict.fromkeys(bonds, _MATCH),
    )
    drawer.FinishDrawing()
    return drawer.GetDrawingText().partition("?>")[2].strip()  # without the XML header: it stands inside a page


def draw_smiles(smiles: str, width: int, height: int, pattern: Chem.Mol | None = None) -> str:
    """Return a molecule as an SVG element in the colour of the text around it, atoms that match a pattern highlighted."""
    mol = Chem.MolFromSmiles(smiles)
    matches = mol.GetSubstructMatches(pattern, maxMatches=50) if pattern is not None else ()
    atoms = {atom for match in matches for atom in match}
    bonds = [b.GetIdx() for b in mol.GetBonds() if {b.GetBeginAtomIdx(), b.GetEndAtomIdx()} <= atoms]
    return draw(mol, width, height, dict.fromkeys(atoms, _MATCH), bonds).replace(_BLACK, "currentColor")


class Conformer(NamedTuple):
    """A molecule in three dimensions; heavy atoms come first, in the order of `Chem.MolFromSmiles(smiles)`."""

    elements: np.ndarray  # (n_atoms,) uint8, atomic numbers
    xyz: np.ndarray  # (n_atoms, 3) float32, in Å
    bonds: np.ndarray  # (n_bonds, 2) uint16; those between heavy atoms first, in the order of the molecule's bonds
    orders: np.ndarray  # (n_bonds,) float32, 1.5: aromatic
    flat: bool  # no three-dimensional coordinates were found; these are of the drawing


def conformer(smiles: str) -> Conformer:
    """Return one conformer with its hydrogens: ETKDGv3 (doi 10.1021/acs.jcim.0c00025) from a fixed seed, then MMFF94.

    It is a plausible shape, not the one of lowest energy, and not the geometry that labels were computed for. The parts of a
    salt or mixture stand side by side: where they would be to each other is not known.
    """
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    settings = rdDistGeom.ETKDGv3()
    settings.randomSeed, settings.maxIterations, settings.timeout = 7, _EMBEDDINGS, _SECONDS
    flat = rdDistGeom.EmbedMolecule(mol, settings) < 0
    if flat:  # from random coordinates large rings succeed more often
        settings.useRandomCoords = True
        flat = rdDistGeom.EmbedMolecule(mol, settings) < 0
    if flat:
        mol = Chem.MolFromSmiles(smiles)
        Chem.rdDepictor.Compute2DCoords(mol)
    elif rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=_STEPS // mol.GetNumAtoms())
    bonds = list(mol.GetBonds())
    xyz = mol.GetConformer().GetPositions()
    if not flat:
        _side_by_side(mol, xyz)
    xyz -= xyz.mean(axis=0)
    axes = np.linalg.svd(xyz, full_matrices=True)[2]  # the widest side to the viewer
    axes[2] *= np.sign(np.linalg.det(axes))  # turned, never mirrored
    return Conformer(
        np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], np.uint8),
        (xyz @ axes.T).astype(np.float32),
        np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds], np.uint16).reshape(-1, 2),
        np.array([b.GetBondTypeAsDouble() for b in bonds], np.float32),
        flat,
    )


def _side_by_side(mol: Chem.Mol, xyz: np.ndarray) -> None:
    """Move the parts of a mixture, each of which was placed around the origin, apart along the first axis."""
    end = None
    for atoms in map(list, Chem.GetMolFrags(mol)):
        if end is not None:
            xyz[atoms, 0] += end + _GAP - xyz[atoms, 0].min()
        end = xyz[atoms, 0].max()
