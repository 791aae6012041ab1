"""How to name a split: a method, a column, a time, a group, or one of several folds."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from molfm.base.names import did_you_mean, listed
from molfm.catalog.schema import SPLIT_METHODS, CardError
from molfm.data.tables import Table

EXPECTED = (
    f'{", ".join(SPLIT_METHODS)}, time:COLUMN, group:COLUMN, one of several folds, such as "scaffold 1/5", or a column '
    "of the table that says train, val or test"
)
_FOLDED = ("scaffold", "random", "cluster", "group")  # methods that may be asked for one of several folds
_FOLD = re.compile(r"(.*\S)\s+(-?\d+)\s*/\s*(-?\d+)")


class Method(NamedTuple):
    """How to split, as `read_method` understands the text of `molfm.load(split=…)`."""

    text: str
    name: str  # one of SPLIT_METHODS, "time", "group" or "column"
    column: str | None = None
    fold: int = 0  # which fold is test, from 1; 0: no folds
    folds: int = 0

    @property
    def whole_table(self) -> bool:
        """Whether the split needs all molecules of one table at once, so it cannot split a mix."""
        return self.folds > 0 or self.name in ("cluster", "time", "group")


def read_method(text: str) -> Method:
    """Read the text of a split, such as "scaffold", "scaffold 2/5", "time:date", "group:series 1/3" or a column's name.

    Raises:
        CardError: a fold does not exist, the method has no folds, or a column is missing.
    """
    base, fold, folds = text, 0, 0
    if found := _FOLD.fullmatch(text):
        base, fold, folds = found[1], int(found[2]), int(found[3])
    name, colon, column = base.partition(":")
    column = column.strip()
    if colon and name in ("time", "group"):
        if not column:
            raise CardError(f"split={text!r}: expected the name of a column after the colon, as in {name}:COLUMN.")
    elif base in SPLIT_METHODS:
        name, column = base, None
    else:
        return Method(text, "column", text)
    if found and name not in _FOLDED:
        raise CardError(f"split={text!r}: only {', '.join(_FOLDED[:-1])} and group:COLUMN have folds.")
    if found and not (folds >= 3 and 1 <= fold <= folds):
        raise CardError(
            f"split={text!r}: expected one of at least three folds, numbered from 1, such as {base} 1/5; one fold is "
            f"test, the next one is val, and the others are train."
        )
    return Method(text, name, column, fold, folds)


def split_column(text: str | None) -> str | None:
    """Return the column of the table that a split reads, or None."""
    return read_method(text).column if text else None


def from_roles(text: str | None, roles: Mapping[str, object]) -> str | None:
    """Return the split of a table whose columns have roles: by time or group if no other is named.

    Raises:
        CardError: the table has both, and no split is named.
    """
    named = [role for role in ("time", "group") if roles.get(role)]
    if text is None and len(named) > 1:
        raise CardError(
            'Columns have the roles time and group. Say which one splits the table: split="time" or "group".'
        )
    if text in named or (text is None and named):
        role = text or named[0]
        return f"{role}:{roles[role]}"
    return text


def check_method(text: str | None, table: Table, columns: Sequence[str], alone: bool) -> None:
    """Check a split before the table is prepared, which may take long.

    Args:
        text: see `read_method`; None for the split that the card names.
        table: the dataset's table.
        columns: names of the table's columns.
        alone: whether the table is the only one.

    Raises:
        CardError: the method is unknown, does not fit a mix, or its column is missing.
    """
    method = read_method(text or table.card.split)
    if method.whole_table and not alone:
        raise CardError(
            f"split={method.text!r} splits one table, but this mix has several, which may share molecules. Use "
            'split="scaffold" or split="random", or load one dataset.'
        )
    if method.column is None or method.column in columns:
        return
    has = f"Its columns: {listed(columns)}."
    if method.name == "column":
        near = did_you_mean(method.text, [*SPLIT_METHODS, *columns])
        raise CardError(f"Unknown split {method.text!r} of {table.card.name}.{near} Expected {EXPECTED}. {has}")
    near = did_you_mean(method.column, columns)
    raise CardError(f"split={method.text!r}: {table.card.name} has no column {method.column!r}.{near} {has}")
