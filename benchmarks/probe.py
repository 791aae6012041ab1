"""How well do frozen fingerprints of the published model predict with few labels? logBB and BBB of the embedded B3DB.

    python benchmarks/probe.py [--draws 10] [--tasks logBB BBB] [--one-split] [--ship] [--fast]

Every draw splits MiniMix by scaffold with its own seed and draws nested training labels, the same for all arms. All
arms predict the whole test set. With `--one-split`, all draws have the mix's own split (seed 0). The comparison is made
by `molfm.study.label_efficiency`, as in the quickstart. Fingerprints and descriptors are computed once and kept under
`$MOLFM_HOME/probe`. `--ship` writes the fingerprints that come with the package. Each comparison is drawn as
`benchmarks/images/probe-….png`, with Chromium. The last line is one JSON object.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import molfm
from molfm.base.files import home
from molfm.data.mix import Mix
from molfm.study.label_efficiency import label_efficiency
from molfm.study.simple_models import Arm, descriptors, forest, labelled, linear, morgan

COUNTS = {"logBB": (32, 64, 128, 256, None), "BBB": (32, 64, 128, 256, 512, 1024, None)}
BASELINES = ("Morgan + forest", "descriptors + forest")
HERE = Path(__file__).parent
SHIPPED = HERE.parent / "molfm" / "checkpoint_files" / "minimol" / "logbb_fingerprints.parquet"


def minimol(smiles: pd.Series) -> pd.DataFrame:
    """Return the published model's fingerprints, (n, 512)."""
    return pd.DataFrame(molfm.pretrained("minimol").embed(smiles.tolist()), smiles.index)


def kept(compute: Callable[[pd.Series], pd.DataFrame], smiles: pd.Series) -> pd.DataFrame:
    """Return `compute(smiles)`, from the cache if it was computed before."""
    digest = blake2b("\n".join(smiles).encode(), digest_size=8).hexdigest()
    path = home() / "probe" / f"{compute.__name__}-{digest}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, compute(smiles).to_numpy())
    return pd.DataFrame(np.load(path), smiles.index)


def arms(mix: Mix, task: str, trees: int) -> dict[str, Arm]:
    """Return name -> arm; computes the features of each, or reads them from the cache."""
    smiles = labelled(mix, task)
    bits, learned = morgan(smiles), kept(minimol, smiles)
    return {
        "Morgan + forest": forest(mix, task, bits, trees),
        "Morgan + linear": linear(mix, task, bits),
        "descriptors + forest": forest(mix, task, kept(descriptors, smiles), trees),
        "minimol + forest": forest(mix, task, learned, trees),
        "minimol + linear": linear(mix, task, learned),
        "minimol and Morgan + linear": linear(mix, task, pd.concat([learned, bits], axis=1)),
    }


def ship(mix: Mix) -> None:
    """Write SMILES and fingerprints (in half precision) of the logBB molecules, as the quickstart reads them."""
    found = kept(minimol, labelled(mix, "logBB"))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(found.to_numpy(np.float16).ravel()), found.shape[1])
    table = pa.table({"smiles": mix.molecules.smiles[found.index].to_numpy(), "fingerprint": lists})
    pq.write_table(table, SHIPPED, compression="zstd")
    print(f"{SHIPPED}: {SHIPPED.stat().st_size:,} bytes")


def draw(found, path: Path) -> None:
    """Write the figure as an image, with Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 460})
        page.set_content(found.figure().to_html(include_plotlyjs=True))
        page.wait_for_selector(".main-svg")
        page.screenshot(path=path)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10, help="number of draws of split and training labels")
    parser.add_argument("--tasks", nargs="+", choices=list(COUNTS), default=list(COUNTS))
    parser.add_argument("--one-split", action="store_true", help="the mix's own split in every draw")
    parser.add_argument("--ship", action="store_true", help="only write the fingerprints that come with the package")
    parser.add_argument(
        "--fast", action="store_true", help="logBB, 2 counts, 2 draws, 20 trees: only to check that it runs"
    )
    given = parser.parse_args()
    mix, out, start = molfm.load("minimix"), [], time.time()
    if given.ship:
        return ship(mix)
    draws, trees = (2, 20) if given.fast else (given.draws, 500)
    mixes = [mix if given.one_split else molfm.load("minimix", seed=k, progress=False) for k in range(draws)]
    for task in ["logBB"] if given.fast else given.tasks:
        counts = (32, 64) if given.fast else COUNTS[task]
        found = label_efficiency(mixes, task, arms(mix, task, trees), counts)
        means = found.runs.groupby(["metric", "n_labels", "arm"], sort=False).value.mean().unstack("arm")
        print(f"\n{task}: mean on test\n{means.round(3).to_string()}")
        for baseline in BASELINES:
            table = found.against(baseline).drop(columns="target")
            print(f"\n{task} against {baseline}\n{table.round(3).to_string(index=False)}", flush=True)
            out.append({"target": task, "against": baseline, "rows": table.round(4).to_dict("records")})
        if not given.fast:
            draw(found, HERE / "images" / f"probe-{task.lower()}{'-one-split' if given.one_split else ''}.png")
    print(json.dumps({"seconds": round(time.time() - start), "draws": draws, "table": out}))


if __name__ == "__main__":
    main()
