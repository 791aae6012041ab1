"""Describes a user's own table (CSV, TSV, text, Parquet or DataFrame) as a data card.

Columns that nobody named are judged by their content: numbers are tasks, anything else is left out with a reason. Only
the columns that are needed are written or read, so other columns may hold whatever they like.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from molfm.base.files import home, whole, write_json
from molfm.base.names import listed
from molfm.catalog.download import digest
from molfm.catalog.parse import make_task
from molfm.catalog.schema import DataCard, LeftOut, Source
from molfm.chem.featurize import smiles_text
from molfm.data.tables import TableError, check_columns, column_names, is_table_file, raw_chunks

_SHOWN = 40  # characters of a cell that a message shows
# Names of columns that number rows or compounds, if they hold whole numbers: "Unnamed: 0", "index", "CID", "mol_id".
_IDENTIFIER = re.compile(r"unnamed: \d+|index|idx|(.*[\W_])?([cs]|mol)?id", re.IGNORECASE)


class _Content(NamedTuple):
    """What a column holds, as far as it was read."""

    n_numbers: int = 0
    binary: bool = True  # all numbers are 0 or 1
    whole: bool = True  # all numbers are whole
    row: int | None = None  # of the first cell that is no number
    found: str = ""  # what that cell holds

    def why_not(self, column: str) -> str:
        """Return why the column is no task, or an empty string if it is one."""
        if self.row is not None:
            more = f"; {self.n_numbers:,} of its cells are numbers" if self.n_numbers else ""
            return f"row {self.row} holds {self.found}, not a number{more}"
        if not self.n_numbers:
            return "it is empty"
        if self.whole and not self.binary and _IDENTIFIER.fullmatch(column):
            return "it numbers rows or compounds, to judge by its name"
        return ""


def is_table(data: object) -> bool:
    """Return whether `data` is a user's own table, not the name or path of a card."""
    return isinstance(data, pd.DataFrame) or is_table_file(Path(str(data)))


def _content_of_file(path: Path, name: str, columns: list[str]) -> dict[str, _Content]:
    """Return what each column of a file holds. The answer is cached under the file's hash."""
    cached = home() / "tables" / f"{digest(path, name)[:16]}-columns.json"
    known = json.loads(cached.read_text("utf-8")) if cached.exists() else {}
    if missing := [column for column in columns if column not in known]:
        known |= _content(raw_chunks((path,), missing, []), missing)
        write_json(cached, known)
    return {column: _Content(*known[column]) for column in columns}


def _content(chunks: Iterable[pd.DataFrame], columns: list[str]) -> dict[str, _Content]:
    """Return what columns hold. All rows are read, because a single text in the last row decides."""
    found, first_row = dict.fromkeys(columns, _Content()), 0
    for chunk in chunks:
        for column in columns:
            found[column] = _continued(found[column], chunk[column], first_row)
        first_row += len(chunk)
    return found


def _continued(before: _Content, values: pd.Series, first_row: int) -> _Content:
    """Return what a column holds after its next values."""
    place, values = np.flatnonzero(values.notna()), values.dropna()
    if not len(values):
        return before
    if values.dtype.kind in "biuf":
        numbers = values.to_numpy(float)
    elif values.dtype.kind in "Mm":
        numbers = np.full(len(values), np.nan)
    else:
        scalar = values.map(lambda value: isinstance(value, str | int | float | np.number | np.bool_))
        numbers = pd.to_numeric(values.astype(object).where(scalar), errors="coerce").to_numpy(float)
    wrong = np.flatnonzero(np.isnan(numbers))
    row, found = before.row, before.found
    if len(wrong) and row is None:
        row, found = first_row + int(place[wrong[0]]), _shown(values.iloc[wrong[0]])
    numbers = np.delete(numbers, wrong)
    binary, whole_numbers = np.isin(numbers, (0, 1)).all(), (numbers == np.round(numbers)).all()
    return _Content(
        before.n_numbers + len(numbers),
        bool(before.binary and binary),
        bool(before.whole and whole_numbers),
        row,
        found,
    )


def _shown(value: object) -> str:
    """Return a cell as a message shows it."""
    if isinstance(value, list | tuple | np.ndarray):
        return "a list"
    if isinstance(value, str | np.generic | int | float):
        text = repr(value if isinstance(value, str) else str(value))
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]}…{text[0]}"
    return f"a {type(value).__name__}"


def _write(frame: pd.DataFrame, smiles: str, columns: Sequence[str]) -> Path:
    """Write columns of a DataFrame to the cache, and return the file's path; equal columns share a file."""
    chosen = frame[list(dict.fromkeys([smiles, *columns]))].copy()
    chosen[smiles] = pd.Series([smiles_text(item) for item in chosen[smiles]], chosen.index, dtype=object)
    for column in columns:
        values = chosen[column]
        if values.dtype == object and {type(value) for value in values.dropna()} - {list, tuple, np.ndarray}:
            # Numbers and text in one column: as text, which is read like the text of a CSV.
            chosen[column] = values.where(values.isna(), values.map(str)).where(values.notna(), None)
    content = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(chosen, preserve_index=False), content)
    content = content.getvalue().to_pybytes()
    path = home() / "tables" / hashlib.sha256(content).hexdigest()[:16] / "table.parquet"
    with whole(path) as temporary:
        temporary.write_bytes(content)
    return path


def card_from_table(
    data: str | Path | pd.DataFrame,
    smiles: str = "smiles",
    tasks: list[str] | dict[str, dict] | None = None,
    besides: Sequence[str] = (),
) -> DataCard:
    """Describe a user's own table as a data card.

    Args:
        data: path of a CSV, TSV, text or Parquet file, or a DataFrame, whose needed columns are written to the cache.
        smiles: name of the SMILES column.
        tasks: label columns, or column -> facts as in a card. None for every other column of numbers, except those that
            number rows or compounds. A column of zeros and ones is binary unless its facts say otherwise.
        besides: columns that are not tasks where `tasks` is None, such as a split.

    Raises:
        TableError: the file or a column is missing, two columns have one name, or no column can be a task.
        CardError: a fact is wrong.

    Warns:
        UserWarning: `tasks` is None; the warning says which columns became tasks and which did not.
    """
    if isinstance(data, pd.DataFrame):
        frame, path, called = data.set_axis(list(map(str, data.columns)), axis=1), None, "DataFrame"
        found, name = frame.columns.tolist(), "table"
    else:
        path = Path(data).absolute()
        if not path.exists():
            raise TableError(f"There is no table at {path}.")
        found, name, called = column_names(path), path.name.split(".")[0], path.name
    if tasks is not None:
        if not tasks:
            raise TableError(
                f"{called}: expected at least one task, found none. Leave out `tasks` to take every number."
            )
        # A task of this table may be named by its id.
        tasks = {_column(task, name, found): (tasks[task] if isinstance(tasks, dict) else None) or {} for task in tasks}
    besides = [column for column in besides if column in found]
    check_columns(called, found, [smiles, *besides, *(tasks or ())])
    twice = {column for column in found if found.count(column) > 1}
    columns = [c for c in dict.fromkeys(found) if c not in (smiles, *besides)] if tasks is None else list(tasks)
    judged = [column for column in columns if column not in twice]
    content = _content_of_file(path, name, judged) if path else _content([frame[judged]], judged)
    why_not = {c: content[c].why_not(c) if c in content else "several columns have this name" for c in columns}
    left_out = [LeftOut(column, reason) for column, reason in why_not.items() if reason] if tasks is None else []
    if tasks is None:
        tasks = {column: {} for column in columns if not why_not[column]}
        _say(called, list(tasks), left_out, smiles)
    made = tuple(
        make_task(
            column,
            name,
            {"kind": "binary" if _is_binary(content[column]) else "regression", **facts},
            called,
        )
        for column, facts in tasks.items()
    )
    path = path or _write(frame, smiles, [*tasks, *besides])
    source = Source(locations=(f"file:{path}",), smiles=smiles)
    facts = {"name": name, "title": path.name, "tasks": made, "sources": (source,), "folder": path.parent}
    return DataCard(**facts, left_out=tuple(left_out))


def _column(task: str, name: str, found: list[str]) -> str:
    return task if task in found else str(task).removeprefix(f"{name}/")


def _is_binary(content: _Content) -> bool:
    return content.row is None and content.n_numbers > 0 and content.binary


def _say(called: str, tasks: list[str], left_out: list[LeftOut], smiles: str) -> None:
    """Say which columns became tasks and which did not, unless there was nothing to choose.

    Raises:
        TableError: no column became a task.
    """
    reasons = listed((f"{column} ({reason})" for column, reason in left_out), 10)
    if not tasks:
        raise TableError(
            f"{called}: no column besides {smiles!r} can be a task. {reasons or 'There is no other column'}."
        )
    if left_out or len(tasks) > 1:
        warnings.warn(
            f"{called}: no tasks were named, so the columns of numbers became tasks: {listed(tasks, 10)}."
            + (f" Left out: {reasons}." if left_out else "")
            + " To choose the tasks yourself, name their columns: tasks=[…].",
            stacklevel=4,
        )
