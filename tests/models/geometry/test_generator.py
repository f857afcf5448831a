"""A generator of given photos: the protocol, the photos themselves, both halves of the latent."""

import pytest
import torch
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.geometry import ShapedGenerator, Warp, load_coordinates, load_insides
from maskedit.models.geometry.coordinates import REGIONS
from maskedit.protocols import Generator

COORDINATES = load_coordinates()


class Tinted:
    """Draws one colour: the first three numbers of the first row."""

    resolution = 8
    latent_shape = (2, 20)
    noise_shapes = ((4, 4),)

    def synthesize(self, latent: Tensor, noises: list[Tensor]) -> Tensor:
        return latent[:, 0, :3, None, None].expand(-1, -1, 8, 8) + noises[0].mean((1, 2, 3))[:, None, None, None]


def points(batch: int = 2) -> Tensor:
    return COORDINATES.mean[None, :, :2].repeat(batch, 1, 1)


def photos(batch: int = 2, size: int = 64) -> Tensor:
    at = torch.linspace(0, 9, size)
    x, y = at[None, :].expand(size, size), at[:, None].expand(size, size)
    return (torch.stack([x.sin(), y.cos(), (x + y).sin()]) / 2 + 0.5).repeat(batch, 1, 1, 1)


def generator(batch: int = 2, **more: object) -> ShapedGenerator:
    fitted = torch.full((batch, 2, 20), 0.5)
    return ShapedGenerator(appearance=Tinted(), photos=photos(batch), points=points(batch), fitted=fitted, **more)  # type: ignore[arg-type]


def silence(batch: int = 2) -> list[Tensor]:
    return [torch.zeros(batch, 1, 4, 4)]


def test_it_keeps_the_protocol() -> None:
    made = generator()
    assert isinstance(made, Generator)
    assert made.latent_shape == (2 + len(REGIONS), 20)
    assert (made.resolution, made.noise_shapes) == (64, ((4, 4),))


def test_the_fitted_latents_show_the_photos() -> None:
    made = generator()
    torch.testing.assert_close(made.synthesize(made.latent(), silence()), photos(), atol=1e-4, rtol=0)


def test_rows_of_appearance_add_their_change() -> None:
    made = generator()
    latent = made.latent()
    latent[1, 0, 0] += 0.2
    expected = photos()
    expected[1, 0] += 0.2
    torch.testing.assert_close(made.synthesize(latent, silence()), expected, atol=1e-4, rtol=0)


def test_rows_of_shape_move_the_photos_pixels() -> None:
    made = generator()
    rows = COORDINATES.rows({"nose": {"wide": 1.5}}, 2)
    shape = COORDINATES.shape(points(), rows)
    torch.testing.assert_close(made.synthesize(made.latent(rows), silence()), Warp(points())(photos(), shape))
    torch.testing.assert_close(made.shape(made.latent(rows)), shape)


def test_rows_end_at_the_safe_range() -> None:
    made = generator()
    far, end = (made.latent(COORDINATES.rows({"mouth": {"open": value}}, 2)) for value in (9.0, 2.0))
    torch.testing.assert_close(made.shape(far), made.shape(end))


def test_gradients_reach_both_halves() -> None:
    made = generator(insides=load_insides())
    latent = made.latent(COORDINATES.rows({"mouth": {"open": 0.5}}, 2)).requires_grad_()
    made.synthesize(latent, silence()).square().sum().backward()
    assert latent.grad is not None
    assert latent.grad.isfinite().all()
    assert (latent.grad[:, 0, :3] != 0).all()
    assert (latent.grad[:, -len(REGIONS) :, :4] != 0).all()


def test_a_batch_equals_singles() -> None:
    made, alone = generator(2), generator(1)
    rows = COORDINATES.rows({"eyes": {"open": -1.0}})
    together = made.synthesize(made.latent(rows.expand(2, -1, -1)), silence())
    torch.testing.assert_close(together[:1], alone.synthesize(alone.latent(rows), silence(1)), atol=1e-5, rtol=0)


def test_lips_that_part_uncover_a_mouth() -> None:
    """Grey lips that were closed show something else than grey between them, and stay grey above and below."""
    closed = COORDINATES.shape(points(1), COORDINATES.rows({"mouth": {"open": -1.0}}))
    grey = torch.full((1, 3, 128, 128), 0.6)
    made = ShapedGenerator(
        appearance=Tinted(), photos=grey, points=closed, fitted=torch.zeros(1, 2, 20), insides=load_insides()
    )
    shown = made.synthesize(made.latent(COORDINATES.rows({"mouth": {"open": 2.0}})), silence(1))
    changed = (shown - grey).abs().amax(1)[0] > 0.02
    assert changed.any()
    assert changed.float().mean() < 0.02


def test_bad_input_gets_a_sentence() -> None:
    with pytest.raises(InputError, match="photos, points and latents do not belong together; expected as many of each"):
        ShapedGenerator(appearance=Tinted(), photos=photos(2), points=points(1), fitted=torch.zeros(2, 2, 20))
    with pytest.raises(InputError, match="these latents do not belong to the photos"):
        generator().synthesize(torch.zeros(1, 6, 20), silence(1))
    narrow = Tinted()
    narrow.latent_shape = (2, 8)  # type: ignore[misc]
    with pytest.raises(InputError, match="latents are too narrow for shape"):
        ShapedGenerator(appearance=narrow, photos=photos(2), points=points(2), fitted=torch.zeros(2, 2, 8))
