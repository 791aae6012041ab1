import copy
import multiprocessing

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from torch_geometric.data import Batch, Data

import molfm
from molfm.base.names import UnknownName
from molfm.batches import samplers
from molfm.batches.batch import to_batch
from molfm.batches.loaders import MixDataModule
from molfm.batches.resident import Resident
from molfm.batches.samplers import EpochSampler, StreamSampler
from molfm.batches.shares import shares
from molfm.catalog.schema import LEVELS
from molfm.chem.featurize import featurize
from molfm.data.store import in_memory, structure

STRUCTURE = ("x", "walk", "edge_index", "edge_attr", "batch", "ptr")
LABELS = [f"{level}_{name}" for level in LEVELS for name in ("item", "task", "value")]


@pytest.fixture(scope="module")
def molecules(toy):
    """Molecules of different kinds, in no particular order: ring, single atom, salt-free ion, chain."""
    return np.array([25, 0, 33, 8, 1, 25])


@pytest.fixture(scope="module")
def batch(toy, molecules):
    return to_batch(toy.gather(molecules, "train"))


@pytest.fixture(scope="module")
def singles(toy, molecules):
    """The same molecules, one batch each."""
    return [to_batch(toy.gather(molecules[i : i + 1], "train")) for i in range(len(molecules))]


def drawn(sampler):
    """Return the requests of a sampler as lists."""
    return [[None if part is None else part.tolist() for part in request] for request in sampler]


# ----------------------------------------------------------------------------------------------------------------- batches


def test_a_batch_equals_the_one_that_pyg_makes_from_its_parts(batch, singles):
    parts = [Data(**{name: single[name] for name in ("x", "walk", "edge_index", "edge_attr")}) for single in singles]
    expected = Batch.from_data_list(parts)
    for name in STRUCTURE:
        assert torch.equal(batch[name], expected[name]), name
        assert batch[name].dtype == expected[name].dtype, name
    assert batch.num_graphs == expected.num_graphs == 6
    assert batch.num_nodes == expected.num_nodes


def test_a_batch_comes_apart_into_its_molecules(batch, singles, molecules):
    parts = batch.to_data_list()
    assert len(parts) == 6
    for i, (part, single) in enumerate(zip(parts, singles, strict=True)):
        for name in ("x", "walk", "edge_index", "edge_attr", *LABELS):
            assert torch.equal(part[name], single[name]), name
            assert torch.equal(batch[i][name], single[name]), name
        assert part.mol_id.tolist() == [molecules[i]]


def test_pyg_joins_the_parts_into_the_same_batch(batch):
    again = Batch.from_data_list(batch.to_data_list())
    for name in (*STRUCTURE, "mol_id", *(name for name in LABELS if not name.endswith("item"))):
        assert torch.equal(again[name], batch[name]), name


def test_fields_have_the_documented_shapes_and_types(batch):
    n, e = batch.num_nodes, batch.num_edges
    assert (tuple(batch.x.shape), batch.x.dtype) == ((n, 9), torch.uint8)
    assert (tuple(batch.walk.shape), batch.walk.dtype) == ((n, 16), torch.float16)
    assert (tuple(batch.edge_index.shape), batch.edge_index.dtype) == ((2, e), torch.int64)
    assert (tuple(batch.edge_attr.shape), batch.edge_attr.dtype) == ((e, 3), torch.uint8)
    assert all(batch[f"{level}_value"].dtype == torch.float32 for level in LEVELS)
    assert all(batch[f"{level}_{name}"].dtype == torch.int64 for level in LEVELS for name in ("item", "task"))


def test_a_batch_carries_the_encodings_that_were_gathered_and_comes_apart_with_them(toy, molecules):
    names = ("laplacian-3-sym", "walk-16")
    batch = to_batch(toy.gather(molecules, "train", encodings=names))
    assert (tuple(batch.laplacian.shape), batch.laplacian.dtype) == ((batch.num_nodes, 6), torch.float16)
    for part, molecule in zip(batch.to_data_list(), molecules, strict=True):
        single = to_batch(toy.gather(np.array([molecule]), "train", encodings=names))
        assert torch.equal(part.laplacian, single.laplacian)
        assert torch.equal(part.walk, single.walk)
    bare = to_batch(toy.gather(molecules, "train", encodings=()))
    assert {"walk", "laplacian"}.isdisjoint(bare.keys())


def test_loaders_gather_the_requested_encodings(toy):
    loaders = MixDataModule(toy, batch_size=8, encodings=("laplacian-8-none",))
    for loader in (loaders.train_dataloader(), loaders.val_dataloader()):
        batch = next(iter(loader))
        assert "walk" not in batch
        assert batch.laplacian.shape[1] == 16


def test_the_two_directions_of_a_bond_are_adjacent():
    found = featurize(["CC=O", "C", "C#N"])
    batch = to_batch(structure(in_memory(found), np.arange(3)))
    assert batch.edge_index.tolist() == [[0, 1, 1, 2, 4, 5], [1, 0, 2, 1, 5, 4]]
    assert batch.edge_attr[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.edge_index.is_contiguous()
    assert batch.batch.tolist() == [0, 0, 0, 1, 2, 2]
    assert batch.ptr.tolist() == [0, 3, 4, 6]


def test_items_are_numbered_within_the_batch(toy):
    frame = toy.molecules
    split = frame["split:toy"][frame.smiles == "CCO"].iloc[0]
    molecules = np.array([frame.smiles.tolist().index("O"), frame.smiles.tolist().index("CCO")])
    batch = to_batch(toy.select(["element", "order"]).gather(molecules, split))
    ethanol = batch.node_item >= 1
    assert batch.node_item[ethanol].tolist() == [1, 2, 3]
    assert batch.node_value[ethanol].tolist() == [6, 6, 8]
    assert batch.edge_item.tolist() == [0, 1]
    assert batch.edge_value.tolist() == [1, 1]


def test_every_label_belongs_to_its_own_atom_bond_or_molecule(toy):
    """The toy labels are properties of the items themselves, so they must agree with the items' codes."""
    batch = to_batch(toy.gather(toy.members("train"), "train"))
    element = batch.x[batch.node_item, 0]
    assert batch.node_value.tolist() == element.tolist()
    kind = batch.edge_attr[2 * batch.edge_item, 0].long()
    assert batch.edge_value.tolist() == torch.tensor([1.0, 2.0, 3.0, 1.5])[kind].tolist()
    sizes = torch.bincount(batch.batch)
    heavy = batch.graph_task == toy.task_number("heavy")
    assert batch.graph_value[heavy].tolist() == sizes[batch.graph_item[heavy]].tolist()
    tasks = [toy.task_number(name) for name in ("element", "order")]
    assert (batch.node_task.unique().tolist(), batch.edge_task.unique().tolist()) == ([tasks[0]], [tasks[1]])


def test_molecules_without_bonds_make_a_batch(toy):
    single = [i for i, smiles in enumerate(toy.molecules.smiles) if smiles in ("C", "O", "N")]
    batch = to_batch(toy.gather(np.array(single), "train"))
    assert tuple(batch.edge_index.shape) == (2, 0)
    assert tuple(batch.edge_attr.shape) == (0, 3)
    assert len(batch.to_data_list()) == 3


def test_a_batch_can_be_moved_and_copied_like_any_pyg_batch(batch):
    doubled = copy.copy(batch).to(torch.device("cpu"))
    assert torch.equal(doubled.x, batch.x)
    assert len(doubled.to_data_list()) == 6


# ---------------------------------------------------------------------------------------------------------------- samplers


def test_an_epoch_covers_each_molecule_once_in_a_new_order():
    sampler = EpochSampler(np.arange(10, 33), batch_size=5, seed=0, shuffle=True)
    first = drawn(sampler)
    sampler.set_epoch(1)
    second = drawn(sampler)
    for epoch in (first, second):
        assert [len(molecules) for molecules, _ in epoch] == [5, 5, 5, 5, 3]
        assert len(sampler) == 5
        assert sorted(number for molecules, _ in epoch for number in molecules) == list(range(10, 33))
    assert first != second
    again = EpochSampler(np.arange(10, 33), batch_size=5, seed=0, shuffle=True)
    assert drawn(again) == first
    assert drawn(EpochSampler(np.arange(10, 33), batch_size=5, seed=1, shuffle=True)) != first


def test_an_epoch_without_shuffling_keeps_the_order():
    sampler = EpochSampler(np.array([5, 3, 8]), batch_size=2, seed=0, shuffle=False)
    assert drawn(sampler) == [[[5, 3], None], [[8], None]]


def stream(sizes, seed=0, steps=7):
    members = {"target": np.arange(10), "source": np.arange(5, 40), "other": np.arange(100, 103)}
    numbers = {"target": 0, "source": 1, "other": 2}
    return drawn(StreamSampler({name: members[name] for name in sizes}, numbers, sizes, steps, seed))


def of_dataset(requests, number):
    return [[m for m, d in zip(molecules, datasets, strict=True) if d == number] for molecules, datasets in requests]


def test_a_target_sees_the_same_molecules_whatever_else_is_trained():
    alone = of_dataset(stream({"target": 4}), 0)
    assert of_dataset(stream({"target": 4, "source": 6}), 0) == alone
    assert of_dataset(stream({"other": 2, "source": 9, "target": 4}), 0) == alone
    assert of_dataset(stream({"target": 4}, steps=3), 0) == alone[:3]
    assert of_dataset(stream({"target": 4}, seed=1), 0) != alone


def test_a_stream_is_deterministic():
    assert stream({"target": 4, "source": 6}) == stream({"target": 4, "source": 6})


def test_a_stream_yields_each_molecule_once_before_any_twice():
    seen = [number for drawn in of_dataset(stream({"target": 4}, steps=10), 0) for number in drawn]
    assert len(seen) == 40
    laps = [seen[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(lap) == list(range(10)) for lap in laps)
    assert laps[0] != laps[1]


def test_a_batch_larger_than_its_dataset_repeats_it():
    [[molecules, datasets]] = stream({"other": 7}, steps=1)
    assert datasets == [2] * 7
    assert set(np.unique(molecules, return_counts=True)[1]) <= {2, 3}


# ----------------------------------------------------------------------------------------------------------------- loaders


def test_the_training_loader_yields_every_training_molecule_once_with_training_labels(toy):
    loader = MixDataModule(toy, batch_size=7).train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader)
    molecules = torch.cat([batch.mol_id for batch in batches]).tolist()
    assert sorted(molecules) == toy.members("train").tolist()
    counts = sum(torch.bincount(batch[f"{level}_task"], minlength=4) for batch in batches for level in LEVELS)
    assert counts.tolist() == toy.tasks.n_train.tolist()


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_other_loaders_yield_the_labels_of_their_split(toy, split):
    batches = list(getattr(MixDataModule(toy), f"{split}_dataloader")())
    assert torch.cat([batch.mol_id for batch in batches]).tolist() == toy.members(split).tolist()
    counts = sum(torch.bincount(batch[f"{level}_task"], minlength=4) for batch in batches for level in LEVELS)
    assert counts.tolist() == toy.tasks[f"n_{split}"].tolist()


def test_watch_narrows_the_validation_loader(toy):
    [batch] = MixDataModule(toy, watch=["order"]).val_dataloader()
    assert batch.mol_id.tolist() == toy.members("val", ["order"]).tolist()
    assert len(batch.mol_id) < len(toy.members("val"))


@pytest.fixture(scope="module")
def two_datasets(make_card, tmp_path_factory, toy_table):
    """Two datasets over the same molecules, all of them in training."""
    folder = tmp_path_factory.mktemp("two")
    frame = toy_table[["smiles", "oxygen"]]
    for name in ("left", "right"):
        make_card(name, frame, {"oxygen": {"kind": "binary"}}, folder, fractions=[1.0, 0.0, 0.0])
    (folder / "two.md").write_text("---\nname: two\ndatasets: [left, right]\n---\n")
    return molfm.load(folder / "two.md", progress=False)


def test_a_molecule_drawn_for_one_dataset_carries_only_its_labels(two_datasets):
    batches = list(MixDataModule(two_datasets, batch_size={"right": 3, "left": 5}, steps=4).train_dataloader())
    assert len(batches) == 4
    for batch in batches:
        assert batch.num_graphs == 8
        assert sorted(batch.graph_task.tolist()) == [0] * 5 + [1] * 3
        assert sorted(batch.graph_item.tolist()) == list(range(8))


def test_a_dataset_without_training_labels_cannot_be_a_stream(two_datasets):
    with pytest.raises(ValueError, match="right has no training labels"):
        MixDataModule(
            two_datasets.keep(["right"], np.zeros(len(two_datasets), bool)), batch_size={"left": 3, "right": 3}, steps=2
        ).train_dataloader()


def test_loader_processes_yield_the_same_batches(toy):
    here, there = (list(MixDataModule(toy, batch_size=16, num_workers=n).train_dataloader()) for n in (0, 1))
    for mine, theirs in zip(here, there, strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in (*STRUCTURE, "mol_id", *LABELS))
    pd.testing.assert_series_equal(toy.labels("heavy"), toy.labels("heavy"))


def test_the_batches_of_a_step_divide_its_molecules_and_carry_its_label_counts(toy):
    whole = list(MixDataModule(toy, batch_size=9).train_dataloader())
    parts = list(MixDataModule(toy, batch_size=9, accumulate=4).train_dataloader())
    assert len(parts) == 4 * len(whole) == len(MixDataModule(toy, batch_size=9, accumulate=4).train_dataloader())
    for number, step in enumerate(whole):
        mine = parts[4 * number : 4 * number + 4]
        counts = sum(torch.bincount(batch[f"{level}_task"], minlength=4) for batch in mine for level in LEVELS)
        labelled = [batch for batch in mine if batch.graph_task.numel() or batch.node_task.numel()]
        assert sorted(torch.cat([batch.mol_id for batch in labelled]).tolist()) == sorted(step.mol_id.tolist())
        assert step.label_counts.tolist() == counts.tolist()
        assert all(torch.equal(batch.label_counts, step.label_counts) for batch in mine)
        assert len(mine[0].to_data_list()) == mine[0].num_graphs


def test_a_batch_without_molecules_of_its_own_gets_one_without_labels(toy):
    first, *others = MixDataModule(toy, batch_size=1, accumulate=3).train_dataloader()
    for batch in others[:2]:
        assert batch.mol_id.tolist() == first.mol_id.tolist()
        assert not any(len(batch[f"{level}_task"]) for level in LEVELS)
        assert batch.label_counts.sum() > 0


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    "settings", [{}, {"steps": 11}, {"fractions": {"toy": 0.5}}, {"batch_size": {"toy": 4}, "steps": 7}]
)
def test_a_loader_resumes_from_the_state_of_another(toy, settings, num_workers):
    settings = {"batch_size": 4, "accumulate": 2, **settings}
    loader = MixDataModule(toy, **settings).train_dataloader()
    expected = [batch.mol_id.tolist() for batch in loader]
    assert len(expected) == len(loader)
    for taken in (1, 6):
        found = MixDataModule(toy, **settings, num_workers=num_workers).train_dataloader()
        for _ in zip(range(taken), found, strict=False):
            state = found.state_dict()
        again = MixDataModule(toy, **settings, num_workers=num_workers).train_dataloader()
        again.load_state_dict(state)
        assert [batch.mol_id.tolist() for batch in again] == expected[state["handed_out"] :]
        assert [batch.mol_id.tolist() for batch in again] == expected  # the next pass starts from the beginning


# -------------------------------------------------------------------------------------------------- shares of datasets


def test_a_large_set_is_shuffled_in_windows_of_random_blocks_without_losing_any(monkeypatch):
    monkeypatch.setattr(samplers, "WINDOW", 64)
    monkeypatch.setattr(samplers, "BLOCK", 4)
    members = np.arange(1000, 1403)
    pieces = list(samplers.shuffled(members, np.random.default_rng(0)))
    assert len(pieces) == 7
    assert max(map(len, pieces)) == 64
    order = np.concatenate(pieces)
    assert sorted(order) == members.tolist()
    assert not np.array_equal(order, members)
    for piece in pieces:  # a window consists of whole blocks of neighbours
        blocks, counts = np.unique((piece - 1000) // 4, return_counts=True)
        assert all(count == 4 or block == 100 for block, count in zip(blocks, counts, strict=True))


def test_an_epoch_of_a_large_set_has_full_batches_across_windows(monkeypatch):
    monkeypatch.setattr(samplers, "WINDOW", 8)
    monkeypatch.setattr(samplers, "BLOCK", 2)
    sampler = EpochSampler(np.arange(23), batch_size=5, seed=0, shuffle=True)
    epoch = [molecules.tolist() for molecules, _ in sampler]
    assert [len(part) for part in epoch] == [5, 5, 5, 5, 3]
    assert sorted(number for part in epoch for number in part) == list(range(23))


def test_shares_follow_fractions_and_temperature():
    sizes = {"large": 900, "small": 100}
    assert shares(sizes, {}, 1) == sizes
    assert shares(sizes, {"large": 0.1}, 1) == {"large": 90, "small": 100}
    assert shares(sizes, {}, 2) == {"large": 750, "small": 250}  # 30 to 10
    assert shares(sizes, {}, 1e9) == {"large": 500, "small": 500}


@pytest.mark.parametrize(("fractions", "temperature"), [({"other": 0.5}, 1), ({"large": 0}, 1), ({}, 0.5)])
def test_invalid_shares_are_errors(fractions, temperature):
    with pytest.raises(ValueError, match=r"Unknown dataset 'other'|above 0 and a temperature of 1 or more"):
        shares({"large": 900, "small": 100}, fractions, temperature)


def test_an_epoch_holds_each_datasets_share_and_each_molecule_only_the_labels_it_was_drawn_for(two_datasets):
    settings = {"batch_size": 8, "fractions": {two_datasets.cards[0].name: 0.5}, "seed": 3}
    loader = MixDataModule(two_datasets, **settings).train_dataloader()
    seen = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        drawn = [(m, d) for molecules, datasets in loader.sampler for m, d in zip(molecules, datasets, strict=True)]
        counts = np.bincount([d for _, d in drawn])
        n = [len(two_datasets.members("train", [card.name])) for card in two_datasets.cards]
        assert counts.tolist() == [round(n[0] / 2), n[1]]
        seen += [m for m, d in drawn if d == 0]
    assert len(set(seen)) == len(seen)  # the second epoch continues where the first stopped
    for batch, (_, datasets) in zip(loader, loader.sampler, strict=True):
        assert np.bincount(batch.graph_task, minlength=2).tolist() == np.bincount(datasets, minlength=2).tolist()


def test_closing_a_loader_before_its_end_leaves_no_process(toy):
    before = set(multiprocessing.active_children())
    data = MixDataModule(toy, batch_size=2, num_workers=2)
    next(iter(data.train_dataloader()))
    assert set(multiprocessing.active_children()) <= before  # the discarded iterator left no process
    batches = iter(data.train_dataloader())
    next(batches)
    assert len(set(multiprocessing.active_children()) - before) == 2
    data.close()
    assert set(multiprocessing.active_children()) <= before


def test_a_dataset_that_shares_its_name_with_a_task_is_drawn_from_whole(make_card, toy_table):
    table = toy_table[["smiles"]].assign(bbb=np.nan, x=1.0)
    table.loc[::4, "bbb"] = 0.0
    mix = molfm.load(make_card("bbb", table, {"bbb": {}, "x": {}}), progress=False)
    for settings in ({"batch_size": {"bbb": 8}, "steps": 20}, {"fractions": {"bbb": 1.0}}):
        drawn = {
            number for batch in MixDataModule(mix, **settings).train_dataloader() for number in batch.mol_id.tolist()
        }
        assert drawn == set(mix.members("train", ["x"]))
    with pytest.raises(UnknownName, match="Unknown dataset 'toy' in batch_size; expected bbb"):
        MixDataModule(mix, batch_size={"toy": 8}, steps=1).train_dataloader()


# --------------------------------------------------------------------------------------------------- batches on a device


@pytest.fixture(scope="module")
def odd_datasets(make_card, tmp_path_factory):
    """A mix of two datasets that share molecules, with labels at all levels, missing labels and a large molecule."""
    folder, smiles = tmp_path_factory.mktemp("two"), ["CCO", "c1ccccc1", "C" * 300, "C[N+](C)(C)C", "OCC(O)CO", "N"]
    mols = [Chem.MolFromSmiles(text) for text in smiles]
    first = pd.DataFrame({"smiles": smiles, "y": [1.0, None, 3.0, 4.0, 5.0, None]})
    first["q"] = [[float(a.GetAtomicNum()) for a in mol.GetAtoms()] for mol in mols]
    second = pd.DataFrame({"smiles": smiles[::-1], "b": [0, 1, 1, None, 0, 1]})
    second["w"] = [[b.GetBondTypeAsDouble() for b in mol.GetBonds()] for mol in mols[::-1]]
    everything = {"fractions": [1, 0, 0], "folder": folder}
    make_card("one", first, {"y": None, "q": {"level": "node"}}, **everything)
    make_card("other", second, {"b": {"kind": "binary"}, "w": {"level": "edge"}}, **everything)
    (folder / "two.md").write_text("---\nname: two\ndatasets: [one, other]\n---\n")
    return molfm.load(folder / "two.md", progress=False)


@pytest.mark.parametrize("datasets", [None, [0, 1, 0, 1, 0, 1], [-1] * 6, [1, -1, 1, 0, -1, 0]])
def test_a_batch_made_on_a_device_equals_the_one_of_the_loader(odd_datasets, datasets):
    encodings = ("walk-16", "laplacian-3-sym")
    mix = odd_datasets.keep(["y"], np.arange(len(odd_datasets)) != 3)
    resident = Resident(mix, "train", mix.members("train")[::-1], encodings, torch.device("cpu"))
    molecules = np.array([2, 0, 5, 3, 1, 4])
    only = None if datasets is None else np.array(datasets)
    requests = [(molecules, only), (molecules[4:5], None), (molecules[:3], None if only is None else only[:3])]
    for made, request in zip(resident.batches(requests), requests, strict=True):
        expected = to_batch(mix.gather(request[0], "train", request[1], encodings))
        for name in (*STRUCTURE, "laplacian", *LABELS, "mol_id"):
            assert torch.equal(made[name], expected[name]), name
            assert made[name].dtype == expected[name].dtype, name
        assert made.num_graphs == expected.num_graphs
        tasks = torch.cat([expected[f"{level}_task"] for level in LEVELS])
        assert made.label_counts.tolist() == torch.bincount(tasks, minlength=4).tolist()


def test_training_on_batches_made_on_a_device_is_the_same(odd_datasets, toy, own_home, monkeypatch):
    """A CPU takes the part of the GPU."""
    small = {"hidden_channels": 8, "num_layers": 1, "dropout": 0, "progress": False, "accumulate": 2}
    cases = [{"epochs": 2, "batch_size": 7}, {"steps": 6, "batch_size": {"toy": 5}, "validate_every": 3}]
    expected = [molfm.train(toy, **small, **case) for case in cases]
    asked = []
    monkeypatch.setattr("molfm.batches.loaders.fits", lambda *given: asked.append(given) or True)
    for case, run in zip(cases, expected, strict=True):
        again = molfm.train(toy, **small, **case)
        pd.testing.assert_frame_equal(again.metrics, run.metrics, check_exact=True)
    assert len(asked) == 2
    molfm.train(toy, **small, **cases[0], on_device=False)
    assert len(asked) == 2
