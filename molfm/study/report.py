"""A transfer study as one self-contained page: figures, tables and molecules, readable with the network off."""

import html
import platform
from collections.abc import Sequence
from importlib.metadata import version

import pandas as pd

from molfm.chem.drawing import molecule_grid
from molfm.plots.data import label_coverage
from molfm.plots.label_efficiency import label_efficiency_curves
from molfm.plots.page import figure_html, page_html, table_html
from molfm.plots.predictions import predicted_against_measured
from molfm.plots.runs import conflict_matrix, gradient_agreement, learning_curves, validation_losses
from molfm.plots.style import METRIC_NAMES, arm_name
from molfm.plots.transfer import transfer_differences
from molfm.study.comparison import MOST_IN_MATRIX, Comparison
from molfm.study.label_efficiency import LabelEfficiency
from molfm.study.wording import compact, findings, probe_finding
from molfm.training.curves import head_cosines, loss_curves, mean_cosines
from molfm.training.metrics import PRIMARY

MOST_FORESTS, MOST_LABELS = 60, 50_000  # forests in a report and their training labels: some minutes on one core
PACKAGES = ("molfm", "torch", "torch-geometric", "rdkit", "lightning", "scikit-learn")
_DRAWN = 8  # test molecules whose structures are drawn
_HELD_OUT = {
    "molecules": "Source labels of the target's test molecules were hidden from training, and so were training labels of "
    "its validation molecules.",
    "scaffolds": "Source labels of all molecules that share a scaffold with the target's test molecules were hidden "
    "from training, and so were training labels of molecules that share one with its validation molecules.",
    "nothing": "No source labels were hidden. Test molecules that a source was trained on are reported separately, as "
    "test_seen.",
}
_CHECKPOINT = (
    " A checkpoint was trained elsewhere, so nothing could be hidden from it, and its network differs from the "
    "baseline's. Such a row says what the checkpoint is worth, not what its training data is worth."
)


def transfer_page(
    result: Comparison,
    title: str = "Does it transfer?",
    command: str = "",
    probe: LabelEfficiency | None = None,
    data: Sequence[str] = (),
) -> str:
    """Return a transfer study as one HTML page that needs nothing else.

    Args:
        result: the study.
        title: title of the page.
        command: the command that made the study, for the footer; "" to leave it out.
        data: HTML about the data, shown after the findings.
        probe: a comparison of a foundation model's fingerprints with other descriptions, shown in its own section; None
            to leave it out.
    """
    sections = [
        [f"<h1>{html.escape(title)}</h1>"],
        _findings(result),
        data,
        _differences(result),
        _baseline(result),
        _labels(result),
        *_targets(result),
        _probe(probe) if probe else [],
        _method(result, command),
    ]
    return page_html(title, [part for section in sections for part in section])


def _findings(result: Comparison) -> list[str]:
    """Return what the study found in words, the numbers below each answer in small print."""
    return [
        f"<p class='finding'>{html.escape(sentence)}{f'<small>{html.escape(detail)}</small>' if detail else ''}</p>"
        for sentence, detail in findings(result)
    ]


def _differences(result: Comparison) -> list[str]:
    """Return the figures and tables of all comparisons."""
    seeds = None if result.settings["held_out"] == "nothing" else result.by_seed
    table, means, n_targets = result.table, result.means, result.table.target.nunique()
    parts = ["<h2>The difference</h2>"]
    if n_targets > 1:
        parts.append(figure_html(result.figure(), "differences of all targets"))
    few = n_targets <= MOST_IN_MATRIX
    ticks = "Ticks: single seeds. " if few and seeds is not None else ""
    grey = (
        "Grey: differences that this comparison would have found with a chance below 80%." if few else "Dots: targets."
    )
    parts.append(
        "<p>Marks and bars: mean difference over paired seeds and its 95% interval (Student's t over the seeds, "
        f"widened by the standard error over the constitutions of the test set). {ticks}{grey} Verdicts use the adjusted "
        "p: among all effects in a table that are called clear, at most one in twenty is expected to be chance "
        "(Benjamini and Hochberg).</p>"
    )
    if few:
        parts.append(figure_html(transfer_differences(table, seeds), "difference in the test metric with its interval"))
    if not means.empty:
        parts += ["<h3>Means of targets that were trained together</h3>", table_html(compact(means))]
        if not result.by_family.empty:
            parts += ["<h3>Means by family</h3>", table_html(compact(result.by_family))]
    title = f"Every comparison of a single target ({len(table):,})"
    parts.append(table_html(compact(table)) if few else _folded(title, table_html(compact(table))))
    return [*parts, _folded("Every run", table_html(result.runs.drop(columns="folder")))]


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>{content}</details>"


def baselines(result: Comparison) -> pd.DataFrame:
    """Return each target's mean test metric over seeds: target, metric, n_labels, alone, random forest."""
    keys = ["target", "n_labels"]
    alone = result.runs[result.runs.regime == "alone"].groupby(keys, sort=False).value.mean()
    forest = result.reference().groupby(keys, sort=False).value.mean()
    metric = result.table.drop_duplicates("target").set_index("target").metric
    table = pd.DataFrame({"alone": alone, "random forest": forest}).reset_index()
    table.insert(1, "metric", table.target.map(metric))
    return table


def _is_small(result: Comparison) -> bool:
    """Return whether the forests of `reference` train quickly enough for a report."""
    alone = result.runs[result.runs.regime == "alone"]
    return len(alone) <= MOST_FORESTS and alone.drop_duplicates(["target", "n_labels"]).n_labels.sum() <= MOST_LABELS


def _baseline(result: Comparison) -> list[str]:
    """Return the section on whether the target alone is a fair baseline."""
    title = "<h2>Is the baseline a fair one?</h2>"
    if not _is_small(result):
        text = (
            "This page leaves out the random forests, because so many train slowly. Call "
            "<code>result.reference()</code> for them."
        )
        return [title, f"<p>{text}</p>"]
    text = (
        "A weak baseline is easily improved on. This table compares the target alone with a random forest on Morgan "
        "fingerprints, trained and tested on the same labels. Where the network alone is worse than the forest, a gain "
        "says little. Choose a better recipe on validation labels, not by this table."
    )
    return [title, f"<p>{text}</p>", table_html(baselines(result))]


def _labels(result: Comparison) -> list[str]:
    """Return the section on how many labels there are, and how many were used."""
    shown = ["task", "level", "kind", "domain", "unit", "n_train", "n_val", "n_test"]
    used = result.runs[["target", "n_labels"]].drop_duplicates()
    return [
        "<h2>What was measured, and how often</h2>",
        f"<p>{html.escape(repr(result.mix))}. Counts are of labels, not molecules: a task at atom level has one label "
        "per atom. Stars: training labels that the target kept. Its validation labels were reduced in proportion; its "
        "test labels were not. Tasks that are neither target nor source took no part.</p>",
        figure_html(label_coverage(result.mix.tasks, used), "number of labels of each task by split"),
        _folded("The same as a table", table_html(result.mix.tasks[shown])),
    ]


def _targets(result: Comparison) -> list[list[str]]:
    """Return one section per target, or per group of very many: label efficiency, learning curves, gradients, predictions."""
    sections, explained = [], set()  # targets that were trained together share a network, which is explained once
    many = result.table.target.nunique() > MOST_IN_MATRIX
    named = {target: target for target in result.table.target.unique()}
    if many:  # the first of a group stands for all
        named = {members[0][0]: name for name, members in zip(result.means.target, result.means.members, strict=True)}
    for target, name in named.items():
        runs = result.runs[result.runs.target == target]
        if runs.empty:
            continue
        kind, title = result.mix.task(target).kind, html.escape(name)
        parts = []
        if runs.n_labels.nunique() > 1 and not many:
            figure = result.figure(target, reference=_is_small(result))
            parts += [
                f"<h2>{title}: how many labels it takes</h2>",
                figure_html(figure, f"test metric of {target} against training labels"),
            ]
        figure = learning_curves(result.curves(target, together=many), METRIC_NAMES[PRIMARY[kind]])
        parts += [
            f"<h2>{title}: learning curves</h2>",
            figure_html(figure, f"validation metric of {name} against training step"),
        ]
        if result.settings.get("conflicts"):
            most = runs[(runs.n_labels == runs.n_labels.max()) & (runs.regime == "cotrain")]
            for source in most.source.unique():
                folders = tuple(result.arm(target, source, "cotrain").folder)
                if folders not in explained:
                    explained.add(folders)
                    parts += _gradients(name, source, folders)
        if kind == "regression" and not many:
            parts += _predictions(result, target)
        sections.append(parts)
    return sections


def _gradients(target: str, source: str, folders: tuple[str, ...]) -> list[str]:
    """Return the section on whether the gradients of a target and a source agree."""
    what, arm = f"{target} with {source}", arm_name("cotrain", source)
    return [
        f"<h2>{html.escape(what)}: do their gradients agree?</h2>",
        "<p>Cosine between the gradients of two tasks on the weights that they share, from one batch before each "
        "validation: 1 means that a step for one is a step for the other, -1 that each undoes the other. The curves, "
        "and the matrix of many tasks, show heads: all tasks of one dataset and level. Losses are of validation "
        "labels, on the molecules that the target is validated on.</p>",
        figure_html(conflict_matrix(mean_cosines(folders), arm), f"mean cosines of gradients, {what}"),
        figure_html(gradient_agreement(head_cosines(folders), arm), f"cosines of gradients through training, {what}"),
        figure_html(validation_losses(loss_curves(folders), arm), f"validation losses through training, {what}"),
    ]


def _predictions(result: Comparison, target: str) -> list[str]:
    """Return predictions for test molecules: a figure of all, and drawings of some, evenly spaced by measured rank."""
    table = result.predictions(target)
    figure = predicted_against_measured(table, result.mix.task(target).unit or "no unit")
    arms = [arm_name(regime, source) for regime, source in zip(table.regime, table.source, strict=True)]
    wide = table.assign(arm=arms).pivot(index=["measured", "mol_id", "smiles"], columns="arm", values="preds")
    wide = wide[list(dict.fromkeys(arms))].sort_index()
    wide = wide.iloc[[round(i * (len(wide) - 1) / (_DRAWN - 1)) for i in range(_DRAWN)]]
    captions = [
        "\n".join([f"measured {measured:.2f}", *(f"{arm}: {value:.2f}" for arm, value in row.items())])
        for (measured, _, _), row in wide.iterrows()
    ]
    return [
        f"<h2>{html.escape(target)}: predictions for test molecules</h2>",
        figure_html(figure, f"predicted against measured {target}"),
        molecule_grid(wide.index.get_level_values("smiles"), captions),
    ]


def _probe(result: LabelEfficiency) -> list[str]:
    """Return the comparison of a foundation model's fingerprints with descriptions that need no training."""
    *others, arm = result.arms  # the last is the one in question

    def rows(other: str) -> pd.DataFrame:
        table = result.against(other)
        return table[table.arm == arm].drop(columns=["target", "detectable"])

    figure = label_efficiency_curves(result.runs, result.table, result.baseline)
    return [
        "<h2>What a foundation model gives</h2>",
        *(f"<p class='finding'>{html.escape(probe_finding(result, arm, other))}</p>" for other in others),
        "<p>minimol is the fingerprint (512 numbers) of the published model of LargeMix (MiniMol v1, 10 million "
        "parameters). It was trained on quantum properties, bioassays and gene expression, and is frozen here under a "
        "ridge regression. Its labels contained no brain-to-blood ratios, but it may have seen these molecules with "
        "other labels. The two other descriptions were not trained: Morgan fingerprints (2,048 logarithmic counts, "
        "radius 2), and all of RDKit's descriptors, such as logP and polar surface area. Each has a random forest on "
        "top. Unlike in the study above, each draw splits by scaffold anew and draws its own training labels, the same "
        "for all descriptions. Bars: 95% intervals, not corrected for multiple comparisons, by Student's t over draws, "
        "widened by the standard error over test constitutions.</p>",
        figure_html(figure, "test metric and its difference against the number of training labels"),
        *(f"<h3>Compared with {html.escape(other)}</h3>{table_html(rows(other))}" for other in others),
        _folded("Every draw", table_html(result.runs)),
    ]


def _method(result: Comparison, command: str) -> list[str]:
    """Return the section on how the study was run and with which versions."""
    mix, settings = result.mix, result.settings
    recipe = html.escape(", ".join(f"{name} {value}" for name, value in settings.items()))
    splits = html.escape("; ".join(f"{card.name} by {mix.origin.get('split') or card.split}" for card in mix.cards))
    checkpoint = _CHECKPOINT if result.table.n_source.isna().any() else ""
    versions = html.escape(", ".join(f"{name} {version(name)}" for name in PACKAGES))
    made = f"<p>Made by <code>{html.escape(command)}</code>.</p>" if command else ""
    return [
        "<h2>How it was measured</h2>",
        "<p>Both runs of a pair had the same seed, the same target labels in the same steps, and this recipe: "
        f"{recipe}. When trained together, they also started from the same weights of the trunk. When fine-tuned or "
        "probed, the trunk came from training on the source. The target's validation loss chose the weights. "
        f"{_HELD_OUT[settings['held_out']]}{checkpoint} Splits: {splits}.</p>",
        f"<footer>{made}<p>{versions}, Python {platform.python_version()}. Took {result.seconds:.0f} s; finished runs "
        "were reused.</p></footer>",
    ]
