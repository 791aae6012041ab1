"""The audit of toy tables, where every count is known by construction, and of B3DB, whose card counts its traps."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import molfm
from molfm.data import audit as audit_module

TASKS = {"crosses": {"kind": "binary"}, "ratio": {}, "charge": {"level": "node"}}
ROWS = [
    # One molecule three times. The charges of the first two agree once both have the same atom order.
    ("CCO", 1, 1.0, [1.0, 2.0, 3.0]),
    ("OCC", 0, 1.5, [3.0, 2.0, 1.0]),
    ("C(O)C", 1, 1.0, [2.0, 3.0, 9.0]),
    # Three stereoisomers that contradict each other, two that agree.
    ("C[C@H](N)C(=O)O", 1, 2.0, None),
    ("C[C@@H](N)C(=O)O", 0, 3.0, None),
    ("CC(N)C(=O)O", 1, 4.0, None),
    ("F/C=C/F", 1, None, None),
    ("F/C=C\\F", 1, None, None),
    # Three rows that are rejected.
    ("<script>alert(1)</script>", 1, None, None),
    ("", 1, None, None),
    ("*CC", 1, None, None),
    # Nothing wrong here.
    ("c1ccccc1", None, None, None),
    ("Cc1ccccc1", None, 0.5, None),
]


@pytest.fixture(scope="module")
def toy_audit_mix(make_card):
    table = pd.DataFrame(ROWS, columns=["smiles", *TASKS])
    return molfm.load(make_card("flawed", table, TASKS), progress=False)


def counts(audit, check):
    """Return {(task, other): (count, of)} of one check."""
    found = audit.summary[audit.summary.check == check]
    return {(row.task, row.other): (row["count"], row.of) for _, row in found.iterrows()}


def test_rejected_rows_are_listed_with_row_smiles_and_reason(toy_audit_mix):
    audit = toy_audit_mix.audit()
    assert counts(audit, "rejected rows") == {("", ""): (3, 13)}
    assert audit.rejected.dataset.tolist() == ["flawed"] * 3
    assert audit.rejected.row.tolist() == [8, 9, 10]
    assert audit.rejected.smiles.tolist() == ["<script>alert(1)</script>", "", "*CC"]
    assert ["parse" in audit.rejected.reason[0], "empty" in audit.rejected.reason[1]] == [True, True]
    assert "dummy" in audit.rejected.reason[2]


def test_duplicates_and_stereoisomers_are_counted(toy_audit_mix):
    audit = toy_audit_mix.audit()
    assert counts(audit, "molecules in several rows") == {("", ""): (1, 8)}
    assert counts(audit, "constitutions of several molecules") == {("", ""): (2, 5)}
    notes = audit.summary.set_index("check").note
    assert notes["molecules in several rows"] == "2 extra rows"
    assert notes["constitutions of several molecules"] == "5 molecules"


def test_rows_of_one_molecule_are_compared_atom_by_atom_in_the_same_order(toy_audit_mix):
    audit = toy_audit_mix.audit()
    expected = {("flawed/crosses", ""): (1, 1), ("flawed/ratio", ""): (1, 1), ("flawed/charge", ""): (1, 1)}
    assert counts(audit, "contradicting rows") == expected
    listed = audit.conflicts[audit.conflicts.check == "contradicting rows"]
    assert (listed.smiles == "CCO").all()
    for task, values in {"crosses": [1, 0, 1], "ratio": [1, 1.5, 1], "charge": [1, 1, 9]}.items():
        mine = listed[listed.task == f"flawed/{task}"]
        assert mine.row.tolist() == [0, 1, 2]
        assert mine.item.tolist() == [0, 0, 0]  # only the charges of the first atom differ
        assert mine.value.tolist() == values
    notes = audit.summary.set_index("task").note
    assert (notes["flawed/ratio"], notes["flawed/charge"]) == ("by up to 0.5", "by up to 8")


def test_contradicting_classes_of_stereoisomers_are_listed_with_their_molecules(toy_audit_mix):
    audit = toy_audit_mix.audit()
    assert counts(audit, "contradicting stereoisomers and salts") == {("flawed/crosses", ""): (1, 2)}
    listed = audit.conflicts[audit.conflicts.check == "contradicting stereoisomers and salts"]
    assert listed.row.tolist() == [3, 4, 5]
    assert listed.smiles.tolist() == ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O"]
    assert listed.value.tolist() == [1, 0, 1]
    assert listed.group.nunique() == 1


def test_rows_of_one_molecule_are_not_stereoisomers_of_each_other():
    table = pd.DataFrame({"smiles": ["CCO", "OCC", "F/C=C/F", "F/C=C\\F"], "y": [0, 1, 1, None]})
    audit = molfm.load(table, progress=False).audit()
    assert counts(audit, "contradicting rows") == {("table/y", ""): (1, 1)}
    assert counts(audit, "contradicting stereoisomers and salts") == {}


def test_tasks_without_contradictions_share_one_line():
    table = pd.DataFrame({"smiles": ["CCO", "OCC", "CC"], "a": [1, 2, 3], "b": [5, 5, 5], "c": [6, 6, 7]})
    summary = molfm.load(table, progress=False).audit().summary
    found = summary[summary.check == "contradicting rows"]
    assert found.task.tolist() == ["table/a", ""]
    assert found["count"].tolist() == [1, 0]
    assert found.of.tolist() == [1, 2]
    assert found.note.tolist() == ["by up to 1", "labels of 2 tasks"]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_size_of_a_block_changes_nothing(toy_audit_mix, monkeypatch, rows):
    whole = toy_audit_mix.audit()
    monkeypatch.setattr(audit_module, "BLOCK_ROWS", rows)
    cut = toy_audit_mix.audit()
    for name in ("summary", "rejected", "conflicts"):
        pd.testing.assert_frame_equal(getattr(cut, name), getattr(whole, name))


def test_counts_are_complete_even_if_the_list_is_cut(toy_audit_mix, monkeypatch):
    whole = toy_audit_mix.audit()
    monkeypatch.setattr(audit_module, "MAX_LISTED", 2)
    cut = toy_audit_mix.audit()
    assert cut.conflicts.groupby("check").size().tolist() == [2, 2]
    pd.testing.assert_frame_equal(cut.summary, whole.summary)


def test_a_view_is_audited_by_its_own_labels(toy_audit_mix):
    audit = toy_audit_mix.select(["ratio"]).audit()
    assert counts(audit, "contradicting rows") == {("flawed/ratio", ""): (1, 1)}
    assert counts(audit, "contradicting stereoisomers and salts") == {}
    dropped = toy_audit_mix.keep(["flawed"], np.zeros(len(toy_audit_mix), bool)).audit()
    assert not len(dropped.conflicts)
    assert dropped.summary.check.tolist() == [
        "rejected rows",
        "molecules in several rows",
        "constitutions of several molecules",
    ]


@pytest.fixture(scope="module")
def pair(make_card, tmp_path_factory):
    """Return a mix of a training-only and a test-only dataset that share a molecule, a constitution and a scaffold."""
    folder = tmp_path_factory.mktemp("pair")
    seen = ["CCO", "CCCN", "C[C@H](N)C(=O)O", "Cc1ccccc1", "C1CCCCC1"]
    asked = ["OCC", "C[C@@H](N)C(=O)O", "CCc1ccccc1", "Oc1ccccc1", "C1CC1", "CCCCCC"]
    labels = {"seen": range(5), "asked": [1.0, 2.0, 3.0, 4.0, 5.0, None]}
    for name, smiles, fractions in (("seen", seen, [1, 0, 0]), ("asked", asked, [0, 0, 1])):
        table = pd.DataFrame({"smiles": smiles, name[0]: pd.Series(labels[name], dtype=float)})
        make_card(name, table, {name[0]: {}}, folder=folder, fractions=fractions)
    (folder / "pair.md").write_text("---\nname: pair\ndatasets: [seen, asked]\n---\n")
    return molfm.load(folder / "pair.md", progress=False)


def test_overlap_of_datasets_is_counted_by_molecule(pair):
    audit = pair.audit()
    assert counts(audit, "shared molecules") == {("", "asked"): (1, 5)}
    assert audit.summary.set_index("check").note["shared molecules"] == "6 molecules in asked"


def test_leakage_is_counted_for_molecules_constitutions_and_scaffolds(pair):
    audit = pair.audit()
    # CCCCCC has no label, so it is in no test set. Phenol and ethylbenzene share a scaffold.
    assert counts(audit, "test molecules in train") == {("", "seen"): (1, 5)}
    assert counts(audit, "test constitutions in train") == {("", "seen"): (2, 5)}
    assert counts(audit, "test scaffolds in train") == {("", "seen"): (3, 4)}
    row = audit.summary[audit.summary.check == "test scaffolds in train"].iloc[0]
    assert (row.dataset, row.split, row.note) == ("asked", "test", "4 of 5 test molecules")


def test_leakage_within_a_dataset_follows_its_split(pair):
    alone = molfm.load(pair.cards[0].folder / "seen.md", progress=False)
    test = alone.molecules.smiles.isin(["CCO", "Cc1ccccc1"]).to_numpy()
    split = np.where(test, 2, 0).astype(np.int8)[alone.rows.molecule]
    audit = replace(alone, rows=replace(alone.rows, split=split)).audit()
    assert counts(audit, "test scaffolds in train") == {("", "seen"): (0, 2)}
    everywhere = molfm.load(pair.cards[1].folder / "asked.md", progress=False)
    test = (everywhere.molecules.smiles == "Oc1ccccc1").to_numpy()
    split = np.where(test, 2, 0).astype(np.int8)[everywhere.rows.molecule]
    audit = replace(everywhere, rows=replace(everywhere.rows, split=split)).audit()
    assert counts(audit, "test molecules in train") == {("", "asked"): (0, 1)}
    assert counts(audit, "test scaffolds in train") == {("", "asked"): (1, 1)}


def test_leakage_considers_only_selected_tasks(pair):
    assert not pair.select(["seen/s"]).audit().summary.split.any()


def test_printed_audits_are_readable_and_escaped(toy_audit_mix):
    audit = toy_audit_mix.audit()
    page, text = audit._repr_html_(), repr(audit)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "Audit of flawed" in text
    assert max(map(len, text.splitlines())) < 140
    assert f"the first {audit_module._SHOWN} of {len(audit.conflicts)}" in text


def test_the_traps_of_b3db_are_found():
    mix = molfm.load("b3db", progress=False)
    audit = mix.audit()
    assert len(mix) == 7_555
    assert counts(audit, "rejected rows") == {("", ""): (0, 7_555)}
    assert counts(audit, "molecules in several rows") == {("", ""): (0, 7_555)}
    assert counts(audit, "constitutions of several molecules")["", ""][1] == 3_774
    assert counts(audit, "contradicting stereoisomers and salts") == {("b3db/BBB", ""): (125, 1_472)}
    assert audit.conflicts.group.nunique() == 125
    assert counts(audit, "test scaffolds in train")["", "b3db"][0] == 0  # the card's split is by scaffold
    by_constitution = molfm.load("b3db", split="random", progress=False).audit()
    assert counts(by_constitution, "test constitutions in train")["", "b3db"][0] == 0
    assert counts(by_constitution, "test scaffolds in train")["", "b3db"][0] > 0


def test_an_audit_never_imports_torch():
    code = (
        "import sys, pandas as pd, molfm\n"
        "molfm.load(pd.DataFrame({'smiles': ['C', 'CC'], 'y': [1.0, 2.0]}), progress=False).audit()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_base_and_its_salt_are_on_one_side_and_an_own_split_that_divides_them_is_found():
    bases = ["C" * (i + 1) + "N" for i in range(40)]
    table = pd.DataFrame({"smiles": bases + [f"{base}.Cl" for base in bases], "y": np.arange(80.0)})
    table["part"] = ["train"] * 40 + ["test"] * 40
    for split in ("random", "scaffold"):
        molecules = molfm.load(table, tasks=["y"], split=split, progress=False).molecules
        side = dict(zip(molecules.smiles, molecules["split:table"], strict=True))
        assert all(side[Chem.CanonSmiles(base)] == side[Chem.CanonSmiles(f"{base}.Cl")] for base in bases)
    found = molfm.load(table, tasks=["y"], split="part", progress=False).audit().summary.set_index("check")
    assert found.loc["constitutions of several molecules", "count"] == 40
    assert found.loc["test constitutions in train", "count"] == 40
    assert found.loc["test molecules in train", "count"] == 0


def test_rows_with_a_cxsmiles_extension_are_counted_and_listed():
    table = pd.DataFrame({"smiles": ["CC", "C[C@H](N)O |&1:1|", "C[C@H](N)O"], "y": [1.0, 2.0, 3.0]})
    audit = molfm.load(table, progress=False).audit()
    row = audit.summary.set_index("check").loc["rows of which a part is not stored"]
    assert (row["count"], row["of"]) == (1, 3)
    assert audit.changed[["row", "smiles"]].to_numpy().tolist() == [[1, "C[C@H](N)O |&1:1|"]]
    assert "racemic or relative centres became unspecified" in repr(audit)


def test_a_printed_audit_shows_the_worst_of_very_many_tasks_and_counts_the_others(make_card):
    smiles = ["C[C@H](O)F", "C[C@@H](O)F", "C[C@H](O)Cl", "C[C@@H](O)Cl", "CC"]
    table = pd.DataFrame({"smiles": smiles} | {f"t{i}": [0.0, 1.0, 0.0, float(i == 7), 1.0] for i in range(12)})
    mix = molfm.load(make_card("many", table, {f"t{i}": {"kind": "binary"} for i in range(12)}), progress=False)
    audit = mix.audit()
    assert (audit.summary.task != "").sum() == 12
    text = str(audit)
    assert "many/t7" in text and text.count("many/t") - str(audit.conflicts.head(10)).count("many/t") == 3
    assert "and 9 tasks with smaller shares, see summary" in text
