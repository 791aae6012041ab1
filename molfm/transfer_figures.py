"""Figures of a transfer study: every target at a glance, and how a difference changes with the number of labels."""

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from molfm.catalog import LEVELS
from molfm.figures import (
    METRIC_NAMES,
    REFERENCE_STYLE,
    REGIME_STYLE,
    SERIES_COLORS,
    SERIES_SYMBOLS,
    arm_name,
    legend_below,
    new_figure,
)
from molfm.runs import COSINE, TASK_COSINE, Run

if TYPE_CHECKING:
    from molfm.comparison import TransferResult


_MARKS = {"helps": "▲", "hurts": "▼", "cannot tell": "?"}
_PALE = "#f4f4f2"
_HEAD = rf".+?/(?:{'|'.join(LEVELS)})"
_PAIR = re.compile(rf"{COSINE}({_HEAD}) ({_HEAD})")


def transfer_differences(result: "TransferResult", target: str | None = None) -> go.Figure:
    """Show each comparison's mean difference with its 95% interval, the seeds behind it, and what could have been seen.

    Args:
        target: None: all.
    """
    table = result.table.dropna(subset="difference")[::-1]  # the first on top
    table = table if target is None else table[table.target == target]
    several = table.n_labels.nunique() > 1
    metrics = [METRIC_NAMES[metric] for metric in table.metric[::-1].unique()]
    unit = " or ".join(metrics) or "metric"
    figure = new_figure(
        "Difference that the sources make", f"difference in {unit} (right: helps)", "", 190 + 70 * len(table)
    )
    named = set()
    for place, row in enumerate(table.itertuples()):
        color, _, symbol = REGIME_STYLE[row.regime]
        figure.add_shape(
            type="rect",
            x0=-row.detectable,
            x1=row.detectable,
            y0=place - 0.3,
            y1=place + 0.3,
            line_width=0,
            fillcolor="#999999",
            opacity=0.2,
        )
        figure.add_scatter(
            x=[row.difference],
            y=[place],
            error_x={"type": "data", "array": [row.high - row.difference], "thickness": 3, "width": 8},
            mode="markers",
            marker={"size": 13, "color": color, "symbol": symbol},
            name=row.regime,
            showlegend=row.regime not in named,
            hovertemplate=f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})<extra></extra>",
        )
        named.add(row.regime)
        if result.settings["held_out"] == "nothing":
            continue  # such a row is of a part of the test set, and a run's value of all of it
        arms = (result.arm(row.target, *arm, row.n_labels) for arm in ((row.source, row.regime), ("", "alone")))
        with_source, alone = (arm.set_index("seed").value for arm in arms)
        seeds = with_source - alone
        figure.add_scatter(
            x=seeds,
            y=[place - 0.18] * len(seeds),
            mode="markers",
            marker={"size": 9, "color": color, "symbol": "line-ns-open", "line": {"width": 2}},
            name="each seed",
            showlegend=place == 0,
            customdata=seeds.index,
            hovertemplate="seed %{customdata}: %{x:+.3f}<extra></extra>",
        )
    figure.add_vline(x=0, line_color="#555555", line_width=1)
    names = [
        f"{row.target}{f', {METRIC_NAMES[row.metric]}' if len(metrics) > 1 else ''}"
        f"{f', {row.n_labels} labels' if several else ''}{', seen' if row.split == 'test_seen' else ''}<br>"
        + arm_name(row.regime, row.source).replace(" + ", "<br>+ ")
        for row in table.itertuples()
    ]
    figure.update_yaxes(tickvals=list(range(len(table))), ticktext=names, range=[-0.6, max(len(table) - 0.4, 0.6)])
    figure.update_layout(margin_l=170)
    return figure


def _pairs(metrics: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the columns that tell of two heads' gradients, each with the names of the two."""
    found = [_PAIR.fullmatch(name) for name in metrics]
    return {match[0]: (match[1], match[2]) for match in found if match}


def _task_pairs(metrics: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the columns that tell of two tasks' gradients, each with the names of the two."""
    columns = [name for name in metrics if name.startswith(TASK_COSINE)]
    return {name: tuple(name.removeprefix(TASK_COSINE).split("\t")) for name in columns}


def _mean_metrics(runs: pd.DataFrame) -> pd.DataFrame:
    """Return metrics of runs by step, the mean over seeds."""
    return pd.concat([Run(folder).metrics for folder in runs.folder]).groupby("step").mean()


def _lines(curves: pd.DataFrame, title: str, y: str) -> go.Figure:
    """Show curves over steps, a line a column."""
    figure, n = new_figure(title, "step", y, 420), len(SERIES_COLORS)
    for place, name in enumerate(curves):
        figure.add_scatter(
            x=curves.index,
            y=curves[name],
            mode="lines+markers",
            name=name,
            line={"color": SERIES_COLORS[place % n]},
            # Where colours begin anew they come with other symbols.
            marker={"symbol": SERIES_SYMBOLS[(place + place // n) % n], "size": 8},
        )
    return legend_below(figure)


def _cells(figure: go.Figure, z, x, y, text, hover, colors: list, limit: float, unit: str) -> go.Figure:
    """Return a figure with a matrix whose cells say in words what their colours, from -limit to limit, show."""
    figure.add_heatmap(
        z=z,
        x=x,
        y=y,
        text=text,
        customdata=hover,
        texttemplate="%{text}",
        textfont={"color": "#1b1f24"},
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


def _of_arm(runs: pd.DataFrame) -> str:
    return arm_name(runs.regime.iloc[0], runs.source.iloc[0])


def gradient_agreement(runs: pd.DataFrame) -> go.Figure:
    """Show how the gradients of each two heads agreed on the shared trunk through training, the mean over seeds.

    Above 0 a step for one helps the other; below, they undo each other.

    Args:
        runs: of one arm (`TransferResult.arm`), trained with `conflicts=True`.
    """
    curves = _mean_metrics(runs)
    pairs = _pairs(curves)
    curves = curves[list(pairs)].set_axis([" and ".join(pair) for pair in pairs.values()], axis=1)
    figure = _lines(curves, f"Do gradients agree? {_of_arm(runs)}", "cosine")
    figure.add_hline(y=0, line_color="#777777", line_width=1)
    return figure


def conflict_matrix(runs: pd.DataFrame) -> go.Figure:
    """Show the cosine between the gradients of each two tasks on the shared trunk, the mean over training and over seeds.

    Of heads where tasks were not noted (`gradients.py`). Blue: they agree; orange: each undoes the other. Empty: no batch had
    labels of both.

    Args:
        runs: of one arm (`TransferResult.arm`), trained with `conflicts=True`.
    """
    seeds = pd.DataFrame([Run(folder).metrics.mean() for folder in runs.folder])
    pairs = _task_pairs(seeds) or _pairs(seeds)
    names = list(dict.fromkeys(name for pair in pairs.values() for name in pair))
    many = len(names) > 12
    mean = pd.DataFrame(np.nan, names, names)
    text, hover = (pd.DataFrame("", names, names) for _ in range(2))
    for column, pair in pairs.items():
        found = seeds[column].dropna()
        for place in (pair, pair[::-1]):
            mean.loc[place] = found.mean()
            short = f"{found.mean():+.1f}".replace("0.", ".") if abs(found.mean()) >= 0.05 else "0"
            text.loc[place] = short if many else f"{found.mean():+.2f}"
            hover.loc[place] = f"{found.mean():+.3f}, standard deviation {found.std():.3f} over {len(found)} seeds"
    title = f"Do gradients agree? {_of_arm(runs)}, mean over training"
    figure = new_figure(title, "", "", 190 + (22 if many else 50) * len(names))
    colors = [[0, "#E69F00"], [0.5, _PALE], [1, "#56B4E9"]]
    _cells(figure, mean, names, names, text, hover, colors, 1, "cosine")
    return figure.update_traces(textfont_size=9, xgap=1, ygap=1) if many else figure


def validation_losses(runs: pd.DataFrame) -> go.Figure:
    """Show each task's loss a label on validation through training, the mean over seeds; of more than 12 tasks the heads'.

    Regression in z-units, classes in nats; of the molecules that watched tasks are validated on.

    Args:
        runs: of one arm (`TransferResult.arm`), trained with `conflicts=True`.
    """
    curves = _mean_metrics(runs)
    tasks = curves.filter(regex="/loss$").rename(columns=lambda name: name.removesuffix("/loss"))
    if tasks.shape[1] > 12:
        tasks = curves.filter(regex="^val_loss ").rename(columns=lambda name: name.removeprefix("val_loss "))
    return _lines(tasks, f"Validation losses {_of_arm(runs)}", "loss a label")


def transfer_matrix(result: "TransferResult") -> go.Figure:
    """Show a study as a matrix: a row a target, a column a source and regime, in each cell the difference and its interval.

    ▲ helps, ▼ hurts, ? cannot tell, as `p_adjusted` has it. Pale cells are undecided; the colour of the others is the
    difference in half-widths of its interval, so that metrics of different scale can stand side by side.
    """
    table = result.table[result.table.split == "test"].copy()
    several = table.n_labels.nunique() > 1
    labels = table.n_labels.astype(str)
    table["row"] = table.target + (", " + labels + " labels" if several else "")
    table["column"] = [arm_name(*arm).replace(" + ", "<br>+ ") for arm in zip(table.regime, table.source, strict=True)]
    table["strength"] = table.difference / (table.high - table.difference)
    rows, columns = (list(dict.fromkeys(table[name])) for name in ("row", "column"))
    strength, text, hover = (np.full((len(rows), len(columns)), fill, object) for fill in (np.nan, "", ""))
    for row in table.itertuples():
        place = rows.index(row.row), columns.index(row.column)
        if row.verdict.startswith("undefined"):
            strength[place], text[place], hover[place] = 0.0, "undefined", row.verdict
            continue
        strength[place] = 0.0 if row.verdict == "cannot tell" else row.strength
        text[place] = f"{_MARKS[row.verdict]} {row.difference:+.3f}<br>{row.low:+.3f} to {row.high:+.3f}"
        hover[place] = (
            f"{METRIC_NAMES[row.metric]} {row.baseline:.3f} alone, {row.value:.3f} so: {row.verdict}<br>adjusted p "
            f"{row.p_adjusted:.2g}; {row.seeds} seeds, {row.n_labels} training and {row.n_test} test labels"
        )
    figure = new_figure("Difference from the target alone, and its 95% interval", "", "", 170 + 56 * len(rows))
    # What is decided is more than a half-width from 0: from there on there is colour.
    orange, pale, blue = ["#E69F00", "#f6d58f"], [_PALE, _PALE], ["#b5ddf5", "#56B4E9"]
    colors = list(zip([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1], orange + pale + blue, strict=True))
    return _cells(figure, strength.astype(float), columns, rows, text, hover, colors, 3, "half-<br>widths")


def transfer_curves(result: "TransferResult", target: str, reference: bool = False) -> go.Figure:
    """Show a target's test metric against its number of training labels: a panel a source, a line a regime.

    The bars are 95% intervals of the difference from the target alone, around the mean over seeds: where a bar does not
    reach the dashed line of the target alone, its own interval leaves 0 out; verdicts are corrected for their number.

    Args:
        reference: also show a random forest on the same labels, the mean over seeds (`TransferResult.reference`); not where
            sources were left what they know of the test set, since each is judged on another part of it then.
    """
    table = result.table[(result.table.target == target) & (result.table.split == "test")].dropna(subset="difference")
    table = table.sort_values("n_labels", kind="stable")
    name = METRIC_NAMES[table.metric.iloc[0]] if len(table) else "metric"
    sources, regimes = (list(dict.fromkeys(table[of])) for of in ("source", "regime"))
    columns = min(3, len(sources)) or 1
    rows = -(-len(sources) // columns) or 1
    panels = {"rows": rows, "cols": columns, "shared_xaxes": "all", "shared_yaxes": "all"}
    gaps = {"horizontal_spacing": 0.03, "vertical_spacing": 0.24 / rows}
    used = np.arange(rows * columns).reshape(rows, columns) < max(len(sources), 1)
    cells = [[{} if cell else None for cell in row] for row in used]
    figure = make_subplots(
        **panels, **gaps, specs=cells, subplot_titles=[name.replace(" + ", "<br>+ ") for name in sources]
    )
    new_figure(f"Label efficiency: {target}", "", "", 150 + 280 * rows, figure)
    figure.update_layout(margin_t=95, title_y=0.98, title_yanchor="top", legend_y=1 + 0.12 / rows)
    forest = pd.Series(dtype=float)
    if reference and result.settings["held_out"] != "nothing":
        forest = result.reference[result.reference.target == target].groupby("n_labels").value.mean()
    named = set()
    for place, source in enumerate(sources):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        alone = table[table.source == source].drop_duplicates("n_labels").set_index("n_labels").baseline
        for called, values, (color, dash, symbol), width in (
            ("alone", alone, REGIME_STYLE["alone"], 3),
            ("random forest", forest, REFERENCE_STYLE, 1.5),
        ):
            if values.empty:
                continue
            figure.add_scatter(
                x=values.index.astype(float),
                y=values,
                mode="lines+markers",
                name=called,
                legendgroup=called,
                showlegend=called not in named,
                line={"color": color, "dash": dash, "width": width},
                marker={"symbol": symbol, "size": 9},
                **at,
            )
            named.add(called)
        for number, regime in enumerate(regimes):
            arm = table[(table.source == source) & (table.regime == regime)]
            if arm.empty:
                continue
            shift = 1.04 ** (number - (len(regimes) - 1) / 2)  # so that bars do not cover each other
            color, dash, symbol = REGIME_STYLE[regime]
            figure.add_scatter(
                x=arm.n_labels.astype(float) * shift,
                y=arm.value,
                error_y={"type": "data", "array": arm.high - arm.difference, "thickness": 1.5, "width": 4},
                mode="lines+markers",
                name=regime,
                legendgroup=regime,
                showlegend=regime not in named,
                line={"color": color, "dash": dash},
                marker={"symbol": symbol, "size": 9},
                customdata=arm[["n_labels", "difference", "seeds", "n_test", "verdict"]].astype(object),
                hovertemplate="%{customdata[0]} labels: %{y:.3f}, %{customdata[1]:+.3f}, %{customdata[4]}<br>"
                f"%{{customdata[2]}} seeds, %{{customdata[3]}} test labels<extra>{arm_name(regime, source)}</extra>",
                **at,
            )
            named.add(regime)
        if place + columns >= len(sources):  # the lowest of its column
            figure.update_xaxes(title="training labels (logarithmic)", **at)
    counts = sorted(table.n_labels.unique())
    ticks = {"tickvals": counts, "ticktext": list(map(str, counts))}
    figure.update_xaxes(type="log", showticklabels=True, **ticks)
    figure.update_yaxes(title=f"{name} on test", col=1)
    return figure
