"""The slides of the lessons, and the contents of the section for teachers."""

from html import escape

import nbformat

from generate.lessons import NOTEBOOKS, paths, read
from generate.pages import ROOT, Pages, table, toctree

NOTES = ROOT / "docs" / "teaching"


def generate(pages: Pages) -> str:
    """Write the page of slides and the start page of the section."""
    notes = sorted(path.stem for path in NOTES.glob("[0-9][0-9].md"))
    slides = sorted((NOTEBOOKS / "images").glob("[0-9][0-9].png"))
    parts = [
        "# Slides\n",
        "One slide per lesson: its main figure, with the message as the title. Each is a picture of 1600 × 900 pixels.\n",
    ]
    for slide in slides:
        pages.copy(slide, f"teaching/images/{slide.name}")
        title, alt = _caption(slide.stem)
        parts.append(f"## {title}\n")
        parts.append(f"```{{image}} images/{slide.name}\n:alt: {alt}\n```\n")
        parts.append(f"{{download}}`Download this slide <images/{slide.name}>` · [The lesson](lesson:{slide.stem})\n")
    pages.write("teaching/slides.md", "\n".join(parts))
    syllabus = (NOTES / "syllabus.md").read_text("utf-8")
    pages.write("teaching/syllabus.md", syllabus.replace("LESSONS\n", _lessons()))
    start = (NOTES / "index.md").read_text("utf-8")
    listed = "\n".join(f"- [](./{name}.md)" for name in notes)
    contents = toctree(["syllabus", "assignment", "slides", *notes])
    pages.write("teaching/index.md", f"{start}\n## Notes per lesson\n\n{listed}\n\n{contents}")
    return f"{len(slides)} slides, notes for {len(notes)} lessons"


def _lessons() -> str:
    """Return the table of lessons with their times."""
    rows = []
    for number, page in paths().items():
        lesson = read(ROOT / "notebooks" / f"{page.rpartition('/')[2]}.ipynb")
        link = f"[{lesson.subject}](../{page}.ipynb)"
        rows.append([int(number), link, lesson.time.partition(";")[0], f"[notes](./{number}.md)"])
    return table(["", "Lesson", "Time", "For teachers"], rows)


def _caption(number: str) -> tuple[str, str]:
    """Return the message of a lesson's slide, and the description of its figure."""
    [path] = (NOTEBOOKS / "solutions").glob(f"{number}_*.ipynb")
    [cell] = [cell for cell in nbformat.read(path, 4).cells if "slide" in cell.metadata]
    return f"Lesson {int(number)}: {cell.metadata.slide}", escape(cell.metadata.alt)
