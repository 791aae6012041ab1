"""The sketcher in a real browser, with a module in the place of OpenChemLib: what is drawn becomes the query."""

import hashlib

import pytest
from molfm.widgets import MoleculeBrowser, scripts
from pages import violations

from molfm.catalog.http import DownloadError

# Stands in for OpenChemLib: a molecule is its SMILES, and clicking the editor draws phenol.
EDITOR = """
export class Molecule {
  static fromSmiles(text) { if (text === "bad") throw new Error("bad"); return new Molecule(text); }
  constructor(text) { this.text = text; this.fragment = false; }
  setFragment(fragment) { this.fragment = fragment; }
  getAllAtoms() { return this.text.length; }
  getCompactCopy() { return Object.assign(new Molecule(this.text), { fragment: this.fragment }); }
  toIsomericSmiles({ createSmarts = false } = {}) { return createSmarts ? this.text.replace("O", "[#8]") : this.text; }
}
export class CanvasEditor {
  constructor(place) {
    this.molecule = new Molecule("");
    this.canvas = place.appendChild(document.createElement("canvas"));
    this.canvas.onclick = () => { this.molecule.text = "Oc1ccccc1"; this.changed(); };
  }
  setOnChangeListener(listener) { this.changed = listener; }
  setMolecule(molecule) { this.molecule = molecule; }
  getMolecule() { return this.molecule; }
  destroy() { this.canvas.remove(); }
}
"""


@pytest.fixture
def with_editor(own_home, monkeypatch):
    content = EDITOR.encode()
    location = scripts.SCRIPTS["openchemlib"][0]
    monkeypatch.setitem(scripts.SCRIPTS, "openchemlib", (location, hashlib.sha256(content).hexdigest()))
    (own_home / "raw" / "openchemlib").mkdir(parents=True)
    (own_home / "raw" / "openchemlib" / "openchemlib.js").write_bytes(content)


def test_a_drawing_becomes_a_substructure_or_a_similarity_search(page, toy, live, with_editor):
    browser = MoleculeBrowser(toy)
    asked = live(browser)
    page.get_by_role("button", name="Draw").click()
    find = page.get_by_role("button", name="Find molecules with it")
    assert find.is_disabled()
    page.locator(".molfm-editor canvas").click()
    assert page.get_by_label("SMILES", exact=True).input_value() == "Oc1ccccc1"
    assert violations(page) == []
    find.click()
    page.get_by_text("2 of 42 molecules").wait_for()  # phenol and anisole
    assert (browser.view["way"], browser.view["query"]) == ("substructure", "[#8]c1ccccc1")
    page.get_by_role("button", name="Draw").click()  # begins with the query
    page.get_by_label("SMILES", exact=True).fill("OCC")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Find similar molecules").click()
    page.get_by_text("similarity 1.00").first.wait_for()
    assert (browser.view["way"], browser.view["query"]) == ("similarity", "OCC")
    assert asked.count("editor") == 1


def test_a_smiles_that_the_editor_cannot_read_is_told_and_escape_closes(page, toy, live, with_editor):
    live(MoleculeBrowser(toy))
    page.get_by_role("button", name="Draw").click()
    page.get_by_label("SMILES", exact=True).fill("bad")
    page.keyboard.press("Enter")
    page.get_by_text("The editor cannot read the SMILES “bad”.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.get_by_text("42 of 42 molecules").wait_for()


def test_without_a_network_the_dialog_says_why_and_the_rest_works(page, toy, live, monkeypatch):
    def refuse(*_, **__):
        raise DownloadError("Could not get openchemlib. Place by hand.")

    monkeypatch.setattr(scripts, "fetch", refuse)
    browser = MoleculeBrowser(toy)
    live(browser)
    page.get_by_role("button", name="Draw").click()
    page.get_by_text("The editor is not available. Could not get openchemlib. Place by hand.").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_label("Search by").select_option("substructure")
    page.get_by_label("Search", exact=True).fill("c1ccccc1")
    page.keyboard.press("Enter")
    page.get_by_text("7 of 42 molecules").wait_for()
    assert browser.errors == []
