"""The paper's protocol for the classifier: its rates, its loss, its epochs; and a short training by it."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from maskedit.errors import InputError
from maskedit.training import loop, tree
from maskedit.training.faces import load_faces
from maskedit.training.given_attributes import read_attributes
from maskedit.training.loop import step_rng
from maskedit.training.tree import (
    TreeHyperparameters,
    class_weights,
    moved,
    rate_at,
    rows_of,
    weighted_cross_entropy,
)

TINY = ["--width", "4", "--hidden", "8", "--size", "32", "--batch", "3", "--every", "2", "--epochs", "3"]


def test_the_rate_falls_tenfold_at_step_40000() -> None:
    paper = TreeHyperparameters()
    assert [rate_at(paper, step) for step in (0, 1, 39_999)] == [0.05] * 3
    assert [rate_at(paper, step) for step in (40_000, 40_001, 10**6)] == [0.005] * 3


def test_classes_weigh_alike_and_one_on_average() -> None:
    wanted = torch.tensor([[1.0, 0, math.nan], [0, 0, 1], [0, 0, 0], [0, 1, math.nan]])
    weights = class_weights(wanted)
    torch.testing.assert_close(weights, torch.tensor([[4 / 6, 4 / 6, 1.0], [2.0, 2.0, 1.0]]))
    counts = torch.stack([(wanted == value).sum(0) for value in (0, 1)])
    torch.testing.assert_close((weights * counts).sum(0), wanted.isfinite().sum(0).float())


def test_the_loss_is_its_formula() -> None:
    rng = step_rng(0, 0)
    logits = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    wanted = torch.tensor([[1.0, 0, math.nan], [0, 1, 1], [0, math.nan, 0], [0, 1, 1], [1, 0, 0]], dtype=torch.float64)
    weights = torch.rand(2, 3, generator=rng, dtype=torch.float64)
    losses = []
    for i in range(5):
        for a in range(3):
            if math.isnan(y := wanted[i, a].item()):
                continue
            p = 1 / (1 + math.exp(-logits[i, a].item()))
            losses.append(weights[int(y), a].item() * -(y * math.log(p) + (1 - y) * math.log(1 - p)))
    found = weighted_cross_entropy(logits, wanted, weights)
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_what_is_not_known_gives_no_gradient() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    wanted = torch.tensor([[math.nan, 1.0], [math.nan, 0.0]])
    weighted_cross_entropy(logits, wanted, class_weights(wanted)).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[:, 0], torch.zeros(2))
    assert (logits.grad[:, 1] != 0).all()


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_an_epoch_sees_each_photo_once(count: int, batch: int, epoch: int) -> None:
    steps = count // batch
    if steps == 0:
        return
    rows = torch.cat([rows_of(epoch * steps + i, count, batch, 0) for i in range(steps)]).tolist()
    assert len(rows) == len(set(rows)) == steps * batch
    assert set(rows) <= set(range(count))


def test_epochs_have_orders_of_their_own() -> None:
    first, second = rows_of(0, 20, 20, 0), rows_of(1, 20, 20, 0)
    assert not torch.equal(first, second)
    assert torch.equal(first, rows_of(0, 20, 20, 0))
    assert not torch.equal(first, rows_of(0, 20, 20, 1))


def test_photos_are_mirrored_half_the_time() -> None:
    """Without turns, shifts and zooms, a photo is itself or its mirror image."""
    still = TreeHyperparameters(degrees=0.0, shift=0.0, zoom=0.0)
    photo = torch.randint(256, (1, 3, 8, 8), generator=step_rng(0, 0), dtype=torch.uint8)
    seen = moved(photo.expand(64, -1, -1, -1), still, step_rng(0, 1)) * 255
    same, mirrored = ((seen - one.float()).abs().amax((1, 2, 3)) < 1e-2 for one in (photo, photo.flip(3)))
    assert torch.all(same ^ mirrored)
    assert 16 < same.sum() < 48


class KilledError(Exception):
    pass


def test_resumed_equals_unbroken(
    drawn_faces: Path, drawn_labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the fall of the rate, with momentum."""
    arguments = ["--faces", str(drawn_faces), "--labels", str(drawn_labels), *TINY, "--later-from", "3"]

    def keep_then_die(path: Path, kept: loop.Kept, step: int, seconds: float) -> None:
        keep(path, kept, step, seconds)
        if step == 4:
            raise KilledError

    tree.main([*arguments, "--out", str(tmp_path / "unbroken")])
    keep = loop.save_checkpoint
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", keep_then_die)
        with pytest.raises(KilledError):
            tree.main([*arguments, "--out", str(tmp_path / "broken")])
    tree.main([*arguments, "--out", str(tmp_path / "broken")])
    unbroken, resumed = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("unbroken", "broken"))
    assert any(key.endswith("momentum_buffer") for key in unbroken)
    assert unbroken.keys() == resumed.keys()
    for key, value in unbroken.items():
        assert torch.equal(value, resumed[key]), key
    lines = [json.loads(line) for line in (tmp_path / "unbroken" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert [line["rate"] for line in lines] == [0.05, pytest.approx(0.0275), 0.005]


def write_csv(path: Path, head: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def test_learns_attributes_of_a_file(drawn_faces: Path, tmp_path: Path) -> None:
    """The drawn faces with dark hair are told from the others."""
    faces = load_faces(drawn_faces, "all")
    dark = [str(int(int(name.split(".")[0]) % 4 == 0)) for name in faces.names]
    table = write_csv(
        tmp_path / "a.csv", ["file", "black_hair"], [list(row) for row in zip(faces.names, dark, strict=True)]
    )
    arguments = [*TINY[:-1], "30", "--rate", "0.02", "--attributes", str(table), "--degrees", "2"]
    tree.main(["--faces", str(drawn_faces), "--out", str(tmp_path / "run"), *arguments])
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


@pytest.mark.parametrize(
    ("head", "rows", "sentence"),
    [
        (["file", "blue_hair"], [["0.png", "1"]], "there is no attribute 'blue_hair'"),
        (["photo", "smiling"], [["0.png", "1"]], "names no photos; expected a CSV with a column file"),
        (["file", "smiling"], [["0.png", "1"]], "lacks 5 of the photos; got no row for 1.png"),
        (["file", "smiling"], [[f"{i}.png", "yes"] for i in range(6)], "expected 1, 0, -1 or nothing; got yes"),
    ],
)
def test_files_that_do_not_fit_get_a_sentence(
    head: list[str], rows: list[list[str]], sentence: str, drawn_faces: Path, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "a.csv", head, rows)
    arguments = ["--attributes", str(path), "--faces", str(drawn_faces), "--out", str(tmp_path / "run")]
    with pytest.raises(InputError, match=sentence):
        tree.main([*arguments, *TINY])


def test_unknown_is_neither(drawn_faces: Path, tmp_path: Path) -> None:
    rows = [[f"{i}.png", label] for i, label in enumerate(["1", "0", "-1", "", " 1", "0"])]
    path = write_csv(tmp_path / "a.csv", ["file", "smiling"], rows)
    table = read_attributes(path)
    assert table.attributes == ("smiling",)
    wanted = table.of(load_faces(drawn_faces, "train").names)
    torch.testing.assert_close(wanted[:, 0], torch.tensor([1, 0, 0, math.nan, 1, 0]), equal_nan=True)


def test_fewer_photos_than_a_batch_get_a_sentence(drawn_faces: Path, drawn_labels: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fewer photos than one batch has; expected 32; got 6"):
        tree.main(["--faces", str(drawn_faces), "--labels", str(drawn_labels), "--out", str(tmp_path)])
