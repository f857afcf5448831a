"""The command line, in this process with a short recipe, and once as a process of its own."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as pil
from skimage import data

from maskedit import commands, recipes
from maskedit.commands import COMMANDS, edit
from maskedit.errors import InputError
from maskedit.photo import Alignment, editing, read
from maskedit.solve import Step

WRITTEN = ["astronaut.json", "astronaut_edited.png", "astronaut_losses.png", "astronaut_sheet.png"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    pil.fromarray(data.astronaut()).save(path)
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two astronauts."""
    path = tmp_path_factory.mktemp("photos") / "pair.png"
    half = data.astronaut()[:300, 80:380]
    pil.fromarray(np.concatenate([half, half[:, ::-1]], axis=1)).save(path)
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that takes a second, and the allocator left alone."""
    short = functools.partial(recipes.plausible, steps=(2, 12))
    monkeypatch.setattr(editing, "RECIPES", dict(recipes.RECIPES) | {"plausible": short})
    monkeypatch.setattr(edit, "keep_memory", lambda: True)


def command(*arguments: object) -> int:
    return commands.main([str(argument) for argument in arguments])


def test_an_edit_is_written_whole(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "here"
    assert command("edit", photo, "--set", "black-hair", "--remove", "Big Nose", "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == WRITTEN
    said = capsys.readouterr()
    assert [Path(line).name for line in said.out.splitlines()[:4]] == WRITTEN
    assert re.search(r"^black_hair 0\.\d\d -> 0\.\d\d$", said.out, re.MULTILINE)
    assert "26/26" in said.err  # a fit, then the hair by its rules and the nose by its own
    assert "edit_big_nose 12/12" in said.err

    before, after = read(photo), read(out / "astronaut_edited.png")
    facts = json.loads((out / "astronaut.json").read_text())
    changed = (before != after).any(dim=1)[0]
    rows, columns = changed.nonzero().unbind(1)
    square = Alignment(tuple(facts["square"]["centre"]), tuple(facts["square"]["axis"]), (512, 512))
    inside = square.to_square(torch.stack((columns, rows), dim=1) + 0.5)
    assert changed.sum() > 1000  # the hair at least
    assert -0.01 < inside.min()
    assert inside.max() < 1.01
    assert (after - before).abs().max() > 0.05

    assert facts["wanted"] == {"black_hair": 1.0, "big_nose": 0.0}
    assert facts["status"] == "Finished."
    assert facts["steps"] == {"fit": 2, "edit_black_hair": 12, "edit_big_nose": 12}
    assert facts["seeds"] == [0]
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["seconds"]["total"] >= facts["seconds"]["run"] > 0
    assert any("black_hair = 1" in line for line in facts["schedule"])
    assert any("big_nose = 0" in line for line in facts["schedule"])
    blacker = facts["attributes"]["black_hair"]
    assert blacker["after"] > blacker["before"]
    assert len(facts["attributes"]) >= 6
    with pil.open(out / "astronaut_sheet.png") as sheet:
        assert sheet.width > 3 * 256


def test_the_same_seed_gives_the_same_picture(photo: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert command("edit", photo, "--set", "blond_hair=0.7", "--seed", 3, "--out", tmp_path / name) == 0
    one, two = (tmp_path / name / "astronaut_edited.png" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_one_of_two_faces_by_its_box(pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert command("edit", pair, "--set", "black_hair", "--out", out) == 2
    said = capsys.readouterr().err
    assert said.startswith("maskedit: the photo shows more than one face; expected one; got 2, in the boxes")
    assert not out.exists()
    left = re.findall(r"\d+,\d+,\d+,\d+", said)[0]
    assert command("edit", pair, "--set", "black_hair", "--box", left, "--out", out) == 0
    facts = json.loads((out / "pair.json").read_text())
    assert facts["square"]["centre"][0] < 300


def test_known_landmarks_are_taken(photo: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.txt"
    points.write_text("100 120\n160, 120\n\n130 150\n110 180\n150 180\n")
    assert command("edit", photo, "--set", "smiling", "--landmarks", points, "--out", tmp_path) == 0
    facts = json.loads((tmp_path / "astronaut.json").read_text())
    assert facts["square"]["centre"] == pytest.approx([130, 126])
    assert facts["square"]["side"] == pytest.approx(240)


def refusals() -> list[object]:
    given = "--set", "black_hair"
    return [
        pytest.param(
            ["--set", "blnd_hair"],
            r"the classifier has no .*'blnd_hair'.*Did you mean 'blond_hair'\?",
            id="near",
        ),
        pytest.param(["--set", "xyz"], "the classifier has no attribute 'xyz'; expected one of ", id="unknown"),
        pytest.param([], "nothing is to be edited; expected --set ATTRIBUTE", id="nothing"),
        pytest.param(["--set", "smiling=2"], "the target of 'smiling' is out of range; expected a numb", id="range"),
        pytest.param(["--set", "smiling=much"], "'smiling' cannot be set to 'much'", id="value"),
        pytest.param(["--set", "smiling", "--remove", "smiling"], "'smiling' is wished for twice", id="twice"),
        pytest.param(
            [*given, "--recipe", "soup"], "no recipe for photos is called 'soup'; expected one of", id="recipe"
        ),
        pytest.param([*given, "--box", "1,2,3"], "the box is none; expected --box left,top", id="box"),
        pytest.param([*given, "--box", "900,2,950,9"], "the box holds no part of the photo", id="outside"),
        pytest.param([*given, "--landmarks", "none.txt"], "cannot read none.txt; got no such file", id="landmarks"),
        pytest.param([*given, "--landmarks", __file__], "holds no landmarks", id="other-file"),
    ]


@pytest.mark.parametrize(("arguments", "says"), refusals())
def test_what_cannot_be_gets_a_sentence(
    arguments: list[str], says: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command("edit", photo, *arguments, "--out", out) == 2
    said = capsys.readouterr()
    assert re.match(f"maskedit: .*{says}", said.err)
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not out.exists()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"once upon a time"), "is no picture"),
        (lambda path: None, "cannot read .*no such file"),
        (lambda path: pil.fromarray(data.coffee()).save(path), "no face was found in the photo"),
    ],
)
def test_photos_that_cannot_be_edited(
    make: object, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "photo.png", tmp_path / "out"
    make(path)
    assert command("edit", path, "--set", "black_hair", "--out", out) == 2
    assert re.match(f"maskedit: .*{says}", capsys.readouterr().err)
    assert not out.exists()


def test_a_truncated_photo(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(photo.read_bytes()[:50_000])
    assert command("edit", path, "--set", "black_hair", "--out", tmp_path / "out") == 2
    assert "is damaged" in capsys.readouterr().err


def test_folders_that_cannot_be_written(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert command("edit", photo, "--set", "black_hair", "--out", tmp_path / "file" / "out") == 2
    assert re.match(r"maskedit: cannot write to .*file is no folder", capsys.readouterr().err)
    if os.geteuid() == 0:
        locked = Path("/proc/sys")  # where even root may make nothing
    else:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o555)
    assert command("edit", photo, "--set", "black_hair", "--out", locked / "out") == 2
    assert re.match(r"maskedit: cannot write to .*out; got ", capsys.readouterr().err.splitlines()[-1])


def test_a_failure_while_writing_leaves_nothing(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(edit, "sheet", full)
    out = tmp_path / "out"
    assert command("edit", photo, "--set", "black_hair", "--out", out) == 2
    assert capsys.readouterr().err.endswith("got no space left on device.\n")
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").touch()
    assert command("edit", photo, "--set", "black_hair", "--out", out) == 2
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_without_matplotlib_there_is_all_but_the_curves(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert command("edit", photo, "--set", "black_hair", "--out", tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [name for name in WRITTEN if "losses" not in name]
    assert "loss curves need matplotlib. Run: pip install 'maskedit[plots]'." in capsys.readouterr().err


class Interrupting:
    """Presses Ctrl-C in the third step."""

    def __enter__(self) -> "Interrupting":
        return self

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, step: Step) -> None:
        if step.index == 2:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_a_run_keeps_what_there_is(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edit, "progress", Interrupting)
    assert command("edit", photo, "--set", "black_hair", "--out", tmp_path) == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == WRITTEN
    facts = json.loads((tmp_path / "astronaut.json").read_text())
    assert facts["status"] == "Ended early in stage 'edit', after 1 of 12 steps."
    assert facts["status"] in capsys.readouterr().out


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_before_the_run_leaves_nothing(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(editing, "find_face", press)
    assert command("edit", photo, "--set", "black_hair", "--out", tmp_path / "out") == 130
    assert capsys.readouterr().err == "maskedit: interrupted; nothing was written.\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recipe", ["paper", "released"])
def test_the_other_recipes_are_there(recipe: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(editing.RECIPES, recipe, functools.partial(recipes.RECIPES[recipe], steps=(2, 2, 2, 2)))
    assert command("edit", photo, "--set", "smiling", "--recipe", recipe, "--out", tmp_path) == 0
    facts = json.loads((tmp_path / "astronaut.json").read_text())
    assert list(facts["steps"]) == ["fit", "edit", "settle", "detail"]
    assert not torch.equal(read(tmp_path / "astronaut_edited.png"), read(photo))


def test_edit_photo_refuses_an_edit_of_nothing(photo: Path) -> None:
    with pytest.raises(InputError, match="nothing is to be edited; expected some of blond_hair"):
        editing.edit_photo(read(photo), {})


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command(name, "--help")
    assert COMMANDS[name][1][1:] in " ".join(capsys.readouterr().out.split())


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command("--help")
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)
    with pytest.raises(SystemExit, match="0"):
        command("--version")
    assert re.fullmatch(r"maskedit \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [[], ["fry"], ["edit"]])
def test_what_argparse_does_not_understand_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(*arguments)


def test_as_a_process(photo: Path, tmp_path: Path) -> None:
    """The whole program with its own recipe: the edit shows, and only there."""
    call = [
        sys.executable,
        "-m",
        "maskedit",
        "edit",
        photo,
        "--set",
        "black_hair",
        "--out",
        tmp_path / "out",
    ]
    done = subprocess.run(call, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "out" / "astronaut.json").read_text())
    assert facts["attributes"]["black_hair"]["before"] < 0.5 < facts["attributes"]["black_hair"]["after"]
    before, after = read(photo), read(tmp_path / "out" / "astronaut_edited.png")
    hair = slice(25, 45), slice(200, 260)
    assert after[0, :, *hair].mean() < before[0, :, *hair].mean() - 0.1
    assert torch.equal(after[..., 260:, :], before[..., 260:, :])
