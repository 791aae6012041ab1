"""Parse the text of a data card into a checked `DataCard`."""

import re
from collections.abc import Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from molfm.base.names import listed
from molfm.base.units import MOLAR
from molfm.catalog.schema import (
    DOMAINS,
    KINDS,
    LEVELS,
    SPLIT_METHODS,
    Atomization,
    CardError,
    DataCard,
    Roles,
    Source,
    Task,
)

_MANY = ("features", "ignore")  # roles that several columns may have
_BY_TASK = ("weight", "relation")  # roles that may name a column for each task


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
    """Return an entry of a card after checking that it names only fields of `cls` or `more`, and none of `given`."""
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
    facts["class_names"] = _strings(facts.get("class_names", ()), f"{where}: class_names of task {name}")
    task = Task(name=str(name), dataset=dataset, **facts)
    _check(task.level, LEVELS, f"{where}: level of task {name}")
    _check(task.kind, KINDS, f"{where}: kind of task {name}")
    if task.domain is not None:
        _check(task.domain, DOMAINS, f"{where}: domain of task {name}")
    if (task.kind == "ordinal") != (task.classes is not None):
        raise CardError(f"{where}: task {name}: kind ordinal needs `classes`, and no other kind has it.")
    _check_number(task.classes, 2, f"{where}: classes of task {name}")
    named, n_classes = task.class_names, {"binary": 2, "ordinal": task.classes}.get(task.kind, 0)
    if named and len(set(named)) != n_classes:
        raise CardError(
            f"{where}: task {name}: expected {n_classes or 'no'} different `class_names` for kind {task.kind}, "
            f"found {listed(named)}."
        )
    if task.computed not in (None, True, False):
        raise CardError(f"{where}: task {name}: computed: expected true or false, found {task.computed!r}.")
    _check_number(task.count, 1, f"{where}: count of task {name}")
    if task.count is not None and "*" not in task.name:
        raise CardError(f"{where}: task {name}: `count` needs a name with a `*`; it is the number of matching columns.")
    return task


def _strings(value, where: str) -> tuple[str, ...]:
    """Return an entry of a card, a string or a list of strings, as a tuple."""
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
    for entry in ("columns", "atomization", "negative_log"):
        named = facts.setdefault(entry, {})
        if not isinstance(named, dict) or not set(named) <= set(tasks):
            raise CardError(f"{where}: {entry}: expected tasks of this card, each with a value, found {named!r}.")
    facts["roles"] = make_roles(facts.get("roles", {}), where)
    for task, unit in facts["negative_log"].items():
        _check(unit, tuple(MOLAR), f"{where}: negative_log of {task}")
    computed = {}
    for task, entry in facts["atomization"].items():
        place = f"{where}: atomization of {task}"
        if {"column", "atoms"} - set(_known(entry, Atomization, place)) or not isinstance(entry["atoms"], dict):
            raise CardError(f"{place}: expected a column and atoms (an energy for each element), found {entry!r}.")
        computed[task] = Atomization(**entry)
    return Source(**facts | {"atomization": computed})


def make_roles(given: Mapping[str, object], where: str) -> Roles:
    """Return checked roles of columns: role -> column, or several columns, or task -> column; see `Roles`.

    Raises:
        CardError: a role is unknown, or a value is no name of a column.
    """
    found: dict[str, object] = {}
    for role, value in _known(given, Roles, f"{where}: roles").items():
        many = (value,) if isinstance(value, str) else value
        if value is None:
            continue
        if role in _MANY and isinstance(many, list | tuple) and all(isinstance(name, str) for name in many):
            found[role] = tuple(many)
        elif isinstance(value, str) and role not in _MANY:
            found[role] = value
        elif role in _BY_TASK and isinstance(value, Mapping):
            found[role] = dict(value)
        else:
            more = " or a list of names" if role in _MANY else " or task -> name" if role in _BY_TASK else ""
            raise CardError(f"{where}: role {role!r}: expected the name of a column{more}, found {value!r}.")
    return Roles(**found)


def parse_card(text: str, where: str, folder: Path | None = None) -> DataCard:
    """Return the `DataCard` that a text describes.

    Args:
        text: YAML front matter between `---` lines, then prose.
        where: name of the file, for messages.
        folder: the card's folder, for its relative paths; None for a shipped card.

    Raises:
        CardError: the text is not a valid card; the message names the entry, what was expected and what was found.
    """
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise CardError(f"{where}: expected YAML front matter between two lines '---' at the top.")
    try:
        facts = yaml.safe_load(parts[1]) or {}
    except yaml.YAMLError as error:
        raise CardError(f"{where}: the front matter is not valid YAML: {error}") from error
    facts = dict(_known(facts, DataCard, where, ("text", "folder", "columns"), ("class_names",)))
    class_names = facts.pop("class_names", None)
    name = str(facts.get("name", ""))
    if not name or not name.replace("_", "").replace("-", "").isalnum():
        raise CardError(f"{where}: expected a name of letters, digits, '-' and '_', found {name!r}.")
    entries = facts.get("tasks") or {}
    if not isinstance(entries, dict):
        raise CardError(f"{where}: tasks: expected names and their facts, found {entries!r}.")
    if class_names is not None:
        names = {"class_names": class_names}
        entries = {
            key: names | entry if isinstance(entry, dict) and entry.get("kind") == "binary" else entry
            for key, entry in entries.items()
        }
    tasks = tuple(make_task(key, name, entry, where) for key, entry in entries.items())
    for task in tasks:
        in_this_card = str(task.same_as).startswith(f"{name}/")
        if in_this_card and not any(fnmatchcase(task.same_as, other.id) for other in tasks):
            raise CardError(f"{where}: same_as of task {task.name}: this card has no task {task.same_as}.")
    places, datasets = facts.get("sources") or (), tuple(facts.get("datasets") or ())
    if bool(datasets) == bool(tasks) or bool(tasks) != bool(places):
        raise CardError(f"{where}: expected either `tasks` and `sources` (a dataset) or `datasets` (a mix).")
    sources = tuple(_make_source(entry, entries, f"{where}: source") for entry in places)
    if len({(source.roles.features, source.roles.id is None) for source in sources}) > 1:
        raise CardError(f"{where}: expected the same features in all sources, and ids in all or none.")
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
