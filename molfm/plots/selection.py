"""Figures of a fit: candidates compared, predicted against measured, learning curve, error by similarity."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from molfm.base.names import minus
from molfm.plots.style import INK, METRIC_NAMES, QUIET, new_figure

_CHOSEN = "circle"
_NAMES = METRIC_NAMES | {"rmse": "RMSE"}


def _folded(title: str) -> str:
    """Return a title on two lines, so that a narrow page has room for the marks."""
    return title.replace(", ", ",<br>", 1).replace("other folds", "<br>other folds")


def comparison(table: pd.DataFrame) -> go.Figure:
    """Show the score of every candidate with its interval, one row of marks per candidate, one panel per target.

    Args:
        table: `FitResult.table`.
    """
    from plotly.subplots import make_subplots  # slow to import, and only needed here

    targets = list(dict.fromkeys(table.target))
    n = table.groupby("target").size().max()
    names = [target.split("/", 1)[-1] for target in targets] if len(targets) > 1 else None
    figure = make_subplots(len(targets), 1, subplot_titles=names, vertical_spacing=0.3 / max(len(targets), 1) / 2)
    titles = []
    for place, target in enumerate(targets, 1):
        rows = table[table.target == target].iloc[::-1]
        metric = rows.metric.iloc[0]
        for chosen, symbol, color in ((False, "circle-open", QUIET), (True, _CHOSEN, INK)):
            part = rows[rows.chosen == chosen]
            texts = [
                minus(
                    f"{of.title}<br>{of.value:.3f} ({of.low:.3f} to {of.high:.3f})<br>from the forest: {of.difference:+.3f} "
                    f"({of.difference_low:+.3f} to {of.difference_high:+.3f})"
                )
                for of in part.itertuples()
            ]
            figure.add_scatter(
                x=part.value,
                y=part.title.map(_folded),
                error_x={"array": part.high - part.value, "color": color, "thickness": 1.4, "width": 4},
                mode="markers",
                marker={"symbol": symbol, "color": color, "size": 10},
                name="chosen" if chosen else "candidate",
                showlegend=place == 1,
                customdata=texts,
                hovertemplate="%{customdata}<extra></extra>",
                row=place,
                col=1,
            )
        titles.append(f"{_NAMES[metric]} ({'lower' if metric == 'rmse' else 'higher'} is better)")
        figure.update_yaxes(categoryorder="array", categoryarray=rows.title.map(_folded).tolist(), row=place, col=1)
    new_figure("", "", "", 120 + len(targets) * (70 + 40 * n), figure)
    for place, title in enumerate(titles, 1):
        figure.update_xaxes(title=title, row=place, col=1)
    return figure.update_layout(margin_l=190, margin_t=40)


def _called(of) -> str:
    """Return the id of a molecule, if it has one, and its SMILES."""
    return f"{of.id}<br>{of.smiles}" if of.id else of.smiles


def _add_molecules(figure: go.Figure, x: pd.Series, y: pd.Series, texts: list[str], drawn: list[str]) -> None:
    """Add one point per molecule, with a text and the number of its drawing."""
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"color": INK, "size": 6, "opacity": 0.5, "symbol": "circle"},
        text=texts,
        customdata=drawn,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def agreement(table: pd.DataFrame, unit: str, drawn: list[str]) -> go.Figure:
    """Show predicted against measured values, one point per molecule.

    Args:
        table: rows of `FitResult.predictions` of one target and its chosen candidate.
        unit: unit of the target; "" if it has none.
        drawn: the number of each row's drawing, as text; "" for rows without.
    """
    of = f" ({unit})" if unit else ""
    figure = new_figure("", f"measured{of}", f"predicted{of}", 460)
    texts = [
        minus(
            f"{_called(of)}<br>measured {of.measured:.3g}, predicted {of.preds:.3g} ({of.low:.3g} to {of.high:.3g})<br>"
            f"similarity to training {of.similarity:.2f}"
        )
        for of in table.itertuples()
    ]
    _add_molecules(figure, table.measured, table.preds, texts, drawn)
    ends = [min(table.measured.min(), table.preds.min()), max(table.measured.max(), table.preds.max())]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": QUIET, "width": 1}, showlegend=False, hoverinfo="skip"
    )
    return figure


def class_scores(table: pd.DataFrame, names: tuple[str, str], drawn: list[str]) -> go.Figure:
    """Show the predicted probabilities of both classes, one point per molecule, spread sideways.

    Args:
        table: rows of `FitResult.predictions` of one target and its chosen candidate.
        names: names of class 0 and 1.
        drawn: the number of each row's drawing, as text; "" for rows without.
    """
    figure = new_figure("", "measured", f"probability of {names[1]}", 460)
    aside = np.random.default_rng(0).uniform(-0.3, 0.3, len(table))
    texts = [
        f"{_called(of)}<br>{names[int(of.measured)]}, predicted {of.preds:.2f}<br>similarity to training {of.similarity:.2f}"
        for of in table.itertuples()
    ]
    _add_molecules(figure, table.measured + aside, table.preds, texts, drawn)
    figure.update_xaxes(tickvals=[0, 1], ticktext=list(names), range=[-0.6, 1.6])
    return figure.update_yaxes(range=[-0.02, 1.02])


def label_curve(curve: pd.DataFrame, metric: str, unit: str) -> go.Figure:
    """Show a learning curve with its intervals.

    Args:
        curve: `FitResult.curve`.
        metric: rmse or auroc.
        unit: unit of the metric; "" if it has none.
    """
    figure = new_figure(
        "", "training labels", f"{_NAMES[metric]}{f' ({unit})' if unit and metric == 'rmse' else ''}", 320
    )
    figure.add_scatter(
        x=curve.n_labels,
        y=curve.value,
        error_y={"array": curve.high - curve.value, "color": INK, "thickness": 1.2},
        mode="lines+markers",
        line={"color": INK},
        marker={"color": INK, "size": 8},
        showlegend=False,
        hovertemplate="%{x} labels: %{y:.3f}<extra></extra>",
    )
    return figure.update_xaxes(rangemode="tozero")


def by_similarity(table: pd.DataFrame, metric: str, unit: str) -> go.Figure:
    """Show the score of three groups of molecules, from the most foreign to the most similar.

    Args:
        table: second value of `selection.wording.chemistry`.
        metric: rmse or auroc.
        unit: unit of the metric; "" if it has none.
    """
    named = f"{_NAMES[metric]}{f' ({unit})' if unit and metric == 'rmse' else ''}"
    figure = new_figure("", "similarity to the nearest training molecule", named, 320)
    middle = [f"{a:.2f} to {b:.2f}" for a, b in zip(table.similarity_low, table.similarity_high, strict=True)]
    figure.add_scatter(
        x=middle,
        y=table.value,
        error_y={"array": table.high - table.value, "color": INK, "thickness": 1.2},
        mode="markers",
        marker={"color": INK, "size": 10},
        customdata=table.n,
        hovertemplate="%{x}: %{y:.3f}, %{customdata} molecules<extra></extra>",
        showlegend=False,
    )
    return figure
