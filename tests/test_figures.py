import numpy as np
import pandas as pd
import pytest

import molfm
from molfm.figures import atom_values, molecule_grid


def test_drawn_molecules_are_svg_with_escaped_captions():
    page = molecule_grid(["CCO", "c1ccccc1"], ["<b>1</b>", "2"])
    assert page.count("<svg") == 2
    assert "&lt;b&gt;1" in page and "<b>1" not in page
    assert "<?xml" not in page


def test_atom_values_marks_every_measured_atom():
    page = atom_values("CCO", [0.5, np.nan, -1.0], "e")
    assert "unit: e" in page
    with pytest.raises(ValueError, match="2 values for 3 atoms of CCO"):
        atom_values("CCO", [1.0, 2.0])


def test_the_picture_of_an_audit_shows_what_test_and_training_share(make_card):
    frame = pd.DataFrame({"smiles": ["CO", "OC", "CC", "nonsense"], "y": [0.0, 1.0, 1.0, 1.0]})
    (folder := make_card("twice", frame, {"y": {"kind": "binary"}})).with_name("twice_random_splits.json").write_text(
        '{"train": [0], "val": [2], "test": [1, 3]}'
    )
    card = folder.read_text().replace(
        "file:twice.parquet", "file:twice.parquet\n  splits: file:twice_random_splits.json"
    )
    folder.write_text(card)
    figure = molfm.load(folder, split="official", progress=False).audit().figure()
    shown = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in figure.data}
    assert shown["test molecules in train"] == {"twice test in training of twice": 100}
    assert shown["rejected rows"] == {"twice": 25}
    assert shown["contradicting rows"] == {"twice": 100}
