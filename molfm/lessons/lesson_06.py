"""Exercises of lesson 6: atoms and bonds, and making quantum labels."""

import numpy as np
from rdkit import Chem

from molfm.lessons.answers import Hint, array, call, near, number, share

_PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"
_AMIDE = "[CX3;$(C=O)]-[NX3]"


def exercise_1(answer):
    """A graph task has one label per molecule, charge one per atom other than hydrogen, bond_order one per bond."""
    found = array(answer, (3,)).tolist()
    mol = Chem.MolFromSmiles(_PARACETAMOL)
    full = Chem.AddHs(mol)
    graphs, atoms, bonds = found
    if graphs in (2, 8):
        raise Hint("Count the labels of one task, gap, not all tasks of its level.")
    if graphs != 1:
        raise Hint("The gap is a graph label. How many labels does a graph task have for one molecule?")
    if atoms == full.GetNumAtoms() or bonds == full.GetNumBonds():
        raise Hint("You counted hydrogens. Only the other atoms, and the bonds between them, have labels here.")
    if atoms != mol.GetNumAtoms():
        raise Hint(f"Charges: count the letters C, N and O in the SMILES, also the small ones. You gave {atoms:g}.")
    if bonds == atoms - 1:
        raise Hint("A chain of n atoms has n − 1 bonds. Paracetamol is no chain: what does a ring add?")
    if bonds == mol.GetNumBonds() + 4:
        raise Hint("A double bond is one bond with one label.")
    if bonds != mol.GetNumBonds():
        raise Hint(f"Bonds: count the lines of the drawing, a double line once. You gave {bonds:g}.")
    return "One gap, one charge per heavy atom, one bond order per bond. The ring makes atoms and bonds equally many."


def exercise_2(function):
    """Find the two atoms with molecule.GetSubstructMatch(patterns["amide C–N"]), then the bond between them."""
    for smiles in (_PARACETAMOL, "CCN(CC)C(=O)c1cccc(C)c1", "NC(=O)CCl"):
        mol = Chem.MolFromSmiles(smiles)
        orders = np.arange(mol.GetNumBonds()) + 100.0  # every bond has another value, so a wrong bond is recognized
        carbon, nitrogen = mol.GetSubstructMatch(Chem.MolFromSmarts(_AMIDE))
        right = 100.0 + mol.GetBondBetweenAtoms(carbon, nitrogen).GetIdx()
        result = call(function, smiles, orders)
        if isinstance(result, Chem.Bond):
            raise Hint("You return a bond of RDKit. Its number is bond.GetIdx(): use it to look into `orders`.")
        got = number(result)
        if near(got, right, 1e-6):
            continue
        if near(got, right - 100, 0) and got == int(got):
            raise Hint("You return the number of the bond. Use it as an index into `orders`.")
        if got in (100.0 + carbon, 100.0 + nitrogen):
            raise Hint("You used the number of an atom as an index. `orders` is ordered by bonds: ask the bond.")
        if got in (1.0, 1.5, 2.0):
            raise Hint("That is the order that is drawn. The computed one stands in the array `orders`.")
        if 100 <= got < 100 + len(orders):
            bond = mol.GetBondWithIdx(int(got - 100))
            ends = "–".join(sorted((bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol())))
            raise Hint(f"For {smiles} you return the entry of another bond, {ends}. Which two atoms match the pattern?")
        raise Hint(f"For {smiles} you return {got:g}, which is none of the entries of `orders`.")
    return (
        "Your function finds the amide bond of paracetamol and of two other amides, wherever it stands in the SMILES."
    )


def exercise_3(function):
    """Go through the atoms of the molecule in their order, and take for each the value that its map number names."""
    cases = {
        "[CH3:1][OH:0]": [0.5, 1.5],
        "[OH:0][CH2:2][CH3:1]": [0.5, 1.5, 2.5],
        "[CH3:1][CH2:2][NH:0][CH3:3]": [0.5, 1.5, 2.5, 3.5],  # its permutation is not its own inverse
    }
    for smiles, values in cases.items():
        given = np.array(values)
        result = array(call(function, smiles, given), (len(values),))
        order = [atom.GetAtomMapNum() for atom in Chem.MolFromSmiles(smiles).GetAtoms()]
        if not np.array_equal(given, values):
            raise Hint("Your function changes the array that it was given. Make a new one.")
        if np.allclose(result, given[order]):
            continue
        if np.allclose(result, values):
            raise Hint(f"For {smiles} you return the values as they came. The first atom has map number {order[0]}.")
        if np.allclose(result, order):
            raise Hint("You return the map numbers. Use them as indices into `values`.")
        if np.allclose(result, given[np.argsort(order)]):
            raise Hint(
                f"That is the opposite direction, from text order to map order (see {smiles}). The value of an atom is "
                "values[its map number]."
            )
        raise Hint(f"For {smiles} and {values} you return {result.tolist()}. Look up the map number of each atom.")
    return "Each atom gets the value that its map number names, wherever it stands in the text."


def exercise_4(answer, limits):
    """Use the formula above, with two numbers from the row dipole of the table."""
    best = number(answer)
    within, total = (float(limits.loc["dipole", name]) for name in ("within", "total"))
    right = 1 - within / total
    if near(best, right, 0.006):
        return f"The shape decides {within / total:.0%} of the dipole's variance, so the limit is {right:.2f}."
    if near(best, within / total, 1e-3):
        raise Hint("That is the share of the variance that the shape takes away. How much is left?")
    if near(best, 1 - np.sqrt(within / total), 1e-3):
        raise Hint("R² compares variances. Your answer used standard deviations: do not take the square root.")
    if near(best, 1 - within, 1e-3) or near(best, total - within, 1e-3):
        raise Hint("Divide by the total variance: R² has no unit, and variances are in debye².")
    for task in set(limits.index) - {"dipole"}:
        if near(best, 1 - limits.loc[task, "within"] / limits.loc[task, "total"], 1e-5):
            raise Hint(f"That is the limit of the task {task}. Take the row dipole.")
    if best > 1:
        raise Hint("R² is never above 1.")
    raise Hint("Use the formula above: σ_c² is `within`, σ² is `total`, both in the row dipole.")


def exercise_5(answer, results):
    """Read two values of R² from the row xtb/dipole, and turn each into what is left to 1."""
    most, r2 = (float(results.loc["xtb/dipole", name]) for name in ("R² at most", "r2"))
    right = (1 - most) / (1 - r2)
    part = share(answer, right)
    if near(part, right, 0.01):
        return (
            f"{right:.0%} of what the network misses comes from the shape. A better network could still learn the rest."
        )
    if near(part, 1 / right, 0.005):
        raise Hint("Your fraction is upside down. The answer is a share, so it is between 0 and 1.")
    if near(part, r2 / most, 0.003):
        raise Hint("That is the explained part, compared with what could be explained. Use 1 − R² for both numbers.")
    if near(part, 1 - most, 0.003):
        raise Hint("That is the irreducible part itself. Divide it by the part that this network does not explain.")
    if near(part, 1 - r2, 0.003):
        raise Hint("That is what this network does not explain. Which share of it is irreducible?")
    if near(part, most - r2, 0.003):
        raise Hint("That is what a better network could still gain. The question asks for the other part, as a share.")
    raise Hint("Two parts, both of the form 1 − R²: one with the limit of the table, one with r2 of the network.")
