"""The square around a face, and the geometry between it and the photo."""

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maskedit.errors import InputError
from maskedit.photo import Alignment, align, crop

FACE = torch.tensor([[100.0, 120.0], [160.0, 120.0], [130.0, 150.0], [110.0, 180.0], [150.0, 180.0]])


def turned(points: Tensor, degrees: float, scale: float, shift: tuple[float, float]) -> Tensor:
    turn = math.radians(degrees)
    matrix = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return scale * points @ matrix + torch.tensor(shift)


def waves(height: int, width: int, *, period: float = 40.0) -> Tensor:
    """A smooth picture that differs in every place and channel."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    phases = [(x + 0.3 * y), (y - 0.2 * x), (x + y)]
    return torch.stack([0.5 + 0.4 * torch.sin(2 * math.pi * phase / period) for phase in phases])[None]


def test_known_square() -> None:
    # Eyes 60 apart, mouth 60 below them: half a side is 2 * 60, the centre 6 below the eyes.
    square = align(FACE, (300, 300))
    assert square.centre == pytest.approx((130, 126))
    assert square.axis == pytest.approx((120, 0))
    assert (square.side, square.angle) == pytest.approx((240, 0))
    assert square.outside == 0


def test_a_long_face_is_sized_by_the_way_to_its_mouth() -> None:
    long = FACE + torch.tensor([[0, 0], [0, 0], [0, 0], [0, 40], [0, 40]])
    assert align(long, (300, 300)).side == pytest.approx(2 * 1.8 * 100)


def test_sixty_eight_points_give_the_square_of_their_five() -> None:
    points = torch.randn(68, 2)
    points[36:42] += FACE[0]
    points[42:48] += FACE[1]
    points[48], points[54] = FACE[3], FACE[4]
    five = FACE.clone()
    five[0], five[1] = points[36:42].mean(0), points[42:48].mean(0)
    assert align(points, (300, 300)).axis == pytest.approx(align(five, (300, 300)).axis, rel=1e-5)


def test_faces_aligned_as_ffhq_are_found_in_place(faces: Path) -> None:
    found = torch.from_numpy(np.load(faces / "landmarks.npz")["landmarks"])
    with (faces / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Those that were aligned by these very points; of the others the points were made afterwards, from a mesh.
    own = [bool(row["landmark_error"]) for row in rows]
    assert sum(own) > 1000
    for landmarks in found[torch.tensor(own)]:
        square = align(landmarks, (256, 256))
        assert square.centre == pytest.approx((128, 128), abs=0.05)
        assert square.axis == pytest.approx((128, 0), abs=0.05)


@given(
    degrees=st.floats(-180, 180),
    scale=st.floats(0.2, 8),
    shift=st.tuples(st.floats(-200, 200), st.floats(-200, 200)),
)
def test_square_moves_with_the_face(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    before, after = align(FACE, (300, 300)), align(turned(FACE, degrees, scale, shift), (300, 300))
    assert after.side == pytest.approx(scale * before.side, rel=1e-4)
    assert math.cos(math.radians(after.angle - degrees)) == pytest.approx(1, abs=1e-5)
    inside = torch.rand(20, 2)
    expected = turned(before.to_photo(inside), degrees, scale, shift)
    torch.testing.assert_close(after.to_photo(inside), expected, atol=2e-2, rtol=1e-4)


@given(degrees=st.floats(-180, 180), scale=st.floats(0.2, 8))
def test_points_come_back(degrees: float, scale: float) -> None:
    square = align(turned(FACE, degrees, scale, (50, 30)), (1000, 1500))
    points = torch.rand(50, 2) * torch.tensor([1500.0, 1000.0])
    assert (square.to_photo(square.to_square(points)) - points).abs().max() < 1e-3
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert (square.to_square(square.to_photo(corners)) - corners).abs().max() < 1e-5


def test_outside_share() -> None:
    assert Alignment((0.0, 50.0), (40.0, 0.0), (100, 100)).outside == pytest.approx(0.5, abs=0.01)
    assert Alignment((0.0, 0.0), (40.0, 0.0), (100, 100)).outside == pytest.approx(0.75, abs=0.01)
    assert Alignment((500.0, 500.0), (40.0, 0.0), (100, 100)).outside == 1


@pytest.mark.parametrize("size", [64, 240, 500])
@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_crop_shows_what_lies_at_its_points(size: int, degrees: float) -> None:
    photo = waves(400, 380)
    square = align(turned(FACE, degrees, 1.0, (30, 60)), (400, 380))
    line = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(line, line, indexing="ij")
    where = square.to_photo(torch.stack((x, y), dim=-1).reshape(-1, 2))
    inside = ((where > 3) & (where < torch.tensor([377.0, 397.0]))).all(dim=1)
    expected = 0.5 + 0.4 * torch.sin(2 * math.pi * (where[:, 0] + 0.3 * where[:, 1]) / 40)
    shown = crop(photo, square, size)[0, 0].reshape(-1)
    assert inside.float().mean() > 0.6
    tolerance = 0.05 if size == 64 else 0.01  # a coarse pixel is the mean of what it covers
    assert (shown - expected)[inside].abs().max() < tolerance


def test_crop_of_the_whole_photo_is_the_photo() -> None:
    photo = torch.rand(1, 3, 64, 64)
    whole = Alignment((32.0, 32.0), (32.0, 0.0), (64, 64))
    torch.testing.assert_close(crop(photo, whole, 64), photo, atol=1e-4, rtol=0)
    quarter = torch.nn.functional.avg_pool2d(photo, 4)
    torch.testing.assert_close(crop(photo, whole, 16), quarter, atol=1e-4, rtol=0)


def test_crop_does_not_alias() -> None:
    stripes = (torch.arange(1000) % 2).float().expand(1, 3, 1000, 1000).contiguous()
    square = align(turned(FACE, 5.0, 3.0, (60, 60)), (1000, 1000))
    inner = crop(stripes, square, 64)[:, :, 16:-16, 16:-16]
    assert (inner - 0.5).abs().max() < 0.06


def test_crop_is_the_same_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, square = torch.rand(1, 3, 200, 300), align(FACE, (200, 300))
    whole = crop(photo, square, 32)
    monkeypatch.setattr("maskedit.photo.resample.STRIP", 1)
    torch.testing.assert_close(crop(photo, square, 32), whole)


def test_crop_reflects_beyond_the_photo() -> None:
    photo = waves(100, 100)
    shown = crop(photo, Alignment((0.0, 50.0), (40.0, 0.0), (100, 100)), 80)
    torch.testing.assert_close(shown[..., :40].flip(-1), shown[..., 40:], atol=1e-5, rtol=0)


def test_crop_keeps_dtype() -> None:
    square = align(FACE, (300, 300))
    assert crop(waves(300, 300).double(), square, 32).dtype == torch.float64


def test_alignment_is_plain_data() -> None:
    square = align(FACE, (300, 300))
    assert json.loads(json.dumps(asdict(square)))["photo_size"] == [300, 300]
    assert len({square, align(FACE, (300, 300))}) == 1


@pytest.mark.parametrize(
    ("landmarks", "says"),
    [
        (torch.zeros(4, 2), r"expected \[68, 2\] or \[5, 2\]; got \[4, 2\]"),
        (torch.full((5, 2), torch.nan), "not finite"),
        (torch.ones(5, 2), "fall together"),
        (torch.tensor([[0.0, 0], [60, 0], [30, 0], [60, 0], [0, 0]]), "fall together"),
    ],
)
def test_wrong_landmarks_get_a_sentence(landmarks: Tensor, says: str) -> None:
    with pytest.raises(InputError, match=says):
        align(landmarks, (300, 300))


def test_another_photos_alignment_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected \[1, 3, 300, 300\]; got \[1, 3, 300, 200\]"):
        crop(torch.rand(1, 3, 300, 200), align(FACE, (300, 300)), 64)
