"""Reads option values that are more than one word or number.

Each function raises ValueError if the text has another form.
"""

from molfm.base.errors import InputError


def count_or_counts(option: str, texts: list[str]) -> int | dict[str, int]:
    """Read a single number, or several NAME=NUMBER."""
    return int(texts[0]) if len(texts) == 1 and texts[0].isdigit() else counts(option, texts)


def counts(option: str, texts: list[str]) -> dict[str, int]:
    """Read NAME=NUMBER, as an option that is given several times."""
    pairs = [text.rpartition("=") for text in texts]
    if wrong := [text for text, (name, _, count) in zip(texts, pairs, strict=True) if not name or not count.isdigit()]:
        raise InputError(f"--{option}: expected NAME=NUMBER, found {wrong[0]!r}.")
    return {name: int(count) for name, _, count in pairs}


def number_of_labels(text: str) -> int | None:
    """Read a number of labels, or all (None)."""
    if text != "all" and not text.isdigit():
        raise InputError(f"Expected --n-labels as a number or all, found {text!r}.")
    return None if text == "all" else int(text)
