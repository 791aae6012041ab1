"""Builds `toxcast`, sparse measured bioactivity, from a package that contains EPA's ToxCast release 3.4.

The rule, which the data card states too. It looks at names, counts and agreement of assays, never at how well a model
predicts them:

- molecules: one fragment, with carbon, 2 to 100 heavy atoms;
- cells: the hit call (1 active, 0 inactive) that all records of a molecule and assay have; a cell whose records
  contradict each other is empty. A cell is flagged if all its records carry one of EPA's cautions, such as "borderline";
- assays: at least 1,000 molecules, 100 of them active and 100 inactive; no raw channels of a ratio, no viability,
  autofluorescence or luciferase controls, no internal controls, no follow-ups (`LEFT_OUT`); two viability assays stay as
  controls (`CONTROLS`);
- repeats: in the order of their number of molecules, an assay is left out if its hit calls agree with those of a kept
  one at |phi| above 0.7.
"""

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
import pandas as pd
import yaml
from rdkit import Chem

from molfm.base.files import write_text
from molfm.catalog.download import fetch_pypi
from molfm.chem.featurize import canonical_smiles
from molfm.data.mix import Mix
from molfm.minimix.arrays_of_pickle import read_columns

PACKAGE = ("kc-hits==0.6.0", "2765a7606891eab16487a98115ea22af416c078fa4f7c5485e9c72f99830bbd3")
_FOLDER = "kc_hits-0.6.0.data/data/db"

MOST_ATOMS, LEAST_MOLECULES, LEAST_OF_A_CLASS, LARGEST_PHI = 100, 1_000, 100, 0.7
LEFT_OUT = re.compile(
    r"_ch[12]$|_fitc$|_rhodamine$|viabil|cytotox|CellCount|AutoFluor|LUC_Biochem|follow|_wt_|^ATG_(M_\d\d|GAL4|TA|CMV)_",
    re.IGNORECASE,
)
CONTROLS = ("TOX21_RT_HEPG2_GLO_40hr_viability", "TOX21_RT_HEK293_GLO_40hr_viability")

FAMILIES = {
    "ACEA": "cell growth by impedance",
    "ATG": "reporter genes",
    "BSK": "proteins of primary human cells",
    "OT": "binding of proteins",
    "TOX21": "quantitative screens",
    "UPITT": "imaging of a receptor",
}
DIRECTIONS = {
    "up": "increase",
    "dn": "decrease",
    "down": "decrease",
    "agonist": "agonist",
    "antagonist": "antagonist",
    "inhibition": "inhibition",
    "viability": "loss of viability",
}
# Word in the name of an assay, in lower case, and the gene (HGNC symbol) of the target.
_GENES = """
ar=AR er=ESR1 era=ESR1 erb=ESR2 ahr=AHR gr=NR3C1 pr=PGR car=NR1I3 pxr=NR1I2 fxr=NR1H4 vdr=VDR ppara=PPARA
ppard=PPARD pparg=PPARG err=ESRRA erra=ESRRA errg=ESRRG lxra=NR1H3 lxrb=NR1H2 rara=RARA rarb=RARB rarg=RARG
rxra=RXRA rxrb=RXRB rorb=RORB rorg=RORC thra1=THRA nurr1=NR4A2 trhr=TRHR hnf4a=HNF4A hif1a=HIF1A p53=TP53
aromatase=CYP19A1 elg1=ATAD5 tshr=TSHR il8=CXCL8 mcp1=CCL2 icam1=ICAM1 vcam1=VCAM1 eselectin=SELE ip10=CXCL10
mig=CXCL9 il1a=IL1A il6=IL6 tnfa=TNF cd40=CD40 mmp1=MMP1 pai1=SERPINE1 tpa=PLAT upar=PLAUR tissuefactor=F3
thrombomodulin=THBD ldlr=LDLR saa=SAA1 vegfrii=KDR collageniii=COL3A1 hladr=HLA-DRA nrf1=NRF1 nrf2=NFE2L2
foxa2=FOXA2
"""
GENES = dict(pair.split("=") for pair in _GENES.split())
TOX21 = {  # assay -> the task of ToyMix's tox21 that is the same measurement; the card says how far they agree
    "TOX21_AR_LUC_MDAKB2_Agonist": "NR-AR",
    "TOX21_AR_BLA_Agonist_ratio": "NR-AR-LBD",
    "TOX21_AhR_LUC_Agonist": "NR-AhR",
    "TOX21_Aromatase_Inhibition": "NR-Aromatase",
    "TOX21_ERa_LUC_VM7_Agonist": "NR-ER",
    "TOX21_ERa_BLA_Agonist_ratio": "NR-ER-LBD",
    "TOX21_PPARg_BLA_Agonist_ratio": "NR-PPAR-gamma",
    "TOX21_ARE_BLA_agonist_ratio": "SR-ARE",
    "TOX21_ELG1_LUC_Agonist": "SR-ATAD5",
    "TOX21_HSE_BLA_agonist_ratio": "SR-HSE",
    "TOX21_MMP_ratio_down": "SR-MMP",
    "TOX21_p53_BLA_p1_ratio": "SR-p53",
}


class Curated(NamedTuple):
    """The chosen molecules and assays.

    Attributes:
        table: smiles (key), name, dtxsid, and one column per assay: 1, 0 or NaN.
        flags: one column per assay: 1 for a cell all of whose records are flagged, 0 for other labels, NaN if empty.
        assays: one row per assay: assay, family, organism, tissue, cell, description.
        counts: what was left out, with reasons.
    """

    table: pd.DataFrame
    flags: pd.DataFrame
    assays: pd.DataFrame
    counts: dict


def _is_usable(key: str | None) -> bool:
    if key is None or "." in key:
        return False
    mol = Chem.MolFromSmiles(key)
    return 2 <= mol.GetNumAtoms() <= MOST_ATOMS and any(atom.GetAtomicNum() == 6 for atom in mol.GetAtoms())


def curate() -> Curated:
    """Apply the rule to the package's records."""
    with ZipFile(fetch_pypi(*PACKAGE)) as archive:
        records = read_columns(archive.open(f"{_FOLDER}/toxcast_data_20211119.pkl"))
        info = read_columns(archive.open(f"{_FOLDER}/assay_info_20211119.pkl"))
    counts = {"records": len(records), "assays": records.ASSAY_NAME.nunique(), "SMILES": records.SMILES.nunique()}
    keys = {text: canonical_smiles(text) for text in records.SMILES.unique()}
    usable = {key for key in set(keys.values()) if _is_usable(key)}
    counts["SMILES without a key"] = sum(key is None for key in keys.values())
    counts["SMILES of several fragments"] = sum(key is not None and "." in key for key in keys.values())
    records = records.assign(key=records.SMILES.map(keys))
    records = records[records.key.isin(usable)]
    cells = records.assign(flag=records.FLAGS != "").groupby(["key", "ASSAY_NAME"], sort=True)
    cells = cells.agg(low=("HIT_CALL", "min"), high=("HIT_CALL", "max"), flag=("flag", "min"))
    counts["cells"], counts["contradicting cells"] = len(cells), int((cells.low != cells.high).sum())
    cells = cells[cells.low == cells.high]
    labels, flags = (cells[name].astype(float).unstack() for name in ("low", "flag"))
    enough = (labels.notna().sum() >= LEAST_MOLECULES) & (
        pd.concat([labels.sum(), (labels == 0).sum()], axis=1).min(axis=1) >= LEAST_OF_A_CLASS
    )
    counts["assays with enough labels"] = int(enough.sum())
    named = [name for name in labels.columns[enough] if name in CONTROLS or not LEFT_OUT.search(name)]
    counts["of these, left out by name"] = int(enough.sum()) - len(named)
    kept = _without_repeats(labels[named])
    counts["of these, repeats"] = len(named) - len(kept)
    labels = labels[kept].dropna(how="all")
    names = records.groupby("key")[["PREFERRED_NAME", "DTXSID"]].first().loc[labels.index]
    head = pd.DataFrame(
        {"smiles": labels.index, "name": names.PREFERRED_NAME.tolist(), "dtxsid": names.DTXSID.tolist()}
    )
    table = pd.concat([head, labels.reset_index(drop=True)], axis=1)
    info = info.drop_duplicates("ASSAY_NAME").set_index("ASSAY_NAME").reindex(kept)
    assays = pd.DataFrame({"assay": kept, "family": [name.split("_")[0] for name in kept]})
    for ours, theirs in (("organism", "ORGANISM"), ("tissue", "TISSUE"), ("cell", "CELL_SHORT_NAME")):
        assays[ours] = info[theirs].tolist()
    assays["description"] = info.ASSAY_DESCRIPTION.tolist()
    return Curated(table, flags.loc[labels.index, kept].reset_index(drop=True), assays, counts)


def _without_repeats(labels: pd.DataFrame) -> list[str]:
    """Return the names of assays, sorted, without those that agree with a larger kept one at |phi| > LARGEST_PHI."""
    order = labels.notna().sum().sort_values(ascending=False, kind="stable").index
    there = labels[order].notna().to_numpy(float)
    hit = labels[order].fillna(0).to_numpy()
    # Phi of every pair over the molecules that both have, from products of matrices.
    n, both = there.T @ there, hit.T @ hit
    ones = hit.T @ there  # (i, j): actives of i among the molecules that j has too
    spread = ones * (n - ones) * ones.T * (n - ones.T)
    phi = np.divide(n * both - ones * ones.T, np.sqrt(spread), out=np.zeros_like(n), where=spread > 0)
    kept: list[int] = []
    for i in range(len(order)):
        if not kept or np.abs(phi[i, kept]).max() <= LARGEST_PHI:
            kept.append(i)
    return sorted(order[kept])


def task_facts(assay: NamedTuple) -> dict:
    """Return the facts of an assay for the card: family, same measurement in ToyMix, and a description."""
    words = assay.assay.lower().split("_")[1:]
    parts = [FAMILIES[assay.family]]
    if genes := list(dict.fromkeys(GENES[word] for word in words if word in GENES)):
        parts.append(f"target {' + '.join(genes)}")
    if directions := [DIRECTIONS[word] for word in words if word in DIRECTIONS]:
        parts.append(directions[0])
    parts.append(", ".join(str(fact) for fact in (assay.organism, assay.tissue, assay.cell) if not pd.isna(fact)))
    facts = {"kind": "binary", "domain": "biological", "family": assay.family}
    if assay.assay in TOX21:
        facts["same_as"] = f"tox21/{TOX21[assay.assay]}"
    return facts | {"description": "; ".join(parts)}


def write_tasks(card: Path, assays: pd.DataFrame) -> None:
    """Replace the tasks in a card's front matter, and leave the rest of the card as it is."""
    head, tasks, rest = re.match(r"(.*?\ntasks:\n)(.*?)(\n---\n.*)", card.read_text("utf-8"), re.DOTALL).groups()
    facts = {assay.assay: task_facts(assay) for assay in assays.itertuples()}
    tasks = yaml.safe_dump(facts, sort_keys=False, default_flow_style=None, width=10_000, allow_unicode=True)
    write_text(card, head + "".join(f"  {line}\n" for line in tasks.splitlines())[:-1] + rest)


def unflagged(mix: Mix) -> Mix:
    """Return a view that keeps, of the assays of `toxcast`, only labels that EPA did not flag."""
    folder = files("molfm.data_cards") / "minimix"
    smiles = pd.read_parquet(folder / "toxcast.parquet", columns=["smiles"]).smiles
    place = pd.Index(mix.molecules.smiles).get_indexer(smiles)
    flags = pd.read_parquet(folder / "toxcast_flags.parquet")
    for task in mix.chosen:
        if task.dataset == "toxcast":
            clear = np.ones(len(mix), bool)
            clear[place[(flags[task.name] == 1).to_numpy(bool)]] = False
            mix = mix.keep([task.id], clear)
    return mix


def build_toxcast(out: Path, write: Callable[[pd.DataFrame, Path], None]) -> pd.Series:
    """Write `toxcast.parquet`, with the same rows `toxcast_flags.parquet`, and the tasks of the card beside `out`.

    Args:
        out: folder of the tables.
        write: function that writes a table to a path, byte for byte the same for the same values.

    Returns:
        The names of the molecules by key.
    """
    found = curate()
    labels = found.table.iloc[:, 3:]
    print(f"toxcast: {labels.shape[0]} molecules x {labels.shape[1]} assays, {int(labels.notna().sum().sum())} labels")
    print(f"toxcast: {found.counts}")
    write(pd.concat([found.table.iloc[:, :3], labels.astype("Int8")], axis=1), out / "toxcast.parquet")
    write(found.flags.astype("Int8"), out / "toxcast_flags.parquet")
    if (card := out.parent / "toxcast.md").exists():
        write_tasks(card, found.assays)
    return found.table.set_index("smiles").name
