import pytest
import torch
from torch.nn.functional import gelu, layer_norm, relu
from torch_geometric.explain import Explainer, GNNExplainer

from molfm.nn.layers import LAYERS, VIRTUAL_NODES, Dropout, Trunk, VirtualNode, pool

C = 4
# A triangle with a tail, a pair, and a single atom; both directions of each bond.
BONDS = torch.tensor([[0, 1], [1, 2], [2, 0], [2, 3], [4, 5]])
EDGES = torch.stack([BONDS, BONDS.flip(1)], 1).reshape(-1, 2).T
BATCH = torch.tensor([0, 0, 0, 0, 1, 1, 2])
N, E, B = 7, 10, 3


@pytest.fixture
def h():
    return torch.randn(N, C, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def e():
    return torch.randn(E, C, generator=torch.Generator().manual_seed(1))


def made(name):
    torch.manual_seed(2)
    return LAYERS[name](C, 2)


def trunk(name, virtual_node="none"):
    torch.manual_seed(2)
    return Trunk(name, C, num_layers=3, dropout=0.0, expansion=2, virtual_node=virtual_node)


def received(messages):
    """Sum the messages (E, …) over the bonds that point to each atom, one by one."""
    out = torch.zeros(N, *messages.shape[1:])
    for message, i in zip(messages, EDGES[1].tolist(), strict=True):
        out[i] += message
    return out


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------------------------- layers, by their equations


def test_gcn_follows_its_equation(h):
    layer = made("gcn")
    degree = 1 + torch.bincount(EDGES[1], minlength=N)
    adjacency = torch.eye(N)
    adjacency[EDGES[1], EDGES[0]] = 1
    mixed = (adjacency / (degree[:, None] * degree[None, :]).sqrt()) @ h
    found, change = layer(h, EDGES, None)
    close(found, gelu(mixed @ layer.conv.lin.weight.T + layer.conv.bias))
    assert change is None


def test_gin_follows_its_equation(h):
    layer = made("gin")
    layer.conv.eps.data.fill_(0.3)
    close(layer(h, EDGES, None)[0], layer.conv.nn(1.3 * h + received(h[EDGES[0]])))


def test_gine_follows_its_equation(h, e):
    layer = made("gine")
    layer.conv.eps.data.fill_(0.3)
    found, change = layer(h, EDGES, e)
    close(found, layer.conv.nn(1.3 * h + received(relu(h[EDGES[0]] + e))))
    assert change is None


def test_gatedgcn_follows_its_equation(h, e):
    layer = made("gatedgcn")
    a, b, u, v = (
        (h @ w.T + bias) for w, bias in zip(layer.of_atoms.weight.chunk(4), layer.of_atoms.bias.chunk(4), strict=True)
    )
    gate = a[EDGES[1]] + b[EDGES[0]] + layer.of_bonds(e)
    share = received(gate.sigmoid() * v[EDGES[0]]) / (received(gate.sigmoid()) + 1e-6)
    found, change = layer(h, EDGES, e)
    close(found, gelu(u + share))
    close(change, gelu(gate))


def test_mpnnpp_follows_its_equation(h, e):
    layer = made("mpnnpp")
    message = layer.of_bonds(torch.cat([h[EDGES[1]], h[EDGES[0]], e], 1))
    other_way = message.reshape(-1, 2, C).flip(1).reshape(-1, C)  # m_ij in place of m_ji
    expected = layer.of_atoms(torch.cat([h, received(message), received(h[EDGES[0]]), received(other_way)], 1))
    found, change = layer(h, EDGES, e)
    close(found, expected)
    close(change, message)


# ------------------------------------------------------------------------------------------------------------ the trunk


def test_a_trunk_adds_each_layers_output_for_normalized_atoms(h, e):
    model = trunk("gine")
    x = h
    for layer in model.layers:
        x = x + layer(layer_norm(x, (C,)), EDGES, e)[0]
    found, bonds = model(h, EDGES, e)
    close(found, layer_norm(x, (C,)))
    assert bonds is e


@pytest.mark.parametrize("name", ["gatedgcn", "mpnnpp"])
def test_layers_that_update_bonds_add_to_bond_vectors(name, h, e):
    model, x, y = trunk(name), h, e
    for layer in model.layers:
        more, more_e = layer(layer_norm(x, (C,)), EDGES, layer_norm(y, (C,)))
        x, y = x + more, y + more_e
    found, bonds = model(h, EDGES, e)
    close(found, layer_norm(x, (C,)))
    close(bonds, y)
    assert not torch.allclose(bonds, e, atol=0.1)


@pytest.mark.parametrize("virtual_node", VIRTUAL_NODES)
@pytest.mark.parametrize("name", LAYERS)
def test_permuting_atoms_and_bonds_permutes_the_outputs(name, virtual_node, h, e):
    model = trunk(name, virtual_node)
    atoms, bonds = (torch.randperm(n, generator=torch.Generator().manual_seed(3)) for n in (N, E))
    before, before_e = model(h, EDGES, e, BATCH, B)
    assert not torch.allclose(before, before[atoms], atol=0.1)
    moved = torch.argsort(atoms)[EDGES][:, bonds]
    after, after_e = model(h[atoms], moved, e[bonds], BATCH[atoms], B)
    close(after, before[atoms])
    close(after_e, before_e[bonds])


@pytest.mark.parametrize("virtual_node", VIRTUAL_NODES)
@pytest.mark.parametrize("name", LAYERS)
def test_molecules_of_a_batch_do_not_affect_each_other(name, virtual_node, h, e):
    model = trunk(name, virtual_node)
    together, bonds = model(h, EDGES, e, BATCH, B)
    for first, last, edges in ((0, 4, slice(0, 8)), (4, 6, slice(8, 10)), (6, 7, slice(10, 10))):
        alone, alone_e = model(h[first:last], EDGES[:, edges] - first, e[edges])  # one molecule needs no batch
        close(alone, together[first:last])
        close(alone_e, bonds[edges])


@pytest.mark.parametrize("virtual_node", VIRTUAL_NODES)
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_reach_every_parameter_and_the_inputs(name, virtual_node, h, e):
    model = trunk(name, virtual_node)
    h.requires_grad_()
    weights = torch.randn(N, C, generator=torch.Generator().manual_seed(4))  # a plain sum is 0 after a LayerNorm
    (model(h, EDGES, e, BATCH, B)[0] * weights).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert h.grad.any(1).all()


# ---------------------------------------------------------------------------------------- pooling and the virtual node


def test_pooling_gives_sum_mean_maximum_and_logsum_of_each_molecule(h):
    assert pool(h, BATCH, B, "max").tolist() == [h[:4].amax(0).tolist(), h[4:6].amax(0).tolist(), h[6].tolist()]
    close(pool(h, BATCH, B, "sum"), torch.stack([h[:4].sum(0), h[4:6].sum(0), h[6]]) / 16)
    close(pool(h, BATCH, B, "mean"), torch.stack([h[:4].mean(0), h[4:6].mean(0), h[6]]))
    log = torch.tensor([4.0, 2.0, 1.0]).log()[:, None]
    close(pool(h, BATCH, B, "logsum"), log * pool(h, BATCH, B, "mean"))
    joined = pool(h, BATCH, B, "max+sum+mean")
    close(joined, torch.cat([pool(h, BATCH, B, way) for way in ("max", "sum", "mean")], 1))


@pytest.mark.parametrize("how", ["mean", "sum", "logsum"])
def test_a_virtual_node_adds_the_same_to_every_atom_of_a_molecule(how, h):
    torch.manual_seed(0)
    node, v = VirtualNode(C, how), torch.randn(B, C)
    found, after = node(h, v, BATCH, B)
    close(after, v + node.mlp(v + pool(h, BATCH, B, how)))
    close(found - h, after[BATCH])


def test_a_virtual_node_connects_the_fragments_of_a_molecule(h, e):
    salt = torch.tensor([0, 0, 0, 0, 0, 0, 0])
    for virtual_node, seen in (("none", False), ("sum", True)):
        model = trunk("gine", virtual_node)
        moved = h.clone()
        moved[6] += 1
        before, after = (model(x, EDGES, e, salt, 1)[0][:6] for x in (h, moved))
        assert torch.equal(before, after) != seen


# -------------------------------------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_drops_its_fraction_scales_the_rest_and_passes_gradients_of_kept_values(p):
    torch.manual_seed(0)
    x = torch.ones(333, 101, requires_grad=True)
    out = Dropout(p)(x)
    out.sum().backward()
    kept = out != 0
    assert abs(float((~kept).float().mean()) - p) < 0.01
    assert out[kept].unique().tolist() == pytest.approx([256 / (256 - round(256 * p))])
    assert torch.equal(x.grad, out)
    assert abs(float(kept[:, 0].float().mean()) - float(kept[:, -1].float().mean())) < 0.1  # no column is favoured


def test_dropout_is_repeatable_by_seed_and_off_in_evaluation():
    x = torch.rand(50, 9)
    torch.manual_seed(3)
    first = Dropout(0.3)(x)
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.3)(x), first)
    assert not torch.equal(Dropout(0.3)(x), first)
    assert torch.equal(Dropout(0.3).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


# --------------------------------------------------------------------------------------------------------- explanations


@pytest.mark.parametrize("name", LAYERS)
def test_pygs_explainer_explains_a_trunk_by_atoms_and_bonds(name, h, e):
    """The explainer refuses integer codes; it masks float atom vectors and the bonds that layers read."""

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = trunk(name)

        def forward(self, x, edge_index, e, batch):
            return pool(self.trunk(x, edge_index, e, batch, B)[0], batch, B, "sum")[:, :1]

    explain = Explainer(
        Logits(),
        GNNExplainer(epochs=3),
        explanation_type="model",
        node_mask_type="object",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "graph", "return_type": "raw"},
    )
    found = explain(h, EDGES, e=e, batch=BATCH)
    assert found.node_mask.shape == (N, 1)
    assert found.edge_mask.shape == (E,)
    assert found.node_mask.sum() > 0 and found.edge_mask.sum() > 0
