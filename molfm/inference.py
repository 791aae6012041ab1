"""From SMILES to tables of predictions, a few thousand molecules at a time: a million take no more memory than these.

A table for millions is written to Parquet in parts, in a hidden folder beside the file that is wanted. Each part is named
after all that it was made from, so that a job that was interrupted goes on; at the end the parts become one file.
"""

import json
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rdkit import Chem
from torch import Tensor
from torch_geometric.data import Batch
from tqdm.auto import tqdm

from molfm.batch import to_batch
from molfm.catalog import LEVELS
from molfm.featurize import Molecules, Rejected, featurize
from molfm.store import in_memory, structure

if TYPE_CHECKING:
    from molfm.model import ModelConfig

PREDICT_BATCH = 256
CHUNK = 4096  # molecules that are featurized together, and a part of a file
_PATIENCE = 2  # seconds without a progress bar


class Predictor(ABC):
    """What can predict and embed: a model, or several that share the tasks among them.

    Attributes:
        config: what a batch must carry.
        tasks: the tasks, a row each, as in `Mix.tasks`.
        card: what is to be known of it, Markdown; "" where nobody wrote it.
    """

    config: "ModelConfig"
    tasks: pd.DataFrame
    card: str = ""

    @abstractmethod
    def values(self, batch: Batch, level: str, chosen: np.ndarray) -> Tensor:
        """Return (n_items, n_columns) of the tasks (rows of `tasks`, all of that level) in the order of `column_names`."""

    @abstractmethod
    def vectors(self, batch: Batch) -> Tensor:
        """Return (n_graphs, channels): what the graph heads read."""

    @abstractmethod
    def column_names(self, chosen: np.ndarray) -> list[str]:
        """Return the columns that `predict` gives these tasks (rows of `tasks`)."""

    @abstractmethod
    def digest(self) -> str:
        """Return a hash of all weights."""

    def predict(
        self,
        smiles: str | Iterable[str],
        level: str = "graph",
        tasks: str | Sequence[str] | None = None,
        out: str | Path | None = None,
        progress: bool = True,
    ) -> pd.DataFrame | Path:
        """Predict tasks of one level: physical units for regression, probabilities for binary tasks.

        An ordinal task has a column of its own name with the expected class, Σ c p_c, and behind it one for the probability
        of each class, such as `l1000_vcap/geneID-16=0`.

        Args:
            smiles: one SMILES or several; with `out` also millions, from any iterable.
            level: "graph": a row a molecule; "node": a row an atom, "edge": a row a bond, in the order of
                `Chem.MolFromSmiles(smiles)`.
            tasks: task ids or bare names; None: all of the level.
            out: a Parquet file to write in place of returning a table. A call that was interrupted goes on where it was if
                it is made again.
            progress: show a progress bar where it takes more than seconds.

        Returns:
            A DataFrame: `mol` (place in the input), `smiles`, at node level `atom` and `element`, at edge level `begin`
            and `end` (the lower number first), then a column a task, float32. A SMILES that is no molecule gives a row
            without values at graph level, none elsewhere, and a warning that names it. With `out` its path; what was no
            molecule is listed beside it, in a file that ends in `.rejected.csv`.

        Raises:
            ValueError: an unknown level or task, or an `out` that is no Parquet file.
        """
        if level not in LEVELS:
            raise ValueError(f"Unknown level {level!r}; expected one of {', '.join(LEVELS)}.")
        chosen = self._chosen(level, tasks)
        names = self.column_names(chosen)
        places = {"graph": (), "node": ("node",), "edge": ("node", "edge")}[level]

        def table(first: int, texts: list[str]) -> tuple[pd.DataFrame, list[Rejected]]:
            found = featurize(texts, levels=places, as_labels=False)
            values = self._of_all(found, lambda batch: self.values(batch, level, chosen), len(names))
            rows = _ROWS[level](found, texts, values, names)
            rows["mol"] += first
            return rows, found.rejected

        if out is None:
            return pd.concat(_in_memory(smiles, table, progress, "prediction"), ignore_index=True)

        def as_arrow(first: int, texts: list[str]) -> tuple[pa.Table, list[Rejected]]:
            rows, rejected = table(first, texts)
            return pa.Table.from_pandas(rows, _schema(rows.columns), preserve_index=False), rejected

        return _to_parquet(smiles, as_arrow, Path(out), [self.digest(), level, names], progress, "prediction")

    def embed(
        self, smiles: str | Iterable[str], out: str | Path | None = None, progress: bool = True
    ) -> np.ndarray | Path:
        """Return the vectors that the graph heads read, (n, channels of the pooling) float32; NaN for what is no molecule.

        Args:
            smiles: one SMILES or several; with `out` also millions, from any iterable.
            out: a Parquet file to write in place of returning an array: `mol`, `smiles`, `embedding` (a list of fixed size).
                Interruptions and what is no molecule are treated as in `predict`.
            progress: show a progress bar where it takes more than seconds.

        Raises:
            ValueError: an `out` that is no Parquet file.
        """
        channels = self.config.pooled_channels

        def array(first: int, texts: list[str]) -> tuple[np.ndarray, list[Rejected]]:
            found = featurize(texts, levels=())
            vectors = np.full((len(texts), channels), np.nan, np.float32)
            vectors[found.row] = self._of_all(found, self.vectors, channels)
            return vectors, found.rejected

        if out is None:
            return np.concatenate(_in_memory(smiles, array, progress, "embedding"))

        def as_arrow(first: int, texts: list[str]) -> tuple[pa.Table, list[Rejected]]:
            vectors, rejected = array(first, texts)
            missing = pa.array(np.isnan(vectors[:, 0]))
            lists = pa.FixedSizeListArray.from_arrays(vectors.ravel(), channels, mask=missing)
            column = pa.array(texts, pa.string())
            return pa.table({"mol": first + np.arange(len(texts)), "smiles": column, "embedding": lists}), rejected

        return _to_parquet(smiles, as_arrow, Path(out), [self.digest(), "embedding"], progress, "embedding")

    def _chosen(self, level: str, tasks: str | Sequence[str] | None) -> np.ndarray:
        of_level = self.tasks.index[self.tasks.level == level]
        if not len(of_level):
            raise ValueError(f"This model has no task at {level} level; it has {', '.join(self.tasks.level.unique())}.")
        if tasks is None:
            return of_level.to_numpy(copy=True)
        chosen, ids = [], self.tasks.task[of_level]
        bare = ids.str.split("/").str[-1]
        for name in [tasks] if isinstance(tasks, str) else tasks:
            match = of_level[(ids == name) | (bare == name)]
            if len(match) != 1:
                few = f"{', '.join(ids[:30])}{f' and {len(ids) - 30} more' if len(ids) > 30 else ''}"
                raise ValueError(f"{len(match)} {level} tasks are called {name!r}; this model has {few}.")
            chosen.append(match[0])
        return np.array(chosen)

    @torch.inference_mode()
    def _of_all(self, found: Molecules, make: Callable[[Batch], Tensor], n_columns: int) -> np.ndarray:
        """Return what `make` makes of all featurized molecules, a batch at a time, (n_items, n_columns)."""
        shard, parts = in_memory(found), [np.zeros((0, n_columns), np.float32)]
        for start in range(0, len(found.row), PREDICT_BATCH):
            local = np.arange(start, min(start + PREDICT_BATCH, len(found.row)))
            parts.append(make(to_batch(structure(shard, local, self.config.encodings))).float().cpu().numpy())
        return np.concatenate(parts)


# ------------------------------------------------------------------------------------------------------------ rows of a level


def _frame(values: np.ndarray, names: list[str], **first: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=names)
    for place, (name, column) in enumerate(first.items()):
        frame.insert(place, name, column)
    return frame


def _schema(columns: Iterable[str]) -> pa.Schema:
    types = dict.fromkeys(("mol", "atom", "begin", "end"), pa.int64()) | dict.fromkeys(
        ("smiles", "element"), pa.string()
    )
    return pa.schema([(name, types.get(name, pa.float32())) for name in columns])


def _graph_rows(found: Molecules, texts: list[str], values: np.ndarray, names: list[str]) -> pd.DataFrame:
    table = np.full((len(texts), len(names)), np.nan, np.float32)
    table[found.row] = values
    return _frame(table, names, mol=np.arange(len(texts)), smiles=np.array(texts, object))


def _in_input_order(found: Molecules, texts: list[str], ptr: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, dict]:
    """Return which stored atom (bond) each row of a table shows, and the columns that say whose it is."""
    sizes = np.diff(ptr)
    back = np.empty(len(order), np.int64)
    back[np.repeat(ptr[:-1], sizes) + order] = np.arange(len(order))
    mol = np.repeat(found.row, sizes)
    return back, {"mol": mol, "smiles": np.array(texts, object)[mol]}


@cache
def _symbols() -> np.ndarray:
    table = Chem.GetPeriodicTable()
    return np.array([table.GetElementSymbol(number) for number in range(119)], object)


def _node_rows(found: Molecules, texts: list[str], values: np.ndarray, names: list[str]) -> pd.DataFrame:
    order = found.places["node"].order
    back, first = _in_input_order(found, texts, found.atom_ptr, order)
    return _frame(values[back], names, **first, atom=order[back], element=_symbols()[found.atoms[back, 0]])


def _edge_rows(found: Molecules, texts: list[str], values: np.ndarray, names: list[str]) -> pd.DataFrame:
    back, first = _in_input_order(found, texts, found.bond_ptr, found.places["edge"].order)
    starts = np.repeat(found.atom_ptr[:-1], np.diff(found.bond_ptr))
    ends = np.sort(found.places["node"].order[starts[:, None] + found.bonds[:, :2]], axis=1)[back]
    return _frame(values[back], names, **first, begin=ends[:, 0], end=ends[:, 1])


_ROWS = {"graph": _graph_rows, "node": _node_rows, "edge": _edge_rows}


# ----------------------------------------------------------------------------------------------------------- chunks and files


def _chunks(smiles: str | Iterable[str], progress: bool) -> Iterator[tuple[int, list[str]]]:
    """Cut SMILES into chunks, each with the place of its first."""
    known = [smiles] if isinstance(smiles, str) else smiles
    total = len(known) if hasattr(known, "__len__") else None
    waiting, first = iter(known), 0
    with tqdm(total=total, unit=" molecules", disable=not progress, delay=_PATIENCE) as bar:
        while given := list(islice(waiting, CHUNK)):
            texts = [text if text is None or isinstance(text, str) else str(text) for text in given]
            yield first, texts
            first += len(texts)
            bar.update(len(texts))


def _warn(rejected: list[Rejected], n: int, what: str, where: str = "") -> None:
    if rejected:
        first = rejected[0]
        warnings.warn(
            f"{len(rejected)} of {n} SMILES have no {what}; the first: {first.smiles!r} at place {first.row}: "
            f"{first.reason}.{where}",
            stacklevel=4,
        )


def _in_memory(smiles: str | Iterable[str], make: Callable, progress: bool, what: str) -> list:
    """Return what `make` makes of each chunk; of an empty one where there is none."""
    parts, rejected, n = [], [], 0
    for first, texts in _chunks(smiles, progress):
        part, bad = make(first, texts)
        parts.append(part)
        rejected += [item._replace(row=item.row + first) for item in bad]
        n += len(texts)
    _warn(rejected, n, what)
    return parts or [make(0, [])[0]]


def _to_parquet(
    smiles: str | Iterable[str], make: Callable, out: Path, request: list, progress: bool, what: str
) -> Path:
    """Write what `make` makes of all chunks to one Parquet file, and what was no molecule to a CSV file beside it."""
    if out.suffix != ".parquet":
        raise ValueError(f"Expected a file that ends in .parquet, found {out}.")
    folder, asked = out.with_name(f".{out.name}.parts"), json.dumps(request).encode()
    folder.mkdir(parents=True, exist_ok=True)
    parts, n = [], 0
    for first, texts in _chunks(smiles, progress):
        digest = blake2b(asked + json.dumps([first, texts]).encode(), digest_size=12).hexdigest()
        parts.append(folder / f"{digest}.parquet")
        n += len(texts)
        if not parts[-1].exists():
            table, rejected = make(first, texts)
            bad = json.dumps([(item.row + first, item.smiles, item.reason) for item in rejected])
            _write(parts[-1], [table.replace_schema_metadata({"rejected": bad})])
    whole = (pq.read_table(part).replace_schema_metadata() for part in parts) if parts else [make(0, [])[0]]
    _write(folder / "whole.parquet", whole)
    (folder / "whole.parquet").replace(out)
    rejected = [Rejected(*item) for part in parts for item in json.loads(pq.read_schema(part).metadata[b"rejected"])]
    beside = out.with_suffix(".rejected.csv")
    beside.unlink(missing_ok=True)
    if rejected:
        pd.DataFrame(rejected, columns=["mol", "smiles", "reason"]).to_csv(beside, index=False)
    shutil.rmtree(folder)
    _warn(rejected, n, what, f" All of them: {beside}.")
    return out


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables to one file, whole or not at all."""
    temporary, writer = path.with_suffix(".tmp"), None
    for table in tables:
        writer = writer or pq.ParquetWriter(temporary, table.schema)
        writer.write_table(table)
    writer.close()
    temporary.replace(path)
