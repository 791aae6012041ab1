"""What the tests of widgets share: a model that asks Python, accessibility, pictures, cells of a notebook."""

import os
from pathlib import Path

import pytest

SHOTS = os.environ.get("MOLFM_SCREENSHOTS")  # a folder; pictures of the widgets are kept there
SCHEMES = ("light", "dark")

LIVE = """async ([source, css, view, chosen]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const model = globalThis.model = Object.assign(new module.Recorded({}, { view, chosen }), {
    recorded: false,
    tell(event, ...args) { this.listeners[event]?.forEach((listener) => listener(...args)); },
    set(name, value) { this.state[name] = value; this.tell(`change:${name}`); },
    async send(message) {
      const answer = await kernel(message, this.state.view);
      if (JSON.stringify(answer.chosen) !== JSON.stringify(this.state.chosen)) this.set('chosen', answer.chosen);
      for (const [content, buffers] of answer.sent) this.tell('msg:custom', content, buffers.map(bytes));
    },
  });
  document.head.append(Object.assign(document.createElement('style'), { textContent: css }));
  module.default.render({ model, el: document.body });
}"""


def broken(**args):
    raise MemoryError("no room")


def violations(page):
    """What axe-core finds that is serious or critical in the widgets of a page."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs axe-core: pip install axe-playwright-python"
    )
    found = axe.Axe().run(page, context=".molfm").response
    assert len(found["passes"]) > 5  # it looked
    serious = [item for item in found["violations"] if item["impact"] in ("serious", "critical")]
    return [(item["id"], [node["html"][:200] for node in item["nodes"]]) for item in serious]


def shoot(page, name):
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


def run_cell(page, number):
    """Run one cell and return what it printed."""
    cell = page.locator(".jp-CodeCell").nth(number)
    cell.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")
    cell.get_by_text("[*]:", exact=True).wait_for(state="hidden", timeout=60_000)
    output = cell.locator(".jp-OutputArea-output").first
    output.wait_for()
    return output.inner_text().strip()


def save(page):
    """Save the notebook and wait until it is saved: a reload before that would bring back what was saved earlier."""
    unsaved = page.locator(".lm-TabBar-tab.jp-mod-dirty")
    page.keyboard.press("Control+s")
    unsaved.wait_for(state="hidden")
