from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from molfm.base.files import whole, write_json, write_text


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
