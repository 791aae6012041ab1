"""The pages of the site, on their way to Sphinx."""

import html
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from posixpath import dirname, relpath

ROOT = Path(__file__).parents[2]
_LESSON = re.compile(r"\[([^\]]+)\]\(lesson:(\d\d)\)")


class Pages:
    """A folder of pages. A page is written only if it has changed, so Sphinx reads only changed pages again.

    Args:
        folder: where the pages are written.
        lessons: number of a lesson, such as "03", to its page, such as "course/03_message_passing".
    """

    def __init__(self, folder: Path, lessons: dict[str, str]):
        self.folder, self.lessons, self._texts, self._files = folder, lessons, {}, set()

    def write(self, name: str, text: str) -> None:
        """Add a page; a later one of the same name replaces it. In Markdown, `[text](lesson:03)` becomes a link to the lesson, or plain text if it does not exist."""
        if name.endswith(".md"):
            text = _LESSON.sub(lambda match: self._link(name, *match.groups()), text)
        self._texts[name] = text

    def copy(self, source: Path, name: str) -> None:
        """Copy a file into the site."""
        path = self.path(name)
        if not path.exists() or path.read_bytes() != source.read_bytes():
            shutil.copyfile(source, path)

    def path(self, name: str) -> Path:
        """Return the path of a file that the caller writes."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files.add(path)
        return path

    def finish(self) -> None:
        """Write the pages, and remove files of earlier builds."""
        for name, text in self._texts.items():
            path = self.path(name)
            if not path.exists() or path.read_text("utf-8") != text:
                path.write_text(text, "utf-8")
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self._files:
                path.unlink()

    def _link(self, page: str, text: str, number: str) -> str:
        if number not in self.lessons:
            return text
        return f"[{text}]({relpath(self.lessons[number] + '.ipynb', dirname(page) or '.')})"


def toctree(names: Iterable[str], **options: str) -> str:
    """Return a table of contents that Sphinx reads and no reader sees twice."""
    settings = "".join(f":{key}: {value}\n" for key, value in ({"hidden": ""} | options).items())
    return "```{toctree}\n" + settings + "\n" + "\n".join(names) + "\n```\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as Markdown; cells are Markdown too."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in row) + " |" for row in lines) + "\n"


def _cell(value: object) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", str(value)).replace("\n", " ")


def plain(text: object) -> str:
    """Return a text in which Markdown finds no markup; addresses become links."""
    escaped = re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", str(text))
    return re.sub(r"https?://[^\s,;]+", lambda match: f"<{match[0].replace(chr(92), '')}>", escaped)


def dropdown(title: str, text: str) -> str:
    """Return a part of a page that opens with a click."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{text}\n\n</details>\n"
