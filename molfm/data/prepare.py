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

import numpy as np
import pandas as pd
import rdkit
from filelock import FileLock

from molfm.base.arrays import joined
from molfm.base.files import home, remove_unfinished, whole, write_json
from molfm.base.progress import tqdm
from molfm.catalog.download import digest
from molfm.catalog.schema import LEVELS, DataCard
from molfm.chem import featurize as _featurize
from molfm.chem.featurize import Changed, Molecules, Rejected, featurize
from molfm.data import tables
from molfm.data.store import Labels, Shard, molecules_of, rejected_of
from molfm.data.tables import Table, TableError, read_chunks

SHARD_CHUNKS = 100  # chunks per shard: 100,000 rows
POOL_FROM_ROWS = 4_000  # up to this number, starting processes costs more than it saves
CHUNKS_UNDER_WAY = 8  # chunks sent to featurizing processes and not yet returned


def _triples(dense: np.ndarray, ptr: np.ndarray, columns: np.ndarray) -> Labels:
    """Turn dense labels (n_items, n_columns), NaN where unmeasured, into triples; molecule i owns ptr[i]:ptr[i+1]."""
    item, place = np.nonzero(~np.isnan(dense))
    molecule = np.searchsorted(ptr, item, side="right") - 1
    return Labels(
        np.searchsorted(molecule, np.arange(len(ptr))),
        (item - ptr[molecule]).astype(np.uint16),
        columns[place],
        dense[item, place].astype(np.float32),
    )


def _label_block(card: DataCard, level: str, found: Molecules, first_row: int, labels: dict) -> Labels:
    """Return one chunk's labels of one level, in the stored order of atoms and bonds."""
    ptr = {"graph": np.arange(len(found.row) + 1), "node": found.atom_ptr, "edge": found.bond_ptr}[level]
    columns = [column for column, task in enumerate(card.tasks) if task.level == level]
    dense = np.full((int(ptr[-1]), len(columns)), np.nan)
    for place, column in enumerate(columns):
        task = card.tasks[column]
        if level == "graph":
            dense[:, place] = labels[task.name][found.row - first_row]
            continue
        for i, row in enumerate(found.row):
            block = labels[task.name][row - first_row]
            if block is None:
                continue
            start, end = ptr[i], ptr[i + 1]
            order, written = found.places[level].order[start:end], found.places[level].written[i]
            if level == "edge" and len(block) == 2 * written:  # both directions of each bond, one after the other
                if not np.array_equal(block[::2], block[1::2], equal_nan=True):
                    raise TableError(
                        f"{card.name}: row {row}, column {task.name!r}: {len(block)} values for {written} bonds of "
                        f"{found.smiles[i]}, but the two directions of a bond differ. Expected both directions of a bond "
                        "side by side with equal values, or one value per bond, in the order of Chem.MolFromSmiles."
                    )
                block = block[::2]
            if len(block) == end - start < written:  # labels of the stored atoms only, none of hydrogens in the input
                order = np.argsort(np.argsort(order))
            elif len(block) != written:
                items = "atoms" if level == "node" else "bonds"
                more = f" ({written} {items} with the hydrogens of the input SMILES)" if written > end - start else ""
                raise TableError(
                    f"{card.name}: row {row}, column {task.name!r}: {len(block)} values for "
                    f"{end - start} {items} of {found.smiles[i]}{more}."
                )
            dense[start:end, place] = block[order]
    return _triples(dense, ptr, np.array(columns, np.uint16))


def chunk_arrays(card: DataCard, chunk: tuple[int, list, dict]) -> tuple[Molecules, dict[str, Labels]]:
    """Featurize one chunk of `read_chunks`; return its molecules and, by level, their labels in the stored order."""
    first_row, smiles, labels = chunk
    found = featurize(smiles, first_row, {task.level for task in card.tasks} - {"graph"})
    return found, {level: _label_block(card, level, found, first_row, labels) for level in LEVELS}


def write_shard(folder: Path, parts: list[tuple[Molecules, dict[str, Labels]]]) -> None:
    """Write one shard, whole or not at all."""
    with whole(folder) as temporary:
        temporary.mkdir()
        _write_files(temporary, parts)


def _write_files(folder: Path, parts: list[tuple[Molecules, dict[str, Labels]]]) -> None:
    """Write the files of a shard, the manifest last."""
    found = [molecules for molecules, _ in parts]
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
        blocks = [labels[level] for _, labels in parts]
        arrays[f"{level}_ptr"] = joined([block.ptr for block in blocks])
        for name in ("item", "task", "value"):
            arrays[f"{level}_{name}"] = np.concatenate([getattr(block, name) for block in blocks])
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    smiles = [key for m in found for key in m.smiles]
    pd.DataFrame({"row": arrays["row"], "smiles": pd.Series(smiles, dtype=str)}).to_parquet(
        folder / "molecules.parquet"
    )
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
            started.append(loky.ProcessPoolExecutor(loky.cpu_count(), timeout=60))
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
                    bar.update(sum(len(smiles) for _, smiles, _ in group))
                    continue
                parts, many = [], sum(len(smiles) for _, smiles, _ in head) > POOL_FROM_ROWS
                for part in _mapped(partial(chunk_arrays, card), group, pool() if many else None):
                    parts.append(part)
                    bar.update(len(part[0].row) + len(part[0].rejected))
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
