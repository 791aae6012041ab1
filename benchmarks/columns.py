"""How should a support vector machine read a table's own columns beside a molecule?

    python benchmarks/columns.py [--fast]

500 molecules with measured logBB (B3DB) get columns of random numbers, which change the label in no way, additively, or only
for large molecules. RMSE of five random folds, for ways to join the similarity of molecules (K) with that of columns (G): what
`selection.models.Kernel` uses is K+G+KG with gamma 0.25. The last line is one JSON object.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.svm import SVR

import molfm
from molfm.selection.candidates import COUNTS
from molfm.selection.describe import counts
from molfm.selection.kernels import gaussian, minmax, scale_of, standardized

K = 5
WAYS = {
    "K": lambda k, g: k,
    "K+G": lambda k, g: (k + g) / 2,
    "KG": lambda k, g: k * g,
    "K+KG": lambda k, g: (k + k * g) / 2,
    "K+G+KG": lambda k, g: (k + g + k * g) / 3,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="60 molecules: only to check that it runs")
    n = 60 if parser.parse_args().fast else 500
    mix = molfm.load("b3db", progress=False)
    table = pd.DataFrame({"smiles": mix.molecules.smiles, "y": mix.labels("logBB")}).dropna().sample(n, random_state=0)
    alike = np.mean([minmax(of, of) for of in (counts(table.smiles, which) for which in COUNTS)], 0)
    ecfp, rng = counts(table.smiles, "ecfp").astype(np.float32), np.random.default_rng(0)
    fold, y, large = rng.integers(0, K, n), table.y.to_numpy(), ecfp.sum(1) > np.median(ecfp.sum(1))

    def machine(join, gamma: float, columns: np.ndarray, labels: np.ndarray) -> np.ndarray:
        preds = np.empty(n)
        for of in range(K):
            train, test = np.flatnonzero(fold != of), np.flatnonzero(fold == of)
            z = standardized(columns, scale_of(columns[train]))
            kernel = join(alike, gaussian(z, z, gamma))
            mean, std = labels[train].mean(), labels[train].std()
            found = SVR(kernel="precomputed", C=3.0, epsilon=0.02)
            found.fit(kernel[np.ix_(train, train)], (labels[train] - mean) / std)
            preds[test] = found.predict(kernel[np.ix_(test, train)]) * std + mean
        return preds

    def forest(columns: np.ndarray, labels: np.ndarray) -> np.ndarray:
        preds, x = np.empty(n), np.concatenate([ecfp, columns], 1)
        for of in range(K):
            trees = RandomForestRegressor(100, max_features=0.1, random_state=0)
            preds[fold == of] = trees.fit(x[fold != of], labels[fold != of]).predict(x[fold == of])
        return preds

    rows = {}
    effects = {
        "none, 1 column": 1,
        "none, 3 columns": 3,
        "added, 1 column": 1,
        "added, 1 of 3 columns": 3,
        "of large molecules": 1,
    }
    for effect, width in effects.items():
        columns = rng.normal(size=(n, width)).astype(np.float32)
        strength = 0.0 if effect.startswith("none") else 0.7 * (large if effect.startswith("of") else 1.0)
        labels = y + strength * columns[:, 0]
        found = {
            f"{way}, gamma {gamma}" if way != "K" else "K": machine(join, gamma, columns, labels)
            for way, join in WAYS.items()
            for gamma in (0.25, 1.0)
        }
        found["forest on Morgan counts and columns"] = forest(columns, labels)
        rows[effect] = {way: float(np.sqrt(np.mean((preds - labels) ** 2))) for way, preds in found.items()}
    result = pd.DataFrame(rows)
    print(result.round(3).to_string())
    print(json.dumps({effect: {way: round(value, 4) for way, value in of.items()} for effect, of in rows.items()}))


if __name__ == "__main__":
    main()
