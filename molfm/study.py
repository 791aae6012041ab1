"""Transfer, measured: does training on other tasks help a target, and could we have seen it if it did?

Every cell is a comparison of paired runs: the same seed fixes the target's training labels, its molecules in every step
and the first weights of the trunk; both runs take the same number of steps, and in each step the same number of target
molecules. The interval covers two sources of chance, both of which a single run hides:

    seeds      Student's t over the paired differences (a percentile bootstrap over three seeds is wrong one time in four)
    test set   a bootstrap over test constitutions, paired: both runs lose and win the same molecules

    half-width² = (t · s / √n_seeds)² + (1.96 · s_bootstrap)²

The smallest detectable difference is what would have been found with a chance of 80%.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from time import time

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from molfm.download import home
from molfm.metrics import PRIMARY, undefined
from molfm.mix import Mix, load
from molfm.runs import Run
from molfm.splits import SPLITS

REGIMES = ("alone", "cotrain")
BOOTSTRAPS = 1000
IDLE_SECONDS = 60  # after which a process without work ends: also when the one that started it was killed


@dataclass(frozen=True)
class TransferResult:
    """What a transfer study found.

    Attributes:
        table: a row a comparison: target, source, regime, metric, n_labels (training), n_test (labels), seeds, baseline
            (mean over seeds, target alone), value (mean, with the source), difference, low, high (95% interval),
            detectable, verdict ("helps", "hurts", "cannot tell" or "undefined: …").
        runs: a row a run: target, source ("" for alone), regime, n_labels, seed, value (of the metric on test), folder.
        mix: what it was measured on.
        settings: steps, molecules a step, model and versions.
        seconds: wall time; runs that were there already cost nothing.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    mix: Mix
    settings: dict
    seconds: float

    def _repr_html_(self) -> str:
        return self.table.round(3).to_html(index=False)

    def predictions(self, target: str, source: str = "") -> pd.DataFrame:
        """Return the test predictions for a target, the mean over seeds: mol_id, target (measured), preds."""
        mine = self.runs[(self.runs.target == target) & (self.runs.source == source)]
        tables = pd.concat([_test_predictions(folder) for folder in mine.folder])
        return tables.groupby("mol_id", as_index=False)[["target", "preds"]].mean()

    def figure(self):
        """Return the differences with their intervals as a plotly figure."""
        from molfm.figures import transfer_differences

        return transfer_differences(self)

    def to_html(self, path: str | Path | None = None) -> str | Path:
        """Return the report as one self-contained page, or write it to `path` and return that."""
        from molfm.report import transfer_page

        page = transfer_page(self)
        if path is None:
            return page
        Path(path).write_text(page, encoding="utf-8")
        return Path(path)


# ------------------------------------------------------------------------------------------------------------ statistics


def weighted_r2(preds: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return R² for each row of weights (b, n) of predictions and targets (n,).

    A resample that drew one value alone has none: NaN.
    """
    size = weights.sum(1)
    total = weights @ target**2 - size * (weights @ target / size) ** 2
    error, varies = weights @ (preds - target) ** 2, total > 1e-9 * size * target.var()
    return 1 - np.divide(error, total, out=np.full(len(weights), np.nan), where=varies)


def weighted_auroc(preds: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return AUROC for each row of weights (b, n) of scores and classes (n,); equal scores count half.

    A resample that drew only one class has none: NaN.
    """
    order = np.argsort(preds, kind="stable")
    weights, target = weights[:, order], target[order]
    starts = np.unique(preds[order], return_index=True)[1]  # of each run of equal scores
    positive, negative = (np.add.reduceat(weights * which, starts, axis=1) for which in (target, 1 - target))
    below = np.cumsum(negative, 1) - negative / 2
    pairs = positive.sum(1) * negative.sum(1)
    return np.divide((positive * below).sum(1), pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def weighted_mae(preds: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean absolute error for each row of weights (b, n) of predictions and targets (n,)."""
    return weights @ np.abs(preds - target) / weights.sum(1)


WEIGHTED = {"r2": weighted_r2, "mae": weighted_mae, "auroc": weighted_auroc}


def paired_interval(
    metric: str,
    baseline: Sequence[np.ndarray],
    other: Sequence[np.ndarray],
    target: np.ndarray,
    groups: np.ndarray,
    tested: Sequence[np.ndarray] | None = None,
) -> dict[str, float]:
    """Return the mean difference of a metric over paired seeds with its 95% interval.

    Args:
        metric: "r2", "mae" or "auroc".
        baseline, other: for each seed the predictions (n,) of the two runs, on the same test labels.
        target: (n,) the labels.
        groups: (n,) constitution of each label's molecule: what the bootstrap draws.
        tested: for each seed which of the labels (n,) are in its test set, where every seed has a split of its own; None: all.

    Returns:
        baseline and value (means over seeds), difference, low, high, detectable (see the module's text).

    Raises:
        ValueError: fewer than two seeds.
    """
    from scipy.stats import norm, t

    n = len(baseline)
    if n < 2:
        raise ValueError(f"An interval over seeds needs at least two, found {n}.")
    _, member = np.unique(groups, return_inverse=True)
    n_groups = member.max() + 1
    draws = np.random.default_rng(0).multinomial(n_groups, np.full(n_groups, 1 / n_groups), BOOTSTRAPS)
    weights = np.concatenate([np.ones((1, len(target))), draws[:, member]])  # the first row is the test set itself
    shown = [np.ones(len(target), bool)] * n if tested is None else tested

    def values(runs: Sequence[np.ndarray]) -> np.ndarray:
        pairs = zip(runs, shown, strict=True)
        return np.stack([WEIGHTED[metric](preds[at], target[at], weights[:, at]) for preds, at in pairs])

    before, after = values(baseline), values(other)
    by_seed = after[:, 0] - before[:, 0]
    spread_seeds = by_seed.std(ddof=1) / np.sqrt(n)
    spread_test = np.nanstd((after - before)[:, 1:].mean(0), ddof=1)
    half = np.hypot(t.ppf(0.975, n - 1) * spread_seeds, norm.ppf(0.975) * spread_test)
    power = np.hypot(
        (t.ppf(0.975, n - 1) + t.ppf(0.8, n - 1)) * spread_seeds, (norm.ppf(0.975) + norm.ppf(0.8)) * spread_test
    )
    difference = by_seed.mean()
    return {
        "baseline": before[:, 0].mean(),
        "value": after[:, 0].mean(),
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "detectable": power,
    }


# ------------------------------------------------------------------------------------------------------------------ runs


def _without_leaks(mix: Mix, target: str, source: Sequence[str]) -> Mix:
    """Hide the source labels of every molecule whose constitution has a val or test label of the target."""
    molecule, _, split, _ = mix._labels_of(mix.task_number(target))
    held_out = mix.constitution[molecule[split != SPLITS.index("train")]]
    return mix.keep(source, ~np.isin(mix.constitution, held_out))


def _check_sources(mix: Mix, target: str, source: Sequence[str]) -> None:
    task = mix.chosen[mix.task_number(target)]
    if task.kind == "ordinal":
        raise ValueError(f"{task.id} is ordinal; a target must be a regression or binary task.")
    for other in (mix.chosen[mix.task_number(name)] for name in source):
        one_measurement = other.dataset == task.dataset and (other.same_as == task.name or task.same_as == other.name)
        if other.id == task.id or one_measurement:
            raise ValueError(f"{other.id} and {task.id} are one measurement: neither can be the source of the other.")


def _train_one(mix: Mix, settings: dict) -> str:
    """Train one run of a study, in a process of its own."""
    import torch

    from molfm.training import train

    torch.set_num_threads(1)
    return str(train(mix, progress=False, **settings).folder)


def _run_name(mix: Mix, target: str, source: str, settings: dict) -> str:
    """Name a run after everything that shapes it, so that a study finds again what it has trained before."""
    facts = [mix.origin, [shard.folder.parent.name for shard in mix.shards], settings]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    readable = f"{target}-{source or 'alone'}-seed{settings['seed']}".replace("/", ".").replace(" ", "")
    return f"transfer/{readable[:80]}-{digest}"


def _finished(name: str) -> bool:
    """Return whether a run of that name is complete; what an interrupted study left of it is removed."""
    import shutil

    folder = home() / "runs" / name
    if not (folder / "config.json").exists():
        return False
    if Run(folder).status["state"] == "finished":
        return True
    shutil.rmtree(folder)
    return False


def _wait(futures: dict[Future, str], steps: int, n_runs: int, progress: bool) -> None:
    """Wait for all runs, showing the steps they have taken as their status files tell."""
    done_before = n_runs - len(futures)
    with tqdm(total=n_runs * steps, desc=f"Training {n_runs} networks", unit=" steps", disable=not progress) as bar:
        waiting = set(futures)
        while waiting:
            finished, waiting = wait(waiting, timeout=0.5)
            for future in finished:
                future.result()  # a failed run is the study's failure, with its traceback
            taken = (done_before + len(futures) - len(waiting)) * steps
            for future in waiting:
                try:
                    taken += Run(futures[future]).status["step"]
                except FileNotFoundError:
                    continue  # not started yet
            bar.update(max(0, taken - bar.n))
        bar.update(n_runs * steps - bar.n)


def transfer(
    data: str | Mix,
    targets: Sequence[str],
    sources: Sequence[str | Sequence[str]],
    regimes: Sequence[str] = REGIMES,
    seeds: int = 5,
    n_labels: int | None = None,
    *,
    steps: int = 1000,
    target_batch: int = 32,
    source_batch: int = 64,
    progress: bool = True,
    **settings,
) -> TransferResult:
    """Compare training on each target alone with training on it together with each source.

    Args:
        data: a `Mix`, or anything that `molfm.load` opens.
        targets: graph tasks.
        sources: the alternatives; each a task, a dataset, a level of one (`xtb_b3db/node`), or a list of these.
        regimes: "alone" (the baseline, always run) and "cotrain" (target and source in every step).
        seeds: pairs of runs; two at least.
        n_labels: training labels of the target to keep; None: all.
        steps: of every run.
        target_batch: target molecules a step, in every run.
        source_batch: molecules a step of each source dataset.
        settings: further arguments of `molfm.train`.

    Runs are ordinary run folders under `runs/transfer/`; a study that was interrupted, or asked again with more seeds,
    trains only what is missing.

    Raises:
        ValueError: an unknown regime, an ordinal target, a source that is the target's own measurement, too few labels or
            seeds.
    """
    import loky

    start = time()
    if unknown := [regime for regime in regimes if regime not in REGIMES]:
        raise ValueError(f"Unknown regime {unknown[0]!r}; expected {', '.join(REGIMES)}.")
    if seeds < 2:
        raise ValueError(f"A comparison needs at least 2 seeds for an interval, found {seeds}.")
    mix = data if isinstance(data, Mix) else load(data, progress=progress)
    targets = mix.expand(targets)
    alternatives = {}
    for source in sources:
        names = [source] if isinstance(source, str) else list(source)
        alternatives[" + ".join(names)] = mix.expand(names)
    jobs, planned = {}, []
    for target in targets:
        for label, source in {"": [], **(alternatives if "cotrain" in regimes else {})}.items():
            _check_sources(mix, target, source)
            narrow = _without_leaks(mix, target, source).select([target, *source])
            datasets = dict.fromkeys(mix.chosen[mix.task_number(name)].dataset for name in source)
            own = target.split("/")[0]
            if own in datasets:
                raise ValueError(
                    f"Source {label} has tasks of the target's own dataset {own}: their batches would mix."
                )
            batch_size = {own: target_batch, **dict.fromkeys(datasets, source_batch)}
            for seed in range(seeds):
                job = {
                    "steps": steps,
                    "batch_size": batch_size,
                    "n_labels": {target: n_labels} if n_labels else None,
                    "watch": [target],
                    "seed": seed,
                    **settings,
                }
                name = _run_name(narrow, target, label, job | {"tasks": [target, *source]})
                planned.append((target, label, "cotrain" if label else "alone", seed, name))
                if not _finished(name):
                    jobs[name] = (narrow, job | {"name": name})
    # Seeds go first, long runs before short ones: the processes end at about the same time.
    order = sorted(jobs, key=lambda name: -sum(jobs[name][1]["batch_size"].values()))
    futures: dict[Future, str] = {}
    if jobs:
        pool = loky.ProcessPoolExecutor(min(loky.cpu_count(), len(jobs)), timeout=IDLE_SECONDS)
        try:
            futures = {pool.submit(_train_one, *jobs[name]): name for name in order}
            _wait(futures, steps, len(planned), progress)
        finally:
            pool.shutdown(kill_workers=True)  # also when interrupted: nothing must train on unseen
    runs = pd.DataFrame(planned, columns=["target", "source", "regime", "seed", "folder"])
    runs["folder"] = [str(home() / "runs" / name) for name in runs.folder]
    chosen = {"steps": steps, "target_batch": target_batch, "source_batch": source_batch, "seeds": seeds}
    runs.insert(3, "n_labels", n_labels or [int(_n_train(mix, target)) for target in runs.target])
    table, values = _compare(mix, runs)
    return TransferResult(table, runs.assign(value=values), mix, chosen | settings, time() - start)


def _n_train(mix: Mix, target: str) -> int:
    return mix.tasks.n_train[mix.task_number(target)]


def _test_predictions(folder: str) -> pd.DataFrame:
    """Read the target's test predictions of a run, in the order of molecules; the target is its task 0."""
    table = Run(folder).predictions
    return table[(table.split == "test") & (table.task == 0)].sort_values("mol_id", ignore_index=True)


def _compare(mix: Mix, runs: pd.DataFrame) -> tuple[pd.DataFrame, list[float]]:
    rows, values = [], {}
    for target, of_target in runs.groupby("target", sort=False):
        kind = mix.chosen[mix.task_number(target)].kind
        metric = PRIMARY[kind]
        found = {(r.source, r.seed): _test_predictions(r.folder) for r in of_target.itertuples()}
        first = next(iter(found.values()))
        measured, groups = first.target.to_numpy(float), first.constitution.to_numpy()
        reason = undefined(kind, measured)
        for key, table in found.items():
            if not np.array_equal(table.mol_id, first.mol_id):
                raise RuntimeError(
                    f"The runs of {target} were tested on different molecules; delete them and run again."
                )
            ones = np.ones((1, len(measured)))
            values[target, *key] = (
                np.nan if reason else float(WEIGHTED[metric](table.preds.to_numpy(float), measured, ones)[0])
            )
        seeds = sorted(of_target.seed.unique())
        for source in [name for name in of_target.source.unique() if name]:
            row = {
                "target": target,
                "source": source,
                "regime": "cotrain",
                "metric": metric,
                "n_labels": of_target.n_labels.iloc[0],
                "n_test": len(measured),
                "seeds": len(seeds),
            }
            if reason:
                rows.append(row | {"verdict": f"undefined: {reason}"})
                continue
            pairs = [[found[name, seed].preds.to_numpy(float) for seed in seeds] for name in ("", source)]
            cell = paired_interval(metric, *pairs, measured, groups)
            verdict = "helps" if cell["low"] > 0 else "hurts" if cell["high"] < 0 else "cannot tell"
            rows.append(row | cell | {"verdict": verdict})
    return pd.DataFrame(rows), [values[r.target, r.source, r.seed] for r in runs.itertuples()]
