"""Roles of columns, censored labels, units, and files of other formats."""

import gzip
import math

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem

import molfm
from molfm.app.options import roles
from molfm.base.errors import InputError
from molfm.base.units import split_header
from molfm.batches.batch import to_batch, weighted
from molfm.batches.resident import Resident
from molfm.catalog.schema import CardError
from molfm.chem.encodings import WALK
from molfm.data.cells import TableError
from molfm.data.columns import Content, descriptors_among, why_not
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel
from molfm.training.config import TrainConfig
from molfm.training.losses import LOSSES, bounded, task_sums
from molfm.training.recipe import command
from molfm.training.weights import label_weights

SIX = ["CCO", "CCN", "CCC", "c1ccccc1", "CCO", "CCCl"]


def load(tasks, roles=None, **columns):
    return molfm.load(pd.DataFrame({"smiles": SIX, **columns}), tasks=tasks, roles=roles, progress=False)


# --------------------------------------------------------------------------------------------------------- judging columns


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("compound_id", "numbers rows"),
        ("MW", "descriptor"),
        ("Molecular Weight", "descriptor"),
        ("num rings", "descriptor"),
        ("logBB_std", "spread"),
        ("n_replicates", "counts measurements"),
        ("fold", "split"),
        ("year", "date"),
        ("assay_date", "date"),
        ("ESOL predicted log solubility", "predictions"),
        ("weight", "weight"),
        ("pH", "condition"),
        ("Temperature (K)", "condition"),
    ],
)
def test_names_say_what_a_column_of_numbers_is(column, reason):
    assert reason in why_not(column, Content(n_numbers=9, binary=False, first=5.0, counts=False))


@pytest.mark.parametrize(
    "column", ["logBB", "IC50 (nM)", "homo", "NR-AR", "pIC50", "activity", "t1/2 (h)", "logP", "mu"]
)
def test_names_of_measurements_are_targets(column):
    assert why_not(column, Content(n_numbers=9, binary=False, counts=False)) == ""


def test_a_column_that_equals_a_descriptor_of_rdkit_is_no_target_whatever_its_name():
    table = pd.DataFrame({"smiles": ["C" * n + "O" for n in range(1, 9)]})
    table["x"] = [Chem.Descriptors.MolWt(Chem.MolFromSmiles(s)) for s in table.smiles]
    table["y"] = table.x + 3.0
    assert descriptors_among(table, "smiles", ["x", "y"]) == {"x": "MolWt"}
    with pytest.warns(UserWarning, match=r"x +left out +it is RDKit's MolWt"):
        assert [task.name for task in molfm.load(table, progress=False).chosen] == ["y"]


def test_a_column_that_counts_the_rows_is_a_target_only_if_there_is_no_other():
    counts = np.arange(6.0)
    assert [t.name for t in load(None, y=counts).chosen] == ["y"]
    with pytest.warns(UserWarning, match=r"y +left out +it counts the rows"):
        assert [t.name for t in load(None, y=counts, z=counts**2).chosen] == ["z"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("IC50 (nM)", ("IC50", "nM")),
        ("Solubility [mg/L]", ("Solubility", "mg/L")),
        ("Clint (uL/min/mg)", ("Clint", "uL/min/mg")),
        ("D (m2 s-1)", ("D", "m2 s-1")),
        ("Ki_uM", ("Ki", "uM")),
        ("Activity (1=active)", ("Activity (1=active)", None)),
        ("Name (old)", ("Name (old)", None)),
        ("K_M", ("K_M", None)),
        ("(nM)", ("(nM)", None)),
    ],
)
def test_a_unit_is_read_from_a_header(header, expected):
    assert split_header(header) == expected


# ------------------------------------------------------------------------------------------------------------------ roles


def test_roles_are_kept_beside_the_labels():
    roles = {"id": "name", "features": ["pH"], "weight": {"y": "w"}, "ignore": "note"}
    names, weights = list("abcdef"), [1, 2, 0.5, 1, None, 1]
    mix = load(["y"], roles, y=[1.0, 2, 3, 4, 5, 6], name=names, pH=[7, 7, 7, 6.5, 5, None], w=weights, note=9)
    assert mix.molecules["id:table"].tolist() == list("abcde")
    assert mix.molecules.pH.tolist() == [7, 7, 7, 6.5, 5]
    np.testing.assert_array_equal(mix.label_extras(0)[1], [1, 2, 0.5, 1, 1])
    audit = mix.audit()
    assert audit.rejected[["row", "smiles", "reason"]].values.tolist() == [[5, "CCCl", "no value in column 'pH'"]]
    assert audit.columns.set_index("column").use[["name", "pH", "w", "note"]].tolist() == [
        "id",
        "features",
        "weight",
        "ignore",
    ]


def test_a_molecule_measured_under_two_conditions_counts_twice_and_stays_in_one_split():
    mix = load(["y"], {"features": ["pH"]}, y=[1.0, 2, 3, 4, 5, 6], pH=[7.0, 7, 7, 7, 5, 7])
    both = mix.molecules[mix.molecules.smiles == "CCO"]
    assert both.pH.tolist() == [7, 5]
    assert both["split:table"].nunique() == 1
    same = load(["y"], {"features": ["pH"]}, y=[1.0, 2, 3, 4, 5, 6], pH=7.0)
    assert (same.molecules.smiles == "CCO").sum() == 1


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"weigth": "w"}, "unknown entry 'weigth'"),
        ({"id": ["a", "b"]}, "expected the name of a column, found"),
        ({"features": 3}, "expected the name of a column or a list of names, found 3"),
        ({"id": "nam"}, "no column 'nam'.*Did you mean 'name'"),
        ({"id": "y"}, "'y' is a task and cannot have the role 'id'"),
        ({"weight": {"z": "w"}}, "role 'weight': 'z' is no task; the tasks are y"),
    ],
)
def test_a_wrong_role_is_an_error_that_says_what_was_expected(roles, message):
    with pytest.raises(InputError, match=message):
        load(["y"], roles, y=[1.0, 2, 3, 4, 5, 6], name="n", w=1.0)


@pytest.mark.parametrize("wrong", [-1.0, "x", math.inf])
def test_a_weight_is_a_number_of_zero_or_more(wrong):
    with pytest.raises(TableError, match="row 2, column 'w': expected a weight of 0 or more"):
        load(["y"], {"weight": "w"}, y=[1.0, 2, 3, 4, 5, 6], w=[1, 1, wrong, 1, 1, 1])


def test_roles_belong_to_tables_and_not_to_cards():
    with pytest.raises(InputError, match="Roles are for your own table"):
        molfm.load("b3db", roles={"id": "x"}, progress=False)
    with pytest.raises(CardError, match="unknown entry"):
        load(["y"], {"target": "y"}, y=1.0)


def test_the_command_line_names_roles_and_a_run_writes_its_command_with_them():
    texts = ["features=pH", "features=T", "id=name", "weight:y=w"]
    found = {"features": ["pH", "T"], "id": "name", "weight": {"y": "w"}}
    assert roles(texts) == found
    assert roles(None) is None
    settings = {"tasks": ["y"], "balance_classes": True, "task_weights": {"y": 2.0}}
    words = command({"data": "own.csv", "smiles": "SMILES", "roles": found}, settings)
    assert words.endswith("--task y --balance-classes --task-weight y=2.0")
    assert words.count("--role") == 4
    assert "--smiles SMILES --role features=pH --role features=T --role id=name --role weight:y=w --task y" in words
    for wrong in ("pH", "=pH", "id=", "weight:=w"):
        with pytest.raises(InputError, match="expected ROLE=COLUMN"):
            roles([wrong])
    with pytest.raises(InputError, match="id is given twice"):
        roles(["id=a", "id=b"])


# --------------------------------------------------------------------------------------------------------- censored labels


def test_limits_are_read_at_every_level():
    cells = ["1.5", ">10", "< 0.5", "~3", ">=2", "=4"]
    lists = [["1", ">2", "3"], None, None, None, None, None]
    mix = load({"y": {}, "q": {"level": "node"}}, y=cells, q=lists)
    assert mix.labels("y").tolist() == pytest.approx([1.5, 10, 0.5, 3, 4])  # the first row of CCO counts
    assert mix.label_extras(0)[0].tolist() == [0, 1, -1, 0, 1, 0]
    assert mix.label_extras(1)[0].tolist() == [0, 1, 0]
    [found] = mix.audit().summary.query("check == 'censored labels' and task == 'table/y'").to_dict("records")
    assert (found["count"], found["of"], found["note"]) == (3, 6, "2 above a limit, 1 below one")


def test_limits_may_stand_in_a_column_of_relations():
    relation = ["'='", ">", "<", None, "~", ">"]
    mix = load(["y"], {"relation": "r"}, y=[1.0, 2, 3, 4, 5, 6], r=relation)
    assert mix.label_extras(0)[0].tolist() == [0, 1, -1, 0, 0, 1]
    with pytest.raises(TableError, match="row 0: expected a relation such as >, <, = or ~, found 'about'"):
        load(["y"], {"relation": "r"}, y=[1.0, 2, 3, 4, 5, 6], r="about")


def test_a_class_cannot_be_censored():
    with pytest.raises(TableError, match="row 0, column 'y': expected 0 or 1 or nothing, found '>0'"):
        load({"y": {"kind": "binary"}}, y=[">0", "1", "0", "1", "0", "1"])


def test_a_concentration_becomes_its_negative_logarithm_and_its_limit_turns_round():
    mix = load({"IC50 (nM)": {"pic50": True}}, **{"IC50 (nM)": ["10", ">1000", "<1", "5", "7", "2"]})
    assert [(task.name, task.unit) for task in mix.chosen] == [("pIC50", "-log10(mol/L)")]
    assert mix.labels("pIC50").tolist()[:3] == pytest.approx([8, 6, 9])
    assert mix.label_extras(0)[0].tolist()[:3] == [0, -1, 1]
    with pytest.raises(TableError, match=r"expected a concentration above 0 for 'pIC50'.*found 0 nM"):
        load({"IC50_nM": {"pic50": True}}, IC50_nM=[0, 1, 2, 3, 4, 5])
    with pytest.raises(CardError, match=r"needs a concentration.*found none"):
        load({"IC50": {"pic50": True}}, IC50=[1, 2, 3, 4, 5, 6])


def test_an_output_on_the_right_side_of_a_limit_is_no_error_and_has_no_gradient():
    raw = torch.tensor([[2.0], [0.0], [2.0], [0.0], [2.0]], requires_grad=True)
    target, side = torch.ones(5), torch.tensor([1, 1, -1, -1, 0], dtype=torch.int8)
    for loss in LOSSES["regression"].values():
        raw.grad = None
        found = loss(raw, bounded(raw, target, side))
        assert (found > 0).tolist() == [False, True, True, False, True]
        found.sum().backward()
        assert (raw.grad[:, 0] != 0).tolist() == [False, True, True, False, True]


# --------------------------------------------------------------------------------------------------- batches and networks


@pytest.fixture
def mixed():
    y = ["1", ">2", "3", "4", "5", "6"]
    return load(["y"], {"features": ["pH"], "weight": "w"}, y=y, pH=np.arange(6.0), w=[1, 2, 3, 0.5, 1, 1])


def test_a_device_makes_the_same_batches(mixed):
    molecules = mixed.members("train")
    there = Resident(mixed, "train", molecules, (WALK,), torch.device("cpu"))
    [made], expected = there.batches([(molecules, None)]), to_batch(mixed.gather(molecules, "train"))
    for name in ("features", "graph_side", "graph_weight", "graph_value", "graph_task"):
        assert torch.equal(made[name].float(), expected[name].float()), name
    assert made.label_counts.item() == len(expected.graph_value)


def test_weights_multiply_losses_and_are_relative(mixed):
    arrays = mixed.gather(mixed.members("train"), "train")
    batch = to_batch(weighted(arrays, np.array([[2.0, 2.0]])))
    np.testing.assert_allclose(batch.graph_weight, 2 * arrays["graph_weight"])
    model = MultiTaskModel(
        ModelConfig(hidden_channels=8, num_layers=1, features=mixed.feature_names), mixed.tasks, 0
    ).eval()
    sums, counts = task_sums(model, model(batch), batch)
    assert counts.item() == len(arrays["graph_weight"])
    scale = label_weights(mixed, TrainConfig())
    assert weighted(arrays, scale)["graph_weight"].mean() == pytest.approx(1)
    plain = to_batch({name: of for name, of in arrays.items() if name != "graph_weight"})
    assert sums.item() != pytest.approx(task_sums(model, model(plain), plain)[0].item())


def test_a_network_learns_from_features_and_demands_them_again(own_home):
    rng = np.random.default_rng(0)
    smiles = ["C" * (i % 9 + 1) + "O" for i in range(120)]
    ph = rng.uniform(2, 10, 120)
    table = pd.DataFrame({"smiles": smiles, "pH": ph, "y": ph + 0.1 * np.array([len(s) for s in smiles])})
    settings = {"hidden_channels": 16, "num_layers": 1, "learning_rate": 1e-2, "batch_size": 32, "epochs": 40}
    run = molfm.train(table, tasks=["y"], roles={"features": ["pH"]}, progress=False, **settings)
    r2 = run.results.query("metric == 'r2' and split == 'test'").value.item()
    assert r2 > 0.8
    assert run.model.config.features == ("pH",)
    given = pd.DataFrame({"pH": [2.0, 9.0, None]})
    with pytest.warns(UserWarning, match="no value of 'pH'"):
        low, high, missing = run.model.predict(["CCO"] * 3, features=given)["table/y"]
    assert high - low > 4
    assert np.isnan(missing)
    with pytest.raises(InputError, match="was trained with pH beside the molecules"):
        run.model.predict(["CCO"])
    with pytest.raises(InputError, match="no column 'pH'"):
        run.model.predict(["CCO"], features=pd.DataFrame({"ph": [7]}))


# ---------------------------------------------------------------------------------------------------- files of other formats


@pytest.fixture
def frame():
    return pd.DataFrame({"smiles": ["CCO", "CCN", "c1ccccc1O"], "y": [1.5, 2.25, 3.0], "note": ["a", "", "c"]})


def test_an_sdf_file_is_read_with_titles_and_properties(tmp_path, frame):
    text = ""
    for row in frame.itertuples():
        mol = Chem.MolFromSmiles(row.smiles)
        mol.SetProp("_Name", f"m{row.Index}")
        text += Chem.MolToMolBlock(mol) + f"> <y>\n{row.y}\n\n> <note>\n{row.note}\n\n$$$$\n"
    broken = "bad\n     RDKit\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n  x\nM  END\n$$$$\n"
    (tmp_path / "own.sdf").write_text(text + broken)
    with pytest.warns(UserWarning, match="RDKit cannot read 1 records"):
        mix = molfm.load(tmp_path / "own.sdf", tasks=["y"], roles={"id": "name"}, progress=False)
    assert mix.molecules.smiles.tolist() == ["CCO", "CCN", "Oc1ccccc1"]
    assert mix.molecules["id:own"].tolist() == ["m0", "m1", "m2"]
    assert mix.labels("y").tolist() == [1.5, 2.25, 3.0]
    assert mix.audit().rejected.row.tolist() == [3]
    with gzip.open(tmp_path / "two.sdf.gz", "wt") as file:
        file.write(text)
    assert len(molfm.load(tmp_path / "two.sdf.gz", tasks=["y"], progress=False)) == 3


def test_an_excel_file_is_read(tmp_path, frame):
    with pd.ExcelWriter(tmp_path / "own.xlsx") as writer:
        frame.assign(mixed=[1, ">2", None]).to_excel(writer, sheet_name="data", index=False)
        frame.to_excel(writer, sheet_name="more", index=False)
    with pytest.warns(UserWarning, match="the sheet 'data' is read. It also has more"):
        mix = molfm.load(tmp_path / "own.xlsx", tasks=["y", "mixed"], progress=False)
    assert mix.labels("y").tolist() == [1.5, 2.25, 3.0]
    assert mix.label_extras(1)[0].tolist() == [0, 1]


def test_a_smi_file_is_predicted_from(tmp_path, frame, own_home):
    (tmp_path / "new.smi").write_text("CCO ethanol\nCCN\n")
    run = molfm.train(frame, tasks=["y"], epochs=1, hidden_channels=8, num_layers=1, progress=False, split="random")
    from molfm.data.tables import SmilesTable

    out = run.model.predict(SmilesTable(tmp_path / "new.smi"), out=tmp_path / "p.csv", progress=False)
    assert pd.read_csv(out).name.tolist()[0] == "ethanol"


def test_a_time_or_a_group_is_the_split_if_no_other_is_named():
    columns = {"y": [1.0, 2, 3, 4, 5, 6], "when": [1, 2, 3, 4, 1, 6], "who": list("aabbac")}
    by_time = load(["y"], {"time": "when"}, **columns)
    assert by_time.origin["split"] == "time:when"
    assert by_time.molecules.set_index("smiles")["split:table"]["CCCl"] == "test"
    frame = pd.DataFrame({"smiles": SIX, **columns})
    both = {"time": "when", "group": "who"}
    assert molfm.load(frame, tasks=["y"], roles=both, split="group", progress=False).origin["split"] == "group:who"
    with pytest.raises(CardError, match="Say which one splits the table"):
        molfm.load(frame, tasks=["y"], roles=both, progress=False)


def test_an_empty_text_cell_is_unmeasured_and_a_bad_cell_is_named_by_its_column():
    table = pd.DataFrame({"smiles": ["C", "CC", "CCC", "CCCC"], "IC50 (nM)": ["10", "", " ", ">100"]})
    mix = molfm.load(table, tasks={"IC50 (nM)": {"pic50": True}}, split="random", progress=False)
    assert mix.labels("pIC50").notna().tolist() == [True, False, False, True]
    table["IC50 (nM)"] = ["10", "20", "n.d.", "5"]
    with pytest.raises(
        TableError, match=r"row 2, column 'IC50 \(nM\)': expected a finite number or nothing, found 'n\.d\.'"
    ):
        molfm.load(table, tasks={"IC50 (nM)": {"pic50": True}}, split="random", progress=False)
