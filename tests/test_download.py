import hashlib
import subprocess

import pytest

from molfm import download
from molfm.download import fetch_pypi, home, sha256

WHEEL = b"not really a wheel"
HASH = hashlib.sha256(WHEEL).hexdigest()


@pytest.fixture
def pip(monkeypatch):
    """A pip that leaves `WHEEL` in the folder it is told, or fails with `pip.error`; it counts its calls."""

    class Pip:
        calls, error = 0, ""

        def run(self, command, **_):
            self.calls += 1
            if self.error:
                return subprocess.CompletedProcess(command, 1, "", self.error)
            folder = command[command.index("-d") + 1]
            with open(f"{folder}/toy-1.0-py3-none-any.whl", "wb") as file:
                file.write(WHEEL)
            return subprocess.CompletedProcess(command, 0, "", "")

    fake = Pip()
    monkeypatch.setattr(download.subprocess, "run", fake.run)
    return fake


def test_home_is_the_folder_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("MOLFM_HOME", str(tmp_path / "here"))
    assert home() == tmp_path / "here"
    monkeypatch.delenv("MOLFM_HOME")
    assert home().name == "molfm"


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(WHEEL)
    assert sha256(tmp_path / "file") == HASH


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
    with pytest.raises(ValueError, match="expected 0000") as error:
        fetch_pypi("toy==1.0", "0" * 64)
    assert HASH in str(error.value)
    assert "Deleted the download" in str(error.value)
    assert list(own_home.rglob("*.whl")) == []


def test_a_wheel_laid_there_by_hand_needs_no_pip(own_home, pip):
    pip.error = "no network"
    folder = own_home / "wheels" / "toy==1.0"
    folder.mkdir(parents=True)
    (folder / "toy-1.0-py3-none-any.whl").write_bytes(WHEEL)
    assert fetch_pypi("toy==1.0", HASH).parent == folder
    assert pip.calls == 0


def test_a_failure_of_pip_tells_its_last_line_and_what_to_do(own_home, pip):
    pip.error = "WARNING: slow\nERROR: No matching distribution found for toy==1.0"
    with pytest.raises(RuntimeError) as error:
        fetch_pypi("toy==1.0", HASH)
    assert "No matching distribution found for toy==1.0" in str(error.value)
    assert "slow" not in str(error.value)
    assert str(own_home / "wheels" / "toy==1.0") in str(error.value)
    assert HASH in str(error.value)


def test_a_pip_that_succeeds_without_a_wheel_is_an_error(own_home, pip, monkeypatch):
    monkeypatch.setattr(
        download.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "", "")
    )
    with pytest.raises(RuntimeError, match=r"Could not download toy==1\.0"):
        fetch_pypi("toy==1.0", HASH)
