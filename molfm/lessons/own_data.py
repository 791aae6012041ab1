"""The table of lesson 10: real measurements in the state in which tables reach a modeller, and claims about a fit.

The molecules are the 314 test molecules of logBB in B3DB (card `b3db`), so no model that comes with molfm learned from
their labels. logBB becomes a concentration in the brain, for a concentration of `BLOOD` in the blood. `messy_table` then
adds the traps; `later_table` has other molecules, as they are.
"""

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem import Descriptors

from molfm.base.names import minus
from molfm.data.mix import load
from molfm.explore.lookup import Lookup

if TYPE_CHECKING:
    from molfm.selection.result import FitResult

BLOOD = 2000.0  # nM in the blood, assumed for all molecules
COLUMN = "brain (nM)"
_HIGHEST, _LOWEST = 10_000, 10  # nM, the range of the assay
_PER_DAY = 12  # rows
_BETTER_NAMES = {
    "1,3,7-trimethylxanthine, tms": "caffeine",
    "50-78-2": "aspirin",
    "acetaminophen (p-acetamidophenol)": "paracetamol",
    "celecoxib, celebrex": "celecoxib",
    "dronabinol": "dronabinol (THC)",
    "propofol, diprivan": "propofol",
    "antipyrine ok": "antipyrine",
    "bupropion (zyban)": "bupropion",
}
_SALTS = {  # measured again as a salt: name -> what the SMILES ends with
    "lidocaine": ".Cl",
    "loperamide": ".Cl",
    "metoclopramide": ".Cl",
    "fluphenazine": ".Cl.Cl",
    "amiodarone": ".Cl",
    "trazodone": ".Cl",
    "betaxolol": ".Cl",
    "selegiline": ".Cl",
    "donepezil": ".Cl",
    "ranitidine": ".Cl",
}
_AGAIN = {  # measured again elsewhere, and written with another SMILES: name -> factor
    "antipyrine": 1.2,
    "morphine": 0.8,
    "nitrazepam": 0.7,
    "ibuprofen": 1.5,
    "risperidone": 1.4,
    "thalidomide": 0.9,
    "carbamazepine": 0.8,
    "levetiracetam": 7.0,
    "celecoxib": 0.2,
    "diazepam": 1.1,
}
_SUPPLIER = {  # MW of the compound, where B3DB has another structure under its name
    "2-methyl heptane": 114.23,
    "3-methylhexane": 100.20,
    "atenolol": 266.34,
    "caffeine": 194.19,
    "oxazepam": 286.71,
    "paraxanthine": 180.16,
    "triazolam": 343.21,
}
_BROKEN = {"paracetamol": "CC(=O)Nc1ccc(O)cc", "sparfloxacin": "see lab journal 7, p. 12"}  # no SMILES
_ODD = {"ro 64-0802": "21-Sep", "urea": "n.d."}  # cells that Excel or a person spoiled


def _measured(split: str) -> pd.DataFrame:
    """Return compound, smiles and nM in the brain of the molecules of one split of logBB."""
    mix = load("b3db", tasks=["logBB"])
    logbb = mix.labels("logBB")
    rows = [row for row in mix.members(split) if not np.isnan(logbb[row])]
    names = [re.sub(r"\s+", " ", name.split("/")[0]).strip() for name in Lookup(mix).names(np.array(rows))]
    names = [_BETTER_NAMES.get(name, name) for name in names]
    names = [name if name not in ("", "-") else f"sample {row}" for name, row in zip(names, rows, strict=True)]
    table = {
        "compound": names,
        "smiles": mix.molecules.smiles[rows].to_numpy(),
        "nM": BLOOD * 10 ** logbb[rows].to_numpy(),
    }
    return pd.DataFrame(table)


def _written(value: float, low: float, high: float) -> str:
    """Return a concentration as a laboratory reports it: three digits, or a limit outside the range of the assay."""
    return f">{high:g}" if value > high else f"<{low:g}" if value < low else f"{float(f'{value:.3g}'):g}"


def messy_table(seed: int = 0) -> pd.DataFrame:
    """Return a table of concentrations in the brain with the traps of lesson 10.

    The values are real, from B3DB, for an assumed 2,000 nM in the blood. The repeated measurements, the dates and the
    mistakes are invented.

    Returns:
        One row per measurement, all cells as text: No, compound, smiles, MW, measured on, brain (nM).
    """
    rng = np.random.default_rng(seed)
    table = _measured("test")
    first = table.drop_duplicates("compound").set_index("compound")
    more = [
        (name, first.smiles[name] + end, first.nM[name] * 10 ** rng.normal(0, 0.15)) for name, end in _SALTS.items()
    ]
    for name, factor in _AGAIN.items():
        mol = Chem.MolFromSmiles(first.smiles[name])
        other = Chem.MolToSmiles(mol, rootedAtAtom=mol.GetNumAtoms() - 1, canonical=False)
        more.append((name, other, first.nM[name] * factor))
    table = pd.concat([table.assign(again=False), pd.DataFrame(more, columns=table.columns).assign(again=True)])
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    day = table.index // _PER_DAY
    dates = pd.Timestamp("2021-03-01") + pd.to_timedelta(np.cumsum(rng.integers(3, 10, day.max() + 1)), "D")
    wrong = day == day[table.again & (table.compound == "diazepam")][0]  # this day was exported in µM
    cells = [
        _written(value / 1000, _LOWEST / 1000, _HIGHEST / 1000) if in_um else _written(value, _LOWEST, _HIGHEST)
        for value, in_um in zip(table.nM, wrong, strict=True)
    ]
    drawn = [Descriptors.MolWt(Chem.MolFromSmiles(smiles)) for smiles in table.smiles]
    mass = [f"{_SUPPLIER.get(name, of):.2f}" for name, of in zip(table.compound, drawn, strict=True)]
    found = pd.DataFrame(
        {
            "No": np.arange(1, len(table) + 1).astype(str),
            "compound": table.compound,
            "smiles": table.smiles,
            "MW": mass,
            "measured on": dates[day].strftime("%d.%m.%Y"),
            COLUMN: cells,
        }
    )
    for column, changes in (("smiles", _BROKEN), (COLUMN, _ODD)):
        for name, text in changes.items():
            found.loc[found.index[found.compound == name][0], column] = text
    return found


def later_table() -> pd.DataFrame:
    """Return the validation molecules of logBB, without traps and without limits: compound, smiles, brain (nM)."""
    return _measured("val").rename(columns={"nM": COLUMN})


def claims(result: "FitResult", at_random: "FitResult") -> dict[str, tuple[str, bool, str]]:
    """Return the statements of the last exercise: letter -> text, whether the fits support it, and what to look at.

    Args:
        result: the fit whose folds keep scaffolds together.
        at_random: the fit with random folds on the same table.
    """
    from molfm.selection.curve import in_words
    from molfm.selection.wording import number, span

    judged = result.judged[0]
    row, other, target = judged.quoted, at_random.judged[0].quoted, judged.target
    better, helps = row.difference_high < 0, "would probably help" in in_words(result.curve(), "rmse", "")
    found = {
        "A": (
            f"On molecules like those of the table, but with new scaffolds, the RMSE is about {number(row.value)} "
            f"(95% interval {span(row)}; {row.n} measured molecules, without limits).",
            True,
            "Compare it with result.answer: same folds, same number, same interval.",
        ),
        "B": (
            f"On molecules with new scaffolds, the RMSE is about {number(other.value)}.",
            False,
            "This number comes from random folds, in which a molecule has close relatives in training.",
        ),
        "C": (
            "The chosen candidate is better than a random forest on Morgan counts.",
            bool(better),
            "Look at the interval of the difference from the forest, in result.answer. Does it contain 0?",
        ),
        "D": (
            f"Repeated measurements scatter by {number(target.noise)}. So an RMSE far below that on single measurements would be "
            "suspicious.",
            bool(np.isfinite(target.noise)),
            "No model knows the error of the next measurement. What does the report say about repeated measurements?",
        ),
        "E": (
            "For any molecule that a chemist can draw, the 95% interval contains the true value with a probability of 95%.",
            False,
            "The coverage was measured on molecules like those of the table. Which share did you find for distant ones?",
        ),
        "F": (
            "For molecules above 10,000 nM, the model tells 20,000 nM from 50,000 nM.",
            False,
            "No label says more than “above 10,000”, and limits do not count in scores.",
        ),
        "G": (
            "More measurements of this kind would probably lower the RMSE.",
            helps,
            "Read the sentence below the learning curve. Does the interval of the gain exclude 0?",
        ),
        "H": (
            "If a chemist removes the OH groups of a drug, more of it reaches the brain, because the model has learned it.",
            False,
            "The table compares different molecules. Nobody changed one and measured again.",
        ),
    }
    return {letter: (minus(text), supported, hint) for letter, (text, supported, hint) in found.items()}
