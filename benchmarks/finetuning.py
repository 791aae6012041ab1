"""The published model fine-tuned on few labels, compared with its frozen fingerprints and forests (logBB and BBB).

    python benchmarks/finetuning.py [--draws 5] [--tasks logBB BBB] [--steps 200] [--fast]

As in `probe.py`, each draw has its own scaffold split and training labels, the same for all arms. Fine-tuning sets
aside a fifth of its labels (random molecules) to choose the best weights; the other arms learn from all labels. The
recipe was not tuned: 200 steps of 32 molecules, AdamW at 1e-4 under the heads, a factor of 0.8 from each layer to the
one below. Runs are run folders under `finetuning/`; finished runs are reused. The last line is one JSON object.
"""

import argparse
import json
import time

import numpy as np
import pandas as pd
import probe

import molfm
from molfm.base.files import home
from molfm.data.mix import Mix
from molfm.study.label_efficiency import label_efficiency
from molfm.study.simple_models import Arm, descriptors, forest, labelled, linear, morgan
from molfm.training.run import Run

COUNTS = {"logBB": (64, 256, None), "BBB": (64, 256)}


def fine_tuned(mix: Mix, task: str, steps: int) -> Arm:
    """Return an arm: MiniMol fine-tuned on a table of training and test molecules."""
    smiles = labelled(mix, task)
    measured = mix.labels(task)

    def arm(train: np.ndarray, y: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        name = f"finetuning/{task}-{len(train)}-{seed}-{steps}"
        if not (home() / "runs" / name / "results.parquet").exists():
            chooses = np.random.default_rng(seed).permutation(len(train)) < max(2, len(train) // 5)
            rows = [*train[~chooses], *train[chooses], *test]
            sides = np.repeat(["train", "val", "test"], [(~chooses).sum(), chooses.sum(), len(test)])
            table = pd.DataFrame({"smiles": smiles[rows].to_numpy(), "y": measured[rows].to_numpy(), "side": sides})
            data = molfm.load(table, split="side", tasks=["y"], progress=False)
            settings = {"steps": steps, "batch_size": 32, "learning_rate": 1e-4, "layer_decay": 0.8, "seed": seed}
            molfm.finetune("minimol", data, name=name, progress=False, **settings)
        run = Run(name)
        found = run.predictions().query("split == 'test'")
        return found.set_index(run.mix.molecules.smiles[found.mol_id].to_numpy()).preds[smiles[test]].to_numpy()

    return arm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", choices=list(COUNTS), default=list(COUNTS))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--fast", action="store_true", help="logBB, 2 draws of 32 labels, 2 steps: only to check")
    given = parser.parse_args()
    draws, trees, steps = (2, 20, 2) if given.fast else (given.draws, 500, given.steps)
    mixes, out, start = [molfm.load("minimix", seed=k, progress=False) for k in range(draws)], [], time.time()
    for task in ["logBB"] if given.fast else given.tasks:
        smiles = labelled(mixes[0], task)
        arms = {
            "Morgan + forest": forest(mixes[0], task, morgan(smiles), trees),
            "descriptors + forest": forest(mixes[0], task, probe.kept(descriptors, smiles), trees),
            "minimol + linear": linear(mixes[0], task, probe.kept(probe.minimol, smiles)),
            "minimol, fine-tuned": fine_tuned(mixes[0], task, steps),
        }
        found = label_efficiency(mixes, task, arms, (32,) if given.fast else COUNTS[task])
        means = found.runs.groupby(["metric", "n_labels", "arm"], sort=False).value.mean().unstack("arm")
        print(f"\n{task}: mean on test\n{means.round(3).to_string()}")
        for baseline in ("Morgan + forest", "minimol + linear"):
            table = found.against(baseline).drop(columns="target")
            print(f"\n{task} against {baseline}\n{table.round(3).to_string(index=False)}", flush=True)
            out.append({"target": task, "against": baseline, "rows": table.round(4).to_dict("records")})
    print(json.dumps({"seconds": round(time.time() - start), "draws": draws, "steps": steps, "table": out}))


if __name__ == "__main__":
    main()
