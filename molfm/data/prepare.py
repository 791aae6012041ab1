"""Prepares a table: featurizes it chunk by chunk into the store that `store.py` opens.

Large tables use several processes, interrupted work resumes, and one shard bounds the memory.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import rdkit
from filelock import FileLock

from molfm.base.arrays import joined
from molfm.base.files import home, remove_unfinished, whole, write_json
from molfm.base.processes import leave_interrupts_to_parent
from molfm.base.progress import tqdm
from molfm.catalog.download import digest
from molfm.catalog.schema import LEVELS, DataCard, Task
from molfm.chem import featurize as _featurize
from molfm.chem.featurize import Changed, Molecules, Rejected, featurize
from molfm.data import tables
from molfm.data.cells import TableError, Values
from molfm.data.store import Labels, Shard, molecules_of, rejected_of
from molfm.data.tables import Chunk, Table, read_chunks

SHARD_CHUNKS = 100  # chunks per shard: 100,000 rows
POOL_FROM_ROWS = 4_000  # up to this number, starting processes costs more than it saves
_STORED = ("id", "weight", "relation", "features")  # roles that shape the arrays
CHUNKS_UNDER_WAY = 8  # chunks sent to featurizing processes and not yet returned


def _triples(
    dense: Values, ptr: np.ndarray, columns: np.ndarray, weights: dict[int, np.ndarray], weighted: bool
) -> Labels:
    """Turn dense labels (n_items, n_columns), NaN where unmeasured, into triples; molecule i owns ptr[i]:ptr[i+1].

    Args:
        dense: values and sides.
        columns: (n_columns,) number of each column's task.
        weights: place of a column -> weight of each molecule.
        weighted: whether the card has weights.
    """
    item, place = np.nonzero(~np.isnan(dense.value))
    molecule = np.searchsorted(ptr, item, side="right") - 1
    side, weight = dense.side[item, place], None
    if weighted:
        weight = np.ones(len(item), np.float32)
        for column, of in weights.items():
            weight[place == column] = of[molecule[place == column]]
    return Labels(
        np.searchsorted(molecule, np.arange(len(ptr))),
        (item - ptr[molecule]).astype(np.uint16),
        columns[place],
        dense.value[item, place].astype(np.float32),
        side if side.any() else None,
        weight,
    )


def _label_block(card: DataCard, level: str, found: Molecules, chunk: Chunk) -> Labels:
    """Return one chunk's labels of one level, in the stored order of atoms and bonds."""
    ptr = {"graph": np.arange(len(found.row) + 1), "node": found.atom_ptr, "edge": found.bond_ptr}[level]
    columns = [column for column, task in enumerate(card.tasks) if task.level == level]
    shape, row = (int(ptr[-1]), len(columns)), found.row - chunk.first_row
    dense = Values(np.full(shape, np.nan), np.zeros(shape, np.int8))
    for place, column in enumerate(columns):
        task = card.tasks[column]
        if level == "graph":
            for of, cells in zip(dense, chunk.labels[task.name], strict=True):
                of[:, place] = cells[row]
            continue
        for i, number in enumerate(row):
            if (block := chunk.labels[task.name][number]) is not None:
                order = _order(card, task, found, i, block.value)
                for of, cells in zip(dense, block, strict=True):
                    of[ptr[i] : ptr[i + 1], place] = cells[order]
    names = [card.tasks[column].name for column in columns]
    weights = {place: chunk.weights[name][row] for place, name in enumerate(names) if name in chunk.weights}
    return _triples(dense, ptr, np.array(columns, np.uint16), weights, bool(chunk.weights))


def _order(card: DataCard, task: Task, found: Molecules, i: int, block: np.ndarray) -> np.ndarray:
    """Return the places in a list of labels of the stored atoms (or bonds) of molecule i.

    Raises:
        TableError: the list is neither of the atoms of the SMILES nor of the stored ones.
    """
    ptr = found.atom_ptr if task.level == "node" else found.bond_ptr
    row, n_stored = found.row[i], ptr[i + 1] - ptr[i]
    order, written = found.places[task.level].order[ptr[i] : ptr[i + 1]], found.places[task.level].written[i]
    length, step = len(block), 1
    if task.level == "edge" and length == 2 * written:  # both directions of each bond, one after the other
        if not np.array_equal(block[::2], block[1::2], equal_nan=True):
            raise TableError(
                f"{card.name}: row {row}, column {task.name!r}: {length} values for {written} bonds of "
                f"{found.smiles[i]}, but the two directions of a bond differ. Expected both directions of a bond "
                "side by side with equal values, or one value per bond, in the order of Chem.MolFromSmiles."
            )
        length, step = written, 2
    if length == n_stored < written:  # labels of the stored atoms only, none of hydrogens in the input
        order = np.argsort(np.argsort(order))
    elif length != written:
        items = "atoms" if task.level == "node" else "bonds"
        more = f" ({written} {items} with the hydrogens of the input SMILES)" if written > n_stored else ""
        raise TableError(
            f"{card.name}: row {row}, column {task.name!r}: {length} values for "
            f"{n_stored} {items} of {found.smiles[i]}{more}."
        )
    return step * order


class Part(NamedTuple):
    """One chunk on its way to the disk."""

    molecules: Molecules
    labels: dict[str, Labels]  # by level, in the stored order
    features: np.ndarray | None  # (n, n_features) float32
    ids: list[str | None] | None


def chunk_arrays(card: DataCard, chunk: Chunk) -> Part:
    """Featurize one chunk of `read_chunks`. Rows that lack a feature are rejected."""
    unknown = np.isnan(chunk.features)
    lacking = {int(row): chunk.feature_names[unknown[row].argmax()] for row in np.flatnonzero(unknown.any(1))}
    smiles = [None if row in lacking else text for row, text in enumerate(chunk.smiles)] if lacking else chunk.smiles
    found = featurize(smiles, chunk.first_row, {task.level for task in card.tasks} - {"graph"})
    rejected = [
        Rejected(item.row, chunk.smiles[place] or "", f"no value in column {lacking[place]!r}")
        if (place := item.row - chunk.first_row) in lacking
        else item
        for item in found.rejected
    ]
    found, row = found._replace(rejected=rejected), found.row - chunk.first_row
    return Part(
        found,
        {level: _label_block(card, level, found, chunk) for level in LEVELS},
        chunk.features[row].astype(np.float32) if chunk.features.shape[1] else None,
        [chunk.ids[place] for place in row] if chunk.ids else None,
    )


def write_shard(folder: Path, parts: list[Part]) -> None:
    """Write one shard, whole or not at all."""
    with whole(folder) as temporary:
        temporary.mkdir()
        _write_files(temporary, parts)


def _write_files(folder: Path, parts: list[Part]) -> None:
    """Write the files of a shard, the manifest last."""
    found = [part.molecules for part in parts]
    bonds = np.concatenate([m.bonds for m in found])
    far = np.flatnonzero((bonds[:, :2] > 255).any(1))
    arrays = {
        "row": np.concatenate([m.row for m in found]),
        "identity": np.concatenate([m.identity for m in found]),
        "atoms": np.concatenate([m.atoms for m in found]),
        "atom_ptr": joined([m.atom_ptr for m in found]),
        "bonds": bonds.astype(np.uint8),  # modulo 256, so that large molecules take no space from small ones
        "bond_ptr": joined([m.bond_ptr for m in found]),
        "far_bond": far,
        "far_ends": bonds[far, :2].astype(np.uint16),
    }
    for level in LEVELS:
        blocks = [part.labels[level] for part in parts]
        arrays[f"{level}_ptr"] = joined([block.ptr for block in blocks])
        for name in ("item", "task", "value"):
            arrays[f"{level}_{name}"] = np.concatenate([getattr(block, name) for block in blocks])
        if any(block.side is not None for block in blocks):
            sides = [np.zeros(len(block.item), np.int8) if block.side is None else block.side for block in blocks]
            arrays[f"{level}_side"] = np.concatenate(sides)
        if blocks[0].weight is not None:
            arrays[f"{level}_weight"] = np.concatenate([block.weight for block in blocks])
    if parts[0].features is not None:
        arrays["features"] = np.concatenate([part.features for part in parts])
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    smiles = [key for m in found for key in m.smiles]
    table = pd.DataFrame({"row": arrays["row"], "smiles": pd.Series(smiles, dtype=str)})
    if parts[0].ids is not None:
        table["id"] = pd.Series([name for part in parts for name in part.ids], dtype=str)
    table.to_parquet(folder / "molecules.parquet")
    for name, kind in (("rejected", Rejected), ("changed", Changed)):
        listed = pd.DataFrame([row for m in found for row in getattr(m, name)], columns=kind._fields)
        listed.astype(dict(zip(kind._fields, (int, str, str), strict=True))).to_parquet(folder / f"{name}.parquet")
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    write_json(folder / "manifest.json", {"molecules": len(smiles), "sizes": sizes})


def _finished_shards(folder: Path) -> list[Path] | None:
    """Return the shards of a finished store, or None if it is unfinished or damaged."""
    try:
        shards = [folder / name for name in json.loads((folder / "done.json").read_text())]
    except (OSError, ValueError):
        return None
    return shards if all(map(is_whole, shards)) else None


def is_whole(folder: Path) -> bool:
    """Return whether all files of a shard have the size that its manifest says."""
    try:
        sizes = json.loads((folder / "manifest.json").read_text())["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def store_folder(table: Table) -> Path:
    """Return the folder of a table's store, named after the table's content and all settings that shape the arrays."""
    card, source = table.card, table.source
    settings = {
        "table": [digest(path, card.name) for path in table.paths],
        "source": [source.smiles, source.columns, {name: vars(item) for name, item in source.atomization.items()}],
        "tasks": [(task.name, task.level, task.kind, task.classes) for task in card.tasks],
        "featurizer": [_featurize.VERSION, rdkit.__version__],
    }
    roles = {role: value for role, value in vars(source.roles).items() if value and role in _STORED}
    if roles or source.negative_log:  # else the name is that of former versions
        settings["roles"] = [roles, source.negative_log]
    text = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return home() / "prepared" / f"{card.name}-{text}"


def _mapped(function, chunks: Iterable, executor: Executor | None) -> Iterator:
    """Map a function over chunks in order, at most `CHUNKS_UNDER_WAY` at once, so memory stays bounded."""
    if executor is None:
        yield from map(function, chunks)
        return
    chunks, waiting = iter(chunks), []
    for chunk in chunks:
        waiting.append(executor.submit(function, chunk))
        if len(waiting) >= CHUNKS_UNDER_WAY:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


@contextmanager
def worker_pool() -> Iterator[Callable[[], Executor | None]]:
    """Provide a function that starts featurizing processes at its first call, and stop them when the block ends.

    The function returns None if only one core is available.
    """
    started: list[Executor] = []

    def get() -> Executor | None:
        import loky  # its workers need no `if __name__ == "__main__"` in the user's script

        if not started and loky.cpu_count() > 1:
            # The timeout ends idle workers even if this process is killed.
            started.append(
                loky.ProcessPoolExecutor(loky.cpu_count(), timeout=60, initializer=leave_interrupts_to_parent)
            )
        return started[0] if started else None

    try:
        yield get
    finally:
        for pool in started:
            pool.shutdown()


def prepare(table: Table, progress: bool = True, pool: Callable[[], Executor | None] = lambda: None) -> list[Path]:
    """Featurize a table into its store, unless it is there already, and return the folders of its shards.

    Finished shards are kept when the work is interrupted; row groups of a Parquet file that belong to them are not read
    again. A damaged shard is made again, with a warning. Memory is bounded by one shard, whatever the table's length.

    Args:
        table: the dataset's table.
        progress: show a progress bar.
        pool: function that returns the executor for tables of more than `POOL_FROM_ROWS` rows: any of
            `concurrent.futures`, such as a Dask client's; see `worker_pool`. If it returns None, this process
            featurizes.

    Raises:
        TableError: the table has no rows, or does not hold what the card says.
    """
    card, folder = table.card, store_folder(table)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if finished := _finished_shards(folder):
            return finished
        if any(folder.glob("shard-*")):
            message = f"The store of {card.name} is incomplete or damaged; its missing shards are made again."
            warnings.warn(message, stacklevel=2)
        shards: list[Path] = []
        while is_whole(ready := folder / f"shard-{len(shards):05d}"):
            shards.append(ready)
        if shards and len(rejected_of(shards[-1])) + len(molecules_of(shards[-1])) < SHARD_CHUNKS * tables.CHUNK_ROWS:
            shards.pop()  # the table's last shard: reading would start beyond the end
        first_row = len(shards) * SHARD_CHUNKS * tables.CHUNK_ROWS
        chunks = read_chunks(table, first_row)
        desc, unit = f"Preparing {card.name}", " rows"
        with tqdm(total=table.n_rows(), initial=first_row, desc=desc, unit=unit, disable=not progress) as bar:
            enough = min(SHARD_CHUNKS, POOL_FROM_ROWS // tables.CHUNK_ROWS + 1)  # rows to decide on processes
            while head := list(islice(chunks, enough)):
                group = chain(head, islice(chunks, SHARD_CHUNKS - len(head)))
                shard = folder / f"shard-{len(shards):05d}"
                shards.append(shard)
                if is_whole(shard):
                    bar.update(sum(len(chunk.smiles) for chunk in group))
                    continue
                parts, many = [], sum(len(chunk.smiles) for chunk in head) > POOL_FROM_ROWS
                for part in _mapped(partial(chunk_arrays, card), group, pool() if many else None):
                    parts.append(part)
                    bar.update(len(part.molecules.row) + len(part.molecules.rejected))
                remove_unfinished(shard)
                write_shard(shard, parts)
        if not shards:
            raise TableError(f"{card.name}: the table has no rows.")
        write_json(folder / "done.json", [shard.name for shard in shards])
    return shards


def make_scaffolds(shards: Sequence[Shard], progress: bool, pool: Callable[[], Executor | None]) -> None:
    """Compute the scaffolds that shards lack, in several processes if there are many molecules (`worker_pool`)."""
    missing = [shard for shard in shards if not shard.has("scaffold")]
    n_molecules = sum(len(shard.row) for shard in missing)
    executor = pool() if n_molecules > POOL_FROM_ROWS else None
    with tqdm(total=n_molecules, desc="Scaffolds", unit=" molecules", disable=not progress or not missing) as bar:
        for n_made in _mapped(_make_scaffold, missing, executor):
            bar.update(n_made)


def _make_scaffold(shard: Shard) -> int:
    return len(shard.scaffold)
