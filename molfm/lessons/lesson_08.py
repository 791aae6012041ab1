"""Exercises of lesson 8: foundation models."""

from importlib.resources import files

import numpy as np

from molfm.lessons.answers import Hint, array, call, check_half_width, names, near, number


def exercise_1(answer):
    """Look at the rows whose unit is eV, and compare their rmse with 1 eV."""
    import pandas as pd

    table = pd.read_csv(files("molfm") / "checkpoint_files" / "minimol" / "units.csv", keep_default_na=False)
    table["task"] = table.task.str.rpartition("/")[2]
    table = table.set_index("task")
    given = {name.rpartition("/")[2] for name in names(answer)}
    if not given:
        raise Hint("Your list is empty. Compare the column rmse with 1 eV in every row with the unit eV.")
    if unknown := given - set(table.index):
        raise Hint(f"There is no output {sorted(unknown)[0]!r} in the table. Copy names from the column task.")
    if other := [name for name in given if table.unit[name] != "eV"]:
        raise Hint(
            f"{other[0]} has the unit {table.unit[other[0]] or '(none)'}. Only rows with the unit eV count here."
        )
    expected = set(table.index[(table.unit == "eV") & (table.rmse > 1)])
    if good := sorted(given - expected):
        error = table.rmse[good[0]]
        raise Hint(f"{good[0]} has an rmse of {error:.2g} eV. Is that larger than 1 eV? Look at rmse, not at r2.")
    if len(given) < len(expected):
        raise Hint("Right so far, but one is missing. Look at every row with the unit eV, down to the end.")
    return "Both have an R² above 0.99 and an error of more than 160 eV: useless for reactions."


def exercise_2(function):
    """Divide the dot products by the length of a and by the length of each row."""
    rng = np.random.default_rng(0)
    a, B = rng.normal(size=4), rng.normal(size=(3, 4)) * np.array([[1.0], [2.0], [5.0]])
    lengths = np.linalg.norm(B, axis=1), np.linalg.norm(a)
    found = call(function, a, B)
    if np.shape(found) == ():
        raise Hint(
            "Your function returns one number. It should return one per row: use axis=1 for the lengths of the rows."
        )
    found, dot = array(found, (3,)), B @ a
    if np.allclose(found, dot):
        raise Hint("That is the dot product. Divide it by both lengths, so that long vectors have no advantage.")
    if np.allclose(found, dot / lengths[0]) or np.allclose(found, dot / lengths[1]):
        raise Hint("You divided by one of the two lengths. Divide by the length of a and by the length of each row.")
    if np.allclose(found, dot / lengths[0] * lengths[1]):
        raise Hint("Brackets are missing: x / p * q multiplies by q. Write x / (p * q).")
    if np.allclose(found, dot / np.linalg.norm(B) / lengths[1]):
        raise Hint("np.linalg.norm(B) without axis=1 is one number for the whole table. Each row has its own length.")
    if not np.allclose(found, dot / lengths[0] / lengths[1]):
        raise Hint(
            "The numerator is B @ a, the denominator the product of two lengths. Check both with a small example."
        )
    return "One number between −1 and 1 per row, whatever the lengths of the vectors."


def exercise_3(answer, draws):
    """Take the difference of two columns draw by draw, its standard deviation with ddof=1, and the t of n − 1 degrees of freedom."""
    from scipy import stats

    half, n = number(answer), len(draws)
    one, other = draws["MiniMol + ridge"], draws["descriptors + forest"]
    difference, t = one - other, stats.t.ppf(0.975, n - 1)

    def is_(value):
        return near(half, float(value), 0.005 * abs(float(value)))

    if is_(difference.mean()):
        raise Hint("That is the mean difference. The question asks for the half-width of its interval.")
    if is_(t * np.sqrt(one.var() + other.var()) / np.sqrt(n)):
        raise Hint(
            "You treated the two models as independent. They share labels: take the difference of each draw first."
        )
    if is_(t * (one - draws["Morgan + forest"]).std(ddof=1) / np.sqrt(n)):
        raise Hint("That is the comparison with Morgan + forest. The question is about descriptors.")
    check_half_width(half, difference)
    side = "includes" if abs(difference.mean()) <= half else "excludes"
    return f"{difference.mean():+.3f} ± {half:.3f}: the interval {side} 0."


def exercise_4(function):
    """Take the mean of the table of comparisons, and add half of the share of equal pairs."""
    scores, active = np.array([0.9, 0.4, 0.4, 0.1, 0.3]), np.array([True, True, False, False, False])
    found = number(call(function, scores, active))
    if near(found, 5 / 6, 1e-6):
        raise Hint("A pair with equal scores counts one half. Your function gives it nothing.")
    if near(found, 1.0, 1e-6):
        raise Hint("A pair with equal scores counts one half. Your function counts it as a whole pair.")
    if near(found, 1 - 5.5 / 6, 1e-6) or near(found, 1 / 6, 1e-6) or near(found, 0.0, 1e-6):
        raise Hint("Your function counts pairs in which the inactive has the higher score. Turn the comparison around.")
    if near(found, 5.5, 1e-6) or near(found, 5.0, 1e-6):
        raise Hint(
            "That is the number of pairs. The AUROC is their share: divide by the number of all pairs, or take the mean."
        )
    if not near(found, 5.5 / 6, 1e-6):
        raise Hint(
            f"Actives with scores 0.9 and 0.4, inactives with 0.4, 0.1 and 0.3: of 6 pairs, 5 are right and 1 is equal. Yours: {found:.3g}."
        )
    return "Every pair counts once, and equal scores count one half."


def exercise_5(answer, before, after):
    """For each row of the table, compare the first number of the last column with both numbers of the column "best two"."""
    given = names(answer)
    if unknown := given - set(before):
        raise Hint(f"{sorted(unknown)[0]!r} is not in the column assay. Copy the names as they are written there.")
    survives = {name: after[name].idxmax() in before[name].nlargest(2).index for name in before}
    for name in sorted(given):
        if not survives[name]:
            top = " and ".join(map(str, before[name].nlargest(2).index))
            raise Hint(
                f"{name}: beyond the crowd, output {after[name].idxmax()} is best. Before, {top} were the best two."
            )
    if missing := [name for name, yes in survives.items() if yes and name not in given]:
        start = "Right so far, but" if given else "Your list is empty, but"
        raise Hint(
            f"{start} {len(missing)} more survive. "
            "Only the first output of the last column has to be among the best two before; they may change places."
        )
    return (
        "Their leaders know something that the crowd does not. For the others, a high AUROC came from frequent hitters."
    )
