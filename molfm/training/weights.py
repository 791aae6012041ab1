"""How much each label counts in the loss, by its task and class.

The loss of a label is multiplied by its weight, and a head still divides the sum by its number of labels. So a weight
changes the share of a task in its head, and with it the share of the head in the total. The weights that stand in a
table (role `weight`) are relative: they are divided by their mean over the training labels of each task.
"""

import numpy as np

from molfm.base.errors import InputError
from molfm.data.mix import Mix
from molfm.data.splits import SPLITS
from molfm.training.config import TrainConfig


def label_weights(mix: Mix, config: TrainConfig) -> np.ndarray | None:
    """Return the weight of a label by task and class, (n_tasks, 2) float32; None if all labels weigh the same.

    Labels of class 1 of a binary task have the weights of column 1, all others those of column 0. The columns are equal
    for other kinds of tasks. `batches.batch.weighted` multiplies labels by them, and by the weights of the table.

    With `balance_classes`, a class of n_c among n training labels gets the weight n / (2 n_c): both classes add up to
    n / 2, and the mean weight of a label stays that of its task. A task with training labels of one class stays as it is.

    Args:
        mix: the tasks and training labels of the run.
        config: settings of training; `task_weights` and `balance_classes` count here. Where several names stand for a
            task, the last one counts.

    Raises:
        UnknownName: a name in `task_weights` matches no task of the mix, or several.
        ValueError: no task has a weight above 0.
    """
    if not config.task_weights and not config.balance_classes and not mix.is_weighted:
        return None
    weights, of_table = np.ones((2, len(mix.chosen), 2), np.float32)
    for number in range(len(mix.chosen)) if mix.is_weighted else ():
        train = mix.label_triples(number)[2] == SPLITS.index("train")
        mean = mix.label_extras(number)[1][train].mean() if train.any() else 1.0
        of_table[number] = 1 / mean if mean > 0 else 1.0
    for name, weight in (config.task_weights or {}).items():
        weights[mix.numbers(name)] = weight
    if not weights.any():
        raise InputError(f"Expected at least one weight above 0, found task_weights={config.task_weights}.")
    if config.balance_classes:
        positive = mix.tasks.positive_rate.to_numpy(float)  # NaN for other kinds of tasks
        both = (positive > 0) & (positive < 1)
        share = np.stack([1 - positive, positive], axis=1)[both]
        weights[both] /= (2 * share).astype(np.float32)
    return weights * of_table
