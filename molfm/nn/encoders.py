"""Encoders: turn the integer codes of a batch into the vectors that the trunk works on.

    h (N, channels), e (E, channels)    e is None if `with_bonds` is false, for networks that ignore bonds

A bond is one of 40 combinations of codes (`featurize.BOND_CODES`), so only these 40 are encoded and each bond looks up
its own.
"""

from functools import cache

import numpy as np
import torch
from rdkit import Chem
from torch import Tensor, nn
from torch_geometric.data import Batch

from molfm.base.arrays import pointer
from molfm.chem.encodings import RANDOM_WALK_STEPS, WALK
from molfm.chem.featurize import ATOM_FIELDS, BOND_CODES, BOND_FIELDS
from molfm.nn.layers import mlp

N_EIGENVECTORS = 8
ELEMENTS = (  # in the order of the paper's one-hot code
    *(
        "C",
        "N",
        "O",
        "S",
        "F",
        "Si",
        "P",
        "Cl",
        "Br",
        "Mg",
        "Na",
        "Ca",
        "Fe",
        "As",
        "Al",
        "I",
        "B",
        "V",
        "K",
        "Tl",
        "Yb",
    ),
    *("Sb", "Sn", "Ag", "Pd", "Co", "Se", "Ti", "Zn", "H", "Li", "Ge", "Cu", "Au", "Ni", "Cd", "In", "Mn", "Zr", "Cr"),
    *("Pt", "Hg", "Pb"),
)
_NOBLE_GASES = np.array([2, 10, 18, 36, 54, 86, 118])


class FieldTable(nn.Module):
    """One row per value of each field; sums the rows of integer codes: (n, n_fields) -> (n, channels)."""

    def __init__(self, fields: dict[str, int], rows: Tensor | nn.Parameter):
        super().__init__()
        starts = torch.from_numpy(pointer(list(fields.values()))[:-1])
        self.register_buffer("starts", starts, persistent=False)
        if isinstance(rows, nn.Parameter):
            self.rows = rows
        else:
            self.register_buffer("rows", rows, persistent=False)

    @classmethod
    def learned(cls, fields: dict[str, int], channels: int) -> "FieldTable":
        """Return a table of learned rows; the sums start with a variance of 1."""
        rows = nn.Parameter(torch.empty(sum(fields.values()), channels))
        nn.init.normal_(rows, std=len(fields) ** -0.5)
        return cls(fields, rows)

    def forward(self, codes: Tensor) -> Tensor:
        # A product with a 0/1 matrix, so the gradient is a product too, not a scattered sum into shared rows.
        chosen = self.rows.new_zeros(len(codes), len(self.rows)).scatter_(1, codes.long() + self.starts, 1.0)
        return chosen @ self.rows


class _Encoder(nn.Module):
    """Base of both encoders: encodes the 40 possible bonds, and looks up each bond among them."""

    def __init__(self):
        super().__init__()
        sizes = list(BOND_FIELDS.values())
        strides = torch.tensor([int(np.prod(sizes[i + 1 :])) for i in range(len(sizes))])
        self.register_buffer("strides", strides, persistent=False)
        self.register_buffer("every_bond", torch.from_numpy(BOND_CODES.copy()), persistent=False)
        self.of_bonds: nn.Module | None = None  # (40, n_fields) codes -> (40, channels)

    def bond_vectors(self, edge_attr: Tensor) -> Tensor | None:
        if self.of_bonds is None:
            return None
        return nn.functional.embedding((edge_attr.long() * self.strides).sum(1), self.of_bonds(self.every_bond))


class CodeEncoder(_Encoder):
    """Sums one learned vector per code; atoms add their random-walk encoding, through an MLP."""

    encodings = (WALK,)

    def __init__(self, channels: int, with_bonds: bool):
        super().__init__()
        self.of_atoms = FieldTable.learned(ATOM_FIELDS, channels)
        self.of_walk = mlp(RANDOM_WALK_STEPS, channels, channels)
        if with_bonds:
            self.of_bonds = FieldTable.learned(BOND_FIELDS, channels)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        h = self.of_atoms(batch.x) + self.of_walk(batch.walk.to(self.of_atoms.rows.dtype))
        return h, self.bond_vectors(batch.edge_attr)


# -------------------------------------------------------------------------------------------------- the paper's numbers


def _one_hot(value: np.ndarray, size: int) -> np.ndarray:
    """Return the one-hot code of values (n,) as (n, size + 1): columns 0 to size - 1, then one for all other values."""
    return np.eye(size + 1)[np.where((value >= 0) & (value < size), value, size)]


def _group_and_period(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return group and period of atomic numbers from 1; f-elements except La and Ac have no group and get 19."""
    period = np.searchsorted(_NOBLE_GASES, z) + 1
    place = z - np.append(0, _NOBLE_GASES)[period - 1]
    left = np.array([0, 1, 2, 2, 2, 2, 3, 3])[period]  # elements of a period before its gap
    gap = np.array([0, 16, 10, 10, 0, 0, -14, -14])[period]
    group = np.where(place <= left, place, place + gap)
    return np.where((period > 5) & (place > 3) & (place < 18), 19, group), period


@cache
def atom_numbers() -> np.ndarray:
    """Return what each code adds to the 85 atom numbers of arXiv 2310.04292: (total size of `ATOM_FIELDS`, 85).

    Their order: neighbours (with hydrogens) - 2, formal charge, unpaired electrons, aromatic, in ring; then one-hot
    codes of element (43, other), group (1-18, none, other), period (1-7, other) and valence (0-6, other).
    """
    code = {name: np.arange(size) for name, size in ATOM_FIELDS.items()}
    symbols = Chem.GetPeriodicTable()
    place = np.full(ATOM_FIELDS["element"], -1)
    place[[symbols.GetAtomicNumber(symbol) for symbol in ELEMENTS]] = np.arange(len(ELEMENTS))
    group, period = _group_and_period(np.maximum(code["element"], 1))
    blocks = {
        "degree": (0, code["degree"][:, None] - 2),
        "charge": (1, code["charge"][:, None] - 7),
        "radicals": (2, code["radicals"][:, None]),
        "aromatic": (3, code["aromatic"][:, None]),
        "in_ring": (4, code["in_ring"][:, None]),
        "element": (5, np.hstack([_one_hot(place, 43), _one_hot(group - 1, 19), _one_hot(period - 1, 7)])),
        "valence": (77, _one_hot(code["valence"], 7)),
    }
    table = {name: np.zeros((size, 85)) for name, size in ATOM_FIELDS.items()}
    for name, (column, block) in blocks.items():
        table[name][:, column : column + block.shape[1]] = block
    return np.concatenate(list(table.values()))


@cache
def bond_numbers() -> np.ndarray:
    """Return what each code adds to the 13 bond numbers of arXiv 2310.04292: (total size of `BOND_FIELDS`, 13).

    Their order: one-hot type (single, double, triple, aromatic, other) and stereo (none, any, Z, E, cis, trans, other),
    then in ring. Cis and trans differ from Z and E in the atoms they refer to. Molecules read from SMILES never have
    them, so the numbers for cis, trans and other stereo are always 0.
    """
    kind, stereo, ring = (np.zeros((size, 13)) for size in BOND_FIELDS.values())
    kind[:, :5], stereo[:, 5:9], ring[1, 12] = np.eye(5), np.eye(4), 1
    return np.concatenate([kind, stereo, ring])


class LaplacianEncoder(nn.Module):
    """A set network over pairs of an eigenvector's entry and its eigenvalue (arXiv 1703.06114, 2205.12454).

    p_i = ρ(Σ_k φ([v_ki | λ_k])), over the eigenvectors that the molecule has

    The sign of an eigenvector is arbitrary: training flips each at random, alike for all atoms of a molecule.
    Shapes: laplacian (N, 2 K), batch (N,), num_graphs B -> (N, out_channels).
    """

    def __init__(self, hidden_channels: int, out_channels: int):
        super().__init__()
        self.of_pair = nn.Sequential(nn.Linear(2, hidden_channels), nn.GELU())
        self.of_sum = mlp(hidden_channels, hidden_channels, out_channels)

    def forward(self, laplacian: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
        vectors, values = laplacian.chunk(2, dim=1)  # (N, K) each
        there = values != 0  # an eigenvalue of 0 after the first means that there is no such vector
        there[:, 0] = True
        if self.training:
            vectors = vectors * (2 * torch.randint(2, (num_graphs, vectors.shape[1]), device=vectors.device) - 1)[batch]
        pairs = self.of_pair(torch.stack([vectors, values], dim=2))  # (N, K, hidden_channels)
        return self.of_sum((pairs * there[:, :, None]).sum(1))


class FeatureEncoder(_Encoder):
    """The features of arXiv 2310.04292: 85 numbers per atom, 13 per bond, 8 Laplacian eigenvectors, the random walk.

    Each encoding is mapped to 32 channels. Their sum is concatenated with the 85 numbers, and an MLP maps them to
    `channels`.
    """

    encodings = (WALK, f"laplacian-{N_EIGENVECTORS}-none")

    def __init__(self, channels: int, with_bonds: bool):
        super().__init__()
        self.numbers = FieldTable(ATOM_FIELDS, torch.tensor(atom_numbers(), dtype=torch.float32))
        self.of_walk, self.of_laplacian = mlp(RANDOM_WALK_STEPS, 64, 32), LaplacianEncoder(64, 32)
        self.of_atoms = mlp(85 + 32, 256, 64, channels, norm=True)
        if with_bonds:
            numbers = FieldTable(BOND_FIELDS, torch.tensor(bond_numbers(), dtype=torch.float32))
            self.of_bonds = nn.Sequential(numbers, *mlp(13, 128, 32, channels, norm=True))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        kind = self.numbers.rows.dtype
        place = self.of_walk(batch.walk.to(kind)) + self.of_laplacian(
            batch.laplacian.to(kind), batch.batch, batch.num_graphs
        )
        h = self.of_atoms(torch.cat([self.numbers(batch.x), place], dim=1))
        return h, self.bond_vectors(batch.edge_attr)


ENCODERS = {"codes": CodeEncoder, "features": FeatureEncoder}
