"""Edited squares back in their photo."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskedit.blending import AddChange, Paste, Patch, Redraw
from maskedit.errors import InputError
from maskedit.photo import Alignment, align, crop, paste
from tests.photo.test_alignment import FACE, turned, waves


def pasted(edited: torch.Tensor, mask: torch.Tensor) -> Patch:
    return Paste().patch(edited, None, edited, mask)


def added(edited: torch.Tensor, fitted: torch.Tensor, mask: torch.Tensor) -> Patch:
    return AddChange().patch(edited, fitted, edited, mask)


@given(
    degrees=st.floats(-90, 90),
    scale=st.floats(0.3, 3),
    left=st.integers(-150, 150),
    size=st.sampled_from([16, 64, 200]),
    change=st.booleans(),
)
def test_outside_the_mask_every_bit_stays(degrees: float, scale: float, left: int, size: int, change: bool) -> None:
    photo = torch.rand(1, 3, 150, 220)
    square = align(turned(FACE, degrees, scale, (left, 20)), (150, 220))
    mask = torch.zeros(1, 1, size, size)
    mask[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    edited = torch.rand(1, 3, size, size)
    patch = added(edited, torch.rand(1, 3, size, size), mask) if change else pasted(edited, mask)
    result = paste(photo, square, patch)
    assert result.shape == photo.shape
    assert 0 <= result.min()
    assert result.max() <= 1
    y, x = torch.meshgrid(torch.arange(150) + 0.5, torch.arange(220) + 0.5, indexing="ij")
    where = square.to_square(torch.stack((x, y), dim=-1))
    # A pixel of the mask reaches as far as its neighbour's centre, and a pixel of the photo half its diagonal.
    reach = 1 / size + 1.5 / square.side
    outside = ((where < 0.25 - reach) | (where > 0.5 + reach)).any(dim=-1)
    assert torch.equal(result[..., outside], photo[..., outside])


def test_an_empty_mask_gives_the_photo() -> None:
    photo, square = torch.rand(1, 3, 90, 120), align(FACE, (90, 120))
    assert torch.equal(paste(photo, square, pasted(torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32))), photo)


def test_a_square_beside_the_photo_gives_the_photo() -> None:
    photo, square = torch.rand(1, 3, 90, 120), Alignment((900.0, 900.0), (40.0, 0.0), (90, 120))
    result = paste(photo, square, pasted(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)))
    assert torch.equal(result, photo)
    assert result is not photo


@pytest.mark.parametrize("degrees", [0.0, 20.0])
@pytest.mark.parametrize("size", [240, 480])
def test_an_unedited_square_comes_back_as_it_was(size: int, degrees: float) -> None:
    photo = waves(320, 320)
    square = align(turned(FACE, degrees, 1.0, (20, 20)), (320, 320))
    result = paste(photo, square, pasted(crop(photo, square, size), torch.ones(1, 1, size, size)))
    assert (result - photo).abs().max() < 0.01


def test_pasted_pixels_replace_the_photos() -> None:
    photo, square = torch.rand(1, 3, 300, 300), align(FACE, (300, 300))
    result = paste(photo, square, pasted(torch.full((1, 3, 64, 64), 0.25), torch.ones(1, 1, 64, 64)))
    torch.testing.assert_close(result[:, :, 100:150, 100:150], torch.full((1, 3, 50, 50), 0.25))


def test_the_change_alone_keeps_the_photos_detail() -> None:
    photo, square = 0.2 + 0.5 * torch.rand(1, 3, 300, 300), align(FACE, (300, 300))
    fitted = torch.rand(1, 3, 64, 64) * 0.5
    result = paste(photo, square, added(fitted + 0.1, fitted, torch.ones(1, 1, 64, 64)))
    inner = slice(80, 170)
    torch.testing.assert_close(result[:, :, inner, inner], photo[:, :, inner, inner] + 0.1)


def test_no_change_changes_nothing() -> None:
    photo, square, fitted = torch.rand(1, 3, 300, 300), align(FACE, (300, 300)), torch.rand(1, 3, 64, 64)
    assert torch.equal(paste(photo, square, added(fitted, fitted, torch.ones(1, 1, 64, 64))), photo)


def test_the_edit_fades_towards_the_border_of_the_square() -> None:
    photo, square = torch.zeros(1, 3, 300, 300), align(FACE, (300, 300))
    edited, mask = torch.ones(1, 3, 240, 240), torch.ones(1, 1, 240, 240)
    row = paste(photo, square, pasted(edited, mask), fade=0.1)[0, 0, 126, 10:131]
    assert row[:3].max() < 0.05
    assert row[25:].min() > 0.999
    assert (row.diff() >= -1e-5).all()
    assert row.diff().max() < 0.1
    hard = paste(photo, square, pasted(edited, mask), fade=0.0)[0, 0, 126, 10:131]
    assert hard[1:].min() > 0.999


def test_mask_is_a_share() -> None:
    photo, square = torch.zeros(1, 3, 300, 300), align(FACE, (300, 300))
    result = paste(photo, square, pasted(torch.ones(1, 3, 64, 64), torch.full((1, 1, 64, 64), 0.3)))
    torch.testing.assert_close(result[0, :, 126, 130], torch.full((3,), 0.3))


def test_types_follow_the_photo() -> None:
    photo, square = torch.rand(1, 3, 90, 120, dtype=torch.float64), align(FACE, (90, 120))
    assert paste(photo, square, pasted(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32))).dtype == torch.float64


@pytest.mark.unhooked
def test_shapes_that_do_not_fit_are_refused() -> None:
    photo, square = torch.rand(1, 3, 90, 120), align(FACE, (90, 120))
    fits = pasted(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    odd = Patch(fits.weight, fits.added, torch.ones(1, 1, 16, 16))
    with pytest.raises(InputError, match=r"its replaced has another.*\[1, 1, 32, 32\]; got \[1, 1, 16, 16\]"):
        paste(photo, square, odd)
    with pytest.raises(InputError, match="does not fit its alignment"):
        paste(photo[..., :50], square, fits)


def test_where_an_edit_redraws_the_photo_gives_its_tone_alone() -> None:
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    square = Alignment((32.0, 32.0), (32.0, 0.0), (64, 64))
    flat = torch.full((1, 3, 32, 32), 0.5)
    edited = flat.clone()
    edited[..., ::4] = 1.0
    mask = torch.ones(1, 1, 32, 32)
    change = paste(photo, square, added(edited, flat, mask), fade=0)
    redrawn = paste(photo, square, Redraw().patch(edited, flat, flat, mask), fade=0)
    stripes = torch.nn.functional.interpolate(edited, scale_factor=2, mode="bilinear")
    assert (redrawn - stripes).abs().mean() < 0.4 * (change - stripes).abs().mean()
    torch.testing.assert_close(paste(photo, square, Redraw().patch(flat, flat, flat, mask)), photo)


def test_patches_are_laid_one_upon_another() -> None:
    photo, square = torch.full((1, 3, 64, 64), 0.2), Alignment((32.0, 32.0), (32.0, 0.0), (64, 64))
    mask = torch.ones(1, 1, 64, 64)
    first = pasted(torch.full((1, 3, 64, 64), 0.5), mask)
    then = added(torch.full((1, 3, 64, 64), 0.9), torch.full((1, 3, 64, 64), 0.8), mask)
    torch.testing.assert_close(paste(photo, square, first, then, fade=0), photo + 0.4)
    torch.testing.assert_close(paste(photo, square, then, first, fade=0), photo + 0.3)


def test_the_square_and_the_photo_get_the_same() -> None:
    """A photo that is the square itself: what the run returns, and what is pasted, agree."""
    generator = torch.Generator().manual_seed(0)
    original, edited, fitted = (torch.rand(1, 3, 64, 64, generator=generator) * 0.5 + 0.2 for _ in range(3))
    mask = (torch.rand(1, 1, 64, 64, generator=generator) > 0.3).float()
    square = Alignment((32.0, 32.0), (32.0, 0.0), (64, 64))
    for blend in (Paste(), AddChange(), Redraw()):
        patch = blend.patch(edited, fitted, original, mask)
        expected = patch.onto(original).clamp(0, 1)
        torch.testing.assert_close(paste(original, square, patch, fade=0), expected, rtol=0, atol=1e-4)
