import pandas as pd
import pytest
import yaml

import molfm
from molfm.catalog import CardError, card, cards, datasets_of, parse_card

GOOD = {
    "name": "mine",
    "title": "My <b>assay</b>",
    "split": "scaffold",
    "fractions": [0.5, 0.25, 0.25],
    "sources": [{"location": "file:mine.csv", "smiles": "SMILES", "columns": {"pKi": "p_ki"}}],
    "tasks": {"pKi": {"unit": "log10", "domain": "biological"}, "active": {"kind": "binary"}, "bare": None},
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
        ({"split": "official"}, "split: expected one of scaffold, random, found 'official'"),
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
        assert sum(len(member.tasks) for member in datasets_of(row.name)) == row.tasks > 0


def test_a_mix_of_ones_own_takes_cards_beside_it_first_and_shipped_ones_else(tmp_path):
    (tmp_path / "mine.md").write_text(text_of())
    (tmp_path / "all.md").write_text("---\nname: all\ndatasets: [mine, b3db]\n---\n")
    members = datasets_of(tmp_path / "all.md")
    assert [member.name for member in members] == ["mine", "b3db"]
    assert [member.folder for member in members] == [tmp_path, None]


def test_a_mix_with_an_unknown_member_names_it(tmp_path):
    (tmp_path / "all.md").write_text("---\nname: all\ndatasets: [nowhere]\n---\n")
    with pytest.raises(CardError, match="Unknown dataset 'nowhere'"):
        datasets_of(tmp_path / "all.md")


def test_the_html_of_a_card_shows_its_facts_and_escapes_them():
    shown = parse_card(text_of(), "mine.md")._repr_html_()
    assert "<b>assay</b>" not in shown
    assert "&lt;b&gt;assay&lt;/b&gt;" in shown
    assert "scaffold 0.5/0.25/0.25" in shown
    assert "mine/pKi" in shown


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
