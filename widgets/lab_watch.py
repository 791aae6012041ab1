"""What the training lab shows of a network while it learns: a scatter, the pinned molecules, the largest errors."""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from molfm.chem.drawing import draw_smiles, draw_values
from molfm.data.mix import Mix
from molfm.explore.lookup import Lookup
from molfm.training.viewer import RunView, Scatter

DRAWING = (150, 110)  # pixels
WORST = 6  # molecules with the largest errors
_ITEMS = ("node", "edge")


class Watch:
    """Answers about the snapshots of runs on one mix.

    Args:
        mix: the data.
        names: name of each pinned SMILES.
    """

    def __init__(self, mix: Mix, names: dict[str, str]):
        self.mix, self.names, self.lookup = mix, names, Lookup(mix)

    def answer(self, view: RunView, step: int, members: Sequence[str]) -> dict:
        """Return what a run predicted of some tasks after a step.

        mol_id (n,) int32, measured and preds (n,) float32, val (n,) uint8: 1 for a validation label.
        """
        tasks = [task for task in members if task in view.tasks]
        parts = [view.scatter(task, step) for task in tasks]
        columns = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 4
        types = {"mol_id": np.int32, "measured": np.float32, "preds": np.float32, "val": np.uint8}
        arrays = {name: of.astype(kind) for (name, kind), of in zip(types.items(), columns, strict=True)}
        first = self.mix.task(tasks[0]) if tasks else None
        return arrays | {
            "kind": first.kind if first else None,
            "unit": (first.unit or "") if len(tasks) == 1 else "",
            "scale": self.scale(view),
            "pinned": self.pinned(view, step, tasks),
            "worst": self.worst(tasks, parts),
        }

    def scale(self, view: RunView) -> dict:
        """Return the tasks that colour atoms and bonds, with the ends of their scales.

        The ends are two standard deviations from the mean of the labels, so the colours of all steps can be compared.
        """
        out = {}
        for level in _ITEMS:
            task = next((task for task in view.tasks if view.level[task] == level), None)
            if task is not None:
                row = self.mix.tasks.loc[self.mix.task_number(task)]
                low, high = row["mean"] - 2 * row["std"], row["mean"] + 2 * row["std"]
                limit = max(abs(low), abs(high))
                out[level] = {"task": task, "unit": row.unit or "", "low": low, "high": high, "limit": limit}
        return out

    def pinned(self, view: RunView, step: int, tasks: Sequence[str]) -> list[dict]:
        """Return the pinned molecules, their atoms and bonds coloured, with the value of a single graph task."""
        found, scale, out, start = view.pinned(step), self.scale(view), [], dict.fromkeys(_ITEMS, 0)
        single = tasks[0] if len(tasks) == 1 and view.level[tasks[0]] == "graph" else None
        for place, smiles in enumerate(view.config["pinned"] or []):
            mol, values = Chem.MolFromSmiles(smiles), {}
            for level, size in (("node", mol.GetNumAtoms()), ("edge", mol.GetNumBonds())):
                if level in scale:
                    values[level] = found[level][scale[level]["task"]].to_numpy()[start[level] : start[level] + size]
                    start[level] += size
            limits = {"atom_limit": scale["node"]["limit"]} if "node" in scale else {}
            limits |= {"bond_range": (scale["edge"]["low"], scale["edge"]["high"])} if "edge" in scale else {}
            out.append(
                {
                    "name": self.names.get(smiles, smiles),
                    "svg": draw_values(smiles, *DRAWING, values.get("node"), values.get("edge"), **limits),
                    "value": float(found["graph"][single].iloc[place]) if single else None,
                }
            )
        return out

    def worst(self, tasks: Sequence[str], parts: Sequence[Scatter]) -> list[dict]:
        """Return the validation labels with the largest errors."""
        rows = []
        for task, part in zip(tasks, parts, strict=True):
            of_val = np.flatnonzero(part.val)
            error = np.abs(part.preds - part.measured)[of_val]
            for at in np.argsort(-error)[:WORST]:
                place = of_val[at]
                rows.append((error[at], task, int(part.mol_id[place]), part.measured[place], part.preds[place]))
        rows = sorted(rows, reverse=True)[:WORST]
        names = ("task", "measured", "predicted")
        return [
            self.molecule(mol) | dict(zip(names, (task, float(y), float(p)), strict=True))
            for _, task, mol, y, p in rows
        ]

    def molecule(self, number: int) -> dict:
        """Return the name and the drawing of one molecule of the mix."""
        one = np.array([number])
        [smiles], [name] = self.lookup.smiles(one), self.lookup.names(one)
        return {"molecule": number, "name": name or smiles, "svg": draw_smiles(smiles, *DRAWING)}
