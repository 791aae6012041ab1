"""Describes a mix in a folder, so that another process can open the same mix again."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from molfm.data.mix import Mix, load


def contents_of(mix: Mix) -> dict:
    """Return what identifies a mix's content: the names of its prepared stores, and a hash of which row is in which split."""
    splits = hashlib.sha256(np.ascontiguousarray(mix.rows.split)).hexdigest()
    return {"stores": [shard.folder.parent.name for shard in mix.shards], "splits": splits}


def check_origin(origin: dict) -> None:
    """Raise ValueError for a mix that another process cannot open."""
    if not origin:
        raise ValueError(
            "This mix was not made by molfm.load, so no other process can open it: train with molfm.train in this process, "
            "or make the mix with molfm.load."
        )


def write_mix(folder: Path, mix: Mix) -> dict:
    """Write into a folder what is needed to open this mix again (`read_mix`), and return what its JSON file should say."""
    if mix.kept:
        np.savez_compressed(folder / "kept.npz", **{str(task): np.packbits(mask) for task, mask in mix.kept.items()})
    return {"data": mix.origin, **contents_of(mix), "tasks": [task.id for task in mix.chosen]}


def read_mix(folder: Path, facts: dict) -> Mix:
    """Open the mix again that `write_mix` wrote into a folder, and of which it returned these facts.

    Raises:
        ValueError: it cannot be opened again, or is not what it was.
    """
    check_origin(facts["data"])
    mix = load(**facts["data"], progress=False).select(facts["tasks"])
    for name, found in contents_of(mix).items():
        if found != facts[name]:
            part = {"stores": "table", "splits": "split"}[name]
            raise ValueError(f"{facts['data']['data']} is not what {folder.name} was made with: its {part} changed.")
    path = folder / "kept.npz"
    if not path.exists():
        return mix
    with np.load(path, allow_pickle=False) as packed:
        kept = {int(task): np.unpackbits(packed[task], count=len(mix)).astype(bool) for task in packed}
    return replace(mix, kept=kept)
