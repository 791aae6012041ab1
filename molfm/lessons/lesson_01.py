"""Exercises of lesson 1: molecules as graphs."""

from molfm.lessons.answers import Hint, call, names, near, number, share

_ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
_PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"


def exercise_1(answer):
    """Go through the SMILES atom by atom. Bonds that an atom lacks to reach its valence go to hydrogens."""
    hydrogens = number(answer)
    if near(hydrogens, 20, 0):
        raise Hint("That is the number of all atoms. Count the hydrogens only.")
    if near(hydrogens, 11, 0):
        raise Hint(
            "Are those the heavy atoms, or did you give six hydrogens to the ring? Two ring atoms carry N and O."
        )
    if near(hydrogens, 7, 0):
        raise Hint("You have found CH₃ and those of the ring. Nitrogen and one of the oxygens need hydrogens, too.")
    if near(hydrogens, 8, 0):
        raise Hint("One is missing. Have you counted the hydrogen of N and the hydrogen of O?")
    if near(hydrogens, 10, 0):
        raise Hint("One too many. Nitrogen has three bonds: two of them are in the SMILES already.")
    if not near(hydrogens, 9, 0):
        raise Hint(
            "Write the groups in a row: CH₃, C=O, NH, then six ring atoms, and OH. Which of them have hydrogens?"
        )
    return "CH₃, NH, four CH of the ring and OH: 3 + 1 + 4 + 1. The formula is C₈H₉NO₂."


def exercise_2(answer):
    """Begin with Oc1, walk around the ring, and write the rest as a branch in parentheses."""
    from rdkit import Chem, rdBase
    from rdkit.Chem.rdMolDescriptors import CalcMolFormula

    if not isinstance(answer, str):
        raise Hint(f"Give the SMILES as a text in quotation marks. Your answer is of type {type(answer).__name__}.")
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(answer.strip()) if answer.strip() else None
    if molecule is None:
        raise Hint("RDKit cannot read this text. Does each ring digit appear twice, and does each parenthesis close?")
    expected = Chem.MolFromSmiles(_PARACETAMOL)
    if Chem.MolToSmiles(molecule) != Chem.MolToSmiles(expected):
        formula, wanted = CalcMolFormula(molecule), CalcMolFormula(expected)
        if formula != wanted:
            raise Hint(f"This is a valid SMILES of {formula}. Paracetamol is {wanted}.")
        raise Hint("The formula is right, but it is an isomer. In paracetamol, OH and NH stand opposite on the ring.")
    first = molecule.GetAtomWithIdx(0)
    if first.GetSymbol() != "O":
        raise Hint("It is paracetamol, but the text does not begin with an oxygen.")
    if not first.GetTotalNumHs():
        raise Hint("It is paracetamol, but you begin with the oxygen of C=O. Begin with the one that has a hydrogen.")
    return "It is paracetamol, read from its other end."


def exercise_3(function):
    """Compare the canonical SMILES of a and b, and think of None."""
    from rdkit import rdBase

    pairs = [
        (_ASPIRIN, "OC(=O)c1ccccc1OC(C)=O", True, "two SMILES of aspirin"),
        ("c1ccccc1", "C1=CC=CC=C1", True, "benzene with small letters and with double bonds"),
        (_ASPIRIN, _PARACETAMOL, False, "aspirin and paracetamol"),
        ("CN1CCC[C@H]1c1cccnc1", "CN1CCC[C@@H]1c1cccnc1", False, "nicotine and its mirror image"),
        ("restricted", _ASPIRIN, False, "'restricted', which is not a molecule, and aspirin"),
        ("restricted", "unknown", False, "'restricted' and 'unknown', which both are not molecules"),
    ]
    for a, b, expected, what in pairs:
        with rdBase.BlockLogs():
            found = call(function, a, b)
        if isinstance(found, str):
            raise Hint("Your function returns a text. Return True or False: the result of a comparison.")
        if bool(found) != expected:
            if what.startswith("'restricted' and"):
                raise Hint(f"For {what}, your function says True. canonical_smiles returns None for both.")
            raise Hint(f"For {what}, the answer is {expected}; yours is {bool(found)}.")
    return "Six pairs of texts, all of them right."


def exercise_4(answer):
    """Compare the tables with !=, and find the columns that have any True."""
    from molfm.chem.featurize import ATOM_FIELDS

    columns = names(answer)
    if unknown := columns - set(ATOM_FIELDS):
        raise Hint(f"The table has no column {', '.join(sorted(unknown))}. Its columns: {', '.join(ATOM_FIELDS)}.")
    if not columns:
        raise Hint("They differ somewhere. (a != b).any() says for each column whether any row differs.")
    if columns != {"chirality"}:
        wrong = sorted(columns - {"chirality"})[0]
        raise Hint(
            f"Is {wrong} really different? Mirror images have the same atoms and bonds. Compare all rows with !=."
        )
    return "Only one code of one atom differs: 2 (S) in one table, 1 (R) in the other."


def exercise_5(answer, data):
    """Search for [#16] in the browser, and divide the number of hits by the number of molecules."""
    import numpy as np

    from molfm.explore.lookup import Lookup
    from molfm.explore.search import search

    smiles, n = data.molecules.smiles, len(data)
    hits = search(Lookup(data), "[#16]", "substructure", np.arange(n))
    true = sum(len(chunk.molecules) for chunk in hits) / n
    part = share(answer, true)
    if near(part, n * true, 1):
        raise Hint(f"That is the number of molecules. Divide it by {n:,}, the number of all molecules.")
    capital, either = (smiles.str.contains(letter, regex=True).mean() for letter in ("S", "[Ss]"))
    if near(part, capital, 0.002):
        raise Hint("Did you look for the letter S? Aromatic sulfur is a small s, and Si, Sn and Se begin with S, too.")
    if near(part, either, 5e-4) and not near(true, either, 5e-4):
        raise Hint("Did you look for the letters S and s? Si (silicon), Sn (tin) and Se (selenium) have them, too.")
    if not 0 <= part <= 1:
        raise Hint("A share lies between 0 and 1.")
    if not near(part, true, 5e-4):
        raise Hint("Count each molecule once, however many sulfur atoms it has. The pattern is [#16].")
    return f"{n * true:,.0f} of {n:,} molecules, {true:.1%}."


def exercise_6(answer, smiles):
    """Leave out the rows that are no molecules, and count equal molecules once."""
    from molfm.chem.featurize import canonical_smiles

    stored, rows = number(answer), len(smiles)
    keys = [key for key in map(canonical_smiles, smiles) if key]
    true = len(set(keys))
    if near(stored, rows, 0):
        raise Hint("That is the number of rows. Some of them are not molecules, and two are the same one.")
    if near(stored, len(keys), 0):
        raise Hint("You have left out what is not a molecule. Which of the others have the same canonical SMILES?")
    if near(stored, rows - 1, 0):
        raise Hint("You have counted aspirin once. Three rows are no molecules at all.")
    if near(stored, true - 1, 0):
        raise Hint("Have you merged the salt with its base, the tautomers or the mirror images? Their keys differ.")
    if stored < true:
        raise Hint("Mirror images, salts and tautomers have keys of their own. Only equal canonical SMILES are merged.")
    if not near(stored, true, 0):
        raise Hint("Go through the rows: which are no molecule, and which have the same canonical SMILES?")
    return f"{rows - len(keys)} rows are no molecules, and aspirin is there twice: {rows} − {rows - len(keys)} − 1."
