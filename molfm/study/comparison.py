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
from molfm.data.mix import Mix
from molfm.data.reopen import check_origin, read_mix, write_mix
from molfm.plots.transfer import transfer_curves, transfer_differences, transfer_matrix
from molfm.study.simple_models import reference_values
from molfm.study.sources import TransferSource
from molfm.study.statistics import add_verdicts, paired_interval, too_few
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
            tables = pd.concat([_scored(folder, self._id(target)) for folder in arm.folder])
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

        Papers report such means over many assays. Only groups whose targets have the same metric are listed. The
        bootstrap resamples the constitutions of all targets jointly, from the whole test set, including molecules that
        a source has seen. Verdicts are corrected over this table. Columns as in `table`, without n_source and with
        n_targets; n_labels and n_test are sums.
        """
        arms: dict[tuple, dict[int, str]] = {}
        keys = ["folder", "source", "regime", "seed"]
        for (folder, source, regime, seed), group in self.runs.groupby(keys, sort=False):
            targets = tuple(zip(group.target, group.n_labels, strict=True))
            arms.setdefault((targets, source, regime), {})[seed] = folder
        rows = []
        for (targets, source, regime), folders in arms.items():
            metric = {PRIMARY[self.mix.task(target).kind] for target, _ in targets}
            if regime != "alone" and len(targets) > 1 and len(metric) == 1:
                name = f"{self.mix.task(targets[0][0]).dataset} (mean of {len(targets)})"
                row = {"target": name, "n_targets": len(targets), "source": source, "regime": regime, "split": "test"}
                row |= {"metric": metric.pop(), "n_labels": sum(n for _, n in targets), "seeds": len(folders)}
                pair = (arms[targets, "", "alone"], folders)
                rows.append(row | _of_several([target for target, _ in targets], row["metric"], pair))
        columns = ["target", "n_targets", *(name for name in COLUMNS[1:] if name != "n_source")]
        return add_verdicts(pd.DataFrame(rows).reindex(columns=columns))

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


def _scored(folder: str, target: str) -> pd.DataFrame:
    """Read a run's predictions of a target on test and test_seen, sorted by molecule."""
    table = Run(folder).predictions()
    mine = table.split.isin(["test", "test_seen"]) & (table.task == target)
    return table[mine].sort_values("mol_id", kind="stable", ignore_index=True)


def _of_several(targets: Sequence[str], metric: str, arms: Sequence[Mapping[int, str]]) -> dict[str, float]:
    """Compare the mean metric of several targets between two arms, each a mapping from seed to run folder.

    Returns n_test and what `paired_interval` returns.
    """
    tables = [
        [
            pd.concat([_scored(folder, target).assign(of=target) for target in targets])
            for _, folder in sorted(arm.items())
        ]
        for arm in arms
    ]
    tables = [[table[table.split == "test"] for table in of] for of in tables]
    first = tables[0][0]
    preds = [[table.preds.to_numpy(float) for table in of] for of in tables]
    parts = [(first.of == target).to_numpy() for target in targets]
    found = paired_interval(metric, *preds, first.measured.to_numpy(float), first.constitution.to_numpy(), parts=parts)
    return {"n_test": len(first)} | found


def compare(
    mix: Mix, runs: pd.DataFrame, cells: Sequence[Cell], seen: Mapping[tuple, np.ndarray]
) -> tuple[pd.DataFrame, list[float]]:
    """Return the table of a study, one row per cell and split, and the test metric of every run.

    Args:
        mix: the data.
        runs: `Comparison.runs` without the column `value`.
        cells: the comparisons.
        seen: (target, source) -> constitutions that the source was trained on; only where `test_seen` is reported.
    """
    metric = {task.id: PRIMARY.get(task.kind) for task in mix.chosen}
    keys = ["target", "source", "regime", "n_labels"]
    arms = {key: group.sort_values("seed") for key, group in runs.groupby(keys, sort=False)}
    scored = {(run.folder, run.target): _scored(run.folder, run.target) for run in runs.itertuples()}
    rows = []
    for cell in cells:
        target, source = cell.target, cell.source
        row = {"target": target, "source": source.label, "regime": cell.regime, "metric": metric[target]}
        row |= {"n_labels": cell.n_labels, "n_source": cell.n_source}
        if cell.reason:
            rows.append(row | {"split": "test", "verdict": f"undefined: {cell.reason}"})
            continue
        arm = arms[target, source.label, cell.regime, cell.n_labels]
        pairs = [
            [scored[folder, target] for folder in of.folder] for of in (arms[target, "", "alone", cell.n_labels], arm)
        ]
        first = pairs[0][0]
        if any(not np.array_equal(table.mol_id, first.mol_id) for of in pairs for table in of):
            raise RuntimeError(
                f"The runs of {target} were tested on different molecules. Delete them and start the study again."
            )
        for split, here in _splits(first, seen.get((target, source))).items():
            measured, groups = first.measured.to_numpy(float)[here], first.constitution.to_numpy()[here]
            facts = row | {"split": split, "seeds": len(arm), "n_test": len(measured)}
            kind = mix.task(target).kind
            if reason := undefined(kind, measured) or too_few(kind, measured, groups):
                rows.append(facts | {"verdict": f"undefined: {reason} in {split}"})
                continue
            both = [[table.preds.to_numpy(float)[here] for table in of] for of in pairs]
            rows.append(facts | paired_interval(metric[target], *both, measured, groups))
    table = add_verdicts(pd.DataFrame(rows).reindex(columns=COLUMNS))
    table = table.astype(dict.fromkeys(["n_labels", "n_source", "n_test", "seeds"], "Int64"))
    table["verdict"] = table.verdict.tolist()  # the dtype of plain texts, which a saved table has when it is read again
    return table, [_value(scored[run.folder, run.target], metric[run.target]) for run in runs.itertuples()]


def _splits(table: pd.DataFrame, seen: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return, for each reported test set that is not empty, a mask over the rows of a run's predictions."""
    if seen is None:
        return {"test": (table.split == "test").to_numpy()}
    known, test = np.isin(table.constitution, seen), (table.split == "test").to_numpy()
    return {split: here for split, here in (("test", test & ~known), ("test_seen", known)) if here.any()}


def _value(table: pd.DataFrame, metric: str) -> float:
    table = table[table.split == "test"]
    preds, measured = table.preds.to_numpy(float), table.measured.to_numpy(float)
    return score(metric, preds, measured)
