"""ToxCast: the table keeps to the rule that its card states, and the pickle it comes from cannot run code."""

import io
import os
import pickle
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import molfm
from molfm.minimix.arrays_of_pickle import read_columns
from molfm.minimix.toxcast import GENES, LEAST_MOLECULES, LEAST_OF_A_CLASS, LEFT_OUT, _without_repeats, unflagged
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel


@pytest.fixture(scope="module")
def toxcast():
    return molfm.load("toxcast", progress=False)


@pytest.fixture(scope="module")
def table():
    return pd.read_parquet(files("molfm.data_cards") / "minimix" / "toxcast.parquet")


# ------------------------------------------------------------------------------------------------------------- the table


def test_the_table_has_the_counts_of_its_card(toxcast):
    assert (len(toxcast), len(toxcast.chosen)) == (6_794, 179)
    counts = toxcast.tasks
    labels = counts.n_train + counts.n_val + counts.n_test
    assert labels.sum() == 636_573
    assert (labels.min(), labels.max()) == (1_292, 6_202)
    families = pd.Series([task.family for task in toxcast.chosen]).value_counts()
    assert families.to_dict() == {"ATG": 61, "TOX21": 60, "BSK": 41, "OT": 11, "ACEA": 3, "UPITT": 3}
    assert set(counts.kind) == {"binary"} and set(counts.domain) == {"biological"}


def test_the_table_keeps_to_its_rule(table):
    labels = table.iloc[:, 3:]
    assert set(np.unique(labels.to_numpy(float)[labels.notna().to_numpy()])) == {0, 1}
    assert labels.notna().sum().min() >= LEAST_MOLECULES
    assert min(labels.sum().min(), (labels == 0).sum().min()) >= LEAST_OF_A_CLASS
    assert [name for name in labels if LEFT_OUT.search(name)] == [
        "TOX21_RT_HEK293_GLO_40hr_viability",
        "TOX21_RT_HEPG2_GLO_40hr_viability",
    ]
    assert not table.smiles.str.contains(".", regex=False).any()
    assert table.smiles.is_unique and table.smiles.is_monotonic_increasing
    phi = labels.astype(float).corr(min_periods=100).to_numpy() - np.eye(labels.shape[1])
    assert np.nanmax(np.abs(phi)) <= 0.7


def test_known_drugs_stand_on_their_own_structures(table):
    structures = {"Aspirin": "CC(=O)Oc1ccccc1C(=O)O", "Caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "Bisphenol A": None}
    structures["Bisphenol A"] = "CC(C)(c1ccc(O)cc1)c1ccc(O)cc1"
    found = table.set_index("name").smiles
    for name, smiles in structures.items():
        assert found[name] == Chem.CanonSmiles(smiles)


def test_the_flags_stand_on_labels_and_can_be_left_out(toxcast, table):
    flags = pd.read_parquet(files("molfm.data_cards") / "minimix" / "toxcast_flags.parquet")
    labels = table.iloc[:, 3:]
    assert flags.columns.tolist() == labels.columns.tolist()
    assert (flags.notna() == labels.notna()).all(axis=None)
    assert int(flags.sum().sum()) == 90_386
    chosen = toxcast.select(["TOX21_AhR_LUC_Agonist", "ATG_AP_1_CIS_up"])
    clear = unflagged(chosen)
    for task in chosen.chosen:
        before, after = chosen.labels(task.id), clear.labels(task.id)
        assert after.notna().sum() == before.notna().sum() - int(flags[task.name].sum())
        assert (after.dropna() == before[after.notna()]).all()


def test_twelve_assays_are_known_as_the_measurement_of_tox21(toxcast, make_card, tmp_path, table):
    twins = {task.name: task.same_as for task in toxcast.chosen if task.same_as}
    assert len(twins) == 12
    assert twins["TOX21_AhR_LUC_Agonist"] == "tox21/NR-AhR"
    copy = table[["smiles", "TOX21_AhR_LUC_Agonist"]].dropna().head(50)
    copy = copy.rename(columns={"TOX21_AhR_LUC_Agonist": "NR-AhR"}).astype({"NR-AhR": float})
    make_card("tox21", copy, {"NR-AhR": {"kind": "binary"}}, tmp_path)
    (tmp_path / "both.md").write_text("---\nname: both\ndatasets: [tox21, toxcast]\n---\n")
    mix = molfm.load(tmp_path / "both.md", progress=False).select(["tox21", "TOX21_AhR_LUC_Agonist"])
    found = mix.audit().summary
    found = found[found.check == "labels measured twice"]
    assert found[["task", "other", "count"]].to_numpy().tolist() == [["toxcast/TOX21_AhR_LUC_Agonist", "tox21", 50]]


def test_genes_are_written_as_symbols():
    assert all(gene == gene.upper() for gene in GENES.values())


def test_a_network_has_one_head_for_all_assays(toxcast):
    model = MultiTaskModel(ModelConfig(8, 1), toxcast.tasks, 0)
    assert model.head_names() == ["toxcast/graph"]
    assert model.predict("CCO").shape == (1, 2 + 179)


# ---------------------------------------------------------------------------------------------------------- how it is made


def test_the_smaller_of_two_assays_that_agree_is_a_repeat():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 400).astype(float)
    labels = pd.DataFrame(
        {"b_large": first, "a_copy": first, "c_other": rng.integers(0, 2, 400), "d_inverse": 1 - first}
    )
    labels = labels.astype(float)
    labels.loc[:20, "a_copy"], labels.loc[:10, "d_inverse"] = np.nan, np.nan
    assert _without_repeats(labels) == ["b_large", "c_other"]


class Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


def test_a_pickle_that_names_a_function_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=r"names posix\.system, which is no part"):
        read_columns(io.BytesIO(pickle.dumps(Attack(), protocol=4)))
    assert not list(tmp_path.iterdir())


def test_the_counted_traps_of_the_card_are_in_the_table(table):
    labels = table.iloc[:, 3:].astype(float)
    phi = labels.corr(min_periods=300).to_numpy()[np.triu_indices(labels.shape[1], 1)]
    assert (int((phi > 0.5).sum()), int(np.isfinite(phi).sum())) == (662, 15_931)
    dying = labels["TOX21_RT_HEPG2_GLO_40hr_viability"]

    def shares(names):
        """Return the mean share of cytotoxic molecules among an assay's actives, and among its inactives, in percent."""
        both = [[dying[labels[name] == hit].mean() for hit in (1, 0)] for name in names]
        return len(names), *(100 * np.mean(both, axis=0)).round().astype(int).tolist()

    names = pd.Series(labels.columns)
    tox21 = names[names.str.startswith("TOX21")]
    assert shares(tox21[tox21.str.contains("ntagonist")]) == (22, 42, 4)
    assert shares(tox21[tox21.str.contains("_[Aa]gonist")]) == (28, 32, 7)
    assert shares(names[names.str.endswith("_dn")]) == (25, 29, 8)
    assert shares(names[names.str.startswith("ATG") & names.str.endswith("_up")]) == (36, 24, 7)
