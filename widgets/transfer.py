"""TransferExplorer: a transfer study as a matrix that opens into its evidence, and that can be filled cell by cell."""

import html
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from molfm.widgets.shared import MixWidget, Selection, source
from molfm.widgets.transfer_evidence import Evidence

from molfm.base.errors import InputError
from molfm.data.mix import Mix, load
from molfm.plots.style import METRIC_NAMES
from molfm.plots.transfer import transfer_differences
from molfm.study.live import LiveStudy
from molfm.study.matrix import Matrix, rows_of
from molfm.study.statistics import LESS_IS_BETTER
from molfm.study.transfer import TransferResult
from molfm.study.wording import arm_words, compact, finding, findings, history, study_code

if TYPE_CHECKING:
    import plotly.graph_objects as go

SCRIPTS = (  # joined in this order
    "transfer_cells",
    "transfer_matrix",
    "transfer_controls",
    "transfer_pairs",
    "transfer_evidence",
    "transfer_molecules",
    "transfer_panel",
    "transfer_write",
    "transfer",
)
_OPENED = 200  # panels that a saved page may contain
_SKETCHED = 20  # comparisons in a saved notebook without a kernel


class TransferExplorer(MixWidget):
    """Show a transfer study as a matrix of targets and sources. A cell opens into its evidence, or is run with a click.

    Args:
        study: the result of `molfm.transfer`, the folder that `TransferResult.save` wrote, or a mix whose study has not
            been run.
        settings: arguments of `molfm.transfer`, such as targets, sources, regimes, seeds and n_labels. A mix needs
            targets and sources. For a finished study, they add comparisons that can be run.

    Attributes:
        result: the study so far, a `TransferResult`; None before the first comparison.

    Raises:
        TypeError: `study` is none of these, or a setting does not exist.
        ValueError: `molfm.transfer` would refuse the request.
    """

    _esm = source("js", *SCRIPTS)
    _css = source("css", "transfer")

    def __init__(self, study: TransferResult | Mix | str | Path, **settings: object):
        if isinstance(study, str | Path):
            saved = (Path(study) / "study.json").exists()
            study = TransferResult.load(study) if saved else load(study, progress=False)
        if isinstance(study, Mix):
            if missing := [name for name in ("targets", "sources") if name not in settings]:
                raise InputError(
                    f"A study that has not been run needs {' and '.join(missing)}, as molfm.transfer does."
                )
            mix, request, result = study, settings, None
        elif isinstance(study, TransferResult):
            mix, request, result = study.mix, study.request | settings, study
        else:
            raise TypeError(
                f"TransferExplorer expected the result of molfm.transfer, its saved folder, or a mix, found {type(study).__name__}."
            )
        super().__init__(mix, {})
        self.live = LiveStudy(mix, request, result)
        self._evidence = Evidence(self.live)
        self._opened: dict[tuple[int, int, int], None] = {}
        self._built = None, None

    @property
    def result(self) -> TransferResult | None:
        """The study so far."""
        return self.live.result

    @cached_property
    def _arms(self) -> list[tuple[str, str]]:
        """The columns: source and regime."""
        table = self.result.table if self.result is not None else pd.DataFrame({"source": [], "regime": []})
        arms = dict.fromkeys(zip(table.source, table.regime, strict=True))
        if not self.live.complete():
            grid = self.live.grid()
            arms |= dict.fromkeys((source.label, regime) for source in grid.sources for regime in grid.regimes)
        order = list(dict.fromkeys(name for name, _ in arms))
        return sorted(arms, key=lambda arm: order.index(arm[0]))

    @cached_property
    def _rows(self) -> list:
        return rows_of(self.data, self.live.groups)

    def _matrix(self) -> tuple[Matrix, dict]:
        """Return the matrix of the study so far, and (row, column, count) -> (number of a table, label of its row)."""
        tables = self._tables()
        version = self.live.version, len(self.live.counts), len(tables)  # the means come later
        if self._built[0] != version:
            matrix = Matrix(self.data, self._rows, self._arms, tuple(self.live.counts))
            places = {}
            for number, table in enumerate(tables):
                for label, row in zip(table.index, table.itertuples(), strict=True):
                    if row.split == "test" and (at := matrix.place(row)):
                        places[at] = number, label
            self._built = version, (matrix, places)
        return self._built[1]

    def _tables(self) -> list[pd.DataFrame]:
        """Return the tables of the result; the means only once they are computed."""
        result = self.result
        if result is None:
            return []
        means = self.live.soon.get(("means", self.live.version), lambda: (result.means, result.by_family), 0.02)
        return [result.table, *(means or ())]

    def _row(self, row: int, column: int, count: int) -> pd.Series:
        """Return the comparison of a cell.

        Raises:
            ValueError: it has not been run.
        """
        place = self._matrix()[1].get((row, column, count))
        if place is None:
            raise InputError("This comparison has not been run.")
        return self._tables()[place[0]].loc[place[1]]

    # ------------------------------------------------------------------------------------------------------ questions

    def answer_about(self) -> dict:
        """Return the constant facts: rows, columns, numbers of labels, and the settings in one line."""
        n_train = dict(zip(self.data.tasks.task, self.data.tasks.n_train.tolist(), strict=True))
        settings = self.result.settings if self.result is not None else self.live.grid().settings
        return {
            "name": self.data.name,
            "model": self.model_id,
            "rows": [
                {
                    **{"label": row.label, "kind": row.kind, "group": row.group, "depth": row.depth},
                    **{"parent": row.parent, "n": len(row.targets), "labels": sum(n_train[of] for of in row.targets)},
                    "task": row.targets[0] if row.kind == "target" else "",
                    "domain": self.data.task(row.targets[0]).domain or "",
                }
                for row in self._rows
            ],
            "columns": [
                {"source": source, "regime": regime, "words": arm_words(source, regime), "domain": self._domain(source)}
                for source, regime in self._arms
            ],
            "counts": self.live.counts,
            "seeds": settings["seeds"],
            "heldOut": settings["held_out"],
            "complete": self.live.complete(),
        }

    def _domain(self, name: str) -> str:
        """Return the domain of a source, or "" if its tasks have several or it is a checkpoint."""
        try:
            domains = {self.data.task(task).domain for task in self.data.expand(name.split(" + "))}
        except InputError:
            return ""
        return (domains.pop() or "") if len(domains) == 1 else ""

    def answer_matrix(self, count: int) -> dict:
        """Return all cells with one number of labels; see `Matrix.arrays`. `means`: whether the means are among them."""
        tables = self._tables()
        metrics = {row.metric for table in tables for row in table.drop_duplicates("metric").itertuples()}
        return self._matrix()[0].arrays(tables, count) | {
            "metrics": [METRIC_NAMES[metric] for metric in sorted(metrics)],
            "lessIsBetter": bool(metrics) and metrics <= set(LESS_IS_BETTER),
            "version": self.live.version,
            "means": len(tables) != 1,
        }

    def answer_blocks(self) -> dict:
        """Return what can be run, what runs and what failed. `busy`: ask again in a moment."""
        live = self.live
        queue = live.runner.queue  # read first: a block that ends from now on is asked for again, not forgotten
        planned = live.complete() or live.planned()
        computing = live.update()
        columns = {arm: number for number, arm in enumerate(self._arms)}
        blocks = []
        for number, block in enumerate(live.blocks):
            state = "refused" if block.refused else "done" if live.computed(block) else "open"
            if block in queue:
                state = "running" if block == queue[0] else "waiting"
            elif block in live.runner.failed:
                state = "failed"
            blocks.append(
                {
                    **{"block": number, "group": live.groups.index(block.group)},
                    **{"column": columns[block.source, block.regime], "count": live.counts.index(block.count)},
                    **{"state": state, "seconds": math.ceil(live.seconds(block))},
                    "done": round(block.done, 2) if state == "running" else 0,
                    "why": block.refused or live.runner.failed.get(block, ""),
                }
            )
        busy = not planned or computing or bool(queue)
        facts = {"planned": planned, "busy": busy, "version": live.version, "counts": list(live.counts)}
        return {"blocks": blocks, "left": [math.ceil(live.left(count)) for count in facts["counts"]], **facts}

    def answer_run(self, blocks: list[int]) -> dict:
        """Run blocks in the background, one after the other."""
        for block in blocks:
            self.live.start(self.live.blocks[block])
        return self.answer_blocks()

    def answer_stop(self) -> dict:
        """Stop what runs. Checkpoints remain."""
        self.live.runner.stop()
        return self.answer_blocks()

    def answer_measure(self, row: int, counts: list[int]) -> dict:
        """Plan further numbers of labels for the targets of a row. Repeat the question until `done` is true."""
        return {"done": self.live.measure(self.live.groups[self._rows[row].group], counts)} | self.answer_blocks()

    def answer_cell(self, row: int, column: int, count: int) -> dict:
        """Return the verdict of a cell in words and numbers, with its pairs."""
        self._opened = {(row, column, count): None, **self._opened}
        found, facts = self._row(row, column, count), self._rows[row]
        answer, detail = finding(found)
        keys = ["target", "source", "regime", "n_labels"]
        seen = self.result.table
        seen = seen[(seen.split == "test_seen") & (seen[keys] == found[keys]).all(axis=1)]
        numbers = ("difference", "low", "high", "p", "p_adjusted", "baseline", "value", "detectable")
        pairs = self._evidence.pairs(found)
        return {
            "title": facts.label if facts.kind == "target" else found.target,
            "answer": answer,
            "detail": detail,
            "seen": [finding(of)[0] for _, of in seen.iterrows()],
            "metric": METRIC_NAMES[found.metric],
            "lessIsBetter": found.metric in LESS_IS_BETTER,
            "verdict": found.verdict,
            "nTest": int(found.n_test) if pd.notna(found.n_test) else 0,
            "nLabels": int(found.n_labels),
            **{name: None if pd.isna(found[name]) else float(found[name]) for name in numbers},
            "pairs": {name: pairs[name].to_numpy(np.float32) for name in ("baseline", "value")},
        }

    def answer_history(self, row: int, column: int, count: int) -> dict:
        """Return what the study would have said after the first 2, 3, … pairs. Repeat the question until `done` is true."""
        found = self._evidence.history(self._matrix()[1][row, column, count])
        if found is None:
            return {"done": False}
        names = ("difference", "low", "high", "p", "p_adjusted")
        steps = [
            {"seeds": int(of.seeds), "verdict": of.verdict, **{name: float(of[name]) for name in names}} for of in found
        ]
        return {"done": True, "steps": steps, "words": history({of["seeds"]: of["verdict"] for of in steps})}

    def answer_curves(self, row: int, column: int, count: int) -> dict:
        """Return learning curves and gradients through training. Repeat the question until `done` is true."""
        return self._evidence.curves(self._rows[row].targets, self._row(row, column, count))

    def answer_efficiency(self, row: int, column: int, count: int, forests: bool = False) -> dict:
        """Return the metric by number of labels, with simple baselines. Repeat the question until `done` is true."""
        places = self._matrix()[1]
        tables = self._tables()
        cells = [places.get((row, column, number)) for number in range(len(self.live.counts))]
        rows = [tables[at[0]].loc[at[1]] for at in cells if at]
        targets = self._rows[row].targets
        return self._evidence.efficiency(targets, rows, self._row(row, column, count), forests or len(targets) == 1)

    def answer_molecules(self, row: int, column: int, count: int) -> dict:
        """Return the molecules that gained and lost most. Repeat the question until `done` is true."""
        return self._evidence.molecules(self._rows[row].targets[0], self._row(row, column, count))

    def answer_select(self, molecules: list[int]) -> dict:
        """Select molecules, so that a linked MoleculeBrowser shows them."""
        self.selection = Selection(np.array(molecules, int), self.selection.tasks)
        return self.chosen

    def answer_write(self, row: int, column: int, count: int) -> dict:
        """Return a paragraph, and the code of a figure. Repeat the question until `done` is true."""
        at = row, column, count
        found = self.live.soon.get(("write", self.live.version, at), lambda: (self._text(at), self._code(at)))
        return {"done": False} if found is None else {"done": True, "text": found[0], "code": found[1]}

    # ------------------------------------------------------------------------------------------------------ in Python

    @property
    def _open(self) -> tuple[int, int, int] | None:
        """Row, column and number of labels of the open comparison; None if there is none."""
        at = tuple(self.view.get("open") or ())
        return at if at in self._matrix()[1] else None

    @property
    def text(self) -> str:
        """A paragraph about the open comparison, or about all of them."""
        return self._text(self._open)

    @property
    def code(self) -> str:
        """Code that makes the study again, from its finished runs, and the figure of the open comparison."""
        return self._code(self._open)

    def _text(self, at: tuple[int, int, int] | None) -> str:
        if at is None:
            return "" if self.result is None else "\n\n".join(" ".join(of).strip() for of in findings(self.result))
        steps = self._evidence.history(self._matrix()[1][at], wait=None)
        told = history({of["seeds"]: of["verdict"] for of in steps})
        return " ".join(filter(None, [*finding(self._row(*at)), told]))

    def _code(self, at: tuple[int, int, int] | None) -> str:
        if self.result is None:
            return ""
        lines = study_code(self.result, self.live.saved())
        if at is None:
            return "\n".join([*lines, "result.figure()"])
        row, table = self._row(*at), ("table", "means", "by_family")[self._matrix()[1][at][0]]
        keys = {"target": row.target, "source": row.source, "regime": row.regime, "n_labels": int(row.n_labels)}
        chosen = " & ".join(f"(rows.{key} == {value!r})" for key, value in keys.items())
        lines[1:1] = ["from molfm.plots.transfer import transfer_differences"]
        return "\n".join([*lines, f"rows = result.{table}", f"transfer_differences(rows[{chosen}], result.by_seed)"])

    def figure(self) -> "go.Figure":
        """Return a Plotly figure of the open comparison, or of the whole study."""
        if self.result is None:
            raise InputError("Nothing has been run yet, so there is nothing to draw. Run a cell first.")
        if self._open is None:
            return self.result.figure()
        return transfer_differences(pd.DataFrame([self._row(*self._open)]), self.result.by_seed)

    # ------------------------------------------------------------------------------------------------------ without a kernel

    def sketch(self) -> str:
        """Return the first comparisons as a table."""
        if self.result is None:
            return f"<p>A transfer study of {html.escape(self.data.name)} that has not been run.</p>"
        rows = pd.concat([self.result.main, self.result.table]).drop_duplicates(
            ["target", "source", "regime", "n_labels"]
        )
        return compact(rows[:_SKETCHED]).to_html(index=False)

    def questions(self) -> Iterator[tuple[str, dict]]:
        """Yield the questions of the static page: the matrix, all verdicts, then the evidence of the cells that were opened."""
        while self.result is not None and len(self._tables()) == 1:
            pass
        yield "about", {}
        for count in range(len(self.live.counts)):
            yield "matrix", {"count": count}
        yield from self._finished([("blocks", {})], "planned")
        for at in list(self._opened)[:_OPENED]:
            cell = dict(zip(("row", "column", "count"), at, strict=True))
            asked = ["write", "history", "curves", "efficiency"]
            asked += ["molecules"] if self._rows[at[0]].kind == "target" else []
            yield "cell", cell
            yield from self._finished([(ask, cell) for ask in asked], "done")
        for at in self._matrix()[1]:
            if at not in self._opened:
                yield "cell", dict(zip(("row", "column", "count"), at, strict=True))

    def _finished(self, questions: list[tuple[str, dict]], ready: str) -> Iterator[tuple[str, dict]]:
        for ask, args in questions:
            while not getattr(self, f"answer_{ask}")(**args)[ready]:
                pass
            yield ask, args
