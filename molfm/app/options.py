"""Options that several commands have, and functions that read values of more than one word or number.

Each function raises ValueError if the text has another form.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from molfm.base.errors import InputError

Data = Annotated[
    str,
    typer.Argument(
        help="name of a dataset or mix, path of your own card (*.md), or a table (CSV, Parquet, Excel, SDF)"
    ),
]
Column = Annotated[str, typer.Option("--smiles", help="name of the SMILES column of a table")]
Split = Annotated[
    str | None,
    typer.Option(
        help="official, scaffold, random, cluster, time:COLUMN, group:COLUMN, a fold such as 'scaffold 2/5', or a column "
        "of the table; default: as the data card says, or random"
    ),
]

Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        help="ROLE=COLUMN: what a column of a table is for: id, weight, relation, group, time, features or ignore (also "
        "weight:TASK=COLUMN); repeatable",
    ),
]

Pic50 = Annotated[
    list[str] | None,
    typer.Option(help="column of concentrations to learn as -log10 of it in mol/L: IC50 (nM) as pIC50; repeatable"),
]

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="NAME=VALUE: any other setting of molfm.TrainConfig or of the network, such as dropout=0.2; repeatable",
    ),
]


def roles(texts: list[str] | None) -> dict | None:
    """Read ROLE=COLUMN, for `molfm.load`; None if there are none. A role that is given twice has several columns."""
    found: dict = {}
    for text in texts or ():
        role, equals, column = text.partition("=")
        role, colon, task = role.partition(":")
        if not (role and equals and column) or (colon and not task):
            raise InputError(f"--role: expected ROLE=COLUMN, such as features=pH, found {text!r}.")
        if colon:
            found.setdefault(role, {})[task] = column
        elif role in ("features", "ignore"):
            found.setdefault(role, []).append(column)
        elif role in found:
            raise InputError(f"--role: {role} is given twice, as {found[role]!r} and {column!r}.")
        else:
            found[role] = column
    return found or None


def count_or_counts(option: str, texts: list[str]) -> int | dict[str, int]:
    """Read a single number, or several NAME=NUMBER."""
    return int(texts[0]) if len(texts) == 1 and texts[0].isdigit() else counts(option, texts)


def named(option: str, texts: list[str], what: str, read: Callable) -> dict:
    """Read NAME=VALUE, as an option that is given several times.

    Args:
        option: name of the option, for the message.
        texts: what was given.
        what: what a value is, in capitals.
        read: turns the text of a value into the value, or raises ValueError.
    """
    found = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            found[name] = read(value)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"--{option}: expected NAME={what}, found {text!r}.")
    return found


def counts(option: str, texts: list[str]) -> dict[str, int]:
    """Read NAME=NUMBER with whole numbers."""
    return named(option, texts, "NUMBER", lambda text: int(text) if text.isdigit() else int(""))


def number_of_labels(text: str) -> int | None:
    """Read a number of labels, or all (None)."""
    if text != "all" and not text.isdigit():
        raise InputError(f"Expected --n-labels as a number or all, found {text!r}.")
    return None if text == "all" else int(text)


def value(text: str) -> bool | int | float | str | None:
    """Read a number, true, false, none, or a word."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def choices(text: str) -> list | tuple:
    """Read a range, `1e-4..1e-2`, or values separated by commas, `gin,gine`."""
    low, dots, high = text.partition("..")
    if dots:
        return value(low), value(high)
    return [value(one) for one in text.split(",")]
