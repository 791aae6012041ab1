"""Figures of predicted against measured values: one point per molecule, or per atom."""

import pandas as pd
import plotly.graph_objects as go
from rdkit import Chem

from molfm.base.colors import ELEMENTS
from molfm.plots.style import QUIET, SERIES_SYMBOLS, arm_name, arm_style, legend_below, new_figure


def predicted_against_measured(predictions: pd.DataFrame, unit: str) -> go.Figure:
    """Show predictions for test molecules against measured values, with one colour and symbol per way of training.

    Args:
        predictions: `TransferResult.predictions` of one target.
        unit: unit of the target.
    """
    figure = new_figure("Test set: predicted against measured", f"measured ({unit})", f"predicted ({unit})", 460)
    sources = [source for source in predictions.source.unique() if source]
    for (regime, source), table in predictions.groupby(["regime", "source"], sort=False):
        color, _, symbol = arm_style(regime, source, sources)
        figure.add_scatter(
            x=table.measured,
            y=table.preds,
            mode="markers",
            name=arm_name(regime, source),
            marker={"color": color, "symbol": symbol, "size": 7, "opacity": 0.75},
            customdata=table.smiles,
            hovertemplate="%{customdata}<br>measured %{x:.2f}, predicted %{y:.2f}<extra></extra>",
        )
    _diagonal(figure, predictions[["measured", "preds"]])
    return legend_below(figure) if len(sources) > 1 else figure


def _diagonal(figure: go.Figure, table: pd.DataFrame) -> None:
    """Draw the line of perfect predictions, from the lowest to the highest value of two columns."""
    ends = [table.min(axis=None), table.max(axis=None)]
    line = {"color": "#555555", "width": 1}
    figure.add_scatter(x=ends, y=ends, mode="lines", line=line, showlegend=False, hoverinfo="skip")


def atom_agreement(table: pd.DataFrame, measured: str, predicted: str, unit: str = "e") -> go.Figure:
    """Show predicted against measured values of atoms, with the usual colour of each element, and a symbol.

    Args:
        table: one row per atom: element, smiles, and the columns named by `measured` and `predicted`.
        measured, predicted: names of columns, also used as axis titles.
        unit: unit of both columns.
    """
    figure = new_figure("Atom by atom", f"{measured} ({unit})", f"{predicted} ({unit})", 460)
    _diagonal(figure, table[[measured, predicted]])
    periodic = Chem.GetPeriodicTable()
    for place, (element, atoms) in enumerate(table.groupby("element", sort=False)):
        figure.add_scatter(
            x=atoms[measured],
            y=atoms[predicted],
            mode="markers",
            name=element,
            marker={
                "color": ELEMENTS.get(periodic.GetAtomicNumber(element), QUIET),
                "symbol": SERIES_SYMBOLS[place % len(SERIES_SYMBOLS)],
                "size": 9,
                "opacity": 0.8,
            },
            customdata=atoms.smiles,
            hovertemplate=f"{element} of %{{customdata}}<br>measured %{{x:.3f}}, predicted %{{y:.3f}}<extra></extra>",
        )
    return figure
