"""A self-contained HTML page of figures and tables, in light and dark mode."""

import html
import json
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from molfm.base.colors import THEMES


def _variables(theme: str) -> str:
    return "".join(f"--{role}: {color}; " for role, color in THEMES[theme].items())


_STYLE = (
    f"""
:root {{ color-scheme: light dark; {_variables("light")}}}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables("dark")}}} }}
"""
    + """
body { font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--paper); max-width: 62rem; margin: 0 auto;
  padding: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .3rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
.finding { background: var(--ground); border-left: 6px solid var(--edge); padding: .8rem 1.1rem; font-size: 1.1rem; }
.finding small { display: block; font-size: .82rem; margin-top: .35rem; opacity: .85; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .87rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; min-width: 8rem; overflow-wrap: anywhere; }
code { background: var(--ground); padding: .1rem .3rem; }
pre { background: var(--ground); padding: .6rem .8rem; overflow-x: auto; } footer { margin-top: 3rem; font-size: .87rem; }
summary { cursor: pointer; color: var(--focus); } a { color: var(--focus); }
"""
)
# Plotly ignores the reader's colour scheme, so this script gives the figures the dark colours of the same roles.
_DARK = (
    f"""
const ROLES = {json.dumps({color: THEMES["dark"][role] for role, color in THEMES["light"].items() if role != "paper"})};
const INK = {json.dumps(THEMES["dark"])};
"""
    + """
if (matchMedia("(prefers-color-scheme: dark)").matches)
  for (const figure of document.querySelectorAll(".plotly-graph-div")) {
    Plotly.relayout(figure, Object.keys(figure.layout).filter(key => /^[xy]axis/.test(key)).reduce(
      (changes, axis) => ({...changes, [axis + ".gridcolor"]: INK.line, [axis + ".zerolinecolor"]: INK.edge}),
      {paper_bgcolor: INK.paper, plot_bgcolor: INK.paper, "font.color": INK.text}));
    figure.data.forEach((trace, i) => {
      for (const part of ["marker", "line", "error_x", "error_y"])
        if (trace[part]?.color in ROLES) Plotly.restyle(figure, {[part + ".color"]: ROLES[trace[part].color]}, [i]);
    });
  }
"""
)


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
