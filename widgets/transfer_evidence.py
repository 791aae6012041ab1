"""The evidence behind one comparison, as TransferExplorer shows it. What takes long is computed in the background."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from molfm.chem.drawing import draw_smiles
from molfm.explore.lookup import Lookup
from molfm.study.evidence import (
    SIMPLE,
    arm_folders,
    changed_molecules,
    curves,
    labels_worth,
    simple_baselines,
    simple_features,
)
from molfm.study.live import LiveStudy
from molfm.training.curves import head_cosines

DRAWN = 6  # molecules that gained most, and as many that lost most
DRAWING = (150, 104)  # pixels
_FORESTS_PER_ANSWER = 0.15  # seconds to wait for a forest before the page says how far it is


class Evidence:
    """Answers questions about the comparisons of a study."""

    def __init__(self, live: LiveStudy):
        self._live, self._soon = live, live.soon

    def pairs(self, row: pd.Series) -> pd.DataFrame:
        """Return the pairs of a comparison, one row per seed: baseline, value and test_error."""
        result = self._live.result
        pairs = result.pairs if row.get("members") is None else result.mean_pairs
        keys = ["target", "source", "regime", "n_labels", "split"]
        return pairs[(pairs[keys] == row[keys]).all(axis=1)].sort_values("seed")

    def history(self, place: tuple[int, int], wait: float | None = 0.15) -> list[pd.Series] | None:
        """Return a comparison after the first 2, 3, … pairs; None while that is computed.

        Args:
            place: number of the table (table, means, by_family) and label of the row.
            wait: seconds to wait; None for as long as it takes.
        """
        result, (table, label) = self._live.result, place
        row = (result.table, result.means, result.by_family)[table].loc[label]
        if pd.isna(row.p):
            return []
        tables = [
            self._soon.get(("after", self._live.version, n), lambda n=n: result.after(n), wait)
            for n in range(2, int(row.seeds) + 1)
        ]
        return None if any(of is None for of in tables) else [of[table].loc[label] for of in tables]

    def _folders(self, target: str, row: pd.Series) -> tuple[list[str], list[str]]:
        n = row.n_labels if row.get("members") is None else dict(row.members)[target]
        return arm_folders(self._live.result, target, row.source, row.regime, int(n))

    def curves(self, targets: Sequence[str], row: pd.Series) -> dict:
        """Return validation metrics through training of both arms, and cosines of gradients if they were recorded."""
        result = self._live.result
        members = [target for target in targets if row.get("members") is None or target in dict(row.members)]

        def read() -> dict:
            alone, other = self._folders(members[0], row)
            arms = {name: curves(result, members, folders) for name, folders in (("alone", alone), ("other", other))}
            cosines = head_cosines(other) if row.regime == "cotrain" else pd.DataFrame()
            return {
                **{f"{name}{column}": of[column].to_numpy(np.float32) for name, of in arms.items() for column in of},
                "cosines": [
                    {"name": name, "step": cosines.index.to_numpy(np.float32), "value": of.to_numpy(np.float32)}
                    for name, of in cosines.items()
                ],
            }

        key = "curves", tuple(members), row.source, row.regime, int(row.n_labels)
        found = self._soon.get(key, read)
        return {"done": found is not None, "regime": row.regime} | (found or {})

    def efficiency(self, targets: Sequence[str], rows: Sequence[pd.Series], here: pd.Series, forests: bool) -> dict:
        """Return the metric of both arms, and of simple models, at every number of labels that was run.

        Args:
            targets: the targets of the row of the matrix.
            rows: the comparisons of its numbers of labels.
            here: the one that is open.
            forests: train the simple models, which takes seconds per target.
        """
        rows = sorted(map(_per_target, (row for row in rows if pd.notna(row.difference))), key=lambda row: row.n_labels)
        counts = [int(row.n_labels) for row in rows]
        worth = labels_worth(counts, [row.baseline for row in rows], _per_target(here))
        members = [target for target in targets if here.get("members") is None or target in dict(here.members)]
        simple, done = self._simple(members) if forests else ({}, 0)
        known = {} if not forests or done < len(members) else simple
        names = ("baseline", "value", "low", "high", "difference")
        return {
            "done": not forests or done == len(members),
            "trained": done,
            "of": len(members),
            "rows": [{"n": int(row.n_labels), **{name: float(row[name]) for name in names}} for row in rows],
            "simple": {name: [list(point) for point in of] for name, of in known.items()},
            "worth": {name: None if of != of else of for name, of in worth._asdict().items()},
        }

    def _simple(self, targets: Sequence[str]) -> tuple[dict[str, list[tuple[int, float]]], int]:
        """Return the mean metric of simple models over targets by number of labels, and of how many targets it is known."""
        runs, mix = self._live.result.runs, self._live.mix
        features = self._soon.get(("features", tuple(targets)), lambda: simple_features(mix, targets))
        if features is None:
            return {}, 0
        parts = []
        for target in targets:
            alone = runs[(runs.target == target) & (runs.regime == "alone")]
            asked = list(zip(alone.n_labels.astype(int), alone.seed.astype(int), strict=True))
            found = self._soon.get(
                ("simple", target, tuple(asked)),
                lambda target=target, asked=asked: simple_baselines(mix, target, asked, features),
                _FORESTS_PER_ANSWER,
            )
            if found is None:
                return {}, len(parts)
            parts.append(found)
        means = {name: pd.concat([of[name] for of in parts]).groupby("n_labels").value.mean() for name in SIMPLE}
        return {name: [(int(n), float(value)) for n, value in of.items()] for name, of in means.items()}, len(parts)

    def molecules(self, target: str, row: pd.Series) -> dict:
        """Return the test molecules that gained and lost most, with drawings."""
        live = self._live

        def read() -> dict:
            found = changed_molecules(live.result, target, *self._folders(target, row))
            shown = [*range(min(DRAWN, len(found))), *range(max(DRAWN, len(found) - DRAWN), len(found))]
            table = found.iloc[shown]
            molecules = table.mol_id.to_numpy()
            facts = zip(self._lookup.smiles(molecules), self._lookup.names(molecules), table.itertuples(), strict=True)
            task = live.mix.task(target)
            return {
                "binary": task.kind == "binary",
                "unit": task.unit or "",
                "n": len(found),
                "rows": [
                    {
                        **{"molecule": int(of.mol_id), "name": name or smiles, "svg": draw_smiles(smiles, *DRAWING)},
                        **{name: float(getattr(of, name)) for name in ("measured", "alone", "other", "gain")},
                    }
                    for smiles, name, of in facts
                ],
            }

        found = self._soon.get(("molecules", target, row.source, row.regime, int(row.n_labels)), read)
        return {"done": found is not None} | (found or {})

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self._live.mix)


def _per_target(row: pd.Series) -> pd.Series:
    """Return a comparison with the number of labels of one target, on average, in place of their sum."""
    if row.get("members") is None:
        return row
    row = row.copy()
    row["n_labels"] = round(row.n_labels / row.n_targets)
    return row
