"""Applies a function to SMILES chunk by chunk: in memory, or to a file, from lists, generators or tables of any length.

A file for millions of molecules takes no more memory than one chunk. Chunks are written to a hidden folder beside the
file. Each is named by a hash of everything it was made from, so an interrupted call resumes. At the end they are joined
into one file.
"""

import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import CSVWriter

from molfm.base.errors import InputError
from molfm.base.files import whole
from molfm.base.names import listed
from molfm.base.progress import tqdm
from molfm.chem.featurize import Rejected, smiles_text
from molfm.data.tables import SmilesTable

CHUNK = 4000  # molecules that are handled together; one part of a file
_WRITERS = {".parquet": pq.ParquetWriter, ".csv": CSVWriter}
_PATIENCE = 2  # seconds before a progress bar is shown

# position of its first SMILES, SMILES, the other columns of their rows
_Chunk = tuple[int, list[str | None], pd.DataFrame | None]


def _chunks(smiles: str | Iterable[str] | SmilesTable, progress: bool) -> Iterator[_Chunk]:
    """Cut SMILES into chunks."""
    if isinstance(smiles, pd.DataFrame):
        columns = listed(map(str, smiles.columns))
        raise TypeError(f"Expected SMILES, found a table with the columns {columns}: choose one, table[column].")
    if isinstance(smiles, SmilesTable):
        total, parts = None, smiles.chunks(CHUNK)
    elif smiles is None or isinstance(smiles, Path) or not isinstance(smiles, Iterable):
        raise TypeError(f"Expected one SMILES or several, found {smiles!r}.")
    else:
        known = [smiles] if isinstance(smiles, str) else smiles
        total, waiting = len(known) if hasattr(known, "__len__") else None, iter(known)
        parts = iter(lambda: ([smiles_text(item) for item in islice(waiting, CHUNK)], None), ([], None))
    first = 0
    with tqdm(total=total, unit=" molecules", disable=not progress, delay=_PATIENCE) as bar:
        for texts, rest in parts:
            yield first, texts, rest
            first += len(texts)
            bar.update(len(texts))


def _beside(smiles: SmilesTable, rest: pd.DataFrame, made: pa.Table, first: int) -> pa.Table:
    """Return what was made of some rows of a table after the other columns of these rows."""
    place = made["mol_id"].to_numpy() - first
    rows = pa.Table.from_pandas(rest, smiles.schema(), preserve_index=False).take(place)
    for name in made.column_names:
        called = smiles.column if name == "smiles" else name
        rows = rows.append_column(f"molfm {called}" if called in rest else called, made[name])
    return rows


def _warn(rejected: list[Rejected], n: int, what: str, where: str = "") -> None:
    if rejected:
        first = rejected[0]
        warnings.warn(
            f"{len(rejected)} of {n} SMILES have no {what}. The first is {first.smiles!r} at position {first.row}: "
            f"{first.reason}.{where}",
            stacklevel=4,
        )


def map_chunks(smiles: str | Iterable[str], make: Callable, progress: bool, what: str) -> list:
    """Apply `make` to each chunk, or to an empty one if there is none, and return the parts."""
    if isinstance(smiles, SmilesTable):
        raise InputError(f"What is made of {smiles.path} is written to a file: add out=….")
    parts, rejected, n = [], [], 0
    for first, texts, rest in _chunks(smiles, progress):
        part, bad = make(first, texts, rest)
        parts.append(part)
        rejected += [item._replace(row=item.row + first) for item in bad]
        n += len(texts)
    _warn(rejected, n, what)
    return parts or [make(0, [], None)[0]]


def map_to_file(
    smiles: str | Iterable[str] | SmilesTable, make: Callable, out: Path, request: list, progress: bool, what: str
) -> Path:
    """Apply `make` to each chunk, write one file, and list invalid SMILES in a CSV file beside it."""
    if out.suffix not in _WRITERS or (out.suffix == ".csv" and what == "embedding"):
        raise InputError(
            f"Expected a file that ends in {'.parquet' if what == 'embedding' else '.parquet or .csv'}, found {out}."
        )
    folder, asked = out.with_name(f".{out.name}.parts"), json.dumps(request).encode()
    folder.mkdir(parents=True, exist_ok=True)
    parts, n = [], 0
    for first, texts, rest in _chunks(smiles, progress):
        given = "" if rest is None else rest.to_csv(index=False)
        digest = blake2b(asked + json.dumps([first, texts, given]).encode(), digest_size=12).hexdigest()
        parts.append(folder / f"{digest}.parquet")
        n += len(texts)
        if not parts[-1].exists():
            table, rejected = make(first, texts, rest)
            if rest is not None:
                table = _beside(smiles, rest, table, first)
            bad = json.dumps([(item.row + first, item.smiles, item.reason) for item in rejected])
            _write(parts[-1], [table.replace_schema_metadata({"rejected": bad})])
    tables = (pq.read_table(part).replace_schema_metadata() for part in parts) if parts else [make(0, [], None)[0]]
    _write(out, tables)
    rejected = [Rejected(*item) for part in parts for item in json.loads(pq.read_schema(part).metadata[b"rejected"])]
    beside = out.with_suffix(".rejected.csv")
    beside.unlink(missing_ok=True)
    if rejected:
        pd.DataFrame(rejected, columns=["mol_id", "smiles", "reason"]).to_csv(beside, index=False)
    shutil.rmtree(folder)
    _warn(rejected, n, what, f" All are listed in {beside}.")
    return out


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables to one file, whole or not at all."""
    tables = iter(tables)
    first = next(tables)
    with whole(path) as temporary, _WRITERS[path.suffix](temporary, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
