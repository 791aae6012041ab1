import json
import os
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

import molfm
from molfm.chem.featurize import featurize
from molfm.chem.identity import hash64, scaffolds
from molfm.data.splits import UNUSED, assign, assign_exactly, codes_of, read_official, uniform

FRACTIONS = (0.6, 0.15, 0.25)
HASHES = np.array([hash64(f"molecule {i}") for i in range(20_000)], np.uint64)


def splitmix64(value, seed):
    """Return a number of the published generator (Steele, Lea, Flood 2014), computed with Python's integers."""
    x = (value + (seed + 1) * 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return ((x ^ (x >> 31)) >> 11) / 2**53


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_uniform_is_splitmix64(seed):
    some = [0, 1, 2**63, 2**64 - 1, *HASHES[:50].tolist()]
    assert uniform(np.array(some, np.uint64), seed).tolist() == [splitmix64(value, seed) for value in some]


def test_the_hash_of_a_string_is_the_same_on_every_machine():
    assert hash64("CCO") == 14074757553414938733


def test_equal_groups_get_equal_splits():
    twice = np.concatenate([HASHES[:100], HASHES[:100][::-1]])
    found = assign(twice, 0, FRACTIONS)
    assert found[:100].tolist() == found[100:][::-1].tolist()
    assert len(set(found.tolist())) == 3


def test_a_split_does_not_depend_on_the_other_rows():
    everything = assign(HASHES, 3, FRACTIONS)
    assert assign(HASHES[7:20], 3, FRACTIONS).tolist() == everything[7:20].tolist()
    assert assign(HASHES[::-1], 3, FRACTIONS).tolist() == everything[::-1].tolist()


def test_fractions_are_right_on_average():
    found = np.bincount(assign(HASHES, 0, FRACTIONS), minlength=3) / len(HASHES)
    np.testing.assert_allclose(found, FRACTIONS, atol=0.01)  # three standard deviations


def test_an_empty_part_stays_empty():
    assert set(assign(HASHES, 0, (1.0, 0.0, 0.0)).tolist()) == {0}
    assert set(assign(HASHES, 0, (0.7, 0.0, 0.3)).tolist()) == {0, 2}
    assert set(assign(HASHES, 0, (0.0, 0.0, 1.0)).tolist()) == {2}


def test_seeds_give_independent_splits():
    first, second = assign(HASHES, 0, FRACTIONS) == 0, assign(HASHES, 1, FRACTIONS) == 0
    assert np.mean(first & second) == pytest.approx(0.6 * 0.6, abs=0.01)


def groups_of(method, *smiles):
    found = featurize(list(smiles))
    return (scaffolds(found.smiles) if method == "scaffold" else found.identity[:, 1]).tolist()


def test_stereoisomers_and_isotopes_are_one_group_in_a_random_split():
    assert len(set(groups_of("random", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O", "[13CH3]C(N)C(=O)O"))) == 1
    assert len(set(groups_of("random", "C/C=C/C", "C/C=C\\C", "CC=CC"))) == 1
    assert len(set(groups_of("random", "CCO", "COC"))) == 2


def test_deuterium_does_not_make_another_constitution():
    assert len(set(groups_of("random", "[2H]C([2H])([2H])O", "CO"))) == 1


def test_molecules_that_share_a_scaffold_are_one_group_in_a_scaffold_split():
    assert len(set(groups_of("scaffold", "c1ccccc1", "Cc1ccccc1", "OC(=O)c1ccccc1Cl"))) == 1
    assert len(set(groups_of("scaffold", "C1CCCCC1", "C[C@H]1CCCC[C@@H]1O"))) == 1
    assert len(set(groups_of("scaffold", "c1ccccc1", "c1ccncc1", "C1CCCCC1"))) == 3


def test_molecules_without_rings_do_not_share_a_scaffold():
    assert len(set(groups_of("scaffold", "C", "CC", "CCO"))) == 3
    assert len(set(groups_of("scaffold", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"))) == 1


# ------------------------------------------------------------------------------------------------------------ split files


@pytest.fixture
def split_file(tmp_path):
    """Return a function that writes the given lists as a split file in PyTorch's or JSON format."""

    def make(parts, suffix=".json"):
        path = tmp_path / f"splits{suffix}"
        if suffix == ".json":
            path.write_text(json.dumps(parts))
        else:
            torch.save(parts, path)
        return path

    return make


@pytest.mark.parametrize("suffix", [".json", ".pt"])
def test_a_split_file_gives_every_row_it_names_a_code(split_file, suffix):
    path = split_file({"train": [5, 0], "val": [2], "test": [], "test_seen": [3]}, suffix)
    assert read_official(path).tolist() == [0, UNUSED, 1, 3, UNUSED, 0]


@pytest.mark.parametrize("kind", [torch.tensor, tuple])
def test_row_numbers_may_be_tensors_or_tuples(split_file, kind):
    parts = {"train": kind([3, 1]), "val": kind([0]), "test": kind([2])}
    assert read_official(split_file(parts, ".pt")).tolist() == [1, 0, 2, 0]


def test_the_order_of_rows_and_of_names_does_not_matter(split_file):
    assert read_official(split_file({"test": [1, 3], "val": [], "train": [2, 0]})).tolist() == [0, 2, 0, 2]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": [0, 1], "val": [1], "test": [2]}, "row 1 is listed more than once"),
        ({"train": [0, 4, 4], "val": [1], "test": [2]}, "row 4 is listed more than once"),
        ({"train": [0], "val": [1], "test": [2], "test_seen": [2]}, "row 2 is listed more than once"),
        ({"train": [0, -1], "val": [1], "test": [2]}, "found row -1"),
        ({"train": [0], "test": [2]}, "found train, test"),
        ({"train": [0], "val": [1], "test": [2], "extra": [3]}, "found train, val, test, extra"),
        ({}, "found nothing"),
        ([0, 1, 2], "could not be read"),
        ({"train": 3, "val": None, "test": []}, "could not be read"),
        ({"train": [[0, 1], [2]], "val": [], "test": []}, "could not be read"),
        ({"train": [0.5], "val": [1], "test": [2]}, "row numbers must be whole numbers, found .*0.5"),
        ({"train": [False, True], "val": [], "test": []}, "row numbers must be whole numbers, found .*False"),
        ({"train": ["0"], "val": ["1"], "test": ["2"]}, "row numbers must be whole numbers, found .*'0'"),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".pt"])
def test_a_wrong_split_file_is_an_error_that_names_it_and_what_is_wrong(split_file, parts, message, suffix):
    path = split_file(parts, suffix)
    with pytest.raises(ValueError, match=message) as error:
        read_official(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("suffix", [".json", ".pt"])
@pytest.mark.parametrize("keep", [0, 20, 0.9])
def test_a_truncated_split_file_is_an_error_that_names_it(split_file, suffix, keep):
    path = split_file({"train": list(range(500)), "val": [500], "test": [501]}, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(ValueError, match="could not be read") as error:
        read_official(path)
    assert str(path) in str(error.value)


def test_a_split_file_never_runs_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"train": Evil()}, tmp_path / "zip.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"train": Evil()}, protocol=2))
    for name in ("zip.pt", "pickle.pt"):
        with pytest.raises(ValueError, match="could not be read"):
            read_official(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_split_names_in_a_column_become_codes():
    names = np.array(["train", "val", "valid", "validation", "test", "test_seen", None], object)
    assert codes_of(names, "here").tolist() == [0, 1, 1, 1, 2, 3, UNUSED]
    names = np.array(["TRAIN", " Training", "dev ", "Valid", "TEST", "", "  "], object)
    assert codes_of(names, "here").tolist() == [0, 0, 1, 1, 2, UNUSED, UNUSED]


@pytest.mark.parametrize("kind", [int, float, str])
def test_fold_numbers_become_codes_the_highest_is_test_and_the_next_val(kind):
    folds = np.array([*map(kind, [0, 1, 2, 3, 4, 0]), None], object)
    assert codes_of(folds, "here").tolist() == [0, 0, 0, 1, 2, 0, UNUSED]


def test_fewer_than_three_folds_are_an_error():
    with pytest.raises(ValueError, match="at least three folds, found 0, 1"):
        codes_of(np.array(["0", "1", "0"], object), "here")


@pytest.mark.parametrize("wrong", ["trian", "holdout", "0", 0, 1.0])
def test_an_unknown_split_name_is_an_error_that_names_place_and_row(wrong):
    with pytest.raises(
        ValueError, match=r"own\.csv, column 'fold', row 2: expected one of train, val, test, test_seen or"
    ):
        codes_of(np.array(["train", None, wrong], object), "own.csv, column 'fold'")


@pytest.fixture
def split_card(make_card, tmp_path):
    """Return a function that loads a table of five rows with a split file; the third and the last row are rejected."""

    def make(parts, **options):
        (tmp_path / "rows.json").write_text(json.dumps(parts))
        table = pd.DataFrame({"smiles": ["C", "CC", "nonsense", "CCC", "*"], "y": [0.0, 1.0, 2.0, 3.0, 4.0]})
        source = {"splits": "file:rows.json"}
        path = make_card("toy", table, {"y": None}, tmp_path, source, split="official")
        return molfm.load(path, progress=False, **options)

    return make


def test_an_official_split_goes_by_row_and_leaves_out_rows_it_does_not_name(split_card):
    mix = split_card({"train": [3, 2], "val": [], "test": [0]})
    assert mix.molecules[f"split:{mix.name}"].astype(object).fillna("").tolist() == ["test", "", "train"]
    np.testing.assert_array_equal(mix.labels("y"), [0, np.nan, 3])
    assert split_card({"train": [3], "val": [], "test": [0]}, split="random").labels("y").tolist() == [0, 1, 3]


def test_a_changed_split_file_is_noticed(split_card):
    assert split_card({"train": [0], "val": [1], "test": [3]}).molecules.iloc[:, -1].tolist() == [
        "train",
        "val",
        "test",
    ]
    assert split_card({"train": [3], "val": [1], "test": [0]}).molecules.iloc[:, -1].tolist() == [
        "test",
        "val",
        "train",
    ]


def test_a_split_that_names_rows_beyond_the_table_is_an_error(split_card):
    assert len(split_card({"train": [0, 1, 2], "val": [3], "test": [4]})) == 3  # the last row is rejected, but exists
    with pytest.raises(ValueError, match=r"toy: its split names row 5, but toy\.parquet has 5 rows, counted from 0"):
        split_card({"train": [0, 1, 2], "val": [3], "test": [5]})


@pytest.mark.parametrize("n", [3, 12, 40, 48, 999])
def test_a_users_small_table_is_split_exactly(n):
    table = pd.DataFrame({"smiles": ["C" * (i // 32 + 1) + "O" + "N" * (i % 32 + 1) for i in range(n)], "y": 1.0})
    counts = molfm.load(table, progress=False).tasks.iloc[0]
    part = max(1, round(0.1 * n))
    assert [counts.n_train, counts.n_val, counts.n_test] == [n - 2 * part, part, part]


def test_exact_splits_keep_groups_together_and_differ_by_seed():
    groups = np.repeat(np.arange(20, dtype=np.uint64), 5)
    codes = [assign_exactly(groups, seed, (0.8, 0.1, 0.1)) for seed in range(5)]
    for found in codes:
        assert np.bincount(found).tolist() == [80, 10, 10]
        assert all(len(set(found[groups == group])) == 1 for group in range(20))
    assert len({found.tobytes() for found in codes}) > 1


def test_val_and_test_get_a_group_each_even_if_all_groups_are_large():
    groups = np.repeat(np.arange(3, dtype=np.uint64), [4, 5, 3])
    assert set(assign_exactly(groups, 0, (0.8, 0.1, 0.1))) == {0, 1, 2}
    assert assign_exactly(groups[:4], 0, (0.8, 0.1, 0.1)).tolist() == [0] * 4


def test_a_split_that_leaves_parts_empty_names_the_remedy():
    series = pd.DataFrame({"smiles": ["c1ccccc1" + "C" * i for i in range(1, 13)], "y": np.arange(12.0)})
    with pytest.warns(
        UserWarning, match=r"val and test empty: 12 of 12 molecules have one scaffold\. Use split=\"random\""
    ):
        mix = molfm.load(series, split="scaffold", progress=False)
    with pytest.raises(ValueError, match="No validation labels for table/y, so the best"):
        molfm.train(mix, progress=False)
