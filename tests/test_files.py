import itertools
import os
import re
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from molfm.base.files import remove_unfinished, whole, write_json, write_text
from molfm.base.progress import tqdm


def test_a_file_is_complete_or_absent(tmp_path):
    path = tmp_path / "new" / "table.txt"
    with pytest.raises(RuntimeError, match="half way"), whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert list(path.parent.iterdir()) == []
    write_text(path, "whole")
    with pytest.raises(RuntimeError), whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [file.name for file in path.parent.iterdir()] == ["table.txt"] and path.read_text() == "whole"


def test_a_temporary_file_is_hidden_and_keeps_the_suffix(tmp_path):
    with whole(tmp_path / "a.npy") as temporary:
        assert temporary.suffix == ".npy" and temporary.name[0] == "." and temporary.parent == tmp_path
        temporary.write_bytes(b"1")
        assert list(tmp_path.glob("a*")) == []


def test_a_folder_replaces_a_folder(tmp_path):
    for content in ("old", "new"):
        with whole(tmp_path / "shard") as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert [file.name for file in (tmp_path / "shard").iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["shard"]


def write_many(path: str) -> None:
    for number in range(50):
        write_json(Path(path), {"numbers": [number] * 1000})


def test_writers_in_several_processes_never_share_a_temporary_file(tmp_path):
    path = tmp_path / "status.json"
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        done = [pool.submit(write_many, str(path)) for _ in range(4)]
        for future in done:
            future.result()
    assert path.read_text().count("49") == 1000
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def test_a_link_is_followed_and_a_device_is_written_to(tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text(tmp_path / "link.txt", "text")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "text"
    write_text(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()


def test_a_long_name_is_no_problem(tmp_path):
    path = tmp_path / ("x" * 250 + ".txt")
    write_text(path, "text")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    for name in (".0123456789ab.a.npy", ".0123456789ab.other-a.npy", ".0123456789ab.b.npy", "a.npy"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".ba9876543210.a.npy").mkdir()
    remove_unfinished(tmp_path / "a.npy")
    assert {path.name for path in tmp_path.iterdir()} == {".0123456789ab.other-a.npy", ".0123456789ab.b.npy", "a.npy"}


def test_a_bar_in_a_log_is_a_line_now_and_then_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr("molfm.base.progress.LOG_SECONDS", 0.01)
    for _ in tqdm(range(5), desc="Counting"):
        time.sleep(0.03)
    out, err = capsys.readouterr()
    assert not out and "\r" not in err
    lines = err.splitlines()
    assert 2 <= len(lines) <= 7
    assert all(line.startswith("Counting:") and line == line.strip() for line in lines)
    assert "5/5" in lines[-1]
    assert "█" not in err and "|" not in err  # numbers, no drawing


def test_bars_in_a_log_write_no_control_characters_and_no_line_twice(capsys, monkeypatch):
    monkeypatch.setattr("molfm.base.progress.LOG_SECONDS", 0.0)
    for _ in tqdm(range(2), desc="Outer"):
        list(tqdm(range(2), desc="Inner", leave=False))
    err = capsys.readouterr().err
    assert not re.search(r"[\x1b\r\b]", err)
    counts = [line.partition(" [")[0] for line in err.splitlines()]
    assert counts[-1] == "Outer: 100% 2/2"
    assert all(one != other for one, other in itertools.pairwise(counts))


def test_a_short_wait_in_a_log_prints_nothing(capsys):
    list(tqdm(range(5)))
    assert capsys.readouterr().err == ""
