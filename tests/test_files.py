"""Files appear whole or not at all, whoever else writes them, and whatever breaks."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from maskedit.errors import FileError
from maskedit.files import replacing, sha256, write_whole


def test_a_file_that_fails_midway_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]


def test_a_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "new", "text")
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == stat.S_IMODE(os.stat(tmp_path / "plain").st_mode)


def test_two_writers_of_one_path_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with replacing(path) as first, replacing(path) as second:
        first.write(b"first")
        second.write(b"second, and longer")
    assert path.read_bytes() == b"first"  # ended last
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    write_whole(tmp_path / "file", b"content")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127])
def test_a_name_may_be_as_long_as_names_may_be(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, "é")
    assert (tmp_path / name).read_bytes() == "é".encode()


def test_what_cannot_be_written_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match="cannot write .*file; got no such file"):
        write_whole(tmp_path / "nowhere" / "file", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="is a directory"):
        write_whole(tmp_path / "folder", "text")
    (tmp_path / "file").write_text("old")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="no space left on device"):
        write_whole(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_a_files_hash(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
    assert sha256(tmp_path / "file").startswith("ba7816bf")
