"""The data cards: one Markdown file a dataset, YAML front matter and prose; the only place where its facts live.

A dataset's card names its tasks and its sources; a mix's card names datasets. `cards()` lists the shipped ones; a path
to a card of your own works wherever a name does.
"""

import html
import re
import warnings
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pandas as pd
import yaml

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
        """Return the tasks, a row each; `columns` says what a `*` stands for, where there is one."""
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
        shown = ["task", "columns", "level", "kind", "unit", "domain", "description"]
        return pd.DataFrame(rows, columns=[name for name in shown if name != "columns" or self.n_tasks > len(rows)])

    def to_croissant(self) -> dict:
        """Return the card as Croissant 1.1 metadata (JSON-LD), see `molfm.croissant`."""
        from molfm.croissant import to_croissant

        return to_croissant(self)

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


def _check(value, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise CardError(f"{where}: expected one of {', '.join(allowed)}, found {value!r}.")
    return value


def _check_number(value, least: int, where: str) -> None:
    if value is not None and (type(value) is not int or value < least):
        raise CardError(f"{where}: expected a whole number from {least}, found {value!r}.")


def _check_sha256(value, where: str) -> None:
    if value is not None and not re.fullmatch("[0-9a-f]{64}", str(value)):
        raise CardError(f"{where}: expected 64 hexadecimal digits or null, found {value!r}.")


def _known(facts: dict, cls: type, where: str, given: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> dict:
    """Check that an entry of a card names fields of `cls` (or `more`) only, and none that it is given by its place."""
    if not isinstance(facts, dict):
        raise CardError(f"{where}: expected names and values, found {facts!r}.")
    allowed = [*more, *(f.name for f in fields(cls) if f.name not in given)]
    if unknown := [key for key in facts if key not in allowed]:
        raise CardError(f"{where}: unknown entry {unknown[0]!r}; known are {', '.join(allowed)}.")
    return facts


def make_task(name: str, dataset: str, facts: dict | None, where: str) -> Task:
    """Return a checked `Task` from a card's entry for it."""
    facts = dict(_known(facts or {}, Task, f"{where}: task {name}", ("name", "dataset")))
    if (twin := facts.get("same_as")) is not None and "/" not in str(twin):
        facts["same_as"] = f"{dataset}/{twin}"
    task = Task(name=str(name), dataset=dataset, **facts)
    _check(task.level, LEVELS, f"{where}: level of task {name}")
    _check(task.kind, KINDS, f"{where}: kind of task {name}")
    if task.domain is not None:
        _check(task.domain, DOMAINS, f"{where}: domain of task {name}")
    if (task.kind == "ordinal") != (task.classes is not None):
        raise CardError(f"{where}: task {name}: kind ordinal needs `classes`, and no other kind has it.")
    _check_number(task.classes, 2, f"{where}: classes of task {name}")
    _check_number(task.count, 1, f"{where}: count of task {name}")
    if task.count is not None and "*" not in task.name:
        raise CardError(f"{where}: task {name}: `count` belongs to a name with a `*`, for the columns it stands for.")
    return task


def _strings(value, where: str) -> tuple[str, ...]:
    """Return a card's one string, or its list of strings, as a tuple."""
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(item, str) and item for item in values):
        raise CardError(f"{where}: expected a string or a list of strings, found {value!r}.")
    return tuple(values)


def _make_source(facts: dict, tasks: dict, where: str) -> Source:
    """Return a checked `Source` from a card's entry for it."""
    facts = dict(_known(facts, Source, where, ("locations",), ("location",)))
    facts["locations"] = _strings(facts.pop("location", ()), f"{where}: location")
    facts["splits"] = _strings(facts.get("splits", ()), f"{where}: splits")
    if not facts["locations"]:
        raise CardError(f"{where}: expected a location, such as file:my.csv.")
    hashes = facts.get("sha256")
    for value in hashes.values() if isinstance(hashes, dict) else (hashes,):
        _check_sha256(value, f"{where}: sha256")
    _check_sha256(facts.get("splits_sha256"), f"{where}: splits_sha256")
    _check_number(facts.get("rows"), 1, f"{where}: rows")
    for entry in ("columns", "atomization"):
        named = facts.setdefault(entry, {})
        if not isinstance(named, dict) or not set(named) <= set(tasks):
            raise CardError(f"{where}: {entry}: expected tasks of this card and a value each, found {named!r}.")
    computed = {}
    for task, entry in facts["atomization"].items():
        place = f"{where}: atomization of {task}"
        if {"column", "atoms"} - set(_known(entry, Atomization, place)) or not isinstance(entry["atoms"], dict):
            raise CardError(f"{place}: expected a column and atoms: an energy for each element, found {entry!r}.")
        computed[task] = Atomization(**entry)
    return Source(**facts | {"atomization": computed})


def parse_card(text: str, where: str, folder: Path | None = None) -> DataCard:
    """Return the `DataCard` that `text` (YAML front matter between `---` lines, then prose) describes.

    Raises:
        CardError: naming the entry, what was expected and what was found.
    """
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise CardError(f"{where}: expected YAML front matter between two lines '---' at the top.")
    try:
        facts = yaml.safe_load(parts[1]) or {}
    except yaml.YAMLError as error:
        raise CardError(f"{where}: the front matter is not valid YAML: {error}") from error
    facts = dict(_known(facts, DataCard, where))
    name = str(facts.get("name", ""))
    if not name or not name.replace("_", "").replace("-", "").isalnum():
        raise CardError(f"{where}: expected a name of letters, digits, '-' and '_', found {name!r}.")
    entries = facts.get("tasks") or {}
    if not isinstance(entries, dict):
        raise CardError(f"{where}: tasks: expected names and their facts, found {entries!r}.")
    tasks = tuple(make_task(key, name, entry, where) for key, entry in entries.items())
    for task in tasks:
        of_card = str(task.same_as).startswith(f"{name}/")
        if of_card and not any(fnmatchcase(task.same_as, other.id) for other in tasks):
            raise CardError(f"{where}: same_as of task {task.name}: this card has no task {task.same_as}.")
    places, datasets = facts.get("sources") or (), tuple(facts.get("datasets") or ())
    if bool(datasets) == bool(tasks) or bool(tasks) != bool(places):
        raise CardError(f"{where}: expected either `tasks` and `sources` (a dataset) or `datasets` (a mix).")
    sources = tuple(_make_source(entry, entries, f"{where}: source") for entry in places)
    given = facts.get("fractions", DataCard.fractions)
    try:
        fractions = tuple(map(float, given))
    except (TypeError, ValueError):
        fractions = ()
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise CardError(f"{where}: expected three fractions that add up to 1, found {given!r}.")
    split = _check(facts.get("split", DataCard.split), SPLIT_METHODS, f"{where}: split")
    if split == "official" and tasks and not any(source.splits for source in sources):
        raise CardError(f"{where}: split: official needs a source with `splits`, and none has them.")
    facts |= {"tasks": tasks, "sources": sources, "datasets": datasets, "fractions": fractions}
    return DataCard(**facts | {"name": name, "text": parts[2].strip(), "folder": folder})


def expand_tasks(card: DataCard, column_names: list[str]) -> DataCard:
    """Return the card with each task whose name has a `*` replaced by the columns that match, in the file's order.

    A column that another entry of the card names is not matched. A name that is itself a column is taken as it stands.

    Raises:
        CardError: nothing matches; the message says what was there.
    Warns:
        UserWarning: the number of columns is not the card's `count`.
    """
    taken = {task.name for task in card.tasks}
    for source in card.sources:
        taken |= {source.smiles, *source.columns.values()}
    expanded: list[Task] = []
    for task in card.tasks:
        if "*" not in task.name or task.name in column_names:
            expanded.append(task)
            continue
        pattern = re.compile(".*".join(map(re.escape, task.name.split("*"))))
        found = [name for name in column_names if name not in taken and pattern.fullmatch(name)]
        if not found:
            raise CardError(
                f"{card.name}: expected columns {task.name}, found {', '.join(column_names[:30]) or 'no columns'}."
            )
        if task.count not in (None, len(found)):
            warnings.warn(
                f"{card.name}: {len(found):,} columns are {task.name}, its card says {task.count:,}.", stacklevel=2
            )
        taken |= set(found)
        expanded += [replace(task, name=name, count=None) for name in found]
    return replace(card, tasks=tuple(expanded))


@cache
def _shipped() -> dict[str, DataCard]:
    found = [file for file in files("molfm.data_cards").iterdir() if file.name.endswith(".md")]
    cards = [parse_card(file.read_text("utf-8"), file.name) for file in sorted(found, key=lambda file: file.name)]
    return {card.name: card for card in cards}


def card(name: str | Path) -> DataCard:
    """Return the data card of a dataset or mix: a shipped card's name, or the path of a card of your own (`*.md`).

    Raises:
        CardError: the name is unknown (the message lists those that exist and the nearest one), or the file is wrong.
    """
    if str(name).endswith(".md"):
        path = Path(name)
        if not path.exists():
            raise CardError(f"There is no data card at {path}.")
        return parse_card(path.read_text("utf-8"), str(path), path.resolve().parent)
    if str(name) not in _shipped():
        near = get_close_matches(str(name), _shipped(), n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise CardError(f"Unknown dataset {str(name)!r}. {hint}Known: {', '.join(_shipped())}.")
    return _shipped()[str(name)]


def datasets_of(name: str | Path | DataCard) -> list[DataCard]:
    """Return the cards of the datasets behind a name or card: of a mix, its members; of a dataset, itself."""
    top = name if isinstance(name, DataCard) else card(name)
    if not top.datasets:
        return [top]
    members = [top.folder / f"{member}.md" if top.folder else None for member in top.datasets]
    return [card(p if p and p.exists() else member) for p, member in zip(members, top.datasets, strict=True)]


def cards() -> pd.DataFrame:
    """Return the shipped data cards, a row each."""
    rows = []
    for item in _shipped().values():
        members = datasets_of(item)
        tasks = [task for member in members for task in member.tasks]
        n_tasks = sum(member.n_tasks for member in members)
        levels = [level for level in LEVELS if any(task.level == level for task in tasks)]
        domains = [domain for domain in DOMAINS if any(task.domain == domain for task in tasks)]
        kind = "mix" if item.datasets else "dataset"
        rows.append((item.name, kind, item.title, n_tasks, ", ".join(levels), ", ".join(domains), item.license))
    return pd.DataFrame(rows, columns=["name", "kind", "title", "tasks", "levels", "domains", "license"])
