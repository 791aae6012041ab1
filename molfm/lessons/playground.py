"""Weisfeiler-Leman colour refinement for lesson 4: of a few molecules, of a whole mix, and as a playground.

Molecules are refined together, so equal colours mean the same in all of them.
"""

import html
from collections.abc import Sequence

import numpy as np
from IPython.display import HTML, display
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from molfm.base.arrays import pointer
from molfm.base.colors import rgb
from molfm.base.errors import InputError
from molfm.chem.drawing import draw
from molfm.chem.encodings import WALK
from molfm.chem.featurize import ATOM_FIELDS, BOND_CODES, BOND_FIELDS
from molfm.data.view import View
from molfm.plots.style import SERIES_COLORS

KNOWS = {  # what the network is told about an atom and a bond -> codes of both
    "elements": (lambda atom: atom.GetAtomicNum(), lambda bond: 0),
    "elements and bond types": (lambda atom: atom.GetAtomicNum(), lambda bond: int(bond.GetBondType())),
    "all features, without R and S": (
        lambda atom: (
            *(atom.GetAtomicNum(), atom.GetTotalDegree(), atom.GetFormalCharge(), atom.GetNumRadicalElectrons()),
            *(atom.GetTotalValence(), atom.GetTotalNumHs(), atom.GetIsAromatic(), atom.IsInRing()),
        ),
        lambda bond: (int(bond.GetBondType()), bond.IsInRing()),
    ),
}
PAIRS = {  # that students know, or can draw
    "decalin, bicyclopentyl": ("C1CCC2CCCCC2C1", "C1CCC(C1)C1CCCC1"),
    "naphthalene, azulene": ("c1ccc2ccccc2c1", "c1ccc2cccc-2cc1"),
    "cubane, cuneane": ("C12C3C4C1C5C2C3C45", "C12C3C4C1C5C3C2C45"),
    "R-carvone, S-carvone": ("C=C(C)[C@@H]1CC=C(C)C(=O)C1", "C=C(C)[C@H]1CC=C(C)C(=O)C1"),
    "theobromine, theophylline": ("Cn1cnc2c1c(=O)[nH]c(=O)n2C", "Cn1c(=O)c2[nH]cnc2n(C)c1=O"),
}


def refine(smiles: tuple[str, ...], rounds: int, knows: str = "elements") -> list[list[int]]:
    """Return the Weisfeiler-Leman colours of the atoms of several molecules, numbered alike in all of them.

    Args:
        smiles: the molecules.
        rounds: number of rounds; 0 for the colours at the start.
        knows: what atoms and bonds start from, a key of `KNOWS`.

    Raises:
        ValueError: a SMILES is invalid, or `knows` is unknown.
    """
    if knows not in KNOWS:
        raise InputError(f"Unknown start {knows!r}; expected one of {', '.join(KNOWS)}.")
    with BlockLogs():  # a wrong SMILES gets a message of its own
        molecules = [Chem.MolFromSmiles(text) if text.strip() else None for text in smiles]
    for text, molecule in zip(smiles, molecules, strict=True):
        if molecule is None:
            raise InputError(f"{text!r} is not a valid SMILES.")
    of_atom, of_bond = KNOWS[knows]
    colors = _numbered([[of_atom(atom) for atom in molecule.GetAtoms()] for molecule in molecules])
    for _ in range(rounds):
        signatures = []
        for molecule, old in zip(molecules, colors, strict=True):
            heard = [
                sorted((of_bond(bond), old[bond.GetOtherAtomIdx(atom.GetIdx())]) for bond in atom.GetBonds())
                for atom in molecule.GetAtoms()
            ]
            signatures.append([(mine, tuple(neighbours)) for mine, neighbours in zip(old, heard, strict=True)])
        colors = _numbered(signatures)
    return colors


def _numbered(signatures: list[list]) -> list[list[int]]:
    """Replace equal signatures by equal numbers, counted from 0 in sorted order."""
    number = {signature: place for place, signature in enumerate(sorted({s for part in signatures for s in part}))}
    return [[number[signature] for signature in part] for part in signatures]


def _differ(colors: list[list[int]]) -> bool:
    """Return whether two molecules have different multisets of colours."""
    one, other = map(sorted, colors)
    return one != other


def compare(one: str, other: str, rounds: int, knows: str = "elements") -> HTML:
    """Return both molecules with the colours of their atoms, and whether their colours differ.

    Each colour has a number too, so that colour is not the only cue.

    Args:
        one, other: two SMILES.
        rounds, knows: see `refine`.

    Raises:
        ValueError: see `refine`.
    """
    colors = refine((one, other), rounds, knows)
    if _differ(colors):
        answer = "different colours. The network <b>can</b> tell them apart."
    elif _differ(refine((one, other), sum(map(len, colors)), knows)):  # more rounds than atoms change nothing
        answer = "the same colours. The network <b>cannot</b> tell them apart with so few rounds."
    else:
        answer = "the same colours. The network <b>cannot</b> tell them apart, with any number of rounds."
    drawings = []
    for text, mine in zip((one, other), colors, strict=True):
        molecule, shades = Chem.MolFromSmiles(text), {}
        for atom, color in zip(molecule.GetAtoms(), mine, strict=True):
            atom.SetProp("atomNote", str(color))
            shade = rgb(SERIES_COLORS[color % len(SERIES_COLORS)])
            shades[atom.GetIdx()] = (*(part / 255 for part in shade), 0.6)
        caption = f"{html.escape(text)}<br>{molecule.GetNumAtoms()} atoms, {len(set(mine))} colours"
        drawings.append(
            "<figure style='margin:4px;padding:6px;background:#fff;color:#222;width:330px'>"
            f"<div role='img' aria-label='{html.escape(text, quote=True)}'>{draw(molecule, 330, 230, shades, palette=False)}</div>"
            f"<figcaption style='font-size:12px;text-align:center;overflow-wrap:anywhere'>{caption}</figcaption></figure>"
        )
    after = f"After {rounds} round{'' if rounds == 1 else 's'}, knowing {knows}: "
    return HTML(f"<p>{after}{answer}</p><div style='display:flex;flex-wrap:wrap'>{''.join(drawings)}</div>")


def molecule_colors(
    data: View, atoms: Sequence[str] = ("element",), bonds: Sequence[str] = (), walk: bool = False, rounds: int = 16
) -> np.ndarray:
    """Return the colour of every molecule of a mix: equal numbers where refinement cannot tell molecules apart.

    Colours are 64-bit hashes, so two different ones are equal by accident with a probability below 1e-8.

    Args:
        data: the result of `molfm.load`.
        atoms: what the network knows of an atom, fields of `chem.featurize.ATOM_FIELDS`.
        bonds: what it knows of a bond, fields of `chem.featurize.BOND_FIELDS`.
        walk: whether it also knows each atom's random-walk encoding, to three digits.
        rounds: rounds of refinement; more than most molecules need.

    Returns:
        (n_molecules,) uint64, in the order of `data.molecules`.
    """
    arrays = data.gather(np.arange(len(data)), "train", encodings=(WALK,) if walk else ())
    first = pointer(arrays["num_atoms"])
    ends = arrays["bonds"][:, :2].astype(np.int64) + np.repeat(first[:-1], arrays["num_bonds"])[:, None]
    start, end = np.concatenate([ends, ends[:, ::-1]]).T
    codes = BOND_CODES[arrays["bonds"][:, 2]]
    of_bond = _hashed(codes[:, [list(BOND_FIELDS).index(name) for name in bonds]])
    of_bond = np.concatenate([of_bond, of_bond])
    known = [arrays["atoms"][:, [list(ATOM_FIELDS).index(name) for name in atoms]]]
    if walk:
        known.append(np.round(arrays["walk"].astype(np.float32) * 1000))
    color = _hashed(np.hstack(known))
    order = np.argsort(end, kind="stable")
    start, end, of_bond = start[order], end[order], of_bond[order]
    for _ in range(rounds):
        sent = _running(_hashed(np.column_stack([color[start], of_bond])))
        place = np.searchsorted(end, np.arange(len(color) + 1))
        color = _hashed(np.column_stack([color, sent[place[1:]] - sent[place[:-1]]]))
    total = _running(_hashed(color[:, None]))
    out = np.empty(len(data), np.uint64)
    out[arrays["mol_id"]] = total[first[1:]] - total[first[:-1]]
    return out


def _running(values: np.ndarray) -> np.ndarray:
    """Return the sums of the first 0, 1, …, n values, (n + 1,) uint64. They overflow, but their differences stay right."""
    out = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values, out=out[1:])
    return out


def _hashed(rows: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of each row, (n, k) -> (n,) uint64: SplitMix64's mixing step, once per column."""
    out = np.full(len(rows), 0x9E3779B97F4A7C15, np.uint64)
    for column in rows.T:
        out = (out ^ column.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        out = (out ^ (out >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        out = (out ^ (out >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        out ^= out >> np.uint64(31)
    return out


class Playground:
    """Two molecules, a slider for the rounds, and whether message passing can tell the molecules apart.

    In a saved notebook without a kernel, it shows the molecules as they are at the start.

    Args:
        one, other: SMILES of both molecules at the start.
        rounds, knows: see `refine`, at the start.
    """

    def __init__(
        self, one: str = "C1CCC2CCCCC2C1", other: str = "C1CCC(C1)C1CCCC1", rounds: int = 3, knows: str = "elements"
    ):
        import ipywidgets as widgets

        self._still = compare(one, other, rounds, knows).data
        wide = {"layout": widgets.Layout(width="46em"), "style": {"description_width": "8em"}}
        pairs = widgets.Dropdown(options=["your own", *PAIRS], description="Pair", **wide)
        self.one, self.other = (
            widgets.Text(text, description=f"{name} SMILES", continuous_update=False, **wide)
            for name, text in (("One", one), ("Other", other))
        )
        self.rounds = widgets.IntSlider(rounds, 0, 8, description="Rounds", **wide)
        self.knows = widgets.Dropdown(options=list(KNOWS), value=knows, description="It knows", **wide)
        self._shown = widgets.HTML()
        pairs.observe(self._take, "value")
        controls = (self.one, self.other, self.rounds, self.knows)
        for control in controls:
            control.observe(self._show, "value")
        self._show()
        hide = widgets.HTML("<style>.molfm-playground-still{display:none}</style>")  # while the playground works
        self.widget = widgets.VBox([pairs, *controls, self._shown, hide])

    def _take(self, change: dict) -> None:
        if change["new"] in PAIRS:
            self.one.value, self.other.value = PAIRS[change["new"]]

    def _show(self, change: dict | None = None) -> None:
        try:
            shown = compare(self.one.value, self.other.value, self.rounds.value, self.knows.value).data
        except InputError as error:
            shown = f"<p>{html.escape(str(error))}</p>"
        self._shown.value = shown

    def _ipython_display_(self) -> None:
        # In one output, JupyterLab would prefer the widget and show nothing where there is no kernel.
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        display({"application/vnd.jupyter.widget-view+json": view, "text/plain": "Playground"}, raw=True)
        display(HTML(f"<div class='molfm-playground-still'>{self._still}</div>"))
