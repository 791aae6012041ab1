"""Does quantum chemistry help biology? Transfer studies on real data, with an interval and counts for every comparison.

    python benchmarks/transfer.py minimix|minimix-few|checkpoints|toymix|toymix-paper [--targets …] [--n-labels …]
        [--seeds 5] [--steps N] [--table NAME] [--fast]

minimix       logBB and BBB with all their labels. Sources: DFT (QM9-mini) and xTB at graph, atom and bond level, each
              alone and all together. Regimes: trained together, fine-tuned and probed
minimix-few   the same with 32 to 512 labels and a quarter of the steps, which is better on validation labels for logBB
              alone and no worse for BBB (`few_labels.py`)
checkpoints   the same targets. Sources: two networks that were trained elsewhere, the published model of LargeMix and
              toymix-gine-40. Their networks differ from the baseline's, so this asks what such a model is worth, not
              what its data is worth
toymix        all twelve assays of Tox21 in one network, with QM9, with ZINC12K and with both, under our own recipe
toymix-paper  the same with the paper's network and recipe (arXiv 2310.04292), shortened to `--steps`

No choice was made by looking at a test set: steps, rates and sizes are those of `molfm.train` unless STUDIES says
otherwise. An interrupted study resumes, and a study with more `--seeds` reuses finished runs, which are under
`runs/transfer`. Two processes of one thread each share two cores. Unless `--fast` is given, the table is written to
`benchmarks/transfer/NAME.csv`, next to the scores of a random forest on the same labels and the report. The last line
is one JSON object.
"""

import argparse
import json
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import molfm

HERE = Path(__file__).parent / "transfer"
LEVELS = ["xtb/graph", "xtb/node", "xtb/edge"]
OURS = {"learning_rate": 2e-3, "weight_decay": 1e-2, "schedule": "cosine", "warmup": 0.1}
MINIMIX = {
    "data": "minimix",
    "targets": ["logBB", "BBB"],
    "sources": ["qm9_mini", *LEVELS, "all"],
    "regimes": ["cotrain", "finetune", "probe"],
}
STUDIES = {
    "minimix": MINIMIX | {"steps": 1000},
    "minimix-few": MINIMIX | {"steps": 250, "pretrain_steps": 1000, "n_labels": [32, 64, 128, 256, 512]},
    "checkpoints": {
        "data": "minimix",
        "targets": ["logBB", "BBB"],
        "sources": ["minimol", "toymix-gine-40"],
        "regimes": ["finetune", "probe"],
        "n_labels": [64, None],
        "steps": 300,
        "finetune": {"learning_rate": 3e-4, "layer_decay": 0.8},
    },
    "toymix": {
        "data": "toymix",
        "targets": ["tox21"],
        "sources": ["qm9", "zinc12k", "all"],
        "regimes": ["cotrain", "finetune"],
        "model": "toymix-gine",
        "steps": 2500,
        "target_batch": 64,
        "source_batch": 128,
        "conflicts": True,
        **OURS,
    },
    "toymix-paper": {
        "data": "toymix",
        "targets": ["tox21"],
        "sources": ["qm9", "zinc12k", "all"],
        "regimes": ["cotrain"],
        "model": "toymix-gine",
        "steps": 10000,
        "target_batch": 64,
        "source_batch": 128,
    },
}
FAST = {"steps": 5, "seeds": 2, "n_labels": 64, "validate_every": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("--targets", nargs="+")
    parser.add_argument("--sources", nargs="+")
    parser.add_argument("--regimes", nargs="+")
    parser.add_argument("--n-labels", nargs="+", help="numbers, or all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--table", help="name of the table to write; default: name of the study")
    parser.add_argument("--fast", action="store_true", help="5 steps, 2 seeds, 64 labels: only to check that it runs")
    given = parser.parse_args()
    chosen = {name: getattr(given, name) for name in ("targets", "sources", "regimes", "seeds", "steps")}
    if given.n_labels:
        chosen["n_labels"] = [None if count == "all" else int(count) for count in given.n_labels]
    settings = STUDIES[given.study] | {name: value for name, value in chosen.items() if value is not None}
    result = molfm.transfer(**settings | (FAST if given.fast else {}))
    print(result.table.drop(columns=["p", "metric"]).round(3).to_string(index=False))
    if len(result.means):
        print(result.means.drop(columns="p").round(4).to_string(index=False))
    if not given.fast:
        HERE.mkdir(exist_ok=True)
        name = given.table or given.study
        result.table.to_csv(HERE / f"{name}.csv", index=False)
        if len(result.means):
            result.means.to_csv(HERE / f"{name}-means.csv", index=False)
        result.reference().to_csv(HERE / f"{name}-reference.csv", index=False)
        result.to_html(HERE / f"{name}.html")
    facts = {"study": given.study, "settings": result.settings, "seconds": round(result.seconds)}
    print(json.dumps(facts | {"table": json.loads(result.table.round(4).to_json(orient="records"))}))


if __name__ == "__main__":
    main()
