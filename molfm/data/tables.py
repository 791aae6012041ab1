"""Reads a raw table in chunks of SMILES and checked labels.

Labels are checked here, once: text, an infinity or an undeclared class is an error that names row and column. Invalid
SMILES are found later, in `chem/featurize.py`, because they are not an error: their rows are rejected and listed.
"""

import gzip
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from molfm.base.names import did_you_mean, listed
from molfm.catalog.download import fetch
from molfm.catalog.http import DownloadError
from molfm.catalog.schema import DataCard, Source, Task
from molfm.catalog.shipped import expand_tasks
from molfm.chem.featurize import smiles_text
from molfm.data.cells import (
    TableError,
    Values,
    negative_log,
    read_features,
    read_labels,
    read_lists,
    read_weights,
    sides_of,
)
from molfm.data.convert import converted, is_convertible

CHUNK_ROWS = 1_000  # rows read at a time, which bounds the memory whatever the table's length
_READ = (".csv", ".tsv", ".txt", ".gz", ".parquet")  # formats that are read
_FOREIGN = {".xls": "Save it as .xlsx or CSV UTF-8 in your spreadsheet program."}  # formats that are not
_QUOTED = re.compile(rb'"[^"]*"')
_UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    UnicodeError,
    pd.errors.ParserError,
    pd.errors.EmptyDataError,
    pa.ArrowException,
)


@dataclass(frozen=True)
class Table:
    """A dataset's table on this disk: one file, or several that are read one after the other."""

    card: DataCard  # its tasks are the columns that this table has, patterns replaced by names
    source: Source
    paths: tuple[Path, ...]

    def columns(self) -> list[str]:
        """Return the names of the columns without reading rows."""
        return column_names(self.paths[0])

    def n_rows(self) -> int | None:
        """Return the number of rows if the files state it (Parquet), else None."""
        if not all(map(_is_parquet, self.paths)):
            return None
        return sum(pq.read_metadata(path).num_rows for path in self.paths)


def locate(card: DataCard, progress: bool = True, download: bool = True) -> Table | None:
    """Return the first of the card's sources that is on this disk, else the first that can be downloaded.

    Args:
        card: the dataset's card.
        progress: show a bar per download.
        download: False to stay off the network; a table that is not on this disk then gives None.

    Raises:
        DownloadError: no source is available, or a file is not what the card says; the message lists what was tried.
        TableError: the table lacks columns of the card.

    Warns:
        UserWarning: an earlier source is not available; the one in use may have other rows and no official split.
    """
    failures = []
    # Look on the disk first: an unreachable first source must not be tried again while the second is here.
    for ask in (False, True) if download else (False,):
        for source in card.sources:
            try:
                paths = fetch(source.locations, card.name, source.sha256, card.folder, progress, ask)
            except DownloadError as error:
                failures.append(str(error))
                continue
            if not paths:
                continue
            if failures:
                told = [f"{card.name} comes from {source.locations[0]}, because other locations failed:", *failures]
                warnings.warn("\n".join(told), stacklevel=2)
            return _described(card, source, tuple(paths))
    if not download and not failures:
        return None
    raise DownloadError("\n".join(dict.fromkeys(failures)))


def _described(card: DataCard, source: Source, paths: tuple[Path, ...]) -> Table:
    """Reduce the card's tasks to those that this source has, and check that their columns exist."""
    found = column_names(paths[0])
    known = [task for task in card.tasks if source.column(task.name) or task.name in source.atomization]
    card = expand_tasks(replace(card, tasks=tuple(known)), found)
    wanted = _wanted(card, source)
    if missing := [name for name in wanted if name not in found]:
        raise TableError(
            f"{paths[0].name}: expected the columns {', '.join(wanted[:30])} of card {card.name}, "
            f"but {', '.join(missing[:10])} {'is' if len(missing) == 1 else 'are'} missing. "
            f"Found: {', '.join(found[:30])}."
        )
    return Table(card, source, paths)


def _column(source: Source, task: Task) -> str:
    computed = source.atomization.get(task.name)
    return computed.column if computed else source.column(task.name)


def _wanted(card: DataCard, source: Source) -> list[str]:
    """Return the columns that are read, each once. Those for a split are read elsewhere."""
    roles, columns = source.roles, [source.smiles]
    for task in card.tasks:
        columns += [_column(source, task), roles.of_task("weight", task.name), roles.of_task("relation", task.name)]
    return list(dict.fromkeys(column for column in (*columns, roles.id, *roles.features) if column))


def is_table_file(path: Path) -> bool:
    """Return whether a path looks like a table, also one of a format that molfm does not read."""
    return path.suffix.lower() in (*_READ, *_FOREIGN) or is_convertible(path)


def check_columns(where: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    """Check that a table has each wanted column exactly once.

    Raises:
        TableError: a column is missing, or several have its name; the message names the table and lists its columns.
    """
    for column in wanted:
        if (count := list(found).count(column)) > 1:
            raise TableError(f"{where}: {count} columns have the name {column!r}. Rename them, so that one is meant.")
        if not count:
            raise TableError(f"{where}: no column {column!r}.{did_you_mean(column, found)} Found: {listed(found)}.")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn any error from reading a broken or foreign file into a `TableError` that names the file."""
    try:
        yield
    except UnicodeError as error:
        raise TableError(f"{path}: expected text in UTF-8, but {error}. Save it as UTF-8.") from error
    except _UNREADABLE as error:
        kind = "Parquet" if _is_parquet(path) else "a table with a header and one row per line"
        raise TableError(
            f"{path}: expected {kind}, but it could not be read: {str(error).strip().rstrip('.')}. "
            "Is it damaged or incomplete?"
        ) from error


def column_names(path: Path) -> list[str]:
    """Return the columns of a CSV (also .tsv, .gz) or Parquet file without reading its rows.

    Raises:
        TableError: the file is damaged or has another format.
    """
    if how := _FOREIGN.get(path.suffix.lower()):
        raise TableError(f"{path}: molfm reads CSV, TSV, Parquet, SDF, SMI and XLSX. {how}")
    with _reading(path):
        if _is_parquet(path):
            return pq.read_schema(path).names
        return pd.read_csv(path, nrows=0, sep=_separator(path)).columns.tolist()


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _separator(path: Path) -> str:
    """Return what separates the fields of a text table: whichever of comma, semicolon and tab its header has most of."""
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
        header = _QUOTED.sub(b"", file.readline(2**24))
    return max(",;\t", key=lambda separator: header.count(separator.encode()))


def _parquet_chunks(path: Path, columns: list[str], skip: int) -> tuple[Iterator[pd.DataFrame], int]:
    """Return a Parquet file's chunks without row groups that end before row `skip`, and the rows still to skip."""
    # Read page by page: otherwise a row group, which may be the whole file, is in memory at once.
    file, first = pq.ParquetFile(path, buffer_size=2**16, pre_buffer=False), 0
    while first < file.num_row_groups and file.metadata.row_group(first).num_rows <= skip:
        skip -= file.metadata.row_group(first).num_rows
        first += 1
    batches = file.iter_batches(CHUNK_ROWS, columns=columns, row_groups=list(range(first, file.num_row_groups)))
    return (batch.to_pandas() for batch in batches), skip


def _text_chunks(path: Path, columns: list[str], texts: list[str], as_written: bool) -> Iterator[pd.DataFrame]:
    """Read all columns of a text table: pandas overlooks rows with too many fields if it is told to skip columns."""
    names, first_row = column_names(path), 0
    dtype = dict.fromkeys({*names} - {*columns} | {*texts}, object)
    settings = {"sep": _separator(path), "dtype": dtype, "keep_default_na": not as_written}
    for chunk in pd.read_csv(path, chunksize=CHUNK_ROWS, **settings):
        if len(chunk) and not isinstance(chunk.index, pd.RangeIndex):  # pandas took surplus fields for row names
            raise TableError(
                f"{path}: expected {len(names)} fields per row, as in its header, found more in its first row."
            )
        _refuse_merged_rows(path, chunk, first_row, names)
        first_row += len(chunk)
        yield chunk[columns]


def _refuse_merged_rows(path: Path, chunk: pd.DataFrame, first_row: int, names: list[str]) -> None:
    """Raise an error for a cell of several lines that are rows: a stray quotation mark made one row of them.

    A cell may contain line breaks. But if every line of the record has as many separators as a row, then the lines were
    rows, and all of them except the first would be lost.
    """
    separator = _separator(path)
    for place, column in enumerate(names):
        values = chunk[column]
        if values.dtype.kind in "biuf" or not (broken := values.str.contains("\n", regex=False, na=False)).any():
            continue
        for row in np.flatnonzero(broken):
            first, *between, last = values.iloc[row].split("\n")
            separators = [place + first.count(separator), *(line.count(separator) for line in between)]
            separators.append(last.count(separator) + len(names) - 1 - place)
            if min(separators) >= len(names) - 1:
                raise TableError(
                    f"{path}: row {first_row + row}, column {column!r}: a quotation mark begins a cell of "
                    f"{len(separators)} lines, each of which looks like a row: {first[:40]!r}. Remove the stray quotation "
                    "mark, or double it inside a quoted cell."
                )


def raw_chunks(
    paths: tuple[Path, ...], columns: list[str], texts: list[str], skip: int = 0, as_written: bool = False
) -> Iterator[pd.DataFrame]:
    """Read files as one table from row `skip` on, in chunks of exactly `CHUNK_ROWS` rows, except the last chunk.

    Columns in `texts` stay text. Other columns become numbers in chunks where they hold nothing else. `as_written` keeps
    words such as NA, which otherwise mean that a cell is empty.
    """
    waiting: list[pd.DataFrame] = []
    for path in paths:
        if _is_parquet(path):
            with _reading(path):
                chunks, skip = _parquet_chunks(path, columns, skip)
        else:
            chunks = _text_chunks(path, columns, texts, as_written)
        while True:
            with _reading(path):
                chunk = next(chunks, None)
            if chunk is None:
                break
            start, skip = min(skip, len(chunk)), max(0, skip - len(chunk))
            waiting.append(chunk.iloc[start:])
            if sum(map(len, waiting)) >= CHUNK_ROWS:
                joined = pd.concat(waiting, ignore_index=True) if len(waiting) > 1 else waiting[0]
                yield joined.iloc[:CHUNK_ROWS]
                waiting = [joined.iloc[CHUNK_ROWS:]]
    if rest := [chunk for chunk in waiting if len(chunk)]:
        yield pd.concat(rest, ignore_index=True)


def _atoms_energy(smiles: list, energies: dict[str, float]) -> np.ndarray:
    """Return the summed energies of each molecule's isolated atoms, hydrogens included (n,); NaN for invalid SMILES."""
    from rdkit import Chem, rdBase

    def energy(text: object) -> float:
        mol = Chem.MolFromSmiles(text) if isinstance(text, str) else None
        atoms = Chem.AddHs(mol).GetAtoms() if mol else ()
        return sum(energies.get(atom.GetSymbol(), np.nan) for atom in atoms) if mol else np.nan

    with rdBase.BlockLogs():
        return np.array([energy(text) for text in smiles])


class Chunk(NamedTuple):
    """Some rows of a table, with checked labels."""

    first_row: int
    smiles: list[str | None]
    labels: dict[str, Values | list[Values | None]]  # by task: values of graph tasks, a list of lists for other levels
    weights: dict[str, np.ndarray]  # by task, (n,) float64, for the tasks that have weights
    features: np.ndarray  # (n, n_features) float64, NaN where a cell is empty
    feature_names: tuple[str, ...]
    ids: list[str | None] | None  # None if the table has no column of ids


def read_chunks(table: Table, skip: int = 0) -> Iterator[Chunk]:
    """Read a dataset's table from row `skip` on, `CHUNK_ROWS` rows at a time.

    Labels of node and edge tasks are in the order of the input SMILES.

    Raises:
        TableError: a label, weight or feature is not what the card declares.
    """
    card, source, first_row = table.card, table.source, skip
    texts = [source.smiles, *([source.roles.id] if source.roles.id else [])]
    for rows in raw_chunks(table.paths, _wanted(card, source), texts, skip):
        smiles, ids = ([None if pd.isna(text) else str(text) for text in rows[name]] for name in (texts[0], texts[-1]))
        features = read_features(rows[list(source.roles.features)], card.name, first_row)
        labels, isolated = {}, {}
        for task in card.tasks:
            values = rows[_column(source, task)]
            labels[task.name] = (read_labels if task.level == "graph" else read_lists)(values, task, first_row)
            if computed := source.atomization.get(task.name):
                key = str(sorted(computed.atoms.items()))
                if key not in isolated:
                    isolated[key] = _atoms_energy(smiles, computed.atoms)
                value, side = labels[task.name]
                labels[task.name] = Values((value - isolated[key]) * computed.factor, side)
            if task.level == "graph":
                labels[task.name] = _as_declared(labels[task.name], task, source, rows, first_row)
        weights = {
            task.name: read_weights(rows[column], card.name, first_row)
            for task in card.tasks
            if (column := source.roles.of_task("weight", task.name))
        }
        names = source.roles.features
        yield Chunk(first_row, smiles, labels, weights, features, names, ids if source.roles.id else None)
        first_row += len(rows)


def _as_declared(found: Values, task: Task, source: Source, rows: pd.DataFrame, first_row: int) -> Values:
    """Return labels with the sides that another column gives, as -log10 of concentrations where the card says so."""
    if column := source.roles.of_task("relation", task.name):
        stated = sides_of(rows[column], f"{task.dataset}, column {column!r}", first_row)
        found = Values(found.value, np.where(found.side == 0, stated, found.side))
    if unit := source.negative_log.get(task.name):
        found = negative_log(found, unit, task, first_row)
    return found


def read_column(table: Table, name: str) -> np.ndarray:
    """Return one column of a table, such as a split: (n_rows,) object, None for empty cells.

    Raises:
        TableError: the table has no such column.
    """
    check_columns(table.paths[0].name, table.columns(), [name])
    parts = []
    for path in table.paths:  # one column suffices: the others were checked when the table was prepared
        with _reading(path):
            if _is_parquet(path):
                parts.append(pd.read_parquet(path, columns=[name])[name].astype(object))
            else:
                parts.append(pd.read_csv(path, usecols=[name], dtype=object, sep=_separator(path))[name])
    values = pd.concat(parts, ignore_index=True)
    return values.where(values.notna(), None).to_numpy(object)


@dataclass(frozen=True)
class SmilesTable:
    """The SMILES of a table file, with the other columns of their rows; only a chunk is in memory at a time."""

    path: Path
    column: str = "smiles"

    @cached_property
    def read_from(self) -> Path:
        """The file itself, or the Parquet table that it was turned into."""
        return converted(self.path)

    def chunks(self, n_rows: int) -> Iterator[tuple[list[str | None], pd.DataFrame]]:
        """Yield SMILES and the other columns, `n_rows` rows at a time. The columns of a text table stay text.

        Raises:
            TableError: the file or column does not exist, or the file is damaged.
        """
        path = self.read_from
        if not path.exists():
            raise TableError(f"There is no table at {path}.")
        names = column_names(path)
        check_columns(self.path.name, names, [self.column])
        chunks = raw_chunks((path,), names, names, as_written=True)
        while several := list(islice(chunks, n_rows // CHUNK_ROWS)):
            rows = pd.concat(several, ignore_index=True)
            yield [smiles_text(item) for item in rows[self.column]], rows.drop(columns=self.column)

    def schema(self) -> pa.Schema:
        """Return the types of the other columns."""
        path = self.read_from
        if _is_parquet(path):
            return pa.schema([field for field in pq.read_schema(path) if field.name != self.column])
        return pa.schema([(name, pa.string()) for name in column_names(path) if name != self.column])
