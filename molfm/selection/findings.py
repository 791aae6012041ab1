"""What a fit found, as tables, sentences and figures; `FitResult` adds its report and predictions of new molecules."""

import hashlib
import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from molfm.base.errors import InputError
from molfm.base.names import resolve_one
from molfm.plots.selection import comparison
from molfm.selection.curve import best_quick, learning_curve
from molfm.selection.judge import Judged, conformal, judge
from molfm.selection.problem import Problem
from molfm.selection.wording import answer
from molfm.selection.work import Work

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, repr=False)
class Findings:
    """What `molfm.fit` found.

    Attributes:
        folder: the folder with everything, under `$MOLFM_HOME/fits`.
        asked: what was asked: data, targets, split, seed, minutes, and how the data's columns were read.
        work: predictions and models of all candidates.
    """

    folder: Path
    asked: dict
    work: Work

    def __repr__(self) -> str:
        return f"FitResult({self.name}: {', '.join(f'{j.target.task.name} by {j.winner}' for j in self.judged)})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.answer)}</p>{self.table.round(3).to_html(index=False, na_rep='')}"

    @property
    def name(self) -> str:
        """The name of the fit, which `molfm predict` takes."""
        return self.folder.name

    @property
    def problem(self) -> Problem:
        """Targets and folds."""
        return self.work.problem

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """The verdicts, one per target."""
        return tuple(judge(self.work, number) for number in range(len(self.problem.targets)))

    @property
    def table(self) -> pd.DataFrame:
        """A copy of the scores, one row per target and candidate.

        Columns: target, candidate, title, metric (rmse or auroc), value, low, high (95% interval over constitutions),
        difference, difference_low, difference_high (value minus that of the forest, on the same molecules), r2, mae,
        average_precision, n (molecules), scored_on ("folds", out of fold, or "test"), seconds, weight (in the ensemble),
        chosen. The row "nested" scores the choice itself: in each fold, what the other folds chose.
        """
        return pd.concat([judged.table for judged in self.judged], ignore_index=True)

    @property
    def left_out(self) -> dict[str, str]:
        """Candidate -> why it is not in `table`."""
        return dict(self.work.state.get("left_out", {}))

    @property
    def answers(self) -> dict[str, str]:
        """Target -> the answer in a few sentences."""
        return {judged.target.task.id: answer(judged, self.problem.how) for judged in self.judged}

    @property
    def answer(self) -> str:
        """The answers for all targets, one paragraph each."""
        return "\n".join(self.answers.values())

    def digest(self) -> str:
        """Return a hash of the data and of the chosen models."""
        chosen = [(of.winner, {name: round(weight, 6) for name, weight in of.members.items()}) for of in self.judged]
        return hashlib.sha256(f"{self.problem.digest} {chosen} {self.asked['foundation']}".encode()).hexdigest()

    def predictions(self) -> pd.DataFrame:
        """Return the predictions for all labels, from models that had not seen the molecule.

        Returns:
            One row per target, candidate and label: target, candidate, chosen, smiles, id, constitution, fold (-1: test set),
            measured, side (0; -1 or 1 if the label is an upper or lower limit), preds, low, high (of the chosen
            candidate), similarity and nearest (to and of the nearest training molecule).
        """
        parts, smiles, ids = [], np.array(self.problem.smiles, object), np.array(self.problem.ids, object)
        for of in self.judged:
            target = of.target
            ends = self._ends(of)
            for name, preds in of.preds.items():
                chosen = name == of.winner
                facts = {"target": target.task.id, "candidate": name, "chosen": chosen, "smiles": smiles[target.row]}
                facts["id"] = ids[target.row]
                facts |= {"constitution": target.constitution, "fold": target.fold, "measured": target.y}
                facts |= {"side": target.side, "preds": preds, "low": ends[:, 0] if chosen else np.nan}
                facts |= {"high": ends[:, 1] if chosen else np.nan}
                parts.append(pd.DataFrame(facts | {"similarity": of.similarity, "nearest": smiles[of.nearest]}))
        return pd.concat(parts, ignore_index=True)

    def _ends(self, of: Judged) -> np.ndarray:
        preds = of.preds[of.winner]
        if of.target.binary:
            preds = np.log(np.clip(preds, 1e-12, 1)) - np.log(np.clip(1 - preds, 1e-12, 1))
        return conformal(of, preds, of.similarity, of.disagreement)

    def curve(self, target: str | None = None) -> pd.DataFrame:
        """Return the learning curve of the best quick candidate, one row per number of training labels.

        Args:
            target: name of the target; None for the only one.
        """
        number = self._number(target)
        return learning_curve(self.work, number, best_quick(self.work, number, self.judged[number].table))

    def _number(self, target: str | None) -> int:
        if target is None and len(self.judged) > 1:
            raise InputError(f"{self.name} has several targets: {', '.join(self.answers)}. Name one.")
        return 0 if target is None else resolve_one(target, [of.target.task for of in self.judged], self.name)

    def figure(self) -> "go.Figure":
        """Return a figure of all candidates with their intervals."""
        return comparison(self.table)
