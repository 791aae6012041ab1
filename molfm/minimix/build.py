"""Build MiniMix, the embedded mix, from the package index: `python -m molfm.minimix build`.

It writes tables to `data_cards/minimix/`, each described by its card: `qm9_mini` (DFT), `toxcast` (measured
bioactivity, `toxcast.py`), `b3db` (measured blood-brain-barrier permeability) and `xtb` (semi-empirical labels that
`quantum.py` computes for the molecules of the last two). The order of rows, the choice of molecules and the rounding
depend only on the sources, so the same versions give the same bytes. xTB takes more than an hour of CPU; an interrupted
build resumes after the chunks that are finished.
"""

import argparse
import ast
import hashlib
import json
import os
import re
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rdkit import Chem, RDLogger
from rdkit.Chem import rdDetermineBonds
from rdkit.Geometry import Point3D

from molfm.base.files import home, write_text
from molfm.base.progress import tqdm
from molfm.catalog.download import fetch_pypi
from molfm.chem.featurize import canonical_smiles
from molfm.minimix.quantum import QuantumError, xtb_labels
from molfm.minimix.toxcast import build_toxcast

QM9 = ("qm9pack==1.0.3", "1d88c2988007c6778e717ee3224cf511bd60e10732ebe3b7ed500ea5af05c9f0")
B3DB = ("qc-B3DB==1.1.1", "c929f601951e4b0ed56326c94d2cdc2f6b0c24711fbc1e0d7f67e88e330fc959")

QM9_SIZE = 5000
QM9_COLUMNS = {  # column of the package -> column of the official file
    "RotA_GHz": "A",
    "RotB_GHz": "B",
    "RotC_GHz": "C",
    "Dipole_debye": "mu",
    "Polarizability_bohr3": "alpha",
    "HOMO_au": "homo",
    "LUMO_au": "lumo",
    "HOMO_LUMO_gap_au": "gap",
    "R2_bohr2": "r2",
    "ZPVE_au": "zpve",
    "InternalEnergy_0K_au": "u0",
    "InternalEnergy_298K_au": "u298",
    "Enthalphy_298K_au": "h298",
    "GibbsFreeEnergy_298K_au": "g298",
    "Heatcapacity_Cv_cal_mol_K": "cv",
}
# Energies of isolated atoms in hartree at the same level of theory (QM9's atomref.txt, doi 10.6084/m9.figshare.978904).
ATOM_ENERGIES = {
    "u0": {"H": -0.500273, "C": -37.846772, "N": -54.583861, "O": -75.064579, "F": -99.718730},
    "u298": {"H": -0.498857, "C": -37.845355, "N": -54.582445, "O": -75.063163, "F": -99.717314},
    "h298": {"H": -0.497912, "C": -37.844411, "N": -54.581501, "O": -75.062219, "F": -99.716370},
    "g298": {"H": -0.510927, "C": -37.861317, "N": -54.598897, "O": -75.079532, "F": -99.733544},
}
HARTREE_IN_KCAL = 627.509474  # rounded as for the official *_atom columns


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(table: pd.DataFrame, path: Path) -> None:
    """Write a small Parquet file whose bytes depend only on the values."""
    columns = {}
    for name, column in table.items():
        if isinstance(column.iloc[0], np.ndarray):
            columns[name] = pa.array(column.tolist(), pa.list_(pa.float32()))
        elif column.dtype.kind == "f":
            columns[name] = pa.array(column, pa.float64() if name in ATOM_ENERGIES else pa.float32(), from_pandas=True)
        else:
            columns[name] = pa.array(column)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=19)


# ---------------------------------------------------------------------------------------------------------------- QM9


def heavy_atom_order(mol: Chem.Mol, elements: list[str], xyz: np.ndarray) -> list[int] | None:
    """Return the row of every heavy atom of `mol` in a geometry, or None if the geometry has other bonds.

    The geometry's bonds come from distances alone. Atoms are matched by element, number of hydrogens and neighbours.
    Atoms that remain interchangeable are interchangeable in the SMILES too, and keep the order of the geometry.

    Args:
        mol: the molecule as parsed from its SMILES, with implicit hydrogens.
        elements: symbols of the geometry's atoms, including hydrogens.
        xyz: (n_atoms, 3) their positions in angstrom.
    """
    geometry = Chem.RWMol()
    conformer = Chem.Conformer(len(elements))
    for i, (element, position) in enumerate(zip(elements, xyz, strict=True)):
        geometry.AddAtom(Chem.Atom(element))
        conformer.SetAtomPosition(i, Point3D(*map(float, position)))
    geometry.AddConformer(conformer)
    # A factor of 1.3, the default, would bond atoms across QM9's strained cages.
    rdDetermineBonds.DetermineConnectivity(geometry, useVdw=True, covFactor=1.15)
    hydrogens = [sum(n.GetAtomicNum() == 1 for n in atom.GetNeighbors()) for atom in geometry.GetAtoms()]
    heavy = [i for i, element in enumerate(elements) if element != "H"]
    if len(heavy) != mol.GetNumAtoms() or len(heavy) + sum(hydrogens[i] for i in heavy) != len(elements):
        return None

    def matches(order: list[int]) -> bool:
        atoms_agree = all(
            elements[row] == atom.GetSymbol() and hydrogens[row] == atom.GetTotalNumHs()
            for row, atom in zip(order, mol.GetAtoms(), strict=True)
        )
        return atoms_agree and all(
            geometry.GetBondBetweenAtoms(order[b.GetBeginAtomIdx()], order[b.GetEndAtomIdx()]) for b in mol.GetBonds()
        )

    n_bonds = sum(
        b.GetBeginAtom().GetAtomicNum() > 1 and b.GetEndAtom().GetAtomicNum() > 1 for b in geometry.GetBonds()
    )
    if n_bonds != mol.GetNumBonds():
        return None
    if matches(heavy):
        return heavy
    query = Chem.RWMol()  # the skeleton of the SMILES with single bonds, because the geometry has no bond orders
    for atom in mol.GetAtoms():
        query.AddAtom(Chem.Atom(atom.GetAtomicNum()))
    for bond in mol.GetBonds():
        query.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), Chem.BondType.SINGLE)
    for order in geometry.GetSubstructMatches(query, uniquify=False, maxMatches=10_000):
        if matches(list(order)):
            return list(order)
    return None


def _spread(strata: pd.Series, rank: pd.Series, size: int) -> np.ndarray:
    """Choose about `size` rows, from each stratum in proportion to the square root of its size, lowest `rank` first."""
    counts = strata.value_counts().sort_index()
    low, high = 0.0, float(np.sqrt(counts.max()))
    for _ in range(60):  # bisection for the factor at which the quotas add up to `size`
        factor = (low + high) / 2
        quota = np.minimum(counts, np.ceil(factor * np.sqrt(counts))).astype(int)
        low, high = (factor, high) if quota.sum() < size else (low, factor)
    order = rank.sort_values().index
    place = strata.loc[order].groupby(strata.loc[order]).cumcount()
    chosen = place[place < strata.loc[order].map(np.minimum(counts, np.ceil(low * np.sqrt(counts))))].index
    return np.sort(chosen)


def build_qm9(out: Path) -> None:
    """Write `qm9_mini`: about 5,000 molecules of QM9, spread over sizes and elements, with every charge at its atom."""
    wheel = fetch_pypi(*QM9)
    columns = ["Index", "SMILES", "Elements", "XYZ_Ang", "Mulliken_pop", *QM9_COLUMNS]
    with ZipFile(wheel) as archive:
        parts = [pd.read_csv(archive.open(f"qm9pack/data/qm9_part{i}.csv"), usecols=columns) for i in (1, 2, 3)]
    raw = pd.concat(parts, ignore_index=True).rename(columns=QM9_COLUMNS)
    elements = raw.Elements.map(ast.literal_eval)
    heavy = elements.map(lambda e: [x for x in e if x != "H"])
    strata = heavy.map(lambda e: f"{len(e)} {''.join(sorted(set(e)))}")
    rows, left_out, keys = [], Counter(), set()
    for i in tqdm(_spread(strata, raw.SMILES.map(_hash), QM9_SIZE), desc="qm9_mini", mininterval=1):
        mol = Chem.MolFromSmiles(raw.SMILES[i])
        if mol is None:
            left_out["SMILES does not parse"] += 1
            continue
        if (key := canonical_smiles(raw.SMILES[i])) in keys:
            left_out["duplicate molecule, with the double bonds of its rings drawn the other way"] += 1
            continue
        keys.add(key)
        order = heavy_atom_order(mol, elements[i], np.array(ast.literal_eval(raw.XYZ_Ang[i])))
        if order is None:
            left_out["bonds of the geometry differ from the SMILES"] += 1
            continue
        row = {"mol_id": f"gdb_{raw.Index[i]}", "smiles": raw.SMILES[i], **raw.loc[i, list(QM9_COLUMNS.values())]}
        for name, atom in ATOM_ENERGIES.items():
            row[f"{name}_atom"] = round((row[name] - sum(atom[e] for e in elements[i])) * HARTREE_IN_KCAL, 4)
        row["mulliken_charge"] = np.round(np.array(ast.literal_eval(raw.Mulliken_pop[i]))[order], 4)
        if row["A"] == 0 or row["A"] > 1000:  # a linear molecule: A is infinite, written as 0 or as a huge number
            row["A"] = np.nan
        rows.append(row)
    linear = sum(np.isnan(row["A"]) for row in rows)
    print(f"qm9_mini: {len(rows)} molecules, {linear} of them linear and without A; left out: {dict(left_out)}")
    _write(pd.DataFrame(rows).astype(dict.fromkeys(QM9_COLUMNS.values(), float)), out / "qm9_mini.parquet")


# --------------------------------------------------------------------------------------------------------------- B3DB


# What stands for a missing name: nothing, a CAS number, or the number of a molecule in a database.
_NUMBER = re.compile(r"-|\d{2,7}-\d\d-\d|(s?chembl|zinc|ncgc|mls|akos|bdbm|dtxsid|mcule|smr|sbb|ft|db)[-_ ]?\d{4,}.*")


def _agree(labels: pd.Series) -> float:
    """Return the class that all records of a molecule have; NaN if they contradict each other or have none."""
    values = labels.dropna().unique()
    return float(values[0]) if len(values) == 1 else np.nan


def _readable(names: pd.Series) -> str | None:
    """Return the first of a molecule's names that a person would use; if there is none, the first."""
    names = names.dropna()
    readable = names[[not _NUMBER.fullmatch(name.lower()) for name in names]]
    return next(iter([*readable, *names]), None)


def wrong_structures(records: pd.DataFrame) -> pd.Series:
    """Return which records of B3DB carry another compound's name and class; its card says how they were found.

    Args:
        records: columns CID, a number and "|", and reference, numbers of publications.
    """
    number = pd.to_numeric(records.CID.astype(str).str.partition("|")[0], errors="coerce")
    return (number > 100_000_000) & records.reference.str.contains(r"\bR16\b")


def build_b3db(out: Path, other_names: pd.Series) -> list[str]:
    """Write `b3db`: for each molecule the class if all records agree, and the median of the logBB values.

    Args:
        other_names: names by key, for molecules that have no readable name in B3DB.

    Returns:
        The keys of the molecules.
    """
    with ZipFile(fetch_pypi(*B3DB)) as archive:
        tables = [
            pd.read_csv(archive.open(f"B3DB/B3DB_{name}.tsv"), sep="\t") for name in ("classification", "regression")
        ]
    n_wrong = sum(wrong_structures(table).sum() for table in tables)
    tables = [table[~wrong_structures(table)] for table in tables]
    classes, values = (table.assign(key=table.SMILES.map(canonical_smiles)) for table in tables)
    unparsed = [smiles for table in (classes, values) for smiles in table.SMILES[table.key.isna()]]
    classes["bbb"] = classes["BBB+/BBB-"].map({"BBB+": 1.0, "BBB-": 0.0})
    by_class, by_value = classes.groupby("key"), values.groupby("key")
    names = pd.concat([classes, values]).dropna(subset="key").set_index("key").compound_name
    others = other_names[other_names.index.isin(names.index)]
    names = pd.concat([names, others]).groupby(level=0).agg(_readable)
    table = pd.DataFrame({"name": names, "BBB": by_class.bbb.agg(_agree), "logBB": by_value.logBB.median().round(4)})
    table = table.rename_axis("smiles").reset_index().sort_values("smiles", ignore_index=True)
    spread = by_value.logBB.agg(lambda v: v.max() - v.min())
    print(
        f"b3db: {len(table)} molecules; {n_wrong} rows left out for their structure; {len(unparsed)} SMILES do not "
        f"parse: {unparsed}; duplicates: {len(classes) - len(by_class)} class rows, {len(values) - len(by_value)} logBB "
        f"rows; molecules with contradicting classes: {int((by_class.bbb.nunique() > 1).sum())}, with differing logBB: "
        f"{int((spread > 0).sum())} (largest spread {spread.max():.2f})"
    )
    _write(table[["smiles", "name", "BBB", "logBB"]], out / "b3db.parquet")
    return table.smiles.tolist()


# ---------------------------------------------------------------------------------------------------------------- xTB


def _xtb_chunk(path: Path, smiles: list[str]) -> None:
    """Compute one chunk in a worker and write it to `path`, whole or not at all."""
    RDLogger.DisableLog("rdApp.*")
    rows = []
    for text in smiles:
        try:
            labels = {k: np.round(np.asarray(v, float), 3).tolist() for k, v in xtb_labels(text).items()}
            rows.append({"smiles": text, **labels})
        except QuantumError as error:
            rows.append({"smiles": text, "failed": str(error)})
    write_text(path, "\n".join(map(json.dumps, rows)))


def build_xtb(out: Path, smiles: list[str], workers: int) -> None:
    """Write `xtb`, the GFN2-xTB labels of `smiles`; count failures by reason, and list them beside the table."""
    chunks = [smiles[i : i + 20] for i in range(0, len(smiles), 20)]
    code = Path(__file__).with_name("quantum.py").read_text()
    cache = home() / "minimix"
    cache.mkdir(parents=True, exist_ok=True)
    paths = [cache / f"{_hash(chr(10).join([code, *chunk]))[:16]}.jsonl" for chunk in chunks]
    todo = [(path, chunk) for path, chunk in zip(paths, chunks, strict=True) if not path.exists()]
    os.environ["OMP_NUM_THREADS"] = "1"  # more threads change the last digits, and the workers are parallel already
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_xtb_chunk, path, chunk) for path, chunk in todo]
        for future in tqdm(futures, desc="xtb", unit_scale=20, unit=" molecules"):
            future.result()
    rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    failed = pd.DataFrame([row for row in rows if "failed" in row], columns=["smiles", "failed"])
    table = pd.DataFrame([row for row in rows if "failed" not in row])
    for level in ("charge", "bond_order"):
        table[level] = table[level].map(np.array)
    print(f"xtb: {len(table)} molecules; left out: {failed.failed.value_counts().to_dict()}")
    _write(table, out / "xtb.parquet")
    failed.to_csv(out / "xtb_failed.csv", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m molfm.minimix", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["build"])
    parser.add_argument("--out", type=Path, default=Path("data_cards/minimix"), help="folder for the tables")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes for xTB, one thread each")
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    build_qm9(arguments.out)
    names = build_toxcast(arguments.out, _write)
    molecules = build_b3db(arguments.out, names)
    build_xtb(arguments.out, sorted({*names.index, *molecules}), arguments.workers)
