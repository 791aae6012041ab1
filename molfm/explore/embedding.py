"""Molecules as points in a plane: principal components and UMAP of embeddings or fingerprints, and one task against another.

What takes long is a generator: it yields a line about its progress several times a second and returns the result. So a caller
can do something else in between. Coordinates are kept in `home()/maps` and computed once per model and set of molecules.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import numpy as np

from molfm.base.files import home, whole
from molfm.explore.lookup import Lookup
from molfm.explore.search import fingerprints

SHOWN = 100_000  # molecules on a map; a larger mix is represented by a random sample of this size
COMPONENTS = 50  # principal components that are kept; UMAP starts from them
_SECONDS = 0.12  # a chunk should take about this long
_CHUNKS = (16, 2048)  # smallest and largest number of molecules in a chunk
_ROUNDS, _EXTRA = 4, 14  # of the subspace iteration: passes over the vectors, and dimensions beyond the components
_WIDTH = 0.3  # classes are integers; their points are spread by up to this much


class Embeds(Protocol):
    """A trained model, such as `molfm.pretrained` returns."""

    def embed(self, smiles: Sequence[str], progress: bool) -> np.ndarray: ...

    def digest(self) -> str: ...


class Components(NamedTuple):
    molecules: np.ndarray  # (m,) int32, numbers of the molecules
    scores: np.ndarray  # (m, k) float32, principal components in descending order of variance
    share: np.ndarray  # (k,) float64, share of the whole variance


class Layout(NamedTuple):
    molecules: np.ndarray  # (m,) int32, numbers of the molecules
    xy: np.ndarray  # (m, 2) float32
    axes: tuple[str, str]  # what the axes show
    note: str  # what a reader has to know about this picture


def umap_is_installed() -> bool:
    """Return whether the optional package umap-learn is installed."""
    return find_spec("umap") is not None


def sample(molecules: np.ndarray) -> np.ndarray:
    """Return `molecules`, or a random sample of SHOWN of them, always the same, in their order."""
    if len(molecules) > SHOWN:
        molecules = np.sort(np.random.default_rng(0).choice(molecules, SHOWN, replace=False))
    return molecules.astype(np.int32)


def components(lookup: Lookup, model: Embeds | None = None) -> Generator[str, None, Components]:
    """Compute the principal components of a model's embeddings, or of Morgan fingerprints without a model.

    Molecules that the model cannot embed are left out. The vectors lie on disk until the components are known, and memory
    holds one chunk of them. The components are found by subspace iteration (Halko, Martinsson and Tropp, 2011, algorithm
    4.4), whose cost grows with the number of molecules, channels and components, but not with their squares.
    """
    molecules = sample(np.arange(len(lookup.mix)))
    path = _path(lookup, molecules, model, "pca")
    if path.exists():
        return Components(**_read(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as folder:
        vectors, known = yield from _vectors(lookup, molecules, model, Path(folder) / "vectors.npy")
        scores, share = yield from _subspace(vectors, known)
        del vectors  # closes the file
    found = Components(molecules[known], scores, share)
    _write(path, **found._asdict())
    return found


def _vectors(
    lookup: Lookup, molecules: np.ndarray, model: Embeds | None, path: Path
) -> Generator[str, None, tuple[np.ndarray, np.ndarray]]:
    """Write the vectors of molecules to a file; return them, (m, d), and which molecules have one, (m,) bool."""
    vectors, known = None, np.zeros(len(molecules), bool)
    start, size, what = 0, _CHUNKS[0], "Embedding molecules" if model else "Computing fingerprints"
    while start < len(molecules):
        yield f"{what}: {start:,} of {len(molecules):,}"
        began, stop = time.perf_counter(), start + size
        smiles = lookup.smiles(molecules[start:stop])
        part = model.embed(smiles, progress=False) if model else fingerprints(smiles)
        if vectors is None:
            vectors = np.lib.format.open_memmap(path, "w+", part.dtype, (len(molecules), part.shape[1]))
        vectors[start:stop], known[start:stop] = part, np.isfinite(part).all(axis=1)
        start, size = stop, _next_size(size, time.perf_counter() - began)
    return vectors, known


def _next_size(size: int, took: float) -> int:
    """Return how many molecules the next chunk should have, after one of `size` took so many seconds."""
    return int(np.clip(size * _SECONDS / took, max(_CHUNKS[0], size // 2), min(_CHUNKS[1], size * 2)))


def _subspace(vectors: np.ndarray, known: np.ndarray) -> Generator[str, None, tuple[np.ndarray, np.ndarray]]:
    """Return the principal components of the known vectors: scores (n_known, k), and shares of the variance (k,)."""
    n, d, text = int(known.sum()), vectors.shape[1], "Computing principal components"

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(vectors), _CHUNKS[1] // 2):
            part = slice(start, start + _CHUNKS[1] // 2)
            yield vectors[part][known[part]].astype(np.float32) - mean

    mean, total, square = np.zeros(d, np.float32), np.zeros(d), 0.0
    for chunk in chunks():
        yield text
        total += chunk.sum(axis=0, dtype=np.float64)
    mean = (total / max(1, n)).astype(np.float32)
    k = min(COMPONENTS, d)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(d, min(d, k + _EXTRA))))[0].astype(np.float32)
    for _ in range(_ROUNDS):
        image = np.zeros(basis.shape)
        for chunk in chunks():
            yield text
            image += chunk.T @ (chunk @ basis)
        basis = np.linalg.qr(image)[0].astype(np.float32)
    inner = []
    for chunk in chunks():
        yield text
        inner.append(chunk @ basis)
        square += float(np.square(chunk, dtype=np.float64).sum())
    inner = np.concatenate(inner)
    values, turn = np.linalg.eigh(inner.T.astype(np.float64) @ inner)
    values, turn = values[::-1][:k], turn[:, ::-1][:, :k]
    axes = basis @ turn
    turn = turn * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(k)])  # so that no run mirrors the picture
    return inner @ turn.astype(np.float32), np.maximum(values, 0) / (square or 1)


def principal(lookup: Lookup, model: Embeds | None = None) -> Generator[str, None, Layout]:
    """Lay molecules out by their first two principal components."""
    found = yield from components(lookup, model)
    axes = tuple(f"PC {i + 1} ({100 * share:.0f}% of the variance)" for i, share in enumerate(found.share[:2]))
    left = 1 - found.share[:2].sum()
    note = f"Two axes leave out {100 * left:.0f}% of the variance: molecules far apart differ, but near ones may differ too."
    return Layout(found.molecules, np.ascontiguousarray(found.scores[:, :2]), axes, note + _missing(lookup, found))


def _missing(lookup: Lookup, found: Components) -> str:
    """Return a sentence about the molecules that the model could not embed, if there are any."""
    n = min(len(lookup.mix), SHOWN) - len(found.molecules)
    return f" {n:,} molecules that the model cannot embed are left out." if n else ""


def umap(lookup: Lookup, model: Embeds | None = None) -> Generator[str, None, Layout]:
    """Lay molecules out by UMAP (arXiv 1802.03426) of their first COMPONENTS principal components.

    Raises:
        ModuleNotFoundError: umap-learn is not installed.
    """
    found = yield from components(lookup, model)
    path = _path(lookup, found.molecules, model, "umap")
    if not path.exists():

        def compute() -> np.ndarray:
            from umap import UMAP  # optional, and slow to import

            return UMAP(init="pca", random_state=0, n_jobs=1).fit_transform(found.scores).astype(np.float32)

        xy = yield from _aside(f"Computing UMAP of {len(found.molecules):,} molecules, which can take minutes", compute)
        _write(path, xy=xy)
    note = (
        f"UMAP of {found.scores.shape[1]} principal components. Read neighbours only: sizes of clusters, distances "
        "between them and empty space mean nothing."
    )
    return Layout(found.molecules, _read(path)["xy"], ("UMAP 1", "UMAP 2"), note + _missing(lookup, found))


def against(lookup: Lookup, x: str, y: str) -> Layout:
    """Lay the molecules with both labels out by two tasks; atoms and bonds count by their mean.

    Raises:
        ValueError: there is no such task.
    """
    mix = lookup.mix
    tasks = [mix.chosen[number] for number in (mix.task_number(x), mix.task_number(y))]
    columns = np.stack([lookup.column(mix.task_number(task.id)) for task in tasks], axis=1)
    both = np.flatnonzero(np.isfinite(columns).all(axis=1))
    molecules = sample(both)
    xy, draw = columns[molecules].astype(np.float32), np.random.default_rng(0)
    names, spread = [], False
    for axis, task in enumerate(tasks):
        what = task.unit or {"binary": "class"}.get(task.kind, "")
        of = {"node": ", mean over atoms", "edge": ", mean over bonds"}.get(task.level, "")
        names.append(f"{task.id}{f' ({what})' if what else ''}{of}")
        if task.kind != "regression" and task.level == "graph":
            spread = True
            xy[:, axis] += draw.uniform(-_WIDTH, _WIDTH, len(molecules)).astype(np.float32)
    note = f"{len(both):,} of {len(mix):,} molecules have both labels."
    if spread:
        note += " Molecules of one class are spread at random across a band, so that they do not hide each other."
    return Layout(molecules, xy, tuple(names), note)


def errors(lookup: Lookup, model: object, task: str, molecules: np.ndarray) -> Generator[str, None, np.ndarray]:
    """Return |predicted − measured| of a graph task for some molecules, (n,) float32; NaN where it was not measured.

    For a binary task it is the distance of the predicted probability from the class.
    """
    out = lookup.column(lookup.mix.task_number(task))[molecules].astype(np.float32)
    measured, start, size = np.flatnonzero(np.isfinite(out)), 0, _CHUNKS[0]
    while start < len(measured):
        yield f"Predicting {task}: {start:,} of {len(measured):,}"
        began, part = time.perf_counter(), measured[start : start + size]
        predicted = model.predict(lookup.smiles(molecules[part]), tasks=[task], progress=False)[task].to_numpy()
        out[part] = np.abs(predicted - out[part])
        start, size = start + size, _next_size(size, time.perf_counter() - began)
    return out


def inside(xy: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Return (n,) bool: which points, (n, 2), lie in a polygon, (m, 2), by the even-odd rule."""
    out = np.zeros(len(xy), bool)
    near = np.flatnonzero(((xy >= polygon.min(axis=0)) & (xy <= polygon.max(axis=0))).all(axis=1))
    x, y = xy[near].astype(np.float64).T
    odd = np.zeros(len(near), bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 != y2:
            odd ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    out[near] = odd
    return out


def _aside(text: str, compute: Callable[[], object]) -> Generator[str, None, object]:
    """Compute in another thread what cannot be divided, and yield `text` while it lasts."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(compute)
    pool.shutdown(wait=False)  # whoever leaves this generator does not wait for the thread
    while True:
        yield text
        try:
            return future.result(timeout=0.05)
        except Late:
            if future.done():  # the computation itself raised it
                raise


def _path(lookup: Lookup, molecules: np.ndarray, model: Embeds | None, kind: str) -> Path:
    of = blake2b(lookup.mix.key[molecules].tobytes(), digest_size=12)
    of.update(model.digest().encode() if model else b"Morgan")
    return home() / "maps" / f"{of.hexdigest()}-{kind}.npz"


def _read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as kept:
        return dict(kept)


def _write(path: Path, **arrays: np.ndarray) -> None:
    with whole(path) as temporary:
        np.savez(temporary, **arrays)
