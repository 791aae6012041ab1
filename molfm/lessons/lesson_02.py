"""Exercises of lesson 2: data cards and splits."""

import numpy as np

from molfm.lessons.answers import Hint, call, names, near, number, share


def exercise_1(answer):
    """logBB is a logarithm to base 10: undo it."""
    ratio = number(answer)
    if near(ratio, 10**0.3, 0.05):
        raise Hint("That is how many times more is in the blood. We ask for brain divided by blood.")
    if near(ratio, np.exp(-0.3), 0.01):
        raise Hint("That is the natural logarithm undone. The card says log10.")
    if near(ratio, -0.3, 1e-6) or near(ratio, 0.3, 1e-6):
        raise Hint("That is the logarithm itself. Which number has this logarithm to base 10?")
    if ratio < 0:
        raise Hint("A ratio of concentrations cannot be negative.")
    if not near(ratio, 10**-0.3, 0.02):
        raise Hint("logBB = log10(brain / blood). So brain / blood is 10 to the power of logBB.")
    return "10 to the power of −0.3 is 0.50: half as much in the brain as in the blood."


def exercise_2(answer, hits, n_labels, n_cells):
    """The actives stay the same. What they are divided by becomes larger."""
    measured, filled = float(hits / n_labels), float(hits / n_cells)
    found = share(answer, filled)
    if near(found, measured, 0.002):
        raise Hint("That is the share among the labels. With all cells filled, there are more of them.")
    if near(found, float(n_labels / n_cells), 0.002):
        raise Hint("That is the share of cells that hold a label. How many of all cells hold a 1?")
    if near(found, float(hits / (n_cells - n_labels)), 0.002):
        raise Hint("Divide by all cells, not by the empty ones: both kinds are in the colleague's table.")
    if near(found, hits, 1):
        raise Hint("That is the number of actives. Divide it by the number of cells.")
    if not near(found, filled, 0.001):
        raise Hint("Which number of cells holds a 1 before and after? And how many cells are filled afterwards?")
    return f"{measured:.1%} became {filled:.1%}: half of the table now says 'inactive', and nobody has measured it."


def exercise_3(answer, data):
    """Group the table toxcast by family, and compare n_train per assay."""
    tasks = data.tasks[data.tasks.dataset == "toxcast"]
    groups = tasks.groupby("family").n_train
    true, chosen = groups.median().idxmin(), {name.strip().upper() for name in names(answer)}
    if len(chosen) != 1:
        raise Hint("Name one family.")
    (found,) = chosen
    if found not in set(tasks.family):
        raise Hint(f"There is no family {found}. The families: {', '.join(sorted(set(tasks.family)))}.")
    if found != true and found == groups.sum().idxmin():
        raise Hint(f"{found} has the fewest labels in all, because it has few assays. Compare the labels per assay.")
    if found != true:
        raise Hint(
            f"An assay of {found} typically has {groups.median()[found]:,.0f} training labels. Others have fewer."
        )
    return f"A typical assay of {true} has {groups.median()[true]:,.0f} training labels, one of TOX21 {groups.median()['TOX21']:,.0f}."


def exercise_4(answer, data):
    """Compute the formulas of both structures, and compare them with that of theobromine."""
    from rdkit import Chem
    from rdkit.Chem.rdMolDescriptors import CalcMolFormula

    chosen = number(answer)
    if not chosen.is_integer() or not 0 <= chosen < len(data):
        raise Hint("Give the number from the caption of one of the two drawings.")
    smiles = data.molecules.smiles[int(chosen)]
    formula = CalcMolFormula(Chem.MolFromSmiles(smiles))
    if smiles == "Cn1cnc2c1c(=O)[nH]c(=O)n2C":
        raise Hint(f"The formula of this one is {formula}, and it has caffeine's two rings. So which one is wrong?")
    if smiles != "CC1C=Nc2c1c(=O)[nH]c(=O)n2C":
        raise Hint(f"Molecule {int(chosen)} is {smiles}, which is none of the two. Copy a number from the captions.")
    return f"Its formula is {formula}: a nitrogen of the ring became a carbon, when somebody drew it."


def exercise_5(answer, data):
    """Compare the smallest logBB of class 1 with the largest logBB of class 0."""
    threshold = number(answer)
    ratio, crosses = data.labels("logBB"), data.labels("BBB")
    both = (ratio.notna() & crosses.notna()).to_numpy()
    low = float(ratio[both][crosses[both] == 1].min())
    high = float(ratio[both][crosses[both] == 0].max())
    agree = float(((ratio[both] >= np.float32(threshold)) == (crosses[both] == 1)).mean())
    if near(threshold, 0, 1e-6):
        raise Hint(
            f"With t = 0, the rule agrees for {agree:.0%} of the molecules. What is the smallest logBB of class 1?"
        )
    if near(threshold, 1, 1e-6) or near(threshold, 10**low, 1e-6):
        raise Hint("Mind the sign and the logarithm: look at the smallest logBB of class 1.")
    if not high < threshold <= low + 1e-6:
        raise Hint(f"With this t, the rule agrees for {agree:.1%} of the molecules. It can be 100%.")
    return f"Class 1 begins at {low:g}, class 0 ends at {high:.2f}. The rule agrees for all {both.sum():,} molecules."


def exercise_6(function):
    """np.isin(a, b) says for each element of a whether it is in b."""
    train, test = np.array([1, 1, 1, 1, 2, 3, 5, 6, 7, 8]), np.array([1, 1, 4, 9])
    part = number(call(function, train, test))
    if near(part, 4 / 10, 1e-9):
        raise Hint("You count the training molecules whose group is in the test. Count test molecules.")
    if near(part, 1 / 3, 1e-9) or near(part, 1 / 4, 1e-9):
        raise Hint("You count groups. Two test molecules may share a group: count molecules.")
    if near(part, 2, 1e-9):
        raise Hint("That is a number of molecules. Divide it by the number of test molecules.")
    if near(part, 2 / 10, 1e-9):
        raise Hint("Divide by the number of test molecules, not of training molecules.")
    if not near(part, 0.5, 1e-9):
        raise Hint(
            f"With training groups {train.tolist()} and test groups {test.tolist()}, it is 2 of 4; yours is {part:g}."
        )
    if not near(number(call(function, train[:3], test[2:])), 0, 1e-9):
        raise Hint("With no common group, the share is 0; yours is not.")
    return "Two of four test molecules have a group that is in training: 0.5."
