"""Judges the columns of a user's table that nobody named: which are targets, and what the others are.

The rules, in this order; the first that holds counts:

1. A column that holds anything but numbers, limits such as `>10` and empty cells is no target.
2. A column that numbers rows or compounds is none: by its name (`id`, `CID`, `index`, …), or because it counts the rows.
3. A column whose name says that it is a weight, a condition of the measurement, a date, a split, a prediction, a count of measurements or the spread of
   another column is none.
4. A descriptor of the molecule is none: by its name (`MW`, `TPSA`, …), or because RDKit computes the same values.
5. Any other column of numbers is a target: binary if it holds zeros and ones only, else regression.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors, rdMolDescriptors

from molfm.base.units import split_header
from molfm.chem.featurize import smiles_text
from molfm.data.cells import parse_numbers

COUNTS = "it counts the rows"
SAMPLE = 100  # molecules on which a column is compared with RDKit's descriptors
_SHOWN = 40  # characters of a cell that a message shows
_AGREE, _CLOSE = 0.95, 5e-3  # share of molecules, and relative difference, at which a column is RDKit's descriptor
_FEWEST = 5  # molecules, with different values, below which agreement may be chance

_WORDS = r"(?:.*[\W_])?"  # any words before
_NAMES = (  # what a name says, and the names that say it
    ("it numbers rows or compounds, to judge by its name", r"unnamed: \d+|index|idx|no\.?|nr\.?|number|#|rank|" + _WORDS + r"([cs]|mol|cmpd|compound|chembl|inchi)?[ _]?id"),
    ("its name says that it is a weight", r"(sample|row|label)?[ _]?weights?|w"),
    ("its name says that it is a condition of the measurement", r"ph|temp(erature)?|conc(entration)?|dose|wavelength"),
    ("its name says that it is a date", _WORDS + r"(date|year|month|timestamp)"),
    ("its name says that it is a split", r"(split|fold|set|group|cluster|train|test|is_?(train|test))([ _]?(no|nr|id|\d+))?"),
    ("its name says that it holds predictions", r".*pred(s|icted|iction|ictions)?\b.*"),
    ("its name says that it counts measurements", _WORDS + r"(n|count|counts|replicates|n_?(obs|rep|reps|meas|measurements))"),
    ("its name says that it is the spread of another column", _WORDS + r"(sd|std|stdev|stddev|sem|se|stderr|error|err|uncertainty|ci)"),
    ("its name says that it is a descriptor", r"(exact|avg|average|monoisotopic)?[ _]?(mw|mol[ _]?w(eigh)?t|mol(ecular)?[ _.]?(weight|mass)|full[ _]?mwt|exact[ _]?mass)([ _]?freebase)?|t?psa|hb[ad]|(num(ber)?[ _]?(of[ _]?)?)?(h[ _-]?bond[ _]?(donor|acceptor)s?|heavy[ _]?atoms?|rot(at)?able[ _]?bonds?|rot(atable)?[ _]?bonds?|rings?|arom(atic)?[ _]?rings?)|n[ _]?rings?|minimum degree|fsp3|fraction[ _]?csp3"),
)  # fmt: skip
_SAYS = tuple((reason, re.compile(names, re.IGNORECASE)) for reason, names in _NAMES)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*")
_DESCRIPTORS = {
    "MolWt": Descriptors.MolWt,
    "ExactMolWt": Descriptors.ExactMolWt,
    "HeavyAtomCount": Descriptors.HeavyAtomCount,
    "MolLogP": Descriptors.MolLogP,
    "TPSA": Descriptors.TPSA,
    "NumHDonors": Descriptors.NumHDonors,
    "NumHAcceptors": Descriptors.NumHAcceptors,
    "NumRotatableBonds": rdMolDescriptors.CalcNumRotatableBonds,
    "RingCount": Descriptors.RingCount,
    "FractionCSP3": Descriptors.FractionCSP3,
    "QED": Descriptors.qed,
}


class Content(NamedTuple):
    """What a column holds, as far as it was read."""

    n_numbers: int = 0
    n_limits: int = 0  # censored ones among them, such as >10
    binary: bool = True  # all numbers are 0 or 1
    whole: bool = True  # all numbers are whole
    first: float | None = None  # the first number
    counts: bool = True  # every row holds the number before it plus one
    row: int | None = None  # of the first cell that is no number
    found: str = ""  # what that cell holds
    dates: bool = False  # whether it looks like a date

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers only, and at least one."""
        return self.row is None and self.n_numbers > 0

    @property
    def is_binary(self) -> bool:
        """Whether the column holds zeros and ones only."""
        return self.is_number and self.binary and not self.n_limits


def content_of(chunks: Iterable[pd.DataFrame], columns: Sequence[str]) -> dict[str, Content]:
    """Return what columns hold. All rows are read, because a single text in the last row decides."""
    found, first_row = dict.fromkeys(columns, Content()), 0
    for chunk in chunks:
        for column in columns:
            found[column] = _continued(found[column], chunk[column], first_row)
        first_row += len(chunk)
    return found


def _continued(before: Content, values: pd.Series, first_row: int) -> Content:
    """Return what a column holds after its next values."""
    given = values.notna().to_numpy()
    place, values = np.flatnonzero(given), values.dropna()
    if not len(values):
        return before._replace(counts=False)
    parsed, wrong = parse_numbers(values)
    wrong = np.flatnonzero(wrong | np.isnan(parsed.value))
    row, found, dates = before.row, before.found, before.dates
    if len(wrong) and row is None:
        cell = values.iloc[wrong[0]]
        row, found = first_row + int(place[wrong[0]]), _shown(cell)
        dates = (not isinstance(cell, str) and hasattr(cell, "year")) or bool(_DATE.fullmatch(str(cell).strip()))
    numbers = np.delete(parsed.value, wrong)
    first = before.first if before.first is not None or not len(numbers) else float(numbers[0])
    counted = len(numbers) == len(given) and (numbers == first + first_row + np.arange(len(numbers))).all()
    return Content(
        before.n_numbers + len(numbers),
        before.n_limits + int(np.count_nonzero(np.delete(parsed.side, wrong))),
        bool(before.binary and np.isin(numbers, (0, 1)).all()),
        bool(before.whole and (numbers == np.round(numbers)).all()),
        first,
        bool(before.counts and counted),
        row,
        found,
        dates,
    )


def _shown(value: object) -> str:
    """Return a cell as a message shows it."""
    if isinstance(value, list | tuple | np.ndarray):
        return "a list"
    if isinstance(value, str | np.generic | int | float):
        text = repr(value if isinstance(value, str) else str(value))
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]}…{text[0]}"
    return f"a {type(value).__name__}"


def why_not(column: str, content: Content, descriptor: str | None = None) -> str:
    """Return why a column is no target, or an empty string if it is one; see the rules at the top.

    Args:
        column: its name.
        content: what it holds.
        descriptor: name of the descriptor of RDKit that it equals; None if it equals none.
    """
    if content.row is not None:
        if content.dates:
            return f"it holds dates, such as {content.found}"
        more = f"; {content.n_numbers:,} of its cells are numbers" if content.n_numbers else ""
        return f"row {content.row} holds {content.found}, not a number{more}"
    if not content.n_numbers:
        return "it is empty"
    if content.counts and content.whole and content.n_numbers >= _FEWEST:
        return COUNTS
    name = split_header(column.strip())[0]
    for reason, names in _SAYS:
        if names.fullmatch(name) and (content.whole or "numbers rows" not in reason):
            return "" if content.binary and "numbers rows" in reason else reason
    return f"it is RDKit's {descriptor}" if descriptor else ""


def descriptors_among(sample: pd.DataFrame, smiles: str, columns: Sequence[str]) -> dict[str, str]:
    """Return the columns that hold a descriptor of RDKit, with its name, judged by a few molecules.

    Args:
        sample: the first rows of a table.
        smiles: name of the SMILES column.
        columns: names of columns of numbers.
    """
    with rdBase.BlockLogs():
        texts = [smiles_text(item) for item in sample[smiles]]
        mols = [Chem.MolFromSmiles(text) if text else None for text in texts]
        valid = np.array([mol is not None for mol in mols], bool)
        computed = {name: [make(mol) for mol in mols if mol is not None] for name, make in _DESCRIPTORS.items()}
    found: dict[str, str] = {}
    for column in columns:
        values = parse_numbers(sample[column][valid])[0].value
        there = ~np.isnan(values)
        if len(np.unique(values[there])) < _FEWEST:
            continue
        for name, numbers in computed.items():
            other = np.array(numbers, float)[there]
            close = np.abs(values[there] - other) <= _CLOSE * np.maximum(np.abs(other), 1)
            if close.mean() >= _AGREE:
                found[column] = name
                break
    return found
