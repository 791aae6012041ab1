"""Predictions for the molecules of a mix, made when they are asked for, a few molecules at a time."""

from collections.abc import Iterator, Sequence

import numpy as np

from molfm.data.splits import SPLITS, uniform
from molfm.explore.lookup import Lookup
from molfm.nn.uncertainty import Interval, interval, spread

AT_ONCE = 128  # molecules predicted in one step
CALIBRATED_AT_ONCE = 3  # molecules predicted with their spread in one step
MAX_HELD_OUT = 150  # molecules with validation labels behind the interval of a task


class MixPredictions:
    """What one model or several predict for the molecules of a mix; several give their mean.

    Args:
        models: from `molfm.pretrained` or `Run.model`; may be empty.
        lookup: access to the mix.
    """

    def __init__(self, models: Sequence, lookup: Lookup):
        self.models, self.lookup = list(models), lookup
        self.intervals: dict[str, dict[str, Interval | None]] = {}  # level -> task -> its interval, once measured
        self._known: dict[str, np.ndarray] = {}

    def tasks(self, level: str) -> dict[str, str]:
        """Return the units of the tasks of a level that all models predict, by task."""
        tables = [model.tasks[model.tasks.level == level].set_index("task").unit for model in self.models]
        shared = [task for task in tables[0].index if all(task in table.index for table in tables)] if tables else []
        return {task: tables[0][task] or "" for task in shared}

    def column(self, task: str) -> np.ndarray:
        """Return the predictions of a graph task so far, (n_molecules,) float32; NaN where there is none yet."""
        return self._known.setdefault(task, np.full(len(self.lookup.mix), np.nan, np.float32))

    def fill(self, tasks: Sequence[str], molecules: np.ndarray) -> Iterator[int]:
        """Predict graph tasks of some molecules, a step at a time. Yields how many of the molecules are done."""
        columns = [self.column(task) for task in tasks]
        missing = molecules[np.any([np.isnan(column[molecules]) for column in columns], axis=0)] if tasks else []
        for start in range(0, len(missing), AT_ONCE):
            part = missing[start : start + AT_ONCE]
            smiles = self.lookup.smiles(part)
            found = np.mean([model.predict(smiles, tasks=list(tasks))[list(tasks)] for model in self.models], axis=0)
            for column, values in zip(columns, found.T, strict=True):
                column[part] = values
            yield start + len(part)

    def of(self, smiles: str, level: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Predict one molecule: values by task, and the half widths of their intervals where these are measured.

        Both have one value for a molecule, or one per atom or bond, in the order of `Chem.MolFromSmiles(smiles)`.
        """
        tasks = list(self.tasks(level))
        if not tasks:
            return {}, {}
        found = {task: one for task, one in self.intervals.get(level, {}).items() if one}
        if not found:
            tables = [model.predict(smiles, level, tasks) for model in self.models]
            return {task: np.mean([table[task] for table in tables], axis=0, dtype=np.float32) for task in tasks}, {}
        table, deviation = spread(self.models, [smiles], level, tasks)
        width = {
            task: np.full(len(table), one.factor) if deviation is None else one.factor * deviation[task].to_numpy()
            for task, one in found.items()
        }
        return {task: table[task].to_numpy(np.float32) for task in tasks}, width

    def calibrate(self, level: str) -> Iterator[tuple[int, int]]:
        """Measure the intervals of the level's regression tasks on validation labels of the mix; fills `intervals`.

        Tasks without enough validation labels get None. Yields after each step how many molecules are done, and of how many.
        """
        mix, shared = self.lookup.mix, self.tasks(level)
        numbers = [i for i, task in enumerate(mix.chosen) if task.id in shared and task.kind == "regression"]
        held_out = np.unique(np.concatenate([np.zeros(0, np.int64), *(self._held_out(number) for number in numbers)]))
        ids = [mix.chosen[number].id for number in numbers]
        parts: dict[str, list[np.ndarray]] = {task: [] for task in ids}
        for start in range(0, len(held_out), CALIBRATED_AT_ONCE):
            part = held_out[start : start + CALIBRATED_AT_ONCE]
            table, deviation = spread(self.models, self.lookup.smiles(part), level, ids)
            owner = part[table.mol_id.to_numpy()]
            measured = self._measured(part, level, numbers, table.mol_id.to_numpy())
            for task, values in zip(ids, measured.T, strict=True):
                there = np.isfinite(values)
                wide = np.ones(len(values)) if deviation is None else deviation[task].to_numpy()
                parts[task].append(np.stack([table[task].to_numpy() - values, wide, owner])[:, there])
            yield start + len(part), len(held_out)
        found = {task: np.concatenate(of, axis=1) for task, of in parts.items() if of}
        self.intervals[level] = {task: interval(*rows) for task, rows in found.items()}

    def _held_out(self, number: int) -> np.ndarray:
        """Return up to MAX_HELD_OUT molecules with a validation label of a task."""
        molecule, _, split, _ = self.lookup.mix.label_triples(number)
        molecule = np.unique(molecule[split == SPLITS.index("val")])
        return molecule[np.argsort(uniform(self.lookup.mix.key[molecule], 0), kind="stable")[:MAX_HELD_OUT]]

    def _measured(self, molecules: np.ndarray, level: str, numbers: Sequence[int], place: np.ndarray) -> np.ndarray:
        """Return validation labels, (n_rows, n_tasks); `place` is the place in `molecules` of each row."""
        if level == "graph":
            return self.lookup.values(molecules, "val")[place][:, numbers]
        out = np.full((len(place), len(numbers)), np.nan, np.float32)
        for at, molecule in enumerate(molecules.tolist()):
            labels = self.lookup.items(molecule, level, "val")
            for column, number in enumerate(numbers):
                if number in labels:
                    out[place == at, column] = labels[number]
        return out
