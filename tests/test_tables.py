import gzip
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import molfm
from molfm.catalog.http import DownloadError
from molfm.catalog.parse import parse_card
from molfm.catalog.schema import CardError
from molfm.catalog.shipped import card
from molfm.data import own_table, tables
from molfm.data.cells import Values
from molfm.data.own_table import card_from_table
from molfm.data.tables import TableError, locate, read_chunks


@pytest.fixture
def csv_card(tmp_path):
    """Return a function that writes a CSV text and returns its card: regression task `y`, binary task `b`."""

    def make(text, name="table.csv", smiles="smiles", columns="{}"):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        source = f"{{location: 'file:{name}', smiles: {smiles}, columns: {columns}}}"
        front = f"name: toy\nsources: [{source}]\ntasks: {{y: {{unit: m}}, b: {{kind: binary}}}}\n"
        return parse_card(f"---\n{front}---\n", "toy.md", tmp_path)

    return make


def graph_card(make_card, values, kind="regression"):
    table = pd.DataFrame({"smiles": ["C"] * len(values), "y": values})
    return card(make_card("toy", table, {"y": {"kind": kind}}))


def node_card(make_card, values, level="node"):
    table = pd.DataFrame({"smiles": ["CO"] * len(values), "q": values})
    return card(make_card("toy", table, {"q": {"level": level}}))


def read(item):
    """Return the chunks of a table as (first row, SMILES, labels without sides)."""
    return [(chunk.first_row, chunk.smiles, values_of(chunk)) for chunk in read_chunks(locate(item))]


def values_of(chunk):
    """Return task -> labels of a chunk, without sides; for node and edge tasks a list of arrays or None."""

    def plain(labels):
        return labels.value if isinstance(labels, Values) else [None if of is None else of.value for of in labels]

    return {task: plain(labels) for task, labels in chunk.labels.items()}


# --------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "table.tsv", "table.tsv.gz"])
def test_text_tables_are_read_without_changes(csv_card, name):
    text = "b,smiles,note,y\n1,CCO,hello,0.5\n,C,,-2e3\n0.0,,x,\n"
    found = csv_card(text.replace(",", "\t") if ".tsv" in name else text, name)
    [(first_row, smiles, labels)] = read(found)
    assert first_row == 0
    assert smiles == ["CCO", "C", None]
    np.testing.assert_array_equal(labels["y"], [0.5, -2000, np.nan])
    np.testing.assert_array_equal(labels["b"], [1, np.nan, 0])


def test_columns_may_have_other_names_in_the_file(csv_card):
    item = csv_card("SMI,Y-1,b\nC,3,1\n", smiles="SMI", columns="{y: Y-1}")
    [(_, smiles, labels)] = read(item)
    assert (smiles, labels["y"].tolist(), labels["b"].tolist()) == (["C"], [3.0], [1.0])


@pytest.mark.parametrize("missing", ["", "NA", "nan", "NaN", " NaN "])
def test_missing_labels_are_nan_however_they_are_written(csv_card, missing):
    [(_, _, labels)] = read(csv_card(f"smiles,y,b\nC,{missing},1\nC,2,0\n"))
    np.testing.assert_array_equal(labels["y"], [np.nan, 2])


def test_a_table_is_read_in_chunks_with_the_number_of_their_first_row(make_card, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK_ROWS", 2)
    chunks = read(graph_card(make_card, [0.0, 1.0, 2.0, 3.0, 4.0]))
    assert [first_row for first_row, _, _ in chunks] == [0, 2, 4]
    assert [labels["y"].tolist() for _, _, labels in chunks] == [[0, 1], [2, 3], [4]]


def test_integers_and_booleans_are_numbers(make_card):
    [(_, _, labels)] = read(graph_card(make_card, [True, False], "binary"))
    assert labels["y"].tolist() == [1, 0]
    [(_, _, labels)] = read(graph_card(make_card, pd.array([3, None], "Int64")))
    np.testing.assert_array_equal(labels["y"], [3, np.nan])


def test_node_labels_are_one_array_per_row(make_card):
    [(_, _, labels)] = read(node_card(make_card, [[1.0, 2.0], None, [None, 0.5], []]))
    assert labels["q"][0].tolist() == [1, 2]
    assert labels["q"][1] is None
    np.testing.assert_array_equal(labels["q"][2], [np.nan, 0.5])
    assert len(labels["q"][3]) == 0


def test_a_table_is_described_without_being_read(csv_card, make_card):
    table = locate(csv_card("smiles,y,b\nC,1,1\n"))
    assert (table.columns(), table.n_rows()) == (["smiles", "y", "b"], None)
    table = locate(graph_card(make_card, [1.0, 2.0]))
    assert (table.columns(), table.n_rows()) == (["smiles", "y"], 2)


# ---------------------------------------------------------------------------------------------------------- wrong labels


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_an_error_names_missing_columns_and_the_columns_found(csv_card, tmp_path, name):
    item = csv_card("SMILES,y,z\nC,1,1\n", "table.csv")
    if name == "table.parquet":
        pd.read_csv(tmp_path / "table.csv").to_parquet(tmp_path / name)
        text = f"---\nname: toy\nsources: [{{location: 'file:{name}'}}]\ntasks: {{y: , b: }}\n---\n"
        item = parse_card(text, "toy.md", tmp_path)
    with pytest.raises(TableError) as error:
        read(item)
    assert f"{name}: expected the columns smiles, y, b of card toy" in str(error.value)
    assert "smiles, b are missing" in str(error.value)
    assert "Found: SMILES, y, z" in str(error.value)


@pytest.mark.parametrize("wrong", ["inf", "-inf", "high", "1,5", "<x", "1e400"])
def test_a_label_that_is_not_a_finite_number_names_row_column_and_value(csv_card, wrong, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK_ROWS", 2)
    with pytest.raises(TableError) as error:
        read(csv_card(f'smiles,y,b\nC,1,1\nC,,1\nC,3,1\nC,"{wrong}",0\n'))
    quoted = {"inf": "inf", "-inf": "-inf", "1e400": "inf"}.get(wrong, repr(wrong))
    assert f"toy: row 3, column 'y': expected a finite number or nothing, found {quoted}" in str(error.value)


@pytest.mark.parametrize("wrong", ["2", "-1", "0.5", "active"])
def test_a_label_outside_the_classes_names_row_and_column(csv_card, wrong):
    with pytest.raises(TableError, match=r"toy: row 1, column 'b': expected 0 or 1 or nothing"):
        read(csv_card(f"smiles,y,b\nC,1,1\nC,1,{wrong}\n"))


@pytest.mark.parametrize("wrong", [np.inf, -np.inf])
def test_an_infinite_label_in_a_parquet_file_names_row_and_column(make_card, wrong):
    with pytest.raises(TableError, match=r"row 2, column 'y': expected a finite number or nothing, found -?inf\."):
        read(graph_card(make_card, [0.0, np.nan, wrong]))


def test_a_label_that_float32_cannot_hold_names_row_and_column(make_card):
    """Labels are stored as float32: 1e39 would become an infinity."""
    with pytest.raises(TableError, match="row 1, column 'y'"):
        read(graph_card(make_card, [0.0, 1e39]))


@pytest.mark.parametrize(("wrong", "entry"), [([0.0, np.inf], 1), ([np.inf, 1.0], 0)])
def test_an_infinite_node_label_names_row_entry_and_column(make_card, wrong, entry):
    with pytest.raises(TableError, match=rf"row 1, entry {entry}, column 'q'"):
        read(node_card(make_card, [[0.0, 1.0], wrong]))


def test_text_among_node_labels_names_row_entry_and_column(make_card):
    with pytest.raises(TableError, match=r"row 0, entry 1, column 'q': expected a finite number or nothing, found 'x'"):
        read(node_card(make_card, [["1", "x"]]))


@pytest.mark.parametrize(("level", "item"), [("node", "atom"), ("edge", "bond")])
def test_a_node_or_edge_label_that_is_not_a_list_names_row_and_column(make_card, level, item):
    with pytest.raises(TableError, match=rf"row 1, column 'q': expected a list with one number per {item}"):
        read(node_card(make_card, [None, "1 2"], level))


def test_a_list_in_place_of_one_number_names_row_and_column(make_card):
    with pytest.raises(TableError, match="row 0, column 'y'"):
        read(graph_card(make_card, [[1.0, 2.0]]))


# --------------------------------------------------------------------------------------------------------------- sources


def test_sources_are_tried_in_their_order(tmp_path):
    (tmp_path / "second.csv").write_text("smiles,y\nC,1\n")
    front = "name: toy\nsources: [{location: 'file:first.csv'}, {location: 'file:second.csv'}]\ntasks: {y: }\n"
    item = parse_card(f"---\n{front}---\n", "toy.md", tmp_path)
    assert locate(item).paths[0] == tmp_path / "second.csv"
    (tmp_path / "first.csv").write_text("smiles,y\nC,1\n")
    assert locate(item).paths[0] == tmp_path / "first.csv"


def test_an_error_without_any_source_lists_what_was_tried(tmp_path):
    front = "name: toy\nsources: [{location: 'file:first.csv'}, {location: 'package:no/second.csv'}]\ntasks: {y: }\n"
    with pytest.raises(DownloadError) as error:
        locate(parse_card(f"---\n{front}---\n", "toy.md", tmp_path))
    assert str(tmp_path / "first.csv") in str(error.value)
    assert "no/second.csv" in str(error.value)


def test_an_unknown_kind_of_source_is_an_error_that_quotes_it(tmp_path):
    front = "name: toy\nsources: [{location: 'ftp:first.csv'}]\ntasks: {y: }\n"
    with pytest.raises(ValueError, match=r"'ftp:first\.csv'"):
        locate(parse_card(f"---\n{front}---\n", "toy.md", tmp_path))


def test_an_altered_file_is_an_error_that_shows_both_hashes(tmp_path):
    (tmp_path / "table.csv").write_text("smiles,y\nC,1\n")
    front = f"name: toy\nsources: [{{location: 'file:table.csv', sha256: '{'0' * 64}'}}]\ntasks: {{y: }}\n"
    with pytest.raises(DownloadError, match=rf"SHA-256 is [0-9a-f]{{64}}, expected {'0' * 64}"):
        locate(parse_card(f"---\n{front}---\n", "toy.md", tmp_path))


# ------------------------------------------------------------------------------------------------------ a user's own table

OWN = pd.DataFrame(
    {
        "SMILES": ["C", "CC", "CCC"],
        "name": ["methane", "ethane", "propane"],
        "y": [0.5, np.nan, 1.0],
        "hit": [0, 1, 1],
        "flag": [1.0, np.nan, 0.0],
        "q": [[0.0], [1.0, 2.0], None],
    }
)


def kinds(item):
    return {task.name: (task.level, task.kind) for task in item.tasks}


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_every_other_numeric_column_is_a_task_and_zeros_and_ones_are_binary(tmp_path, kind):
    table = OWN.drop(columns="q")
    if kind != "frame":
        getattr(table, f"to_{kind}")(tmp_path / f"own.{kind}", index=False)
    item = card_from_table(table if kind == "frame" else tmp_path / f"own.{kind}", "SMILES")
    assert item.name == ("table" if kind == "frame" else "own")
    expected = {"y": ("graph", "regression"), "hit": ("graph", "binary"), "flag": ("graph", "binary")}
    assert kinds(item) == expected
    [(_, smiles, labels)] = read(item)
    assert smiles == ["C", "CC", "CCC"]
    np.testing.assert_array_equal(labels["y"], [0.5, np.nan, 1])


def test_a_column_of_lists_is_a_task_only_on_request():
    assert set(kinds(card_from_table(OWN, "SMILES"))) == {"y", "hit", "flag"}
    item = card_from_table(OWN, "SMILES", {"q": {"level": "node", "unit": "e"}})
    assert kinds(item) == {"q": ("node", "regression")}
    assert item.tasks[0].unit == "e"


def test_a_list_of_tasks_selects_columns_in_that_order():
    assert kinds(card_from_table(OWN, "SMILES", ["hit", "y"])) == {
        "hit": ("graph", "binary"),
        "y": ("graph", "regression"),
    }


def test_facts_in_a_dictionary_of_tasks_override_inferred_facts():
    item = card_from_table(OWN, "SMILES", {"hit": {"kind": "regression"}, "y": None, "flag": {"domain": "biological"}})
    assert kinds(item) == {"hit": ("graph", "regression"), "y": ("graph", "regression"), "flag": ("graph", "binary")}
    assert item.tasks[2].domain == "biological"


def test_a_wrong_fact_of_a_users_task_is_a_card_error():
    with pytest.raises(CardError, match="level of task y: expected one of graph, node, edge, found 'atoms'"):
        card_from_table(OWN, "SMILES", {"y": {"level": "atoms"}})


def test_a_column_with_text_only_in_its_last_row_is_not_a_task(monkeypatch):
    monkeypatch.setattr(tables, "CHUNK_ROWS", 1)
    assert set(kinds(card_from_table(OWN.assign(y=["1", "2", "three"]), "SMILES"))) == {"hit", "flag"}


def test_a_class_that_appears_only_in_the_last_row_counts(monkeypatch):
    monkeypatch.setattr(tables, "CHUNK_ROWS", 1)
    assert kinds(card_from_table(OWN.assign(hit=[0, 1, 2]), "SMILES"))["hit"] == ("graph", "regression")


def test_a_table_that_was_described_once_is_not_read_again(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("smiles,y\nCO,1\nCC,0\n")
    first = card_from_table(path)
    monkeypatch.setattr(own_table, "raw_chunks", lambda *_: pytest.fail("the rows were read again"))
    assert card_from_table(path) == first
    monkeypatch.undo()
    path.write_text("smiles,y\nCO,1\nCC,0\nCN,2\n")
    assert kinds(card_from_table(path)) == {"y": ("graph", "regression")}


def test_an_empty_column_is_not_a_task():
    assert "flag" not in kinds(card_from_table(OWN.assign(flag=np.nan), "SMILES"))


@pytest.mark.parametrize("arguments", [{}, {"smiles": "SMILES", "tasks": ["pKi"]}])
def test_a_users_table_without_a_column_is_an_error_that_names_it_and_the_columns_found(arguments):
    missing = "'pKi'" if arguments else "'smiles'"
    with pytest.raises(TableError, match=rf"no column {missing}\..* Found: SMILES, name, y, hit, flag, q"):
        card_from_table(OWN, **arguments)


def test_a_table_without_numbers_is_an_error():
    with pytest.raises(
        TableError, match=r"no column besides 'SMILES' can be a task[\s\S]*name +left out +row 0 holds 'methane'"
    ):
        card_from_table(OWN[["SMILES", "name"]], "SMILES")


def test_a_missing_table_is_an_error_that_names_it():
    with pytest.raises(TableError, match=r"no table at .*/nowhere\.csv"):
        card_from_table("nowhere.csv")


def test_equal_data_frames_share_a_file_and_different_ones_do_not():
    first, again = card_from_table(OWN, "SMILES"), card_from_table(OWN.copy(), "SMILES")
    other = card_from_table(OWN.assign(y=[0.5, np.nan, 2.0]), "SMILES")
    assert first.sources == again.sources != other.sources


def test_lists_in_a_text_table_are_read(tmp_path):
    (tmp_path / "t.csv").write_text('smiles,q\nCO,"[0.5, -1e-2]"\nC,\nCC,"[nan, 2]"\n')
    front = "name: toy\nsources: [{location: 'file:t.csv'}]\ntasks: {q: {level: node}}\n"
    [(_, _, labels)] = read(parse_card(f"---\n{front}---\n", "toy.md", tmp_path))
    assert labels["q"][0].tolist() == [0.5, -0.01]
    assert labels["q"][1] is None
    np.testing.assert_array_equal(labels["q"][2], [np.nan, 2])


@pytest.mark.parametrize(
    "text", ["[1.5, 2, null]", "[1.5, 2, nan]", "[1.5 2.  nan]", " [1.5,2,None] ", "[1.5\n 2.0 nan]"]
)
def test_lists_are_read_as_json_python_or_numpy_write_them(tmp_path, text):
    pd.DataFrame({"smiles": ["CCO"], "q": [text]}).to_csv(tmp_path / "t.csv", index=False)
    [(_, _, labels)] = read(card_from_table(tmp_path / "t.csv", tasks={"q": {"level": "node"}}))
    np.testing.assert_array_equal(labels["q"][0], [1.5, 2.0, np.nan])


@pytest.mark.parametrize("text", ["[1.5 … 2.0]", "[1.5, x]"])
def test_text_in_a_list_of_a_text_table_names_row_entry_and_column(tmp_path, text):
    pd.DataFrame({"smiles": ["CCO"], "q": [text]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TableError, match=r"row 0, entry 1, column 'q': expected a finite number or nothing"):
        list(read_chunks(locate(card_from_table(tmp_path / "t.csv", tasks={"q": {"level": "node"}}))))


def load_and_compare(number: int) -> bool:
    """Load a table of this process and compare its labels with what was given."""
    frame = pd.DataFrame({"smiles": ["C" * (n + 1) for n in range(12)], "y": np.arange(12.0) + 100 * number})
    return molfm.load(frame, progress=False).labels("y").tolist() == frame.y.tolist()


def test_tables_that_several_processes_load_at_once_keep_their_own_labels(own_home):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert all(pool.map(load_and_compare, range(40)))


# ------------------------------------------------------------------------------------------------- tables of strangers


STRANGE = pd.DataFrame(
    {
        "Unnamed: 0": [0, 1, 2],
        "smiles": ["C", "CC", "CCC"],
        "CID": [297, 6324, 6334],
        "Ki": ["1.5", ">10", "3"],
        "MW": [16.0, 30.1, 44.1],
        "yield": ["12%", "1,234", "ND"],
        "empty": [None, None, None],
    }
)


@pytest.mark.parametrize("kind", ["csv", "frame"])
def test_a_warning_says_what_each_column_was_taken_for(tmp_path, kind):
    STRANGE.to_csv(tmp_path / "own.csv", index=False)
    with pytest.warns(UserWarning, match="no tasks were named") as said:
        mix = molfm.load(STRANGE if kind == "frame" else tmp_path / "own.csv", progress=False)
    assert [task.name for task in mix.chosen] == ["Ki"]
    [message] = [str(item.message) for item in said if "no tasks were named" in str(item.message)]
    uses = mix.audit().columns.set_index("column")
    assert uses.use["smiles"] == "SMILES"
    assert tuple(uses.loc["Ki", ["use", "why"]]) == ("target", "regression, no unit, 1 censored")
    assert uses.why["yield"] == "row 0 holds '12%', not a number"
    assert uses.why["empty"] == "it is empty"
    assert uses.why["MW"] == "its name says that it is a descriptor"
    lines = [" ".join(line.split()) for line in message.split("\n")]
    assert all(f"{column} {use} {why}".strip() in lines for column, use, why in uses[["use", "why"]].itertuples())
    assert "What the columns were taken for" in repr(mix.audit())


def test_named_tasks_are_not_guessed_and_an_odd_cell_in_one_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        molfm.load(STRANGE, tasks=["MW"], progress=False)
        with pytest.raises(TableError, match="row 0, column 'yield': expected a finite number or nothing, found '12%'"):
            molfm.load(STRANGE, tasks=["yield"], progress=False)


def test_a_task_of_a_users_table_may_be_named_by_its_id():
    assert [task.id for task in molfm.load(STRANGE, tasks=["table/MW"], progress=False).chosen] == ["table/MW"]


def test_dates_are_never_numbers():
    dated = STRANGE.assign(when=pd.Timestamp("2020-01-01"))
    with pytest.warns(UserWarning, match=r"when +left out +it holds dates"):
        assert set(kinds(card_from_table(dated))) == {"Ki"}
    with pytest.raises(TableError, match="row 0, column 'when': expected a finite number"):
        molfm.load(dated, tasks=["when"], progress=False)


def test_columns_that_nobody_asked_for_may_hold_anything():
    odd = STRANGE.assign(mol=[Chem.MolFromSmiles(s) for s in STRANGE.smiles], mixed=[1, "x", (2,)], other=[{1}] * 3)
    odd = pd.concat([odd, odd[["other", "MW"]].rename(columns={"MW": "other"})], axis=1)
    mix = molfm.load(odd, tasks=["MW"], progress=False)
    assert mix.labels("MW").tolist() == pytest.approx([16.0, 30.1, 44.1])
    with pytest.raises(TableError, match="3 columns have the name 'other'"):
        molfm.load(odd, tasks=["other"], progress=False)


def test_a_column_of_molecules_is_read_as_their_smiles():
    table = pd.DataFrame({"mol": [Chem.MolFromSmiles("OCC"), None], "y": [1.0, 2.0]})
    mix = molfm.load(table, smiles="mol", progress=False)
    assert mix.molecules.smiles.tolist() == ["CCO"]
    assert mix.audit().rejected.reason.tolist() == ["empty SMILES"]


def test_numbers_and_text_in_one_column_are_read_like_a_text_table():
    mix = molfm.load(pd.DataFrame({"smiles": ["C", "CC", "CCC"], "y": [1, "2.5", None]}), progress=False)
    np.testing.assert_array_equal(mix.labels("y"), [1, 2.5, np.nan])


@pytest.mark.parametrize(
    ("name", "separator"), [("own.csv", ";"), ("own.CSV", ","), ("own.txt", "\t"), ("own.tsv", "\t")]
)
def test_the_separator_of_a_text_table_is_found(tmp_path, name, separator):
    table = pd.DataFrame({"smiles": ["C", "CC"], 'a "note"': ["one; two, three", "x"], "y": [1.0, 2.0]})
    table.to_csv(tmp_path / name, index=False, sep=separator)
    assert molfm.load(tmp_path / name, tasks=["y"], progress=False).labels("y").tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("name", "message"), [("t.xlsx", "expected an Excel file"), ("t.xls", "Save it as .xlsx")])
def test_a_damaged_or_old_spreadsheet_is_an_error_that_says_so(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(TableError, match=message):
        molfm.load(tmp_path / name)


def test_another_case_of_the_smiles_column_is_suggested():
    with pytest.raises(TableError, match=r"no column 'smiles'\. Did you mean 'SMILES'"):
        card_from_table(OWN)


MERGED = 'smiles,name,y\nCCO,"5,6-thing,1\nCCN,b",2\nCC,c,3\n'  # pandas reads the first two rows as one


def test_a_stray_quotation_mark_that_merges_rows_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK_ROWS", 1)
    (tmp_path / "own.csv").write_text(MERGED.replace("\nCCO", "\nC,a,0\nCCO"))
    with pytest.raises(
        TableError, match=r"row 1, column 'name': a quotation mark begins a cell of 2 lines.*'5,6-thing,1'"
    ):
        molfm.load(tmp_path / "own.csv", tasks=["y"], progress=False)


def test_a_cell_of_several_lines_is_read(tmp_path):
    (tmp_path / "own.csv").write_text('smiles,name,y\nCCO,"first\nsecond, third",1\nCC,c,3\n')
    assert molfm.load(tmp_path / "own.csv", progress=False).labels("y").tolist() == [1.0, 3.0]
