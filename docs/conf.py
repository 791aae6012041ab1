"""Settings of Sphinx. `build.py` copies this file beside the pages."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project, author, language = "molfm", "the molfm developers", "en"
html_title = "molfm"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
exclude_patterns = ["**/files/*", "widgets/pages/*"]
suppress_warnings = [
    "myst.header",  # a data card's prose, or a notebook after a solution, may skip a level of headings
    "mystnb.unknown_mime_type",  # outputs have a picture or HTML beside what only a notebook shows
    "misc.highlighting_failure",  # cells with %pip
    "docutils",  # Args sections with lists that docstrings do not set off by a blank line
]

# Notebooks are shown with the outputs that they have.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "text/html", 1)]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3

_LOCAL = "mathjax/tex-svg-full.js"
mathjax_path = (
    _LOCAL if (HERE / "_static" / _LOCAL).exists() else "https://cdn.jsdelivr.net/npm/mathjax@3.2.2/es5/tex-svg-full.js"
)
mathjax3_config = {"tex": {"inlineMath": [["\\(", "\\)"], ["$", "$"]]}, "options": {"enableMenu": False}}

default_role = "code"  # docstrings write code in single backticks
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_rtype, napoleon_use_ivar = False, True

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css", "colors.css"]
html_extra_path = ["extra"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": [], "install": [], "changelog": [], "contributing": []}
html_theme_options = {
    "logo": {"text": "molfm"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "back_to_top_button": False,
}
copyright = "the molfm developers, MIT licence"


def _skip(app, what, name, obj, skip, options):
    """Leave out what a widget answers to its own page, what anywidget asks of it, and what scikit-learn adds to estimators."""
    added = name.startswith("answer_") or (name.startswith("set_") and name.endswith("_request"))
    return True if added or name in ("questions", "sketch", "recorded") else None


def setup(app):
    app.connect("autodoc-skip-member", _skip)
