"""A study that is filled comparison by comparison: its blocks, its background runs, its matrix and its evidence."""

from threading import Event
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from test_transfer import FEW, _in_this_process, two_datasets  # noqa: F401  # fixtures

import molfm
from molfm.study import grid as grid_module
from molfm.study import jobs
from molfm.study.comparison import joined
from molfm.study.evidence import arm_folders, changed_molecules, curves, labels_worth
from molfm.study.grid import Block, Runner, StudyGrid
from molfm.study.live import LiveStudy, Soon
from molfm.study.matrix import TESTED, UNDEFINED, Matrix, rows_of
from molfm.study.wording import history

ASKED = {"targets": ["activity"], "sources": ["help", "other"], "regimes": ["cotrain"], "n_labels": [15, 30], **FEW}
KEYS = ["target", "source", "regime", "n_labels"]


@pytest.fixture(scope="module")
def study(two_datasets):  # noqa: F811
    return molfm.transfer(two_datasets, **ASKED | {"seeds": 3})


def test_the_first_pairs_of_a_longer_study_give_the_study_with_fewer_seeds(two_datasets, study):  # noqa: F811
    short, (table, _, _) = molfm.transfer(two_datasets, **ASKED), study.after(2)
    pd.testing.assert_frame_equal(table, short.table, rtol=1e-9)
    pd.testing.assert_frame_equal(study.after(3)[0], study.table, rtol=1e-9)


def test_blocks_give_what_the_whole_study_gives(two_datasets):  # noqa: F811
    whole, grid = molfm.transfer(two_datasets, **ASKED), StudyGrid(two_datasets, **ASKED)
    blocks = [block for count in grid.counts for block in grid.plan(grid.groups[0], count)]
    assert [block.done for block in blocks] == [1] * 4
    result = joined([grid.result([block]) for block in blocks])
    order = {tuple(row): place for place, row in enumerate(whole.table[KEYS].to_numpy().tolist())}
    table = result.table.sort_values(
        "target", key=lambda _: [order[tuple(row)] for row in result.table[KEYS].to_numpy()]
    )
    pd.testing.assert_frame_equal(table.reset_index(drop=True), whole.table)
    assert set(result.runs.folder) == set(whole.runs.folder)


def test_a_refused_block_says_why_and_cannot_be_started(two_datasets):  # noqa: F811
    live = LiveStudy(two_datasets, ASKED | {"sources": ["help", "aim"], "n_labels": 30})
    while not live.planned():
        pass
    [refused] = [block for block in live.blocks if block.refused]
    assert (refused.source, refused.regime) == ("aim", "cotrain")
    assert "one measurement" in refused.refused
    with pytest.raises(ValueError, match="one measurement"):
        live.start(refused)


def test_a_live_study_runs_a_block_and_adds_its_comparison(two_datasets):  # noqa: F811
    live = LiveStudy(two_datasets, ASKED | {"n_labels": 25})
    while not live.planned():
        pass
    assert live.result is None
    assert live.left(25) > 0
    live.start(live.blocks[1])
    live.runner.wait(120)
    while live.update():
        pass
    assert live.result.table[KEYS].to_numpy().tolist() == [["aim/activity", "other", "cotrain", 25]]
    assert live.seconds(live.blocks[0]) > live.seconds(live.blocks[1]) == 0
    again = molfm.TransferResult.load(live.saved())
    pd.testing.assert_frame_equal(again.table, live.result.table)


def test_a_failure_is_kept_with_its_message_and_a_stop_empties_the_queue(monkeypatch):
    began, blocks = Event(), [Block((name,), "source", "cotrain", None, jobs={name: None}) for name in "abc"]

    def run_all(jobs, progress, stop):
        if "a" in jobs:
            raise MemoryError("no room")
        began.set()
        while not stop():
            pass

    monkeypatch.setattr(grid_module, "run_all", run_all)
    runner = Runner()
    for block in blocks:
        runner.start(block)
    assert began.wait(10)
    assert runner.failed == {blocks[0]: "MemoryError: no room"}
    assert runner.queue == tuple(blocks[1:])
    runner.stop()
    runner.wait(10)
    assert runner.queue == ()


def test_runs_that_are_stopped_end_before_the_rest_is_trained(toy, own_home):
    job = jobs.Job("never", toy, {"steps": 4, "batch_size": {"toy": 8}})
    jobs.run_all({"never": job}, progress=False, stop=lambda: True)
    assert jobs.share_done({"never": job}) == 0


def test_the_estimate_follows_what_finished_runs_took(toy, own_home):
    settings = {"steps": 4, "batch_size": {"toy": 8}, "hidden_channels": 8, "num_layers": 1}
    rough = jobs.seconds_of({"transfer/b": jobs.Job("transfer/b", toy, settings | {"steps": 4000})})
    molfm.train(toy, name="transfer/a", progress=False, **settings)
    assert jobs.seconds_of({"transfer/a": jobs.Job("transfer/a", toy, settings)}) == 0
    measured = jobs.seconds_of({"transfer/b": jobs.Job("transfer/b", toy, settings | {"steps": 4000})})
    assert measured != rough
    assert measured > 4000 * jobs._pace((8, 1)) / jobs.os.cpu_count()


def test_an_answer_that_takes_long_is_computed_once_and_an_error_is_tried_again():
    soon, go, calls = Soon(), Event(), []

    def slow():
        calls.append(1)
        go.wait(10)
        if len(calls) == 1:
            raise ValueError("once")
        return "found"

    assert soon.get("a", slow, 0.01) is None
    assert soon.get("a", slow, 0.01) is None
    go.set()
    with pytest.raises(ValueError, match="once"):
        soon.get("a", slow, 10)
    assert soon.get("a", slow, 10) == "found"
    assert len(calls) == 2


# ------------------------------------------------------------------------------------------------------------ the matrix


def test_rows_put_means_before_families_and_families_before_targets():
    task = lambda name, family: SimpleNamespace(id=f"d/{name}", name=name, dataset="d", family=family)  # noqa: E731
    tasks = {of.id: of for of in (task("a", "X"), task("b", "Y"), task("c", "X"), task("z", None))}
    rows = rows_of(SimpleNamespace(task=tasks.get), [list(tasks), ["d/z"]])
    found = [(row.label, row.kind, row.depth, row.parent) for row in rows]
    assert found == [
        ("4 tasks of d", "network", 0, -1),
        ("X", "family", 1, 0),
        *(("a", "target", 2, 1), ("c", "target", 2, 1), ("b", "target", 1, 0), ("z", "target", 1, 0)),
        ("d/z", "target", 0, -1),
    ]


def test_every_comparison_stands_in_its_cell(study):
    rows = rows_of(study.mix, [("aim/activity",), ("aim/single",)])
    matrix = Matrix(study.mix, rows, [("help", "cotrain"), ("other", "cotrain")], (15, 30))
    for count, n in enumerate((15, 30)):
        found = matrix.arrays([study.table], count)
        expected = study.table[study.table.n_labels == n].difference.to_numpy()
        np.testing.assert_allclose(found["difference"][0], expected, rtol=1e-6)
        assert found["state"].tolist() == [[TESTED, TESTED], [0, 0]]
    undefined = study.table.assign(target="aim/single", verdict="undefined: only class 0")
    found = matrix.arrays([undefined], 0)
    assert found["state"][1].tolist() == [UNDEFINED, UNDEFINED]
    assert found["reasons"][found["reason"][1, 0]] == "undefined: only class 0"


# ---------------------------------------------------------------------------------------------------------- the evidence


def worth(n, gain, verdict="helps", counts=(100, 200, 400), alone=(0.5, 0.6, 0.7), metric="auroc"):
    row = SimpleNamespace(
        metric=metric, n_labels=n, baseline=alone[counts.index(n)], difference=gain, low=gain - 0.05, high=gain + 0.05
    )
    row.verdict = verdict
    return labels_worth(counts, alone, row)


def test_a_source_is_worth_the_labels_that_give_the_target_alone_as_much():
    assert worth(100, 0.1)[:3] == pytest.approx((100, 100 * (2**0.5 - 1), 100 * (2**1.5 - 1)))
    of_an_error = worth(100, -0.1, alone=(0.7, 0.6, 0.5), metric="mae")  # less is better
    assert of_an_error[:3] == pytest.approx(worth(100, 0.1)[:3])
    assert worth(200, 0.06).high != worth(200, 0.06).high  # beyond what was measured: not a number


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((100, 0.1, "cannot tell"), "cannot be told from 0"),
        ((100, 0.1, "hurts"), "does not help"),
        ((400, 0.1), "nothing was measured with more than 400"),
        ((100, 0.4), "more than 300 labels"),
        ((100, 0.1, "helps", (100,), (0.5,)), "one number of labels only"),
        ((100, 0.1, "helps", (100, 200), (0.5, 0.4)), "not better"),
    ],
)
def test_what_cannot_be_said_about_its_worth_has_a_reason(given, why):
    found = worth(*given)
    assert why in found.why
    assert np.isnan(found.labels)


def test_molecules_that_gained_add_up_to_the_change_of_the_error(study):
    alone, other = arm_folders(study, "aim/activity", "help", "cotrain", 30)
    found = changed_molecules(study, "aim/activity", alone, other)
    assert found.gain.is_monotonic_decreasing
    errors = []
    for folders in (alone, other):
        tables = [molfm.Run(folder).predictions() for folder in folders]
        tables = [of[(of.split == "test") & (of.task == "aim/activity")] for of in tables]
        errors.append(np.mean([(of.preds - of.measured).abs().mean() for of in tables]))
    assert found.gain.mean() == pytest.approx(errors[0] - errors[1], rel=1e-4)
    assert len(curves(study, ["aim/activity"], alone).seed.unique()) == 3


def test_ranks_of_molecules_average_to_the_change_of_the_auroc(two_datasets):  # noqa: F811
    result = molfm.transfer(two_datasets, ["active"], ["help"], ["cotrain"], n_labels=30, **FEW)
    row = result.table.iloc[0]
    found = changed_molecules(result, "aim/active", *arm_folders(result, "aim/active", "help", "cotrain", 30))
    for kind in (0, 1):
        assert found.gain[found.measured == kind].mean() == pytest.approx(row.difference)


def test_a_verdict_that_flipped_is_told_by_number_of_pairs():
    assert history({2: "cannot tell", 3: "cannot tell", 4: "helps"}) == (
        "By number of pairs, the study would have said “cannot tell” with 2 to 3 and “helps” with 4."
    )
    assert (
        history({2: "helps", 3: "helps"}) == "With any number of pairs from 2 to 3, the study would have said “helps”."
    )
    assert history({2: "helps"}) == ""
