"""How a name is resolved: tasks, datasets, settings. The same rule and the same error everywhere. Also words in messages."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple, Protocol

from molfm.base.errors import InputError

MAX_LISTED = 30  # names that a message lists


def minus(text: str) -> str:
    """Return a text in which negative numbers have a minus sign, not a hyphen."""
    return re.sub(r"(?<![\w.-])-(?=[\d.]*\d)", "\N{MINUS SIGN}", text)


class UnknownName(InputError):
    """A name matches nothing, or several things; the message lists what there is or what matches."""


class AmbiguousName(UnknownName):
    """A name matches several things where one is expected."""


class Named(Protocol):
    """What `resolve` needs to know about a task."""

    id: str  # dataset/name, unique
    name: str
    dataset: str
    level: str
    family: str | None


class TaskName(NamedTuple):
    """A task's names where there is no `Task`, such as in a saved model."""

    id: str
    dataset: str
    level: str
    family: str | None = None

    @property
    def name(self) -> str:
        return self.id.removeprefix(f"{self.dataset}/")


def listed(names: Iterable[str], most: int = MAX_LISTED) -> str:
    """Return names separated by commas; a long list is cut and ends with the number of those left out."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(tasks: Sequence[Named]) -> str:
    """Return a short name for many tasks: how many of which dataset, such as "41 tasks of toxcast/BSK"."""
    by_dataset: dict[str, list[Named]] = {}
    for task in tasks:
        by_dataset.setdefault(task.dataset, []).append(task)
    parts = []
    for dataset, of in by_dataset.items():
        family = {task.family for task in of}
        parts.append(
            f"{len(of):,} tasks of {dataset}" + (f"/{family.pop()}" if len(family) == 1 and any(family) else "")
        )
    return " + ".join(parts)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the most similar known name, whatever its case, or an empty string."""
    by_lower = {str(other).lower(): other for other in known}
    near = get_close_matches(name.lower(), list(by_lower), n=1)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""


def resolve(name: str, tasks: Sequence[Named], where: str) -> list[int]:
    """Return the places in `tasks` that a name stands for, in their order.

    A name is, in this order, a task's id (`b3db/logBB`), a task's own name (`logBB`), a dataset (all its tasks), or a
    dataset and a level (`xtb/node`) or family of tasks (`toxcast/ATG`). The first reading that matches counts.

    Args:
        name: what the user wrote.
        tasks: the tasks to choose from.
        where: what has these tasks, for the message.

    Raises:
        UnknownName: no reading matches.
        AmbiguousName: several tasks have that name.
    """
    if exact := [i for i, task in enumerate(tasks) if task.id == name]:
        return exact
    if own := [i for i, task in enumerate(tasks) if task.name == name]:
        if len(own) > 1:
            matches = listed(tasks[i].id for i in own)
            raise AmbiguousName(
                f"{name!r} is the name of {len(own)} tasks of {where}: {matches}. Use one of these ids."
            )
        return own
    whole = [i for i, task in enumerate(tasks) if name in (task.dataset, f"{task.dataset}/{task.level}")]
    if group := whole or [i for i, task in enumerate(tasks) if task.family and name == f"{task.dataset}/{task.family}"]:
        return group
    known = [*(t.id for t in tasks), *(t.name for t in tasks), *dict.fromkeys(t.dataset for t in tasks)]
    has = listed(task.id for task in tasks) or "no tasks"
    raise UnknownName(f"No task {name!r} in {where}.{did_you_mean(str(name), known)} It has {has}.")


def resolve_one(name: str, tasks: Sequence[Named], where: str) -> int:
    """Return the place of the one task that a name stands for; see `resolve`.

    Raises:
        UnknownName: no task matches.
        AmbiguousName: several tasks match.
    """
    found = resolve(name, tasks, where)
    if len(found) > 1:
        ids = listed(tasks[i].id for i in found)
        raise AmbiguousName(f"{name!r} stands for {len(found)} tasks of {where}: {ids}. Expected one.")
    return found[0]
