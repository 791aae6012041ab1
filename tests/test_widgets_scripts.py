"""The scripts of other projects that widgets load when they are first needed."""

import hashlib

import numpy as np
import pytest
from molfm.widgets import MoleculeBrowser, scripts

from molfm.catalog.http import DownloadError


@pytest.fixture
def fetched(monkeypatch):
    """What was asked of `fetch`; with `problem` set, downloads fail."""

    class Fetch:
        asked, problem = [], None

        def __call__(self, locations, name, expected, progress, download):
            self.asked.append((locations, name, expected, download))
            if self.problem:
                raise DownloadError(self.problem)
            return []

    fake = Fetch()
    monkeypatch.setattr(scripts, "fetch", fake)
    return fake


def answered(widget):
    while not (answer := widget.answer_editor())["done"]:
        pass
    return answer


def test_every_script_is_pinned_to_a_version_and_a_hash(fetched):
    for name in scripts.SCRIPTS:
        assert scripts.script(name, download=False) is None
    for (locations, name, expected, download), file in zip(
        fetched.asked, ("openchemlib.js", "3Dmol-min.js"), strict=True
    ):
        [location] = locations
        assert location.startswith(f"npm:{name}==") and location.endswith(f"/{file}")
        assert list(expected) == [file] and len(expected[file]) == 64
        assert download is False


def test_the_editor_placed_by_hand_is_sent_as_bytes(toy, own_home, monkeypatch):
    content = b"export class CanvasEditor {}"
    location = scripts.SCRIPTS["openchemlib"][0]
    monkeypatch.setitem(scripts.SCRIPTS, "openchemlib", (location, hashlib.sha256(content).hexdigest()))
    (own_home / "raw" / "openchemlib").mkdir(parents=True)
    (own_home / "raw" / "openchemlib" / "openchemlib.js").write_bytes(content)
    answer = answered(MoleculeBrowser(toy))
    assert (answer["script"].dtype, answer["script"].tobytes(), answer["problem"]) == (np.uint8, content, "")


def test_without_a_network_the_answer_says_why_and_the_next_click_tries_again(toy, fetched):
    fetched.problem = "Could not get openchemlib. Tried: nothing."
    browser = MoleculeBrowser(toy)
    for clicks in (1, 2):
        assert answered(browser) == {"done": True, "problem": fetched.problem}
        assert len(fetched.asked) == clicks
    assert browser.errors == []
