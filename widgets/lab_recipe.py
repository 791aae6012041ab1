"""The recipe of a run in the training lab: plain settings, what they mean for `molfm.start`, and what they cost."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from molfm.base.errors import InputError
from molfm.data.mix import Mix
from molfm.training.forecast import calibration, forecast, n_parameters
from molfm.training.plan import make_plan
from molfm.training.recipe import command, python_call, short_names

_APART = ("model", "tasks", "seed", "n_labels")  # arguments of `make_plan` of their own


class Recipes:
    """Recipes for one mix.

    Args:
        mix: the data.
        pinned: SMILES that every run predicts after each validation.
    """

    def __init__(self, mix: Mix, pinned: list[str]):
        self.mix, self.pinned = mix, pinned

    def first(self) -> dict:
        """Return the recipe that a lab opens with: a scarce measured task beside computed ones of the same molecules."""
        tasks = self.mix.tasks
        graph = tasks[tasks.level == "graph"]
        wet = graph[graph.domain == "biological"]
        best = next(of for of in (wet[wet.kind == "regression"], wet, graph, tasks) if len(of))
        target = best.iloc[0]
        chosen = (tasks.task == target.task) | (tasks.domain == "quantum")
        return {
            "tasks": tasks.task[chosen].tolist(),
            "target": target.task,
            "labels": 128 if target.level == "graph" and target.n_train >= 256 else None,
            "model": "gine",
            "start_from": None,
            "steps": 400,
            "batch": 64,
            "learning_rate": 1e-3,
            "hidden_channels": 96,
            "num_layers": 4,
            "seed": 0,
        }

    def settings(self, recipe: dict) -> dict:
        """Return the keywords of `molfm.start` for a recipe.

        Raises:
            ValueError: the recipe has no tasks.
        """
        if not recipe["tasks"]:
            raise InputError("Choose at least one task to learn from.")
        chosen, members = set(recipe["tasks"]), self.mix.expand(recipe["target"])
        datasets = dict.fromkeys(task.dataset for task in self.mix.chosen if task.id in chosen)
        settings = {
            "tasks": short_names(self.mix, recipe["tasks"]),
            "steps": recipe["steps"],
            "batch_size": dict.fromkeys(datasets, recipe["batch"]),
            "learning_rate": recipe["learning_rate"],
        }
        if recipe["start_from"]:
            settings["start_from"] = recipe["start_from"]
        else:
            settings |= {name: recipe[name] for name in ("model", "hidden_channels", "num_layers")}
        if watched := [task for task in members if task in chosen]:
            settings["watch"] = [recipe["target"]] if len(watched) == len(members) else watched
            if recipe["labels"]:
                settings["n_labels"] = dict.fromkeys(settings["watch"], recipe["labels"])
        return settings | {"seed": recipe["seed"], "pinned": self.pinned}

    def code(self, recipe: dict) -> str:
        """Return the Python code that starts a run with a recipe."""
        return python_call(self.mix.origin, self.settings(recipe))

    def plan(self, recipe: dict) -> dict:
        """Return what a recipe means: its cost, its code, or what is wrong with it ("problem")."""
        try:
            settings = self.settings(recipe)
            rest = {name: value for name, value in settings.items() if name not in _APART}
            model, tasks, seed, counts = (settings.get(name) for name in _APART)
            plan = make_plan(self.mix, model, tasks, None, seed, counts, "smiles", None, None, False, rest)
        except (InputError, FileNotFoundError) as wrong:
            return {"problem": str(wrong)}
        told = {
            "problem": "",
            "code": python_call(self.mix.origin, settings),
            "command": command(self.mix.origin, settings),
            "parameters": n_parameters(plan.shape, plan.mix.tasks),
        }
        if plan.shape.network != "multitask":  # its layers are others than those that are measured
            return told
        if (machine := calibration(plan.shape.layer)) is None:
            return told | {"measuring": True}
        found = asdict(forecast(plan.mix, plan.shape, plan.config, machine))
        of_target = set(self.mix.expand(recipe["target"]))
        target, others = (
            [n for task, n in found["passes"].items() if (task in of_target) == mine] for mine in (True, False)
        )
        means = {name: float(np.mean(of)) if of else None for name, of in (("passes", target), ("others", others))}
        return told | {"seconds": found["seconds"], "memory": found["memory"]} | means

    def target_of(self, config: dict) -> str:
        """Return the task or group that a run watched, or the first of its tasks."""
        names = short_names(self.mix, config["watch"])
        return names[0] if len(names) == 1 else config["watch"][0]

    def of_run(self, config: dict) -> dict:
        """Return the recipe of a run from its config.json."""
        sizes = config["batch_size"]
        names = ("tasks", "model", "start_from", "steps", "learning_rate", "hidden_channels", "num_layers", "seed")
        found = {name: config[name] for name in names}
        if config["start_from"] and Path(config["start_from"]).name == "model":  # the weights of a run, by its name
            found["start_from"] = Path(config["start_from"]).parent.name
        return found | {
            "target": self.target_of(config),
            "labels": next(iter((config["n_labels"] or {}).values()), None),
            "batch": next(iter(sizes.values())) if isinstance(sizes, dict) else sizes,
        }
