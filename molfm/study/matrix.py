"""The layout of a study as a matrix: rows of means, families and targets, and columns of sources and regimes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from molfm.base.names import counted
from molfm.data.mix import Mix

NUMBERS = ("difference", "low", "high", "p", "p_adjusted", "baseline", "value", "detectable")
TESTED, UNDEFINED = 1, 2  # what is known about a cell; 0: it has not been run


@dataclass(frozen=True)
class Row:
    """A row: one target, or the mean over the targets of a family or of a whole network.

    Attributes:
        label: what the row is called beside the matrix.
        kind: "target", "family" or "network".
        targets: ids of the targets.
        group: number of the network.
        depth: 0 to 2, how far it is indented: a network, its families, their targets.
        parent: number of the row that it is folded into; -1 if there is none.
    """

    label: str
    kind: str
    targets: tuple[str, ...]
    group: int
    depth: int
    parent: int


def rows_of(mix: Mix, groups: Sequence[Sequence[str]]) -> list[Row]:
    """Return the rows of a matrix, means before their targets.

    Args:
        mix: the data.
        groups: ids of the targets of each network.
    """
    rows: list[Row] = []
    for number, group in enumerate(groups):
        if len(group) == 1:
            rows.append(Row(mix.task(group[0]).id, "target", tuple(group), number, 0, -1))
            continue
        top = len(rows)
        rows.append(Row(counted([mix.task(target) for target in group]), "network", tuple(group), number, 0, -1))
        families: dict[str | None, list[str]] = {}
        for target in group:
            families.setdefault(mix.task(target).family, []).append(target)
        for family, targets in families.items():
            parent = top
            if family is not None and len(targets) > 1 and len(families) > 1:
                parent = len(rows)
                rows.append(Row(family, "family", tuple(targets), number, 1, top))
            depth = 1 if parent == top else 2
            rows += [Row(mix.task(target).name, "target", (target,), number, depth, parent) for target in targets]
    return rows


@dataclass(frozen=True)
class Matrix:
    """Where the comparisons of a study stand in a matrix.

    rows: the rows. arms: the columns as (source, regime). counts: numbers of training labels, None for all.
    """

    mix: Mix
    rows: Sequence[Row]
    arms: Sequence[tuple[str, str]]
    counts: Sequence[int | None]

    @cached_property
    def _places(self) -> dict[object, int]:
        """The row of a target's id, of a (group, family), and of a (group, None): the whole network."""
        keys = (
            row.targets[0] if row.kind == "target" else (row.group, row.label if row.kind == "family" else None)
            for row in self.rows
        )
        return {key: number for number, key in enumerate(keys)}

    @cached_property
    def _columns(self) -> dict[tuple[str, str], int]:
        return {arm: number for number, arm in enumerate(self.arms)}

    def place(self, row: pd.Series) -> tuple[int, int, int] | None:
        """Return number of row, column and count of a comparison; None if it stands in no row.

        Args:
            row: a named tuple or row of `Comparison.table`, `means` or `by_family`.
        """
        key, n = row.target, row.n_labels
        if (members := getattr(row, "members", None)) is not None:
            target, n = members[0]
            group, family = self.rows[self._places[target]].group, self.mix.task(target).family
            key = group, family if row.target.endswith(f"/{family}") and (group, family) in self._places else None
        count, column = int(n) if int(n) in self.counts else None, self._columns.get((row.source, row.regime))
        if key not in self._places or column is None or count not in self.counts:
            return None
        return self._places[key], column, self.counts.index(count)

    def arrays(self, tables: Sequence[pd.DataFrame], count: int) -> dict[str, np.ndarray | list[str]]:
        """Return the cells of one number of labels.

        Args:
            tables: `Comparison.table`, `means` and `by_family`.
            count: place in `counts`.

        Returns:
            Each of `NUMBERS` as (n_rows, n_columns) float32, `state` and `seeds` as uint8, `reason` as uint16: a place in
            the list `reasons`.
        """
        shape = len(self.rows), len(self.arms)
        found = {name: np.full(shape, np.nan, np.float32) for name in NUMBERS}
        state, seeds, reason = (np.zeros(shape, of) for of in (np.uint8, np.uint8, np.uint16))
        reasons: dict[str, int] = {"": 0}
        for at, row in self.walk(tables, count):
            if row.verdict.startswith("undefined"):
                state[at], reason[at] = UNDEFINED, reasons.setdefault(row.verdict, len(reasons))
                continue
            state[at], seeds[at] = TESTED, min(int(row.seeds), 255)
            for name in NUMBERS:
                found[name][at] = getattr(row, name)
        return found | {"state": state, "seeds": seeds, "reason": reason, "reasons": list(reasons)}

    def walk(self, tables: Sequence[pd.DataFrame], count: int) -> Iterator[tuple[tuple[int, int], pd.Series]]:
        """Yield (row, column) and the comparison of every cell with one number of labels, on the split "test"."""
        for table in tables:
            for row in table[table.split == "test"].itertuples():
                at = self.place(row)
                if at is not None and at[2] == count:
                    yield at[:2], row
