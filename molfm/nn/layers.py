"""The trunk: message-passing layers, chosen by name, that turn encoded atoms and bonds into atom vectors.

    h  (N, channels)   atoms
    e  (E, channels)   directed bonds, both directions; None if the layer ignores them
    edge_index (2, E)  from atom j = edge_index[0] to atom i = edge_index[1]

A layer's forward takes (h, edge_index, e) and returns what to add to h and to e; None leaves e unchanged. The trunk
does what all layers share: normalization before a layer, dropout and the residual after it, and the virtual node.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, GINConv, GINEConv, MessagePassing, global_add_pool, global_max_pool

POOLINGS = ("sum", "mean", "max", "logsum")
VIRTUAL_NODES = ("none", "mean", "sum", "logsum")


def mlp(*channels: int, norm: bool = False) -> nn.Sequential:
    """Return linear maps between these widths, with GELU between them and, if `norm` is set, LayerNorm after GELU."""
    parts = [nn.Linear(*channels[:2])]
    for ends in pairwise(channels[1:]):
        parts += [nn.GELU(), *([nn.LayerNorm(ends[0])] if norm else []), nn.Linear(*ends)]
    return nn.Sequential(*parts)


class Dropout(nn.Module):
    """Dropout whose probability is rounded to 1/256: 0.1 becomes 26/256, and the kept values are scaled to match.

    On a CPU, torch draws one random number per value. Here one random number serves eight values, in half the time
    (benchmarks/operations.py).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p, self.dropped = p, round(256 * p)  # dropped: how many of a byte's 256 values

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
    """Graph convolution (arXiv 1609.02907, eq. 2); d_i is the number of neighbours of atom i, plus 1.

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

    bonds = "read"  # "ignored": does not use e; "updated": also returns a change of e

    def __init__(self, channels: int, expansion: int):
        super().__init__()
        self.conv = GINEConv(mlp(channels, expansion * channels, channels), train_eps=True)

    def forward(self, h: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, None]:
        return self.conv(h, edge_index, e), None


class GatedGCN(MessagePassing):
    """Gated graph network with bonds (arXiv 1711.07553; with e as in arXiv 2003.00982); ⊙ multiplies by channel.

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
        gate = a.index_select(0, edge_index[1]) + b.index_select(0, edge_index[0]) + self.of_bonds(e)
        weighted, weight = self.propagate(edge_index, v=v, gate=gate.sigmoid()).chunk(2, dim=1)
        return nn.functional.gelu(u + weighted / (weight + 1e-6)), nn.functional.gelu(gate)

    def message(self, v_j: Tensor, gate: Tensor) -> Tensor:
        return torch.cat([gate * v_j, gate], dim=1)


class MPNNPlusPlus(MessagePassing):
    """The message passing of GPS++ (arXiv 2302.02947), without its global graph vector; [ | ] concatenates channels.

    m_ji = MLP([h_i | h_j | e_ji])                                  e_ji' = m_ji
    h_i' = MLP([h_i | Σ_{j ∈ N(i)} m_ji | Σ_{j ∈ N(i)} h_j | Σ_{j ∈ N(i)} m_ij])
    """

    bonds = "updated"

    def __init__(self, channels: int, expansion: int):
        super().__init__(aggr="sum")
        self.of_bonds = mlp(3 * channels, expansion * channels, channels)
        self.of_atoms = mlp(4 * channels, expansion * channels, channels)

    def forward(self, h: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        begin, end = edge_index
        m = self.of_bonds(torch.cat([h.index_select(0, end), h.index_select(0, begin), e], dim=1))
        received = self.propagate(edge_index, h=h, m=m)
        sent = global_add_pool(m, begin, len(h))
        return self.of_atoms(torch.cat([h, received, sent], dim=1)), m

    def message(self, h_j: Tensor, m: Tensor) -> Tensor:
        return torch.cat([m, h_j], dim=1)


LAYERS = {"gcn": GCN, "gin": GIN, "gine": GINE, "gatedgcn": GatedGCN, "mpnnpp": MPNNPlusPlus}


def pool(h: Tensor, batch: Tensor | None, num_graphs: int | None, how: str) -> Tensor:
    """Pool the atom vectors of each molecule: (N, channels) -> (B, channels · number of poolings).

    "sum" is divided by 16: a molecule has about 16 atoms, and a network learns best from numbers near 1. "logsum" is
    mean · log(number of atoms): it grows slowly, and is 0 for a molecule of one atom.

    Args:
        h: (N, channels) atom vectors.
        batch: (N,) molecule of each atom; None for a single molecule.
        num_graphs: number of molecules, B; None to take it from `batch`.
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
    """A virtual atom that is bonded to all atoms of its molecule (arXiv 1704.01212); its vector v starts at 0.

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
        return h + (sent if batch is None else sent.index_select(0, batch)), v


class Trunk(nn.Module):
    """Layers with residuals: h + Dropout(layer(LayerNorm(h))), and likewise for e if the layer updates it.

    Args:
        layer: one of `LAYERS`.
        channels: width of h and e in all layers.
        num_layers: number of layers.
        dropout: probability, applied to what a layer adds.
        expansion: hidden width of a layer's MLPs, as a multiple of `channels`.
        virtual_node: one of `VIRTUAL_NODES`: how the virtual nodes between the layers pool the atoms.
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
        """Return h, normalized, and e after all layers.

        Args:
            h: (N, channels) atom vectors.
            edge_index: (2, E) directed bonds.
            e: (E, channels) bond vectors; None if the layers ignore bonds.
            batch: (N,) molecule of each atom, for the virtual node; None for a single molecule.
            num_graphs: number of molecules; None to take it from `batch`.
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
