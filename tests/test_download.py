"""Files from a server on this machine, through pip, from a mirror, or from this disk."""

import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import test_http
from test_http import DATA, PATH

from molfm.base.files import home, sha256
from molfm.catalog import download
from molfm.catalog.download import digest, fetch, fetch_pypi
from molfm.catalog.http import DownloadError

WHEEL = b"not really a wheel"
HASH = hashlib.sha256(WHEEL).hexdigest()
DATA_HASH = hashlib.sha256(DATA).hexdigest()
PARTS = {f"qm9_part{i}.csv": f"smiles,mu\nC{'C' * i},{i}\n".encode() for i in (1, 2, 3)}
TABLE, SPLITS = b"smiles,mu\n" + DATA, b"row numbers"
MEMBERS = {"qm9/": b"", "qm9/qm9.csv.gz": TABLE, "qm9/qm9_random_splits.pt": SPLITS, "qm9/readme.txt": b"of qm9.csv"}
server, quick = test_http.server, test_http.quick  # fixtures; imported by name, they would look unused


@pytest.fixture
def pip(monkeypatch):
    """A fake pip that writes `pip.wheel` into the given folder, or fails with `pip.error`; it counts its calls."""

    class Pip:
        calls, error, wheel = 0, "", WHEEL

        def run(self, command, **_):
            self.calls += 1
            if self.error:
                return subprocess.CompletedProcess(command, 1, "", self.error)
            folder = Path(command[command.index("-d") + 1])
            (folder / "toy-1.0-py3-none-any.whl").write_bytes(self.wheel)
            return subprocess.CompletedProcess(command, 0, "", "")

    fake = Pip()
    monkeypatch.setattr(download.subprocess, "run", fake.run)
    return fake


@pytest.fixture
def wheel_of(pip):
    """A function that lets the fake pip return a wheel with these members (name -> bytes); it returns the SHA-256."""

    def make(members):
        pip.wheel = zip_of(members)
        return hashlib.sha256(pip.wheel).hexdigest()

    return make


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Ignore the mirror of whoever runs the tests."""
    monkeypatch.delenv("MOLFM_MIRROR", raising=False)


@pytest.fixture
def cut_network(monkeypatch):
    """A function; after it is called, any socket and any call of pip fails the test."""

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    def cut():
        monkeypatch.setattr(socket, "socket", refuse)
        monkeypatch.setattr(download.subprocess, "run", refuse)

    return cut


@pytest.fixture
def hashed(monkeypatch):
    """The paths of the files that were hashed so far."""
    seen = []

    def spy(path):
        seen.append(path)
        return sha256(path)

    monkeypatch.setattr(download, "sha256", spy)
    return seen


def zip_of(members):
    """Return the bytes of a zip file with these members (name -> bytes)."""
    content = io.BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


QM9 = zip_of(MEMBERS)


def get(*locations, expected=None, name="qm9", **options):
    return fetch(locations, name, expected, progress=False, **options)


def left_over(own_home):
    """Return the names of all files of the dataset, except locks."""
    return sorted(path.name for path in (own_home / "raw" / "qm9").iterdir() if path.suffix != ".lock")


def age(path):
    """Make a file older than the two seconds in which its modification time proves nothing."""
    os.utime(path, (time.time() - 60, time.time() - 60))


def test_home_is_the_folder_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("MOLFM_HOME", str(tmp_path / "here"))
    assert home() == tmp_path / "here"
    monkeypatch.delenv("MOLFM_HOME")
    assert home().name == "molfm"


def test_sha256_hashes_the_content(tmp_path):
    (tmp_path / "file").write_bytes(WHEEL)
    assert sha256(tmp_path / "file") == HASH


# Wheels, through pip


def test_a_wheel_is_downloaded_once_and_reused(own_home, pip):
    first = fetch_pypi("toy==1.0", HASH)
    assert first.read_bytes() == WHEEL
    assert fetch_pypi("toy==1.0", HASH) == first
    assert pip.calls == 1


def test_a_damaged_wheel_in_the_cache_is_downloaded_again(own_home, pip):
    wheel = fetch_pypi("toy==1.0", HASH)
    wheel.write_bytes(WHEEL[:5])
    assert fetch_pypi("toy==1.0", HASH).read_bytes() == WHEEL
    assert pip.calls == 2


def test_a_wheel_with_another_hash_is_deleted(own_home, pip):
    with pytest.raises(DownloadError, match="expected 0000") as error:
        fetch_pypi("toy==1.0", "0" * 64)
    assert HASH in str(error.value)
    assert "Deleted the download" in str(error.value)
    assert list(own_home.rglob("*.whl")) == []


def test_a_wheel_placed_by_hand_needs_no_pip(own_home, pip):
    pip.error = "no network"
    folder = own_home / "wheels" / "toy==1.0"
    folder.mkdir(parents=True)
    (folder / "toy-1.0-py3-none-any.whl").write_bytes(WHEEL)
    assert fetch_pypi("toy==1.0", HASH).parent == folder
    assert pip.calls == 0


def test_a_failure_of_pip_shows_its_last_line_and_what_to_do(own_home, pip):
    pip.error = "WARNING: slow\nERROR: No matching distribution found for toy==1.0"
    with pytest.raises(DownloadError) as error:
        fetch_pypi("toy==1.0", HASH)
    assert "No matching distribution found for toy==1.0" in str(error.value)
    assert "slow" not in str(error.value)
    assert str(own_home / "wheels" / "toy==1.0") in str(error.value)
    assert HASH in str(error.value)


def test_without_pip_the_message_says_how_to_get_it_or_where_to_place_the_wheel(own_home, pip):
    pip.error = "/env/bin/python: No module named pip"
    with pytest.raises(DownloadError, match="-m ensurepip` once, or place the wheel") as error:
        fetch_pypi("toy==1.0", HASH)
    assert f"(SHA-256 {HASH}) in {own_home / 'wheels' / 'toy==1.0'} by hand" in str(error.value)


def test_a_pip_that_succeeds_without_a_wheel_is_an_error(own_home, pip, monkeypatch):
    monkeypatch.setattr(
        download.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "", "")
    )
    with pytest.raises(DownloadError, match=r"Could not download toy==1\.0"):
        fetch_pypi("toy==1.0", HASH)


def test_members_that_match_the_glob_are_extracted_from_the_wheel(own_home, wheel_of, pip):
    members = {f"qm9pack/data/{name}": content for name, content in PARTS.items()}
    others = {
        "qm9pack/data/readme.txt": b"no",
        "qm9pack/old/qm9_part9.csv": b"no",
        "qm9pack/data/more/qm9_part8.csv": b"no",
    }
    known = wheel_of(members | others)
    location = "pypi:toy==1.0#qm9pack/data/qm9_part*.csv"
    found = get(location, expected=known)
    assert {path.name: path.read_bytes() for path in found} == PARTS
    assert [path.name for path in found] == sorted(PARTS)
    assert found[0].parent == own_home / "raw" / "qm9"
    assert get(location, expected=known) == found
    assert pip.calls == 1


def test_a_hash_given_for_a_package_applies_to_its_wheel(own_home, wheel_of):
    wheel_of({"pack/qm9.csv": b"x"})
    with pytest.raises(DownloadError, match=r"expected 0000.*Deleted the download for safety"):
        get("pypi:toy==1.0#pack/qm9.csv", expected="0" * 64)
    with pytest.raises(DownloadError, match=r"expected 1111.*Deleted the download for safety"):
        get("pypi:toy==1.0#pack/qm9.csv", expected={"toy==1.0": "1" * 64})
    good = hashlib.sha256(b"x").hexdigest()
    assert len(get("pypi:toy==1.0#pack/qm9.csv", expected={"qm9.csv": good})) == 1


@pytest.mark.parametrize("pattern", ["data/*", "../*", "data/../../../*", "/*", "*"])
@pytest.mark.parametrize("member", ["data/../../../evil.csv", "../evil.csv", "/evil.csv", "data/..", "evil.csv/.."])
@pytest.mark.parametrize("archive", ["wheel", "zip"])
def test_no_member_of_an_archive_escapes_the_folder(own_home, server, wheel_of, tmp_path, archive, member, pattern):
    members = {member: b"evil", "data/good.csv": b"good"}
    wheel_of(members)
    server.files["/toy.zip"] = zip_of(members)
    try:
        get(f"{'pypi:toy==1.0' if archive == 'wheel' else server.url + '/toy.zip'}#{pattern}")
    except DownloadError as error:
        assert "no member that matches" in str(error)
    raw = own_home / "raw" / "qm9"
    inside = {path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"evil"}
    assert all(path.parent == raw for path in inside)
    assert not (tmp_path.parent / "evil.csv").exists()
    assert (raw / "good.csv").exists() == (pattern in ("data/*", "*"))


def test_a_wheel_without_the_member_or_that_is_not_a_zip_file_is_an_error(own_home, wheel_of, pip):
    wheel_of({"pack/other.csv": b"x"})
    with pytest.raises(DownloadError, match=r"has no member that matches pack/qm9\.csv"):
        get("pypi:toy==1.0#pack/qm9.csv")
    shutil.rmtree(own_home)
    pip.wheel = WHEEL
    with pytest.raises(DownloadError, match="is not a zip file"):
        get("pypi:toy==1.0#pack/qm9.csv")


# Packages of npm


def tgz_of(members):
    """Return the bytes of an npm package with these members (path -> bytes), which npm puts below one folder."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


NPM = tgz_of({"dist/toy.js": b"export {}", "package.json": b"{}", "src/toy.js": b"source"})
JS_HASH = hashlib.sha256(b"export {}").hexdigest()


@pytest.fixture
def registry(server, monkeypatch):
    """A registry of npm that has toy 1.0.0 and @scope/toy 1.0.0-rc.1."""
    server.files |= {"/npm/toy/-/toy-1.0.0.tgz": NPM, "/npm/@scope/toy/-/toy-1.0.0-rc.1.tgz": NPM}
    monkeypatch.setenv("npm_config_registry", f"{server.url}/npm/")
    return server


def test_a_file_of_an_npm_package_is_downloaded_once_and_checked(own_home, registry):
    location, known = "npm:toy==1.0.0#dist/toy.js", {"toy.js": JS_HASH}
    (path,) = get(location, expected=known, name="toy")
    assert path.read_bytes() == b"export {}"
    assert get(location, expected=known, name="toy") == [path]
    assert [asked["path"] for asked in registry.requests] == ["/npm/toy/-/toy-1.0.0.tgz"]
    assert get("npm:@scope/toy==1.0.0-rc.1#dist/toy.js", name="scoped")[0].read_bytes() == b"export {}"


def test_a_hash_given_for_an_npm_package_applies_to_its_tar_file(own_home, registry):
    good = hashlib.sha256(NPM).hexdigest()
    for expected in ("0" * 64, {"toy==1.0.0": "0" * 64}, {"toy.js": "0" * 64}):
        with pytest.raises(DownloadError, match=r"expected 0000.*Deleted the download for safety"):
            get("npm:toy==1.0.0#dist/toy.js", expected=expected, name="toy")
    assert not list(own_home.rglob("*.js"))
    assert len(get("npm:toy==1.0.0#dist/toy.js", expected=good, name="toy")) == 1


def test_a_mirror_or_a_file_placed_by_hand_replaces_the_registry(own_home, registry, tmp_path, monkeypatch):
    with pytest.raises(
        DownloadError, match=rf"404.*\n.*Place by hand in .*toy\.js \(SHA-256 {JS_HASH}\), other-1.0.tgz"
    ):
        get("npm:other==1.0#dist/toy.js", expected={"toy.js": JS_HASH}, name="other")
    (tmp_path / "toy.js").write_bytes(b"export {}")
    monkeypatch.setenv("MOLFM_MIRROR", str(tmp_path))
    found = get("npm:other==1.0#dist/toy.js", expected={"toy.js": JS_HASH}, name="other")
    assert found == [tmp_path / "toy.js"]
    monkeypatch.delenv("MOLFM_MIRROR")
    shutil.copy(tmp_path / "toy.js", own_home / "raw" / "other" / "toy.js")
    assert get("npm:other==1.0#dist/toy.js", name="other", download=False)[0].parent == own_home / "raw" / "other"


def test_an_npm_package_without_the_file_or_that_is_no_tar_file_is_an_error(own_home, registry):
    with pytest.raises(DownloadError, match=r"has no member that matches lib/toy\.js"):
        get("npm:toy==1.0.0#lib/toy.js", name="toy")
    registry.files["/npm/toy/-/toy-1.0.0.tgz"] = b"not a package"
    with pytest.raises(DownloadError, match="is not a compressed tar file"):
        get("npm:toy==1.0.0#dist/toy.js", name="toy")


@pytest.mark.parametrize("requirement", ["toy", "toy==", "../toy==1", "toy==../1", "a/b==1", "-toy==1"])
def test_an_npm_location_names_a_package_and_a_version(requirement):
    with pytest.raises(ValueError, match=r"expected one of .*npm:NAME==VERSION#PATH/FILE"):
        get(f"npm:{requirement}#toy.js")


# Downloads


def test_a_download_is_stored_under_its_official_name_beside_its_hash(own_home, server):
    (path,) = get(server.url + PATH, server.url + "/never-asked.csv")
    assert path == own_home / "raw" / "qm9" / "qm9.csv.gz"
    assert path.read_bytes() == DATA
    assert left_over(own_home) == ["qm9.csv.gz", "qm9.csv.gz.sha256"]


def test_a_later_call_resumes_where_an_earlier_one_gave_up(own_home, server):
    server.faults = [{"drop": 100_000}, *[{"status": 503}] * 3]
    with pytest.raises(DownloadError, match="100,000 bytes are kept; the next call resumes there"):
        get(server.url + PATH)
    assert len(server.requests) == 4
    (path,) = get(server.url + PATH, expected=DATA_HASH)
    assert path.read_bytes() == DATA
    assert server.requests[-1]["range"] == "bytes=100000-"
    assert server.requests[-1]["sent"] == 200_000
    assert left_over(own_home) == ["qm9.csv.gz", "qm9.csv.gz.sha256"]


def test_a_file_that_stays_shorter_than_announced_is_never_accepted(own_home, server):
    server.faults = [{"lie": 7, "no_range": True}] * 20
    with pytest.raises(DownloadError):
        get(server.url + PATH)
    assert get(server.url + PATH, download=False) == []


def test_a_complete_but_unchecked_part_is_not_downloaded_again(own_home, server, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(download, "_check", killed)
        get(server.url + PATH)
    assert get(server.url + PATH, expected=DATA_HASH)[0].read_bytes() == DATA
    assert len(server.requests) == 1


def test_an_altered_file_is_deleted_and_the_next_location_is_asked(own_home, server):
    server.files["/altered/qm9.csv.gz"] = b"x" + DATA[1:]
    with pytest.warns(UserWarning, match=f"expected {DATA_HASH}. Deleted the download for safety"):
        (path,) = get(server.url + "/altered/qm9.csv.gz", server.url + PATH, expected=DATA_HASH)
    assert path.read_bytes() == DATA
    assert left_over(own_home) == ["qm9.csv.gz", "qm9.csv.gz.sha256"]


def test_an_altered_file_without_another_location_is_an_error_that_names_both_hashes(own_home, server):
    server.files[PATH] = b"x" + DATA[1:]
    found = hashlib.sha256(server.files[PATH]).hexdigest()
    with pytest.raises(DownloadError, match=f"SHA-256 is {found}, expected {DATA_HASH}. Deleted the download"):
        get(server.url + PATH, expected=DATA_HASH)
    assert not list(own_home.rglob("qm9.csv.gz"))
    assert not list(own_home.rglob("*.part"))


def test_two_processes_download_a_file_once(own_home, server):
    server.faults = [{"wait": 1.5}]
    arguments = [([server.url + PATH], "qm9", DATA_HASH, None, False)] * 2
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.starmap(fetch, arguments, chunksize=1)
    assert first == second
    assert first[0].read_bytes() == DATA
    assert len(server.requests) == 1


# Members of zip files


@pytest.fixture
def qm9(server):
    """The URL of a zip that holds a table and its split file in a folder."""
    server.files["/toymix/qm9.zip"] = QM9
    return f"{server.url}/toymix/qm9.zip"


def test_a_member_is_stored_by_its_file_name_and_the_zip_is_deleted(own_home, qm9, server):
    (path,) = get(f"{qm9}#qm9/qm9.csv.gz")
    assert path == own_home / "raw" / "qm9" / "qm9.csv.gz"
    assert path.read_bytes() == TABLE
    assert left_over(own_home) == ["qm9.csv.gz", "qm9.csv.gz.sha256"]
    assert get(f"{qm9}#qm9/qm9.csv.gz") == [path]
    assert len(server.requests) == 1


def test_a_star_matches_a_folder_that_the_card_does_not_know(own_home, qm9, server):
    server.files["/toymix/qm9.zip?download=1"] = QM9
    (path,) = get(f"{qm9}?download=1#*qm9.csv*")
    assert path.name == "qm9.csv.gz"
    assert path.read_bytes() == TABLE
    assert get(f"{qm9}#*qm9.csv*", download=False) == [path]
    assert len(server.requests) == 1


def test_a_zip_whose_hash_is_known_is_kept_and_serves_the_next_member(own_home, qm9, server, cut_network):
    known = {"qm9.zip": hashlib.sha256(QM9).hexdigest()}
    assert get(f"{qm9}#*qm9.csv*", expected=known)[0].read_bytes() == TABLE
    cut_network()
    assert get(f"{qm9}#*qm9_random_splits.pt")[0].read_bytes() == SPLITS
    assert (own_home / "raw" / "qm9" / "qm9.zip").read_bytes() == QM9
    assert not list(own_home.rglob("*.part*"))


def test_a_zip_whose_hash_is_not_known_is_downloaded_by_each_call_that_needs_it(own_home, qm9, server):
    assert get(f"{qm9}#*qm9.csv*")[0].read_bytes() == TABLE
    assert get(f"{qm9}#*qm9_random_splits.pt")[0].read_bytes() == SPLITS
    assert len(server.requests) == 2
    assert not list(own_home.rglob("*.zip"))


def test_a_zip_placed_by_hand_is_used_and_kept(own_home, cut_network):
    raw = own_home / "raw" / "qm9"
    raw.mkdir(parents=True)
    (raw / "qm9.zip").write_bytes(QM9)
    cut_network()
    locations = "https://nowhere.invalid/qm9.csv", "doi:10.5281/zenodo.1/qm9.zip#*qm9*.gz"
    (path,) = get(*locations, download=False)
    assert path.read_bytes() == TABLE
    assert (raw / "qm9.zip").exists()
    with pytest.raises(
        DownloadError, match=rf"{raw / 'qm9.zip'} .put the right one in its place.* no member that matches"
    ):
        get("doi:10.5281/zenodo.1/qm9.zip#other.csv")


def test_a_member_placed_by_hand_comes_first_and_files_beside_it_are_not_members(own_home, cut_network):
    raw = own_home / "raw" / "qm9"
    raw.mkdir(parents=True)
    (raw / "qm9.csv.gz").write_bytes(TABLE)
    for other in ("qm9.csv.gz.part", "qm9.csv.gz.part.json", "qm9.csv.gz.lock", "._qm9.csv.gz", "qm9.zip"):
        (raw / other).write_bytes(b"no table")
    cut_network()
    for _ in range(2):  # the second time its hash lies beside it
        assert get("doi:10.5281/zenodo.1/qm9.zip#*qm9.csv*") == [raw / "qm9.csv.gz"]
        assert get("doi:10.5281/zenodo.1/qm9.zip#*qm9*") == [raw / "qm9.csv.gz"]


def test_a_member_in_the_mirror_comes_before_its_zip(own_home, qm9, server, tmp_path, monkeypatch):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "qm9.csv.gz").write_bytes(b"mirrored")
    monkeypatch.setenv("MOLFM_MIRROR", str(tmp_path / "mirror"))
    assert get(f"{qm9}#*qm9.csv*") == [tmp_path / "mirror" / "qm9.csv.gz"]
    server.files["/mirror/qm9/qm9_random_splits.pt"] = b"mirrored"
    monkeypatch.setenv("MOLFM_MIRROR", f"{server.url}/mirror")
    assert get(f"{qm9}#qm9/qm9_random_splits.pt")[0].read_bytes() == b"mirrored"
    assert [asked["path"] for asked in server.requests] == ["/mirror/qm9/qm9_random_splits.pt"]


def test_no_member_replaces_a_record_or_its_own_zip(own_home, server):
    names = ["a.csv", "a.csv.sha256", "a.csv.part", "a.csv.lock", "_.files", "toy.zip", "deep/", "deep/er/"]
    server.files["/toy.zip"] = zip_of(dict.fromkeys([*names, "__MACOSX/._a.csv"], b"x"))
    assert [path.name for path in get(f"{server.url}/toy.zip#*")] == ["a.csv"]
    with pytest.raises(DownloadError, match="no member that matches"):
        get(f"{server.url}/toy.zip#toy.zip")
    with pytest.raises(DownloadError, match="no member that matches"):
        get(f"{server.url}/toy.zip#a.csv.sha256", name="other")


def test_two_members_with_one_file_name_are_an_error_that_names_both(own_home, server):
    server.files["/toy.zip"] = zip_of({"train/a.csv": b"1", "test/a.csv": b"2"})
    with pytest.raises(DownloadError, match=r"train/a.csv and test/a.csv both match \*a.csv and have the same name"):
        get(f"{server.url}/toy.zip#*a.csv")
    assert get(f"{server.url}/toy.zip#test/a.csv")[0].read_bytes() == b"2"


def test_a_single_hash_applies_to_the_member(own_home, qm9):
    for location in (f"{qm9}#*qm9.csv*", f"{qm9}#qm9/qm9.csv.gz"):
        with pytest.raises(DownloadError, match=r"qm9.csv.gz.part: SHA-256 is .* expected 0000.*Deleted the download"):
            get(location, expected="0" * 64)
        assert get(location, expected=hashlib.sha256(TABLE).hexdigest())[0].read_bytes() == TABLE
        with pytest.raises(DownloadError, match="expected 0000"):
            get(location, expected="0" * 64)
        shutil.rmtree(own_home)


def test_a_zip_with_another_hash_is_deleted_before_anything_is_extracted(own_home, qm9):
    with pytest.raises(DownloadError, match=r"expected 0000.*Deleted the download for safety"):
        get(f"{qm9}#*qm9.csv*", expected={"qm9.zip": "0" * 64})
    assert not [path for path in own_home.rglob("*") if path.is_file() and path.suffix not in (".lock", ".json")]


@pytest.mark.parametrize("how", ["a page in its place", "damaged", "without the member"])
def test_a_useless_zip_is_deleted_and_the_next_location_is_asked(own_home, qm9, server, how):
    server.files["/bad/qm9.zip"] = {
        "a page in its place": b"<!DOCTYPE html>",
        "damaged": QM9[:5000] + bytes(10) + QM9[5010:],
        "without the member": zip_of({"other.csv": b"x"}),
    }[how]
    message = {
        "a page in its place": "the download is not a zip file",
        "damaged": "qm9/qm9.csv.gz could not be extracted from its archive",
        "without the member": r"the download has no member that matches \*qm9.csv*",
    }[how]
    with pytest.warns(UserWarning, match=message):
        (path,) = get(f"{server.url}/bad/qm9.zip#*qm9.csv*", f"{qm9}#*qm9.csv*")
    assert path.read_bytes() == TABLE
    assert left_over(own_home) == ["_qm9.csv_.files", "qm9.csv.gz", "qm9.csv.gz.sha256"]


def test_an_interrupted_download_of_a_zip_resumes(own_home, qm9, server):
    server.faults = [{"drop": 100_000}, *[{"status": 503}] * 3]
    with pytest.raises(DownloadError, match="100,000 bytes are kept"):
        get(f"{qm9}#*qm9.csv*")
    assert get(f"{qm9}#*qm9.csv*")[0].read_bytes() == TABLE
    assert server.requests[-1]["range"] == "bytes=100000-"


def test_two_processes_download_a_zip_once(own_home, qm9, server):
    server.faults = [{"wait": 1.5}]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.starmap(fetch, [([f"{qm9}#*qm9.csv*"], "qm9", None, None, False)] * 2, chunksize=1)
    assert first == second
    assert first[0].read_bytes() == TABLE
    assert len(server.requests) == 1


def test_a_users_own_zip_may_change(own_home, tmp_path):
    for content in (b"one", b"two"):
        (tmp_path / "my.zip").write_bytes(zip_of({"data/my_1.csv": content, "data/my_2.csv": content}))
        for location in ("file:my.zip#data/my_*.csv", "file:my.zip#data/my_1.csv"):
            for _ in range(2):
                assert {path.read_bytes() for path in get(location, folder=tmp_path)} == {content}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.zip", "own_home"]
    with pytest.raises(DownloadError, match="there is no such file"):
        get("file:none.zip#my.csv", folder=tmp_path)


def test_a_users_own_file_may_have_a_hash_sign_in_its_name(own_home, tmp_path):
    (tmp_path / "my#1.csv").write_bytes(b"x")
    assert get("file:my#1.csv", folder=tmp_path) == [tmp_path / "my#1.csv"]


# Files on this disk


def test_cached_files_need_no_network(own_home, server, wheel_of, cut_network, monkeypatch):
    wheel_of({f"data/{name}": content for name, content in PARTS.items()})
    sources = [[server.url + PATH], ["pypi:toy==1.0#data/qm9_part*.csv"]]
    before = [get(*source) for source in sources]
    cut_network()
    monkeypatch.setenv("MOLFM_MIRROR", server.url)
    assert [get(*source) for source in sources] == before
    assert get(server.url + "/elsewhere/qm9.csv.gz", "doi:10.5281/zenodo.7998401/qm9.csv.gz") == before[0]
    assert get("doi:10.5281/zenodo.7998401/else.csv", "pypi:toy==1.0#data/qm9_part*.csv") == before[1]


def test_without_download_the_network_is_not_asked(own_home, cut_network):
    cut_network()
    assert get("https://nowhere.invalid/qm9.csv.gz", "pypi:toy==1.0#a/b.csv", "file:none.csv", download=False) == []


def test_the_hash_of_a_first_download_is_recorded_as_sha256sum_writes_it(own_home, server):
    (path,) = get(server.url + PATH)
    record = path.with_name("qm9.csv.gz.sha256")
    assert record.read_text().splitlines()[-1] == f"{DATA_HASH}  qm9.csv.gz"
    age(path)
    get(server.url + PATH)
    assert record.read_text().startswith("# 300000 bytes, modified at ")
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", record.name], cwd=record.parent, check=True)


@pytest.mark.parametrize("content", [b"x" + DATA[1:], DATA[:-1], DATA + b"x", b""])
def test_a_file_that_changed_since_its_first_download_is_an_error_that_says_what_to_do(own_home, server, content):
    (path,) = get(server.url + PATH)
    for _ in range(2):  # the new hash must not become the expected one
        path.write_bytes(content)
        with pytest.raises(DownloadError, match=r"altered or truncated\. Put the right one back") as error:
            get(server.url + PATH)
    found = hashlib.sha256(content).hexdigest()
    assert f"{path}: SHA-256 is {found}, expected {DATA_HASH} (from {path}.sha256)" in str(error.value)
    assert path.read_bytes() == content
    path.unlink()
    Path(f"{path}.sha256").unlink()
    assert get(server.url + PATH)[0].read_bytes() == DATA


def test_a_file_that_is_downloaded_again_must_have_its_first_hash(own_home, server):
    (path,) = get(server.url + PATH)
    path.unlink()
    server.files[PATH] = b"new edition"
    with pytest.raises(
        DownloadError, match=rf"expected {DATA_HASH} \(from .*qm9.csv.gz.sha256\). Deleted the download"
    ):
        get(server.url + PATH)


def test_a_file_is_hashed_again_only_when_its_size_or_time_changed(own_home, server, hashed):
    (path,) = get(server.url + PATH, expected=DATA_HASH)
    age(path)
    get(server.url + PATH, expected=DATA_HASH)
    hashed.clear()
    assert get(server.url + PATH, expected=DATA_HASH) == get(server.url + PATH) == [path]
    assert digest(path, "qm9") == DATA_HASH
    assert hashed == []
    os.utime(path, (1, 1))
    assert get(server.url + PATH) == [path]
    assert hashed == [path]


def test_a_very_young_file_is_hashed_again(own_home, server):
    (path,) = get(server.url + PATH)
    status = path.stat()
    path.write_bytes(b"x" + DATA[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DownloadError, match="altered"):
        get(server.url + PATH)


def test_a_file_placed_by_hand_is_found_before_any_download(own_home, cut_network):
    raw = own_home / "raw" / "qm9"
    raw.mkdir(parents=True)
    (raw / "qm9.csv.gz").write_bytes(DATA)
    cut_network()
    assert get("https://nowhere.invalid/small/qm9.csv.gz", expected=DATA_HASH) == [raw / "qm9.csv.gz"]
    with pytest.raises(DownloadError, match=f"SHA-256 is {DATA_HASH}, expected 0000.*altered or truncated"):
        get("https://nowhere.invalid/small/qm9.csv.gz", expected="0" * 64)
    assert (raw / "qm9.csv.gz").exists()  # it is the user's


def test_a_file_placed_by_hand_must_match_the_hash_placed_beside_it(own_home, cut_network):
    raw = own_home / "raw" / "qm9"
    raw.mkdir(parents=True)
    (raw / "qm9.csv.gz").write_bytes(DATA)
    (raw / "qm9.csv.gz.sha256").write_text(f"{'0' * 64} *qm9.csv.gz\n")
    with pytest.raises(DownloadError, match="expected 0000"):
        get("https://nowhere.invalid/qm9.csv.gz")


def test_shards_placed_by_hand_are_found_by_their_glob(own_home, cut_network):
    raw = own_home / "raw" / "qm9"
    raw.mkdir(parents=True)
    for name, content in PARTS.items():
        (raw / name).write_bytes(content)
    cut_network()
    for _ in range(2):  # the second time the hashes lie beside them
        assert get("doi:10.5281/zenodo.8370547/qm9_part*") == [raw / name for name in PARTS]


def test_an_incomplete_set_of_shards_never_passes_for_all(own_home, server, wheel_of):
    location = "pypi:toy==1.0#data/qm9_part*.csv"
    wheel_of({f"data/{name}": content for name, content in PARTS.items()})
    found = get(location)
    found[1].unlink()
    assert get(location, download=False) == []
    assert [path.read_bytes() for path in get(location)] == list(PARTS.values())
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in PARTS.items()}
    shutil.rmtree(own_home)
    (own_home / "raw" / "qm9").mkdir(parents=True)
    (own_home / "raw" / "qm9" / "qm9_part1.csv").write_bytes(PARTS["qm9_part1.csv"])
    assert get(location, expected=hashes, download=False) == []


# Files and packages


def test_a_relative_path_starts_at_the_folder_of_its_card(own_home, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "my.csv").write_bytes(b"smiles\n")
    assert get("file:data/my.csv", folder=tmp_path) == [tmp_path / "data" / "my.csv"]
    assert get(f"file:{tmp_path}/data/my.csv") == [tmp_path / "data" / "my.csv"]
    monkeypatch.chdir(tmp_path)
    assert get("file:data/my.csv") == [tmp_path / "data" / "my.csv"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get("file:~/data/my.csv", folder=tmp_path / "data") == [tmp_path / "data" / "my.csv"]


def test_a_glob_of_files_gives_them_sorted_by_name(own_home, tmp_path):
    for name in ("b_2.csv", "b_1.csv", "a.csv"):
        (tmp_path / name).write_text(name)
    assert [path.name for path in get("file:b_*.csv", folder=tmp_path)] == ["b_1.csv", "b_2.csv"]


def test_the_hash_of_a_users_file_is_checked_and_nothing_is_left_beside_it(own_home, tmp_path, hashed):
    path = tmp_path / "my.csv"
    path.write_bytes(DATA)
    age(path)
    assert get("file:my.csv", folder=tmp_path, expected=DATA_HASH.upper()) == [path]
    assert get("file:my.csv", folder=tmp_path, expected=DATA_HASH) == [path]
    assert hashed == [path]
    assert [item.name for item in tmp_path.iterdir() if item != own_home] == ["my.csv"]
    with pytest.raises(DownloadError, match="expected 0000"):
        get("file:my.csv", folder=tmp_path, expected="0" * 64)


def test_a_users_own_table_without_a_hash_may_change(own_home, tmp_path):
    path = tmp_path / "my.csv"
    for content in (b"one", b"two", b"three"):
        path.write_bytes(content)
        assert get("file:my.csv", folder=tmp_path) == [path]
        assert digest(path, "qm9") == hashlib.sha256(content).hexdigest()


def test_a_file_shipped_with_molfm_is_found():
    (path,) = fetch(["package:minimix/b3db.parquet"], "b3db")
    assert path.name == "b3db.parquet"
    assert path.is_file()


# The user's mirror


@pytest.mark.parametrize("place", ["", "qm9/"])
def test_a_mirror_folder_comes_before_the_network_and_is_used_in_place(
    own_home, tmp_path, cut_network, monkeypatch, place
):
    mirror = tmp_path / "mirror"
    (mirror / place).mkdir(parents=True)
    (mirror / place / "qm9.csv.gz").write_bytes(DATA)
    for name, content in PARTS.items():
        (mirror / place / name).write_bytes(content)
    monkeypatch.setenv("MOLFM_MIRROR", str(mirror))
    cut_network()
    assert get("https://nowhere.invalid/qm9.csv.gz", expected=DATA_HASH) == [mirror / place / "qm9.csv.gz"]
    assert get("doi:10.5281/zenodo.1/qm9_part*.csv") == [mirror / place / name for name in PARTS]
    # The hash of the wheel says nothing about a file that comes without it.
    assert get("pypi:toy==1.0#data/qm9_part*.csv", expected="0" * 64) == [mirror / place / name for name in PARTS]
    assert not list(own_home.rglob("*.csv*gz"))
    with pytest.raises(DownloadError, match="expected 0000"):
        get("https://nowhere.invalid/qm9.csv.gz", expected="0" * 64)


@pytest.mark.parametrize("place", ["/official", "/official/qm9"])
def test_a_mirror_url_comes_before_all_others(own_home, server, monkeypatch, place, recwarn):
    server.files = {f"{place}/qm9.csv.gz": DATA}
    monkeypatch.setenv("MOLFM_MIRROR", f"{server.url}/official/")
    (path,) = get("https://nowhere.invalid/a/qm9.csv.gz", "doi:10.5281/zenodo.1/qm9.csv.gz", expected=DATA_HASH)
    assert path.read_bytes() == DATA
    assert not recwarn


def test_a_mirror_url_serves_the_shards_that_the_hashes_name(own_home, server, monkeypatch):
    server.files = {f"/official/{name}": content for name, content in PARTS.items()}
    monkeypatch.setenv("MOLFM_MIRROR", f"{server.url}/official")
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in PARTS.items()}
    found = get("https://nowhere.invalid/a/qm9_part*.csv", expected=hashes)
    assert {path.name: path.read_bytes() for path in found} == PARTS


def test_no_name_in_a_card_escapes_the_folder(own_home, server):
    server.files["/evil.csv"] = b"evil"
    with pytest.raises(DownloadError, match="no known file there"):
        get(server.url + "/a/*.csv", expected={"../evil.csv": hashlib.sha256(b"evil").hexdigest()})
    assert not list(own_home.rglob("evil.csv"))


def test_a_mirror_without_the_file_leads_to_the_other_locations(own_home, server, tmp_path, monkeypatch):
    monkeypatch.setenv("MOLFM_MIRROR", str(tmp_path / "empty"))
    with pytest.warns(UserWarning, match="empty/qm9/qm9.csv.gz .MOLFM_MIRROR.: there is no such file"):
        assert get(server.url + PATH)[0].read_bytes() == DATA


def test_a_mirror_is_not_asked_for_a_users_own_file(own_home, server, monkeypatch):
    monkeypatch.setenv("MOLFM_MIRROR", server.url)
    with pytest.raises(DownloadError, match="no such file"):
        get("file:my.csv")
    assert server.requests == []


# Repositories with a DOI


@pytest.fixture
def zenodo(server, monkeypatch):
    """Record 8370547 on the loopback server; only the step from doi.org to Zenodo is replaced."""
    from pooch import downloaders

    def entry(name, content):
        return {
            "key": name,
            "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
            "links": {"self": f"{server.url}/api/records/8370547/files/{name}/content"},
        }

    shards = {f"pm6_processed_{i}.parquet": random.Random(i).randbytes(1000) for i in range(3)}
    contents = {"pm6_random_splits.pt": b"splits", "qm9.zip": QM9, **shards}
    listing = {"id": 8370547, "files": [entry(*item) for item in contents.items()]}
    server.files = {f"/api/records/8370547/files/{name}/content": content for name, content in contents.items()}
    server.files["/api/records/8370547"] = json.dumps(listing).encode()
    monkeypatch.setattr(downloaders.ZenodoRepository, "base_api_url", f"{server.url}/api/records")
    monkeypatch.setattr(downloaders, "doi_to_url", lambda doi, **_: f"https://zenodo.org/records/{doi.split('.')[-1]}")
    return shards


def test_a_glob_downloads_the_shards_of_a_doi(own_home, zenodo, server):
    found = get("doi:10.5281/zenodo.8370547/pm6_processed_*.parquet")
    assert {path.name: path.read_bytes() for path in found} == zenodo
    assert [path.name for path in found] == sorted(zenodo)
    assert len(server.requests) == 4
    assert get("doi:10.5281/zenodo.8370547/pm6_processed_*.parquet") == found
    assert len(server.requests) == 4


def test_an_interrupted_download_of_shards_resumes_with_the_missing_ones(own_home, zenodo, server):
    location = "doi:10.5281/zenodo.8370547/pm6_processed_*.parquet"
    server.faults = [{}, {}, {"drop": 500}, *[{"status": 503}] * 9]
    with pytest.raises(DownloadError):
        get(location)
    assert get(location, download=False) == []
    server.faults, server.requests = [], []
    assert [path.read_bytes() for path in get(location)] == list(zenodo.values())
    assert [asked["sent"] for asked in server.requests[1:]] == [500, 1000]


def test_a_file_of_a_doi_must_have_the_md5_of_its_record(own_home, zenodo, server):
    server.files["/api/records/8370547/files/pm6_processed_1.parquet/content"] = b"x" * 1000
    with pytest.raises(DownloadError, match=r"MD5 is .*, expected md5:.*Deleted the download"):
        get("doi:10.5281/zenodo.8370547/pm6_processed_1.parquet")
    assert not list(own_home.rglob("*.part"))


def test_a_member_is_extracted_from_the_zip_of_a_doi(own_home, zenodo, server):
    assert get("doi:10.5281/zenodo.8370547/qm9.zip#*qm9.csv*")[0].read_bytes() == TABLE
    assert left_over(own_home) == ["_qm9.csv_.files", "qm9.csv.gz", "qm9.csv.gz.sha256"]
    server.files["/api/records/8370547/files/qm9.zip/content"] = QM9[:-1] + b"x"
    with pytest.raises(DownloadError, match=r"MD5 is .*, expected md5:.*Deleted the download"):
        get("doi:10.5281/zenodo.8370547/qm9.zip#*qm9_random_splits.pt")
    with pytest.raises(DownloadError, match=r"no known file there matches other\.zip"):
        get("doi:10.5281/zenodo.8370547/other.zip#*qm9_random_splits.pt")


def test_a_doi_without_the_file_or_without_a_list_is_an_error(own_home, zenodo, server):
    with pytest.raises(DownloadError, match=r"no known file there matches other\.parquet"):
        get("doi:10.5281/zenodo.8370547/other.parquet")
    with pytest.raises(DownloadError, match="the list of files could not be read"):
        get("doi:10.5281/zenodo.1/pm6_processed_1.parquet")


# When nothing works


def test_the_message_names_every_attempt_and_how_to_place_the_file_by_hand(own_home, server, pip, monkeypatch):
    pip.error = "ERROR: No matching distribution found"
    monkeypatch.setenv("MOLFM_MIRROR", f"{server.url}/mirror")
    locations = [f"{server.url}/a/qm9.csv.gz", "pypi:toy==1.0#data/qm9_part*.csv", "file:my/qm9.csv"]
    with pytest.raises(DownloadError) as error:
        get(*locations, expected={"qm9.csv.gz": DATA_HASH, "toy==1.0": HASH})
    lines = str(error.value).splitlines()
    assert lines[0] == "Could not get qm9. Tried:"
    tried = [line.split(": ")[0].removeprefix("- ").removesuffix(" (MOLFM_MIRROR)") for line in lines[1:-1]]
    mirrored = [f"{server.url}/mirror/{name}" for name in ("qm9/qm9.csv.gz", "qm9.csv.gz")]
    mirrored += [f"{server.url}/mirror/{name}" for name in ("qm9/qm9_part*.csv", "qm9_part*.csv")]
    assert tried == [*mirrored, *locations[:2], str(Path.cwd() / "my" / "qm9.csv")]
    assert [("404" in line) for line in lines[1:-1]] == [True, True, False, False, True, False, False]
    assert "No matching distribution found" in lines[-3]
    assert f"Place by hand in {own_home / 'raw' / 'qm9'}: qm9.csv.gz (SHA-256 {DATA_HASH}), qm9_part*.csv." in lines[-1]
    assert "MOLFM_MIRROR" in lines[-1]


def test_the_message_for_a_users_own_file_does_not_mention_downloads(own_home, tmp_path):
    with pytest.raises(DownloadError) as error:
        get("file:my.csv", folder=tmp_path)
    assert str(error.value) == f"Could not get qm9. Tried:\n- {tmp_path / 'my.csv'}: there is no such file."


def test_a_machine_without_network_gets_a_message_not_a_hang(own_home, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="refused"):
        get(server.url + PATH)


@pytest.mark.parametrize(
    "location",
    [
        "ftp:a.csv",
        "s3://bucket/a.csv",
        "a.csv",
        "pypi:toy#a.csv",
        "pypi:--index-url=evil==1#a.csv",
        "pypi:../toy==1#a.csv",
        "pypi:toy==1.0",
        "doi:a.csv",
        "https://host/",
        "https://host/a.zip#",
        "https://host/a.zip#data/..",
        "https://host/a.tar.gz#a.csv",
        "https://host/a*.zip#a.csv",
        "https://host/a.zip#b.zip#c.csv",
        "doi:a.zip#a.csv",
    ],
)
def test_a_location_of_an_unknown_form_is_an_error_that_names_the_known_ones(own_home, location):
    with pytest.raises(ValueError, match=r"expected one of https://HOST/FILE, .*doi:.*pypi:.*file:.*package:PATH"):
        get("file:other.csv", location)


def test_a_single_hash_for_several_files_is_an_error(own_home):
    with pytest.raises(ValueError, match="expected a hash for each file"):
        get("doi:10.5281/zenodo.1/pm6_*.parquet", expected=DATA_HASH)


def test_the_message_names_the_zip_that_can_be_placed_by_hand(own_home, server):
    with pytest.raises(DownloadError, match=r"Place by hand in .*: \*qm9.csv\* .SHA-256 1111.*, qm9.zip. Or"):
        get(f"{server.url}/qm9.zip#*qm9.csv*", expected="1" * 64)


def test_getting_data_imports_neither_torch_nor_rdkit():
    code = "import sys, molfm.catalog.download; print([m for m in ('torch', 'rdkit', 'requests', 'pooch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
