"""Labels by measurement: colours there and back, polygons, regions of a drawn face, attributes at both ends."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskedit.attributes import HAIR_COLOURS, REGIONS
from maskedit.errors import InputError
from maskedit.training.colour import dye, lab, rgb
from maskedit.training.faces import MIRROR, balanced, load_faces
from maskedit.training.labels import load_labels
from maskedit.training.measured_attributes import MEASURES, ends, hair_colours, measure, strands
from maskedit.training.polygons import Frame, inside
from tests.training.drawn import drawn_landmarks


def test_lab_equals_scikit_image() -> None:
    from skimage.color import rgb2lab

    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = rgb2lab(picture[0].permute(1, 2, 0).numpy())
    np.testing.assert_allclose(lab(picture)[0].permute(1, 2, 0).numpy(), expected, atol=0.1)


def test_rgb_undoes_lab() -> None:
    picture = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rgb(lab(picture)), picture, atol=1e-4, rtol=0)


def test_dye_moves_the_region_alone() -> None:
    picture = torch.full((1, 3, 8, 8), 0.5)
    region = torch.zeros(1, 1, 8, 8)
    region[..., :4] = 1
    after = torch.tensor([[70.0, 10.0, 30.0]])
    dyed = dye(picture, region, lab(picture)[:, :, 0, 0], after)
    torch.testing.assert_close(lab(dyed)[:, :, 0, 0], after, atol=0.1, rtol=0)
    torch.testing.assert_close(dyed[..., 4:], picture[..., 4:], atol=1e-5, rtol=0)


def test_polygon_is_filled() -> None:
    square = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:6, 2:6] = True
    assert torch.equal(inside(square, 8), expected)


def test_frame_is_fixed_to_the_eyes() -> None:
    points = drawn_landmarks()
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    moved = points @ turn.T * 0.7 + 0.1
    torch.testing.assert_close(Frame(moved).to(moved), Frame(points).to(points), atol=1e-5, rtol=0)
    torch.testing.assert_close(Frame(moved).back(Frame(moved).to(moved)), moved)


def test_mirrored_points_keep_their_meaning() -> None:
    points = drawn_landmarks()
    mirrored = torch.stack([1 - points[:, 0], points[:, 1]], 1)[MIRROR]
    torch.testing.assert_close(mirrored, points, atol=1e-5, rtol=0)


def test_regions_of_a_drawn_face(drawn_faces: Path, drawn_labels: Path) -> None:
    labels = load_labels(drawn_labels, load_faces(drawn_faces, "all"))
    expected = {
        (0.5, 0.73): "mouth",
        (0.38, 0.48): "eyes",
        (0.62, 0.41): "eyebrows",
        (0.5, 0.58): "nose",
        (0.35, 0.62): "skin",
        (0.5, 0.1): "hair",
        (0.05, 0.05): "background",
        (0.95, 0.4): "background",
        (0.5, 0.98): "below_face",
    }
    size = labels.regions.shape[-1]
    for (x, y), region in expected.items():
        found = labels.regions[:, int(y * size), int(x * size)]
        assert (found == REGIONS.index(region)).all(), (region, [REGIONS[i] for i in found])


def test_measured_hair_is_the_drawn_colour(drawn_faces: Path, drawn_labels: Path) -> None:
    labels = load_labels(drawn_labels, load_faces(drawn_faces, "all"))
    assert labels.dyeable.all()
    told = [HAIR_COLOURS[i] for i in hair_colours(labels.hair).argmax(1)]
    assert told == ["black_hair", "brown_hair", "blond_hair", "gray_hair"] * 2


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((70.0, 6.0, 28.0), "blond_hair"),
        ((30.0, 8.0, 14.0), "brown_hair"),
        ((8.0, 1.0, 1.0), "black_hair"),
        ((65.0, 0.0, 3.0), "gray_hair"),
    ],
)
def test_hair_colours(colour: tuple[float, ...], name: str) -> None:
    margins = dict(zip(HAIR_COLOURS, hair_colours(torch.tensor([colour]))[0], strict=True))
    assert [kind for kind, margin in margins.items() if margin > 0] == [name]


def test_green_hair_has_none_of_the_colours() -> None:
    assert (hair_colours(torch.tensor([[45.0, -40.0, 20.0]])) < 0).all()


def test_ends_leave_the_middle_out() -> None:
    values = torch.tensor([0.0, 1.0, 1.5, 2.0, 3.0])
    up = torch.tensor([0.0, 0.0, torch.nan, 1.0, 1.0])
    assert torch.equal(ends(values, 1.0, 2.0).nan_to_num(-1), up.nan_to_num(-1))
    assert torch.equal(ends(values, 2.0, 1.0).nan_to_num(-1), (1 - up).nan_to_num(-1))


def test_open_mouth_measures_more() -> None:
    column = MEASURES.index("mouth_open")
    picture, regions = torch.full((3, 128, 128), 0.5), torch.zeros(128, 128, dtype=torch.uint8)
    closed, opened = (measure(picture, drawn_landmarks(opening=o), regions)[column] for o in (0.0, 0.05))
    assert closed < 0.07 < 0.115 < opened


def test_parallel_strands_are_coherent() -> None:
    hair = torch.ones(128, 128, dtype=torch.bool)
    stripes = (torch.arange(128.0) % 6)[None].repeat(128, 1) * 10
    noise = torch.randn(128, 128, generator=torch.Generator().manual_seed(0)) * 10
    assert strands(stripes, hair) > 0.95
    assert strands(noise, hair) < 0.5


def test_balanced_draws_the_wanted_share(drawn_faces: Path) -> None:
    faces = load_faces(drawn_faces, "train")
    rows = balanced(faces, 0.9, 4000, torch.Generator().manual_seed(0))
    drawn = torch.tensor(faces.synthetic)[rows].float().mean()
    assert abs(drawn - 0.9) < 0.02


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "aligned" / "1.png").write_bytes(b"no photo"), "1.png cannot be read as a photo"),
        (lambda folder: Image.new("RGB", (64, 32)).save(folder / "aligned" / "1.png"), "1.png is not like the other"),
    ],
)
def test_a_photo_that_is_not_like_the_others_gets_a_sentence(
    drawn_faces: Path, tmp_path: Path, change: Callable[[Path], object], sentence: str
) -> None:
    folder = tmp_path / "faces"
    shutil.copytree(drawn_faces, folder)
    change(folder)
    with pytest.raises(InputError, match=sentence):
        load_faces(folder, "train")


def test_labels_of_other_photos_are_refused(drawn_faces: Path, drawn_labels: Path, tmp_path: Path) -> None:
    faces = load_faces(drawn_faces, "test")
    with pytest.raises(InputError, match="labels of other photos; expected 'new.png' and 0 more"):
        load_labels(drawn_labels, replace(faces, names=(*faces.names[:-1], "new.png")))
