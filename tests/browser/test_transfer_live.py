"""TransferExplorer as a reader meets it: with Python answers, as a page with the network off, and in JupyterLab."""

import pytest
from molfm.widgets import TransferExplorer
from pages import SCHEMES, run_cell, save, shoot, violations

import molfm

SETTINGS = {"regimes": ["cotrain", "finetune"], "seeds": 2, "steps": 4, "pretrain_steps": 4, "n_labels": 128}
SETTINGS |= {"hidden_channels": 8, "num_layers": 1}
CODE = f"""import molfm
from molfm.widgets import TransferExplorer
explorer = TransferExplorer("minimix", targets=["logBB"], sources=["xtb", "b3db"], **{SETTINGS})
explorer"""


@pytest.fixture(scope="module")
def study():
    """All ACEA, OT and UPITT assays of ToxCast in one network, hardly trained: real tables in half a minute."""
    targets = [["toxcast/ACEA", "toxcast/OT", "toxcast/UPITT"]]
    return molfm.transfer("minimix", targets, ["qm9_mini"], progress=False, **SETTINGS)


def test_a_reader_finds_sorts_unfolds_and_opens_by_keyboard(page, live, study):
    live(TransferExplorer(study))
    grid = page.get_by_role("grid", name="Targets and sources")
    grid.get_by_role("button", name="OT (").click()
    n = grid.get_by_role("row").count()
    grid.get_by_role("button", name="OT (").click()
    assert grid.get_by_role("row").count() < n
    page.get_by_role("searchbox", name="Find a target").fill("ot_ar")
    names = grid.get_by_role("rowheader")
    assert all("OT_AR" in text for text in names.all_inner_texts())
    page.get_by_label("Sort by").select_option("name")
    assert names.all_inner_texts() == sorted(names.all_inner_texts())
    grid.get_by_role("gridcell").first.get_by_role("button").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("complementary").get_by_role("heading", name="toxcast/OT_AR").or_(
        page.get_by_role("heading", name="OT_AR")
    ).first.wait_for()
    page.get_by_text("trained after qm9_mini").first.wait_for()


def test_the_verdict_by_raw_p_is_switched_in_matrix_and_panel(page, live, study):
    table = study.table[study.table.difference.notna()].copy()
    explorer = TransferExplorer(study)
    live(explorer)
    page.get_by_role("searchbox", name="Find a target").fill(table.target.iloc[0].partition("/")[2])
    cell = page.get_by_role("gridcell").first.get_by_role("button")
    row = table.iloc[0]
    for name, p in (("raw p", row.p), ("corrected p", row.p_adjusted)):
        page.get_by_role("button", name=name).click()
        expected = "cannot tell" if p > 0.05 else "helps" if row.difference > 0 else "hurts"
        assert f": {expected}. " in cell.get_attribute("aria-label")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_saved_page_works_with_the_network_off_and_is_accessible(page, study, tmp_path, scheme):
    explorer = TransferExplorer(study)
    row = next(i for i, row in enumerate(explorer.answer_about()["rows"]) if row["kind"] == "target")
    explorer.answer_cell(row, 0, 0)
    explorer.view = {"open": [row, 0, 0], "unfolded": [0, 1]}
    explorer.to_html(tmp_path / "page.html")
    page.context.set_offline(True)
    page.emulate_media(color_scheme=scheme)
    page.goto((tmp_path / "page.html").as_uri())
    page.get_by_role("img", name="number of labels").or_(
        page.get_by_text("trained on the same labels")
    ).first.wait_for()
    page.get_by_text("Predicted better, and worse").wait_for()
    assert page.locator(".molfm-molecules svg").count() > 3
    page.get_by_role("button", name="raw p").click()
    page.locator(".molfm-cell.tested").last.click()
    page.get_by_text("This saved page has the details of").wait_for()
    assert not page.locator(".molfm-errors p").count()
    assert violations(page) == []
    shoot(page, f"static-TransferExplorer-{scheme}")


def test_a_cell_is_run_survives_a_reload_and_is_written_into_the_notebook_in_jupyterlab(page, minimix, notebook):
    notebook("transfer", [CODE, "1 + 1", "len(explorer.result.table), explorer.errors, explorer.live.runner.failed"])
    refused = page.get_by_role("button", name="logBB, trained together with b3db: refused")
    refused.wait_for(timeout=120_000)
    refused.click()
    page.get_by_text("are one measurement, so neither can be a source for the other").last.wait_for()
    page.get_by_role("button", name="logBB, trained together with xtb: not run").click()
    page.get_by_role("button", name="Run (about").click()
    page.get_by_text("Running b3db/logBB").wait_for()
    assert run_cell(page, 1) == "2"  # the kernel is free
    save(page)
    page.reload(wait_until="domcontentloaded")
    page.locator(".molfm-cell.tested").wait_for(timeout=180_000)
    page.get_by_role("button", name="Write into the notebook").click()
    page.get_by_text("Inserted below this cell").wait_for()
    page.locator(".jp-MarkdownCell p").get_by_text("Adding xtb to the training changed the R²").wait_for()
    shoot(page, "lab-TransferExplorer")
    assert violations(page) == []
    inserted = page.locator(".jp-CodeCell").nth(1)
    inserted.scroll_into_view_if_needed()  # JupyterLab draws only cells in view
    inserted.locator(".cm-line").get_by_text("TransferResult").first.wait_for()
    run_cell(page, 1)
    page.locator(".jp-CodeCell").nth(1).locator(".js-plotly-plot, .plotly-graph-div").first.wait_for(timeout=60_000)
    rows, errors, failed = eval(run_cell(page, 3))
    assert (rows, errors, failed) == (1, [], {})
