"""Describes a user's own table (CSV, TSV, text, Parquet, Excel, SDF, SMI or DataFrame) as a data card.

Columns that nobody named are judged by their names and contents, see `columns.py`. Only the columns that are needed are
written or read, so other columns may hold whatever they like.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from molfm.base.files import home, whole, write_json
from molfm.base.names import listed
from molfm.base.units import MOLAR, split_header
from molfm.catalog.download import digest
from molfm.catalog.parse import make_roles, make_task
from molfm.catalog.schema import CardError, ColumnUse, DataCard, Source, Task
from molfm.chem.featurize import smiles_text
from molfm.chem.identity import hash64
from molfm.data.cells import TableError
from molfm.data.columns import COUNTS, SAMPLE, Content, content_of, descriptors_among, why_not
from molfm.data.convert import converted, to_arrow
from molfm.data.tables import check_columns, column_names, is_table_file, raw_chunks

_SHOWN = 25  # columns that a message lists


def is_table(data: object) -> bool:
    """Return whether `data` is a user's own table, not the name or path of a card."""
    return isinstance(data, pd.DataFrame) or is_table_file(Path(str(data)))


def _known_of_file(path: Path, name: str, kind: str, columns: list[str], find: Callable[[list[str]], dict]) -> dict:
    """Return what is known of a file's columns. Answers of `find` are cached under the file's hash."""
    cached = home() / "tables" / f"{digest(path, name)[:16]}-{kind}.json"
    known = json.loads(cached.read_text("utf-8")) if cached.exists() else {}
    if missing := [column for column in columns if column not in known]:
        known |= find(missing)
        write_json(cached, known)
    return {column: known[column] for column in columns}


def _contents(path: Path, name: str, columns: list[str]) -> dict[str, Content]:
    def find(missing: list[str]) -> dict:
        return content_of(raw_chunks((path,), missing, []), missing)

    return {column: Content(*facts) for column, facts in _known_of_file(path, name, "contents", columns, find).items()}


def _descriptors(path: Path, name: str, smiles: str, columns: list[str]) -> dict[str, str | None]:
    def find(missing: list[str]) -> dict:
        rows = next(iter(raw_chunks((path,), [smiles, *missing], [smiles])), None)
        return dict.fromkeys(missing) | ({} if rows is None else descriptors_among(rows.head(SAMPLE), smiles, missing))

    return _known_of_file(path, name, f"descriptors-{hash64(smiles):016x}", columns, find)


def _write(frame: pd.DataFrame, smiles: str, columns: Sequence[str]) -> Path:
    """Write columns of a DataFrame to the cache, and return the file's path; equal columns share a file."""
    chosen = frame[list(dict.fromkeys([smiles, *columns]))].copy()
    chosen[smiles] = pd.Series([smiles_text(item) for item in chosen[smiles]], chosen.index, dtype=object)
    content = pa.BufferOutputStream()
    pq.write_table(to_arrow(chosen), content)
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
    roles: Mapping[str, object] | None = None,
) -> DataCard:
    """Describe a user's own table as a data card.

    Args:
        data: path of a CSV, TSV, text, Parquet, Excel, SDF or SMI file, or a DataFrame, whose needed columns are written
            to the cache.
        smiles: name of the SMILES column.
        tasks: label columns, or column -> facts as in a card (kind, level, unit, …). None for every column that is
            judged a target (`columns.py`). A column of zeros and ones is binary, and a unit in the header counts, unless
            the facts say otherwise. With the fact `pic50: True`, a concentration becomes -log10 of it in mol/L, and the
            task of `IC50 (nM)` is called `pIC50`.
        besides: columns that are not tasks where `tasks` is None, such as a split.
        roles: role -> column, see `Roles` and `make_roles`.

    Raises:
        TableError: the file or a column is missing, two columns have one name, or no column can be a task.
        CardError: a fact or a role is wrong.

    Warns:
        UserWarning: `tasks` is None; the warning says what each column was taken for.
    """
    if isinstance(data, pd.DataFrame):
        frame, path, called = data.set_axis(list(map(str, data.columns)), axis=1), None, "DataFrame"
        found, name = frame.columns.tolist(), "table"
    else:
        path, frame = Path(data).absolute(), None
        called = path.name
        if not path.exists():
            raise TableError(f"There is no table at {path}.")
        path = converted(path)
        found, name = column_names(path), path.name.split(".")[0]
    known, wanted = make_roles(roles or {}, called), tasks is not None
    if wanted:
        if not tasks:
            raise TableError(
                f"{called}: expected at least one task, found none. Leave out `tasks` to take every target."
            )
        # A task of this table may be named by its id.
        tasks = {_column(task, name, found): (tasks[task] if isinstance(tasks, dict) else None) or {} for task in tasks}
    of_role = known.columns()
    besides = [column for column in besides if column in found and column not in of_role]
    check_columns(called, found, [smiles, *besides, *(tasks or ()), *of_role])
    if taken := [column for column in [smiles, *(tasks or ())] if column in of_role]:
        what = "the SMILES column" if taken[0] == smiles else "a task"
        raise CardError(f"{called}: {taken[0]!r} is {what} and cannot have the role {of_role[taken[0]]!r}.")
    named = dict.fromkeys(besides, ("left out", "it says the split")) | {c: (r, "") for c, r in of_role.items()}
    columns = list(tasks) if wanted else [c for c in dict.fromkeys(found) if c != smiles and c not in named]
    judged = [column for column in columns if found.count(column) == 1]
    content = _contents(path, name, judged) if path else content_of([frame[judged]], judged)
    if not wanted:
        numbers = [column for column in judged if content[column].is_number]
        if path:
            same = _descriptors(path, name, smiles, numbers)
        else:
            same = descriptors_among(frame.head(SAMPLE), smiles, numbers)
        reasons = _reasons(columns, content, same)
        named |= {column: ("left out", reason) for column, reason in reasons.items() if reason}
        tasks = {column: {} for column in columns if not reasons[column]}
    made, of_source = [], {"columns": {}, "negative_log": {}}
    for column, facts in tasks.items():
        task, unit = _task(column, name, dict(facts), content[column], called)
        made.append(task)
        if task.name != column:
            of_source["columns"][task.name] = column
        if unit:
            of_source["negative_log"][task.name] = unit
        censored = f", {content[column].n_limits:,} censored" if content[column].n_limits else ""
        named[column] = "target", f"{task.kind}, {task.unit or 'no unit'}{censored}"
    names = {column: task.name for column, task in zip(tasks, made, strict=True)}
    for role in ("weight", "relation"):
        if isinstance(columns := getattr(known, role), dict):
            columns = {names.get(_column(task, name, found), task): column for task, column in columns.items()}
            if unknown := [task for task in columns if task not in names.values()]:
                raise CardError(f"{called}: role {role!r}: {unknown[0]!r} is no task; the tasks are {listed(names)}.")
            known = replace(known, **{role: columns})
    uses = tuple(
        ColumnUse(
            column, *(("SMILES", "") if column == smiles else named.get(column, ("left out", "it was not named")))
        )
        for column in dict.fromkeys(found)
    )
    if not wanted:
        _say(called, uses, smiles)
    path = path or _write(frame, smiles, [*tasks, *besides, *(c for c, role in of_role.items() if role != "ignore")])
    source = Source(locations=(f"file:{path}",), smiles=smiles, roles=known, **of_source)
    facts = {"name": name, "title": called, "tasks": tuple(made), "sources": (source,), "folder": path.parent}
    return DataCard(**facts, columns=uses)


def _reasons(columns: list[str], content: dict[str, Content], same: dict[str, str | None]) -> dict[str, str]:
    """Return why each column is no target, or an empty string if it is one; see `columns.py`."""
    reasons = {
        column: why_not(column, content[column], same.get(column))
        if column in content
        else "several columns have this name"
        for column in columns
    }
    if all(reasons.values()):  # a column that counts the rows is better than none
        reasons = {column: "" if reason == COUNTS else reason for column, reason in reasons.items()}
    return reasons


def _column(task: str, name: str, found: list[str]) -> str:
    return task if task in found else str(task).removeprefix(f"{name}/")


def _task(column: str, name: str, facts: dict, content: Content, called: str) -> tuple[Task, str | None]:
    """Return a checked task, and the unit of its column if its labels are -log10 of it.

    Raises:
        CardError: a fact is wrong, or the unit of the column is no concentration.
    """
    title, unit = split_header(column)
    as_p = facts.pop("pic50", False)
    unit = facts.get("unit", unit)
    kind = "binary" if content.is_binary and unit is None else "regression"
    if not as_p:
        return make_task(column, name, {"kind": kind, "unit": unit} | facts, called), None
    if unit not in MOLAR:
        raise CardError(
            f"{called}: column {column!r}: -log10 needs a concentration, with a unit in the header or as a fact: one of "
            f"{', '.join(MOLAR)}; found {unit or 'none'}."
        )
    facts |= {"unit": "-log10(mol/L)", "kind": "regression"}
    return make_task(f"p{title}", name, facts, called), unit


def _say(called: str, uses: Sequence[ColumnUse], smiles: str) -> None:
    """Say what each column was taken for, unless there was nothing to choose.

    Raises:
        TableError: no column became a task.
    """
    targets = [item.column for item in uses if item.use == "target"]
    shown = uses[:_SHOWN]
    first, second = (max(len(item[place]) for item in shown) + 2 for place in (0, 1))
    text = "\n".join(f"  {item.column:<{first}}{item.use:<{second}}{item.why}".rstrip() for item in shown)
    if len(uses) > _SHOWN:
        text += f"\n  and {len(uses) - _SHOWN:,} further columns: {listed((i.column for i in uses[_SHOWN:]), 10)}"
    if not targets:
        raise TableError(f"{called}: no column besides {smiles!r} can be a task. The columns were taken for:\n{text}")
    if len(targets) > 1 or any(item.use == "left out" for item in uses):
        warnings.warn(
            f"{called}: no tasks were named, so its columns were taken for:\n{text}\n"
            "To choose yourself, name the tasks, and the roles of other columns: tasks=[…], roles={…}.",
            stacklevel=4,
        )
