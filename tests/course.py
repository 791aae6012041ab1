"""The lessons of the course, and how the tests run them."""

import importlib.util
import re
from pathlib import Path

import nbclient
import pytest
from nbformat.v4 import new_code_cell

import molfm
from molfm.catalog.http import DownloadError

COURSE = Path(__file__).parents[1] / "notebooks"
MASTERS = sorted((COURSE / "masters").glob("[0-9][0-9]_*.py"))
_VERDICT = re.compile(r"[✓○] (\d\d\.\d) is (right\.|not right yet\.)")
# Runs in the kernel before the first cell: the course has to work in a class without a network.
OFFLINE = """
import socket
_connect = socket.socket.connect
def connect(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"no network in this test: {address}")
    return _connect(self, address)
socket.socket.connect = connect
"""

_spec = importlib.util.spec_from_file_location("build", COURSE / "masters" / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

lessons = pytest.mark.parametrize("master", MASTERS, ids=lambda path: path.stem)


def run(notebook, folder, monkeypatch):
    """Run a notebook without a network, and return the verdicts of its checks: exercise -> right or not."""
    if 'pretrained("minimol")' in str(notebook.cells):  # its weights are downloaded once, here
        try:
            molfm.pretrained("minimol")
        except DownloadError as error:
            pytest.skip(f"the published weights cannot be had here: {str(error).splitlines()[0]}")
    monkeypatch.setenv("MOLFM_FAST", "1")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    notebook.cells.insert(0, new_code_cell(OFFLINE))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    text = "\n".join(
        output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if "outputs" in cell
        for output in cell.outputs
    )
    return {name: verdict == "right." for name, verdict in _VERDICT.findall(text)}


def exercises(notebook):
    return set(re.findall(r'check\("(\d\d\.\d)"', "\n".join(cell.source for cell in notebook.cells)))
