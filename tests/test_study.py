import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score

import molfm
from molfm import study
from molfm.study import paired_interval, weighted_auroc, weighted_mae, weighted_r2


def noisy(rng, target, scale):
    return target + rng.normal(0, scale, len(target))


def test_weighted_metrics_equal_scikit_learn_on_resampled_labels():
    rng = np.random.default_rng(0)
    target, preds = rng.normal(size=60), rng.normal(size=60).round(1)  # rounded: ties
    classes = (target > 0).astype(float)
    weights = rng.integers(0, 4, (5, 60))
    for row, r2, auroc in zip(
        weights, weighted_r2(preds, target, weights), weighted_auroc(preds, classes, weights), strict=True
    ):
        assert r2 == pytest.approx(r2_score(target, preds, sample_weight=row))
        assert auroc == pytest.approx(roc_auc_score(classes, preds, sample_weight=row))
    mae = [mean_absolute_error(target, preds, sample_weight=row) for row in weights]
    assert weighted_mae(preds, target, weights) == pytest.approx(mae)


def test_interval_covers_no_difference_about_95_times_in_a_hundred():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        target = rng.normal(size=150)
        baseline, other = ([noisy(rng, target, 1.0) for _ in range(3)] for _ in range(2))
        cell = paired_interval("r2", baseline, other, target, np.arange(150))
        covered += cell["low"] < 0 < cell["high"]
    assert covered >= 180  # 90%: a percentile bootstrap over three seeds would stay near 150


def test_interval_finds_a_large_difference_and_orders_its_parts():
    rng = np.random.default_rng(2)
    target = rng.normal(size=300)
    baseline, other = [noisy(rng, target, 1.0) for _ in range(3)], [noisy(rng, target, 0.4) for _ in range(3)]
    cell = paired_interval("r2", baseline, other, target, np.arange(300))
    assert 0 < cell["low"] < cell["difference"] < cell["high"]
    assert cell["difference"] == pytest.approx(cell["value"] - cell["baseline"])
    assert cell["detectable"] > cell["high"] - cell["difference"]


def test_bootstrap_draws_groups_so_that_copies_of_a_molecule_do_not_narrow_the_interval():
    rng = np.random.default_rng(3)
    target = rng.normal(size=80)
    baseline, other = [noisy(rng, target, 0.8) for _ in range(4)], [noisy(rng, target, 0.8) for _ in range(4)]
    once = paired_interval("r2", baseline, other, target, np.arange(80))

    def copied(arrays):
        return [np.tile(array, 5) for array in arrays]

    grouped = paired_interval("r2", copied(baseline), copied(other), np.tile(target, 5), np.tile(np.arange(80), 5))
    assert grouped["high"] - grouped["low"] == pytest.approx(once["high"] - once["low"], rel=1e-6)


def test_seeds_with_test_sets_of_their_own_are_scored_on_these_alone():
    rng = np.random.default_rng(4)
    target = rng.normal(size=90)
    baseline, other = [noisy(rng, target, 1.0) for _ in range(3)], [noisy(rng, target, 0.5) for _ in range(3)]
    tested = [rng.random(90) < 0.6 for _ in range(3)]
    cell = paired_interval("r2", baseline, other, target, np.arange(90), tested)
    for name, runs in (("baseline", baseline), ("value", other)):
        by_hand = [r2_score(target[at], preds[at]) for preds, at in zip(runs, tested, strict=True)]
        assert cell[name] == pytest.approx(np.mean(by_hand))
    everything = paired_interval("r2", baseline, other, target, np.arange(90), [np.ones(90, bool)] * 3)
    assert everything == paired_interval("r2", baseline, other, target, np.arange(90))


def test_one_seed_is_no_interval():
    with pytest.raises(ValueError, match="at least"):
        paired_interval("r2", [np.zeros(3)], [np.zeros(3)], np.arange(3.0), np.arange(3))


@pytest.fixture(scope="module")
def two_datasets(tmp_path_factory):
    """A target and a source table on partly the same molecules, and a third column that is the target again."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    chains = [
        f"{'C' * a}{x}{'C' * b}" for a in range(1, 7) for b in range(1, 7) for x in ("O", "N", "S", "C(=O)", "C(F)")
    ]
    size = np.array([len(s) for s in chains], float)
    target = pd.DataFrame(
        {"smiles": chains, "activity": size + rng.normal(0, 0.1, len(chains)), "active": size > size.mean()}
    )
    target["active"] = target.active.astype(float)
    source = pd.DataFrame({"smiles": chains[::2], "weight": size[::2] * 2})
    target.to_csv(folder / "aim.csv", index=False)
    source.to_csv(folder / "help.csv", index=False)
    facts = "source: {n}.csv"
    cards = {
        "aim": "activity: {unit: u, domain: biological}\n  active: {kind: binary, domain: biological, same_as: activity}",
        "help": "weight: {unit: Da, domain: quantum}",
    }
    for name, tasks in cards.items():
        text = f"---\nname: {name}\nsources:\n  - {{location: 'file:{name}.csv'}}\ntasks:\n  {tasks}\n---\n{facts}"
        (folder / f"{name}.md").write_text(text)
    (folder / "both.md").write_text("---\nname: both\ndatasets: [aim, help]\n---\n")
    return molfm.load(folder / "both.md", progress=False)


SMALL = {"steps": 6, "seeds": 2, "n_labels": 30, "hidden_channels": 8, "num_layers": 1, "progress": False}


@pytest.fixture(scope="module")
def result(two_datasets):
    return molfm.transfer(two_datasets, ["activity"], ["help"], **SMALL)


def test_a_study_reports_each_comparison_with_its_evidence(result):
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


def test_asked_again_with_more_seeds_a_study_trains_only_what_is_missing(two_datasets, result):
    before = {folder: molfm.Run(folder).status["updated"] for folder in result.runs.folder}
    more = molfm.transfer(two_datasets, ["activity"], ["help"], **SMALL | {"seeds": 3})
    assert set(before) < set(more.runs.folder)
    assert len(more.runs) == 6
    assert before == {folder: molfm.Run(folder).status["updated"] for folder in before}


def test_an_unfinished_run_is_trained_again(two_datasets, result):
    folder = result.runs.folder[0]
    status = molfm.Run(folder).folder / "status.json"
    status.write_text(status.read_text().replace("finished", "running"))
    again = molfm.transfer(two_datasets, ["activity"], ["help"], **SMALL)
    assert molfm.Run(folder).status["state"] == "finished"
    assert again.runs.value.to_numpy() == pytest.approx(result.runs.value.to_numpy())  # the same seed, the same run


def test_source_labels_of_held_out_target_molecules_are_hidden(two_datasets):
    mix = study._without_leaks(two_datasets, "aim/activity", ["help/weight"])
    molecule, _, split, _ = mix._labels_of(mix.task_number("activity"))
    held_out = set(mix.constitution[molecule[split != 0]])
    left, _, _, _ = mix._labels_of(mix.task_number("weight"))
    assert len(left)
    assert held_out.isdisjoint(mix.constitution[left])
    everything, _, _, _ = two_datasets._labels_of(two_datasets.task_number("weight"))
    assert len(left) < len(everything)


def test_the_same_measurement_under_another_name_is_refused_as_a_source(two_datasets):
    with pytest.raises(ValueError, match="one measurement"):
        molfm.transfer(two_datasets, ["activity"], ["active"], **SMALL)


def test_unknown_regime_and_single_seed_are_refused(two_datasets):
    with pytest.raises(ValueError, match="alone, cotrain"):
        molfm.transfer(two_datasets, ["activity"], ["help"], ["magic"], **SMALL)
    with pytest.raises(ValueError, match="at least 2 seeds"):
        molfm.transfer(two_datasets, ["activity"], ["help"], **SMALL | {"seeds": 1})


def test_a_binary_target_is_compared_by_auroc(two_datasets):
    table = molfm.transfer(two_datasets, ["active"], ["help"], **SMALL).table
    assert table.metric.iloc[0] == "auroc"
    assert 0 <= table.value.iloc[0] <= 1


def test_the_report_is_one_page_without_outside_addresses(result, tmp_path):
    page = result.to_html(tmp_path / "report.html").read_text()
    own = page.split("</script>", 1)[1]  # plotly's own code names its home pages; it never loads them
    assert "src=" not in own and "<link" not in own
    assert "aim/activity" in own and "30 training labels" in own
    assert own.count('class="plotly-graph-div"') == 4


def test_the_report_escapes_names_that_come_from_data(result):
    from dataclasses import replace

    bad = "<img src=x onerror=alert(1)>"
    table = result.table.assign(source=bad)
    runs = result.runs.assign(source=result.runs.source.replace("help", bad))
    page = replace(result, table=table, runs=runs).to_html()
    assert "&lt;img src=x" in page
    assert bad not in page


def test_what_was_found_is_said_in_words_with_its_limits(result):
    from molfm.report import finding

    row = result.table.iloc[0].copy()
    row[["low", "high", "difference", "verdict"]] = -0.1, 0.2, 0.05, "cannot tell"
    text = finding(row)
    assert text.startswith("Cannot tell whether")
    assert "-0.100 to +0.200" in text and "30 training labels" in text and "would probably have been missed" in text


def test_an_ordinal_target_is_refused(make_card, toy_table, own_home):
    table = toy_table[["smiles"]].assign(size=toy_table.smiles.str.len() // 8, length=toy_table.smiles.str.len())
    card = make_card("graded", table, {"size": {"kind": "ordinal", "classes": 3}, "length": {}})
    with pytest.raises(ValueError, match="graded/size is ordinal; a target must be a regression or binary task"):
        molfm.transfer(card, targets=["size"], sources=["length"], progress=False)
