"""Molecules as points in a plane: principal components and UMAP of embeddings or fingerprints, and one task against another.

What takes long is a generator: it yields a line about its progress several times a second and returns the result. So a caller
can do something else in between. Coordinates are kept in `home()/maps` and computed once per model and set of molecules.
"""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import numpy as np
from scipy.linalg import eigh

from molfm.base.files import home, whole
from molfm.explore.lookup import Lookup
from molfm.explore.search import fingerprints

SHOWN = 100_000  # molecules on a map; a larger mix is represented by a random sample of this size
COMPONENTS = 50  # principal components that are kept; UMAP starts from them
_SECONDS = 0.12  # a chunk should take about this long
_CHUNKS = (16, 2048)  # smallest and largest number of molecules in a chunk
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

    Molecules that the model cannot embed are left out. Memory: one chunk of vectors and their covariance, some 40 MB for
    2,048 channels; the vectors lie on disk until the components are known.
    """
    molecules = sample(np.arange(len(lookup.mix)))
    path = _path(lookup, molecules, model, "pca")
    if path.exists():
        return Components(**_read(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as folder:
        vectors, known, covariance = None, np.zeros(len(molecules), bool), _Covariance()
        start, size, what = 0, _CHUNKS[0], "Embedding molecules" if model else "Computing fingerprints"
        while start < len(molecules):
            yield f"{what}: {start:,} of {len(molecules):,}"
            began, stop = time.perf_counter(), start + size
            smiles = lookup.smiles(molecules[start:stop])
            part = model.embed(smiles, progress=False) if model else fingerprints(smiles)
            if vectors is None:
                shape = (len(molecules), part.shape[1])
                vectors = np.lib.format.open_memmap(Path(folder) / "vectors.npy", "w+", part.dtype, shape)
            vectors[start:stop] = part
            known[start:stop] = np.isfinite(part).all(axis=1)
            covariance.add(part[known[start:stop]])
            start, took = stop, time.perf_counter() - began
            size = int(np.clip(size * _SECONDS / took, max(_CHUNKS[0], size // 2), min(_CHUNKS[1], size * 2)))
        k = min(COMPONENTS, vectors.shape[1])
        span = (vectors.shape[1] - k, vectors.shape[1] - 1)
        total, matrix = covariance.trace, covariance.matrix
        values, axes = yield from _aside("Computing principal components", lambda: eigh(matrix, subset_by_index=span))
        axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(k)])  # so that no run mirrors the picture
        scores = np.empty((len(molecules), k), np.float32)
        for start in range(0, len(molecules), _CHUNKS[1]):
            yield "Computing principal components"
            part = slice(start, start + _CHUNKS[1])
            scores[part] = (vectors[part] - covariance.mean).astype(np.float32) @ axes[:, ::-1].astype(np.float32)
        del vectors  # closes the file
    found = Components(molecules[known], scores[known], np.maximum(values[::-1], 0) / (total or 1))
    _write(path, **found._asdict())
    return found


class _Covariance:
    """The covariance of vectors that arrive in chunks; sums are taken around the mean of the first chunk."""

    def __init__(self):
        self.n, self.shift, self.sum, self.square = 0, 0.0, 0.0, 0.0

    def add(self, chunk: np.ndarray) -> None:
        """Add vectors, (n, d)."""
        if not len(chunk):
            return
        if not self.n:
            self.shift = chunk.mean(axis=0, dtype=np.float32)
        chunk = chunk - self.shift
        self.n += len(chunk)
        self.sum = self.sum + chunk.sum(axis=0, dtype=np.float64)
        self.square = self.square + chunk.T @ chunk  # float64 after the first addition

    @property
    def mean(self) -> np.ndarray:
        return self.shift + self.sum / max(1, self.n)

    @property
    def matrix(self) -> np.ndarray:
        mean = self.sum / max(1, self.n)
        return self.square / max(1, self.n) - np.outer(mean, mean)

    @property
    def trace(self) -> float:
        return float(np.trace(self.matrix))


def principal(lookup: Lookup, model: Embeds | None = None) -> Generator[str, None, Layout]:
    """Lay molecules out by their first two principal components."""
    found = yield from components(lookup, model)
    axes = tuple(f"PC {i + 1} ({100 * share:.0f}% of the variance)" for i, share in enumerate(found.share[:2]))
    left = 1 - found.share[:2].sum()
    note = f"Two axes leave out {100 * left:.0f}% of the variance: molecules far apart differ, but near ones may differ too."
    return Layout(found.molecules, np.ascontiguousarray(found.scores[:, :2]), axes, note)


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
    return Layout(found.molecules, _read(path)["xy"], ("UMAP 1", "UMAP 2"), note)


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
        start += size
        size = int(np.clip(size * _SECONDS / (time.perf_counter() - began), _CHUNKS[0], min(_CHUNKS[1], size * 2)))
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
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(compute)
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
