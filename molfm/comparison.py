"""From the finished runs of a study to its result: paired differences, their verdicts, and what shows and keeps them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from molfm.metrics import PRIMARY, undefined
from molfm.mix import Mix
from molfm.runs import Run, check_origin, read_mix, write_json, write_mix
from molfm.sources import Source
from molfm.statistics import add_verdicts, paired_interval, score, too_few

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS = (
    *("target", "source", "regime", "metric", "split", "n_labels", "n_source", "n_test", "seeds", "baseline", "value"),
    *("difference", "low", "high", "p", "p_adjusted", "detectable", "verdict"),
)


@dataclass(frozen=True)
class Cell:
    """One comparison: a target, a source and how it was used.

    Attributes:
        group: the targets that are trained together, this one among them.
        count: training labels of the target that were asked for; None: all.
        n_labels: how many these are.
        n_source: training labels of the source; None: not known.
        reason: why it is undefined, if it is; then there are no runs.
    """

    target: str
    group: tuple[str, ...]
    source: Source
    regime: str
    count: int | None
    n_labels: int
    n_source: int | None
    reason: str | None


@dataclass(frozen=True)
class TransferResult:
    """What a transfer study found.

    Attributes:
        table: a row a comparison with the target alone: target, source, regime, metric, split ("test", or "test_seen" where
            sources were left what they know of it), n_labels and n_source (training labels of target and source; of a
            checkpoint they are not known), n_test (labels), seeds, baseline (mean over seeds, target alone), value (mean,
            with the source), difference, low, high (its 95% interval), p, p_adjusted (over the whole table), detectable, and
            verdict: "helps", "hurts", "cannot tell" or "undefined: …".
        runs: a row a run that saw a target: target, source ("" for alone), regime, n_labels, seed, folder, value (of the
            metric on test).
        mix: what it was measured on.
        settings: the budget and every setting that was given.
        seconds: wall time; runs that were there already cost nothing.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    mix: Mix
    settings: dict
    seconds: float

    def _repr_html_(self) -> str:
        return self.table.round(3).to_html(index=False)

    def _id(self, target: str) -> str:
        return self.mix.chosen[self.mix.task_number(target)].id

    def arm(
        self, target: str, source: str = "", regime: str | None = None, n_labels: int | None = None
    ) -> pd.DataFrame:
        """Return the runs of one arm, a row a seed.

        Args:
            source: "" for the target alone.
            regime: None: the first in which the source was used.
            n_labels: training labels; None: the most.

        Raises:
            ValueError: there are no such runs.
        """
        mine = self.runs[(self.runs.target == self._id(target)) & (self.runs.source == source)]
        mine = mine[mine.n_labels == (n_labels or mine.n_labels.max())]
        mine = mine[mine.regime == (regime or next(iter(mine.regime), None))]
        if mine.empty:
            there = self.runs[["target", "source", "regime", "n_labels"]].drop_duplicates()
            raise ValueError(
                f"No runs of {target} with {source=}, {regime=}, {n_labels=}. There are:\n{there.to_string(index=False)}"
            )
        return mine

    def predictions(
        self, target: str, source: str = "", regime: str | None = None, n_labels: int | None = None
    ) -> pd.DataFrame:
        """Return the test predictions of one arm (see `arm`), the mean over seeds: mol_id, target (measured), preds."""
        folders = self.arm(target, source, regime, n_labels).folder
        tables = pd.concat([_scored(folder, self._id(target)) for folder in folders])
        return tables[tables.split == "test"].groupby("mol_id", as_index=False)[["target", "preds"]].mean()

    @cached_property
    def means(self) -> pd.DataFrame:
        """Targets that were trained together, as one: the mean of their metric, a row a source, regime and number of labels.

        It is what papers report of many assays. The bootstrap draws constitutions for all targets at once, from the whole
        test set whatever a source has seen, and verdicts are corrected over this table. Columns as in `table`, with n_targets;
        n_labels and n_test are sums.
        """
        arms: dict[tuple, dict[int, str]] = {}
        for (folder, source, regime, seed), group in self.runs.groupby(
            ["folder", "source", "regime", "seed"], sort=False
        ):
            targets = tuple(zip(group.target, group.n_labels, strict=True))
            arms.setdefault((targets, source, regime), {})[seed] = folder
        rows = []
        for (targets, source, regime), folders in arms.items():
            metric = {PRIMARY[self.mix.chosen[self.mix.task_number(target)].kind] for target, _ in targets}
            if regime != "alone" and len(targets) > 1 and len(metric) == 1:
                name = f"{targets[0][0].split('/')[0]} (mean of {len(targets)})"
                row = {"target": name, "n_targets": len(targets), "source": source, "regime": regime, "split": "test"}
                row |= {"metric": metric.pop(), "n_labels": sum(n for _, n in targets), "seeds": len(folders)}
                pair = (arms[targets, "", "alone"], folders)
                rows.append(row | _of_several([target for target, _ in targets], row["metric"], pair))
        columns = ["target", "n_targets", *(name for name in COLUMNS[1:] if name != "n_source")]
        return add_verdicts(pd.DataFrame(rows).reindex(columns=columns))

    @cached_property
    def reference(self) -> pd.DataFrame:
        """What a random forest on Morgan fingerprints makes of the same training and test labels: is "alone" a fair baseline?

        A row a run of a target alone: target, n_labels, seed, value (of the metric on test). Trained when first asked for:
        some seconds for thousands of labels, minutes for a hundred thousand.
        """
        from molfm.probing import reference_values

        alone = self.runs[self.runs.regime == "alone"]
        rows = [
            found
            for target, of in alone.groupby("target", sort=False)
            for found in reference_values(self.mix, target, list(zip(of.n_labels, of.seed, strict=True)))
        ]
        return pd.DataFrame(rows, columns=["target", "n_labels", "seed", "value"])

    def figure(self, target: str | None = None, reference: bool = False) -> "go.Figure":
        """Return a figure: of several targets the matrix of their differences; of one the differences with their seeds.

        Args:
            target: with several numbers of training labels, its label-efficiency curves.
            reference: show `reference` in the curves.
        """
        from molfm import transfer_figures as figures

        if target is None:
            several = self.table.target.nunique() > 1
            return figures.transfer_matrix(self) if several else figures.transfer_differences(self)
        target = self._id(target)
        if self.table[self.table.target == target].n_labels.nunique() > 1:
            return figures.transfer_curves(self, target, reference)
        return figures.transfer_differences(self, target)

    def to_html(self, path: str | Path | None = None) -> str | Path:
        """Return the report as one self-contained page, or write it to `path` and return that."""
        from molfm.report import transfer_page

        page = transfer_page(self)
        if path is None:
            return page
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(page, encoding="utf-8")
        return Path(path)

    def save(self, folder: str | Path) -> None:
        """Write table, runs and settings into a folder; the run folders stay where they are.

        Raises:
            ValueError: the mix was not made by `molfm.load`, so it could not be opened again.
        """
        check_origin(self.mix.origin)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.table.to_parquet(folder / "table.parquet")
        self.runs.to_parquet(folder / "runs.parquet")
        facts = {"settings": self.settings, "seconds": self.seconds}
        write_json(folder / "study.json", facts | write_mix(folder, self.mix))

    @classmethod
    def load(cls, folder: str | Path) -> "TransferResult":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: nothing was saved there.
            ValueError: the data is not what it was.
        """
        folder = Path(folder)
        facts = json.loads((folder / "study.json").read_text())
        tables = (pd.read_parquet(folder / f"{name}.parquet") for name in ("table", "runs"))
        return cls(*tables, read_mix(folder, facts), facts["settings"], facts["seconds"])


def _scored(folder: str, target: str) -> pd.DataFrame:
    """Read a target's predictions of a run on what it is judged by, in the order of molecules."""
    run = Run(folder)
    table, number = run.predictions, run.config["tasks"].index(target)
    mine = table.split.isin(["test", "test_seen"]) & (table.task == number)
    return table[mine].sort_values("mol_id", kind="stable", ignore_index=True)


def _of_several(targets: Sequence[str], metric: str, arms: Sequence[Mapping[int, str]]) -> dict[str, float]:
    """Return n_test and the interval of the mean metric of targets between two arms (seed -> folder of the run)."""
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
    found = paired_interval(metric, *preds, first.target.to_numpy(float), first.constitution.to_numpy(), parts=parts)
    return {"n_test": len(first)} | found


def compare(
    mix: Mix, runs: pd.DataFrame, cells: Sequence[Cell], seen: Mapping[tuple, np.ndarray]
) -> tuple[pd.DataFrame, list[float]]:
    """Return the table of a study, a row a cell and split, and the test metric of every run.

    Args:
        runs: as in `TransferResult`, without their values.
        seen: (target, source) -> constitutions that the source was trained on, where `test_seen` is wanted.
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
            raise RuntimeError(f"The runs of {target} were tested on different molecules; delete them and run again.")
        for split, here in _splits(first, seen.get((target, source))).items():
            measured, groups = first.target.to_numpy(float)[here], first.constitution.to_numpy()[here]
            facts = row | {"split": split, "seeds": len(arm), "n_test": len(measured)}
            kind = mix.chosen[mix.task_number(target)].kind
            if reason := undefined(kind, measured) or too_few(kind, measured, groups):
                rows.append(facts | {"verdict": f"undefined: {reason} in {split}"})
                continue
            both = [[table.preds.to_numpy(float)[here] for table in of] for of in pairs]
            rows.append(facts | paired_interval(metric[target], *both, measured, groups))
    table = add_verdicts(pd.DataFrame(rows).reindex(columns=COLUMNS))
    table = table.astype(dict.fromkeys(["n_labels", "n_source", "n_test", "seeds"], "Int64"))
    table["verdict"] = table.verdict.tolist()  # of the type that a table of texts has, also when it is read again
    return table, [_value(scored[run.folder, run.target], metric[run.target]) for run in runs.itertuples()]


def _splits(table: pd.DataFrame, seen: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return which rows of a run's predictions make up each test set that is reported and not empty."""
    if seen is None:
        return {"test": (table.split == "test").to_numpy()}
    known, test = np.isin(table.constitution, seen), (table.split == "test").to_numpy()
    return {split: here for split, here in (("test", test & ~known), ("test_seen", known)) if here.any()}


def _value(table: pd.DataFrame, metric: str) -> float:
    table = table[table.split == "test"]
    preds, measured = table.preds.to_numpy(float), table.target.to_numpy(float)
    return score(metric, preds, measured)
