"""The tables of a study, made from its finished runs: paired differences, intervals and verdicts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from molfm.base.errors import InputError
from molfm.base.files import whole, write_json
from molfm.base.names import counted
from molfm.data.mix import Mix
from molfm.data.reopen import check_origin, read_mix, write_mix
from molfm.plots.transfer import transfer_curves, transfer_differences, transfer_matrix
from molfm.study.simple_models import reference_values
from molfm.study.sources import TransferSource
from molfm.study.statistics import Difference, add_verdicts, mean_of, paired_difference, seeds_for, too_few
from molfm.training.curves import read_metrics
from molfm.training.metrics import PRIMARY, score, undefined
from molfm.training.run import Run

if TYPE_CHECKING:
    import plotly.graph_objects as go


COLUMNS = (
    *("target", "source", "regime", "metric", "split", "n_labels", "n_source", "n_test", "seeds", "baseline", "value"),
    *("difference", "low", "high", "p", "p_adjusted", "detectable", "verdict"),
)


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


@dataclass(frozen=True)
class Comparison:
    """The tables of a transfer study. `TransferResult` adds its report.

    Attributes:
        table: one row per comparison with the target alone. Columns: target, source, regime, metric, split ("test", or
            "test_seen" for test molecules that the source was trained on), n_labels and n_source (training labels of
            target and source; missing for a checkpoint), n_test (labels), seeds, baseline (mean over seeds, target
            alone), value (mean, with the source), difference, low and high (its 95% interval), p, p_adjusted (over the
            whole table), detectable, and verdict: "helps", "hurts", "cannot tell" or "undefined: …".
        runs: one row per target and run that saw it: target, source ("" for alone), regime, n_labels, seed, folder,
            value (test metric).
        mix: the data.
        settings: the budget and every setting that was given.
        seconds: wall time of the study; reused runs take none.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    mix: Mix
    settings: dict
    seconds: float

    def _repr_html_(self) -> str:
        return self.table.round(3).to_html(index=False)

    def _id(self, target: str) -> str:
        return self.mix.task(target).id

    def arm(
        self, target: str, source: str = "", regime: str | None = None, n_labels: int | None = None
    ) -> pd.DataFrame:
        """Return the runs of one target, source and regime, one row per seed.

        Args:
            target: name of the target.
            source: name of the source; "" for the target alone.
            regime: how the source was used; None for the first regime of the source.
            n_labels: number of training labels of the target; None for the largest number.

        Raises:
            ValueError: there are no such runs.
        """
        mine = self.runs[(self.runs.target == self._id(target)) & (self.runs.source == source)]
        mine = mine[mine.n_labels == (n_labels or mine.n_labels.max())]
        mine = mine[mine.regime == (regime or next(iter(mine.regime), None))]
        if mine.empty:
            raise InputError(f"No runs of {target} with {source=}, {regime=}, {n_labels=}. {self._what_there_is()}")
        return mine

    def _arms(self, target: str, n_labels: int | None) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """Yield the regime, source and runs of each way a target was trained; `n_labels` None means the most labels."""
        runs = self.runs[self.runs.target == self._id(target)]
        runs = runs[runs.n_labels == (n_labels or runs.n_labels.max())]
        if runs.empty:
            raise InputError(f"No runs of {target} with {n_labels=}. {self._what_there_is()}")
        for (regime, source), arm in runs.groupby(["regime", "source"], sort=False):
            yield regime, source, arm

    def _what_there_is(self) -> str:
        there = self.runs[["target", "source", "regime", "n_labels"]].drop_duplicates()
        return f"There are:\n{there.to_string(index=False)}"

    def predictions(self, target: str, n_labels: int | None = None) -> pd.DataFrame:
        """Return a target's test predictions, one row per way of training and molecule, averaged over seeds.

        Columns: source ("" for alone), regime, mol_id (a row of `mix.molecules`), smiles, preds and measured.

        Args:
            target: name of the target.
            n_labels: number of training labels of the target; None for the largest number.

        Raises:
            ValueError: there are no such runs.
        """
        parts = []
        for regime, source, arm in self._arms(target, n_labels):
            name = self._id(target)
            tables = pd.concat([test_tables(folder, [name])[name] for folder in arm.folder])
            mean = tables[tables.split == "test"].groupby("mol_id", as_index=False)[["preds", "measured"]].mean()
            parts.append(mean.assign(source=source, regime=regime))
        found = pd.concat(parts, ignore_index=True)
        found["smiles"] = self.mix.molecules.smiles.to_numpy()[found.mol_id]
        return found[["source", "regime", "mol_id", "smiles", "preds", "measured"]]

    def curves(self, target: str, n_labels: int | None = None) -> pd.DataFrame:
        """Return a target's validation metric during training, one row per run and validation.

        Columns: source ("" for alone), regime, seed, step and value.

        Args:
            target: name of the target.
            n_labels: number of training labels of the target; None for the largest number.

        Raises:
            ValueError: there are no such runs.
        """
        column, parts = f"{self._id(target)}/{PRIMARY[self.mix.task(target).kind]}", []
        for regime, source, arm in self._arms(target, n_labels):
            for run in arm.itertuples():
                metrics = read_metrics(Path(run.folder))
                if column in metrics:
                    curve = metrics[["step", column]].rename(columns={column: "value"})
                    parts.append(curve.assign(source=source, regime=regime, seed=run.seed))
        columns = ["source", "regime", "seed", "step", "value"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    @property
    def by_seed(self) -> pd.DataFrame:
        """The difference from the target alone per seed: target, source, regime, n_labels, seed, difference."""
        keys = ["target", "n_labels", "seed"]
        alone = self.runs[self.runs.regime == "alone"].set_index(keys).value.rename("alone")
        others = self.runs[self.runs.regime != "alone"].join(alone, on=keys)
        others["difference"] = others.value - others.alone
        return others[["target", "source", "regime", "n_labels", "seed", "difference"]].reset_index(drop=True)

    @cached_property
    def means(self) -> pd.DataFrame:
        """The mean metric of targets that were trained together, per source, regime and number of labels.

        Papers report such means over many assays. Only groups whose targets have the same metric are listed, and only
        their targets whose own comparison is defined. The standard error over test sets covers the constitutions of all
        targets jointly, from the whole test set, including molecules that a source has seen. Verdicts are corrected
        over this table. Columns as in `table`, without n_source and with n_targets and spread (standard deviation of the
        difference over seeds); n_labels and n_test are sums.
        """
        defined = set(self.table.target[self.table.difference.notna()])
        arms: dict[tuple, pd.DataFrame] = {}
        for (source, regime, _), of in self.runs.groupby(["source", "regime", "folder"], sort=False):
            targets = tuple(zip(of.target, of.n_labels, strict=True))
            arms[targets, source, regime] = pd.concat([arms.get((targets, source, regime)), of.iloc[:1]])
        rows = []
        for (labels, source, regime), runs in arms.items():
            targets = [target for target, _ in labels if target in defined]
            metric = {PRIMARY[self.mix.task(target).kind] for target in targets}
            if regime == "alone" or len(targets) < 2 or len(metric) > 1:
                continue
            name = f"mean of {counted([self.mix.task(target) for target in targets])}"
            row = {"target": name, "n_targets": len(targets)}
            row |= {"source": source, "regime": regime, "split": "test", "metric": metric.pop(), "seeds": len(runs)}
            row["n_labels"] = sum(n for target, n in labels if target in defined)
            before, after = (
                [test_tables(folder, targets) for folder in of.sort_values("seed").folder]
                for of in (arms[labels, "", "alone"], runs)
            )
            found = [_difference(row["metric"], before, after, target) for target in targets]
            mean = mean_of(found)
            row |= {"n_test": sum(len(of.groups) for of in found), "spread": (mean.value - mean.baseline).std(ddof=1)}
            rows.append(row | mean.interval())
        columns = ["target", "n_targets", *(name for name in COLUMNS[1:] if name != "n_source"), "spread"]
        return add_verdicts(pd.DataFrame(rows).reindex(columns=columns))

    @cached_property
    def main(self) -> pd.DataFrame:
        """What a study is about: the rows of `means`, and those of `table` whose target was trained alone.

        Undefined comparisons are left out. `spread` is the standard deviation of the difference over seeds.
        """
        keys = ["source", "regime", "n_labels"]
        size = self.runs.groupby(["folder", "source", "regime"]).target.transform("size")
        single = self.table[self.table.target.isin(self.runs.target[size == 1]) & self.table.difference.notna()]
        spread = self.by_seed.groupby(["target", *keys]).difference.std().rename("spread").reset_index()
        single = single.merge(spread, on=["target", *keys], how="left")
        return pd.concat([self.means, single], ignore_index=True) if len(single) else self.means

    def seeds_for(self, width: float) -> float:
        """Return how many seeds make the intervals of all rows of `main` that seeds can make so narrow.

        Args:
            width: the wanted half-width, in the unit of the metric.
        """
        found = [
            seeds_for(width, row.high - row.difference, row.spread, int(row.seeds)) for row in self.main.itertuples()
        ]
        return max([n for n in found if np.isfinite(n)], default=0)

    def reference(self) -> pd.DataFrame:
        """Train random forests on Morgan fingerprints with the labels of "alone": is "alone" a fair baseline?

        Takes seconds for thousands of labels and minutes for a hundred thousand; a second call returns the same table.

        Returns:
            One row per run of a target alone: target, n_labels, seed, value (test metric of the forest).
        """
        return self._reference.copy()

    @cached_property
    def _reference(self) -> pd.DataFrame:
        alone = self.runs[self.runs.regime == "alone"]
        rows = [
            found
            for target, of in alone.groupby("target", sort=False)
            for found in reference_values(self.mix, target, list(zip(of.n_labels, of.seed, strict=True)))
        ]
        return pd.DataFrame(rows, columns=["target", "n_labels", "seed", "value"])

    def figure(self, target: str | None = None, reference: bool = False) -> "go.Figure":
        """Return a figure: the matrix of differences for several targets, the differences or curves for one target.

        Args:
            target: name of a target; None for all. A target that was trained with several numbers of labels is shown as
                curves.
            reference: add the forests of `reference` to the curves; ignored for `held_out="nothing"`.
        """
        # With "nothing" held out, a row covers part of the test set, but the value of a run covers all of it.
        seeds = self.by_seed if self.settings["held_out"] != "nothing" else None
        if target is None:
            several = self.table.target.nunique() > 1
            return transfer_matrix(self.table) if several else transfer_differences(self.table, seeds)
        table = self.table[self.table.target == self._id(target)]
        if table.empty:
            raise InputError(f"{target} is not a target of this study: {', '.join(self.table.target.unique())}.")
        if table.n_labels.nunique() == 1:
            return transfer_differences(table, seeds)
        forest = None
        if reference and seeds is not None:
            forest = self.reference()
            forest = forest[forest.target == self._id(target)]
        return transfer_curves(table, forest)

    def save(self, folder: str | Path) -> None:
        """Write the tables and settings to a folder. The run folders stay where they are.

        Raises:
            ValueError: the mix was not made by `molfm.load`, so it could not be reopened.
        """
        check_origin(self.mix.origin)
        folder = Path(folder)
        for name, table in (("table", self.table), ("runs", self.runs)):
            with whole(folder / f"{name}.parquet") as temporary:
                table.to_parquet(temporary)
        facts = {"settings": self.settings, "seconds": self.seconds}
        write_json(folder / "study.json", facts | write_mix(folder, self.mix))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a study that `save` wrote.

        Raises:
            FileNotFoundError: the folder holds no saved study.
            ValueError: the data has changed since.
        """
        folder = Path(folder)
        facts = json.loads((folder / "study.json").read_text("utf-8"))
        tables = (pd.read_parquet(folder / f"{name}.parquet") for name in ("table", "runs"))
        return cls(*tables, read_mix(folder, facts), facts["settings"], facts["seconds"])


def test_tables(folder: str, targets: Sequence[str]) -> dict[str, pd.DataFrame]:
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
    here: np.ndarray | None = None,
) -> Difference:
    """Return the difference between two arms, each given by the `test_tables` of its seeds.

    Args:
        here: (n,) bool, the rows of the target's tables that count; None for those of the split "test".
    """
    first = before[0][target]
    if any(not np.array_equal(tables[target].mol_id, first.mol_id) for tables in (*before, *after)):
        raise RuntimeError(
            f"The runs of {target} were tested on different molecules. Delete them and start the study again."
        )
    here = (first.split == "test").to_numpy() if here is None else here
    arms = ([tables[target].preds.to_numpy()[here] for tables in arm] for arm in (before, after))
    return paired_difference(metric, *arms, first.measured.to_numpy()[here], first.constitution.to_numpy()[here])


def compare(
    mix: Mix, runs: pd.DataFrame, cells: Sequence[Cell], seen: Mapping[tuple, np.ndarray]
) -> tuple[pd.DataFrame, list[float]]:
    """Return the table of a study, one row per cell and split, and the test metric of every run.

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

    def read(folders: tuple[str, ...]) -> list[dict[str, pd.DataFrame]]:
        tables = [test_tables(folder, targets_of[folder]) for folder in folders]
        for folder, of_run in zip(folders, tables, strict=True):
            for target in targets_of[folder]:
                if (folder, target) not in values:
                    values[folder, target] = _value(of_run[target], metric[target])
        return tables

    alone, before = None, []
    for (baseline, arm), numbers in by_arm.items():
        if baseline != alone:  # the arms of one baseline follow each other
            alone, before = baseline, read(baseline)
        after = read(arm)
        for number in numbers:
            cell, facts = cells[number], rows[number].pop()
            first, kind = before[0][cell.target], mix.task(cell.target).kind
            for split, here in _splits(first, seen.get((cell.target, cell.source))).items():
                measured, groups = first.measured.to_numpy()[here], first.constitution.to_numpy()[here]
                row = facts | {"split": split, "seeds": len(arm), "n_test": len(measured)}
                if reason := undefined(kind, measured) or too_few(kind, measured, groups):
                    row["verdict"] = f"undefined: {reason} in {split}"
                else:
                    row |= _difference(facts["metric"], before, after, cell.target, here).interval()
                rows[number].append(row)
    table = add_verdicts(pd.DataFrame([row for of in rows.values() for row in of]).reindex(columns=COLUMNS))
    table = table.astype(dict.fromkeys(["n_labels", "n_source", "n_test", "seeds"], "Int64"))
    table["verdict"] = table.verdict.tolist()  # the dtype of plain texts, which a saved table has when it is read again
    return table, [values[run.folder, run.target] for run in runs.itertuples()]


def _splits(table: pd.DataFrame, seen: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return, for each reported test set that is not empty, a mask over the rows of a run's predictions."""
    if seen is None:
        return {"test": (table.split == "test").to_numpy()}
    known, test = np.isin(table.constitution, seen), (table.split == "test").to_numpy()
    return {split: here for split, here in (("test", test & ~known), ("test_seen", known)) if here.any()}


def _value(table: pd.DataFrame, metric: str) -> float:
    table = table[table.split == "test"]
    return score(metric, table.preds.to_numpy(), table.measured.to_numpy())
