"""The reports of the benchmarks with their pictures, the changelog, and the guide for contributors."""

import re

from generate.pages import ROOT, Pages, toctree

BENCHMARKS = ROOT / "benchmarks"


def generate(pages: Pages) -> str:
    """Copy the reports, and list them with their first paragraphs."""
    reports = sorted(BENCHMARKS.glob("*.md"))
    parts = [(ROOT / "docs" / "findings" / "index.md").read_text("utf-8")]
    for report in reports:
        text = report.read_text("utf-8")
        pages.write(f"findings/{report.name}", text)
        title = re.search(r"^# (.+)$", text, re.MULTILINE)[1]
        parts.append(f"- [{title}]({report.name})")
    for picture in sorted((BENCHMARKS / "images").glob("*.png")):
        pages.copy(picture, f"findings/images/{picture.name}")
    pages.write("findings/index.md", "\n".join([*parts, "", toctree(report.stem for report in reports)]))
    for name in ("CHANGELOG", "CONTRIBUTING"):
        pages.write(f"{name.lower()}.md", (ROOT / f"{name}.md").read_text("utf-8"))
    return f"{len(reports)} reports, changelog, contributing"
