"""Positional encodings: numbers that tell a graph network where an atom sits in its molecule.

The name of an encoding contains its settings, such as `walk-16` or `laplacian-8-none` (see `encoding`). Whole stores
are encoded at once: graphs of equal size are stacked into dense matrices, and equal graphs are encoded only once.
Elements and bond orders do not count here, so stereoisomers share an encoding, and most molecules of QM9 do too.
"""

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from molfm.base.arrays import pointer, spans
from molfm.base.errors import InputError

RANDOM_WALK_STEPS = 16
WALK = f"walk-{RANDOM_WALK_STEPS}"
FIELDS = ("walk", "laplacian")  # their names in a batch: the first part of an encoding's name
_CELLS = 200_000  # matrix entries handled at once, few enough to stay in the processor's cache


def encoding(name: str, atom_ptr: np.ndarray, bonds: np.ndarray, bond_ptr: np.ndarray) -> np.ndarray:
    """Return an encoding by its name, float16.

    Args:
        name: `walk-16` for `random_walk`, (n_atoms, 16); `laplacian-K-none` or `laplacian-K-sym` for `laplacian` with K
            vectors and that normalization, (n_atoms, 2 K): the vectors, then the values.
        atom_ptr, bonds, bond_ptr: as in `random_walk`.

    Raises:
        ValueError: the name is unknown.
    """
    match name.split("-"):
        case ["walk", steps] if steps == str(RANDOM_WALK_STEPS):
            return random_walk(atom_ptr, bonds, bond_ptr)
        case ["laplacian", k, normalization] if k.isdecimal():
            return np.hstack(laplacian(atom_ptr, bonds, bond_ptr, int(k), normalization))
    raise InputError(f"Unknown encoding {name!r}; expected '{WALK}', 'laplacian-K-none' or 'laplacian-K-sym'.")


def field(name: str) -> str:
    """Return the name of an encoding in a batch, one of `FIELDS`."""
    return name.split("-")[0]


def random_walk(atom_ptr: np.ndarray, bonds: np.ndarray, bond_ptr: np.ndarray) -> np.ndarray:
    """Return the probabilities that a random walk is back at its first atom after 1 … 16 steps (arXiv 2110.07875).

    A walk from an atom without neighbours never returns: all zeros.

    Args:
        atom_ptr: (n + 1,) first atom of each molecule.
        bonds: (n_bonds, 2 or more), in the first two columns the ends of each bond, numbered within its molecule.
        bond_ptr: (n + 1,) first bond of each molecule.

    Returns:
        (n_atoms, 16) float16.
    """
    return _encode_each(_returns, RANDOM_WALK_STEPS, atom_ptr, bonds, bond_ptr)


def laplacian(
    atom_ptr: np.ndarray, bonds: np.ndarray, bond_ptr: np.ndarray, n_vectors: int = 8, normalization: str = "sym"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvectors of the smallest eigenvalues of the graph Laplacian, and these values (arXiv 2003.00982).

    Each connected part of a molecule is a graph of its own, so values belong to atoms, not to molecules. They ascend
    from 0, whose vector is constant (`none`) or proportional to the square root of an atom's number of neighbours
    (`sym`). A part of fewer than `n_vectors` atoms is padded with zeros: a value of 0 after the first column means "no
    such vector".

    Vectors have length 1 and are not unique. Their signs are arbitrary: flip the signs of vectors at random in
    training, but never the signs of values. If a value is repeated, as in symmetric molecules, the axes in the plane
    (or space) of its vectors are arbitrary too. If the last value is repeated, it is also arbitrary which part of that
    plane is kept. These choices depend on the order of atoms; the values do not.

    Args:
        atom_ptr, bonds, bond_ptr: as in `random_walk`.
        n_vectors: number of vectors and values.
        normalization: "sym" for 1 - D^-1/2 A D^-1/2, "none" for D - A (the input of the published LargeMix model).

    Returns:
        vectors (n_atoms, n_vectors) and values (n_atoms, n_vectors), both float16.

    Raises:
        ValueError: `normalization` is unknown.
    """
    if normalization not in ("sym", "none"):
        raise InputError(f"normalization must be 'sym' or 'none', not {normalization!r}.")

    def encode(adjacency: np.ndarray) -> np.ndarray:  # (m, n, n) -> (m, n, 2 * n_vectors)
        m, n, _ = adjacency.shape
        degree = adjacency.sum(2, dtype=float)
        matrix = degree[:, :, None] * np.eye(n) - adjacency
        if normalization == "sym":
            matrix *= _outer_square(1 / np.sqrt(np.maximum(degree, 1)))
        values, vectors = np.linalg.eigh(matrix)  # ascending
        both = np.zeros((m, n, 2, n_vectors), np.float32)
        both[:, :, 0, :n] = vectors[:, :, :n_vectors]
        both[:, :, 1, :n] = values[:, None, :n_vectors]
        return both.reshape(m, n, 2 * n_vectors)

    rank, *parts = _connected_parts(atom_ptr, bonds, bond_ptr)
    both = _encode_each(encode, 2 * n_vectors, *parts).take(rank, axis=0)
    return both[:, :n_vectors].copy(), both[:, n_vectors:].copy()


def _returns(adjacency: np.ndarray) -> np.ndarray:
    """Return the probabilities of `random_walk`, (m, n, 16), for adjacency matrices (m, n, n)."""
    # The walk D^-1 A and the symmetric D^-1/2 A D^-1/2 have equal diagonals in every power.
    step = adjacency * _outer_square(1 / np.sqrt(np.maximum(adjacency.sum(2), 1)))
    out = np.empty((*step.shape[:2], RANDOM_WALK_STEPS), np.float32)
    power = np.broadcast_to(np.eye(step.shape[1], dtype=np.float32), step.shape)
    for k in range(0, RANDOM_WALK_STEPS, 2):
        before, power = power, power @ step
        # The diagonal of a product of two symmetric matrices needs no full product, so half of the powers suffice.
        out[:, :, k] = np.einsum("bij,bij->bi", before, power)
        out[:, :, k + 1] = np.einsum("bij,bij->bi", power, power)
    return out


def _outer_square(x: np.ndarray) -> np.ndarray:
    return x[:, :, None] * x[:, None, :]


def _encode_each(
    encode: Callable[[np.ndarray], np.ndarray],
    width: int,
    atom_ptr: np.ndarray,
    bonds: np.ndarray,
    bond_ptr: np.ndarray,
) -> np.ndarray:
    """Return encodings, (n_atoms, width) float16; `encode` maps m graphs of n atoms, (m, n, n), to (m, n, width)."""
    sizes = np.diff(atom_ptr)
    first, same = _distinct(atom_ptr, bonds, bond_ptr)
    out = np.zeros((int(atom_ptr[-1]), width), np.float16)
    # Matrices this small gain nothing from threads. If other processes are busy, the threads wait for each other for
    # many times as long as the work takes.
    with threadpool_limits(1, "blas"):
        _encode_sizes(encode, out, first, atom_ptr, bonds, bond_ptr)
    return out.take(spans(atom_ptr[first[same]], sizes), axis=0)


def _encode_sizes(
    encode: Callable[[np.ndarray], np.ndarray],
    out: np.ndarray,
    first: np.ndarray,
    atom_ptr: np.ndarray,
    bonds: np.ndarray,
    bond_ptr: np.ndarray,
) -> None:
    """Write the encodings of the graphs `first` into `out`; graphs of equal size are encoded together."""
    sizes, counts = np.diff(atom_ptr), np.diff(bond_ptr)
    for n in np.unique(sizes[first]).tolist():
        members = first[sizes[first] == n]
        for part in np.array_split(members, len(members) * n**2 // _CELLS + 1):
            slot = np.repeat(np.arange(len(part)), counts[part])
            rows = spans(bond_ptr[part], counts[part])
            begin, end = bonds[rows, 0], bonds[rows, 1]
            adjacency = np.zeros((len(part), n, n), np.float32)
            adjacency[slot, begin, end] = adjacency[slot, end, begin] = 1
            out[spans(atom_ptr[part], sizes[part])] = encode(adjacency).reshape(-1, out.shape[1])


def _distinct(atom_ptr: np.ndarray, bonds: np.ndarray, bond_ptr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (first, same): graph i equals graph first[same[i]], atom for atom.

    Graphs are compared by a sum of random 64-bit numbers, one per bond and one for the number of atoms. Among 100,000
    graphs, two different ones have the same sum with a probability of 3e-10.
    """
    sizes = np.diff(atom_ptr)
    side = int(sizes.max(initial=1))
    code = np.random.default_rng(0).integers(2**64, size=(side, side), dtype=np.uint64)
    ends = bonds[:, 0], bonds[:, 1]
    total = np.zeros(len(bonds) + 1, np.uint64)
    np.cumsum(code[np.minimum(*ends), np.maximum(*ends)], out=total[1:])  # overflows, but differences stay right
    _, first, same = np.unique(
        total[bond_ptr[1:]] - total[bond_ptr[:-1]] + code[sizes - 1, sizes - 1],
        return_index=True,
        return_inverse=True,
    )
    return first, same


def _connected_parts(
    atom_ptr: np.ndarray, bonds: np.ndarray, bond_ptr: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (rank, atom_ptr, bonds, bond_ptr) of the connected parts as graphs; atom i has number rank[i] there."""
    number, shift = np.arange(int(atom_ptr[-1])), np.repeat(atom_ptr[:-1], np.diff(bond_ptr))
    begin, end = bonds[:, 0] + shift, bonds[:, 1] + shift
    root = number  # an atom of the same part with a lower number; in the end, the lowest
    while (apart := root[begin] != root[end]).any():
        one, other = root[begin[apart]], root[end[apart]]
        root = root.copy()
        root[np.maximum(one, other)] = np.minimum(one, other)
        while not np.array_equal(root, further := root[root]):
            root = further
    part = (np.cumsum(root == number) - 1)[root]
    sizes = np.bincount(part)
    part_ptr = pointer(sizes)
    rank = np.empty_like(number)
    rank[np.argsort(part, kind="stable")] = number
    place = rank - part_ptr[part]
    order = np.argsort(part[begin], kind="stable")
    counts = np.bincount(part[begin], minlength=len(sizes))
    part_bonds = np.column_stack([place[begin], place[end]])[order]
    return rank, part_ptr, part_bonds, pointer(counts)
