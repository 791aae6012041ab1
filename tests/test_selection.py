"""`molfm.fit`: folds, choice, intervals, files, predictions, and tables with traps."""

import json

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from typer.testing import CliRunner

import molfm
from molfm.app import cli
from molfm.base.errors import InputError
from molfm.catalog.schema import Task
from molfm.selection import open_fit
from molfm.selection.calibration import fit_classes, fit_curve, fit_width
from molfm.selection.choice import ENSEMBLE, choose, greedy_weights
from molfm.selection.folds import deal
from molfm.selection.forests import flattened, follow
from molfm.selection.kernels import minmax
from molfm.selection.networks import Networks
from molfm.selection.networks import predict as predict_with_network
from molfm.selection.problem import Target
from molfm.selection.scoring import auroc_within, interval
from molfm.training.metrics import auroc

RNG = np.random.default_rng(0)


def molecules(n: int) -> list[str]:
    """Return n molecules of several scaffolds: rings with chains of different lengths and ends."""
    rings = ["c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccc2ccccc2c1", "c1ccsc1", "C1CCNCC1", "c1ccoc1", "c1cnccn1"]
    ends = ["O", "N", "Cl", "F", "N#C", "CO", "OC(=O)", "S", "Br", "FC(F)(F)"]
    made = [
        f"{'C' * length}{ring}" if not end else f"{end}{'C' * length}{ring}"
        for length in range(1, 9)
        for end in ends
        for ring in rings
    ]
    made = list(dict.fromkeys(Chem.CanonSmiles(text) for text in made))
    return [made[place] for place in np.random.default_rng(1).permutation(len(made))[:n]]


def toy(n: int = 60) -> pd.DataFrame:
    """Return a table whose number and class follow the heavy atoms."""
    smiles = molecules(n)
    heavy = np.array([Chem.MolFromSmiles(text).GetNumHeavyAtoms() for text in smiles], float)
    noise = np.random.default_rng(2).normal(0, 0.3, n)
    return pd.DataFrame({"smiles": smiles, "size": heavy + noise, "large": (heavy > np.median(heavy)).astype(int)})


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A finished fit of two targets with quick candidates, and its table."""
    table = toy()
    return molfm.fit(table, ["size", "large"], minutes=0.2, name="quick", progress=False), table


def target_of(y, fold, kind="regression", **facts):
    n = len(y)
    given = {"weight": np.ones(n), "side": np.zeros(n, np.int8), "constitution": np.arange(n), "repeated": 0}
    given |= {"noise": np.nan, "tied": 0, "row": np.arange(n)} | facts
    return Target(Task("y", "t", kind=kind), y=np.asarray(y, float), fold=np.asarray(fold), **given)


# ---------------------------------------------------------------------------------------------------------------- folds


def test_folds_keep_groups_together_and_share_a_rare_class():
    groups, rare = RNG.integers(0, 40, 200), np.zeros(200)
    rare[:10] = 1
    groups[:10] = np.arange(100, 110)
    fold = deal(groups, np.stack([rare, 1 - rare], axis=1), 5)
    assert all(len(np.unique(fold[groups == group])) == 1 for group in np.unique(groups))
    assert np.bincount(fold[rare == 1], minlength=5).tolist() == [2, 2, 2, 2, 2]
    assert np.ptp(np.bincount(fold)) <= 10


# --------------------------------------------------------------------------------------------------- similarity, forests


def test_minmax_is_the_sum_of_minima_over_the_sum_of_maxima():
    a, b = RNG.integers(0, 4, (5, 30)).astype(np.uint8), RNG.integers(0, 300, (4, 30)).clip(0, 255).astype(np.uint8)
    low, high = (f(a[:, None].astype(int), b[None].astype(int)).sum(2) for f in (np.minimum, np.maximum))
    assert np.allclose(minmax(a, b), low / high, atol=1e-6)


@pytest.mark.parametrize("kind", [RandomForestRegressor, RandomForestClassifier])
def test_a_flattened_forest_predicts_what_scikit_learns_predicts(kind):
    x, y = RNG.integers(0, 5, (80, 12)).astype(np.float32), RNG.integers(0, 2, 80)
    forest = kind(20, random_state=0).fit(x[:60], y[:60])
    expected = forest.predict_proba(x)[:, 1] if kind is RandomForestClassifier else forest.predict(x)
    assert np.allclose(follow(flattened(forest), x), expected, atol=1e-6)


# ------------------------------------------------------------------------------------------------------ scores and choice


def test_an_auroc_within_folds_ignores_scales_of_folds():
    y, fold = np.array([0, 1, 0, 1, 1, 0]), np.array([0, 0, 0, 1, 1, 1])
    score = np.array([1, 2, 1.5, 20, 30, 10.0])
    assert auroc_within(score, y, fold)[0] == 1
    assert auroc_within(score - 100 * fold, y, fold)[0] == 1
    value, influence = auroc_within(score[:3], y[:3], fold[:3])
    assert (value, influence.tolist()) == (auroc(score[:3], y[:3])[0], auroc(score[:3], y[:3])[1].tolist())


def test_an_interval_covers_the_truth_in_nineteen_of_twenty_tables():
    hits = 0
    for seed in range(300):
        error = np.random.default_rng(seed).normal(0, 1, 120)
        found = interval(target_of(np.zeros(120), np.zeros(120)), error, np.arange(120))
        hits += found["low"] <= 1 <= found["high"]
    assert 0.91 <= hits / 300 <= 0.98


def test_the_ensemble_weighs_good_candidates_and_leaves_out_bad_ones():
    y, fold = RNG.normal(size=300), np.arange(300) % 5
    preds = {"a": y + RNG.normal(0, 1, 300), "b": y + RNG.normal(0, 1, 300), "bad": RNG.normal(0, 5, 300)}
    weights = greedy_weights(target_of(y, fold), preds, np.arange(300))
    assert weights.get("bad", 0) < 0.1 and abs(weights["a"] - weights["b"]) < 0.4


def test_the_nested_score_sees_through_candidates_that_are_all_noise():
    y, fold = np.random.default_rng(3).integers(0, 2, 200), np.arange(200) % 5
    preds = {f"noise {i}": np.random.default_rng(100 + i).normal(size=200) for i in range(20)}
    target = target_of(y, fold, "binary")
    choice = choose(target, preds, np.arange(200))
    every = {**preds, ENSEMBLE: choice.ensemble}
    best = auroc_within(every[choice.winner], y, fold)[0]
    nested = auroc_within(choice.nested, y, fold)[0]
    assert best > 0.55 and nested < best - 0.03 and nested < 0.57


# -------------------------------------------------------------------------------------------------------------- intervals


def test_widths_follow_similarity_and_cover_what_they_promise():
    similarity = RNG.uniform(0, 1, 600)
    error = np.abs(RNG.normal(0, 0.2 + 2 * (1 - similarity)))
    width = fit_width(error, similarity, np.zeros(600), np.arange(600) % 5)
    assert 0.92 <= width.covered <= 0.98
    near, far = width.half(np.array([1.0, 0.0]), np.zeros(2))
    assert far > 3 * near


def test_classes_are_excluded_only_where_scores_are_clear():
    y = np.repeat([0, 1], 200)
    score = np.random.default_rng(0).normal(0, 1, 400) + 4 * y
    width = fit_classes(score, y, np.arange(400) % 5)
    assert 0.92 <= width.covered <= 0.98
    curve = fit_curve(score, y, np.ones(400))
    assert curve.slope > 0 and abs(curve.log_odds(np.array([2.0]))[0]) < 0.6


# -------------------------------------------------------------------------------------------------------------- the fit


def test_a_fit_answers_in_words_and_tables(quick):
    found, table = quick
    assert set(found.table.candidate) >= {"mean", "forest", ENSEMBLE, "nested"}
    assert found.table.groupby("target").chosen.sum().tolist() == [1, 1]
    assert list(found.answers) == ["table/size", "table/large"]
    assert "95% interval" in found.answer and "60 molecules" in found.answer
    rows = found.predictions()
    assert len(rows[(rows.target == "table/size") & rows.chosen]) == len(table)
    assert (rows[rows.chosen].fold >= 0).all() and set(found.left_out) >= {"finetuned", "scratch"}


def test_a_fit_opens_again_and_predicts_with_intervals_and_neighbours(quick, tmp_path):
    found, table = quick
    again = open_fit("quick")
    pd.testing.assert_frame_equal(again.table, found.table)
    new = pd.DataFrame({"code": [7, 8, 9], "smiles": [table.smiles[0], "nonsense", None]})
    new.to_csv(tmp_path / "new.csv", index=False)
    made = pd.read_csv(again.predict(tmp_path / "new.csv", tmp_path / "out.csv"))
    assert made.code.tolist() == [7, 8, 9]
    assert made["size similarity"][0] == 1 and made["size nearest"][0] == table.smiles[0]
    assert made["size low"][0] < made["size"][0] < made["size high"][0] and 0 <= made["large"][0] <= 1
    assert made["size"][1:].isna().all() and "not a valid SMILES" in made.problem[1] and made.problem[2] == "no SMILES"
    narrow = again.predict([table.smiles[0]], coverage=0.5)
    assert narrow["size high"][0] - narrow["size low"][0] < made["size high"][0] - made["size low"][0]


def test_the_same_call_resumes_and_another_one_is_refused(quick):
    found, table = quick
    before = {path: path.stat().st_mtime_ns for path in found.folder.glob("folds/*")}
    again = molfm.fit(table, ["size", "large"], minutes=0.01, name="quick", progress=False)
    assert {path: path.stat().st_mtime_ns for path in again.folder.glob("folds/*")} == before
    for change, word in (({"target": "size"}, "targets"), ({"seed": 1}, "seed"), ({"split": "random"}, "split")):
        given = {"target": ["size", "large"], "minutes": 0.01, "name": "quick", "progress": False} | change
        with pytest.raises(InputError, match=f"the {word}.* changed"):
            molfm.fit(table, **given)
    with pytest.raises(InputError, match="the data changed"):
        molfm.fit(table.assign(size=table["size"] + 1), ["size", "large"], minutes=0.01, name="quick", progress=False)


def test_nothing_that_a_fit_keeps_can_execute(quick):
    found, _ = quick
    assert {path.suffix for path in found.folder.rglob("*") if path.is_file()} <= {
        "",
        ".json",
        ".npz",
        ".npy",
        ".parquet",
    }
    for path in found.folder.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays)


def test_the_report_needs_no_network(quick, tmp_path):
    found, _ = quick
    page = found.to_html(tmp_path / "report.html").read_text("utf-8")
    body = page.split("</script></head>")[1]
    assert "How well can size and large be predicted?" in body and "molfm predict quick" in body
    assert "src=" not in body.replace("src=''", "") and "Look here first" in body


def test_a_named_test_set_is_scored_once_and_never_learned_from():
    table = toy(80)
    table["part"] = np.where(np.arange(80) % 4 == 0, "test", "train")
    found = molfm.fit(table, "size", split="part", minutes=0.01, name="parts", progress=False)
    assert (found.table.scored_on == "test").all() and (found.table.n == 20).all()
    assert "held-out test set" in found.answer and ENSEMBLE in found.table.candidate.tolist()
    rows = found.predictions()
    tested = rows[rows.fold < 0].smiles.unique()
    assert set(tested) == {Chem.CanonSmiles(text) for text in table.smiles[table.part == "test"]}
    facts = json.loads((found.folder / "problem.json").read_text())
    assert "test set: as 'part' says" in facts["how"]


@pytest.mark.parametrize("split", ["cluster", "group:series", "time:day", "random"])
def test_folds_follow_clusters_and_groups_and_the_newest_are_the_test_set(split):
    table = toy(60)
    table["series"], table["day"] = [f"s{place % 4}" for place in range(60)], np.arange(60)
    name = split.replace(":", "-")
    found = molfm.fit(table, "size", split=split, minutes=0.01, name=name, progress=False)
    rows = found.predictions().query("chosen").set_index("smiles")
    keys = [Chem.CanonSmiles(text) for text in table.smiles]
    fold = rows.fold.loc[keys].to_numpy()
    if split == "time:day":
        assert (fold[-6:] == -1).all() and (fold[:40] >= 0).all() and (found.table.scored_on == "test").all()
    else:
        assert (fold >= 0).all() and found.problem.k == (4 if split == "group:series" else 5)
    if split == "group:series":
        assert all(len(np.unique(fold[table.series == of])) == 1 for of in table.series.unique())


def test_roles_limits_weights_and_further_columns_are_used_as_told():
    table = toy(60)
    table["pH"], table["trust"] = np.arange(60) % 3.0, np.where(np.arange(60) % 2, 1.0, 0.5)
    table["size"] = [
        f">{value:.2f}" if place < 6 else f"{value:.2f}" for place, value in enumerate(table["size"] + table.pH)
    ]
    roles = {"features": ["pH"], "weight": "trust"}
    found = molfm.fit(table, "size", roles=roles, minutes=0.01, name="roles", progress=False)
    [target] = found.problem.targets
    assert (target.side != 0).sum() == 6 and sorted(np.unique(target.weight)) == [0.5, 1.0]
    assert (found.table.n == 54).all() and "6 labels are limits" in found.problem.notes[0]
    made = open_fit("roles").predict(pd.DataFrame({"smiles": ["CCO", "CCO"], "pH": [0.0, np.nan]}))
    assert np.isfinite(made["size"][0]) and np.isnan(made["size"][1])
    assert made.problem[1] == "no value in column 'pH'"
    with pytest.raises(InputError, match="pH are not in the table"):
        found.predict(["CCO"])


def test_machines_and_networks_read_the_tables_own_columns(tmp_path):
    table = toy(90)
    table["pH"] = np.random.default_rng(3).uniform(2, 12, 90)
    table["size"] = 3 * table.pH + 0.2 * table["size"]
    found = molfm.fit(table, "size", roles={"features": ["pH"]}, minutes=0.1, name="columns", progress=False)
    value = found.table.set_index("candidate").value
    assert value.svm < 0.3 * value["mean"] and value.kernels < 0.3 * value["mean"]
    problem, x = found.problem, found.work.x
    [target] = problem.targets
    out = target.fold == 0
    for name in ("finetuned", "scratch"):
        Networks(problem, x, 0).fit(name, 0, 60, tmp_path / name)
        preds = predict_with_network(tmp_path / name, x, [target.task.id])[target.row[out], 0]
        assert np.corrcoef(preds, target.y[out])[0, 1] > 0.8, name


# --------------------------------------------------------------------------------------------------- tables with traps


def test_twenty_rows_are_answered_with_a_warning():
    found = molfm.fit(toy(20), "size", minutes=0.01, name="tiny", progress=False)
    assert "rough" in found.answer or "not clearly better" in found.answer or "No candidate" in found.answer


def test_salts_and_contradicting_duplicates_count_once_and_are_told():
    table = toy(40)
    twice = table.assign(size=table["size"] + 2)
    salts = table.assign(smiles=[f"{text}.Cl" for text in table.smiles])
    found = molfm.fit(pd.concat([table, twice, salts]), "size", minutes=0.01, name="salts", progress=False)
    [target] = found.problem.targets
    assert target.repeated == 40 and abs(target.noise - np.sqrt(2)) < 1e-3
    assert len(np.unique(target.constitution)) == 40
    for constitution in np.unique(target.constitution):  # a base and its salt are never on two sides
        assert len(np.unique(target.fold[target.constitution == constitution])) == 1


def test_five_actives_are_dealt_to_five_folds_and_the_answer_is_modest():
    table = toy(60)
    table["active"] = (np.arange(60) < 5).astype(int)
    found = molfm.fit(table, "active", minutes=0.01, name="five", progress=False)
    [target] = found.problem.targets
    assert np.bincount(target.fold[target.y == 1]).max() <= 2
    assert any("only 5 molecules have class 1" in note for note in found.problem.notes)
    assert found.table.value.between(0, 1).all()


def test_one_scaffold_is_split_at_random_and_the_report_says_so():
    table = pd.DataFrame({"smiles": [f"{'C' * i}c1ccc({'C' * j}O)cc1" for i in range(1, 8) for j in range(1, 7)]})
    table["y"] = [float(len(text)) for text in table.smiles]
    found = molfm.fit(table, "y", minutes=0.01, name="one", progress=False)
    assert any("share one scaffold" in note for note in found.problem.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "sise"}, "size"),
        ({"target": []}, "at least one target"),
        ({"minutes": 0}, "minutes as a number above 0"),
        ({"minutes": "five"}, "minutes as a number above 0"),
        ({"name": "a/b"}, "Expected a name"),
        ({"split": "nowhere"}, "Unknown split"),
        ({"smiles": "SMILES"}, "SMILES"),
        ({"target": "same"}, "there is nothing to learn"),
        ({"target": "few"}, "needs at least 20"),
        ({"target": "rare"}, "rarer class"),
    ],
)
def test_wrong_input_gives_one_line(change, message):
    table = toy(30)
    table["same"], table["few"] = 1.5, np.where(np.arange(30) < 6, table["size"], np.nan)
    table["rare"] = (np.arange(30) < 2).astype(int)
    given = {"target": "size", "minutes": 0.01, "name": "wrong", "progress": False} | change
    with pytest.raises(InputError, match=message) as error:
        molfm.fit(table, **given)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------------------------------------------- the command line


def test_the_command_writes_a_report_and_predicts(quick, tmp_path, monkeypatch):
    _, table = quick
    monkeypatch.setenv("COLUMNS", "200")
    table.to_csv(tmp_path / "mine.csv", index=False)

    def run(*words):
        return CliRunner().invoke(cli.app, [str(word) for word in words])

    page, given = tmp_path / "r.html", (tmp_path / "mine.csv", "--target", "size", "--minutes", 0.01, "--name", "cli")
    made = run("fit", *given, "--out", page)
    assert made.exit_code == 0, made.output
    assert "size is predicted with an RMSE of" in made.stdout and page.exists() and "molfm predict cli" in made.stderr
    out = run("predict", "cli", tmp_path / "mine.csv", "--out", tmp_path / "p.csv")
    assert out.exit_code == 0 and len(pd.read_csv(tmp_path / "p.csv")) == len(table)
    assert "size similarity" in run("predict", "cli", "CCO").stdout
    for words, message in (
        (("fit", *given[:-1], "../x"), "Expected a name"),
        (("fit", *given, "--out", "r.pdf"), "ends in .html"),
        (("fit", *given, "--split", "clusters"), "clusters"),
        (("fit", "none.csv", "--target", "size"), "none.csv"),
        (("predict", "cli", tmp_path / "mine.csv"), "Add --out"),
        (("predict", "cli", "CCO", "--task", "size"), "leave out --task"),
        (("predict", "cli", tmp_path / "mine.csv", "--smiles", "S", "--out", tmp_path / "p.csv"), "no column 'S'"),
        (("predict", "cli", tmp_path / "mine.csv", "--out", tmp_path / "p.xlsx"), ".parquet or .csv"),
    ):
        refused = run(*words)
        assert refused.exit_code == 2 and message in refused.stderr, refused.output
        assert len([line for line in refused.stderr.splitlines() if line.startswith("molfm: ")]) == 1
