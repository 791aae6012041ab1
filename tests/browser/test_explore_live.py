"""explore in a real JupyterLab, and as a page with the network off."""

import re

import pytest
from molfm.widgets import EmbeddingMap, explore
from pages import SCHEMES, run_cell, shoot, violations

import molfm

LOAD = "import molfm\nfrom molfm.widgets import explore\ndata = molfm.load('minimix', progress=False)\n"


def test_a_lasso_on_the_map_is_what_the_molecules_and_the_atlas_show_in_jupyterlab(page, notebook):
    EmbeddingMap(molfm.load("minimix", progress=False)).to_html(
        max_bytes=1
    )  # computes what the notebook's kernel then reads
    parts = "panel.atlas, panel.map, panel.browser"
    cells = [LOAD + "panel = explore(data)\npanel"]
    cells += [f"len(panel.selection), [len(part.selection) for part in ({parts})], [part.errors for part in ({parts})]"]
    notebook("explore", cells)
    page.get_by_text("points are measured").wait_for(timeout=60_000)
    canvas = page.locator("canvas.molfm-map")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 40, y - 60)
    page.mouse.down()
    for dx, dy in ((60, -60), (60, 60), (-40, 60)):
        page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()
    page.locator(".molfm-moleculebrowser .molfm-selected").get_by_text(re.compile("^[1-9].* selected")).wait_for()
    canvas.focus()
    for key in ("0", "0", "ArrowDown", "ArrowRight", "Shift+Enter"):  # JupyterLab would restart the kernel at 0 0
        page.keyboard.press(key)
    page.locator(".molfm-pane h3").wait_for()  # what the map opened
    assert page.get_by_role("dialog").count() == 0
    shoot(page, "lab-explore")
    assert violations(page) == []
    n, of_parts, errors = eval(run_cell(page, 1))
    assert errors == [[], [], []]
    assert 0 < n < 18_295
    assert of_parts == [n] * 3
    page.get_by_text(f"{n:,} of 18,295 molecules").wait_for()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_shows_all_parts_with_the_network_off(page, toy, own_home, tmp_path, scheme):
    explore(toy).to_html(tmp_path / "page.html")
    page.context.set_offline(True)
    page.emulate_media(color_scheme=scheme)
    page.goto((tmp_path / "page.html").as_uri())
    page.get_by_role("img", name="Labels of 42 molecules").wait_for()
    page.get_by_role("img", name="Map of 42 molecules").wait_for()
    page.locator(".molfm-card svg").first.wait_for()
    page.get_by_role("img", name="Distribution of").wait_for()
    assert page.locator(".molfm-errors p").count() == 0
    assert violations(page) == []
    for width in (1000, 600):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shoot(page, f"static-explore-{scheme}-{width}")
