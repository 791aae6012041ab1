"""Figures of data: how many labels each task has, and what an audit found."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from molfm.plots.style import DOMAIN_COLORS, new_figure


def label_coverage(tasks: pd.DataFrame, used: pd.DataFrame | None = None) -> go.Figure:
    """Show how many labels each task has in each split.

    Args:
        tasks: `Mix.tasks`.
        used: columns target and n_labels, the numbers of training labels that a study used, marked by stars; None for
            no stars.
    """
    tasks = tasks.iloc[::-1]
    figure = new_figure("Labels per task", "labels (logarithmic)", "", height=150 + 17 * len(tasks))
    for domain in dict.fromkeys(tasks.domain):
        of = tasks[tasks.domain == domain]
        for split, symbol in (("train", "circle"), ("val", "circle-open"), ("test", "x-thin-open")):
            figure.add_scatter(
                y=of.task,
                x=of[f"n_{split}"],
                mode="markers",
                name=f"{domain} {split}",
                marker={
                    "color": DOMAIN_COLORS[domain],
                    "symbol": symbol,
                    "size": 9,
                    "line": {"width": 2, "color": DOMAIN_COLORS[domain]},
                },
                customdata=of[["level", "kind"]],
                hovertemplate=f"%{{y}}: %{{x:,}} labels in {split}<br>%{{customdata[0]}} level, %{{customdata[1]}}<extra></extra>",
            )
    if used is not None:
        figure.add_scatter(
            y=used.target,
            x=used.n_labels,
            mode="markers",
            name="used in training",
            marker={"color": "#000000", "symbol": "star", "size": 13, "line": {"width": 1, "color": "#ffffff"}},
            hovertemplate="%{y}: %{x:,} training labels used<extra></extra>",
        )
    figure.update_layout(margin_l=210, legend={"font_size": 11})
    figure.update_xaxes(type="log", dtick=1)
    figure.update_yaxes(tickfont_size=11, categoryorder="array", categoryarray=tasks.task)
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
    colors = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
    for place, (check, group) in enumerate(table.groupby("check", sort=False)):
        figure.add_scatter(
            x=group.percent,
            y=where[group.index],
            mode="markers",
            name=check,
            marker={"symbol": marks[place % 9], "color": colors[place % 8], "size": 10, "opacity": 0.85},
            customdata=group[["count", "of", "note", "task"]],
            hovertemplate=f"{check}: %{{customdata[0]:,}} of %{{customdata[1]:,}} (%{{x:.1f}}%)"
            "<br>%{customdata[3]} %{customdata[2]}<extra>%{y}</extra>",
        )
    figure.update_yaxes(categoryorder="array", categoryarray=list(dict.fromkeys(where))[::-1], tickfont_size=11)
    figure.update_layout(margin={"l": 230, "t": 140}, legend={"font_size": 11})
    figure.update_xaxes(range=[-3, 103])
    return figure
