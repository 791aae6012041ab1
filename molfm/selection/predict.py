"""Predicts new molecules with a finished fit: value, interval, and the nearest training molecule."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from rdkit import rdBase

from molfm.base.errors import InputError
from molfm.base.files import whole
from molfm.base.names import did_you_mean, listed
from molfm.chem.featurize import Rejected, canonical_smiles, smiles_text
from molfm.data.cells import read_features
from molfm.data.own_table import is_table
from molfm.data.stream import CHUNK, map_to_file
from molfm.data.tables import SmilesTable, column_names
from molfm.selection.calibration import COVERAGE, fit_classes, fit_width, probability
from molfm.selection.describe import Described
from molfm.selection.findings import Findings
from molfm.selection.judge import Judged, conformal, nearest
from molfm.selection.scoring import counted

_WRITERS = {".csv": "to_csv", ".parquet": "to_parquet"}


def predict(
    fit: Findings,
    molecules: "str | Path | pd.DataFrame | list[str] | pd.Series",
    out: str | Path | None = None,
    smiles: str | None = None,
    coverage: float = COVERAGE,
) -> "pd.DataFrame | Path":
    """Predict the targets of new molecules with the chosen candidate.

    Args:
        fit: a finished fit.
        molecules: one SMILES, several, a DataFrame, or the path of a table (CSV, TSV, Parquet, Excel, SDF or SMI); a table
            keeps its columns, those of a text table as they are written.
        out: CSV or Parquet file to write instead of returning a table. For the path of a table, memory does not grow with its
            length, and an interrupted call resumes.
        smiles: name of the SMILES column of a table; None for the one that the fit was made with.
        coverage: share of new measurements that an interval should contain.

    Returns:
        One row per row of `molecules`: its columns, and for each target `NAME`, `NAME low` and `NAME high`: a value with
        its interval; for a binary target the probability of class 1, and the lowest and highest class that cannot be
        excluded (0 and 1 together: cannot tell). Then `NAME nearest` and `NAME similarity`: the nearest molecule with a
        label, and Tanimoto's similarity to it. Invalid SMILES give an empty row, and `problem` says why.

    Raises:
        ValueError: the column, the file's ending or the coverage is wrong.
    """
    if not 0.5 <= coverage < 1:
        raise InputError(f"Expected a coverage from 0.5 to below 1, such as 0.9, found {coverage}.")
    out, column = None if out is None else Path(out), smiles or fit.asked["smiles"]
    if isinstance(molecules, str | Path) and is_table(molecules):
        given = SmilesTable(Path(molecules), column)
        if out is not None:
            return map_to_file(given, _adder(fit, given, coverage), out, [fit.digest(), coverage], True, "prediction")
        molecules = _whole(given)
    if out is not None and out.suffix not in _WRITERS:
        raise InputError(f"Expected a file that ends in .csv or .parquet, found {out}.")
    table, column = _as_table(molecules, column)
    parts = [_predicted(fit, table.iloc[i : i + CHUNK], column, coverage) for i in range(0, max(len(table), 1), CHUNK)]
    found = pd.concat(parts, ignore_index=True)
    if out is None:
        return found
    with whole(out) as temporary:
        getattr(found, _WRITERS[out.suffix])(temporary, index=False)
    return out


def _whole(given: SmilesTable) -> pd.DataFrame:
    """Return a table file as a DataFrame, its columns in their order."""
    parts = [rest.assign(**{given.column: texts}) for texts, rest in given.chunks(CHUNK)]
    order = column_names(given.read_from)
    return pd.concat(parts, ignore_index=True)[order] if parts else pd.DataFrame(columns=order)


def _adder(fit: Findings, given: SmilesTable, coverage: float) -> Callable:
    """Return what `map_to_file` calls for each chunk: it makes the columns that the fit adds to those of the table."""

    def make(first: int, texts: list[str | None], rest: pd.DataFrame | None) -> tuple[pa.Table, list[Rejected]]:
        table = pd.DataFrame({given.column: pd.Series(texts, dtype=object)})
        table = table if rest is None else rest.reset_index(drop=True).assign(**{given.column: texts})
        found = _predicted(fit, table, given.column, coverage)
        added = found[[given.column, *(name for name in found if name not in table)]]
        added = added.set_axis(["smiles", *added.columns[1:]], axis=1)
        added.insert(0, "mol_id", first + np.arange(len(added)))
        kinds = {"mol_id": pa.int64(), "smiles": pa.string(), "problem": pa.string()}
        kinds |= {name: pa.string() for name in added if name.endswith(" nearest")}
        schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in added])
        rejected = [Rejected(row, texts[row] or "", text) for row, text in enumerate(found.problem) if text]
        return pa.Table.from_pandas(added, schema, preserve_index=False), rejected

    return make


def _as_table(molecules: object, column: str) -> tuple[pd.DataFrame, str]:
    """Return molecules as a table, and the name of its SMILES column."""
    if isinstance(molecules, pd.DataFrame):
        if column not in molecules:
            known = list(map(str, molecules.columns))
            raise InputError(
                f"There is no column {column!r}.{did_you_mean(column, known)} The columns are {listed(known)}."
            )
        return molecules.reset_index(drop=True), column
    texts = [molecules] if isinstance(molecules, str) else list(molecules)
    if wrong := [text for text in texts if text is not None and not isinstance(text, str | float)]:
        raise InputError(f"Expected SMILES, or a table of them, found {wrong[0]!r}.")
    return pd.DataFrame({"smiles": pd.Series(texts, dtype=object)}), "smiles"


def _predicted(fit: Findings, table: pd.DataFrame, column: str, coverage: float) -> pd.DataFrame:
    keys, problems = [], []
    for text in table[column]:
        key, problem = _key(text)
        keys.append(key)
        problems.append(problem)
    used = fit.asked.get("features") or []
    if missing := [name for name in used if name not in table]:
        raise InputError(
            f"This fit also learned from the columns {listed(used)}; {listed(missing)} are not in the table."
        )
    columns = read_features(table[used], "The table to predict", 0).astype(np.float32) if used else None
    for row in np.flatnonzero(np.isnan(columns).any(1)) if used else ():
        problems[row] = problems[row] or f"no value in column {used[np.isnan(columns[row]).argmax()]!r}"
    valid = np.array([problem == "" for problem in problems], bool)
    columns = columns[valid] if used else None
    x = Described([key for key, fine in zip(keys, valid, strict=True) if fine], fit.asked["foundation"], columns)
    out = table.reset_index(drop=True).copy()
    for number, judged in enumerate(fit.judged):
        name = judged.target.task.name
        name = f"predicted {name}" if name in table else name
        for suffix, values in _of_target(fit, number, judged, x, coverage).items():
            whole_column = np.full(len(table), np.nan, values.dtype if values.dtype == object else float)
            whole_column[valid] = values
            out[f"{name}{suffix}"] = whole_column
    out["problem"] = problems
    return out


def _key(item: object) -> tuple[str, str]:
    """Return a molecule's canonical SMILES, and why it cannot be used, or an empty string."""
    text = smiles_text(item)
    if text is None or not text.strip():
        return "", "no SMILES"
    with rdBase.BlockLogs():
        key = canonical_smiles(text.strip())
    return (key, "") if key else ("", f"{text!r} is not a valid SMILES")


def _of_target(fit: Findings, number: int, judged: Judged, x: Described, coverage: float) -> dict[str, np.ndarray]:
    target = judged.target
    known = target.row[target.fold >= 0]
    if not len(x):
        return dict.fromkeys(("", " low", " high", " similarity"), np.zeros(0)) | {" nearest": np.zeros(0, object)}
    place, similarity = nearest(fit.work.x.get("ecfp")[known], x.get("ecfp"))
    members = {name: fit.work.predict(name, number, x) for name in judged.members}
    if target.binary:
        members = {name: judged.curves[name].log_odds(of) for name, of in members.items()}
    value = sum(weight * members[name] for name, weight in judged.members.items())
    stacked = np.stack(list(members.values()))
    disagreement = stacked.std(0, ddof=1) if len(stacked) > 1 else np.zeros(len(value))
    low, high = conformal(_with_coverage(judged, coverage), value, similarity, disagreement).T
    nearest_smiles = np.array(fit.problem.smiles, object)[known[place]]
    shown = probability(value) if target.binary else value
    return {"": shown, " low": low, " high": high, " nearest": nearest_smiles, " similarity": similarity}


def _with_coverage(judged: Judged, coverage: float) -> Judged:
    """Return the verdict with intervals of another coverage."""
    if coverage == COVERAGE:
        return judged
    rows, target = counted(judged.target, test=False), judged.target
    preds = judged.preds[judged.winner][rows]
    if target.binary:
        log_odds = np.log(np.clip(preds, 1e-12, 1)) - np.log(np.clip(1 - preds, 1e-12, 1))
        return replace(judged, width=fit_classes(log_odds, target.y[rows], target.fold[rows], coverage))
    error = np.abs(preds - target.y[rows])
    width = fit_width(error, judged.similarity[rows], judged.disagreement[rows], target.fold[rows], coverage)
    return replace(judged, width=width)
