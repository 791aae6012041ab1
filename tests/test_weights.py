import numpy as np
import pytest

from molfm.training.config import TrainConfig
from molfm.training.weights import label_weights


def weights(mix, **settings):
    return label_weights(mix, TrainConfig(**settings))


def test_labels_weigh_the_same_unless_asked_otherwise(toy):
    assert weights(toy) is None
    assert weights(toy, task_weights={}) is None


def test_a_name_gives_its_weight_to_all_tasks_that_it_stands_for(toy):
    found = weights(toy, task_weights={"toy/graph": 3, "order": 0.5})
    assert toy.tasks.task.tolist() == ["toy/heavy", "toy/oxygen", "toy/element", "toy/order"]
    assert found.tolist() == [[3, 3], [3, 3], [1, 1], [0.5, 0.5]]


def test_of_several_names_for_a_task_the_last_one_counts(toy):
    assert weights(toy, task_weights={"toy": 2, "heavy": 5})[:, 0].tolist() == [5, 2, 2, 2]
    assert weights(toy, task_weights={"heavy": 5, "toy": 2})[:, 0].tolist() == [2, 2, 2, 2]


def test_balanced_classes_have_equal_sums_and_leave_the_mean_weight_of_the_task(toy):
    found = weights(toy, balance_classes=True, task_weights={"oxygen": 3})
    number = toy.task_number("oxygen")
    _, _, split, value = toy.label_triples(number)
    value = value[split == 0]
    each = found[number, (value == 1).astype(int)]
    assert each[value == 1].sum() == pytest.approx(each[value == 0].sum(), rel=1e-6)
    assert each.mean() == pytest.approx(3, rel=1e-6)
    others = np.delete(found, number, axis=0)
    assert (others == 1).all()  # regression has no classes


def test_classes_are_counted_among_the_training_labels_that_are_kept(toy):
    number = toy.task_number("oxygen")
    molecule, _, split, value = toy.label_triples(number)
    only_one = np.zeros(len(toy), bool)
    only_one[molecule[value == 1]] = True
    assert (weights(toy.keep("oxygen", only_one), balance_classes=True) == 1).all()
    some = np.ones(len(toy), bool)
    some[molecule[(split == 0) & (value == 1)][3:]] = False
    negatives = int(((split == 0) & (value == 0)).sum())
    found = weights(toy.keep("oxygen", some), balance_classes=True)[number]
    assert found.tolist() == pytest.approx([(negatives + 3) / (2 * negatives), (negatives + 3) / 6], rel=1e-6)


def test_an_unknown_task_a_negative_weight_and_weights_of_zero_are_refused(toy):
    with pytest.raises(ValueError, match="No task 'heavvy' in toy"):
        weights(toy, task_weights={"heavvy": 2})
    with pytest.raises(ValueError, match="Expected task_weights to be 0 or more"):
        TrainConfig(task_weights={"heavy": -1})
    with pytest.raises(ValueError, match="at least one weight above 0"):
        weights(toy, task_weights={"toy": 0})
