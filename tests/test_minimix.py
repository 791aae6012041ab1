"""The contents of the embedded tables, against facts about chemistry and about their sources."""

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import molfm
from molfm.base.files import sha256
from molfm.catalog.shipped import datasets_of
from molfm.chem.featurize import canonical_smiles
from molfm.data.tables import locate
from molfm.explore.lookup import Lookup
from molfm.minimix.build import _readable, _spread, heavy_atom_order, wrong_structures

FOLDER = files("molfm.data_cards") / "minimix"


@pytest.fixture(scope="module")
def qm9():
    return pd.read_parquet(FOLDER / "qm9_mini.parquet")


@pytest.fixture(scope="module")
def b3db():
    return pd.read_parquet(FOLDER / "b3db.parquet")


@pytest.fixture(scope="module")
def xtb():
    return pd.read_parquet(FOLDER / "xtb.parquet")


@pytest.fixture(scope="module")
def minimix():
    return molfm.load("minimix", progress=False)


@pytest.mark.parametrize("card", datasets_of("minimix"), ids=lambda card: card.name)
def test_each_card_pins_its_table_and_names_its_columns(card):
    table = locate(card)
    assert table.source.sha256 == sha256(table.paths[0])
    assert {task.name for task in card.tasks} <= set(table.columns())
    assert card.license.startswith("MIT" if card.name == "toxcast" else "CC0-1.0") and card.citation and card.text
    undescribed = [task.name for task in card.tasks if not task.description or not task.domain]
    assert not undescribed


def test_all_rows_are_molecules_and_no_molecule_is_listed_twice(minimix):
    audit = minimix.audit()
    assert audit.rejected.empty
    for card in minimix.cards:
        table = pd.read_parquet(locate(card).paths[0], columns=["smiles"])
        assert table.smiles.map(canonical_smiles).is_unique, card.name


@pytest.mark.parametrize("split", ["scaffold", "random"])
def test_the_cards_give_the_number_of_labels_in_each_split(split):
    tasks = molfm.load("minimix", split=split, progress=False).tasks.set_index("task")
    for name in ("b3db/logBB", "b3db/BBB", "xtb/homo", "qm9_mini/mu", "toxcast"):
        chosen = tasks[tasks.dataset == name] if name == "toxcast" else tasks.loc[[name]]
        counts = "/".join(f"{n:,}" for n in chosen[["n_train", "n_val", "n_test"]].sum())
        assert counts in molfm.card(name.split("/")[0]).text


# ---------------------------------------------------------------------------------------------------------------- QM9


def by_smiles(table, smiles):
    return table.set_index("smiles").loc[smiles]


def test_three_molecules_checked_by_hand_have_each_charge_on_its_atom(qm9):
    # Read off the published geometries by hand; the last two list their atoms in another order than the SMILES.
    formamide = by_smiles(qm9, "NC=O").mulliken_charge
    assert formamide == pytest.approx([-0.4631, 0.1697, -0.3048])
    cyanoacetylene = by_smiles(qm9, "C#CC#N").mulliken_charge  # the carbon with the hydrogen first; file: C2 C3 C1 N
    assert cyanoacetylene == pytest.approx([-0.4382, 0.2787, 0.2496, -0.3256], abs=1e-3)
    trifluorohexyne = by_smiles(qm9, "CC#CCCC(F)(F)F").mulliken_charge  # the file has the methyl group last
    assert trifluorohexyne == pytest.approx(
        [-0.498, 0.13, 0.007, -0.371, -0.318, 0.285, -0.077, -0.087, -0.087], abs=1e-3
    )


def test_charges_follow_electronegativity(qm9):
    carbonyl = Chem.MolFromSmarts("[CX3]=[OX1]")
    oxygens, elements = [], {"C": [], "N": [], "O": [], "F": []}
    for smiles, charges in zip(qm9.smiles, qm9.mulliken_charge, strict=True):
        mol = Chem.MolFromSmiles(smiles)
        assert mol.GetNumAtoms() == len(charges)
        for atom, charge in zip(mol.GetAtoms(), charges, strict=True):
            elements[atom.GetSymbol()].append(charge)
        oxygens += [charges[oxygen] for _, oxygen in mol.GetSubstructMatches(carbonyl)]
    assert len(oxygens) > 1000 and max(oxygens) < 0
    means = {element: np.mean(values) for element, values in elements.items()}
    assert means["O"] < means["N"] < means["C"]


def test_all_sizes_are_present_and_fluorine_is_common(qm9):
    sizes = qm9.smiles.map(lambda s: Chem.MolFromSmiles(s).GetNumAtoms()).value_counts()
    assert set(sizes.index) == set(range(1, 10)) and sizes[9] < 0.65 * len(qm9)
    assert qm9.smiles.str.contains("F").sum() > 400


def test_properties_agree_with_each_other(qm9):
    assert np.allclose(qm9.gap, qm9.lumo - qm9.homo, atol=2e-4)
    linear = qm9.A.isna()
    assert set(qm9.smiles[linear]) >= {"C#C", "C#N"} and linear.sum() < 20
    # Methane's published atomization energy at 0 K in kcal/mol.
    assert by_smiles(qm9, "C").u0_atom == pytest.approx(-395.9999, abs=1e-3)


def test_the_geometry_decides_which_atom_a_charge_belongs_to():
    # Formaldehyde with the atoms in another order: hydrogen first, oxygen before carbon.
    elements = ["H", "O", "C", "H"]
    xyz = np.array([[0.94, -0.58, 0.0], [0.0, 1.21, 0.0], [0.0, 0.0, 0.0], [-0.94, -0.58, 0.0]])
    assert heavy_atom_order(Chem.MolFromSmiles("C=O"), elements, xyz) == [2, 1]
    assert heavy_atom_order(Chem.MolFromSmiles("CO"), elements, xyz) is None  # methanol has two more hydrogens


def test_the_choice_spreads_over_strata_and_ignores_the_order_of_rows():
    strata = pd.Series(["big"] * 900 + ["small"] * 100)
    rank = pd.Series(np.random.default_rng(0).random(1000))
    chosen = _spread(strata, rank, 100)
    assert 90 <= len(chosen) <= 100
    assert (strata[chosen] == "small").sum() == pytest.approx(25, abs=2)  # sqrt(100) of sqrt(100) + sqrt(900)
    shuffled = strata.sample(frac=1, random_state=1)
    assert set(_spread(shuffled, rank[shuffled.index], 100)) == set(chosen)


# --------------------------------------------------------------------------------------------------------------- B3DB


def test_b3db_counts_agree_with_its_card(b3db):
    assert len(b3db) == 7555
    assert b3db.BBB.notna().sum() == 7522
    assert b3db.name.isna().sum() == 1109
    assert b3db.logBB.notna().sum() == 1058
    both = b3db.dropna(subset=["BBB", "logBB"])
    assert len(both) == 1025
    assert ((both.logBB >= -1) == (both.BBB == 1)).all()


def test_records_of_b3db_with_a_wrong_structure_are_told_by_number_and_reference():
    records = pd.DataFrame(
        {
            "CID": ["100002764.0|", "100002764.0|", "2764.0|", "nan|", "135904414.0|"],
            "reference": ["R16|R10|", "R1|R160|", "R16|", "R16|", "R24|"],
        }
    )
    assert wrong_structures(records).tolist() == [True, False, False, False, False]


def test_a_readable_name_is_preferred_to_a_number():
    assert (
        _readable(pd.Series(["50-53-3", None, "-", "chembl71", "Chlorpromazine"])) == "chembl71"
    )  # too short to be one
    assert _readable(pd.Series(["50-53-3", "zinc2019918", "Chlorpromazine"])) == "Chlorpromazine"
    assert _readable(pd.Series(["2,3-dimethylbutane-1", "butane"])) == "2,3-dimethylbutane-1"
    assert _readable(pd.Series(["50-53-3", None])) == "50-53-3"
    assert _readable(pd.Series([None], dtype=object)) is None


@pytest.mark.parametrize(
    ("name", "smiles"),
    [
        ("aspirin", "CC(=O)Oc1ccccc1C(=O)O"),
        ("caffeine", "Cn1c(=O)c2c(ncn2C)n(C)c1=O"),
        ("dopamine", "NCCc1ccc(O)c(O)c1"),
        ("chlorpromazine", "CN(C)CCCN1c2ccccc2Sc2ccc(Cl)cc21"),
    ],
)
def test_well_known_names_are_found_on_their_structure(minimix, name, smiles):
    lookup = Lookup(minimix)
    named = np.flatnonzero(lookup.named(name, np.arange(len(minimix))))
    exact = [number for number in named if name in lookup.names(np.array([number]))[0].lower().split(" / ")]
    assert canonical_smiles(smiles) in [key.split(".")[0] for key in lookup.smiles(np.array(exact))]


def test_no_scaffold_is_in_training_for_one_dataset_and_in_test_for_another(minimix):
    split, scaffold = minimix.rows.split, minimix.scaffold[minimix.rows.molecule]
    train, test = set(scaffold[split == 0]), set(scaffold[split == 2])
    assert len(train) > 1000 and len(test) > 500
    assert train.isdisjoint(test)


# ---------------------------------------------------------------------------------------------------------------- xTB


def test_xtb_covers_the_molecules_with_measured_labels_and_lists_the_failed_ones(xtb, b3db):
    failed = pd.read_csv(FOLDER / "xtb_failed.csv")
    toxcast = pd.read_parquet(FOLDER / "toxcast.parquet", columns=["smiles"])
    assert set(xtb.smiles) | set(failed.smiles) == {*b3db.smiles, *toxcast.smiles}
    assert set(xtb.smiles).isdisjoint(failed.smiles)
    assert len(xtb) == 12869 and failed.failed.value_counts().tolist() == [390, 100, 20, 17]


def test_bond_orders_rise_from_single_to_triple(xtb):
    orders = {"SINGLE": [], "AROMATIC": [], "DOUBLE": [], "TRIPLE": []}
    for smiles, values in zip(xtb.smiles[::5], xtb.bond_order[::5], strict=True):
        bonds = Chem.MolFromSmiles(smiles).GetBonds()
        assert len(bonds) == len(values)
        for bond, value in zip(bonds, values, strict=True):
            orders[str(bond.GetBondType())].append(value)
    means = [np.mean(values) for values in orders.values()]
    assert means == sorted(means)
    assert means[0] == pytest.approx(1, abs=0.1) and means[3] > 2.5


def test_bonds_of_radicals_have_plausible_orders(xtb):
    radicals = xtb[xtb.smiles.map(lambda s: any(a.GetNumRadicalElectrons() for a in Chem.MolFromSmiles(s).GetAtoms()))]
    assert len(radicals) == 9
    assert all((values > 0.8).all() for values in radicals.bond_order)


def test_bond_orders_of_an_open_shell_are_sums_over_both_spins():
    pytest.importorskip("tblite")
    from molfm.minimix.quantum import xtb_labels

    assert xtb_labels("CC[CH2]")["bond_order"] == pytest.approx([1.01, 1.04], abs=0.02)


def test_atom_charges_follow_electronegativity(xtb):
    elements = {}
    for smiles, charges in zip(xtb.smiles[::5], xtb.charge[::5], strict=True):
        for atom, charge in zip(Chem.MolFromSmiles(smiles).GetAtoms(), charges, strict=True):
            elements.setdefault(atom.GetSymbol(), []).append(charge)
    means = {element: np.mean(values) for element, values in elements.items()}
    assert means["O"] < means["N"] < means["C"] < means["S"]


def test_graph_labels_have_plausible_signs_and_sizes_in_their_units(xtb):
    assert np.allclose(xtb.gap, xtb.lumo - xtb.homo, atol=2.1e-3)
    ions = xtb.smiles.map(lambda s: Chem.GetFormalCharge(Chem.MolFromSmiles(s)) != 0)
    assert xtb.dipole.isna().equals(ions)
    assert xtb.solvation_energy[~ions].median() < -5
    assert (xtb.charge_min <= 0).all() and xtb.h_charge_max.median() == pytest.approx(0.28, abs=0.08)


def test_computing_a_molecule_again_gives_the_same_xtb_labels(xtb):
    pytest.importorskip("tblite")
    from molfm.minimix.quantum import xtb_labels

    row = xtb[xtb.smiles.str.len() < 12].iloc[3]
    again = xtb_labels(row.smiles)
    assert again["gap"] == pytest.approx(row.gap, abs=0.02)
    assert again["charge"] == pytest.approx(row.charge, abs=0.02)
