"""explore: three widgets with one selection, without a browser."""

import pytest
from molfm.widgets import Selection, explore

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def panel(toy, own_home):
    return explore(toy)


def test_a_selection_in_one_part_is_the_selection_of_all_and_the_molecules_show_it(panel):
    panel.map.answer_select([5, 2], add=False)
    for part in (panel, panel.atlas, panel.browser):
        assert part.selection.molecules.tolist() == [2, 5]
    assert panel.browser.view["selected"] is True
    panel.selection = Selection([], ["heavy"])
    assert len(panel.map.selection) == 0
    assert panel.map.selection.tasks == ("toy/heavy",)
    assert panel.browser.view["selected"] is False


def test_a_molecule_opened_in_one_part_is_opened_in_the_other(panel):
    panel.map.view = panel.map.view | {"open": 7}
    assert panel.browser.view["open"] == 7
    panel.browser.view = panel.browser.view | {"open": 8}
    assert panel.map.view["open"] == 8
    assert panel.map.view["layout"] == ["pca"]


def test_one_model_embeds_for_the_map_and_predicts_for_the_molecules(toy, own_home):
    panel = explore(toy, "minimix-gine")
    assert panel.map._basis == "embeddings of minimix-gine"
    assert panel.browser._predictions.models == [panel.map._model]
    with pytest.raises(TypeError, match="expected a model, a run or the name of one"):
        explore(toy, 3)


def test_the_page_holds_all_parts_within_one_limit(panel, tmp_path):
    assert panel.to_html(tmp_path / "page.html") == tmp_path / "page.html"
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page == panel.to_html()
    assert [page.count(f"id='widget-{place}'") for place in range(4)] == [1, 1, 1, 0]
    assert page.count('"complete": true') == 3
    assert len(panel.to_html(max_bytes=9_000)) < len(page) - 10_000


def test_a_saved_notebook_shows_all_parts_without_a_kernel(panel, monkeypatch):
    shown = []
    monkeypatch.setattr("molfm.widgets.shared.display", lambda data, **_: shown.append(data))
    panel._ipython_display_()
    widget, form = shown
    assert "application/vnd.jupyter.widget-view+json" in widget and "text/html" not in widget
    assert "toy/oxygen" in form["text/html"]
    assert form["text/html"].count("<svg") >= 8
