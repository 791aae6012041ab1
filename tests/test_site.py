"""The reader's site: it builds without warnings, its links lead somewhere, and no page asks anything of another host."""

import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("myst_nb", reason='needs Sphinx and its theme: pip install "molfm[docs]"')

MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3.2.2/"  # only where MathJax could not be downloaded for the site
LOADS = {  # element -> attributes whose address a browser loads by itself
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "object": ("data",),
    "embed": ("src",),
}
MEANT_FOR_READERS = ("canonical", "search", "index", "next", "prev", "author", "license")  # links that nothing loads


class Page(HTMLParser):
    """What a page says about links, pictures and anchors."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded, self.pictures, self.styles, self.open = Counter(), [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.open.append(tag)
        self.anchors.update(filter(None, [found.get("id"), found.get("name") if tag == "a" else None]))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "img" or (tag == "svg" and found.get("role") == "img" and found.get("aria-hidden") != "true"):
            self.pictures.append(found)
        if tag != "link" or found.get("rel") not in MEANT_FOR_READERS:
            self.loaded += [found[name] for name in LOADS.get(tag, ()) if found.get(name)]
        self.styles.append(found.get("style") or "")

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.styles.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory, molfm_home):
    """The folder of the site, built once; warnings fail the build."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    environment = os.environ | {"MOLFM_FAST": "1", "MOLFM_HOME": str(molfm_home)}
    command = [sys.executable, ROOT / "docs" / "build.py", "--strict", "--out", folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Every page of the site by its path."""
    found = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]  # a template of the theme
    return {path: Page(path.read_text("utf-8")) for path in found}


def test_every_lesson_card_and_model_has_a_page(site):
    import molfm
    from molfm.nn.checkpoints import NAMES

    lessons = {path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert lessons <= {path.stem for path in (site / "course").glob("*.html")}
    assert set(molfm.cards().name) <= {path.stem for path in (site / "data").glob("*.html")}
    assert set(NAMES) <= {path.stem for path in (site / "models").glob("*.html")}


def test_every_public_name_is_described(site):
    import molfm.widgets

    import molfm
    import molfm.lessons

    described = set()
    for path in (site / "api").glob("*.html"):
        described |= set(Page(path.read_text("utf-8")).anchors)
    for module in (molfm, molfm.widgets, molfm.lessons):
        assert {f"{module.__name__}.{name}" for name in module.__all__} <= described


def test_every_internal_link_leads_somewhere(pages, site):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if (
                not target.is_relative_to(site)
                or not target.exists()
                or (anchor and target in pages and anchor not in pages[target].anchors)
            ):
                broken.append((str(path.relative_to(site)), link))
    assert not broken


def test_external_links_are_https_and_well_formed(pages, site):
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("", "data") or (
                parts.scheme == "https" and re.fullmatch(r"[\w.-]+\.[a-z]{2,}", parts.netloc)
            ):
                continue
            wrong.append((str(path.relative_to(site)), link))
    assert not wrong


def test_every_picture_has_a_text(pages, site):
    silent = [
        (str(path.relative_to(site)), str(picture)[:200])
        for path, page in pages.items()
        for picture in page.pictures
        if not (picture.get("alt") or picture.get("aria-label") or picture.get("aria-labelledby"))
    ]
    assert not silent


def test_no_page_loads_anything_from_another_host(pages, site):
    asked = []
    for path, page in pages.items():
        loaded = page.loaded + re.findall(r"url\(['\"]?([^'\")]+)", " ".join(page.styles))
        asked += [(str(path.relative_to(site)), address[:200]) for address in loaded if urlsplit(address).netloc]
    for path in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import )['\"]?((?:https?:)?//[^'\")]+)", path.read_text("utf-8"))
        asked += [(str(path.relative_to(site)), address) for address in found]
    assert {address for _, address in asked if not address.startswith(MATHJAX)} == set()


def test_the_description_of_a_figure_reaches_the_page(site):
    text = (site / "course" / "03_message_passing.html").read_text("utf-8")
    assert 'alt="Bars of R² on test atoms against the number of layers' in text


def test_pages_fit_a_phone_in_both_themes_and_stay_at_home(chromium, pages):
    asked, wide, errors = set(), [], []
    for scheme in ("light", "dark"):
        context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
        context.route(lambda url: not url.startswith(("file:", "data:", "blob:")), lambda route: route.abort())
        page = context.new_page()
        page.on("request", lambda request: asked.add(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for path in pages:
            if "interactive" in path.parts:  # seen in the page around it
                continue
            page.goto(path.as_uri(), wait_until="load")
            assert page.locator("html").get_attribute("data-theme") == scheme
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > 390:
                wide.append((path.name, width))
        context.close()
    outside = {url for url in asked if not url.startswith(("file:", "data:", "blob:", MATHJAX))}
    assert (outside, wide, errors) == (set(), [], [])
