from itertools import product

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

import molfm
from molfm.catalog.schema import CardError
from molfm.chem.identity import tautomer_hashes
from molfm.chem.similarity import SIMILARITY, clusters
from molfm.data.groups import connected
from molfm.data.splits import UNUSED, assign_by_time, assign_exactly, assign_fold
from molfm.training.recipe import command

FRACTIONS = (0.8, 0.1, 0.1)

TAUTOMERS = {
    "keto and enol": ["CC(C)=O", "CC(O)=C"],
    "keto and enol of a ring": ["O=C1CCCCC1", "OC1=CCCCC1"],
    "1,3-diketone": ["CC(=O)CC(C)=O", "CC(=O)C=C(C)O"],
    "2-pyridone": ["O=c1cccc[nH]1", "Oc1ccccn1"],
    "4-quinolone": ["O=c1cc[nH]c2ccccc12", "Oc1ccnc2ccccc12"],
    "imidazole": ["Cc1c[nH]cn1", "Cc1cnc[nH]1"],
    "triazole": ["Cc1c[nH]nn1", "Cc1cn[nH]n1", "Cc1cnn[nH]1"],
    "tetrazole": ["Cc1nnn[nH]1", "Cc1nn[nH]n1"],
    "amide and imidic acid": ["CC(N)=O", "CC(O)=N"],
    "nitroso and oxime": ["CC(C)N=O", "CC(C)=NO"],
    "azo and hydrazone": ["CC(C)N=Nc1ccccc1", "CC(C)=NNc1ccccc1"],
    "guanidine": ["CNC(=N)N", "CN=C(N)N"],
    "guanine": ["Nc1nc2[nH]cnc2c(=O)[nH]1", "Nc1nc(O)c2[nH]cnc2n1"],
    "pyrazolone": ["Cc1cc(=O)n(-c2ccccc2)[nH]1", "CC1=NN(c2ccccc2)C(=O)C1"],
    "oxindole": ["O=C1Cc2ccccc2N1", "Oc1cc2ccccc2[nH]1"],
    "warfarin": ["CC(=O)CC(c1ccccc1)c1c(O)c2ccccc2oc1=O", "CC(=O)CC(c1ccccc1)C1C(=O)c2ccccc2OC1=O"],
    "tetracycline": [
        "CN(C)C1C(=O)C(C(N)=O)=C(O)C2(O)C(=O)C3=C(O)c4c(O)cccc4C(C)(O)C3CC12",
        "CN(C)C1C(O)=C(C(N)=O)C(=O)C2(O)C(O)=C3C(=O)c4c(O)cccc4C(C)(O)C3CC12",
    ],
}
ISOMERS = [
    *[("CCC=O", "CC(C)=O"), ("Cc1ccc(O)cc1", "OCc1ccccc1"), ("Oc1ccccn1", "Oc1cccnc1"), ("C=CCC", "CC=CC")],
    *[("Cc1ncc[nH]1", "Cc1c[nH]cn1"), ("Cn1ccnn1", "Cn1nccn1"), ("Cn1ccccc1=O", "COc1ccccn1")],
    *[("Cn1c(=O)c2[nH]cnc2n(C)c1=O", "Cn1cnc2c1c(=O)[nH]c(=O)n2C"), ("CC=CC(C)=O", "C=CCC(C)=O")],
    *[("CCC(=O)CC", "CCCC(C)=O"), ("Oc1ccc(O)cc1", "O=C1C=CC(=O)C=C1")],
]


def together(*smiles):
    hashes = tautomer_hashes(smiles)
    return len(np.unique(connected(np.arange(len(smiles), dtype=np.uint64), *hashes.T))) == 1


@pytest.mark.parametrize("name", TAUTOMERS)
def test_tautomers_share_a_hash(name):
    assert together(*TAUTOMERS[name])


@pytest.mark.parametrize("pair", ISOMERS)
def test_isomers_that_are_no_tautomers_share_no_hash(pair):
    assert not together(*pair)


def test_groups_that_share_an_item_are_one_group_named_by_the_smallest_first_label():
    first = np.array([5, 5, 7, 2, 9], np.uint64)
    second = np.array([1, 0, 0, 3, 3], np.uint64)
    assert connected(first, second).tolist() == [5, 5, 5, 2, 2]
    assert connected(first, np.arange(5, dtype=np.uint64)).tolist() == first.tolist()
    assert connected(np.zeros(0, np.uint64), np.zeros(0, np.uint64)).tolist() == []


# ------------------------------------------------------------------------------------------------------- a messy table


def families():
    """Return lists of SMILES: one molecule each, as salts, stereoisomers, tautomers and twice."""
    out = []
    for n in range(1, 13):
        chain = "C" * n
        out += [
            [f"O=c1cccc({chain}C)[nH]1", f"Oc1cccc({chain}C)n1", f"[Na+].[O-]c1cccc({chain}C)n1"],
            [f"{chain}c1c[nH]cn1", f"{chain}c1cnc[nH]1", f"Cl.{chain}c1cnc[nH]1"],
            [f"{chain}CCN", f"{chain}CC[NH3+].[Cl-]", f"NCC{chain}"],
            [f"{chain}C[C@H](N)C(=O)O", f"{chain}C[C@@H](N)C(=O)O", f"{chain}CC(N)C(=O)[O-].[K+]"],
            [f"O=NCC{chain}", f"ON=CC{chain}"],
            [f"{chain}CC(=O)CC(C)=O", f"{chain}CC(O)=CC(C)=O", f"{chain}CC(=O)CC(C)=O"],
        ]
    return out


FAMILIES = families()
# Every family has rows of several years; every seventh family is in two projects, and some rows have no project.
MESSY = pd.DataFrame(
    [
        {
            "smiles": smiles,
            "y": 1.0,
            "family": number,
            "year": 2000 + (7 * number + 3 * place) % 20,
            "project": f"P{number // 3 + (place if number % 7 == 0 else 0)}" if number % 5 else None,
        }
        for number, family in enumerate(FAMILIES)
        for place, smiles in enumerate(family)
    ]
)
FOLDED = ["scaffold", "random", "cluster", "group:project"]
METHODS = [*FOLDED, "time:year", *(f"{method} 2/5" for method in FOLDED)]


@pytest.fixture(scope="module")
def codes():
    """A function that splits a table by a method, and returns the split of each row: `train`, `val`, `test` or None."""
    done = {}

    def split(method, table=MESSY, seed=0):
        key = (method, seed, id(table))
        if key not in done:
            mix = molfm.load(table, tasks=["y"], split=method, seed=seed, progress=False)
            assert len(mix.rows.split) == len(table)
            by_row = np.full(len(table), UNUSED)
            row = np.concatenate([shard.row for shard in mix.shards])[mix.rows.order]
            by_row[row] = mix.rows.split
            done[key] = table, by_row  # the table too, so that no other one gets its id
        return done[key][1]

    return split


@pytest.mark.filterwarnings("ignore:.*are in several groups")
@pytest.mark.parametrize("method", METHODS)
def test_salts_stereoisomers_and_tautomers_are_on_one_side(codes, method):
    found = codes(method)
    assert set(found) == {0, 1, 2}
    for number, family in MESSY.groupby("family").groups.items():
        assert len(set(found[family])) == 1, FAMILIES[number]


@pytest.mark.filterwarnings("ignore:.*are in several groups")
@pytest.mark.parametrize("method", METHODS)
def test_a_split_does_not_depend_on_the_order_of_rows(codes, method):
    shuffled = MESSY.sample(frac=1, random_state=1)
    assert codes(method, shuffled.reset_index(drop=True)).tolist() == codes(method)[shuffled.index].tolist()


@pytest.mark.filterwarnings("ignore:.*are in several groups")
@pytest.mark.parametrize("method", FOLDED)
def test_every_molecule_is_tested_once_over_all_folds(codes, method):
    found = np.stack([codes(f"{method} {fold}/5") for fold in range(1, 6)])
    assert ((found == 2).sum(axis=0) == 1).all()
    assert ((found == 1).sum(axis=0) == 1).all()
    assert (np.roll(found == 2, -1, axis=0) == (found == 1)).all()  # the next fold is val
    sizes = (found == 2).sum(axis=1)
    assert sizes.min() > 0.7 * sizes.max()
    assert any((codes(f"{method} 1/5", seed=seed) != found[0]).any() for seed in (1, 2))  # repeated by seed


def test_a_scaffold_split_keeps_scaffolds_together_and_joins_those_of_tautomers(codes):
    found = codes("scaffold")
    rings = MESSY.smiles.str.contains("c1")
    assert len(set(found[rings & MESSY.smiles.str.contains("cccc")])) == 1  # pyridones and pyridines
    assert len(set(found[rings & MESSY.smiles.str.contains("nH")])) <= 2


def test_a_split_of_a_table_by_time_tests_the_newest(codes):
    first = MESSY.groupby("family").year.transform("min").to_numpy()  # as old as the first measurement
    found = codes("time:year")
    assert first[found == 0].max() < first[found == 1].min() <= first[found == 1].max() < first[found == 2].min()
    assert found.tolist() == codes("time:year", seed=1).tolist()


def test_groups_of_a_column_stay_together_and_joined_groups_are_counted(codes):
    message = (
        r"column 'project': 8 molecules are in several groups, first of all that of row \d+, which is in 'P\d+', 'P\d+'.*"
        r"So that no molecule is on both sides of the split, 19 groups were joined to 4, and 24 remain\."
    )
    with pytest.warns(UserWarning, match=message):
        mix = molfm.load(MESSY, tasks=["y"], split="group:project", progress=False)
    found = np.full(len(MESSY), UNUSED)
    found[np.concatenate([shard.row for shard in mix.shards])[mix.rows.order]] = mix.rows.split
    for rows in MESSY.groupby("project").groups.values():
        assert len(set(found[rows])) == 1


def test_groups_without_shared_molecules_are_split_exactly_and_silently(recwarn):
    table = pd.DataFrame(
        {"smiles": ["C" * (i + 1) for i in range(100)], "y": 1.0, "plate": [i // 10 for i in range(100)]}
    )
    mix = molfm.load(table, tasks=["y"], split="group:plate", progress=False)
    assert np.bincount(mix.rows.split).tolist() == [80, 10, 10]
    assert all(len(set(mix.rows.split[10 * i : 10 * i + 10])) == 1 for i in range(10))
    assert not [told for told in recwarn if "group" in str(told.message)]


def test_rows_without_a_group_are_grouped_by_molecule():
    smiles = ["C" * (i + 1) for i in range(40)]
    table = pd.DataFrame({"smiles": smiles, "y": 1.0, "series": ["A"] * 20 + [None] * 20})
    found = molfm.load(table, tasks=["y"], split="group:series", progress=False).rows.split
    assert set(found[:20]) == {0}
    assert np.bincount(found).tolist() == [32, 4, 4]


def test_a_reference_compound_without_a_group_joins_none():
    smiles = ["C" * (i + 1) for i in range(40)]
    table = pd.DataFrame({"smiles": smiles, "y": 1.0, "plate": [f"plate {i // 4}" for i in range(40)]})
    reference = pd.DataFrame({"smiles": ["O"] * 10, "y": 1.0, "plate": [f"plate {i}" for i in range(10)]})
    both = pd.concat([table, reference], ignore_index=True)
    with pytest.warns(
        UserWarning, match=r"that of row 40, which is in 'plate 0', .* and 6 more\. .* to 1, and 1 remain"
    ):
        molfm.load(both, tasks=["y"], split="group:plate", progress=False)
    both.loc[both.smiles == "O", "plate"] = None
    found = molfm.load(both, tasks=["y"], split="group:plate", progress=False).rows.split
    assert all(len(set(found[4 * i : 4 * i + 4])) == 1 for i in range(10))
    assert set(found) == {0, 1, 2}


def test_whole_numbers_are_the_same_groups_with_and_without_gaps():
    table = pd.DataFrame({"smiles": ["C" * (i + 1) for i in range(30)], "y": 1.0, "plate": [i // 5 for i in range(30)]})
    gap = table.assign(plate=table.plate.where(table.index > 0))
    first, second = (molfm.load(t, tasks=["y"], split="group:plate", progress=False).rows.split for t in (table, gap))
    assert (first[1:] == second[1:]).mean() > 0.5  # the same hashes order the groups


@pytest.mark.parametrize("split", ["random", "scaffold", "time:i"])
def test_a_large_own_table_is_split_exactly(split):
    table = pd.DataFrame({"i": range(1_200), "y": 1.0})
    table["smiles"] = ["C" * (i // 36 + 1) + "O" + "N" * (i % 36 + 1) for i in table.i]
    counts = molfm.load(table, tasks=["y"], split=split, progress=False).tasks.iloc[0]
    assert [counts.n_train, counts.n_val, counts.n_test] == [960, 120, 120]


def test_a_split_by_cluster_is_as_exact_as_its_clusters_allow():
    parts = ["C", "F", "Cl", "OC", "C#N", "C(=O)N", "S(C)(=O)=O", "N(C)C", "C(F)(F)F", "c1ccccc1", "C1CC1"]
    table = pd.DataFrame({"smiles": [f"Cc1c({a})c({b})nc({c})c1" for a, b, c in product(parts, repeat=3)], "y": 1.0})
    counts = molfm.load(table, tasks=["y"], split="cluster", progress=False).tasks.iloc[0]
    assert [counts.n_train, counts.n_val, counts.n_test] == pytest.approx([1_065, 133, 133], abs=10)


def test_a_single_card_can_be_split_by_cluster_and_into_folds_but_a_mix_cannot(toy_card):
    assert set(molfm.load(toy_card, split="cluster", progress=False).rows.split) == {0, 1, 2}
    assert set(molfm.load(toy_card, split="random 3/3", progress=False).rows.split) == {0, 1, 2}
    for split in ("cluster", "scaffold 1/5", "time:y", "group:y"):
        with pytest.raises(CardError, match=rf"split='{split}' splits one table, but this mix has several"):
            molfm.load("minimix", split=split, progress=False)


def test_a_split_is_recorded_as_text_and_opens_again(tmp_path):
    MESSY.to_csv(tmp_path / "own.csv", index=False)
    for split in ("time:year", "cluster 2/5"):
        mix = molfm.load(tmp_path / "own.csv", tasks=["y"], split=split, progress=False)
        assert mix.origin["split"] == split
        np.testing.assert_array_equal(molfm.load(**mix.origin, progress=False).rows.split, mix.rows.split)
    assert "--split 'cluster 2/5'" in command(mix.origin, {})


def test_the_column_of_a_split_is_no_task():
    mix = molfm.load(MESSY.drop(columns=["family", "project"]), split="time:year", progress=False)
    assert [task.name for task in mix.chosen] == ["y"]


# ------------------------------------------------------------------------------------------------------------- clusters


def test_similar_molecules_are_one_cluster_around_the_one_with_most_neighbours():
    alcohols = ["CCCCCCO", "CCCCCCCO", "CCCCCCCCO"]
    found = clusters([*alcohols, "c1ccccc1", "Clc1ccc(Br)cc1", "C1CCCCC1"])
    assert len(set(found[:3].tolist())) == 1
    assert len(set(found.tolist())) == 4
    assert all(found[centre] == centre for centre in found)


def test_every_molecule_is_similar_to_its_centre_and_to_no_other_one_more():
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint
    smiles = sorted({family[0] for family in FAMILIES})
    prints, found = [make(Chem.MolFromSmiles(text)) for text in smiles], clusters(smiles)
    centres = np.unique(found)
    for number, own in enumerate(found):
        similarity = DataStructs.BulkTanimotoSimilarity(prints[number], [prints[i] for i in centres])
        assert similarity[list(centres).index(own)] == max(similarity) >= SIMILARITY


# ------------------------------------------------------------------------------------------------------------ assigning


def times(*values):
    return np.array(values, np.float64)


def test_the_newest_are_test_then_val_and_the_oldest_train_with_exact_sizes():
    assert assign_by_time(np.arange(20.0)[::-1], FRACTIONS).tolist() == [2] * 2 + [1] * 2 + [0] * 16
    assert assign_by_time(np.arange(10.0), (0.5, 0.0, 0.5)).tolist() == [0] * 5 + [2] * 5
    assert assign_by_time(np.arange(10.0), (0.8, 0.2, 0.0)).tolist() == [0] * 8 + [1] * 2


def test_equal_times_stay_together_and_sizes_are_as_near_as_they_allow():
    assert assign_by_time(times(*[1] * 12, *[2] * 3, *[3] * 3, *[4] * 2), FRACTIONS).tolist() == [
        *[0] * 15,
        *[1] * 3,
        *[2] * 2,
    ]
    assert assign_by_time(times(1, 1, 1, 1, 2, 3, 3, 3, 3, 3), FRACTIONS).tolist() == [0] * 4 + [1] + [2] * 5


def test_few_times_fill_train_then_test_then_val():
    assert assign_by_time(times(1, 1, 1), FRACTIONS).tolist() == [0, 0, 0]
    assert assign_by_time(times(2, 1, 1), FRACTIONS).tolist() == [2, 0, 0]
    assert assign_by_time(times(2, 1, 3), FRACTIONS).tolist() == [1, 0, 2]
    assert assign_by_time(times(), FRACTIONS).tolist() == []


def test_what_has_no_time_is_in_no_split():
    assert assign_by_time(times(3, np.nan, 1, 2), FRACTIONS).tolist() == [2, UNUSED, 0, 1]


def test_folds_have_equal_sizes_and_keep_groups_together():
    groups = np.repeat(np.arange(30, dtype=np.uint64), np.arange(30) % 4 + 1)
    found = [assign_fold(groups, 0, fold, 4) for fold in range(1, 5)]
    sizes = [int((codes == 2).sum()) for codes in found]
    assert sum(sizes) == len(groups)
    assert max(sizes) - min(sizes) <= 1
    assert all(len(set(codes[groups == group])) == 1 for codes in found for group in range(30))


def test_large_groups_change_folds_with_the_seed():
    groups = np.repeat(np.arange(5, dtype=np.uint64), [20, 21, 22, 23, 24])
    tested = {assign_fold(groups, seed, 1, 5).tobytes() for seed in range(20)}
    assert len(tested) > 5


def test_exact_sizes_do_not_need_small_groups_to_be_found_first():
    groups = np.repeat(np.arange(41, dtype=np.uint64), [60, *[1] * 40])
    assert np.bincount(assign_exactly(groups, 0, FRACTIONS)).tolist() == [80, 10, 10]


# -------------------------------------------------------------------------------------------------------------- messages

OWN = pd.DataFrame({"smiles": ["C" * (i + 1) for i in range(12)], "y": 1.0, "Date": range(12), "empty": [None] * 12})


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            "scafold",
            r"Unknown split 'scafold' of table\. Did you mean 'scaffold'\? Expected official, scaffold, random",
        ),
        ("date", r"Unknown split 'date' of table\. Did you mean 'Date'\?.* Its columns: smiles, y, Date, empty\."),
        ("time:date", r"split='time:date': table has no column 'date'\. Did you mean 'Date'\? Its columns: smiles, y"),
        ("group:lot 1/3", r"split='group:lot 1/3': table has no column 'lot'\. Its columns: smiles, y, Date, empty\."),
        ("time:", r"split='time:': expected the name of a column after the colon, as in time:COLUMN\."),
        ("group: 2/5", r"split='group: 2/5': expected the name of a column"),
        (
            "random 0/5",
            r"split='random 0/5': expected one of at least three folds, numbered from 1, such as random 1/5",
        ),
        ("random 6/5", r"expected one of at least three folds, numbered from 1"),
        ("cluster 1/2", r"expected one of at least three folds, numbered from 1"),
        ("time:Date 1/5", r"split='time:Date 1/5': only scaffold, random, cluster and group:COLUMN have folds\."),
        ("official 1/5", r"only scaffold, random, cluster and group:COLUMN have folds\."),
        ("random 1/13", r"13 folds need at least 13 groups of molecules, found 12\. Ask for fewer folds, or for"),
        ("time:empty", r"column 'empty': expected dates or numbers, found only empty cells\."),
        ("group:empty", r"column 'empty': expected the names or numbers of groups, found only empty cells\."),
        ("time:smiles", r"column 'smiles', row 0: expected a date or a number, found 'C'\. Write dates as"),
    ],
)
def test_a_wrong_split_is_an_error_that_says_what_to_do(split, message):
    with pytest.raises(ValueError, match=message):
        molfm.load(OWN, tasks=["y"], split=split, progress=False)


def test_rows_without_a_time_are_counted_and_in_no_split():
    table = OWN.assign(Date=[None, *range(11)])
    table = pd.concat([table, pd.DataFrame({"smiles": ["CC", "O"], "y": 1.0, "Date": [None, None]})], ignore_index=True)
    with pytest.warns(UserWarning, match=r"column 'Date': 2 of 14 rows have no time \(the first is row 0\)"):
        mix = molfm.load(table, tasks=["y"], split="time:Date", progress=False)
    split = mix.molecules.set_index("smiles")["split:table"]
    assert split.isna().sum() == 2
    assert split["CC"] == "train"  # another row of it has a time


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            "time:Date",
            r"its time:Date split leaves val and test empty: 12 of 12 molecules have one time in column 'Date'\. Use ",
        ),
        (
            "group:Date",
            r"its group:Date split leaves val and test empty: 12 of 12 molecules have one group in column 'Date'\.",
        ),
        (
            "cluster",
            r"leaves val and test empty: 12 of 12 molecules have one cluster\. Use split=",
        ),
        (
            "group:half",
            r"its group:half split leaves test empty: the 12 molecules have only 2 groups in column 'half'\.",
        ),
    ],
)
def test_a_split_with_too_few_groups_warns_which_parts_are_empty(split, message):
    table = OWN.assign(smiles=["C" * (i + 8) for i in range(12)], Date=2020, half=[0] * 6 + [1] * 6)
    with pytest.warns(UserWarning, match=message):
        molfm.load(table, tasks=["y"], split=split, progress=False)
