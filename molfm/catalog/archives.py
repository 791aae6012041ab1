"""Take members out of archives: zip files and wheels, and the packages of npm, which are compressed tar files."""

import tarfile
import zlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from gzip import BadGzipFile
from pathlib import Path
from shutil import copyfileobj
from typing import Literal
from zipfile import BadZipFile, ZipFile

from molfm.catalog.http import DownloadError

_BROKEN = (BadZipFile, tarfile.TarError, BadGzipFile, EOFError, zlib.error)


def extractors(
    archive: Path, pattern: str, fits: Callable[[str], bool], kind: Literal["zip", "npm"]
) -> dict[str, Callable[[Path], None]]:
    """Return, by file name, functions that extract the matching members to a path, without their folders.

    Args:
        archive: path of the archive.
        pattern: the member's path; `*` matches folders too. In an npm package it starts below the outermost folder.
        fits: whether a file name is wanted.
        kind: "zip" for zip files and wheels, "npm" for npm packages.

    Raises:
        DownloadError: the archive is broken, no member matches, or two matching members have the same name.
    """
    shown = "the download" if archive.suffix == ".part" else f"{archive} (put the right one in its place or delete it)"
    found: dict[str, str] = {}
    for member in _names(archive, kind, shown):
        file, path = member.rpartition("/")[2], member.partition("/")[2] if kind == "npm" else member
        if fnmatchcase(path, pattern) and fits(file) and found.setdefault(file, member) != member:
            raise DownloadError(f"{shown}: {found[file]} and {member} both match {pattern} and have the same name.")
    if not found:
        raise DownloadError(f"{shown} has no member that matches {pattern}.")
    extract = _untar if kind == "npm" else _unzip
    return {file: partial(_save, partial(extract, archive, member), member) for file, member in found.items()}


def _names(archive: Path, kind: str, shown: str) -> list[str]:
    try:
        if kind == "npm":
            with tarfile.open(archive, "r:gz") as opened:
                return [member.name for member in opened if member.isfile()]
        with ZipFile(archive) as opened:
            return opened.namelist()
    except _BROKEN:
        raise DownloadError(f"{shown} is not a {'compressed tar' if kind == 'npm' else 'zip'} file.") from None


def _save(extract: Callable[[Path], None], member: str, part: Path) -> None:
    Path(f"{part}.json").unlink(missing_ok=True)  # a download must not resume from this part
    try:
        extract(part)
    except (*_BROKEN, RuntimeError) as error:  # RuntimeError: encrypted, unknown compression
        part.unlink(missing_ok=True)
        raise DownloadError(f"{member} could not be extracted from its archive: {error}") from error


def _unzip(archive: Path, member: str, part: Path) -> None:
    with ZipFile(archive) as opened, opened.open(member) as source, open(part, "wb") as file:
        copyfileobj(source, file)


def _untar(archive: Path, member: str, part: Path) -> None:
    with tarfile.open(archive, "r:gz") as opened, opened.extractfile(member) as source, open(part, "wb") as file:
        copyfileobj(source, file)
