"""The tables of a study, made from its finished runs: paired differences, intervals and verdicts."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from molfm.base.errors import InputError
from molfm.base.files import whole, write_json
from molfm.data.mix import Mix
from molfm.data.reopen import check_origin, read_mix, write_mix
from molfm.plots.transfer import transfer_curves, transfer_differences, transfer_matrix, transfer_strip
from molfm.study.pairs import mean_rows, tested_tables
from molfm.study.simple_models import reference_values
from molfm.study.statistics import add_verdicts, after, seeds_for
from molfm.training.curves import read_metrics, task_curve

if TYPE_CHECKING:
    import plotly.graph_objects as go

_TABLES, _MEANS = ("table", "runs", "pairs"), ("means", "by_family", "mean_pairs")  # what `save` writes
MOST_IN_MATRIX = 20  # targets; more are shown as strips


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
        pairs: one row per defined comparison of `table` and seed: its keys (target, source, regime, n_labels, split),
            seed, baseline, value, and test_error, the standard error over test sets after this pair.
        mix: the data.
        settings: the budget and every setting that was given.
        request: the arguments of `molfm.transfer` that made the study, without the data; defaults are left out.
        seconds: wall time of the study; reused runs take none.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    pairs: pd.DataFrame
    mix: Mix
    settings: dict
    request: dict
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
            tables = pd.concat([tested_tables(folder, [name])[name] for folder in arm.folder])
            mean = tables[tables.split == "test"].groupby("mol_id", as_index=False)[["preds", "measured"]].mean()
            parts.append(mean.assign(source=source, regime=regime))
        found = pd.concat(parts, ignore_index=True)
        found["smiles"] = self.mix.molecules.smiles.to_numpy()[found.mol_id]
        return found[["source", "regime", "mol_id", "smiles", "preds", "measured"]]

    def curves(self, target: str, n_labels: int | None = None, together: bool = False) -> pd.DataFrame:
        """Return a target's validation metric during training, one row per run and validation.

        Columns: source ("" for alone), regime, seed, step and value.

        Args:
            target: name of the target.
            together: return the mean over all targets that were trained together with this one.
            n_labels: number of training labels of the target; None for the largest number.

        Raises:
            ValueError: there are no such runs.
        """
        parts = []
        for regime, source, arm in self._arms(target, n_labels):
            for run in arm.itertuples():
                targets = self.runs.target[self.runs.folder == run.folder] if together else [self._id(target)]
                metrics = read_metrics(Path(run.folder))
                values = task_curve(metrics, {name: self.mix.task(name).kind for name in targets})
                if values.notna().any():
                    curve = pd.DataFrame({"step": metrics.step, "value": values})
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

    @property
    def means(self) -> pd.DataFrame:
        """The mean metric of targets that were trained together, per source, regime and number of labels.

        Papers report such means over many assays. Only groups whose targets have the same metric are listed, and only
        their targets whose own comparison is defined. The standard error over test sets covers the constitutions of all
        targets jointly, from the whole test set, including molecules that a source has seen. Verdicts are corrected
        over this table. Columns as in `table`, without n_source, and with n_targets, spread (standard deviation of the
        difference over seeds) and members (each target with its number of training labels); n_labels and n_test are
        sums.
        """
        return self._means[0]

    @cached_property
    def _means(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        return mean_rows(self.mix, self.runs)

    def means_on(self, tested: Mix) -> pd.DataFrame:
        """As `means`, scored only on the test labels that a view of the data keeps, such as labels without a caution.

        Args:
            tested: a view of `mix`.
        """
        return mean_rows(self.mix, self.runs, tested=tested)[0]

    @property
    def by_family(self) -> pd.DataFrame:
        """As `means`, for each family of the targets that were trained together (see `Task.family`), two or more."""
        return self._means[1]

    @property
    def mean_pairs(self) -> pd.DataFrame:
        """The pairs of `means` and `by_family`, as `pairs`."""
        return self._means[2]

    def after(self, n: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Return `table`, `means` and `by_family` as they would be after the first `n` pairs of runs.

        Raises:
            ValueError: `n` is below 2.
        """
        means, families, pairs = self._means
        return after(self.table, self.pairs, n), after(means, pairs, n), after(families, pairs, n)

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
        found = pd.concat([self.means, single], ignore_index=True) if len(single) else self.means
        return found.astype(dict.fromkeys(["n_labels", "n_test", "seeds"], "Int64"))

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
        """Return a figure: the differences of one target, the matrix of several, the means and strips of many.

        Args:
            target: name of a target; None for all. A target that was trained with several numbers of labels is shown as
                curves.
            reference: add the forests of `reference` to the curves; ignored for `held_out="nothing"`.
        """
        # With "nothing" held out, a row covers part of the test set, but the value of a run covers all of it.
        seeds = self.by_seed if self.settings["held_out"] != "nothing" else None
        if target is None:
            if (n := self.table.target.nunique()) > MOST_IN_MATRIX and not self.means.empty:
                rows = pd.concat([self.means, self.by_family])
                arms = rows.groupby(["source", "regime"], sort=False)  # each mean is followed by its families
                return transfer_strip(self.table, pd.concat([of for _, of in arms]))
            return transfer_matrix(self.table) if n > 1 else transfer_differences(self.table, seeds)
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
        for name in _TABLES:
            with whole(folder / f"{name}.parquet") as temporary:
                getattr(self, name).to_parquet(temporary)
        for name, means in zip(_MEANS, self._means, strict=True):  # reading all predictions again takes long
            with whole(folder / f"{name}.parquet") as temporary:
                _with_members(means, json.dumps).to_parquet(temporary)
        facts = {"settings": self.settings, "request": self.request, "seconds": self.seconds}
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
        tables = (pd.read_parquet(folder / f"{name}.parquet") for name in _TABLES)
        result = cls(*tables, read_mix(folder, facts), facts["settings"], facts["request"], facts["seconds"])
        means = (_with_members(pd.read_parquet(folder / f"{name}.parquet"), _members) for name in _MEANS)
        result.__dict__["_means"] = tuple(means)
        return result


def _with_members(table: pd.DataFrame, change: Callable) -> pd.DataFrame:
    return table.assign(members=table.members.map(change)) if "members" in table else table


def _members(text: str) -> tuple[tuple[str, int], ...]:
    return tuple((target, n) for target, n in json.loads(text))


def joined(results: Sequence[Comparison]) -> Comparison:
    """Return studies of the same mix as one; verdicts are corrected over all of their comparisons.

    The settings and the request are those of the first.
    """
    first = results[0]
    if len(results) == 1:
        return first
    table, pairs = (pd.concat([getattr(of, name) for of in results], ignore_index=True) for name in ("table", "pairs"))
    runs = pd.concat([of.runs for of in results]).drop_duplicates(["target", "folder", "n_labels"], ignore_index=True)
    seconds = sum(of.seconds for of in results)
    found = type(first)(add_verdicts(table), runs, pairs, first.mix, first.settings, first.request, seconds)
    parts = (pd.concat(tables, ignore_index=True) for tables in zip(*(of._means for of in results), strict=True))
    *means, mean_pairs = parts
    found.__dict__["_means"] = *map(add_verdicts, means), mean_pairs
    return found
