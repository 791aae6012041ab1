import numpy as np
import pytest

from molfm.featurize import featurize, hash64
from molfm.splits import GROUPS, assign, uniform

FRACTIONS = (0.6, 0.15, 0.25)
HASHES = np.array([hash64(f"molecule {i}") for i in range(20_000)], np.uint64)


def splitmix64(value, seed):
    """The published generator (Steele, Lea, Flood 2014) in Python's integers."""
    x = (value + (seed + 1) * 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return ((x ^ (x >> 31)) >> 11) / 2**53


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_uniform_is_splitmix64(seed):
    some = [0, 1, 2**63, 2**64 - 1, *HASHES[:50].tolist()]
    assert uniform(np.array(some, np.uint64), seed).tolist() == [splitmix64(value, seed) for value in some]


def test_the_hash_of_a_text_is_the_same_on_every_machine():
    assert hash64("CCO") == 14074757553414938733


def test_equal_groups_get_equal_splits():
    twice = np.concatenate([HASHES[:100], HASHES[:100][::-1]])
    found = assign(twice, 0, FRACTIONS)
    assert found[:100].tolist() == found[100:][::-1].tolist()
    assert len(set(found.tolist())) == 3


def test_a_split_does_not_depend_on_the_other_rows():
    everything = assign(HASHES, 3, FRACTIONS)
    assert assign(HASHES[7:20], 3, FRACTIONS).tolist() == everything[7:20].tolist()
    assert assign(HASHES[::-1], 3, FRACTIONS).tolist() == everything[::-1].tolist()


def test_fractions_are_right_on_average():
    found = np.bincount(assign(HASHES, 0, FRACTIONS), minlength=3) / len(HASHES)
    np.testing.assert_allclose(found, FRACTIONS, atol=0.01)  # three standard deviations


def test_an_empty_part_stays_empty():
    assert set(assign(HASHES, 0, (1.0, 0.0, 0.0)).tolist()) == {0}
    assert set(assign(HASHES, 0, (0.7, 0.0, 0.3)).tolist()) == {0, 2}
    assert set(assign(HASHES, 0, (0.0, 0.0, 1.0)).tolist()) == {2}


def test_seeds_give_independent_splits():
    first, second = assign(HASHES, 0, FRACTIONS) == 0, assign(HASHES, 1, FRACTIONS) == 0
    assert np.mean(first & second) == pytest.approx(0.6 * 0.6, abs=0.01)


def groups_of(method, *smiles):
    return featurize(list(smiles)).identity[:, GROUPS[method]].tolist()


def test_stereoisomers_and_isotopes_are_one_group_of_a_random_split():
    assert len(set(groups_of("random", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O", "[13CH3]C(N)C(=O)O"))) == 1
    assert len(set(groups_of("random", "C/C=C/C", "C/C=C\\C", "CC=CC"))) == 1
    assert len(set(groups_of("random", "CCO", "COC"))) == 2


def test_deuterium_does_not_make_another_constitution():
    assert len(set(groups_of("random", "[2H]C([2H])([2H])O", "CO"))) == 1


def test_molecules_with_one_scaffold_are_one_group_of_a_scaffold_split():
    assert len(set(groups_of("scaffold", "c1ccccc1", "Cc1ccccc1", "OC(=O)c1ccccc1Cl"))) == 1
    assert len(set(groups_of("scaffold", "C1CCCCC1", "C[C@H]1CCCC[C@@H]1O"))) == 1
    assert len(set(groups_of("scaffold", "c1ccccc1", "c1ccncc1", "C1CCCCC1"))) == 3


def test_molecules_without_a_ring_are_no_common_scaffold():
    assert len(set(groups_of("scaffold", "C", "CC", "CCO"))) == 3
    assert len(set(groups_of("scaffold", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"))) == 1
