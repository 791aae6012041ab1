import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem

from molfm.batches.batch import to_batch
from molfm.catalog.schema import LEVELS
from molfm.chem.featurize import canonical_smiles
from molfm.nn import predictor
from molfm.nn.checkpoints import open_model
from molfm.nn.config import ModelConfig
from molfm.nn.layers import LAYERS
from molfm.nn.multitask import MultiTaskModel
from molfm.training.losses import choose, task_sums, total_loss
from molfm.training.metrics import score

SMALL = ModelConfig(hidden_channels=16, num_layers=2, dropout=0.1)
# Ring with two groups, a stereo centre, a stereo double bond, a cage, a salt.
VARIED = ["CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "C/C=C/CO", "C1CC2CCC1O2", "C[N+](C)(C)CC#N.[Cl-]"]


@pytest.fixture(scope="module")
def model(toy):
    """A small untrained model of all toy tasks; its predictions still differ from atom to atom."""
    return MultiTaskModel(SMALL, toy.tasks, seed=0)


@pytest.fixture(scope="module")
def doubled(toy):
    """The toy tasks as two datasets, in an order that mixes datasets and levels."""
    more = toy.tasks.assign(dataset="more", task=toy.tasks.task.str.replace("toy/", "more/"))
    return pd.concat([toy.tasks, more], ignore_index=True).iloc[[6, 0, 7, 3, 1, 4, 2, 5]].reset_index(drop=True)


def answering(tasks, z):
    """Return a model that predicts z[i] (a logit if binary) of task i for any molecule."""
    model = MultiTaskModel(SMALL, tasks, seed=0)
    for name, head in model.heads.items():
        level, dataset = name.split(":")
        mine = (tasks.level == level) & (tasks.dataset == dataset)
        with torch.no_grad():
            head[-1].weight.zero_()
            head[-1].bias.copy_(torch.tensor(z[mine]))
    return model


def weights(model, *parts):
    return {name: tensor for name, tensor in model.state_dict().items() if name.split(".")[0] in parts}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


# ------------------------------------------------------------------------------------------------------------- overfitting


def fitted(mix, steps=200):
    """Return a model that was trained until it overfits the training labels."""
    model = MultiTaskModel(ModelConfig(32, 2, dropout=0.0), mix.tasks, seed=0)
    batch = to_batch(mix.gather(mix.members("train"), "train"))
    optimizer = torch.optim.Adam(model.parameters(), 0.005)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        total_loss(*task_sums(model, model(batch), batch), model.head).backward()
        optimizer.step()
        schedule.step()
    return model


@pytest.fixture(scope="module")
def training_rows(toy, toy_table):
    """The training rows of the raw table, whose SMILES have various atom orders."""
    assert [canonical_smiles(text) for text in toy_table.smiles] == toy.molecules.smiles.tolist()
    return toy_table[(toy.molecules[f"split:{toy.name}"] == "train").to_numpy()]


def test_a_model_overfits_graph_tasks_in_their_units(toy, training_rows):
    found = fitted(toy.select(["heavy", "oxygen"])).predict(training_rows.smiles)
    measured = training_rows.heavy.notna().to_numpy()
    heavy, target = found["toy/heavy"][measured].to_numpy(), training_rows.heavy[measured].to_numpy()
    assert score("r2", heavy, target) > 0.99
    assert np.abs(heavy - target).mean() < 0.1
    oxygen = found["toy/oxygen"].to_numpy()
    assert score("auroc", oxygen, training_rows.oxygen.to_numpy()) == 1
    assert np.abs(oxygen - training_rows.oxygen).mean() < 0.1


def test_a_model_overfits_node_tasks_in_the_atom_order_of_each_smiles(toy, training_rows):
    found = fitted(toy.select(["element"])).predict(training_rows.smiles, level="node")
    target = np.concatenate(training_rows.element.tolist())
    assert score("r2", found["toy/element"].to_numpy(), target) > 0.99
    assert np.abs(found["toy/element"] - target).mean() < 0.1
    assert [Chem.Atom(symbol).GetAtomicNum() for symbol in found.element] == target.tolist()


def test_a_model_overfits_edge_tasks_in_the_bond_order_of_each_smiles(toy, training_rows):
    found = fitted(toy.select(["order"])).predict(training_rows.smiles, level="edge")
    target = np.concatenate(training_rows.order.tolist())
    assert score("r2", found["toy/order"].to_numpy(), target) > 0.99
    assert np.abs(found["toy/order"] - target).mean() < 0.02


# Each layer once; together they cover both encoders, every pooling and every virtual node.
SHAPES = {
    "gcn": {"encoder": "features", "virtual_node": "mean", "pooling": "max"},
    "gin": {"encoder": "codes", "virtual_node": "sum", "pooling": "logsum"},
    "gine": {"encoder": "features", "virtual_node": "logsum", "pooling": "sum", "expansion": 1},
    "gatedgcn": {"encoder": "codes", "virtual_node": "none", "pooling": "mean+max"},
    "mpnnpp": {"encoder": "features", "virtual_node": "none", "pooling": "sum+mean"},
}
assert SHAPES.keys() == LAYERS.keys()


def shaped(layer, **more):
    small = {"hidden_channels": 16, "num_layers": 2, "dropout": 0.0, "layer": layer}
    return ModelConfig(**small | SHAPES[layer] | more)


def batch_for(model, mix, molecules):
    return to_batch(mix.gather(np.asarray(molecules), "train", encodings=model.config.encodings))


@pytest.mark.parametrize("names", [["heavy", "oxygen"], ["element"], ["order"]])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_overfits_a_few_molecules_at_every_level(toy, layer, names):
    mix = toy.select(names)
    model = MultiTaskModel(shaped(layer, hidden_channels=32), mix.tasks, seed=0)
    batch = batch_for(model, mix, mix.members("train")[8:16])  # no single atoms, which logsum cannot tell apart
    optimizer = torch.optim.Adam(model.parameters(), 0.004)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, 200)
    torch.manual_seed(0)  # for the signs of Laplacian eigenvectors
    for _ in range(200):
        optimizer.zero_grad()
        # Squared errors: most atoms are carbon, so absolute errors would get stuck at the median.
        loss = total_loss(*task_sums(model, model(batch), batch, choose({"regression": "mse"})), model.head)
        loss.backward()
        optimizer.step()
        schedule.step()
    assert loss.item() < 0.02


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_reach_every_parameter_of_every_layers_network(toy, layer):
    for names in (["toy"], ["heavy"], ["element"]):
        mix = toy.select(names)
        model = MultiTaskModel(shaped(layer), mix.tasks, seed=0)
        batch = batch_for(model, mix, mix.members("train"))
        squares = choose({"regression": "mse"})  # the gradients of absolute errors, ±1, can cancel exactly
        total_loss(*task_sums(model, model(batch), batch, squares), model.head).backward()
        assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == [], names


@pytest.mark.parametrize("layer", LAYERS)
def test_a_loaded_network_of_any_layer_has_the_same_settings_and_predictions(toy, layer, tmp_path):
    saved = MultiTaskModel(shaped(layer, head_channels={"toy": 5}), toy.tasks, seed=1)
    saved.save(tmp_path)
    loaded = open_model(tmp_path)
    assert loaded.config == saved.config
    for level in LEVELS:
        again = loaded.predict(VARIED, level)
        pd.testing.assert_frame_equal(again, saved.predict(VARIED, level), check_exact=True)
        assert np.isfinite(again.iloc[:, -1]).all()
    assert saved.embed(VARIED).shape == (5, 16 * len(saved.config.pooling.split("+")))


@pytest.mark.parametrize("layer", LAYERS)
def test_permuting_the_atoms_of_a_batch_permutes_predictions_with_every_layer(toy, layer):
    model = MultiTaskModel(shaped(layer), toy.tasks, seed=0).eval()
    batch = batch_for(model, toy, [30, 1, 34, 41])
    rng, starts, sizes = np.random.default_rng(0), batch.ptr[:-1], batch.ptr.diff()
    old = torch.cat(
        [start + torch.tensor(rng.permutation(int(size))) for start, size in zip(starts, sizes, strict=True)]
    )
    moved = batch.clone()
    for name in ("x", "walk", "laplacian"):
        if name in batch:
            moved[name] = batch[name][old]
    moved.edge_index = torch.argsort(old)[batch.edge_index]
    with torch.no_grad():
        before, after = model(batch), model(moved)
    assert not torch.allclose(before["node"], before["node"][old], atol=1e-3)
    torch.testing.assert_close(after["node"], before["node"][old], rtol=1e-4, atol=1e-5)
    for level in ("edge", "graph"):
        torch.testing.assert_close(after[level], before[level], rtol=1e-4, atol=1e-5)


# -------------------------------------------------------------------------------------------------------------- symmetries


def rewritten(smiles, seed):
    """Return another SMILES of a molecule, and for each of its atoms the atom's number in the first SMILES."""
    mol = Chem.MolFromSmiles(smiles)
    shuffled = np.random.default_rng(seed).permutation(mol.GetNumAtoms())
    other = Chem.RenumberAtoms(mol, shuffled.tolist())
    text = Chem.MolToSmiles(other, canonical=False)
    written = [int(number) for number in other.GetProp("_smilesAtomOutputOrder").strip("[],").split(",")]
    return text, shuffled[written]


@pytest.mark.parametrize("smiles", VARIED)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_permuting_the_atoms_of_a_smiles_permutes_node_predictions_and_changes_nothing_else(model, smiles, seed):
    text, old = rewritten(smiles, seed)
    assert old.tolist() != list(range(len(old)))

    nodes, nodes_again = model.predict(smiles, level="node"), model.predict(text, level="node")
    assert nodes["toy/element"].std() > 0.01  # else any order would pass
    assert nodes_again.element.tolist() == nodes.element[old].tolist()
    np.testing.assert_allclose(nodes_again["toy/element"], nodes["toy/element"][old], atol=1e-5)

    edges, edges_again = model.predict(smiles, level="edge"), model.predict(text, level="edge")
    value = {frozenset(pair): value for *pair, value in edges.iloc[:, 2:].itertuples(index=False)}
    again = {
        frozenset(old[list(pair)].tolist()): value for *pair, value in edges_again.iloc[:, 2:].itertuples(index=False)
    }
    assert edges["toy/order"].std() > 0.001
    assert again == pytest.approx(value, abs=1e-5)

    graph, graph_again = model.predict(smiles), model.predict(text)
    np.testing.assert_allclose(graph_again.iloc[:, 2:], graph.iloc[:, 2:], atol=1e-5)


def test_permuting_the_atoms_of_a_batch_permutes_node_outputs_and_changes_nothing_else(model, toy):
    batch = to_batch(toy.gather(np.array([30, 1, 34, 41]), "train"))
    rng, sizes = np.random.default_rng(0), batch.ptr.diff().tolist()
    old = torch.cat(
        [start + torch.tensor(rng.permutation(size)) for start, size in zip(batch.ptr[:-1], sizes, strict=True)]
    )
    shuffled = batch.clone()
    shuffled.x, shuffled.walk = batch.x[old], batch.walk[old]
    shuffled.edge_index = torch.argsort(old)[batch.edge_index]
    model.eval()
    with torch.no_grad():
        before, after = model(batch), model(shuffled)
    assert not torch.allclose(before["node"], before["node"][old], atol=1e-3)
    assert torch.allclose(after["node"], before["node"][old], atol=1e-5)
    assert torch.allclose(after["edge"], before["edge"], atol=1e-5)
    assert torch.allclose(after["graph"], before["graph"], atol=1e-5)


def test_edge_predictions_are_symmetric(model, toy):
    batch = to_batch(toy.gather(np.array([34, 38, 41]), "train"))
    turned = batch.clone()
    turned.edge_index = batch.edge_index.flip(0)  # every bond the other way round
    model.eval()
    with torch.no_grad():
        before, after = model(batch), model(turned)
    assert before["edge"].std() > 0.001
    for level in LEVELS:
        assert torch.allclose(after[level], before[level], atol=1e-6), level


@pytest.mark.parametrize("level", LEVELS)
def test_predictions_of_a_molecule_do_not_depend_on_its_batch(model, toy_table, level, monkeypatch):
    texts = toy_table.smiles.tolist()
    together = model.predict(texts, level=level)
    alone = [model.predict(text, level=level).assign(mol_id=i) for i, text in enumerate(texts)]
    alone = pd.concat([part for part in alone if len(part)], ignore_index=True)  # a single atom has no bonds
    pd.testing.assert_frame_equal(together, alone, rtol=0, atol=1e-5)
    monkeypatch.setattr(predictor, "PREDICT_BATCH", 5)
    pd.testing.assert_frame_equal(together, model.predict(texts, level=level), rtol=0, atol=1e-5)


# -------------------------------------------------------------------------------------------------------- atom-map numbers


@pytest.mark.parametrize("smiles", ["[OH:3][CH2:1][C:4]#[N:2]", "[OH:2][CH2:0][C:3]#[N:1]", "[OH:7][CH2][C]#[N:9]"])
def test_atom_map_numbers_do_not_change_the_order_of_predictions(model, smiles):
    nodes, plain = model.predict(smiles, level="node"), model.predict("OCC#N", level="node")
    assert nodes.element.tolist() == ["O", "C", "C", "N"]
    pd.testing.assert_frame_equal(nodes.drop(columns="smiles"), plain.drop(columns="smiles"), atol=1e-5)
    edges, plain = model.predict(smiles, level="edge"), model.predict("OCC#N", level="edge")
    pd.testing.assert_frame_equal(edges.drop(columns="smiles"), plain.drop(columns="smiles"), atol=1e-5)


# ----------------------------------------------------------------------------------------------------------------- weights


def test_initial_weights_of_encoder_and_trunk_do_not_depend_on_the_tasks(toy, doubled):
    parts = ("encoder", "trunk")
    alone = MultiTaskModel(SMALL, toy.select(["oxygen"]).tasks, seed=3)
    for tasks in (toy.tasks, toy.select(["order", "element"]).tasks, doubled):
        assert same(weights(alone, *parts), weights(MultiTaskModel(SMALL, tasks, seed=3), *parts))


def test_initial_weights_of_a_head_do_not_depend_on_the_other_heads(toy):
    alone, among = (MultiTaskModel(SMALL, tasks, seed=3) for tasks in (toy.select(["order"]).tasks, toy.tasks))
    assert same(alone.heads["edge:toy"].state_dict(), among.heads["edge:toy"].state_dict())


@pytest.mark.parametrize("part", ["encoder.of_walk.0", "trunk.layers.1.conv.nn.0", "heads.edge:toy.0"])
def test_different_seeds_give_different_weights(toy, part):
    first, second, third = (
        MultiTaskModel(SMALL, toy.tasks, seed=seed).get_submodule(part).weight for seed in (0, 1, 2)
    )
    assert not torch.equal(first, second)
    assert not torch.equal(first, third)
    assert not torch.equal(second, third)


def test_building_a_seeded_model_keeps_the_callers_random_state(toy):
    before = torch.get_rng_state()
    MultiTaskModel(SMALL, toy.tasks, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_weights_come_from_the_callers_random_state(toy):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first, second = MultiTaskModel(SMALL, toy.tasks), MultiTaskModel(SMALL, toy.tasks)
        torch.manual_seed(5)
        assert same(MultiTaskModel(SMALL, toy.tasks).state_dict(), first.state_dict())
        assert not same(first.state_dict(), second.state_dict())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layer": "gat"}, "Unknown layer 'gat'; expected one of gcn, gin, gine, gatedgcn, mpnnpp"),
        ({"virtual_node": "max"}, "Unknown virtual_node 'max'; expected one of none, mean, sum, logsum"),
        ({"encoder": "ones"}, "Unknown encoder 'ones'; expected one of codes, features"),
        ({"pooling": "sum+median"}, "Unknown pooling 'median'; expected one of sum, mean, max, logsum"),
        ({"head_channels": {"toy": -1}}, "Expected an expansion of 1 or more and head_channels of 0 or more"),
        ({"expansion": 0}, "Expected an expansion of 1 or more"),
    ],
)
def test_unknown_words_and_invalid_numbers_are_refused_with_what_is_expected(wrong, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**wrong)


def test_head_width_can_be_set_per_dataset(doubled):
    def widths(head_channels):
        model = MultiTaskModel(ModelConfig(16, 1, head_channels=head_channels), doubled, seed=0)
        return {name: head[0].out_features for name, head in model.heads.items()}

    assert set(widths(None).values()) == {16}
    assert set(widths(7).values()) == {7}
    assert {name: width for name, width in widths({"more": 3}).items() if width == 3}.keys() == {
        f"{level}:more" for level in LEVELS
    }


@pytest.mark.parametrize("wrong", [{"hidden_channels": 0}, {"num_layers": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_a_size_or_dropout_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="Expected hidden_channels"):
        ModelConfig(**wrong)


# ------------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("names", [["toy"], ["oxygen"], ["heavy", "element"]])
def test_a_loaded_model_has_the_same_tasks(toy, names, tmp_path):
    saved = MultiTaskModel(SMALL, toy.select(names).tasks, seed=1)
    saved.save(tmp_path)
    loaded = open_model(tmp_path)
    assert loaded.config == SMALL
    pd.testing.assert_frame_equal(loaded.tasks, saved.tasks)


def test_a_loaded_model_gives_the_same_predictions(toy, toy_table, tmp_path):
    saved = MultiTaskModel(SMALL, toy.tasks, seed=1)
    saved.save(tmp_path)
    loaded = open_model(tmp_path)
    assert not loaded.training
    for level in LEVELS:
        texts = toy_table.smiles
        pd.testing.assert_frame_equal(loaded.predict(texts, level), saved.predict(texts, level), check_exact=True)
    np.testing.assert_array_equal(loaded.embed(toy_table.smiles), saved.embed(toy_table.smiles))


def test_a_saved_model_consists_of_weights_and_json(model, tmp_path):
    model.save(tmp_path / "new" / "folder")
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"model.safetensors", "model.json"}
    facts = json.loads((tmp_path / "new" / "folder" / "model.json").read_text())
    assert ModelConfig(**facts["config"]) == SMALL
    assert [task["task"] for task in facts["tasks"]] == model.tasks.task.tolist()


# ---------------------------------------------------------------------------------------------------------- predictions


def test_predictions_are_in_the_units_of_the_labels_or_probabilities(doubled):
    z = np.linspace(-2, 2, len(doubled))
    model = answering(doubled, z)
    regression = doubled["mean"] + z * doubled["std"]
    expected = pd.Series(np.where(doubled.kind == "binary", 1 / (1 + np.exp(-z)), regression), doubled.task)
    for level in LEVELS:
        found = model.predict("CCO", level=level)
        tasks = doubled.task[doubled.level == level].tolist()
        assert found.columns[-len(tasks) :].tolist() == tasks
        for task in tasks:
            assert found[task].tolist() == pytest.approx([expected[task]] * len(found), rel=1e-5), task


@pytest.mark.parametrize("logit", [-200.0, 0.3, 200.0])
def test_probabilities_stay_between_0_and_1(toy, logit):
    tasks = toy.select(["oxygen"]).tasks
    [value] = answering(tasks, np.array([logit])).predict("C")["toy/oxygen"]
    assert 0 <= value <= 1
    assert value == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)


@pytest.mark.parametrize(("facts", "value"), [({"mean": 4.0, "std": 0.0}, 5.5), ({"mean": np.nan, "std": np.nan}, 1.5)])
def test_values_of_a_task_without_spread_are_around_its_mean_in_its_unit(toy, facts, value):
    tasks = toy.select(["heavy"]).tasks.assign(**facts)
    assert answering(tasks, np.array([1.5])).predict("C")["toy/heavy"].tolist() == [value]


def test_tasks_are_chosen_by_id_or_name_in_the_requested_order(model):
    everything = model.predict(["CO", "C"])
    assert everything.columns.tolist() == ["mol_id", "smiles", "toy/heavy", "toy/oxygen"]
    for names in (["oxygen", "toy/heavy"], ["toy/oxygen", "heavy"]):
        chosen = model.predict(["CO", "C"], tasks=names)
        pd.testing.assert_frame_equal(chosen, everything[["mol_id", "smiles", "toy/oxygen", "toy/heavy"]])
    pd.testing.assert_frame_equal(model.predict(["CO", "C"], tasks="heavy"), everything.drop(columns="toy/oxygen"))


def test_an_unknown_level_is_an_error_that_names_the_levels(model):
    with pytest.raises(ValueError, match="'bond'; expected one of graph, node, edge"):
        model.predict("CO", level="bond")


def test_an_unknown_task_is_an_error_that_names_the_tasks_of_the_level(model):
    for level, name, known in (("graph", "heavvy", "toy/heavy, toy/oxygen"), ("node", "heavy", "toy/element")):
        with pytest.raises(ValueError, match=f"No task '{name}' in this model at {level} level.* It has {known}"):
            model.predict("CO", level=level, tasks=[name])


def test_an_ambiguous_task_name_is_an_error_that_lists_the_matches(doubled):
    model = MultiTaskModel(SMALL, doubled, seed=0)
    with pytest.raises(
        ValueError, match=r"'heavy' is the name of 2 tasks of this model at graph level: toy/heavy, more/heavy"
    ):
        model.predict("CO", tasks=["heavy"])
    assert model.predict("CO", tasks=["more/heavy"]).columns[-1] == "more/heavy"


def test_a_level_without_tasks_is_an_error_that_lists_the_levels_with_tasks(toy):
    model = MultiTaskModel(SMALL, toy.select(["heavy", "element"]).tasks, seed=0)
    with pytest.raises(ValueError, match="no task at edge level; it has graph, node"):
        model.predict("CO", level="edge")


# ----------------------------------------------------------------------------------------------------------- ordinal tasks


@pytest.fixture(scope="module")
def graded(toy):
    """The toy tasks and two ordinal tasks, of 3 and 5 classes."""
    tasks = toy.tasks.assign(classes=pd.array([pd.NA] * 4, dtype="Int64"))
    more = tasks.iloc[[0, 0]].assign(task=["toy/size", "toy/grade"], kind="ordinal", classes=[3, 5], mean=1.0, std=9.0)
    return pd.concat([tasks.iloc[:1], more, tasks.iloc[1:]], ignore_index=True)


def test_an_ordinal_task_is_predicted_as_expected_class_and_class_probabilities(graded):
    model = MultiTaskModel(SMALL, graded, seed=0)
    found = model.predict(["CCO", "c1ccccc1"])
    size, grade = [f"toy/size={c}" for c in range(3)], [f"toy/grade={c}" for c in range(5)]
    columns = ["mol_id", "smiles", "toy/heavy", "toy/size", *size, "toy/grade", *grade, "toy/oxygen"]
    assert found.columns.tolist() == columns
    for task, names in (("toy/size", size), ("toy/grade", grade)):
        assert found[names].sum(axis=1).tolist() == pytest.approx([1, 1])
        expected = found[names].to_numpy() @ np.arange(len(names))
        assert found[task].tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    chosen = model.predict(["CCO", "c1ccccc1"], tasks=["oxygen", "grade"])
    pd.testing.assert_frame_equal(chosen, found[["mol_id", "smiles", "toy/oxygen", "toy/grade", *grade]])


def test_each_output_of_a_head_belongs_to_one_task(graded):
    model = MultiTaskModel(SMALL, graded, seed=0)
    bias = torch.tensor([2.0, 0.0, 5.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, -3.0])  # heavy, size (3), grade (5), oxygen
    with torch.no_grad():
        model.heads["graph:toy"][-1].weight.zero_()
        model.heads["graph:toy"][-1].bias.copy_(bias)
    [row] = model.predict("CCO").to_dict("records")
    assert row["toy/heavy"] == pytest.approx(2 * graded["std"][0] + graded["mean"][0], rel=1e-5)
    assert row["toy/size=1"] == pytest.approx(np.exp(5) / (np.exp(5) + 2), rel=1e-5)
    assert row["toy/grade=0"] == pytest.approx(np.exp(9) / (np.exp(9) + 4), rel=1e-5)
    assert row["toy/oxygen"] == pytest.approx(1 / (1 + np.exp(3)), rel=1e-5)


def test_a_loaded_model_with_ordinal_tasks_gives_the_same_predictions(graded, tmp_path):
    saved = MultiTaskModel(ModelConfig(16, 1, three_classes=True), graded, seed=0)
    saved.save(tmp_path)
    loaded = open_model(tmp_path)
    pd.testing.assert_frame_equal(loaded.tasks, saved.tasks)
    pd.testing.assert_frame_equal(loaded.predict(VARIED), saved.predict(VARIED), check_exact=True)
    assert "toy/grade=2" in saved.predict("C") and "toy/grade=3" not in saved.predict("C")


# ---------------------------------------------------------------------------------------------------------- odd molecules


def test_invalid_smiles_are_named_and_have_no_values(model):
    texts = ["C", "junk", "CO", ""]
    with pytest.warns(
        UserWarning, match="2 of 4 SMILES have no prediction. The first is 'junk' at position 1: .*parse"
    ):
        graph = model.predict(texts)
    assert graph.mol_id.tolist() == [0, 1, 2, 3]
    assert graph.smiles.tolist() == texts
    assert graph[["toy/heavy", "toy/oxygen"]].isna().all(axis=1).tolist() == [False, True, False, True]
    np.testing.assert_allclose(graph.loc[2, "toy/heavy"], model.predict("CO").loc[0, "toy/heavy"], atol=1e-5)
    with pytest.warns(UserWarning, match="'junk' at position 1"):
        nodes = model.predict(texts, level="node")
    assert nodes.mol_id.tolist() == [0, 2, 2]
    assert nodes.smiles.tolist() == ["C", "CO", "CO"]
    assert nodes.element.tolist() == ["C", "C", "O"]
    assert nodes["toy/element"].notna().all()
    with pytest.warns(UserWarning, match="'junk' at position 1"):
        edges = model.predict(texts, level="edge")
    assert edges[["mol_id", "begin", "end"]].to_numpy().tolist() == [[2, 0, 1]]


def test_only_invalid_smiles_give_no_values(model):
    with pytest.warns(UserWarning, match="1 of 1"):
        assert model.predict("junk")["toy/heavy"].isna().tolist() == [True]
    with pytest.warns(UserWarning, match="1 of 1"):
        assert len(model.predict("junk", level="node")) == 0


def test_a_valid_smiles_gives_no_warning(toy, recwarn):
    model = MultiTaskModel(SMALL, toy.tasks, seed=0)
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # else PyTorch warns once per process, perhaps in an earlier test
    try:
        for level in LEVELS:
            model.predict("CO", level=level)
        model.embed("CO")
    finally:
        torch.set_warn_always(before)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("level", LEVELS)
def test_a_single_smiles_can_be_given_as_a_string(model, level):
    pd.testing.assert_frame_equal(model.predict("CCO", level), model.predict(["CCO"], level))
    assert (model.predict("CCO", level).smiles == "CCO").all()


@pytest.mark.parametrize(
    ("level", "columns"),
    [
        ("graph", ["toy/heavy", "toy/oxygen"]),
        ("node", ["atom", "element", "toy/element"]),
        ("edge", ["begin", "end", "toy/order"]),
    ],
)
def test_no_molecules_give_a_table_without_rows(model, level, columns):
    found = model.predict([], level=level)
    assert found.columns.tolist() == ["mol_id", "smiles", *columns]
    assert len(found) == 0


def test_a_single_atom_has_graph_and_node_predictions_and_no_bonds(model):
    assert np.isfinite(model.predict("O").iloc[:, 2:]).all(axis=None)
    nodes = model.predict(["O", "[Na+]"], level="node")
    assert nodes[["mol_id", "atom", "element"]].to_numpy().tolist() == [[0, 0, "O"], [1, 0, "Na"]]
    assert np.isfinite(nodes["toy/element"]).all()
    assert model.predict("O", level="edge").columns.tolist() == ["mol_id", "smiles", "begin", "end", "toy/order"]
    assert len(model.predict("O", level="edge")) == 0


def test_fragments_of_a_molecule_do_not_affect_each_other(model):
    whole, alone = (model.predict(text, level="node") for text in ("CCO.[Na+].CN", "CCO"))
    assert whole.element.tolist() == ["C", "C", "O", "Na", "C", "N"]
    np.testing.assert_allclose(whole["toy/element"][:3], alone["toy/element"], atol=1e-5)
    edges = model.predict("CCO.[Na+].CN", level="edge")
    assert edges[["begin", "end"]].to_numpy().tolist() == [[0, 1], [1, 2], [4, 5]]
    assert np.isfinite(model.predict("CCO.[Na+].CN").iloc[:, 2:]).all(axis=None)


# -------------------------------------------------------------------------------------------------------------- embeddings


def test_an_embedding_is_what_the_graph_heads_read(model):
    vectors = model.embed(["CCO", "c1ccccc1", "C"])
    assert (vectors.shape, vectors.dtype) == ((3, 32), np.float32)
    with torch.no_grad():
        out = model.heads["graph:toy"](torch.tensor(vectors))
    found = model.predict(["CCO", "c1ccccc1", "C"])
    assert out[:, 1].sigmoid().tolist() == pytest.approx(found["toy/oxygen"].tolist(), abs=1e-6)


def test_embeddings_of_invalid_smiles_are_nan(model):
    vectors = model.embed(["CCO", "junk", "C"])
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True, False]
    assert np.isfinite(vectors[[0, 2]]).all()
    np.testing.assert_allclose(vectors[2], model.embed("C")[0], atol=1e-5)
    assert model.embed([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (300.0, 0.0, (300.0, 1.0)),  # one label, or constant ones
        (3e-9, 1e-9, (3e-9, 1e-9)),  # small numbers, such as Ki in M
        (np.nan, np.nan, (0.0, 1.0)),  # no training label
    ],
)
def test_a_task_without_spread_keeps_its_mean_and_unit(mean, std, expected):
    tasks = pd.DataFrame(
        {"task": ["a/y"], "dataset": "a", "level": "graph", "kind": "regression", "mean": mean, "std": std}
    )
    model = MultiTaskModel(SMALL, tasks, seed=0)
    assert (float(model.mean[0]), float(model.std[0])) == pytest.approx(expected, rel=1e-6)


# -------------------------------------------------------------------------------------------------- what users hand over


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_smiles_has_a_row_without_values_and_no_text(model, missing):
    with pytest.warns(UserWarning, match="1 of 3 SMILES .* empty SMILES"):
        found = model.predict(pd.Series(["CO", missing, "C"]))
    assert found.smiles.isna().tolist() == found["toy/heavy"].isna().tolist() == [False, True, False]
    with pytest.warns(UserWarning, match="1 of 2 SMILES"):
        assert np.isnan(model.embed(["CO", missing])).any(axis=1).tolist() == [False, True]


def test_an_rdkit_molecule_is_predicted_like_its_smiles(model):
    expected = model.predict(["CCO"]).drop(columns="smiles")
    pd.testing.assert_frame_equal(model.predict([Chem.MolFromSmiles("OCC")]).drop(columns="smiles"), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"name": ["a"], "smiles": ["C"]}), "a table with the columns name, smiles: choose one"),
        (Path("mine.csv"), r"Expected one SMILES or several, found .*mine\.csv"),
        (None, "Expected one SMILES or several, found None"),
    ],
)
def test_what_holds_no_smiles_is_refused_with_what_it_is(model, given, message):
    for call in (model.predict, model.embed):
        with pytest.raises(TypeError, match=message):
            call(given)


def test_several_lines_are_not_one_smiles(model):
    with pytest.warns(UserWarning, match="several lines, expected one SMILES"):
        assert model.predict("CCO\nCCN")["toy/heavy"].isna().all()


def test_no_tasks_are_an_error(model):
    with pytest.raises(ValueError, match="at least one task, found none"):
        model.predict("CO", tasks=[])


def test_predicting_leaves_every_module_in_the_mode_it_was_in(model):
    model.train()
    model.encoder.eval()
    before = {name: module.training for name, module in model.named_modules()}
    model.predict("CO"), model.embed("CO")
    assert {name: module.training for name, module in model.named_modules()} == before
    model.eval()
