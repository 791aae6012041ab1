"""explore: the label atlas, the map and the molecules of a mix as one panel with one selection."""

from pathlib import Path

import ipywidgets
from molfm.widgets.atlas import LabelAtlas
from molfm.widgets.browser import MoleculeBrowser
from molfm.widgets.map import EmbeddingMap
from molfm.widgets.shared import Selection, display_twice, link, opened, static_page

from molfm.base.files import write_text
from molfm.data.mix import Mix

_GRID = "repeat(auto-fit, minmax(min(100%, 420px), 1fr))"  # side by side where there is room, otherwise stacked


class Explorer(ipywidgets.VBox):
    """Several widgets of one mix as one panel. Made by `explore`.

    What is selected in one part is selected in all, and the molecules show it. A molecule that is opened among the
    molecules is pointed at on the map, and the other way round.

    Attributes:
        atlas, map, browser: the parts.
        selection: the selected molecules and tasks; set it to select in all parts.
    """

    def __init__(self, data: Mix, model: object = None):
        model = opened(model)
        self.atlas, self.map, self.browser = LabelAtlas(data), EmbeddingMap(data, model), MoleculeBrowser(data, model)
        link(self.atlas, self.map, self.browser)
        for part in self._parts:
            part.layout = ipywidgets.Layout(min_width="0", width="auto")
        upper = ipywidgets.GridBox(
            [self.atlas, self.map], layout=ipywidgets.Layout(grid_template_columns=_GRID, grid_gap="8px")
        )
        super().__init__([upper, self.browser], layout=ipywidgets.Layout(grid_gap="8px"))
        self.map.observe(self._open, "view")
        self.browser.observe(self._open, "view")
        self.map.observe(self._show_selected, "selection")

    @property
    def _parts(self) -> tuple[LabelAtlas, EmbeddingMap, MoleculeBrowser]:
        return self.atlas, self.map, self.browser

    @property
    def selection(self) -> Selection:
        return self.atlas.selection

    @selection.setter
    def selection(self, selection: Selection) -> None:
        self.atlas.selection = selection

    def _open(self, change: dict) -> None:
        """Open a molecule in all parts that was opened in one."""
        molecule = change.new.get("open")
        if molecule is None or molecule == change.old.get("open"):
            return
        for part in (self.map, self.browser):
            if part.view.get("open") != molecule:
                part.view = part.view | {"open": molecule}

    def _show_selected(self, change: dict) -> None:
        """Show what is selected, or everything while nothing is."""
        self.browser.view = self.browser.view | {"selected": len(change.new) > 0}

    def _ipython_display_(self, **kwargs: object) -> None:
        """Show the panel, and a form without scripts."""
        sketch = "".join(part.sketch() for part in self._parts)
        # ipywidgets 7, which Colab has, makes no bundle of its own.
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        display_twice(f"Parts of {self.atlas.data.name}", {"application/vnd.jupyter.widget-view+json": view}, sketch)

    def to_html(self, path: str | Path | None = None, max_bytes: int = 30_000_000) -> str | Path:
        """Return the parts as one HTML page that needs no kernel and no network, or write it to `path` and return that path.

        Args:
            path: the file to write. None to return the page.
            max_bytes: size limit of the recorded answers, in bytes; each part has a third of it.
        """
        page = static_page(f"{self.atlas.data.name}: labels, map and molecules", self._parts, max_bytes)
        if path is None:
            return page
        write_text(Path(path), page)
        return Path(path)


def explore(data: Mix, model: object = None) -> Explorer:
    """Show the labels, the map and the molecules of a mix as one panel with one selection.

    Args:
        data: the result of `molfm.load`.
        model: what embeds and predicts, as for `EmbeddingMap`. None for a map of fingerprints, without predictions.

    Raises:
        TypeError: `data` is not a mix, or `model` cannot embed and predict.
    """
    return Explorer(data, model)
