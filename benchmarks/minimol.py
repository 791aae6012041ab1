"""The published model of LargeMix on molfm's layers: its speed, its fidelity from SMILES, and its units.

    python benchmarks/minimol.py [--molecules 500] [--rounds 5] [--data FOLDER] [--write] [--fast]

Speed: wall time from SMILES of B3DB's molecules to fingerprints in batches of 100, and the share of each part. Then
the peak memory of writing fingerprints to Parquet, for two numbers of molecules. The original code, minimol 1.3.5 on
graphium 2.4.7, processed 76 molecules per second on two cores of such a machine (its featurizing alone 166, its network
alone 135), on another day. It needs compiled extensions and is not run here.

FOLDER (or MOLFM_TEST_DATA) holds `minimol_reference/reference.npz` (outputs of the original code for 115 molecules) and
`pcqm4m_sample/PCQM4M_G25_N4_10rows.parquet` (ten published rows with their DFT labels). With it, the script also
measures how the choice of eigenvectors changes fingerprints, and fits physical units. --write stores that fit in the
package.

The last line is one JSON object.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

import molfm
from molfm.batches.batch import to_batch
from molfm.chem.encodings import laplacian
from molfm.chem.featurize import featurize
from molfm.data.store import in_memory, structure
from molfm.nn import predictor as inference
from molfm.nn.minimol import unit_fits
from molfm.plots.predictions import atom_agreement

ORIGINAL = 76  # molecules per second, end to end in batches of 100
UNITS = Path(__file__).parents[1] / "molfm" / "checkpoint_files" / "minimol" / "units.csv"


def speed(model, smiles: list[str], rounds: int) -> dict[str, float]:
    """Return molecules per second and the share of each part in the time, medians over rounds."""
    inference.PREDICT_BATCH = 100
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        model.embed(smiles, progress=False)
        whole = time.perf_counter() - start
        start = time.perf_counter()
        molecules = featurize(smiles, levels=())
        featurizing = time.perf_counter() - start
        shard, parts = in_memory(molecules), [0.0, 0.0]
        for first in range(0, len(molecules.row), 100):
            local = np.arange(first, min(first + 100, len(molecules.row)))
            start = time.perf_counter()
            batch = to_batch(structure(shard, local, model.config.encodings))
            middle = time.perf_counter()
            with torch.inference_mode():
                model.vectors(batch)
            parts = [parts[0] + middle - start, parts[1] + time.perf_counter() - middle]
        total = featurizing + sum(parts)
        found.append((len(smiles) / whole, featurizing / total, parts[0] / total, parts[1] / total))
    names = ("molecules/s", "featurizing", "encodings and batches", "network")
    return dict(zip(names, np.median(found, axis=0).round(3).tolist(), strict=True))


def bare_product(rounds: int = 20) -> float:
    """Return GFLOP/s of the matrix product that dominates the trunk, to compare machines."""
    left, right = torch.randn(2500, 336), torch.randn(336, 336)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(10):
            left @ right
        times.append(time.perf_counter() - start)
    return round(10 * 2 * 2500 * 336 * 336 / np.median(times) / 1e9)


def operations(model, smiles: list[str]) -> float:
    """Return GFLOP per molecule, counted by torch."""
    with FlopCounterMode(display=False) as counter:
        model.embed(smiles, progress=False)
    return round(counter.get_total_flops() / len(smiles) / 1e9, 3)


def _peak(smiles: list[str], n: int, pipe) -> None:
    model = molfm.pretrained("minimol", progress=False)
    with tempfile.TemporaryDirectory() as folder:
        model.embed((smiles[i % len(smiles)] for i in range(n)), Path(folder) / "e.parquet", progress=False)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def memory(smiles: list[str], n: int) -> float:
    """Return the peak memory in MB of a process that writes n fingerprints."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_peak, args=(smiles, n, theirs))
    process.start()
    peak = ours.recv()
    process.join()
    return round(peak)


def from_smiles(model, path: Path) -> dict[str, float]:
    """Return the errors of fingerprints against the original code's, in standard deviations of the latter."""
    with np.load(path, allow_pickle=False) as packed:
        smiles, expected = packed["smiles"].tolist(), packed["fingerprint"]
    found = featurize(smiles, levels=())
    values = laplacian(found.atom_ptr, found.bonds, found.bond_ptr, n_vectors=9, normalization="none")[1].astype(float)
    choice = np.array([(np.diff(values[a][: b - a]) < 2e-3).any() for a, b in pairwise(found.atom_ptr)])
    error = np.abs(model.embed(smiles, progress=False) - expected).max(1) / expected.std()
    return {
        "molecules": len(smiles),
        "with a choice of axes": int(choice.sum()),
        "largest error without": float(error[~choice].max().round(3)),
        "median error with": float(np.median(error[choice]).round(3)),
        "largest error with": float(error[choice].max().round(3)),
    }


def ten_rows(path: Path) -> molfm.Mix:
    """Open the ten published rows with the card of their dataset."""
    with tempfile.TemporaryDirectory() as folder:
        mirror = Path(folder)
        pd.read_parquet(path).to_parquet(mirror / "PCQM4M_G25_N4.parquet")
        splits = {"train": list(range(8)), "val": [8], "test": [9]}
        torch.save(splits, mirror / "pcqm4m_g25_n4_random_splits.pt")
        before, os.environ["MOLFM_MIRROR"] = os.environ.get("MOLFM_MIRROR"), folder
        home, os.environ["MOLFM_HOME"] = os.environ.get("MOLFM_HOME"), tempfile.mkdtemp()
        try:
            return molfm.load("pcqm4m_g25_n4", progress=False)
        finally:
            for name, value in (("MOLFM_MIRROR", before), ("MOLFM_HOME", home)):
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def charges(model, mix: molfm.Mix) -> pd.DataFrame:
    """Return the Mulliken charges of all atoms, from DFT and as predicted."""
    table = model.predict(mix.molecules.smiles, level="node", tasks=["charges_mulliken"], progress=False)
    table = table.rename(columns={"pcqm4m_g25_n4/charges_mulliken": "predicted"})
    return table.assign(DFT=np.concatenate(mix.labels("charges_mulliken").tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=os.environ.get("MOLFM_TEST_DATA"))
    parser.add_argument("--write", action="store_true", help="store the fit of units in the package")
    parser.add_argument("--figure", type=Path, help="write the figure of the charges to this HTML file")
    parser.add_argument("--fast", action="store_true", help="few molecules, one round: only to check that it runs")
    given = parser.parse_args()
    if given.fast:
        given.molecules, given.rounds = 100, 1
    warnings.simplefilter("ignore")
    model = molfm.pretrained("minimol")
    mix = molfm.load("minimix", progress=False).select(["b3db"])
    smiles = mix.molecules.smiles.iloc[np.linspace(0, len(mix) - 1, given.molecules).astype(int)].tolist()
    facts = {"speed": speed(model, smiles, given.rounds)}
    facts["speed"]["of the original"] = round(facts["speed"]["molecules/s"] / ORIGINAL, 2)
    facts["speed"] |= {"bare product, GFLOP/s": bare_product(), "GFLOP a molecule": operations(model, smiles)}
    print(facts["speed"])
    sizes = (given.molecules, 2 * given.molecules) if given.fast else (5_000, 15_000)
    facts["memory, MB"] = {n: memory(smiles, n) for n in sizes}
    print(facts["memory, MB"])
    if given.data:
        data = Path(given.data)
        facts["from SMILES"] = from_smiles(model, data / "minimol_reference" / "reference.npz")
        print(facts["from SMILES"])
        rows = ten_rows(data / "pcqm4m_sample" / "PCQM4M_G25_N4_10rows.parquet")
        fits = unit_fits(model, rows, progress=False)
        print(fits.to_string(index=False))
        facts["units"] = fits[["task", "r2", "rmse"]].round(4).to_dict("records")
        if given.write:
            UNITS.parent.mkdir(parents=True, exist_ok=True)
            fits.to_csv(UNITS, index=False, float_format="%.6g")
        model.fit_units(rows, progress=False)
        table = charges(model, rows)
        facts["charges"] = {"atoms": len(table), "r": round(float(table.DFT.corr(table.predicted)), 4)}
        if given.figure:
            figure = atom_agreement(table, "DFT", "predicted")
            figure.update_layout(title_text="Mulliken charges, ten molecules of PCQM4M")
            figure.write_html(given.figure, include_plotlyjs=True)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
