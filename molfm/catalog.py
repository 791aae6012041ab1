"""The data cards: one Markdown file a dataset, YAML front matter and prose; the only place where its facts live.

A dataset's card names its tasks and its sources; a mix's card names datasets. `cards()` lists the shipped ones; a path
to a card of your own works wherever a name does.
"""

import html
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pandas as pd
import yaml

LEVELS = ("graph", "node", "edge")
KINDS = ("regression", "binary")
DOMAINS = ("quantum", "physicochemical", "biological", "transcriptomic")
SPLIT_METHODS = ("scaffold", "random")


class CardError(ValueError):
    """A data card, or the request for one, is wrong; the message says what was expected."""


@dataclass(frozen=True)
class Task:
    """One label column of a dataset."""

    name: str
    dataset: str
    level: Literal["graph", "node", "edge"] = "graph"
    kind: Literal["regression", "binary"] = "regression"
    domain: str | None = None
    unit: str | None = None
    description: str = ""
    same_as: str | None = None  # a task of this dataset that is the same measurement under another name

    @property
    def id(self) -> str:
        """The name that is unique in every mix: `dataset/name`."""
        return f"{self.dataset}/{self.name}"


@dataclass(frozen=True)
class Source:
    """One place where a dataset's table can be had, with what is true of that file alone."""

    location: str = ""  # package:PATH, file:PATH or pypi:NAME==VERSION#PATH
    sha256: str | None = None
    smiles: str = "smiles"  # name of the SMILES column
    columns: dict[str, str] = field(default_factory=dict)  # task -> column, where they differ


@dataclass(frozen=True)
class DataCard:
    """A dataset or a mix, as its card describes it."""

    name: str
    title: str = ""
    license: str = ""
    citation: str = ""
    homepage: str = ""
    tasks: tuple[Task, ...] = ()
    sources: tuple[Source, ...] = ()
    datasets: tuple[str, ...] = ()  # of a mix
    split: str = "random"  # the method used where the caller names none
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)  # train, val, test
    text: str = ""
    folder: Path | None = None  # where `file:` sources and dataset cards of a user's mix are looked for first

    def facts(self) -> dict[str, str]:
        """Return what a reader wants to know first, as text."""
        shown = {
            "name": self.name,
            "datasets": ", ".join(self.datasets),
            "license": self.license,
            "citation": self.citation,
            "homepage": self.homepage,
            "default split": f"{self.split} {self.fractions[0]:g}/{self.fractions[1]:g}/{self.fractions[2]:g}",
        }
        return {key: value for key, value in shown.items() if value}

    def table(self) -> pd.DataFrame:
        """Return the tasks, a row each."""
        columns = ["task", "level", "kind", "unit", "domain", "description"]
        rows = [(t.id, t.level, t.kind, t.unit or "", t.domain or "", t.description) for t in self.tasks]
        return pd.DataFrame(rows, columns=columns)

    def _repr_html_(self) -> str:
        facts = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in self.facts().items())
        tasks = self.table().to_html(index=False, escape=True) if self.tasks else ""
        return (
            f"<h3>{html.escape(self.title or self.name)}</h3><table>{facts}</table>{tasks}"
            f"<div style='white-space: pre-wrap; max-width: 60em'>{html.escape(self.text)}</div>"
        )


def _check(value, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise CardError(f"{where}: expected one of {', '.join(allowed)}, found {value!r}.")
    return value


def _known(facts: dict, cls: type, where: str, given: tuple[str, ...] = ()) -> dict:
    """Check that an entry of a card names fields of `cls` only, and none that it is given by its place."""
    if not isinstance(facts, dict):
        raise CardError(f"{where}: expected names and values, found {facts!r}.")
    allowed = [f.name for f in fields(cls) if f.name not in given]
    if unknown := [key for key in facts if key not in allowed]:
        raise CardError(f"{where}: unknown entry {unknown[0]!r}; known are {', '.join(allowed)}.")
    return facts


def make_task(name: str, dataset: str, facts: dict | None, where: str) -> Task:
    """Return a checked `Task` from a card's entry for it."""
    facts = _known(facts or {}, Task, f"{where}: task {name}", ("name", "dataset"))
    task = Task(name=str(name), dataset=dataset, **facts)
    _check(task.level, LEVELS, f"{where}: level of task {name}")
    _check(task.kind, KINDS, f"{where}: kind of task {name}")
    if task.domain is not None:
        _check(task.domain, DOMAINS, f"{where}: domain of task {name}")
    return task


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
    sources = tuple(Source(**_known(entry, Source, f"{where}: source")) for entry in facts.get("sources") or ())
    if any(not source.location for source in sources):
        raise CardError(f"{where}: source: expected a location, such as file:my.csv.")
    datasets = tuple(facts.get("datasets") or ())
    if bool(datasets) == bool(tasks) or bool(tasks) != bool(sources):
        raise CardError(f"{where}: expected either `tasks` and `sources` (a dataset) or `datasets` (a mix).")
    given = facts.get("fractions", DataCard.fractions)
    try:
        fractions = tuple(map(float, given))
    except (TypeError, ValueError):
        fractions = ()
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise CardError(f"{where}: expected three fractions that add up to 1, found {given!r}.")
    _check(facts.get("split", DataCard.split), SPLIT_METHODS, f"{where}: split")
    facts |= {"tasks": tasks, "sources": sources, "datasets": datasets, "fractions": fractions}
    return DataCard(**facts | {"name": name, "text": parts[2].strip(), "folder": folder})


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


def datasets_of(name: str | Path) -> list[DataCard]:
    """Return the cards of the datasets behind a name: of a mix, its members; of a dataset, itself."""
    top = card(name)
    if not top.datasets:
        return [top]
    members = [top.folder / f"{member}.md" if top.folder else None for member in top.datasets]
    return [card(p if p and p.exists() else member) for p, member in zip(members, top.datasets, strict=True)]


def cards() -> pd.DataFrame:
    """Return the shipped data cards, a row each."""
    rows = []
    for item in _shipped().values():
        tasks = [task for member in datasets_of(item.name) for task in member.tasks]
        levels = [level for level in LEVELS if any(task.level == level for task in tasks)]
        domains = [domain for domain in DOMAINS if any(task.domain == domain for task in tasks)]
        kind = "mix" if item.datasets else "dataset"
        rows.append((item.name, kind, item.title, len(tasks), ", ".join(levels), ", ".join(domains), item.license))
    return pd.DataFrame(rows, columns=["name", "kind", "title", "tasks", "levels", "domains", "license"])
