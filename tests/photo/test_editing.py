"""A photo edited in one call, by models that draw a face in an instant; what is refused, and when."""

from pathlib import Path

import pytest
import torch
from skimage import data

import maskedit as me
from maskedit.photo import editing, find_face, read, write
from tests import toys

POINTS = torch.tensor([[200.0, 100.0], [260.0, 100.0], [230.0, 130.0], [210.0, 160.0], [250.0, 160.0]])


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255


def short(edit: me.Edit) -> me.Recipe:
    return me.recipes.paper(edit, steps=(1, 2, 1, 1))


def toy() -> me.Models:
    trio = toys.models()
    return me.Models(**{
        name: getattr(trio, name) for name in ("generator", "parser", "classifier", "encoder", "mean_latent", "latents")
    })  # fmt: skip


def test_from_a_file_to_a_file(tmp_path: Path, photo: torch.Tensor) -> None:
    write(photo, tmp_path / "portrait.png")
    given = {"models": toy(), "recipe": short, "landmarks": POINTS}
    edited = me.edit_photo(tmp_path / "portrait.png", "smiling", **given)  # type: ignore[arg-type]
    assert edited.recipe.edit == me.Edit("smiling")
    assert set(edited.attributes) == {"smiling", "wearing_lipstick", "pale_skin"}
    assert not torch.equal(edited.photo, edited.original)
    edited.save(tmp_path / "edited.png")
    torch.testing.assert_close(read(tmp_path / "edited.png"), edited.photo, rtol=0, atol=1 / 255)
    with pytest.raises(me.PhotoError, match="there is a file .*edited.png already.*replace=True"):
        edited.save(tmp_path / "edited.png")
    edited.save(tmp_path / "edited.png", replace=True)
    same = me.edit_photo(read(tmp_path / "portrait.png"), {"smiling": 1.0}, **given)  # type: ignore[arg-type]
    assert torch.equal(same.photo, edited.photo)


def test_what_is_pasted_is_what_the_run_gave(photo: torch.Tensor) -> None:
    edited = me.edit_photo(photo, "smiling", models=toy(), recipe=short, landmarks=POINTS)
    x, y = (round(value) for value in edited.alignment.centre)
    middle = edited.result.image[0, :, 7:9, 7:9].mean(dim=(1, 2)).clamp(0, 1)
    torch.testing.assert_close(edited.photo[0, :, y - 2 : y + 3, x - 2 : x + 3].mean(dim=(1, 2)), middle,
                               rtol=0, atol=0.1)  # fmt: skip
    outside = edited.photo.clone()
    side = round(edited.alignment.side)
    outside[..., max(0, y - side) : y + side, max(0, x - side) : x + side] = 0
    kept = photo.clone()
    kept[..., max(0, y - side) : y + side, max(0, x - side) : x + side] = 0
    assert torch.equal(outside, kept)


def test_points_without_a_face_are_told_of(photo: torch.Tensor) -> None:
    face = find_face(photo)
    given = {"models": toy(), "recipe": short}
    assert me.edit_photo(photo, "smiling", landmarks=face, **given).notes == ()  # type: ignore[arg-type]
    flag = POINTS - torch.tensor([160.0, 0.0])
    notes = me.edit_photo(photo, "smiling", landmarks=flag, **given).notes  # type: ignore[arg-type]
    assert notes == ("No face was recognised at the landmarks that were given.",)


def test_a_box_without_a_face_is_refused(photo: torch.Tensor) -> None:
    with pytest.raises(me.PhotoError, match="the box holds no face"):
        me.edit_photo(photo, "smiling", models=toy(), recipe=short, box=(20, 100, 120, 200))


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (POINTS * float("nan"), "not finite"),
        (POINTS + 2000, "the landmarks lie outside the photo"),
        (POINTS - 2000, "the landmarks lie outside the photo"),
        (torch.stack([torch.linspace(100, 200, 5), torch.linspace(100, 150, 5)], 1), "the landmarks lie on a line"),
        (POINTS[:, :1].expand(-1, 2).clone() * 0 + 5, "fall together"),
        (POINTS[:4], "wrong landmarks"),
    ],
)
def test_landmarks_that_are_no_faces_are_refused(photo: torch.Tensor, points: torch.Tensor, says: str) -> None:
    with pytest.raises(me.InputError, match=says):
        me.edit_photo(photo, "smiling", models=toy(), recipe=short, landmarks=points)


@pytest.mark.parametrize(
    ("wish", "recipe", "says"),
    [
        ((), "plausible", "nothing is to be edited"),
        ("smilin", "plausible", "no attribute 'smilin'.*Did you mean 'smiling'"),
        ("smiling", "soup", "no recipe for photos is called 'soup'"),
        ("pale_skin", "paper", "region 'eyebrows'|has no region"),
    ],
)
def test_what_cannot_be_is_refused_before_the_photo_is_looked_at(wish: object, recipe: str, says: str) -> None:
    with pytest.raises(me.InputError, match=says):
        me.edit_photo("no/such/photo.png", wish, models=toys.models(), recipe=recipe)  # type: ignore[arg-type]
    with pytest.raises(me.PhotoError, match="cannot read"):
        me.edit_photo("no/such/photo.png", "smiling", models=toys.models(), recipe="paper")


def test_attributes_that_can_be_edited() -> None:
    assert editing.editable(toys.models()) == ("smiling", "wearing_lipstick")
    assert editing.editable(toys.models(classifier=None)) == ()
