import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import molfm
from molfm.app import cli
from molfm.catalog.parse import parse_card
from molfm.catalog.schema import CardError
from molfm.catalog.shipped import card, cards, datasets_of, expand_tasks

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


def test_a_parsed_card_has_the_facts_of_its_front_matter():
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
        ({"licence": "MIT"}, "unknown entry 'licence'; known are class_names, name, title"),
        ({"tasks": {"pKi": {"units": "M"}}}, "task pKi: unknown entry 'units'"),
        ({"tasks": {"pKi": {"level": "atom"}}}, "level of task pKi: expected one of graph, node, edge, found 'atom'"),
        ({"tasks": {"pKi": {"kind": "classes"}}}, "kind of task pKi: expected one of regression, binary"),
        ({"tasks": {"pKi": {"domain": "chemistry"}}}, "domain of task pKi: expected one of quantum"),
        ({"tasks": {"pKi": {"same_as": "pKj"}}}, "same_as of task pKi: this card has no task mine/pKj"),
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
        ({"tasks": {"pKi": {"count": 3}}}, "task pKi: `count` needs a name with a `*`"),
        ({"tasks": {"pKi": {"class_names": ["a", "b"]}}}, "expected no different `class_names` for kind regression"),
        ({"tasks": {"pKi": {"kind": "binary", "class_names": ["a", "a"]}}}, "expected 2 different `class_names`"),
        ({"tasks": {"pKi": {"computed": "xtb"}}}, "computed: expected true or false, found 'xtb'"),
        ({"split": "best"}, "split: expected one of official, scaffold, random, cluster, found 'best'"),
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
def test_an_invalid_card_is_an_error_that_names_file_and_entry(changes, message):
    with pytest.raises(CardError) as error:
        parse_card(text_of(**changes), "mine.md")
    assert "mine.md" in str(error.value)
    assert message in str(error.value)


def test_class_names_of_a_card_hold_for_binary_tasks_without_their_own():
    own = {"kind": "binary", "class_names": ["stays out", "crosses"]}
    tasks = {"pKi": {}, "active": {"kind": "binary"}, "bare": own}
    found = parse_card(text_of(class_names=["inactive", "active"], tasks=tasks), "mine.md")
    assert [task.class_names for task in found.tasks] == [(), ("inactive", "active"), ("stays out", "crosses")]


def test_labels_of_quantum_tasks_are_computed_unless_the_card_says_otherwise():
    tasks = {
        "pKi": {"domain": "biological"},
        "gap": {"domain": "quantum"},
        "ionization": {"domain": "quantum", "computed": False},
        "logp": {"domain": "physicochemical", "computed": True},
    }
    sources = [{"location": "file:mine.csv"}]
    found = parse_card(text_of(tasks=tasks, sources=sources), "mine.md")
    assert [task.obtained for task in found.tasks] == ["measured", "computed", "measured", "computed"]


def test_each_source_has_its_own_locations_hashes_columns_and_splits():
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


def test_a_card_takes_its_rows_from_the_first_source_that_gives_them():
    assert parse_card(text_of(sources=[PACKAGED, OFFICIAL]), "mine.md").rows == 100
    assert parse_card(text_of(), "mine.md").rows is None


GLOBS = {
    "gene-*": {"kind": "ordinal", "classes": 5, "count": 3, "domain": "transcriptomic", "description": "a gene"},
    "gene-7": {"description": "the one that counts"},
    "dose": {},
}


def test_a_name_with_a_star_stands_for_the_matching_columns_in_file_order():
    mine = parse_card(text_of(tasks=GLOBS, sources=[{"location": "file:x.csv", "smiles": "gene-smiles"}]), "mine.md")
    assert mine.n_tasks == 5
    found = expand_tasks(mine, ["gene-smiles", "gene-9", "dose", "gene-7", "gene-10", "gene-1"])
    assert [task.name for task in found.tasks] == ["gene-9", "gene-10", "gene-1", "gene-7", "dose"]
    assert [task.count for task in found.tasks] == [None] * 5
    assert found.n_tasks == 5
    assert found.tasks[0].id == "mine/gene-9"
    assert {(task.kind, task.classes, task.description) for task in found.tasks[:3]} == {("ordinal", 5, "a gene")}
    assert found.tasks[3].description == "the one that counts"


def test_a_star_that_matches_nothing_is_an_error_that_lists_the_columns():
    mine = parse_card(text_of(tasks=GLOBS, sources=[{"location": "file:x.csv"}]), "mine.md")
    with pytest.raises(CardError, match=r"mine: expected columns gene-\*, found smiles, dose, gene-7, Gene-1"):
        expand_tasks(mine, ["smiles", "dose", "gene-7", "Gene-1"])


def test_a_star_that_matches_an_unexpected_number_of_columns_is_a_warning():
    mine = parse_card(text_of(tasks=GLOBS, sources=[{"location": "file:x.csv"}]), "mine.md")
    with pytest.warns(UserWarning, match=r"mine: 2 columns match gene-\*, but the card says 3"):
        found = expand_tasks(mine, ["smiles", "dose", "gene-7", "gene-1", "gene-2"])
    assert found.n_tasks == 4


def test_a_column_with_a_star_in_its_own_name_is_taken_literally():
    mine = parse_card(text_of(tasks={"p[*]": {}}, sources=[{"location": "file:x.csv"}]), "mine.md")
    assert expand_tasks(mine, ["smiles", "p[*]", "p[x]"]) == mine


def test_expanding_a_card_without_a_star_changes_nothing():
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
def test_an_unknown_name_is_an_error_that_lists_known_names_and_the_nearest(ask):
    with pytest.raises(CardError) as error:
        ask("b3bd")
    assert "Unknown dataset 'b3bd'. Did you mean 'b3db'?" in str(error.value)
    assert all(name in str(error.value) for name in cards().name)


def test_a_name_unlike_any_other_gets_no_hint():
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


def test_a_users_mix_prefers_cards_beside_it_to_shipped_ones(tmp_path):
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


def test_the_prose_of_a_card_is_rendered_without_scripts_images_or_unsafe_links():
    card_text = text_of().split("Prose.")[0] + PROSE
    shown = parse_card(card_text, "mine.md")._repr_html_()
    for part in ("<h1>How</h1>", "<strong>Made</strong>", "<code>care</code>", "<td>1</td>", "<li>"):
        assert part in shown
    assert '<a href="https://example.org/a">paper</a>' in shown
    assert "<script>" not in shown
    assert "<img" not in shown
    assert set(re.findall(r"href=[\"']([a-z]+):", shown)) == {"https"}


def test_the_html_of_a_card_takes_its_colours_from_the_notebook():
    shown = card("qm9")._repr_html_()
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


def test_a_star_is_one_row_of_html_with_its_number_of_columns():
    shown = card("pcba_1328")._repr_html_()
    assert "<summary>1,328 tasks</summary>" in shown
    assert shown.count("pcba_1328/assayID-*") == 1
    assert "<td>1328</td>" in shown


def test_the_command_renders_the_prose_on_a_terminal_but_not_in_a_pipe(monkeypatch):
    piped = CliRunner().invoke(cli.app, ["cards", "tox21"]).stdout
    assert card("tox21").text in piped
    assert "rows: 7,831\n" in piped
    monkeypatch.setenv("FORCE_COLOR", "1")
    rendered = CliRunner().invoke(cli.app, ["cards", "tox21"]).stdout
    assert "Known problems, with counts." in rendered
    assert "**Known problems" not in rendered


def test_the_table_of_a_card_has_one_row_per_task():
    expected = pd.DataFrame(
        [
            ("mine/pKi", 1, "graph", "regression", "log10", "biological", ""),
            ("mine/active", 1, "graph", "binary", "", "", ""),
            ("mine/bare", 1, "graph", "regression", "", "", ""),
        ],
        columns=["task", "columns", "level", "kind", "unit", "domain", "description"],
    )
    pd.testing.assert_frame_equal(parse_card(text_of(), "mine.md").table(), expected)


def test_the_table_of_a_card_with_a_star_has_the_numbers_of_columns_and_classes():
    table = card("l1000_vcap").table()
    assert table.loc[0, ["task", "columns", "kind"]].tolist() == ["l1000_vcap/geneID-*", 978, "ordinal, 5 classes"]


@pytest.mark.parametrize(
    ("name", "rows", "n_tasks", "levels", "kinds", "domains"),
    [
        ("qm9", 133_885, 19, {"graph"}, {"regression"}, {"quantum"}),
        ("tox21", 7_831, 12, {"graph"}, {"binary"}, {"biological"}),
        ("zinc12k", 12_000, 3, {"graph"}, {"regression"}, {"physicochemical"}),
        ("l1000_vcap", 15_220, 978, {"graph"}, {"ordinal"}, {"transcriptomic"}),
        ("l1000_mcf7", 11_622, 978, {"graph"}, {"ordinal"}, {"transcriptomic"}),
        ("pcba_1328", 1_563_664, 1_328, {"graph"}, {"binary"}, {"biological"}),
        ("pcqm4m_g25_n4", 3_810_323, 25 + 4, {"graph", "node"}, {"regression"}, {"quantum"}),
        ("pm6_83m", 83_746_835, 62 + 7, {"graph", "node"}, {"regression"}, {"quantum"}),
    ],
)
def test_the_published_datasets_have_their_published_rows_and_tasks(name, rows, n_tasks, levels, kinds, domains):
    found = card(name)
    assert (found.rows, found.n_tasks, found.split) == (rows, n_tasks, "official")
    assert {task.level for task in found.tasks} == levels
    assert {task.kind for task in found.tasks} == kinds
    assert {task.domain for task in found.tasks} == domains
    assert all(task.classes == 5 for task in found.tasks if task.kind == "ordinal")


@pytest.mark.parametrize(
    ("name", "members", "n_tasks"),
    [
        ("toymix", ["qm9", "tox21", "zinc12k"], 34),
        ("largemix", ["l1000_vcap", "l1000_mcf7", "pcba_1328", "pcqm4m_g25_n4"], 3_313),
        ("ultralarge", ["pm6_83m"], 69),
    ],
)
def test_the_published_mixes_have_their_published_datasets(name, members, n_tasks):
    assert [member.name for member in datasets_of(name)] == members
    assert card(name).split == "official"
    assert cards().set_index("name").tasks[name] == n_tasks


def test_every_task_of_a_shipped_card_has_a_domain_and_a_description():
    tasks = [task for name in cards().name for task in card(name).tasks]
    assert not [task.id for task in tasks if task.domain is None or not task.description]


def test_every_shipped_card_names_licence_citation_and_limitations():
    for name in cards().name:
        found = card(name)
        assert found.license, name
        assert found.citation, name
        assert found.datasets or "**Limitations.**" in found.text, name


def test_official_split_files_lie_beside_their_tables():
    for name in ("qm9", "tox21", "zinc12k", "l1000_vcap", "l1000_mcf7", "pcba_1328", "pcqm4m_g25_n4", "pm6_83m"):
        source = card(name).sources[0]
        places = [[place.rsplit("/", 1)[0] for place in group] for group in (source.locations, source.splits)]
        assert places[0] == places[1], name


@pytest.mark.parametrize("name", ["l1000_vcap", "l1000_mcf7", "pcba_1328", "pcqm4m_g25_n4", "pm6_83m"])
def test_the_split_sizes_in_the_prose_add_up_to_the_rows(name):
    found = card(name)
    header, sizes = re.search(r"\| (train \|.*) \|\n\|[-|]+\n\| (.*) \|", found.text).groups()
    numbers = [int(size.replace(",", "")) for size in sizes.split(" | ")]
    assert sum(numbers) == found.rows
    expected = ["train", "val", "test"] + ["test_seen"] * (name.startswith("l1000") or name == "pcba_1328")
    assert header.split(" | ") == expected


UNITS = {
    "qm9": {
        **dict.fromkeys(["A", "B", "C"], "GHz"),
        **dict.fromkeys(["homo", "lumo", "gap", "zpve", "u0", "u298", "h298", "g298"], "hartree"),
        **dict.fromkeys(["u0_atom", "u298_atom", "h298_atom", "g298_atom"], "kcal/mol"),
        **{"mu": "debye", "alpha": "bohr^3", "r2": "bohr^2", "cv": "cal/mol/K"},
    },
    "pcqm4m_g25_n4": {"alpha_homo": "eV", "energy_total": "eV", "charges_lowdin": "e", "spherocity": None},
    "zinc12k": {"SA": None, "logp": None, "score": None},
}


@pytest.mark.parametrize("name", UNITS)
def test_tasks_of_the_published_datasets_have_their_units(name):
    units = {task.name: task.unit for task in card(name).tasks}
    assert {task: units[task] for task in UNITS[name]} == UNITS[name]


def test_pcqm4m_names_its_columns_in_file_order_including_a_misspelling():
    found = card("pcqm4m_g25_n4")
    columns = [found.sources[0].column(task.name) for task in found.tasks]
    assert columns == [f"graph_{task.name}" for task in found.tasks[:25]] + [f"node_{t.name}" for t in found.tasks[25:]]
    assert [task.level for task in found.tasks] == ["graph"] * 25 + ["node"] * 4
    inertia = [column for column in columns if "charges" in column and column.startswith("graph")]
    assert inertia == [
        *["graph_inertia_charges_mulliken_a", "graph_inertia_charges_mullkien_b", "graph_inertia_charges_mulliken_c"],
        *["graph_inertia_charges_lowdin_a", "graph_inertia_charges_lowdin_b", "graph_inertia_charges_lowdin_c"],
    ]


def test_atomization_energies_of_packaged_qm9_match_the_published_ones_of_methane():
    official, packaged = card("qm9").sources
    energies = {"u0_atom": -40.47893, "u298_atom": -40.476062, "h298_atom": -40.475117, "g298_atom": -40.498597}
    published = {"u0_atom": -395.9999, "u298_atom": -398.6436, "h298_atom": -401.0149, "g298_atom": -372.4721}
    for task, energy in energies.items():
        how = packaged.atomization[task]
        computed = (energy - how.atoms["C"] - 4 * how.atoms["H"]) * how.factor
        assert computed == pytest.approx(published[task], abs=5e-4)
    assert {task for task, column in packaged.columns.items() if column is None} == set(energies)
    assert not packaged.splits
    assert official.splits


def test_the_card_of_packaged_qm9_agrees_with_the_build_of_qm9_mini():
    minimix = pytest.importorskip("molfm.minimix.build")
    packaged = card("qm9").sources[1]
    assert {column: task for task, column in packaged.columns.items() if column} == minimix.QM9_COLUMNS
    for task, how in packaged.atomization.items():
        assert how.atoms == minimix.ATOM_ENERGIES[task.removesuffix("_atom")]
        assert how.factor == minimix.HARTREE_IN_KCAL
        assert minimix.QM9_COLUMNS[how.column] == task.removesuffix("_atom")
    requirement, sha256 = minimix.QM9
    assert packaged.locations[0].startswith(f"pypi:{requirement}#")
    assert packaged.sha256 == sha256


def test_reading_a_card_never_imports_torch():
    code = "import sys, molfm; from molfm.catalog.croissant import to_croissant; molfm.cards(), molfm.card('qm9')._repr_html_(), to_croissant(molfm.card('toymix'))"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


def test_two_datasets_of_one_name_in_a_mix_are_an_error(make_card, tmp_path):
    table = pd.DataFrame({"smiles": ["C"], "y": [1.0]})
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        make_card("twin", table, {"y": None}, tmp_path / folder)
    mix = tmp_path / "mix.md"
    mix.write_text("---\nname: mix\ndatasets: [one/twin.md, other/twin.md]\n---\n")
    with pytest.raises(CardError, match="mix: 2 of its datasets have the name 'twin'"):
        datasets_of(mix)


def test_paths_in_the_card_of_a_mix_start_at_its_folder(make_card, tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    make_card("mine", pd.DataFrame({"smiles": ["C"], "y": [1.0]}), {"y": None}, tmp_path / "below")
    mix = tmp_path / "mix.md"
    mix.write_text("---\nname: mix\ndatasets: [below/mine.md, b3db]\n---\n")
    monkeypatch.chdir("/")
    assert [item.name for item in datasets_of(mix)] == ["mine", "b3db"]


def test_a_mix_in_a_mix_is_an_error(tmp_path):
    mix = tmp_path / "mix.md"
    mix.write_text("---\nname: mix\ndatasets: [minimix]\n---\n")
    with pytest.raises(CardError, match="found 'minimix', which is a mix"):
        datasets_of(mix)
