import numpy as np
import pytest

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
