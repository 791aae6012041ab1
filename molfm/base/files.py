"""The folder of caches and runs, and files that are either complete or absent."""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import platformdirs

_RANDOM, _KEPT = 12, 200  # characters in the name of a temporary file: random ones, and those of the final name


def home() -> Path:
    """Return the folder of caches and runs: `$MOLFM_HOME`, or the platform's cache folder."""
    return Path(os.environ.get("MOLFM_HOME") or platformdirs.user_cache_dir("molfm", appauthor=False))


def is_fast() -> bool:
    """Return whether `MOLFM_FAST=1` asks for runs that take seconds and mean nothing, for tests."""
    return os.environ.get("MOLFM_FAST") == "1"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary path to write a file or folder to, and move it to `path` when the block ends without an error.

    A reader never meets half a file, and writers in other processes never share a temporary file: its name is random. It
    starts with a dot and keeps the suffix of `path`. A folder at `path` is replaced, and a link is followed.
    """
    path = path.resolve()
    if path.exists() and not path.is_file() and not path.is_dir():  # such as /dev/stdout
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex[:_RANDOM]}.{path.name[-_KEPT:]}")
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        _remove(temporary)


def remove_unfinished(path: Path) -> None:
    """Remove what killed writers of `path` left behind. Call it only where no other process can be writing `path`."""
    for left in path.parent.glob(f".{'?' * _RANDOM}.{glob.escape(path.name[-_KEPT:])}"):
        _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: Path, facts: dict | list) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(facts, indent=1))
