"""Molecules to look at: drawn as SVG, and in three dimensions. The only place that asks RDKit for pictures."""

import html
from collections.abc import Mapping, Sequence

import numpy as np
from rdkit import Chem
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


def atom_values(smiles: str, values: Sequence[float], unit: str = "", width: int = 380, height: int = 280) -> str:
    """Return a molecule as SVG whose atoms are coloured (blue: negative, orange: positive) and marked with their values.

    Args:
        smiles: the molecule.
        values: one a heavy atom, in the order of `Chem.MolFromSmiles(smiles)`; NaN: unmeasured.
        unit: of the values.
    """
    from rdkit import Chem

    mol, values = Chem.MolFromSmiles(smiles), np.asarray(values, float)
    if len(values) != mol.GetNumAtoms():
        raise ValueError(f"{len(values)} values for {mol.GetNumAtoms()} atoms of {smiles}.")
    largest = np.nanmax(np.abs(values)) or 1.0
    colors = {}
    for atom, value in zip(mol.GetAtoms(), values.tolist(), strict=True):
        if np.isfinite(value):
            atom.SetProp("atomNote", f"{value:+.2f}")
            pole, share = np.array([0.90, 0.62, 0.0] if value > 0 else [0.34, 0.71, 0.91]), abs(value) / largest
            colors[atom.GetIdx()] = tuple(1 - share * (1 - pole))
    svg = draw(mol, width, height, colors, palette=False)
    return _drawing(svg, smiles, f"{smiles}\nunit: {unit or 'none'}", width)


def _drawing(svg: str, smiles: str, caption: str, width: int) -> str:
    return (
        f"<figure style='margin:4px;padding:6px;background:#fff;color:#222;border-radius:8px;width:{width}px'>"
        f"<div role='img' aria-label='{html.escape(smiles, quote=True)}'>{svg}</div>"
        f"<figcaption style='font-size:12px;text-align:center;white-space:pre-line;overflow-wrap:anywhere'>"
        f"{html.escape(caption)}</figcaption></figure>"
    )


def molecule_grid(smiles: Sequence[str], captions: Sequence[str], width: int = 190, height: int = 150) -> str:
    """Return molecules drawn as SVG in an HTML grid, a caption below each; needs neither network nor JavaScript."""
    from rdkit import Chem

    cells = []
    for text, caption in zip(smiles, captions, strict=True):
        cells.append(_drawing(draw(Chem.MolFromSmiles(text), width, height), text, caption, width))
    return f"<div style='display:flex;flex-wrap:wrap'>{''.join(cells)}</div>"
