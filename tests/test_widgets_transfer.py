"""TransferExplorer's Python half: what it opens, what it answers, what it runs and what it writes."""

import json

import numpy as np
import pandas as pd
import pytest
from molfm.widgets import TransferExplorer
from molfm.widgets.shared import packed
from test_transfer import FEW, _in_this_process, two_datasets  # noqa: F401  # fixtures

import molfm

ASKED = {"sources": ["help", "other"], "regimes": ["cotrain", "finetune"], "n_labels": [15, 30], **FEW}
CELL = {"row": 0, "column": 0, "count": 1}


@pytest.fixture(scope="module")
def study(two_datasets):  # noqa: F811
    return molfm.transfer(two_datasets, ["activity"], **ASKED)


@pytest.fixture
def explorer(study):
    return TransferExplorer(study)


def answer(explorer, ask, **args):
    """Ask until the answer is complete; it must be plain values and arrays."""
    while not (found := getattr(explorer, f"answer_{ask}")(**args)).get("done", True):
        pass
    json.dumps(packed(found, []), allow_nan=False)
    return found


def test_a_finished_study_needs_no_plan_and_shows_every_comparison(explorer, study):
    about, blocks = answer(explorer, "about"), answer(explorer, "blocks")
    assert [(of["source"], of["regime"]) for of in about["columns"]] == [
        (source, regime) for source in ("help", "other") for regime in ("cotrain", "finetune")
    ]
    assert (blocks["blocks"], blocks["busy"]) == ([], False)
    for count in (0, 1):
        found = answer(explorer, "matrix", count=count)
        assert found["state"].tolist() == [[1] * 4]
        row = study.table[study.table.n_labels == about["counts"][count]]
        np.testing.assert_allclose(found["difference"][0], row.difference, rtol=1e-6)


def test_a_cell_opens_into_its_evidence(explorer, study):
    cell = answer(explorer, "cell", **CELL)
    assert cell["answer"].startswith("Adding help to the training changed the R² of aim/activity by ")
    mine = study.by_seed.query("source == 'help' & regime == 'cotrain' & n_labels == 30").difference
    np.testing.assert_allclose(cell["pairs"]["value"] - cell["pairs"]["baseline"], mine, rtol=1e-4)
    assert [of["seeds"] for of in answer(explorer, "history", **CELL)["steps"]] == [2]
    curves = answer(explorer, "curves", **CELL)
    assert len(curves["alonevalue"]) == len(curves["othervalue"]) > 0
    assert curves["cosines"] == []
    efficiency = answer(explorer, "efficiency", **CELL)
    assert [of["n"] for of in efficiency["rows"]] == [15, 30]
    assert {len(points) for points in efficiency["simple"].values()} == {2}
    assert len(efficiency["simple"]) == 2
    molecules = answer(explorer, "molecules", **CELL)
    assert molecules["rows"][0]["gain"] >= molecules["rows"][-1]["gain"]
    answer(explorer, "select", molecules=[of["molecule"] for of in molecules["rows"]])
    assert set(explorer.selection.molecules) == {of["molecule"] for of in molecules["rows"]}


def test_a_mix_is_filled_cell_by_cell_and_refusals_are_explained(two_datasets, study):  # noqa: F811
    explorer = TransferExplorer(
        two_datasets, targets=["activity"], **ASKED | {"sources": ["help", "aim"], "n_labels": 20}
    )
    while (found := answer(explorer, "blocks"))["busy"]:
        pass
    states = {(of["column"], of["state"]) for of in found["blocks"]}
    assert states == {(0, "open"), (1, "open"), (2, "refused"), (3, "refused")}
    assert all("one measurement" in of["why"] for of in found["blocks"] if of["state"] == "refused")
    assert all(of["seconds"] > 0 for of in found["blocks"] if of["state"] == "open")
    assert answer(explorer, "matrix", count=0)["state"].tolist() == [[0, 0, 0, 0]]
    with pytest.raises(ValueError, match="has not been run"):
        explorer.answer_cell(0, 0, 0)
    answer(explorer, "run", blocks=[of["block"] for of in found["blocks"] if of["column"] == 0])
    while answer(explorer, "blocks")["busy"]:
        pass
    assert answer(explorer, "matrix", count=0)["state"].tolist() == [[1, 0, 0, 0]]
    assert len(explorer.result.table) == 1
    names: dict = {}
    exec(explorer.code, names)  # without an open cell: the whole study
    pd.testing.assert_frame_equal(names["result"].table, explorer.result.table)


def test_further_numbers_of_labels_are_planned_on_request(explorer):
    found = answer(explorer, "measure", row=0, counts=[10])
    assert explorer.live.counts == [15, 30, 10]
    assert {of["count"] for of in found["blocks"]} == {2}
    assert len(found["blocks"]) == 4


def test_the_code_of_a_comparison_makes_its_figure(explorer, study, monkeypatch):
    explorer.view = {"open": [0, 1, 0]}
    assert "aim/activity" in explorer.text
    assert "cannot tell" in explorer.text or "clear" in explorer.text or "no visible" in explorer.text
    written = answer(explorer, "write", **CELL)
    names = {}
    monkeypatch.setattr(
        molfm, "transfer", lambda data, **asked: study
    )  # the code of a mix narrowed by hand has no name
    *lines, last = written["code"].splitlines()
    exec("\n".join(lines) + f"\nfigure = {last}", names)
    shown = names["figure"].data[0].x[0]
    assert shown == pytest.approx(
        study.table.query("source == 'help' & regime == 'cotrain' & n_labels == 30").difference.iloc[0]
    )
    assert explorer.figure().data[0].x[0] == pytest.approx(
        study.table.query("regime == 'finetune' & n_labels == 15").difference.iloc[0]
    )


def test_a_saved_study_opens_from_its_folder(study, tmp_path):
    study.save(tmp_path)
    explorer = TransferExplorer(tmp_path)
    pd.testing.assert_frame_equal(explorer.result.table, study.table)
    assert explorer.live.complete()


def test_means_come_before_their_families_and_targets(two_datasets):  # noqa: F811
    group = [["activity", "active", "single"]]
    mixed = molfm.transfer(two_datasets, group, ["help"], ["cotrain"], n_labels=30, **FEW)
    explorer = TransferExplorer(mixed)
    assert [row["kind"] for row in answer(explorer, "about")["rows"]] == ["network", "target", "target", "target"]
    states = answer(explorer, "matrix", count=0)["state"][:, 0].tolist()
    assert states == [0, 1, 1, 2]  # their metrics differ, so they have no mean; the last is undefined


def test_a_mean_that_is_computed_later_can_be_opened(two_datasets, monkeypatch):  # noqa: F811
    mixed = molfm.transfer(two_datasets, [["activity", "active"]], ["help"], ["cotrain"], n_labels=30, **FEW)
    mean = mixed.table.iloc[[0]].assign(target="mean of 2 tasks of aim", n_targets=2, spread=0.1, n_labels=60)
    mean["members"] = [(("aim/activity", 30), ("aim/active", 30))]
    explorer = TransferExplorer(mixed)  # the targets' metrics differ, so the mean is made up here
    monkeypatch.setattr(explorer.live.soon, "get", lambda *_: None)
    assert answer(explorer, "matrix", count=0)["state"][:, 0].tolist() == [0, 1, 1]
    monkeypatch.setattr(explorer.live.soon, "get", lambda *_: (mean, mean[:0]))
    assert answer(explorer, "matrix", count=0)["state"][:, 0].tolist() == [1, 1, 1]
    assert "mean R² of 2 tasks of aim" in answer(explorer, "cell", row=0, column=0, count=0)["answer"]


def test_wrong_arguments_say_what_to_do(two_datasets, study):  # noqa: F811
    with pytest.raises(ValueError, match=r"needs targets and sources, as molfm\.transfer does"):
        TransferExplorer(two_datasets)
    with pytest.raises(
        TypeError, match=r"expected the result of molfm\.transfer, its saved folder, or a mix, found int"
    ):
        TransferExplorer(3)
    with pytest.raises(TypeError, match="hidden_chanels"):
        TransferExplorer(two_datasets, targets=["activity"], sources=["help"], hidden_chanels=3)


def test_little_is_synced_and_a_saved_notebook_shows_a_table(explorer):
    synced = {name for name in explorer.traits(sync=True) if not name.startswith("_")}
    assert synced == {"view", "chosen", "layout", "tabbable", "tooltip"}
    assert "aim/activity" in explorer.sketch()


def test_the_static_page_contains_the_matrix_every_verdict_and_what_was_opened(explorer):
    answer(explorer, "cell", **CELL)
    asked = list(explorer.questions())
    names = [ask for ask, _ in asked]
    assert names[:4] == ["about", "matrix", "matrix", "blocks"]
    assert names.count("cell") == 8
    assert [args for ask, args in asked if ask == "molecules"] == [CELL]
