"""A finished fit: what it found, its report, and predictions of new molecules."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from molfm.base.files import home, write_text
from molfm.base.names import did_you_mean
from molfm.selection.calibration import COVERAGE
from molfm.selection.describe import Described
from molfm.selection.findings import Findings
from molfm.selection.predict import predict
from molfm.selection.problem import read_problem
from molfm.selection.report import report
from molfm.selection.work import ALWAYS, Work


class FitResult(Findings):
    """What `molfm.fit` found. Opened again with `molfm.selection.open_fit(name)`."""

    def to_html(self, path: str | Path = "report.html") -> Path:
        """Write the report as one page that needs no network, and return its path."""
        write_text(Path(path), report(self))
        return Path(path)

    def predict(
        self,
        molecules: "str | Path | pd.DataFrame | list[str] | pd.Series",
        out: str | Path | None = None,
        smiles: str | None = None,
        coverage: float = COVERAGE,
    ) -> "pd.DataFrame | Path":
        """Predict the targets of new molecules, with intervals; see `molfm.selection.predict.predict`."""
        return predict(self, molecules, out, smiles, coverage)


def fits_folder() -> Path:
    """Return the folder that all fits are in."""
    return home() / "fits"


def open_fit(name: str | Path) -> FitResult:
    """Open a fit again, by its name or folder.

    Raises:
        FileNotFoundError: there is no finished fit of this name.
    """
    folders = (Path(name), fits_folder() / name)
    folder = next((of for of in folders if (of / "fit.json").exists() and (of / "state.json").exists()), None)
    if folder is None:
        known = [path.parent.name for path in fits_folder().glob("*/state.json")]
        raise FileNotFoundError(f"There is no fit at {folders[0]} or {folders[1]}.{did_you_mean(str(name), known)}")
    asked = json.loads((folder / "fit.json").read_text("utf-8"))
    problem = read_problem(folder)
    columns = np.load(folder / "columns.npy", allow_pickle=False) if (folder / "columns.npy").exists() else None
    x = Described(problem.smiles, asked["foundation"], columns, folder / "described")
    work = Work(problem, x, folder, asked["seed"])
    if not all(work.is_done(candidate) for candidate in ALWAYS):
        raise FileNotFoundError(
            f"The fit in {folder} was interrupted. Call it again with the same arguments, and it resumes."
        )
    return FitResult(folder, asked, work)
