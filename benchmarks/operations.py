"""Operations of a training step that molfm implements differently from the plain way, each timed forward and backward.

    python benchmarks/operations.py [--fast]

Shapes are those of 256 molecules of QM9 at width 96. Times are CPU milliseconds on one thread, medians over rounds in
which both ways take turns. The last line is one JSON object.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn

from molfm.chem.featurize import ATOM_FIELDS, BOND_CODES, BOND_FIELDS
from molfm.nn.encoders import FieldTable
from molfm.nn.layers import Dropout

ATOMS, BONDS, WIDTH = 2126, 4534, 96


def milliseconds(way: Callable, repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        way()
    return (time.process_time() - start) / repeats * 1e3


def pairs() -> dict[str, tuple[Callable, Callable]]:
    """Return the plain way and molfm's way for each operation, both with gradients."""
    torch.manual_seed(0)
    h = torch.randn(ATOMS, WIDTH, requires_grad=True)
    of_atoms, of_bonds = torch.randn(ATOMS, WIDTH), torch.randn(BONDS, WIDTH)
    codes = torch.stack([torch.randint(size, (ATOMS,)) for size in ATOM_FIELDS.values()], 1).to(torch.uint8)
    combination = torch.randint(len(BOND_CODES), (BONDS,))
    every_bond = torch.from_numpy(BOND_CODES)
    bond_codes = every_bond[combination]
    plain_atoms = [nn.Embedding(size, WIDTH) for size in ATOM_FIELDS.values()]
    plain_bonds = [nn.Embedding(size, WIDTH) for size in BOND_FIELDS.values()]
    atoms, bonds = FieldTable.learned(ATOM_FIELDS, WIDTH), FieldTable.learned(BOND_FIELDS, WIDTH)
    ends = torch.randint(ATOMS, (BONDS,))
    plain_dropout, dropout = nn.Dropout(0.1), Dropout(0.1)

    return {
        "dropout": (lambda: plain_dropout(h).backward(of_atoms), lambda: dropout(h).backward(of_atoms)),
        "atom codes": (
            lambda: sum(t(codes[:, i].long()) for i, t in enumerate(plain_atoms)).backward(of_atoms),
            lambda: atoms(codes).backward(of_atoms),
        ),
        "bond codes": (
            lambda: sum(t(bond_codes[:, i].long()) for i, t in enumerate(plain_bonds)).backward(of_bonds),
            lambda: nn.functional.embedding(combination, bonds(every_bond)).backward(of_bonds),
        ),
        "atoms of bonds": (lambda: h[ends].backward(of_bonds), lambda: h.index_select(0, ends).backward(of_bonds)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="few repeats")
    repeats, rounds = (5, 2) if parser.parse_args().fast else (50, 7)
    torch.set_num_threads(1)
    result = {}
    for name, ways in pairs().items():
        times = np.array([[milliseconds(way, repeats) for way in ways] for _ in range(rounds)])
        plain, ours = np.median(times, axis=0)
        result[name] = {
            "plain_ms": float(round(plain, 3)),
            "ours_ms": float(round(ours, 3)),
            "ratio": float(round(plain / ours, 2)),
        }
        print(name, result[name])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
