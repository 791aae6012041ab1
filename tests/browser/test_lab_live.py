"""The training lab in a real browser: started by clicking, watched, reloaded, stopped, resumed, killed, guessed."""

import os
import re
import signal
import time

import pytest
from molfm.widgets import TrainingLab
from pages import SCHEMES, run_cell, save, shoot, violations

import molfm
from molfm.training.run import Run

START = re.compile("^Start")
CELL = (
    "import molfm\nfrom molfm.widgets import TrainingLab\n"
    "lab = TrainingLab(molfm.load('minimix', progress=False))\n"
    "lab.recipe = lab.recipe | {'steps': 400, 'hidden_channels': 16, 'num_layers': 1, 'batch': 16}\nlab"
)


@pytest.fixture
def shown(live, toy, own_home):
    """A lab in a page, without JupyterLab; its questions are answered by Python."""
    lab = TrainingLab(toy)
    tasks = [task.id for task in toy.chosen]
    lab.recipe = lab.recipe | {"tasks": tasks, "steps": 6, "batch": 8, "hidden_channels": 8, "num_layers": 1}

    live(lab)
    return lab


def test_a_click_trains_and_every_part_of_the_lab_shows_the_run(page, shown):
    page.get_by_text("No run yet. Choose what to learn from and press Start.").wait_for()
    page.get_by_role("button", name=START).click()
    page.locator(".molfm-status").get_by_text("run 1: finished, 6 steps").wait_for(timeout=120_000)
    page.get_by_role("img", name="Learning curve: oxygen · AUROC on validation").wait_for()
    page.get_by_role("img", name="Predicted against measured values of toy/oxygen after step 6").wait_for()
    assert page.locator(".molfm-pinned figure").count() == 5
    page.get_by_role("button", name="heavy R²").click()
    page.get_by_role("img", name="Learning curve: heavy · R² on validation").wait_for()
    page.get_by_role("img", name="Predicted against measured values of toy/heavy after step 6").wait_for()
    page.get_by_label("step", exact=True).focus()
    page.keyboard.press("Home")  # the first validation
    page.get_by_text("Watch it learn · step 1").wait_for()
    page.locator(".molfm-scatter").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".molfm-point").get_by_role("button", name="Select").click()
    page.get_by_text("1 molecule selected").wait_for()
    assert len(shown.selection) == 1
    assert violations(page) == []
    page.get_by_role("button", name="Fork").click()
    page.get_by_label("Start from").locator("option:checked").get_by_text(shown.run.folder.name).wait_for(
        state="attached"
    )
    page.get_by_role("button", name=START).click()
    page.locator(".molfm-status").get_by_text("run 2: finished").wait_for(timeout=120_000)
    page.get_by_label("Draw run 1 beside the run that is shown").check()
    page.get_by_role("region", name="Settings in which the drawn runs differ").get_by_text("start_from").wait_for()


def test_a_class_guesses_first_and_then_sees_the_curve(page, shown):
    page.get_by_label("Guess first").check()
    page.get_by_role("button", name=START).click()
    page.get_by_text("What will the best validation value be?").wait_for(timeout=120_000)
    page.locator(".molfm-status").get_by_text("finished").wait_for(timeout=120_000)
    assert page.locator(".molfm-curves polyline[stroke-width='2']").count() == 0  # no curve, no predictions
    assert page.locator(".molfm-scatter").is_hidden()
    page.get_by_label("Your guess").fill("0.9")
    page.get_by_role("button", name="Show the curve").click()
    page.get_by_text("your guess 0.90").wait_for()
    page.get_by_text(re.compile("You guessed 0.90: .* too high so far")).wait_for()
    assert page.locator(".molfm-curves polyline[stroke-width='2']").count() == 1


def test_what_cannot_be_trained_is_said_before_it_is_started(page, shown):
    for domain in ("physicochemical", "biological", "quantum"):
        page.get_by_label(f"Learn from {domain}").uncheck()
    page.get_by_text("Choose at least one task to learn from.").wait_for()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_saved_lab_works_with_the_network_off(page, toy, own_home, tmp_path, scheme):
    lab = TrainingLab(toy)
    lab.recipe = lab.recipe | {"tasks": [task.id for task in toy.chosen], "steps": 4, "batch": 8}
    lab.start().wait(180)
    lab.to_html(tmp_path / "lab.html")
    page.context.set_offline(True)
    page.emulate_media(color_scheme=scheme)
    page.goto((tmp_path / "lab.html").as_uri())
    page.get_by_role("img", name="Learning curve").wait_for()
    page.get_by_role("img", name="Predicted against measured").wait_for()
    page.get_by_label("step", exact=True).focus()
    page.keyboard.press("Home")
    page.get_by_text("Watch it learn · step 1").wait_for()
    assert not page.locator(".molfm-errors p").count()
    assert violations(page) == []
    shoot(page, f"static-TrainingLab-{scheme}")


def test_a_run_is_started_watched_reloaded_stopped_resumed_and_killed_in_jupyterlab(page, notebook, molfm_home):
    molfm.load("minimix", progress=False)
    notebook("train", [CELL, "1 + 1", "lab.run.status['state'], len(lab.runs), lab.errors"])
    page.get_by_role("button", name=START).click(timeout=120_000)
    page.locator(".molfm-status").get_by_text(re.compile("step [1-9]")).wait_for(timeout=120_000)
    start = time.monotonic()
    assert run_cell(page, 1) == "2"
    assert time.monotonic() - start < 5  # with the clicks; the kernel is free
    page.get_by_role("img", name="Learning curve").wait_for(timeout=60_000)
    save(page)
    page.reload(wait_until="domcontentloaded")
    page.locator(".molfm-status").get_by_text(re.compile("step [1-9]")).wait_for(timeout=120_000)  # still right
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator(".molfm-status").get_by_text("stopped at step").wait_for(timeout=30_000)
    shoot(page, "lab-training")
    page.get_by_role("button", name="Resume").click()
    page.locator(".molfm-status").get_by_text(re.compile("step [1-9]")).wait_for(timeout=120_000)
    run = max(
        (Run(path.parent) for path in (molfm_home / "runs").glob("minimix*/config.json")), key=lambda r: r.folder.name
    )
    while run.status["state"] != "running":
        time.sleep(0.1)
    os.kill(run.status["pid"], signal.SIGKILL)
    page.get_by_text("it was killed, ran out of memory").first.wait_for(timeout=30_000)
    state, n, errors = eval(run_cell(page, 2))
    assert (state, errors) == ("died", [])
    assert n >= 1
