"""Scripts of other projects that widgets load when they are first needed: fetched once, checked, and kept offline.

OpenChemLib's editor (https://github.com/cheminfo/openchemlib-js) and 3Dmol.js (https://3dmol.org) are published on npm
under the BSD-3-Clause licence. molfm does not contain them.
"""

import gzip
from base64 import b64encode
from concurrent.futures import Future, wait
from functools import cache
from pathlib import Path
from threading import Thread

import numpy as np

from molfm.catalog.download import fetch
from molfm.catalog.http import DownloadError

SCRIPTS = {  # name -> location and SHA-256
    "openchemlib": (
        "npm:openchemlib==9.25.0#dist/openchemlib.js",
        "7c76547bdb940652ce5eb412e305e110065a9b641ebe0ae975509ed573940f5d",
    ),
    "3dmol": (
        "npm:3dmol==2.5.5#build/3Dmol-min.js",
        "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016",
    ),
}
_SECONDS = 0.2  # an answer waits this long for a download; in between the kernel is free


def script(name: str, download: bool = True) -> Path | None:
    """Return the path of a script, downloading it the first time; None if it is not here and `download` is False.

    Raises:
        DownloadError: it could not be downloaded; the message says where to place it by hand.
    """
    location, known = SCRIPTS[name]
    found = fetch([location], name, {location.rpartition("/")[2]: known}, progress=False, download=download)
    return found[0] if found else None


def fetching(name: str) -> Future:
    """Start to get a script in a thread, for which neither a cell nor the end of Python waits; the result is its path."""
    future: Future = Future()

    def get() -> None:
        try:
            future.set_result(script(name))
        except Exception as error:  # raised again by future.result()
            future.set_exception(error)

    Thread(target=get, daemon=True).start()
    return future


@cache
def viewer() -> Future:
    """Start to get 3Dmol.js, once in this process; the result is the path."""
    return fetching("3dmol")


@cache
def packed(path: Path) -> str:
    """Return a script as a text that a page can hold: gzip, then Base64."""
    return b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode()


class Sketcher:
    """A part of a widget: answers the question for the editor that `sketchButton` opens (sketcher.js)."""

    _editor: Future | None = None

    def answer_editor(self) -> dict:
        """Return OpenChemLib's editor as bytes, (n,) uint8, or why it is not here. Repeat the question until `done` is true."""
        self._editor = self._editor or fetching("openchemlib")
        if not wait([self._editor], _SECONDS).done:
            return {"done": False}
        done, self._editor = self._editor, None  # a failed download is tried again at the next click
        try:
            return {"done": True, "script": np.fromfile(done.result(), np.uint8), "problem": ""}
        except DownloadError as error:  # no network is not a failure of the widget
            return {"done": True, "problem": str(error)}
