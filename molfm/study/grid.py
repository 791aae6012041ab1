"""A transfer study that is run comparison by comparison, such as a table that a class fills together.

A block is what runs together: the targets of one network with one source, regime and number of labels. Its runs are those
of `molfm.transfer` with the same settings, so each finds what the other has trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from inspect import signature
from threading import Event, Lock, Thread

from molfm.base.errors import InputError
from molfm.data.mix import Mix
from molfm.study.comparison import joined
from molfm.study.jobs import Job, run_all, seconds_of, share_done
from molfm.study.pairs import Cell, compare
from molfm.study.plan import Budget, Study, check_request
from molfm.study.sources import TransferSource, fit_source, read_sources
from molfm.study.transfer import TransferResult, plain_request, transfer

_CHECKPOINT = "A checkpoint cannot be cotrained: its training data is not here."


@dataclass(frozen=True, eq=False)
class Block:
    """Comparisons that are run together.

    Attributes:
        group: ids of the targets of the network.
        source: label of the source.
        count: number of training labels of each target; None for all.
        cells: the comparisons, one per target.
        jobs: name -> run, all that the comparisons need, with their baseline.
        refused: why it cannot be run; "" if it can.
    """

    group: tuple[str, ...]
    source: str
    regime: str
    count: int | None
    cells: tuple[Cell, ...] = ()
    jobs: Mapping[str, Job] = field(default_factory=dict)
    refused: str = ""

    @property
    def seconds(self) -> float:
        """About how long its unfinished runs take on this machine."""
        return seconds_of(self.jobs)

    @property
    def done(self) -> float:
        """The share of its work that is done; 1 when all runs are finished."""
        return share_done(self.jobs)


class StudyGrid:
    """The blocks of a study, and their runs in the background.

    Args:
        mix: the data.
        targets, sources, settings: as for `molfm.transfer`.

    Attributes:
        groups: ids of the targets of each network.
        regimes: the regimes with a source.
        sources: the sources.
        counts: numbers of training labels; None for all.
        settings: the budget and every setting that was given, as in `Comparison`.

    Raises:
        TypeError, UnknownName, ValueError: as `molfm.transfer`, except for refused sources: their blocks say why.
    """

    def __init__(self, mix: Mix, targets: object, sources: object, **settings: object):
        bound = signature(transfer).bind(mix, targets, sources, **settings)
        self.asked = plain_request(bound.arguments)
        bound.apply_defaults()
        given = bound.arguments
        steps, before = given["steps"], given["pretrain_steps"]
        budget = Budget(
            given["seeds"], steps, given["target_batch"], steps if before is None else before, given["source_batch"]
        )
        self._request = check_request(
            mix,
            targets,
            given["regimes"],
            given["n_labels"],
            budget,
            given["held_out"],
            given["finetune"] or {},
            given["settings"],
        )
        self.mix, self.sources = mix, read_sources(mix, sources)
        self.groups = self._request.groups
        self.counts = list(self._request.counts)
        self.regimes = [regime for regime in self._request.regimes if regime != "alone"]
        kept = {"held_out": given["held_out"], "finetune": given["finetune"], **given["settings"]}
        self.settings = asdict(budget) | {name: value for name, value in kept.items() if value is not None}
        self._studies: dict[tuple, Study] = {}

    def plan(self, group: tuple[str, ...], count: int | None) -> list[Block]:
        """Plan all comparisons of a group with one number of labels. Takes a moment for many targets."""
        allowed, blocks = [], []
        for source in self.sources:
            try:
                fit_source(self.mix, group, source)
                allowed.append(source)
            except InputError as error:
                blocks += [Block(group, source.label, regime, count, refused=str(error)) for regime in self.regimes]
        if "cotrain" in self.regimes:
            outside = [source for source in allowed if source.checkpoint]
            blocks += [Block(group, source.label, "cotrain", count, refused=_CHECKPOINT) for source in outside]
        request = replace(self._request, groups=[group], counts=[count])
        try:
            study = Study(request, allowed)
        except InputError as error:
            if not blocks:  # refused sources have said why
                blocks = [Block(group, s.label, r, count, refused=str(error)) for s, r in self._arms(allowed)]
            return blocks
        self._studies[group, count] = study
        for source, regime in self._arms(allowed):
            cells = tuple(cell for cell in study.cells if (cell.source.label, cell.regime) == (source.label, regime))
            if cells:
                reasons = list(dict.fromkeys(cell.reason for cell in cells))
                refused = "; ".join(reasons) if None not in reasons else ""
                jobs = {name: job for cell in cells for name, job in study.jobs_of(cell).items()}
                blocks.append(Block(group, source.label, regime, count, cells, jobs, refused))
        return blocks

    def _arms(self, sources: Sequence[TransferSource]) -> Iterator[tuple[TransferSource, str]]:
        return ((source, regime) for source in sources for regime in self.regimes)

    def result(self, blocks: Sequence[Block]) -> TransferResult:
        """Return the study of some blocks, whose runs are finished, as `molfm.transfer` would return it."""
        parts = []
        for group, count in dict.fromkeys((block.group, block.count) for block in blocks):
            study = self._studies[group, count]
            mine = [block for block in blocks if (block.group, block.count) == (group, count)]
            cells = [cell for block in mine for cell in block.cells]
            runs = study.runs()
            arms = {("", "alone"), *((block.source, block.regime) for block in mine)}
            runs = runs[[arm in arms for arm in zip(runs.source, runs.regime, strict=True)]].reset_index(drop=True)
            table, values, pairs = compare(self.mix, runs, cells, study.seen)
            parts.append(
                TransferResult(table, runs.assign(value=values), pairs, self.mix, self.settings, self.asked, 0.0)
            )
        return joined(parts)


class Runner:
    """Trains blocks one after the other in worker processes, while this process is free.

    Attributes:
        failed: block -> message of the error that ended it.
    """

    def __init__(self):
        self.failed: dict[Block, str] = {}
        self._queue: list[Block] = []
        self._stop, self._lock, self._thread = Event(), Lock(), None

    @property
    def queue(self) -> tuple[Block, ...]:
        """The blocks that are running or wait for their turn."""
        return tuple(self._queue)

    def start(self, block: Block) -> None:
        """Add a block to the queue. What an earlier attempt has trained is not trained again."""
        with self._lock:
            self.failed.pop(block, None)
            if block not in self._queue:
                self._queue.append(block)
            if self._thread is None:
                self._thread = Thread(target=self._work, daemon=True, name="molfm study")
                self._thread.start()

    def stop(self) -> None:
        """Stop all runs within a second and empty the queue. Checkpoints remain, so a run continues when it is started again."""
        with self._lock:
            self._stop.set()
            self._queue.clear()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the queue is empty, at most `timeout` seconds."""
        if (thread := self._thread) is not None:
            thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._stop.clear()  # what is in the queue now was added after a stop
                if not self._queue:
                    self._thread = None
                    return
                block = self._queue[0]
            try:
                run_all(dict(block.jobs), progress=False, stop=self._stop.is_set)
            except Exception as error:  # told to the user: `failed`
                self.failed[block] = f"{type(error).__name__}: {error}"
            with self._lock:
                if not self._stop.is_set():
                    self._queue.remove(block)
