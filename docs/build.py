"""Builds the reader's site: generates its pages, then runs Sphinx. Works offline.

    python docs/build.py                  # into docs/_site; open docs/_site/index.html
    python docs/build.py --out FOLDER
    python docs/build.py --strict         # warnings are errors

The pages are the Markdown files of this folder and those that `generate/` makes from notebooks, data cards, models, widgets and
docstrings. All of them are collected in a working folder beside the output, so this folder stays clean and a second build
is quick. With MOLFM_FAST=1, the interactive pages are small and their results mean nothing.
"""

import argparse
import shutil
import sys
from pathlib import Path

from generate import api, cards, findings, lessons, mathjax, models, teaching, widgets
from generate.pages import Pages
from sphinx.cmd.build import build_main

HERE = Path(__file__).parent
PARTS = (lessons, teaching, widgets, cards, models, api, findings, mathjax)


def collect(source: Path) -> None:
    """Write all pages of the site to a folder."""
    pages = Pages(source, lessons.paths())
    for path in sorted(HERE.rglob("*.md")):
        if not path.relative_to(HERE).parts[0].startswith("_"):
            pages.write(str(path.relative_to(HERE)), path.read_text("utf-8"))
    pages.copy(HERE / "conf.py", "conf.py")
    for path in sorted((HERE.parent / "notebooks" / "images").glob("*.png")):
        pages.copy(path, f"images/{path.name}")
    for path in sorted((HERE / "_static").iterdir()):
        pages.copy(path, f"_static/{path.name}")
    for part in PARTS:
        print(f"{part.__name__.rpartition('.')[2]}: {part.generate(pages)}", flush=True)
    pages.finish()


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the reader's site.")
    parser.add_argument("--out", type=Path, default=HERE / "_site", help="folder of the site; default: docs/_site")
    parser.add_argument("--strict", action="store_true", help="treat warnings as errors")
    options = parser.parse_args()
    out = options.out.resolve()
    work = out.with_name(f"{out.name}.work")
    collect(work / "source")
    shutil.rmtree(out, ignore_errors=True)  # no page of an earlier build stays
    strict = ["--fail-on-warning", "--keep-going"] if options.strict else []
    return build_main(["-q", "-b", "html", "-d", str(work / "doctrees"), *strict, str(work / "source"), str(out)])


if __name__ == "__main__":
    sys.exit(main())
