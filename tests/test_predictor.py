"""Predictions and embeddings of many molecules: in chunks, to Parquet, and resumed after an interruption."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from molfm.data import stream
from molfm.nn.config import ModelConfig
from molfm.nn.multitask import MultiTaskModel

SMILES = ["CCO", "c1ccccc1C(=O)O", "junk", "C", "C[N+](C)(C)CC#N.[Cl-]", "OC1CC1", "N"]


@pytest.fixture(scope="module")
def model(toy):
    return MultiTaskModel(ModelConfig(hidden_channels=16, num_layers=2), toy.tasks, seed=0)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 2)


@pytest.mark.filterwarnings("ignore:1 of 7")
@pytest.mark.parametrize("level", ["graph", "node", "edge"])
def test_a_file_of_predictions_equals_the_table(model, level, small_chunks, tmp_path, monkeypatch):
    path = model.predict(iter(SMILES), level, out=tmp_path / "p.parquet")
    found = pd.read_parquet(path)
    monkeypatch.setattr(stream, "CHUNK", 100)
    pd.testing.assert_frame_equal(found, model.predict(SMILES, level), check_dtype=False, rtol=1e-5, atol=1e-6)
    assert {*found.dtypes[found.columns.str.startswith("toy/")]} == {np.dtype("float32")}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.parquet", "p.rejected.csv"]


@pytest.mark.filterwarnings("ignore:1 of 7")
def test_invalid_smiles_are_named_by_their_position_in_the_whole_input(model, small_chunks, tmp_path):
    with pytest.warns(
        UserWarning, match=r"1 of 7 SMILES have no embedding. The first is 'junk' at position 2.*e\.rejected"
    ):
        path = model.embed(SMILES, tmp_path / "e.parquet")
    rejected = pd.read_csv(tmp_path / "e.rejected.csv")
    assert rejected[["mol_id", "smiles"]].to_numpy().tolist() == [[2, "junk"]] and "parse" in rejected.reason[0]
    with pytest.warns(UserWarning, match="1 of 7 SMILES have no embedding. The first is 'junk' at position 2"):
        array = model.embed(SMILES)
    table = pq.read_table(path)
    assert table["embedding"].null_count == 1 and table["mol_id"].to_pylist() == [*range(7)]
    kept = [row for row in range(7) if row != 2]
    np.testing.assert_allclose(np.stack(table["embedding"].to_pandas()[kept]), array[kept], rtol=1e-5, atol=1e-6)
    assert np.isnan(array[2]).all()


def test_an_interrupted_call_resumes_where_it_stopped(model, small_chunks, tmp_path, monkeypatch):
    texts = ["C" * n for n in range(1, 11)]
    whole = pd.read_parquet(model.predict(texts, out=tmp_path / "whole.parquet"))

    def until_the_fourth():
        yield from texts[:7]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.predict(until_the_fourth(), out=tmp_path / "p.parquet")
    assert len([*(tmp_path / ".p.parquet.parts").iterdir()]) == 3 and not (tmp_path / "p.parquet").exists()
    asked, values = [], model.values
    monkeypatch.setattr(model, "values", lambda batch, *rest: asked.append(batch.num_graphs) or values(batch, *rest))
    pd.testing.assert_frame_equal(pd.read_parquet(model.predict(texts, out=tmp_path / "p.parquet")), whole)
    assert sum(asked) == 4  # the rest of ten, two at a time


def test_files_with_similar_names_are_left_alone(model, tmp_path):
    (tmp_path / "p.parts").mkdir()
    for mine in (tmp_path / "p.parts" / "mine.txt", tmp_path / "p.tmp"):
        mine.write_text("mine")
    model.predict(["C"], out=tmp_path / "p.parquet")
    assert (tmp_path / "p.parts" / "mine.txt").exists() and (tmp_path / "p.tmp").read_text() == "mine"
    assert not (tmp_path / ".p.parquet.parts").exists()


def test_a_chunk_of_missing_smiles_fits_the_other_chunks(model, small_chunks, tmp_path):
    with pytest.warns(UserWarning, match="2 of 4"):
        path = model.embed(["C", "CC", None, None], tmp_path / "e.parquet")
    assert pq.read_table(path)["embedding"].null_count == 2


def test_parts_of_other_weights_or_tasks_are_not_reused(model, toy, small_chunks, tmp_path):
    def broken():
        yield from ("C", "CC")
        raise KeyboardInterrupt

    other = MultiTaskModel(model.config, toy.tasks, seed=1)
    for out in ("p", "q"):
        with pytest.raises(KeyboardInterrupt):
            model.predict(broken(), out=tmp_path / f"{out}.parquet")
    found = pd.read_parquet(other.predict(["C", "CC"], out=tmp_path / "p.parquet"))
    pd.testing.assert_frame_equal(found, other.predict(["C", "CC"]), check_dtype=False, atol=1e-6)
    tasks = pd.read_parquet(model.predict(["C", "CC"], tasks=["oxygen"], out=tmp_path / "q.parquet"))
    assert tasks.columns.tolist() == ["mol_id", "smiles", "toy/oxygen"]


@pytest.mark.parametrize("level", ["graph", "node", "edge"])
def test_no_smiles_give_a_file_without_rows(model, level, tmp_path):
    found = pd.read_parquet(model.predict([], level, out=tmp_path / "none.parquet"))
    assert len(found) == 0 and found.columns.tolist() == model.predict([], level).columns.tolist()
    assert len(pd.read_parquet(model.embed([], tmp_path / "none.parquet"))) == 0


def test_atoms_and_bonds_are_in_the_order_of_rdkit(model):
    text = "[Na+].OC(=O)[C@H](N)Cc1c[nH]c2ccccc12"
    mol = Chem.MolFromSmiles(text)
    nodes, edges = model.predict(text, "node"), model.predict(text, "edge")
    assert nodes.element.tolist() == [atom.GetSymbol() for atom in mol.GetAtoms()]
    ends = [sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in mol.GetBonds()]
    assert edges[["begin", "end"]].to_numpy().tolist() == ends


def test_a_file_of_another_kind_is_an_error_before_anything_is_computed(model, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.parquet or \.csv, found .*p\.txt"):
        model.predict(["C"], out=tmp_path / "p.txt")


def test_values_that_are_not_text_count_as_invalid_smiles(model, tmp_path):
    with pytest.warns(UserWarning, match="3 of 4"):
        found = model.predict(["C", None, float("nan"), 7])
    assert found["toy/heavy"].notna().tolist() == [True, False, False, False]
    with pytest.warns(UserWarning, match="3 of 4"):
        path = model.predict(["C", None, float("nan"), 7], out=tmp_path / "p.parquet")
    assert pd.read_parquet(path)["toy/heavy"].notna().tolist() == [True, False, False, False]


def test_memory_does_not_grow_with_the_number_of_molecules_in_a_file(model, tmp_path):
    """Compares the peak memory of Python objects (SMILES, parts, tables) for files of 5,000 and 20,000 rows."""
    import tracemalloc

    peaks = []
    for n in (5_000, 20_000):
        tracemalloc.start()
        model.embed(("C" * (1 + i % 9) for i in range(n)), tmp_path / "e.parquet")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
