"""Writes a training request as the Python call and the command that make the same run."""

import shlex
from collections.abc import Mapping, Sequence
from textwrap import fill

from molfm.data.mix import Mix

OPTIONS = {  # settings that have an option of their own -> its name; others are given as --set NAME=VALUE
    **{"tasks": "task", "start_from": "from", "losses": "loss", "task_weights": "task-weight"},
    **{
        name: name.replace("_", "-")
        for name in (
            *(
                "model",
                "freeze",
                "layer_decay",
                "epochs",
                "steps",
                "batch_size",
                "n_labels",
                "watch",
                "hidden_channels",
            ),
            *(
                "num_layers",
                "accumulate",
                "balance_classes",
                "learning_rate",
                "schedule",
                "warmup",
                "patience",
                "adaptive",
            ),
            *("precision", "accelerator", "devices", "num_nodes", "num_workers", "seed", "logger", "name"),
        )
    },
}


def short_names(mix: Mix, tasks: Sequence[str]) -> list[str]:
    """Return names that `Mix.expand` expands to these tasks: datasets and families where all their tasks are there."""
    wanted, out = set(tasks), []
    for dataset in dict.fromkeys(task.dataset for task in mix.chosen):
        groups: dict[str, list[str]] = {}
        for task in mix.chosen:
            if task.dataset == dataset:
                groups.setdefault(f"{dataset}/{task.family or task.level}", []).append(task.id)
        everything = [task for group in groups.values() for task in group]
        if wanted.issuperset(everything):
            out.append(dataset)
            continue
        for name, group in groups.items():
            out += [name] if wanted.issuperset(group) and len(group) > 1 else [task for task in group if task in wanted]
    return out


def python_call(data: dict, settings: dict) -> str:
    """Return the call of `molfm.start`; `data` is `Mix.origin`, the arguments of `molfm.load`."""
    name, rest = data["data"], {key: value for key, value in data.items() if key != "data" and value}
    opened = f'molfm.load("{name}", {_arguments(rest)})' if rest else f'"{name}"'
    call = f"run = molfm.start({opened}, {_arguments(settings)})"
    return "import molfm\n\n" + fill(
        call, 100, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def command(data: dict, settings: dict) -> str:
    """Return the command `molfm train` with the same settings, except lists and tables that only Python takes."""
    words = ["molfm", "train", str(data["data"])]
    if data.get("smiles", "smiles") != "smiles":
        words += ["--smiles", data["smiles"]]
    if data.get("split"):
        words += ["--split", data["split"]]
    words += role_words(data.get("roles") or {})
    if not settings.get("tasks"):
        of_table = data.get("tasks") or ()  # a table's columns, perhaps with facts about each
        facts = of_table if isinstance(of_table, Mapping) else {name: {} for name in of_table}
        words += [word for name, of in facts.items() for word in ("--pic50" if of.get("pic50") else "--task", name)]
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        if isinstance(value, dict):
            values = [f"{key}={item}" for key, item in value.items()]
        if name not in OPTIONS:
            if not isinstance(value, list | dict):
                words += ["--set", f"{name}={value}"]
        elif isinstance(value, bool):
            words += [f"--{OPTIONS[name]}"] * value
        else:
            words += [word for one in values for word in (f"--{OPTIONS[name]}", str(one))]
    return shlex.join(words)


def role_words(roles: Mapping[str, object]) -> list[str]:
    """Return the roles of columns as options of a command."""
    words = []
    for role, columns in roles.items():
        by_task = columns if isinstance(columns, Mapping) else {"": columns}
        for task, names in by_task.items():
            for name in [names] if isinstance(names, str) else names:
                words += ["--role", f"{role}{':' if task else ''}{task}={name}"]
    return words


def _arguments(settings: dict) -> str:
    return ", ".join(f"{name}={_literal(value)}" for name, value in settings.items())


def _literal(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return f'"{value}"' if isinstance(value, str) and '"' not in value and "\\" not in value else repr(value)
