"""From a raw file to checked chunks: SMILES and label columns, numbers where numbers belong.

Labels are checked here, once: a text, an infinity or an undeclared class is an error that names row and column. Whether
a SMILES is a molecule is decided later (`featurize.py`), since that is no error but a rejected row.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from molfm.catalog import DataCard, Source, Task
from molfm.download import home, sha256

CHUNK_ROWS = 1_000  # bounds the memory of one step of preparing, whatever the table's length


class TableError(ValueError):
    """A raw table does not hold what its card says; the message names row, column, expected and found."""


def locate(card: DataCard) -> tuple[Path, Source]:
    """Return the first of the card's sources that is there, as a local file whose hash was checked.

    Raises:
        FileNotFoundError: none of the sources is there; the message lists what was tried.
        TableError: a file is there but its SHA-256 is not the card's.
    """
    tried = []
    for source, location in [(item, place) for item in card.sources for place in item.locations]:
        scheme, _, place = location.partition(":")
        if scheme not in ("package", "file") or not place:
            raise TableError(f"Card {card.name}: expected a source package:PATH or file:PATH, found {location!r}.")
        if scheme == "package":
            from importlib.resources import files

            path = Path(str(files("molfm.data_cards") / place))
        else:
            path = (card.folder or Path.cwd()) / Path(place).expanduser()
        tried.append(str(path))
        if not path.is_file():
            continue
        if source.sha256 and (found := sha256(path)) != source.sha256:
            raise TableError(
                f"{path}: SHA-256 is {found}, expected {source.sha256}: the file was altered or truncated."
            )
        return path, source
    raise FileNotFoundError(f"None of the sources of {card.name} is there. Tried: {', '.join(tried)}.")


def column_names(path: Path) -> list[str]:
    """Return the columns of a CSV (also .tsv, .gz) or Parquet file without reading its rows."""
    if path.suffix == ".parquet":
        return pq.read_schema(path).names
    return pd.read_csv(path, nrows=0, sep=_separator(path)).columns.tolist()


def _separator(path: Path) -> str:
    return "\t" if ".tsv" in path.suffixes else ","


def _raw_chunks(path: Path, columns: list[str]) -> Iterator[pd.DataFrame]:
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(CHUNK_ROWS, columns=columns):
            yield batch.to_pandas()
    else:
        # Texts stay texts, so that a bad label can be quoted as it stands in the file.
        with pd.read_csv(path, sep=_separator(path), usecols=columns, dtype=object, chunksize=CHUNK_ROWS) as chunks:
            yield from (chunk for chunk in chunks if len(chunk))


def count_rows(path: Path) -> int | None:
    """Return the number of rows where the file says so by itself (Parquet), else None."""
    return pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None


def _floats(values: pd.Series, task: Task, first_row: int, what: str = "row") -> np.ndarray:
    """Return checked float64 values, NaN where unmeasured."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    text = (
        np.isnan(numbers) & values.notna().to_numpy() & (values.astype(str).str.strip().str.lower() != "nan").to_numpy()
    )
    wrong = text | (
        np.abs(numbers) > np.finfo(np.float32).max
    )  # an infinity, or one to be: labels are stored as float32
    expected = "a finite number"
    if task.kind == "binary":
        wrong |= ~np.isnan(numbers) & (numbers != 0) & (numbers != 1)
        expected = "0 or 1"
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise TableError(
            f"{task.dataset}: {what} {first_row + i}, column {task.name!r}: expected {expected} or nothing, "
            f"found {values.astype(object).iloc[i]!r}."
        )
    return numbers


def _arrays(values: pd.Series, task: Task, first_row: int) -> list[np.ndarray | None]:
    """Return one checked array a row for a node or edge task, None where the row has no block."""
    out: list[np.ndarray | None] = []
    for row, value in enumerate(values, first_row):
        if value is None or (np.isscalar(value) and pd.isna(value)):
            out.append(None)
        elif isinstance(value, (list, tuple, np.ndarray)):
            block = pd.Series(list(value), dtype=object)
            out.append(_floats(block, task, 0, f"row {row}, entry"))
        else:
            raise TableError(
                f"{task.dataset}: row {row}, column {task.name!r}: expected a list with one number a "
                f"{'bond' if task.level == 'edge' else 'atom'} ({task.level} level), found {value!r}."
            )
    return out


def read_chunks(card: DataCard) -> Iterator[tuple[int, list, dict[str, np.ndarray | list]]]:
    """Read a dataset's table, `CHUNK_ROWS` rows at a time.

    Yields:
        The first row's number, the SMILES, and the labels by task name: float64 (n,) for graph tasks, a list of n
        arrays (or None) for node and edge tasks, each in the order of the input SMILES.

    Raises:
        TableError: a column is missing, or a label is not what the card declares.
    """
    path, source = locate(card)
    column = {task.name: source.columns.get(task.name, task.name) for task in card.tasks}
    wanted = [source.smiles, *column.values()]
    found = column_names(path)
    if missing := [name for name in wanted if name not in found]:
        raise TableError(
            f"{path.name}: expected the columns {', '.join(wanted[:30])} of card {card.name}, "
            f"but {', '.join(missing[:10])} {'is' if len(missing) == 1 else 'are'} not there. Found: {', '.join(found[:30])}."
        )
    first_row = 0
    for chunk in _raw_chunks(path, wanted):
        labels = {
            task.name: (_floats if task.level == "graph" else _arrays)(chunk[column[task.name]], task, first_row)
            for task in card.tasks
        }
        smiles = [None if pd.isna(text) else text for text in chunk[source.smiles]]
        yield first_row, smiles, labels
        first_row += len(chunk)


def card_from_table(
    data: str | Path | pd.DataFrame, smiles: str = "smiles", tasks: list[str] | dict[str, dict] | None = None
) -> DataCard:
    """Describe a user's own table as a data card.

    Args:
        data: a CSV or Parquet file, or a DataFrame (kept as Parquet in the cache).
        smiles: the SMILES column.
        tasks: label columns, or column -> facts as in a card; None: every other numeric column. A column of zeros and
            ones is binary unless its facts say otherwise.

    Raises:
        TableError: a column is missing or no numeric column is left.
    """
    from molfm.catalog import make_task

    if isinstance(data, pd.DataFrame):
        folder = home() / "tables"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "table.tmp"
        pq.write_table(pa.Table.from_pandas(data, preserve_index=False), path)
        path = path.rename(folder / f"{sha256(path)[:16]}.parquet")
        name = "table"
    else:
        path, name = Path(data).resolve(), Path(data).name.split(".")[0]
        if not path.exists():
            raise TableError(f"There is no table at {path}.")
    found = column_names(path)
    wanted = [smiles, *(tasks or ())]
    if missing := [column for column in wanted if column not in found]:
        raise TableError(
            f"{path.name}: expected the columns {', '.join(wanted)}; {missing[0]!r} is not there. Found: {', '.join(found)}."
        )
    candidates = [column for column in found if column != smiles] if tasks is None else list(tasks)
    facts = dict.fromkeys(candidates) if not isinstance(tasks, dict) else dict(tasks)
    # One pass over all rows: a column that is text in its last row only must not be half a task.
    binary, numeric, measured = dict.fromkeys(candidates, True), dict.fromkeys(candidates, True), set()
    for chunk in _raw_chunks(path, candidates):
        for column in candidates:
            values = chunk[column].dropna()
            if values.map(lambda v: isinstance(v, (list, np.ndarray))).any():
                numeric[column] = binary[column] = False
                continue
            if len(values):
                measured.add(column)
            numbers = pd.to_numeric(values, errors="coerce")
            numeric[column] &= bool(numbers.notna().all())
            binary[column] &= bool(numbers.isin([0, 1]).all())
    made = []
    for column in candidates:
        if tasks is None and not (numeric[column] and column in measured):
            continue
        kind = "binary" if binary[column] and column in measured else "regression"
        made.append(make_task(column, name, {"kind": kind, **(facts[column] or {})}, path.name))
    if not made:
        raise TableError(f"{path.name}: no numeric column beside {smiles!r}. Found: {', '.join(found)}.")
    source = Source(locations=(f"file:{path}",), smiles=smiles)
    return DataCard(name=name, title=path.name, tasks=tuple(made), sources=(source,), folder=path.parent)
