"""Exercises of lesson 2: data cards and splits."""

import numpy as np

from molfm.lessons.answers import Hint, call, names, near, number


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


def exercise_2(answer, data):
    """Add all labels of the three splits, divide by the number of cells, and subtract from 1."""
    empty, tasks = number(answer), data.tasks[data.tasks.dataset == "toxcast"]
    cells = int(data.molecules["split:toxcast"].notna().sum()) * len(tasks)
    full = tasks[["n_train", "n_val", "n_test"]].to_numpy().sum() / cells
    if near(empty, full, 0.002):
        raise Hint("That is the share of cells with a label. Which share is empty?")
    if near(empty, 1 - tasks.n_train.sum() / cells, 0.002):
        raise Hint("You have counted the training labels only. Add n_val and n_test.")
    if near(empty, 100 * (1 - full), 0.5):
        raise Hint("That is in percent. Give the share as a number between 0 and 1.")
    if not near(empty, 1 - full, 0.005):
        raise Hint("Cells: molecules times assays. Labels: the sums of n_train, n_val and n_test over all assays.")
    return f"{1 - full:.1%} of {cells:,} cells are empty."


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
    return f"Class 1 begins at {low:g}, class 0 ends at {high:.2f}. The rule agrees for all {both.sum():,} molecules.".replace(
        "-", "−"
    )


def exercise_6(function):
    """np.isin(a, b) says for each element of a whether it is in b."""
    train, test = np.array([1, 1, 1, 1, 2, 3, 5, 6, 7, 8]), np.array([1, 1, 4, 9])
    share = number(call(function, train, test))
    if near(share, 4 / 10, 1e-9):
        raise Hint("You count the training molecules whose group is in the test. Count test molecules.")
    if near(share, 1 / 3, 1e-9) or near(share, 1 / 4, 1e-9):
        raise Hint("You count groups. Two test molecules may share a group: count molecules.")
    if near(share, 2, 1e-9):
        raise Hint("That is a number of molecules. Divide it by the number of test molecules.")
    if near(share, 2 / 10, 1e-9):
        raise Hint("Divide by the number of test molecules, not of training molecules.")
    if not near(share, 0.5, 1e-9):
        raise Hint(
            f"With training groups {train.tolist()} and test groups {test.tolist()}, it is 2 of 4; yours is {share:g}."
        )
    if not near(number(call(function, train[:3], test[2:])), 0, 1e-9):
        raise Hint("With no common group, the share is 0; yours is not.")
    return "Two of four test molecules have a group that is in training: 0.5."
