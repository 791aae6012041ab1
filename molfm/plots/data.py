"""Figures of data: how many labels each task has, and what an audit found."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from molfm.plots.style import DOMAIN_COLORS, SERIES_COLORS, new_figure

_MOST_ROWS = 40  # tasks that have a row of their own; of more, those of one family share a row


def label_coverage(tasks: pd.DataFrame, used: pd.DataFrame | None = None) -> go.Figure:
    """Show how many labels each task has in each split.

    Of many tasks, those of one dataset and family (else level) share a row, with a bar from the fewest to the most labels.

    Args:
        tasks: `Mix.tasks`.
        used: columns target and n_labels, the numbers of training labels that a study used, marked by stars; None for
            no stars.
    """
    names = tasks.task
    if len(tasks) > _MOST_ROWS:
        size = tasks.groupby(["dataset", "family", "level"]).task.transform("size")
        group = tasks.dataset + "/" + tasks.family.where(tasks.family != "", tasks.level)
        names = names.where(size == 1, group + " (" + size.astype(str) + ")")
    row_of = dict(zip(tasks.task, names, strict=True))
    rows = list(dict.fromkeys(names))[::-1]
    figure = new_figure("Labels per task", "labels (logarithmic)", "", height=150 + 17 * len(rows))
    for domain in dict.fromkeys(tasks.domain):
        of = tasks[tasks.domain == domain]
        for split, symbol in (("train", "circle"), ("val", "circle-open"), ("test", "x-thin-open")):
            count = of.groupby(names[of.index], sort=False)[f"n_{split}"].agg(["min", "median", "max"])
            facts = of.groupby(names[of.index], sort=False)[["level", "kind"]].first()
            figure.add_scatter(
                y=count.index,
                x=count["median"],
                error_x={
                    "type": "data",
                    "array": count["max"] - count["median"],
                    "arrayminus": count["median"] - count["min"],
                    "thickness": 1,
                    "width": 3,
                },
                mode="markers",
                name=f"{domain} {split}",
                marker={
                    "color": DOMAIN_COLORS[domain],
                    "symbol": symbol,
                    "size": 9,
                    "line": {"width": 2, "color": DOMAIN_COLORS[domain]},
                },
                customdata=facts,
                hovertemplate=f"%{{y}}: %{{x:,}} labels in {split}<br>%{{customdata[0]}} level, %{{customdata[1]}}<extra></extra>",
            )
    if used is not None:
        stars = used.assign(row=used.target.map(row_of)).drop_duplicates(["row", "n_labels"])
        figure.add_scatter(
            y=stars.row,
            x=stars.n_labels,
            mode="markers",
            name="used in training",
            marker={"color": "#000000", "symbol": "star", "size": 13, "line": {"width": 1, "color": "#ffffff"}},
            hovertemplate="%{y}: %{x:,} training labels used<extra></extra>",
        )
    figure.update_layout(margin_l=210, legend={"font_size": 11})
    figure.update_xaxes(type="log", dtick=1)
    figure.update_yaxes(tickfont_size=11, categoryorder="array", categoryarray=rows)
    return figure


def label_picture(shares: np.ndarray, tasks: pd.DataFrame, title: str) -> go.Figure:
    """Show which molecules have labels of which tasks: one column per task, in the colour of its domain.

    Args:
        shares: (n_rows, n_tasks) share of the molecules of each row that have a label of each task.
        tasks: rows of `Mix.tasks` in the order of the columns.
        title: title of the figure.
    """
    figure = new_figure(title, "tasks", "molecules, grouped by their labels", 520)
    domains = list(dict.fromkeys(tasks.domain))
    # One heatmap for all domains: the colours of domain k span from k to k + 1.
    number = tasks.domain.map(domains.index).to_numpy()
    colors = []
    for k, domain in enumerate(domains):
        low, high = k / len(domains), (k + 1) / len(domains)
        r, g, b = (int(DOMAIN_COLORS[domain][i : i + 2], 16) for i in (1, 3, 5))
        # Transparent, not pale, where few of a row's molecules have a label: right on white and on black.
        colors += [(low, f"rgba({r},{g},{b},0.15)"), (high, f"rgba({r},{g},{b},1)")]
        marker = {"color": DOMAIN_COLORS[domain], "symbol": "square", "size": 11}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=domain or "no domain")
    figure.add_heatmap(
        z=np.where(shares > 0, np.round(number + 0.99 * shares, 2), np.nan),
        colorscale=colors,
        zmin=0,
        zmax=len(domains),
        showscale=False,
        hoverinfo="skip",
    )
    place = tasks.reset_index(drop=True).groupby("dataset", sort=False).apply(lambda of: of.index.to_series().mean())
    figure.update_xaxes(tickvals=place.tolist(), ticktext=place.index.tolist(), showgrid=False)
    figure.update_yaxes(showticklabels=False, autorange="reversed", showgrid=False)
    return figure


def audit_overview(summary: pd.DataFrame) -> go.Figure:
    """Show what an audit found, in percent: test molecules in training sets, duplicates, contradicting labels.

    Each percentage refers to the check's own total, shown on hover. A mark at 0 means that the check found nothing. A
    check that had nothing to examine is left out.

    Args:
        summary: `Audit.summary`.
    """
    table = summary[summary["of"] > 0].copy()
    table["percent"] = 100 * table["count"] / table["of"]
    many = table.groupby(["check", "dataset", "other"], sort=False)  # of checks per task, show the worst task
    table = table.loc[many.percent.idxmax()]
    pair = np.where(table.split == "", " and ", " " + table.split + " in training of ") + table.other
    where = table.dataset + np.where(table.other == "", "", pair)
    figure = new_figure("What the audit found", "percent", "", height=150 + 24 * where[::-1].nunique())
    marks = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon", "circle-open")
    colors = SERIES_COLORS
    for place, (check, group) in enumerate(table.groupby("check", sort=False)):
        figure.add_scatter(
            x=group.percent,
            y=where[group.index],
            mode="markers",
            name=check,
            marker={"symbol": marks[place % 9], "color": colors[place % len(colors)], "size": 10, "opacity": 0.85},
            customdata=group[["count", "of", "note", "task"]],
            hovertemplate=f"{check}: %{{customdata[0]:,}} of %{{customdata[1]:,}} (%{{x:.1f}}%)"
            "<br>%{customdata[3]} %{customdata[2]}<extra>%{y}</extra>",
        )
    figure.update_yaxes(categoryorder="array", categoryarray=list(dict.fromkeys(where))[::-1], tickfont_size=11)
    figure.update_layout(margin={"l": 230, "t": 140}, legend={"font_size": 11})
    figure.update_xaxes(range=[-3, 103])
    return figure
