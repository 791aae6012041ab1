import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score, roc_auc_score

from molfm.metrics import averages, evaluate, preds_of, score, undefined

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
    ("kind", "metric", "reference"),
    [
        ("regression", "mae", mean_absolute_error),
        ("regression", "r2", r2_score),
        ("regression", "pearson", lambda target, preds: pearsonr(target, preds).statistic),
        ("regression", "spearman", lambda target, preds: spearmanr(target, preds).statistic),
        ("binary", "auroc", roc_auc_score),
        ("binary", "average_precision", average_precision_score),
    ],
)
def test_metrics_equal_those_of_scikit_learn(kind, metric, reference):
    preds, target = (PROBABILITIES, CLASSES) if kind == "binary" else (PREDICTED, VALUES)
    assert score(kind, metric, preds, target) == pytest.approx(
        reference(target, preds), abs=1e-6
    )  # ranks are float32 in torchmetrics
    perfect = target.astype(float)
    assert score(kind, metric, perfect, target) == pytest.approx(0 if metric == "mae" else 1)


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
def test_what_cannot_be_scored_says_why(kind, target, reason):
    assert undefined(kind, np.array(target, float)) == reason


@pytest.fixture
def table():
    """`toy/y` is measured twice in val and thrice in test, `toy/b` has one class in val, `toy/none` has no labels."""
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
    return evaluate(pd.DataFrame(rows, columns=["split", "task", "preds", "target"]), TASKS)


def test_the_table_has_a_row_a_task_split_and_metric(table):
    assert table.columns.tolist() == COLUMNS
    assert len(table) == 2 * (5 + 2 + 5)
    assert not table.duplicated(["task", "split", "metric"]).any()


def test_values_are_those_of_the_labels_of_their_task_and_split(table):
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


def test_label_counts_units_and_facts_stand_beside_the_values(table):
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
    assert score("ordinal", "auroc", CHANCES, THREE) == pytest.approx(reference, abs=1e-6)
    precision = average_precision_score(np.eye(3)[THREE], CHANCES, average="macro")
    assert score("ordinal", "average_precision", CHANCES, THREE) == pytest.approx(precision, abs=1e-6)
    assert score("ordinal", "accuracy", CHANCES, THREE) == np.mean(CHANCES.argmax(1) == THREE)


def test_a_class_that_no_label_has_does_not_count_as_a_failure():
    few = THREE != 1
    one_of_two = roc_auc_score(THREE[few] == 2, CHANCES[few, 2])
    other = roc_auc_score(THREE[few] == 0, CHANCES[few, 0])
    assert score("ordinal", "auroc", CHANCES[few], THREE[few]) == pytest.approx((one_of_two + other) / 2)
    assert undefined("ordinal", np.array([1.0, 1.0])) == "only class 1 among 2 labels"


def test_ordinal_tasks_are_evaluated_on_the_probabilities_of_their_classes():
    tasks = TASKS.iloc[:1].assign(kind="ordinal", std=np.nan)
    columns = {f"class_{c}": CHANCES[:, c] for c in range(3)}
    table = pd.DataFrame({"split": "test", "task": 0, "preds": CHANCES @ range(3), "target": THREE, **columns})
    assert preds_of("ordinal", table).tolist() == CHANCES.tolist()
    found = evaluate(table, tasks).set_index(["split", "metric"]).value
    assert found["test"].index.tolist() == ["auroc", "average_precision", "accuracy"]
    assert found["test", "accuracy"] == score("ordinal", "accuracy", CHANCES, THREE)


# ---------------------------------------------------------------------------------------------------------------- averages


@pytest.fixture
def results():
    """Three regression tasks, of which `c` is undefined, and two units."""
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


def test_an_average_says_how_many_tasks_it_averages_and_which_it_cannot(results):
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


def test_an_average_over_nothing_is_undefined_and_not_left_out(results):
    found = averages(results[results.task == "c"])
    assert found.value.isna().all()
    assert found.n_tasks.tolist() == [0, 0]
    assert (found.undefined == "1 × no variation").all()


OTHERS = {"dataset": "other", "level": "node", "split": "val", "seed": 1}


def test_each_dataset_level_split_and_seed_has_averages_of_its_own(results):
    more = [results.assign(**{"seed": 0, name: other}) for name, other in OTHERS.items()]
    found = averages(pd.concat([results.assign(seed=0), *more]))
    assert len(found) == 2 * 5
    assert (found.n_tasks == 2).all()


def test_test_seen_is_scored_where_there_are_such_labels_and_apart_from_test(table):
    rows = [("test", 0, 1.0, 1.5), ("test", 0, 2.0, 2.5), ("test_seen", 0, 4.0, 2.0), ("test_seen", 0, 1.0, 1.0)]
    found = evaluate(pd.DataFrame(rows, columns=["split", "task", "preds", "target"]), TASKS)
    mae = found[(found.task == "toy/y") & (found.metric == "mae")].set_index("split").value
    assert mae.to_dict() == pytest.approx({"val": np.nan, "test": 0.5, "test_seen": 1.0}, nan_ok=True)
    assert "test_seen" not in table.split.unique()
