"""The picture of `transfer.md`: what quantum chemistry, drawn numbers and other assays change, with every single assay.

    python benchmarks/transfer_figure.py PAGE.html

Reads the tables in `benchmarks/transfer/` and writes a page with the figure.
"""

import sys
from pathlib import Path

import pandas as pd

from molfm.plots.page import figure_html, page_html
from molfm.plots.transfer import transfer_strip

HERE = Path(__file__).parent / "transfer"
ROWS = {  # table -> the sources to show, each trained together with the target
    "toxcast-128-both": ["xtb + qm9_mini"],
    "noise": ["noise"],
    "atg-128": ["toxcast/TOX21", "toxcast/BSK"],
    "bsk-128-together": ["toxcast/ATG"],
    "tox21-128": ["toxcast/BSK"],
}


def rows(name: str, sources: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparisons of single targets and of their mean from a study's tables."""
    table, means = (pd.read_csv(HERE / f"{name}{suffix}.csv") for suffix in ("", "-means"))
    table, means = (of[of.source.isin(sources) & (of.regime == "cotrain")] for of in (table, means))
    table = table.dropna(subset="difference")
    members = {s: tuple(zip(of.target, of.n_labels, strict=True)) for s, of in table.groupby("source")}
    return table, means.assign(members=means.source.map(members))


tables, means = zip(*(rows(name, sources) for name, sources in ROWS.items()), strict=True)
figure = transfer_strip(pd.concat(tables), pd.concat(means))
figure.update_layout(title_text="What a source changes: 128 labels of each assay, trained together")
Path(sys.argv[1]).write_text(page_html("Transfer to ToxCast", [figure_html(figure, "differences by source")]))
