"""The data cards: one Markdown file per dataset (YAML front matter and prose), the only place where its facts live.

A dataset's card names its tasks and its sources; a mix's card names datasets. `cards()` lists the shipped cards. The
path of a user's own card works wherever a name does.
"""

import re
import warnings
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import pandas as pd

from molfm.base.names import did_you_mean
from molfm.catalog.parse import parse_card
from molfm.catalog.schema import DOMAINS, LEVELS, CardError, DataCard, Task


def expand_tasks(card: DataCard, column_names: list[str]) -> DataCard:
    """Return the card with each task whose name contains a `*` replaced by the matching columns, in the file's order.

    A column that another entry of the card names is not matched. A name that is itself a column is taken literally.

    Raises:
        CardError: no column matches; the message lists the columns.
    Warns:
        UserWarning: the number of matching columns is not the card's `count`.
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
                f"{card.name}: {len(found):,} columns match {task.name}, but the card says {task.count:,}.",
                stacklevel=2,
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
    """Return the data card of a dataset or mix.

    Args:
        name: the name of a shipped card, or the path of a user's own card (`*.md`).

    Raises:
        CardError: the name is unknown (the message lists the known names), or the file is missing or invalid.
    """
    if str(name).endswith(".md"):
        path = Path(name)
        if not path.exists():
            raise CardError(f"There is no data card at {path}.")
        return parse_card(path.read_text("utf-8"), str(path), path.resolve().parent)
    if str(name) not in _shipped():
        hint = did_you_mean(str(name), _shipped())
        raise CardError(f"Unknown dataset {str(name)!r}.{hint} Known: {', '.join(_shipped())}.")
    return _shipped()[str(name)]


def datasets_of(name: str | Path | DataCard) -> list[DataCard]:
    """Return the cards of the datasets behind a name or card: the members of a mix, or the dataset itself.

    A member of a user's mix is the path of a card (`*.md`), relative to the mix's card, or a name. A card of that name
    beside the mix's card comes before a shipped one.

    Raises:
        CardError: a member is unknown or a mix itself, or two members have one name.
    """
    top = name if isinstance(name, DataCard) else card(name)
    if not top.datasets:
        return [top]
    found = [card(_member(top, member)) for member in top.datasets]
    for member, item in zip(top.datasets, found, strict=True):
        if item.datasets:
            raise CardError(
                f"{top.name}: expected datasets, found {member!r}, which is a mix. List its datasets instead."
            )
    names = [item.name for item in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise CardError(
            f"{top.name}: {names.count(twice[0])} of its datasets have the name {twice[0]!r}, so their tasks would have the "
            "same ids. Give each card its own name."
        )
    return found


def _member(top: DataCard, member: str) -> str | Path:
    if top.folder is None:
        return member
    if member.endswith(".md"):
        return top.folder / member
    beside = top.folder / f"{member}.md"
    return beside if beside.exists() else member


def cards() -> pd.DataFrame:
    """Return a table of the shipped data cards, one row per card."""
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
