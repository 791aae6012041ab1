"""Estimates the disk, time and memory that preparing will take, by preparing a sample.

If a dataset's table is on this disk, its first rows are the sample. Otherwise nothing is downloaded: molecules embedded
in molfm stand in for its own, its card gives the number of rows, and every label counts as measured. So the estimated
store of a sparse table is too large.
"""

import gzip
import pickle
import time
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import loky
import pandas as pd

from molfm.catalog.schema import DataCard
from molfm.catalog.shipped import card, datasets_of
from molfm.chem.encodings import WALK
from molfm.data import prepare, tables
from molfm.data.own_table import card_from_table, is_table
from molfm.data.prepare import write_shard
from molfm.data.store import open_shard
from molfm.data.tables import Table, locate, read_chunks

SAMPLE_ROWS = 2_000
STAND_IN = "b3db"
LABEL_BYTES = 8  # item, task and value, see store.Labels
TEXT_BYTES = 16_000_000  # read from the start of a text table to estimate its number of rows
PROCESS_BYTES = 150e6  # memory of a featurizing process without its rows, see benchmarks/scale.py


class _Sample(NamedTuple):
    """Average cost of one row of a sample, in bytes and seconds."""

    disk: float
    encodings: float
    memory: float  # of its arrays, held until the shard is written
    raw: float  # pickled, on its way to a featurizing process
    read: float  # seconds in the main process
    featurize: float  # seconds in any process
    write: float  # seconds in the main process, encodings included
    atoms: float
    bonds: float


def estimate(data: str | Path | pd.DataFrame, smiles: str = "smiles") -> pd.DataFrame:
    """Estimate what `molfm.load(data)` will take the first time: one row per dataset and, for several, a total.

    Columns: dataset; rows; store, encodings and memory in bytes; seconds on this machine's cores; basis (what the
    sample was). Encodings are computed at their first use, in the first training. Unknown values are NaN.

    Args:
        data: as for `molfm.load`. Nothing is downloaded.
        smiles: name of the SMILES column, for your own table.
    """
    cards = [card_from_table(data, smiles)] if is_table(data) else datasets_of(data)
    table = pd.DataFrame([_estimate(item) for item in cards])
    if len(cards) > 1:
        sums = table[["rows", "store", "encodings", "seconds"]].sum(skipna=False)
        table.loc[len(table)] = {"dataset": "in all", **sums, "memory": table.memory.max(), "basis": ""}
    return table


def _estimate(item: DataCard) -> dict:
    table = locate(item, progress=False, download=False)
    if table:
        rows, sample, basis = _count(table), _measure(table), f"its first {SAMPLE_ROWS:,} rows"
        if rows <= SAMPLE_ROWS:
            basis = "all its rows"
    else:
        rows = item.rows or float("nan")
        sample = _with_labels(_stand_in(), item)
        basis = f"other molecules ({STAND_IN}), every label"
    cores = loky.cpu_count() if rows > prepare.POOL_FROM_ROWS else 1
    # The main process shares the cores with featurizing, and no row is featurized before it is read.
    busy = max(sample.read, (sample.read + sample.featurize) / cores)
    shard = min(rows, tables.CHUNK_ROWS * prepare.SHARD_CHUNKS)
    under_way = min(rows, tables.CHUNK_ROWS * prepare.CHUNKS_UNDER_WAY)
    # While the arrays of a shard are joined, they exist twice. A chunk exists as objects and pickled.
    reader = PROCESS_BYTES + 2 * shard * sample.memory + 2 * under_way * sample.raw
    workers = cores * (PROCESS_BYTES + 4 * min(rows, tables.CHUNK_ROWS) * sample.raw) if cores > 1 else 0
    return {
        "dataset": item.name,
        "rows": rows,
        "store": rows * sample.disk,
        "encodings": rows * sample.encodings,
        "seconds": rows * (busy + sample.write),
        "memory": reader + workers if rows == rows else rows,
        "basis": basis,
    }


def _count(table: Table) -> int:
    """Return the number of rows: exact for Parquet, estimated from the start of text files."""
    return table.n_rows() or sum(map(_text_rows, table.paths))


def _text_rows(path: Path) -> int:
    with open(path, "rb") as raw:
        file = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        head = file.read(TEXT_BYTES)
        share = 1 if len(head) < TEXT_BYTES else raw.tell() / path.stat().st_size
    lines = head.count(b"\n") + (share == 1 and not head.endswith(b"\n"))
    return max(0, round(lines / share) - 1)  # without the header


def _measure(table: Table) -> _Sample:
    """Prepare the first rows of a table in a temporary folder and measure their cost."""
    start = time.perf_counter()
    chunks = list(islice(read_chunks(table), -(-SAMPLE_ROWS // tables.CHUNK_ROWS)))
    read = time.perf_counter()
    rows = max(1, sum(len(chunk.smiles) for chunk in chunks))
    parts = [prepare.chunk_arrays(table.card, chunk) for chunk in chunks]
    featurized = time.perf_counter()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "shard"
        write_shard(folder, parts)
        disk = sum(file.stat().st_size for file in folder.iterdir())
        encodings = open_shard(folder).encoding(WALK).nbytes
        written = time.perf_counter()
    found = [part.molecules for part in parts]
    arrays = [array for molecules in found for array in molecules if hasattr(array, "nbytes")]
    arrays += [a for part in parts for labels in part.labels.values() for a in labels if a is not None]
    texts = sum(len(key) + 50 for molecules in found for key in molecules.smiles)
    totals = (disk, encodings, sum(array.nbytes for array in arrays) + texts, len(pickle.dumps(chunks)))
    seconds = (read - start, featurized - read, written - featurized)
    items = (sum(len(molecules.atoms) for molecules in found), sum(len(molecules.bonds) for molecules in found))
    return _Sample(*(total / rows for total in (*totals, *seconds, *items)))


@cache
def _stand_in() -> _Sample:
    return _measure(locate(card(STAND_IN), progress=False))


def _with_labels(sample: _Sample, item: DataCard) -> _Sample:
    """Add the labels that a card declares to the cost of the stand-in's rows."""
    items = {"graph": 1.0, "node": sample.atoms, "edge": sample.bonds}
    labels = sum((task.count or 1) * items[task.level] for task in item.tasks)
    return sample._replace(
        disk=sample.disk + LABEL_BYTES * labels,
        memory=sample.memory + LABEL_BYTES * labels,
        raw=sample.raw + 8 * labels,
    )
