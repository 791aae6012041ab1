"""Paired runs of a study, read from their folders: the rows of its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from molfm.base.names import counted
from molfm.data.mix import Mix
from molfm.study.sources import TransferSource
from molfm.study.statistics import KEYS, Difference, add_verdicts, mean_of, paired_difference, too_few
from molfm.training.metrics import PRIMARY, score, undefined
from molfm.training.run import Run

COLUMNS = (
    *("target", "source", "regime", "metric", "split", "n_labels", "n_source", "n_test", "seeds", "baseline", "value"),
    *("difference", "low", "high", "p", "p_adjusted", "detectable", "verdict"),
)

_ALL = ""  # stands for all targets of a network, in place of a family
PAIR_COLUMNS = (*KEYS, "seed", "baseline", "value", "test_error")


@dataclass(frozen=True)
class Cell:
    """One comparison: a target, a source and how the source is used.

    Attributes:
        group: ids of the targets that are trained together, including this one.
        count: requested number of training labels of the target; None for all.
        n_labels: that number, also where all were requested.
        n_source: number of training labels of the source; None for a checkpoint.
        reason: why the comparison is undefined and has no runs; None if it is defined.
    """

    target: str
    group: tuple[str, ...]
    source: TransferSource
    regime: str
    count: int | None
    n_labels: int
    n_source: int | None
    reason: str | None


def tested_tables(folder: str, targets: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read a run's predictions of some targets on test and test_seen: one table per target, sorted by molecule."""
    table = Run(folder).predictions()
    table = table[table.split.isin(["test", "test_seen"]) & table.task.isin(targets)]
    table = table.sort_values("mol_id", kind="stable").astype({"preds": float, "measured": float})
    return {target: of.reset_index(drop=True) for target, of in table.groupby("task", sort=False, observed=True)}


def _difference(
    metric: str,
    before: Sequence[Mapping[str, pd.DataFrame]],
    after: Sequence[Mapping[str, pd.DataFrame]],
    target: str,
    here: np.ndarray,
) -> Difference:
    """Return the difference between two arms, each given by the `tested_tables` of its seeds.

    Args:
        here: (n,) bool, the rows of the target's tables that count.
    """
    first = before[0][target]
    if any(not np.array_equal(tables[target].mol_id, first.mol_id) for tables in (*before, *after)):
        raise RuntimeError(
            f"The runs of {target} were tested on different molecules. Delete them and start the study again."
        )
    arms = ([tables[target].preds.to_numpy()[here] for tables in arm] for arm in (before, after))
    return paired_difference(metric, *arms, first.measured.to_numpy()[here], first.constitution.to_numpy()[here])


def compare(
    mix: Mix, runs: pd.DataFrame, cells: Sequence[Cell], seen: Mapping[tuple, np.ndarray]
) -> tuple[pd.DataFrame, list[float], pd.DataFrame]:
    """Return the table of a study (one row per cell and split), the test metric of every run, and `Comparison.pairs`.

    The runs of one arm are read together, and each run once per arm, so memory does not grow with the number of arms.

    Args:
        mix: the data.
        runs: `Comparison.runs` without the column `value`.
        cells: the comparisons.
        seen: (target, source) -> constitutions that the source was trained on; only where `test_seen` is reported.
    """
    metric = {target: PRIMARY[mix.task(target).kind] for target in runs.target.unique()}
    keys = ["target", "source", "regime", "n_labels"]
    arms = {key: group.sort_values("seed").folder.tolist() for key, group in runs.groupby(keys, sort=False)}
    rows: dict[int, list[dict]] = {}
    by_arm: dict[tuple, list[int]] = {}  # folders of a baseline and an arm -> the cells that they answer
    for number, cell in enumerate(cells):
        facts = {"target": cell.target, "source": cell.source.label, "regime": cell.regime, "n_labels": cell.n_labels}
        rows[number] = [facts | {"metric": PRIMARY[mix.task(cell.target).kind], "n_source": cell.n_source}]
        if cell.reason:
            rows[number][0] |= {"split": "test", "verdict": f"undefined: {cell.reason}"}
            continue
        pair = ("", "alone"), (cell.source.label, cell.regime)
        folders = tuple(tuple(arms[cell.target, *arm, cell.n_labels]) for arm in pair)
        by_arm.setdefault(folders, []).append(number)
    targets_of = runs.groupby("folder").target.agg(list)
    values: dict[tuple, float] = {}
    pairs: list[pd.DataFrame] = []

    def read(folders: tuple[str, ...]) -> list[dict[str, pd.DataFrame]]:
        tables = [tested_tables(folder, targets_of[folder]) for folder in folders]
        for folder, of_run in zip(folders, tables, strict=True):
            for target in targets_of[folder]:
                if (folder, target) not in values:
                    values[folder, target] = _value(of_run[target], metric[target])
        return tables

    alone, before = None, []
    order = list(dict.fromkeys(baseline for baseline, _ in by_arm))
    for (baseline, arm), numbers in sorted(by_arm.items(), key=lambda item: order.index(item[0][0])):
        if baseline != alone:
            alone, before = baseline, read(baseline)
        after = read(arm)
        for number in numbers:
            cell, facts = cells[number], rows[number].pop()
            first, kind = before[0][cell.target], mix.task(cell.target).kind
            for split, here in _splits(first, seen.get((cell.target, cell.source))).items():
                row = facts | {"split": split, "seeds": len(arm), "n_test": int(here.sum())}
                if reason := _too_few(kind, first, here):
                    row["verdict"] = f"undefined: {reason} in {split}"
                else:
                    found = _difference(facts["metric"], before, after, cell.target, here)
                    row |= found.interval()
                    pairs.append(_pairs(row, found))
                rows[number].append(row)
    table = add_verdicts(pd.DataFrame([row for of in rows.values() for row in of]).reindex(columns=COLUMNS))
    table = table.astype(dict.fromkeys(["n_labels", "n_source", "n_test", "seeds"], "Int64"))
    return table, [values[run.folder, run.target] for run in runs.itertuples()], _joined(pairs)


def _pairs(row: Mapping, difference: Difference) -> pd.DataFrame:
    return pd.DataFrame({key: row[key] for key in KEYS} | {"seed": range(len(difference))} | difference.pairs())


def _joined(pairs: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(columns=PAIR_COLUMNS)


def _splits(table: pd.DataFrame, seen: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return, for each reported test set that is not empty, a mask over the rows of a run's predictions."""
    if seen is None:
        return {"test": (table.split == "test").to_numpy()}
    known, test = np.isin(table.constitution, seen), (table.split == "test").to_numpy()
    return {split: here for split, here in (("test", test & ~known), ("test_seen", known)) if here.any()}


def _value(table: pd.DataFrame, metric: str) -> float:
    table = table[table.split == "test"]
    return score(metric, table.preds.to_numpy(), table.measured.to_numpy())


def mean_rows(
    mix: Mix, runs: pd.DataFrame, tested: Mix | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return `Comparison.means`, `Comparison.by_family` and the pairs of both; each run is read once per arm.

    Args:
        mix: the data.
        runs: `Comparison.runs`, which lists only targets whose comparison is defined.
        tested: a view of the data whose test labels are scored; None for all.
    """
    kept: dict[str, np.ndarray] = {}  # molecules whose test labels are scored
    arms: dict[tuple, dict[int, str]] = {}  # (targets with their numbers of labels, source, regime) -> seed -> folder
    for (source, regime, folder, seed), of in runs.groupby(["source", "regime", "folder", "seed"], sort=False):
        arms.setdefault((tuple(zip(of.target, of.n_labels, strict=True)), source, regime), {})[seed] = folder
    rows, pairs = [], []
    for (labels, source, regime), folders in arms.items():
        groups: dict[str | None, list[str]] = {_ALL: [target for target, _ in labels]}
        for target, _ in labels:
            groups.setdefault(mix.task(target).family, []).append(target)
        groups = {name: of for name, of in groups.items() if len(of) > 1 and name is not None and _metric(mix, of)}
        if regime == "alone" or not groups:
            continue
        wanted = [target for target, _ in labels]
        before, after = (
            [tested_tables(folder, wanted) for _, folder in sorted(of.items())]
            for of in (arms[labels, "", "alone"], folders)
        )
        known: dict[str, Difference] = {}
        for name, targets in groups.items():
            metric = _metric(mix, targets)
            here = {target: (before[0][target].split == "test").to_numpy() for target in targets}
            if tested is not None:
                kept |= {target: tested.members("test", [target]) for target in targets if target not in kept}
                here = {of: at & np.isin(before[0][of].mol_id, kept[of]) for of, at in here.items()}
                targets = [of for of in targets if not _too_few(mix.task(of).kind, before[0][of], here[of])]
                if len(targets) < 2:
                    continue
            for target in targets:
                if target not in known:
                    known[target] = _difference(metric, before, after, target, here[target])
            found = [known[target] for target in targets]
            mean = mean_of(found)
            rows.append(
                {
                    "target": f"mean of {counted([mix.task(target) for target in targets])}",
                    **{"n_targets": len(targets), "source": source, "regime": regime, "split": "test"},
                    **{"metric": metric, "seeds": len(folders), "n_labels": sum(n for t, n in labels if t in targets)},
                    "n_test": sum(len(of.groups) for of in found),
                    "spread": (mean.value - mean.baseline).std(ddof=1),
                    "members": tuple((target, n) for target, n in labels if target in targets),
                    **mean.interval(),
                    "family": name,
                }
            )
            pairs.append(_pairs(rows[-1], mean))
    columns = ["target", "n_targets", *(name for name in COLUMNS[1:] if name != "n_source"), "spread", "members"]
    table = pd.DataFrame(rows).reindex(columns=[*columns, "family"])
    of_all = table.family == _ALL
    parts = (table[mine].reset_index(drop=True)[columns] for mine in (of_all, ~of_all))
    # If all targets are of one family, the mean of the family is the mean of all: its pairs count once.
    return *map(add_verdicts, parts), _joined(pairs).drop_duplicates([*KEYS, "seed"], ignore_index=True)


def _too_few(kind: str, table: pd.DataFrame, here: np.ndarray) -> str | None:
    """Return why some rows of a target's predictions are not enough for a verdict; None if they are."""
    measured, groups = table.measured.to_numpy()[here], table.constitution.to_numpy()[here]
    return undefined(kind, measured) or too_few(kind, measured, groups)


def _metric(mix: Mix, targets: Sequence[str]) -> str | None:
    """Return the metric that all of these targets have, or None if they differ."""
    metrics = {PRIMARY[mix.task(target).kind] for target in targets}
    return metrics.pop() if len(metrics) == 1 else None
