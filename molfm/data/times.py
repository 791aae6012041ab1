"""Reads a column of times: numbers, or dates in one format, for splits in which the newest molecules are tested."""

from itertools import product

import numpy as np
import pandas as pd

from molfm.base.errors import InputError

_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %Y", "%B %Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = ("ISO8601", *map("".join, product(_DAYS, _CLOCKS)))
_ISO = "Write dates as 2024-03-31"


def read_times(values: np.ndarray, rows: np.ndarray, where: str) -> np.ndarray:
    """Return times as numbers that grow, (n,) float64, NaN where the column is empty.

    Args:
        values: (n,) numbers, such as years, or dates, None for empty cells. Dates may be ISO 8601 (also with a time or
            a zone), or all in one of these formats, with or without a time: 31.3.2024, 31/3/2024, 3/31/2024, 31-3-2024,
            2024/3/31, 31 Mar 2024, 31-Mar-2024, March 31, 2024, Mar 2024.
        rows: (n,) numbers of the rows, for messages.
        where: name of the file and column, for messages.

    Raises:
        InputError: a cell is neither, the cells have several formats, or day and month could be exchanged.
    """
    words = pd.Series(["" if value is None else str(value).strip() for value in values], dtype=object)
    words = words.mask(words.str.lower().isin(("nan", "nat", "none")), "")
    texts, code = np.unique(words[words != ""].to_numpy(str), return_inverse=True)
    times = np.full(len(words), np.nan)
    if not len(texts):
        return times
    numbers = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(np.float64)
    if not np.isnan(numbers).any() and np.isfinite(numbers).all():
        times[words != ""] = numbers[code]
        return times
    first = int(np.flatnonzero(words != "")[0])
    readings = {name: _dates(texts, name) for name in _FORMATS if _dates(words.iloc[[first]], name).notna().all()}
    whole = {name: dates for name, dates in readings.items() if dates.notna().all()}
    if not whole:
        readings = {"number": pd.Series(numbers).where(np.isfinite(numbers)), **readings}
        best = max(readings.values(), key=lambda read: read.notna().sum())
        wrong = words.isin(texts[best.isna()])
        place = int(np.flatnonzero(wrong if best.notna().any() else words != "")[0])
        alike = f" in one format, such as that of row {rows[first]}, {words[first]!r}" if place != first else ""
        raise InputError(
            f"{where}, row {rows[place]}: expected a date or a number{alike}, found {words[place]!r}. {_ISO}, and leave "
            "unknown ones empty."
        )
    ranks = [np.unique(dates.to_numpy(), return_inverse=True)[1] for dates in whole.values()]
    if any(not np.array_equal(rank, ranks[0]) for rank in ranks):
        raise InputError(
            f"{where}: {words[first]!r} may mean a day and a month or a month and a day, and no cell decides it. {_ISO}."
        )
    times[words != ""] = next(iter(whole.values())).to_numpy("datetime64[us]").astype(np.float64)[code]
    return times


def _dates(texts: np.ndarray | pd.Series, name: str) -> pd.Series:
    """Return dates in a format of pandas, NaT for texts that have another one."""
    found = pd.to_datetime(pd.Series(texts, dtype=object), format=name, errors="coerce", utc=True)
    return found.dt.tz_localize(None)
