import numpy as np
import pandas as pd
import pytest

import molfm
from molfm.explore import label_map
from molfm.explore.label_map import TILE_ROWS, LabelMap
from molfm.explore.lookup import Lookup


@pytest.fixture
def tall(make_card, own_home):
    """A mix of 600 molecules: `a` is measured for all, `b` for every third, `c` (binary) for every second."""
    n = 600
    i = np.arange(n)
    table = pd.DataFrame(
        {
            "smiles": ["C" * (1 + k % 30) + "O" * (1 + k // 30) for k in i],
            "a": i.astype(float),
            "b": np.where(i % 3 == 0, -2.0 * i, np.nan),
            "c": np.where(i % 2 == 0, (i % 4 == 0).astype(float), np.nan),
        }
    )
    tasks = {"c": {"kind": "binary", "domain": "biological"}, "a": {"domain": "quantum"}, "b": {"domain": "quantum"}}
    return molfm.load(make_card("tall", table, tasks), split="random", progress=False)


def test_tasks_are_grouped_by_domain(tall):
    assert [tall.chosen[i].name for i in LabelMap(tall).tasks] == ["a", "b", "c"]


def test_molecules_with_the_same_label_pattern_are_neighbours(tall):
    atlas = LabelMap(tall)
    there = np.isfinite(Lookup(tall).values(atlas.order))
    changes = (there[1:] != there[:-1]).any(axis=1).sum()
    assert changes == 3  # four patterns
    assert sorted(atlas.order) == list(range(len(tall)))


def test_a_small_picture_holds_the_share_of_measured_molecules(tall):
    atlas = LabelMap(tall)
    shares = atlas.coverage(50)
    assert shares.shape == (50, 3)
    assert shares.mean(axis=0) == pytest.approx([1, 1 / 3, 1 / 2], abs=0.01)
    there = np.isfinite(Lookup(tall).values(atlas.order))[:, atlas.tasks]
    assert LabelMap(tall).coverage(10_000) == pytest.approx(there.astype(float))


def test_tiles_of_every_level_contain_every_label_once(tall, monkeypatch):
    monkeypatch.setattr(label_map, "BLOCK_CELLS", 300)  # several blocks per tile
    atlas = LabelMap(tall)
    values = Lookup(tall).values(atlas.order)[:, atlas.tasks]
    assert atlas.levels == 3
    for level in range(atlas.levels):
        rows = TILE_ROWS * 2 ** (atlas.levels - 1 - level)
        for number in range(-(-len(tall) // rows)):
            *_, tile = atlas.tile(level, number)
            for row in (0, len(tile.share) // 2, len(tile.share) - 1):
                start = tile.start + row * tile.per_row
                part = values[start : min(start + tile.per_row, tile.start + rows)]
                np.testing.assert_allclose(tile.share[row], np.isfinite(part).mean(axis=0), rtol=1e-6)
                expected = pd.DataFrame(part).mean().to_numpy()
                np.testing.assert_allclose(tile.mean[row], expected, rtol=1e-4, atol=1e-4)


def test_a_tile_is_yielded_block_by_block(tall, monkeypatch):
    monkeypatch.setattr(label_map, "BLOCK_CELLS", 300)
    reached = [int((tile.share[:, 0] > 0).sum()) for tile in LabelMap(tall).tile(0, 0)]
    assert len(reached) == 6
    assert reached == sorted(reached)
    assert reached[-1] == 150  # rows of four molecules


def test_a_split_shows_only_its_own_labels(tall):
    atlas = LabelMap(tall)
    for split in ("train", "val", "test"):
        *_, tile = atlas.tile(0, 0, split)
        assert round(float((tile.share[:, 0] * tile.per_row).sum())) == tall.tasks[f"n_{split}"][1]


def test_pairs_are_counted_and_correlated_on_molecules_with_both_labels(tall):
    pairs = LabelMap(tall).pairs([tall.task_number(name) for name in ("a", "b", "c")])
    assert pairs.count.tolist() == [[600, 200, 300], [200, 200, 100], [300, 100, 300]]
    frame = pd.DataFrame(Lookup(tall).values(np.arange(600))[:, [1, 2, 0]])
    np.testing.assert_allclose(pairs.correlation, frame.corr().to_numpy(), atol=1e-5)
    assert pairs.correlation[0, 1] == pytest.approx(-1)
    assert (pairs.n_molecules, pairs.of) == (600, 600)


def test_pairs_of_a_large_mix_are_counted_on_a_sample_of_stated_size(tall, monkeypatch):
    monkeypatch.setattr(label_map, "MAX_PAIRED", 120)
    pairs = LabelMap(tall).pairs([1])
    assert (pairs.n_molecules, pairs.of, int(pairs.count[0, 0])) == (120, 600, 120)


def test_a_constant_task_has_no_correlation(make_card):
    table = pd.DataFrame({"smiles": ["C", "CC", "CCC", "CCCC"], "x": [1.0, 2, 3, 4], "y": [5.0, 5, 5, 5]})
    mix = molfm.load(make_card("constant", table, {"x": {}, "y": {}}), progress=False)
    assert np.isnan(LabelMap(mix).pairs([0, 1]).correlation[0, 1])


def test_labelled_returns_molecules_with_any_or_every_label(tall):
    atlas, values = LabelMap(tall), np.isfinite(Lookup(tall).values(np.arange(600)))
    assert atlas.labelled(0, 600, [0, 2]).tolist() == np.flatnonzero(values[:, [0, 2]].any(axis=1)).tolist()
    assert atlas.labelled(0, 600, [0, 2], every=True).tolist() == np.flatnonzero(values[:, [0, 2]].all(axis=1)).tolist()
    some = atlas.order[100:200]
    assert set(atlas.labelled(100, 200, [2])) == set(some[values[some, 2]])


def test_distributions_count_every_label_of_every_split(tall):
    atlas = LabelMap(tall)
    for number, task in enumerate(tall.tasks.itertuples()):
        found = atlas.distribution(number)
        counted = {split: int(counts.sum()) for split, counts in found.counts.items()}
        assert counted == {"train": task.n_train, "val": task.n_val, "test": task.n_test}
        assert found.beyond == 0
    assert LabelMap(tall).distribution(0).edges.tolist() == [-0.5, 0.5, 1.5]


def test_overlap_counts_shared_molecules():
    mix = molfm.load("minimix", progress=False)
    overlap = LabelMap(mix).overlap()
    names = mix.molecules.datasets.astype(str)
    for i, one in enumerate(mix.cards):
        for j, other in enumerate(mix.cards):
            both = names.str.contains(rf"\b{one.name}\b") & names.str.contains(rf"\b{other.name}\b")
            assert overlap[i, j] == both.sum()


def test_colours_of_numbers_run_between_the_quantiles_of_a_sample_of_molecules(tall, monkeypatch):
    found = LabelMap(tall).quantiles
    np.testing.assert_allclose(found[tall.task_number("a")], np.quantile(np.arange(600), (0.05, 0.95)), rtol=1e-6)
    assert np.isnan(found[tall.task_number("c")]).all()  # classes
    monkeypatch.setattr(label_map, "MAX_SAMPLED", 150)
    np.testing.assert_allclose(LabelMap(tall).quantiles[tall.task_number("a")], (30, 570), atol=60)
