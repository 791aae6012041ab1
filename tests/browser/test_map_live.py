"""EmbeddingMap in a real browser: the hand, the keyboard, the table, both themes, and the page without a network."""

import numpy as np
import pytest
from molfm.widgets import EmbeddingMap
from pages import SCHEMES, broken, shoot, violations


@pytest.fixture
def shown(toy, own_home):
    return EmbeddingMap(toy)


def canvas(page):
    found = page.locator("canvas.molfm-map")
    page.get_by_text("points are measured").wait_for()
    return found


def drag(page, box, *corners):
    page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=5)
    page.mouse.up()


def test_a_lasso_selects_shift_adds_escape_clears_and_undo_works(page, shown, live):
    live(shown)
    box = canvas(page).bounding_box()
    width, height = box["width"], box["height"]
    left = [(60, 10), (width / 2, 10), (width / 2, height - 40), (60, height - 40)]
    right = [(width / 2, 10), (width - 12, 10), (width - 12, height - 40), (width / 2, height - 40)]
    drag(page, box, *left)
    page.get_by_text(" selected.").first.wait_for()
    n = len(shown.selection)
    assert 0 < n < 42
    page.keyboard.down("Shift")
    drag(page, box, *right)
    page.keyboard.up("Shift")
    page.get_by_text("42 selected.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Nothing is selected.", exact=True).wait_for()
    page.keyboard.press("Control+z")
    page.get_by_text("42 selected.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text(f"{n} selected.").wait_for()


def test_panning_moves_the_map_and_selects_nothing(page, shown, live):
    live(shown)
    box = canvas(page).bounding_box()
    page.get_by_role("button", name="Pan").click()
    drag(page, box, (300, 200), (380, 260))
    page.wait_for_function("() => model.get('view').window?.x < 0 && model.get('view').window.y > 0")
    assert len(shown.selection) == 0
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.wheel(0, -100)
    page.wait_for_function("() => model.get('view').window.zoom > 1.2")
    page.get_by_role("button", name="Show all points").click()
    page.wait_for_function("() => model.get('view').window.zoom === 1")


def test_arrow_keys_go_from_point_to_point_and_enter_selects(page, shown, toy, live):
    live(shown)
    canvas(page).focus()
    names = set()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
        page.locator(".molfm-point svg").wait_for()
        page.wait_for_timeout(80)
        names.add(page.locator(".molfm-point strong").inner_text())
    assert len(names) >= 3
    assert names <= set(toy.molecules.smiles)
    page.keyboard.press("Enter")
    page.get_by_text("1 selected.").wait_for()
    assert toy.molecules.smiles[shown.selection.molecules[0]] == page.locator(".molfm-point strong").inner_text()
    page.get_by_text("Show the selection as a table").click()
    page.get_by_role("cell", name=toy.molecules.smiles[shown.selection.molecules[0]], exact=True).wait_for()


def test_the_pointer_shows_structure_and_value_of_the_point_under_it(page, shown, toy, live):
    live(shown)
    box = canvas(page).bounding_box()
    page.get_by_role("button", name="Two tasks").click()
    page.get_by_text("38 molecules of toy by two tasks.").wait_for()
    for x in range(70, int(box["width"]) - 20, 6):
        page.mouse.move(box["x"] + x, box["y"] + box["height"] * 0.24)
        if page.locator(".molfm-point").is_visible():
            break
    page.locator(".molfm-point svg").wait_for()
    assert page.locator(".molfm-point p").inner_text().startswith("toy/heavy: ")


def test_without_a_model_and_umap_the_map_says_what_it_shows_and_what_is_missing(page, shown, live, monkeypatch):
    monkeypatch.setattr("molfm.explore.embedding.umap_is_installed", lambda: False)
    live(shown)
    canvas(page)
    page.get_by_text("42 molecules of toy by Morgan fingerprints (no model was given).").wait_for()
    page.get_by_text("For UMAP, install umap-learn.").wait_for()
    assert page.get_by_role("button", name="UMAP").count() == 0


def test_a_view_and_a_selection_that_python_sets_are_shown(page, shown, live):
    asked = live(shown)
    canvas(page)
    before = asked.count("points")
    page.evaluate("model.set('view', { ...model.get('view'), color: ['split', 'test'] })")
    page.get_by_text("points are in test.").wait_for()
    assert asked.count("points") == before
    shown.answer_select([1, 2, 3], add=False)
    page.evaluate("chosen => model.set('chosen', chosen)", shown.chosen)
    page.get_by_text("3 selected.").wait_for()


def test_a_computation_that_failed_is_told_and_asked_again(page, shown, live):
    shown.answer_color = broken
    asked = live(shown)
    page.locator(".molfm-errors").get_by_text("MemoryError: no room").wait_for()
    del shown.answer_color
    page.get_by_label("Colour by").select_option("oxygen")
    page.get_by_text("points are measured.").wait_for()
    assert asked.count("color") == 2


def test_density_keeps_the_mean_shade_and_what_is_selected_covers_the_rest(page):
    page.set_content("<p>empty</p>")
    module = str(EmbeddingMap._esm) + "\nexport { PointPicture };"
    pixels = page.evaluate(
        """async (text) => {
          const { PointPicture, PALETTES } = await import(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })));
          const picture = new PointPicture();
          picture.resize(5, 1);
          picture.paint((t) => [Math.round(252 * t), 0, 0], PALETTES.light);
          // two points on pixel 0 with shades 0 and 42/63, unknown on 1, unknown and known on 2, selected and known on 3, none on 4
          const places = Float32Array.from([0, 0, 0, 0, 1, 0, 2, 0, 2, 0, 3, 0, 3, 0]);
          picture.density({ places, shades: [1, 43, 0, 0, 64, 64, 64], marks: [0, 0, 0, 0, 0, 1, 0], seen: [0, 1, 2, 3, 4, 5, 6],
            ax: 1, bx: 0, ay: 1, by: 0, size: 1 });
          return [[...picture.image.data], PALETTES.light.focus];
        }""",
        module,
    )
    colors = np.array(pixels[0]).reshape(5, 4)
    assert colors[0].tolist() == [84, 0, 0, 255]  # the mean shade, 21/63
    assert colors[2, 0] > 200 and colors[2, 1] < 60
    assert abs(colors[3, :3] - np.array(pixels[1])).max() < 2
    assert colors[1].min() > 200
    assert colors[4].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [1280, 600])
def test_the_static_page_is_accessible_and_shows_structures(page, toy, own_home, tmp_path, scheme, width):
    EmbeddingMap(toy).to_html(tmp_path / "page.html")
    page.context.set_offline(True)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto((tmp_path / "page.html").as_uri())
    canvas(page).focus()
    page.keyboard.press("ArrowRight")
    page.locator(".molfm-point svg").wait_for()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.keyboard.press("Enter")
    page.get_by_text("A saved page cannot select").wait_for()
    shoot(page, f"static-map-{scheme}-{width}")
