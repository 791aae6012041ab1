import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score, roc_auc_score

from molfm.metrics import evaluate, score, undefined

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
    }
)


@pytest.mark.parametrize(
    ("kind", "metric", "reference"),
    [
        ("regression", "mae", mean_absolute_error),
        ("regression", "r2", r2_score),
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
    assert len(table) == 2 * (3 + 2 + 3)
    assert not table.duplicated(["task", "split", "metric"]).any()


def test_values_are_those_of_the_labels_of_their_task_and_split(table):
    value = table.set_index(["split", "task", "metric"]).value
    assert value["val", "toy/y", "mae"] == 1.5
    assert value["test", "toy/y", "mae"] == pytest.approx(2 / 3)
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
