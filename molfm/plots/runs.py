"""Figures of training runs: learning curves, and whether the gradients of tasks agree."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from molfm.base.colors import THEMES
from molfm.plots.style import (
    PALE,
    SERIES_COLORS,
    SERIES_SYMBOLS,
    arm_name,
    arm_style,
    legend_below,
    matrix,
    new_figure,
)

MANY = 12  # a matrix with more names than this has small cells


def learning_curves(curves: pd.DataFrame, metric: str) -> go.Figure:
    """Show a validation metric during training: thin lines are seeds, thick lines are their means.

    Args:
        curves: `TransferResult.curves`: source, regime, seed, step, value.
        metric: name of the metric.
    """
    figure = new_figure("Learning curves", "step", f"{metric} on validation")
    sources = [source for source in curves.source.unique() if source]
    for (regime, source), group in curves.groupby(["regime", "source"], sort=False):
        color, dash, symbol = arm_style(regime, source, sources)
        name = arm_name(regime, source)
        for seed, curve in group.groupby("seed"):
            figure.add_scatter(
                x=curve.step,
                y=curve.value,
                mode="lines",
                line={"color": color, "width": 1, "dash": dash},
                opacity=0.4,
                showlegend=False,
                name=name,
                hovertemplate=f"{name}, seed {seed}<br>step %{{x}}: %{{y:.3f}}<extra></extra>",
            )
        mean = group.groupby("step").value.mean()
        figure.add_scatter(
            x=mean.index,
            y=mean,
            mode="lines+markers",
            line={"color": color, "width": 3, "dash": dash},
            marker={"symbol": symbol},
            name=name,
        )
    return legend_below(figure) if len(sources) > 1 else figure


def gradient_agreement(curves: pd.DataFrame, arm: str) -> go.Figure:
    """Show how well the gradients of each pair of heads agreed on the shared trunk during training.

    Above 0, a step for one head helps the other. Below 0, the two undo each other.

    Args:
        curves: `training.curves.head_cosines` of runs that were trained with `conflicts=True`.
        arm: name of these runs, for the title.
    """
    figure = _lines(curves, f"Do gradients agree? {arm}", "cosine")
    figure.add_hline(y=0, line_color="#777777", line_width=1)
    return figure


def validation_losses(curves: pd.DataFrame, arm: str) -> go.Figure:
    """Show validation losses per label during training, in z-units for regression and nats for classes.

    Args:
        curves: `training.curves.loss_curves` of runs that were trained with `conflicts=True`.
        arm: name of these runs, for the title.
    """
    return _lines(curves, f"Validation losses {arm}", "loss per label")


def _lines(curves: pd.DataFrame, title: str, y: str) -> go.Figure:
    """Show curves over steps, one line per column."""
    figure, n = new_figure(title, "step", y, 420), len(SERIES_COLORS)
    for place, name in enumerate(curves):
        figure.add_scatter(
            x=curves.index,
            y=curves[name],
            mode="lines+markers",
            name=name,
            line={"color": SERIES_COLORS[place % n]},
            # A colour that is used again gets another symbol.
            marker={"symbol": SERIES_SYMBOLS[(place + place // n) % n], "size": 8},
        )
    return legend_below(figure)


def conflict_matrix(cosines: pd.DataFrame, arm: str) -> go.Figure:
    """Show the cosine of the gradients of each pair of tasks (or heads) on the shared trunk, averaged over training.

    Blue: the gradients agree. Red: each undoes the other. Empty: no batch had labels of both.

    Args:
        cosines: `training.curves.mean_cosines` of runs that were trained with `conflicts=True`.
        arm: name of these runs, for the title.
    """
    names = list(dict.fromkeys(cosines[["one", "other"]].to_numpy().ravel()))
    many = len(names) > MANY
    mean = pd.DataFrame(np.nan, names, names)
    text, hover = (pd.DataFrame("", names, names) for _ in range(2))
    for pair, found in cosines.groupby(["one", "other"], sort=False).cosine:
        value = found.mean()
        short = f"{value:+.1f}".replace("0.", ".") if abs(value) >= 0.05 else "0"
        for place in (pair, pair[::-1]):
            mean.loc[place] = value
            text.loc[place] = short if many else f"{value:+.2f}"
            spread = f", standard deviation {found.std():.3f} over {len(found)} seeds" if len(found) > 1 else ""
            hover.loc[place] = f"{value:+.3f}{spread}"
    title = f"Do gradients agree? {arm}, mean over training"
    figure = new_figure(title, "", "", 190 + (22 if many else 50) * len(names))
    colors = [[0, THEMES["light"]["negative"]], [0.5, PALE], [1, THEMES["light"]["positive"]]]
    matrix(figure, mean, names, names, text, hover, colors, 1, "cosine")
    return figure.update_traces(textfont_size=9, xgap=1, ygap=1) if many else figure
