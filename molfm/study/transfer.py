"""Transfer studies: does training on other tasks help a target, and was the study able to detect it?

Each comparison is of paired runs, and its baseline is the target alone:

    alone      train on the target from fresh weights
    cotrain    train on target and source together, in every step
    finetune   train on the source first, then on the target with a new head
    probe      like finetune, but with the encoder and trunk frozen and a linear head

Runs with the same seed get the same training labels of the target, the same target molecules in every step and the same
initial weights of the trunk, or the weights trained on the source. All runs take the same number of steps that see the
target, with the same number of target molecules per step, and the target's validation loss alone chooses their weights.

Source labels of the target's test molecules are hidden; see `held_out`. This is not possible for a checkpoint that was
trained elsewhere, and its network differs from the baseline's. Such a row says what the checkpoint is worth, not its
training data.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from inspect import signature
from pathlib import Path
from time import time

import numpy as np

from molfm.base.errors import InputError
from molfm.base.files import write_text
from molfm.base.progress import tqdm
from molfm.data.mix import Mix, load
from molfm.study.comparison import Comparison
from molfm.study.jobs import run_all
from molfm.study.pairs import compare
from molfm.study.plan import REGIMES, Budget, Study, check_request
from molfm.study.report import transfer_page
from molfm.study.sources import read_sources


class TransferResult(Comparison):
    """The result of a transfer study. Made by `molfm.transfer`; see `Comparison` for its tables."""

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
    precision: float | None = None,
    max_seeds: int = 30,
    finetune: dict | None = None,
    progress: bool = True,
    **settings,
) -> TransferResult:
    """Measure how much each source helps each target, compared with training on the target alone with an equal budget.

    Every run is a run folder under `$MOLFM_HOME/runs/transfer`. An interrupted study resumes when you call it again;
    with more seeds, it trains only the missing runs.

    Args:
        data: a `Mix`, or anything that `molfm.load` opens.
        targets: regression or binary tasks at graph level. An entry that is a dataset, or a list of tasks of one
            dataset, is trained together in one network, and each of its tasks is judged separately.
        sources: what the targets may learn from, each entry compared separately. An entry is a task, a dataset, one
            level or family of a dataset (`xtb/node`, `toxcast/ATG`), a list of these to be used together, or the name or folder of a
            checkpoint (see `molfm.pretrained`; for "finetune" and "probe" only). The entry "all" is the union of the
            other entries or, if it is the only one, all tasks outside the target's dataset. Tasks of the target's own
            dataset may be sources ("does assay B help assay A?"): they get batches and a head of their own. A source
            never includes the targets themselves.
        regimes: how a source is used. "cotrain" trains target and source together; "finetune" trains on the source
            first and then on the target; "probe" does the same, but trains only a linear head on the target. "alone",
            the baseline without a source, is always run.
        seeds: number of seeds, at least 2. Each seed gives one pair of runs per comparison, with the same target labels
            in the same steps. Intervals are computed over these pairs.
        n_labels: number of training labels to keep of each target, or several numbers for a label-efficiency curve;
            None for all labels. With the same seed, a smaller set of labels is part of a larger one. Validation labels
            are reduced in proportion; test labels are not reduced.
        steps: number of training steps that see the target, for every run. With few labels, take fewer steps
            (`benchmarks/few_labels.py`), but do not reduce `pretrain_steps`.
        pretrain_steps: number of training steps on the source before "finetune" and "probe"; None for as many as
            `steps`.
        target_batch: target molecules per step, in every run.
        source_batch: molecules per step of each source dataset, in "cotrain" and in the training on the source.
        held_out: which source labels to hide from training. "molecules" hides all labels of the target's test
            molecules, and training labels of its validation molecules; stereoisomers and salts count as the same molecule.
            "scaffolds" also hides the labels of all molecules that share a scaffold with these. "nothing" hides none;
            test molecules that the source was trained on are then reported separately, as split "test_seen".
        precision: the half-width that intervals should have, in the unit of the metric, such as 0.01; None for no such
            goal. The study adds seeds until the intervals of `TransferResult.main` are so narrow, or until `max_seeds`.
            It looks at their width only, never at the differences. An interval that the test set alone makes wider
            does not count, because no number of seeds narrows it.
        max_seeds: the most seeds that `precision` may add up to.
        finetune: settings for the target's training in the regime "finetune" that differ from `settings`: any of
            learning_rate, weight_decay, schedule, warmup, gradient_clip, freeze, layer_decay, dropout (see
            `molfm.finetune`). None for no difference.
        progress: print the budget and show progress bars.
        settings: further arguments of `molfm.train`, such as model or learning_rate, for all runs.

    Returns:
        The study, whose `table` has one row per comparison: difference, 95% interval and verdict. See `Comparison`.

    Raises:
        TypeError: a setting is unknown or set by the study itself, or a source is neither names nor a path.
        UnknownName: a target or source is unknown.
        ValueError: a regime is unknown, a target is ordinal or not at graph level, a source is the target's own
            measurement or has no other tasks, there are fewer than 2 seeds, or a number is below 1.
    """
    start, asked = time(), plain_request(locals())
    mix = data if isinstance(data, Mix) else load(data, progress=progress)
    budget = Budget(seeds, steps, target_batch, steps if pretrain_steps is None else pretrain_steps, source_batch)
    request = check_request(mix, targets, regimes, n_labels, budget, held_out, finetune or {}, settings)
    if precision is not None and not (precision > 0 and max_seeds >= seeds):
        raise InputError(
            f"Expected a precision above 0, and max_seeds of at least seeds ({seeds}), found {precision=}, {max_seeds=}."
        )
    found_sources = read_sources(mix, sources)
    while True:
        study = Study(request, found_sources)
        if progress and request.budget is budget:
            tqdm.write(str(budget), file=sys.stderr)
        run_all(study.jobs, progress)
        runs, seeds = study.runs(), request.budget.seeds
        table, values, pairs = compare(mix, runs, study.cells, study.seen)
        given = {"held_out": held_out, "precision": precision, "finetune": finetune, **settings}
        chosen = asdict(request.budget) | {name: value for name, value in given.items() if value is not None}
        result = TransferResult(table, runs.assign(value=values), pairs, mix, chosen, asked, time() - start)
        # At most twice as many at a time, because few seeds say little about their own scatter.
        more = 0 if precision is None else int(min(result.seeds_for(precision), 2 * seeds, max_seeds))
        if more <= seeds:
            return result
        if progress:
            tqdm.write(f"After {seeds} seeds, intervals are wider than ±{precision:g}: {more} seeds.", file=sys.stderr)
        request = replace(request, budget=replace(request.budget, seeds=more))


def plain_request(given: Mapping) -> dict:
    """Return the arguments of a call of `transfer` as JSON can hold them, without the data and without defaults."""
    defaults = {name: _plain(of.default) for name, of in signature(transfer).parameters.items()}
    named = {name: value for name, value in given.items() if name not in ("data", "progress", "settings")}
    named = {name: _plain(value) for name, value in (named | given.get("settings", {})).items()}
    return {name: value for name, value in named.items() if name not in defaults or value != defaults[name]}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _plain(of) for name, of in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(of) for of in value] if isinstance(value, Sequence) else str(value)
