"""Intervals and verdicts: exact where an exact answer exists, and otherwise wrong no more often than stated."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, ttest_1samp
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score, root_mean_squared_error

from molfm.study import statistics
from molfm.study.statistics import FEWEST, add_verdicts, grouped_error, mean_of, paired_difference, seeds_for, too_few
from molfm.study.wording import finding
from molfm.training.metrics import COMPARED


def noisy(rng, target, scale):
    return target + rng.normal(0, scale, len(target))


@pytest.mark.parametrize("metric", ["r2", "auroc", "mae", "rmse"])
def test_influence_is_the_derivative_of_scikit_learns_weighted_metric(metric):
    rng = np.random.default_rng(0)
    target, preds = rng.normal(size=60), rng.normal(size=60).round(1)  # rounded: ties
    target = (target > 0).astype(float) if metric == "auroc" else target
    theirs = {"r2": r2_score, "auroc": roc_auc_score, "mae": mean_absolute_error, "rmse": root_mean_squared_error}[
        metric
    ]
    value, influence = COMPARED[metric](preds, target)
    assert value == pytest.approx(theirs(target, preds))
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    for label in range(0, 60, 7):
        step = np.full(60, 1.0)
        step[label] += 1e-6
        assert influence[label] == pytest.approx((theirs(target, preds, sample_weight=step) - value) / 1e-6, rel=1e-3)


@pytest.mark.parametrize("metric", ["r2", "auroc", "mae", "rmse"])
def test_the_error_over_test_sets_agrees_with_a_bootstrap_over_constitutions(metric):
    rng = np.random.default_rng(1)
    target, groups = rng.normal(size=400), rng.integers(0, 300, 400)
    preds = noisy(rng, target, 1.0)
    target = (target > 0.5).astype(float) if metric == "auroc" else target
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    resampled = []
    for _ in range(500):
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        resampled.append(COMPARED[metric](preds[drawn], target[drawn])[0])
    assert grouped_error(COMPARED[metric](preds, target)[1], groups) == pytest.approx(np.std(resampled), rel=0.1)


def test_intervals_cover_a_difference_of_zero_about_95_times_in_a_hundred():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        target = rng.normal(size=150)
        baseline, other = ([noisy(rng, target, 1.0) for _ in range(3)] for _ in range(2))
        cell = paired_difference("r2", baseline, other, target, np.arange(150)).interval()
        covered += cell["low"] < 0 < cell["high"]
    assert covered >= 180  # 90%: a percentile bootstrap over three seeds would stay near 150


def test_interval_excludes_zero_for_a_large_difference():
    rng = np.random.default_rng(2)
    target = rng.normal(size=300)
    baseline, other = [noisy(rng, target, 1.0) for _ in range(3)], [noisy(rng, target, 0.4) for _ in range(3)]
    cell = paired_difference("r2", baseline, other, target, np.arange(300)).interval()
    assert 0 < cell["low"] < cell["difference"] < cell["high"]
    assert cell["difference"] == pytest.approx(cell["value"] - cell["baseline"])
    assert cell["detectable"] > cell["high"] - cell["difference"]


def test_copies_of_a_molecule_do_not_narrow_the_interval():
    rng = np.random.default_rng(3)
    target = rng.normal(size=80)
    baseline, other = [noisy(rng, target, 0.8) for _ in range(4)], [noisy(rng, target, 0.8) for _ in range(4)]
    once = paired_difference("r2", baseline, other, target, np.arange(80)).interval()

    def copied(arrays):
        return [np.tile(array, 5) for array in arrays]

    grouped = paired_difference(
        "r2", copied(baseline), copied(other), np.tile(target, 5), np.tile(np.arange(80), 5)
    ).interval()
    assert grouped["high"] - grouped["low"] == pytest.approx(once["high"] - once["low"], rel=1e-6)


def test_seeds_with_their_own_test_sets_are_scored_on_these_only():
    rng = np.random.default_rng(4)
    target = rng.normal(size=90)
    baseline, other = [noisy(rng, target, 1.0) for _ in range(3)], [noisy(rng, target, 0.5) for _ in range(3)]
    tested = [rng.random(90) < 0.6 for _ in range(3)]
    cell = paired_difference("r2", baseline, other, target, np.arange(90), tested).interval()
    for name, runs in (("baseline", baseline), ("value", other)):
        by_hand = [r2_score(target[at], preds[at]) for preds, at in zip(runs, tested, strict=True)]
        assert cell[name] == pytest.approx(np.mean(by_hand))
    everything = paired_difference("r2", baseline, other, target, np.arange(90), [np.ones(90, bool)] * 3).interval()
    assert everything == paired_difference("r2", baseline, other, target, np.arange(90)).interval()


def test_tasks_of_a_mean_are_resampled_jointly_by_molecule():
    rng = np.random.default_rng(9)
    target, groups = rng.normal(size=200), np.tile(np.arange(100), 2)
    baseline, other = [noisy(rng, target, 1.0) for _ in range(3)], [noisy(rng, target, 0.5) for _ in range(3)]
    parts = [np.arange(200) < 100, np.arange(200) >= 100]
    of_tasks = [
        paired_difference(
            "r2", *([run[part] for run in runs] for runs in (baseline, other)), target[part], groups[part]
        )
        for part in parts
    ]
    cell = mean_of(of_tasks).interval()
    for name, runs in (("baseline", baseline), ("value", other)):
        by_hand = [np.mean([r2_score(target[part], preds[part]) for part in parts]) for preds in runs]
        assert cell[name] == pytest.approx(np.mean(by_hand))

    def copied(arrays):
        return [np.tile(array[:100], 2) for array in arrays]

    # A task listed twice counts once: 200 independent labels would narrow its interval.
    once = paired_difference(
        "r2", *([run[:100] for run in runs] for runs in (baseline, other)), target[:100], groups[:100]
    )
    assert mean_of([once, once]).interval() == pytest.approx(once.interval())


def test_one_seed_gives_no_interval():
    with pytest.raises(ValueError, match="at least"):
        paired_difference("r2", [np.zeros(3)], [np.zeros(3)], np.arange(3.0), np.arange(3))


def test_p_is_the_level_whose_interval_just_reaches_zero():
    rng = np.random.default_rng(5)
    target = rng.normal(size=100)
    for scale in (1.0, 0.9, 0.7):
        runs = [[noisy(rng, target, s) for _ in range(4)] for s in (1.0, scale)]
        cell = paired_difference("r2", *runs, target, np.arange(100)).interval()
        assert (cell["p"] < 0.05) == (cell["low"] > 0 or cell["high"] < 0)
    # Without variation over test sets, p is that of Student's t test over the seeds.
    differences = np.array([0.1, 0.3, 0.2, 0.25])
    expected = ttest_1samp(differences, 0).pvalue
    found = statistics._p_values(differences.mean(), differences.std(ddof=1) / 2, 0.0, 4)
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_number_of_seeds_for_a_width_is_the_smallest_that_gives_it():
    rng = np.random.default_rng(7)
    runs = [[noisy(rng, np.arange(9.0), 1.0) for _ in range(3)] for _ in range(2)]
    found = paired_difference("mae", *runs, np.arange(9.0), np.arange(9))
    spread, (_, test) = (found.value - found.baseline).std(ddof=1), found.standard_errors
    half = found.interval()["high"] - found.interval()["difference"]
    width = 1.96 * test + 0.2 * (half - 1.96 * test)
    n = seeds_for(width, half, spread, 3)
    halves = [statistics._half_width(0.05, spread / np.sqrt(m), test, m) for m in (n - 1, n)]
    assert halves[0] > width >= halves[1]
    assert seeds_for(half, half, spread, 3) == 3
    assert seeds_for(1.95 * test, half, spread, 3) == np.inf  # the test set alone makes it wider


def test_verdicts_follow_the_adjusted_p_and_leave_undefined_rows_unchanged():
    table = pd.DataFrame(
        {"difference": [0.3, -0.2, 0.1, 0.1, np.nan], "p": [0.01, 0.02, 0.04, 0.5, np.nan], "verdict": None}
    )
    table.loc[4, "verdict"] = "undefined: no labels"
    found = add_verdicts(table)
    # Benjamini and Hochberg: p · m / rank, made monotone, over the four defined rows.
    assert found.p_adjusted.tolist()[:4] == pytest.approx([0.04, 0.04, 0.16 / 3, 0.5])
    assert found.verdict.tolist() == ["helps", "hurts", "cannot tell", "cannot tell", "undefined: no labels"]
    assert np.isnan(found.p_adjusted[4])
    nothing = add_verdicts(table.iloc[4:])
    assert nothing.verdict.tolist() == ["undefined: no labels"]


@pytest.mark.parametrize("seeds", [3, 5])
def test_verdicts_on_noise_are_wrong_no_more_often_than_one_time_in_twenty(seeds):
    rng, wrong, n = np.random.default_rng(6), 0, 300
    for _ in range(n):
        target = rng.normal(size=60)
        shared = noisy(rng, target, 0.5)  # errors that both arms share, for every seed
        sizes = 0.5 * np.exp(rng.normal(0, 0.7, (2, seeds)))  # some runs are better than others, as with real seeds
        arms = [[noisy(rng, shared, size) for size in of] for of in sizes]
        wrong += paired_difference("r2", *arms, target, np.arange(60)).interval()["p"] < 0.05
    assert wrong <= binom.ppf(0.999, n, 0.05)


def test_verdicts_with_the_fewest_allowed_actives_are_wrong_no_more_often_than_one_time_in_twenty():
    rng, wrong, n = np.random.default_rng(8), 0, 300
    target = np.repeat([1.0, 0.0], [FEWEST, 150])
    for _ in range(n):
        shared = noisy(rng, target, 1.0)
        # Each arm has learned something different that all its seeds share and that says nothing about activity.
        arms = [[noisy(rng, own, 0.1) for _ in range(3)] for own in (noisy(rng, shared, 0.7) for _ in range(2))]
        wrong += paired_difference("auroc", *arms, target, np.arange(len(target))).interval()["p"] < 0.05
    assert wrong <= binom.ppf(0.999, n, 0.05)


def test_a_test_set_with_too_few_constitutions_gets_no_verdict():
    groups = np.arange(60)
    assert too_few("regression", np.zeros(60), groups) is None
    assert too_few("regression", np.zeros(60), groups // 10) == "too few molecules (6, a verdict needs 10)"
    active = np.repeat([1.0, 0.0], [10, 50])
    assert too_few("binary", active, groups) is None
    assert too_few("binary", active, np.maximum(groups, 1)) == "too few molecules of class 1 (9, a verdict needs 10)"
    assert (
        too_few("binary", 1 - active, np.maximum(groups, 1)) == "too few molecules of class 0 (9, a verdict needs 10)"
    )


def test_equal_predictions_give_a_difference_of_zero_and_p_of_one():
    perfect = [np.array([0.1, 0.2, 0.8, 0.9])] * 3
    found = paired_difference("auroc", perfect, perfect, np.array([0.0, 0.0, 1.0, 1.0]), np.arange(4)).interval()
    assert found["difference"] == 0 and found["p"] == 1


def test_a_study_of_several_label_counts_says_which_one_a_sentence_is_about():
    row = pd.Series(
        {"target": "mean of 3 tasks of toy", "source": "b", "regime": "cotrain", "metric": "auroc", "split": "test"}
        | {
            "verdict": "cannot tell",
            "difference": -0.01,
            "detectable": 0.02,
            "n_test": 900,
            "baseline": 0.7,
            "value": 0.69,
        }
        | {"low": -0.03, "high": 0.01, "p_adjusted": 0.4, "seeds": 5, "n_labels": 1234}
    )
    assert "of 3 tasks of toy by −0.010" in finding(row)[0]
    assert "of 3 tasks of toy, learned from 1,234 labels, by −0.010" in finding(row, counted=True)[0]
