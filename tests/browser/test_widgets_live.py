"""The widgets as a reader meets them: in a real JupyterLab, and as static pages with the network off."""

import subprocess
import sys
import time

import nbformat
import pandas as pd
import pytest
import torch
from conftest import KERNEL
from molfm.widgets import LabelAtlas, MoleculeBrowser, Selection
from pages import SCHEMES, broken, run_cell, save, shoot, violations

import molfm
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel

HOSTILE = "<img src=x onerror=alert(1)>"
LOAD = "import molfm\nfrom molfm.widgets import LabelAtlas, MoleculeBrowser\ndata = molfm.load('minimix', progress=False)\n"


@pytest.fixture
def shared(page):
    """The exported functions of both widgets' modules in a page: call them with `shared("browser.number(3)")`."""
    page.set_content("<p>empty</p>")
    for name, widget in (("browser", MoleculeBrowser), ("atlas", LabelAtlas)):
        page.evaluate(
            "async ([name, text]) => { globalThis[name] = await import(URL.createObjectURL(new Blob([text], {type: 'text/javascript'}))) }",
            [name, str(widget._esm)],
        )
    return lambda expression: page.evaluate(f"() => {expression}")


# ---------------------------------------------------------------------------------------------------- JavaScript alone


def test_scrolling_reaches_every_row_of_ten_million_within_what_a_browser_can_scroll(shared):
    window = shared("browser.scrollWindow(0, 590, 246, 1e7)")
    assert (window["first"], window["height"]) == (0, 8e6)
    end = shared("browser.scrollWindow(8e6 - 590, 590, 246, 1e7)")
    assert end["last"] == 10**7
    assert shared("browser.scrollWindow(246 * 7 + 3, 590, 246, 100)") == {
        "height": 24600,
        "first": 7,
        "last": 10,
        "top": 1722,
    }


def test_a_turned_molecule_keeps_its_shape(shared):
    m = shared("browser.turned(browser.turned([1,0,0,0,1,0,0,0,1], 0.7, 0), 0, -1.1)")
    rotation = torch.tensor(m).reshape(3, 3)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3))
    assert torch.det(rotation) > 0.99
    assert shared("[...browser.projected([1, 2, 3], [0, 1, 0, -1, 0, 0, 0, 0, 1])]") == [2, -1, 3]


def test_a_level_has_rows_of_a_pixel_or_more(shared):
    assert shared("[100, 512, 1000, 1e9].map((n) => atlas.levelFor(n, 512, 5))") == [4, 4, 3, 0]


def test_zooming_keeps_the_place_and_the_borders(shared):
    assert shared("atlas.zoomed([0, 100], 2, 50, 100, 10)") == [25, 75]
    assert shared("atlas.zoomed([0, 100], 2, 0, 100, 10)") == [0, 50]
    assert shared("atlas.zoomed([90, 100], 0.01, 95, 100, 10)") == [0, 100]
    assert shared("atlas.zoomed([0, 20], 8, 10, 100, 10)") == [5, 15]


def test_the_interval_of_a_correlation_is_fishers(shared):
    low, high = shared("atlas.correlationInterval(0.5, 103)")
    assert (round(low, 3), round(high, 3)) == (0.339, 0.632)
    assert shared("atlas.correlationInterval(0.5, 3)") is None


def test_missing_negative_positive_and_numbers_have_four_colours(shared):
    for theme in SCHEMES:
        colors = shared(
            f"[['binary', 0, 0], ['binary', 0, 1], ['binary', 1, 1], ['regression', 0, 1], ['regression', 1, 1]]"
            f".map(([kind, at, share]) => atlas.cellColor(kind, at, share, atlas.PALETTES.{theme}))"
        )
        for i, one in enumerate(colors):
            for other in colors[:i]:
                assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 60


def test_numbers_are_written_as_people_read_them(shared):
    assert shared("[0, -1.23456, 12345.678, 0.000012, null].map((x) => browser.number(x, 'e'))") == [
        "0 e",
        "−1.23 e",
        "12346 e",
        "1.20e−5 e",
        "not measured",
    ]


def test_svg_is_stripped_of_everything_but_shapes(shared):
    text = (
        "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script><foreignObject><p/></foreignObject>"
        "<a href='javascript:alert(1)'><path d='M0,0'/></a><path d='M 1,1' onclick='alert(1)' style='fill:url(#x)'/></svg>"
    )
    clean = shared(f"browser.svg({text!r}).outerHTML")
    for word in ("script", "foreign", "onload", "onclick", "href", "url("):
        assert word not in clean
    assert "M 1,1" in clean


# ------------------------------------------------------------------------------------------------------- static pages


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("widget", [MoleculeBrowser, LabelAtlas])
def test_a_static_page_works_with_the_network_off_and_is_accessible(page, minimix, tmp_path, widget, scheme):
    shown = widget(minimix)
    if widget is MoleculeBrowser:
        shown.view = shown.view | {"open": 1}
    shown.to_html(tmp_path / "page.html")
    page.context.set_offline(True)
    page.emulate_media(color_scheme=scheme)
    page.goto((tmp_path / "page.html").as_uri())
    if widget is MoleculeBrowser:
        page.locator(".molfm-card svg").first.wait_for()
        page.locator(".molfm-pane h3").get_by_text("brimonidine").wait_for()
        assert "18,295 of 18,295" in page.locator(".molfm-count").inner_text()
        page.get_by_label("Search", exact=True).fill("caffeine")
        page.keyboard.press("Enter")
        page.locator(".molfm-name").get_by_text("caffeine").first.wait_for()  # beyond the molecules that are drawn
        assert "Names and SMILES of all 18,295" in page.locator("main").inner_text().replace("names", "Names")
        page.get_by_label("Search", exact=True).fill("")
        page.keyboard.press("Enter")
        page.locator(".molfm-card svg").first.wait_for()
    else:
        page.get_by_role("img", name="Distribution of").wait_for()
        for tab in ("Task pairs", "Dataset overlap", "Audit", "Task table", "Labels"):
            page.get_by_role("tab", name=tab, exact=True).click()
            page.get_by_role("tabpanel").locator("table, canvas").first.wait_for()
            assert violations(page) == []
    assert not page.locator(".molfm-errors p").count()
    assert page.locator(".molfm.dark").count() == (scheme == "dark")
    assert violations(page) == []
    shoot(page, f"static-{widget.__name__}-{scheme}")


def test_the_picture_shows_what_the_arrow_keys_point_at(page, minimix, tmp_path):
    LabelAtlas(minimix.select(["b3db", "xtb"])).to_html(tmp_path / "page.html")  # with all tasks, a page is cut
    page.goto((tmp_path / "page.html").as_uri())
    canvas = page.get_by_role("img", name="Labels of 18,295 molecules")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.locator(".molfm-hover").first.get_by_text("xtb/energy_per_atom, rows 0–63: 64 of 64 computed").wait_for()
    canvas.evaluate(  # all before the next frame, so that what is pointed at comes after the keys
        "canvas => { for (let i = 0; i < 9; i++) canvas.dispatchEvent(new KeyboardEvent('keydown', { key: '+' })); }"
    )
    page.locator(".molfm-hover").first.get_by_text("xtb/energy_per_atom, row 0: ").wait_for()


def test_a_name_from_data_is_text(page, make_card, tmp_path):
    table = pd.DataFrame({"smiles": ["CO", "CC"], "name": [HOSTILE, "ethane"], "y": [1.0, 2.0]})
    data = molfm.load(make_card("hostile", table, {"y": {"unit": HOSTILE}}), progress=False)
    for widget in (MoleculeBrowser(data), LabelAtlas(data)):
        if isinstance(widget, MoleculeBrowser):
            widget.view = widget.view | {"open": 0}
        widget.to_html(tmp_path / "page.html")
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        page.goto((tmp_path / "page.html").as_uri())
        page.get_by_text(HOSTILE).first.wait_for()
        assert page.locator(".molfm img").count() == 0


# ------------------------------------------------------------------------------------------- with Python, without JupyterLab


def test_another_picture_of_pairs_leaves_nothing_of_the_one_before(page, toy, live):
    live(LabelAtlas(toy))
    page.evaluate(
        """() => {
          globalThis.observed = 0;
          const { observe, disconnect } = ResizeObserver.prototype;
          ResizeObserver.prototype.observe = function (node) { observed++; return observe.call(this, node); };
          ResizeObserver.prototype.disconnect = function () { observed--; return disconnect.call(this); };
        }"""
    )
    redrawn = """async () => { // how much a change of theme draws anew
      const frame = globalThis.requestAnimationFrame;
      let count = 0;
      globalThis.requestAnimationFrame = (callback) => { count++; return frame(callback); };
      document.body.classList.toggle('another');
      await Promise.resolve();
      globalThis.requestAnimationFrame = frame;
      return count;
    }"""
    page.get_by_role("tab", name="Task pairs").click()
    page.get_by_role("img", name="molecules with both labels for 4 × 4 tasks").wait_for()
    for measure, name in (("correlation", "correlation of labels"), ("count", "molecules with both labels")) * 3:
        page.get_by_role("combobox", name="Show").select_option(measure)
        page.get_by_role("img", name=f"{name} for 4 × 4 tasks").wait_for()
    assert page.evaluate("observed") <= 2  # the labels' picture, and one of pairs
    assert page.evaluate(redrawn) <= 2


def test_the_wheel_zooms_the_picture_hovering_shows_the_molecule_and_escape_lets_go(page, minimix, live):
    asked = live(LabelAtlas(minimix))
    canvas = page.get_by_role("img", name="Labels of 18,295 molecules")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] + 400)
    page.locator(".molfm-rowcard").get_by_text("one of 64 molecules").wait_for()
    page.mouse.wheel(0, 100)  # nothing is left to zoom out to
    page.wait_for_timeout(200)
    assert page.evaluate("!model.get('view').window")
    for _ in range(20):
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(20)
    page.locator(".molfm-rowcard").get_by_text("molecule", exact=True).wait_for()
    page.locator(".molfm-rowcard svg").wait_for()
    rows = page.evaluate("model.get('view').window.slice(0, 2)")
    assert rows[1] - rows[0] < 100
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 440)
    page.keyboard.press("Escape")
    page.mouse.up()
    page.wait_for_timeout(200)
    assert "select" not in asked


def test_an_empty_region_keeps_the_selection_and_undo_brings_back_the_one_before(page, minimix, live):
    atlas = LabelAtlas(minimix)
    atlas.selection = Selection(range(2176))
    live(atlas)
    page.get_by_text("2,176 selected").wait_for()
    canvas = page.get_by_role("img", name="Labels of 18,295 molecules")
    canvas.focus()
    page.locator(".molfm-taskcard h3").wait_for()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    for _ in range(78):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing is there").wait_for()
    page.get_by_text("2,176 selected").wait_for()
    page.get_by_role("button", name="Select labelled molecules").click()
    page.get_by_text("2,176 selected").wait_for(state="detached")
    canvas.focus()
    page.keyboard.press("Control+z")
    page.get_by_text("2,176 selected").wait_for()


def test_labels_above_the_columns_never_touch(shared):
    groups = "[[0, 38, 'xtb'], [39, 44, 'b3db'], [45, 60, 'x'], [61, 400, 'toxcast'], [401, 404, 'UPITT']]"
    found = shared(
        f"atlas.placedLabels({groups}.map(([left, right, text]) => ({{ left, right, text }})), (text) => 7 * text.length, 420)"
    )
    assert [label["text"] for label in found] == ["xtb", "b3db", "toxcast"]
    ends = [label["x"] + 7 * len(label["text"]) for label in found]
    assert all(label["x"] >= end for label, end in zip(found[1:], ends, strict=False))


def test_a_tile_that_failed_is_asked_again_when_the_reader_moves_and_not_before(page, toy, live):
    atlas = LabelAtlas(toy)
    atlas.answer_tile = broken
    asked = live(atlas)
    page.locator(".molfm-errors").get_by_text("MemoryError: no room").wait_for()
    page.set_viewport_size({"width": 1000, "height": 900})  # drawn anew
    canvas = page.get_by_role("img", name="Labels of 42 molecules")
    canvas.hover()
    page.wait_for_timeout(300)
    assert asked.count("tile") == 1
    del atlas.answer_tile
    canvas.focus()
    page.keyboard.press("+")
    page.locator(".molfm-hover").first.get_by_text(", row ").wait_for()
    assert asked.count("tile") == 2


@pytest.mark.parametrize(("tab", "ask"), [("Task pairs", "pairs"), ("Dataset overlap", "overlap"), ("Audit", "audit")])
def test_a_tab_that_failed_is_asked_again_at_the_next_visit(page, toy, live, tab, ask):
    atlas = LabelAtlas(toy)
    setattr(atlas, f"answer_{ask}", broken)
    asked = live(atlas)
    page.get_by_role("tab", name=tab).click()
    page.locator(".molfm-errors").get_by_text("MemoryError: no room").wait_for()
    assert not page.get_by_text("Auditing …").count()
    delattr(atlas, f"answer_{ask}")
    page.get_by_role("tab", name="Labels").click()
    page.get_by_role("tab", name=tab).click()
    page.get_by_role("tabpanel").locator("table").first.wait_for(state="attached")
    assert asked.count(ask) == 2


def test_similar_molecules_are_in_no_order_of_predictions(page, toy, live):
    model = MultiTaskModel(ModelConfig(hidden_channels=16, num_layers=1), toy.tasks)
    live(MoleculeBrowser(toy, model))
    page.locator(".molfm-card button").first.click()
    page.locator(".molfm-pane").get_by_text("#0").wait_for()
    sort = page.get_by_role("combobox", name="Sort by")
    sort.select_option("toy/heavy, predicted")
    page.get_by_role("button", name="Find similar molecules").click()
    page.get_by_text("similarity 1.00").first.wait_for()
    assert sort.evaluate("node => node.selectedOptions[0]?.textContent") == "original order"


def test_a_filter_is_a_histogram_whose_ends_are_dragged_and_moved_by_keys(page, toy, live):
    live(MoleculeBrowser(toy))
    heavy = toy.labels("heavy")
    page.get_by_role("combobox", name="Add a filter").select_option("toy/heavy")
    page.get_by_text(f"{heavy.notna().sum()} of 42 molecules").wait_for()
    page.get_by_label("At least, heavy").fill("5")
    page.keyboard.press("Enter")
    page.get_by_text(f"{(heavy >= 5).sum()} of 42 molecules").wait_for()
    most = page.get_by_role("slider", name="heavy: most")
    most.focus()
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    bound = page.get_by_label("At most, heavy")
    page.wait_for_function("document.querySelector('[aria-label=\"At most, heavy\"]').value < 8")
    page.get_by_text(f"{((heavy >= 5) & (heavy <= float(bound.input_value()))).sum()} of 42 molecules").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "heavy: most"  # it keeps the focus
    least = page.get_by_role("slider", name="heavy: least").bounding_box()
    page.mouse.move(least["x"] + least["width"] / 2, least["y"] + 20)
    page.mouse.down()
    page.mouse.move(least["x"] - 300, least["y"] + 20)
    page.mouse.up()
    page.wait_for_function("document.querySelector('[aria-label=\"At least, heavy\"]').value === ''")
    page.get_by_role("button", name="Remove the filter heavy").click()
    page.get_by_text("42 of 42 molecules").wait_for()


def test_a_name_that_is_not_there_says_what_to_try_and_shows_no_molecule(page, minimix, live):
    live(MoleculeBrowser(minimix))
    page.locator(".molfm-card button").first.click()
    page.locator(".molfm-detail h3").wait_for()
    page.get_by_label("Search", exact=True).fill("caffiene")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Caffeine").click()
    page.locator(".molfm-card svg").first.wait_for()
    page.get_by_label("Search", exact=True).fill("[U+3]")
    page.keyboard.press("Enter")
    page.get_by_text("No name, ID or SMILES in minimix is or contains “[U+3]”.").wait_for()
    assert not page.locator(".molfm-detail h3").count()
    page.get_by_role("button", name="Molecules that contain it").click()
    page.get_by_text("No molecule in minimix contains the substructure [U+3].").wait_for()


def test_predictions_are_sorted_by_their_errors_and_their_intervals_are_explained(page, toy, live, monkeypatch):
    monkeypatch.setattr("molfm.nn.uncertainty.MIN_LABELS", 4)
    live(MoleculeBrowser(toy, MultiTaskModel(ModelConfig(hidden_channels=16, num_layers=1), toy.tasks)))
    page.get_by_role("combobox", name="Sort by").select_option("error of toy/heavy")
    page.locator(".molfm-chip").get_by_text(", model").first.wait_for()
    page.locator(".molfm-card button").first.click()
    page.get_by_text("In brackets: 90% intervals").wait_for()


def test_all_found_cannot_be_selected_while_they_are_searched(page, toy, live):
    browser = MoleculeBrowser(toy)
    asked = live(browser)
    page.get_by_text("42 of 42 molecules").wait_for()
    browser.answer_find = lambda view: {
        "n": 0,
        "done": False,
        "checked": 7,
        "of": 42,
        "problem": "",
        "near": [],
        "way": "text",
        "among": 42,
    }
    page.get_by_label("Search", exact=True).fill("[#8]")
    page.keyboard.press("Enter")
    page.get_by_text("Searching: 7 of 42").wait_for()
    page.get_by_role("button", name="Select all", exact=True).click()
    page.get_by_role("status").get_by_text("The search is still running").wait_for()
    del browser.answer_find
    page.wait_for_function("!document.querySelector('.molfm-count').textContent.startsWith('Searching')")
    assert "select" not in asked
    page.get_by_role("button", name="Select all", exact=True).click()
    page.get_by_text(f"{len(browser._finder.found)} selected").wait_for()
    page.get_by_role("button", name="undo").click()
    page.get_by_text("0 selected").wait_for()


def test_a_kernel_that_does_not_answer_for_seconds_is_told(page, toy, live):
    browser = MoleculeBrowser(toy)
    answer = browser.answer_detail
    browser.answer_detail = lambda molecule: time.sleep(4) or answer(molecule)
    live(browser)
    page.locator(".molfm-card svg").first.wait_for()
    page.evaluate(  # this process cannot look while it answers
        "() => { const node = document.querySelector('.molfm-kernel'); globalThis.told = [];"
        "new MutationObserver(() => told.push(node.textContent)).observe(node, { childList: true }); }"
    )
    page.locator(".molfm-card button").first.click()
    page.locator(".molfm-detail h3").wait_for()
    told = page.evaluate("told")
    assert told[0].startswith("No answer from the kernel so far") and told[-1] == ""


def test_a_host_with_another_font_size_does_not_scale_the_widget(page, toy, live):
    live(MoleculeBrowser(toy))
    name = page.locator(".molfm-name").first
    name.wait_for()
    style = "node => [getComputedStyle(node).fontSize, node.offsetHeight]"
    before = name.evaluate(style)
    page.add_style_tag(content="html, body { font-size: 48px !important }")
    assert name.evaluate(style) == before


def test_a_view_that_python_sets_is_shown(page, toy, live):
    asked = live(MoleculeBrowser(toy))
    page.get_by_text("42 of 42 molecules").wait_for()
    page.evaluate("model.set('view', { ...model.get('view'), chips: ['toy/oxygen'] })")
    page.locator(".molfm-chip").get_by_text("oxygen ").first.wait_for()
    page.locator(".molfm-pill").get_by_text("heavy").wait_for(state="detached")
    page.evaluate("model.set('view', { ...model.get('view'), open: 3 })")
    page.locator(".molfm-pane").get_by_text("#3").wait_for()
    assert asked.count("find") == 1
    page.evaluate("model.set('view', { split: 'test', open: 4 })")
    page.get_by_text(f"{(toy.molecules['split:toy'] == 'test').sum()} of 42 molecules").wait_for()
    page.locator(".molfm-pane").get_by_text("#4").wait_for()
    assert not page.locator(".molfm-pill").count()


# --------------------------------------------------------------------------------------------------------- JupyterLab


def test_molecules_are_scrolled_searched_filtered_selected_and_read_back_in_jupyterlab(page, minimix, notebook):
    notebook(
        "browse",
        [LOAD + "browser = MoleculeBrowser(data)\nbrowser", "browser.selection.molecules.tolist(), browser.errors"],
    )
    page.locator(".molfm-card svg").first.wait_for(timeout=60_000)
    grid = page.get_by_role("region", name="Search results")
    grid.evaluate("node => { node.scrollTop = node.scrollHeight / 2 }")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.molfm-card')].every((card) => Number(card.ariaPosInSet) > 5000 && card.querySelector('svg'))"
    )
    assert page.locator(".molfm-card").count() < 60

    page.get_by_label("Search by").select_option("substructure")
    page.get_by_label("Search", exact=True).fill("c1ccncc1")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("903 of 18,295 molecules").wait_for()
    page.get_by_role("combobox", name="Add a filter").select_option("b3db/logBB")
    page.get_by_label("At least, logBB").fill("0.5")
    page.keyboard.press("Enter")
    page.wait_for_function("Number(document.querySelector('.molfm-count').textContent.split(' ')[0]) < 100")
    page.locator(".molfm-card svg").first.wait_for()
    page.locator(".molfm-card input").first.check()
    page.get_by_text("1 selected").wait_for()
    page.get_by_role("button", name="Select all", exact=True).click()
    page.wait_for_function("() => !document.querySelector('.molfm-selected').textContent.startsWith('1 ')")
    shoot(page, "lab-browser")
    assert violations(page) == []
    selected, errors = eval(run_cell(page, 1))
    assert errors == []
    assert 0 < len(selected) < 100
    assert (minimix.labels("logBB")[selected] >= 0.5).all()

    save(page)
    page.reload(wait_until="domcontentloaded")
    page.get_by_text(f"{len(selected)} of 18,295 molecules").wait_for(timeout=90_000)  # what was shown is shown again
    assert page.get_by_label("Search", exact=True).input_value() == "c1ccncc1"
    page.get_by_text(f"{len(selected)} selected").wait_for()


def test_a_region_of_the_atlas_is_what_the_browser_beside_it_shows_in_jupyterlab(page, minimix, notebook):
    notebook(
        "atlas",
        [
            LOAD + "atlas = LabelAtlas(data)\natlas",
            "browser = atlas.browse()\nbrowser",
            "len(atlas.selection), atlas.selection.tasks, browser.selection == atlas.selection, atlas.errors",
        ],
    )
    canvas = page.get_by_role("img", name="Labels of 18,295 molecules")
    canvas.wait_for(timeout=60_000)
    page.get_by_role("img", name="Distribution of").wait_for()
    canvas.scroll_into_view_if_needed()
    canvas.focus()
    for key in ("ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.get_by_text("molecules have a label of any of these 2 tasks").wait_for()
    shoot(page, "lab-atlas")
    assert violations(page) == []
    n, tasks, same, errors = eval(run_cell(page, 2))
    assert errors == []
    assert same
    assert 0 < n <= 128
    assert tasks == ("xtb/energy_per_atom", "xtb/homo")
    page.get_by_text(f"{n} of 18,295 molecules").wait_for()


def test_a_failure_in_the_kernel_is_shown_in_the_widget_and_kept_in_python(page, minimix, notebook):
    cell = "browser = MoleculeBrowser(data)\nbrowser._lookup.values = None  # broken on purpose\nbrowser"
    notebook("broken", [LOAD + cell, "'TypeError' in browser.errors[0]"])
    page.locator(".molfm-errors").get_by_text("TypeError").wait_for(timeout=60_000)
    assert run_cell(page, 1) == "True"


def test_after_a_restart_of_the_kernel_the_widget_says_to_run_the_cell_again(page, minimix, notebook):
    notebook(
        "restart", [LOAD + "browser = MoleculeBrowser(data.select(['logBB']))\nbrowser", "import time\ntime.sleep(12)"]
    )
    page.locator(".molfm-card svg").first.wait_for(timeout=60_000)
    page.locator(".molfm-still").wait_for(state="hidden")
    page.get_by_text("| Idle").wait_for(timeout=60_000)
    page.get_by_text("Kernel", exact=True).first.click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.get_by_text("| Idle").wait_for(timeout=60_000)
    page.locator(".molfm-card button").nth(1).click()
    page.get_by_text("The kernel was restarted: run this cell again.").wait_for()
    assert not page.get_by_text("Dismiss").count()
    page.locator(".molfm-still svg").first.wait_for()
    page.locator(".jp-CodeCell").first.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")
    page.locator(".molfm-still").wait_for(state="hidden", timeout=60_000)
    page.locator(".molfm-card svg").first.wait_for(timeout=60_000)
    assert not page.get_by_text("The kernel was restarted").count()


def test_a_converted_notebook_shows_the_widgets_without_a_network(chromium, minimix, tmp_path):
    cell = nbformat.v4.new_code_cell(LOAD + "MoleculeBrowser(data)")
    path = tmp_path / "shown.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=KERNEL), path)
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", path.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto(path.with_suffix(".html").as_uri())
    page.locator(".molfm-still svg").first.wait_for()
    assert page.locator(".molfm-still svg").count() == 8
    context.close()
