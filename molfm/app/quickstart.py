"""The quickstart: two small studies of the embedded mix in about three minutes, as tables and one page.

The first is a transfer study. Its target is logBB, a measured biological property, with few labels. Its source is all
quantum tasks of MiniMix, at graph, atom and bond level. BBB, the same measurement as a class, takes no part. The second
study predicts logBB from the frozen fingerprints of a foundation model. These are shipped with the package, so nothing
is downloaded.
"""

import os
from pathlib import Path

from molfm.base.files import write_text
from molfm.data.mix import load
from molfm.study.label_efficiency import LabelEfficiency, label_efficiency
from molfm.study.report import transfer_page
from molfm.study.simple_models import BASELINE, descriptors, forest, labelled, linear, morgan, shipped_fingerprints
from molfm.study.transfer import TransferResult, transfer

TARGET = "b3db/logBB"
SOURCE = ("xtb", "qm9_mini")
_SIZES = {
    "fast": {"steps": 20, "seeds": 3, "n_labels": 128, "hidden_channels": 16, "num_layers": 2},
    "default": {"steps": 250, "seeds": 5, "n_labels": 128, "hidden_channels": 64, "num_layers": 3},
    "full": {"steps": 3000, "seeds": 5, "n_labels": 128, "hidden_channels": 128, "num_layers": 4},
}
_LABELS = (32, 64, 128, 256, None)
_PROBES = {  # number of draws of split and training labels, numbers of training labels, trees per forest
    "fast": (2, (32, 64), 10),
    "default": (5, _LABELS, 100),
    "full": (10, _LABELS, 500),
}


def _is_fast() -> bool:
    return os.environ.get("MOLFM_FAST") == "1"


def _size(full: bool) -> str:
    return "fast" if _is_fast() else "full" if full else "default"


def budget(full: bool = False) -> dict:
    """Return the settings of `molfm.transfer` for the first study.

    `MOLFM_FAST=1` reduces them for tests; the results are then meaningless.

    Args:
        full: more steps and a larger network.
    """
    arms = {"regimes": ("alone", "cotrain"), "target_batch": 32, "source_batch": 32}
    return {**arms, "learning_rate": 2e-3, **_SIZES[_size(full)]}


def probe(full: bool = False, progress: bool = True) -> LabelEfficiency:
    """Predict logBB from few labels: published fingerprints compared with Morgan fingerprints and RDKit's descriptors.

    Every draw splits MiniMix by scaffold anew. Takes seconds, and needs neither internet access nor torch.

    Args:
        full: more draws and larger forests.
        progress: show progress bars.
    """
    draws, counts, trees = _PROBES[_size(full)]
    mixes = [load("minimix", seed=seed, progress=False) for seed in range(draws)]
    smiles = labelled(mixes[0], TARGET)
    arms = {
        BASELINE: forest(mixes[0], TARGET, morgan(smiles), trees),
        "descriptors + forest": forest(mixes[0], TARGET, descriptors(smiles, progress), trees),
        "minimol + ridge": linear(mixes[0], TARGET, shipped_fingerprints(smiles)),
    }
    return label_efficiency(mixes, TARGET, arms, counts, progress=progress)


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
    result = transfer("minimix", [TARGET], [SOURCE], progress=progress, **budget(full))
    found = probe(full, progress)
    title = "Does learning quantum chemistry help to predict what reaches the brain?"
    if _is_fast():
        title += " (a test run, too short to mean anything)"
    page = transfer_page(result, title, "molfm quickstart --full" if full else "molfm quickstart", found)
    write_text(Path(out), page)
    return result, found
