"""Describes a mix in a folder, so another process can open the same mix."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from molfm.base.errors import InputError
from molfm.base.files import whole
from molfm.data.mix import APART, Mix, load


def contents_of(mix: Mix) -> dict:
    """Return what identifies a mix's content: the names of its prepared stores and a hash of the splits of its rows."""
    splits = hashlib.sha256(np.ascontiguousarray(mix.rows.split)).hexdigest()
    return {"stores": [shard.folder.parent.name for shard in mix.shards], "splits": splits}


def check_origin(origin: dict) -> None:
    """Raise ValueError if a mix was not made by `molfm.load`, because another process could not open it."""
    if not origin:
        raise InputError(
            "This mix was not made by molfm.load, so another process cannot open it. Make the mix with molfm.load, or "
            "train in this process with molfm.train."
        )


def write_mix(folder: Path, mix: Mix) -> dict:
    """Write the files that `read_mix` needs into a folder, and return the facts that it needs, for a JSON file."""
    if mix.kept:
        with whole(folder / "kept.npz") as temporary:
            np.savez_compressed(temporary, **{str(task): np.packbits(mask) for task, mask in mix.kept.items()})
    return {"data": mix.origin, **contents_of(mix), "tasks": [task.id for task in mix.chosen]}


def read_mix(folder: Path, facts: dict) -> Mix:
    """Open a mix that `write_mix` described.

    Args:
        folder: the folder that `write_mix` wrote into.
        facts: what `write_mix` returned.

    Raises:
        ValueError: the mix cannot be opened again, or its table or split changed.
    """
    check_origin(facts["data"])
    given = dict(facts["data"])
    apart = given.pop(APART, {})
    mix = load(**given, progress=False)
    for dataset, tasks in apart.items():
        mix = mix.apart(tasks, dataset)
    mix = mix.select(facts["tasks"])
    for name, found in contents_of(mix).items():
        if found != facts[name]:
            part = {"stores": "table", "splits": "split"}[name]
            raise InputError(f"{facts['data']['data']} differs from when {folder.name} was made: its {part} changed.")
    path = folder / "kept.npz"
    if not path.exists():
        return mix
    with np.load(path, allow_pickle=False) as packed:
        kept = {int(task): np.unpackbits(packed[task], count=len(mix)).astype(bool) for task in packed}
    return replace(mix, kept=kept)
