import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import molfm
from molfm.explore.lookup import Lookup


@pytest.fixture(scope="module")
def lookup(toy):
    return Lookup(toy)


def test_smiles_match_the_molecules_table_in_any_order(toy, lookup):
    some = np.array([7, 0, 31, 7])
    assert lookup.smiles(some) == toy.molecules.smiles[some].tolist()


def test_values_are_graph_labels_and_means_over_atoms_and_bonds(toy, lookup):
    values = lookup.values(np.arange(len(toy)))
    for number, task in enumerate(toy.chosen):
        labels = toy.labels(task.id)
        expected = (
            labels if task.level == "graph" else [np.nan if x is None or not len(x) else x.mean() for x in labels]
        )
        np.testing.assert_allclose(values[:, number], np.array(expected, float), rtol=1e-6)
        np.testing.assert_allclose(lookup.column(number), values[:, number], rtol=1e-6)


def test_values_of_a_split_come_from_that_split_only(toy, lookup):
    values = lookup.values(np.arange(len(toy)), "test")
    counts = np.isfinite(values).sum(axis=0)
    assert counts[0] == toy.tasks.n_test[0]
    assert np.isnan(values[toy.molecules[f"split:{toy.name}"] != "test"]).all()


def test_labels_that_a_view_does_not_keep_are_missing(toy):
    few = toy.limit("heavy", 3)
    column = np.isfinite(Lookup(few).values(np.arange(len(toy)), "train")[:, 0])
    assert column.sum() == 3


def test_atom_labels_are_in_the_order_of_the_molecules_smiles(toy, lookup):
    for molecule in (3, 12, 34):
        [smiles] = lookup.smiles(np.array([molecule]))
        [values] = lookup.items(molecule, "node").values()
        assert values.tolist() == [atom.GetAtomicNum() for atom in Chem.MolFromSmiles(smiles).GetAtoms()]


def test_the_first_row_of_a_repeated_molecule_counts_as_in_labels(make_card):
    table = pd.DataFrame({"smiles": ["CO", "OC", "CC"], "name": ["first", "second", None], "y": [1.0, 2.0, 3.0]})
    mix = molfm.load(make_card("rows", table, {"y": {}}), progress=False)
    lookup = Lookup(mix)
    assert lookup.values(np.arange(2))[:, 0].tolist() == mix.labels("y").tolist() == [1.0, 3.0]
    assert lookup.names(np.arange(2)) == ["first / second", ""]
    assert lookup.named("SECOND", np.arange(2)).tolist() == [True, False]


def test_a_table_without_names_gives_empty_names(toy, lookup):
    assert set(lookup.names(np.arange(len(toy)))) == {""}


def test_members_and_splits_agree_with_the_molecules_table(toy, lookup):
    test = (toy.molecules[f"split:{toy.name}"] == "test").to_numpy()
    assert lookup.members(["toy"], "test").tolist() == test.tolist()
    assert [where["toy"] == "test" for where in lookup.splits(np.arange(len(toy)))] == test.tolist()
    assert not lookup.members([]).any()


def test_labels_of_each_molecule_are_counted(toy, lookup):
    there = np.isfinite(lookup.values(np.arange(len(toy))))
    assert lookup.counts(range(len(toy.chosen))).tolist() == there.sum(axis=1).tolist()
    assert lookup.counts([0]).tolist() == there[:, 0].astype(int).tolist()
