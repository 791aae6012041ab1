"""A real browser, and a real JupyterLab on this machine; without Chromium the tests here are skipped, and say so."""

import os
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from pages import LIVE

import molfm

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def page(chromium):
    """An empty page; it fails the test if the page asks anything of another machine, or throws."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(90_000)  # other tests and their kernels share the cores
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    local = ("http://127.0.0.1", "ws://127.0.0.1", "file:", "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(local) else wrong.append(request.url))
    yield page
    context.close()
    assert not wrong


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory):
    """The folder that JupyterLab is started in; its notebooks are in `copy`."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab(lab_folder, molfm_home):
    """JupyterLab on a working copy of the notebooks, as `molfm lab` starts it; gives its address."""
    folder = lab_folder
    log = folder / "log.txt"
    environment = os.environ | {"MOLFM_FAST": "1", "MOLFM_HOME": str(molfm_home), "BROWSER": "true"}
    command = [Path(sys.executable).with_name("molfm"), "lab", "--folder", folder / "copy", "--", "--no-browser"]
    command += ["--IdentityProvider.token=", "--allow-root", "--port=0", "--ip=127.0.0.1"]
    with open(log, "w") as out:
        process = subprocess.Popen(list(map(str, command)), cwd=folder, env=environment, stdout=out, stderr=out)
    try:
        for _ in range(240):
            addresses = [word for word in log.read_text().split() if word.startswith("http://127.0.0.1:")]
            if addresses:
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.25)
        else:
            pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
        yield addresses[0].split("?")[0]
    finally:
        process.kill()


@pytest.fixture
def notebook(lab, lab_folder, page):
    """A function that writes a notebook with these cells, opens it in JupyterLab and runs it; gives the page."""

    def run(name, cells):
        content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=KERNEL)
        nbformat.write(content, lab_folder / "copy" / f"{name}.ipynb")
        page.goto(f"{lab.partition('/lab')[0]}/lab/workspaces/{name}/tree/{name}.ipynb", wait_until="domcontentloaded")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=90_000)
        page.get_by_text("| Idle").wait_for(timeout=60_000)  # earlier, JupyterLab would ask for a kernel
        page.get_by_text("Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        return page

    return run


@pytest.fixture(scope="session")
def minimix():
    """Prepared once, so that the notebooks' kernels only have to open it."""
    return molfm.load("minimix", progress=False)


@pytest.fixture
def live(page):
    """A function that shows a widget and answers its questions, without JupyterLab; gives the list of what was asked."""

    def show(widget):
        asked = []

        def kernel(message, view):
            sent, widget.view = [], view
            widget.send = lambda content, buffers=(): sent.append((content, [b64encode(b).decode() for b in buffers]))
            asked.append(message.get("ask"))
            with suppress(Exception):  # told in the answer
                widget._asked(widget, message, [])
            return {"sent": sent, "chosen": widget.chosen}

        page.expose_function("kernel", kernel)
        page.set_content("<p>empty</p>")
        page.evaluate(LIVE, [str(widget._esm), str(widget._css), widget.view, widget.chosen])
        return asked

    return show
