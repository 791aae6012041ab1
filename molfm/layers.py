"""The trunk: floats on atoms and bonds -> atom vectors, by layers that are chosen with a word.

    h  (N, channels)   atoms
    e  (E, channels)   directed bonds, both directions; None where the layer ignores them
    edge_index (2, E)  from atom j = edge_index[0] to atom i = edge_index[1]

A layer's forward takes (h, edge_index, e) and returns what is to be added to h and to e (None: e stays as it is). What all
layers share is the trunk's business: normalization before a layer, dropout and the residual behind it, the virtual node.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, GINConv, GINEConv, MessagePassing, global_add_pool, global_max_pool

POOLINGS = ("sum", "mean", "max", "logsum")
VIRTUAL_NODES = ("none", "mean", "sum", "logsum")


def mlp(*channels: int, norm: bool = False) -> nn.Sequential:
    """Return linear maps between these numbers of channels, with GELU between them, and LayerNorm behind it if asked for."""
    parts = [nn.Linear(*channels[:2])]
    for ends in pairwise(channels[1:]):
        parts += [nn.GELU(), *([nn.LayerNorm(ends[0])] if norm else []), nn.Linear(*ends)]
    return nn.Sequential(*parts)


class Dropout(nn.Module):
    """Dropout in steps of 1/256: 0.1 means 26/256, and what is kept is scaled by exactly that.

    On a CPU torch draws a random number for each value; here one makes eight, in half the time (benchmarks/operations.py).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p, self.dropped = p, round(256 * p)  # of 256 values of a byte

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.dropped / 256)
        words = torch.randint(-(2**63), 2**63 - 1, (x.numel() // 8 + 1,))
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - self.dropped))


class GCN(nn.Module):
    """Graph convolution (arXiv 1609.02907, eq. 2); d_i counts the neighbours of i and i itself.

    h_i' = GELU(Σ_{j ∈ N(i) ∪ {i}} W h_j / √(d_i d_j))
    """

    bonds = "ignored"

    def __init__(self, channels: int, expansion: int):
        super().__init__()
        self.conv = GCNConv(channels, channels)

    def forward(self, h: Tensor, edge_index: Tensor, e: Tensor | None) -> tuple[Tensor, None]:
        return nn.functional.gelu(self.conv(h, edge_index)), None


class GIN(nn.Module):
    """Graph isomorphism network (arXiv 1810.00826, eq. 4.1).

    h_i' = MLP((1 + ε) h_i + Σ_{j ∈ N(i)} h_j)
    """

    bonds = "ignored"

    def __init__(self, channels: int, expansion: int):
        super().__init__()
        self.conv = GINConv(mlp(channels, expansion * channels, channels), train_eps=True)

    def forward(self, h: Tensor, edge_index: Tensor, e: Tensor | None) -> tuple[Tensor, None]:
        return self.conv(h, edge_index), None


class GINE(nn.Module):
    """GIN with bonds (arXiv 1905.12265).

    h_i' = MLP((1 + ε) h_i + Σ_{j ∈ N(i)} ReLU(h_j + e_ji))
    """

    bonds = "read"  # or "ignored", or "updated" where it returns a change of e in place of None

    def __init__(self, channels: int, expansion: int):
        super().__init__()
        self.conv = GINEConv(mlp(channels, expansion * channels, channels), train_eps=True)

    def forward(self, h: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, None]:
        return self.conv(h, edge_index, e), None


class GatedGCN(MessagePassing):
    """Gated graph network with bonds (arXiv 1711.07553; with e as in arXiv 2003.00982), ⊙ by channel.

    g_ji = A h_i + B h_j + C e_ji                                   e_ji' = GELU(g_ji)
    h_i' = GELU(U h_i + Σ_{j ∈ N(i)} σ(g_ji) ⊙ V h_j / (Σ_{j ∈ N(i)} σ(g_ji) + 1e-6))
    """

    bonds = "updated"

    def __init__(self, channels: int, expansion: int):
        super().__init__(aggr="sum")
        self.of_atoms = nn.Linear(channels, 4 * channels)  # A, B, U and V in one product
        self.of_bonds = nn.Linear(channels, channels)

    def forward(self, h: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        a, b, u, v = self.of_atoms(h).chunk(4, dim=1)
        gate = a[edge_index[1]] + b[edge_index[0]] + self.of_bonds(e)
        weighted, weight = self.propagate(edge_index, v=v, gate=gate.sigmoid()).chunk(2, dim=1)
        return nn.functional.gelu(u + weighted / (weight + 1e-6)), nn.functional.gelu(gate)

    def message(self, v_j: Tensor, gate: Tensor) -> Tensor:
        return torch.cat([gate * v_j, gate], dim=1)


class MPNNPlusPlus(MessagePassing):
    """The message passing of GPS++ (arXiv 2302.02947), without its vector of the whole graph; [ | ] joins channels.

    m_ji = MLP([h_i | h_j | e_ji])                                  e_ji' = m_ji
    h_i' = MLP([h_i | Σ_{j ∈ N(i)} m_ji | Σ_{j ∈ N(i)} h_j | Σ_{j ∈ N(i)} m_ij])
    """

    bonds = "updated"

    def __init__(self, channels: int, expansion: int):
        super().__init__(aggr="sum")
        self.of_bonds = mlp(3 * channels, expansion * channels, channels)
        self.of_atoms = mlp(4 * channels, expansion * channels, channels)

    def forward(self, h: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        m = self.of_bonds(torch.cat([h[edge_index[1]], h[edge_index[0]], e], dim=1))
        received = self.propagate(edge_index, h=h, m=m)
        sent = global_add_pool(m, edge_index[0], len(h))
        return self.of_atoms(torch.cat([h, received, sent], dim=1)), m

    def message(self, h_j: Tensor, m: Tensor) -> Tensor:
        return torch.cat([m, h_j], dim=1)


LAYERS = {"gcn": GCN, "gin": GIN, "gine": GINE, "gatedgcn": GatedGCN, "mpnnpp": MPNNPlusPlus}


def pool(h: Tensor, batch: Tensor | None, num_graphs: int | None, how: str) -> Tensor:
    """Return what the atoms of each molecule are together: (N, channels) -> (B, channels times the number of ways).

    mean and max as they are called; sum is a sixteenth of it, as about 16 atoms make a molecule and a network learns best
    from numbers near 1; logsum is mean · log(number of atoms), which grows slowly, and is 0 for an atom alone.

    Args:
        batch: (N,) molecule of each atom; None: there is but one.
        num_graphs: B.
        how: one of `POOLINGS`, or several joined by "+", whose results are concatenated.
    """
    ways = how.split("+")
    if ways != ["max"]:
        total = global_add_pool(h, batch, num_graphs)
        count = global_add_pool(h.new_ones(len(h), 1), batch, num_graphs)
    parts = []
    for way in ways:
        if way == "max":
            parts.append(global_max_pool(h, batch, num_graphs))
        elif way == "sum":
            parts.append(total / 16)
        else:
            parts.append(total / count if way == "mean" else total * (count.log() / count))
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


class VirtualNode(nn.Module):
    """An atom that is bonded to all others of its molecule (arXiv 1704.01212), v its vector, at first 0.

    v' = v + MLP(v + pool(h))       h_i' = h_i + P v'

    P is the identity unless a projection is given.
    """

    def __init__(
        self, channels: int, pooling: str, of_graph: nn.Module | None = None, projection: nn.Module | None = None
    ):
        super().__init__()
        self.mlp, self.pooling = of_graph or mlp(channels, channels, channels), pooling
        self.projection = projection or nn.Identity()

    def forward(
        self, h: Tensor, v: Tensor | float, batch: Tensor | None, num_graphs: int | None
    ) -> tuple[Tensor, Tensor]:
        v = v + self.mlp(v + pool(h, batch, num_graphs, self.pooling))
        sent = self.projection(v)
        return h + (sent if batch is None else sent[batch]), v


class Trunk(nn.Module):
    """Layers with residuals: h + Dropout(layer(LayerNorm(h))), and e likewise where a layer updates it.

    Args:
        layer: one of `LAYERS`.
        channels: of h and e, all the way.
        num_layers: how many.
        dropout: of what a layer adds.
        expansion: hidden width of a layer's MLPs, in units of `channels`.
        virtual_node: one of `VIRTUAL_NODES`, the pooling by which it learns of the atoms; between all layers.
    """

    def __init__(self, layer: str, channels: int, num_layers: int, dropout: float, expansion: int, virtual_node: str):
        super().__init__()
        self.layers = nn.ModuleList(LAYERS[layer](channels, expansion) for _ in range(num_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(num_layers))
        updated = num_layers if LAYERS[layer].bonds == "updated" else 0
        self.bond_norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(updated))
        between = num_layers - 1 if virtual_node != "none" else 0
        self.virtual_nodes = nn.ModuleList(VirtualNode(channels, virtual_node) for _ in range(between))
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        h: Tensor,
        edge_index: Tensor,
        e: Tensor | None = None,
        batch: Tensor | None = None,
        num_graphs: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return h and e after all layers, h normalized.

        Args:
            batch: (N,) molecule of each atom, for the virtual node; None: there is but one.
            num_graphs: number of molecules; None: as many as `batch` names.
        """
        v = 0.0
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            more, more_e = layer(norm(h), edge_index, self.bond_norms[i](e) if self.bond_norms else e)
            h = h + self.dropouts[i](more)
            if more_e is not None:
                e = e + self.dropouts[i](more_e)
            if i < len(self.virtual_nodes):
                h, v = self.virtual_nodes[i](h, v, batch, num_graphs)
        return self.norm(h), e
