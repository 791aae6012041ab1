import json

import pytest
from typer.testing import CliRunner

import molfm
from molfm.app import cli
from molfm.catalog.croissant import CONTEXT, to_croissant
from molfm.catalog.parse import parse_card
from molfm.catalog.shipped import card, expand_tasks

RECOMMENDED = {"https://schema.org/datePublished", "https://schema.org/version"}  # no card has them
WHEEL = "mine-1.0-py3-none-any.whl"


def described(*sources, tasks="{y: {unit: eV, description: a number}}", name="mine"):
    """Return the Croissant of a card with these sources, each a YAML flow mapping."""
    text = "\n".join(f"  - {source}" for source in sources)
    return to_croissant(parse_card(f"---\nname: {name}\nsources:\n{text}\ntasks: {tasks}\n---\nMine.\n", "mine.md"))


def files(croissant):
    return {file["@id"]: file for file in croissant["distribution"]}


def columns(croissant, record):
    [found] = [found for found in croissant["recordSet"] if found["@id"] == record]
    return {field["name"]: field["source"]["extract"]["column"] for field in found["field"]}


@pytest.mark.parametrize("name", molfm.cards().name)
def test_every_shipped_card_is_accepted_by_the_reference_validator(name):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed: pip install mlcroissant")
    issues = mlcroissant.Dataset(jsonld=to_croissant(card(name))).metadata.ctx.issues
    assert not issues.errors
    assert len(issues.warnings) == len(RECOMMENDED)
    assert all(any(text in warning for text in RECOMMENDED) for warning in issues.warnings)


def test_changing_the_returned_dictionary_does_not_change_the_context():
    to_croissant(card("tox21"))["@context"]["data"]["@id"] = "mine"
    assert to_croissant(card("tox21"))["@context"] == CONTEXT
    assert CONTEXT["data"]["@id"] == "cr:data"


def test_the_context_is_the_standard_one(caplog):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed: pip install mlcroissant")
    found = to_croissant(card("zinc12k"))
    mlcroissant.Dataset(jsonld=found)
    assert "not standard" not in caplog.text
    del found["@context"]["transform"]
    mlcroissant.Dataset(jsonld=found)
    assert "not standard" in caplog.text


def test_a_loader_that_knows_only_croissant_reads_the_rows(toy_card, toy_table):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed: pip install mlcroissant")
    path = toy_card.with_suffix(".json")
    path.write_text(json.dumps(to_croissant(card(toy_card))))
    rows = list(mlcroissant.Dataset(jsonld=path).records("toy"))
    assert [row["toy/smiles"].decode() for row in rows] == toy_table.smiles.tolist()
    assert rows[3]["toy/heavy"] == 2
    assert rows[9]["toy/heavy"] is None
    assert rows[3]["toy/element"] == [8, 6]
    assert rows[4]["toy/order"] == [1]


def test_the_croissant_has_the_facts_of_the_card():
    found = to_croissant(card("qm9_mini"))
    assert found["name"] == "qm9_mini"
    assert found["license"] == ["https://spdx.org/licenses/CC0-1.0"]
    assert found["citeAs"] == card("qm9_mini").citation
    assert found["url"] == card("qm9_mini").homepage
    assert card("qm9_mini").text in found["description"]
    assert found["keywords"] == ["molecules", "quantum", "graph", "node"]
    fields = {field["name"]: field for field in found["recordSet"][0]["field"]}
    assert fields["alpha"]["description"] == "isotropic polarizability (graph level, quantum, in bohr^3)"
    assert "isArray" not in fields["alpha"]
    assert fields["mulliken_charge"]["isArray"]


def test_a_licence_in_words_stays_as_it_is_written():
    assert to_croissant(card("tox21"))["license"] == ["see homepage"]


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://example.org/a/mine.csv", "https://example.org/a/mine.csv"),
        ("doi:10.5281/zenodo.7/mine.csv", "https://zenodo.org/records/7/files/mine.csv"),
        ("file:a/mine.csv", "a/mine.csv"),
        ("package:minimix/mine.csv", "minimix/mine.csv"),
    ],
)
def test_a_location_becomes_a_url_or_path(location, url):
    [file] = described(f"{{location: '{location}'}}")["distribution"]
    assert (file["@id"], file["contentUrl"], file["encodingFormat"]) == ("mine.csv", url, "text/csv")


def test_a_table_in_a_wheel_is_in_an_archive_whose_hash_is_known():
    found = described(f"{{location: 'pypi:mine==1.0#data/part*.csv', sha256: '{'1' * 64}'}}")
    archive, table = found["distribution"]
    assert archive["contentUrl"] == f"https://files.pythonhosted.org/packages/py3/m/mine/{WHEEL}"
    assert (archive["sha256"], archive["encodingFormat"]) == ("1" * 64, "application/zip")
    assert (table["@type"], table["includes"]) == ("cr:FileSet", "data/part*.csv")
    assert table["containedIn"] == {"@id": WHEEL}
    assert found["recordSet"][0]["field"][0]["source"]["fileSet"] == {"@id": f"{WHEEL}#data/part*.csv"}
    assert "isLiveDataset" not in found


def test_a_member_of_an_archive_has_the_hash_and_the_archive_has_none():
    found = described(f"{{location: 'doi:10.5281/zenodo.7/mine.zip#mine.csv', sha256: '{'1' * 64}'}}")
    archive, table = found["distribution"]
    assert archive["contentUrl"] == "https://zenodo.org/records/7/files/mine.zip"
    assert "sha256" not in archive
    assert (table["contentUrl"], table["containedIn"], table["sha256"]) == ("mine.csv", {"@id": "mine.zip"}, "1" * 64)


def test_shards_are_a_set_of_files_in_their_record():
    page, shards, splits = to_croissant(card("pm6_83m"))["distribution"]
    assert page["contentUrl"] == "https://zenodo.org/records/8427533"
    assert (shards["@type"], shards["includes"]) == ("cr:FileSet", "pm6_processed_*.parquet")
    assert shards["containedIn"] == {"@id": page["@id"]}
    assert splits["contentUrl"] == "https://zenodo.org/records/8427533/files/pm6_random_splits.pt"


def test_a_dataset_is_live_only_if_a_hash_is_unknown():
    known = described(f"{{location: 'https://example.org/mine.csv', sha256: '{'1' * 64}'}}")
    assert files(known)["mine.csv"]["sha256"] == "1" * 64
    assert "isLiveDataset" not in known
    assert described("{location: 'https://example.org/mine.csv'}")["isLiveDataset"]


def test_the_hash_of_a_file_on_this_disk_is_computed(toy_card):
    [file] = to_croissant(card(toy_card))["distribution"]
    assert len(file["sha256"]) == 64


def test_other_locations_of_a_table_are_named():
    [table, _] = described("{location: [https://a.org/mine.csv, https://b.org/mine.csv], splits: https://a.org/s.pt}")[
        "distribution"
    ]
    assert table["contentUrl"] == "https://a.org/mine.csv"
    assert table["sameAs"] == ["https://b.org/mine.csv"]


def test_the_split_file_is_part_of_the_distribution():
    file = files(to_croissant(card("tox21")))["Tox21_random_splits.pt"]
    assert file["contentUrl"].endswith("/Small-dataset/Tox21_random_splits.pt")
    assert "row numbers" in file["description"]


def test_each_source_is_a_record_set_with_the_columns_that_it_has():
    found = to_croissant(card("qm9"))
    official, packaged = columns(found, "qm9"), columns(found, "qm9-2")
    assert (official["smiles"], official["homo"], official["u0_atom"]) == ("smiles", "homo", "u0_atom")
    assert len(official) == 1 + 19
    assert (packaged["smiles"], packaged["homo"]) == ("SMILES", "HOMO_au")
    assert len(packaged) == 1 + 15  # the atomization energies are computed, not read


def test_columns_behind_a_star_are_counted_and_become_fields_once_they_are_known():
    found = to_croissant(card("l1000_vcap"))
    assert columns(found, "l1000_vcap") == {"smiles": "SMILES"}
    assert "geneID-*: 978 columns" in found["recordSet"][0]["description"]
    assert "classes 0 to 4 in order" in found["recordSet"][0]["description"]
    with pytest.warns(UserWarning, match="the card says 978"):
        expanded = expand_tasks(card("l1000_vcap"), ["SMILES", "geneID-16", "geneID-23"])
    assert set(columns(to_croissant(expanded), "l1000_vcap")) == {"smiles", "geneID-16", "geneID-23"}


def test_published_misspellings_stay_columns():
    found = columns(to_croissant(card("pcqm4m_g25_n4")), "pcqm4m_g25_n4")
    assert found["inertia_charges_mullkien_b"] == "graph_inertia_charges_mullkien_b"


def test_a_mix_has_the_record_sets_and_files_of_all_its_datasets():
    found = to_croissant(card("toymix"))
    assert [record["@id"] for record in found["recordSet"]] == ["qm9", "qm9-2", "tox21", "zinc12k"]
    members = [file for name in ("qm9", "tox21", "zinc12k") for file in files(to_croissant(card(name)))]
    assert members == list(files(found))
    assert found["license"] == ["https://spdx.org/licenses/CC0-1.0", "see homepage"]


def test_names_with_spaces_and_slashes_make_valid_identifiers():
    found = described("{location: file:mine.csv}", tasks="{'p Ki/50%': {}}")
    assert found["recordSet"][0]["field"][1]["@id"] == "mine/p%20Ki/50%25"
    assert columns(found, "mine")["p Ki/50%"] == "p Ki/50%"


def test_the_command_prints_the_croissant_of_a_card():
    done = CliRunner().invoke(cli.app, ["cards", "toymix", "--croissant"])
    assert json.loads(done.stdout) == to_croissant(card("toymix"))


def test_the_command_asks_which_card_if_none_is_named():
    done = CliRunner().invoke(cli.app, ["cards", "--croissant"])
    assert done.exit_code == 2
    assert "molfm cards b3db --croissant" in done.stderr
