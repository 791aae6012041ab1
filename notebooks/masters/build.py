"""Makes the notebooks of the course from their masters.

    python notebooks/masters/build.py            # write the student's and the solution notebook of every lesson
    python notebooks/masters/build.py 03 04      # of these lessons only
    python notebooks/masters/build.py --run 03   # also run the solution and save its outputs in both, with a picture beside each figure

A master is `NN_name.py` beside this file, in jupytext's percent format. Lines from `### BEGIN SOLUTION` to `### END SOLUTION`
(nbgrader's markers) stand in the solution only. A cell with a plotly figure has a description in its header, which becomes
the alternative text of the picture: `# %% alt="…"`. The figure of one cell per lesson is also saved as a slide, with this title:
`# %% alt="…" slide="…"`. Where the course lives (badges, installation on Colab) is the Repository of pyproject.toml.
"""

import argparse
import base64
import os
import re
import threading
import time
import tomllib
from datetime import datetime
from pathlib import Path
from textwrap import wrap

import jupytext
import nbclient
import nbformat
import plotly.io
import psutil
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from plotly.graph_objects import Figure

HERE = Path(__file__).parents[1]
MASTERS = sorted((HERE / "masters").glob("[0-9][0-9]_*.py"))
_SOLUTION = re.compile(r"^[ \t]*### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION[^\n]*\n?", re.DOTALL | re.MULTILINE)
_ANSWERS = re.compile(r"\b(check|reveal|progress)\(")  # a cell whose output depends on the student's answer
FIGURE, PICTURE, WIDGET = "application/vnd.plotly.v1+json", "image/png", "application/vnd.jupyter.widget-view+json"
WIDTH, HEIGHT = 800, 450  # of pictures: JupyterLab shows them in their own size, and its column may be as narrow
SILENT_SECONDS = 5  # without a word to the reader
_RATE = r"\d+%|[/?](s|it)\b"  # what a progress bar shows
_KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def repository() -> str:
    """Return the address of the project, as in pyproject.toml."""
    return tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]


def badges(name: str) -> str:
    """Return the links that open a lesson on Binder and on Colab, as Markdown. Pictures would be loaded from other hosts."""
    home = repository()
    path = home.removeprefix("https://github.com/")
    binder = f"https://mybinder.org/v2/gh/{path}/HEAD?urlpath=lab/tree/notebooks/{name}.ipynb"
    colab = f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{name}.ipynb"
    return f"[Open in Binder]({binder}) · [Open in Colab]({colab})"


def installation() -> str:
    """Return the first code cell: it installs molfm where it is missing, and imports it before torch, which reads molfm's
    settings when it is loaded. Without --upgrade, pip keeps whatever satisfies molfm.
    """
    return f"""\
from importlib.util import find_spec

if find_spec("molfm") is None:  # on Colab: install it; everywhere else this does nothing
    %pip install -q "molfm[quantum] @ git+{repository()}"
import molfm"""


def solution(master: Path) -> NotebookNode:
    """Return the notebook of a master, with its solutions."""
    read = jupytext.reads(master.read_text("utf-8"), "py:percent")
    first, *rest = read.cells
    title, _, text = first.source.partition("\n")
    cells = [new_markdown_cell(f"{title}\n\n{badges(master.stem)}\n{text}"), new_code_cell(installation())]
    cells += [
        (new_code_cell if cell.cell_type == "code" else new_markdown_cell)(
            cell.source.strip("\n"),
            metadata={key: value for key, value in cell.metadata.items() if key in ("alt", "slide")},
        )
        for cell in rest
    ]
    for i, cell in enumerate(cells):
        cell.id = f"{master.stem[:2]}-{i:03}"
    return nbformat.v4.new_notebook(cells=cells, metadata=_KERNEL)


def student(solved: NotebookNode) -> NotebookNode:
    """Return the student's notebook: without solutions, and without outputs that depend on them."""
    notebook = nbformat.from_dict(solved)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        source = _SOLUTION.sub("", cell.source).rstrip("\n")
        if source != cell.source or _ANSWERS.search(source):
            cell.outputs, cell.execution_count = [], None
        cell.source = source
    return notebook


def write(master: Path, solved: NotebookNode) -> None:
    """Write both notebooks of a master."""
    nbformat.write(solved, HERE / "solutions" / f"{master.stem}.ipynb")
    nbformat.write(student(solved), HERE / f"{master.stem}.ipynb")


def keep_outputs(solved: NotebookNode, saved: Path) -> NotebookNode:
    """Take over the outputs of an earlier run for cells whose code is still the same."""
    if saved.exists():
        old = {cell.source: cell for cell in nbformat.read(saved, 4).cells if cell.cell_type == "code"}
        for cell in solved.cells:
            if cell.cell_type == "code" and cell.source in old:
                cell.outputs, cell.execution_count = old[cell.source].outputs, old[cell.source].execution_count
    return solved


# -------------------------------------------------------------------------------------------------------------- running


def run(notebook: NotebookNode, folder: Path) -> None:
    """Run a notebook in a folder, and say which cells are slow, silent or large."""
    client = nbclient.NotebookClient(
        notebook, timeout=900, record_timing=True, resources={"metadata": {"path": folder}}
    )
    done, peak = threading.Event(), [0.0]

    def watch() -> None:
        me = psutil.Process()
        while not done.wait(0.2):
            kernels = [process for process in me.children(recursive=True) if "ipykernel" in " ".join(_command(process))]
            peak[0] = max([peak[0], *(_memory(process) for process in kernels)])

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.monotonic()
    try:
        client.execute()
    finally:
        done.set()
        watcher.join()
    print(f"  {time.monotonic() - start:.0f} s, peak memory of the kernel {peak[0] / 1e9:.2f} GB")
    for cell in notebook.cells:
        if times := cell.metadata.pop("execution", None):
            first, last = times["iopub.execute_input"], times["shell.execute_reply"]
            seconds = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
            if seconds > SILENT_SECONDS:
                bar = any(_is_progress(output) or output.output_type == "stream" for output in cell.outputs)
                print(f"  {seconds:4.0f} s {'with progress' if bar else 'SILENT       '}: {cell.source[:70]!r}")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except psutil.Error:
        return 0.0


def _is_progress(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        return output.name == "stderr" and re.search(_RATE, output.text) is not None
    text = output.get("data", {}).get("text/plain", "")
    return WIDGET in output.get("data", {}) and re.search(_RATE, text) is not None


def tidy(notebook: NotebookNode) -> None:
    """Drop progress bars and states of widgets from outputs, and put a picture beside each figure."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
        for output in cell.outputs:
            if FIGURE in output.get("data", {}):
                figure = draw(output, cell.metadata.get("alt", ""))
                if title := cell.metadata.get("slide"):
                    save_slide(figure, title, HERE / "images" / f"{cell.id[:2]}.png")


def draw(output: NotebookNode, alt: str) -> Figure:
    """Add a picture with an alternative text to an output with a plotly figure, and return the figure."""
    if not alt:
        raise ValueError(f'A figure needs a description: write # %% alt="…" above its cell.\n{str(output)[:300]}')
    data = {key: output.data[FIGURE][key] for key in ("data", "layout")}
    figure = plotly.io.from_json(plotly.io.json.to_json_plotly(data), skip_invalid=True)
    size = {"width": WIDTH, "height": figure.layout.height or HEIGHT}
    picture = figure.to_image("png", **size)
    output.data[PICTURE] = base64.b64encode(picture).decode()
    output.metadata[PICTURE] = {"alt": alt} | size
    return figure


def save_slide(figure: Figure, title: str, path: Path) -> None:
    """Save a figure as a slide of 1600 x 900 pixels."""
    text = {"text": "<br>".join(wrap(title, 70)), "font_size": 24, "x": 0.02, "xanchor": "left", "y": 0.95}
    figure.update_layout(title=text, font_size=17, margin={"t": 120, "l": 90, "r": 40, "b": 80})
    path.write_bytes(figure.to_image("png", width=1067, height=600, scale=1.5))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the notebooks of the course from their masters.")
    parser.add_argument("lessons", nargs="*", help="numbers such as 03; default: all")
    parser.add_argument("--run", action="store_true", help="run the solutions and save their outputs")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the notebooks run and write their files")
    options = parser.parse_args()
    os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype")  # without it each notebook holds plotly's library, 5 MB
    for master in MASTERS:
        if options.lessons and master.stem[:2] not in options.lessons:
            continue
        print(master.stem, flush=True)
        solved = solution(master)
        if options.run:
            run(solved, options.folder)
            tidy(solved)
        else:
            solved = keep_outputs(solved, HERE / "solutions" / f"{master.stem}.ipynb")
        write(master, solved)


if __name__ == "__main__":
    main()
