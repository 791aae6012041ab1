"""The base of all widgets: joining the JavaScript, the selection, questions and answers, the static page.

A widget holds no data in the browser. Its JavaScript asks (`ask("page", {start: 0, stop: 24})`), the method
`answer_page` answers with plain values and NumPy arrays, and the arrays travel as binary buffers. The static page of
`to_html` contains the same JavaScript and the recorded answers.
"""

import html
import inspect
import json
import traceback
import zlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from IPython.display import display

from molfm.base.colors import ELEMENTS, THEMES, rgb
from molfm.base.errors import InputError
from molfm.base.files import write_text
from molfm.base.names import did_you_mean
from molfm.data.mix import Mix
from molfm.training.run import Run

MAX_ERRORS = 100  # kept; a recurring error must not fill the memory
MAX_UNDONE = 50  # earlier selections that "undo" can bring back


SHARED = {  # the files that are joined before the files of every widget, in this order
    "js": (
        "shared_dom",
        "shared_controls",
        "shared_format",
        "shared_colors",
        "shared_canvas",
        "shared_chart",
        "shared_kernel",
        "shared_static",
        "shared_frame",
        "shared_selection",
    ),
    "css": ("shared",),
}


def source(suffix: str, *names: str) -> str:
    """Return the JavaScript ("js") or CSS ("css") of a widget as one text: the shared files, then the named ones, in order.

    They are joined because a widget's module is loaded as a blob, which cannot import relative files. The colours of
    `molfm.base.colors` come first: as `THEMES` and `ELEMENT_COLORS` in JavaScript, as variables such as --paper in CSS.
    """
    folder = files("molfm.widgets")
    parts = [(folder / f"{name}.{suffix}").read_text("utf-8") for name in (*SHARED[suffix], *names)]
    return "\n".join([_colors(suffix), *parts])


def _colors(suffix: str) -> str:
    if suffix == "css":
        variables = {theme: "".join(f"--{role}:{color};" for role, color in of.items()) for theme, of in THEMES.items()}
        return f".molfm{{{variables['light']}}}\n.molfm.dark{{{variables['dark']}}}"
    themes = {theme: {role: rgb(color) for role, color in of.items()} for theme, of in THEMES.items()}
    elements = {number: rgb(color) for number, color in ELEMENTS.items()}
    return f"export const THEMES = {json.dumps(themes)};\nconst ELEMENT_COLORS = {json.dumps(elements)};"


def opened(model: object) -> object:
    """Return the model that a widget's argument names: a model, a run, or a name or folder for `molfm.pretrained`."""
    if isinstance(model, str | Path):
        from molfm.nn.checkpoints import pretrained  # imports torch

        return pretrained(model)
    return model.model if isinstance(model, Run) else model


@dataclass(frozen=True, eq=False)
class Selection:
    """Molecules and tasks selected in a widget.

    molecules: (n,) int32, sorted row numbers of `data.molecules`.
    tasks: task ids.
    """

    molecules: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    tasks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.molecules)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Selection) and self.tasks == other.tasks
        return same and np.array_equal(self.molecules, other.molecules)

    __hash__ = None

    def __repr__(self) -> str:
        return f"Selection({len(self):,} molecules, {len(self.tasks):,} tasks)"


def packed(value: object, buffers: list[bytes]) -> object:
    """Replace every array of an answer with a reference to a buffer, and append the buffers to `buffers`."""
    if isinstance(value, np.ndarray):
        buffers.append(np.ascontiguousarray(value).tobytes())
        return {"$buffer": len(buffers) - 1, "dtype": value.dtype.name, "shape": list(value.shape)}
    if isinstance(value, dict):
        return {key: packed(item, buffers) for key, item in value.items()}
    return [packed(item, buffers) for item in value] if isinstance(value, list | tuple) else value


def link(*widgets: "MixWidget") -> None:
    """Make the selections of widgets of one mix one: what is selected in one is selected in all.

    Raises:
        ValueError: the widgets show different mixes.
    """
    first, *others = widgets
    for other in others:
        if other.data.key is not first.data.key and not np.array_equal(other.data.key, first.data.key):
            raise InputError(
                f"Expected widgets of one mix, found {first.data.name} with {len(first.data):,} molecules and "
                f"{other.data.name} with {len(other.data):,}: a selection means the same in both only if they share their molecules."
            )
        traitlets.link((first, "selection"), (other, "selection"))


def display_twice(name: str, made: tuple[dict, dict] | dict, sketch: str) -> None:
    """Display a widget and, in an output of its own, a form without scripts, which the widget hides while it works.

    In one output, JupyterLab and nbconvert would prefer the widget and show nothing where it cannot run: in a saved
    notebook without a kernel, or in a page without a network.

    Args:
        name: what the widget shows.
        made: what its `_repr_mimebundle_` returned.
        sketch: the form, as HTML.
    """
    data, metadata = made if isinstance(made, tuple) else (made, {})
    display(data | {"text/plain": name}, metadata=metadata, raw=True)
    form = f"<div class='molfm-still'>{sketch}</div>"
    display({"text/html": form, "text/plain": f"{name}, without a kernel"}, raw=True)


class MixWidget(anywidget.AnyWidget):
    """A widget that shows a mix.

    Attributes:
        view: the state of the display, restored when the page is reloaded; a small dict of plain values.
        chosen: the number of selected molecules, the selected tasks, a checksum, so the browser notices when other
            molecules are selected, and the number of earlier selections that can be brought back.
        selection: the selected molecules and tasks. Set it, or make it one with another widget's: `link(atlas, browser)`.
        errors: errors in the browser and in Python, latest last.
    """

    view = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Dict({"molecules": 0, "tasks": [], "checksum": 0, "earlier": 0}).tag(sync=True)
    selection = traitlets.Instance(Selection, ())

    def __init__(self, data: Mix, unknown: dict):
        name = type(self).__name__
        if unknown:
            known = [setting for setting in inspect.signature(type(self)).parameters if setting != "unknown"]
            wrong = next(iter(unknown))
            hint = did_you_mean(wrong, known) or f" Expected one of {', '.join(known)}."
            raise TypeError(f"{name} has no setting {wrong!r}.{hint}")
        if not isinstance(data, Mix):
            raise TypeError(
                f"{name} expected the result of molfm.load, found {type(data).__name__}. Call {name}(molfm.load(…))."
            )
        self.data, self.errors = data, []
        self._earlier: list[Selection] = []
        super().__init__()
        self.on_msg(self._asked)

    @traitlets.validate("selection")
    def _sorted(self, proposal: dict) -> Selection:
        """Check, sort and deduplicate the molecules of a new selection."""
        molecules = np.unique(np.asarray(proposal.value.molecules, np.int64))
        if len(molecules) and not 0 <= molecules[0] <= molecules[-1] < len(self.data):
            raise traitlets.TraitError(
                f"Molecule numbers must be from 0 to {len(self.data) - 1:,}, found {molecules[0]} to {molecules[-1]}."
            )
        tasks = tuple(self.data.task(task).id for task in proposal.value.tasks)
        return Selection(molecules.astype(np.int32), tasks)

    @traitlets.observe("selection")
    def _tell_selection(self, change: dict) -> None:
        before = change.old if isinstance(change.old, Selection) else Selection()  # undefined before the first
        self._earlier = [*self._earlier, before][-MAX_UNDONE:]
        self._tell()

    def _tell(self) -> None:
        molecules, tasks = self.selection.molecules, self.selection.tasks
        checksum, earlier = zlib.crc32(molecules), len(self._earlier)
        self.chosen = {"molecules": len(molecules), "tasks": list(tasks), "checksum": checksum, "earlier": earlier}

    def answer_undo(self) -> dict:
        """Bring back the selection before the last change, if there was one."""
        if self._earlier:
            *earlier, before = self._earlier
            self.selection = before
            self._earlier = earlier  # without the undoing itself
            self._tell()
        return self.chosen

    def _asked(self, _: object, message: dict, __: list) -> None:
        """Answer one question. An error is shown in the widget, kept in `errors` and raised here."""
        if "failed" in message:
            self._note(f"Error in the browser: {message['failed']}")
            raise RuntimeError(self.errors[-1])
        try:
            buffers: list[bytes] = []
            answer = packed(self._answer(message["ask"], message["args"]), buffers)
            self.send({"id": message["id"], "answer": answer}, buffers)
        except Exception as error:
            self.send({"id": message["id"], "error": f"{type(error).__name__}: {error}"})
            self._note(traceback.format_exc())
            raise

    def _answer(self, ask: str, args: dict) -> dict:
        return getattr(self, f"answer_{ask}")(**args)

    def _note(self, error: str) -> None:
        self.errors = [*self.errors, error][-MAX_ERRORS:]

    def _ipython_display_(self, **kwargs: object) -> None:
        """Show the widget, and a form without scripts."""
        display_twice(f"{type(self).__name__} of {self.data.name}", self._repr_mimebundle_(**kwargs), self.sketch())

    def sketch(self) -> str:
        """Return a small HTML version without JavaScript, for saved notebooks and pages without a kernel."""
        raise NotImplementedError

    def questions(self) -> Iterable[tuple[str, dict]]:
        """Yield the questions of the static page, the most important first. `to_html` records answers up to its size limit."""
        raise NotImplementedError

    def to_html(self, path: str | Path | None = None, max_bytes: int = 12_000_000) -> str | Path:
        """Return the current widget as one HTML page that needs no kernel and no network, or write it to `path` and return that path.

        Args:
            path: the file to write. None to return the page.
            max_bytes: size limit of the recorded answers, in bytes. Further answers are left out, and the page says so.
        """
        page = static_page(f"{type(self).__name__}: {self.data.name}", [self], max_bytes)
        if path is None:
            return page
        write_text(Path(path), page)
        return Path(path)

    def recorded(self, place: int, max_bytes: int) -> str:
        """Return the scripts that show this widget at one place of a static page: the recorded answers and the module."""
        answers, size, complete = {}, 0, True
        for ask, args in self.questions():
            buffers: list[bytes] = []
            answer = packed(self._answer(ask, args), buffers)
            body = json.dumps([answer, [b64encode(buffer).decode() for buffer in buffers]])
            if answers and size + len(body) > max_bytes:
                complete = False
                break
            answers[json.dumps([ask, args], sort_keys=True, separators=(",", ":"), ensure_ascii=False)] = body
            size += len(body)
        state = {"view": self.view, "chosen": self.chosen, "complete": complete}
        kept = ",".join(f"{json.dumps(key)}:{body}" for key, body in answers.items()).replace("<", "\\u003c")
        return (
            f"<script type='application/json' id='answers-{place}'>{{{kept}}}</script><script type='module'>{self._esm}\n"
            f"showStatic({place}, {json.dumps(state).replace('<', chr(92) + 'u003c')});</script>"
        )


def static_page(title: str, widgets: Sequence[MixWidget], max_bytes: int) -> str:
    """Return an HTML page that shows widgets without a kernel and a network: two beside each other, an odd last one below.

    Args:
        max_bytes: size limit of the recorded answers of all widgets together, in bytes.
    """
    scripts = "".join(widget.recorded(place, max_bytes // len(widgets)) for place, widget in enumerate(widgets))
    wide = len(widgets) - 1 if len(widgets) % 2 else -1
    places = "".join(
        f"<div id='widget-{place}'{' class=molfm-wide' if place == wide else ''}></div>"
        for place in range(len(widgets))
    )
    styles = "".join(dict.fromkeys(widget._css for widget in widgets))
    title = html.escape(title)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<style>{styles}</style></head><body class='molfm-page'><main><h1>{title}</h1>"
        f"<div class='molfm-parts'>{places}</div></main>{scripts}</body></html>"
    )
