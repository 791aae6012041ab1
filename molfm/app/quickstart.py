"""The quickstart: two small studies of the embedded mix in about three minutes, as tables and one page.

The first is a transfer study. Its targets are all assays of ToxCast, trained together with few labels each. Its source
is all quantum tasks of MiniMix, at graph, atom and bond level. The second study predicts logBB, another measured
property, from the frozen fingerprints of a foundation model. These are shipped with the package, so nothing is downloaded.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from molfm.base.files import is_fast, write_text
from molfm.chem.drawing import molecule_grid
from molfm.data.mix import Mix, load
from molfm.explore.label_map import LabelMap
from molfm.explore.lookup import Lookup
from molfm.plots.data import label_picture
from molfm.plots.page import figure_html
from molfm.study.label_efficiency import LabelEfficiency, label_efficiency
from molfm.study.report import transfer_page
from molfm.study.simple_models import BASELINE, descriptors, forest, labelled, linear, morgan, shipped_fingerprints
from molfm.study.transfer import TransferResult, transfer

TARGETS = "toxcast"
SOURCE = ("xtb", "qm9_mini")
PROBED = "b3db/logBB"
_SIZES = {
    "fast": {"steps": 10, "seeds": 2, "n_labels": 128, "hidden_channels": 16, "num_layers": 2},
    "default": {"steps": 150, "seeds": 5, "n_labels": 128, "hidden_channels": 64, "num_layers": 3},
    "full": {"steps": 200, "seeds": 10, "n_labels": [128, None], "hidden_channels": 96, "num_layers": 4},
}
_LABELS = (32, 64, 128, 256, None)
_PROBES = {  # number of draws of split and training labels, numbers of training labels, trees per forest
    "fast": (2, (32, 64), 10),
    "default": (5, _LABELS, 100),
    "full": (10, _LABELS, 500),
}
_PICTURED = (
    "Aspirin",
    "Caffeine",
    "Nicotine",
    "Bisphenol A",
    "17beta-Estradiol",
    "Haloperidol",
    "Atrazine",
    "Tamoxifen",
)


def _size(full: bool) -> str:
    return "fast" if is_fast() else "full" if full else "default"


def budget(full: bool = False) -> dict:
    """Return the settings of `molfm.transfer` for the first study.

    `MOLFM_FAST=1` reduces them for tests; the results are then meaningless.

    Args:
        full: more steps and a larger network.
    """
    arms = {"regimes": ("alone", "cotrain"), "target_batch": 64, "source_batch": 32}
    recipe = {"learning_rate": 2e-3, "schedule": "cosine", "warmup": 0.1}
    return {**arms, **recipe, **_SIZES[_size(full)]}


def named_molecules(mix: Mix, names: Sequence[str] = _PICTURED) -> tuple[list[str], list[str]]:
    """Return SMILES of molecules by their names, and for each a caption: its name and in how many assays it is active.

    Args:
        mix: MiniMix.
        names: names in ToxCast; those that it lacks are left out.
    """
    lookup, assays = Lookup(mix), Lookup(mix.select([TARGETS]))
    found, captions = [], []
    for name in names:
        near = np.flatnonzero(lookup.named(name, np.arange(len(mix))))
        exact = [i for i, of in zip(near, lookup.names(near), strict=True) if name.lower() in of.lower().split(" / ")]
        for molecule in exact:
            _, _, active = assays.cells(np.array([molecule]))
            if len(active):
                found += lookup.smiles(np.array([molecule]))
                captions.append(f"{name}\nactive in {int(active.sum())} of {len(active)} assays")
                break
    return found, captions


def _data(mix: Mix) -> list[str]:
    """Return what MiniMix holds: a picture of its labels, and some of its molecules."""
    labels = LabelMap(mix)
    tasks = mix.tasks.iloc[labels.tasks]
    picture = label_picture(labels.coverage(256), tasks, f"Who has labels: {len(mix):,} molecules, {len(tasks)} tasks")
    return [
        "<h2>The data</h2>",
        "<p>Each column is a task, each row a group of molecules. A cell is coloured where the molecules have a label. Quantum "
        "labels can be computed for any molecule. Biological labels need a laboratory, and half of ToxCast's table is "
        "empty.</p>",
        figure_html(picture, "which molecules have labels of which tasks"),
        molecule_grid(*named_molecules(mix)),
    ]


def probe(full: bool = False, progress: bool = True) -> LabelEfficiency:
    """Predict logBB from few labels: published fingerprints compared with Morgan fingerprints and RDKit's descriptors.

    Every draw splits MiniMix by scaffold anew. Takes seconds, and needs neither internet access nor torch.

    Args:
        full: more draws and larger forests.
        progress: show progress bars.
    """
    draws, counts, trees = _PROBES[_size(full)]
    mixes = [load("minimix", seed=seed, progress=False) for seed in range(draws)]
    smiles = labelled(mixes[0], PROBED)
    arms = {
        BASELINE: forest(mixes[0], PROBED, morgan(smiles), trees),
        "descriptors + forest": forest(mixes[0], PROBED, descriptors(smiles, progress), trees),
        "minimol + ridge": linear(mixes[0], PROBED, shipped_fingerprints(smiles)),
    }
    return label_efficiency(mixes, PROBED, arms, counts, progress=progress)


def run(
    out: str | Path = "quickstart.html", full: bool = False, progress: bool = True
) -> tuple[TransferResult, LabelEfficiency]:
    """Run both studies and write one page about them.

    Args:
        out: path of the page.
        full: more steps and a larger network in the first study, more draws and larger forests in the second.
        progress: show progress bars.

    Returns:
        The transfer study and the label-efficiency study.
    """
    mix = load("minimix", progress=progress)
    result = transfer(mix, [TARGETS], [SOURCE], progress=progress, **budget(full))
    found = probe(full, progress)
    title = "Does learning quantum chemistry help to predict what chemicals do to cells?"
    if is_fast():
        title += " (a test run, too short to mean anything)"
    page = transfer_page(result, title, "molfm quickstart --full" if full else "molfm quickstart", found, _data(mix))
    write_text(Path(out), page)
    return result, found
