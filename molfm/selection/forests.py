"""A random forest as flat arrays: what a fit keeps of scikit-learn's forests, in place of pickles."""

import numpy as np

_CHUNK = 1_000  # molecules whose paths are followed together


def flattened(forest) -> dict[str, np.ndarray]:
    """Return a fitted forest of scikit-learn as arrays over all nodes of all trees.

    Returns:
        feature (int16, -1 at a leaf), threshold (float32), right (int32, number of the right child; the left child follows
        its parent), value (float32, the prediction or the share of class 1), root (int32, one per tree).
    """
    trees = [estimator.tree_ for estimator in forest.estimators_]
    root = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])
    regression = trees[0].value.shape[2] == 1
    value = [tree.value[:, 0, 0] if regression else _share(tree.value[:, 0], forest.classes_) for tree in trees]
    joined = {
        "feature": np.concatenate([tree.feature for tree in trees]).astype(np.int16),
        "threshold": np.concatenate([tree.threshold for tree in trees]).astype(np.float32),
        "right": np.concatenate([tree.children_right + at for tree, at in zip(trees, root, strict=True)]).astype(
            np.int32
        ),
        "value": np.concatenate(value).astype(np.float32),
        "root": root.astype(np.int32),
    }
    joined["feature"][leaf] = -1
    left = np.concatenate([tree.children_left + at for tree, at in zip(trees, root, strict=True)])
    assert np.array_equal(left[~leaf], np.flatnonzero(~leaf) + 1)  # scikit-learn builds trees depth first
    return joined


def _share(value: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return value[:, list(classes).index(1)] / value.sum(1) if 1 in classes else np.zeros(len(value))


def follow(nodes: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return the predictions of a flattened forest for x (n, d): (n,), the mean over its trees."""
    parts = [_follow(nodes, x[start : start + _CHUNK]) for start in range(0, len(x), _CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _follow(nodes: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    at, row = np.tile(nodes["root"], (len(x), 1)), np.arange(len(x))[:, None]
    while (feature := nodes["feature"][at]).max(initial=-1) >= 0:
        goes_left = x[row, np.maximum(feature, 0)].astype(np.float32) <= nodes["threshold"][at]
        further = np.where(goes_left, at + 1, nodes["right"][at])
        at = np.where(feature < 0, at, further)
    return nodes["value"][at].mean(1, dtype=np.float64)
