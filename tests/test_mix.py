import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import molfm
from molfm.base.names import UnknownName
from molfm.catalog.schema import CardError
from molfm.data import prepare as prepare_
from molfm.data import tables
from molfm.data.store import rejected_of
from molfm.data.tables import TableError

# Three molecules are in both datasets, spelled differently. The first dataset lists ethanol twice.
FIRST = pd.DataFrame(
    {
        "smiles": ["OCC", "Oc1ccccc1", "C", "C(O)C", "nonsense", "O=C(O)C"],
        "y": [1.0, 2.0, 3.0, 10.0, 5.0, None],
        "q": [[8.1, 6.1, 6.2], None, [6.0], [6.3, 8.2, 6.4], [0.0], [8.0, 6.0, 8.5, 6.5]],
    }
)
SECOND = pd.DataFrame(
    {
        "smiles": ["N", "CCO", "c1ccccc1O", "CC(O)=O"],
        "y": [0.1, 0.2, 0.3, 0.4],
        "hit": [1, 0, 1, None],
        "w": [[], [12.0, 23.0], None, [1.0, 2.0, 3.0]],
    }
)
ONLY_TRAIN, ONLY_TEST = [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]


@pytest.fixture(scope="module")
def pair_card(make_card, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    make_card("first", FIRST, {"y": {"unit": "m"}, "q": {"level": "node"}}, folder, fractions=ONLY_TRAIN)
    tasks = {"y": None, "hit": {"kind": "binary"}, "w": {"level": "edge"}}
    make_card("second", SECOND, tasks, folder, fractions=ONLY_TEST)
    (folder / "pair.md").write_text("---\nname: pair\ndatasets: [first, second]\n---\n")
    return folder / "pair.md"


@pytest.fixture(scope="module")
def pair(pair_card):
    return molfm.load(pair_card, progress=False)


@pytest.fixture(scope="module")
def many(make_card):
    """A hundred alkanes and alcohols, labelled with their row."""
    smiles = [f"{'C' * i}{end}" for i in range(1, 51) for end in ("", "O")]
    frame = pd.DataFrame({"smiles": smiles, "y": np.arange(100.0), "z": [None, 1.0] * 50})
    return molfm.load(make_card("many", frame, {"y": None, "z": None}, fractions=[0.5, 0.25, 0.25]), progress=False)


def number(mix, smiles):
    return mix.molecules.smiles.tolist().index(smiles)


def triples(arrays, level):
    """Return the labels from `gather` as [(item, task, value)]."""
    return list(zip(*(arrays[f"{level}_{name}"].tolist() for name in ("item", "task", "value")), strict=True))


# ----------------------------------------------------------------------------------------------------------------- joining


def test_a_molecule_in_two_datasets_is_one_molecule_however_it_is_spelled(pair):
    assert pair.molecules.smiles.tolist() == ["CCO", "Oc1ccccc1", "C", "CC(=O)O", "N"]
    assert pair.molecules.datasets.tolist() == ["first, second", "first, second", "first", "first, second", "second"]
    assert len(pair) == 5


def test_a_molecule_has_a_split_in_each_of_its_datasets(pair):
    table = pair.molecules.astype({"split:first": object, "split:second": object})
    assert table["split:first"].fillna("").tolist() == ["train", "train", "train", "train", ""]
    assert table["split:second"].fillna("").tolist() == ["test", "test", "", "test", "test"]


def test_one_dataset_alone_has_one_split_column(toy):
    assert toy.molecules.columns.tolist() == ["smiles", "datasets", "split:toy"]
    assert set(toy.molecules[f"split:{toy.name}"]) == {"train", "val", "test"}


def test_tasks_lists_counts_and_statistics_of_the_training_labels(pair):
    tasks = pair.tasks.set_index("task")
    assert tasks.index.tolist() == ["first/y", "first/q", "second/y", "second/hit", "second/w"]
    assert tasks[["n_train", "n_val", "n_test"]].to_numpy().tolist() == [
        [4, 0, 0],
        [11, 0, 0],
        [0, 0, 4],
        [0, 0, 3],
        [0, 0, 5],
    ]
    assert tasks["mean"]["first/y"] == np.mean([1, 2, 3, 10])
    assert tasks["std"]["first/y"] == np.std([1, 2, 3, 10])
    assert tasks["unit"].tolist() == ["m", "", "", "", ""]
    assert tasks["level"].tolist() == ["graph", "node", "graph", "graph", "edge"]
    assert tasks["mean"].isna().tolist() == [False, False, True, True, True]


def test_constant_labels_have_a_standard_deviation_of_exactly_zero(make_card, tmp_path, toy_table):
    make_card("flat", toy_table[["smiles"]].assign(y=0.1), {"y": {}}, tmp_path)
    tasks = molfm.load(tmp_path / "flat.md", progress=False).tasks.set_index("task")
    assert tasks["mean"]["flat/y"] == np.float32(0.1)
    assert tasks["std"]["flat/y"] == 0  # sums of equal float32 labels are exact in float64


def test_a_binary_task_has_a_positive_rate_and_no_mean(toy, toy_table):
    task = toy.tasks.set_index("task").loc["toy/oxygen"]
    assert np.isnan(task["mean"])
    assert np.isnan(task["std"])
    train = toy.labels("oxygen")[toy.molecules[f"split:{toy.name}"] == "train"]
    assert task["positive_rate"] == train.mean()
    assert task[["n_train", "n_val", "n_test"]].sum() == len(toy_table)


def test_a_molecule_has_the_same_split_in_datasets_split_the_same_way(make_card, tmp_path, toy_table):
    fractions = [0.5, 0.25, 0.25]
    forward, backward = toy_table[["smiles", "oxygen"]], toy_table[["smiles", "oxygen"]][::-1].iloc[:30]
    make_card("forward", forward, {"oxygen": {"kind": "binary"}}, tmp_path, fractions=fractions)
    make_card("backward", backward, {"oxygen": {"kind": "binary"}}, tmp_path, fractions=fractions)
    (tmp_path / "both.md").write_text("---\nname: both\ndatasets: [forward, backward]\n---\n")
    for split in ("scaffold", "random"):
        table = molfm.load(tmp_path / "both.md", split=split, progress=False).molecules.dropna()
        assert len(table) == 30
        assert table["split:forward"].tolist() == table["split:backward"].tolist()
        assert table["split:forward"].nunique() == 3


def test_scaffold_splits_keep_scaffolds_together_and_seeds_change_them(toy_card):
    rings = ["Oc1ccccc1", "Cc1ccccc1", "Nc1ccccc1", "Clc1ccccc1", "COc1ccccc1", "O=C(O)c1ccccc1", "c1ccccc1"]
    seen = set()
    for seed in range(8):
        table = molfm.load(toy_card, split="scaffold", seed=seed, progress=False).molecules
        sides = table["split:toy"][table.smiles.isin(rings)]
        assert len(sides) == len(rings)
        assert sides.nunique() == 1
        seen.add(sides.iloc[0])
    assert len(seen) > 1


def test_several_shards_change_nothing(pair_card, pair, monkeypatch, own_home):
    monkeypatch.setattr(tables, "CHUNK_ROWS", 1)
    monkeypatch.setattr(prepare_, "SHARD_CHUNKS", 2)
    parts = molfm.load(pair_card, progress=False)
    assert len(parts.shards) == 5
    pd.testing.assert_frame_equal(parts.molecules, pair.molecules)
    pd.testing.assert_frame_equal(parts.tasks, pair.tasks)
    for task in pair.tasks.task:
        pd.testing.assert_series_equal(parts.labels(task), pair.labels(task))
    for split in ("train", "test"):
        whole, found = pair.gather(np.arange(5), split), parts.gather(np.arange(5), split)
        assert found["mol_id"].tolist() == [0, 1, 2, 3, 4]  # ordered by shard, which is the same order here
        for name in whole:
            np.testing.assert_array_equal(found[name], whole[name], err_msg=name)


def test_gather_from_several_shards_returns_the_order_of_molecules(pair_card, pair, monkeypatch, own_home):
    monkeypatch.setattr(tables, "CHUNK_ROWS", 1)
    monkeypatch.setattr(prepare_, "SHARD_CHUNKS", 2)
    mixed = molfm.load(pair_card, progress=False).gather(np.array([4, 1, 3, 0]), "test")
    assert mixed["mol_id"].tolist() == [1, 0, 3, 4]  # ordered by shard, in the requested order within each
    expected = pair.gather(np.array([1, 0, 3, 4]), "test")
    for name in expected:
        np.testing.assert_array_equal(mixed[name], expected[name], err_msg=name)


# ------------------------------------------------------------------------------------------------------------------ labels


def test_graph_labels_are_aligned_with_the_molecules(pair):
    first = pd.Series(np.float32([1, 2, 3, np.nan, np.nan]), name="first/y")
    pd.testing.assert_series_equal(pair.labels("first/y"), first)
    second = pd.Series(np.float32([0.2, 0.3, np.nan, 0.4, 0.1]), name="second/y")
    pd.testing.assert_series_equal(pair.labels("second/y"), second)
    pd.testing.assert_series_equal(
        pair.labels("hit"), pd.Series(np.float32([0, 1, np.nan, np.nan, 1]), name="second/hit")
    )


def test_node_and_edge_labels_are_arrays_in_the_order_of_the_stored_molecule(pair):
    q = pair.labels("q")
    assert q[0].tolist() == np.float32([6.2, 6.1, 8.1]).tolist()  # OCC -> CCO
    assert (q[1], q[4]) == (None, None)
    assert q[3].tolist() == [6.5, 6.0, 8.0, 8.5]  # O=C(O)C -> CC(=O)O
    w = pair.labels("w")
    assert w[0].tolist() == [12, 23]
    assert w[3].tolist() == [1, 3, 2]  # CC(O)=O -> CC(=O)O
    assert w[1] is None


def test_labels_of_all_levels_match_the_molecule_of_their_smiles(toy):
    mols = [Chem.MolFromSmiles(smiles) for smiles in toy.molecules.smiles]
    heavy, oxygen, element, order = (toy.labels(task) for task in ("heavy", "oxygen", "element", "order"))
    assert heavy.isna().sum() == 4
    for i, mol in enumerate(mols):
        symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
        assert np.isnan(heavy[i]) or heavy[i] == len(symbols)
        assert oxygen[i] == ("O" in symbols)
        assert element[i].tolist() == [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        assert (order[i] is None) == (mol.GetNumBonds() == 0)
        if order[i] is not None:
            assert order[i].tolist() == [bond.GetBondTypeAsDouble() for bond in mol.GetBonds()]


def test_the_first_row_counts_for_a_molecule_listed_twice(pair):
    assert pair.labels("first/y")[0] == 1
    assert pair.labels("q")[0].tolist() == np.float32([6.2, 6.1, 8.1]).tolist()


def test_an_unmeasured_atom_is_nan_among_the_others(make_card):
    frame = pd.DataFrame({"smiles": ["OCC"], "q": [[None, 0.5, 1.0]]})
    mix = molfm.load(make_card("gap", frame, {"q": {"level": "node"}}), progress=False)
    np.testing.assert_array_equal(mix.labels("q")[0], [1.0, 0.5, np.nan])


# --------------------------------------------------------------------------------------------------------------- selecting


def test_a_bare_name_is_accepted_where_only_one_dataset_has_it(pair):
    assert pair.task_number("hit") == pair.task_number("second/hit") == 3
    with pytest.raises(UnknownName, match="'y' is the name of 2 tasks of pair: first/y, second/y"):
        pair.labels("y")


def test_an_unknown_task_is_an_error_that_names_similar_or_all_tasks(pair):
    with pytest.raises(UnknownName, match=r"No task 'hits' in pair\. Did you mean 'hit'\?"):
        pair.labels("hits")
    with pytest.raises(UnknownName, match=r"No task 'zzzzzzzz' in pair\. It has first/y, first/q, second/y"):
        pair.select(["zzzzzzzz"])


def test_expand_takes_tasks_datasets_and_levels_of_datasets(pair):
    assert pair.expand(["second/y"]) == ["second/y"]
    assert pair.expand("hit") == ["second/hit"]
    assert pair.expand(["first"]) == ["first/y", "first/q"]
    assert pair.expand(["second/graph", "first/node"]) == ["second/y", "second/hit", "first/q"]
    assert pair.expand(["hit", "second", "second/hit"]) == ["second/hit", "second/y", "second/w"]


def test_select_renumbers_tasks_and_keeps_all_molecules(pair):
    chosen = pair.select(["second/w", "first/y"])
    assert chosen.tasks.task.tolist() == ["second/w", "first/y"]
    assert len(chosen) == len(pair)
    assert len(pair.tasks) == 5
    assert triples(chosen.gather(np.arange(5), "train"), "graph") == [(0, 1, 1), (0, 1, 10), (1, 1, 2), (2, 1, 3)]
    assert triples(chosen.gather(np.arange(5), "train"), "node") == []
    pd.testing.assert_series_equal(chosen.labels("w"), pair.labels("w"))


def test_load_selects_the_tasks_it_is_given(pair_card):
    assert molfm.load(pair_card, tasks=["hit", "first"], progress=False).tasks.task.tolist() == [
        "second/hit",
        "first/y",
        "first/q",
    ]


def test_limit_keeps_n_training_labels_and_validation_labels_in_proportion(many):
    before = many.tasks.set_index("task").loc["many/y"]
    for n_labels in (1, 10, before.n_train):
        after = many.limit("y", n_labels).tasks.set_index("task").loc["many/y"]
        assert after.n_train == n_labels
        assert after.n_val == max(1, round(n_labels * before.n_val / before.n_train))
        assert after.n_test == before.n_test


def test_limits_of_one_seed_are_nested_and_reproducible(many):
    kept = [set(many.limit("y", n, seed=3).labels("y").dropna().astype(int)) for n in (5, 10, 20)]
    assert kept[0] < kept[1] < kept[2]
    assert kept[1] == set(many.limit("y", 10, seed=3).labels("y").dropna().astype(int))
    assert kept[1] != set(many.limit("y", 10, seed=4).labels("y").dropna().astype(int))


def test_a_limit_on_one_task_leaves_the_others_unchanged(many):
    limited = many.limit("y", 5)
    pd.testing.assert_series_equal(limited.labels("z"), many.labels("z"))
    pd.testing.assert_frame_equal(limited.tasks[1:], many.tasks[1:])


def test_a_limit_holds_in_labels_members_gather_and_after_select(many):
    limited = many.limit("y", 5)
    for mix in (limited, limited.select(["y"]), limited.select(["z", "y"])):
        task = mix.task_number("y")
        train = mix.members("train", ["y"])
        assert len(train) == 5
        assert set(train) <= set(mix.labels("y").dropna().index)
        gathered = triples(mix.gather(np.arange(100), "train"), "graph")
        assert [item for item, number, _ in gathered if number == task] == train.tolist()


def test_a_second_limit_narrows_the_first(many):
    first = many.limit("y", 20, seed=0)
    second = first.limit("y", 5, seed=1)
    assert second.tasks.n_train[0] == 5
    assert set(second.labels("y").dropna()) < set(first.labels("y").dropna())


@pytest.mark.parametrize("seed", range(4))
def test_a_limit_counts_a_molecule_listed_twice_once(pair, seed):
    for n_labels in (1, 2, 3):
        assert pair.limit("first/y", n_labels, seed).labels("first/y").notna().sum() == n_labels


def test_an_impossible_limit_is_an_error(many, toy):
    n_train = many.tasks.n_train[0]
    with pytest.raises(ValueError, match=f"y has {n_train} labelled training molecules; {n_train + 1} were asked for"):
        many.limit("y", n_train + 1)
    with pytest.raises(ValueError, match="0 were asked for"):
        many.limit("y", 0)
    with pytest.raises(ValueError, match="y has 0 labelled training molecules; 1 were asked for"):
        many.keep(["y"], np.zeros(len(many), bool)).limit("y", 1)
    with pytest.raises(ValueError, match="Only labels of graph tasks can be limited; toy/element is at node level"):
        toy.limit("element", 3)


def test_tasks_are_limited_together_as_one_by_one(many):
    together = many.limit(["y", "z"], 7, seed=2)
    for task in ("y", "z"):
        pd.testing.assert_series_equal(together.labels(task), many.limit(task, 7, seed=2).labels(task))


def test_tasks_may_share_a_mask_and_narrow_it_separately(many):
    half = np.arange(len(many)) % 2 == 0
    both = many.keep(["y", "z"], half)
    half[:] = False  # the view has its own copy
    narrowed = both.limit("y", 3)
    assert both.labels("z").notna().sum() == (many.labels("z").notna() & (np.arange(len(many)) % 2 == 0)).sum()
    assert narrowed.tasks.n_train[0] == 3
    pd.testing.assert_series_equal(narrowed.labels("z"), both.labels("z"))


def test_keep_drops_labels_of_other_molecules_and_leaves_other_tasks(pair):
    here = np.array([True, False, True, True, True])
    kept = pair.keep(["first"], here)
    assert kept.labels("first/y").dropna().tolist() == [1, 3]
    assert kept.labels("q").notna().tolist() == [True, False, True, True, False]
    pd.testing.assert_series_equal(kept.labels("second/y"), pair.labels("second/y"))
    assert kept.keep(["first/y"], ~here).labels("first/y").notna().sum() == 0


# --------------------------------------------------------------------------------------------------------------- gathering


def test_members_have_a_label_in_the_split(pair):
    assert pair.members("train").tolist() == [0, 1, 2, 3]
    assert pair.members("test").tolist() == [0, 1, 3, 4]
    assert pair.members("val").tolist() == []
    assert pair.members("train", ["first/y"]).tolist() == [0, 1, 2]
    assert pair.members("test", ["hit"]).tolist() == [0, 1, 4]
    assert pair.members("test", ["first"]).tolist() == []


def test_gather_returns_only_labels_of_the_requested_split(pair):
    train, test = pair.gather(np.arange(5), "train"), pair.gather(np.arange(5), "test")
    assert triples(train, "graph") == [(0, 0, 1), (0, 0, 10), (1, 0, 2), (2, 0, 3)]
    expected = [(0, 2, 0.2), (0, 3, 0), (1, 2, 0.3), (1, 3, 1), (3, 2, 0.4), (4, 2, 0.1), (4, 3, 1)]
    assert triples(test, "graph") == [(item, task, np.float32(value)) for item, task, value in expected]
    assert triples(train, "edge") == triples(test, "node") == triples(pair.gather(np.arange(5), "val"), "graph") == []


def test_gather_numbers_items_within_the_batch(pair):
    found = pair.gather(np.array([3, 2]), "train")
    assert found["mol_id"].tolist() == [3, 2]
    assert triples(found, "node") == [(0, 1, 6.5), (1, 1, 6.0), (2, 1, 8.0), (3, 1, 8.5), (4, 1, 6.0)]
    assert triples(pair.gather(np.array([3, 0]), "test"), "edge") == [
        (0, 4, 1),
        (1, 4, 3),
        (2, 4, 2),
        (3, 4, 12),
        (4, 4, 23),
    ]
    assert found["node_counts"].tolist() == [4, 1]


def test_gather_returns_only_labels_of_the_requested_dataset(make_card, tmp_path):
    """Two datasets have the same molecules in the same split."""
    frame = pd.DataFrame({"smiles": ["CO", "CC"], "y": [1.0, 2.0]})
    make_card("one", frame, {"y": None}, tmp_path, fractions=ONLY_TRAIN)
    make_card("two", frame.assign(y=[3.0, 4.0]), {"y": None}, tmp_path, fractions=ONLY_TRAIN)
    (tmp_path / "both.md").write_text("---\nname: both\ndatasets: [one, two]\n---\n")
    mix = molfm.load(tmp_path / "both.md", progress=False)
    molecules = np.array([0, 1, 0])
    everything = [(0, 0, 1), (0, 1, 3), (1, 0, 2), (1, 1, 4), (2, 0, 1), (2, 1, 3)]
    assert triples(mix.gather(molecules, "train"), "graph") == everything
    assert triples(mix.gather(molecules, "train", np.array([0, 1, 1])), "graph") == [(0, 0, 1), (1, 1, 4), (2, 1, 3)]


def test_gather_returns_the_structures_of_its_molecules(toy):
    molecules = np.array([7, 30, 0, 7])
    found = toy.gather(molecules, "train")
    mols = [Chem.MolFromSmiles(toy.molecules.smiles[i]) for i in molecules]
    assert found["mol_id"].tolist() == molecules.tolist()
    assert found["num_atoms"].tolist() == [mol.GetNumAtoms() for mol in mols]
    assert found["atoms"][:, 0].tolist() == [atom.GetAtomicNum() for mol in mols for atom in mol.GetAtoms()]
    ends = [[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] for mol in mols for bond in mol.GetBonds()]
    assert found["bonds"][:, :2].tolist() == ends
    assert len(found["walk"]) == len(found["atoms"])


# ------------------------------------------------------------------------------------------------------------ users' tables

OWN = pd.DataFrame({"SMI": ["CO", "OCC", "nonsense", "CCC"], "pKi": [5.5, 6.5, 7.5, 8.5], "hit": [0, 1, 1, 0]})


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_a_users_table_is_loaded_with_its_numeric_columns_as_tasks(tmp_path, kind):
    if kind != "frame":
        getattr(OWN, f"to_{kind}")(tmp_path / f"own.{kind}", index=False)
    mix = molfm.load(OWN if kind == "frame" else str(tmp_path / f"own.{kind}"), smiles="SMI", progress=False)
    name = "table" if kind == "frame" else "own"
    assert mix.tasks[["task", "kind"]].to_numpy().tolist() == [[f"{name}/pKi", "regression"], [f"{name}/hit", "binary"]]
    assert mix.molecules.smiles.tolist() == ["CO", "CCO", "CCC"]
    assert mix.labels("pKi").tolist() == [5.5, 6.5, 8.5]
    assert rejected_of(mix.shards[0].folder).row.tolist() == [2]


def test_a_users_table_takes_tasks_as_a_list_or_a_dictionary():
    assert molfm.load(OWN, "SMI", ["hit"], progress=False).tasks.task.tolist() == ["table/hit"]
    tasks = {"hit": {"kind": "regression", "unit": "-"}, "pKi": {"domain": "biological"}}
    found = molfm.load(OWN, "SMI", tasks, progress=False).tasks
    assert found[["task", "kind", "unit", "domain"]].to_numpy().tolist() == [
        ["table/hit", "regression", "-", ""],
        ["table/pKi", "regression", "", "biological"],
    ]


def test_a_users_table_may_have_node_and_edge_labels(toy_table, toy):
    tasks = {"element": {"level": "node"}, "order": {"level": "edge"}}
    mix = molfm.load(toy_table, tasks=tasks, progress=False)
    assert mix.tasks.level.tolist() == ["node", "edge"]
    for task in tasks:
        for mine, theirs in zip(mix.labels(task), toy.labels(task), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_mix_can_be_loaded_again_from_its_origin(tmp_path):
    OWN.to_csv(tmp_path / "own.csv", index=False)
    mix = molfm.load(tmp_path / "own.csv", smiles="SMI", tasks=["pKi"], split="scaffold", seed=3, progress=False)
    origin = json.loads(json.dumps(mix.origin))
    again = molfm.load(**origin, progress=False)
    pd.testing.assert_frame_equal(again.molecules, mix.molecules)
    pd.testing.assert_frame_equal(again.tasks, mix.tasks)


@pytest.mark.parametrize("arguments", [{}, {"smiles": "SMI", "tasks": ["Ki"]}])
def test_a_users_table_without_a_column_is_an_error(arguments):
    with pytest.raises(TableError, match="Found: SMI, pKi, hit"):
        molfm.load(OWN, **arguments, progress=False)


def test_an_unknown_split_is_an_error_that_lists_the_known_ones(toy_card):
    with pytest.raises(
        CardError, match=r"Unknown split 'time' of toy. Expected official, scaffold, random, cluster, time:COLUMN"
    ):
        molfm.load(toy_card, split="time")


def test_a_table_with_only_rejected_rows_is_an_empty_mix(make_card):
    tasks = {"y": None, "q": {"level": "node"}}
    frame = pd.DataFrame({"smiles": ["nonsense", "*C"], "y": [1.0, 2.0], "q": [[1.0], None]})
    mix = molfm.load(make_card("bad", frame, tasks), progress=False)
    assert len(mix) == len(mix.molecules) == 0
    assert rejected_of(mix.shards[0].folder).row.tolist() == [0, 1]
    assert mix.tasks[["n_train", "n_val", "n_test"]].to_numpy().tolist() == [[0, 0, 0]] * 2
    assert mix.labels("y").tolist() == mix.labels("q").tolist() == mix.members("train").tolist() == []


def test_a_dataset_without_molecules_does_not_affect_the_others(make_card, tmp_path):
    make_card("bad", pd.DataFrame({"smiles": ["nonsense"], "y": [1.0]}), {"y": None}, tmp_path)
    make_card("good", pd.DataFrame({"smiles": ["C"], "y": [2.0]}), {"y": None}, tmp_path, fractions=ONLY_TRAIN)
    (tmp_path / "both.md").write_text("---\nname: both\ndatasets: [bad, good]\n---\n")
    mix = molfm.load(tmp_path / "both.md", progress=False)
    assert mix.tasks.n_train.tolist() == [0, 1]
    assert mix.members("train").tolist() == [0]
    assert triples(mix.gather(np.array([0]), "train"), "graph") == [(0, 1, 2)]


def test_loading_and_browsing_never_import_torch(toy_card, molfm_home):
    code = (
        "import sys, molfm\n"
        f"mix = molfm.load({str(toy_card)!r}, progress=False)\n"
        "mix.tasks, mix.molecules, mix.labels('element'), mix._repr_html_(), molfm.cards(), mix.limit('heavy', 3)\n"
        "mix.gather(mix.members('train'), 'train')\n"
        "print(sorted(name for name in sys.modules if name in ('torch', 'lightning', 'torch_geometric')))"
    )
    environment = os.environ | {"MOLFM_HOME": str(molfm_home)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_a_mix_is_pickled_without_its_derived_tables(toy):
    before = pickle.dumps(toy.select(["heavy"]))
    looked_at = toy.select(["heavy"])
    looked_at.molecules, looked_at.tasks, looked_at.constitution  # noqa: B018
    assert len(pickle.dumps(looked_at)) == len(before)
    there = pickle.loads(before)
    pd.testing.assert_frame_equal(there.tasks, looked_at.tasks)
    pd.testing.assert_frame_equal(there.molecules, looked_at.molecules)


def test_tasks_give_the_number_of_classes_of_ordinal_tasks(make_card, toy, toy_table):
    table = toy_table[["smiles"]].assign(size=toy_table.smiles.str.len() // 8, length=toy_table.smiles.str.len())
    mix = molfm.load(
        make_card("graded", table, {"size": {"kind": "ordinal", "classes": 3}, "length": {}}), progress=False
    )
    assert mix.tasks.classes.fillna(0).tolist() == [3, 0]
    assert toy.tasks.classes.isna().all()


def test_changing_a_returned_table_in_place_does_not_change_the_mix(toy):
    tasks, molecules = toy.tasks, toy.molecules
    for table in (tasks, molecules):
        table.drop(index=0, inplace=True)
        table.iloc[0, 0] = "changed"
    assert len(toy.tasks) == len(toy.chosen) and toy.tasks.task.tolist() == [task.id for task in toy.chosen]
    assert len(toy.molecules) == len(toy) and "changed" not in set(toy.molecules.smiles)
