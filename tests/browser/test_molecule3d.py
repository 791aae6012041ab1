"""Molecule3D as a reader meets it: with 3Dmol.js on this disk, and with our canvas without it; never with the network."""

from concurrent.futures import Future

import pytest
from molfm.widgets import Molecule3D, scripts

from molfm.catalog.http import DownloadError

# Stands in for 3Dmol.js: notes which of its functions are called.
VIEWER = """
window.calls = [];
window.loads = (window.loads ?? 0) + 1;
const viewer = new Proxy({}, { get: (_, name) => () => (window.calls.push(String(name)), viewer) });
window.$3Dmol = { createViewer: () => viewer };
"""


@pytest.fixture
def shown(page, tmp_path, monkeypatch):
    """A function that opens the outputs of some cells in a page, with or without 3Dmol.js; `page` forbids the network."""

    def show(downloaded, cells=1):
        found = Future()
        (tmp_path / "3Dmol-min.js").write_text(VIEWER)
        if downloaded:
            found.set_result(tmp_path / "3Dmol-min.js")
        else:
            found.set_exception(DownloadError("no network"))
        monkeypatch.setattr(scripts, "viewer", lambda: found)
        cell = "".join(Molecule3D("CC(=O)O", [0.1, 0.6, -0.5, -0.6], "e")._repr_html_() for _ in range(cells))
        (tmp_path / "cell.html").write_text(f"<!doctype html><meta charset='utf-8'>{cell}", "utf-8")
        page.goto((tmp_path / "cell.html").as_uri())
        return page

    return show


def test_once_downloaded_py3dmol_shows_the_molecule_without_a_network(shown):
    page = shown(downloaded=True)
    page.wait_for_function("window.calls?.includes('resize')")
    assert page.evaluate("window.calls").count("setStyle") == 1 + 8  # all atoms by element, then each by its value
    assert page.locator(".molfm-3dmol").is_visible() and not page.locator(".molfm-own").is_visible()
    page.get_by_text("0.600 e").wait_for()  # the end of the scale
    page.get_by_role("img", name="3D structure of CC(=O)O").press("ArrowLeft")
    assert "rotate" in page.evaluate("window.calls")


def test_until_then_our_canvas_shows_the_molecule_and_names_the_atom_under_the_pointer(shown):
    page = shown(downloaded=False)
    canvas = page.get_by_role("img", name="3D structure of CC(=O)O")
    box = canvas.bounding_box()
    assert box["height"] == 300 and not page.locator(".molfm-3dmol").is_visible()
    page.get_by_text("0.600 e").wait_for()  # the end of the scale
    for x in range(0, int(box["width"]), 8):
        page.mouse.move(box["x"] + x, box["y"] + box["height"] / 2)
        if ": " in page.locator("p.molfm-small").inner_text():
            break
    else:
        pytest.fail("no atom was under the pointer")


def test_two_molecules_in_one_notebook_share_the_viewers_script(shown):
    page = shown(downloaded=True, cells=2)
    page.wait_for_function("window.calls?.filter((name) => name === 'resize').length === 2")
    assert page.evaluate("window.loads") == 1
    assert page.evaluate("[typeof exports, typeof module]") == ["undefined", "undefined"]
