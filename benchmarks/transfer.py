"""Does quantum chemistry help biology? Transfer studies on real data, with an interval and counts for every comparison.

    python benchmarks/transfer.py STUDY [--targets …] [--sources …] [--n-labels …] [--seeds 5] [--precision X]
        [--steps N] [--table NAME] [--fast]

toxcast       all assays of ToxCast in one network, with all their labels. Sources: xTB, DFT (QM9-mini) and both. Regimes:
              trained together and fine-tuned
toxcast-512, toxcast-128, toxcast-32
              the same with so many labels of each assay; for 128 also by level of xTB
families      assays of one family learn from those of others, with 128 labels each (`--targets` and `--sources`)
noise         the control: all assays of ToxCast with 128 labels learn from drawn numbers for the same molecules
toxcast-checkpoint
              the same from the published model of LargeMix instead of data. Its 1,328 assays of PubChem include some of
              Tox21 (lesson 8 finds one), so it has probably seen test labels of the family TOX21
qm9           the same from the full QM9 (DFT, 131,000 molecules), which has to be at hand or is downloaded
minimix       logBB and BBB with all their labels. Sources: xTB, DFT, ToxCast, and all three
minimix-few   the same with 128 labels
checkpoints   logBB and BBB. Sources: two networks that were trained elsewhere, the published model of LargeMix and
              toymix-gine-40. Their networks differ from the baseline's, so this asks what such a model is worth, not
              what its data is worth
toymix        all twelve assays of Tox21 in one network, with QM9, with ZINC12K and with both, under our own recipe
toymix-paper  the same with the paper's network and recipe (arXiv 2310.04292), shortened to `--steps`

No choice was made by looking at a test set. The steps of the ToxCast studies are where the mean validation AUROC of the
target alone stops rising. An interrupted study resumes, and a study with more `--seeds` reuses finished runs, which are
under `runs/transfer`. Two processes of one thread each share two cores. Unless `--fast` is given, the tables are written
to `benchmarks/transfer/NAME*.csv`, with the report. The last line is one JSON object.
"""

import argparse
import json
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from scipy.stats import t

import molfm
from molfm.base.files import home
from molfm.minimix.toxcast import unflagged
from molfm.selection.describe import counts
from molfm.selection.judge import nearest
from molfm.study.simple_models import reference_values
from molfm.study.wording import compact, findings
from molfm.training.curves import mean_cosines
from molfm.training.metrics import auroc

HERE = Path(__file__).parent / "transfer"
QUANTUM = ["xtb", "qm9_mini"]
OURS = {"learning_rate": 2e-3, "weight_decay": 1e-2, "schedule": "cosine", "warmup": 0.1}
TOXCAST = {
    "data": "minimix",
    "targets": ["toxcast"],
    "sources": [*QUANTUM, QUANTUM],
    "regimes": ["cotrain", "finetune"],
    "target_batch": 128,
    "source_batch": 64,
    "hidden_channels": 96,
    "num_layers": 4,
    "pretrain_steps": 1000,
    **OURS,
}
FEW = TOXCAST | {"n_labels": 128, "steps": 200}
MINIMIX = {
    "data": "minimix",
    "targets": ["logBB", "BBB"],
    "sources": [*QUANTUM, "toxcast", "all"],
    "regimes": ["cotrain", "finetune"],
}
STUDIES = {
    "toxcast": TOXCAST | {"steps": 600},
    "toxcast-512": TOXCAST | {"n_labels": 512, "steps": 500, "sources": [QUANTUM]},
    "toxcast-128": FEW | {"sources": [*QUANTUM, "xtb/graph", "xtb/node", "xtb/edge", QUANTUM]},
    "toxcast-32": TOXCAST | {"n_labels": 32, "steps": 120, "sources": [QUANTUM]},
    "families": FEW | {"targets": ["toxcast/BSK"], "sources": ["toxcast/ATG", "toxcast/TOX21"]},
    "noise": FEW | {"sources": ["noise"]},
    "qm9": FEW | {"sources": ["qm9"]},
    "toxcast-checkpoint": FEW
    | {
        "sources": ["minimol"],
        "regimes": ["finetune", "probe"],
        "finetune": {"learning_rate": 3e-4, "layer_decay": 0.8},
    },
    "minimix": MINIMIX | {"steps": 1000},
    "minimix-few": MINIMIX | {"steps": 250, "pretrain_steps": 1000, "n_labels": 128},
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


def with_noise(folder: Path) -> molfm.Mix:
    """Return a mix of ToxCast and the dataset `noise`, ten drawn numbers for each of its molecules."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"smiles": molfm.load("toxcast", progress=False).molecules.smiles})
    names = [f"drawn{i}" for i in range(10)]
    drawn = pd.DataFrame(np.random.default_rng(0).normal(size=(len(table), len(names))), columns=names)
    table.join(drawn).to_csv(folder / "noise.csv", index=False)
    tasks = "\n".join(f"  {name}: {{}}" for name in names)
    source = "sources:\n  - {location: 'file:noise.csv'}"
    (folder / "noise.md").write_text(f"---\nname: noise\n{source}\ntasks:\n{tasks}\n---\nDrawn numbers.\n")
    return with_toxcast("noise", folder)


def with_toxcast(other: str, folder: Path) -> molfm.Mix:
    """Return a mix of ToxCast and another dataset, with the split of MiniMix."""
    folder.mkdir(parents=True, exist_ok=True)
    split = "split: scaffold\nfractions: [0.6, 0.15, 0.25]"
    path = folder / f"toxcast_{other}.md"
    path.write_text(f"---\nname: toxcast_{other}\ndatasets: [toxcast, {other}]\n{split}\n---\nFor a study.\n")
    return molfm.load(path, progress=False)


def forests(result: molfm.TransferResult) -> pd.DataFrame:
    """Return the test metric of a random forest on the labels of seed 0 of each target alone."""
    alone = result.runs[(result.runs.regime == "alone") & (result.runs.seed == 0)]
    rows = [row for run in alone.itertuples() for row in reference_values(result.mix, run.target, [(run.n_labels, 0)])]
    return pd.DataFrame(rows, columns=["target", "n_labels", "seed", "value"])


def by_similarity(result: molfm.TransferResult) -> pd.DataFrame:
    """Return what a source changes for test molecules that are far from, and near to, the training molecules.

    Test molecules are divided into thirds by Tanimoto's similarity to the nearest training molecule of the same seed. One row
    per third (0: the farthest), source and regime: mean AUROC over assays alone, difference, and its 95% interval over
    seeds. Assays count that have five labels of both classes in every third.
    """
    runs, rows = result.runs.drop_duplicates("folder"), []
    for _, of_seed in runs.groupby("seed"):
        alone = molfm.Run(of_seed.folder[of_seed.regime == "alone"].iloc[0])
        train, test = alone.mix.members("train"), alone.predictions().query("split == 'test'").mol_id.unique()
        smiles = alone.mix.molecules.smiles.to_numpy()
        _, similarity = nearest(counts(smiles[train], "ecfp"), counts(smiles[test], "ecfp"))
        third = pd.Series(np.digitize(similarity, np.quantile(similarity, [1 / 3, 2 / 3])), smiles[test])
        found = {}
        for row in of_seed.itertuples():
            run = molfm.Run(row.folder)
            preds = run.predictions().query("split == 'test'")
            preds["third"] = third.reindex(run.mix.molecules.smiles.to_numpy()[preds.mol_id]).to_numpy()
            for (task, part), table in preds.groupby(["task", "third"]):
                measured = table.measured.to_numpy()
                if min((measured == 1).sum(), (measured == 0).sum()) >= 5:
                    found[row.source, row.regime, task, part], _ = auroc(table.preds.to_numpy(), measured)
        wide = pd.Series(found).unstack([0, 1]).dropna()
        parts = wide.groupby(level=0).size()
        wide = wide.loc[parts.index[parts == 3]]
        rows.append(wide.groupby(level=1).mean())
    out = []
    for part, source, regime in ((p, *arm) for p in range(3) for arm in rows[0].columns if arm[1] != "alone"):
        base = np.array([of.loc[part, ("", "alone")] for of in rows])
        change = np.array([of.loc[part, (source, regime)] for of in rows]) - base
        half = t.isf(0.025, len(rows) - 1) * change.std(ddof=1) / np.sqrt(len(rows))
        out.append((part, source, regime, base.mean(), change.mean(), change.mean() - half, change.mean() + half))
    return pd.DataFrame(out, columns=["third", "source", "regime", "alone", "difference", "low", "high"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("--targets", nargs="+")
    parser.add_argument("--sources", nargs="+", help="each one a name, or several separated by commas")
    parser.add_argument("--regimes", nargs="+")
    parser.add_argument("--n-labels", nargs="+", help="numbers, or all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--precision", type=float, help="add seeds until intervals are at most this far to each side")
    parser.add_argument("--max-seeds", type=int, default=30)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--forests", action="store_true", help="also score a random forest per target; takes minutes")
    parser.add_argument(
        "--similarity", action="store_true", help="also compare test molecules near to and far from training"
    )
    parser.add_argument("--conflicts", action="store_true", help="also record the cosines of gradients")
    parser.add_argument("--table", help="name of the table to write; default: name of the study")
    parser.add_argument("--fast", action="store_true", help="5 steps, 2 seeds, 64 labels: only to check that it runs")
    given = parser.parse_args()
    names = ("targets", "sources", "regimes", "seeds", "precision", "max_seeds", "steps")
    chosen = {name: getattr(given, name) for name in names}
    if given.sources:
        chosen["sources"] = [source.split(",") for source in given.sources]
    if given.n_labels:
        chosen["n_labels"] = [None if count == "all" else int(count) for count in given.n_labels]
    settings = STUDIES[given.study] | {name: value for name, value in chosen.items() if value is not None}
    if given.study == "noise":
        settings["data"] = with_noise(home() / "noise")
    elif given.study == "qm9":
        settings["data"] = with_toxcast("qm9", home() / "qm9")
    settings |= {"conflicts": True} if given.conflicts else {}
    result = molfm.transfer(**settings | (FAST if given.fast else {}))
    print(compact(result.main).to_string(index=False))
    for sentence, detail in findings(result):
        print(sentence, detail)
    if not given.fast:
        HERE.mkdir(exist_ok=True)
        name = given.table or given.study
        tables = {"": result.table, "-means": result.means, "-families": result.by_family}
        if "toxcast" in {card.name for card in result.mix.cards} and len(result.means):
            tables["-unflagged"] = result.means_on(unflagged(result.mix))
        if given.forests:
            tables["-reference"] = forests(result)
        for suffix, table in tables.items():
            if len(table):
                shown = table.drop(columns=["members", "spread"], errors="ignore")
                shown.to_csv(HERE / f"{name}{suffix}.csv", index=False, float_format="%.5g")
        result.to_html(HERE / f"{name}.html")
    if given.similarity:
        print(f"By similarity to the training molecules:\n{by_similarity(result).round(3).to_string(index=False)}")
    if given.conflicts:
        for source, of in result.runs[result.runs.regime == "cotrain"].groupby("source"):
            pairs = mean_cosines(of.folder.unique()).groupby(["one", "other"]).cosine.agg(["mean", "std"])
            print(
                f"Cosines of gradients with {source}, mean over training, spread over runs:\n{pairs.round(3).to_string()}"
            )
    facts = {"study": given.study, "settings": result.settings, "seconds": round(result.seconds)}
    main_rows = result.main.drop(columns="members", errors="ignore").round(5)
    print(json.dumps(facts | {"main": json.loads(main_rows.to_json(orient="records"))}))


if __name__ == "__main__":
    main()
