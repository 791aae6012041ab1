"""Pages of the public functions and classes, from their docstrings."""

from importlib import import_module
from inspect import getmembers, isclass, isfunction

import molfm.widgets

import molfm
import molfm.lessons
from generate.pages import Pages

# page -> title, what it is about, and names below molfm; a name that molfm exports is on one of these pages
PAGES = {
    "data": (
        "Data",
        "Data cards, and the mixes of datasets that you load, look at and train on.",
        ["cards", "card", "load", "Mix", "catalog.schema.DataCard", "catalog.schema.Task", "catalog.schema.Roles"],
    ),
    "fits": (
        "Models of your own table",
        "Compare models of your table, choose one, and predict with it; also as scikit-learn estimators.",
        ["fit", "FitResult", "selection.open_fit", "MoleculeRegressor", "MoleculeClassifier"],
    ),
    "training": (
        "Training",
        "Train a network, in this process or in one of its own, and read the run that results.",
        ["train", "start", "finetune", "Run", "TrainConfig", "preset", "training.presets.Preset"],
    ),
    "models": (
        "Models",
        "Trained models: predict, embed, and use the embeddings in scikit-learn.",
        ["pretrained", "nn.predictor.Predictor", "MoleculeEmbedder"],
    ),
    "tuning": (
        "Search for settings",
        "Try many settings of a network, and compare them by their validation labels.",
        ["tune", "TuningResult", "tuning.open_tuning"],
    ),
    "studies": (
        "Studies",
        "Does one task help another, and how many labels do you need?",
        [
            "transfer",
            "TransferResult",
            "study.label_efficiency.label_efficiency",
            "study.label_efficiency.LabelEfficiency",
        ],
    ),
}
FIGURES = ("data", "runs", "predictions", "transfer", "label_efficiency", "selection", "tuning", "page")
INHERITED = {"FitResult", "TransferResult"}  # their tables are made by the classes that they extend


def generate(pages: Pages) -> str:
    """Write one page per subject."""
    written = [*PAGES]
    for name, (title, about, members) in PAGES.items():
        pages.write(f"api/{name}.rst", _page(title, about, [f"molfm.{member}" for member in members]))
    documented = {member for _, _, members in PAGES.values() for member in members}
    if others := sorted(set(molfm.__all__) - documented):
        pages.write("api/more.rst", _page("More", "Further public names.", [f"molfm.{name}" for name in others]))
        written.append("more")
    widgets = [f"molfm.widgets.{name}" for name in sorted(molfm.widgets.__all__)]
    pages.write("api/widgets.rst", _page("Widgets", "Interactive parts of a notebook.", widgets))
    lessons = [f"molfm.lessons.{name}" for name in molfm.lessons.__all__]
    pages.write("api/lessons.rst", _page("Lessons", "What the notebooks of the course call.", lessons))
    pages.write(
        "api/plots.rst", _page("Figures", "Tables in, plotly figures out. Results call them for you.", _figures())
    )
    written += ["widgets", "plots", "lessons"]
    intro = "All public functions and classes, with their arguments, results, units and errors."
    tree = "".join(f"   {name}\n" for name in written)
    pages.write("api/index.rst", f"{_title('Reference')}\n{intro}\n\n.. toctree::\n   :maxdepth: 2\n\n{tree}")
    return f"{len(written)} pages"


def _figures() -> list[str]:
    """Return the public functions of the modules of figures."""
    found = []
    for name in FIGURES:
        module = import_module(f"molfm.plots.{name}")
        functions = [
            function for _, function in getmembers(module, isfunction) if function.__module__ == module.__name__
        ]
        functions.sort(key=lambda function: function.__code__.co_firstlineno)
        found += [f"{module.__name__}.{f.__name__}" for f in functions if not f.__name__.startswith("_")]
    return found


def _page(title: str, about: str, names: list[str]) -> str:
    return "\n".join([_title(title), about, "", *map(_entry, names)])


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n"


def _entry(path: str) -> str:
    """Return the section of one function or class."""
    module, _, name = path.rpartition(".")
    found = getattr(import_module(module), name)
    heading = f"{name}\n{'-' * len(name)}\n"
    if not isclass(found):
        return f"{heading}\n.. autofunction:: {path}\n"
    options = "   :members:\n" + ("   :inherited-members:\n" if name in INHERITED else "")
    return f"{heading}\n.. autoclass:: {path}\n{options}"
