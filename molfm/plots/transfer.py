"""Figures of a transfer study: the differences, all targets at a glance, and metrics by number of labels."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from molfm.plots.style import (
    INK,
    METRIC_NAMES,
    PALE,
    REFERENCE_STYLE,
    REGIME_STYLE,
    arm_name,
    matrix,
    new_figure,
)

_MARKS = {"helps": "▲", "hurts": "▼", "cannot tell": "?"}


def transfer_differences(table: pd.DataFrame, seeds: pd.DataFrame | None = None) -> go.Figure:
    """Show the mean difference of each comparison with its 95% interval, its seeds, and the range too small to detect.

    Args:
        table: `TransferResult.table`, or some rows of it.
        seeds: `TransferResult.by_seed`, the difference of each seed; None to leave out the marks of seeds.
    """
    table = table.dropna(subset="difference")[::-1]  # the first row on top
    keys = ["target", "source", "regime", "n_labels"]
    by_seed = {} if seeds is None else dict(tuple(seeds.groupby(keys)))
    several = table.n_labels.nunique() > 1
    metrics = [METRIC_NAMES[metric] for metric in table.metric[::-1].unique()]
    unit = " or ".join(metrics) or "metric"
    figure = new_figure(
        "Difference from the target alone", f"difference in {unit} (right: helps)", "", 190 + 70 * len(table)
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
        if (mine := by_seed.get(tuple(getattr(row, key) for key in keys))) is None:
            continue
        figure.add_scatter(
            x=mine.difference,
            y=[place - 0.18] * len(mine),
            mode="markers",
            marker={"size": 9, "color": color, "symbol": "line-ns-open", "line": {"width": 2}},
            name="each seed",
            showlegend=place == 0,
            customdata=mine.seed,
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


def transfer_strip(table: pd.DataFrame, means: pd.DataFrame) -> go.Figure:
    """Show targets that were trained together: one row per mean, with its interval above a strip of the single targets.

    Large marks and bars: the mean difference and its 95% interval. Dots: the mean difference of each target, grey, or black
    and pointed where its own verdict is clear (▲ helps, ▼ hurts).

    Args:
        table: `TransferResult.table`.
        means: `TransferResult.means`, `by_family`, or both.
    """
    table = table[(table.split == "test") & table.difference.notna()]
    several = means.groupby(["target", "source", "regime"]).size().max() > 1
    keys = ["target", "n_labels"]
    metrics = " or ".join(METRIC_NAMES[metric] for metric in means.metric.unique())
    figure = new_figure(
        "Difference from the targets alone", f"difference in {metrics} (right: helps)", "", 150 + 74 * len(means)
    )
    names, shown = [], set()
    for place, row in enumerate(means[::-1].itertuples()):
        color, _, symbol = REGIME_STYLE[row.regime]
        members = table[(table.source == row.source) & (table.regime == row.regime)]
        members = members.merge(pd.DataFrame(row.members, columns=keys), on=keys)
        for verdict, mark in (("cannot tell", "circle"), ("helps", "triangle-up"), ("hurts", "triangle-down")):
            of = members[members.verdict == verdict].sort_values("difference")
            if of.empty:
                continue
            clear = verdict != "cannot tell"
            figure.add_scatter(
                x=of.difference,
                y=place - 0.12 - 0.3 * _spread_out(of.difference.to_numpy()),
                mode="markers",
                marker={
                    "size": 10 if clear else 5,
                    "symbol": mark,
                    "color": INK if clear else "#999999",
                    "line": {"width": 1 if clear else 0, "color": "#ffffff"},  # black is seen on black, too
                },
                name=f"one target: {verdict}",
                legendgroup=verdict,
                showlegend=verdict not in shown,
                customdata=of[["target", "low", "high", "baseline"]],
                hovertemplate="%{customdata[0]}: %{x:+.3f} (%{customdata[1]:+.3f} to %{customdata[2]:+.3f}), "
                "%{customdata[3]:.3f} alone<extra></extra>",
            )
            shown.add(verdict)
        figure.add_scatter(
            x=[row.difference],
            y=[place + 0.18],
            error_x={"type": "data", "array": [row.high - row.difference], "thickness": 3, "width": 8},
            mode="markers",
            marker={"size": 12, "color": color, "symbol": symbol},
            name=f"mean, {row.regime}",
            legendgroup=row.regime,
            showlegend=row.regime not in shown,
            hovertemplate=f"{row.difference:+.4f} ({row.low:+.4f} to {row.high:+.4f}), {row.verdict}<extra></extra>",
        )
        shown.add(row.regime)
        counts = {n for _, n in row.members}
        labels = f", {counts.pop():,} labels each" if len(counts) == 1 else ", all labels"
        names.append(
            f"{row.target.removeprefix('mean of ')}{labels if several else ''}<br>{arm_name(row.regime, row.source)}"
        )
    figure.add_vline(x=0, line_color="#555555", line_width=1)
    figure.update_yaxes(tickvals=list(range(len(means))), ticktext=names, range=[-0.6, len(means) - 0.4])
    return figure.update_layout(margin_l=230)


def _spread_out(values: np.ndarray) -> np.ndarray:
    """Return heights in [0, 1] for sorted values, so that near ones do not cover each other."""
    width = np.ptp(values) / 60 or 1.0
    column = np.floor((values - values.min(initial=0)) / width)
    _, start, size = np.unique(column, return_index=True, return_counts=True)
    rank = np.arange(len(values)) - np.repeat(start, size)
    return rank / max(1, size.max(initial=1) - 1)


def transfer_matrix(table: pd.DataFrame) -> go.Figure:
    """Show a study as a matrix of differences and intervals: one row per target, one column per source and regime.

    ▲ helps, ▼ hurts, ? cannot tell, by `p_adjusted`. Pale cells are undecided. Other cells are coloured by the
    difference divided by half the width of its interval, so metrics of different scale can be compared.

    Args:
        table: `TransferResult.table`.
    """
    table = table[table.split == "test"].copy()
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
            f"{METRIC_NAMES[row.metric]} {row.baseline:.3f} alone, {row.value:.3f} with the source: {row.verdict}<br>"
            f"adjusted p {row.p_adjusted:.2g}; {row.seeds} seeds, {row.n_labels} training and {row.n_test} test labels"
        )
    figure = new_figure("Difference from the target alone, with its 95% interval", "", "", 170 + 56 * len(rows))
    # Decided differences are more than one half-width from 0, where the colours start.
    hurts, pale, helps = ["#d39a72", "#ecd5c5"], [PALE, PALE], ["#bfe0dc", "#6fb5ac"]
    colors = list(zip([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1], hurts + pale + helps, strict=True))
    return matrix(figure, strength.astype(float), columns, rows, text, hover, colors, 3, "half-<br>widths")


def transfer_curves(table: pd.DataFrame, reference: pd.DataFrame | None = None) -> go.Figure:
    """Show a target's test metric against its number of training labels: one panel per source, one line per regime.

    Bars are 95% intervals of the difference from the target alone, drawn around the mean over seeds. Where a bar does
    not reach the dashed line of the target alone, its own interval excludes 0; verdicts are corrected for many
    comparisons.

    Args:
        table: the rows of `TransferResult.table` about one target.
        reference: `TransferResult.reference` of the target, the metric of random forests on the same labels; None to
            leave it out.
    """
    target = table.target.iloc[0]
    table = table[table.split == "test"].dropna(subset="difference")
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
    forest = pd.Series(dtype=float) if reference is None else reference.groupby("n_labels").value.mean()
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
            shift = 1.04 ** (number - (len(regimes) - 1) / 2)  # keeps bars from covering each other
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
        if place + columns >= len(sources):  # the lowest panel of its column
            figure.update_xaxes(title="training labels (logarithmic)", **at)
    counts = sorted(table.n_labels.unique())
    ticks = {"tickvals": counts, "ticktext": list(map(str, counts))}
    figure.update_xaxes(type="log", showticklabels=True, **ticks)
    figure.update_yaxes(title=f"{name} on test", col=1)
    return figure
