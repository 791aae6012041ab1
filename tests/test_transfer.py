import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import loky
import numpy as np
import pandas as pd
import pytest

import molfm
from molfm.app.terminal import show_transfer
from molfm.base.names import minus
from molfm.data.splits import SPLITS
from molfm.nn.checkpoints import body_hash
from molfm.plots.predictions import predicted_against_measured
from molfm.plots.runs import gradient_agreement, learning_curves, validation_losses
from molfm.plots.transfer import transfer_differences, transfer_matrix
from molfm.study import pairs, plan, report, simple_models, sources
from molfm.study.wording import finding, findings
from molfm.training.curves import head_cosines, loss_curves


class InThisProcess:
    """An executor without processes, because processes take seconds to start; `test_jobs.py` tests the pool itself."""

    def __init__(self, *_, **__):
        pass

    def submit(self, function, *args):
        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **_):
        pass


@pytest.fixture(scope="module", autouse=True)
def _in_this_process():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loky, "ProcessPoolExecutor", InThisProcess)
        yield


@pytest.fixture(scope="module")
def two_datasets(tmp_path_factory):
    """A target dataset and three source datasets that share some molecules; the task `active` repeats `activity`."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    chains = [
        f"{'C' * a}{x}{'C' * b}" for a in range(1, 9) for b in range(1, 9) for x in ("O", "N", "S", "C(=O)", "C(F)")
    ]
    size = np.array([len(s) for s in chains], float)
    target = pd.DataFrame(
        {"smiles": chains, "activity": size + rng.normal(0, 0.1, len(chains)), "active": size > size.mean()}
    )
    target["active"] = target.active.astype(float)
    target["single"] = 0.0
    source = pd.DataFrame({"smiles": chains[::2], "weight": size[::2] * 2})
    other = pd.DataFrame({"smiles": chains[::3], "noise": rng.normal(size=len(chains[::3]))})
    for name in ("other", "wide"):
        other.to_csv(folder / f"{name}.csv", index=False)
    target.to_csv(folder / "aim.csv", index=False)
    source.to_csv(folder / "help.csv", index=False)
    facts = "source: {n}.csv"
    cards = {
        "aim": "activity: {unit: u, domain: biological}\n  active: {kind: binary, domain: biological, same_as: activity}\n  single: {kind: binary}",
        "help": "weight: {unit: Da, domain: quantum}",
        "other": "noise: {}",
        "wide": "noise: {}",
    }
    for name, tasks in cards.items():
        # `wide` trains on molecules that other datasets test on.
        fractions = "[0.9, 0.05, 0.05]" if name == "wide" else "[0.6, 0.2, 0.2]"
        text = f"---\nname: {name}\nfractions: {fractions}\nsources:\n  - {{location: 'file:{name}.csv'}}\ntasks:\n  {tasks}\n---\n{facts}"
        (folder / f"{name}.md").write_text(text)
    (folder / "both.md").write_text("---\nname: both\ndatasets: [aim, help, other, wide]\n---\n")
    return molfm.load(folder / "both.md", progress=False)


SMALL = {"steps": 6, "seeds": 2, "n_labels": 30, "hidden_channels": 8, "num_layers": 1, "progress": False}
TOGETHER = {"regimes": ("alone", "cotrain"), **SMALL}
FEW = {name: value for name, value in SMALL.items() if name != "n_labels"}
FEW |= {"pretrain_steps": 4, "finetune": {"learning_rate": 2e-3}}


@pytest.fixture(scope="module")
def result(two_datasets):
    return molfm.transfer(two_datasets, ["activity"], ["help"], **TOGETHER)


def test_a_study_reports_each_comparison_with_counts_interval_and_verdict(result):
    row = result.table.iloc[0]
    assert list(row[["target", "source", "regime", "metric"]]) == ["aim/activity", "help", "cotrain", "r2"]
    assert (row.n_labels, row.seeds) == (30, 2)
    assert row.low <= row.difference <= row.high
    assert row.verdict in ("helps", "hurts", "cannot tell")
    values = result.runs.set_index(["source", "seed"]).value
    assert row.difference == pytest.approx((values["help"] - values[""]).mean())


def test_runs_of_a_pair_see_the_same_target_labels_and_start_from_the_same_trunk(two_datasets, result):
    configs = [molfm.Run(folder).config for folder in result.runs.folder]
    by_run = {(r.source, r.seed): c for r, c in zip(result.runs.itertuples(), configs, strict=True)}
    assert by_run["help", 1]["tasks"] == ["aim/activity", "help/weight"]
    assert by_run["", 1]["tasks"] == ["aim/activity"]
    for key in ("seed", "steps", "n_labels", "learning_rate", "hidden_channels"):
        assert by_run["help", 1][key] == by_run["", 1][key]
    assert by_run["help", 1]["batch_size"]["aim"] == by_run["", 1]["batch_size"]["aim"]


def test_a_study_repeated_with_more_seeds_trains_only_the_missing_runs(two_datasets, result):
    before = {folder: molfm.Run(folder).status["updated"] for folder in result.runs.folder}
    more = molfm.transfer(two_datasets, ["activity"], ["help"], **TOGETHER | {"seeds": 3})
    assert set(before) < set(more.runs.folder)
    assert len(more.runs) == 6
    assert before == {folder: molfm.Run(folder).status["updated"] for folder in before}


def test_runs_of_other_code_are_not_reused(two_datasets, result, monkeypatch):
    monkeypatch.setattr("molfm.study.plan._code", lambda: ["the code was changed"])
    again = molfm.transfer(two_datasets, ["activity"], ["help"], **TOGETHER)
    assert not set(result.runs.folder) & set(again.runs.folder)


def test_the_curves_of_a_study_carry_the_seed_of_their_run(result):
    curves = result.curves("activity").set_index(["source", "seed", "step"]).value
    for run in result.runs.itertuples():
        own = molfm.Run(run.folder).metrics.set_index("step")["aim/activity/r2"]
        assert curves[run.source, run.seed].to_dict() == own.dropna().to_dict()


def test_an_unfinished_run_is_trained_again(two_datasets, result):
    folder = result.runs.folder[0]
    status = molfm.Run(folder).folder / "status.json"
    facts = json.loads(status.read_text())
    status.write_text(json.dumps(facts | {"state": "running", "process_start": "long ago"}))
    again = molfm.transfer(two_datasets, ["activity"], ["help"], **TOGETHER)
    assert molfm.Run(folder).status["state"] == "finished"
    assert again.runs.value.to_numpy() == pytest.approx(result.runs.value.to_numpy())  # the same seed, the same run


def test_source_labels_of_held_out_target_molecules_are_hidden(two_datasets):
    mix = sources.hide(two_datasets, ["aim/activity"], ["help/weight"])
    molecule, _, split, _ = mix.label_triples(mix.task_number("activity"))
    left, _, of_source, _ = mix.label_triples(mix.task_number("weight"))
    assert {"train", "val"} == {SPLITS[code] for code in of_source}
    assert set(mix.constitution[molecule[split != 0]]).isdisjoint(mix.constitution[left[of_source == 0]])
    assert set(mix.constitution[molecule[split == SPLITS.index("test")]]).isdisjoint(mix.constitution[left])
    everything, _, _, _ = two_datasets.label_triples(two_datasets.task_number("weight"))
    assert len(left) < len(everything)


def test_the_same_measurement_under_another_name_is_refused_as_a_source(two_datasets):
    with pytest.raises(ValueError, match="one measurement"):
        molfm.transfer(two_datasets, ["activity"], ["active"], **SMALL)


def test_unknown_regime_and_single_seed_are_refused(two_datasets):
    with pytest.raises(ValueError, match="alone, cotrain"):
        molfm.transfer(two_datasets, ["activity"], ["help"], ["magic"], **SMALL)
    with pytest.raises(ValueError, match="at least 2 seeds"):
        molfm.transfer(two_datasets, ["activity"], ["help"], **TOGETHER | {"seeds": 1})


def test_a_binary_target_is_compared_by_auroc(two_datasets):
    table = molfm.transfer(two_datasets, ["active"], ["help"], **TOGETHER).table
    assert table.metric.iloc[0] == "auroc"
    assert 0 <= table.value.iloc[0] <= 1


def test_the_report_is_one_page_without_outside_addresses(result, tmp_path):
    page = result.to_html(tmp_path / "report.html").read_text()
    own = page.split("</script>", 1)[1]  # plotly's own code names its home pages; it never loads them
    assert "src=" not in own and "<link" not in own
    assert "aim/activity" in own and "30 training labels" in own
    assert "Ticks: single seeds." in own and "each seed" in own
    assert "they also started from the same weights of the trunk. When fine-tuned or probed, the trunk came from" in own
    assert "Source labels of the target&#x27;s test molecules were hidden" in own.replace("'", "&#x27;")
    assert own.count('class="plotly-graph-div"') == 4
    fair = report.baselines(result)
    assert fair.columns.tolist() == ["target", "metric", "n_labels", "alone", "random forest"]
    assert fair.iloc[0, :4].tolist() == ["aim/activity", "r2", 30, pytest.approx(result.arm("activity").value.mean())]
    assert fair["random forest"][0] == pytest.approx(result.reference().value.mean())
    assert f"<td>{fair['random forest'][0]:.3f}</td>" in own.split("Is the baseline a fair one?")[1]


def test_a_study_whose_comparisons_are_all_undefined_still_has_a_report(two_datasets):
    result = molfm.transfer(two_datasets, ["single"], ["help"], **TOGETHER)
    assert result.reference().empty
    assert "undefined: only class 0" in result.to_html()


def test_the_report_escapes_names_that_come_from_data(result):
    bad = "<img src=x onerror=alert(1)>"
    table = result.table.assign(source=bad)
    runs = result.runs.assign(source=result.runs.source.replace("help", bad))
    page = replace(result, table=table, runs=runs).to_html()
    assert "&lt;img src=x" in page
    assert bad not in page


def test_a_finding_in_words_states_its_interval_and_detection_limit(result):
    row = result.table.iloc[0].copy()
    row[["low", "high", "difference", "verdict"]] = -0.1, 0.2, 0.05, "cannot tell"
    row["detectable"] = 0.00423
    answer, detail = finding(row)
    assert answer == (
        "Adding help to the training changed the R² of aim/activity by +0.050: no visible difference. A difference below "
        "0.0042 would probably have been missed."
    )
    assert "−0.100 to +0.200" in detail and "30 training labels" in detail and "2 paired seeds" in detail


def test_the_first_finding_says_what_the_source_is_and_the_page_starts_with_it(result):
    answer, detail = findings(result)[0]
    assert answer.startswith(
        "Adding computed quantum properties (help) to the training changed the R² of aim/activity by"
    )
    page = result.to_html()
    body = page[page.index("</h1>") :]
    assert body.index(answer[:60]) < body.index(detail[:40].replace("&", "&amp;")) < body.index("The difference</h2>")


def test_a_wanted_precision_is_reported_with_what_was_reached(result):
    half = float((result.table.high - result.table.difference).iloc[0])
    for width, said in ((half * 1.01, "was reached"), (half / 2, "was not reached")):
        with_goal = replace(result, settings=result.settings | {"precision": width})
        assert said in findings(with_goal)[-1][0]


def test_an_ordinal_target_is_refused(make_card, toy_table, own_home):
    table = toy_table[["smiles"]].assign(size=toy_table.smiles.str.len() // 8, length=toy_table.smiles.str.len())
    card = make_card("graded", table, {"size": {"kind": "ordinal", "classes": 3}, "length": {}})
    with pytest.raises(
        ValueError, match="graded/size is ordinal at graph level; a target must be a regression or binary task"
    ):
        molfm.transfer(card, targets=["size"], sources=["length"], progress=False)


# ------------------------------------------------------------------------------------------------------ regimes and budgets


@pytest.fixture(scope="module")
def curves(two_datasets):
    """A study of every regime at two numbers of labels, for a defined target and one whose test set has a single class."""
    narrowed = two_datasets.select(["aim", "help", "other"]).limit("aim/activity", 60, seed=5)
    return molfm.transfer(
        narrowed, ["activity", "single"], ["help", "other", "all"], n_labels=np.array([15, 30]), **FEW
    )


def configs(result):
    """Return (target, source, regime, number of labels, seed) -> config of the run."""
    keys = ["target", "source", "regime", "n_labels", "seed"]
    return {tuple(run[keys]): molfm.Run(run.folder).config for _, run in result.runs.iterrows()}


def test_every_regime_has_the_same_target_updates_and_selects_weights_by_the_target(curves):
    found = configs(curves)
    assert {key[2] for key in found} == {"alone", "cotrain", "finetune", "probe"}
    for key, config in found.items():
        assert config["steps"] == 6
        assert config["watch"] == ["aim/activity"]
        assert config["batch_size"]["aim"] == 32
        assert config["n_labels"] == {"aim/activity": key[3]}
        assert config["hidden_channels"] == 8
    alone, tuned, probe = (
        found["aim/activity", *arm, 30, 1] for arm in (("", "alone"), ("help", "finetune"), ("help", "probe"))
    )
    assert (alone["start_from"], tuned["freeze"], tuned["learning_rate"]) == (None, 0, 0.002)
    assert (probe["freeze"], probe["head_channels"], probe["learning_rate"]) == ("all", 0, 0.001)
    assert tuned["start_from"] == probe["start_from"]
    pretrained = molfm.Run(Path(tuned["start_from"]).parent).config
    assert (pretrained["tasks"], pretrained["steps"], pretrained["seed"]) == (["help/weight"], 4, 1)


def test_a_source_is_pretrained_once_for_all_numbers_of_labels(curves):
    starts = {key: config["start_from"] for key, config in configs(curves).items() if config["start_from"]}
    assert len(starts) == 3 * 2 * 2 * 2  # sources, regimes, numbers of labels, seeds
    assert len(set(starts.values())) == 3 * 2


def test_all_is_the_union_of_the_sources(curves):
    found = configs(curves)["aim/activity", "all", "cotrain", 15, 0]
    assert found["tasks"] == ["aim/activity", "help/weight", "other/noise"]
    assert found["batch_size"] == {"aim": 32, "help": 64, "other": 64}


def test_training_labels_are_nested_and_equal_in_every_arm(curves, two_datasets):
    kept = {}
    for key, config in configs(curves).items():
        with np.load(curves.arm(*key[:4]).folder.iloc[key[4]] + "/kept.npz") as packed:
            mask = np.unpackbits(packed["0"], count=len(two_datasets)).astype(bool)
        kept.setdefault((key[3], key[4]), []).append(mask)
        assert config["tasks"][0] == "aim/activity"
    for masks in kept.values():
        assert all((mask == masks[0]).all() for mask in masks)
    for seed in (0, 1):
        few, many = kept[15, seed][0], kept[30, seed][0]
        assert (few <= many).all() and few.sum() < many.sum()


def test_the_reference_forest_has_the_training_and_test_labels_of_the_target_alone(curves, monkeypatch):
    seen = []

    def forest(mix, task, features):
        def arm(train, y, test, seed):
            seen.append(train)
            assert sorted(test) == sorted(of_test.mol_id)
            return np.zeros(len(test))

        return arm

    of_test = molfm.Run(curves.runs.folder.iloc[0]).predictions().query("split == 'test'")
    monkeypatch.setattr(simple_models, "forest", forest)
    table = replace(curves).reference()
    alone = curves.runs[curves.runs.regime == "alone"]
    measured = of_test.measured
    assert table.value.to_numpy() == pytest.approx(1 - (measured**2).sum() / ((measured - measured.mean()) ** 2).sum())
    assert (
        table[["target", "n_labels", "seed"]].to_numpy().tolist()
        == alone[["target", "n_labels", "seed"]].to_numpy().tolist()
    )
    for folder, train in zip(alone.folder, seen, strict=True):
        with np.load(Path(folder) / "kept.npz") as packed:
            kept = np.unpackbits(packed["0"], count=len(curves.mix)).astype(bool)
        every = curves.mix.members("train", ["aim/activity"])
        assert np.unique(train).tolist() == every[kept[every]].tolist()
    lines = [line for line in replace(curves).figure("activity", reference=True).data if line.name == "random forest"]
    assert len(lines) == 3
    assert (list(lines[0].x), list(lines[0].y)) == ([15, 30], table.groupby("n_labels").value.mean().tolist())


def test_the_reference_forest_uses_each_label_of_a_molecule_that_is_listed_twice(monkeypatch):
    frame = pd.DataFrame(
        {"smiles": ["CO", "CCO", "CO", "OCC", "CN"], "y": [1.0, 2, 30, 4, 5], "part": ["train"] * 2 + ["test"] * 3}
    )
    mix = molfm.load(frame, tasks=["y"], split="part", progress=False)
    seen = []
    monkeypatch.setattr(
        simple_models, "forest", lambda *_: lambda train, y, test, seed: seen.extend(y) or np.zeros(len(test))
    )
    [(_, _, _, value)] = simple_models.reference_values(mix, "y", [(2, 0)])
    assert sorted(seen) == [1, 2]
    assert value == pytest.approx(1 - (30**2 + 4**2 + 5**2) / (17**2 + 9**2 + 8**2))  # their mean is 13


def test_the_curves_show_every_regime_and_the_baseline_of_each_source(curves):
    table = curves.table[curves.table.target == "aim/activity"]
    table = table[(table.source != "help") | (table.regime == "probe")]
    table = table.assign(baseline=np.where(table.source == "other", 0.5, 0.25))
    figure = replace(curves, table=table, settings=curves.settings | {"held_out": "nothing"}).figure(
        "activity", reference=True
    )
    assert {line.name for line in figure.data if line.showlegend} == {"alone", "cotrain", "finetune", "probe"}
    assert sum(line.showlegend for line in figure.data) == 4
    assert [line.y.tolist() for line in figure.data if line.name == "alone"] == [[0.25] * 2, [0.5] * 2, [0.25] * 2]


def test_a_report_leaves_out_forests_if_they_would_train_on_very_many_labels(result, monkeypatch):
    monkeypatch.setattr(report, "MOST_LABELS", 29)
    assert "leaves out the random forests" in replace(result).to_html()


def test_the_table_has_one_row_per_comparison_and_undefined_rows_give_their_reason(curves):
    table = curves.table
    assert list(table.columns) == list(pairs.COLUMNS)
    assert len(table) == 2 * 2 * 3 * 3  # targets, numbers of labels, sources, regimes
    judged, single = table[table.target == "aim/activity"], table[table.target == "aim/single"]
    n_test = curves.mix.tasks.n_test[0]
    assert set(single.verdict) == {f"undefined: only class 0 among {n_test} labels in the test set"}
    assert single.difference.isna().all() and single.p_adjusted.isna().all()
    assert judged.n_source.min() > 0
    assert (judged.seeds == 2).all() and (judged.n_test == n_test).all()
    assert (judged.p_adjusted >= judged.p).all()
    assert set(judged.verdict) <= {"helps", "hurts", "cannot tell"}
    assert "aim/single" not in set(curves.runs.target)


def test_too_few_labels_are_undefined_and_not_an_error(two_datasets, monkeypatch):
    result = molfm.transfer(two_datasets, ["activity"], ["help"], ["cotrain"], n_labels=[15, 30, 5000], **FEW)
    table = result.table[1:].reset_index()
    assert table.verdict[1].startswith("undefined: ")
    assert table.verdict[1].endswith("training labels, but n_labels=5000")
    assert not table.verdict[0].startswith("undefined")
    coverage, shown = report.label_coverage, []
    monkeypatch.setattr(report, "label_coverage", lambda *args: shown.append(coverage(*args)) or shown[0])
    result.to_html()
    [stars] = [trace for trace in shown[0].data if trace.name == "used in training"]
    assert list(stars.y) == ["aim/activity"] * 2
    assert list(stars.x) == [15, 30]  # the trained numbers of labels, not the requested ones


def test_a_saved_result_is_equal_when_it_is_loaded(curves, tmp_path):
    curves.save(tmp_path)
    again = molfm.TransferResult.load(tmp_path)
    pd.testing.assert_frame_equal(again.table, curves.table)
    pd.testing.assert_frame_equal(again.runs, curves.runs)
    assert again.settings == curves.settings
    assert again.settings["steps"] == 6 and again.settings["pretrain_steps"] == 4
    pd.testing.assert_frame_equal(again.mix.tasks, curves.mix.tasks)
    pd.testing.assert_frame_equal(again.predictions("aim/activity"), curves.predictions("aim/activity"))


def test_the_matrix_shows_every_comparison_and_the_curves_show_intervals(curves):
    matrix = curves.figure()
    [cells] = matrix.data
    assert (len(cells.y), len(cells.x)) == (4, 9)
    row = curves.table.iloc[0]
    assert minus(f"{row.difference:+.3f}<br>{row.low:+.3f} to {row.high:+.3f}") in cells.text[0][0]
    assert list(cells.text[-1]) == ["undefined"] * 9
    figure = curves.figure("activity")
    assert [note.text for note in figure.layout.annotations] == ["help", "other", "all"]
    lines = figure.data
    assert [line.name for line in lines] == 3 * ["alone", "cotrain", "finetune", "probe"]
    assert [line.xaxis for line in lines[::4]] == ["x", "x2", "x3"]
    assert all(list(line.x) == [15, 30] for line in lines[::4])
    assert len({(line.line.color, line.line.dash, line.marker.symbol) for line in lines}) == 4
    mine = curves.table[
        (curves.table.source == "help") & (curves.table.regime == "probe") & (curves.table.n_labels < 40)
    ]
    line = lines[3]
    assert line.y.tolist() == pytest.approx(mine.value[:2].tolist())
    assert list(line.error_y.array) == pytest.approx((mine.high - mine.difference)[:2].tolist())


def test_figures_distinguish_sources_by_colour_and_regimes_by_symbol(curves):
    learned = {
        line.name: line for line in learning_curves(curves.curves("aim/activity"), "R²").data if line.showlegend is None
    }
    figure = predicted_against_measured(curves.predictions("aim/activity"), "no unit")
    points = {trace.name: trace for trace in figure.data[:-1]}
    assert figure.layout.title.text == "Test set: predicted against measured"
    assert figure.layout.legend.yanchor == "top"  # below the figure, so ten names do not cover the title
    assert len(points) == 1 + 9 and set(points) == set(learned)
    looks = {name: (trace.marker.color, trace.marker.symbol) for name, trace in points.items()}
    assert len(set(looks.values())) == 10
    for name, line in learned.items():
        assert (line.line.color, line.marker.symbol) == looks[name]


def test_undecided_cells_of_the_matrix_are_pale_even_if_their_own_interval_excludes_zero(result):
    table = result.table.assign(difference=0.3, low=0.1, high=0.5, p_adjusted=0.2)
    for verdict, strength in (("cannot tell", 0), ("helps", 1.5)):
        [cells] = transfer_matrix(table.assign(verdict=verdict)).data
        assert cells.z[0][0] == pytest.approx(strength)
        low, high = (position * 6 - 3 for position, color in cells.colorscale if color == "#f4f4f2")
        assert (low, high) == pytest.approx((-1, 1))  # in half-widths


def test_the_terminal_shows_one_row_per_comparison_and_counts_clear_effects(curves, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    show_transfer(curves)
    out = capsys.readouterr().out
    assert out.count("aim/activity") >= 18 and out.count("undefined: only class 0") == 18
    row = curves.table.iloc[0]
    assert minus(f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})") in out
    assert " of 36 comparisons show a clear effect" in out


def test_the_report_of_many_comparisons_has_matrix_curves_and_undefined_rows(curves):
    page = curves.to_html().split("</script>", 1)[1]
    assert "undefined: only class 0 among" in page
    assert "how many labels it takes" in page
    assert page.count('class="plotly-graph-div"') == 6  # matrix, differences, coverage, curves, learning, predictions


def test_a_group_of_targets_is_trained_together_and_each_is_judged_separately(two_datasets):
    result = molfm.transfer(two_datasets, [["activity", "active", "single"]], ["help"], ["cotrain"], n_labels=30, **FEW)
    assert result.table.target.tolist() == ["aim/activity", "aim/active", "aim/single"]
    assert result.table.metric.tolist() == ["r2", "auroc", "auroc"]
    assert result.table.verdict[2].startswith("undefined: only class 0")
    assert result.runs.folder.nunique() == 2 * 2
    both, one = transfer_differences(result.table, result.by_seed), result.figure("aim/active")
    assert both.layout.xaxis.title.text == "difference in R² or AUROC (right: helps)"
    assert list(both.layout.yaxis.ticktext) == ["aim/active, AUROC<br>with help", "aim/activity, R²<br>with help"]
    assert one.layout.xaxis.title.text == "difference in AUROC (right: helps)"
    assert list(one.layout.yaxis.ticktext) == ["aim/active<br>with help"]
    found = configs(result)["aim/active", "help", "cotrain", 30, 0]
    assert found["watch"] == ["aim/activity", "aim/active", "aim/single"]
    run = molfm.Run(result.arm("aim/active", "help").folder.iloc[0])
    scores = run.results[(run.results.task == "aim/active") & (run.results.split == "test")].set_index("metric").value
    assert result.arm("aim/active", "help").value.iloc[0] == pytest.approx(scores["auroc"])
    with pytest.raises(ValueError, match="must belong to one dataset"):
        molfm.transfer(two_datasets, [["activity", "weight"]], ["other"], **FEW)


def test_targets_trained_together_have_a_mean_with_its_own_interval(make_card, toy_table, own_home):
    smiles = [f"{'C' * a}{x}{'C' * b}" for a in range(1, 9) for b in range(1, 7) for x in ("O", "N", "S")]
    table = pd.DataFrame({"smiles": smiles, "size": [float(len(s)) for s in smiles]})
    table["carbons"], table["oxygen"] = table.smiles.str.count("C").astype(float), table.smiles.str.count("O")
    tasks = {"size": {}, "carbons": {}, "oxygen": {"kind": "binary"}}
    folder = make_card("mine", table, tasks, split="random", fractions=[0.5, 0.1, 0.4]).parent
    make_card("more", table[["smiles", "size"]], {"size": {}}, folder, split="random", fractions=[0.8, 0.1, 0.1])
    (folder / "both.md").write_text("---\nname: both\ndatasets: [mine, more]\n---\n")
    mix, targets = molfm.load(folder / "both.md", progress=False), ["mine/size", "mine/carbons"]
    result = molfm.transfer(mix, [targets, "oxygen"], ["more"], ["cotrain"], **FEW)
    [mean] = result.means.itertuples()
    parts = result.table.set_index("target").loc[targets]
    assert (mean.target, mean.n_targets, mean.source, mean.metric) == ("mean of 2 tasks of mine", 2, "more", "r2")
    assert (mean.baseline, mean.value) == pytest.approx(tuple(parts[["baseline", "value"]].mean()))
    assert (mean.n_labels, mean.n_test, mean.seeds) == (*parts[["n_labels", "n_test"]].sum(), 2)
    assert mean.low < mean.difference < mean.high and mean.verdict in ("helps", "hurts", "cannot tell")
    assert "mean of 2 tasks of mine" in result.to_html()
    assert result.main.target.tolist() == ["mean of 2 tasks of mine", "mine/oxygen"]
    assert [str(n) for n in result.main.seeds] == ["2", "2"]
    assert mean.members == (("mine/size", parts.n_labels.iloc[0]), ("mine/carbons", parts.n_labels.iloc[1]))
    tested = mix.keep(targets, np.arange(len(mix)) % 4 > 0)
    fewer = result.means_on(tested)
    assert 0 < fewer.n_test.iloc[0] < mean.n_test
    assert result.means_on(mix).difference.iloc[0] == pytest.approx(mean.difference)
    assert result.means_on(mix.keep(targets, np.arange(len(mix)) < 3)).empty  # too few molecules for a verdict
    assert molfm.transfer(mix, targets, ["more"], ["cotrain"], **FEW).means.empty


def test_the_report_shows_whether_gradients_agree_if_conflicts_were_recorded(two_datasets):
    result = molfm.transfer(two_datasets, ["activity"], ["help"], ["cotrain"], n_labels=30, conflicts=True, **FEW)
    metrics = molfm.Run(result.arm("activity", "help").folder.iloc[0]).metrics
    [line] = gradient_agreement(head_cosines(result.arm("activity", "help").folder), "").data
    assert line.name == "aim/graph and help/graph"
    assert len(line.x) == len(metrics) and np.abs(line.y).max() <= 1
    losses = validation_losses(loss_curves(result.arm("activity", "help").folder), "").data
    assert [line.name for line in losses] == ["aim/activity", "help/weight"]
    page = result.to_html()
    assert "Do gradients agree? with help" in page and "Validation losses with help" in page
    assert page.count("mean cosines of gradients, aim/activity with help") == 1


# ---------------------------------------------------------------------------------------------------------------- leakage


def test_labels_of_held_out_scaffolds_are_hidden_on_request(two_datasets):
    mix = sources.hide(two_datasets, ["aim/activity"], ["help/weight"], "scaffolds")
    tested = mix.scaffold[mix.members("test", ["activity"])]
    assert len(mix.members("train", ["weight"])) > 0
    assert set(tested).isdisjoint(mix.scaffold[mix.members("train", ["weight"])])
    assert sources.hide(two_datasets, ["aim/activity"], ["help/weight"], "nothing") is two_datasets


def test_with_nothing_held_out_seen_test_molecules_are_reported_separately(two_datasets):
    settings = FEW | {"held_out": "nothing", "n_labels": 30}
    result = molfm.transfer(two_datasets, ["activity"], ["wide"], ["cotrain"], **settings)
    table = result.table.set_index("split")
    known = two_datasets.constitution[two_datasets.members("train", ["wide"])]
    molecule, _, split, _ = two_datasets.label_triples(two_datasets.task_number("activity"))
    seen = np.isin(two_datasets.constitution[molecule[split == SPLITS.index("test")]], known)
    assert table.n_test.to_dict() == {"test": (~seen).sum(), "test_seen": seen.sum()}
    assert 0 < seen.sum() < len(seen)
    page = result.to_html().split("</script>", 1)[1]
    assert "each seed" not in page and "Ticks" not in page  # a run's value covers the whole test set, not a part of it
    assert "No source labels were hidden" in page


# ---------------------------------------------------------------------------------------------------------------- sources


@pytest.fixture(scope="module")
def assays(tmp_path_factory):
    """One dataset of four assays in two families: `b1` is the opposite of `a1`, `b2` and `c1` are noise."""
    folder = tmp_path_factory.mktemp("assays")
    smiles = [
        f"{'C' * a}{x}{'C' * b}" for a in range(1, 9) for b in range(1, 9) for x in ("O", "N", "S", "C(=O)", "C(F)")
    ]
    rng, size = np.random.default_rng(0), np.array([len(s) for s in smiles], float)
    table = pd.DataFrame({"smiles": smiles, "a1": size, "b1": -size})
    table["b2"], table["c1"] = rng.normal(size=(2, len(smiles)))
    table.to_csv(folder / "own.csv", index=False)
    tasks = "\n".join(f"  {name}: {{family: {name[0].upper()}}}" for name in ("a1", "b1", "b2", "c1"))
    source = "sources:\n  - {location: 'file:own.csv'}"
    (folder / "own.md").write_text(
        f"---\nname: own\nsplit: random\nfractions: [0.6, 0.2, 0.2]\n{source}\ntasks:\n{tasks}\n---\n"
    )
    return molfm.load(folder / "own.md", progress=False)


def test_tasks_apart_are_a_dataset_with_the_same_molecules_and_labels(assays):
    apart = assays.keep(["b1"], np.arange(len(assays)) % 3 > 0).apart(["own/B"], "more")
    assert [task.id for task in apart.chosen] == ["own/a1", "more/b1", "more/b2", "own/c1"]
    assert apart.molecules.smiles.equals(assays.molecules.smiles)
    assert apart.labels("more/b2").equals(assays.labels("b2").rename("more/b2"))
    assert apart.labels("b1").notna().sum() == (np.arange(len(assays)) % 3 > 0).sum()
    assert (apart.molecules["split:more"].astype(str) == apart.molecules["split:own"].astype(str)).all()
    drawn = apart.gather(np.arange(6), "train", np.array([0, 0, 0, 1, 1, 1]))
    alone = assays.gather(np.arange(6), "train")
    assert set(drawn["graph_task"][drawn["graph_item"] < 3]) == {0, 3}
    assert set(drawn["graph_task"][drawn["graph_item"] >= 3]) == {1, 2}
    assert np.array_equal(drawn["atoms"], alone["atoms"])
    with pytest.raises(ValueError, match="has a dataset named own already"):
        assays.apart(["b1"], "own")


def test_a_source_from_the_targets_own_dataset_gets_batches_and_a_head_of_its_own(assays):
    result = molfm.transfer(assays, ["a1"], ["own/B", "own", "all"], ["cotrain", "finetune"], **FEW)
    n = assays.tasks.n_train[0]
    assert result.table.source.tolist() == ["own/B"] * 2 + ["own"] * 2 + ["all"] * 2
    config = configs(result)["own/a1", "own/B", "cotrain", n, 0]
    assert config["batch_size"] == {"own": 32, "own as source": 64}
    assert config["tasks"] == ["own/a1", "own as source/b1", "own as source/b2"]
    run = molfm.Run(result.arm("a1", "own/B", "cotrain").folder.iloc[0])
    assert run.model.head_names() == ["own/graph", "own as source/graph"]
    assert run.mix.labels("b1").notna().sum() < assays.labels("b1").notna().sum()  # hidden where `a1` is tested
    tested = assays.members("test", ["a1"])
    assert not set(run.mix.members("train", ["own as source/b1"])) & set(tested)
    everything = configs(result)["own/a1", "own", "cotrain", n, 0]
    assert everything["tasks"] == ["own/a1", *(f"own as source/{name}" for name in ("b1", "b2", "c1"))]
    # The target's batches are the same alone and beside its own dataset.
    from molfm.batches.loaders import MixDataModule

    alone = MixDataModule(assays.select(["a1"]), {"own": 4}, steps=3)
    together = MixDataModule(run.mix, {"own": 4, "own as source": 8}, steps=3)
    for one, both in zip(alone.train_dataloader(), together.train_dataloader(), strict=True):
        mine = both.graph_task == 0
        assert one.mol_id[one.graph_item].tolist() == both.mol_id[both.graph_item[mine]].tolist()


def test_long_lists_of_tasks_are_counted_in_labels(assays):
    from molfm.study.sources import read_sources

    many, other = ["b1", "b2", "c1", "a1"], ["c1", "b2", "b1", "a1"]
    labels = [source.label for source in read_sources(assays, [many, ["b1", "b2"], other])]
    assert labels == ["4 tasks of own", "b1 + b2", "4 tasks of own no. 2"]


def test_many_targets_are_shown_as_means_by_family_and_strips(assays, monkeypatch):
    monkeypatch.setattr("molfm.study.comparison.MOST_IN_MATRIX", 2)
    monkeypatch.setattr("molfm.study.report.MOST_IN_MATRIX", 2)
    result = molfm.transfer(assays, [["a1", "b1", "b2"]], ["c1"], ["cotrain"], **FEW)
    assert result.by_family.target.tolist() == ["mean of 2 tasks of own/B"]  # A has only one target
    parts = result.table.set_index("target").loc[["own/b1", "own/b2"]]
    assert result.by_family.difference[0] == pytest.approx(parts.difference.mean())
    figure = result.figure()
    assert list(figure.layout.yaxis.ticktext) == ["2 tasks of own/B<br>with c1", "3 tasks of own<br>with c1"]
    dots = sorted(x for trace in figure.data if trace.name.startswith("one target") for x in trace.x)
    assert dots == pytest.approx(sorted([*result.table.difference, *parts.difference]))
    page = result.to_html()
    assert "Every comparison of a single target (3)" in page and "mean of 3 tasks of own: learning curves" in page
    curve = result.curves("a1", together=True)
    each = [result.curves(name).value for name in ("a1", "b1", "b2")]
    assert curve.value.tolist() == pytest.approx(np.mean(each, axis=0).tolist())


def test_the_first_pairs_of_targets_of_one_family_count_once(assays):
    result = molfm.transfer(assays, [["b1", "b2"]], ["c1"], ["cotrain"], **FEW | {"seeds": 3})
    assert result.by_family.target.tolist() == result.means.target.tolist() == ["mean of 2 tasks of own/B"]
    assert len(result.mean_pairs) == 3
    pd.testing.assert_frame_equal(result.after(3)[1], result.means, rtol=1e-9, check_dtype=False)
    assert result.after(2)[1].seeds.tolist() == [2]


def test_precision_adds_seeds_until_the_intervals_are_narrow_enough_or_seeds_run_out(assays):
    settings = FEW | {"regimes": ["cotrain"]}
    wide = molfm.transfer(assays, ["a1"], ["own/B"], **settings)
    half = float((wide.table.high - wide.table.difference).iloc[0])
    enough = molfm.transfer(assays, ["a1"], ["own/B"], precision=1.01 * half, **settings)
    assert enough.settings["seeds"] == 2
    several = molfm.transfer(assays, ["a1"], ["own/B"], precision=half / 2, max_seeds=4, **settings)
    assert 2 < several.settings["seeds"] <= 4
    assert several.table.seeds.tolist() == [several.settings["seeds"]]
    with pytest.raises(ValueError, match="Expected a precision above 0"):
        molfm.transfer(assays, ["a1"], ["own/B"], precision=0, **settings)


def test_a_checkpoint_is_a_source_for_fine_tuning_and_probing_only(two_datasets, toy_run):
    source = str(toy_run.folder)
    result = molfm.transfer(two_datasets, ["activity"], [source], n_labels=30, **FEW)
    assert result.table.regime.tolist() == ["finetune", "probe"]
    assert result.table.n_source.isna().all()
    config = configs(result)["aim/activity", source, "probe", 30, 0]
    assert config["start_digest"] == body_hash(toy_run.model)
    assert config["hidden_channels"] == 16  # the checkpoint's, not the study's


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"sources": ["help", "all"]}, ValueError, "here only help is listed"),
        ({"sources": ["nowhere"]}, ValueError, "No task 'nowhere' .* There is no model or run at nowhere"),
        (
            {"held_out": "everything"},
            ValueError,
            "Unknown held_out 'everything'; expected molecules, scaffolds, nothing",
        ),
        ({"regimes": ["alone"]}, ValueError, "Nothing to compare"),
        ({"seed": 3}, TypeError, "The study sets seed itself"),
        ({"finetune": {"steps": 99}}, TypeError, "finetune cannot set steps"),
        ({"step": 3}, TypeError, "Unknown setting 'step'. Did you mean 'steps'"),
        ({"temperature": 2.0}, TypeError, "The study sets temperature itself"),
        ({"pretrain_steps": 0}, ValueError, "Expected pretrain_steps of 1 or more, found 0"),
        ({"n_labels": [30, 0]}, ValueError, "Expected n_labels of 1 or more, or None for all labels, found 0"),
        ({"regimes": "magic"}, ValueError, "Unknown regime 'magic'"),
        ({"sources": ["help", "help"]}, ValueError, "Source help is listed twice"),
        ({"sources": ["activity"]}, ValueError, "Source activity has no tasks for aim/activity"),
        (
            {"sources": [object()]},
            TypeError,
            "Expected a source as tasks, datasets or levels, or as the name or folder",
        ),
    ],
)
def test_invalid_arguments_are_refused(two_datasets, wrong, error, message):
    with pytest.raises(error, match=message):
        molfm.transfer(two_datasets, ["activity"], **{"sources": ["help"], **FEW, **wrong})


def test_a_checkpoint_that_was_trained_on_the_target_is_refused_even_after_further_fine_tuning(
    toy, toy_run, two_datasets, own_home
):
    with pytest.raises(ValueError, match="was trained on toy/heavy"):
        molfm.transfer(toy, ["heavy"], [toy_run.folder], **FEW)
    tuned = molfm.finetune(toy_run.folder, two_datasets, ["help"], steps=1, batch_size=8, name="tuned", progress=False)
    again = molfm.finetune(tuned.folder, two_datasets, ["other"], steps=1, batch_size=8, name="again", progress=False)
    again.model.save(own_home / "elsewhere")
    with pytest.raises(ValueError, match="was trained on toy/heavy"):
        molfm.transfer(toy, ["heavy"], [own_home / "elsewhere"], **FEW)


def test_the_same_measurement_in_another_dataset_is_refused_as_a_source_and_left_out_of_all(
    make_card, toy_table, own_home
):
    table = toy_table[["smiles"]].assign(size=toy_table.smiles.str.len(), other=1.0)
    folder = make_card("one", table, {"size": {}}).parent
    make_card("two", table, {"size": {"same_as": "one/size"}, "other": {}}, folder)
    (folder / "both.md").write_text("---\nname: both\ndatasets: [one, two]\n---\n")
    mix = molfm.load(folder / "both.md", progress=False)
    for target, source in (("one/size", "two/size"), ("two/size", "one/size")):
        with pytest.raises(ValueError, match=f"{source} and {target} are one measurement"):
            molfm.transfer(mix, [target], [source], **FEW)
    [everything] = sources.read_sources(mix, "all")
    assert sources.fit_source(mix, ["one/size"], everything).tasks == ("two/other",)


def test_all_is_the_union_of_sources_of_the_mix_and_ignores_checkpoints(two_datasets, toy_run):
    checkpoint, helping = str(toy_run.folder), ("help/weight",)
    with pytest.raises(ValueError, match="here only help is listed"):
        sources.read_sources(two_datasets, [checkpoint, "help", "all"])
    found = sources.read_sources(two_datasets, [checkpoint, "help", "other", "all"])
    assert [source.tasks for source in found] == [(), helping, ("other/noise",), (*helping, "other/noise")]


def test_a_source_of_two_datasets_is_undefined_if_one_has_no_labels_left(two_datasets):
    nothing = two_datasets.keep(["other"], np.zeros(len(two_datasets), bool))
    table = molfm.transfer(nothing, ["activity"], [["help", "other"]], ["cotrain"], n_labels=30, **FEW).table
    assert table.verdict.tolist() == ["undefined: no training labels of the source dataset other are left"]


def test_dataset_weights_reach_the_runs_that_train_on_the_dataset(two_datasets):
    settings = FEW | {"dataset_weights": {"help": 0.5}, "n_labels": 30}
    found = configs(molfm.transfer(two_datasets, ["activity"], ["help"], **settings))
    weights = {key[2]: config["dataset_weights"] for key, config in found.items()}
    assert weights == {"alone": {}, "cotrain": {"help": 0.5}, "finetune": {}, "probe": {}}


def test_a_different_split_gives_a_different_run_name(two_datasets):
    from dataclasses import replace

    swapped = replace(two_datasets, rows=replace(two_datasets.rows, split=two_datasets.rows.split[::-1].copy()))
    names = [plan._run_name(mix, "alone", {"seed": 0}) for mix in (two_datasets, two_datasets, swapped)]
    assert names[0] == names[1] != names[2]


def test_an_unknown_arm_is_refused_with_a_list_of_the_available_ones(result):
    with pytest.raises(
        ValueError, match=r"No runs of activity with source='typo'(?s:.)*aim/activity +help +cotrain +30"
    ):
        result.arm("activity", "typo")


# ----------------------------------------------------------------------------------- verdicts on sources of known effect


def write_dataset(folder, name, smiles, values, fractions):
    pd.DataFrame({"smiles": smiles, "y": values}).to_csv(folder / f"{name}.csv", index=False)
    front = f"name: {name}\nsplit: random\nfractions: {fractions}\nsources: [{{location: 'file:{name}.csv'}}]\ntasks: {{y: {{}}}}"
    (folder / f"{name}.md").write_text(f"---\n{front}\n---\n")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Targets with few and with many labels of one property, and sources whose effect is known by construction.

    same: the same property of other molecules. copy: a copy of the poor target's own labels. flat: the same value for
    every molecule, so a network that learns it no longer distinguishes them.
    """
    folder, rng = tmp_path_factory.mktemp("known"), np.random.default_rng(0)
    smiles = np.array(sorted({f"C{''.join(rng.choice(list('CCONS'), rng.integers(4, 10)))}C" for _ in range(900)}))
    pairs = np.array([sum(s[i : i + 2] in ("ON", "NO", "SO", "OS") for i in range(len(s))) for s in smiles])
    values = pairs - np.array([sum(s[i : i + 2] in ("NS", "SN") for i in range(len(s))) for s in smiles])
    measured = values + rng.normal(0, 0.2, len(smiles))
    order = rng.permutation(len(smiles))
    poor, rich, rest = order[:200], order[200:450], order[450:]
    write_dataset(folder, "poor", smiles[poor], measured[poor], [0.15, 0.1, 0.75])
    write_dataset(folder, "rich", smiles[rich], measured[rich], [0.6, 0.1, 0.3])
    write_dataset(folder, "same", smiles[rest], values[rest], [0.8, 0.15, 0.05])
    write_dataset(folder, "copy", smiles[poor], measured[poor], [0.8, 0.15, 0.05])
    write_dataset(folder, "flat", smiles[rest], 1.0, [0.8, 0.15, 0.05])
    (folder / "known.md").write_text("---\nname: known\ndatasets: [poor, rich, same, copy, flat]\n---\n")
    return molfm.load(folder / "known.md", progress=False)


def test_an_informative_a_neutral_and_a_conflicting_source_get_different_verdicts(known):
    settings = {"seeds": 5, "steps": 120, "hidden_channels": 16, "num_layers": 2, "dropout": 0.0, "learning_rate": 5e-3}
    settings |= {"target_batch": 16, "source_batch": 32, "progress": False}
    cells = [("poor/y", "same", "probe"), ("poor/y", "copy", "cotrain"), ("rich/y", "flat", "cotrain")]
    results = [molfm.transfer(known, [target], [source], [regime], **settings) for target, source, regime in cells]
    verdicts = {(source, regime): r.table.verdict[0] for (_, source, regime), r in zip(cells, results, strict=True)}
    assert verdicts["same", "probe"] == "helps"
    assert verdicts["copy", "cotrain"] == "cannot tell"
    assert verdicts["flat", "cotrain"] == "hurts"


def test_a_target_in_two_groups_is_refused(toy):
    with pytest.raises(ValueError, match="toy/heavy is listed twice"):
        molfm.transfer(toy, ["heavy", ["heavy", "oxygen"]], ["element"], **FEW)


def test_what_is_no_target_or_was_not_trained_is_refused_with_what_there_is(result):
    with pytest.raises(ValueError, match="help/weight is not a target of this study: aim/activity"):
        result.figure("help/weight")
    for ask in (result.predictions, result.curves):
        with pytest.raises(ValueError, match="No runs of help/weight"):
            ask("help/weight")
        with pytest.raises(ValueError, match=r"n_labels=7. There are:"):
            ask("activity", n_labels=7)
