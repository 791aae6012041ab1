import json

import numpy as np
import pandas as pd
import pytest

import molfm
from molfm.base.colors import ELEMENTS
from molfm.chem.drawing import atom_values, molecule_grid
from molfm.plots.data import label_coverage, label_picture
from molfm.plots.predictions import atom_agreement
from molfm.plots.runs import conflict_matrix, gradient_agreement, validation_losses
from molfm.plots.style import QUIET
from molfm.training.curves import head_cosines, loss_curves, mean_cosines


def test_drawn_molecules_are_svg_with_escaped_captions():
    page = molecule_grid(["CCO", "c1ccccc1"], ["<b>1</b>", "2"])
    assert page.count("<svg") == 2
    assert "&lt;b&gt;1" in page and "<b>1" not in page
    assert "<?xml" not in page


def test_atom_values_marks_every_measured_atom():
    page = atom_values("CCO", [0.5, np.nan, -1.0], "e")
    assert page.count("<ellipse") == 2  # the unmeasured atom has no colour
    assert "<span>−1.00</span>" in page and "<span>1.00 e</span>" in page  # the ends of the colour bar
    with pytest.raises(ValueError, match="2 values for 3 atoms of CCO"):
        atom_values("CCO", [1.0, 2.0])


def test_the_figure_of_an_audit_shows_test_molecules_in_training_and_rejected_rows(make_card):
    frame = pd.DataFrame({"smiles": ["CO", "OC", "CC", "nonsense"], "y": [0.0, 1.0, 1.0, 1.0]})
    (folder := make_card("twice", frame, {"y": {"kind": "binary"}})).with_name("twice_random_splits.json").write_text(
        '{"train": [0], "val": [2], "test": [1, 3]}'
    )
    card = folder.read_text().replace(
        "file:twice.parquet", "file:twice.parquet\n  splits: file:twice_random_splits.json"
    )
    folder.write_text(card)
    figure = molfm.load(folder, split="official", progress=False).audit().figure()
    shown = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data}
    assert shown["test molecules in train"] == {"twice test in training of twice": 100}
    assert shown["rejected rows"] == {"twice": 25}
    assert shown["contradicting rows"] == {"twice": 100}


def some_tasks(n):
    facts = {"dataset": "d", "level": "graph", "kind": "binary", "domain": "biological"}
    table = pd.DataFrame({"task": [f"d/t{i}" for i in range(n)], **facts, "n_val": 5, "n_test": 9})
    return table.assign(family=["F" if i % 2 else "G" for i in range(n)], n_train=np.arange(n) + 10)


def test_label_coverage_has_one_row_per_task_or_if_they_are_many_per_family():
    assert [len(trace.y) for trace in label_coverage(some_tasks(8)).data] == [8, 8, 8]
    used = pd.DataFrame({"target": ["d/t0", "d/t2", "d/t4"], "n_labels": [3, 3, 5]})
    train, _, _, stars = label_coverage(some_tasks(60), used).data
    assert list(train.y) == ["d/G (30)", "d/F (30)"]
    assert list(train.x) == [39, 40]  # medians of 10, 12, … 68 and 11, 13, … 69
    assert list(train.x - train.error_x.arrayminus) == [10, 11]
    assert list(train.x + train.error_x.array) == [68, 69]
    assert (list(stars.y), list(stars.x)) == (["d/G (30)"] * 2, [3, 5])


def test_the_picture_of_labels_colours_only_what_is_measured():
    shares = np.array([[1.0, 0.0], [0.5, 0.25]])
    tasks = some_tasks(2).assign(domain=["quantum", "biological"])
    [picture] = [trace for trace in label_picture(shares, tasks, "Who?").data if trace.type == "heatmap"]
    assert np.isnan(picture.z[0][1])
    assert np.nan_to_num(picture.z).tolist() == [[0.99, 0], [0.5, 1.25]]


@pytest.fixture
def write_metrics(tmp_path):
    """A function that writes the metrics of one run per seed, given as lines, and returns the run folders."""

    def write(*seeds):
        for seed, lines in enumerate(seeds):
            (folder := tmp_path / str(seed)).mkdir()
            (folder / "config.json").write_text("{}")
            lines = [json.dumps({"step": step, **line}) for step, line in enumerate(lines)]
            (folder / "metrics.jsonl").write_text("\n".join(lines))
        folders = [str(tmp_path / str(seed)) for seed in range(len(seeds))]
        return folders

    return write


def test_the_conflict_matrix_shows_means_over_training_and_seeds_with_their_spread(write_metrics):
    ab, bc = "cosine my aim/graph help/node", "cosine help/node help/edge"
    runs = write_metrics([{ab: 0.1, bc: -1.0}, {ab: 0.3, bc: -0.5}], [{ab: 0.6}, {ab: 0.2, bc: -0.25}])
    figure = conflict_matrix(mean_cosines(runs), "with help")
    [cells] = figure.data
    heads = ["my aim/graph", "help/node", "help/edge"]
    assert list(cells.x) == list(cells.y) == heads
    expected = [[np.nan, 0.3, np.nan], [0.3, np.nan, -0.5], [np.nan, -0.5, np.nan]]
    np.testing.assert_allclose(cells.z, expected)
    assert cells.text.tolist() == [["", "+0.30", ""], ["+0.30", "", "−0.50"], ["", "−0.50", ""]]
    assert cells.customdata[0][1] == "+0.300, standard deviation 0.141 over 2 seeds"
    assert (cells.zmin, cells.zmax) == (-1, 1)
    assert [line.name for line in gradient_agreement(head_cosines(runs), "with help").data] == [
        "my aim/graph and help/node",
        "help/node and help/edge",
    ]


@pytest.mark.parametrize("n_tasks", [3, 13])
def test_the_conflict_matrix_shows_tasks_if_their_cosines_were_recorded(write_metrics, n_tasks):
    tasks = [f"my aim/{i} of them" for i in range(n_tasks)]
    values = {f"task cosine {a}\t{b}": -0.04 * j for i, a in enumerate(tasks) for j, b in enumerate(tasks) if i < j}
    runs = write_metrics(*[[{"cosine my aim/graph help/node": 0.5} | values]] * 2)
    [cells] = conflict_matrix(mean_cosines(runs), "with help").data
    assert list(cells.x) == list(cells.y) == tasks
    assert cells.z[0][2] == cells.z[2][0] == pytest.approx(-0.08)
    assert cells.text[0][2] == ("−0.08" if n_tasks == 3 else "−.1")
    assert cells.text[0][1] == ("−0.04" if n_tasks == 3 else "0")
    assert [line.name for line in gradient_agreement(head_cosines(runs), "with help").data] == [
        "my aim/graph and help/node"
    ]


@pytest.mark.parametrize(("n_tasks", "shown"), [(12, [f"help/{i}" for i in range(12)]), (13, ["help/graph"])])
def test_losses_are_shown_per_task_or_per_head_for_more_than_a_dozen_tasks(write_metrics, n_tasks, shown):
    line = {"val_loss": 9.0, "val_loss help/graph": 2.0, "help/0/r2": 0.5} | {
        f"help/{i}/loss": 2.0 for i in range(n_tasks)
    }
    lines = validation_losses(
        loss_curves(write_metrics([line, line], [line | dict.fromkeys(line, 4.0)] * 2)), "with help"
    ).data
    assert [line.name for line in lines] == shown
    assert lines[-1].x.tolist() == [0, 1] and lines[-1].y.tolist() == [3, 3]
    assert len({(line.line.color, line.marker.symbol) for line in lines}) == len(shown)


def test_atoms_have_the_usual_colours_of_their_elements():
    table = pd.DataFrame({"element": ["C", "N", "O", "Se"], "smiles": "C", "a": 0.0, "b": [-0.1, 0, 0.1, 0.2]})
    colors = {trace.name: trace.marker.color for trace in atom_agreement(table, "a", "b").data if trace.name}
    assert colors == {"C": ELEMENTS[6], "N": ELEMENTS[7], "O": ELEMENTS[8], "Se": QUIET}
