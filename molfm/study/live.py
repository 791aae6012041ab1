"""A study while it is looked at and filled: its result so far, and its blocks that run in the background."""

import json
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from hashlib import sha256
from itertools import product
from pathlib import Path
from threading import Lock

from molfm.base.errors import InputError
from molfm.base.files import home
from molfm.data.mix import Mix
from molfm.study.comparison import joined
from molfm.study.grid import Block, Runner, StudyGrid
from molfm.study.jobs import seconds_of
from molfm.study.transfer import TransferResult, plain_request

_KEPT = 256  # answers of background work; the oldest are dropped
_WORKERS = 2  # threads for background work, so that a long answer does not hold up a short one


class Soon:
    """Computes answers in threads, so that a notebook's kernel stays free; each answer is computed once."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="molfm")
        self._found: dict[Hashable, Future] = {}

    def get(self, key: Hashable, function: Callable[[], object], seconds: float = 0.15) -> object | None:
        """Return what `function` returns, or None if it needs longer than `seconds`. Ask again with the same key.

        Raises:
            Exception: the error of the function. It is tried again at the next call.
        """
        if key not in self._found:
            self._found[key] = self._pool.submit(function)
            for old in [old for old, of in self._found.items() if of.done() and old != key][: -_KEPT or None]:
                del self._found[old]
        future = self._found[key]
        if not wait_for([future], seconds).done:
            return None
        if future.exception():
            del self._found[key]
        return future.result()


class LiveStudy:
    """A study whose comparisons can be run one block at a time.

    Args:
        mix: the data.
        request: the arguments of `molfm.transfer`, without the data.
        result: what has been found before; None for nothing.

    Attributes:
        groups: ids of the targets of each network.
        counts: numbers of training labels, None for all.
        blocks: what can be run; further ones are only appended.
        version: changes with `result`.
    """

    def __init__(self, mix: Mix, request: dict, result: TransferResult | None = None):
        self.mix, self.request, self.result = mix, plain_request(request), result
        self._given = result
        targets = self.request["targets"]
        self.groups = [tuple(mix.expand(target)) for target in ([targets] if isinstance(targets, str) else targets)]
        counts = self.request.get("n_labels")
        self.counts: list[int | None] = list(counts) if isinstance(counts, list) else [counts]
        self.blocks: list[Block] = []
        self.runner, self.soon, self.version = Runner(), Soon(), 0
        self._grid: StudyGrid | None = None
        self._lock = Lock()
        self._seconds: dict[Block, float] = {}
        self._taken: set[Block] = set()  # blocks whose comparisons are in the result, or are being computed
        self._joining: list[tuple[Block, ...]] = []
        if result is None:
            self.grid()  # tells at once what is wrong with the request

    def grid(self) -> StudyGrid:
        """Return the grid of the request, made at its first use because it needs torch."""
        if self._grid is None:
            self._grid = StudyGrid(self.mix, **self.request)
        return self._grid

    def planned(self) -> bool:
        """Plan the blocks in the background. Returns whether that is done."""
        return self.soon.get("plan", self._plan) is not None

    def _plan(self) -> bool:
        known = self._known()
        for group, count in product(self.groups, self.counts):
            self._add(group, count, known)
        return True

    def _add(self, group: tuple[str, ...], count: int | None, known: set[tuple] = frozenset()) -> None:
        blocks = [block for block in self.grid().plan(group, count) if _key(block) not in known]
        self._seconds |= {block: block.seconds for block in blocks if not block.refused}
        self.blocks += blocks

    def _known(self) -> set[tuple]:
        if self.result is None:
            return set()
        n_train = dict(zip(self.mix.tasks.task, self.mix.tasks.n_train, strict=True))
        table = self.result.table
        wanted = zip(table.target, table.source, table.regime, table.n_labels, strict=True)
        known = {(target, source, regime, n) for target, source, regime, n in wanted}
        return {
            (group[0], source, regime, count)
            for group, count in product(self.groups, self.counts)
            for source, regime in {(source, regime) for _, source, regime, _ in known}
            if (group[0], source, regime, count or n_train[group[0]]) in known
        }

    def complete(self) -> bool:
        """Return whether the request is that of a finished study, so that nothing needs to be planned."""
        return self._given is not None and self._given.request == self.request

    def measure(self, group: tuple[str, ...], counts: list[int]) -> bool:
        """Plan further numbers of labels for a group in the background. Returns whether that is done."""

        def plan() -> bool:
            for count in counts:
                if count not in self.counts:
                    self.counts.append(count)
                self._add(group, count, self._known())
            return True

        return self.soon.get(("measure", group, tuple(counts)), plan) is not None

    def seconds(self, block: Block) -> float:
        """Return about how long the unfinished runs of a block take."""
        return self._seconds.get(block, 0.0)

    def left(self, count: int | None) -> float:
        """Return about how long all unfinished runs with one number of labels take; a shared run counts once."""
        blocks = [block for block in self.blocks if block.count == count and self.seconds(block)]
        return seconds_of({name: job for block in blocks for name, job in block.jobs.items()})

    def start(self, block: Block) -> None:
        """Run a block in the background.

        Raises:
            ValueError: it is refused.
        """
        if block.refused:
            raise InputError(block.refused)
        self.runner.start(block)

    def update(self) -> bool:
        """Add the comparisons of finished blocks to the result, in the background. Returns whether some are still computed."""
        fresh = [b for b in self.blocks if not b.refused and b not in self._taken and b.done == 1]
        if fresh:
            self._taken |= set(fresh)
            self._seconds |= {block: block.seconds for block in self.blocks if not block.refused}
            self._joining.append(tuple(fresh))
        for blocks in list(self._joining):
            if self.soon.get(blocks, lambda blocks=blocks: self._join(blocks), 0.0):
                self._joining.remove(blocks)
        return bool(self._joining)

    def computed(self, block: Block) -> bool:
        """Return whether the comparisons of a finished block are part of the result, or are being computed."""
        return block in self._taken

    def saved(self) -> Path | None:
        """Save the comparisons that were run, and return the folder; None if `molfm.transfer` gives the same study.

        Raises:
            ValueError: the mix was not made by `molfm.load`, so it could not be reopened.
        """
        if self.complete() and not self.blocks:
            return None
        digest = sha256(json.dumps([self.mix.origin, self.request], sort_keys=True).encode()).hexdigest()[:12]
        folder = home() / "studies" / f"{self.mix.name}-{digest}"
        self.result.save(folder)
        return folder

    def _join(self, blocks: tuple[Block, ...]) -> bool:
        found = self.grid().result(blocks)
        with self._lock:  # two threads may finish at the same time
            self.result = joined([found] if self.result is None else [self.result, found])
            self.version += 1
        return True


def _key(block: Block) -> tuple:
    return block.group[0], block.source, block.regime, block.count
