"""Figure of label efficiency: how well each description of molecules predicts from few labels."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from molfm.plots.style import METRIC_NAMES, SERIES_COLORS, SERIES_SYMBOLS, new_figure


def label_efficiency_curves(runs: pd.DataFrame, table: pd.DataFrame, baseline: str) -> go.Figure:
    """Show the metric of each arm against the number of training labels, and its difference from the baseline.

    Dots are draws, lines are their means, and bars are 95% intervals of the differences. At each number of labels, the
    arms are shifted sideways, so none hides another.

    Args:
        runs: `LabelEfficiency.runs`.
        table: `LabelEfficiency.table`.
        baseline: name of the arm that the others are compared with.
    """
    metric = runs.metric.iloc[0]
    name, runs = METRIC_NAMES[metric], runs[runs.metric == metric]
    arms, counts = list(runs.arm.unique()), sorted(runs.n_labels.unique())
    panels = (f"{name} on test", f"difference from {baseline}")
    figure = make_subplots(cols=2, subplot_titles=panels, horizontal_spacing=0.1)
    new_figure("", "training labels", "", 440, figure)
    for place, arm in enumerate(arms):
        color, symbol = SERIES_COLORS[place % len(SERIES_COLORS)], SERIES_SYMBOLS[place % len(SERIES_SYMBOLS)]
        of = runs[runs.arm == arm]
        mean = of.groupby("n_labels").value.mean()
        side = 1.16 ** (place / max(len(arms) - 1, 1) - 0.5)
        figure.add_scatter(
            x=of.n_labels * side,
            y=of.value,
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 5},
            opacity=0.4,
            legendgroup=arm,
            showlegend=False,
            customdata=of[["draw", "n_labels"]],
            hovertemplate=f"{arm}, %{{customdata[1]}} labels, draw %{{customdata[0]}}: %{{y:.3f}}<extra></extra>",
        )
        figure.add_scatter(
            x=mean.index * side,
            y=mean,
            mode="lines+markers",
            name=arm,
            legendgroup=arm,
            line={"color": color, "width": 2.5, "dash": "dash" if arm == baseline else "solid"},
            marker={"symbol": symbol, "size": 10},
            customdata=mean.index,
            hovertemplate=f"{arm}, %{{customdata}} labels: mean %{{y:.3f}}<extra></extra>",
        )
        row = table[(table.arm == arm) & (table.metric == metric)]
        if len(row):
            figure.add_scatter(
                x=row.n_labels * side,
                y=row.difference,
                error_y={"type": "data", "array": row.high - row.difference, "thickness": 2, "width": 4},
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 10},
                legendgroup=arm,
                showlegend=False,
                customdata=row[["n_labels", "low", "high", "verdict"]],
                hovertemplate=f"{arm}, %{{customdata[0]}} labels: %{{y:+.3f}} (%{{customdata[1]:+.3f}} to "
                "%{customdata[2]:+.3f}), %{customdata[3]}<extra></extra>",
                row=1,
                col=2,
            )
    figure.add_hline(y=0, line_color="#777777", line_width=1, row=1, col=2)
    figure.update_xaxes(type="log", tickvals=counts, ticktext=counts, title="training labels")
    figure.update_layout(legend_y=1.1, margin_t=90)
    return figure
