"""The course: what was made from the masters is up to date, runs from top to bottom, and can be read without a kernel."""

import base64
import re

import nbformat
from course import COURSE, MASTERS, build, lessons
from nbformat.v4 import new_code_cell

MAX_BYTES = (
    2_500_000  # drawn molecules and figures, as data and as pictures; far less than one copy of plotly's library
)
FIGURE, PICTURE = "application/vnd.plotly.v1+json", "image/png"


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
