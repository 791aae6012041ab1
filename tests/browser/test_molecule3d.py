"""Molecule3D as a reader meets it: with the viewer of py3Dmol from the network, and with our canvas without a network."""

import pytest
from molfm.widgets import Molecule3D

# Stands in for 3Dmol.js: notes which of its functions are called.
VIEWER = """
window.calls = [];
const viewer = new Proxy({}, { get: (_, name) => () => (window.calls.push(String(name)), viewer) });
window.$3Dmol = { createViewer: () => viewer };
"""


@pytest.fixture
def shown(chromium, tmp_path):
    """A function that opens a molecule's cell output in a page, with or without a network."""
    context = chromium.new_context()

    def show(network):
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        answer = {"body": VIEWER, "content_type": "text/javascript"}
        page.route("**/3Dmol-min.js", lambda route: route.fulfill(**answer) if network else route.abort())
        cell = Molecule3D("CC(=O)O", [0.1, 0.6, -0.5, -0.6], "e")._repr_html_()
        (tmp_path / "cell.html").write_text(f"<!doctype html><meta charset='utf-8'>{cell}", "utf-8")
        page.goto((tmp_path / "cell.html").as_uri())
        return page

    yield show
    context.close()


def test_with_a_network_py3dmol_shows_the_molecule(shown):
    page = shown(network=True)
    page.wait_for_function("window.calls?.includes('resize')")
    assert page.evaluate("window.calls").count("setStyle") == 1 + 8  # all atoms by element, then each by its value
    assert page.locator(".molfm-3dmol").is_visible() and not page.locator(".molfm-own").is_visible()
    page.get_by_text("0.600 e").wait_for()  # the end of the scale
    page.get_by_role("img", name="3D structure of CC(=O)O").press("ArrowLeft")
    assert "rotate" in page.evaluate("window.calls")


def test_without_a_network_our_canvas_shows_the_molecule_and_names_the_atom_under_the_pointer(shown):
    page = shown(network=False)
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
