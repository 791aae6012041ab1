"""Checked exercises: right answers pass, wrong ones get a hint of their own, unfinished ones say where to begin."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from molfm.lessons import budget, check, progress, reveal
from molfm.lessons.answers import Hint, array, call, names, number, word
from molfm.lessons.checks import _exercises

LESSONS = sorted(path.stem[-2:] for path in Path(inspect.getfile(check)).parent.glob("lesson_*.py"))


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_three_to_six_exercises_numbered_from_one_and_each_has_a_first_hint(lesson):
    found = _exercises(lesson)
    assert list(found) == [f"{lesson}.{k}" for k in range(1, len(found) + 1)]
    assert 3 <= len(found) <= 6
    for name, judge in found.items():
        verdict = check(name, ...)
        assert not verdict
        assert " ".join(judge.__doc__.split()) in verdict.message


@pytest.mark.parametrize(
    "wrong", [-12345.678, "nonsense", ["nonsense"], None, lambda *_: None, object(), np.zeros((2, 3))]
)
@pytest.mark.parametrize("lesson", LESSONS)
def test_an_answer_of_any_type_gets_a_hint_and_never_a_traceback(lesson, wrong):
    for name, judge in _exercises(lesson).items():
        others = len(inspect.signature(judge).parameters) - 1
        if not others:  # further arguments come from the notebook's own cells
            verdict = check(name, wrong)
            assert not verdict
            assert len(verdict.message) > 10


def test_a_right_answer_passes_and_says_why():
    verdict = check("03.1", 5.99)
    assert verdict
    assert repr(verdict) == "✓ 03.1 is right. 2.55 from the carbon and 3.44 from the oxygen."
    assert "✓ 03.1 is right." in verdict._repr_html_()


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (8.54, "own number"),
        (2.995, "mean"),
        (3.44, "has two"),
        (7, "Add these two"),
        ("5.99", "without quotation marks"),
    ],
)
def test_each_common_mistake_gets_its_own_hint(answer, hint):
    verdict = check("03.1", answer)
    assert not verdict
    assert hint in verdict.message


def test_hints_about_a_function_name_the_mistake():
    def aggregate(change):
        def add_up(h, edge_index):
            start, end = edge_index
            return change(h, start, end)

        return add_up

    right = aggregate(lambda h, start, end: torch.zeros_like(h).index_add(0, end, h[start]))
    own = aggregate(lambda h, start, end: h.index_add(0, end, h[start]))
    backwards = aggregate(lambda h, start, end: torch.zeros_like(h).index_add(0, start, h[end]))
    last = aggregate(lambda h, start, end: torch.zeros_like(h).index_put((end,), h[start]))
    changes = aggregate(lambda h, start, end: h.index_add_(0, end, h[start].clone()))
    assert check("03.2", right)
    for wrong, hint in ((own, "Start from zeros"), (backwards, "backwards"), (last, "overwrote"), (changes, "changes")):
        assert hint in check("03.2", wrong).message
    assert "failed with KeyError" in check("03.2", lambda h, edge_index: {}["h"]).message
    assert "without calling it" in check("03.2", 3).message


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda t, s, n: t * s / n**0.5, None),
        (lambda t, s, n: 2 * t * s / n**0.5, "whole width"),
        (lambda t, s, n: s / n**0.5, "standard error"),
        (lambda t, s, n: 1.96 * s / n**0.5, "1.96"),
        (lambda t, s, n: t * s * ((n - 1) / n) ** 0.5 / n**0.5, "ddof=1"),
        (lambda t, s, n: t * s, "√n"),
        (lambda t, s, n: 0.1234, "Half of the width"),
    ],
)
def test_each_way_to_a_wrong_interval_has_its_own_hint(change, hint):
    d = np.array([0.01, 0.04, -0.02, 0.03, 0.01])
    half = change(2.7764, d.std(ddof=1), len(d))
    for verdict in (
        check("05.6", [d.mean() - half, d.mean() + half], d),
        check("07.2", (d.mean() - half, d.mean() + half), d),
    ):
        assert bool(verdict) == (hint is None)
        assert hint is None or hint in verdict.message


def test_empty_cells_that_become_inactive_change_the_share_of_actives():
    assert check("02.2", 75 / 1200, 75, 600, 1200)
    assert "among the labels" in check("02.2", 75 / 600, 75, 600, 1200).message
    assert "percent" in check("02.2", 6.25, 75, 600, 1200).message
    assert "not by the empty ones" in check("02.2", 75 / 800, 75, 400, 1200).message


def test_progress_counts_the_last_verdict_of_each_exercise():
    check("03.1", 5.99), check("03.3", 6), check("03.3", 7)
    found = progress("03")
    assert "03.1" in found.done
    assert "03.3" in found.left
    assert "exercises of lesson 03 are right. Still to do: " in repr(found)


@pytest.mark.parametrize("name", ["03.99", "77.1", "3.1", "", "03", "../x.1", "03.judge"])
def test_an_unknown_exercise_is_an_error_that_says_how_names_look(name):
    with pytest.raises(ValueError, match=r"names such as '03.2'"):
        check(name, 1)


def test_an_unknown_lesson_has_no_progress():
    with pytest.raises(ValueError, match="names such as '03'"):
        progress("77")


def test_a_result_is_hidden_until_it_was_guessed():
    hidden = reveal(..., 0.593, "R²")
    assert "0.59" not in repr(hidden) + hidden._repr_html_()
    shown = reveal(0.3, 0.593, "R²")
    assert repr(shown) == "R². Your guess: 0.3. Result: 0.593. You were 0.293 away."
    assert "−1.5 eV" in repr(reveal(-1, -1.5, "Energy", "eV"))
    assert "As you expected" in repr(reveal("scaffold", "scaffold", "Which split?"))
    assert "find out why" in reveal("random", "scaffold", "Which split?")._repr_html_()


def test_hostile_text_of_an_answer_stays_text():
    assert "<b>x" not in reveal("<b>x", "<b>x", "<b>x")._repr_html_()


def test_answers_become_numbers_words_names_and_arrays_or_hints():
    assert number(torch.tensor([3])) == number(np.float32(3)) == number(3) == 3
    assert word(" Sum ", ["sum", "mean"]) == "sum"
    assert names("a") == names(["a"]) == names(("a", "a")) == {"a"}
    assert array(torch.ones(2, 1, requires_grad=True), (2, 1)).tolist() == [[1], [1]]
    assert call(lambda a: a + 1, 1) == 2
    for wrong in (
        lambda: number([1, 2]),
        lambda: number({}),
        lambda: word(3, ["a"]),
        lambda: word("b", ["a"]),
        lambda: names([1]),
        lambda: array("x", (1,)),
        lambda: array([1, 2], (3,)),
        lambda: call(3),
        lambda: call(lambda: ...),
        lambda: call(lambda: None),
    ):
        with pytest.raises(Hint):
            wrong()


def test_a_budget_is_small_where_the_course_is_tested(monkeypatch):
    monkeypatch.delenv("MOLFM_FAST", raising=False)
    assert budget(400, fast=3) == 400
    monkeypatch.setenv("MOLFM_FAST", "1")
    assert budget(400, fast=3) == 3
