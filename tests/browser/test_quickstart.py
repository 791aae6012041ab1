"""The first things a user sees: the quickstart's page without internet access, and its notebook in JupyterLab."""

import re

import pytest

from molfm.app import quickstart


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "quickstart.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLFM_FAST", "1")
        quickstart.run(path, progress=False)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_draws_its_figures_and_molecules_offline(page, report, scheme):
    page.context.set_offline(True)
    page.emulate_media(color_scheme=scheme)
    page.goto(report.as_uri())
    assert page.locator("h1").inner_text()
    assert page.locator(".plotly-graph-div").count() == 5
    for number in range(5):  # difference, coverage, curves, predictions, label efficiency
        figure = page.locator(".plotly-graph-div").nth(number)
        figure.locator(".main-svg").first.wait_for()
        assert figure.locator(".scatterlayer .trace").count() > 0
    assert page.locator("figure svg").count() == 8
    paper = page.locator(".plotly-graph-div .main-svg").first.evaluate("node => getComputedStyle(node).backgroundColor")
    body = page.locator("body").evaluate("node => getComputedStyle(node).backgroundColor")
    assert paper == body


def test_the_page_fits_a_narrow_screen(page, report):
    page.set_viewport_size({"width": 420, "height": 800})
    page.goto(report.as_uri())
    page.locator(".main-svg").first.wait_for()
    width = page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= 420


def test_the_notebook_shows_its_saved_figures_in_jupyterlab_and_runs_there(page, lab):
    page.goto(f"{lab.partition('/lab')[0]}/lab/tree/00_quickstart.ipynb", wait_until="domcontentloaded")
    page.locator(".jp-Notebook figure svg").first.wait_for(state="attached", timeout=90_000)
    # The saved picture, until the cell runs. Cells are drawn and laid out when they come into view, and drawn anew later.
    seen = """() => {
      const pictures = [...document.querySelectorAll(".jp-Notebook .jp-RenderedPlotly img")];
      if (!pictures.length) document.querySelector(".jp-WindowedPanel-outer").scrollBy(0, 300);
      else pictures[0].scrollIntoView({block: "center"});
      return pictures.some(img => 0 < img.naturalWidth && img.naturalWidth <= img.parentElement.clientWidth);
    }"""
    page.wait_for_function(seen, polling=250, timeout=120_000)
    page.locator(".jp-WindowedPanel-outer").first.evaluate("node => node.scrollTo(0, 0)")
    page.get_by_text("Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    last = page.locator(".jp-CodeCell").last
    last.get_by_text("[*]:", exact=True).wait_for(state="attached", timeout=60_000)
    # A failing cell cancels the cells after it, and their prompts stay empty.
    last.get_by_text(re.compile(r"^\[\d+\]:$")).first.wait_for(timeout=300_000)
