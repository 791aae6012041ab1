"""A fit as one page: the answer first, then what it rests on. It needs no network, and follows the reader's theme."""

import html
import json
import platform
import shlex
from importlib.metadata import version

import numpy as np
import pandas as pd

from molfm.base.names import minus
from molfm.chem.drawing import draw_smiles, molecule_grid
from molfm.plots.page import figure_html, page_html, table_html
from molfm.plots.selection import agreement, by_similarity, class_scores, comparison, label_curve
from molfm.selection.calibration import COVERAGE
from molfm.selection.candidates import CANDIDATES
from molfm.selection.curve import best_quick, in_words
from molfm.selection.findings import Findings
from molfm.selection.judge import Judged
from molfm.selection.wording import chemistry, coverage, named, number, optimism
from molfm.training.recipe import role_words

_DRAWN = 150  # structures per target that are shown on hover; the others show their SMILES
_WORST = 8  # molecules with the largest errors that are drawn
_PACKAGES = ("molfm", "scikit-learn", "rdkit", "torch")
# The structure of the molecule under the pointer, beside the figure: pre-drawn, so the page needs no network.
_HOVER = """
document.querySelectorAll("[data-drawings]").forEach(box => {
  const figure = box.querySelector(".plotly-graph-div"), shown = box.querySelector(".shown");
  const drawings = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
  figure.on("plotly_hover", event => {
    const point = event.points[0], number = point.customdata;
    shown.replaceChildren();
    if (number) shown.append(new DOMParser().parseFromString(drawings[number], "image/svg+xml").documentElement);
    const text = document.createElement("div");
    text.textContent = (point.text || "").replaceAll("<br>", "\\n");
    shown.append(text);
  });
});
"""
_STYLE = """
<style>
.hover { display: grid; grid-template-columns: minmax(0, 1fr) 240px; gap: 1rem; align-items: start; }
.shown { border: 1px solid var(--line); padding: .5rem; min-height: 180px; font-size: .8rem; white-space: pre-line;
  overflow-wrap: anywhere; }
.shown svg { width: 100%; height: auto; }
@media (max-width: 700px) { .hover { grid-template-columns: 1fr; } body { padding: 1rem .7rem; } h1 { font-size: 1.4rem; } }
.words td, .words th { text-align: left !important; }
</style>
"""


def report(fit: Findings) -> str:
    """Return the report of a fit as one HTML page."""
    names = " and ".join(of.target.task.name for of in fit.judged)
    title = f"How well can {names} be predicted?"
    parts = [_STYLE, f"<h1>{html.escape(title)}</h1>"]
    parts += [f"<p class='finding'>{html.escape(text)}</p>" for text in fit.answers.values()]
    parts += _data(fit)
    parts += _comparison(fit)
    for place, judged in enumerate(fit.judged):
        parts += _target(fit, place, judged)
    parts += _method(fit)
    return page_html(title, [*parts, f"<script>{_HOVER}</script>"])


def _data(fit: Findings) -> list[str]:
    rows = pd.DataFrame(fit.asked["columns"], columns=["column", "role"]).rename(columns={"role": "taken for"})
    parts = ["<h2>The data</h2>", f"<div class='words'>{table_html(rows)}</div>"]
    sentences = [_count(of) for of in fit.judged] + list(fit.problem.notes)
    parts.append(f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in sentences)}</ul>")
    if fit.asked["audit"]:
        found = pd.DataFrame(fit.asked["audit"])
        parts += [
            f"<details><summary>The audit found {len(found)} things to know</summary>",
            table_html(found),
            "</details>",
        ]
    return parts


def _count(of: Judged) -> str:
    target, name = of.target, of.target.task.name
    if target.binary:
        text = f"{name}: {len(target.y):,} molecules, {int(target.y.sum()):,} of class {_classes(of)[1]}."
    else:
        low, high = np.quantile(target.y, [0.05, 0.95])
        text = f"{name}: {len(target.y):,} molecules; nine of ten values lie between {low:.3g} and {high:.3g}."
    if target.repeated and target.binary:
        text += f" {target.repeated:,} molecules were measured more than once, and {target.noise:.0%} of them contradict themselves."
    elif target.repeated:
        text += (
            f" {target.repeated:,} molecules were measured more than once; these repeats scatter by {target.noise:.2g} (standard "
            "deviation). No model can be expected to predict single measurements better than that."
        )
    return minus(text)


def _classes(of: Judged) -> tuple[str, str]:
    names = of.target.task.class_names
    return (str(names[0]), str(names[1])) if len(names) == 2 else ("0", "1")


def _comparison(fit: Findings) -> list[str]:
    scored = (
        "the held-out test set"
        if any(of.target.n_test for of in fit.judged)
        else "molecules of the fold that its model had not seen"
    )
    parts = [
        "<h2>The candidates</h2>",
        f"<p>Every candidate was scored on {scored}. Bars are 95% intervals; stereoisomers and salts count as one observation. The "
        "difference is that from the random forest, on the same molecules.</p>",
        figure_html(comparison(fit.table), "score of each candidate with its interval"),
    ]
    for of in fit.judged:
        table, metric = of.table, of.target.metric
        rows = {
            "candidate": [
                f"{title}{' (chosen)' if chosen else ''}"
                for title, chosen in zip(table.title, table.chosen, strict=True)
            ],
            "RMSE" if metric == "rmse" else "AUROC": [number(value, metric) for value in table.value],
            "95% interval": [
                f"{number(a, metric)} to {number(b, metric)}" for a, b in zip(table.low, table.high, strict=True)
            ],
            "difference": [
                "" if name == "forest" else minus(f"{d:+.3f} ({a:+.3f} to {b:+.3f})")
                for name, d, a, b in zip(
                    table.candidate, table.difference, table.difference_low, table.difference_high, strict=True
                )
            ],
        }
        beside = (
            {"R²": table.r2, "MAE": table.mae} if metric == "rmse" else {"average precision": table.average_precision}
        )
        rows |= {name: [minus(f"{value:.3f}") for value in column] for name, column in beside.items()}
        rows["weight in the ensemble"] = ["" if np.isnan(w) or not w else f"{w:.0%}" for w in table.weight]
        rows["seconds"] = ["" if np.isnan(s) else f"{s:.1f}" for s in table.seconds]
        parts += [f"<h3>{html.escape(of.target.task.name)}</h3>", table_html(pd.DataFrame(rows))]
    if fit.left_out:
        texts = [f"{CANDIDATES[name].title}: {reason}" for name, reason in fit.left_out.items()]
        parts.append(
            f"<p>Left out, because the time was {fit.asked['minutes']:g} minutes: {html.escape('; '.join(texts))}. The same command "
            "with more <code>--minutes</code> adds them.</p>"
        )
    return parts


def _target(fit: Findings, place: int, of: Judged) -> list[str]:
    target, name, unit = of.target, html.escape(of.target.task.name), of.target.task.unit or ""
    table = fit.predictions()
    table = table[(table.target == target.task.id) & table.chosen & (table.side == 0)]
    table = table[table.fold < 0] if target.n_test else table
    error = (table.preds - table.measured).abs().to_numpy()
    drawn, drawings = _drawings(table.smiles.to_numpy(), error)
    figure = class_scores(table, _classes(of), drawn) if target.binary else agreement(table, unit, drawn)
    picture = figure_html(figure, f"predicted against measured {name}")
    content = json.dumps(drawings).replace("</", "<\\/")
    parts = [
        f"<h2>{name}: predicted against measured</h2>",
        f"<p>One point per molecule, predicted by {html.escape(named(of.winner, of.choice.weights))} without having seen it. Point at "
        f"one to see its structure{_all_drawn(len(drawings), len(table))}. {html.escape(coverage(of, COVERAGE))}</p>",
        f"<div class='hover' data-drawings><div>{picture}</div><div class='shown' aria-live='polite'>The structure appears here.</div>"
        f"<script type='application/json'>{content}</script></div>",
        f"<h2>{name}: the molecules predicted worst</h2>",
        "<p>Look here first: a wrong label, a salt, or chemistry that the others do not have?</p>",
    ]
    worst = table.iloc[np.argsort(-error, kind="stable")[:_WORST]]
    parts.append(molecule_grid(worst.smiles.tolist(), [_caption(row, of) for row in worst.itertuples()]))
    curve = fit.curve(target.task.id)
    if words := in_words(curve, target.metric, unit):
        quick = CANDIDATES[best_quick(fit.work, place, of.table)].title
        parts += [
            f"<h2>{name}: would more data help?</h2>",
            f"<p>{html.escape(words)} (Measured with {html.escape(quick)}.)</p>",
            figure_html(label_curve(curve, target.metric, unit), "score against the number of training labels"),
        ]
    sentence, groups = chemistry(of)
    parts += [f"<h2>{name}: which chemistry it knows</h2>", f"<p>{html.escape(sentence)}</p>"]
    if len(groups) > 1:
        parts.append(
            figure_html(by_similarity(groups, target.metric, unit), "score by similarity to the training molecules")
        )
    return [*parts, f"<h2>{name}: what choosing gained by chance</h2>", f"<p>{html.escape(optimism(of))}</p>"]


def _all_drawn(n: int, of: int) -> str:
    return "" if n >= of else f" (the {n} with the largest errors are drawn; the others show their SMILES)"


def _drawings(smiles: np.ndarray, error: np.ndarray) -> tuple[list[str], dict[str, str]]:
    """Return the number of each molecule's drawing, "" for none, and the drawings: the largest errors first."""
    order, numbers, drawings = np.argsort(-error, kind="stable")[:_DRAWN], [""] * len(smiles), {}
    for place in order:
        numbers[place] = str(place)
        drawings[str(place)] = draw_smiles(smiles[place], 220, 160)
    return numbers, drawings


def _caption(row, of: Judged) -> str:
    measured, digits = (_classes(of)[int(row.measured)], ".2f") if of.target.binary else (f"{row.measured:.3g}", ".3g")
    called = f"{row.id}\n" if row.id else ""
    return f"{called}measured {measured}, predicted {row.preds:{digits}}\nsimilarity to training {row.similarity:.2f}"


def _method(fit: Findings) -> list[str]:
    asked = fit.asked
    call = asked["call"]
    words = ["molfm", "fit", asked["data"], *(word for name in call["targets"] for word in ("--target", name))]
    words += ["--smiles", asked["smiles"]] if asked["smiles"] != "smiles" else []
    words += [*role_words(call["roles"]), *(["--pic50"] if call["pic50"] else [])]
    words += ["--split", asked["split"]] if asked["split"] else []
    words += ["--minutes", f"{asked['minutes']:g}", "--name", fit.name, "--seed", str(asked["seed"])]
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    nested = (
        "“Whatever the other folds chose” is not a model: it is what choosing yields. "
        if not any(of.target.n_test for of in fit.judged)
        else ""
    )
    return [
        "<h2>How it was made</h2>",
        f"<p>{html.escape(fit.problem.how)}. Every candidate is a fixed recipe and was trained once per fold on the other folds. New "
        f"molecules are predicted by models that learned from all folds (networks: by the mean of the models of the folds). {nested}The frozen foundation model is {html.escape(asked['foundation'])}. "
        f"Everything took {fit.work.state['spent'] / 60:.1f} minutes.</p>",
        f"<pre>{html.escape(shlex.join(words))}</pre>",
        "<p>Next, predict new molecules, with intervals and the nearest training molecule:</p>",
        f"<pre>{html.escape(shlex.join(['molfm', 'predict', fit.name, 'new.csv', '--out', 'predictions.csv']))}</pre>",
        f"<footer>{html.escape(versions)}, Python {platform.python_version()}.</footer>",
    ]
