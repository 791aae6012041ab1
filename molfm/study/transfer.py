"""Transfer, measured: does training on other tasks help a target, and could we have seen it if it did?

Every cell is a comparison of paired runs, with the target alone as the baseline:

    alone      the target, from fresh weights
    cotrain    target and source in every step
    finetune   a network trained on the source first, then on the target, under a new head
    probe      the same, but its encoder and trunk stay as they are and the head is linear

The same seed fixes the target's training labels, its molecules in every step and the weights that training begins with. All runs
take the same number of steps that see the target, with as many target molecules in each, and the target's validation loss
alone chooses their weights. What a source knows of the molecules that the target is tested on is hidden from it; but what a checkpoint
from elsewhere knew is not, and its network is another than the baseline's: such a row says what it is worth, not what its data is.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import time

from tqdm.auto import tqdm

from molfm.base.files import write_text
from molfm.data.mix import Mix, load
from molfm.study.comparison import Comparison, compare
from molfm.study.jobs import run_all
from molfm.study.plan import REGIMES, Budget, Study, check_request
from molfm.study.report import transfer_page
from molfm.study.sources import read_sources


class TransferResult(Comparison):
    """What a transfer study found. Made by `molfm.transfer`; see `Comparison` for its tables."""

    def to_html(self, path: str | Path | None = None) -> str | Path:
        """Return the report as one self-contained page, or write it to `path` and return that path."""
        page = transfer_page(self)
        if path is None:
            return page
        write_text(Path(path), page)
        return Path(path)


def transfer(
    data: str | Mix,
    targets: str | Sequence[str | Sequence[str]],
    sources: str | Path | Sequence[str | Path | Sequence[str]],
    regimes: str | Sequence[str] = REGIMES,
    seeds: int = 5,
    n_labels: int | Sequence[int | None] | None = None,
    *,
    steps: int = 1000,
    pretrain_steps: int | None = None,
    target_batch: int = 32,
    source_batch: int = 64,
    held_out: str = "molecules",
    finetune: dict | None = None,
    progress: bool = True,
    **settings,
) -> TransferResult:
    """Compare training on each target alone with what each source adds to it, at equal budgets.

    Args:
        data: a `Mix`, or anything that `molfm.load` opens.
        targets: graph tasks; a dataset, or a list of tasks of one, is trained together and each of its tasks judged by itself.
        sources: the alternatives; each a task, a dataset, a level of one (`xtb_b3db/node`), a list of these, or a checkpoint
            (see `molfm.pretrained`; fine-tuned and probed only). "all": the tasks of all others together or, by itself, of
            every dataset but the target's.
        regimes: of "alone" (the baseline, always run), "cotrain", "finetune" and "probe"; see the module's text.
        seeds: pairs of runs; two at least.
        n_labels: training labels of the target to keep, or several such numbers for a curve; None: all. Fewer labels are
            among the more of the same seed, and validation labels shrink with them.
        steps: of every run that sees the target; with few labels take few (`benchmarks/few_labels.py`), but `pretrain_steps` no fewer.
        pretrain_steps: on the source before; None: as many as `steps`.
        target_batch: target molecules a step, in every run.
        source_batch: molecules a step of each source dataset.
        held_out: what sources must not know: "molecules", any label of those that the target is tested on, and training
            labels of those that it is validated on, whatever their stereochemistry; "scaffolds", the same of all others of
            their scaffolds; "nothing": then test molecules that a source was trained on are reported apart, as `test_seen`.
        finetune: settings of `molfm.finetune` for the regime of that name: learning_rate, weight_decay, schedule, warmup,
            gradient_clip, freeze, layer_decay, dropout.
        settings: further arguments of `molfm.train`, the same for every run.

    Runs are ordinary run folders under `runs/transfer/`; a study that was interrupted, or asked again with more seeds,
    trains only what is missing.

    Raises:
        TypeError: an unknown setting, or a source that is neither names nor a path.
        CardError: an unknown task or source.
        ValueError: an unknown regime, an ordinal target, a source that is the target's own measurement, too few seeds,
            numbers below 1.
    """
    start = time()
    mix = data if isinstance(data, Mix) else load(data, progress=progress)
    budget = Budget(seeds, steps, target_batch, steps if pretrain_steps is None else pretrain_steps, source_batch)
    request = check_request(mix, targets, regimes, n_labels, budget, held_out, finetune or {}, settings)
    study = Study(request, read_sources(mix, sources))
    if progress:
        tqdm.write(str(budget))
    run_all(study.jobs, progress)
    table, values = compare(mix, study.runs(), study.cells, study.seen)
    given = {"held_out": held_out, "finetune": finetune, **settings}
    chosen = asdict(budget) | {name: value for name, value in given.items() if value is not None}
    return TransferResult(table, study.runs().assign(value=values), mix, chosen, time() - start)
