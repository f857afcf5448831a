"""Finding faces offline, in the bundled photograph and in photos made of the shared faces."""

import csv
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from maskedit.blending import Patch
from maskedit.errors import InputError, PhotoError
from maskedit.photo import Alignment, align, crop, find_face, find_faces, paste, read
from maskedit.photo.find import STEADY, box_around, locate


@pytest.fixture(scope="module")
def astronaut() -> Tensor:
    return torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def face(astronaut: Tensor) -> Tensor:
    return find_face(astronaut)


def eye_distance(face: Tensor) -> float:
    return (face[36:42].mean(0) - face[42:48].mean(0)).norm().item()


def apart(one: Tensor, other: Tensor) -> float:
    """Mean distance of the points, over the eye distance."""
    return (one - other).norm(dim=1).mean().item() / eye_distance(other)


def test_the_astronaut_is_found(face: Tensor, astronaut: Tensor) -> None:
    assert find_faces(astronaut).shape == (1, 68, 2)
    square = align(face, (512, 512))
    assert square.centre == pytest.approx((225, 106), abs=4)
    assert square.side == pytest.approx(172, rel=0.05)
    assert abs(square.angle) < 6
    eyes = face[36:48]  # measured by eye, to a few pixels
    assert eyes[:, 0].amin() > 190
    assert eyes[:, 0].amax() < 262
    assert eyes[:, 1].sub(113 - 18).abs().max() < 12


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_photos_on_their_side_and_upside_down(astronaut: Tensor, face: Tensor, turns: int) -> None:
    (found,) = find_faces(torch.rot90(astronaut, -turns, (2, 3)))  # clockwise
    x, y = face.unbind(1)
    expected = {1: (512 - y, x), 2: (512 - x, 512 - y), 3: (y, 512 - x)}[turns]
    assert apart(found, torch.stack(expected, dim=1)) < 0.08


@pytest.mark.parametrize("degrees", [-30, 15, 30])
def test_turned_faces(astronaut: Tensor, face: Tensor, degrees: int) -> None:
    turn = math.radians(degrees)
    view = Alignment((225.0, 120.0), (110 * math.cos(turn), -110 * math.sin(turn)), (512, 512))
    (found,) = find_faces(crop(astronaut, view, 300))
    assert apart(found, view.to_square(face) * 300) < 0.08


@pytest.mark.parametrize("side", [256, 1500])
def test_any_size(astronaut: Tensor, face: Tensor, side: int) -> None:
    other = crop(astronaut, Alignment((256.0, 256.0), (256.0, 0.0), (512, 512)), side)
    assert apart(find_face(other), face * side / 512) < 0.08


def test_two_faces_are_named_by_boxes_that_find_them(astronaut: Tensor, face: Tensor) -> None:
    pair = torch.cat([astronaut[:, :, :300, 80:380], astronaut[:, :, :300, 80:380].flip(-1)], dim=3)
    with pytest.raises(PhotoError, match=r"more than one face; expected one; got 2, in the boxes") as failure:
        find_face(pair)
    boxes = re.findall(r"\d+,\d+,\d+,\d+", str(failure.value))
    assert len(boxes) == 2
    left, right = (find_face(pair, box=tuple(map(float, box.split(",")))) for box in boxes)
    assert apart(left, face - torch.tensor([80.0, 0.0])) < 0.05
    assert right[:, 0].mean() > 300


def test_a_face_is_found_again_in_its_box(astronaut: Tensor, face: Tensor) -> None:
    assert apart(find_face(astronaut, box=box_around(face)), face) < 0.03


@pytest.mark.parametrize("name", ["coffee", "brick", "rocket"])
def test_no_face(name: str) -> None:
    values = torch.from_numpy(getattr(data, name)().copy()).float() / 255
    photo = (values.permute(2, 0, 1) if values.ndim == 3 else values.expand(3, -1, -1))[None]
    assert len(find_faces(photo)) == 0
    with pytest.raises(PhotoError, match="no face was found"):
        find_face(photo)


@pytest.mark.parametrize("size", [(1, 1), (20, 300), (300, 20)])
def test_photos_too_small_for_a_face(size: tuple[int, int]) -> None:
    assert len(find_faces(torch.rand(1, 3, *size))) == 0


def test_points_in_a_picture_of_nothing_are_unsteady() -> None:
    square = Alignment((150.0, 150.0), (60.0, 0.0), (300, 300))
    _, moved = locate(torch.rand(1, 3, 300, 300), [square])
    assert moved[0] > STEADY


def test_faces_in_photos(faces: Path) -> None:
    """Held-out faces, pasted turned and scaled into a picture, are found where they are."""
    with (faces / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    landmarks = torch.from_numpy(np.load(faces / "landmarks.npz")["landmarks"])
    held_out = [i for i, row in enumerate(rows) if row["split"] == "test" and row["landmark_error"]][::21]
    table = torch.from_numpy(data.coffee().copy()).permute(2, 0, 1)[None].float() / 255
    errors, whole = [], torch.ones(1, 1, 256, 256)
    for number in held_out:
        square = read(faces / "aligned" / Path(rows[number]["file"]).name)
        degrees, half = 20 * math.cos(number), 60 + 10 * (number % 10)
        axis = half * math.cos(math.radians(degrees)), half * math.sin(math.radians(degrees))
        place = Alignment((250.0, 200.0), axis, (400, 600))
        photo = paste(table, place, Patch(whole, square, whole), fade=0.0)
        found = find_faces(photo)
        errors += [apart(found[0], place.to_photo(landmarks[number] / 256))] if len(found) == 1 else []
    assert len(errors) >= 0.9 * len(held_out)
    assert sum(errors) / len(errors) < 0.05


def test_another_finder_can_be_given(astronaut: Tensor) -> None:
    asked = []

    def finder(photo: Tensor) -> Tensor:
        asked.append(photo.shape)
        return torch.full((1, 68, 2), 7.0)

    assert torch.equal(find_face(astronaut, finder=finder), torch.full((68, 2), 7.0))
    assert asked == [(1, 3, 512, 512)]


@pytest.mark.parametrize("box", [(10.0, 10.0, 10.0, 50.0), (600.0, 10.0, 700.0, 90.0), (-90.0, 10.0, -5.0, 90.0)])
def test_boxes_that_hold_nothing_are_refused(astronaut: Tensor, box: tuple[float, float, float, float]) -> None:
    with pytest.raises(
        InputError, match=r"holds no part of the photo; expected left,top,right,bottom within 512 x 512"
    ):
        find_face(astronaut, box=box)


def test_without_scikit_image_there_is_a_sentence(astronaut: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(PhotoError, match=r"needs scikit-image. Run: pip install 'maskedit\[photo\]'"):
        find_faces(astronaut)
