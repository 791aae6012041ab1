"""Plotly figures and drawn molecules. Colours: Okabe and Ito's, told apart by colour-blind people; never colour alone."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from molfm.depict import draw
from molfm.metrics import PRIMARY
from molfm.mix import Mix
from molfm.runs import Run

if TYPE_CHECKING:
    from molfm.comparison import TransferResult
    from molfm.probing import LabelEfficiency
    from molfm.quality import Audit

DOMAIN_COLORS = {
    "quantum": "#0072B2",
    "physicochemical": "#009E73",
    "biological": "#D55E00",
    "transcriptomic": "#CC79A7",
    "": "#999999",
}
REGIME_STYLE = {
    "alone": ("#E69F00", "dash", "circle-open"),
    "cotrain": ("#0072B2", "solid", "circle"),
    "finetune": ("#009E73", "dashdot", "diamond"),
    "probe": ("#CC79A7", "dot", "square"),
}
REFERENCE_STYLE = ("#777777", "longdash", "x-thin-open")
SERIES_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
SERIES_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "triangle-down", "star")
METRIC_NAMES = {"r2": "R²", "auroc": "AUROC", "mae": "mean absolute error"}


def new_figure(title: str, x: str, y: str, height: int = 380, figure: go.Figure | None = None) -> go.Figure:
    """Return a figure in the project's style, or give a figure that is there this style."""
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
    """Return a figure with its legend, of long or many names, where it leaves the title room."""
    return figure.update_layout(legend={"y": -0.25, "yanchor": "top", "x": 0, "xanchor": "left"}, margin_b=150)


def arm_name(regime: str, source: str) -> str:
    """Return what a figure calls runs of one regime with one source."""
    forms = {"alone": "alone", "cotrain": "with {}", "finetune": "after {}", "probe": "probe of {}"}
    return forms[regime].format(source)


def arm_style(regime: str, source: str, sources: Sequence[str]) -> tuple[str, str, str]:
    """Return colour (a source, of all `sources` of a figure), dash and symbol (a regime) of runs."""
    color, dash, symbol = REGIME_STYLE[regime]
    return SERIES_COLORS[sources.index(source) % len(SERIES_COLORS)] if source else color, dash, symbol


def label_coverage(mix: Mix, used: pd.DataFrame | None = None) -> go.Figure:
    """Show how many labels each task has, and in which split: how unequal the tasks of a mix are.

    Args:
        mix: what to show.
        used: target, n_labels: training labels that a study left a task, each number marked by a star.
    """
    tasks = mix.tasks.iloc[::-1]
    figure = new_figure("Labels of each task", "labels (logarithmic)", "", height=150 + 17 * len(tasks))
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


def audit_overview(audit: "Audit") -> go.Figure:
    """Show an audit's shares: of test molecules known to a training set, of duplicated molecules, of contradicting labels.

    Each is a percentage of its own total (`of` in the audit's table, told on hover). A check that found nothing is a mark
    at 0; one that had nothing to look at is left out.
    """
    table = audit.summary[audit.summary["of"] > 0].copy()
    table["percent"] = 100 * table["count"] / table["of"]
    many = table.groupby(["check", "dataset", "other"], sort=False)  # a row a task becomes its worst
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


def learning_curves(runs: pd.DataFrame, task: str, kind: str = "regression") -> go.Figure:
    """Show a task's validation metric through training: a thin line a seed, a thick one for their mean.

    Args:
        runs: as `TransferResult.runs`: source, regime, seed, folder.
        task: id of a watched task.
        kind: of the task.
    """
    column = f"{task}/{PRIMARY[kind]}"
    figure = new_figure("Learning curves", "step", f"{METRIC_NAMES[PRIMARY[kind]]} on validation")
    sources = [source for source in runs.source.unique() if source]
    for (regime, source), group in runs.groupby(["regime", "source"], sort=False):
        color, dash, symbol = arm_style(regime, source, sources)
        name = arm_name(regime, source)
        curves = [Run(folder).metrics for folder in group.folder]
        curves = [curve.set_index("step")[column] for curve in curves if column in curve]
        for seed, curve in zip(group.seed, curves, strict=False):
            figure.add_scatter(
                x=curve.index,
                y=curve,
                mode="lines",
                line={"color": color, "width": 1, "dash": dash},
                opacity=0.4,
                showlegend=False,
                name=name,
                hovertemplate=f"{name}, seed {seed}<br>step %{{x}}: %{{y:.3f}}<extra></extra>",
            )
        if curves:
            mean = pd.concat(curves, axis=1).mean(axis=1)
            figure.add_scatter(
                x=mean.index,
                y=mean,
                mode="lines+markers",
                line={"color": color, "width": 3, "dash": dash},
                marker={"symbol": symbol},
                name=name,
            )
    return legend_below(figure) if len(sources) > 1 else figure


def predicted_against_measured(result: "TransferResult", target: str) -> go.Figure:
    """Show a regression target's test labels against the predictions, the mean over seeds, of each regime."""
    unit = result.mix.tasks.unit[result.mix.task_number(target)]
    figure = new_figure("Test set: predicted against measured", f"measured ({unit})", f"predicted ({unit})", 460)
    runs, low, high = result.runs[result.runs.target == target], np.inf, -np.inf
    smiles, sources = result.mix.molecules.smiles, [source for source in runs.source.unique() if source]
    for regime, source in runs[["regime", "source"]].drop_duplicates().itertuples(index=False):
        table = result.predictions(target, source, regime)
        color, _, symbol = arm_style(regime, source, sources)
        figure.add_scatter(
            x=table.target,
            y=table.preds,
            mode="markers",
            name=arm_name(regime, source),
            marker={"color": color, "symbol": symbol, "size": 7, "opacity": 0.75},
            customdata=smiles.iloc[table.mol_id],
            hovertemplate="%{customdata}<br>measured %{x:.2f}, predicted %{y:.2f}<extra></extra>",
        )
        low, high = min(low, table.target.min(), table.preds.min()), max(high, table.target.max(), table.preds.max())
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": "#555555", "width": 1},
        showlegend=False,
        hoverinfo="skip",
    )
    return legend_below(figure) if len(sources) > 1 else figure


def atom_agreement(table: pd.DataFrame, measured: str, predicted: str, unit: str = "e") -> go.Figure:
    """Show predicted against measured values of atoms, a colour and a symbol an element.

    Args:
        table: a row an atom: element, smiles, and the two columns that are named.
        measured, predicted: columns, also the names of the axes.
        unit: of both.
    """
    figure = new_figure("Atom by atom", f"{measured} ({unit})", f"{predicted} ({unit})", 460)
    ends = [table[[measured, predicted]].min(axis=None), table[[measured, predicted]].max(axis=None)]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": "#555555", "width": 1}, showlegend=False, hoverinfo="skip"
    )
    for place, (element, atoms) in enumerate(table.groupby("element", sort=False)):
        figure.add_scatter(
            x=atoms[measured],
            y=atoms[predicted],
            mode="markers",
            name=element,
            marker={
                "color": SERIES_COLORS[place % len(SERIES_COLORS)],
                "symbol": SERIES_SYMBOLS[place % len(SERIES_SYMBOLS)],
                "size": 9,
                "opacity": 0.8,
            },
            customdata=atoms.smiles,
            hovertemplate=f"{element} of %{{customdata}}<br>measured %{{x:.3f}}, predicted %{{y:.3f}}<extra></extra>",
        )
    return figure


def label_efficiency_curves(result: "LabelEfficiency") -> go.Figure:
    """Show what each arm makes of few labels (a dot a draw, a line through the means), and its difference from the baseline.

    Bars: 95% intervals of the differences. The arms stand side by side at each number of labels, so that none hides another.
    """
    metric = result.runs.metric.iloc[0]
    name, runs = METRIC_NAMES[metric], result.runs[result.runs.metric == metric]
    arms, counts = result.arms, sorted(runs.n_labels.unique())
    panels = (f"{name} on test", f"difference from {result.baseline}")
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
            line={"color": color, "width": 2.5, "dash": "dash" if arm == result.baseline else "solid"},
            marker={"symbol": symbol, "size": 10},
            customdata=mean.index,
            hovertemplate=f"{arm}, %{{customdata}} labels: mean %{{y:.3f}}<extra></extra>",
        )
        row = result.table[(result.table.arm == arm) & (result.table.metric == metric)]
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


def atom_values(smiles: str, values: Sequence[float], unit: str = "", width: int = 380, height: int = 280) -> str:
    """Return a molecule as SVG whose atoms are coloured (blue: negative, orange: positive) and marked with their values.

    Args:
        smiles: the molecule.
        values: one a heavy atom, in the order of `Chem.MolFromSmiles(smiles)`; NaN: unmeasured.
        unit: of the values.
    """
    from rdkit import Chem

    mol, values = Chem.MolFromSmiles(smiles), np.asarray(values, float)
    if len(values) != mol.GetNumAtoms():
        raise ValueError(f"{len(values)} values for {mol.GetNumAtoms()} atoms of {smiles}.")
    largest = np.nanmax(np.abs(values)) or 1.0
    colors = {}
    for atom, value in zip(mol.GetAtoms(), values.tolist(), strict=True):
        if np.isfinite(value):
            atom.SetProp("atomNote", f"{value:+.2f}")
            pole, share = np.array([0.90, 0.62, 0.0] if value > 0 else [0.34, 0.71, 0.91]), abs(value) / largest
            colors[atom.GetIdx()] = tuple(1 - share * (1 - pole))
    svg = draw(mol, width, height, colors, palette=False)
    return _drawing(svg, smiles, f"{smiles}\nunit: {unit or 'none'}", width)


def _drawing(svg: str, smiles: str, caption: str, width: int) -> str:
    return (
        f"<figure style='margin:4px;padding:6px;background:#fff;color:#222;border-radius:8px;width:{width}px'>"
        f"<div role='img' aria-label='{html.escape(smiles, quote=True)}'>{svg}</div>"
        f"<figcaption style='font-size:12px;text-align:center;white-space:pre-line;overflow-wrap:anywhere'>"
        f"{html.escape(caption)}</figcaption></figure>"
    )


def molecule_grid(smiles: Sequence[str], captions: Sequence[str], width: int = 190, height: int = 150) -> str:
    """Return molecules drawn as SVG in an HTML grid, a caption below each; needs neither network nor JavaScript."""
    from rdkit import Chem

    cells = []
    for text, caption in zip(smiles, captions, strict=True):
        cells.append(_drawing(draw(Chem.MolFromSmiles(text), width, height), text, caption, width))
    return f"<div style='display:flex;flex-wrap:wrap'>{''.join(cells)}</div>"
