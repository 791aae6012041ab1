"""What exercises share: an answer becomes a number, a word, names or an array, or a hint says what to give instead."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd


class Hint(Exception):
    """An answer is not right yet. The message says what to look at, and does not give the answer away."""


def number(answer: Any) -> float:
    """Return an answer as a number. Arrays and tensors of one element count, text does not."""
    if isinstance(answer, str):
        raise Hint(f"Give a number, without quotation marks: {answer.strip() or '3'} instead of {answer!r}.")
    try:
        return float(np.asarray(answer).item())
    except (TypeError, ValueError) as error:
        raise Hint(f"Give one number. Your answer is of type {type(answer).__name__}.") from error


def near(answer: float, expected: float, tolerance: float) -> bool:
    """Return whether a number differs from the expected one by no more than a tolerance."""
    return abs(answer - expected) <= tolerance


def share(answer: Any, true: float) -> float:
    """Return an answer as a share. The right one in percent gets a hint."""
    found = number(answer)
    if near(found, 100 * true, 0.5):
        raise Hint("That is in percent. Give a share between 0 and 1.")
    return found


def check_half_width(found: float, differences: Sequence[float]) -> None:
    """Raise a hint unless a number is half the width of Student's 95% interval of the mean of some differences."""
    from scipy import stats

    values = np.asarray(differences, float)
    n, spread = len(values), values.std(ddof=1)
    t, error = stats.t.ppf(0.975, n - 1), spread / np.sqrt(n)

    def is_(value: float) -> bool:
        return near(found, value, max(1e-4, 0.005 * value))

    if is_(t * error):
        return
    if is_(t * spread) or is_(spread):
        raise Hint("Divide by √n: the mean of n values scatters less than a single one.")
    if is_(2 * t * error):
        raise Hint("That is the whole width of the interval. Half of it is on each side of the mean.")
    if is_(error):
        raise Hint("That is the standard error s / √n. Multiply it by t.")
    if is_(1.96 * error) or is_(2 * error):
        raise Hint("1.96 is the factor for many values. With few, it is larger: scipy.stats.t.ppf(0.975, n - 1).")
    if is_(t * values.std() / np.sqrt(n)):
        raise Hint("NumPy's std divides by n. Use ddof=1, so that it divides by n − 1.")
    if is_(stats.t.ppf(0.95, n - 1) * error):
        raise Hint("0.95 leaves 5% above the interval alone. For 2.5% on each side, use 0.975.")
    if is_(stats.t.ppf(0.975, n) * error):
        raise Hint("Student's t has n − 1 degrees of freedom, because the mean was computed from the same values.")
    raise Hint(f"Half of the width is t · s / √n. Here n = {n} and s = {spread:.4f}.")


def word(answer: Any, choices: Sequence[str]) -> str:
    """Return an answer as one of several words, whatever its capitals and spaces."""
    if not isinstance(answer, str) or answer.strip().lower() not in [choice.lower() for choice in choices]:
        raise Hint("Answer with one of these words, in quotation marks: " + ", ".join(map(repr, choices)) + ".")
    return next(choice for choice in choices if choice.lower() == answer.strip().lower())


def names(answer: Any) -> set[str]:
    """Return an answer as a set of names; a single name counts as one."""
    if isinstance(answer, str):
        return {answer}
    if not isinstance(answer, Collection | pd.Series) or not all(isinstance(name, str) for name in answer):
        raise Hint('Give names as a list of texts, such as ["a", "b"].')
    return set(answer)


def array(answer: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return an answer as a NumPy array of a shape."""
    if hasattr(answer, "detach"):
        answer = answer.detach().numpy()
    try:
        found = np.asarray(answer, float)
    except (TypeError, ValueError) as error:
        raise Hint(f"Give an array of numbers. Your answer is of type {type(answer).__name__}.") from error
    if found.shape != shape:
        raise Hint(f"The shape should be {shape}; yours is {found.shape}.")
    return found


def call(function: Callable, *arguments: Any) -> Any:
    """Call a function that is an answer. If it fails, or still returns `...`, a hint says so."""
    if not callable(function):
        raise Hint("Give the function itself, without calling it: check('…', f) instead of check('…', f(…)).")
    try:
        result = function(*arguments)
    except Exception as error:  # any mistake of a student's function becomes a hint
        raise Hint(f"Your function failed with {type(error).__name__}: {error}") from error
    if result is ... or result is None:
        missing = "the three dots" if result is ... else "nothing; does it end with return?"
        raise Hint(f"Your function returned {missing}.")
    return result
