"""What the notebooks of the course call: `check`, `reveal`, `progress` and `budget`. Plain functions without cell metadata,
so they work in every notebook.

The exercise "03.2" is the function `exercise_2` of `molfm.lessons.lesson_03`. Its docstring is the hint for an unfinished
answer. It returns a sentence that says why the answer is right, or raises `Hint`.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from numbers import Number

from molfm.base.colors import THEMES
from molfm.base.errors import InputError
from molfm.base.files import is_fast
from molfm.base.names import minus
from molfm.lessons.answers import Hint

_UNFINISHED = "Replace the three dots (...) with your answer, then run this cell again."
_BOX = '<div style="border-left: 5px solid {color}; padding: .3em .8em; max-width: 46em"><b>{head}</b> {body}</div>'
_RIGHT, _OPEN = "currentColor", THEMES["light"]["edge"]  # readable on white and on black; ✓ and ○ say the same


@dataclass(frozen=True)
class Verdict:
    """What `check` found. It is true if the answer is right."""

    exercise: str
    passed: bool
    message: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{self._head} {self.message}"

    def _repr_html_(self) -> str:
        color = _RIGHT if self.passed else _OPEN
        return _BOX.format(color=color, head=self._head, body=html.escape(self.message).replace("\n", "<br>"))

    @property
    def _head(self) -> str:
        return f"✓ {self.exercise} is right." if self.passed else f"○ {self.exercise} is not right yet."


_verdicts: dict[str, Verdict] = {}  # of this kernel: exercise -> the last one


def check(exercise: str, *answer) -> Verdict:
    """Check an answer to an exercise of the course.

    Args:
        exercise: lesson and number, such as "03.2".
        answer: your answer; some exercises ask for several values.

    Returns:
        A verdict, which a notebook shows: right, with the reason, or not yet, with a hint.

    Raises:
        ValueError: there is no such exercise.
    """
    judge = _exercises(exercise.partition(".")[0]).get(exercise)
    if judge is None:
        raise InputError(
            f"There is no exercise {exercise!r}. Exercises have names such as '03.2': lesson, dot, number."
        )
    if not answer or any(value is ... for value in answer):
        verdict = Verdict(exercise, False, f"{_UNFINISHED} {' '.join(judge.__doc__.split())}")
    else:
        try:
            verdict = Verdict(exercise, True, minus(judge(*answer)))
        except Hint as hint:
            verdict = Verdict(exercise, False, minus(str(hint)))
    _verdicts[exercise] = verdict
    return verdict


def _exercises(lesson: str) -> dict[str, Callable]:
    name = f"molfm.lessons.lesson_{lesson}"
    if not lesson.isdigit() or find_spec(name) is None:
        return {}
    members = vars(import_module(name))
    return {
        f"{lesson}.{key.removeprefix('exercise_')}": found
        for key, found in members.items()
        if key.startswith("exercise_")
    }


@dataclass(frozen=True)
class Progress:
    """Which exercises of a lesson were answered right in this kernel."""

    lesson: str
    done: list[str]
    left: list[str]

    def __repr__(self) -> str:
        left = f" Still to do: {', '.join(self.left)}." if self.left else " Well done."
        return (
            f"{len(self.done)} of {len(self.done) + len(self.left)} exercises of lesson {self.lesson} are right.{left}"
        )


def progress(lesson: str) -> Progress:
    """Return which exercises of a lesson, such as "03", were answered right since the kernel was started."""
    found = _exercises(lesson)
    if not found:
        raise InputError(f"There is no lesson {lesson!r} with exercises. Lessons have names such as '03'.")
    done = [name for name in found if _verdicts.get(name)]
    return Progress(lesson, done, [name for name in found if name not in done])


@dataclass(frozen=True)
class Reveal:
    """A guess beside the result."""

    guess: object
    result: object
    what: str
    unit: str

    def __repr__(self) -> str:
        if self.guess is ...:
            return "Write your guess first, in the cell above, and run it. Then run this cell again to see the result."
        guess, result = (self._text(value) for value in (self.guess, self.result))
        return f"{self.what}. Your guess: {guess}. Result: {result}. {self._comment()}"

    def _text(self, value: object) -> str:
        if not _is_number(value):
            return str(value)
        return minus(f"{value:,.3g} {self.unit}".strip())

    def _comment(self) -> str:
        if _is_number(self.guess) and _is_number(self.result):
            away = self._text(abs(self.guess - self.result))
            return f"You were {away} away."
        return (
            "As you expected." if self.guess == self.result else "Not what you expected: find out why before you go on."
        )

    def _repr_html_(self) -> str:
        if self.guess is ...:
            return _BOX.format(color=_OPEN, head="Guess first.", body=html.escape(repr(self)))
        values = (("Your guess", self.guess, _OPEN), ("Result", self.result, _RIGHT))
        sizes = [abs(float(value)) for _, value, _ in values if _is_number(value)]
        rows = []
        for name, value, color in values:
            drawn = len(sizes) == 2 and max(sizes) > 0
            width = 14 * abs(float(value)) / max(sizes) if drawn else 0
            bar = f'<span style="display:inline-block;width:{width:.2f}em;height:.8em;background:{color}"></span>'
            rows.append(f"<tr><td>{name}</td><td>{html.escape(self._text(value))}</td><td>{bar}</td></tr>")
        table = f"<table>{''.join(rows)}</table>"
        return f"<div><b>{html.escape(self.what)}</b>{table}{html.escape(self._comment())}</div>"


def _is_number(value: object) -> bool:
    return isinstance(value, Number) and not isinstance(value, bool)


def reveal(guess: object, result: object, what: str, unit: str = "") -> Reveal:
    """Show a guess beside the result; without a guess, the result stays hidden.

    Args:
        guess: a number or a word; `...` for none.
        result: what came out, of the same type.
        what: what was guessed, such as "AUROC on new scaffolds".
        unit: the unit of both numbers.
    """
    return Reveal(guess, result, what, unit)


def budget(full: int, fast: int) -> int:
    """Return `full`, or `fast` where `MOLFM_FAST=1` is set: so the course is tested in minutes, with meaningless results."""
    return fast if is_fast() else full
