"""A million molecules on two cores: memory, speed and disk use of preparing, opening, reading and training.

    python benchmarks/scale.py [--rows 1000000] [--fast] [--again]

The molecules are the training set of MOSES: real drug-like molecules, from a wheel of the package index. The labels
are toy values counted from the SMILES text, because only their number matters here. Each stage runs in its own process.
The system reports the memory of this process and its children every fifth of a second. USS is what would be freed if
the process ended; PSS adds its share of memory that several processes use. Both include the pages of memory-mapped
files that happen to be in memory, which the system takes back when it needs them. "own" is the memory without such
pages (Linux; memory that processes share after a fork counts in each).

Table and store are kept under `$MOLFM_HOME`. An interrupted run resumes, and a later run only opens and trains, unless
`--again` is given. Only a run that did all of the preparing reports its speed.
"""

import argparse
import cProfile
import io
import json
import pstats
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from molfm.base.files import home
from molfm.catalog.download import fetch

MOSES = "pypi:molsets==0.3.1#moses/dataset/data/train.csv.gz"
WHEEL_SHA256 = "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34"
CARD = """---
name: scale
split: random
fractions: [0.98, 0.01, 0.01]
sources: [{{location: "file:{file}"}}]
tasks:
  length: {{description: characters of the SMILES}}
  oxygens: {{description: letters O and o of the SMILES}}
  aromatic: {{kind: binary, description: whether the SMILES has a small c}}
---
"""
PROCESSES = 2
BATCH = 512
# stage -> figure -> upper limit
TARGETS = {
    "prepare": {"peak_parent_mb": 1500, "peak_worker_mb": 600},
    "open": {"open_s": 1.0},
    "train": {"peak_all_mb": 2000},
}


def write_table(rows: int) -> Path:
    """Write the first `rows` molecules with toy labels to Parquet, and a card of that table; return the card's path."""
    folder = home() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    card, table = folder / f"scale-{rows}.md", folder / f"scale-{rows}.parquet"
    if not card.exists():
        [raw] = fetch([MOSES], "moses", WHEEL_SHA256)
        left, writer = rows, None
        for chunk in pd.read_csv(raw, usecols=["SMILES"], chunksize=100_000):
            text = chunk.SMILES.head(left)
            left -= len(text)
            labels = {
                "length": text.str.len().astype(np.float32),
                "oxygens": text.str.count("[Oo]").astype(np.float32),
                "aromatic": text.str.contains("c", regex=False).astype(np.float32),
            }
            part = pa.Table.from_pandas(pd.DataFrame({"smiles": text, **labels}), preserve_index=False)
            writer = writer or pq.ParquetWriter(table, part.schema)
            writer.write_table(part)
            if not left:
                break
        writer.close()
        if left:
            raise ValueError(f"MOSES has only {rows - left:,} training molecules; {rows:,} were asked for.")
        card.write_text(CARD.format(file=table.name))
    return card


# --------------------------------------------------------------------------------- the stages, each in its own process


def prepare(card: str, fast: bool) -> dict:
    import loky

    import molfm
    from molfm.catalog.shipped import card as read_card
    from molfm.data.prepare import store_folder
    from molfm.data.tables import locate

    begun = store_folder(locate(read_card(card))).exists()
    with loky.ProcessPoolExecutor(PROCESSES) as pool:
        start = time.perf_counter()
        mix = molfm.load(card, executor=pool)
        seconds = time.perf_counter() - start
    folders = [shard.folder for shard in mix.shards]
    kept = sum(file.stat().st_size for folder in folders for file in folder.iterdir() if "encoding" not in file.name)
    speed = {} if begun else {"prepare_s": seconds, "rows_per_s": len(mix) / seconds}
    return {"molecules": len(mix), "shards": len(folders), "bytes_per_molecule": kept / len(mix), **speed}


def encode(card: str, fast: bool) -> dict:
    import molfm
    from molfm.chem.encodings import WALK

    mix = molfm.load(card)
    begun = any(file for shard in mix.shards for file in shard.folder.glob("encoding-*.npy"))
    start = time.perf_counter()
    sizes = [shard.encoding(WALK).nbytes for shard in mix.shards]
    speed = {} if begun else {"encode_s": time.perf_counter() - start}
    return {"encoding_bytes_per_molecule": sum(sizes) / len(mix), **speed}


def open_again(card: str, fast: bool) -> dict:
    start = time.perf_counter()
    import molfm.data.mix

    imported = time.perf_counter() - start
    start = time.perf_counter()
    mix = molfm.load(card)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    tasks = mix.tasks
    described = time.perf_counter() - start
    start = time.perf_counter()
    members = mix.members("train")
    chosen = time.perf_counter() - start
    with cProfile.Profile() as profile:
        molfm.load(card)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("cumulative").print_stats(25)
    print(text.getvalue(), file=sys.stderr)
    return {
        "import_s": imported,
        "open_s": seconds,
        "tasks_s": described,
        "members_s": chosen,
        "n_train": len(members),
        "n_tasks": len(tasks),
    }


def read(card: str, fast: bool) -> dict:
    """Return graphs per second of the loader alone, in random order: as arrays, as PyG batches, and from processes."""
    import molfm
    from molfm.batches.loaders import MixDataModule
    from molfm.chem.encodings import WALK

    mix = molfm.load(card)
    batches = min(20 if fast else 200, len(mix) // BATCH)
    order = np.random.default_rng(0).permutation(len(mix))[: BATCH * batches].reshape(-1, BATCH)
    found = {}
    for name, encodings in (("structures", ()), ("with_encodings", (WALK,))):
        for part in order:  # a first pass without timing, so reading from disk does not count
            mix.gather(part, "train", encodings=encodings)
        start = time.perf_counter()
        for part in order:
            mix.gather(part, "train", encodings=encodings)
        found[f"gathered_{name}_per_s"] = order.size / (time.perf_counter() - start)
    for workers in (0, PROCESSES):
        loader = iter(MixDataModule(mix, BATCH, num_workers=workers).train_dataloader())
        start = time.perf_counter()
        next(loader)
        found[f"first_batch_{workers}_workers_s"] = time.perf_counter() - start
        start, graphs = time.perf_counter(), 0
        for _, batch in zip(range(len(order)), loader, strict=False):
            graphs += batch.num_graphs
        found[f"batches_{workers}_workers_per_s"] = graphs / (time.perf_counter() - start)
        del loader
    return found


def train(card: str, fast: bool) -> dict:
    import molfm
    from molfm.training.module import MultiTaskModule

    starts: list[float] = []
    MultiTaskModule.on_train_batch_start = lambda *_: starts.append(time.perf_counter())
    steps = 20 if fast else 300
    start = time.perf_counter()
    molfm.train(card, steps=steps, batch_size=128, hidden_channels=64, num_layers=3, progress=False)
    seconds = time.perf_counter() - start
    # The median gap leaves out the validations between some of the steps.
    return {"steps": steps, "steps_per_s": 1 / float(np.median(np.diff(starts))), "train_s": seconds}


STAGES = {"prepare": prepare, "encode": encode, "open": open_again, "read": read, "train": train}


def measured(stage: str, card: Path, fast: bool) -> dict:
    """Run a stage in its own process, and sample the memory of this process and its children, in MB."""
    command = [sys.executable, __file__, "--stage", stage, "--card", str(card), *(["--fast"] if fast else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = {"peak_parent_mb": 0.0, "peak_worker_mb": 0.0, "peak_all_mb": 0.0, "peak_own_mb": 0.0}
    root = psutil.Process(process.pid)
    while process.poll() is None:
        used = {}
        try:
            for item in [root, *root.children(recursive=True)]:
                used[item.pid] = item.memory_full_info()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            pass  # a process has just ended; the next sample has the others
        workers = [memory.uss for pid, memory in used.items() if pid != root.pid]
        now = {
            "peak_parent_mb": used[root.pid].uss if root.pid in used else 0,
            "peak_worker_mb": max(workers, default=0),
            "peak_all_mb": sum(memory.pss for memory in used.values()),
            "peak_own_mb": sum(memory.rss - memory.shared for memory in used.values()),
        }
        peak = {name: max(value, now[name] / 1e6) for name, value in peak.items()}
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"Stage {stage} failed, see above.")
    return json.loads(process.stdout.read().splitlines()[-1]) | peak


def rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--fast", action="store_true", help="20,000 rows and few steps")
    parser.add_argument("--again", action="store_true", help="delete the prepared store and prepare it again")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--card", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        print(json.dumps(STAGES[given.stage](given.card, given.fast)))
        return
    rows = given.rows or (20_000 if given.fast else 1_000_000)
    card = write_table(rows)
    if given.again:
        for folder in (home() / "prepared").glob("scale-*"):
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    result: dict = {"rows": rows, "processes": PROCESSES}
    for stage in STAGES:
        result[stage] = {name: rounded(value) for name, value in measured(stage, card, given.fast).items()}
        print(stage, json.dumps(result[stage]), flush=True)
    result["missed"] = [
        f"{stage}: {name} {result[stage][name]:g}, at most {most:g}"
        for stage, targets in TARGETS.items()
        for name, most in targets.items()
        if result[stage][name] > most
    ]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
