"""The widgets' Python half, without a browser: what they answer, what they refuse, what they tell."""

import gzip
import json
import re
import subprocess
import sys
import zlib
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import traitlets
from molfm.widgets import (
    EmbeddingMap,
    LabelAtlas,
    Molecule3D,
    MoleculeBrowser,
    Selection,
    TrainingLab,
    TransferExplorer,
    link,
    molecule3d,
)
from molfm.widgets import atlas as atlas_module
from molfm.widgets import browser as browser_module
from molfm.widgets import lab as lab_module
from molfm.widgets import map as map_module
from molfm.widgets import transfer as transfer_module
from molfm.widgets.shared import SHARED, packed
from rdkit import Chem

import molfm
from molfm.chem.conformers import conformer
from molfm.explore.label_map import LabelMap
from molfm.explore.lookup import Lookup
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def browser(toy):
    return MoleculeBrowser(toy)


@pytest.fixture
def atlas(toy):
    return LabelAtlas(toy)


@pytest.fixture
def sent(monkeypatch):
    """What widgets send to the browser: (content, buffers)."""
    messages = []
    for widget in (MoleculeBrowser, LabelAtlas):
        monkeypatch.setattr(widget, "send", lambda _, content, buffers=None: messages.append((content, buffers)))
    return messages


def asked(widget, sent, ask, **args):
    """Send a widget the question that its JavaScript would, and return the answer with its buffers."""
    widget._asked(widget, {"id": "1", "ask": ask, "args": args}, [])
    return sent.pop()


def found(browser, **view):
    while not (answer := browser.answer_find(view))["done"]:
        pass
    assert not answer["problem"]
    assert answer["n"] == len(browser._finder.found)
    return browser._finder.found


# ---------------------------------------------------------------------------------------------------------- all widgets


@pytest.mark.parametrize("widget", [MoleculeBrowser, LabelAtlas, EmbeddingMap])
def test_an_unknown_setting_is_an_error_with_a_hint(toy, widget):
    with pytest.raises(TypeError, match=rf"{widget.__name__} has no setting 'dat'. Did you mean 'data'\?"):
        widget(toy, dat=1)


@pytest.mark.parametrize("widget", [MoleculeBrowser, LabelAtlas, EmbeddingMap])
def test_what_is_no_mix_is_refused_with_what_to_do(widget):
    with pytest.raises(TypeError, match=r"expected the result of molfm.load, found str"):
        widget("minimix")


@pytest.mark.parametrize("widget", [MoleculeBrowser, LabelAtlas, EmbeddingMap])
def test_little_is_synced(toy, widget):
    synced = {name for name in widget(toy).traits(sync=True) if not name.startswith("_")}
    assert synced == {"view", "chosen", "layout", "tabbable", "tooltip"}


@pytest.mark.parametrize("widget", [MoleculeBrowser, LabelAtlas, TrainingLab, EmbeddingMap, TransferExplorer])
def test_a_module_declares_every_name_once_and_imports_nothing(widget):
    module = str(widget._esm)
    names = re.findall(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", module, re.MULTILINE)
    assert len(names) > 40
    assert [name for name in set(names) if names.count(name) > 1] == []
    assert module.count("export default { render };") == 1
    assert not re.search(r"^\s*import |import\((?!address\))|https?://(?!www\.w3\.org)", module, re.MULTILINE)
    assert ".innerHTML" not in module


def test_every_script_is_part_of_a_widget_says_what_it_is_for_and_is_short():
    scripts = {path.name.removesuffix(".js"): path for path in files("molfm.widgets").iterdir() if path.suffix == ".js"}
    parts = (atlas_module, browser_module, lab_module, map_module, molecule3d, transfer_module)
    assert set(scripts) == {*SHARED["js"], *(name for part in parts for name in part.SCRIPTS)}
    for name, path in scripts.items():
        lines = path.read_text("utf-8").splitlines()
        assert lines[0].startswith("// "), name
        assert len(lines) <= 200, name


def test_arrays_travel_as_buffers_and_never_as_lists():
    buffers = []
    answer = packed({"a": np.arange(3, dtype=np.uint16), "b": [1, {"c": np.zeros((2, 2), np.float32)}]}, buffers)
    assert answer["a"] == {"$buffer": 0, "dtype": "uint16", "shape": [3]}
    assert answer["b"][1]["c"] == {"$buffer": 1, "dtype": "float32", "shape": [2, 2]}
    assert [len(buffer) for buffer in buffers] == [6, 16]


def test_a_failing_answer_is_told_in_the_browser_and_in_python(browser, sent):
    with pytest.raises(IndexError):
        asked(browser, sent, "detail", molecule=10**6)
    [(content, _)] = sent
    assert content["error"].startswith("IndexError")
    assert "IndexError" in browser.errors[-1]


def test_a_failure_in_the_browser_is_told_in_python(browser):
    with pytest.raises(RuntimeError, match=r"Error in the browser: TypeError: x is null"):
        browser._asked(browser, {"failed": "TypeError: x is null"}, [])
    assert browser.errors == ["Error in the browser: TypeError: x is null"]


def test_a_selection_is_sorted_checked_and_told(atlas):
    atlas.selection = Selection([5, 2, 2], ["heavy"])
    assert atlas.selection.molecules.tolist() == [2, 5]
    assert atlas.selection.tasks == ("toy/heavy",)
    assert atlas.chosen == {
        "molecules": 2,
        "tasks": ["toy/heavy"],
        "checksum": zlib.crc32(np.array([2, 5], np.int32)),
        "earlier": 1,
    }
    with pytest.raises(traitlets.TraitError, match="from 0 to"):
        atlas.selection = Selection([10**6])


def test_another_selection_of_the_same_size_is_told(toy, atlas):
    browser, told = atlas.browse(), []
    browser.observe(lambda change: told.append(change.new), "chosen")
    for molecules in ([2, 5], [3, 4], [4, 3]):
        atlas.selection = Selection(molecules, ["heavy"])
        assert found(browser, **browser.view).tolist() == sorted(molecules)
    assert len(told) == 2
    assert told[0] != told[1]


def test_undo_brings_back_the_selections_before_one_by_one(atlas):
    for molecules in ([1, 2], [3], []):
        atlas.selection = Selection(molecules)
    assert [(atlas.answer_undo()["molecules"], atlas.chosen["earlier"]) for _ in range(4)] == [
        (1, 2),
        (2, 1),
        (0, 0),
        (0, 0),
    ]


def test_linked_widgets_share_their_selection_and_other_molecules_cannot_be_linked(toy, atlas, browser):
    link(atlas, browser)
    browser.selection = Selection([4])
    assert atlas.selection == browser.selection
    atlas.answer_undo()
    assert len(browser.selection) == 0
    other = LabelAtlas(molfm.load(pd.DataFrame({"smiles": ["C", "CC"], "y": [1.0, 2.0]}), tasks=["y"], progress=False))
    with pytest.raises(ValueError, match=r"widgets of one mix"):
        link(atlas, other)


def test_linked_widgets_have_one_selection(toy, atlas):
    browser = atlas.browse()
    atlas.answer_select(["toy/oxygen"], 0, len(toy), every=False)
    assert browser.selection is atlas.selection or browser.selection == atlas.selection
    assert found(browser, **browser.view).tolist() == atlas.selection.molecules.tolist()
    browser.answer_select(on=False)
    assert len(atlas.selection) == 0


def test_a_saved_notebook_has_a_form_without_scripts_in_an_output_of_its_own(browser, atlas, monkeypatch):
    shown = []
    monkeypatch.setattr("molfm.widgets.shared.display", lambda data, **_: shown.append(data))
    browser._ipython_display_()
    atlas._ipython_display_()
    widget, form, _, table = shown
    assert "application/vnd.jupyter.widget-view+json" in widget and "text/html" not in widget
    assert form["text/html"].count("<svg") == 8 and "<script" not in form["text/html"]
    assert "toy/oxygen" in table["text/html"]


@pytest.mark.parametrize("widget", [MoleculeBrowser, LabelAtlas, EmbeddingMap])
def test_the_static_page_needs_nothing_else_and_names_are_text_in_it(make_card, tmp_path, widget):
    table = pd.DataFrame({"smiles": ["CO", "CC"], "name": [HOSTILE, "</script>"], "y<b>": [1.0, 2.0]})
    data = molfm.load(make_card("hostile", table, {"y<b>": {}}), progress=False)
    widget(data).to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page == widget(data).to_html()
    assert page.count("</script>") == 2
    assert HOSTILE not in page
    assert "<b>" not in page.partition("<main")[2]
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?https?:""", page)


def test_the_static_page_holds_no_more_than_it_has_room_for(atlas):
    small, all_of_it = atlas.to_html(max_bytes=3_000), atlas.to_html()
    assert len(all_of_it) - len(small) > 2_000
    assert '"complete": false' in small
    assert '"complete": true' in all_of_it


# ------------------------------------------------------------------------------------------------------ MoleculeBrowser


def test_a_page_is_bounded_and_says_what_is_measured(toy, browser, sent):
    found(browser)
    content, buffers = asked(browser, sent, "page", start=0, stop=10**6, tasks=["heavy"])
    rows = content["answer"]["rows"]
    assert len(rows) == min(60, len(toy))
    heavy = toy.labels("heavy")
    assert [row["labels"][0] for row in rows] == [None if np.isnan(v) else v for v in heavy[: len(rows)]]
    assert json.dumps(content, allow_nan=False)
    assert not buffers


def test_filters_search_and_sort_give_the_molecules_they_say(toy, browser):
    heavy, oxygen = toy.labels("heavy").to_numpy(), toy.labels("oxygen").to_numpy()
    measured = {"task": "heavy", "presence": "measured"}
    assert found(browser, filters=[measured]).tolist() == np.flatnonzero(np.isfinite(heavy)).tolist()
    assert (
        found(browser, filters=[measured | {"presence": "unmeasured"}]).tolist()
        == np.flatnonzero(np.isnan(heavy)).tolist()
    )
    assert (
        found(browser, filters=[measured | {"min": 3, "max": 5}]).tolist()
        == np.flatnonzero((heavy >= 3) & (heavy <= 5)).tolist()
    )
    assert found(browser, way="substructure", query="[#8]").tolist() == np.flatnonzero(oxygen).tolist()
    assert (
        found(browser, split="test").tolist() == np.flatnonzero(toy.molecules[f"split:{toy.name}"] == "test").tolist()
    )
    for descending in (False, True):
        order = heavy[found(browser, sort="heavy", descending=descending)]
        known = order[np.isfinite(order)]
        assert np.isnan(order[len(known) :]).all()
        assert (np.diff(known) * (-1 if descending else 1) >= 0).all()


def test_the_most_similar_molecule_is_itself(toy, browser):
    first = found(browser, way="similarity", query="Oc1ccccc1")[0]
    [row] = browser.answer_page(0, 1)["rows"]
    assert toy.molecules.smiles[first] == row["smiles"] == "Oc1ccccc1"
    assert row["similarity"] == 1


def test_what_was_typed_wrongly_is_no_failure_of_the_widget(browser):
    answer = browser.answer_find({"way": "substructure", "query": "c1cc("})
    assert answer["done"]
    assert "not a valid SMARTS" in answer["problem"]
    assert browser.errors == []
    assert len(found(browser))


def test_a_long_search_comes_in_parts(toy, browser, monkeypatch):
    monkeypatch.setattr("molfm.explore.search.CHUNK", 5)
    monkeypatch.setattr("molfm.widgets.browser._SECONDS", 0)
    view, told = {"way": "substructure", "query": "[#8]"}, []
    while not (answer := browser.answer_find(view))["done"]:
        told.append(answer["checked"])
    assert len(told) > 5
    assert told == sorted(told)
    assert browser._finder.found.tolist() == np.flatnonzero(toy.labels("oxygen")).tolist()


def test_a_search_that_failed_midway_is_begun_anew(toy, browser, monkeypatch):
    def failing(*_):
        yield 1, 2
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(browser._finder, "_finding", failing)
        with pytest.raises(MemoryError):
            browser.answer_find({})
    assert len(found(browser)) == len(toy)


def test_a_detail_has_every_label_of_molecule_atoms_and_bonds(toy, browser):
    molecule = toy.molecules.index[toy.molecules.smiles == "Oc1ccccc1"][0]
    detail = browser.answer_detail(molecule)
    assert {row["task"]: row["measured"] for row in detail["labels"]}["toy/oxygen"] == 1
    [atoms], [bonds] = detail["node"], detail["edge"]
    assert atoms["measured"].tolist() == [8, 6, 6, 6, 6, 6, 6] == detail["elements"][:7].tolist()
    assert bonds["measured"].tolist() == detail["orders"][:7].tolist()


def test_predictions_stand_beside_labels_with_measured_intervals(toy, monkeypatch):
    monkeypatch.setattr("molfm.nn.uncertainty.MIN_LABELS", 4)  # the toy's validation split is small
    config = ModelConfig(hidden_channels=16, num_layers=1, dropout=0.2)
    models = [MultiTaskModel(config, toy.tasks, seed=seed) for seed in (0, 1)]
    for model in (models, models[0]):
        browser = MoleculeBrowser(toy, model)
        assert not browser.answer_detail(20)["calibrated"]
        while not browser.answer_calibrate()["done"]:
            pass
        detail = browser.answer_detail(20)
        assert detail["calibrated"]
        rows = {row["task"]: row for row in detail["labels"]}
        assert rows["toy/heavy"]["width"] > 0 and rows["toy/heavy"]["interval"]["n"] >= 4
        assert rows["toy/oxygen"]["predicted"] is not None and rows["toy/oxygen"]["width"] is None
        for level in ("node", "edge"):
            [item] = detail[level]
            assert len(item["predicted"]) == len(item["width"]) == len(item["measured"])


def test_molecules_are_sorted_by_predictions_errors_and_counts(toy):
    model = MultiTaskModel(ModelConfig(hidden_channels=16, num_layers=1), toy.tasks)
    browser, heavy = MoleculeBrowser(toy, model), toy.labels("heavy").to_numpy()
    predicted = model.predict(toy.molecules.smiles.tolist())["toy/heavy"].to_numpy()
    order = found(browser, sort="toy/heavy", by="predicted")
    assert (np.diff(predicted[order]) >= 0).all()
    order = found(browser, sort="toy/heavy", by="error", descending=True)
    errors = np.abs(predicted - heavy)[order]
    known = np.isfinite(errors)
    assert (np.diff(errors[known]) <= 0).all() and known[: known.sum()].all() and not known.all()
    labels = np.isfinite(heavy).astype(int) + 1  # of heavy, and oxygen of every molecule
    assert (np.diff(labels[found(browser, by="count", descending=True)]) <= 0).all()


def test_a_model_of_other_tasks_can_be_sorted_by_and_the_browser_says_so(toy):
    other = toy.tasks.assign(task=toy.tasks.task.str.replace("toy/", "other/"), dataset="other")
    browser = MoleculeBrowser(toy, MultiTaskModel(ModelConfig(hidden_channels=16, num_layers=1), other))
    about = browser.answer_about()
    assert "none of which this mix has" in about["note"]
    assert [task["known"] for task in about["predicted"]] == [False, False]
    assert len(found(browser, sort="other/heavy", by="predicted")) == len(toy)
    [row] = browser.answer_page(0, 1, ["other/heavy"])["rows"]
    assert row["labels"] == [None] and row["predicted"][0] is not None


def test_cards_show_measured_biology_first_and_count_the_labels_of_a_large_dataset():
    browser = MoleculeBrowser(molfm.load("minimix", progress=False))
    about = browser.answer_about()
    assert browser.view["chips"] == ["b3db/BBB", "b3db/logBB"]
    assert about["counted"] == {"of": 179, "what": "assays"}
    facts = {task["task"]: task for task in about["tasks"]}
    assert facts["b3db/BBB"]["classes"] == ["does not cross", "crosses"]
    assert (facts["b3db/logBB"]["obtained"], facts["xtb/gap"]["obtained"]) == ("measured", "computed")


def test_an_empty_result_says_how_the_text_was_read_and_names_like_it():
    browser = MoleculeBrowser(molfm.load("minimix", progress=False))

    def ask(query, **view):
        while not (answer := browser.answer_find({"query": query, **view}))["done"]:
            pass
        return answer

    assert ask("caffiene")["near"][0] == "Caffeine"
    assert ask("[NX3;H2]")["way"] == "substructure"
    answer = ask("CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC")
    assert (answer["n"], answer["asMolecule"]) == (0, True)
    assert ask("caffeine", filters=[{"task": "logBB", "presence": "measured", "min": 50}])["among"] == 0


def test_a_histogram_counts_every_labelled_molecule(toy, browser):
    for task in toy.chosen:
        answer = browser.answer_histogram(task.id)
        assert sum(answer["counts"]) == np.isfinite(Lookup(toy).column(toy.task_number(task.id))).sum()
    assert browser.answer_histogram("heavy")["ends"] == [1, 8]


def test_names_and_smiles_of_all_molecules_fit_into_the_static_page(toy, browser):
    lines = gzip.decompress(browser.answer_index()["lines"].tobytes()).decode().split("\n")
    assert [line.split("\t")[2] for line in lines] == toy.molecules.smiles.tolist()


def test_a_model_that_cannot_predict_is_refused(toy):
    with pytest.raises(TypeError, match="expected a model, a run or a list of them, found int"):
        MoleculeBrowser(toy, model=3)


def test_molecules_are_selected_one_by_one_and_all_at_once(browser):
    assert browser.answer_select(on=True, molecules=[4, 2])["molecules"] == 2
    assert browser.answer_marks([2, 3, 4])["marks"] == [True, False, True]
    found(browser, way="substructure", query="[#8]")
    browser.answer_select(on=True)
    browser.answer_select(on=False, molecules=[4])
    expected = ({*browser._finder.found.tolist()} | {2}) - {4}
    assert set(browser.selection.molecules.tolist()) == expected


# ----------------------------------------------------------------------------------------------------------- LabelAtlas


def test_a_tile_is_two_small_arrays(toy, atlas, sent):
    content, buffers = asked(atlas, sent, "tile", level=0, number=0)
    answer = content["answer"]
    shape = [len(toy), len(toy.chosen)]
    assert answer["done"]
    assert answer["share"] == {"$buffer": 0, "dtype": "uint16", "shape": shape}
    assert answer["mean"] == {"$buffer": 1, "dtype": "uint16", "shape": shape}
    share, mean = (np.frombuffer(buffer, np.uint16).reshape(shape) for buffer in buffers)
    about, of = atlas.answer_about(), LabelMap(toy)
    values = Lookup(toy).values(of.order)[:, of.tasks]
    assert ((share > 0) == np.isfinite(values)).all()
    assert ((mean > 0) == np.isfinite(values)).all()
    low, high = (np.array([task[name] for task in about["tasks"]]) for name in ("least", "most"))
    decoded = low + (mean - 1.0) / 65534 * (high - low)
    there = mean > 0
    clipped = np.clip(values, low, high)[there]  # outliers
    np.testing.assert_allclose(decoded[there], clipped, atol=float((high - low).max()) / 65534)


def test_a_label_too_rare_for_the_scale_is_still_seen(atlas, monkeypatch):
    rare = SimpleNamespace(
        start=0, per_row=10**6, share=np.array([[1e-7, 0]], np.float32), mean=np.array([[1, np.nan]], np.float32)
    )
    monkeypatch.setattr(atlas, "_tiles", {(None, 0, 0): (rare, None)})
    monkeypatch.setattr(atlas, "_resolved", (np.zeros(2), np.ones(2)))
    monkeypatch.setattr(atlas._map, "tasks", np.array([0, 1]))
    answer = atlas.answer_tile(0, 0)
    assert answer["share"].tolist() == [[1, 0]]
    assert answer["mean"].tolist() == [[65535, 0]]


def test_a_tile_that_takes_long_comes_in_parts(make_card, own_home, monkeypatch):
    monkeypatch.setattr("molfm.explore.label_map.BLOCK_CELLS", 10)
    monkeypatch.setattr("molfm.widgets.atlas._SECONDS", 0)
    table = pd.DataFrame({"smiles": ["C" * n for n in range(1, 41)], "y": np.arange(40.0)})
    atlas = LabelAtlas(molfm.load(make_card("alkanes", table, {"y": {}}), progress=False))
    parts = [atlas.answer_tile(0, 0)]
    while not parts[-1]["done"]:
        parts.append(atlas.answer_tile(0, 0))
    seen = [int((part["share"] > 0).sum()) for part in parts]
    assert seen == [10, 20, 30, 40, 40]


def test_a_region_of_the_picture_selects_its_labelled_molecules(toy, atlas):
    atlas.answer_select(["toy/heavy"], 0, 20, every=False)
    order = LabelMap(toy).order[:20]
    expected = sorted(order[toy.labels("heavy")[order].notna()].tolist())
    assert atlas.selection.molecules.tolist() == expected
    assert atlas.selection.tasks == ("toy/heavy",)


def test_everything_that_the_atlas_answers_is_json_without_nan(atlas, sent):
    for ask, args in atlas.questions():
        content, _ = asked(atlas, sent, ask, **args)
        json.dumps(content, allow_nan=False)


def test_a_million_molecules_are_looked_at_in_seconds_and_little_memory():
    command = [sys.executable, Path(__file__).parents[1] / "benchmarks" / "widgets.py", "--fast"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["molecules"] == 1_000_000
    assert found["seconds"]["whole"] < 30  # about two on an idle core
    assert found["seconds"]["single"] < 3
    assert found["peak_MB"] < 400
    assert found["bytes"] <= 256 * 100 * 4


# ------------------------------------------------------------------------------------------------------------ Molecule3D


def test_the_mol_block_of_a_conformer_is_the_molecule():
    for smiles in ("CC(=O)Oc1ccccc1C(=O)O", "C#N", "CCO.O"):
        block = molecule3d._mol_block(conformer(smiles))
        assert Chem.MolToSmiles(Chem.MolFromMolBlock(block)) == smiles


def test_a_molecule_in_3d_is_a_self_contained_cell_with_a_drawing_for_pages_without_scripts():
    page = Molecule3D("CCO", [0.1, -0.2, np.nan], "e</script>")._repr_html_()
    assert "<svg" in page and "showMolecule(" in page and '"values": [0.1, -0.2, null]' in page
    assert "e</script>" not in page
    assert "src=" not in re.sub(r"<script type='module'>.*", "", page, flags=re.S).replace("tag.src = uri", "")


def test_a_molecule_in_3d_says_what_is_wrong_with_its_input():
    with pytest.raises(ValueError, match="Invalid SMILES 'junk'"):
        Molecule3D("junk")
    with pytest.raises(ValueError, match="one value per heavy atom of CCO, 3, found 2"):
        Molecule3D("CCO", [1.0, 2.0])
