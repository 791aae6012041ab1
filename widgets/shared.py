"""What all widgets share: the module that the browser loads, the selection, questions and their answers, the static page.

A widget holds no data in the browser. Its JavaScript asks (`ask("page", {start: 0, stop: 24})`), the method
`answer_page` answers with plain values and NumPy arrays, and the arrays travel as binary buffers. The static page of
`to_html` is the same JavaScript with the answers that it will need recorded beside it.
"""

import html
import inspect
import json
import traceback
import zlib
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from molfm.mix import Mix

MAX_ERRORS = 100  # kept; one that comes again and again must not fill the memory


SHARED = {  # the files that stand before those of every widget, in this order
    "js": (
        "shared_dom",
        "shared_format",
        "shared_colors",
        "shared_canvas",
        "shared_kernel",
        "shared_static",
        "shared_frame",
    ),
    "css": ("shared",),
}


def source(suffix: str, *names: str) -> str:
    """Return the JavaScript ("js") or CSS ("css") of a widget as one text: the shared files, then the named ones, in order.

    They are joined because a widget's module is loaded as a blob, which cannot import relative files.
    """
    folder = files("molfm.widgets")
    return "\n".join((folder / f"{name}.{suffix}").read_text("utf-8") for name in (*SHARED[suffix], *names))


@dataclass(frozen=True, eq=False)
class Selection:
    """Molecules and tasks that were chosen in a widget.

    molecules: (n,) int32, their numbers: rows of `data.molecules`, sorted.
    tasks: ids of tasks.
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
    """Return an answer with every array replaced by a reference to a buffer, which is appended to `buffers`."""
    if isinstance(value, np.ndarray):
        buffers.append(np.ascontiguousarray(value).tobytes())
        return {"$buffer": len(buffers) - 1, "dtype": value.dtype.name, "shape": list(value.shape)}
    if isinstance(value, dict):
        return {key: packed(item, buffers) for key, item in value.items()}
    return [packed(item, buffers) for item in value] if isinstance(value, list | tuple) else value


class MixWidget(anywidget.AnyWidget):
    """A widget that looks at a mix.

    Attributes:
        view: what is shown, so that it is shown again when the page is reloaded: small, of plain values.
        chosen: how many molecules, and which tasks, are selected; a checksum, so that the browser hears of other molecules.
        selection: the selected molecules and tasks; set it, or link it with another widget's:
            `traitlets.link((atlas, "selection"), (browser, "selection"))`.
        errors: what failed, in the browser or here, latest last.
    """

    view = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Dict({"molecules": 0, "tasks": [], "checksum": 0}).tag(sync=True)
    selection = traitlets.Instance(Selection, ())

    def __init__(self, data: Mix, unknown: dict):
        name = type(self).__name__
        if unknown:
            known = [setting for setting in inspect.signature(type(self)).parameters if setting != "unknown"]
            near = get_close_matches(next(iter(unknown)), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(known)}."
            raise TypeError(f"{name} has no setting {next(iter(unknown))!r}. {hint}")
        if not isinstance(data, Mix):
            raise TypeError(
                f"{name} shows what molfm.load returns, found {type(data).__name__}: {name}(molfm.load(…))."
            )
        self.data, self.errors = data, []
        super().__init__()
        self.on_msg(self._asked)

    @traitlets.validate("selection")
    def _sorted(self, proposal: dict) -> Selection:
        """Accept any numbers of molecules that exist, in any order."""
        molecules = np.unique(np.asarray(proposal.value.molecules, np.int64))
        if len(molecules) and not 0 <= molecules[0] <= molecules[-1] < len(self.data):
            raise traitlets.TraitError(f"A selection holds numbers of molecules from 0 to {len(self.data) - 1:,}.")
        tasks = tuple(self.data.chosen[self.data.task_number(task)].id for task in proposal.value.tasks)
        return Selection(molecules.astype(np.int32), tasks)

    @traitlets.observe("selection")
    def _tell_selection(self, change: dict) -> None:
        molecules, tasks = change.new.molecules, change.new.tasks
        self.chosen = {"molecules": len(molecules), "tasks": list(tasks), "checksum": zlib.crc32(molecules)}

    def _asked(self, _: object, message: dict, __: list) -> None:
        """Answer one question; what fails is told in the widget, kept in `errors`, and raised here."""
        if "failed" in message:
            self._note(f"In the browser: {message['failed']}")
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

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        """Add what a notebook shows where no kernel runs."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {"text/html": self.sketch()}, metadata

    def sketch(self) -> str:
        """Return a small HTML form without JavaScript, for saved notebooks."""
        raise NotImplementedError

    def questions(self) -> Iterable[tuple[str, dict]]:
        """Yield what the static page may ask, most needed first: as many as `to_html` has room for are answered."""
        raise NotImplementedError

    def to_html(self, path: str | Path | None = None, max_bytes: int = 12_000_000) -> str | None:
        """Return the widget, as it is now, as one page that needs neither kernel nor network; with a path, write it there.

        Args:
            path: of the page.
            max_bytes: of the answers that the page holds; what has no room is left out, and the page says so.
        """
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
        recorded = ",".join(f"{json.dumps(key)}:{body}" for key, body in answers.items()).replace("<", "\\u003c")
        title = html.escape(f"{type(self).__name__}: {self.data.name}")
        page = (
            f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<style>{self._css}</style></head><body class='molfm-page'><main id='widget'><h1>{title}</h1></main>"
            f"<script type='application/json' id='answers'>{{{recorded}}}</script>"
            f"<script type='module'>{self._esm}\n"
            f"showStatic({json.dumps(state).replace('<', chr(92) + 'u003c')});</script></body></html>"
        )
        if path is None:
            return page
        Path(path).write_text(page, "utf-8")
        return None
