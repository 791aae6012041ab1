"""Reads the cells of a table's columns: numbers, classes, lists, and censored values such as `>10`.

A censored value says on which side of a limit the true value lies. It is read as the limit and its side, which is 1 for
`>` (the true value is higher), -1 for `<` (lower) and 0 for an exact value. `~10` and `=10` are read as 10.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from molfm.base.errors import InputError
from molfm.base.units import MOLAR
from molfm.catalog.schema import Task

_NOTHING = ("null", "None", "nan", "NaN")  # an unmeasured entry of a list that is written as text
_SIDES = dict.fromkeys((">", ">=", ">>", "≥", "⩾"), 1) | dict.fromkeys(("<", "<=", "<<", "≤", "⩽"), -1)
_SIDES |= dict.fromkeys(("~", "=", "==", "≈", "ca.", "ca", ""), 0)
_QUALIFIED = r"^\s*(>=|>>|<=|<<|==|ca\.?|[<>≤≥⩽⩾~≈=])\s*(\S+)\s*$"
_QUOTES = " '\""  # around a relation, as in exports of ChEMBL


class TableError(InputError):
    """A raw table does not hold what its card says; the message names row, column, expected and found."""


class Values(NamedTuple):
    """The checked cells of a column, or the entries of one list."""

    value: np.ndarray  # (n,) float64, NaN where unmeasured
    side: np.ndarray  # (n,) int8: 0 exact, 1 the true value is higher, -1 lower


def parse_numbers(values: pd.Series) -> tuple[Values, np.ndarray]:
    """Read cells as numbers, also censored ones.

    Returns:
        The values, and where a cell holds something else, (n,) bool.
    """
    if values.dtype.kind in "biuf":
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        return Values(numbers, np.zeros(len(numbers), np.int8)), np.zeros(len(numbers), bool)
    if values.dtype.kind in "Mm":  # dates would become nanoseconds
        values = values.astype(object)
    scalar = values.map(lambda value: isinstance(value, str | int | float | np.number | np.bool_)).to_numpy(bool)
    plain = values.astype(object).where(scalar)
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, na_value=np.nan).copy()
    side = np.zeros(len(numbers), np.int8)
    said = values.notna().to_numpy() & ~values.astype(str).str.strip().str.lower().isin(["", "nan"]).to_numpy()
    if len(odd := np.flatnonzero(np.isnan(numbers) & said & scalar)):
        parts = plain.iloc[odd].astype(str).str.extract(_QUALIFIED)
        numbers[odd] = pd.to_numeric(parts[1], errors="coerce").to_numpy(np.float64)
        side[odd] = parts[0].map(_SIDES).fillna(0).to_numpy(np.int8)
    return Values(numbers, side), np.isnan(numbers) & said


def sides_of(relations: pd.Series, where: str, first_row: int) -> np.ndarray:
    """Return the sides that a column of relations (`>`, `<`, `=`, …) gives, (n,) int8.

    Raises:
        TableError: a cell holds something else.
    """
    words = relations.astype(object).where(relations.notna(), "").astype(str).str.strip(_QUOTES)
    sides = words.map(_SIDES)
    if len(wrong := np.flatnonzero(sides.isna())):
        raise TableError(
            f"{where}: row {first_row + wrong[0]}: expected a relation such as >, <, = or ~, "
            f"found {relations.iloc[wrong[0]]!r}."
        )
    return sides.to_numpy(np.int8)


def _refuse(wrong: np.ndarray, values: pd.Series, where: str, expected: str, first_row: int, what: str = "row") -> None:
    """Raise an error that names the first of the cells (n,) that are wrong."""
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise TableError(
            f"{where}: {what} {first_row + place}, column {values.name!r}: expected {expected}, "
            f"found {values.astype(object).iloc[place]!r}."
        )


def _too_large(numbers: np.ndarray) -> np.ndarray:
    """Return where numbers (n,) are infinite, at the latest when stored as float32."""
    return np.abs(numbers) > np.finfo(np.float32).max


def read_labels(values: pd.Series, task: Task, first_row: int, what: str = "row") -> Values:
    """Return the checked labels of a graph task, or the entries of one list.

    Args:
        values: (n,) cells.
        task: the task; its kind decides what a cell may hold. Only a regression task may have censored labels.
        first_row: number of the first cell, for messages.
        what: what is numbered, for messages.

    Raises:
        TableError: a cell holds something else.
    """
    found, wrong = parse_numbers(values)
    wrong |= _too_large(found.value)
    expected = "a finite number"
    if task.kind != "regression":
        classes = task.classes or 2
        wrong |= found.side != 0
        wrong |= ~np.isnan(found.value) & ~np.isin(found.value, np.arange(classes))
        expected = "0 or 1" if classes == 2 else f"a class from 0 to {classes - 1}"
    _refuse(
        wrong,
        values.rename(task.name) if values.name is None else values,
        task.dataset,
        f"{expected} or nothing",
        first_row,
        what,
    )
    return found


def read_lists(values: pd.Series, task: Task, first_row: int) -> list[Values | None]:
    """Return the checked labels of a node or edge task: one list per row, None for rows without labels.

    Raises:
        TableError: a cell is no list, or an entry is no label.
    """
    out: list[Values | None] = []
    for row, value in enumerate(values, first_row):
        block = value
        if isinstance(value, str) and value.strip()[:1] == "[" and value.strip()[-1] == "]":
            # A CSV holds a list as text, as JSON, Python or NumPy write it.
            words = value.strip()[1:-1].replace(",", " ").split()
            block = [None if word in _NOTHING else word.strip("'\"") for word in words]
        if value is None or (np.isscalar(value) and pd.isna(value)):
            out.append(None)
        elif isinstance(block, (list, tuple, np.ndarray)):
            entries = pd.Series(block if isinstance(block, np.ndarray) and block.dtype.kind in "biuf" else list(block))
            out.append(read_labels(entries, task, 0, f"row {row}, entry"))
        else:
            raise TableError(
                f"{task.dataset}: row {row}, column {task.name!r}: expected a list with one number per "
                f"{'bond' if task.level == 'edge' else 'atom'} ({task.level} level), found {value!r}."
            )
    return out


def read_features(values: pd.DataFrame, where: str, first_row: int) -> np.ndarray:
    """Return features of rows, (n, n_columns) float64, NaN where a cell is empty.

    Raises:
        TableError: a cell is no finite number.
    """
    columns = [np.zeros((len(values), 0))]
    for name in values:
        found, wrong = parse_numbers(values[name])
        wrong |= (found.side != 0) | _too_large(found.value)
        _refuse(wrong, values[name], where, "a finite number", first_row)
        columns.append(found.value[:, None])
    return np.concatenate(columns, axis=1)


def read_weights(values: pd.Series, where: str, first_row: int) -> np.ndarray:
    """Return weights of labels, (n,) float64; an empty cell counts as 1.

    Raises:
        TableError: a cell is no number of 0 or more.
    """
    found, wrong = parse_numbers(values)
    weights = np.where(np.isnan(found.value), 1.0, found.value)
    wrong |= (found.side != 0) | (weights < 0) | _too_large(weights)
    _refuse(wrong, values, where, "a weight of 0 or more", first_row)
    return weights


def negative_log(found: Values, unit: str, task: Task, first_row: int) -> Values:
    """Return -log10 of concentrations in mol/L; a limit from above becomes one from below.

    Args:
        found: concentrations.
        unit: their unit, one of `units.MOLAR`.
        task, first_row: for messages.

    Raises:
        TableError: a concentration is not above 0.
    """
    with np.errstate(invalid="ignore"):
        if (found.value <= 0).any():
            i = int(np.flatnonzero(found.value <= 0)[0])
            raise TableError(
                f"{task.dataset}: row {first_row + i}: expected a concentration above 0 for {task.name!r}, "
                f"which is -log10 of it, found {found.value[i]:g} {unit}."
            )
    return Values(-np.log10(found.value * MOLAR[unit]), -found.side)
