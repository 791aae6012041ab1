"""Read graphs from the text of canonical SMILES, a thousand at a time.

RDKit has to parse each molecule and write its canonical SMILES in any case. That text contains the whole graph, so
NumPy reads atoms, bonds and rings from it for many molecules at once, and Python asks RDKit for no single atom or bond.
Chemistry (hydrogens, valence, radicals, aromaticity) is left to RDKit: `featurize.py` asks it once per kind of atom.

Only SMILES that RDKit wrote and that `is_readable` accepts are read here. The others are so rare that they may be slow.
"""

import re
from collections import defaultdict
from itertools import count
from typing import NamedTuple

import numpy as np

SINGLE, DOUBLE, TRIPLE, AROMATIC, OTHER = range(5)

_BY_ATOMS, _NO_SYMBOL = 254, 255  # no symbol, or only a direction: aromatic between two aromatic atoms, else single
_SYMBOLS = {"-": SINGLE, "=": DOUBLE, "#": TRIPLE, ":": AROMATIC, "/": _BY_ATOMS, "\\": _BY_ATOMS}
_BOND = np.full(256, _NO_SYMBOL, np.uint8)  # character -> bond order
for _symbol, _order in _SYMBOLS.items():
    _BOND[ord(_symbol)] = _order
_IS_PLAIN_ATOM = np.zeros(256, bool)
_IS_PLAIN_ATOM[list(b"BCNOPSFIbcnops")] = True  # Cl and Br begin with one of them too
_IS_DIGIT = np.zeros(256, bool)
_IS_DIGIT[list(b"0123456789")] = True
_IS_AROMATIC = re.compile(r"\[\d*[a-z]")
_UNREADABLE = re.compile(r"[~$<>*]|%\(")  # bonds of other orders, dummy atoms, more than 99 open rings
# Text of an atom in brackets -> its number in this process. Two threads may number a text twice, which does no harm,
# but they must never give one number to two texts.
_BRACKETED: defaultdict[str, int] = defaultdict(count(512).__next__)


class Graphs(NamedTuple):
    """Molecules with atoms and bonds in the order in which `Chem.MolFromSmiles` numbers them."""

    atom_ptr: np.ndarray  # (n + 1,) first atom of each molecule
    token: np.ndarray  # (n_atoms,) int64, number of the atom's text
    marked_atom: np.ndarray  # (n_atoms,) bool, written with @ or @@
    bond_ptr: np.ndarray  # (n + 1,) first bond of each molecule
    ends: np.ndarray  # (n_bonds, 2) atoms, numbered over all molecules
    order: np.ndarray  # (n_bonds,) SINGLE, DOUBLE, TRIPLE or AROMATIC
    ring_bond: np.ndarray  # (n_bonds,) bool


def is_readable(smiles: str) -> bool:
    """Return whether `read_graphs` can read this canonical SMILES."""
    return _UNREADABLE.search(smiles) is None


def read_graphs(smiles: list[str]) -> Graphs:
    """Read canonical SMILES that RDKit wrote and that `is_readable` accepts."""
    text = np.frombuffer(("\n" + "\n".join(smiles) + "\n").encode("ascii"), np.uint8)
    end = text == ord("\n")
    bracket = np.cumsum((text == ord("[")).astype(np.int8) - (text == ord("]")).astype(np.int8), dtype=np.int8)
    bare = (bracket == 0) & (text != ord("]"))
    start = np.flatnonzero((bare & _IS_PLAIN_ATOM[text]) | (text == ord("[")))  # first character of each atom
    level = np.cumsum((bare & (text == ord("("))).astype(np.int16) - (bare & (text == ord(")"))), dtype=np.int32)
    atoms_before = np.cumsum(np.bincount(start + 1, minlength=len(text) + 1)[: len(text)])
    atom_ptr = atoms_before[end]
    token, aromatic, marked = _tokens(text, start)

    symbol = _BOND[text[start - 1]]
    before = text[start - 1 - (symbol != _NO_SYMBOL)]
    opens_branch, is_root = before == ord("("), (before == ord("\n")) | (before == ord("."))
    parent, subtree_end = _tree(text, bare, level, start, opens_branch, atoms_before)

    opener, closer, ring_symbol, swapped = _ring_closures(text, bare, atoms_before, end)
    # A bond is in a ring if a ring closure leads out of the part of the molecule behind the bond. Each closure marks
    # both of its atoms. An atom's descendants follow it in the text without a gap, so the two marks of a closure among
    # them cancel.
    marks = np.zeros(len(start) + 1, np.uint64)
    mark = np.random.default_rng(0).integers(1, 2**64, len(opener), dtype=np.uint64)
    np.bitwise_xor.at(marks, opener + 1, mark)
    np.bitwise_xor.at(marks, closer + 1, mark)
    total = np.bitwise_xor.accumulate(marks)

    child = np.flatnonzero(~is_root)
    first = np.concatenate([parent[child], np.where(swapped, opener, closer)])
    second = np.concatenate([child, np.where(swapped, closer, opener)])
    order = np.concatenate([symbol[child], ring_symbol])
    both_aromatic = aromatic[first] & aromatic[second]
    order = np.where(order >= _BY_ATOMS, np.where(both_aromatic, AROMATIC, SINGLE), order)
    ring_bond = np.concatenate([total[subtree_end[child]] != total[child], np.ones(len(opener), bool)])
    molecule = np.searchsorted(atom_ptr, second, side="right") - 1
    # RDKit numbers a molecule's bonds in the order of the text, and those that close a ring after all others.
    sort = np.argsort(molecule, kind="stable")
    bond_ptr = np.searchsorted(molecule[sort], np.arange(len(atom_ptr)))
    ends = np.column_stack([first, second])[sort]
    return Graphs(atom_ptr, token, marked, bond_ptr, ends, order[sort], ring_bond[sort])


def _tokens(text: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each atom the number of its text, whether it is aromatic, and whether it has an @, (n_atoms,) each."""
    number = text[start].astype(np.int64)
    following = text[start + 1]
    in_brackets = np.flatnonzero(number == ord("["))
    number += 256 * ((following == ord("l")) | (following == ord("r")))  # Cl, Br
    aromatic, marked = (number >= ord("a")) & (number < 256), np.zeros(len(start), bool)
    closing = np.flatnonzero(text == ord("]"))
    written = text.tobytes().decode("ascii")
    texts = [written[a : b + 1] for a, b in zip(start[in_brackets].tolist(), closing.tolist(), strict=True)]
    number[in_brackets] = [_BRACKETED[bracketed] for bracketed in texts]
    aromatic[in_brackets] = [_IS_AROMATIC.match(bracketed) is not None for bracketed in texts]
    marked[in_brackets] = ["@" in bracketed for bracketed in texts]
    return number, aromatic, marked


def _tree(
    text: np.ndarray,
    bare: np.ndarray,
    level: np.ndarray,
    start: np.ndarray,
    opens_branch: np.ndarray,
    atoms_before: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (parent, subtree_end), both (n_atoms,): an atom and its descendants end before subtree_end.

    The parent of the first atom (of a molecule, or of a part after a dot) means nothing.
    """
    parent, subtree_end, depth = np.zeros_like(start), np.zeros_like(start), level[start]
    closes = bare & (text == ord(")"))
    closes_molecule = bare & ((text == ord("\n")) | (text == ord(".")))
    below = np.zeros(0, np.int64)
    for d in range(int(depth.max(initial=0)) + 1):
        atoms = np.flatnonzero(depth == d)
        parent[atoms[1:]] = atoms[:-1]
        if d:
            first = atoms[opens_branch[atoms]]
            parent[first] = below[np.searchsorted(below, first) - 1]
        stops = np.flatnonzero(closes & (level == d - 1) if d else closes_molecule)
        subtree_end[atoms] = atoms_before[stops[np.searchsorted(stops, start[atoms])]]
        below = atoms
    return parent, subtree_end


def _ring_closures(
    text: np.ndarray, bare: np.ndarray, atoms_before: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (opener, closer, symbol, swapped) of the bonds that close rings, in a molecule by ring number.

    swapped: the bond's symbol is written where the ring opens, in which case RDKit lets the bond begin there.
    """
    percent = np.flatnonzero(bare & (text == ord("%")))
    single = bare & _IS_DIGIT[text]
    single[percent + 1] = single[percent + 2] = False
    at = np.sort(np.concatenate([np.flatnonzero(single), percent]))
    value = text.astype(np.int64) - ord("0")
    two_digits = text[at] == ord("%")
    tens, ones = at + two_digits, at + 2 * two_digits
    number = np.where(two_digits, 10 * value[tens], 0) + value[ones]
    atom = atoms_before[at] - 1
    molecule = np.cumsum(end)[at]
    sort = np.argsort(molecule * 128 + number, kind="stable")  # each number opens and closes in turn
    opening, closing = sort[::2], sort[1::2]
    symbol = _BOND[text[at - 1]]
    swapped = symbol[opening] != _NO_SYMBOL
    return atom[opening], atom[closing], np.where(swapped, symbol[opening], symbol[closing]), swapped
