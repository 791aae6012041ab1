"""The course's own parts in JupyterLab: checked answers, guesses, and the playground of lesson 4."""

import re

from playwright.sync_api import expect


def test_checks_and_guesses_are_shown_and_the_playground_answers_in_jupyterlab(page, notebook):
    cells = [
        'from molfm.lessons import check, progress, reveal\ncheck("03.1", ...)',
        'check("03.1", 8.54)',
        'check("03.1", 5.99)',
        'reveal(..., 0.59, "R²")',
        'reveal(0.3, 0.59, "R²")',
        'from molfm.lessons.playground import Playground\nPlayground("c1ccc2ccccc2c1", "c1ccc2cccc-2cc1", rounds=0)',
        'progress("03")',
    ]
    notebook("course", cells)
    outputs = page.locator(".jp-OutputArea-output")
    expect(outputs.filter(has_text="Replace the three dots")).to_be_visible(timeout=60_000)
    expect(outputs.filter(has_text="own number")).to_be_visible()
    expect(outputs.filter(has_text="✓ 03.1 is right.")).to_be_visible()
    expect(outputs.filter(has_text="Write your guess first")).to_be_visible()
    expect(outputs.filter(has_text="You were 0.29 away")).to_be_visible()
    answer = page.locator(".widget-html").filter(has_text="tell them apart").first
    expect(answer).to_contain_text("cannot tell them apart with so few rounds", timeout=60_000)
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    expect(answer).to_contain_text(re.compile("After 3 rounds.*can tell them apart"))
    assert page.locator(".molfm-playground-still").is_hidden()  # its form without a kernel gives way
