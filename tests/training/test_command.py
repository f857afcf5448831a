"""``maskedit train``: what it lists, where it leads, the numbers of its presets, curves, and sentences for mistakes."""

import argparse
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskedit.commands import main
from maskedit.commands import train as command
from maskedit.errors import InputError
from maskedit.training import loop, options
from maskedit.training.faces import load_faces
from maskedit.training.labels import load_labels
from maskedit.training.options import Hyperparameters


def maskedit(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_help_lists_every_training_and_preset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        maskedit("train", "--help")
    listed = capsys.readouterr().out
    for what, presets in command.TRAININGS.items():
        for preset in presets:
            assert re.search(rf"^  {what} +{preset} ", listed, re.MULTILINE), (what, preset)


PRESETS = [(what, preset) for what, presets in command.TRAININGS.items() for preset in presets]


@pytest.mark.parametrize(("what", "preset"), PRESETS)
def test_each_preset_has_its_own_help(what: str, preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        maskedit("train", what, "--preset", preset, "--help")
    listed = capsys.readouterr().out
    # Boundaries are found, not trained in steps.
    steps = () if what == "boundaries" else ("--faces", "--batch", "--device", "--every")
    for option in ("--out", "--seed", *steps):
        assert option in listed


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, float]:
    with pytest.raises(SystemExit, match="0"):
        maskedit("train", *arguments, "--print")
    return json.loads(capsys.readouterr().out)


def test_the_papers_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    tree = printed(capsys, "classifier", "--preset", "paper")
    own = {"epochs": 26, "batch": 32, "rate": 0.05, "later_rate": 0.005, "later_from": 40_000, "size": 224}
    assert tree | own == tree
    parser = printed(capsys, "parser", "--preset", "datasetgan")
    own = {"synthetic": 100_000, "rate": 3e-4, "batch": 24, "parser": "deeplab", "networks": 10, "dropped": 0.1}
    assert parser | own == parser


def test_a_number_may_be_given_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = printed(capsys, "landmarks"), printed(capsys, "landmarks", "--batch", 7)
    assert after == before | {"batch": 7}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cat"], "nothing of that name can be trained; expected generator, encoder, parser"),
        ([], "nothing of that name can be trained"),
        (["parser", "--preset", "papper"], "the parser has no such preset; expected bundled or datasetgan"),
        (["--plot", "nowhere"], "nowhere has no log to plot; expected log.jsonl"),
        (["landmarks", "--faces", "FACES", "--out", "OUT", "--device", "gpu"], "cannot train on the device 'gpu'"),
        (["classifier", "--preset", "paper", "--faces", "FACES", "--out", "OUT"], "expected --labels or --attributes"),
    ],
)
def test_mistakes_get_a_sentence(
    arguments: list[str], sentence: str, drawn_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"FACES": str(drawn_faces), "OUT": str(tmp_path / "out")}
    assert maskedit("train", *(places.get(argument, argument) for argument in arguments)) == 2
    assert sentence in capsys.readouterr().err


def test_no_device_that_is_not_there() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="cannot train on the device 'cuda'.* Use cpu"):
        options.device_of("cuda")


def test_a_training_does_not_go_on_by_other_numbers(drawn_faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "landmarks", "--faces", drawn_faces, "--out", tmp_path, "--steps", 2, "--batch", 2]
    assert maskedit(*arguments) == 0
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert maskedit(*arguments[:-1], 3) == 2
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == kept
    assert maskedit(*arguments) == 0
    assert json.loads((tmp_path / "hyperparameters.json").read_text())["batch"] == 2
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 192, 192)
    assert not list(tmp_path.glob("*partial*"))


def test_the_sentence_names_the_numbers_that_differ(tmp_path: Path) -> None:
    options.remember(tmp_path, Hyperparameters(batch=2))
    with pytest.raises(InputError, match="expected batch 2; got batch 3") as error:
        options.remember(tmp_path, Hyperparameters(batch=3))
    assert "seed" not in str(error.value)


def test_interrupted_says_how_to_go_on(
    drawn_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", interrupt)
    assert maskedit("train", "landmarks", "--faces", drawn_faces, "--out", tmp_path, "--steps", 1, "--batch", 2) == 130
    assert "goes on from the last checkpoint" in capsys.readouterr().err


def test_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"step": i, "loss": 1 / i, "images_per_second": 9.0, "seconds": i} for i in (1, 2, 3)]
    lines[1]["fool"] = 0.5  # a thing that only some lines have
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert maskedit("train", "--plot", tmp_path) == 0
    assert Path(capsys.readouterr().out.strip()) == tmp_path / "log.png"
    with Image.open(tmp_path / "log.png") as picture:
        assert picture.size[0] > 600


def copied(drawn_faces: Path, folder: Path) -> Path:
    return Path(shutil.copytree(drawn_faces, folder))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: (f / "manifest.csv").unlink(), "there is no .*manifest.csv; expected manifest.csv, landmarks.npz"),
        (lambda f: (f / "landmarks.npz").unlink(), "there is no .*landmarks.npz"),
        (lambda f: (f / "manifest.csv").write_text("file,split\n0.png,train\n"), "lacks the column 'source'; .*split"),
        (lambda f: (f / "aligned" / "3.png").unlink(), "1 photos of .* are missing; got no .*3.png"),
        (lambda f: np.savez(f / "landmarks.npz", landmarks=np.zeros((3, 68, 2))), r"expected landmarks \[8, 68, 2\]"),
        (lambda f: np.savez(f / "landmarks.npz", points=np.zeros((8, 68, 2))), "got no such array"),
    ],
)
def test_a_folder_that_lacks_something_gets_a_sentence(
    spoil: Callable[[Path], object], sentence: str, drawn_faces: Path, drawn_labels: Path, tmp_path: Path
) -> None:
    folder = copied(drawn_faces, tmp_path / "faces")
    spoil(folder)
    with pytest.raises(InputError, match=sentence):
        load_faces(folder, "train")
    with pytest.raises(InputError, match=sentence):
        rest = ["--faces", str(folder), "--labels", str(drawn_labels), "--out", str(tmp_path)]
        command.run(argparse.Namespace(plot=None, what="judge", rest=rest))


def test_a_folder_without_labels_gets_a_sentence(drawn_faces: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no .*regions.npz; .*maskedit.training.labels"):
        load_labels(tmp_path, load_faces(drawn_faces, "test"))
