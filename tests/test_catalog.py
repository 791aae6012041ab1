import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import molfm
from molfm import cli
from molfm.catalog import CardError, card, cards, datasets_of, expand_tasks, parse_card

GOOD = {
    "name": "mine",
    "title": "My <b>assay</b>",
    "split": "scaffold",
    "fractions": [0.5, 0.25, 0.25],
    "sources": [{"location": "file:mine.csv", "smiles": "SMILES", "columns": {"pKi": "p_ki"}}],
    "tasks": {"pKi": {"unit": "log10", "domain": "biological"}, "active": {"kind": "binary"}, "bare": None},
}


OFFICIAL = {
    "location": ["https://example.org/mine.csv.gz", "doi:10.5281/zenodo.1/mine.csv.gz"],
    "sha256": "0" * 64,
    "rows": 100,
    "splits": "https://example.org/mine_splits.pt",
}
PACKAGED = {
    "location": "pypi:mine==1.0#data/part*.csv",
    "sha256": {"part1.csv": "1" * 64},
    "columns": {"pKi": "p_ki", "bare": None},
    "atomization": {"bare": {"column": "u", "atoms": {"H": -0.5, "C": -38}, "factor": 627.5}},
}


def text_of(**changes):
    front = {key: value for key, value in (GOOD | changes).items() if value != "absent"}
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\nProse.\n\n---\nMore prose.\n"


def test_card_says_what_its_front_matter_says():
    found = parse_card(text_of(), "mine.md")
    assert (found.name, found.split, found.fractions) == ("mine", "scaffold", (0.5, 0.25, 0.25))
    assert [task.id for task in found.tasks] == ["mine/pKi", "mine/active", "mine/bare"]
    assert [task.kind for task in found.tasks] == ["regression", "binary", "regression"]
    assert [task.level for task in found.tasks] == ["graph"] * 3
    assert (found.tasks[0].unit, found.tasks[0].domain) == ("log10", "biological")
    assert (found.sources[0].smiles, found.sources[0].columns) == ("SMILES", {"pKi": "p_ki"})
    assert found.text == "Prose.\n\n---\nMore prose."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licence": "MIT"}, "unknown entry 'licence'; known are name, title, license"),
        ({"tasks": {"pKi": {"units": "M"}}}, "task pKi: unknown entry 'units'"),
        ({"tasks": {"pKi": {"level": "atom"}}}, "level of task pKi: expected one of graph, node, edge, found 'atom'"),
        ({"tasks": {"pKi": {"kind": "classes"}}}, "kind of task pKi: expected one of regression, binary"),
        ({"tasks": {"pKi": {"domain": "chemistry"}}}, "domain of task pKi: expected one of quantum"),
        ({"tasks": {"pKi": 3}}, "task pKi: expected names and values, found 3"),
        ({"tasks": {"pKi": {"name": "other"}}}, "task pKi"),
        ({"tasks": ["pKi"]}, "tasks"),
        ({"sources": [{"location": "file:x.csv", "sha": "0"}]}, "source: unknown entry 'sha'"),
        ({"sources": [{"smiles": "SMILES"}]}, "location"),
        ({"sources": [{"location": 3}]}, "source: location: expected a string or a list of strings, found 3"),
        ({"sources": [OFFICIAL | {"splits": [""]}]}, "source: splits: expected a string or a list of strings"),
        (
            {"sources": [OFFICIAL | {"sha256": "0"}]},
            "source: sha256: expected 64 hexadecimal digits or null, found '0'",
        ),
        ({"sources": [PACKAGED | {"sha256": {"part1.csv": "1"}}]}, "source: sha256: expected 64 hexadecimal digits"),
        ({"sources": [OFFICIAL | {"splits_sha256": "x"}]}, "source: splits_sha256: expected 64 hexadecimal digits"),
        ({"sources": [OFFICIAL | {"rows": "100"}]}, "source: rows: expected a whole number from 1, found '100'"),
        ({"sources": [OFFICIAL | {"columns": {"pki": "p"}}]}, "source: columns: expected tasks of this card"),
        (
            {"sources": [OFFICIAL | {"atomization": {"pKi": {"column": "u"}}}]},
            "atomization of pKi: expected a column and",
        ),
        ({"tasks": {"pKi": {"kind": "ordinal"}}}, "task pKi: kind ordinal needs `classes`"),
        ({"tasks": {"pKi": {"kind": "binary", "classes": 2}}}, "no other kind has it"),
        ({"tasks": {"pKi": {"kind": "ordinal", "classes": 1}}}, "classes of task pKi: expected a whole number from 2"),
        ({"tasks": {"pKi-*": {"count": 0}, "pKi": {}}}, "count of task pKi-*: expected a whole number from 1, found 0"),
        ({"tasks": {"pKi": {"count": 3}}}, "task pKi: `count` belongs to a name with a `*`"),
        ({"split": "best"}, "split: expected one of official, scaffold, random, found 'best'"),
        ({"split": "official"}, "split: official needs a source with `splits`, and none has them"),
        ({"fractions": [0.5, 0.5]}, "three fractions that add up to 1"),
        ({"fractions": [0.5, 0.2, 0.2]}, "three fractions that add up to 1"),
        ({"fractions": [0.9, 0.3, -0.2]}, "three fractions that add up to 1"),
        ({"fractions": ["most", 0.1, 0.1]}, "three fractions that add up to 1"),
        ({"fractions": 0.8}, "three fractions that add up to 1"),
        ({"name": "absent"}, "expected a name"),
        ({"name": "../mine"}, "expected a name"),
        ({"sources": "absent"}, "either `tasks` and `sources`"),
        ({"tasks": "absent"}, "either `tasks` and `sources`"),
        ({"datasets": ["b3db"]}, "either `tasks` and `sources`"),
        ({"tasks": "absent", "sources": "absent"}, "either `tasks` and `sources`"),
    ],
)
def test_a_wrong_card_is_an_error_that_names_file_and_entry(changes, message):
    with pytest.raises(CardError) as error:
        parse_card(text_of(**changes), "mine.md")
    assert "mine.md" in str(error.value)
    assert message in str(error.value)


def test_a_source_says_where_its_file_is_and_what_is_true_of_it_alone():
    official, packaged = parse_card(text_of(sources=[OFFICIAL, PACKAGED], split="official"), "mine.md").sources
    assert official.locations == ("https://example.org/mine.csv.gz", "doi:10.5281/zenodo.1/mine.csv.gz")
    assert (official.sha256, official.rows) == ("0" * 64, 100)
    assert (official.splits, official.splits_sha256) == (("https://example.org/mine_splits.pt",), None)
    assert [official.column(task) for task in ("pKi", "bare")] == ["pKi", "bare"]
    assert packaged.locations == ("pypi:mine==1.0#data/part*.csv",)
    assert packaged.sha256 == {"part1.csv": "1" * 64}
    assert [packaged.column(task) for task in ("pKi", "active", "bare")] == ["p_ki", "active", None]
    assert packaged.splits == ()
    assert packaged.rows is None
    assert packaged.atomization["bare"].column == "u"
    assert packaged.atomization["bare"].atoms == {"H": -0.5, "C": -38}
    assert packaged.atomization["bare"].factor == 627.5


def test_the_rows_of_a_card_are_those_of_the_first_source_that_says():
    assert parse_card(text_of(sources=[PACKAGED, OFFICIAL]), "mine.md").rows == 100
    assert parse_card(text_of(), "mine.md").rows is None


GLOBS = {
    "gene-*": {"kind": "ordinal", "classes": 5, "count": 3, "domain": "transcriptomic", "description": "a gene"},
    "gene-7": {"description": "the one that counts"},
    "dose": {},
}


def test_a_name_with_a_star_stands_for_the_columns_that_match_in_the_order_of_the_file():
    mine = parse_card(text_of(tasks=GLOBS, sources=[{"location": "file:x.csv", "smiles": "gene-smiles"}]), "mine.md")
    assert mine.n_tasks == 5
    found = expand_tasks(mine, ["gene-smiles", "gene-9", "dose", "gene-7", "gene-10", "gene-1"])
    assert [task.name for task in found.tasks] == ["gene-9", "gene-10", "gene-1", "gene-7", "dose"]
    assert [task.count for task in found.tasks] == [None] * 5
    assert found.n_tasks == 5
    assert found.tasks[0].id == "mine/gene-9"
    assert {(task.kind, task.classes, task.description) for task in found.tasks[:3]} == {("ordinal", 5, "a gene")}
    assert found.tasks[3].description == "the one that counts"


def test_a_star_that_matches_nothing_is_an_error_that_says_what_is_there():
    mine = parse_card(text_of(tasks=GLOBS, sources=[{"location": "file:x.csv"}]), "mine.md")
    with pytest.raises(CardError, match=r"mine: expected columns gene-\*, found smiles, dose, gene-7, Gene-1"):
        expand_tasks(mine, ["smiles", "dose", "gene-7", "Gene-1"])


def test_a_star_that_matches_another_number_of_columns_than_published_is_a_warning():
    mine = parse_card(text_of(tasks=GLOBS, sources=[{"location": "file:x.csv"}]), "mine.md")
    with pytest.warns(UserWarning, match=r"mine: 2 columns are gene-\*, its card says 3"):
        found = expand_tasks(mine, ["smiles", "dose", "gene-7", "gene-1", "gene-2"])
    assert found.n_tasks == 4


def test_a_column_with_a_star_in_its_own_name_is_taken_as_it_stands():
    mine = parse_card(text_of(tasks={"p[*]": {}}, sources=[{"location": "file:x.csv"}]), "mine.md")
    assert expand_tasks(mine, ["smiles", "p[*]", "p[x]"]) == mine


def test_a_card_without_a_star_is_left_as_it_is():
    mine = parse_card(text_of(), "mine.md")
    assert expand_tasks(mine, ["anything"]) == mine


def test_a_card_without_front_matter_is_an_error():
    with pytest.raises(CardError, match=r"mine\.md: expected YAML front matter"):
        parse_card("# Mine\n", "mine.md")


def test_a_card_with_broken_yaml_is_an_error():
    with pytest.raises(CardError, match=r"mine\.md: the front matter is not valid YAML"):
        parse_card("---\nname: [mine\n---\n", "mine.md")


def test_a_card_whose_front_matter_is_a_list_is_an_error():
    with pytest.raises(CardError, match=r"mine\.md: expected names and values"):
        parse_card("---\n- name\n---\n", "mine.md")


@pytest.mark.parametrize("ask", [card, molfm.load])
def test_an_unknown_name_lists_what_exists_and_the_nearest(ask):
    with pytest.raises(CardError) as error:
        ask("b3bd")
    assert "Unknown dataset 'b3bd'. Did you mean 'b3db'?" in str(error.value)
    assert all(name in str(error.value) for name in cards().name)


def test_a_name_like_no_other_gets_no_hint():
    with pytest.raises(CardError) as error:
        card("zzzzzzzz")
    assert "Did you mean" not in str(error.value)
    assert "Known: " in str(error.value)


def test_a_missing_card_file_is_an_error_that_names_it():
    with pytest.raises(CardError, match=r"no data card at nowhere/mine\.md"):
        card("nowhere/mine.md")


def test_cards_lists_every_shipped_card_and_each_of_them_opens():
    table = cards()
    assert set(table.kind) <= {"dataset", "mix"}
    for row in table.itertuples():
        assert card(row.name).title == row.title
        assert sum(member.n_tasks for member in datasets_of(row.name)) == row.tasks > 0


def test_a_mix_of_ones_own_takes_cards_beside_it_first_and_shipped_ones_else(tmp_path):
    (tmp_path / "mine.md").write_text(text_of())
    (tmp_path / "all.md").write_text("---\nname: all\ndatasets: [mine, b3db]\n---\n")
    members = datasets_of(tmp_path / "all.md")
    assert [member.name for member in members] == ["mine", "b3db"]
    assert [member.folder for member in members] == [tmp_path, None]
    assert datasets_of(card(tmp_path / "all.md")) == members


def test_a_mix_with_an_unknown_member_names_it(tmp_path):
    (tmp_path / "all.md").write_text("---\nname: all\ndatasets: [nowhere]\n---\n")
    with pytest.raises(CardError, match="Unknown dataset 'nowhere'"):
        datasets_of(tmp_path / "all.md")


def test_the_html_of_a_card_shows_its_facts_and_escapes_them():
    shown = parse_card(text_of(homepage="https://example.org/?a=1&b='2'"), "mine.md")._repr_html_()
    assert "<b>assay</b>" not in shown
    assert "&lt;b&gt;assay&lt;/b&gt;" in shown
    assert "scaffold 0.5/0.25/0.25" in shown
    assert "mine/pKi" in shown
    assert "<a href='https://example.org/?a=1&amp;b=&#x27;2&#x27;'>" in shown


PROSE = """# How

**Made** with `care`, see [paper](https://example.org/a) and [trick](javascript:alert(1)) and [file](file:///etc/passwd).

| a | b |
|---|---|
| 1 | <script>alert(2)</script> |

- ![image](https://example.org/x.png)
"""


def test_the_prose_of_a_card_is_rendered_and_cannot_smuggle_anything_in():
    card_text = text_of().split("Prose.")[0] + PROSE
    shown = parse_card(card_text, "mine.md")._repr_html_()
    for part in ("<h1>How</h1>", "<strong>Made</strong>", "<code>care</code>", "<td>1</td>", "<li>"):
        assert part in shown
    assert '<a href="https://example.org/a">paper</a>' in shown
    assert "<script>" not in shown
    assert "<img" not in shown
    assert set(re.findall(r"href=[\"']([a-z]+):", shown)) == {"https"}


def test_the_html_of_a_card_takes_its_colours_from_the_notebook():
    shown = card("qm9_mini")._repr_html_()
    assert not re.findall(r"(?<!border-)color:|background|#[0-9a-f]{3,6}\b|\b(?:black|white)\b(?!-)", shown)


@pytest.mark.parametrize(
    ("number", "folded", "rows"), [(3, False, 3), (30, False, 30), (31, True, 31), (60, True, 60), (1328, True, 60)]
)
def test_a_long_list_of_tasks_is_folded_and_a_very_long_one_cut(number, folded, rows):
    tasks = {f"assay {i}": {} for i in range(number)}
    shown = parse_card(text_of(tasks=tasks, sources=[{"location": "file:x.csv"}]), "mine.md")._repr_html_()
    assert f"<summary>{number:,} tasks</summary>" in shown
    assert ("<details open>" in shown) != folded
    assert shown.count("mine/assay") == rows
    assert (f"and {number - 60:,} more" in shown) == (number > 60)


def test_the_command_renders_the_prose_on_a_terminal_and_leaves_it_alone_in_a_pipe(monkeypatch):
    piped = CliRunner().invoke(cli.app, ["cards", "b3db"]).stdout
    assert card("b3db").text in piped
    monkeypatch.setenv("FORCE_COLOR", "1")
    rendered = CliRunner().invoke(cli.app, ["cards", "b3db"]).stdout
    assert "Traps, counted." in rendered
    assert "**Traps" not in rendered


def test_the_table_of_a_card_has_a_row_a_task():
    expected = pd.DataFrame(
        [
            ("mine/pKi", "graph", "regression", "log10", "biological", ""),
            ("mine/active", "graph", "binary", "", "", ""),
            ("mine/bare", "graph", "regression", "", "", ""),
        ],
        columns=["task", "level", "kind", "unit", "domain", "description"],
    )
    pd.testing.assert_frame_equal(parse_card(text_of(), "mine.md").table(), expected)


def test_reading_a_card_never_imports_torch():
    code = "import sys, molfm; molfm.cards(), molfm.card('qm9_mini')._repr_html_()"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
