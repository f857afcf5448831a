"""Each training for a handful of steps: losses fall, files are written, a resumed run equals an unbroken one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maskedit.training import classifier, generator, judge, landmarks, loop, parser
from maskedit.training.augment import affine, degrade, recolour, transform_points, warp_affine
from maskedit.training.loop import ema_weights, step_rng, update_ema
from tests.training.drawn import drawn_landmarks

TRAININGS = {
    "landmarks": landmarks,
    "parser": parser,
    "classifier": classifier,
    "judge": judge,
    "generator": generator,
}
STEPS = 6


class KilledError(Exception):
    pass


@pytest.fixture(params=TRAININGS)
def command(request: pytest.FixtureRequest, drawn_faces: Path, drawn_labels: Path) -> Callable[[Path], None]:
    """Runs one of the trainings into a folder."""
    arguments = ["--faces", str(drawn_faces), "--steps", str(STEPS), "--batch", "4", "--every", "2"]
    if request.param != "landmarks":
        arguments += ["--labels", str(drawn_labels)]
    return lambda out: TRAININGS[request.param].main([*arguments, "--out", str(out)])


def test_resumed_equals_unbroken(
    command: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(tmp_path / "unbroken")

    def keep_then_die(path: Path, kept: loop.Kept, step: int, seconds: float) -> None:
        keep(path, kept, step, seconds)
        if step == 4:
            raise KilledError

    keep = loop.save_checkpoint
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", keep_then_die)
        with pytest.raises(KilledError):
            command(tmp_path / "broken")
    command(tmp_path / "broken")
    unbroken, resumed = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("unbroken", "broken"))
    assert unbroken.keys() == resumed.keys()
    for key, value in unbroken.items():
        assert torch.equal(value, resumed[key]), key
    lines = [json.loads(line) for line in (tmp_path / "unbroken" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert ema_weights(tmp_path / "unbroken" / "checkpoint.safetensors")


def test_landmark_loss_falls(drawn_faces: Path, tmp_path: Path) -> None:
    landmarks.main(
        ["--faces", str(drawn_faces), "--out", str(tmp_path), "--steps", "40", "--batch", "8", "--every", "10"]
    )
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]


def test_autoencoder_distance_falls(drawn_faces: Path, drawn_labels: Path, tmp_path: Path) -> None:
    folders = ["--faces", str(drawn_faces), "--labels", str(drawn_labels), "--out", str(tmp_path)]
    generator.main([*folders, "--steps", "40", "--batch", "4", "--every", "10"])
    losses = [json.loads(line)["distance"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    assert (tmp_path / "sheet.png").exists()


def test_average_follows() -> None:
    model, average = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    for step in range(200):
        update_ema(average, model, 0.9, step)
    torch.testing.assert_close(average.weight, model.weight, atol=1e-4, rtol=0)


def test_draws_depend_on_seed_and_step() -> None:
    first = torch.rand(3, generator=step_rng(0, 5))
    assert torch.equal(first, torch.rand(3, generator=step_rng(0, 5)))
    assert not torch.equal(first, torch.rand(3, generator=step_rng(0, 6)))
    assert not torch.equal(first, torch.rand(3, generator=step_rng(1, 5)))


def test_crop_moves_points_with_the_picture() -> None:
    """A bright spot is found in the crop where its position is said to be."""
    points = drawn_landmarks()[None]
    spot = points[:, 36]
    at = (torch.arange(128) + 0.5) / 128
    picture = torch.exp(-((at[None] - spot[0, 0]) ** 2 + (at[:, None] - spot[0, 1]) ** 2) / 2e-4)[None, None]
    place = affine(torch.tensor([[0.45, 0.55]]), torch.tensor([0.8]), torch.tensor([25.0]), torch.tensor([1.0]))
    seen = warp_affine(picture, place, 128)[0, 0]
    row, column = divmod(int(seen.argmax()), 128)
    expected = transform_points(points, place)[0, 36]
    assert abs((column + 0.5) / 128 - expected[0]) < 0.01
    assert abs((row + 0.5) / 128 - expected[1]) < 0.01


@pytest.mark.parametrize("change", [recolour, degrade])
def test_changes_stay_pictures_and_repeat(change: Callable[[torch.Tensor, torch.Generator], torch.Tensor]) -> None:
    picture = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    changed = change(picture, step_rng(0, 1))
    assert changed.shape == picture.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, picture)
    assert torch.equal(changed, change(picture, step_rng(0, 1)))
