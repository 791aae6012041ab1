"""Every example of the README and of CONTRIBUTING is executed, with small budgets."""

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import molfm
from molfm.catalog.http import DownloadError
from molfm.nn import layers

ROOT = Path(__file__).parents[1]
SMALL = {"hidden_channels": 8, "num_layers": 1}
CAPS = {"epochs": 1, "steps": 3, "seeds": 2}
FROM_THE_INDEX = "minimol"  # its weights are downloaded


def blocks(name, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)


def capped(function, shape):
    """Return a function that trains as asked, but briefly and with a small network."""

    def call(*args, **settings):
        settings = {
            name: min(value, CAPS.get(name, value)) if name in CAPS else value for name, value in settings.items()
        }
        return function(*args, **shape | settings)

    return call


def test_every_python_example_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train", "start", "transfer"):
        monkeypatch.setattr(molfm, name, capped(getattr(molfm, name), SMALL))
    monkeypatch.setattr(molfm, "finetune", capped(molfm.finetune, {}))
    space, unavailable = {}, []
    try:
        for block in blocks("README.md", "python"):
            try:
                exec(compile(block, "README.md", "exec"), space)
            except DownloadError as error:
                assert FROM_THE_INDEX in block
                unavailable.append(str(error).splitlines()[0])
        assert {path.name for path in tmp_path.iterdir()} >= {"study.html", "explore.html"}
        assert space["run"].status["state"] == "finished"
        assert molfm.Run("night").wait().status["state"] == "finished"
    finally:
        if "night" in space:
            molfm.Run("night").stop(wait=False)
    if unavailable:
        pytest.skip(f"some examples need the published weights, which are not available here: {unavailable[0]}")


def commands(name):
    """Return the commands of a file's shell examples, without comments."""
    lines = "".join(blocks(name, "sh")).splitlines()
    return [part.strip() for line in lines for part in line.partition(" #")[0].split("&&")]


@pytest.mark.parametrize("command", dict.fromkeys([*commands("README.md"), *commands("CONTRIBUTING.md")]))
def test_every_shell_example_runs(command, tmp_path, molfm_home):
    program, *words = shlex.split(command)
    environment = os.environ | {"MOLFM_FAST": "1", "MOLFM_HOME": str(molfm_home)}
    if program in ("pytest", "ruff"):  # this test would never end; .ci/run executes them
        assert command in (ROOT / ".ci" / "run").read_text("utf-8")
        return
    if program == "molfm":
        run = [Path(sys.executable).with_name("molfm"), *words]
    elif program == "pip":
        run = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", *words[1:]]
    else:  # hours of work: the entry is there, and knows the options
        assert program == "python"
        run = [sys.executable, *words, "--help"]
    folder = tmp_path if program == "molfm" else ROOT
    table = pd.DataFrame({"smiles": [f"{'C' * (n // 3 + 1)}{'NOF'[n % 3]}" for n in range(45)], "logBB": range(45)})
    for name in ("my.csv", "new.csv"):  # a user's own
        table.to_csv(tmp_path / name, index=False)
    done = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if program == "python":
        assert all(word in done.stdout for word in words if word.startswith("--"))


def test_the_layer_that_contributing_shows_is_the_real_one():
    def code(text):
        return ast.dump(ast.parse(text))

    [block] = blocks("CONTRIBUTING.md", "python")
    assert code(block) == code(inspect.getsource(layers.GINE))


def test_the_readme_is_short_and_its_tree_lists_every_wing():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 120
    wings = {path.name for path in (ROOT / "molfm").iterdir() if (path / "__init__.py").exists()}
    assert set(re.findall(r"^  (\w+)/ ", text, re.MULTILINE)) == wings
