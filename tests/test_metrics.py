import numpy as np
import pandas as pd
import pytest
from rdkit.ML.Scoring.Scoring import CalcEnrichment
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from molfm.training.metrics import (
    EVERY,
    METRICS,
    ON_REQUEST,
    averages,
    enrichment,
    evaluate,
    preds_of,
    score,
    undefined,
)

COLUMNS = ["task", "dataset", "level", "domain", "split", "metric", "value", "unit", "n_labels", "undefined"]
RNG = np.random.default_rng(0)
CLASSES = RNG.integers(2, size=200)
PROBABILITIES = np.round(np.clip(0.3 * CLASSES + 0.7 * RNG.random(200), 0, 1), 2)  # rounded: with ties
VALUES = RNG.normal(-300, 4, 200)
PREDICTED = np.round(VALUES + RNG.normal(0, 2, 200), 1)

TASKS = pd.DataFrame(
    {
        "task": ["toy/y", "toy/b", "toy/none"],
        "dataset": "toy",
        "level": ["graph", "graph", "node"],
        "kind": ["regression", "binary", "regression"],
        "domain": ["quantum", "biological", ""],
        "unit": ["eV", "", "e"],
        "std": [2.0, np.nan, np.nan],
    }
)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("mae", mean_absolute_error),
        ("rmse", root_mean_squared_error),
        ("r2", r2_score),
        ("pearson", lambda target, preds: pearsonr(target, preds).statistic),
        ("spearman", lambda target, preds: spearmanr(target, preds).statistic),
        ("auroc", roc_auc_score),
        ("average_precision", average_precision_score),
        *(
            (name, lambda target, preds, function=function: function(target, preds >= 0.5))
            for name, function in {
                "accuracy": accuracy_score,
                "balanced_accuracy": balanced_accuracy_score,
                "f1": f1_score,
                "mcc": matthews_corrcoef,
            }.items()
        ),
    ],
)
def test_metrics_equal_those_of_scikit_learn(metric, reference):
    preds, target = (PROBABILITIES, CLASSES) if "binary" in EVERY[metric] else (PREDICTED, VALUES)
    assert score(metric, preds, target) == pytest.approx(reference(target, preds), abs=1e-12)
    perfect = target.astype(float)
    assert score(metric, perfect, target) == pytest.approx(0 if metric in ("mae", "rmse") else 1)


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        ("binary", [], "no labels"),
        ("binary", [1, 1, 1], "only class 1 among 3 labels"),
        ("binary", [0], "only class 0 among 1 labels"),
        ("binary", [0, 1], None),
        ("regression", [], "no labels"),
        ("regression", [0.5], "no variation among 1 labels"),
        ("regression", [0.5, 0.5], "no variation among 2 labels"),
        ("regression", [0.5, 0.6], None),
    ],
)
def test_labels_that_cannot_be_scored_give_a_reason(kind, target, reason):
    assert undefined(kind, np.array(target, float)) == reason


def predictions_of(rows):
    """Return a table of predictions from (split, number of the task, prediction, measured)."""
    table = pd.DataFrame(rows, columns=["split", "task", "preds", "measured"])
    return table.assign(task=TASKS.task.to_numpy()[table.task])


@pytest.fixture
def table():
    """`toy/y` is measured twice in val and three times in test, `toy/b` has one class in val, `toy/none` has no labels."""
    rows = [
        ("val", 0, 1.0, 2.0),
        ("val", 0, 2.0, 4.0),
        ("val", 1, 0.9, 1.0),
        ("val", 1, 0.2, 1.0),
        ("test", 0, 1.0, 1.5),
        ("test", 0, 2.0, 2.5),
        ("test", 0, 3.0, 2.0),
        ("test", 1, 0.9, 1.0),
        ("test", 1, 0.1, 0.0),
    ]
    return evaluate(predictions_of(rows), TASKS)


def test_the_table_has_one_row_per_task_split_and_metric(table):
    assert table.columns.tolist() == COLUMNS
    assert len(table) == 2 * (5 + 2 + 5)
    assert not table.duplicated(["task", "split", "metric"]).any()


def test_values_are_computed_from_the_labels_of_their_task_and_split(table):
    value = table.set_index(["split", "task", "metric"]).value
    assert value["val", "toy/y", "mae"] == 1.5
    assert value["test", "toy/y", "mae"] == pytest.approx(2 / 3)
    assert value["val", "toy/y", "mae_z"] == 0.75  # its standard deviation in training is 2
    assert value["val", "toy/y", "r2"] == r2_score([2, 4], [1, 2])
    assert value["test", "toy/b", "auroc"] == 1


def test_undefined_metrics_are_nan_with_their_reason(table):
    rows = table.set_index(["split", "task"])
    assert rows.loc[("val", "toy/b"), "value"].isna().all()
    assert set(rows.loc[("val", "toy/b"), "undefined"]) == {"only class 1 among 2 labels"}
    assert set(rows.loc[("test", "toy/none"), "undefined"]) == {"no labels"}
    assert rows.loc[("test", "toy/none"), "value"].isna().all()
    assert (table.value.isna() == (table.undefined != "")).all()


def test_rows_contain_label_counts_units_and_facts_of_the_task(table):
    rows = table.set_index(["split", "task", "metric"])
    assert rows.n_labels["val", "toy/y", "mae"] == 2
    assert rows.n_labels["test", "toy/y", "r2"] == 3
    assert rows.n_labels["test", "toy/none", "mae"] == 0
    assert rows.unit["test", "toy/y", "mae"] == "eV"
    assert pd.isna(rows.unit["test", "toy/y", "r2"])
    assert rows.level["test", "toy/none", "mae"] == "node"
    assert rows.domain["test", "toy/b", "auroc"] == "biological"


# ----------------------------------------------------------------------------------------------------------------- ordinal

THREE = RNG.integers(3, size=90)
CHANCES = RNG.dirichlet([1, 1, 1], size=90) + np.eye(3)[THREE]
CHANCES /= CHANCES.sum(1, keepdims=True)


def test_ordinal_tasks_are_scored_class_by_class_against_all_others():
    reference = roc_auc_score(THREE, CHANCES, multi_class="ovr", average="macro")
    assert score("auroc", CHANCES, THREE) == pytest.approx(reference, abs=1e-6)
    precision = average_precision_score(np.eye(3)[THREE], CHANCES, average="macro")
    assert score("average_precision", CHANCES, THREE) == pytest.approx(precision, abs=1e-6)
    assert score("accuracy", CHANCES, THREE) == np.mean(CHANCES.argmax(1) == THREE)


def test_a_class_that_no_label_has_does_not_count_as_a_failure():
    few = THREE != 1
    one_of_two = roc_auc_score(THREE[few] == 2, CHANCES[few, 2])
    other = roc_auc_score(THREE[few] == 0, CHANCES[few, 0])
    assert score("auroc", CHANCES[few], THREE[few]) == pytest.approx((one_of_two + other) / 2)
    assert undefined("ordinal", np.array([1.0, 1.0])) == "only class 1 among 2 labels"


def test_ordinal_tasks_are_evaluated_on_the_probabilities_of_their_classes():
    tasks = TASKS.iloc[:1].assign(kind="ordinal", std=np.nan)
    columns = {f"class_{c}": CHANCES[:, c] for c in range(3)}
    table = pd.DataFrame({"split": "test", "task": "toy/y", "preds": CHANCES @ range(3), "measured": THREE, **columns})
    assert preds_of("ordinal", table).tolist() == CHANCES.tolist()
    found = evaluate(table, tasks).set_index(["split", "metric"]).value
    assert found["test"].index.tolist() == ["auroc", "average_precision", "accuracy"]
    assert found["test", "accuracy"] == score("accuracy", CHANCES, THREE)


# ---------------------------------------------------------------------------------------------------------------- averages


@pytest.fixture
def results():
    """Three regression tasks, of which `c` is undefined."""
    rows = [
        ("a", "mae", 1.0, "eV", 10, ""),
        ("b", "mae", 3.0, "eV", 20, ""),
        ("c", "mae", np.nan, "eV", 1, "no variation among 1 labels"),
        ("a", "r2", 0.5, None, 10, ""),
        ("b", "r2", 0.7, None, 20, ""),
        ("c", "r2", np.nan, None, 1, "no variation among 1 labels"),
    ]
    table = pd.DataFrame(rows, columns=["task", "metric", "value", "unit", "n_labels", "undefined"])
    return table.assign(dataset="toy", level="graph", split="test")


def test_an_average_counts_the_tasks_that_it_includes_and_leaves_out(results):
    found = averages(results).set_index("metric")
    assert found.value.to_dict() == pytest.approx({"mae": 2.0, "r2": 0.6})
    assert found.n_tasks.tolist() == [2, 2]
    assert found.n_undefined.tolist() == [1, 1]
    assert found.n_labels.tolist() == [30, 30]
    assert found.undefined.tolist() == ["1 × no variation"] * 2


def test_errors_in_several_units_are_not_averaged(results):
    results.loc[results.task == "b", "unit"] = results.unit.where(results.metric != "mae", "debye")
    found = averages(results).set_index("metric")
    assert np.isnan(found.value["mae"])
    assert found.undefined["mae"] == "1 × no variation; several units, see mae_z"
    assert found.value["r2"] == pytest.approx(0.6)


def test_an_average_over_no_tasks_is_listed_as_undefined(results):
    found = averages(results[results.task == "c"])
    assert found.value.isna().all()
    assert found.n_tasks.tolist() == [0, 0]
    assert (found.undefined == "1 × no variation").all()


OTHERS = {"dataset": "other", "level": "node", "split": "val", "seed": 1}


def test_each_dataset_level_split_and_seed_has_its_own_averages(results):
    more = [results.assign(**{"seed": 0, name: other}) for name, other in OTHERS.items()]
    found = averages(pd.concat([results.assign(seed=0), *more]))
    assert len(found) == 2 * 5
    assert (found.n_tasks == 2).all()


def test_test_seen_is_scored_separately_if_it_has_labels(table):
    rows = [("test", 0, 1.0, 1.5), ("test", 0, 2.0, 2.5), ("test_seen", 0, 4.0, 2.0), ("test_seen", 0, 1.0, 1.0)]
    found = evaluate(predictions_of(rows), TASKS)
    mae = found[(found.task == "toy/y") & (found.metric == "mae")].set_index("split").value
    assert mae.to_dict() == pytest.approx({"val": np.nan, "test": 0.5, "test_seen": 1.0}, nan_ok=True)
    assert "test_seen" not in table.split.unique()


# ------------------------------------------------------------------------------------------------------- scale and offset


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1.0, 1e9])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6])
def test_r2_does_not_depend_on_scale_or_offset_of_the_labels(scale, offset):
    target, useless = scale * (VALUES + offset), np.full(len(VALUES), scale * (VALUES.mean() + offset))
    assert score("r2", useless, target) == pytest.approx(0, abs=1e-6)
    assert score("r2", scale * (PREDICTED + offset), target) == pytest.approx(r2_score(VALUES, PREDICTED), abs=1e-4)


# ------------------------------------------------------------------------------------------------ enrichment, on request


def test_enrichment_equals_rdkit_where_scores_differ():
    scores, order = RNG.permutation(1000) / 1000, slice(None, None, -1)
    active = (RNG.random(1000) < 0.1 + 0.3 * scores).astype(float)
    ranked = np.column_stack([scores, active])[np.argsort(scores)[order]]
    for name, fraction in (("ef1", 0.01), ("ef5", 0.05)):
        assert score(name, scores, active) == pytest.approx(CalcEnrichment(ranked, 1, [fraction])[0])


def test_the_top_is_rounded_up_and_holds_at_least_one_molecule():
    active = np.array([1.0, 0.0, 1.0, 0.0])
    assert score("ef1", np.array([0.9, 0.8, 0.2, 0.1]), active) == 2  # the first of four; half of all are active
    assert score("ef1", np.array([0.1, 0.8, 0.2, 0.1]), active) == 0
    many = np.arange(700.0)
    assert enrichment(many, many == 699, 0.01) == pytest.approx(100)  # the top has 7 molecules, although 0.01 · 700 > 7


def test_ties_at_the_end_of_the_top_count_in_expectation():
    preds, active = np.array([0.9, 0.5, 0.5, 0.5, *[0.1] * 36]), np.array([0.0, 1.0, 1.0, 0.0, *[0.0] * 36])
    # The top 5% has two molecules: the first, which is inactive, and one of three, of which two are active.
    assert score("ef5", preds, active) == pytest.approx((2 / 3 / 2) / (2 / 40))
    assert score("ef5", np.zeros(40), active) == pytest.approx(1)
    shuffled = RNG.permutation(40)
    assert score("ef5", preds[shuffled], active[shuffled]) == pytest.approx(score("ef5", preds, active))


def test_metrics_on_request_are_those_of_the_kinds_that_they_fit():
    rows = [("test", 0, 1.0, 1.5), ("test", 0, 2.0, 2.5), ("test", 1, 0.9, 1.0), ("test", 1, 0.1, 0.0)]
    found = evaluate(predictions_of(rows), TASKS, ["mcc", "rmse"])
    test = found[found.split == "test"].set_index(["task", "metric"])
    assert test.value.to_dict() == pytest.approx(
        {("toy/y", "rmse"): 0.5, ("toy/b", "mcc"): 1.0, ("toy/none", "rmse"): np.nan}, nan_ok=True
    )
    assert test.unit["toy/y", "rmse"] == "eV" and pd.isna(test.unit["toy/b", "mcc"])
    assert found.columns.tolist() == COLUMNS


def test_results_of_a_run_stay_short():
    assert all(not set(METRICS[kind]) & set(ON_REQUEST[kind]) for kind in METRICS)
    assert set(EVERY) == {name for of in (METRICS, ON_REQUEST) for names in of.values() for name in names}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["mmc"], "Unknown metric 'mmc'. Did you mean 'mcc'"),
        (["mcc"], "mcc is a metric of binary tasks, and there are none"),
        ({"mine": lambda preds, target: 1 / 0}, "Metric 'mine' of toy/y on test failed: ZeroDivisionError"),
        ({"mine": lambda preds, target: preds}, "Metric 'mine' of toy/y on test: expected one number, found array"),
        ({"mine": lambda preds, target: "high"}, "Metric 'mine' of toy/y on test: expected one number, found 'high'"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_an_error_that_says_where(metrics, message):
    rows = [("test", 0, 1.0, 1.5), ("test", 0, 2.0, 2.5)]
    with pytest.raises(ValueError, match=message):
        evaluate(predictions_of(rows), TASKS[TASKS.kind == "regression"], metrics)


def test_a_function_of_ones_own_cannot_change_the_predictions_and_may_return_nan():
    def spoil(preds, target):
        preds[:] = 7
        return np.nan

    rows = predictions_of([("test", 0, 1.0, 1.5), ("test", 0, 2.0, 2.5)])
    found = evaluate(rows, TASKS.iloc[:1], {"spoil": spoil, "worst": lambda p, t: np.abs(p - t).max()})
    test = found[found.split == "test"].set_index("metric")
    assert test.undefined.tolist() == ["its function returned NaN", ""]
    assert test.value["worst"] == 0.5
    assert set(found.undefined[found.split == "val"]) == {"no labels"}
