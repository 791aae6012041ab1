"""The folder of caches and runs, and files that are either complete or absent."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import platformdirs


def home() -> Path:
    """Return the folder of caches and runs: `$MOLFM_HOME`, or the platform's cache folder."""
    return Path(os.environ.get("MOLFM_HOME") or platformdirs.user_cache_dir("molfm", appauthor=False))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary path to write a file or folder to, and move it to `path` when the block ends without an error.

    A reader never meets half a file, and writers in other processes never share a temporary file: its name is random. It
    starts with a dot and keeps the suffix of `path`. A folder at `path` is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.{path.name}")
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: Path, facts: dict | list) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(facts, indent=1))
