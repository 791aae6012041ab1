"""The order in which molecules are read: shuffled in windows, one stream per dataset, or shares of an epoch."""

from collections.abc import Iterator
from itertools import islice
from zlib import crc32

import numpy as np
from torch.utils.data import Sampler

WINDOW = 1_048_576  # molecules that are shuffled together
BLOCK = 1_024  # neighbours that are read together if there are more


def shuffled(members: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield all of `members` in a random order, in pieces.

    Up to `WINDOW` members are fully permuted. More are cut into blocks of neighbours. The blocks are drawn at random,
    and as many as fill a window are shuffled together. What one window reads fits in the page cache, so a store larger
    than memory is read in long runs and never molecule by molecule.
    """
    if len(members) <= WINDOW:
        yield rng.permutation(members)
        return
    starts = rng.permutation(np.arange(0, len(members), BLOCK))
    for first in range(0, len(starts), WINDOW // BLOCK):
        blocks = [members[start : start + BLOCK] for start in starts[first : first + WINDOW // BLOCK]]
        yield rng.permutation(np.concatenate(blocks))


class EpochSampler(Sampler):
    """Every molecule once per epoch, with all its labels. Shuffling gives each epoch a new order, set by the seed."""

    def __init__(self, molecules: np.ndarray, batch_size: int, seed: int, shuffle: bool):
        self.molecules, self.batch_size, self.seed, self.shuffle = molecules, batch_size, seed, shuffle
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.molecules) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[np.ndarray, None]]:
        rng, waiting = np.random.default_rng([self.seed, self.epoch]), np.zeros(0, np.int64)
        for piece in shuffled(self.molecules, rng) if self.shuffle else [self.molecules]:
            waiting = np.concatenate([waiting, piece])
            whole = len(waiting) // self.batch_size * self.batch_size
            for start in range(0, whole, self.batch_size):
                yield waiting[start : start + self.batch_size], None
            waiting = waiting[whole:]
        if len(waiting):
            yield waiting, None


class _Stream:
    """A dataset's molecules without end, reshuffled after each pass; the order depends only on seed and name."""

    def __init__(self, members: np.ndarray, seed: int, name: str):
        self.members, self.key, self.lap = members, [seed, crc32(name.encode())], -1

    def take(self, start: int, count: int) -> np.ndarray:
        """Return the molecules at places start to start + count - 1 of the stream."""
        parts = []
        while count > 0:
            lap, offset = divmod(start, len(self.members))
            if lap != self.lap:
                rng = np.random.default_rng([*self.key, lap])
                self.order, self.lap = np.concatenate(list(shuffled(self.members, rng))), lap
            parts.append(self.order[offset : offset + count])
            start, count = start + len(parts[-1]), count - len(parts[-1])
        return np.concatenate(parts)


class StreamSampler(Sampler):
    """`steps` batches with a fixed number of molecules from each dataset, for comparisons at equal budget.

    Each dataset is its own stream, whose order depends only on the seed and the dataset's name. So a target sees the
    same molecules in the same steps, whatever else is trained. A molecule drawn for one dataset carries only that
    dataset's labels.
    """

    def __init__(
        self, streams: dict[str, np.ndarray], numbers: dict[str, int], sizes: dict[str, int], steps: int, seed: int
    ):
        self.streams, self.numbers, self.sizes, self.steps, self.seed = streams, numbers, sizes, steps, seed

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        streams = {name: _Stream(members, self.seed, name) for name, members in self.streams.items()}
        datasets = np.concatenate([np.full(self.sizes[name], self.numbers[name]) for name in streams])
        for step in range(self.steps):
            drawn = [stream.take(step * self.sizes[name], self.sizes[name]) for name, stream in streams.items()]
            yield np.concatenate(drawn), datasets


class ShareSampler(Sampler):
    """Epochs with a given number of molecules from each dataset, shuffled together.

    Molecules are drawn as by `StreamSampler`: over the epochs, all molecules of a dataset come once before any comes
    again, and each carries only the labels of the dataset that it was drawn for.
    """

    def __init__(
        self,
        streams: dict[str, np.ndarray],
        numbers: dict[str, int],
        shares: dict[str, int],
        batch_size: int,
        seed: int,
    ):
        self.streams, self.numbers, self.shares = streams, numbers, shares
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0

    def __len__(self) -> int:
        return -(-sum(self.shares.values()) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        drawn = [
            _Stream(members, self.seed, name).take(self.epoch * self.shares[name], self.shares[name])
            for name, members in self.streams.items()
        ]
        molecules = np.concatenate(drawn)
        datasets = np.repeat([self.numbers[name] for name in self.streams], [len(part) for part in drawn])
        order = np.concatenate(
            list(shuffled(np.arange(len(molecules)), np.random.default_rng([self.seed, self.epoch])))
        )
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield molecules[chosen], datasets[chosen]


class Passes(Sampler):
    """`steps` batches of another sampler, epoch after epoch."""

    def __init__(self, sampler: EpochSampler | ShareSampler, steps: int):
        self.sampler, self.steps = sampler, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for start in range(0, self.steps, len(self.sampler)):
            self.sampler.set_epoch(start // len(self.sampler))
            yield from islice(self.sampler, self.steps - start)
