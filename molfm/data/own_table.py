"""Describes a user's own table (CSV, TSV, Parquet or DataFrame) as a data card."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from molfm.base.files import home, whole, write_json
from molfm.catalog.download import digest
from molfm.catalog.parse import make_task
from molfm.catalog.schema import DataCard, Source
from molfm.data.tables import TableError, column_names, raw_chunks


def is_table(data: object) -> bool:
    """Return whether `data` is a user's own table, not the name or path of a card."""
    return isinstance(data, pd.DataFrame) or Path(str(data)).suffix in (".csv", ".tsv", ".gz", ".parquet")


def _contents(path: Path, name: str, columns: list[str]) -> dict[str, str]:
    """Return what each column of a table holds: "binary" (zeros and ones), "numbers", "other" or "nothing".

    This reads all rows, because a single text in the last row makes a column "other". The answer is cached under the
    file's hash.
    """
    cached = home() / "tables" / f"{digest(path, name)[:16]}-contents.json"
    known = json.loads(cached.read_text("utf-8")) if cached.exists() else {}
    missing = [column for column in columns if column not in known]
    if missing:
        found = dict.fromkeys(missing, "nothing")
        for chunk in raw_chunks((path,), missing, []):
            for column in missing:
                found[column] = _content(chunk[column].dropna(), found[column])
        known |= found
        write_json(cached, known)
    return known


def _content(values: pd.Series, before: str) -> str:
    """Return what a column holds, from what it held before and its next measured values."""
    if not len(values) or before == "other":
        return before
    if values.map(lambda value: isinstance(value, (list, np.ndarray))).any():
        return "other"
    numbers = pd.to_numeric(values, errors="coerce")
    if not numbers.notna().all():
        return "other"
    return "binary" if before != "numbers" and numbers.isin([0, 1]).all() else "numbers"


def card_from_table(
    data: str | Path | pd.DataFrame,
    smiles: str = "smiles",
    tasks: list[str] | dict[str, dict] | None = None,
    besides: Sequence[str | None] = (),
) -> DataCard:
    """Describe a user's own table as a data card.

    Args:
        data: path of a CSV, TSV or Parquet file, or a DataFrame (written to the cache as Parquet).
        smiles: name of the SMILES column.
        tasks: label columns, or column -> facts as in a card. None for every other numeric column. A column of zeros
            and ones is binary unless its facts say otherwise.
        besides: columns that are not tasks where `tasks` is None, such as a split.

    Raises:
        TableError: the file or a column is missing, or there is no numeric column for a task.
        CardError: a fact is wrong.
    """
    if isinstance(data, pd.DataFrame):
        content = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(data, preserve_index=False), content)
        content = content.getvalue().to_pybytes()
        path = home() / "tables" / hashlib.sha256(content).hexdigest()[:16] / "table.parquet"
        with whole(path) as temporary:
            temporary.write_bytes(content)
    else:
        path = Path(data).absolute()
        if not path.exists():
            raise TableError(f"There is no table at {path}.")
    name = path.name.split(".")[0]
    found = column_names(path)
    wanted = [smiles, *(tasks or ())]
    if missing := [column for column in wanted if column not in found]:
        raise TableError(
            f"{path.name}: expected the columns {', '.join(wanted)}; {missing[0]!r} is missing. "
            f"Found: {', '.join(found)}."
        )
    candidates = [column for column in found if column not in (smiles, *besides)] if tasks is None else list(tasks)
    facts = dict.fromkeys(candidates) if not isinstance(tasks, dict) else dict(tasks)
    contents = _contents(path, name, candidates)
    made = []
    for column in candidates:
        if tasks is None and contents[column] not in ("binary", "numbers"):
            continue
        kind = "binary" if contents[column] == "binary" else "regression"
        made.append(make_task(column, name, {"kind": kind, **(facts[column] or {})}, path.name))
    if not made:
        raise TableError(f"{path.name}: no numeric column besides {smiles!r}. Found: {', '.join(found)}.")
    source = Source(locations=(f"file:{path}",), smiles=smiles)
    return DataCard(name=name, title=path.name, tasks=tuple(made), sources=(source,), folder=path.parent)
