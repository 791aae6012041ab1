"""Exercises of lesson 7: from quantum to biology."""

import numpy as np

from molfm.lessons.answers import Hint, array, check_half_width, names, near, number

_UNFAIR = {
    "A": "A: equal epochs are not equal updates. What does the arm with more data get twenty times as often?",
    "C": "C: what does the network already know about a test molecule if another laboratory's result for it was a training label?",
    "D": "D: the best of five is above the mean of five even without any source.",
    "E": "E: look at how BBB was made. How is 'crosses the barrier' decided if you know logBB?",
}


def exercise_1(answer):
    """Go through the table above for each letter: is something besides the source different between the arms?"""
    given = {letter.strip().upper() for name in names(answer) for letter in name.split(",")} - {""}
    if not given <= set("ABCDE") or not given:
        raise Hint('Give letters from A to E as a list, such as ["A", "B"].')
    if "B" in given:
        raise Hint("B: labels, updates and seeds are equal in both arms. Which row of the table does it violate?")
    if missing := sorted(set(_UNFAIR) - given):
        raise Hint(_UNFAIR[missing[0]])
    return "Longer training, labels of test molecules, a lucky choice, and one measurement under two names. B is fair."


def exercise_2(answer, d):
    """Compute the mean, add and subtract t · s / √n, and give both as (low, high)."""
    if isinstance(answer, int | float | np.number):
        raise Hint("That is one number. The interval has two ends: give (low, high).")
    low, high = array(answer, (2,))
    half, middle, mean = (high - low) / 2, (high + low) / 2, float(d.mean())
    if low > high:
        raise Hint("The lower end comes first: (low, high).")
    if not near(middle, mean, max(1e-4, 0.01 * half)):
        raise Hint(
            f"The middle of your interval is {middle:.3f}. It should be the mean of the differences, {mean:.3f}."
        )
    check_half_width(half, d)
    where = "contains 0: these seeds cannot tell" if low <= 0 <= high else "does not contain 0"
    return f"{low:+.3f} to {high:+.3f}. The interval {where}."


def exercise_3(answer):
    """Start with n = 2 and add one as long as t · s / √n is above 0.02. Mind that t depends on n, too."""
    from scipy import stats

    def half(n):
        return stats.t.ppf(0.975, n - 1) * 0.05 / np.sqrt(n)

    given = number(answer)
    if not np.isfinite(given) or given != int(given) or given < 2:
        raise Hint("The number of seeds is a whole number, 2 or more.")
    expected = 2
    while half(expected) > 0.02:
        expected += 1
    if given in (24, 25):
        raise Hint("Nearly. Did you use 1.96 in place of t? t depends on n: with 25 seeds it is 2.06.")
    if given < expected:
        raise Hint(f"With {int(given)} seeds the half-width is {half(int(given)):.4f}. That is still above 0.02.")
    if given > expected:
        raise Hint(f"{int(given)} seeds are enough ({half(int(given)):.4f}), but is it the smallest number that is?")
    return f"{expected} seeds: ±{half(expected):.4f}. One fewer would give ±{half(expected - 1):.4f}."


def exercise_4(answer):
    """Multiply the first by 4/1, the second by 4/2, and so on. Then look whether a later value is smaller."""
    p = np.array([0.01, 0.03, 0.035, 0.30])
    given, m = array(answer, (4,)), len(p)
    scaled = p * m / np.arange(1, m + 1)
    if np.allclose(np.minimum(1, given), np.minimum(1, p * m), atol=5e-4):
        raise Hint("That is Bonferroni's correction: every p times m. Here only the smallest is multiplied by m.")
    if np.allclose(given, p, atol=5e-4):
        raise Hint("These are the p-values themselves. Multiply the i-th by m / i.")
    if np.allclose(given, p * m / np.arange(m, 0, -1), atol=5e-4):
        raise Hint("You counted from the other end: the smallest p is multiplied by m, the largest by 1.")
    if np.allclose(given, p * np.arange(1, m + 1) / m, atol=5e-4):
        raise Hint("You multiplied by i / m. It is m / i: the correction makes p larger.")
    if np.allclose(given, scaled, atol=5e-4):
        raise Hint(
            "Nearly: your second value is larger than the third, although its p is smaller. Take the minimum in the formula."
        )
    expected = np.minimum.accumulate(scaled[::-1])[::-1]
    if not np.allclose(given, expected, atol=1.5e-3):
        wrong = int(np.argmax(~np.isclose(given, expected, atol=1.5e-3)))
        raise Hint(
            f"Look at number {wrong + 1}: p = {p[wrong]:g}, multiplied by 4 / {wrong + 1}. Is it larger than one after it?"
        )
    return "The second borrows the value of the third: three of the four stay below 0.05."


def exercise_5(answer):
    """Divide the updates by the updates of one epoch."""
    given = number(answer)
    if near(given, 30, 0.5):
        raise Hint("30 epochs alone are 30 · 20 = 600 updates.")
    if near(given, 300, 0.5):
        raise Hint("300 epochs alone are 6,000 updates. Together, 30 epochs are more.")
    if near(given, 376, 0.5):
        raise Hint("376 is the number of updates in one epoch together.")
    if near(given, 18.8, 0.25):
        raise Hint("That is how many times more updates an epoch has. How many epochs do you need in place of 30?")
    if not near(given, 564, 0.5):
        raise Hint("You need 11,280 updates, and each epoch gives 20.")
    return "564 epochs instead of 30. This is how unequal the comparison was."
