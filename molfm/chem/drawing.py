"""Drawings of molecules as SVG and HTML. The only module that asks RDKit for pictures."""

import html
from collections.abc import Mapping, Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from molfm.base.colors import ELEMENTS, THEMES, rgb
from molfm.base.errors import InputError
from molfm.base.names import minus

_BLACK = "#000000"
_BOND = 0.17  # length of a bond, divided by the height of the drawing; a molecule that does not fit is drawn smaller


def _color(color: str) -> tuple[float, ...]:
    return tuple(part / 255 for part in rgb(color))


_POLES = THEMES["light"]  # the drawings of figures have a white background
_MATCH = (*_color(THEMES["light"]["focus"]), 0.35)  # highlights the atoms and bonds that a search found


def draw(
    mol: Chem.Mol,
    width: int,
    height: int,
    atoms: Mapping[int, tuple] | None = None,
    bonds: Mapping[int, tuple] | None = None,
    palette: bool = True,
) -> str:
    """Return a molecule as an SVG element with a transparent background; drawings of one size have one bond length.

    Args:
        mol: the molecule to draw.
        width, height: size in pixels.
        atoms: index of an atom -> colour of its highlight, (r, g, b) or (r, g, b, a) in 0 to 1; None for no highlights.
        bonds: index of a bond -> colour of its highlight, in the same form.
        palette: whether to colour elements other than carbon; if False, all atoms have one colour.
    """
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.fixedBondLength = _BOND * height
    options.bondLineWidth = 1.4
    options.useBWAtomPalette()
    if palette:
        options.updateAtomPalette({number: _color(color) for number, color in ELEMENTS.items() if number > 6})
    rdMolDraw2D.PrepareAndDrawMolecule(
        drawer,
        mol,
        highlightAtoms=list(atoms or {}),
        highlightAtomColors=dict(atoms or {}),
        highlightBonds=list(bonds or {}),
        highlightBondColors=dict(bonds or {}),
    )
    drawer.FinishDrawing()
    return drawer.GetDrawingText().partition("?>")[2].strip()  # without the XML header: the SVG is put into a page


def draw_smiles(smiles: str, width: int, height: int, pattern: Chem.Mol | None = None) -> str:
    """Return a molecule as an SVG element in the colour of the surrounding text; highlight what matches `pattern`."""
    mol = Chem.MolFromSmiles(smiles)
    matches = mol.GetSubstructMatches(pattern, maxMatches=50) if pattern is not None else ()
    atoms = {atom for match in matches for atom in match}
    bonds = [b.GetIdx() for b in mol.GetBonds() if {b.GetBeginAtomIdx(), b.GetEndAtomIdx()} <= atoms]
    return draw(mol, width, height, dict.fromkeys(atoms, _MATCH), dict.fromkeys(bonds, _MATCH)).replace(
        _BLACK, "currentColor"
    )


def draw_values(
    smiles: str,
    width: int,
    height: int,
    atoms: np.ndarray | None = None,
    bonds: np.ndarray | None = None,
    atom_limit: float = 1.0,
    bond_range: tuple[float, float] = (0.0, 1.0),
) -> str:
    """Return a molecule as an SVG element in the colour of the surrounding text, its atoms and bonds coloured by values.

    Args:
        smiles: the molecule.
        width, height: size in pixels.
        atoms: (n_atoms,) signed values: red for negative, blue for positive, clear for zero; None for none.
        bonds: (n_bonds,) values, from clear to indigo; None for none.
        atom_limit: absolute value of an atom that has the full colour.
        bond_range: values of a bond that has no colour, and the full one.
    """
    mol, theme = Chem.MolFromSmiles(smiles), THEMES["light"]
    of_atoms, of_bonds = {}, {}
    for place, value in enumerate([] if atoms is None else atoms.tolist()):
        role = "positive" if value > 0 else "negative"
        of_atoms[place] = (*_color(theme[role]), min(1.0, abs(value) / atom_limit))
    low, high = bond_range
    for place, value in enumerate([] if bonds is None else bonds.tolist()):
        of_bonds[place] = (*_color(theme["high"]), min(1.0, max(0.0, (value - low) / (high - low))))
    return draw(mol, width, height, of_atoms, of_bonds, palette=False).replace(_BLACK, "currentColor")


def atom_values(smiles: str, values: Sequence[float], unit: str = "", width: int = 380, height: int = 280) -> str:
    """Return a molecule as HTML; each atom shows its value as a number and a colour, which a bar below explains.

    Red stands for negative values, white for zero and blue for positive ones, as in the widgets.

    Args:
        smiles: the molecule.
        values: one value per heavy atom, in the order of `Chem.MolFromSmiles(smiles)`; NaN if unmeasured.
        unit: unit of the values, for the caption.
        width, height: size of the drawing in pixels.

    Raises:
        ValueError: the number of values is not the number of atoms.
    """
    mol, values = Chem.MolFromSmiles(smiles), np.asarray(values, float)
    if len(values) != mol.GetNumAtoms():
        raise InputError(
            f"Expected one value per atom, found {len(values)} values for {mol.GetNumAtoms()} atoms of {smiles}."
        )
    largest = np.nanmax(np.abs(values)) or 1.0
    colors = {}
    for atom, value in zip(mol.GetAtoms(), values.tolist(), strict=True):
        if np.isfinite(value):
            atom.SetProp("atomNote", f"{value:+.2f}")
            pole = np.array(_color(_POLES["positive" if value > 0 else "negative"]))
            colors[atom.GetIdx()] = tuple(1 - abs(value) / largest * (1 - pole))
    svg = draw(mol, width, height, colors, palette=False)
    ramp = ",".join(_POLES[end] for end in ("negative", "zero", "positive"))
    bar = (
        "<div style='display:flex;gap:8px;align-items:center;font-size:12px'>"
        f"<span>{-largest:.2f}</span><span style='flex:1;height:10px;border:1px solid {_POLES['line']};"
        f"background:linear-gradient(to right,{ramp})'></span><span>{html.escape(f'{largest:.2f} {unit}'.strip())}</span></div>"
    )
    return _drawing(svg + bar.replace(">-", ">−"), smiles, smiles, width)


def _drawing(svg: str, smiles: str, caption: str, width: int) -> str:
    return (
        f"<figure style='margin:4px;padding:6px;background:#fff;color:#222;border-radius:8px;width:{width}px'>"
        f"<div role='img' aria-label='{html.escape(smiles, quote=True)}'>{svg}</div>"
        f"<figcaption style='font-size:12px;text-align:center;white-space:pre-line;overflow-wrap:anywhere'>"
        f"{html.escape(minus(caption))}</figcaption></figure>"
    )


def molecule_grid(smiles: Sequence[str], captions: Sequence[str], width: int = 190, height: int = 150) -> str:
    """Return an HTML grid of molecules as SVG, with a caption below each; it needs neither network nor JavaScript."""
    cells = []
    for text, caption in zip(smiles, captions, strict=True):
        cells.append(_drawing(draw(Chem.MolFromSmiles(text), width, height), text, caption, width))
    return f"<div style='display:flex;flex-wrap:wrap'>{''.join(cells)}</div>"
