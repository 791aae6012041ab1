"""Count the names in B3DB that stand on another compound's structure: the figures in its data card.

    python benchmarks/b3db_names.py

Needs the package index (or the downloads of an earlier `python -m molfm.minimix build`). Takes 20 seconds.
"""

from importlib.resources import files
from zipfile import ZipFile

import pandas as pd
from rdkit import Chem, RDLogger

from molfm.catalog.download import fetch_pypi
from molfm.chem.featurize import canonical_smiles
from molfm.chem.identity import constitution_of
from molfm.minimix.build import B3DB, wrong_structures


def constitution(key: str) -> str:
    return constitution_of(key, Chem.MolFromSmiles(key))


def heavy_atoms(key: str) -> list[str]:
    """The elements of the largest fragment, sorted, without hydrogen: tautomers, stereoisomers and salts agree."""
    largest = max(Chem.GetMolFrags(Chem.MolFromSmiles(key), asMols=True), key=lambda mol: mol.GetNumAtoms())
    return sorted(atom.GetSymbol() for atom in largest.GetAtoms())


RDLogger.DisableLog("rdApp.*")
with ZipFile(fetch_pypi(*B3DB)) as archive:
    records = pd.read_csv(archive.open("B3DB/B3DB_classification.tsv"), sep="\t")
records["key"] = records.SMILES.map(canonical_smiles)
records = records.dropna(subset=["key", "compound_name"])
records = records[records.compound_name != "-"].assign(constitution=records.key.map(constitution))
wrong = wrong_structures(records)
print(f"Left out for their structure: {wrong.sum()} rows")

clear = records[~wrong].groupby("compound_name")
others = (
    records[wrong]
    .set_index("compound_name")
    .join(clear.agg(classes=("BBB+/BBB-", set), constitutions=("constitution", set)), how="inner")
)
print(
    f"  their name also stands on another row: {len(others)}; with their class: "
    f"{sum(b == {a} for a, b in zip(others['BBB+/BBB-'], others.classes, strict=True))}, with their constitution: "
    f"{sum(a in b for a, b in zip(others.constitution, others.constitutions, strict=True))}"
)
print(f"Other names on more than one constitution: {int((clear.constitution.nunique() > 1).sum())}")

toxcast = pd.read_parquet(files("molfm.data_cards") / "minimix" / "toxcast.parquet", columns=["smiles", "name"])
theirs = pd.Series(toxcast.smiles.tolist(), toxcast.name.str.lower())
rows = records[~wrong].assign(theirs=records.compound_name.str.lower().map(theirs)).dropna(subset="theirs")
rows = rows[[heavy_atoms(ours) != heavy_atoms(other) for ours, other in zip(rows.key, rows.theirs, strict=True)]]
n_shared = records[~wrong].compound_name.str.lower().isin(theirs.index)
print(
    f"Names that ToxCast has too: {records[~wrong].compound_name[n_shared].nunique()}; on other heavy atoms there: "
    f"{rows.compound_name.nunique()} ({len(rows)} rows)"
)
