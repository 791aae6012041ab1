"""A page per data card: facts, tasks and prose."""

from pathlib import Path

import molfm
from generate.pages import ROOT, Pages, dropdown, plain, table, toctree
from molfm.catalog.schema import OPEN_TASKS, DataCard

LABELS = {"name": "Name", "license": "Licence"}
_TASKS = ["task", "columns", "level", "kind", "unit", "domain", "description"]


def generate(pages: Pages) -> str:
    """Write the pages of all cards, and the table that lists them."""
    listed = molfm.cards()
    for name in listed.name:
        pages.write(f"data/{name}.md", _page(molfm.card(name)))
        pages.copy(ROOT / "data_cards" / f"{name}.md", f"data/files/{name}.md.txt")
    rows = [
        [f"[{row.name}]({row.name}.md)", row.kind, plain(row.title), f"{row.tasks:,}", row.levels, row.domains]
        for row in listed.itertuples(index=False)
    ]
    start = Path(ROOT / "docs" / "data" / "index.md").read_text("utf-8")
    head = ["Name", "Kind", "What it is", "Tasks", "Levels", "Domains"]
    pages.write("data/index.md", "\n".join([start, table(head, rows), toctree(listed.name)]))
    return f"{len(listed)} cards"


def _page(card: DataCard) -> str:
    facts = [
        (LABELS.get(key, key.capitalize()), plain(value)) for key, value in card.facts().items() if key != "datasets"
    ]
    members = ", ".join(f"[{name}]({name}.md)" for name in card.datasets)
    facts += [("Datasets", members)] if members else []
    use = f'```python\nimport molfm\n\ndata = molfm.load("{card.name}")\n```\n'
    parts = [f"# {card.name}\n", f"{plain(card.title)}\n", use, table(["Fact", ""], facts)]
    if card.tasks:
        tasks = card.table()
        shown = table([name.capitalize() for name in _TASKS], [map(plain, row) for row in tasks[_TASKS].values])
        label = "1 task" if card.n_tasks == 1 else f"{card.n_tasks:,} tasks"
        parts.append(f"## Tasks\n\n{shown}" if len(tasks) <= OPEN_TASKS else f"## Tasks\n\n{dropdown(label, shown)}")
    parts.append(f"## About the data\n\n{card.text}\n")
    parts.append(f"{{download}}`The card as a file <files/{card.name}.md.txt>`\n")
    return "\n".join(parts)
