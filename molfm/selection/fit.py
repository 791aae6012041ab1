"""The public function `fit`: from a table to a model, with everything that is needed to defend it."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from molfm.base.errors import InputError
from molfm.base.files import is_fast, write_json
from molfm.base.names import listed
from molfm.catalog.http import DownloadError
from molfm.catalog.schema import CardError
from molfm.data.mix import Mix, load
from molfm.data.own_table import is_table
from molfm.data.split_method import from_roles, read_method
from molfm.selection.candidates import CANDIDATES
from molfm.selection.curve import best_quick, learning_curve
from molfm.selection.describe import FOUNDATIONS, Described, filled
from molfm.selection.folds import K
from molfm.selection.problem import Problem, make_problem, names_test
from molfm.selection.result import FitResult, fits_folder
from molfm.selection.work import Work

if TYPE_CHECKING:
    import pandas as pd

FEWEST_FOLDS = 3  # of a split by groups
FAST_MINUTES = 0.1  # with MOLFM_FAST=1
_FIXED = ("targets", "split", "seed", "digest")  # what a call with the same name must ask again
_WORDS = {"targets": "the targets", "split": "the split", "seed": "the seed", "digest": "the data"}


def fit(
    data: "str | Path | pd.DataFrame | Mix",
    target: str | Sequence[str],
    *,
    smiles: str = "smiles",
    split: str | None = None,
    roles: Mapping[str, object] | None = None,
    pic50: bool = False,
    minutes: float = 5.0,
    name: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> FitResult:
    """Compare models of a table's targets on the same folds, choose one per target, and say how good it is.

    The candidates are the training mean, random forests, support vector machines, a frozen and a fine-tuned foundation
    model, a network from scratch, and their ensemble. Networks learn all targets together. Each candidate is scored on
    molecules that its models had not seen. The intervals take stereoisomers and salts of one parent as one observation.

    Args:
        data: your table (CSV, TSV, Parquet or DataFrame), the name of a dataset, or a mix from `molfm.load`.
        target: name of a regression or binary label, or several.
        smiles: name of the SMILES column.
        split: how folds are made: None or "scaffold" (whole scaffolds), "random", "cluster" or "group:COLUMN". A column that
            says train, val and test, "time:COLUMN", "official" and "scaffold 1/5" name a test set: folds of the rest choose,
            and all candidates are scored on it once. From 5,000 molecules, a test set is held out anyway.
        roles: roles of further columns, see `molfm.load`. A column of times names the test set, and one of groups the folds,
            if `split` is None.
        pic50: learn targets that are concentrations as -log10 of them in mol/L: `IC50 (nM)` as `pIC50`.
        minutes: the time that the call may take. Quick candidates come first, networks get the epochs that fit, and what
            does not fit is left out and named.
        name: name of the fit under `$MOLFM_HOME/fits`; None for one made of the names of data and targets. The same call
            with the same name resumes, and with more minutes it adds candidates.
        seed: random seed of folds and models.
        progress: show progress.

    Raises:
        ValueError: a target is unknown, of another kind, or has too few labels; `minutes` is no time; or a fit of this name
            has other data or settings.
    """
    begin = time.monotonic()
    if not isinstance(minutes, int | float) or not 0 < minutes < 1e5:
        raise InputError(f"Expected minutes as a number above 0, such as 5, found {minutes!r}.")
    if is_fast():
        minutes = min(minutes, FAST_MINUTES)
    targets = [target] if isinstance(target, str) else list(target)
    call = {"targets": targets, "roles": dict(roles or {}), "pic50": pic50}
    if not targets:
        raise InputError("Expected at least one target, found none.")
    split = from_roles(split, roles or {})
    mix, folds = _open(data, targets, smiles, split, roles, pic50, seed, progress)
    if is_table(data):
        targets = [task.id for task in mix.chosen]  # a concentration has another name than its column
    problem = make_problem(mix, targets, split, seed, folds)
    own = [of.task.name for of in problem.targets]
    folder = fits_folder() / _checked(name or re.sub(r"[^\w.+-]+", "-", f"{mix.name}-{'-'.join(own)}")[:80])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            return _fit(
                problem,
                mix,
                folder,
                begin,
                minutes * 60,
                _asked(data, problem, smiles, split, minutes, seed, call),
                progress,
            )
    except Timeout:
        raise InputError(f"Another process is working on {folder}. Wait for it, or choose another name.") from None


def _open(
    data,
    targets: list[str],
    smiles: str,
    split: str | None,
    roles: Mapping[str, object] | None,
    pic50: bool,
    seed: int,
    progress: bool,
) -> tuple[Mix, np.ndarray | None]:
    """Return the data as a mix, and the fold of each molecule if the split has groups that only `load` knows."""
    grouped = read_method(split or "scaffold").name in ("cluster", "group") and not names_test(split)
    if isinstance(data, Mix):
        if roles is not None or pic50 or smiles != "smiles":
            raise InputError(f"{data!r} is loaded already. Give smiles, roles and pic50 to molfm.load.")
        if grouped:
            raise InputError(f"split={split!r} needs the table itself: give its path or a DataFrame, not {data!r}.")
        return data, None
    more = {} if roles is None else {"roles": roles}

    tasks = {name: {"pic50": True} if pic50 else {} for name in targets} if is_table(data) else None

    def opened(method: str | None) -> Mix:
        return load(data, smiles, tasks, method, seed, progress, **more)

    if not grouped:
        # The folds follow scaffolds themselves; only a named test set needs the split of `load`.
        return opened(split if names_test(split) else None), None
    for k in range(K, FEWEST_FOLDS - 1, -1):
        try:
            mixes = [opened(f"{split} {fold}/{k}") for fold in range(1, k + 1)]
        except CardError:
            raise
        except InputError:  # fewer groups than folds
            if k == FEWEST_FOLDS:
                raise
            continue
        break
    folds = np.zeros(len(mixes[0]), np.int8)
    for number, mix in enumerate(mixes):
        folds[mix.members("test")] = number
    return mixes[0], folds


def _checked(name: str) -> str:
    if not re.fullmatch(r"[\w.+-]+", name) or set(name) <= {"."}:
        raise InputError(f"Expected a name of letters, digits, '.', '-', '+' and '_', found {name!r}.")
    return name


def _asked(data, problem: Problem, smiles: str, split: str | None, minutes: float, seed: int, call: dict) -> dict:
    """Return what was asked, as fit.json records it; `call` has the words of the call, for the command."""
    where = data if isinstance(data, str | Path) else problem.mix.origin.get("data", problem.name)
    targets = [of.task.name for of in problem.targets]
    facts = {"data": str(where), "targets": targets, "smiles": smiles, "split": split, "minutes": minutes, "seed": seed}
    facts["call"] = call
    return facts | {"digest": problem.digest, "features": list(problem.mix.feature_names)}


def _fit(
    problem: Problem, mix: Mix, folder: Path, begin: float, seconds: float, asked: dict, progress: bool
) -> FitResult:
    known = json.loads((folder / "fit.json").read_text("utf-8")) if (folder / "fit.json").exists() else None
    if known and (changed := [_WORDS[key] for key in _FIXED if known[key] != asked[key]]):
        raise InputError(
            f"There is a fit named {folder.name} already, and {listed(changed)} changed since. Choose another name, or delete "
            f"{folder}."
        )
    asked["foundation"] = known["foundation"] if known else _foundation(progress)
    asked["audit"], asked["columns"] = _audit(mix), _columns(mix, problem, asked)
    columns = filled(mix.features(problem.molecule)) if asked["features"] else None
    if not known:
        problem.save(folder)
        if columns is not None:
            np.save(folder / "columns.npy", columns)
    write_json(folder / "fit.json", asked)
    x = Described(problem.smiles, asked["foundation"], columns, folder / "described")
    work = Work(problem, x, folder, asked["seed"], seconds, begin, progress)
    work.run(list(CANDIDATES))
    result = FitResult(folder, asked, work)
    work.complete({name for judged in result.judged for name in judged.members})
    for number, judged in enumerate(result.judged):
        learning_curve(work, number, best_quick(work, number, judged.table))
    work.note(left_out=work.left_out, finished=True)
    return result


def _foundation(progress: bool) -> str:
    """Return the name of the first foundation model that is at hand."""
    from molfm.nn.checkpoints import pretrained  # imports torch

    for name in FOUNDATIONS[:-1]:
        try:
            pretrained(name, progress=progress)
        except DownloadError:
            continue
        return name
    return FOUNDATIONS[-1]


def _audit(mix: Mix) -> list[dict]:
    """Return the findings of the audit that a reader of the report needs."""
    summary = mix.audit().summary
    found = summary[(summary["count"] > 0) & ~summary.check.str.contains(" in train")]
    return found[["check", "task", "count", "of", "note"]].to_dict("records")


def _columns(mix: Mix, problem: Problem, asked: dict) -> list[dict]:
    """Return what each column of the data was taken for: column, role."""
    rows = [{"column": asked["smiles"], "role": "structure"}]
    for of in problem.targets:
        unit = f", in {of.task.unit}" if of.task.unit else ""
        kind = "yes or no" if of.binary else f"a number{unit}"
        rows.append({"column": of.task.name, "role": f"target: {kind}; {len(of.y):,} molecules"})
    rows += [
        {"column": name, "role": "feature beside the structure: forests and linear models read it, SVMs do not"}
        for name in asked["features"]
    ]
    return rows + [
        {"column": of.column, "role": f"not used: {of.why}" if of.use == "left out" else of.use}
        for card in mix.cards
        for of in card.columns
        if of.use not in ("SMILES", "target", "features")
    ]
