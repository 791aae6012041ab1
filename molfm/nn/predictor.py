"""Prediction and embedding: from SMILES to tables or files, a few thousand molecules at a time (`data/stream.py`)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from rdkit import Chem
from torch import Tensor
from torch_geometric.data import Batch

from molfm.base.errors import InputError
from molfm.base.names import TaskName, listed, resolve
from molfm.batches.batch import to_batch
from molfm.catalog.schema import LEVELS
from molfm.chem.featurize import Molecules, Rejected, featurize
from molfm.data.cells import read_features
from molfm.data.store import in_memory, structure
from molfm.data.stream import map_chunks, map_to_file
from molfm.data.tables import SmilesTable, check_columns
from molfm.nn.config import ModelConfig

PREDICT_BATCH = 256


class Predictor(ABC):
    """Base of everything that predicts and embeds: one model, or several that divide the tasks among them.

    Attributes:
        config: settings of the network; they say which encodings a batch must carry.
        tasks: one row per task, as in `Mix.tasks`.
        card: the model card in Markdown; "" if there is none.
    """

    config: ModelConfig
    tasks: pd.DataFrame
    card: str = ""

    @abstractmethod
    def values(self, batch: Batch, level: str, chosen: np.ndarray) -> Tensor:
        """Predict tasks of one level, given as rows of `tasks`: (n_items, n_columns), ordered as `column_names`."""

    @abstractmethod
    def vectors(self, batch: Batch) -> Tensor:
        """Return the embeddings that graph heads read, (n_graphs, channels)."""

    @abstractmethod
    def column_names(self, chosen: np.ndarray) -> list[str]:
        """Return the names of the columns that `predict` makes for tasks, given as rows of `tasks`."""

    @abstractmethod
    def digest(self) -> str:
        """Return a hash of all weights."""

    def predict(
        self,
        smiles: str | Iterable[str] | SmilesTable,
        level: str = "graph",
        tasks: str | Sequence[str] | None = None,
        out: str | Path | None = None,
        progress: bool = True,
        features: pd.DataFrame | None = None,
    ) -> pd.DataFrame | Path:
        """Predict tasks of one level: physical units for regression, probabilities for binary tasks.

        An ordinal task has a column with its expected class, Σ c p_c, followed by one column per class with its
        probability, such as `l1000_vcap/geneID-16=0`.

        Args:
            smiles: one SMILES or several; with `out` also millions, from any iterable. For a `data.tables.SmilesTable`,
                the rows of the file come first, and "molfm " is put before the name of a column that they have too.
            level: "graph" for one row per molecule, "node" for one per atom, "edge" for one per bond; atoms and bonds
                are in the order of `Chem.MolFromSmiles(smiles)`.
            tasks: task ids, names or datasets; None for all tasks of the level.
            out: Parquet or CSV file to write instead of returning a table. If the call is interrupted, the same call resumes.
            progress: show a progress bar if prediction takes more than two seconds.
            features: for graph tasks of a model that was trained with features, such as a pH: a table with these columns
                and one row per SMILES. A `SmilesTable` has them itself. A row that lacks one counts as invalid.

        Returns:
            A DataFrame with `mol_id` (position in the input), `smiles`, at node level `atom` and `element`, at edge
            level `begin` and `end` (the lower atom number first), then one float32 column per task. Invalid SMILES give
            an empty row at graph level and no rows at other levels; a warning names the first one. With `out`, its path
            is returned and invalid SMILES are listed beside it, in a file that ends in `.rejected.csv`.

        Raises:
            TypeError: `smiles` is a table, a path or None.
            ValueError: the level or a task is unknown, `tasks` is empty, or `out` ends neither in .parquet nor in .csv.
        """
        if level not in LEVELS:
            raise InputError(f"Unknown level {level!r}; expected one of {', '.join(LEVELS)}.")
        chosen = self._chosen(level, tasks)
        names = self.column_names(chosen)
        places = {"graph": (), "node": ("node",), "edge": ("node", "edge")}[level]

        wanted = self.config.features if level == "graph" else ()
        if wanted and not isinstance(smiles, SmilesTable):
            _check_features(features, wanted)

        def table(first: int, texts: list[str], rest: pd.DataFrame | None) -> tuple[pd.DataFrame, list[Rejected]]:
            found = featurize(texts, levels=places, as_labels=False)
            rejected, numbers = found.rejected, None
            if wanted:
                rest = features.iloc[first : first + len(texts)] if rest is None else rest
                check_columns("The table to predict", rest.columns, wanted)
                numbers = read_features(rest[list(wanted)], "Features", first).astype(np.float32)
                rejected = [*rejected, *_lacking(found, texts, numbers, wanted)]
            values = self._by_batch(found, lambda batch: self.values(batch, level, chosen), len(names), numbers)
            rows = _ROWS[level](found, texts, values, names)
            rows["mol_id"] += first
            return rows, rejected

        if out is None:
            return pd.concat(map_chunks(smiles, table, progress, "prediction"), ignore_index=True)

        def as_arrow(first: int, texts: list[str], rest: pd.DataFrame | None = None) -> tuple[pa.Table, list[Rejected]]:
            rows, rejected = table(first, texts, rest)
            return pa.Table.from_pandas(rows, _schema(rows.columns), preserve_index=False), rejected

        return map_to_file(smiles, as_arrow, Path(out), [self.digest(), level, names], progress, "prediction")

    def embed(
        self, smiles: str | Iterable[str] | SmilesTable, out: str | Path | None = None, progress: bool = True
    ) -> np.ndarray | Path:
        """Return the vectors that the graph heads read, (n, pooled channels) float32; NaN for invalid SMILES.

        Args:
            smiles: one SMILES or several; with `out` also millions, from any iterable.
            out: Parquet file to write instead of returning an array, with `mol_id`, `smiles` and `embedding` (a list of
                fixed size, null for invalid SMILES). It resumes and lists invalid SMILES like `predict`.
            progress: show a progress bar if embedding takes more than two seconds.

        Raises:
            TypeError: `smiles` is a table, a path or None.
            ValueError: `out` does not end in .parquet.
        """
        channels = self.config.pooled_channels

        def array(first: int, texts: list[str], _=None) -> tuple[np.ndarray, list[Rejected]]:
            found = featurize(texts, levels=())
            vectors = np.full((len(texts), channels), np.nan, np.float32)
            vectors[found.row] = self._by_batch(found, self.vectors, channels)
            return vectors, found.rejected

        if out is None:
            return np.concatenate(map_chunks(smiles, array, progress, "embedding"))

        def as_arrow(first: int, texts: list[str], _=None) -> tuple[pa.Table, list[Rejected]]:
            vectors, rejected = array(first, texts)
            missing = pa.array(np.isnan(vectors[:, 0]))
            lists = pa.FixedSizeListArray.from_arrays(vectors.ravel(), channels, mask=missing)
            column = pa.array(texts, pa.string())
            return pa.table({"mol_id": first + np.arange(len(texts)), "smiles": column, "embedding": lists}), rejected

        return map_to_file(smiles, as_arrow, Path(out), [self.digest(), "embedding"], progress, "embedding")

    def _chosen(self, level: str, tasks: str | Sequence[str] | None) -> np.ndarray:
        """Return the rows of `tasks` that names refer to at a level; None for all."""
        of_level = self.tasks[self.tasks.level == level]
        if not len(of_level):
            raise InputError(f"This model has no task at {level} level; it has {', '.join(self.tasks.level.unique())}.")
        if tasks is None:
            return of_level.index.to_numpy(copy=True)
        names = of_level.reindex(columns=["task", "dataset", "level", "family"], fill_value="")
        named = [TaskName(*row) for row in names.itertuples(index=False)]
        wanted, where = [tasks] if isinstance(tasks, str) else list(tasks), f"this model at {level} level"
        if not wanted:
            raise InputError("Expected at least one task, found none. Leave out `tasks` for all tasks of the level.")
        places = dict.fromkeys(place for name in wanted for place in resolve(name, named, where))
        return of_level.index.to_numpy()[list(places)]

    @torch.inference_mode()
    def _by_batch(
        self,
        found: Molecules,
        make: Callable[[Batch], Tensor],
        n_columns: int,
        features: np.ndarray | None = None,
    ) -> np.ndarray:
        """Apply `make` to featurized molecules batch by batch, and return all rows, (n_items, n_columns).

        `features` (n_input, n_features) has a row for every input, also for those without a molecule. Rows that lack a
        feature give NaN.
        """
        shard, parts = in_memory(found), [np.zeros((0, n_columns), np.float32)]
        for start in range(0, len(found.row), PREDICT_BATCH):
            local = np.arange(start, min(start + PREDICT_BATCH, len(found.row)))
            arrays = structure(shard, local, self.config.encodings)
            if features is not None:
                arrays["features"] = features[found.row[local]]
            parts.append(make(to_batch(arrays)).float().cpu().numpy())
            if features is not None:
                parts[-1][np.isnan(arrays["features"]).any(1)] = np.nan
        return np.concatenate(parts)


def _check_features(features: pd.DataFrame | None, wanted: Sequence[str]) -> None:
    """Raise an error unless the features that a model was trained with are given."""
    if not isinstance(features, pd.DataFrame):
        raise InputError(
            f"This model was trained with {listed(wanted)} beside the molecules: give features=…, a table with "
            f"{'this column' if len(wanted) == 1 else 'these columns'} and one row per SMILES."
        )
    check_columns("features", features.columns, wanted)


def _lacking(
    found: Molecules, texts: Sequence[str | None], features: np.ndarray, names: Sequence[str]
) -> Iterator[Rejected]:
    """Yield the valid molecules that lack a feature."""
    for row in found.row[np.isnan(features[found.row]).any(1)]:
        yield Rejected(int(row), texts[row], f"no value of {names[np.isnan(features[row]).argmax()]!r}")


# ------------------------------------------------------------------------------------------------------ rows of a level


def _frame(values: np.ndarray, names: list[str], **first: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=names)
    for place, (name, column) in enumerate(first.items()):
        frame.insert(place, name, column)
    return frame


def _schema(columns: Iterable[str]) -> pa.Schema:
    types = dict.fromkeys(("mol_id", "atom", "begin", "end"), pa.int64()) | dict.fromkeys(
        ("smiles", "element"), pa.string()
    )
    return pa.schema([(name, types.get(name, pa.float32())) for name in columns])


def _graph_rows(found: Molecules, texts: list[str], values: np.ndarray, names: list[str]) -> pd.DataFrame:
    table = np.full((len(texts), len(names)), np.nan, np.float32)
    table[found.row] = values
    return _frame(table, names, mol_id=np.arange(len(texts)), smiles=np.array(texts, object))


def _in_input_order(found: Molecules, texts: list[str], ptr: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, dict]:
    """Return the stored atom (or bond) of each row of a table, and the columns that name its molecule."""
    sizes = np.diff(ptr)
    back = np.empty(len(order), np.int64)
    back[np.repeat(ptr[:-1], sizes) + order] = np.arange(len(order))
    mol = np.repeat(found.row, sizes)
    return back, {"mol_id": mol, "smiles": np.array(texts, object)[mol]}


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
