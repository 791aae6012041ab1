"""The lessons and their solutions, from the notebooks of the course, and the overview of the course."""

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from generate.pages import ROOT, Pages, table, toctree

NOTEBOOKS = ROOT / "notebooks"
PICTURE, FIGURE, WIDGET = "image/png", "application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Lesson:
    """What the first cell of a lesson says about it."""

    name: str  # such as 03_message_passing
    title: str
    time: str
    goals: list[str]

    @property
    def subject(self) -> str:
        """The title without its number."""
        return re.sub(r"^\d+\. ", "", self.title)


def _notebooks(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.ipynb") if re.match(r"\d\d_", path.name))


def paths() -> dict[str, str]:
    """Return the page of each lesson by its number."""
    return {path.name[:2]: f"course/{path.stem}" for path in _notebooks(NOTEBOOKS)}


def read(path: Path) -> Lesson:
    """Read title, time and goals of a lesson."""
    text = nbformat.read(path, 4).cells[0].source
    title = re.search(r"^# (.+)$", text, re.MULTILINE)[1]
    time = re.search(r"\*\*Time:\*\*\s*(.+?)(?=\n\n|\Z)", text, re.DOTALL)[1]
    goals = re.search(r"\*\*Goals\.\*\*.*?\n\n(- .+?)\n\n", text, re.DOTALL)[1]
    items = re.split(r"^- ", goals, flags=re.MULTILINE)[1:]
    return Lesson(path.stem, title, " ".join(time.split()), [" ".join(item.split()) for item in items])


def page(notebook: NotebookNode, download: str) -> NotebookNode:
    """Return a notebook as the site shows it: figures as pictures with a description, nothing from other hosts."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
            for output in cell.outputs:
                _described(output)
        else:
            # Raw HTML, such as the answers of a quiz, may contain equations.
            cell.source = cell.source.replace("<details>", '<details class="mathjax_process">')
    first = notebook.cells[0]
    link = f"{{download}}`Download the notebook <{download}>`"
    first.source = re.sub(r"^\[Open in .*$", rf"\g<0> {link}", first.source, flags=re.MULTILINE)
    return notebook


def _described(output: NotebookNode) -> None:
    """Give the picture of an output its description, as HTML."""
    data = output.get("data", {})
    if PICTURE not in data:
        return
    facts = output.metadata[PICTURE]
    size = f'width="{facts["width"]}" height="{facts["height"]}"'
    data["text/html"] = (
        f'<img class="figure" alt="{escape(facts["alt"])}" {size} src="data:image/png;base64,{data[PICTURE]}">'
    )
    for kind in (PICTURE, FIGURE):
        data.pop(kind, None)


def _write(pages: Pages, folder: str, path: Path) -> None:
    notebook = page(nbformat.read(path, 4), f"files/{path.name}")
    pages.write(f"{folder}/{path.name}", nbformat.writes(notebook))
    pages.copy(path, f"{folder}/files/{path.name}")


def generate(pages: Pages) -> str:
    """Write lessons, solutions and the overview."""
    lessons, solutions = _notebooks(NOTEBOOKS), _notebooks(NOTEBOOKS / "solutions")
    for path in lessons:
        _write(pages, "course", path)
    for path in solutions:
        _write(pages, "solutions", path)
    facts = [read(path) for path in lessons]
    pages.write("course/index.md", _overview(facts))
    pages.write("solutions/index.md", _solutions([read(path) for path in solutions]))
    return f"{len(lessons)} lessons, {len(solutions)} solutions"


def _overview(lessons: list[Lesson]) -> str:
    parts = [
        "# The course\n",
        "Each lesson is a notebook. You read it here with its results, or run it and change it: see [](../install.md). "
        "A lesson starts with an early success, asks you to predict a result before you see it, and has exercises that "
        "check your answer and tell you what to look at. The words that the lessons define are in the "
        "[glossary](../glossary.md).\n",
    ]
    for lesson in lessons:
        parts.append(f"## {lesson.title}\n")
        parts.append(f"**Time:** {lesson.time}\n")
        parts.append("After this lesson you can\n")
        parts += [f"- {goal}" for goal in lesson.goals]
        parts.append(f"\n[Read the lesson]({lesson.name}.ipynb) · [Solutions](../solutions/{lesson.name}.ipynb)\n")
    parts.append(toctree([lesson.name for lesson in lessons] + ["../glossary", "../solutions/index"]))
    return "\n".join(parts)


def _solutions(lessons: list[Lesson]) -> str:
    rows = [[f"[{lesson.title}]({lesson.name}.ipynb)"] for lesson in lessons]
    return "\n".join(
        [
            "# Solutions\n",
            "The lessons again, with one good answer to each exercise. Try an exercise yourself first: the check in the "
            "lesson tells you whether you are right, and gives a hint if you are not.\n",
            table(["Lesson"], rows),
            toctree([lesson.name for lesson in lessons]),
        ]
    )
