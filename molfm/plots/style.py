"""The style of all figures. Colour is never the only cue."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from molfm.base.colors import THEMES
from molfm.base.names import minus

INK, QUIET = THEMES["light"]["text"], THEMES["light"]["quiet"]  # a page recolours them in dark mode
DOMAIN_COLORS = {
    name: THEMES["light"][name] for name in ("quantum", "physicochemical", "biological", "transcriptomic")
} | {"": QUIET}
REGIME_STYLE = {  # colour, dash, symbol
    "alone": (QUIET, "dash", "circle-open"),
    "cotrain": (INK, "solid", "circle"),
    "finetune": (INK, "dashdot", "diamond"),
    "probe": (INK, "dot", "square"),
}
REFERENCE_STYLE = (QUIET, "dot", "x-thin-open")
# Okabe and Ito's colours, which colour-blind people can tell apart, for lines of which only the name matters
SERIES_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
SERIES_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "triangle-down", "star")
METRIC_NAMES = {
    "r2": "R²",
    "auroc": "AUROC",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
}


def new_figure(title: str, x: str, y: str, height: int = 380, figure: go.Figure | None = None) -> go.Figure:
    """Return a new figure in the project's style, or apply that style to `figure`."""
    figure = figure or go.Figure()
    figure.update_layout(
        template="plotly_white",
        title={"text": title, "font": {"size": 15}},
        height=height,
        margin={"l": 70, "r": 20, "t": 50, "b": 50},
        xaxis_title=x,
        yaxis_title=y,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )
    return figure


def legend_below(figure: go.Figure) -> go.Figure:
    """Move a legend with long or many names below the figure, away from the title."""
    return figure.update_layout(legend={"y": -0.25, "yanchor": "top", "x": 0, "xanchor": "left"}, margin_b=150)


def arm_name(regime: str, source: str) -> str:
    """Return the name of runs of one regime with one source, as figures show it."""
    forms = {"alone": "alone", "cotrain": "with {}", "finetune": "after {}", "probe": "probe of {}"}
    return forms[regime].format(source)


def arm_style(regime: str, source: str, sources: Sequence[str]) -> tuple[str, str, str]:
    """Return the colour of runs, which shows their source (of all `sources`), and dash and symbol, for their regime."""
    color, dash, symbol = REGIME_STYLE[regime]
    return SERIES_COLORS[sources.index(source) % len(SERIES_COLORS)] if source else color, dash, symbol


PALE = "#f4f4f2"


def matrix(figure: go.Figure, z, x, y, text, hover, colors: list, limit: float, unit: str) -> go.Figure:
    """Add a matrix to a figure, coloured from -limit to limit, with a text in each cell."""
    figure.add_heatmap(
        z=z,
        x=x,
        y=y,
        text=pd.DataFrame(text).map(minus),
        customdata=pd.DataFrame(hover).map(minus),
        texttemplate="%{text}",
        textfont={"color": INK},
        hovertemplate="%{y}, %{x}<br>%{customdata}<extra></extra>",
        hoverongaps=False,
        colorscale=colors,
        zmin=-limit,
        zmax=limit,
        xgap=3,
        ygap=3,
        colorbar={"title": unit},
    )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False, autorange="reversed", tickfont_size=11)
    return figure.update_layout(margin_l=190)
