import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import molfm
from molfm.catalog.http import DownloadError
from molfm.study.label_efficiency import label_efficiency
from molfm.study.simple_models import descriptors, forest, labelled, linear, morgan, shipped_fingerprints
from molfm.study.wording import probe_finding

BASELINE = "Morgan + forest"


@pytest.fixture(scope="module")
def toys(make_card):
    """Carbon chains, labelled with their number of heavy atoms and whether they have a nitrogen, split three times."""
    ends = [(a, b, x) for a in range(1, 13) for b in range(a, 13) for x in ("O", "N", "S", "C(F)")]
    smiles = [f"{'C' * a}{x}{'C' * b}" for a, b, x in ends]
    table = pd.DataFrame({"smiles": smiles, "heavy": [float(a + b + 1 + (x == "C(F)")) for a, b, x in ends]})
    table["nitrogen"] = [float(x == "N") for _, _, x in ends]
    table["element"] = [[float({"C": 6, "N": 7, "O": 8, "S": 16, "F": 9}[c]) for c in s if c.isalpha()] for s in smiles]
    tasks = {"heavy": {}, "nitrogen": {"kind": "binary"}, "element": {"level": "node"}}
    card = make_card("chains", table, tasks, split="random")
    return [molfm.load(card, seed=seed, progress=False) for seed in range(3)]


def compare(mixes, arms, target="heavy", n_labels=(8, None), **further):
    return label_efficiency(mixes, target, arms, n_labels, progress=False, **further)


def constant(train, y, test, seed):
    return np.full(len(test), y.mean())


def shuffled(train, y, test, seed):
    return np.random.default_rng(seed).permutation(np.resize(y, len(test)))


@pytest.fixture(scope="module")
def oracle(toys):
    """An arm that knows the number of heavy atoms and errs by a tenth."""
    truth = toys[0].labels("heavy").to_numpy()
    return lambda train, y, test, seed: truth[test] + np.resize([0.1, -0.1], len(test))


def test_all_arms_get_the_same_nested_training_labels_and_the_test_set_of_each_split(toys):
    given = {"a": [], "b": []}

    def recorder(name):
        def arm(train, y, test, seed):
            given[name].append((train.tolist(), y.tolist(), test.tolist(), seed))
            return constant(train, y, test, seed)

        return arm

    compare(toys, {name: recorder(name) for name in given}, baseline="a")
    assert given["a"] == given["b"]
    few, every = given["a"][:3], given["a"][3:]
    labels = toys[0].labels("heavy").to_numpy()
    for seed, mix in enumerate(toys):
        task = mix.select(["heavy"])
        assert [seed, seed] == [few[seed][3], every[seed][3]]
        assert len(few[seed][0]) == 8 and set(few[seed][0]) < set(task.members("train"))
        assert few[seed][2] == every[seed][2] == task.members("test").tolist()
        assert few[seed][1] == labels[few[seed][0]].tolist()
        assert every[seed][1] == labels[every[seed][0]].tolist()
    assert len({len(train) for train, *_ in every}) == 1
    same = toys[0].select(["heavy"])
    assert set(same.limit("heavy", 4, 0).members("train")) < set(few[0][0])


def test_the_better_arm_is_called_better_whichever_way_the_metric_points(toys, oracle):
    table = compare(toys, {BASELINE: shuffled, "oracle": oracle}).table.set_index(["metric", "n_labels"])
    assert set(table.verdict) == {"better"}
    assert (table.difference["r2"] > 0).all() and (table.difference["mae"] < 0).all()
    assert table.value["mae"].tolist() == pytest.approx([0.1, 0.1], abs=1e-6)
    back = compare(toys, {BASELINE: oracle, "other": shuffled}).table
    assert set(back.verdict) == {"worse"}


def test_an_arm_compared_with_itself_has_no_difference(toys):
    table = compare(toys, {BASELINE: shuffled, "again": shuffled}).table
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    assert set(table.verdict) == {"cannot tell"}


def test_any_arm_can_be_the_baseline(toys, oracle):
    found = compare(toys, {BASELINE: shuffled, "mean": constant, "oracle": oracle})
    assert found.arms == [BASELINE, "mean", "oracle"]
    forth, back = (table.set_index(["arm", "metric", "n_labels"]) for table in (found.table, found.against("oracle")))
    for metric, n in [("r2", 8), ("mae", 8)]:
        assert forth.difference["oracle", metric, n] == -back.difference[BASELINE, metric, n]
    assert set(back.index.get_level_values("arm")) == {BASELINE, "mean"}
    with pytest.raises(ValueError, match="'median'; expected one of the arms Morgan \\+ forest, mean, oracle"):
        found.against("median")


def test_runs_list_every_draw_and_the_table_lists_their_means(toys, oracle):
    found = compare(toys, {BASELINE: constant, "oracle": oracle})
    assert len(found.runs) == 2 * 2 * 3 * 2  # numbers of labels, arms, draws, metrics
    mean = found.runs.groupby(["arm", "n_labels", "metric"]).value.mean()
    for row in found.table.itertuples():
        assert row.value == pytest.approx(mean["oracle", row.n_labels, row.metric])
        assert row.baseline == pytest.approx(mean[BASELINE, row.n_labels, row.metric])
        assert row.low <= row.difference <= row.high
    sizes = [len(mix.select(["heavy"]).members("test")) for mix in toys]
    assert set(found.table.n_test) == {round(np.mean(sizes))}


def test_models_learn_from_informative_features_and_not_from_noise(toys):
    mix = toys[0]
    for target in ("heavy", "nitrogen"):
        smiles = labelled(mix, target)
        value = mix.labels(target)[smiles.index]
        noise = np.random.default_rng(0).normal(size=(len(smiles), 3))
        features = pd.DataFrame(np.column_stack([value, noise]).astype(np.float32), smiles.index)
        arms = {
            BASELINE: forest(mix, target, features, trees=30),
            "linear": linear(mix, target, features),
            "blind": linear(mix, target, features[[1, 2, 3]]),
        }
        table = compare(toys, arms, target, n_labels=(None,)).table.set_index(["arm", "metric"])
        metric = "r2" if target == "heavy" else "auroc"
        assert table.value["linear", metric] > 0.95
        assert table.value["blind", metric] < 0.8
        assert table.baseline["linear", metric] > 0.8


def test_morgan_fingerprints_count_environments_and_ignore_stereochemistry():
    smiles = pd.Series(["C", "CC", "C[C@H](N)O", "C[C@@H](N)O"], index=[7, 3, 5, 6])
    found = morgan(smiles)
    assert found.index.tolist() == [7, 3, 5, 6] and found.shape == (4, 2048)
    assert sorted(found.loc[7][found.loc[7] > 0]) == pytest.approx([np.log(2)])  # methane is one environment
    counts = np.expm1(found.loc[3][found.loc[3] > 0])
    assert sorted(counts) == pytest.approx([1, 2])  # two methyl groups, one bond between them
    assert found.loc[5].equals(found.loc[6])


def test_descriptors_are_finite_and_include_the_molecular_weight():
    from rdkit.Chem.Descriptors import descList

    found = descriptors(pd.Series(["CCO", "C" * 120], index=[4, 9]), progress=False)
    assert found.shape == (2, len(descList)) and found.index.tolist() == [4, 9]
    assert np.isfinite(found).all(axis=None)
    assert found.loc[4].iloc[[name for name, _ in descList].index("MolWt")] == pytest.approx(46.07, abs=0.01)


def test_label_efficiency_refuses_wrong_targets_baselines_and_mixes(toys):
    arms = {BASELINE: constant}
    with pytest.raises(
        ValueError, match="regression or binary task at graph level; chains/element is regression at node level"
    ):
        compare(toys, arms, "element")
    with pytest.raises(ValueError, match="Unknown baseline 'other'; expected one of the arms Morgan"):
        compare(toys, arms, baseline="other")
    with pytest.raises(ValueError, match="at least 2 draws, found 1"):
        compare(toys[:1], arms)
    with pytest.raises(ValueError, match="labelled training molecules; 1000 were asked for"):
        compare(toys, arms, n_labels=(1000,))
    with pytest.raises(ValueError, match="mixes of the same molecules"):
        other = molfm.load(pd.DataFrame({"smiles": ["CO", "CC", "CN"], "heavy": [2.0, 2.0, 2.0]}), progress=False)
        compare([toys[0], other], arms)


def test_figure_and_finding_show_every_arm_with_its_verdicts(toys, oracle):
    found = compare(toys, {BASELINE: shuffled, "oracle": oracle})
    names = {trace.name for trace in found.figure().data if trace.showlegend is not False}
    assert names == {BASELINE, "oracle"}
    text = probe_finding(found, "oracle", BASELINE)
    [most] = set(found.runs.n_labels) - {8}
    assert text.startswith(
        f"chains/heavy, oracle compared with Morgan + forest: better with 8, {most} training labels."
    )
    assert "R² on the test set" in text and "3 draws of split and training labels" in text


# ------------------------------------------------------------------------------------------- what comes with the package


@pytest.fixture(scope="module")
def logbb():
    return labelled(molfm.load("minimix", progress=False), "logBB")


def test_shipped_fingerprints_cover_exactly_the_molecules_with_a_logbb(logbb):
    found = shipped_fingerprints(logbb)
    assert found.shape == (1058, 512) and found.index.equals(logbb.index)
    assert np.isfinite(found).all(axis=None)
    with pytest.raises(KeyError, match="not a molecule"):
        shipped_fingerprints(pd.Series(["not a molecule"]))


def test_shipped_fingerprints_equal_the_published_models_embeddings(logbb):
    try:
        model = molfm.pretrained("minimol", progress=False)
    except DownloadError as error:
        pytest.skip(f"the published weights are not available: {error}")
    some = logbb.iloc[::50]
    difference = np.abs(shipped_fingerprints(some).to_numpy() - model.embed(some)).max(1)
    # Half precision for most. Signs and axes of eigenvectors are arbitrary, so for some molecules they depend on the
    # processor, and the published model is not indifferent to them.
    assert np.median(difference) < 2e-3
    assert difference.max() < 0.2


def test_the_label_efficiency_study_of_the_quickstart_needs_no_torch():
    code = "import os, sys; os.environ['MOLFM_FAST'] = '1'\nfrom molfm.app.quickstart import probe\n"
    code += "assert probe(progress=False).arms[-1] == 'minimol + ridge'\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
