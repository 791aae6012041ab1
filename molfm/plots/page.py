"""A self-contained HTML page of figures and tables, in light and dark mode."""

import html
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --paper: #ffffff; --soft: #f2f4f7; --line: #d5dae1; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ee; --paper: #14171c; --soft: #1f242c; --line: #3a424e; --accent: #56b4e9; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--paper); max-width: 62rem; margin: 0 auto;
  padding: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .3rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
.finding { background: var(--soft); border-left: 6px solid var(--accent); padding: .8rem 1.1rem; font-size: 1.1rem; }
.finding small { display: block; font-size: .82rem; margin-top: .35rem; opacity: .85; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .87rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; min-width: 8rem; overflow-wrap: anywhere; }
code { background: var(--soft); padding: .1rem .3rem; } footer { margin-top: 3rem; font-size: .87rem; }
summary { cursor: pointer; color: var(--accent); } a { color: var(--accent); }
"""
# Plotly ignores the reader's colour scheme, so this script recolours the figures.
_DARK = """
if (matchMedia("(prefers-color-scheme: dark)").matches)
  for (const figure of document.querySelectorAll(".plotly-graph-div"))
    Plotly.relayout(figure, Object.keys(figure.layout).filter(key => /^[xy]axis/.test(key)).reduce(
      (changes, axis) => ({...changes, [axis + ".gridcolor"]: "#3a424e", [axis + ".zerolinecolor"]: "#59626f"}),
      {paper_bgcolor: "#14171c", plot_bgcolor: "#14171c", "font.color": "#e6e9ee"}));
"""


def figure_html(figure: go.Figure, label: str) -> str:
    """Return a figure as HTML without Plotly's library, with a text label for screen readers."""
    div = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True})
    return f"<div role='img' aria-label='{html.escape(label, quote=True)}'>{div}</div>"


def table_html(table: pd.DataFrame, digits: int = 3) -> str:
    """Return a table as HTML, numbers with so many decimals and missing values as blanks."""
    return f"<div class='table'>{table.to_html(index=False, border=0, float_format=f'{{:.{digits}f}}'.format, na_rep='')}</div>"


def page_html(title: str, body: Sequence[str]) -> str:
    """Return a page of HTML fragments, with its style and Plotly's library inside."""
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>{''.join(body)}"
        f"<script>{_DARK}</script></body></html>"
    )
