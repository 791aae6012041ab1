"""The prepared store: a folder a shard, flat arrays that are memory-mapped and never copied as a whole.

    <name>-<hash of table, card and featurizer>/shard-00000/
        molecules.parquet   row, smiles (the key)
        rejected.parquet    row, smiles, reason
        row.npy             (n,) row of the table: what an official split goes by
        identity.npy        (n, 2) hashes of key and constitution: joins and splits
        atoms.npy, atom_ptr.npy, bonds.npy, bond_ptr.npy      see featurize.Molecules
        {graph,node,edge}_{ptr,item,task,value}.npy           labels as triples, molecule by molecule
        manifest.json       written last: sizes of all files, so that a half-written shard is seen and redone
        scaffold.npy        (n,) hashes of scaffolds, made when they are first asked for
        encoding-*.npy      positional encodings, a file for each name of encodings.py, likewise

A label is (item, task, value): item is the number of the atom or bond in its molecule (0 for the graph itself), task the
column in the card. What was not measured is not there.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import rdkit
from filelock import FileLock
from tqdm.auto import tqdm

from molfm import featurize as _featurize
from molfm import tables
from molfm.catalog import LEVELS, DataCard
from molfm.download import digest, home
from molfm.encodings import WALK, encoding
from molfm.encodings import field as field_of
from molfm.featurize import Molecules, featurize, scaffolds, spans
from molfm.tables import Table, TableError, read_chunks

SHARD_CHUNKS = 100  # chunks of CHUNK_ROWS rows in a shard: 100,000 rows
POOL_FROM_ROWS = 4_000  # below it, starting processes costs more than it saves
CHUNKS_UNDER_WAY = 8  # handed to featurizing processes and not yet back


class Labels(NamedTuple):
    """The labels of one level as triples; molecule i owns ptr[i]:ptr[i+1]."""

    ptr: np.ndarray  # (n + 1,) int64
    item: np.ndarray  # (n_labels,) uint16, atom or bond in its molecule; 0 at graph level
    task: np.ndarray  # (n_labels,) uint16, column in the card
    value: np.ndarray  # (n_labels,) float32, in the card's units


@dataclass(frozen=True, eq=False)
class Shard:
    """One opened shard; its arrays are memory maps, or plain arrays for molecules that never were on disk."""

    row: np.ndarray
    identity: np.ndarray
    atoms: np.ndarray
    atom_ptr: np.ndarray
    bonds: np.ndarray
    bond_ptr: np.ndarray
    labels: dict[str, Labels]  # by level
    folder: Path | None = None
    _encodings: dict[str, np.ndarray] = field(default_factory=dict)  # those asked for so far

    def __reduce__(self):
        """A shard on disk travels to another process as its folder's name, not as its arrays."""
        return open_shard, (self.folder,)

    @cached_property
    def scaffold(self) -> np.ndarray:
        """(n,) uint64, hashes of the scaffolds; computed once, then read from beside the shard."""
        return self._kept("scaffold", lambda: scaffolds(molecules_of(self.folder).smiles))

    def encoding(self, name: str) -> np.ndarray:
        """(n_atoms, …) float16, a positional encoding (`encodings.encoding`); likewise."""
        if name not in self._encodings:
            make = partial(encoding, name, self.atom_ptr, self.bonds, self.bond_ptr)
            self._encodings[name] = self._kept(f"encoding-{name}", make)
        return self._encodings[name]

    def has(self, name: str) -> bool:
        """Return whether an array that is made when it is asked for is there already, such as "scaffold"."""
        return (self.folder / f"{name}.npy").exists()

    def _kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.npy"
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                temporary = path.with_suffix(".tmp.npy")
                np.save(temporary, make())
                temporary.replace(path)
        return _memory_map(path)


def _memory_map(path: Path) -> np.ndarray:
    # A plain array over the map: np.memmap itself runs Python code at every indexing, which a batch does hundreds of times.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _triples(dense: np.ndarray, ptr: np.ndarray, columns: np.ndarray) -> Labels:
    """Turn a dense block (n_items, n_columns), NaN where unmeasured, of molecules ptr (n + 1,) into triples."""
    item, place = np.nonzero(~np.isnan(dense))
    molecule = np.searchsorted(ptr, item, side="right") - 1
    return Labels(
        np.searchsorted(molecule, np.arange(len(ptr))),
        (item - ptr[molecule]).astype(np.uint16),
        columns[place],
        dense[item, place].astype(np.float32),
    )


def _label_block(card: DataCard, level: str, found: Molecules, first_row: int, labels: dict) -> Labels:
    """Bring one chunk's labels of one level into the stored order of atoms and bonds."""
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
            if len(block) == end - start < written:  # labels of the stored atoms only: hydrogens written out have none
                order = np.argsort(np.argsort(order))
            elif len(block) != written:
                items = "atoms" if level == "node" else "bonds"
                more = f" ({written} {items} with the hydrogens that are written out)" if written > end - start else ""
                if level == "edge" and len(block) == 2 * written:
                    more += ": one a direction? Give one a bond, in the order of Chem.MolFromSmiles"
                raise TableError(
                    f"{card.name}: row {row}, column {task.name!r}: {len(block)} values for "
                    f"{end - start} {items} of {found.smiles[i]}{more}."
                )
            dense[start:end, place] = block[order]
    return _triples(dense, ptr, np.array(columns, np.uint16))


def pointer(counts: np.ndarray) -> np.ndarray:
    """Return (n + 1,) starts for (n,) counts."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def structure(shard: Shard, local: np.ndarray, encodings: Sequence[str] = (WALK,)) -> dict[str, np.ndarray]:
    """Gather the atoms and bonds of some molecules of a shard, by their numbers in it, with these encodings of them."""
    num_atoms = shard.atom_ptr[local + 1] - shard.atom_ptr[local]
    num_bonds = shard.bond_ptr[local + 1] - shard.bond_ptr[local]
    atoms, bonds = spans(shard.atom_ptr[local], num_atoms), spans(shard.bond_ptr[local], num_bonds)
    out = {"num_atoms": num_atoms, "num_bonds": num_bonds, "atoms": shard.atoms[atoms], "bonds": shard.bonds[bonds]}
    return out | {field_of(name): shard.encoding(name)[atoms] for name in encodings}


def _joined(pointers: list[np.ndarray]) -> np.ndarray:
    """Concatenate pointer arrays (n_k + 1,), each starting at 0, into one."""
    return pointer(np.concatenate([np.diff(p) for p in pointers]))


def chunk_arrays(card: DataCard, chunk: tuple[int, list, dict]) -> tuple[Molecules, dict[str, Labels]]:
    """Featurize one chunk of `read_chunks`: its molecules, and by level their labels in the stored order."""
    first_row, smiles, labels = chunk
    found = featurize(smiles, first_row, {task.level for task in card.tasks} - {"graph"})
    return found, {level: _label_block(card, level, found, first_row, labels) for level in LEVELS}


def write_shard(folder: Path, parts: list[tuple[Molecules, dict[str, Labels]]]) -> None:
    """Write one shard, whole or not at all."""
    temporary = folder.with_suffix(".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    found = [molecules for molecules, _ in parts]
    arrays = {
        "row": np.concatenate([m.row for m in found]),
        "identity": np.concatenate([m.identity for m in found]),
        "atoms": np.concatenate([m.atoms for m in found]),
        "atom_ptr": _joined([m.atom_ptr for m in found]),
        "bonds": np.concatenate([m.bonds for m in found]),
        "bond_ptr": _joined([m.bond_ptr for m in found]),
    }
    for level in LEVELS:
        blocks = [labels[level] for _, labels in parts]
        arrays[f"{level}_ptr"] = _joined([block.ptr for block in blocks])
        for name in ("item", "task", "value"):
            arrays[f"{level}_{name}"] = np.concatenate([getattr(block, name) for block in blocks])
    for name, array in arrays.items():
        np.save(temporary / f"{name}.npy", array)
    smiles = [key for m in found for key in m.smiles]
    pd.DataFrame({"row": arrays["row"], "smiles": pd.Series(smiles, dtype=str)}).to_parquet(
        temporary / "molecules.parquet"
    )
    rejected = pd.DataFrame([r for m in found for r in m.rejected], columns=["row", "smiles", "reason"])
    rejected.astype({"row": int, "smiles": str, "reason": str}).to_parquet(temporary / "rejected.parquet")
    sizes = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
    (temporary / "manifest.json").write_text(json.dumps({"molecules": len(smiles), "sizes": sizes}, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def _finished_shards(folder: Path) -> list[Path] | None:
    """Return the shards of a finished store, or None where it is unfinished or damaged."""
    try:
        shards = [folder / name for name in json.loads((folder / "done.json").read_text())]
    except (OSError, ValueError):
        return None
    return shards if all(map(is_whole, shards)) else None


def is_whole(folder: Path) -> bool:
    """Return whether a shard's files all have the size its manifest says."""
    try:
        sizes = json.loads((folder / "manifest.json").read_text())["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def open_shard(folder: Path) -> Shard:
    """Open a shard; nothing is read but the headers of its arrays."""

    def load(name: str) -> np.ndarray:
        return _memory_map(folder / f"{name}.npy")

    labels = {level: Labels(*(load(f"{level}_{name}") for name in Labels._fields)) for level in LEVELS}
    arrays = {name: load(name) for name in ("row", "identity", "atoms", "atom_ptr", "bonds", "bond_ptr")}
    return Shard(**arrays, labels=labels, folder=folder)


def in_memory(found: Molecules) -> Shard:
    """Return featurized molecules as a shard without labels, for predictions."""
    nothing = np.zeros(0, np.int64)
    labels = Labels(np.zeros(len(found.row) + 1, np.int64), nothing, nothing, nothing)
    arrays = (found.row, found.identity, found.atoms, found.atom_ptr, found.bonds, found.bond_ptr)
    return Shard(*arrays, dict.fromkeys(LEVELS, labels))


def store_folder(table: Table) -> Path:
    """Return the folder of a table's store: named after its content and all that shapes the arrays."""
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
    """Map in order with a bounded number of chunks under way, so that a long table never waits in memory."""
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
    """Give a function that starts featurizing processes at its first call, and stop them at the end.

    It returns None where there is only one core to work with.
    """
    started: list[Executor] = []

    def get() -> Executor | None:
        import loky  # its workers need no `if __name__ == "__main__"` in the user's script

        if not started and loky.cpu_count() > 1:
            started.append(loky.ProcessPoolExecutor(loky.cpu_count(), timeout=60))  # they end even if we are killed
        return started[0] if started else None

    try:
        yield get
    finally:
        for pool in started:
            pool.shutdown()


def prepare(table: Table, progress: bool = True, pool: Callable[[], Executor | None] = lambda: None) -> list[Path]:
    """Featurize a table into its store unless that is there already, and return the shards' folders.

    Finished shards are kept when the work is interrupted, and their rows are not even read again from Parquet; a damaged
    shard is redone, with a warning. Memory is bounded by one shard, whatever the table's length.

    Args:
        table: of the dataset.
        progress: show a bar.
        pool: gives the executor that featurizes a table of more than a few thousand rows (`worker_pool`, or any of
            `concurrent.futures`, such as a Dask client's); None: this process.

    Raises:
        TableError: the table does not hold what the card says.
    """
    card, folder = table.card, store_folder(table)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if finished := _finished_shards(folder):
            return finished
        if any(folder.glob("shard-*")):
            message = f"The store of {card.name} is incomplete or damaged; the missing shards are made again."
            warnings.warn(message, stacklevel=2)
        shards: list[Path] = []
        while is_whole(ready := folder / f"shard-{len(shards):05d}"):
            shards.append(ready)
        if shards and len(rejected_of(shards[-1])) + len(molecules_of(shards[-1])) < SHARD_CHUNKS * tables.CHUNK_ROWS:
            shards.pop()  # the table's last one: reading on from it would start beyond the end
        first_row = len(shards) * SHARD_CHUNKS * tables.CHUNK_ROWS
        chunks = read_chunks(table, first_row)
        desc, unit = f"Preparing {card.name}", " rows"
        with tqdm(total=table.n_rows(), initial=first_row, desc=desc, unit=unit, disable=not progress) as bar:
            enough = min(SHARD_CHUNKS, POOL_FROM_ROWS // tables.CHUNK_ROWS + 1)  # to see whether processes are worth it
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
                write_shard(shard, parts)
        if not shards:
            raise TableError(f"{card.name}: the table has no rows.")
        (folder / "done.json").write_text(json.dumps([shard.name for shard in shards]))
    return shards


def make_scaffolds(shards: Sequence[Shard], progress: bool, pool: Callable[[], Executor | None]) -> None:
    """Make sure that the shards have their scaffolds, in several processes where there is much to do (`worker_pool`)."""
    missing = [shard for shard in shards if not shard.has("scaffold")]
    n_molecules = sum(len(shard.row) for shard in missing)
    executor = pool() if n_molecules > POOL_FROM_ROWS else None
    with tqdm(total=n_molecules, desc="Scaffolds", unit=" molecules", disable=not progress or not missing) as bar:
        for n_made in _mapped(_make_scaffold, missing, executor):
            bar.update(n_made)


def _make_scaffold(shard: Shard) -> int:
    return len(shard.scaffold)


def molecules_of(folder: Path) -> pd.DataFrame:
    """Read which molecules a shard holds: row of the table, smiles (the key)."""
    return pd.read_parquet(folder / "molecules.parquet")


def rejected_of(folder: Path) -> pd.DataFrame:
    """Read which rows a shard's table lost: row, smiles, reason."""
    return pd.read_parquet(folder / "rejected.parquet")
