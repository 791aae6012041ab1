import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.DataStructs import TanimotoSimilarity

import molfm
from molfm.explore import search as search_module
from molfm.explore.lookup import Lookup
from molfm.explore.search import near_names, search, way_of


@pytest.fixture(scope="module")
def lookup(toy):
    return Lookup(toy)


def found(lookup, text, way):
    return np.concatenate([hits.molecules for hits in search(lookup, text, way, np.arange(len(lookup.mix)))])


@pytest.mark.parametrize(
    "pattern", ["c1ccccc1", "[#8]", "C(=O)[OH]", "[r5]", "[CX3^2]", "[N+]", "C[C@H](N)C(=O)O", "C/C=C/C"]
)
def test_a_substructure_search_finds_what_rdkit_finds(lookup, pattern):
    query, everything = Chem.MolFromSmarts(pattern), lookup.smiles(np.arange(len(lookup.mix)))
    library = Chem.rdSubstructLibrary  # takes stereo into account, as the search does
    molecules = library.CachedSmilesMolHolder()
    for smiles in everything:
        molecules.AddSmiles(smiles)
    expected = sorted(library.SubstructLibrary(molecules).GetMatches(query, maxResults=-1))
    assert expected
    assert found(lookup, pattern, "substructure").tolist() == expected


def test_similarity_is_the_tanimoto_similarity_of_morgan_fingerprints(lookup):
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint
    query = make(Chem.MolFromSmiles("Oc1ccccc1C"))
    [hits] = search(lookup, "Cc1ccccc1O", "similarity", np.arange(len(lookup.mix)))
    expected = [TanimotoSimilarity(query, make(Chem.MolFromSmiles(smiles))) for smiles in lookup.smiles(hits.molecules)]
    np.testing.assert_allclose(hits.similarity, expected, rtol=1e-6)


def test_a_molecule_is_found_by_any_of_its_smiles_and_by_its_number(toy, lookup):
    [phenol] = found(lookup, "C1=CC=CC=C1O", "text")
    assert toy.molecules.smiles[phenol] == "Oc1ccccc1"
    assert found(lookup, f"#{phenol}", "text").tolist() == [phenol]
    assert not len(found(lookup, "no such thing", "text"))


def test_a_molecule_is_found_by_a_part_of_its_name():
    mix = molfm.load("minimix", progress=False)
    lookup = Lookup(mix)
    hit = found(lookup, "BRIMONI", "text")
    assert "brimonidine" in lookup.names(hit)


def test_a_search_reports_its_progress(lookup, monkeypatch):
    monkeypatch.setattr(search_module, "CHUNK", 10)
    n = len(lookup.mix)
    checked = [hits.checked for hits in search(lookup, "[#6]", "substructure", np.arange(n))]
    assert checked == [*range(10, n, 10), n]


@pytest.mark.parametrize(
    ("text", "way", "message"),
    [
        ("c1cc(", "substructure", "not a valid SMARTS"),
        ("c1cc(", "similarity", "not a valid SMILES"),
        ("C", "sound", "text, substructure, similarity"),
    ],
)
def test_an_invalid_search_is_an_error_at_once(lookup, text, way, message):
    with pytest.raises(ValueError, match=message):
        search(lookup, text, way, np.arange(3))


@pytest.mark.parametrize(
    ("text", "way"),
    [
        *[(text, "text") for text in ("aspirin", "#12", "CCO", "c1ccncc1", "1,2-dichloroethane", "50-00-0", "coc", "")],
        *[
            (text, "substructure")
            for text in ("[NX3;H2]", "[#8]", "c1ccc[n,o]c1", "*C(=O)O", "C~C", "[r5]", "n1cncc1!@C")
        ],
    ],
)
def test_the_form_of_a_text_says_how_to_search(text, way):
    assert way_of(text) == way


def test_a_misspelt_name_has_near_names():
    *_, names = near_names(Lookup(molfm.load("minimix", progress=False)), "caffiene")
    assert names[0] == "Caffeine"
