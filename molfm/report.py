"""A transfer study as one self-contained page: figures, tables and molecules, readable with the network off."""

import html
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from molfm.figures import (
    METRIC_NAMES,
    arm_name,
    label_coverage,
    label_efficiency_curves,
    learning_curves,
    molecule_grid,
    predicted_against_measured,
)
from molfm.transfer_figures import conflict_matrix, gradient_agreement, transfer_differences, validation_losses

if TYPE_CHECKING:
    from molfm.comparison import TransferResult
    from molfm.probing import LabelEfficiency

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --paper: #ffffff; --soft: #f2f4f7; --line: #d5dae1; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ee; --paper: #14171c; --soft: #1f242c; --line: #3a424e; --accent: #56b4e9; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--paper); max-width: 62rem; margin: 0 auto;
  padding: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .3rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
.finding { background: var(--soft); border-left: 6px solid var(--accent); padding: .8rem 1.1rem; font-size: 1.1rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .87rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
code { background: var(--soft); padding: .1rem .3rem; } footer { margin-top: 3rem; font-size: .87rem; }
summary { cursor: pointer; color: var(--accent); } a { color: var(--accent); }
"""
# Plotly knows nothing of the reader's colour scheme, so the figures are told.
_DARK = """
if (matchMedia("(prefers-color-scheme: dark)").matches)
  for (const figure of document.querySelectorAll(".plotly-graph-div"))
    Plotly.relayout(figure, Object.keys(figure.layout).filter(key => /^[xy]axis/.test(key)).reduce(
      (told, axis) => ({...told, [axis + ".gridcolor"]: "#3a424e", [axis + ".zerolinecolor"]: "#59626f"}),
      {paper_bgcolor: "#14171c", plot_bgcolor: "#14171c", "font.color": "#e6e9ee"}));
"""


def _figure(figure: go.Figure, label: str) -> str:
    div = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True})
    return f"<div role='img' aria-label='{html.escape(label, quote=True)}'>{div}</div>"


def _table(table: pd.DataFrame, digits: int = 3) -> str:
    return f"<div class='table'>{table.to_html(index=False, border=0, float_format=f'{{:.{digits}f}}'.format, na_rep='')}</div>"


def _page(title: str, body: Sequence[str]) -> str:
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>{''.join(body)}"
        f"<script>{_DARK}</script></body></html>"
    )


_HELD_OUT = {
    "molecules": "Hidden were source labels of molecules that the target is tested on, and those in training of molecules that "
    "it is validated on.",
    "scaffolds": "Hidden were source labels of molecules with a scaffold that the target is tested on, and those in training of "
    "molecules with a scaffold that it is validated on.",
    "nothing": "Source labels were left as they are; test molecules that a source was trained on are told apart as test_seen.",
}
_CHECKPOINT = (
    " Where the source is a checkpoint, nothing of what it was trained on was hidden, and its network is another than that "
    "of the target alone: the difference is what the checkpoint is worth, not what its data is."
)
MOST_LABELS = 50_000  # that forests are trained on for a report: some minutes of a core
SENTENCES = 6  # comparisons that are told one by one; of more, those with a finding
_HOW = {
    "cotrain": "Training with {}",
    "finetune": "Training on {} before",
    "probe": "A linear probe of a network trained on {}, in place of training,",
}


def finding(row: pd.Series) -> str:
    """Say in words what one row of `TransferResult.table` found, and what it could not have found."""
    if row.verdict.startswith("undefined"):
        return f"{row.target}, {arm_name(row.regime, row.source)}: {row.verdict}."
    metric, how = METRIC_NAMES[row.metric], _HOW[row.regime].format(row.source)
    opening = {
        "helps": f"{how} helped {row.target}",
        "hurts": f"{how} hurt {row.target}",
        "cannot tell": f"Cannot tell whether {how[0].lower()}{how[1:]} changes {row.target}",
    }[row.verdict]
    return (
        f"{opening}: {metric} on {'test' if row.split == 'test' else 'molecules that the source knows'} went from {row.baseline:.2f} to {row.value:.2f}, "
        f"a difference of {row.difference:+.3f} (95% interval {row.low:+.3f} to {row.high:+.3f}, adjusted p "
        f"{row.p_adjusted:.2g}; {row.seeds} paired seeds, {row.n_labels} training labels, {row.n_test} test labels). "
        f"A difference smaller than about {row.detectable:.2g} would probably have been missed."
    )


def baselines(result: "TransferResult") -> pd.DataFrame:
    """Return the mean over seeds of each target alone, beside a random forest's: target, metric, n_labels, alone, random forest."""
    keys = ["target", "n_labels"]
    alone = result.runs[result.runs.regime == "alone"].groupby(keys, sort=False).value.mean()
    forest = result.reference.groupby(keys, sort=False).value.mean()
    metric = result.table.drop_duplicates("target").set_index("target").metric
    table = pd.DataFrame({"alone": alone, "random forest": forest}).reset_index()
    table.insert(1, "metric", table.target.map(metric))
    return table


def _is_small(result: "TransferResult") -> bool:
    """Tell whether the forests of `TransferResult.reference` are soon trained."""
    alone = result.runs[result.runs.regime == "alone"]
    return alone.drop_duplicates(["target", "n_labels"]).n_labels.sum() <= MOST_LABELS


def _fair(result: "TransferResult") -> list[str]:
    what = (
        "a random forest on Morgan fingerprints, which needs neither a network nor a source, makes of the same training "
        "labels, tested on the same"
    )
    title = "<h2>Is the baseline a fair one?</h2>"
    if not _is_small(result):
        told = f"<code>result.reference</code> is what {what}; of so many labels it takes its time, and is not in this page."
        return [title, f"<p>{told}</p>"]
    told = (
        f"A weak baseline is easily improved on. So here is, beside the target alone, what {what}. Where the network alone is "
        "worse, a gain says little. A better recipe is chosen on validation labels, and not by this table."
    )
    return [title, f"<p>{told}</p>", _table(baselines(result))]


def findings(result: "TransferResult") -> list[str]:
    """Say in words what a study found: the means of targets, then each comparison or, of many, those with a finding."""
    table = result.table
    told = table if len(table) <= SENTENCES else table[table.verdict.isin(["helps", "hurts"])]
    sentences = [finding(row) for rows in (result.means, told) for _, row in rows.iterrows()]
    if len(told) < len(table):
        sentences += [
            f"Of {len(table)} comparisons, {len(told)} have a finding; the others cannot tell, or are undefined."
        ]
    return sentences


def probe_finding(result: "LabelEfficiency", arm: str, baseline: str) -> str:
    """Say in words how one arm of a `LabelEfficiency` did against another, at every number of labels."""
    table = result.against(baseline)
    table = table[(table.arm == arm) & (table.metric == table.metric.iloc[0])]
    verdicts = [
        f"{verdict} with {', '.join(map(str, rows.n_labels))}" for verdict, rows in table.groupby("verdict", sort=False)
    ]
    ends = [
        f"{row.baseline:.2f} and {row.value:.2f} with {row.n_labels}, a difference of {row.difference:+.3f} "
        f"(95% interval {row.low:+.3f} to {row.high:+.3f})"
        for _, row in table.iloc[[0, -1]].iterrows()
    ]
    first = table.iloc[0]
    return (
        f"{first.target}, {arm} against {baseline}: {'; '.join(verdicts)} training labels. "
        f"{METRIC_NAMES[first.metric]} on the test set was {'; '.join(ends)}. "
        f"{first.draws} draws of split and training labels, about {first.n_test} test labels each."
    )


def _probe(result: "LabelEfficiency") -> list[str]:
    *others, arm = result.arms  # the last is the one in question
    findings = [html.escape(probe_finding(result, arm, other)) for other in others]
    return [
        "<h2>What a foundation model gives</h2>",
        *(f"<p class='finding'>{finding}</p>" for finding in findings),
        "<p>minimol is the fingerprint, 512 numbers, of the published model of LargeMix (MiniMol v1, 10 million parameters): "
        "trained on quantum properties, bioassays and gene expression, frozen here, with a ridge regression on top. No "
        "brain-to-blood ratio was among its labels, but it may well have met these molecules with others. What it is compared "
        "with was trained on nothing: Morgan fingerprints (2,048 logarithmic counts, radius 2), and what chemists compute "
        "(all of RDKit's descriptors, such as logP and polar surface), each with a random forest. Each draw splits by scaffold "
        "anew, unlike the study above, and draws its training labels, the same for all. Bars: 95% intervals, each for "
        "itself, by Student's t over draws, widened by a bootstrap over test constitutions.</p>",
        _figure(
            label_efficiency_curves(result), "test metric and its difference against the number of training labels"
        ),
        *(f"<h3>Against {html.escape(other)}</h3>{_table(_of(result.against(other), arm))}" for other in others),
        "<details><summary>Every draw</summary>" + _table(result.runs) + "</details>",
    ]


def _of(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    return table[table.arm == arm].drop(columns=["target", "detectable"])


def _molecules(result: "TransferResult", target: str) -> str:
    """Draw test molecules from the lowest to the highest measured value, evenly spaced: chosen by rank, not by looks."""
    runs = result.runs[result.runs.target == target]
    table = result.predictions(target).set_index("mol_id").sort_values("target")
    for regime, source in runs[["regime", "source"]].drop_duplicates().itertuples(index=False):
        table[arm_name(regime, source)] = result.predictions(target, source, regime).set_index("mol_id").preds
    table = table.iloc[[round(i * (len(table) - 1) / 7) for i in range(8)]]
    shown = [name for name in table.columns if name not in ("target", "preds")]
    captions = [
        "\n".join([f"measured {row['target']:.2f}", *(f"{name}: {row[name]:.2f}" for name in shown)])
        for _, row in table.iterrows()
    ]
    return molecule_grid(result.mix.molecules.smiles.iloc[table.index], captions)


def transfer_page(
    result: "TransferResult",
    title: str = "Does it transfer?",
    command: str = "",
    probe: "LabelEfficiency | None" = None,
) -> str:
    """Return a transfer study, and behind it what a foundation model gives, as one HTML page that needs nothing else."""
    mix, settings = result.mix, result.settings
    body = [f"<h1>{html.escape(title)}</h1>"]
    body += [f"<p class='finding'>{html.escape(sentence)}</p>" for sentence in findings(result)]
    coverage = mix.tasks[["task", "level", "kind", "domain", "unit", "n_train", "n_val", "n_test"]]
    used = result.runs[["target", "n_labels"]].drop_duplicates()
    ticks = "" if settings["held_out"] == "nothing" else "Ticks: the seeds. "
    body += [
        "<h2>The difference</h2>",
        *([_figure(result.figure(), "differences of all targets")] if result.table.target.nunique() > 1 else []),
        "<p>Mark and bar: mean difference over paired seeds and its 95% interval, by Student's t over the seeds, widened by "
        f"a bootstrap over the test set's constitutions. {ticks}Grey: differences that this study would "
        "have found less than four times in five, each for itself. Verdicts go by p_adjusted: of all that is called found, at "
        "most one in twenty is expected to be chance (Benjamini and Hochberg, over this table).</p>",
        _figure(transfer_differences(result), "difference in the test metric with its interval"),
        _table(result.table.drop(columns=["p", "detectable"])),
        *(
            []
            if result.means.empty
            else [
                "<h3>Targets that were trained together, as their mean</h3>",
                _table(result.means.drop(columns=["p", "detectable"])),
            ]
        ),
        "<details><summary>Every run</summary>" + _table(result.runs.drop(columns="folder")) + "</details>",
        *_fair(result),
        "<h2>What was measured, and how often</h2>",
        f"<p>{html.escape(repr(mix))}. Counts are of labels, not of molecules: a task at atom level has one for each atom. "
        "Stars: what the target was left with in training; validation labels were reduced in proportion, test labels "
        "were not. Tasks that are neither target nor source took no part.</p>",
        _figure(label_coverage(mix, used), "number of labels of each task by split"),
        f"<details><summary>The same as a table</summary>{_table(coverage)}</details>",
    ]
    explained = set()  # targets that were trained together have one network, and one explanation
    for target in result.table.target.unique():
        kind = mix.chosen[mix.task_number(target)].kind
        runs = result.runs[result.runs.target == target]
        if runs.empty:
            continue
        if runs.n_labels.nunique() > 1:
            body += [
                f"<h2>{html.escape(target)}: how many labels it takes</h2>",
                _figure(
                    result.figure(target, reference=_is_small(result)),
                    f"test metric of {target} against training labels",
                ),
            ]
        runs = runs[runs.n_labels == runs.n_labels.max()]
        body += [
            f"<h2>{html.escape(target)}: learning curves</h2>",
            _figure(learning_curves(runs, target, kind), f"validation metric of {target} against training step"),
        ]
        together = runs.source[runs.regime == "cotrain"].unique() if settings.get("conflicts") else []
        for source in together:
            arm, what = result.arm(target, source, "cotrain"), html.escape(f"{target} with {source}")
            if (networks := tuple(arm.folder)) in explained:
                continue
            explained.add(networks)
            body += [
                f"<h2>{what}: do their gradients agree?</h2>",
                "<p>Cosine between the gradients of tasks (in the curves, and of many tasks, of heads: a dataset's tasks of one level) on "
                "what they share, of one batch before each validation: 1 where a step for one is a step for the other, -1 where "
                "each undoes the other. Losses are of the validation labels of those "
                "molecules that the target is validated on, also where they are of the source.</p>",
                _figure(conflict_matrix(arm), f"mean cosines of gradients, {target} with {source}"),
                _figure(gradient_agreement(arm), f"cosines of gradients through training, {target} with {source}"),
                _figure(validation_losses(arm), f"validation losses through training, {target} with {source}"),
            ]
        if kind == "regression":
            body += [
                f"<h2>{html.escape(target)}: predictions for test molecules</h2>",
                _figure(predicted_against_measured(result, target), f"predicted against measured {target}"),
                _molecules(result, target),
            ]
    body += _probe(probe) if probe else []
    recipe = ", ".join(f"{name} {value}" for name, value in settings.items())
    versions = ", ".join(
        f"{name} {version(name)}"
        for name in ("molfm", "torch", "torch-geometric", "rdkit", "lightning", "scikit-learn")
    )
    body += [
        "<h2>How it was measured</h2>",
        f"<p>Both runs of a pair had the same seed, the same target labels in the same steps and this recipe: "
        f"{html.escape(recipe)}. Trained together they also had the same first weights of the trunk; fine-tuned or probed, it "
        f"came from training on the source. The weights were chosen by the target's validation loss. "
        f"{_HELD_OUT[settings['held_out']]}{_CHECKPOINT if result.table.n_source.isna().any() else ''} Splits: "
        + html.escape("; ".join(f"{c.name} by {mix.origin.get('split') or c.split}" for c in mix.cards))
        + f".</p><footer>{'<p>Made by <code>' + html.escape(command) + '</code>.</p>' if command else ''}"
        f"<p>{html.escape(versions)}, Python {platform.python_version()}. "
        f"Took {result.seconds:.0f} s; runs that were there already were used again.</p></footer>",
    ]
    return _page(title, body)
