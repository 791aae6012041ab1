import json

import loky
import numpy as np
import pandas as pd
import pytest
from rdkit import Chem, rdBase

import molfm
from molfm.catalog.schema import LEVELS
from molfm.catalog.shipped import card
from molfm.chem.encodings import random_walk
from molfm.chem.featurize import featurize
from molfm.data import prepare as prepare_
from molfm.data import tables
from molfm.data.prepare import is_whole, prepare, store_folder, worker_pool
from molfm.data.store import in_memory, molecules_of, open_shard, rejected_of, structure
from molfm.data.tables import TableError, locate

SMILES = ["CO", "OCC", "nonsense", "c1ccccc1", "O", "CC(=O)O", "N", "C1CC1", "", "CCN", "C#N", "[Na+].[Cl-]"]
ARRAYS = ("identity", "atoms", "atom_ptr", "bonds", "bond_ptr")
ENCODINGS = ("walk-16", "laplacian-3-sym", "laplacian-8-none")
TASKS = {"y": None, "b": {"kind": "binary"}, "z": {"level": "node"}, "w": {"level": "edge"}}


@pytest.fixture(autouse=True)
def own_home_for_every_test(own_home):
    """Stores are named after their content, so tests that damage them must not share them."""


@pytest.fixture
def table():
    with rdBase.BlockLogs():
        mols = [Chem.MolFromSmiles(smiles) for smiles in SMILES]
    return pd.DataFrame(
        {
            "smiles": SMILES,
            "y": [None if i % 5 == 3 else i / 4 for i in range(len(SMILES))],
            "b": [None if i % 4 == 1 else float(i % 2) for i in range(len(SMILES))],
            "z": [mol and [float(atom.GetAtomicNum()) for atom in mol.GetAtoms()] for mol in mols],
            "w": [mol and [bond.GetBondTypeAsDouble() for bond in mol.GetBonds()] for mol in mols],
        }
    )


@pytest.fixture
def toy(make_card, table):
    return card(make_card("toy", table, TASKS))


@pytest.fixture
def small_shards(monkeypatch):
    """Make shards of two chunks of two rows, so `SMILES` fills three shards."""
    monkeypatch.setattr(tables, "CHUNK_ROWS", 2)
    monkeypatch.setattr(prepare_, "SHARD_CHUNKS", 2)


@pytest.fixture
def featurized(monkeypatch):
    """Record the first row of each featurized chunk; the chunk at row `fail_at` raises KeyboardInterrupt."""

    class Seen(list):
        fail_at = None

    seen = Seen()

    def watched(smiles, first_row, levels):
        if first_row == seen.fail_at:
            raise KeyboardInterrupt
        seen.append(first_row)
        return featurize(smiles, first_row, levels)

    monkeypatch.setattr(prepare_, "featurize", watched)
    return seen


def quiet(item, **settings):
    return prepare(locate(item), progress=False, **settings)


def content(folder):
    """Return everything that a shard holds as plain values."""
    arrays = {file.name: np.load(file) for file in sorted(folder.glob("*.npy"))}
    found = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
    return found | {"molecules": molecules_of(folder).to_csv(), "rejected": rejected_of(folder).to_csv()}


def labels_of(shard, level):
    """Return the triples of a shard as {(molecule, item, task): value}."""
    labels = shard.labels[level]
    molecule = np.repeat(np.arange(len(labels.ptr) - 1), np.diff(labels.ptr)).tolist()
    places = zip(molecule, labels.item.tolist(), labels.task.tolist(), strict=True)
    return dict(zip(places, labels.value.tolist(), strict=True))


# ------------------------------------------------------------------------------------------------------------- content


def test_a_shard_holds_what_featurize_returns(toy):
    [folder] = quiet(toy)
    shard, found = open_shard(folder), featurize(SMILES)
    for name in ("identity", "atoms", "atom_ptr", "bonds", "bond_ptr"):
        np.testing.assert_array_equal(getattr(shard, name), getattr(found, name))
    assert molecules_of(folder).smiles.tolist() == found.smiles
    assert molecules_of(folder).row.tolist() == found.row.tolist() == [0, 1, 3, 4, 5, 6, 7, 9, 10, 11]


def test_rejected_rows_are_kept_with_row_smiles_and_reason(toy):
    [folder] = quiet(toy)
    assert rejected_of(folder).to_dict("records") == [
        {"row": 2, "smiles": "nonsense", "reason": "RDKit cannot parse this SMILES"},
        {"row": 8, "smiles": "", "reason": "empty SMILES"},
    ]


def test_only_measured_labels_are_stored(toy, table):
    [folder] = quiet(toy)
    expected = {
        (i, 0, task): table[name][row]
        for i, row in enumerate(molecules_of(folder).row)
        for task, name in enumerate(["y", "b"])
        if not np.isnan(table[name][row])
    }
    assert labels_of(open_shard(folder), "graph") == expected


def test_node_and_edge_labels_follow_their_atoms_and_bonds(toy):
    [folder] = quiet(toy)
    nodes, edges = (labels_of(open_shard(folder), level) for level in ("node", "edge"))
    mols = [Chem.MolFromSmiles(smiles) for smiles in molecules_of(folder).smiles]
    assert nodes == {(i, a.GetIdx(), 2): a.GetAtomicNum() for i, mol in enumerate(mols) for a in mol.GetAtoms()}
    assert edges == {(i, b.GetIdx(), 3): b.GetBondTypeAsDouble() for i, mol in enumerate(mols) for b in mol.GetBonds()}


def test_node_labels_follow_atom_map_numbers(make_card):
    smiles = ["[CH3:1][CH2:2][OH:3]", "[OH:0][CH2:1][CH3:2]", "[CH2:2]([CH3:0])[OH:1]", "OCC"]
    frame = pd.DataFrame({"smiles": smiles, "q": [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.1, 0.3, 0.2], [0.3, 0.2, 0.1]]})
    [folder] = quiet(card(make_card("mapped", frame, {"q": {"level": "node"}})))
    assert molecules_of(folder).smiles.tolist() == ["CCO"] * 4
    assert open_shard(folder).labels["node"].value.tolist() == np.float32([0.1, 0.2, 0.3] * 4).tolist()


def test_an_unmeasured_atom_has_no_label(make_card):
    frame = pd.DataFrame({"smiles": ["OCC", "C"], "q": [[None, 0.2, 0.1], None]})
    [folder] = quiet(card(make_card("gaps", frame, {"q": {"level": "node"}})))
    assert labels_of(open_shard(folder), "node") == {(0, 0, 0): np.float32(0.1), (0, 1, 0): np.float32(0.2)}


@pytest.mark.parametrize(
    ("level", "values", "message"),
    [
        ("node", [1.0, 2.0], "toy: row 1, column 'q': 2 values for 3 atoms of CCO"),
        ("node", [1.0, 2.0, 3.0, 4.0], "toy: row 1, column 'q': 4 values for 3 atoms of CCO"),
        ("edge", [1.0, 2.0, 3.0], "toy: row 1, column 'q': 3 values for 2 bonds of CCO"),
        ("edge", [], "toy: row 1, column 'q': 0 values for 2 bonds of CCO"),
    ],
)
def test_a_wrong_number_of_node_or_edge_labels_names_row_column_and_lengths(make_card, level, values, message):
    frame = pd.DataFrame({"smiles": ["C", "OCC"], "q": [None, values]})
    with pytest.raises(TableError) as error:
        quiet(card(make_card("toy", frame, {"q": {"level": level}})))
    assert message in str(error.value)


def test_arrays_are_memory_maps(toy):
    [folder] = quiet(toy)
    shard = open_shard(folder)
    arrays = [getattr(shard, name) for name in ARRAYS]
    arrays += [array for level in LEVELS for array in shard.labels[level] if array is not None]
    arrays += [shard.encoding(name) for name in ENCODINGS]
    assert all(isinstance(array.base, np.memmap) for array in arrays)


def test_several_shards_together_hold_the_same_as_one(toy, table, make_card, monkeypatch):
    [whole] = quiet(toy)
    monkeypatch.setattr(tables, "CHUNK_ROWS", 2)
    monkeypatch.setattr(prepare_, "SHARD_CHUNKS", 2)
    monkeypatch.setenv("MOLFM_HOME", str(whole / "elsewhere"))
    folders = quiet(toy)
    assert [folder.name for folder in folders] == ["shard-00000", "shard-00001", "shard-00002"]
    for read in (molecules_of, rejected_of):
        together = pd.concat([read(folder) for folder in folders], ignore_index=True)
        pd.testing.assert_frame_equal(together, read(whole))
    shards, one = [open_shard(folder) for folder in folders], open_shard(whole)
    for name in ("identity", "atoms", "bonds"):
        np.testing.assert_array_equal(np.concatenate([getattr(shard, name) for shard in shards]), getattr(one, name))
    for name in ENCODINGS:
        np.testing.assert_array_equal(np.concatenate([s.encoding(name) for s in shards]), one.encoding(name))
    for level in LEVELS:
        for name in ("item", "task", "value"):
            parts = [getattr(shard.labels[level], name) for shard in shards]
            np.testing.assert_array_equal(np.concatenate(parts), getattr(one.labels[level], name))


def test_a_table_with_only_rejected_rows_is_prepared(make_card):
    frame = pd.DataFrame({"smiles": ["nonsense", "", "*C"], "y": [1.0, 2.0, 3.0], "q": [[1.0], None, [2.0]]})
    [folder] = quiet(card(make_card("bad", frame, {"y": None, "q": {"level": "node"}})))
    assert len(molecules_of(folder)) == 0
    assert rejected_of(folder).row.tolist() == [0, 1, 2]
    assert open_shard(folder).atoms.shape == (0, 9)
    assert [len(open_shard(folder).encoding(name)) for name in ENCODINGS] == [0, 0, 0]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_table_without_rows_is_an_error(tmp_path, suffix):
    getattr(pd.DataFrame({"smiles": [], "y": []}), f"to_{suffix}")(tmp_path / f"none.{suffix}", index=False)
    (tmp_path / "none.md").write_text(
        f"---\nname: none\nsources: [{{location: 'file:none.{suffix}'}}]\ntasks: {{y: }}\n---\n"
    )
    with pytest.raises(TableError, match="none: the table has no rows"):
        quiet(card(tmp_path / "none.md"))


def test_structure_gathers_molecules_in_the_requested_order(toy):
    [folder] = quiet(toy)
    shard = open_shard(folder)
    found = structure(shard, np.array([5, 0, 5]))
    assert found["num_atoms"].tolist() == [1, 2, 1]
    assert found["num_bonds"].tolist() == [0, 1, 0]
    assert found["atoms"][:, 0].tolist() == [7, 6, 8, 7]
    assert found["bonds"][:, :2].tolist() == [[0, 1]]
    np.testing.assert_array_equal(found["walk"][1:3], shard.encoding("walk-16")[:2])


def test_structure_gathers_only_the_requested_encodings(toy):
    [folder] = quiet(toy)
    shard = open_shard(folder)
    for file in folder.glob("encoding-*"):
        file.unlink()
    assert {"walk", "laplacian"}.isdisjoint(structure(shard, np.arange(3), encodings=()))
    assert not list(folder.glob("encoding-*.npy"))
    found = structure(shard, np.array([3, 0]), encodings=("laplacian-3-sym", "walk-16"))
    first, atoms = shard.atom_ptr[3], shard.atom_ptr[4] - shard.atom_ptr[3]
    np.testing.assert_array_equal(found["laplacian"][:atoms], shard.encoding("laplacian-3-sym")[first : first + atoms])
    assert found["laplacian"].shape[1] == 6
    assert {file.name for file in folder.glob("encoding-*.npy")} == {
        "encoding-walk-16.npy",
        "encoding-laplacian-3-sym.npy",
    }


def test_an_encoding_is_stored_once_per_setting_and_read_again(toy):
    [folder] = quiet(toy)
    made = {name: open_shard(folder).encoding(name).copy() for name in ENCODINGS}
    assert [made[name].shape[1] for name in ENCODINGS] == [16, 6, 16]
    assert all(array.dtype == np.float16 for array in made.values())
    np.save(folder / "encoding-walk-16.npy", made["walk-16"] + 1)
    np.testing.assert_array_equal(open_shard(folder).encoding("walk-16"), made["walk-16"] + 1)
    np.save(folder / "encoding-walk-16.npy", made["walk-16"])


@pytest.mark.parametrize("name", ["walk-8", "laplacian-8", "laplacian-x-sym", "laplacian-8-rw", "degree"])
def test_an_unknown_encoding_is_an_error_that_lists_the_known_ones(name):
    shard = in_memory(featurize(["CCO"]))
    with pytest.raises(ValueError, match=r"expected 'walk-16', 'laplacian-K|must be 'sym' or"):
        shard.encoding(name)


def test_a_shard_in_memory_equals_the_same_shard_on_disk(toy):
    [folder] = quiet(toy)
    shard, fresh = open_shard(folder), in_memory(featurize(SMILES))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(fresh, name), getattr(shard, name))
    for name in ENCODINGS:
        np.testing.assert_array_equal(fresh.encoding(name), shard.encoding(name))
    assert all(len(labels.value) == 0 and len(labels.ptr) == 11 for labels in fresh.labels.values())


# --------------------------------------------------------------------------------------------------------------- cache


def test_a_second_load_featurizes_nothing(toy, featurized):
    first = quiet(toy)
    assert featurized == [0]
    assert quiet(toy) == first
    assert featurized == [0]


def test_a_change_in_the_last_row_makes_another_store(make_card, table, featurized):
    first = card(make_card("toy", table, TASKS))
    changed = table.assign(y=[*table.y[:-1], 99.0])
    second = card(make_card("toy", changed, TASKS))
    assert store_folder(locate(first)) != store_folder(locate(second))
    quiet(first)
    [folder] = quiet(second)
    assert featurized == [0, 0]
    assert open_shard(folder).labels["graph"].value.tolist()[-2] == 99


def test_equal_tables_in_different_places_share_a_store(make_card, table):
    assert store_folder(locate(card(make_card("toy", table, TASKS)))) == store_folder(
        locate(card(make_card("toy", table, TASKS)))
    )


def test_other_tasks_or_another_featurizer_version_make_another_store(make_card, table, monkeypatch):
    folders = [
        store_folder(locate(card(make_card("toy", table, tasks))))
        for tasks in (TASKS, {"y": None}, {"y": None, "b": None}, {"b": {"kind": "binary"}})
    ]
    monkeypatch.setattr(prepare_._featurize, "VERSION", 10**6)
    folders.append(store_folder(locate(card(make_card("toy", table, TASKS)))))
    assert len(set(folders)) == 5


@pytest.mark.parametrize(
    "name", ["atoms.npy", "graph_value.npy", "molecules.parquet", "rejected.parquet", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["truncated", "empty", "gone"])
def test_a_damaged_file_is_noticed_and_made_again(toy, featurized, name, damage):
    [folder] = quiet(toy)
    before = content(folder)
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[: -10 if damage == "truncated" else 0])
    assert not is_whole(folder)
    with pytest.warns(UserWarning, match="store of toy is incomplete or damaged"):
        assert quiet(toy) == [folder]
    assert is_whole(folder)
    assert content(folder) == before
    assert featurized == [0, 0]


@pytest.mark.parametrize("text", ["", '["shard-0'])
def test_a_damaged_list_of_shards_is_noticed_and_made_again(toy, text):
    [folder] = quiet(toy)
    before = content(folder)
    (folder.parent / "done.json").write_text(text)
    with pytest.warns(UserWarning, match="store of toy is incomplete or damaged"):
        assert quiet(toy) == [folder]
    assert content(folder) == before


@pytest.mark.usefixtures("small_shards")
def test_only_the_damaged_shard_is_made_again(toy, featurized):
    folders = quiet(toy)
    before = [content(folder) for folder in folders]
    featurized.clear()
    (folders[1] / "bonds.npy").write_bytes(b"")
    with pytest.warns(UserWarning, match="incomplete or damaged"):
        assert quiet(toy) == folders
    assert featurized == [4, 6]
    assert [content(folder) for folder in folders] == before


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(("fail_at", "again"), [(2, [0, 2, 4, 6, 8, 10]), (6, [4, 6, 8, 10]), (8, [8, 10])])
def test_interrupted_work_resumes_without_redoing_finished_shards(toy, featurized, fail_at, again):
    featurized.fail_at = fail_at
    with pytest.raises(KeyboardInterrupt):
        quiet(toy)
    featurized.fail_at = None
    featurized.clear()
    if fail_at == 2:
        folders = quiet(toy)  # no shard was finished, so there is no warning
    else:
        with pytest.warns(UserWarning, match="store of toy is incomplete or damaged"):
            folders = quiet(toy)
    assert featurized == again
    assert len(folders) == 3
    assert sum(len(molecules_of(folder)) for folder in folders) == 10


def test_a_shard_that_was_only_partly_written_is_made_again(toy, monkeypatch, tmp_path):
    save, written = np.save, []

    def full_disk(path, array):
        if len(written) == 3:
            raise OSError("No space left on device")
        written.append(path)
        save(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full_disk)
        with pytest.raises(OSError, match="No space left"):
            quiet(toy)
    [folder] = quiet(toy)
    assert {path.name for path in folder.parent.iterdir()} == {"shard-00000", "done.json"}
    monkeypatch.setenv("MOLFM_HOME", str(tmp_path / "elsewhere"))
    [undisturbed] = quiet(toy)
    assert content(folder) == content(undisturbed)


# ------------------------------------------------------------------------------------------------------------ processes


def test_processes_and_one_process_make_the_same_store(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "CHUNK_ROWS", 1)  # more chunks than may be under way at once
    serial = [content(folder) for folder in quiet(toy)]
    monkeypatch.setenv("MOLFM_HOME", str(tmp_path / "parallel"))
    monkeypatch.setattr(prepare_, "POOL_FROM_ROWS", 0)
    monkeypatch.setattr(prepare_, "featurize", None)  # this process cannot featurize
    with loky.ProcessPoolExecutor(2) as processes:
        assert [content(folder) for folder in quiet(toy, pool=lambda: processes)] == serial


def test_an_error_in_a_process_reaches_the_caller(make_card, monkeypatch):
    frame = pd.DataFrame({"smiles": ["C", "OCC"], "q": [None, [1.0]]})
    toy = card(make_card("toy", frame, {"q": {"level": "node"}}))
    monkeypatch.setattr(prepare_, "POOL_FROM_ROWS", 0)
    message = "row 1, column 'q': 1 values for 3 atoms of CCO"
    with loky.ProcessPoolExecutor(1) as processes, pytest.raises(TableError, match=message):
        quiet(toy, pool=lambda: processes)


def test_processes_start_at_the_first_call_and_stop_at_the_end(monkeypatch):
    monkeypatch.setattr(loky, "cpu_count", lambda: 2)
    with worker_pool() as pool:
        processes = pool()
        assert pool() is processes
    with pytest.raises(RuntimeError, match="shutdown"):
        processes.submit(int)


def test_a_single_core_starts_no_processes(monkeypatch):
    monkeypatch.setattr(loky, "cpu_count", lambda: 1)
    with worker_pool() as pool:
        assert pool() is None


@pytest.mark.parametrize(("threshold", "starts"), [(1, True), (2, False)])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_only_a_long_table_starts_processes(tmp_path, suffix, threshold, starts, monkeypatch):
    """Starting processes costs more than it saves for a short table."""
    monkeypatch.setattr(prepare_, "POOL_FROM_ROWS", threshold)
    frame, asked = pd.DataFrame({"smiles": ["C", "CC"], "y": [1.0, 2.0]}), []
    getattr(frame, f"to_{suffix}")(tmp_path / f"two.{suffix}", index=False)
    front = f"name: two\nsources: [{{location: 'file:two.{suffix}'}}]\ntasks: {{y: }}\n"
    (tmp_path / "two.md").write_text(f"---\n{front}---\n")
    [folder] = quiet(card(tmp_path / "two.md"), pool=lambda: asked.append("a pool"))
    assert bool(asked) == starts
    assert len(molecules_of(folder)) == 2


def test_a_manifest_counts_the_molecules_and_the_bytes_of_every_file(toy):
    [folder] = quiet(toy)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["molecules"] == 10
    others = {file.name: file.stat().st_size for file in folder.iterdir() if file.name != "manifest.json"}
    assert manifest["sizes"] == others


# ------------------------------------------------------------------------------------------------------- large molecules

RING = "C1" + "C" * 298 + "O1"  # its last bond joins atoms 0 and 299


def test_large_molecules_are_stored_and_take_no_space_from_small_ones():
    table = pd.DataFrame({"smiles": ["CCO", RING, "C" * 257, "CN"], "y": [1.0, 2.0, 3.0, 4.0]})
    mix = molfm.load(table, progress=False)
    [shard] = mix.shards
    assert shard.bonds.dtype == np.uint8
    found = featurize(table.smiles.tolist())
    got = structure(shard, np.arange(4))
    assert got["num_atoms"].tolist() == [3, 300, 257, 2]
    assert got["bonds"].tolist() == found.bonds.tolist()
    assert structure(shard, np.array([3, 1]))["bonds"].tolist() == [
        *found.bonds[-1:].tolist(),
        *found.bonds[2:302].tolist(),
    ]
    walk = random_walk(found.atom_ptr, found.bonds, found.bond_ptr)
    assert np.array_equal(shard.encoding("walk-16"), walk)
    small = molfm.load(table.iloc[[0, 3]], progress=False).shards[0]
    assert small.bonds.nbytes == 3 * 3 and len(small.far_bond) == 0


def test_a_network_reads_large_molecules_and_their_bonds(own_home):
    smiles = ["C" * (i + 1) + "O" for i in range(20)] + [RING]
    table = pd.DataFrame({"smiles": smiles, "order": [[1.0] * Chem.MolFromSmiles(s).GetNumBonds() for s in smiles]})
    mix = molfm.load(table, tasks={"order": {"level": "edge"}}, progress=False)
    small = {"epochs": 1, "hidden_channels": 8, "num_layers": 1, "progress": False}
    rows = molfm.train(mix, **small).model.predict([RING], "edge")
    assert rows[["begin", "end"]].iloc[-1].tolist() == [0, 299]


# -------------------------------------------------------------------------------------------------------- both directions


def test_equal_labels_of_both_directions_of_a_bond_are_read():
    table = pd.DataFrame({"smiles": ["OCC", "C=O", "C"], "q": [[1.0, 1.0, 2.0, 2.0], [np.nan, np.nan], []]})
    mix = molfm.load(table, tasks={"q": {"level": "edge"}}, progress=False)
    once = molfm.load(table.assign(q=[[1.0, 2.0], [np.nan], []]), tasks={"q": {"level": "edge"}}, progress=False)
    labels, expected = mix.labels("q"), once.labels("q")
    assert (
        [list(values) for values in labels.dropna()] == [list(values) for values in expected.dropna()] == [[2.0, 1.0]]
    )


def test_different_labels_of_the_two_directions_of_a_bond_are_an_error():
    table = pd.DataFrame({"smiles": ["OCC"], "q": [[1.0, 2.0, 1.0, 2.0]]})
    with pytest.raises(TableError, match="row 0, column 'q': 4 values for 2 bonds of CCO, but the two directions"):
        molfm.load(table, tasks={"q": {"level": "edge"}}, progress=False)
