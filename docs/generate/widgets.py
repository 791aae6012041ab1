"""The widgets as interactive pages, made by `to_html` from MiniMix, and their colours for the site."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep

from molfm.widgets import EmbeddingMap, LabelAtlas, MoleculeBrowser, TrainingLab, TransferExplorer
from molfm.widgets.shared import MixWidget

import molfm
from generate.pages import ROOT, Pages
from molfm.base.colors import THEMES
from molfm.base.files import home, is_fast
from molfm.data.mix import Mix
from molfm.lessons import budget

SEEDS, STUDY_STEPS, LAB_STEPS = budget(3, fast=2), budget(60, fast=2), budget(300, fast=3)
MAX_BYTES = budget(4_000_000, fast=1_500_000)  # of the recorded answers of a page
RUN = "docs-site-logbb"
STUDY = {
    "targets": ["toxcast/BSK"],
    "sources": ["xtb/graph", "toxcast/ATG"],
    "regimes": ("cotrain",),
    "n_labels": 128,
    "source_batch": 32,
    "hidden_channels": 32,
    "num_layers": 2,
}


@dataclass(frozen=True)
class Widget:
    """A widget, a function that makes it, and the training steps that its page states."""

    title: str
    make: Callable[[Mix], MixWidget]
    steps: int = 0

    @property
    def name(self) -> str:
        """The name of its page, such as label_atlas."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.title).lower()


def _explorer(data: Mix) -> MixWidget:
    explorer = TransferExplorer(molfm.transfer(data, seeds=SEEDS, steps=STUDY_STEPS, progress=False, **STUDY))
    explorer.view = explorer.view | {"unfolded": [0]}  # the row of the mean, so that single assays are seen
    return explorer


def _lab(data: Mix) -> MixWidget:
    network = {"steps": LAB_STEPS, "hidden_channels": 32, "num_layers": 2, "seed": 0}
    shutil.rmtree(home() / "runs" / RUN, ignore_errors=True)  # of an earlier build
    run = molfm.train(data, tasks=["logBB"], name=RUN, progress=False, **network)
    lab = TrainingLab(data)
    lab.view = lab.view | {"run": run.folder.name}
    poll = dict(lab.questions())["poll"]
    while "'pending': True" in str(lab.answer_poll(**poll)):  # the random forest, which the page shows too
        sleep(0.5)
    return lab


WIDGETS = (
    Widget("LabelAtlas", LabelAtlas),
    Widget("MoleculeBrowser", MoleculeBrowser),
    Widget("EmbeddingMap", EmbeddingMap),
    Widget("TransferExplorer", _explorer, STUDY_STEPS),
    Widget("TrainingLab", _lab, LAB_STEPS),
)


def generate(pages: Pages) -> str:
    """Write a page per widget with its interactive form, and the colours of the site."""
    data = molfm.load("minimix")
    for widget in WIDGETS:
        path = pages.path(f"extra/interactive/{widget.name}.html")
        widget.make(data).to_html(path, MAX_BYTES)
        text = (ROOT / "docs" / "widgets" / f"{widget.name}.md").read_text("utf-8")
        for word, value in (("WIDGET\n", _shown(widget)), ("{seeds}", str(SEEDS)), ("{steps}", str(widget.steps))):
            text = text.replace(word, value)
        pages.write(f"widgets/{widget.name}.md", text)
        print(f"  {widget.title}, {path.stat().st_size / 1e6:.1f} MB", flush=True)
    pages.write("_static/colors.css", _colors())
    return f"{len(WIDGETS)} interactive pages{' (MOLFM_FAST: small)' if is_fast() else ''}"


def _shown(widget: Widget) -> str:
    address = f"../interactive/{widget.name}.html"
    return (
        f'```{{raw}} html\n<p><a class="alone" href="{address}">Open {widget.title} alone, in the whole window</a></p>\n'
        f'<iframe class="widget" src="{address}" title="{widget.title}" loading="lazy"></iframe>\n```\n'
    )


def _colors() -> str:
    """Return the project's colours as CSS, for both themes."""
    lines = []
    for theme, colors in THEMES.items():
        roles = "".join(f"  --molfm-{name}: {color};\n" for name, color in colors.items())
        lines.append(f'html[data-theme="{theme}"] {{\n{roles}}}\n')
    return "/* The colours of molfm.base.colors. */\n" + "\n".join(lines)
