"""The audit: what a reader should know about a mix before trusting a number measured on it.

The audit only counts; it changes and drops nothing. It compares 64-bit hashes of key, constitution and scaffold, and
reads labels block by block, so memory grows with the molecules and not with the labels. A constitution is a molecule's
parent (its largest fragment, neutralized) without stereochemistry and isotopes, so a base and its salt share one. A
molecule without rings is its own scaffold.
"""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from molfm.catalog.schema import LEVELS, ColumnUse
from molfm.data.splits import SPLITS
from molfm.data.store import changed_of, molecules_of, rejected_of
from molfm.data.view import View
from molfm.plots.data import audit_overview

if TYPE_CHECKING:
    import plotly.graph_objects as go


BLOCK_ROWS = 50_000  # rows whose labels are in memory at once
MAX_LISTED = 10_000  # contradicting labels listed per dataset and check; counts are always complete
_SHOWN, _WORST = 10, 3  # rows of each list, and tasks of a check with more tasks, that a printed audit shows
_NO_CONFLICTS = pd.DataFrame(columns=["check", "task", "group", "smiles", "row", "item", "value"])
_IDENTITY = {"molecules": "key", "constitutions": "constitution", "scaffolds": "scaffold"}  # attributes of View


@dataclass(frozen=True)
class Audit:
    """What `Mix.audit` found, as tables.

    summary: one row per finding: check, dataset, task, other (the dataset compared with), split, count, of (the total),
        note.
    rejected: one row per rejected row: dataset, row, smiles, reason.
    changed: one row per row of which a part is not stored, such as a CXSMILES extension: dataset, row, smiles, change.
    conflicts: one row per contradicting label: check, task, group (number of the conflict), smiles, row, item (atom or
        bond), value; at most MAX_LISTED per dataset and check.
    columns: one row per column of a user's table: dataset, column, use (SMILES, target, a role, or left out), why.
    """

    mix: str
    summary: pd.DataFrame
    rejected: pd.DataFrame
    changed: pd.DataFrame
    conflicts: pd.DataFrame
    columns: pd.DataFrame

    def _shown(self) -> dict[str, pd.DataFrame]:
        """Return the tables to print, by title: findings, one line per check without any, the start of each list."""
        nothing = self.summary["count"] == 0
        shown = {f"Audit of {self.mix}": _worst(self.summary[~nothing])}
        if nothing.any():
            by_check = self.summary[nothing].groupby("check", sort=False).dataset
            clean = by_check.agg(lambda names: ", ".join(dict.fromkeys(names))).reset_index()
            shown["Checks that found nothing"] = clean
        lists = {
            "Rejected rows": self.rejected,
            "Rows of which a part is not stored": self.changed,
            "Labels that contradict each other": self.conflicts,
            "What the columns were taken for": self.columns,
        }
        for title, table in lists.items():
            if len(table):
                more = f" (the first {_SHOWN} of {len(table):,})" if len(table) > _SHOWN else ""
                shown[title + more] = table.head(_SHOWN)
        return shown

    def figure(self) -> "go.Figure":
        """Return the findings in percent as a plotly figure: leakage, duplicates and contradictions."""
        return audit_overview(self.summary)

    def __repr__(self) -> str:
        return "\n\n".join(f"{title}\n{_aligned(table)}" for title, table in self._shown().items())

    def _repr_html_(self) -> str:
        shown = self._shown().items()
        return "".join(f"<h4>{html.escape(title)}</h4>{t.to_html(index=False, escape=True)}" for title, t in shown)


def _worst(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the findings, of a check with very many tasks only the worst, with a note that counts the others."""
    parts = []
    for _, of in summary.groupby(["check", "dataset", "other", "split"], sort=False):
        if len(of) > _SHOWN:
            worst = of.loc[(of["count"] / of["of"]).sort_values(ascending=False, kind="stable").index[:_WORST]].copy()
            worst.iloc[-1, worst.columns.get_loc("note")] = (
                f"and {len(of) - _WORST:,} tasks with smaller shares, see summary"
            )
            of = worst
        parts.append(of)
    return pd.concat(parts) if parts else summary


def _aligned(table: pd.DataFrame) -> str:
    """Return a table as text with left-aligned words."""
    words = table.select_dtypes(["object", "str"]).astype(str)
    pad = {name: f"{{:<{words[name].str.len().max()}}}".format for name in words}
    return table.to_string(index=False, justify="left", formatters=pad)


def _finding(check: str, dataset: str, count: int, of: int, note: str = "", *, task="", other="", split="") -> dict:
    facts = {"check": check, "dataset": dataset, "task": task, "other": other, "split": split}
    return facts | {"count": int(count), "of": int(of), "note": note}


def _labels(mix: View, level: str, row: np.ndarray) -> pd.DataFrame:
    """Return this view's labels of some rows at one level: row, task (number in the mix), item, value."""
    place, item, task, value = mix.row_labels(level, row)
    return pd.DataFrame({"row": row[place], "task": task, "item": item, "value": value})


def _blocks(row: np.ndarray, group: np.ndarray) -> Iterator[np.ndarray]:
    """Yield rows sorted by group, in blocks of about BLOCK_ROWS that never split a group."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    cuts = starts[np.searchsorted(starts, np.arange(0, len(row), BLOCK_ROWS), side="right") - 1]
    if len(row):
        yield from np.split(row[order], np.unique(cuts)[1:])


def _contradictions(
    mix: View, check: str, row: np.ndarray, group: np.ndarray, unit: np.ndarray, classes_only: bool = False
) -> tuple[list[dict], pd.DataFrame]:
    """Compare the labels of each task (and atom or bond) within each group.

    Args:
        row: (n,) rows of one dataset.
        group: (n,) group of each row.
        unit: (n,) unit of each row; a group is compared only where at least two of its units have a label.
        classes_only: compare binary graph tasks only.

    Returns:
        Findings (one per task with contradictions, counted in groups, and one for all tasks that agree), and a table of
        the contradicting labels.
    """
    n_tasks, levels = len(mix.chosen), ("graph",) if classes_only else LEVELS
    compared, contradicting, largest = np.zeros(n_tasks, int), np.zeros(n_tasks, int), np.zeros(n_tasks)
    wanted = np.array([not classes_only or task.kind == "binary" for task in mix.chosen])
    group_of, unit_of = np.zeros((2, len(mix.rows.local)), np.int64)
    group_of[row], unit_of[row] = group, unit
    listed, n_listed = [], 0
    for block in _blocks(row, group):
        for level in levels:
            found = _labels(mix, level, block)
            found = found[wanted[found.task]]
            found = found.assign(group=group_of[found.row], unit=unit_of[found.row])
            by = found.groupby(["task", "group", "item"])
            several = by.unit.transform("min") != by.unit.transform("max")
            difference = by.value.transform("max") - by.value.transform("min")
            differs = several & (difference > 0)
            for mask, counts in ((several, compared), (differs, contradicting)):
                counts += np.bincount(found.loc[mask, ["task", "group"]].drop_duplicates().task, minlength=n_tasks)
            np.maximum.at(largest, found.task[differs].to_numpy(), difference[differs].to_numpy())
            if n_listed < MAX_LISTED:
                listed.append(found[differs])
                n_listed += len(listed[-1])
    findings = []
    for number in np.flatnonzero(contradicting):
        task = mix.chosen[number]
        note = "" if task.kind == "binary" else f"by up to {largest[number]:.3g}"
        findings.append(_finding(check, task.dataset, contradicting[number], compared[number], note, task=task.id))
    if len(agree := np.flatnonzero((compared > 0) & (contradicting == 0))):  # one finding for all of them
        note, dataset = f"labels of {len(agree)} task{'s'[: len(agree) - 1]}", mix.chosen[agree[0]].dataset
        findings.append(_finding(check, dataset, 0, compared[agree].sum(), note))
    return findings, _with_smiles(mix, check, pd.concat(listed).head(MAX_LISTED)) if n_listed else _NO_CONFLICTS


def _with_smiles(mix: View, check: str, listed: pd.DataFrame) -> pd.DataFrame:
    """Replace numbers in contradicting labels by what a reader can look up: task id, SMILES, row of the table."""
    row = listed.row.to_numpy()
    smiles, table_row = np.empty(len(row), object), np.empty(len(row), np.int64)
    for number in np.unique(mix.rows.shard[row]):
        mine = mix.rows.shard[row] == number
        molecules = molecules_of(mix.shards[number].folder).iloc[mix.rows.local[row[mine]]]
        smiles[mine], table_row[mine] = molecules.smiles, molecules.row
    ids = np.array([task.id for task in mix.chosen], object)
    listed = listed.assign(check=check, task=ids[listed.task], smiles=smiles, row=table_row)
    listed["group"] = listed.groupby(["task", "group"]).ngroup()
    return listed.sort_values(["task", "group", "row", "item"], ignore_index=True)[list(_NO_CONFLICTS)]


def _labelled(mix: View) -> np.ndarray:
    """Return whether this view has a label of each row, (n_rows,) bool."""
    out = np.zeros(len(mix.rows.local), bool)
    in_file_order = np.lexsort((mix.rows.local, mix.rows.shard))
    for start in range(0, len(out), BLOCK_ROWS):
        for level in LEVELS:
            out[_labels(mix, level, in_file_order[start : start + BLOCK_ROWS]).row] = True
    return out


def _leakage(mix: View, molecule: np.ndarray) -> list[dict]:
    """Count what the test sets of each dataset share with the training set of each dataset, among labelled molecules.

    `test_seen` consists of molecules that another dataset trains on, so its complete overlap with that one is intended.
    """
    labelled, names = _labelled(mix), [card.name for card in mix.cards]

    def members(dataset: int, split: str) -> np.ndarray:
        return np.unique(molecule[labelled & (mix.rows.dataset == dataset) & (mix.rows.split == SPLITS.index(split))])

    train, findings = [members(number, "train") for number in range(len(names))], []
    for number, split in product(range(len(names)), ("test", "test_seen")):
        test = members(number, split)
        for other, seen in zip(names, train, strict=True):
            if not len(test) or not len(seen):
                continue
            for what, name in _IDENTITY.items():
                identity = getattr(mix, name)
                groups = identity[test]
                hit = np.isin(groups, identity[seen])
                note = "" if what == "molecules" else f"{hit.sum():,} of {len(test):,} {split} molecules"
                count, of, check = len(np.unique(groups[hit])), len(np.unique(groups)), f"{split} {what} in train"
                findings.append(_finding(check, names[number], count, of, note, other=other, split=split))
    return findings


def _copies(mix: View) -> list[dict]:
    """Count the molecules with labels of two tasks that are the same measurement (`same_as` of the cards)."""
    numbers, findings = {task.id: number for number, task in enumerate(mix.chosen)}, []
    for number, task in enumerate(mix.chosen):
        if (twin := numbers.get(task.same_as)) is not None:
            mine, other = (np.unique(mix.label_triples(which)[0]) for which in (number, twin))
            count, dataset = len(np.intersect1d(mine, other, assume_unique=True)), mix.chosen[twin].dataset
            dataset, note = dataset if dataset != task.dataset else "", f"the same measurement as {task.same_as}"
            findings.append(
                _finding("labels measured twice", task.dataset, count, len(mine), note, task=task.id, other=dataset)
            )
    return findings


def _censored(mix: View) -> list[dict]:
    """Count the censored labels of each task that has some."""
    findings = []
    for number, task in enumerate(mix.chosen) if mix.is_censored else ():
        side = mix.label_extras(number)[0]
        if side.any():
            note = f"{(side > 0).sum():,} above a limit, {(side < 0).sum():,} below one"
            findings.append(_finding("censored labels", task.dataset, (side != 0).sum(), len(side), note, task=task.id))
    return findings


def audit(mix: View) -> Audit:
    """Count rejected rows, duplicates, contradicting labels, copies of tasks, overlap of datasets and split leakage.

    Args:
        mix: a mix or a view of it (`select`, `keep`, `limit`). Contradictions and leakage consider only the labels of
            the view; the other checks consider all rows.
    """
    molecule, names = mix.rows.molecule, [card.name for card in mix.cards]
    findings, conflicts, rejected, changed, members = [], [], [], [], []
    for number, name in enumerate(names):
        # By folder, not by row: a shard whose rows were all rejected has no rows in the mix.
        folders = [shard.folder for shard in mix.shards if shard.folder.parent.name.rpartition("-")[0] == name]
        lost, bent = (pd.concat(map(read, folders), ignore_index=True) for read in (rejected_of, changed_of))
        rejected.append(lost.assign(dataset=name)[["dataset", *lost.columns]])
        changed.append(bent.assign(dataset=name)[["dataset", *bent.columns]])
        row = np.flatnonzero(mix.rows.dataset == number)
        findings.append(_finding("rejected rows", name, len(lost), len(lost) + len(row)))
        if len(bent):
            findings.append(_finding("rows of which a part is not stored", name, len(bent), len(row)))

        mine, times = np.unique(molecule[row], return_counts=True)
        members.append(mine)
        note = f"{len(row) - len(mine):,} extra rows" if len(row) > len(mine) else ""
        findings.append(_finding("molecules in several rows", name, (times > 1).sum(), len(mine), note))
        again = row[np.isin(molecule[row], mine[times > 1])]
        by_row = _contradictions(mix, "contradicting rows", again, molecule[again], again)

        groups, isomers = np.unique(mix.constitution[mine], return_counts=True)
        note = f"{isomers[isomers > 1].sum():,} molecules" if (isomers > 1).any() else ""
        findings.append(_finding("constitutions of several molecules", name, (isomers > 1).sum(), len(groups), note))
        group = np.searchsorted(groups, mix.constitution[molecule[row]])
        row, group = row[isomers[group] > 1], group[isomers[group] > 1]
        check = "contradicting stereoisomers and salts"  # classes of graphs: their atoms differ in order
        by_isomer = _contradictions(mix, check, row, group, molecule[row], classes_only=True)
        for found, listed in (by_row, by_isomer):
            findings += found
            conflicts += [listed] if len(listed) else []
    for i, name in enumerate(names):
        for j in range(i + 1, len(names)):
            shared = len(np.intersect1d(members[i], members[j], assume_unique=True))
            note = f"{len(members[j]):,} molecules in {names[j]}"
            findings.append(_finding("shared molecules", name, shared, len(members[i]), note, other=names[j]))
    findings += _censored(mix)
    findings += _copies(mix)
    findings += _leakage(mix, molecule)
    listed = pd.concat(conflicts, ignore_index=True) if conflicts else _NO_CONFLICTS.copy()
    columns = [(item.name, *column) for item in mix.cards for column in item.columns]
    columns = pd.DataFrame(columns, columns=["dataset", *ColumnUse._fields])
    return Audit(
        mix.name,
        pd.DataFrame(findings),
        *(pd.concat(parts, ignore_index=True) for parts in (rejected, changed)),
        listed,
        columns,
    )
