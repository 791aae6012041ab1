import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import molfm
from molfm.app import cli
from molfm.catalog import download
from molfm.data import estimate
from molfm.data.estimate import SAMPLE_ROWS, STAND_IN


@pytest.fixture
def no_network(own_home, monkeypatch):
    def refuse(*_):
        raise AssertionError("a download was attempted")

    monkeypatch.setattr(download, "_obtain", refuse)
    return own_home


def test_the_estimated_disk_of_minimix_is_within_a_factor_of_two():
    found = estimate.estimate("minimix").set_index("dataset")
    mix = molfm.load("minimix", progress=False)
    for shard in mix.shards:
        assert shard.encoding("walk-16").shape[1] == 16  # made now
    for number, item in enumerate(mix.cards):
        folders = [mix.shards[s].folder for s in np.unique(mix.rows.shard[mix.rows.dataset == number])]
        files = [file for folder in folders for file in folder.iterdir()]
        sizes = {
            "encodings": sum(file.stat().st_size for file in files if file.name.startswith("encoding")),
            "store": sum(file.stat().st_size for file in files if not file.name.startswith("encoding")),
        }
        for name, size in sizes.items():
            assert size / 2 < found[name][item.name] < size * 2, (item.name, name)


def test_the_estimate_of_a_mix_has_one_row_per_dataset_and_a_total(no_network):
    found = estimate.estimate("minimix")
    assert found.dataset.tolist() == ["b3db", "toxcast", "xtb", "qm9_mini", "in all"]
    assert found.rows.tolist()[:4] == [
        molfm.card(name).rows or found.rows[i] for i, name in enumerate(found.dataset[:4])
    ]
    for name in ("rows", "store", "encodings", "seconds"):
        assert found[name].iloc[-1] == pytest.approx(found[name][:4].sum())
    assert found.memory.iloc[-1] == found.memory[:4].max()
    assert (found.basis[:4] == f"its first {SAMPLE_ROWS:,} rows").all()


def test_a_dry_run_of_largemix_downloads_nothing_and_prints_a_table(no_network, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(cli.app, ["prepare", "largemix", "--dry-run"])
    assert done.exit_code == 0, done.output
    for member in molfm.card("largemix").datasets:
        [line] = [line for line in done.stdout.splitlines() if f" {member} " in line]
        assert f"{molfm.card(member).rows:,}" in line
        assert f"other molecules ({STAND_IN})" in line
    assert "in all" in done.stdout
    assert "nothing was downloaded" in done.stderr
    assert {file.suffix for file in no_network.rglob("*") if file.is_file()} <= {".sha256"}
    assert not (no_network / "prepared").exists()


def test_labels_of_a_table_that_is_not_on_disk_count_eight_bytes_each(no_network, tmp_path):
    for name, tasks in (("one", "{y: }"), ("many", "{y: , 'assay-*': {count: 1000}}")):
        source = "{location: 'https://example.org/none.parquet', rows: 1000}"
        (tmp_path / f"{name}.md").write_text(f"---\nname: {name}\nsources: [{source}]\ntasks: {tasks}\n---\n")
    one, many = (estimate.estimate(tmp_path / f"{name}.md").iloc[0] for name in ("one", "many"))
    assert many.store - one.store == pytest.approx(1000 * 1000 * 8)
    assert many.encodings == one.encodings


def test_a_card_without_a_number_of_rows_gives_unknown_estimates(no_network, tmp_path):
    (tmp_path / "some.md").write_text(
        "---\nname: some\nsources: [{location: 'https://example.org/none.parquet'}]\ntasks: {y: }\n---\n"
    )
    [row] = estimate.estimate(tmp_path / "some.md").to_dict("records")
    assert all(np.isnan(row[name]) for name in ("rows", "store", "encodings", "seconds", "memory"))
    done = CliRunner().invoke(cli.app, ["prepare", str(tmp_path / "some.md"), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "unknown" in done.stdout


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv"])
def test_rows_of_a_text_file_are_counted_or_extrapolated_from_its_start(no_network, tmp_path, monkeypatch, suffix):
    path, rows = tmp_path / f"some.{suffix}", 200_000
    frame = pd.DataFrame({"smiles": ["CCO", "C"] * (rows // 2), "y": np.random.default_rng(0).normal(size=rows)})
    frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    assert estimate.estimate(path).rows[0] == rows
    monkeypatch.setattr(estimate, "TEXT_BYTES", 2_000_000)
    assert estimate.estimate(path).rows[0] == pytest.approx(rows, rel=0.2)


def test_a_small_table_is_its_own_sample(no_network, toy_card):
    [row] = estimate.estimate(toy_card).to_dict("records")
    mix = molfm.load(toy_card, progress=False)
    assert row["basis"] == "all its rows"
    assert row["rows"] == len(mix)
    real = sum(file.stat().st_size for file in mix.shards[0].folder.iterdir())
    assert row["store"] == pytest.approx(real, rel=0.01)
