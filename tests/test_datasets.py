"""Tests on published files. They are skipped where the files are missing.

The files are looked for in `../shared/data`, or in the folder MOLFM_TEST_DATA. Slow tests run only with MOLFM_SLOW=1.
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem, rdBase

import molfm

DATA = Path(os.environ.get("MOLFM_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
OFFICIAL_PATH = "/graphium/datasets/neurips_2023"  # as in the cards
TOYMIX = {
    "qm9": ("qm9.csv.gz", "qm9_random_splits.pt"),
    "tox21": ("Tox21-7k-12-labels.csv.gz", "Tox21_random_splits.pt"),
    "zinc12k": ("ZINC12k.csv.gz", "ZINC12k_random_splits.pt"),
}
SIDES = ("train", "val", "test")

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the published files are not in {DATA}")
slow = pytest.mark.skipif(os.environ.get("MOLFM_SLOW") != "1", reason="takes a minute: MOLFM_SLOW=1 runs it")


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files` (path -> file) and records all requested paths."""

    def do_GET(self):
        self.server.requests.append(self.path)
        file = self.server.files.get(self.path)
        content = file.read_bytes() if file else b""
        self.send_response(200 if file else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    """Start a loopback server with the layout of the official one; it has `files`, `requests` and `url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.files, server.requests = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}{OFFICIAL_PATH}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def publish(server, tmp_path_factory):
    """Return a function that serves a folder as the official one, with a new cache, and returns the patch to undo."""

    def put(folder, into="Small-dataset"):
        server.files = {f"{OFFICIAL_PATH}/{into}/{file.name}": file for file in folder.iterdir()}
        server.requests = []
        patch = pytest.MonkeyPatch()
        patch.setenv("MOLFM_MIRROR", f"{server.url}/{into}")
        patch.setenv("MOLFM_HOME", str(tmp_path_factory.mktemp("home")))
        return patch

    return put


@pytest.fixture(scope="module")
def toymix(publish):
    """Serve all of ToyMix."""
    patch = publish(DATA / "toymix")
    yield DATA / "toymix"
    patch.undo()


@pytest.fixture
def tiny(publish):
    """Serve 20 rows of each dataset of ToyMix."""
    patch = publish(DATA / "tiny_toymix")
    yield DATA / "tiny_toymix"
    patch.undo()


@pytest.fixture(scope="module")
def tox21(toymix):
    return molfm.load("tox21", progress=False)


@pytest.fixture(scope="module")
def everything(toymix):
    return molfm.load("toymix", progress=False)


def published(folder, name):
    """Return the published table and split file, from which the expected counts are computed."""
    table, splits = TOYMIX[name]
    return pd.read_csv(folder / table), torch.load(folder / splits, weights_only=True)


def canonical(smiles):
    """Return RDKit's canonical SMILES, None for invalid SMILES."""
    with rdBase.BlockLogs():
        mols = [Chem.MolFromSmiles(text) for text in smiles]
    return [Chem.MolToSmiles(mol) if mol else None for mol in mols]


def expected_counts(table, splits, tasks):
    """Return the number of labels per task and split, (n_tasks, 3), over rows with valid SMILES."""
    there = table[tasks].notna().to_numpy() & np.array([key is not None for key in canonical(table.smiles)])[:, None]
    return [[int(there[splits[side], i].sum()) for side in SIDES] for i in range(len(tasks))]


def counts_of(mix, name):
    tasks = mix.tasks[mix.tasks.dataset == name]
    return tasks[[f"n_{side}" for side in SIDES]].to_numpy().tolist()


def findings(audit, check, dataset, other=""):
    """Return {task: (count, of)} for a check."""
    found = audit.summary
    found = found[(found.check == check) & (found.dataset == dataset) & (found.other == other)]
    return {row.task: (row["count"], row.of) for _, row in found.iterrows()}


# --------------------------------------------------------------------------------------------------- ToyMix through the network


def test_toymix_comes_from_the_mirror_with_its_official_splits(tiny, server):
    mix = molfm.load("toymix", progress=False)
    got = {Path(path).name for path in server.requests if path in server.files}
    assert got == {file for pair in TOYMIX.values() for file in pair}
    assert mix.tasks.groupby("dataset", sort=False).size().to_dict() == {"qm9": 19, "tox21": 12, "zinc12k": 3}
    molecules = mix.molecules.set_index("smiles")
    for name in TOYMIX:
        table, splits = published(tiny, name)
        assert len(table) == 20
        assert {side: len(splits[side]) for side in SIDES} == {"train": 5, "val": 10, "test": 5}
        keys = canonical(table.smiles)
        assert None not in keys
        for side in SIDES:
            members = molecules.index[molecules[f"split:{name}"] == side]
            assert sorted(members) == sorted(keys[row] for row in splits[side])
        tasks = [task.name for task in mix.chosen if task.dataset == name]
        assert counts_of(mix, name) == expected_counts(table, splits, tasks)
        for task in tasks:
            labels = mix.labels(f"{name}/{task}")[[mix.molecules.smiles.tolist().index(key) for key in keys]]
            np.testing.assert_array_equal(labels, table[task].astype(np.float32))


@pytest.mark.usefixtures("tiny")
def test_a_second_load_downloads_nothing(server):
    first = molfm.load("toymix", progress=False)
    asked = len(server.requests)
    assert asked >= 6
    second = molfm.load("toymix", progress=False)
    assert len(server.requests) == asked
    pd.testing.assert_frame_equal(second.molecules, first.molecules)


@pytest.mark.usefixtures("tiny")
def test_downloaded_files_stay_usable_without_the_mirror(server, monkeypatch):
    molfm.load("toymix", progress=False)
    asked = len(server.requests)
    monkeypatch.delenv("MOLFM_MIRROR")
    assert len(molfm.load("toymix", split="scaffold", progress=False)) == 60
    assert len(server.requests) == asked


# ---------------------------------------------------------------------------------------------------- Tox21 and ZINC12K, whole


def test_tox21_has_its_77947_labels_except_those_of_eight_rejected_rows(tox21, toymix):
    table, splits = published(toymix, "tox21")
    tasks = [task.name for task in tox21.chosen]
    assert len(table) == 7_831
    assert table[tasks].notna().to_numpy().sum() == 77_947
    assert [len(splits[side]) for side in SIDES] == [6_264, 783, 784]
    assert counts_of(tox21, "tox21") == expected_counts(table, splits, tasks)
    lost = table.loc[tox21.audit().rejected.row, tasks].notna().to_numpy().sum()
    assert lost == 82
    assert np.sum(counts_of(tox21, "tox21")) == 77_947 - 82
    assert tox21.molecules[f"split:{tox21.name}"].value_counts()[list(SIDES)].tolist() == [6_260, 783, 780]


def test_the_eight_rejected_rows_of_tox21_are_all_aluminium_compounds(tox21, toymix):
    rejected = tox21.audit().rejected
    assert rejected.row.tolist() == [1322, 2290, 2297, 3558, 4565, 4649, 5538, 6723]
    assert rejected.smiles.tolist() == published(toymix, "tox21")[0].smiles[rejected.row].tolist()
    assert rejected.smiles.str.contains("[AlH3]", regex=False).all()
    assert rejected.reason.unique().tolist() == ["RDKit cannot parse this SMILES"]


def test_the_audit_of_tox21_finds_stereoisomers_and_salts_that_contradict_each_other(tox21):
    audit = tox21.audit()
    assert findings(audit, "molecules in several rows", "tox21") == {"": (0, 7_823)}
    assert findings(audit, "constitutions of several molecules", "tox21") == {"": (264, 7_484)}
    found = findings(audit, "contradicting stereoisomers and salts", "tox21")
    expected = {"NR-AR": (10, 252), "NR-AR-LBD": (5, 234), "NR-AhR": (11, 217), "NR-Aromatase": (5, 204)}
    expected |= {"NR-ER": (41, 204), "NR-ER-LBD": (9, 234), "NR-PPAR-gamma": (3, 202), "SR-ARE": (16, 160)}
    expected |= {"SR-ATAD5": (4, 243), "SR-HSE": (9, 182), "SR-MMP": (12, 192), "SR-p53": (5, 226)}
    assert found == {f"tox21/{task}": counts for task, counts in expected.items()}


@pytest.mark.usefixtures("toymix")
def test_zinc12k_is_complete_and_has_no_duplicates():
    mix = molfm.load("zinc12k", progress=False)
    assert counts_of(mix, "zinc12k") == [[9_600, 1_200, 1_200]] * 3
    audit = mix.audit()
    assert findings(audit, "rejected rows", "zinc12k") == {"": (0, 12_000)}
    assert findings(audit, "molecules in several rows", "zinc12k") == {"": (0, 12_000)}
    assert findings(audit, "constitutions of several molecules", "zinc12k") == {"": (5, 11_995)}
    assert findings(audit, "test constitutions in train", "zinc12k", "zinc12k") == {"": (0, 1_200)}


# ------------------------------------------------------------------------------------------------------------- ToyMix, whole


@slow
def test_toymix_has_150164_molecules_and_the_official_splits(everything, toymix):
    assert len(everything) == 130_744 + 7_823 + 12_000 - 402 - 1
    for name, rows in {"qm9": 130_831, "tox21": 7_831, "zinc12k": 12_000}.items():
        table, splits = published(toymix, name)
        assert len(table) == rows
        tasks = [task.name for task in everything.chosen if task.dataset == name]
        assert counts_of(everything, name) == expected_counts(table, splits, tasks)
    assert counts_of(everything, "qm9") == [[104_664, 13_083, 13_084]] * 19


@slow
def test_87_molecules_of_qm9_are_listed_twice_and_16_of_them_are_in_train_and_test(everything):
    audit = everything.audit()
    assert findings(audit, "rejected rows", "qm9") == {"": (0, 130_831)}
    assert findings(audit, "molecules in several rows", "qm9") == {"": (87, 130_744)}
    assert findings(audit, "constitutions of several molecules", "qm9") == {"": (0, 130_744)}  # no stereo in its SMILES
    assert findings(audit, "test molecules in train", "qm9", "qm9") == {"": (16, 13_084)}
    contradicting = findings(audit, "contradicting rows", "qm9")
    assert len(contradicting) == 19
    assert {of for _, of in contradicting.values()} == {87}
    assert contradicting["qm9/A"] == (35, 87)
    assert contradicting["qm9/r2"] == (67, 87)
    notes = audit.summary[audit.summary.check == "contradicting rows"].set_index("task").note
    assert notes["qm9/r2"] == "by up to 0.272"
    assert notes["qm9/gap"] == "by up to 0.0001"


@slow
def test_qm9_and_tox21_share_402_molecules_some_in_train_and_test(everything):
    audit = everything.audit()
    assert findings(audit, "shared molecules", "qm9", "tox21") == {"": (402, 130_744)}
    assert findings(audit, "shared molecules", "qm9", "zinc12k") == {"": (0, 130_744)}
    assert findings(audit, "shared molecules", "tox21", "zinc12k") == {"": (1, 7_823)}
    assert findings(audit, "test molecules in train", "tox21", "qm9") == {"": (38, 780)}
    assert findings(audit, "test molecules in train", "qm9", "tox21") == {"": (28, 13_084)}


# ------------------------------------------------------------------------------------------------------ MUV as a user's table


@pytest.mark.parametrize("n_rows", [3_000, pytest.param(93_127, marks=slow)])
def test_muv_as_a_users_table_is_17_binary_assays_with_all_measured_labels(tmp_path, own_home, n_rows):
    table, path = pd.read_csv(DATA / "muv" / "muv.csv.gz"), DATA / "muv" / "muv.csv.gz"
    assays = [name for name in table if name.startswith("MUV-")]
    assert len(table) == 93_127
    assert len(assays) == 17
    if n_rows < len(table):
        table, path = table[:n_rows], tmp_path / "muv.csv.gz"
        table.to_csv(path, index=False)
    mix = molfm.load(path, smiles="smiles", progress=False)
    assert mix.tasks[["task", "kind"]].to_numpy().tolist() == [[f"muv/{assay}", "binary"] for assay in assays]
    there = table[assays].notna()
    assert np.sum(counts_of(mix, "muv"), axis=1).tolist() == there.sum().tolist()
    assert there.to_numpy().mean() == pytest.approx(0.16, abs=0.01)
    stored = sum(file.stat().st_size for shard in mix.shards for file in shard.folder.glob("graph_[itv]*.npy"))
    assert stored == 8 * there.to_numpy().sum() + len(mix.shards) * 3 * 128  # item, task and value, plus file headers
    i = np.arange(len(mix))[:: max(1, n_rows // 500)]
    rows = pd.DataFrame({"key": canonical(table.smiles)}).drop_duplicates("key").reset_index().set_index("key")["index"]
    for assay in assays[::4]:
        expected = table[assay].to_numpy(np.float32)[rows[mix.molecules.smiles[i]]]
        np.testing.assert_array_equal(mix.labels(assay)[i], expected)
    if n_rows == 93_127:
        assert there.to_numpy().sum() == 249_967
        audit = mix.audit()
        assert findings(audit, "rejected rows", "muv") == {"": (0, 93_127)}
        assert findings(audit, "molecules in several rows", "muv") == {"": (40, 93_087)}
        assert findings(audit, "contradicting rows", "muv") == {"": (0, 21)}
        assert findings(audit, "constitutions of several molecules", "muv") == {"": (62, 93_025)}


# ------------------------------------------------------------------------------------------------- PCQM4M: the order of atoms

CHARGES = ["charges_mulliken", "charges_lowdin", "tddft_charges_mulliken", "tddft_charges_lowdin"]


@pytest.fixture(scope="module")
def ten_rows(publish, tmp_path_factory):
    """Yield the ten published rows of PCQM4M as a table and as a mix: 8 rows in train, one in val, one in test."""
    folder = tmp_path_factory.mktemp("large")
    table = pd.read_parquet(DATA / "pcqm4m_sample" / "PCQM4M_G25_N4_10rows.parquet")
    table.to_parquet(folder / "PCQM4M_G25_N4.parquet")
    torch.save({"train": list(range(8)), "val": [8], "test": [9]}, folder / "pcqm4m_g25_n4_random_splits.pt")
    patch = publish(folder, "Large-dataset")
    yield table, molfm.load("pcqm4m_g25_n4", progress=False)
    patch.undo()


def by_map_number(text, blocks):
    """Return the molecule of an ordered SMILES without map numbers, and the labels that its map numbers point to."""
    mol = Chem.MolFromSmiles(text)
    numbers = [atom.GetAtomMapNum() for atom in mol.GetAtoms()]
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    return mol, np.stack([[np.float32(block[number]) for number in numbers] for block in blocks], axis=1)


def agrees(smiles, stored, mol, labels):
    """Return whether stored labels, (n_atoms, n_tasks), equal the labels of `mol` under some match of it to `smiles`.

    Symmetric atoms may have different charges, so one match has to fit all tasks.
    """
    ways = Chem.MolFromSmiles(smiles).GetSubstructMatches(mol, uniquify=False, maxMatches=100_000)
    return any(np.array_equal(stored[list(way)], labels) for way in ways)


def blocks_of(table, row):
    return [block for block in (table[f"node_{task}"][row] for task in CHARGES) if block is not None]


def stored_of(mix, i):
    found = [mix.labels(task)[i] for task in CHARGES]
    return np.stack([block for block in found if block is not None], axis=1)


def test_every_charge_is_on_the_atom_with_its_published_map_number(ten_rows):
    table, mix = ten_rows
    for row, text in enumerate(table.ordered_smiles):
        mol, labels = by_map_number(text, blocks_of(table, row))
        assert mix.molecules.smiles[row] == Chem.MolToSmiles(mol)
        assert agrees(mix.molecules.smiles[row], stored_of(mix, row), mol, labels), text


def test_the_order_check_fails_for_string_order_and_for_swapped_atoms(ten_rows):
    table, mix = ten_rows
    for row, text in enumerate(table.ordered_smiles):
        smiles, stored = mix.molecules.smiles[row], stored_of(mix, row)
        mol, labels = by_map_number(text, blocks_of(table, row))
        as_written = np.stack([np.float32(block) for block in blocks_of(table, row)], axis=1)
        assert not agrees(smiles, stored, mol, as_written), text
        symbols = [atom.GetSymbol() for atom in Chem.MolFromSmiles(smiles).GetAtoms()]
        pairs = [(i, j) for i in range(len(symbols)) for j in range(i) if symbols[i] != symbols[j]]
        for i, j in pairs or [(0, 1)]:  # a hydrocarbon: two carbons that differ
            swapped = stored.copy()
            swapped[[i, j]] = stored[[j, i]]
            assert not agrees(smiles, swapped, mol, labels), text


def test_charges_follow_the_electronegativity_of_their_atoms(ten_rows):
    """A check without map numbers: oxygen, nitrogen and fluorine are negative, and carbonyl carbons are positive."""
    _, mix = ten_rows
    for smiles, charges in zip(mix.molecules.smiles, mix.labels("charges_mulliken"), strict=True):
        mol = Chem.MolFromSmiles(smiles)
        hetero = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetSymbol() in "NOF"]
        assert (charges[hetero] < 0).all()
        carbonyl = [carbon for carbon, _ in mol.GetSubstructMatches(Chem.MolFromSmarts("[CX3]=O"))]
        assert (charges[carbonyl] > 0).all()


def test_a_row_without_tddft_lacks_only_those_labels(ten_rows):
    table, mix = ten_rows
    for task in CHARGES:
        there = [block is not None for block in table[f"node_{task}"]]
        assert [block is not None for block in mix.labels(task)] == there
        counts = [0 if block is None else len(block) for block in table[f"node_{task}"]]
        found = mix.tasks.set_index("task").loc[f"pcqm4m_g25_n4/{task}"]
        assert found[["n_train", "n_val", "n_test"]].tolist() == [sum(counts[:8]), counts[8], counts[9]]
    assert table.node_tddft_charges_mulliken.isna().any()


def test_the_graph_labels_of_pcqm4m_equal_the_published_ones(ten_rows):
    table, mix = ten_rows
    graph = [task.name for task in mix.chosen if task.level == "graph"]
    assert len(graph) == 25
    for task in graph:
        np.testing.assert_array_equal(mix.labels(task), table[f"graph_{task}"].to_numpy())
