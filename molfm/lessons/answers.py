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
