"""What a learning curve says, in plain sentences: warnings that a beginner would miss and an expert would check."""

import numpy as np

FEW_LABELS = 30  # validation labels below which a metric says little
_PATIENCE = 0.25  # share of the run without improvement after which it is said
_EARLY = 0.2  # share of the run before which a curve says nothing


def alerts(
    steps: np.ndarray,
    metric: np.ndarray,
    total_steps: int,
    *,
    name: str,
    n_val: int,
    val_loss: np.ndarray,
    train_loss: np.ndarray,
    forest: float | None = None,
    finished: bool = False,
) -> list[str]:
    """Return sentences about the validations of a run so far.

    Args:
        steps, metric, val_loss, train_loss: (n,), one value per validation; a larger metric is better, NaN if undefined.
        total_steps: the length of the run.
        name: name of the metric and its task, such as "R² of logBB".
        n_val: number of validation labels of the task, or the mean number of several tasks.
        forest: the metric of a random forest, if known.
        finished: whether the run has finished.
    """
    out = []
    if len(val_loss) and not np.isfinite(val_loss[-1]):
        out.append(f"The loss is no longer a number since step {steps[-1]:,}. Lower the learning rate.")
    if 0 < n_val < FEW_LABELS:
        out.append(f"Only {n_val:.0f} validation labels choose the weights, so the curve of {name} is mostly noise.")
    known = np.isfinite(metric)
    if known.sum() < 2:
        return out
    steps, metric, val_loss, train_loss = (of[known] for of in (steps, metric, val_loss, train_loss))
    last, best = int(steps[-1]), int(np.argmax(metric))
    since = last - int(steps[best])
    if last >= _EARLY * total_steps and since > _PATIENCE * total_steps:
        falling = train_loss[-1] < train_loss[best]
        reason = (
            " while the training loss still falls: the network begins to learn its training labels by heart"
            if falling
            else ""
        )
        out.append(f"Validation has not got better since step {int(steps[best]):,}{reason}.")
    elif finished and best == len(metric) - 1 and len(metric) > 3:
        out.append("The last validation was the best one, so a longer run may be better.")
    if finished and forest is not None and metric[best] < forest:
        out.append(f"A random forest on fingerprints is better: {forest:.2f}, against {metric[best]:.2f} at best.")
    elif finished and metric[best] <= 0 and name.startswith("R²"):
        out.append("R² is not above 0: the network predicts no better than the mean of the labels.")
    return out
