"""Molecule3D: one molecule in three dimensions, in the output of a notebook cell."""

import html
import json
from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path
from uuid import uuid4

import numpy as np
import py3Dmol
from molfm.widgets import scripts
from molfm.widgets.shared import source
from rdkit import Chem

from molfm.base.errors import InputError
from molfm.catalog.http import DownloadError
from molfm.chem.conformers import Conformer, conformer
from molfm.chem.drawing import draw_smiles

SCRIPTS = ("viewer3d", "molecule3d")  # joined in this order
_SECONDS = 2  # a cell waits at most this long for the first download of 3Dmol.js
# py3Dmol's script waits for this promise instead of loading 3Dmol.js from the network; `showMolecule` fulfils it.
_PROMISE = "<script>globalThis.$3Dmolpromise ??= new Promise((ready) => { globalThis.molfm3Dmol = ready; });</script>"


def _mol_block(shape: Conformer) -> str:
    """Return a conformer as a V2000 mol block."""
    lines = [
        "",
        f"{'':2}{'molfm':8}{'':10}3D",
        "",
        f"{len(shape.elements):3}{len(shape.orders):3}  0  0  0  0  0  0  0  0999 V2000",
    ]
    symbol = Chem.GetPeriodicTable().GetElementSymbol
    for element, (x, y, z) in zip(shape.elements.tolist(), shape.xyz.tolist(), strict=True):
        lines.append(f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol(element):3} 0  0  0  0  0  0  0  0  0  0  0  0")
    for (begin, end), order in zip(shape.bonds.tolist(), shape.orders.tolist(), strict=True):
        lines.append(f"{begin + 1:3}{end + 1:3}{4 if order == 1.5 else int(order):3}  0")
    return "\n".join([*lines, "M  END", ""])


def _viewer() -> Path | None:
    """Return the path of 3Dmol.js, or None while it is not here; our own canvas shows the molecule then."""
    found = scripts.viewer()
    wait([found], _SECONDS)
    return found.result() if found.done() and not isinstance(found.exception(), DownloadError) else None


class Molecule3D:
    """Show one plausible conformer of a molecule, its atoms coloured by values if there are any.

    py3Dmol shows it. Its viewer, 3Dmol.js (BSD-3-Clause), is downloaded from npm once and is then part of the output (0.2 MB,
    compressed), which needs no network. Until it is here, and without a network, molfm's own canvas shows the molecule.
    Where scripts do not run, such as on GitHub, the flat drawing remains.

    Args:
        smiles: the molecule.
        values: one value per heavy atom, in the order of `Chem.MolFromSmiles(smiles)`, such as predicted charges; NaN for
            unknown values; None to colour by element.
        unit: unit of the values, for the legend and the text about an atom.
        width, height: size in pixels.

    Raises:
        ValueError: the SMILES is invalid, or the number of values is not the number of heavy atoms.
    """

    def __init__(
        self, smiles: str, values: Sequence[float] | None = None, unit: str = "", width: int = 420, height: int = 300
    ):
        mol = Chem.MolFromSmiles(smiles)
        if mol is None:
            raise InputError(f"Invalid SMILES {smiles!r}.")
        if values is not None and len(values) != mol.GetNumAtoms():
            raise InputError(
                f"Expected one value per heavy atom of {smiles}, {mol.GetNumAtoms()}, found {len(values)}."
            )
        self.smiles, self.unit, self.size = smiles, unit, (width, height)
        self.values = None if values is None else np.asarray(values, float)
        self.conformer = conformer(smiles)

    def view(self) -> py3Dmol.view:
        """Return the molecule as a py3Dmol view, coloured by element, to style it further."""
        view = py3Dmol.view(width=self.size[0], height=self.size[1])
        view.addModel(_mol_block(self.conformer), "sdf")
        view.setStyle({"stick": {"radius": 0.12}, "sphere": {"scale": 0.25}})
        view.zoomTo()
        return view

    def _repr_html_(self) -> str:
        root, (width, height), viewer, facts = f"molfm-{uuid4().hex}", self.size, "", {}
        if path := _viewer():
            view = self.view()
            viewer = _PROMISE + view.write_html()
            facts = {"viewer": view.uniqueid, "script": scripts.packed(path)}
        shape = {
            "elements": self.conformer.elements.tolist(),
            "xyz": np.round(self.conformer.xyz, 3).ravel().tolist(),
            "bonds": self.conformer.bonds.ravel().tolist(),
            "orders": self.conformer.orders.tolist(),
        }
        values = None if self.values is None else [v if np.isfinite(v) else None for v in self.values.tolist()]
        label = f"3D structure of {self.smiles}. Rotate with the arrow keys, zoom with plus and minus."
        facts |= {
            "shape": shape,
            "values": values,
            "unit": self.unit,
            "label": label,
            "height": height,
        }
        told = json.dumps(facts).replace("<", "\\u003c")
        return (
            f"<div id='{root}' class='molfm' style='width:{width + 26}px'><style>{source('css', 'viewer3d')}</style>"
            f"<div class='molfm-3dmol' hidden>{viewer}</div>"
            f"<div class='molfm-own' role='img' aria-label='{html.escape(self.smiles, quote=True)}'>"
            f"{draw_smiles(self.smiles, width, height)}</div></div>"
            f"<script type='module'>{source('js', *SCRIPTS)}\nshowMolecule(document.getElementById('{root}'), {told});</script>"
        )
