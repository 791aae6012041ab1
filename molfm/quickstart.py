"""The first three minutes: a small honest transfer study on the embedded mix, as a table and a page.

Target: logBB, a measured biological property, with few labels. Source: the quantum tasks of MiniMix at graph, atom and
bond level. BBB, the same measurement as a class, never takes part.
"""

import os
from pathlib import Path

from molfm.study import TransferResult, transfer

TARGET = "b3db/logBB"
SOURCE = ("xtb_b3db", "qm9_mini")
_SIZES = {
    "fast": {"steps": 20, "seeds": 3, "n_labels": 128, "hidden_channels": 16, "num_layers": 2},
    "default": {"steps": 250, "seeds": 5, "n_labels": 128, "hidden_channels": 64, "num_layers": 3},
    "full": {"steps": 3000, "seeds": 5, "n_labels": 128, "hidden_channels": 128, "num_layers": 4},
}


def _is_fast() -> bool:
    return os.environ.get("MOLFM_FAST") == "1"


def budget(full: bool = False) -> dict:
    """Return the study's settings for `molfm.transfer`; `MOLFM_FAST=1` reduces them for tests: the result means nothing."""
    size = "fast" if _is_fast() else "full" if full else "default"
    return {"target_batch": 32, "source_batch": 32, "learning_rate": 2e-3, **_SIZES[size]}


def run(out: str | Path = "quickstart.html", full: bool = False, progress: bool = True) -> TransferResult:
    """Run the study and write its page.

    Args:
        out: path of the page.
        full: the same study with more seeds, more steps and a larger network.
        progress: show progress bars.
    """
    from molfm.report import transfer_page

    result = transfer("minimix", [TARGET], [SOURCE], progress=progress, **budget(full))
    title = "Does learning quantum chemistry help to predict what reaches the brain?"
    if _is_fast():
        title += " (a run for tests, too short to mean anything)"
    page = transfer_page(result, title, "molfm quickstart --full" if full else "molfm quickstart")
    Path(out).write_text(page, encoding="utf-8")
    return result
