"""Exercises of lesson 10: your own data."""

import numpy as np

from molfm.lessons.answers import Hint, array, call, names, near, number, share


def exercise_1(function):
    """1 nM is 10⁻⁹ mol/L. Convert first, then take minus the logarithm to base 10."""
    given, true = np.array([1.0, 250.0, 10_000.0]), np.array([9.0, 9 - np.log10(250.0), 5.0])
    found = np.array([number(call(function, float(value))) for value in given])
    if np.allclose(found, -np.log10(given)):
        raise Hint("That is −log₁₀ of the number in nM. p is defined for mol/L: multiply by 10⁻⁹ first.")
    if np.allclose(found, np.log10(given)) or np.allclose(found, -true):
        raise Hint("The sign is missing: p is minus the logarithm, so a small concentration has a large p.")
    if np.allclose(found, 6 - np.log10(given)):
        raise Hint("That is right for µM. 1 nM is 10⁻⁹ mol/L.")
    if np.allclose(found, true * np.log(10)):
        raise Hint("That is the natural logarithm. p uses the logarithm to base 10: np.log10.")
    if np.allclose(found, 9 + np.log10(given)):
        raise Hint("You multiplied by 10⁹. 1 nM is 10⁻⁹ mol/L.")
    if not np.allclose(found, true, atol=1e-3):
        place = int(np.argmax(np.abs(found - true)))
        raise Hint(f"{given[place]:g} nM is {given[place]:g} · 10⁻⁹ mol/L. Your function returns {found[place]:.3g}.")
    return "10 nM has p = 8, and 10,000 nM has p = 5. One unit of p is a factor of ten."


def exercise_2(function):
    """Start from the squared error. Then set it to 0 where the prediction is on the right side of a limit."""
    prediction = np.array([5.5, 5.5, 4.2, 8.5, 7.0])
    label, side = np.array([5.0, 5.0, 5.0, 8.0, 8.0]), np.array([0, -1, -1, 1, 1])
    square = (prediction - label) ** 2
    found = call(function, prediction.copy(), label.copy(), side.copy())
    if np.size(found) == 1:
        raise Hint("Your function returns one number. Return one loss per label; the mean comes later.")
    found, right = array(found, (5,)), (prediction - label) * side > 0
    if np.allclose(found, np.where(right, 0, square)):
        return "An exact label pulls from both sides. A limit pulls only from the wrong side."
    example = "For the prediction 4.2, the label 5 and the side −1, the label says “at most 5”: 4.2 is no error."
    if np.allclose(found, square):
        raise Hint(f"That treats every limit as an exact value. {example}")
    if np.allclose(found, np.where(side == 0, square, 0)):
        raise Hint(
            "That drops the limits. A prediction of 5.5 for “at most 5” is wrong by 0.5, and must cost something."
        )
    if np.allclose(found[1:], np.where(right, square, 0)[1:]):
        raise Hint(f"The sides are exchanged: −1 means that the true value is at most the label. {example}")
    if np.allclose(found, np.where(right, 0, np.abs(prediction - label))):
        raise Hint("The sides are right. Square the difference.")
    if np.allclose(found[1:], np.where(right, 0, square)[1:]):
        raise Hint("An exact label (side 0) costs the squared error on both sides.")
    raise Hint(
        f"For predictions {prediction.tolist()}, labels {label.tolist()} and sides {side.tolist()}, your function returns "
        f"{np.round(found, 3).tolist()}. {example}"
    )


def exercise_3(answer, table):
    """Look at the dates of the two rows with the largest contradiction, and at the other rows of these days."""
    import pandas as pd

    column, day = "brain (nM)", "measured on"
    value = pd.to_numeric(table[column].str.lstrip("<>"), errors="coerce")
    median = value.groupby(table[day]).median()
    given = {name.strip() for name in names(answer)}
    if len(given) != 1:
        raise Hint("Name one day.")
    (found,) = given
    if found in set(table.compound):
        raise Hint(f"{found} is a compound. On which day was the odd value of it measured?")
    if found not in median:
        raise Hint(f"Copy the day from the column {day!r}, such as {median.index[0]!r}.")
    if found != median.idxmin():
        raise Hint(
            f"On {found}, the median is {median[found]:,.4g} nM, as on most days. Of the two rows that contradict each other, "
            "look at the one that stands alone."
        )
    n = int((table[day] == found).sum())
    return f"The median of that day is {median[found]:.3g} instead of about {median.median():,.0f}: its {n} rows are in µM."


def exercise_4(function):
    """np.argmax gives the place of the best validation result. Use this place in both lists."""
    validation, test = np.array([0.10, 0.45, 0.30, 0.20]), np.array([0.20, 0.05, 0.40, 0.15])
    found = number(call(function, validation.copy(), test.copy()))
    if near(found, -0.4, 1e-9):
        raise Hint("The sign: validation minus test, so a positive number means that validation looked too good.")
    if near(found, 0.45 - 0.40, 1e-9):
        raise Hint(
            "You take the best test result. Nobody may choose by the test: take that of the recipe chosen before."
        )
    if near(found, 0.45 - test.mean(), 1e-9):
        raise Hint("That compares with the mean of all recipes. Compare with the test result of the chosen one.")
    if near(found, 0.30 - 0.40, 1e-9):
        raise Hint("You chose by the test results. Choose by the validation results.")
    if near(found, 0.45, 1e-9) or near(found, 0.05, 1e-9):
        raise Hint("That is one of the two results. Return their difference.")
    if near(found, (validation - test).max(), 1e-9):
        worse = number(call(function, np.array([0.5, 0.1]), np.array([0.4, -0.5])))
        if not near(worse, 0.1, 1e-9):
            raise Hint("That is the largest difference of all recipes. Choose first, then take its difference.")
    if not near(found, 0.4, 1e-9):
        raise Hint(
            f"For validation {validation.tolist()} and test {test.tolist()}, the second recipe is chosen: 0.45 − 0.05. "
            f"Your function returns {found:.3g}."
        )
    return "The chosen recipe looked better by 0.4 than it was."


def exercise_5(answer, arrived):
    """A molecule is inside if its measured p is at least `low` and at most `high`. Which share of the rows is that?"""
    p, low, high = (arrived[name].to_numpy() for name in ("p", "low", "high"))
    inside = (p >= low) & (p <= high)
    true = float(inside.mean())
    found = share(answer, true)
    if near(found, inside.sum(), 0.5) and true < 1:
        raise Hint("That is a number of molecules. Divide it by the number of rows.")
    if near(found, 1 - true, 1e-6) and not near(true, 0.5, 1e-6):
        raise Hint("That is the share outside.")
    for one, what in ((p >= low, "lower"), (p <= high, "upper")):
        if near(found, float(one.mean()), 1e-6) and not near(float(one.mean()), true, 1e-6):
            raise Hint(f"You looked at the {what} end only. Ask for both: (p >= low) & (p <= high).")
    if near(found, 0.95, 1e-9) and not near(true, 0.95, 1e-3):
        raise Hint("0.95 is what the report promises. Count what came out.")
    if not near(found, true, 1e-3):
        raise Hint(f"Of {len(p)} rows, count those with low ≤ p ≤ high. You give {found:.3g}.")
    error = np.sqrt(true * (1 - true) / len(p))
    return f"{true:.1%} of {len(p)} molecules, with a standard error of {error:.1%}. The report promised 95%."


def exercise_6(answer, result, at_random):
    """Read the statements one by one. Which number of which report would you show to somebody who doubts it?"""
    from molfm.lessons.own_data import claims

    found = claims(result, at_random)
    given = {letter.strip().upper() for letter in names(answer)}
    if not given:
        raise Hint("Your list is empty. At least one statement is supported.")
    if unknown := sorted(given - set(found)):
        raise Hint(f"There is no statement {unknown[0]!r}. Give letters, such as {list(found)[:2]}.")
    for letter in sorted(given):
        _, supported, hint = found[letter]
        if not supported:
            raise Hint(f"{letter} is not supported. {hint}")
    if missing := [letter for letter, (_, supported, _) in found.items() if supported and letter not in given]:
        count = "one more is" if len(missing) == 1 else f"{len(missing)} more are"
        raise Hint(f"All that you chose is supported, but {count}. A hint: {found[missing[0]][2]}")
    return f"{', '.join(sorted(given))}: each rests on a number of the report, with the folds that fit the claim."
