"""Several files into a folder: all of them, or none; what cannot be is found out before the work."""

import os
from pathlib import Path

import pytest

from maskedit.commands.folder import Folder
from maskedit.errors import PhotoError


def writes(**contents: str) -> object:
    def write(aside: Path) -> None:
        for name, content in contents.items():
            (aside / name).write_text(content)

    return write


def test_all_files_come_together(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "b", ["one", "two"])
    assert not (tmp_path / "a").exists()  # nothing before the work
    assert folder.fill(writes(one="1", two="2")) == [tmp_path / "a" / "b" / "one", tmp_path / "a" / "b" / "two"]
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["one", "two"]


def test_nothing_is_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "two").write_text("mine")
    with pytest.raises(PhotoError, match="there is a file .*two already.*--force"):
        Folder(tmp_path, ["one", "two"])
    Folder(tmp_path, ["one", "two"], replace=True).fill(writes(one="1", two="2"))
    assert (tmp_path / "two").read_text() == "2"
    (tmp_path / "three").symlink_to("nowhere")
    with pytest.raises(PhotoError, match="three already"):
        Folder(tmp_path, ["three"])


@pytest.mark.parametrize("last", ["one", "two", "zoo"])
def test_if_one_file_cannot_be_replaced_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    for name in ("one", "zoo"):
        (tmp_path / name).write_text(f"old {name}")
    folder = Folder(tmp_path, ["one", "two", "zoo"], replace=True)
    replace = os.replace

    def locked(source: Path, target: Path) -> None:
        if Path(source).parent.name == "made" and Path(target).name == last:
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", locked)
    with pytest.raises(PhotoError, match="permission denied"):
        folder.fill(writes(one="1", two="2", zoo="3"))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "old one", "zoo": "old zoo"}


def test_a_failure_while_writing_leaves_no_folder(tmp_path: Path) -> None:
    def fail(aside: Path) -> None:
        (aside / "one").touch()
        raise OSError(28, "No space left on device")

    with pytest.raises(PhotoError, match="no space left on device"):
        Folder(tmp_path / "new", ["one"]).fill(fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "name", "says"),
    [
        ("out", "n" * 300 + "_edited.png", "file name too long"),
        ("o" * 300, "one", "file name too long"),
        ("file/out", "one", "file is no folder"),
        ("", "taken", "a folder of that name"),
        ("/proc/out", "one", "cannot write to /proc/out"),
    ],
)
def test_what_cannot_be_written_is_found_out_before_the_work(tmp_path: Path, folder: str, name: str, says: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken").mkdir()
    with pytest.raises(PhotoError, match=says):
        Folder(tmp_path / folder, [name], replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]
