"""Lesson 10: the table has its traps, common wrong answers get hints of their own, and claims follow the reports."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from molfm.lessons import check
from molfm.lessons.own_data import COLUMN, claims, later_table, messy_table


@pytest.fixture(scope="module")
def table():
    return messy_table()


def test_the_table_has_the_traps_that_the_lesson_names(table):
    cells, numbers = table[COLUMN], pd.to_numeric(table[COLUMN].str.lstrip("<>"), errors="coerce")
    assert sorted(cells[numbers.isna()]) == ["21-Sep", "n.d."]
    assert (cells.str.startswith(">").sum(), cells.str.startswith("<").sum()) == (50, 2)
    by_day = numbers.groupby(table["measured on"]).median()
    assert (by_day < 10).sum() == 1
    assert (table["measured on"] == by_day.idxmin()).sum() == 12
    assert by_day.drop(by_day.idxmin()).min() > 500
    assert table.No.tolist() == [str(number) for number in range(1, len(table) + 1)]
    assert table.smiles.str.endswith(".Cl").sum() >= 10  # B3DB has one more
    pd.testing.assert_frame_equal(table, messy_table())


def test_molecules_that_arrive_later_are_others(table):
    later = later_table()
    assert len(later) == 156
    assert not set(later.smiles) & set(table.smiles)
    assert (later[COLUMN] > 10_000).sum() == 30


@pytest.mark.parametrize(
    ("p", "hint"),
    [
        (lambda nM: 9 - np.log10(nM), None),
        (lambda nM: -np.log10(nM), "mol/L"),
        (lambda nM: np.log10(nM), "sign"),
        (lambda nM: 6 - np.log10(nM), "µM"),
        (lambda nM: -np.log(nM * 1e-9), "natural"),
        (lambda nM: 9 + np.log10(nM), "multiplied by 10⁹"),
        (lambda nM: nM, "250 nM is 250|10000 nM is"),
    ],
)
def test_each_way_to_a_wrong_p_has_its_own_hint(p, hint):
    verdict = check("10.1", p)
    assert bool(verdict) == (hint is None)
    assert hint is None or any(part in verdict.message for part in hint.split("|"))


@pytest.mark.parametrize(
    ("loss", "hint"),
    [
        (lambda p, y, s: np.where((p - y) * s > 0, 0, (p - y) ** 2), None),
        (lambda p, y, s: (p - y) ** 2, "exact value"),
        (lambda p, y, s: np.where(s == 0, (p - y) ** 2, 0), "drops the limits"),
        (lambda p, y, s: np.where((p - y) * s < 0, 0, (p - y) ** 2), "exchanged"),
        (lambda p, y, s: np.where((p - y) * s > 0, 0, abs(p - y)), "Square"),
        (lambda p, y, s: np.where((p - y) * s < 0, (p - y) ** 2, 0), "exact label"),
        (lambda p, y, s: np.where((p - y) * s > 0, 0, (p - y) ** 2).mean(), "one number"),
        (lambda p, y, s: p, "your function returns"),
    ],
)
def test_each_way_to_a_wrong_loss_of_limits_has_its_own_hint(loss, hint):
    verdict = check("10.2", loss)
    assert bool(verdict) == (hint is None)
    assert hint is None or hint in verdict.message


def test_the_day_in_the_wrong_unit_is_found_by_its_rows(table):
    assert "its 12 rows are in µM" in check("10.3", "01.05.2021", table).message
    for wrong, hint in (
        ("12.06.2021", "as on most days"),
        ("diazepam", "is a compound"),
        ("2021-05-01", "Copy the day"),
        (["01.05.2021", "12.06.2021"], "Name one day"),
        (3, "as a list of texts"),
    ):
        verdict = check("10.3", wrong, table)
        assert not verdict
        assert hint in verdict.message


@pytest.mark.parametrize(
    ("optimism", "hint"),
    [
        (lambda v, t: v[v.argmax()] - t[v.argmax()], None),
        (lambda v, t: t[v.argmax()] - v.max(), "sign"),
        (lambda v, t: v.max() - t.max(), "best test result"),
        (lambda v, t: v.max() - t.mean(), "mean of all"),
        (lambda v, t: v[t.argmax()] - t.max(), "Choose by the validation"),
        (lambda v, t: v.max(), "difference"),
        (lambda v, t: (v - t).max(), "Choose first"),
        (lambda v, t: 3.0, "second recipe is chosen"),
    ],
)
def test_each_way_to_a_wrong_optimism_has_its_own_hint(optimism, hint):
    verdict = check("10.4", optimism)
    assert bool(verdict) == (hint is None)
    assert hint is None or hint in verdict.message


def test_coverage_is_counted_at_both_ends():
    arrived = pd.DataFrame({"p": [5.0, 6, 7, 8, 9], "low": [4.0, 4, 4, 9, 4], "high": [10.0, 10, 6, 10, 10]})
    assert "60.0% of 5 molecules" in check("10.5", 0.6, arrived).message
    for wrong, hint in (
        (60, "percent"),
        (3, "Divide it by the number of rows"),
        (0.4, "outside"),
        (0.8, "end only"),
        (0.95, "promises"),
        (0.1, "Of 5 rows"),
    ):
        verdict = check("10.5", wrong, arrived)
        assert not verdict
        assert hint in verdict.message


def fit_with(value, difference_high, gain):
    """Return what `claims` reads of a fit."""
    row = pd.Series(
        {"value": value, "low": value - 0.05, "high": value + 0.05, "metric": "rmse", "n": 264}
        | {"difference_high": difference_high}
    )
    curve = pd.DataFrame(
        {"n_labels": [100, 200], "difference": [-gain, 0.0]}
        | {"difference_low": [-gain - 0.02, 0.0], "difference_high": [-gain + 0.02, 0.0]}
    )
    judged = SimpleNamespace(quoted=row, target=SimpleNamespace(noise=0.18))
    return SimpleNamespace(judged=(judged,), curve=lambda: curve)


@pytest.mark.parametrize(
    ("difference_high", "gain", "expected"),
    [(0.01, 0.01, "AD"), (-0.01, 0.01, "ACD"), (0.01, 0.05, "ADG"), (-0.01, 0.05, "ACDG")],
)
def test_two_claims_depend_on_the_report_and_the_others_on_how_it_was_made(difference_high, gain, expected):
    result, at_random = fit_with(0.53, difference_high, gain), fit_with(0.51, 0.0, 0.0)
    found = claims(result, at_random)
    assert "".join(letter for letter, (_, supported, _) in found.items() if supported) == expected
    assert "0.53" in found["A"][0]
    assert "0.51" in found["B"][0]
    assert check("10.6", list(expected.lower()), result, at_random)
    assert "more" in check("10.6", ["A"], result, at_random).message
    assert "E is not supported. The coverage" in check("10.6", [*expected, "E"], result, at_random).message
    assert "no statement 'Z'" in check("10.6", ["Z"], result, at_random).message
    assert "empty" in check("10.6", [], result, at_random).message
