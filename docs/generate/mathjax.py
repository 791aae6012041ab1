"""Puts MathJax, which draws equations, into the site, so that pages ask no other host for it."""

from generate.pages import Pages
from molfm.catalog.download import fetch
from molfm.catalog.http import DownloadError

LOCATION = "npm:mathjax==3.2.2#es5/tex-svg-full.js"
SHA256 = "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09"
FILE = "mathjax/tex-svg-full.js"  # one file with its fonts


def generate(pages: Pages) -> str:
    """Copy MathJax into the site. Where it cannot be downloaded, pages with equations load it from its public address."""
    try:
        (script,) = fetch([LOCATION], "mathjax", {LOCATION[len("npm:") :].partition("#")[0]: SHA256}, progress=False)
    except DownloadError as error:
        return f"not available, so pages with equations load it from a public address when they are read.\n{error}"
    pages.copy(script, f"_static/{FILE}")
    return "in the site"
