"""Preparing large tables: any executor makes the same store, a kill costs one shard, and memory stays bounded."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import loky
import numpy as np
import pandas as pd
import pytest

import molfm
from molfm.catalog.shipped import card
from molfm.data import prepare as prepare_
from molfm.data import tables
from molfm.data.tables import locate


@pytest.fixture(autouse=True)
def small_shards(own_home, monkeypatch):
    """Make shards of two chunks of four rows, in a separate cache per test."""
    monkeypatch.setattr(tables, "CHUNK_ROWS", 4)
    monkeypatch.setattr(prepare_, "SHARD_CHUNKS", 2)
    monkeypatch.setattr(prepare_, "POOL_FROM_ROWS", 0)


def files_of(mix):
    """Return the bytes of every file of a mix's shards."""
    folders = [shard.folder for shard in mix.shards]
    return {f"{folder.name}/{file.name}": file.read_bytes() for folder in folders for file in folder.iterdir()}


@pytest.fixture
def serial(toy_card, monkeypatch, tmp_path):
    """Return the files that this process alone makes from the toy table: six shards."""
    with monkeypatch.context() as patch:
        patch.setattr(loky, "cpu_count", lambda: 1)
        patch.setenv("MOLFM_HOME", str(tmp_path / "serial"))
        files = files_of(molfm.load(toy_card, progress=False))
    assert {name.split("/")[0] for name in files} == {f"shard-{i:05d}" for i in range(6)}
    return files


def test_threads_make_the_same_bytes(toy_card, serial):
    with ThreadPoolExecutor(3) as executor:
        assert files_of(molfm.load(toy_card, progress=False, executor=executor)) == serial


def test_processes_make_the_same_bytes(toy_card, serial, monkeypatch):
    monkeypatch.setattr(prepare_, "featurize", None)  # this process cannot featurize
    with loky.ProcessPoolExecutor(2) as executor:
        assert files_of(molfm.load(toy_card, progress=False, executor=executor)) == serial


def test_a_dask_cluster_makes_the_same_bytes(toy_card, serial, monkeypatch):
    distributed = pytest.importorskip("distributed", reason='needs Dask: pip install "molfm[dask]"')
    monkeypatch.setattr(prepare_, "featurize", None)
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        assert files_of(molfm.load(toy_card, progress=False, executor=client.get_executor())) == serial


PREPARE_AND_HANG = """
import sys, time
import numpy as np
from molfm.catalog.shipped import card
from molfm.data import prepare, tables

def hanging(function, first):
    calls = []
    def replaced(*args):
        calls.append(args)
        if len(calls) > first:
            print("hangs", flush=True)
            time.sleep(600)
        return function(*args)
    return replaced

tables.CHUNK_ROWS, prepare.SHARD_CHUNKS = 4, 2
if sys.argv[2] == "featurize":
    prepare.featurize = hanging(prepare.featurize, 5)  # in the second chunk of the third shard
else:
    np.save = hanging(np.save, 40)  # while the third shard's files are written
prepare.prepare(tables.locate(card(sys.argv[1])), progress=False)
"""


@pytest.mark.parametrize("hangs_in", ["featurize", "save"])
def test_a_killed_process_loses_no_finished_shard(toy_card, serial, hangs_in):
    command = [sys.executable, "-c", PREPARE_AND_HANG, str(toy_card), hangs_in]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "hangs\n"
        os.kill(process.pid, signal.SIGKILL)
    folder = prepare_.store_folder(locate(card(toy_card)))
    finished = sorted(folder.glob("shard-?????"))
    assert len(finished) == 2
    assert len(list(folder.glob(".*.shard-00002"))) == (hangs_in == "save")

    def stamps():
        return [(f.stat().st_ino, f.stat().st_mtime_ns) for shard in finished for f in sorted(shard.iterdir())]

    before = stamps()
    with pytest.warns(UserWarning, match="incomplete or damaged"), ThreadPoolExecutor(1) as executor:
        mix = molfm.load(toy_card, progress=False, executor=executor)
    assert stamps() == before
    assert files_of(mix) == serial
    assert not list(folder.glob(".*"))


PREPARE_AND_WEIGH = """
import json, sys
import psutil
from molfm.catalog.shipped import card
from molfm.data import prepare, tables

class Weighed:  # replaces the progress bar, which is updated after every chunk
    def __init__(self, **_): self.peak = 0
    def __enter__(self): return self
    def __exit__(self, *_): print(json.dumps(self.peak))
    def update(self, _): self.peak = max(self.peak, psutil.Process().memory_full_info().uss)

tables.CHUNK_ROWS, prepare.SHARD_CHUNKS, prepare.tqdm = 500, 2, Weighed
prepare.prepare(tables.locate(card(sys.argv[1])), progress=False)
"""


def test_the_memory_of_preparing_does_not_grow_with_the_number_of_rows(make_card):
    """The table is wide: 6,000 more rows in memory would take 12 MB or more."""
    pytest.importorskip("psutil")
    peaks = {}
    for rows in (2_000, 8_000):
        values = np.random.default_rng(0).integers(0, 100, (rows, 250)).astype(float)
        table = pd.DataFrame(values, columns=[f"y{i}" for i in range(250)])
        table.insert(0, "smiles", ["C" * (1 + i % 5) for i in range(rows)])
        path = make_card(f"wide{rows}", table, dict.fromkeys(table.columns[1:]))
        table.to_parquet(path.with_suffix(".parquet"), row_group_size=1_000)  # like large published tables
        done = subprocess.run([sys.executable, "-c", PREPARE_AND_WEIGH, str(path)], capture_output=True, check=True)
        peaks[rows] = json.loads(done.stdout) / 1e6
    assert abs(peaks[8_000] - peaks[2_000]) < 6, f"MB: {peaks}"
