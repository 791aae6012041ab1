"""How much time and memory do the widgets need to answer for very many molecules?

    python benchmarks/widgets.py [--fast] [--molecules N] [--tasks T] [--labels L]

The table of labels is synthetic and 99% empty, like PCBA_1328: every molecule has L labels of T binary tasks, with
fewer labels from the first task to the last. The labels are in memory-mapped files, as in a store. The questions are
those of the JavaScript: the whole map, a tile three levels down and a tile of single molecules, the distribution of a
task, the molecules of a region, the pairs of the first 100 tasks. `--fast`: a million molecules, 100 tasks, 5 labels
each.

The last line is one JSON object: seconds per answer, the longest part of an answer during which the kernel was busy,
and the peak of Python's memory beyond the label arrays, in MB.
"""

import argparse
import json
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
from molfm.widgets import LabelAtlas

from molfm.catalog.schema import LEVELS, DataCard, Task
from molfm.data.join import join
from molfm.data.mix import Mix
from molfm.data.store import Labels, Shard

SHARD = 100_000


def mapped(folder: Path, name: str, array: np.ndarray) -> np.ndarray:
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def synthetic(folder: Path, n: int, n_tasks: int, n_labels: int) -> Mix:
    """Return a mix of n molecules with n_labels labels each and no atoms."""
    random, shards, splits = np.random.default_rng(0), [], []
    nothing = np.zeros(0, np.int64)
    for number, start in enumerate(range(0, n, SHARD)):
        size = min(SHARD, n - start)
        inside = folder / f"shard-{number:05d}"
        inside.mkdir()
        task = np.sort((n_tasks * random.random((size, n_labels)) ** 2).astype(np.uint16), axis=1)
        value = (random.random(task.size) < 0.1).astype(np.float32)
        ptr = np.arange(size + 1, dtype=np.int64) * n_labels
        arrays = {"ptr": ptr, "item": np.zeros(task.size, np.uint16), "task": task.ravel(), "value": value}
        empty = Labels(np.zeros(size + 1, np.int64), nothing, nothing, nothing)
        labels = dict.fromkeys(LEVELS, empty) | {"graph": Labels(*(mapped(inside, k, v) for k, v in arrays.items()))}
        identity = random.integers(0, 2**63, (size, 2), dtype=np.uint64)
        ends = np.zeros(size + 1, np.int64)
        shards.append(Shard(np.arange(size), identity, nothing, ends, nothing, ends, nothing, nothing, labels, inside))
        splits.append(random.choice(3, size, p=[0.8, 0.1, 0.1]).astype(np.int8))
    tasks = tuple(Task(f"assay{i}", "synthetic", kind="binary", domain="biological") for i in range(n_tasks))
    return Mix(
        "synthetic",
        (DataCard("synthetic", tasks=tasks),),
        tuple(shards),
        join(shards, [0] * len(shards), splits),
        tasks,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--molecules", type=int, default=1_500_000)
    parser.add_argument("--tasks", type=int, default=1_328)
    parser.add_argument("--labels", type=int, default=13)
    settings = parser.parse_args()
    if settings.fast:
        settings.molecules, settings.tasks, settings.labels = 1_000_000, 100, 5
    with tempfile.TemporaryDirectory() as folder:
        mix = synthetic(Path(folder), settings.molecules, settings.tasks, settings.labels)
        seconds, longest, sizes = {}, 0.0, {}
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]

        def timed(name: str, ask) -> object:
            start = time.perf_counter()
            answer = ask()
            seconds[name] = round(time.perf_counter() - start, 3)
            print(f"{name}: {seconds[name]} s", flush=True)
            return answer

        atlas = timed("open", lambda: LabelAtlas(mix))
        about = timed("about", atlas.answer_about)

        def tile(level: int, number: int) -> None:
            nonlocal longest
            done, first = False, True
            while not done:
                start = time.perf_counter()
                answer = atlas.answer_tile(level, number)
                done = answer["done"]
                if not first:  # the first also sorts the molecules
                    longest = max(longest, time.perf_counter() - start)
                first = False
            sizes[level] = answer["share"].nbytes + answer["mean"].nbytes

        timed("order", lambda: atlas._map.order)
        timed("whole", lambda: tile(0, 0))
        timed("closer", lambda: tile(3, 5))
        timed("single", lambda: tile(about["levels"] - 1, 17))
        timed("distribution", lambda: atlas.answer_distribution("assay0"))
        timed("select", lambda: atlas.answer_select(["synthetic/assay0"], 0, len(mix) // 100, every=False))
        timed("pairs", lambda: atlas.answer_pairs([task["task"] for task in about["tasks"][:100]]))
        peak = (tracemalloc.get_traced_memory()[1] - before) / 1e6
    facts = {"molecules": settings.molecules, "tasks": settings.tasks, "labels": settings.molecules * settings.labels}
    print(
        json.dumps(
            facts
            | {
                "seconds": seconds,
                "longest_part": round(longest, 3),
                "peak_MB": round(peak),
                "bytes": max(sizes.values()),
            }
        )
    )


if __name__ == "__main__":
    main()
