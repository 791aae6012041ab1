"""Turns SDF, SMI and Excel files into Parquet tables in the cache, because everything else reads text and Parquet.

A record of an SDF file becomes a row: its molecule as SMILES in the column `smiles`, its title in `name`, its properties
as further columns. A line of a SMI file becomes `smiles` and `name`. Of an Excel file, the first sheet is read.
"""

import gzip
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rdkit import Chem, rdBase

from molfm.base.files import home, whole
from molfm.base.names import listed
from molfm.catalog.download import digest
from molfm.data.cells import TableError

SUFFIXES = (".sdf", ".sd", ".smi", ".smiles", ".xlsx", ".xlsm")
SMILES, TITLE = "smiles", "name"  # columns of the tables made of SDF and SMI files
_CHUNK = 2_000  # records that are in memory at once
_PROPERTY = re.compile(rb">.*?<([^>]+)>")
_SHOWN = 5  # unreadable records that a message lists


def is_convertible(path: Path) -> bool:
    """Return whether a file is one of those that `converted` reads, gzipped or not."""
    return _suffix(path) in SUFFIXES


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])


def converted(path: Path) -> Path:
    """Return the Parquet table that a file was turned into, or the path itself if it needs no conversion.

    Raises:
        TableError: the file is missing or damaged.

    Warns:
        UserWarning: records cannot be read, or an Excel file has further sheets.
    """
    if not is_convertible(path):
        return path
    if not path.exists():
        raise TableError(f"There is no table at {path}.")
    out = home() / "tables" / f"{digest(path, path.name)[:16]}-converted" / f"{path.name.split('.')[0]}.parquet"
    if not out.exists():
        make = {".sdf": _write_sdf, ".sd": _write_sdf, ".smi": _write_smi, ".smiles": _write_smi}
        make.get(_suffix(path), _write_excel)(path, out)
    return out


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb")


def _write(out: Path, columns: list[str], rows: Iterable[dict[str, str | None]]) -> None:
    """Write rows of text to a Parquet file, some thousand at a time."""
    schema, rows = pa.schema([(column, pa.string()) for column in columns]), iter(rows)
    with whole(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while chunk := list(islice(rows, _CHUNK)):
            writer.write_table(pa.Table.from_pylist(chunk, schema))


def _write_sdf(path: Path, out: Path) -> None:
    with _open(path) as file:
        names = dict.fromkeys(match[1].decode("utf-8", "replace") for match in map(_PROPERTY.match, file) if match)
    smiles, title = (_free(name, names) for name in (SMILES, TITLE))
    unreadable: list[str] = []

    def rows() -> Iterator[dict[str, str | None]]:
        with _open(path) as file, rdBase.BlockLogs():
            for number, mol in enumerate(Chem.ForwardSDMolSupplier(file)):
                if mol is None:
                    unreadable.append(str(number))
                    yield {smiles: f"record {number} of {path.name}, which RDKit cannot read"}
                    continue
                row = {name: mol.GetProp(name).strip() or None for name in mol.GetPropNames()}
                known = {name: value for name, value in row.items() if name in names}
                called = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
                yield known | {smiles: Chem.MolToSmiles(mol), title: called or None}

    _write(out, [smiles, title, *names], rows())
    if unreadable:
        warnings.warn(
            f"{path.name}: RDKit cannot read {len(unreadable):,} records, which are listed as rejected rows: "
            f"{listed(unreadable, _SHOWN)}.",
            stacklevel=5,
        )


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a column name that no property has."""
    return name if name not in taken else f"molfm {name}"


def _write_smi(path: Path, out: Path) -> None:
    def rows() -> Iterator[dict[str, str | None]]:
        with _open(path) as file:
            for line in file:
                words = line.decode("utf-8", "replace").split(maxsplit=1)
                if words and words[0].lower() != SMILES:
                    yield {SMILES: words[0], TITLE: words[1].strip() if len(words) > 1 else None}

    _write(out, [SMILES, TITLE], rows())


def _write_excel(path: Path, out: Path) -> None:
    try:
        sheets = pd.read_excel(path, sheet_name=None, engine="openpyxl")
    except (ValueError, OSError, KeyError, BadZipFile) as error:
        raise TableError(f"{path}: expected an Excel file, but it could not be read: {error}.") from error
    filled = {name: sheet for name, sheet in sheets.items() if len(sheet)}
    if not filled:
        raise TableError(f"{path}: no sheet of this Excel file has rows.")
    name, frame = next(iter(filled.items()))
    if len(filled) > 1:
        warnings.warn(f"{path.name}: the sheet {name!r} is read. It also has {listed(list(filled)[1:])}.", stacklevel=5)
    with whole(out) as temporary:
        pq.write_table(to_arrow(frame.set_axis(list(map(str, frame.columns)), axis=1)), temporary)


def to_arrow(frame: pd.DataFrame, text: Callable[[object], str | None] = str) -> pa.Table:
    """Return a DataFrame as an Arrow table; a column of numbers and text becomes text, read like that of a CSV."""
    made = frame.copy()
    for column in frame:
        values = frame[column]
        if values.dtype == object and {type(value) for value in values.dropna()} - {list, tuple}:
            made[column] = values.where(values.isna(), values.map(text)).where(values.notna(), None)
    return pa.Table.from_pandas(made, preserve_index=False)
