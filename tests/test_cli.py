import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import molfm
from molfm.app import cli
from molfm.base.errors import InputError
from molfm.catalog import download

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.fixture
def molfm_command(monkeypatch):
    """A function that runs a `molfm` command in this process, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


def succeeded(result):
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result):
    """Return the one line that a command prints when its input is bad."""
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("molfm: ")
    return line


def cells(out):
    """Return the rows of a printed table, each a list of texts."""
    rows = [[cell.strip() for cell in re.split("[│┃]", line)] for line in out.splitlines() if re.search("[│┃]", line)]
    return [row[1:-1] for row in rows]


# ------------------------------------------------------------------------------------------------------------------- cards


def test_cards_lists_every_card(molfm_command):
    rows = cells(succeeded(molfm_command("cards")))
    assert rows[0] == molfm.cards().columns.tolist()
    assert [row[0] for row in rows[1:] if row[0]] == molfm.cards().name.tolist()


def test_a_card_is_shown_with_its_licence_tasks_and_text(molfm_command):
    out, card = succeeded(molfm_command("cards", "b3db")), molfm.card("b3db")
    assert out.startswith(card.title)
    assert card.license in out
    assert card.text in out
    names = [row[0] for row in cells(out)]
    for task in card.tasks:
        assert task.id in names


def test_an_unknown_card_is_refused_in_one_line_that_suggests_the_nearest_name(molfm_command):
    line = refused(molfm_command("cards", "b3bd"))
    assert "Unknown dataset 'b3bd'. Did you mean 'b3db'?" in line
    assert all(name in line for name in molfm.cards().name)
    assert "Did you mean" not in refused(molfm_command("cards", "zzzzzz"))


def test_help_lists_every_command(molfm_command):
    out = succeeded(molfm_command("--help"))
    for name in ("cards", "prepare", "train", "transfer", "predict", "embed", "quickstart", "lab"):
        assert re.search(rf"\b{name}\b", out), name


# ------------------------------------------------------------------------------------------------------------------- fetch


def test_fetch_downloads_table_and_split_without_preparing_them(molfm_command, tmp_path, own_home, monkeypatch):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "t.csv").write_text("smiles,y\nCO,1\n")
    (mirror / "s.json").write_text('{"train": [0], "val": [], "test": []}')
    monkeypatch.setenv("MOLFM_MIRROR", str(mirror))
    source = "{location: https://example.invalid/t.csv, splits: https://example.invalid/s.json}"
    (tmp_path / "toy.md").write_text(f"---\nname: toy\nsplit: official\nsources: [{source}]\ntasks: {{y: {{}}}}\n---\n")
    out = succeeded(molfm_command("fetch", tmp_path / "toy.md"))
    assert [Path(row[2]).name for row in cells(out)[1:] if row[2]] == ["t.csv", "s.json"]
    assert not (download.home() / "prepared").exists()


def test_fetch_of_an_unknown_dataset_is_refused_in_one_line(molfm_command):
    assert "Did you mean 'tox21'?" in refused(molfm_command("fetch", "tox2"))


# ----------------------------------------------------------------------------------------------------------------- prepare


def test_prepare_shows_the_tasks_and_the_rejected_rows_of_a_table(molfm_command, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("structure,y,active,note\nCCO,1.5,1,a\nc1ccccc1,2.5,0,b\nC(C)(C)(C)(C)C,3,0,c\nCCN,,1,d\n")
    out = succeeded(molfm_command("prepare", path, "--smiles", "structure"))
    assert "Mix(mine: 3 molecules, 2 tasks of mine)" in out
    tasks = {row[0]: row for row in cells(out)[1:]}
    assert set(tasks) == {"mine/y", "mine/active"}
    assert sum(map(int, tasks["mine/y"][4:7])) == 2
    assert tasks["mine/active"][3] == "binary"
    assert re.search(r"Rejected rows\n.*\n\s*mine\s+2\s+C\(C\)\(C\)\(C\)\(C\)C\s+RDKit cannot parse this SMILES", out)


def test_a_table_without_the_smiles_column_is_refused_in_one_line(molfm_command, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("structure,y\nCCO,1.5\n")
    assert refused(molfm_command("prepare", path)) == ("molfm: mine.csv: no column 'smiles'. Found: structure, y.")


def test_a_missing_table_is_refused_in_one_line(molfm_command, tmp_path):
    assert f"There is no table at {tmp_path / 'none.csv'}" in refused(molfm_command("prepare", tmp_path / "none.csv"))


# ------------------------------------------------------------------------------------------------------- train and predict


def test_train_prints_the_test_results_and_the_run_folder(molfm_command, toy_card, own_home):
    words = ["--steps", 2, "--batch-size", 16, "--task", "toy/graph", "--task", "order", "--seed", 3, "--name", "mine"]
    out = succeeded(molfm_command("train", toy_card, *words, "--learning-rate", 0.002))
    run = molfm.Run("mine")
    assert f"Run folder: {run.folder}" in out.replace("\n", "")
    assert run.folder == own_home / "runs" / "mine"
    results = run.results.query("split == 'test'")
    rows = cells(out)
    assert rows[0] == ["task", "metric", "value", "unit", "n_labels", "undefined"]
    assert [row[:2] for row in rows[1:]] == results[["task", "metric"]].to_numpy().tolist()
    assert [float(row[2]) for row in rows[1:]] == pytest.approx(results.value.tolist(), rel=0.01)
    assert [int(row[4]) for row in rows[1:]] == results.n_labels.tolist()
    asked = {"steps": 2, "batch_size": 16, "seed": 3, "learning_rate": 0.002}
    assert {name: run.config[name] for name in asked} == asked
    assert run.config["tasks"] == ["toy/heavy", "toy/oxygen", "toy/order"]


def test_a_run_is_resumed_by_name_with_its_own_settings(molfm_command, toy, own_home):
    run = molfm.start(
        toy, epochs=100_000, validate_every=20, batch_size=16, hidden_channels=8, num_layers=1, name="mine"
    )
    run.stop()
    config = run.config
    (run.folder / "config.json").write_text(json.dumps(config | {"steps": run.status["step"] + 5}))
    out = succeeded(molfm_command("train", "--resume", "mine"))
    assert f"Run folder: {run.folder}" in out.replace("\n", "")
    assert run.status["state"] == "finished"
    assert len(cells(out)) - 1 == len(run.results.query("split == 'test'"))
    assert "cannot be resumed: it has finished" in refused(molfm_command("train", "--resume", "mine"))


def test_a_preset_sets_its_recipe_and_options_override_it(molfm_command, toy_card, own_home):
    words = ("--model", "toymix-gin", "--epochs", 1, "--batch-size", 16, "--name", "published")
    succeeded(molfm_command("train", toy_card, *words))
    config = molfm.Run("published").config
    recipe = molfm.preset("toymix-gin").recipe | {"epochs": 1, "batch_size": 16}
    assert {name: config[name] for name in recipe} == recipe
    assert (config["layer"], config["encoder"]) == ("gin", "features")


def test_train_fine_tunes_a_checkpoint(molfm_command, toy_card, toy_run, own_home):
    words = ["train", toy_card, "--from", toy_run.folder, "--layer-decay", 0.5, "--task", "heavy", "--steps", 1]
    succeeded(molfm_command(*words, "--freeze", 1, "--name", "tuned"))
    config = molfm.Run("tuned").config
    assert config["start_from"] == str(toy_run.folder / "model")
    assert (config["freeze"], config["layer_decay"], config["model"]) == (1, 0.5, "gine")
    assert "freeze=9" in refused(molfm_command(*words, "--freeze", 9))
    assert "found 'most'" in refused(molfm_command(*words, "--freeze", "most"))


def test_train_needs_either_data_or_a_run_to_resume(molfm_command, toy_card):
    for words in ([], [toy_card, "--resume", "toy"]):
        assert "Expected either data to train on, or --resume" in refused(molfm_command("train", *words))


def test_an_existing_run_name_and_an_unknown_task_are_refused_in_one_line(molfm_command, toy_card, toy_run):
    line = refused(molfm_command("train", toy_card, "--steps", 1, "--name", "toy"))
    assert "There is already a run at" in line
    assert "No task 'heavvy'" in refused(molfm_command("train", toy_card, "--task", "heavvy"))


def test_predict_prints_one_column_per_molecule_at_graph_level(molfm_command, toy_run):
    rows = cells(succeeded(molfm_command("predict", toy_run.folder, "CCO", "c1ccccc1")))
    found = toy_run.model.predict(["CCO", "c1ccccc1"])
    assert [row[0] for row in rows[1:]] == found.columns.tolist()
    assert rows[2] == ["smiles", "CCO", "c1ccccc1"]
    for row in rows[3:]:
        assert [float(value) for value in row[1:]] == pytest.approx(found[row[0]].tolist(), rel=0.01)


def test_predictions_and_embeddings_of_a_table_are_written_to_a_file(molfm_command, toy_run, tmp_path):
    table, out = tmp_path / "mine.csv", tmp_path / "p.parquet"
    table.write_text("name,structure\nethanol,CCO\nnothing,\nbenzene,c1ccccc1\n")
    assert "Add --out" in refused(molfm_command("predict", "toy", table, "--smiles", "structure"))
    assert "no column 'smiles'" in refused(molfm_command("predict", "toy", table, "--out", out))
    words = [table, "--smiles", "structure", "--out", out]
    done = molfm_command("predict", "toy", *words, "--task", "heavy", "--task", "oxygen")
    assert succeeded(done) and done.stderr.startswith("molfm: 1 of 3 SMILES have no prediction")
    found, expected = pd.read_parquet(out), toy_run.model.predict(["CCO", "c1ccccc1"])
    assert found.columns.tolist() == ["name", "mol_id", "structure", "toy/heavy", "toy/oxygen"]
    assert found.name.tolist() == ["ethanol", "nothing", "benzene"]
    assert found.iloc[[0, 2], 3:].to_numpy() == pytest.approx(expected.iloc[:, 2:4].to_numpy(), rel=1e-4)
    assert found.iloc[1, 3:].isna().all() and "empty SMILES" in (tmp_path / "p.rejected.csv").read_text()
    succeeded(molfm_command("embed", "toy", *words))
    assert pd.read_parquet(out).embedding[0] == pytest.approx(toy_run.model.embed("CCO")[0], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("level", ["graph", "node"])
def test_predictions_of_a_table_keep_its_columns_as_they_were(
    molfm_command, toy_run, tmp_path, monkeypatch, level, suffix
):
    monkeypatch.setattr("molfm.data.tables.CHUNK_ROWS", 2)
    monkeypatch.setattr("molfm.data.stream.CHUNK", 4)
    smiles = ["CCO", "C", "CN", "O", "CC", "CO", "N", "C=O", "CCN"]
    ids = ["NA", "None", *(f"00{i}" for i in range(7))]  # "NA" is a compound here, not an empty cell
    table = pd.DataFrame({"id": ids, "smiles": smiles, "mol_id": range(100, 109)})
    path, out = tmp_path / f"ids.{suffix}", tmp_path / f"found.{suffix}"
    getattr(table, f"to_{suffix}")(path, index=False)
    succeeded(molfm_command("predict", "toy", path, "--level", level, "--out", out))
    found = pd.read_csv(out, dtype={"id": str}, na_filter=False) if suffix == "csv" else pd.read_parquet(out)
    expected = toy_run.model.predict(smiles, level)
    place = expected.mol_id
    assert found.columns.tolist() == ["id", "mol_id", "molfm mol_id", *expected.columns[1:]]
    assert found.id.tolist() == table.id[place].tolist()
    assert found.mol_id.tolist() == table.mol_id[place].tolist()
    task = expected.columns[-1]
    assert found[task].to_numpy() == pytest.approx(expected[task].to_numpy(), rel=1e-4, abs=1e-6)


def test_predict_prints_one_row_per_atom_at_node_level(molfm_command, toy_run):
    rows = cells(succeeded(molfm_command("predict", "toy", "CCO", "N", "--level", "node")))
    assert rows[0] == ["mol_id", "smiles", "atom", "element", "toy/element"]
    assert [row[:4] for row in rows[1:]] == [
        ["0", "CCO", "0", "C"],
        ["0", "CCO", "1", "C"],
        ["0", "CCO", "2", "O"],
        ["1", "N", "0", "N"],
    ]


@pytest.mark.parametrize("level", ["graph", "edge"])
def test_predict_writes_every_digit_to_a_csv(molfm_command, toy_run, tmp_path, level):
    out = succeeded(molfm_command("predict", "toy", "CCO", "CN", "--level", level, "--out", tmp_path / "found.csv"))
    expected = toy_run.model.predict(["CCO", "CN"], level=level)
    assert out.strip() == f"Written to {tmp_path / 'found.csv'}"
    found = pd.read_csv(tmp_path / "found.csv")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-6)


def test_an_unknown_run_level_or_option_is_refused(molfm_command, toy_run):
    assert "There is no model or run at nowhere" in refused(molfm_command("predict", "nowhere", "CCO"))
    line = refused(molfm_command("predict", "toy", "CCO", "--level", "bond"))
    assert line == "molfm: Unknown level 'bond'; expected one of graph, node, edge."
    assert molfm_command("predict", "toy", "CCO", "--levle", "node").exit_code == 2


# ---------------------------------------------------------------------------------------------------------------- transfer


def test_train_takes_the_columns_of_smiles_and_split(molfm_command, own_home, tmp_path):
    table = pd.DataFrame(
        {"structure": ["C" * (i + 1) for i in range(12)], "y": range(12), "part": ["dev", "train"] * 6}
    )
    table.to_csv(tmp_path / "mine.csv", index=False)
    words = [
        "--smiles",
        "structure",
        "--split",
        "part",
        "--task",
        "y",
        "--epochs",
        1,
        "--precision",
        32,
        "--name",
        "mine",
    ]
    succeeded(molfm_command("train", tmp_path / "mine.csv", *words))
    assert molfm.Run("mine").mix.tasks[["n_train", "n_val", "n_test"]].to_numpy().tolist() == [[6, 6, 0]]
    with pytest.raises(ValueError, match="is loaded already"):
        molfm.train(molfm.Run("mine").mix, split="random")


def test_a_bug_keeps_its_traceback(molfm_command, monkeypatch):
    """Only input that molfm itself refuses becomes one line."""

    def broken(*_, **__):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr("molfm.data.mix.load", broken)
    assert isinstance(molfm_command("prepare", "minimix").exception, ValueError)


def test_the_target_as_its_own_source_and_a_single_seed_are_refused_in_one_line(molfm_command, toy_card, toy):
    line = refused(molfm_command("transfer", toy_card, "--target", "heavy", "--source", "heavy", "--seeds", 2))
    assert "Source heavy has no tasks for toy/heavy" in line
    assert "at least 2 seeds" in refused(
        molfm_command("transfer", toy_card, "--target", "heavy", "--source", "oxygen", "--seeds", 1)
    )


def test_the_options_of_transfer_reach_the_study(molfm_command, monkeypatch):
    calls = []

    def transfer(*args, **settings):
        calls.append((args, settings))
        raise InputError("that is enough")

    monkeypatch.setattr("molfm.study.transfer.transfer", transfer)
    monkeypatch.setattr("molfm.data.mix.load", lambda *words, **more: (*words, more["split"]))
    words = [
        "transfer",
        "minimix",
        "--smiles",
        "structure",
        "--split",
        "part",
        "--target",
        "logBB",
        "--source",
        "qm9_mini,xtb/node",
        "--source",
        "all",
    ]
    words += [
        "--regime",
        "probe",
        "--n-labels",
        32,
        "--n-labels",
        "all",
        "--seeds",
        3,
        "--steps",
        7,
        "--source-batch",
        16,
        "--held-out",
        "scaffolds",
    ]
    assert refused(molfm_command(*words)) == "molfm: that is enough"
    sources = [["qm9_mini", "xtb/node"], "all"]
    settings = {
        "steps": 7,
        "pretrain_steps": None,
        "held_out": "scaffolds",
        "model": "gine",
        "precision": None,
        "max_seeds": 30,
    }
    settings |= {"target_batch": 32, "source_batch": 16}
    mix = ("minimix", "structure", "part")
    assert calls == [((mix, ["logBB"], sources, ["probe"], 3, [32, None]), settings)]
    line = refused(molfm_command("transfer", "minimix", "--target", "logBB", "--source", "all", "--n-labels", "few"))
    assert line == "molfm: Expected --n-labels as a number or all, found 'few'."


# --------------------------------------------------------------------------------------------------------------------- lab


@pytest.fixture
def started(monkeypatch):
    """Pretend that JupyterLab is installed, and record the command that would replace this process."""
    calls = []
    monkeypatch.setattr(cli, "find_spec", lambda name: object())
    monkeypatch.setattr(cli.os, "execv", lambda *call: calls.append(call))
    monkeypatch.setenv("PLOTLY_RENDERER", "as it was")  # `lab` sets it only if it is unset
    return calls


def test_lab_without_jupyterlab_explains_how_to_install_it_and_copies_nothing(
    molfm_command, started, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(cli, "find_spec", asked.append)
    line = refused(molfm_command("lab", "--folder", tmp_path / "mine"))
    assert asked == ["jupyterlab"]
    assert 'pip install "molfm[lab]"' in line
    assert not (tmp_path / "mine").exists()
    assert started == []


def test_lab_copies_the_notebooks_and_opens_the_first(molfm_command, started, tmp_path):
    succeeded(molfm_command("lab", "--folder", tmp_path / "new" / "mine"))
    copied = {path.name: path.read_bytes() for path in (tmp_path / "new" / "mine").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in NOTEBOOKS.glob("*.ipynb")}
    first = str(tmp_path / "new" / "mine" / min(copied))
    assert started == [(sys.executable, [sys.executable, "-m", "jupyterlab", first])]
    assert json.loads(Path(first).read_text("utf-8"))["nbformat"] == 4


def test_lab_never_overwrites_existing_notebooks(molfm_command, started, tmp_path):
    notebook = tmp_path / "00_quickstart.ipynb"
    notebook.write_text("my own work")
    (tmp_path / "notes.txt").write_text("mine")
    succeeded(molfm_command("lab", "--folder", tmp_path))
    assert notebook.read_text() == "my own work"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert {path.name for path in NOTEBOOKS.glob("*.ipynb")} <= {path.name for path in tmp_path.iterdir()}
    assert len(started) == 1


def test_lab_passes_further_options_to_jupyterlab(molfm_command, started, tmp_path):
    succeeded(molfm_command("lab", "--folder", tmp_path, "--no-browser", "--port", 9999))
    [(_, command)] = started
    assert command[4:] == ["--no-browser", "--port", "9999"]


def test_lab_sets_a_renderer_that_saves_no_plotly_library_unless_one_is_set(
    molfm_command, started, tmp_path, monkeypatch
):
    succeeded(molfm_command("lab", "--folder", tmp_path))
    assert os.environ["PLOTLY_RENDERER"] == "as it was"
    monkeypatch.delenv("PLOTLY_RENDERER")
    succeeded(molfm_command("lab", "--folder", tmp_path))
    assert os.environ["PLOTLY_RENDERER"] == "plotly_mimetype"


def test_a_smiles_with_brackets_is_printed_unchanged(molfm_command, toy_run):
    assert "c1cc[nH]c1" in succeeded(molfm_command("predict", toy_run.folder, "c1cc[nH]c1"))


def test_prepare_shows_a_card_with_ordinal_and_other_tasks(molfm_command, make_card):
    table = pd.DataFrame({"smiles": ["CO", "CC", "CN"], "grade": [0, 1, 2], "y": [1.0, 2.0, np.nan]})
    card = make_card("mixed", table, {"grade": {"kind": "ordinal", "classes": 3}, "y": {}})
    rows = {row[0]: row for row in cells(succeeded(molfm_command("prepare", card)))[1:]}
    assert {"mixed/grade", "mixed/y"} <= set(rows)
