"""Figures of a hyperparameter search."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from molfm.plots.style import INK, QUIET, new_figure

_COLUMNS = 3
_ROW_HEIGHT = 230


def losses_by_setting(table: pd.DataFrame, names: Sequence[str], logarithmic: Sequence[str]) -> go.Figure:
    """Show the validation loss of each trial by its number and by each setting, one panel each.

    Args:
        table: `TuningResult.table`.
        names: columns of the varied settings.
        logarithmic: those of them with a logarithmic axis.
    """
    table = table[table.val_loss.notna()]
    panels = ["trial", *names]
    n_rows = -(-len(panels) // _COLUMNS)
    figure = make_subplots(
        n_rows, _COLUMNS, shared_yaxes=True, horizontal_spacing=0.03, vertical_spacing=min(0.2, 0.6 / n_rows)
    )
    finished = table.state == "finished"
    best = finished & (table.val_loss == table.val_loss[finished].min())
    symbol = pd.Series("circle", table.index).mask(table.default, "square").mask(best, "star")
    size = pd.Series(8, table.index).mask(table.default, 11).mask(best, 16)
    texts = pd.Series(
        [
            "<br>".join([f"trial {row['trial']}, {row['state']}", *(f"{name} {row[name]}" for name in names)])
            for row in table.to_dict("records")
        ],
        table.index,
    )
    new_figure("", None, None, _ROW_HEIGHT * n_rows + 60, figure).update_layout(margin_t=20)
    for place, name in enumerate(panels):
        where = {"row": place // _COLUMNS + 1, "col": place % _COLUMNS + 1}
        number = pd.api.types.is_numeric_dtype(table[name]) and table[name].dtype != bool
        values = table[name] if number else table[name].map(str)
        for rows, color, end in ((finished, INK, ""), (~finished, QUIET, "-open")):
            figure.add_scatter(
                x=values[rows],
                y=table.val_loss[rows],
                mode="markers",
                marker={"symbol": symbol[rows] + end, "size": size[rows], "color": color},
                text=texts[rows],
                hovertemplate="%{text}<br>validation loss %{y:.4g}<extra></extra>",
                showlegend=False,
                **where,
            )
        figure.update_xaxes(title_text=name.replace("_", " "), zeroline=False, **where)
        if name in logarithmic:
            figure.update_xaxes(type="log", **where)
        if where["col"] == 1:
            figure.update_yaxes(title_text="validation loss", **where)
    return figure
