"""The training lab's Python half: its recipe, what it answers about runs, what it refuses."""

import json
import os
import re
import signal
import time

import numpy as np
import pandas as pd
import pytest
from molfm.widgets import LabelAtlas, Selection, TrainingLab, link
from molfm.widgets.shared import packed

import molfm
from molfm.training import queue

SMALL = {"steps": 4, "batch": 8, "hidden_channels": 8, "num_layers": 1}


@pytest.fixture
def lab(toy, own_home):
    lab = TrainingLab(toy)
    lab.recipe = lab.recipe | SMALL | {"tasks": [task.id for task in toy.chosen], "labels": None}
    return lab


@pytest.fixture
def trained(lab):
    """A lab with a finished run."""
    lab.start().wait(180)
    return lab


def answered(lab, ask, **args):
    """Return an answer as it goes to the browser: JSON and buffers."""
    buffers = []
    answer = packed(lab._answer(ask, args), buffers)
    json.dumps(answer, allow_nan=False)
    return answer, buffers


def test_a_lab_trains_what_its_recipe_says_and_gives_the_results_back(trained, toy):
    run = trained.run
    assert run.status["state"] == "finished"
    assert run.config["batch_size"] == {"toy": 8}
    assert run.config["pinned"] == list(trained.pinned.values())
    assert trained.runs[-1].folder == run.folder
    pd.testing.assert_frame_equal(trained.results, run.results)
    assert trained.model.tasks.task.tolist() == toy.tasks.task.tolist()
    assert TrainingLab(toy).run.folder == run.folder  # as after a restart of the kernel


def test_runs_of_other_mixes_are_not_shown(trained, make_card):
    table = pd.DataFrame({"smiles": ["CO", "CC", "CCC", "CCO"], "y": [1.0, 2.0, 3.0, 4.0]})
    assert TrainingLab(molfm.load(make_card("other", table, {"y": {}}), progress=False)).runs == []


def test_before_the_first_run_the_lab_says_what_to_do(lab):
    assert lab.run is None
    for name in ("results", "model"):
        with pytest.raises(ValueError, match=r"no run yet: start one with the button Start, or with lab.start\(\)"):
            getattr(lab, name)
    answer, _ = answered(lab, "poll", focus="toy/heavy", shown=[])
    assert answer == {"runs": [], "curves": {}}


def test_a_plan_has_cost_and_code_or_says_what_is_wrong(lab):
    recipe = lab.recipe
    while (plan := lab.answer_plan(recipe)).get("measuring"):
        time.sleep(0.2)
    assert plan["problem"] == ""
    assert plan["parameters"] > 100
    assert plan["seconds"] > 1
    assert plan["passes"] == pytest.approx(4 * 8 / len(lab.data.members("train", ["toy"])))
    assert "molfm.start(" in plan["code"] and "hidden_channels=8" in plan["code"]
    assert plan["command"].startswith("molfm train ")
    assert lab.code == plan["code"]
    assert "at least one task" in lab.answer_plan(recipe | {"tasks": []})["problem"]
    assert "were asked for" in lab.answer_plan(recipe | {"labels": 10**6})["problem"]


def test_a_poll_has_the_runs_and_their_curves(trained):
    name = trained.run.folder.name
    answer, buffers = answered(trained, "poll", focus="toy/heavy", shown=[name])
    [row] = answer["runs"]
    assert (row["name"], row["state"], row["step"], row["total"], row["learned"]) == (name, "finished", 4, 4, "toy")
    curves = answer["curves"][name]
    steps = np.frombuffer(buffers[curves["steps"]["$buffer"]], np.int32)
    assert steps.tolist() == trained.run.metrics.step.tolist() == curves["snapshots"]
    assert set(curves["tiles"]) == {"toy/heavy", "toy/oxygen", "toy/element", "toy/order"}
    deadline = time.monotonic() + 60
    while curves["reference"].get("pending") and time.monotonic() < deadline:
        time.sleep(0.2)
        curves = answered(trained, "poll", focus="toy/heavy", shown=[name])[0]["curves"][name]
    assert curves["reference"]["mean"] <= 0.01  # the training mean explains nothing


def test_what_a_run_predicts_is_shown_with_pinned_molecules_and_errors(trained, toy):
    name = trained.run.folder.name
    answer, buffers = answered(trained, "watch", run=name, step=4, focus="toy/heavy")
    measured, preds = (np.frombuffer(buffers[answer[key]["$buffer"]], np.float32) for key in ("measured", "preds"))
    val = np.frombuffer(buffers[answer["val"]["$buffer"]], np.uint8) == 1
    assert [pinned["name"] for pinned in answer["pinned"]] == list(trained.pinned)
    assert all(pinned["svg"].startswith("<svg") and pinned["value"] is not None for pinned in answer["pinned"])
    errors = [abs(row["measured"] - row["predicted"]) for row in answer["worst"]]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(np.abs(preds - measured)[val].max())
    empty, _ = answered(trained, "watch", run=name, step=4, focus="toy/heavy")
    assert empty["scale"]["node"]["task"] == "toy/element"


def test_a_fork_starts_from_the_weights_of_a_run_and_settings_can_be_compared(trained):
    name = trained.run.folder.name
    fork = trained.answer_fork(name)["recipe"]
    assert fork["start_from"] == name
    assert trained.answer_recipe(name)["recipe"] | {"start_from": name} == fork
    trained.recipe = fork | {"steps": 2}
    run = trained.start().wait(180)
    assert trained.answer_recipe(run.folder.name)["recipe"]["start_from"] == name
    rows = {row[0]: row[1:] for row in trained.answer_compare([name, run.folder.name])["rows"]}
    assert rows["steps"] == ["4", "2"]
    assert "seed" not in rows


def test_a_run_is_stopped_and_resumed_and_a_killed_one_says_why(lab):
    lab.recipe = lab.recipe | {"steps": 4000}
    run = lab.start()
    while run.status["step"] < 2:
        time.sleep(0.1)
    start = time.monotonic()
    lab.answer_stop(run.folder.name)
    while run.status["state"] == "running":
        time.sleep(0.05)
    assert time.monotonic() - start < 4  # 2 s on an idle machine
    assert run.status["state"] == "stopped"
    lab.answer_resume(run.folder.name)
    while run.status["state"] != "running":
        time.sleep(0.1)
    os.kill(run.status["pid"], signal.SIGKILL)
    while run.status["state"] == "running":
        time.sleep(0.1)
    [row] = lab.answer_poll(None, [])["runs"]
    assert row["state"] == "died"
    assert "it was killed" in row["error"]


def test_queued_runs_of_a_lab_start_by_themselves(lab, monkeypatch):
    monkeypatch.setattr(queue.os, "cpu_count", lambda: 1)
    first, second = lab.start(), lab.start()
    assert second.status["state"] == "queued"
    first.wait(180)
    deadline = time.monotonic() + 60
    while second.status["state"] != "finished" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert second.status["state"] == "finished"


def test_molecules_that_are_selected_in_the_lab_are_selected_in_linked_widgets(lab, toy):
    atlas = LabelAtlas(toy)
    link(lab, atlas)
    lab.answer_select([3, 1])
    assert atlas.selection.molecules.tolist() == [1, 3]
    atlas.answer_undo()
    assert len(lab.selection) == len(atlas.selection) == 0


def test_widgets_of_different_mixes_are_not_linked(toy, make_card):
    table = pd.DataFrame({"smiles": ["CO", "CC"], "y": [1.0, 2.0]})
    other = molfm.load(make_card("two", table, {"y": {}}), progress=False)
    with pytest.raises(ValueError, match="Expected widgets of one mix"):
        link(LabelAtlas(toy), LabelAtlas(other))


def test_a_change_of_the_selection_can_be_undone_step_by_step(toy):
    atlas = LabelAtlas(toy)
    for molecules in ([1], [1, 2], [5]):
        atlas.selection = Selection(molecules)
    seen = []
    for _ in range(4):
        atlas.answer_undo()
        seen.append(atlas.selection.molecules.tolist())
    assert seen == [[1, 2], [1], [], []]


def test_what_cannot_be_trained_is_refused(toy):
    with pytest.raises(ValueError, match=r"pinned: .*found the SMILES 'junk', which is invalid"):
        TrainingLab(toy, pinned={"x": "junk"})
    with pytest.raises(TypeError, match=r"TrainingLab has no setting 'dat'. Did you mean 'data'\?"):
        TrainingLab(dat=toy)


def test_a_saved_lab_has_the_curves_and_needs_nothing_else(trained, tmp_path):
    page = trained.to_html(tmp_path / "lab.html").read_text("utf-8")
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?https?:""", page)
    assert trained.run.folder.name in page
    assert "finished" in trained.sketch()
