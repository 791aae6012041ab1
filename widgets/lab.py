"""TrainingLab: choose what to learn from, start training, and watch it learn."""

import html
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

import numpy as np
import pandas as pd
import traitlets
from molfm.widgets.lab_recipe import Recipes
from molfm.widgets.lab_watch import Watch
from molfm.widgets.shared import MixWidget, Selection, source
from rdkit import Chem

from molfm.base.errors import InputError
from molfm.base.names import listed
from molfm.catalog.schema import Task
from molfm.data.mix import Mix, load
from molfm.data.reopen import check_origin
from molfm.nn.checkpoints import NAMES
from molfm.nn.layers import LAYERS
from molfm.study.simple_models import validation_reference
from molfm.training import queue
from molfm.training.alerts import alerts
from molfm.training.metrics import PRIMARY
from molfm.training.recipe import short_names
from molfm.training.run import Run
from molfm.training.status import QUEUED
from molfm.training.viewer import RunView

SCRIPTS = ("lab_recipe", "lab_curves", "lab_watch", "lab_runs", "lab")  # joined in this order
PINNED = {  # molecules that students know
    "caffeine": "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "dopamine": "NCCc1ccc(O)c(O)c1",
}
KNOBS = {  # setting -> the values of its slider
    "steps": [50, 100, 200, 300, 400, 600, 800, 1000, 1500, 2000, 3000, 5000, 10000],
    "batch": [8, 16, 32, 64, 128, 256],
    "learning_rate": [1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2],
    "hidden_channels": [16, 32, 48, 64, 96, 128, 192, 256],
    "num_layers": [1, 2, 3, 4, 5, 6, 8],
}
LABELS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]  # training labels that the target may keep, or all
RUNS = 30  # in the table: the newest ones of this mix
MANY = 12  # tasks of one family that are drawn as one curve, their mean
_QUEUE_SECONDS = 1.0  # between looks at the queue


class TrainingLab(MixWidget):
    """Train networks on chosen tasks of a mix, in child processes, and watch each of them learn.

    Runs are folders under `$MOLFM_HOME/runs`: they go on when the page is closed or the kernel restarted, and a new lab
    of the same mix shows them again.

    Args:
        data: the result of `molfm.load`; None for MiniMix.
        pinned: molecules whose predictions are drawn after each validation, name -> SMILES; None for five that students
            know.

    Attributes:
        recipe: what the next run is set to: tasks, target, labels, model, start_from, steps, batch, learning_rate,
            hidden_channels, num_layers and seed.

    Raises:
        TypeError: `data` is not a mix, or a setting does not exist.
        ValueError: the mix was not made by `molfm.load`, or a pinned SMILES is invalid.
    """

    _esm = source("js", *SCRIPTS)
    _css = source("css", "lab")
    recipe = traitlets.Dict().tag(sync=True)

    def __init__(self, data: Mix | None = None, pinned: dict[str, str] | None = None, **unknown: object):
        super().__init__(load("minimix") if data is None else data, unknown)
        self.pinned = dict(PINNED if pinned is None else pinned)
        if wrong := [smiles for smiles in self.pinned.values() if Chem.MolFromSmiles(smiles) is None]:
            raise InputError(f"pinned: expected names and SMILES, found the SMILES {wrong[0]!r}, which is invalid.")
        check_origin(self.data.origin)
        self._recipes = Recipes(self.data, list(self.pinned.values()))
        self._watch = Watch(self.data, {smiles: name for name, smiles in self.pinned.items()})
        self._views: dict[str, RunView] = {}
        self._references: dict[tuple, Future] = {}
        self._pool = ThreadPoolExecutor(1, "molfm-reference")  # one forest at a time: training needs the cores
        self.recipe = self._recipes.first()

    # ------------------------------------------------------------------------------------------------------- in Python

    @property
    def runs(self) -> list[Run]:
        """The newest runs on tasks of this mix, the latest last."""
        tasks, found = {task.id for task in self.data.chosen}, []
        for run in reversed(queue.all_runs()):
            config = self._view_of(run).config
            if config["data"] == self.data.origin and tasks.issuperset(config["tasks"]):
                found.append(run)
            if len(found) == RUNS:
                break
        return found[::-1]

    @property
    def run(self) -> Run | None:
        """The run that is shown: the chosen one, otherwise the latest; None if there is none yet."""
        runs = self.runs
        chosen = [run for run in runs if run.folder.name == self.view.get("run")]
        return (chosen or runs or [None])[-1]

    @property
    def results(self) -> pd.DataFrame:
        """The results of the run that is shown (`Run.results`)."""
        return self._shown().results

    @property
    def model(self) -> object:
        """The model of the run that is shown (`Run.model`)."""
        return self._shown().model

    @property
    def code(self) -> str:
        """The Python code that starts a run with the recipe."""
        return self._recipes.code(self.recipe)

    def start(self) -> Run:
        """Start a run with the recipe, or queue it if as many runs are training as there are cores."""
        settings = self._recipes.settings(self.recipe)
        return self._follow(queue.enqueue(self.data, settings.pop("tasks"), settings.pop("seed"), **settings))

    def _shown(self) -> Run:
        if (run := self.run) is None:
            raise InputError("There is no run yet: start one with the button Start, or with lab.start().")
        return run

    def _follow(self, run: Run) -> Run:
        """Show a run, and start what is queued whenever a core becomes free."""
        self.view = {**self.view, "run": run.folder.name, "step": None}
        if any(other.status["state"] == QUEUED for other in self.runs):
            threading.Thread(target=_move_queue, daemon=True, name="molfm-queue").start()
        return run

    # ------------------------------------------------------------------------------------------------------ questions

    def answer_about(self) -> dict:
        """Return the constant facts: tasks, their groups, the knobs, and what a run can start from."""
        tasks = self.data.tasks.astype(object).where(self.data.tasks.notna(), None)
        tasks = tasks[["task", "dataset", "level", "kind", "domain", "unit", "n_train"]]
        number = self.data.task_number
        groups = [
            {"id": name, "domain": self.data.task(of[0]).domain or "", "tasks": [number(task) for task in of]}
            for name, of in self._families.items()
        ]
        return {
            "name": self.data.name,
            "n": len(self.data),
            "tasks": tasks.assign(metric=[PRIMARY[kind] for kind in tasks.kind]).to_dict("records"),
            "groups": groups,
            "knobs": KNOBS,
            "labels": LABELS,
            "models": list(LAYERS),
            "checkpoints": list(NAMES),
            "recipe": self.recipe,
        }

    def answer_plan(self, recipe: dict) -> dict:
        """Return what a recipe means: its cost, its code, or what is wrong with it."""
        self.recipe = recipe
        return self._recipes.plan(recipe)

    def answer_start(self, recipe: dict) -> dict:
        """Start a run."""
        self.recipe = recipe
        return {"run": self.start().folder.name}

    def answer_stop(self, run: str) -> dict:
        """Ask a run to stop."""
        Run(run).stop(wait=False)
        return {}

    def answer_resume(self, run: str) -> dict:
        """Resume a run."""
        self._follow(Run(run).resume())
        return {}

    def answer_fork(self, run: str) -> dict:
        """Return a recipe that goes on from the weights of a finished run."""
        return {"recipe": self._recipes.of_run(self._view_of(Run(run)).config) | {"start_from": run}}

    def answer_recipe(self, run: str) -> dict:
        """Return the recipe of a run."""
        return {"recipe": self._recipes.of_run(self._view_of(Run(run)).config)}

    def _view_of(self, run: Run) -> RunView:
        name = run.folder.name
        if name not in self._views:
            self._views[name] = RunView(run, self.data.tasks)
        return self._views[name]

    def answer_poll(self, focus: str | None, shown: list[str]) -> dict:
        """Return the table of runs, and the curves of those that are shown.

        Args:
            focus: the task or group in focus.
            shown: names of runs whose curves are drawn; the first has its own tasks' curves too.
        """
        runs, members = self.runs, self.data.expand(focus) if focus else []
        rows = [self._row(run, members) for run in runs]
        known = {run.folder.name: run for run in runs}
        curves = {
            name: self._curves(known[name], members, place == 0) for place, name in enumerate(shown) if name in known
        }
        return {"runs": rows[::-1], "curves": curves}

    def _row(self, run: Run, members: list[str]) -> dict:
        view, status = self._view_of(run), run.status
        config, values = view.config, view.curve(members).values
        sizes = config["n_labels"] or {}
        best = float(np.nanmax(values)) if np.isfinite(values).any() else None
        running = status["state"] == "running" and status["step"]
        left = status["seconds"] / status["step"] * (status["total_steps"] - status["step"]) if running else None
        return {
            "name": run.folder.name,
            "state": status["state"],
            "step": status["step"],
            "total": status["total_steps"],
            "error": status["error"],
            "seconds": status["seconds"],
            "left": left,
            "learned": listed(short_names(self.data, config["tasks"]), 4),
            "labels": listed([f"{count} of {name}" for name, count in sizes.items()], 2) if sizes else "all",
            "target": self._recipes.target_of(config),
            "best": best,
        }

    def _curves(self, run: Run, members: list[str], whole: bool) -> dict:
        view = self._view_of(run)
        curve, train = view.curve(members), view.train_curve(members) if view.snapshot_steps else None
        train_loss, val_loss = view.loss()
        out = {
            "steps": curve.steps.astype(np.int32),
            "metric": curve.values.astype(np.float32),
            "trainSteps": (train.steps if train else np.zeros(0)).astype(np.int32),
            "train": (train.values if train else np.zeros(0)).astype(np.float32),
            "trainLoss": train_loss.values.astype(np.float32),
            "valLoss": val_loss.values.astype(np.float32),
            "snapshots": view.snapshot_steps,
        }
        if not whole:
            return out
        mine = set(view.tasks)
        tiles = {name: view.curve(of).values.astype(np.float32) for name, of in self._tiles(view.tasks).items()}
        forest = self._reference(self._reference_key(view, members))
        told, learned = [], [self.data.task_number(task) for task in members if task in mine]
        if learned:
            told = alerts(
                curve.steps,
                curve.values,
                view.config["steps"],
                name=self._metric_name(members),
                n_val=float(self.data.tasks.n_val[learned].mean()),
                val_loss=val_loss.values,
                train_loss=train_loss.values,
                forest=forest.get("forest"),
                finished=run.status["state"] == "finished",
            )
        return out | {"tiles": tiles, "alerts": told, "reference": forest}

    @cached_property
    def _families(self) -> dict[str, list[str]]:
        """The tasks by dataset and family, or level where there are no families, under names that `Mix.expand` knows."""
        found: dict[tuple[str, str], list[Task]] = {}
        for task in self.data.chosen:
            found.setdefault((task.dataset, task.family or task.level), []).append(task)
        datasets, out = [dataset for dataset, _ in found], {}
        for (dataset, part), tasks in found.items():
            if len({task.domain for task in tasks}) > 1:  # no name stands for those of one domain
                out |= {task.id: [task.id] for task in tasks}
            else:
                name = dataset if datasets.count(dataset) == 1 else f"{dataset}/{part}"
                out[name] = [task.id for task in tasks]
        return out

    def _tiles(self, tasks: list[str]) -> dict[str, list[str]]:
        """Return what has a small curve of its own: single tasks, and families where they are many."""
        mine, out = set(tasks), {}
        for name, family in self._families.items():
            members = [task for task in family if task in mine]
            out |= {name: members} if len(members) > MANY else {task: [task] for task in members}
        return out

    def _metric_name(self, members: list[str]) -> str:
        kinds = {self.data.task(task).kind for task in members}
        metric = {"r2": "R²", "auroc": "AUROC"}[PRIMARY[kinds.pop()]] if len(kinds) == 1 else "metric"
        one = members[0].partition("/")[2]
        return f"{metric} of {one}" if len(members) == 1 else f"mean {metric} of {len(members)} tasks"

    # ---------------------------------------------------------------------------------------------------- the baselines

    def _reference_key(self, view: RunView, members: list[str]) -> tuple | None:
        if len(members) != 1 or (task := self.data.task(members[0])).level != "graph" or task.kind == "ordinal":
            return None
        counts = {
            task: count for name, count in (view.config["n_labels"] or {}).items() for task in self.data.expand(name)
        }
        return members[0], counts.get(members[0]), view.config["seed"]

    def _reference(self, key: tuple | None) -> dict:
        """Return the metric of a random forest and of the mean where defined, `pending` while they are computed."""
        if key is None:
            return {}
        if key not in self._references:
            task, count, seed = key
            mix = self.data if count is None else self.data.limit(task, count, seed)
            self._references[key] = self._pool.submit(validation_reference, mix, task, seed)
        done = self._references[key]
        if not done.done():
            return {"pending": True}
        if error := done.exception():
            return {"problem": f"{type(error).__name__}: {error}"}
        return {name: value for name, value in done.result().items() if np.isfinite(value)}

    # ------------------------------------------------------------------------------------------------- watch it learn

    def answer_watch(self, run: str, step: int, focus: str) -> dict:
        """Return what a run predicted after a step (see `Watch.answer`)."""
        found = self._watch.answer(self._view_of(Run(run)), step, self.data.expand(focus))
        return found | {"selected": np.isin(found["mol_id"], self.selection.molecules).astype(np.uint8)}

    def answer_molecule(self, molecule: int) -> dict:
        """Return the name and the drawing of one molecule."""
        return self._watch.molecule(molecule)

    def answer_select(self, molecules: list[int]) -> dict:
        """Select molecules."""
        self.selection = Selection(np.array(molecules, np.int32), self.selection.tasks)
        return self.chosen

    def answer_compare(self, runs: list[str]) -> dict:
        """Return the settings in which runs differ: one row per setting, one column per run."""
        configs = [self._view_of(Run(run)).config for run in runs]
        skipped = {"versions", "stores", "splits", "data"}
        names = [name for name in dict.fromkeys(key for config in configs for key in config) if name not in skipped]
        rows = []
        for name in names:
            values = [config.get(name) for config in configs]
            if name == "tasks":
                values = [short_names(self.data, value) for value in values]
            texts = [listed(map(str, value), 4) if isinstance(value, list) else str(value) for value in values]
            if len(set(texts)) > 1:
                rows.append([name, *texts])
        return {"rows": rows}

    # ------------------------------------------------------------------------------------------------------ without a kernel

    def sketch(self) -> str:
        """Return the runs as a table, and the code of the recipe."""
        code = f"<pre>{html.escape(self.code)}</pre>"
        if not (rows := [self._row(run, []) for run in self.runs]):
            return f"<p>{html.escape(repr(self.data))}. No run yet; the first one would be:</p>{code}"
        cells = "".join(
            f"<tr><td>{html.escape(row['name'])}</td><td>{row['state']}</td><td>{html.escape(row['learned'])}</td></tr>"
            for row in rows
        )
        head = "<tr><th>run</th><th>state</th><th>learned from</th></tr>"
        return f"<p>{html.escape(repr(self.data))}</p><table>{head}{cells}</table>{code}"

    def questions(self) -> Iterator[tuple[str, dict]]:
        """Yield the questions of the static page: the run that is shown, its last step first, then earlier ones."""
        yield "about", {}
        run = self.run
        focus = self.view.get("focus") or (self._recipes.target_of(self._view_of(run).config) if run else None)
        shown = list(dict.fromkeys([run.folder.name, *self.view.get("compared", [])])) if run else []
        yield "poll", {"focus": focus, "shown": shown}
        if run is None:
            return
        for step in self._view_of(run).snapshot_steps[::-1]:
            yield "watch", {"run": run.folder.name, "step": step, "focus": focus}


def _move_queue() -> None:
    """Start queued runs as cores become free, until none is left."""
    while any(run.status["state"] == QUEUED for run in queue.all_runs()):
        queue.advance()
        time.sleep(_QUEUE_SECONDS)
