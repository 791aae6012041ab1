"""The course: what was made from the masters is up to date, runs from top to bottom, and can be read without a kernel."""

import base64
import importlib.util
import re
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbformat.v4 import new_code_cell

import molfm
from molfm.catalog.http import DownloadError

COURSE = Path(__file__).parents[1] / "notebooks"
MASTERS = sorted((COURSE / "masters").glob("[0-9][0-9]_*.py"))
MAX_BYTES = (
    2_500_000  # drawn molecules and figures, as data and as pictures; far less than one copy of plotly's library
)
FIGURE, PICTURE = "application/vnd.plotly.v1+json", "image/png"
_VERDICT = re.compile(r"[✓○] (\d\d\.\d) is (right\.|not right yet\.)")
# Runs in the kernel before the first cell: the course has to work in a class without a network.
OFFLINE = """
import socket
_connect = socket.socket.connect
def connect(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"no network in this test: {address}")
    return _connect(self, address)
socket.socket.connect = connect
"""

_spec = importlib.util.spec_from_file_location("build", COURSE / "masters" / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

lessons = pytest.mark.parametrize("master", MASTERS, ids=lambda path: path.stem)


def sources(notebook):
    return [(cell.id, cell.cell_type, cell.source, cell.metadata.get("alt")) for cell in notebook.cells]


def read(folder, master):
    return nbformat.read(folder / f"{master.stem}.ipynb", as_version=4)


@lessons
def test_the_notebooks_are_made_from_their_master(master):
    solved = build.solution(master)
    assert sources(read(COURSE / "solutions", master)) == sources(solved), "run: python notebooks/masters/build.py"
    assert sources(read(COURSE, master)) == sources(build.student(solved)), "run: python notebooks/masters/build.py"


def test_every_notebook_has_a_master():
    made = {path.stem for folder in (COURSE, COURSE / "solutions") for path in folder.glob("*.ipynb")}
    assert made == {master.stem for master in MASTERS}


def run(notebook, folder, monkeypatch):
    """Run a notebook without a network, and return the verdicts of its checks: exercise -> right or not."""
    if 'pretrained("minimol")' in str(notebook.cells):  # its weights are downloaded once, here
        try:
            molfm.pretrained("minimol")
        except DownloadError as error:
            pytest.skip(f"the published weights cannot be had here: {str(error).splitlines()[0]}")
    monkeypatch.setenv("MOLFM_FAST", "1")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    notebook.cells.insert(0, new_code_cell(OFFLINE))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    text = "\n".join(
        output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if "outputs" in cell
        for output in cell.outputs
    )
    return {name: verdict == "right." for name, verdict in _VERDICT.findall(text)}


def exercises(notebook):
    return set(re.findall(r'check\("(\d\d\.\d)"', "\n".join(cell.source for cell in notebook.cells)))


@lessons
def test_every_check_of_a_solution_passes(master, tmp_path, monkeypatch):
    notebook = build.solution(master)
    verdicts = run(notebook, tmp_path, monkeypatch)
    assert verdicts == dict.fromkeys(exercises(notebook), True)


@lessons
def test_a_student_meets_a_hint_at_every_open_exercise_and_no_error(master, tmp_path, monkeypatch):
    notebook = build.student(build.solution(master))
    verdicts = run(notebook, tmp_path, monkeypatch)
    assert verdicts == dict.fromkeys(exercises(notebook), False)


@lessons
def test_a_saved_notebook_can_be_read_without_a_kernel(master):
    solved, student = read(COURSE / "solutions", master), read(COURSE, master)
    cells = [cell for cell in solved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), (
        "run: python notebooks/masters/build.py --run"
    )
    for notebook in (solved, student):
        outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
        assert not [output for output in outputs if output.output_type == "error"]
        figures = [output for output in outputs if FIGURE in output.get("data", {})]
        assert figures
        for output in figures:
            assert base64.b64decode(output.data[PICTURE]).startswith(b"\x89PNG")
            assert len(output.metadata[PICTURE]["alt"]) > 20
        assert not re.search(r"/(home|root|tmp|work)/\w", str(outputs)), "an output shows a path of one machine"
    assert all((COURSE / folder / f"{master.stem}.ipynb").stat().st_size < MAX_BYTES for folder in ("", "solutions"))


@lessons
def test_a_lesson_has_all_its_parts(master):
    text = "\n".join(cell.source for cell in build.student(build.solution(master)).cells)
    for part in (
        "**Goals.**",
        "**You need**",
        "**Time:**",
        "## Discussion",
        "## Quiz",
        "## Further reading",
        "progress(",
        "reveal(",
    ):
        assert part in text, f"{part} is missing"
    assert "BEGIN SOLUTION" not in text
    quiz = text.partition("## Quiz")[2].partition("## Further reading")[0]
    questions = re.split(r"\n\*\*\d\. ", quiz)[1:]
    assert len(questions) == 5
    for question in questions:
        assert question.count("<details><summary>") >= 3
        assert question.count("</summary>Right") == 1, f"one answer must begin with 'Right': {question[:80]}"


@lessons
def test_a_lesson_uses_a_widget(master):
    assert "from molfm.widgets import" in master.read_text("utf-8")


def test_badges_follow_the_repository_of_a_fork(monkeypatch):
    monkeypatch.setattr(build, "repository", lambda: "https://github.com/someone/fork")
    first, install = build.solution(MASTERS[0]).cells[:2]
    assert f"mybinder.org/v2/gh/someone/fork/HEAD?urlpath=lab/tree/notebooks/{MASTERS[0].stem}.ipynb" in first.source
    assert f"colab.research.google.com/github/someone/fork/blob/main/notebooks/{MASTERS[0].stem}.ipynb" in first.source
    assert "git+https://github.com/someone/fork" in install.source
    assert "--upgrade" not in install.source


def test_a_solution_is_taken_out_of_cells_and_of_functions():
    text = "def f(x):\n    y = ...\n    ### BEGIN SOLUTION\n    y = x + 1\n    ### END SOLUTION\n    return y\n"
    notebook = nbformat.v4.new_notebook(
        cells=[new_code_cell(text + "### BEGIN SOLUTION\na = 1\n### END SOLUTION\nprint(1)")]
    )
    assert build.student(notebook).cells[0].source == "def f(x):\n    y = ...\n    return y\nprint(1)"
    assert "a = 1" in notebook.cells[0].source


def test_outputs_that_give_an_answer_away_are_not_in_the_students_notebook():
    shown = new_code_cell("1 + 1", outputs=[nbformat.v4.new_output("execute_result", {"text/plain": "2"})])
    answer = new_code_cell('check("03.1", a)', outputs=[nbformat.v4.new_output("execute_result", {"text/plain": "✓"})])
    first, second = build.student(nbformat.v4.new_notebook(cells=[shown, answer])).cells
    assert first.outputs
    assert not second.outputs
