"""What a data card says: tasks, sources, splits. `DataCard` shows itself as a page in a notebook."""

import html
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

LEVELS = ("graph", "node", "edge")
KINDS = ("regression", "binary", "ordinal")
DOMAINS = ("quantum", "physicochemical", "biological", "transcriptomic")
SPLIT_METHODS = ("official", "scaffold", "random")
OPEN_TASKS, SHOWN_TASKS = 30, 60  # in a notebook: a longer list is folded, and a much longer one is cut


class CardError(ValueError):
    """A data card, or the request for one, is wrong; the message says what was expected."""


@dataclass(frozen=True)
class Task:
    """One label column of a dataset, or, where the name has a `*`, all columns of its file that match."""

    name: str
    dataset: str
    level: Literal["graph", "node", "edge"] = "graph"
    kind: Literal["regression", "binary", "ordinal"] = "regression"
    domain: str | None = None
    unit: str | None = None
    description: str = ""
    same_as: str | None = (
        None  # id of the task that is the same measurement; in a card, of its own tasks the name will do
    )
    classes: int | None = None  # of an ordinal task: its labels are 0, 1, … classes - 1, in this order
    count: int | None = None  # how many columns a name with a `*` stands for

    @property
    def id(self) -> str:
        """The name that is unique in every mix: `dataset/name`."""
        return f"{self.dataset}/{self.name}"


@dataclass(frozen=True)
class Atomization:
    """A label that a source lacks and that is computed: (column - energies of the molecule's atoms) * factor."""

    column: str
    atoms: dict[str, float]  # element -> energy of the isolated atom in the column's unit; hydrogens count too
    factor: float = 1.0


@dataclass(frozen=True)
class Source:
    """One published form of a dataset's table: where it can be had, and what is true of that file alone.

    A location is `https://…`, `doi:10.5281/zenodo.N/FILE`, `pypi:NAME==VERSION#PATH`, `file:PATH` or `package:PATH`
    (inside molfm). `#PATH` is a member of an archive: a wheel or a zip. A `*` in it stands for several files, which
    are one table, in the order of their names.
    """

    locations: tuple[str, ...] = ()  # all of the same table, tried in this order; `location` in a card
    sha256: str | dict[str, str] | None = None  # of the file (of the wheel, for pypi), or by file name; None: unknown
    smiles: str = "smiles"  # name of the SMILES column
    columns: dict[str, str | None] = field(default_factory=dict)  # task -> column where they differ; None: not in here
    rows: int | None = None  # as published
    splits: tuple[str, ...] = ()  # locations of the official split file: row numbers, so for this table alone
    splits_sha256: str | None = None
    atomization: dict[str, Atomization] = field(default_factory=dict)  # task -> how it is computed

    def column(self, task: str) -> str | None:
        """Return the name of a task's column, or None where this source does not have it."""
        return self.columns.get(task, task)


@dataclass(frozen=True)
class DataCard:
    """A dataset or a mix, as its card describes it.

    `split` is the method used where the caller names none. "official" goes by the split file of the source that is
    used. A source without one is then split by "random", which is by molecule: row numbers mean nothing in another file.
    """

    name: str
    title: str = ""
    license: str = ""
    citation: str = ""
    homepage: str = ""
    tasks: tuple[Task, ...] = ()
    sources: tuple[Source, ...] = ()
    datasets: tuple[str, ...] = ()  # of a mix
    split: Literal["official", "scaffold", "random"] = "random"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)  # train, val, test
    text: str = ""
    folder: Path | None = None  # where `file:` sources and dataset cards of a user's mix are looked for first

    @property
    def n_tasks(self) -> int:
        """The number of label columns, those that a `*` stands for included."""
        return sum(task.count or 1 for task in self.tasks)

    @property
    def rows(self) -> int | None:
        """The number of rows of the table as published, where the card says so."""
        return next((source.rows for source in self.sources if source.rows), None)

    def facts(self) -> dict[str, str]:
        """Return what a reader wants to know first, as text."""
        levels = {level: sum(task.count or 1 for task in self.tasks if task.level == level) for level in LEVELS}
        fractions = "/".join(f"{fraction:g}" for fraction in self.fractions)
        official = "official, where the source has one, else random"
        shown = {
            "name": self.name,
            "datasets": ", ".join(self.datasets),
            "rows": f"{self.rows:,}" if self.rows else "",
            "tasks": ", ".join(f"{n:,} {level}-level" for level, n in levels.items() if n),
            "license": self.license,
            "citation": self.citation,
            "homepage": self.homepage,
            "default split": f"{official if self.split == 'official' else self.split} {fractions}",
            "sources": "; ".join(source.locations[0] for source in self.sources),
        }
        return {key: value for key, value in shown.items() if value}

    def table(self) -> pd.DataFrame:
        """Return the tasks, one row each; `columns` is how many columns of the file the row stands for."""
        rows = [
            {
                "task": task.id,
                "columns": task.count or 1,
                "level": task.level,
                "kind": f"{task.kind}, {task.classes} classes" if task.classes else task.kind,
                "unit": task.unit or "",
                "domain": task.domain or "",
                "description": task.description,
            }
            for task in self.tasks
        ]
        return pd.DataFrame(rows, columns=["task", "columns", "level", "kind", "unit", "domain", "description"])

    def _repr_html_(self) -> str:
        facts = "".join(f"<tr><th>{html.escape(k)}</th><td>{_linked(v)}</td></tr>" for k, v in self.facts().items())
        parts = [_STYLE, f"<h3>{html.escape(self.title or self.name)}</h3><table>{facts}</table>"]
        if self.tasks:
            table = self.table().head(SHOWN_TASKS).to_html(index=False, border=0)
            more = len(self.tasks) - SHOWN_TASKS
            cut = f"<p>… and {more:,} more: <code>card.table()</code> has them all.</p>" if more > 0 else ""
            unfolded = " open" if len(self.tasks) <= OPEN_TASKS else ""
            label = "1 task" if self.n_tasks == 1 else f"{self.n_tasks:,} tasks"
            parts.append(f"<details{unfolded}><summary>{label}</summary>{table}{cut}</details>")
        return f"<div class='molfm-card'>{''.join(parts)}{_markdown_to_html(self.text)}</div>"


# Colours are the notebook's own, so that light and dark themes both work.
_STYLE = """<style>
.molfm-card { max-width: 72em; }
.molfm-card table { border-collapse: collapse; margin: 0.5em 0; }
.molfm-card th, .molfm-card td { text-align: left !important; vertical-align: top; padding: 0.2em 1em 0.2em 0;
  border: 0; border-bottom: 1px solid rgba(128, 128, 128, 0.3); }
.molfm-card th { white-space: nowrap; }
.molfm-card summary { cursor: pointer; font-weight: bold; }
</style>"""


def _linked(text: str) -> str:
    """Escape a fact, and make a link of one that is an address."""
    escaped = html.escape(text)
    return f"<a href='{escaped}'>{escaped}</a>" if re.fullmatch(r"https?://\S+", text) else escaped


def _markdown_to_html(text: str) -> str:
    """Render a card's prose: HTML in it is escaped, images are left out and links go to http(s) only."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    markdown.validateLink = lambda url: url.startswith(("https://", "http://"))
    return markdown.render(text)
