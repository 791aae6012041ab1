"""The published formats on small generated files: L1000, PCBA, PM6, QM9 from the package index, and broken tables."""

import gzip
import re
import tracemalloc
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import torch
from pooch import downloaders
from rdkit import Chem

import molfm
from molfm.catalog import download
from molfm.catalog.shipped import card
from molfm.data import prepare as prepare_
from molfm.data import tables
from molfm.data.splits import assign
from molfm.data.tables import TableError
from molfm.minimix.build import ATOM_ENERGIES, HARTREE_IN_KCAL

RNG = np.random.default_rng(0)
SMILES = [
    f"{'C' * n}{end}" for n in range(1, 11) for end in ("", "O", "N", "Cl", "C(=O)O", "c1ccccc1")
]  # 60, all distinct
GENES = [f"geneID-{number}" for number in range(1, 979)]
ASSAYS = [f"assayID-{number}" for number in range(1, 1329)]


@pytest.fixture
def mirror(tmp_path, monkeypatch, own_home):
    """A folder that stands in for the official servers, with an empty cache."""
    monkeypatch.setenv("MOLFM_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


def save_splits(path, **parts):
    torch.save({name: list(rows) for name, rows in parts.items()}, path)


def count(audit, check, other=""):
    found = audit.summary[(audit.summary.check == check) & (audit.summary.other == other)]
    return found[["count", "of"]].to_numpy().tolist()


def split_of(mix):
    """Return {SMILES: split}."""
    return dict(zip(mix.molecules.smiles, mix.molecules[f"split:{mix.name}"], strict=True))


# ----------------------------------------------------------------------------------------------------- L1000: ordered classes


@pytest.fixture
def l1000(mirror):
    """A function that writes and returns an L1000 table; row 3 is "restricted", row 7 repeats the molecule of row 0."""

    def make(wrong=None):
        classes = RNG.integers(0, 5, (30, len(GENES)))
        table = pd.DataFrame(classes, columns=GENES).astype(object)
        table.insert(0, "SMILES", SMILES[:30])
        table.loc[3, "SMILES"], table.loc[7, "SMILES"] = "restricted", "[CH4]"
        table.loc[5, "geneID-2"] = None
        if wrong is not None:
            table.loc[11, "geneID-77"] = wrong
        table.to_csv(mirror / "LINCS_L1000_MCF7_0-4.csv.gz", index=False)
        save_splits(
            mirror / "l1000_mcf7_random_splits.pt",
            train=range(20),
            val=range(20, 24),
            test=range(24, 27),
            test_seen=[28],
        )
        return table

    return make


def test_the_genes_of_l1000_are_978_tasks_of_five_ordered_classes(l1000):
    table = l1000()
    mix = molfm.load("l1000_mcf7", progress=False)
    assert mix.tasks.task.tolist() == [f"l1000_mcf7/{gene}" for gene in GENES]
    assert (mix.tasks.kind == "ordinal").all()
    assert {task.classes for task in mix.chosen} == {5}
    rows = [row for row in range(30) if row not in (3, 7)]
    used = [row for row in rows if row not in (27, 29)]  # rows that the split does not list have no label
    for gene in ("geneID-1", "geneID-2", "geneID-978"):
        expected = table[gene].where(table.index.isin(used))[rows].astype(float)
        np.testing.assert_array_equal(mix.labels(gene), expected)
    first, second = mix.tasks.iloc[0], mix.tasks.iloc[1]
    assert first[["n_train", "n_val", "n_test", "n_test_seen"]].tolist() == [19, 4, 3, 1]  # two rows of methane
    assert second[["n_train", "n_val", "n_test", "n_test_seen"]].tolist() == [18, 4, 3, 1]


def test_restricted_is_rejected_and_listed_with_its_row(l1000):
    l1000()
    audit = molfm.load("l1000_mcf7", progress=False).audit()
    assert audit.rejected[["row", "smiles", "reason"]].to_numpy().tolist() == [
        [3, "restricted", "RDKit cannot parse this SMILES"]
    ]
    assert count(audit, "rejected rows") == [[1, 30]]


def test_a_molecule_in_two_rows_is_stored_once_and_counted(l1000):
    l1000()
    mix = molfm.load("l1000_mcf7", progress=False)
    assert len(mix) == 28
    assert count(mix.audit(), "molecules in several rows") == [[1, 28]]


def test_a_rejected_row_does_not_shift_the_official_split(l1000):
    l1000()
    found = split_of(molfm.load("l1000_mcf7", progress=False))
    for row, name in {19: "train", 20: "val", 23: "val", 24: "test", 26: "test", 28: "test_seen"}.items():
        assert found[Chem.CanonSmiles(SMILES[row])] == name
    assert pd.isna(found[Chem.CanonSmiles(SMILES[27])])  # in no list: in no split


@pytest.mark.parametrize("wrong", [5, -1, 2.5, "high"])
def test_an_invalid_class_is_an_error_that_names_row_and_column(l1000, wrong):
    l1000(wrong)
    with pytest.raises(TableError, match=r"row 11, column 'geneID-77': expected a class from 0 to 4 or nothing, found"):
        molfm.load("l1000_mcf7", progress=False)


# --------------------------------------------------------------------------------------------------- PCBA: sparse, `test_seen`


@pytest.fixture
def pcba(mirror):
    """A PCBA table, 99% of its cells empty: rows 0-39 train, 40-44 val, 45-49 test, 50-59 `test_seen`.

    Ethanol of row 7 is in `test_seen`, too (row 59), and so is an isotopomer of row 0 (row 58).
    """
    values = RNG.integers(0, 2, (60, len(ASSAYS))).astype(float)
    values[RNG.random(values.shape) < 0.99] = np.nan
    values[:, 0] = np.arange(60) % 2  # one assay is measured for all
    table = pd.DataFrame(values, columns=ASSAYS)
    table.insert(0, "SMILES", SMILES)
    table.loc[59, "SMILES"], table.loc[58, "SMILES"] = "OCC", "[13CH4]"
    table.to_parquet(mirror / "PCBA_1328_1564k.parquet")
    parts = {"train": range(40), "val": range(40, 45), "test": range(45, 50), "test_seen": range(50, 60)}
    save_splits(mirror / "pcba_1328_random_splits.pt", **parts)
    return table


def test_the_assays_of_pcba_are_1328_binary_tasks_with_only_the_measured_labels(pcba):
    mix = molfm.load("pcba_1328", progress=False)
    assert mix.tasks.task.tolist() == [f"pcba_1328/{assay}" for assay in ASSAYS]
    assert (mix.tasks.kind == "binary").all()
    there = pcba[ASSAYS].notna().to_numpy()
    counts = mix.tasks[["n_train", "n_val", "n_test", "n_test_seen"]].to_numpy()
    assert counts.tolist() == np.add.reduceat(there, [0, 40, 45, 50], axis=0, dtype=int).T.tolist()
    [shard] = mix.shards
    assert len(shard.labels["graph"].value) == there.sum()


def test_test_seen_is_a_split_of_its_own(pcba):
    mix = molfm.load("pcba_1328", progress=False)
    assert len(mix.members("test")) == 5
    assert len(mix.members("test_seen")) == 10
    assert "test_seen" in set(mix.molecules[f"split:{mix.name}"])
    assert mix.molecules[f"split:{mix.name}"][mix.molecules.smiles == "CCO"].tolist() == [
        "train"
    ]  # its first row counts


def test_leakage_is_counted_separately_for_test_and_test_seen(pcba):
    audit = molfm.load("pcba_1328", progress=False).audit()
    assert count(audit, "test molecules in train", "pcba_1328") == [[0, 5]]
    assert count(audit, "test_seen molecules in train", "pcba_1328") == [[1, 10]]
    assert count(audit, "test_seen constitutions in train", "pcba_1328") == [[2, 10]]
    seen = audit.summary[audit.summary.check == "test_seen constitutions in train"].iloc[0]
    assert (seen.split, seen.note) == ("test_seen", "2 of 10 test_seen molecules")


def test_test_seen_molecules_are_found_in_the_training_set_of_another_dataset(pcba, make_card, tmp_path):
    quantum = pd.DataFrame({"smiles": [*SMILES[50:58], "C[13CH3]"], "y": np.arange(9.0)})
    make_card("quantum", quantum, {"y": None}, tmp_path, fractions=[1.0, 0.0, 0.0])
    (tmp_path / "both.md").write_text("---\nname: both\ndatasets: [pcba_1328, quantum]\n---\n")
    audit = molfm.load(tmp_path / "both.md", progress=False).audit()
    assert count(audit, "test molecules in train", "quantum") == [[0, 5]]
    assert count(audit, "test_seen molecules in train", "quantum") == [[8, 10]]


def test_without_test_seen_the_audit_does_not_mention_it(toy):
    assert not toy.audit().summary.check.str.contains("test_seen").any()
    assert (toy.tasks.n_test_seen == 0).all()


# ------------------------------------------------------------------------------------------------------------- PM6: shards


def test_row_numbers_of_a_split_count_over_the_shards_in_name_order(mirror, monkeypatch):
    # Chunks and shards of the store start inside files and cross their ends.
    monkeypatch.setattr(tables, "CHUNK_ROWS", 4)
    monkeypatch.setattr(prepare_, "SHARD_CHUNKS", 2)
    starts = {"02": (0, 7), "10": (7, 3), "11": (10, 9), "9": (19, 6)}  # names sort as text: 9 comes last
    frames = []
    for start, rows in starts.values():
        columns = {
            "ordered_smiles": [
                f"[OH:{n}]" + "".join(f"[CH2:{i}]" for i in range(n)) for n in range(start + 1, start + rows + 1)
            ]
        }
        columns |= {f"graph_{i}": np.arange(start, start + rows) + i / 100 for i in range(62)}
        columns |= {
            f"node_{i}": [np.arange(n + 1.0) + i / 100 for n in range(start + 1, start + rows + 1)] for i in range(7)
        }
        frames.append(pd.DataFrame(columns))
    for name, frame in reversed(list(zip(starts, frames, strict=True))):  # the newest file is not the last one
        frame.to_parquet(mirror / f"pm6_processed_{name}.parquet")
    train, val, test = [0, 6, 7, 9, 10, 18, 19], [1, 8, 24], [2, 17, 20]
    save_splits(mirror / "pm6_random_splits.pt", train=train, val=val, test=test)
    mix = molfm.load("pm6_83m", progress=False)
    assert len(mix) == 25
    assert len(mix.shards) == 4
    whole, smiles = pd.concat(frames, ignore_index=True), mix.molecules.smiles
    row = (smiles.map(lambda text: Chem.MolFromSmiles(text).GetNumAtoms()) - 2).to_numpy()
    assert row.tolist() == list(range(25))
    for name, rows in {"train": train, "val": val, "test": test}.items():
        assert np.flatnonzero(mix.molecules[f"split:{mix.name}"] == name).tolist() == rows
    named = np.zeros(25, bool)
    named[[*train, *val, *test]] = True
    expected = whole.graph_61.where(named).to_numpy(np.float32)
    np.testing.assert_array_equal(mix.labels("graph_61"), expected)
    for i in np.flatnonzero(named):  # the oxygen has the highest number
        charges, elements = mix.labels("node_3")[i], [a.GetSymbol() for a in Chem.MolFromSmiles(smiles[i]).GetAtoms()]
        assert charges[elements.index("O")] == np.float32(i + 1.03)
        assert sorted(charges) == whole.node_3[i].astype(np.float32).tolist()


# ------------------------------------------------------------------------------------------------------- memory follows labels


@pytest.fixture
def wide_card(tmp_path, own_home, monkeypatch):
    """A function that writes a table of 2,000 assays, 99% empty, and returns its values and its card's path."""
    monkeypatch.setattr(tables, "CHUNK_ROWS", 100)

    def make(n_rows):
        values = RNG.integers(0, 2, (n_rows, 2_000)).astype(np.float32)
        values[RNG.random(values.shape) < 0.99] = np.nan
        table = pd.DataFrame(values, columns=[f"assay-{i}" for i in range(2_000)])
        table.insert(0, "smiles", [f"{'C' * (1 + i % 25)}{'O' * (1 + i // 25)}" for i in range(n_rows)])
        table.to_parquet(tmp_path / "wide.parquet")
        front = "name: wide\nsources: [{location: 'file:wide.parquet'}]\ntasks: {assay-*: {kind: binary}}\n"
        (tmp_path / "wide.md").write_text(f"---\n{front}---\n")
        return values, tmp_path / "wide.md"

    return make


def test_the_store_of_a_table_of_2000_columns_is_only_as_large_as_its_labels(wide_card):
    values, path = wide_card(500)
    mix = molfm.load(path, progress=False)
    counts = mix.tasks[["n_train", "n_val", "n_test"]].to_numpy().sum(1)
    assert counts.tolist() == np.isfinite(values).sum(0).tolist()
    np.testing.assert_array_equal(mix.labels("assay-1999"), values[:, 1999])
    [shard] = mix.shards
    stored = sum(file.stat().st_size for file in shard.folder.glob("graph_*.npy"))
    assert stored == 8 * counts.sum() + 8 * (500 + 1) + 4 * 128  # item, task and value; starts; headers
    assert sum(file.stat().st_size for file in shard.folder.glob("[ne]*_value.npy")) == 2 * 128  # only headers


def test_preparing_a_table_of_2000_columns_takes_the_memory_of_a_few_chunks(wide_card):
    _, path = wide_card(100)
    molfm.load("b3db", progress=False)  # so that imports do not count
    tracemalloc.start()
    molfm.load(path, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 100 * 2_000 * 8  # ten times its one chunk in float64


# ------------------------------------------------------------------------------------------------- QM9 from the package index


@pytest.fixture
def qm9pack(tmp_path, monkeypatch, own_home):
    """The rows of a toy QM9 package, in an environment where only the package index can be reached."""
    source = card("qm9").sources[1]
    made = {"C": -40.47893, "N": -56.525887, "O": -76.404702, "FC": -139.0, "C#N": -93.411888, "OC": -115.679136}
    rows = []
    for i, (smiles, energy) in enumerate(made.items()):
        names = {task.name: source.column(task.name) for task in card("qm9").tasks}
        row = {column: i + number / 100 for number, column in enumerate(filter(None, names.values()))}
        row |= {names[name]: energy + j / 1000 for j, name in enumerate(ATOM_ENERGIES)}
        rows.append({"Index": i, "SMILES": smiles, **row})
    table = pd.DataFrame(rows)
    with ZipFile(tmp_path / "qm9pack.whl", "w") as archive:
        for part in range(3):
            text = table.iloc[2 * part : 2 * part + 2].to_csv(index=False)
            archive.writestr(f"qm9pack/data/qm9_part{part + 1}.csv", text)
        archive.writestr("qm9pack/data/readme.txt", "not a table")

    def refuse(*_, **__):
        raise download.DownloadError("no network")

    def refuse_doi(*_, **__):
        raise ValueError("no network")

    monkeypatch.delenv("MOLFM_MIRROR", raising=False)
    monkeypatch.setattr(download, "stream", refuse)
    monkeypatch.setattr(downloaders, "doi_to_repository", refuse_doi)
    monkeypatch.setattr(download, "fetch_pypi", lambda *_: tmp_path / "qm9pack.whl")
    return table


def load_qm9():
    with pytest.warns(
        UserWarning,
        match=r"qm9 comes from pypi:qm9pack==1\.0\.3#.*, because other locations failed:\nCould not get qm9",
    ):
        return molfm.load("qm9", progress=False)


@pytest.mark.usefixtures("qm9pack")
def test_a_fallback_source_is_announced_once_and_needs_no_network_afterwards(recwarn):
    load_qm9()
    recwarn.clear()
    molfm.load("qm9", progress=False)
    assert not recwarn.list


def test_columns_of_the_package_become_the_tasks_of_the_card(qm9pack):
    mix = load_qm9()
    assert mix.tasks.task.tolist() == [task.id for task in card("qm9").tasks]
    assert mix.molecules.smiles.tolist() == ["C", "N", "O", "CF", "C#N", "CO"]
    for task, column in {"A": "RotA_GHz", "alpha": "Polarizability_bohr3", "cv": "Heatcapacity_Cv_cal_mol_K"}.items():
        assert mix.labels(task).tolist() == qm9pack[column].astype(np.float32).tolist()


def test_atomization_energies_are_computed_from_the_isolated_atoms(qm9pack):
    mix = load_qm9()
    atoms = {"C": "CHHHH", "N": "NHHH", "O": "OHH", "CF": "CHHHF", "C#N": "CNH", "CO": "CHHHOH"}
    for name, isolated in ATOM_ENERGIES.items():
        total = qm9pack[card("qm9").sources[1].column(name)].to_numpy()
        expected = [
            (energy - sum(isolated[element] for element in atoms[smiles])) * HARTREE_IN_KCAL
            for smiles, energy in zip(mix.molecules.smiles, total, strict=True)
        ]
        np.testing.assert_allclose(mix.labels(f"{name}_atom"), np.float32(expected), rtol=1e-7)
    published = {"C": -395.9999, "N": -276.8616}  # the first rows of the official file
    for smiles, energy in published.items():
        i = mix.molecules.smiles.tolist().index(smiles)
        assert mix.labels("u0_atom")[i] == pytest.approx(energy, abs=0.002)


@pytest.mark.usefixtures("qm9pack")
def test_the_official_split_is_not_applied_to_the_rows_of_the_package():
    raw = download.home() / "raw" / "qm9"
    raw.mkdir(parents=True)
    save_splits(raw / "qm9_random_splits.pt", train=[], val=[3, 4], test=[0, 1, 2, 5])
    mix = load_qm9()
    [shard] = mix.shards
    assert mix.rows.split.tolist() == assign(shard.identity[:, 1], 0, (0.8, 0.1, 0.1)).tolist()
    assert mix.tasks.n_train.min() > 0


# -------------------------------------------------------------------------------------------------------- a user's own split


FOLDS = pd.DataFrame(
    {
        "smiles": ["C", "CC", "nonsense", "CCC", "CCCC", "CCCCC"],
        "y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "fold": ["train", "valid", "test", "test", None, "test_seen"],
    }
)


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_a_split_column_of_a_users_table_is_not_a_task(tmp_path, kind):
    if kind != "frame":
        getattr(FOLDS, f"to_{kind}")(tmp_path / f"own.{kind}", index=False)
    mix = molfm.load(FOLDS if kind == "frame" else tmp_path / f"own.{kind}", split="fold", progress=False)
    assert mix.tasks.task.str.endswith("/y").tolist() == [True]
    assert mix.molecules.smiles.tolist() == ["C", "CC", "CCC", "CCCC", "CCCCC"]
    assert mix.molecules[f"split:{mix.name}"].astype(object).fillna("").tolist() == [
        "train",
        "val",
        "test",
        "",
        "test_seen",
    ]
    assert mix.labels("y")[:3].tolist() == [1, 2, 4]
    assert mix.tasks[["n_train", "n_val", "n_test", "n_test_seen"]].to_numpy().tolist() == [[1, 1, 1, 1]]
    assert np.isnan(mix.labels("y")[3])  # in no split


def test_numbers_in_a_split_column_are_folds():
    mix = molfm.load(FOLDS.assign(fold=[0, 1, 2, 0, 1, 2]), tasks=["y"], split="fold", progress=False)
    assert mix.molecules["split:table"].tolist() == ["train", "val", "train", "val", "test"]


def test_an_unknown_split_is_an_error_that_names_column_and_row():
    table = FOLDS.assign(fold=["train", "val", "test", "probe", "train", "train"])
    with pytest.raises(ValueError, match=r"column 'fold', row 3: expected one of .* found 'probe'"):
        molfm.load(table, split="fold", progress=False)


# ------------------------------------------------------------------------------------------------- node labels and hydrogens


def node_labels(smiles, values):
    """Return [(element, label)] of the stored molecule's atoms."""
    table = pd.DataFrame({"smiles": [smiles], "q": [values]})
    mix = molfm.load(table, tasks={"q": {"level": "node"}}, progress=False)
    if not len(mix):
        return mix.audit().rejected.reason[0]
    elements = [atom.GetSymbol() for atom in Chem.MolFromSmiles(mix.molecules.smiles[0]).GetAtoms()]
    return list(zip(elements, mix.labels("q")[0].tolist(), strict=True))


@pytest.mark.parametrize(
    "smiles",
    ["[H]C([H])([H])O[H]", "[C:1]([H:3])([H:4])([H:5])[O:2][H:6]", "[C:0]([H:2])([H:3])([H:4])[O:1][H:5]"],
)
def test_labels_that_include_written_hydrogens_reach_their_heavy_atoms(smiles):
    numbers = [int(number) for number in re.findall(r":(\d)", smiles)]
    elements = re.findall("[CHO]", smiles)
    by_place = dict(zip(numbers or range(1, 7), elements, strict=True))
    values = [{"C": 6.0, "O": 8.0, "H": 1.0}[by_place[place]] for place in sorted(by_place)]
    assert node_labels(smiles, values) == [("C", 6), ("O", 8)]


def test_a_label_length_that_fits_neither_number_of_atoms_is_an_error_that_names_both():
    with pytest.raises(
        TableError,
        match=r"row 0, column 'q': 3 values for 2 atoms of CO \(6 atoms with the hydrogens of the input SMILES\)",
    ):
        node_labels("[H]C([H])([H])O[H]", [1.0, 2.0, 3.0])


def test_labels_that_include_implicit_hydrogens_are_an_error_and_never_shifted():
    with pytest.raises(TableError, match=r"row 0, column 'q': 6 values for 2 atoms of CO\."):
        node_labels("CO", [6.0, 8.0, 1.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize("n_values", [5, 1])
def test_bond_labels_may_include_bonds_to_written_hydrogens(n_values):
    values = {5: [1.0, 1.1, 1.2, 2.0, 1.3], 1: [2.0]}[n_values]  # the fourth bond read joins C and O
    table = pd.DataFrame({"smiles": ["[H]C([H])([H])O[H]"], "b": [values]})
    mix = molfm.load(table, tasks={"b": {"level": "edge"}}, progress=False)
    assert mix.labels("b")[0].tolist() == [2.0]


@pytest.mark.parametrize("smiles", ["[H]OC([H])([H])[H]", "[H][O:1][C:2]([H])([H])[H]", "[H:3][O:1][CH3:2]"])
def test_labels_of_heavy_atoms_fit_a_smiles_with_written_hydrogens(smiles):
    assert node_labels(smiles, [8.0, 6.0]) == [("C", 6), ("O", 8)]


@pytest.mark.parametrize("values", [[6.0, 8.0], [6.0, 1.0, 1.0, 1.0, 8.0, 1.0]])
def test_map_numbers_may_include_written_hydrogens(values):
    assert node_labels("[H:2][C:1]([H:3])([H:4])[O:5][H:6]", values) == [("C", 6), ("O", 8)]


@pytest.mark.parametrize("spelling", ["[H:2][C:1]([H:3])([H:4])[O:5][H:7]", "[H][C:1]([H:3])([H])[O:5][H]"])
def test_map_numbers_with_gaps_reject_the_row_even_if_hydrogens_have_numbers(spelling):
    assert node_labels(spelling, [6.0, 8.0]) == "atom-map numbers must be all of 0…n-1 or 1…n"


@pytest.mark.parametrize(
    ("smiles", "values", "expected"),
    [
        ("[H]/N=C/C", [1, 7, 6, 6.5], [("H", 1), ("N", 7), ("C", 6), ("C", 6.5)]),
        ("C/C=N/[H]", [6.5, 6, 7, 1], [("H", 1), ("N", 7), ("C", 6), ("C", 6.5)]),
        ("[CH3:0]/[CH:1]=[N:3]/[H:2]", [6.5, 6, 1, 7], [("H", 1), ("N", 7), ("C", 6), ("C", 6.5)]),
        ("[H:2][H:1]", [0.5, 0.5], [("H", 0.5), ("H", 0.5)]),
        ("[CH3:1][O:2][2H:3]", [6, 8, 1], [("H", 1), ("O", 8), ("C", 6)]),
        ("[Na+:2].[H-:1]", [1, 11], [("H", 1), ("Na", 11)]),
    ],
)
def test_hydrogens_that_stay_atoms_have_labels(smiles, values, expected):
    assert node_labels(smiles, values) == expected


def test_labels_of_heavy_atoms_alone_do_not_fit_if_a_hydrogen_stays_an_atom():
    with pytest.raises(TableError, match=r"row 0, column 'q': 3 values for 4 atoms of \[H\]/N=C/C"):
        node_labels("[H]/[N:1]=[CH:2]/[CH3:3]", [7.0, 6.0, 6.5])


# -------------------------------------------------------------------------------------------------------------- broken tables

LONG = "smiles,y\n" + "".join(f"{'C' * (1 + i % 30)},{i / 7}\n" for i in range(6_000))
PACKED = gzip.compress(LONG.encode(), mtime=0)
BROKEN = {
    "truncated.csv.gz": (PACKED[: len(PACKED) // 2], "ended before the end-of-stream marker"),
    "beginning.csv.gz": (PACKED[:8], "ended before the end-of-stream marker"),
    "checksum.csv.gz": (PACKED[:-8] + bytes(8), "CRC check failed"),
    "deflated.csv.gz": (PACKED[:12] + b"\xff" * 50 + PACKED[62:], "damaged or incomplete"),
    "plain.csv.gz": (LONG.encode(), "Not a gzipped file"),
    "empty.csv": (b"", "No columns"),
    "empty.csv.gz": (gzip.compress(b""), "No columns"),
    "blank.csv": (b"\n\n\n", "No columns"),
    "longer.csv": (b"smiles,y\nC,1\nCC,2,3\n", "Expected 2 fields in line 3, saw 3"),
    "longer-first.csv": (
        b"smiles,y\nC,1,2\nCC,2\n",
        "expected 2 fields per row, as in its header, found more in its first",
    ),
    "comma.csv": (b"smiles,y\nCC,1\nCC |c:0,1|,2\n", "Expected 2 fields in line 3, saw 3"),
    "quote.csv": (b'smiles,name,y\nC,"methane,1\nCC,ethane,2\n', "EOF inside string"),
    "latin.csv": ("smiles,name,y\nC,méthane,1\n".encode("latin-1"), "expected text in UTF-8"),
    "latin-header.csv": ("smiles,µ\nC,1\n".encode("latin-1"), "expected text in UTF-8"),
    "latin-late.csv": (LONG.encode() + "é,1\n".encode("latin-1"), "expected text in UTF-8"),
    "utf16.csv": ("smiles,y\nC,1\n".encode("utf-16"), "expected text in UTF-8"),
    "text.parquet": (b"smiles,y\nC,1\n", "expected Parquet"),
    "empty.parquet": (b"", "expected Parquet"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_table_that_cannot_be_read_is_an_error_that_names_the_file_and_the_problem(tmp_path, name):
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError) as error:
        molfm.load(tmp_path / name, progress=False)
    assert str(tmp_path / name) in str(error.value)
    assert reason in str(error.value)


@pytest.mark.parametrize("keep", [0.5, 0.95])
def test_a_truncated_parquet_file_is_an_error_that_names_it(tmp_path, keep):
    pd.DataFrame({"smiles": ["C"] * 500, "y": RNG.random(500)}).to_parquet(tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(TableError, match=r"t\.parquet: expected Parquet, but it could not be read"):
        molfm.load(tmp_path / "t.parquet", progress=False)


def test_a_parquet_file_with_damaged_pages_is_an_error_that_names_it(tmp_path):
    pd.DataFrame({"smiles": ["C"] * 5_000, "y": RNG.random(5_000)}).to_parquet(tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[:4] + b"\xff" * 400 + content[404:])
    with pytest.raises(TableError, match=r"t\.parquet: expected Parquet, but it could not be read"):
        molfm.load(tmp_path / "t.parquet", progress=False)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfsmiles,name,y\nC,a,1\nCC,b,2\n",
        b"smiles,name,y\r\nC,a,1\r\nCC,b,2\r\n",
        b"smiles,name,y\rC,a,1\rCC,b,2",
        b'smiles,name,y\nC,"two\nlines, and a comma",1\nCC,"a ""word""",2\n',
        b"\nsmiles,name,y\n\nC,a,1\n\nCC,b,2\n\n",
        b",smiles,name,y\n7,C,a,1\n3,CC,b,2\n",
    ],
    ids=["byte order mark", "CRLF", "CR", "quoted lines", "blank lines", "numbered rows"],
)
def test_the_usual_dialects_of_csv_are_read_alike(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    mix = molfm.load(tmp_path / "t.csv", tasks=["y"], progress=False)
    assert mix.molecules.smiles.tolist() == ["C", "CC"]
    assert mix.labels("y").tolist() == [1, 2]


def test_cells_missing_from_a_short_row_are_unmeasured(tmp_path):
    (tmp_path / "t.csv").write_text("smiles,y,z\nC,1,2\nCC\nCCC,3\n")
    mix = molfm.load(tmp_path / "t.csv", progress=False)
    np.testing.assert_array_equal(mix.labels("y"), [1, np.nan, 3])
    np.testing.assert_array_equal(mix.labels("z"), [2, np.nan, np.nan])
