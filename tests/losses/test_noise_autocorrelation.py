"""Eq. 11: noise maps stay white."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskedit import functional, losses
from maskedit.errors import InputError


def test_released_noise_regulariser(reference):
    maps = [reference[f"noise_map_{i}"].clone().requires_grad_() for i in range(9)]
    value = losses.NoiseAutocorrelation()(maps)
    value.sum().backward()
    torch.testing.assert_close(value, reference["noise"], rtol=1e-5, atol=0)
    for i, noise in enumerate(maps):
        gradient = reference[f"noise_grad_{i}"]
        torch.testing.assert_close(noise.grad, gradient, rtol=0, atol=1e-4 * gradient.abs().max().item())


@given(st.integers(0, 2**16), st.integers(0, 7), st.integers(0, 7))
def test_autocorrelation_does_not_change_with_a_shift_at_full_resolution(dtype, device, close, seed, dy, dx):
    noise = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).to(device, dtype)
    shifted = noise.roll((dy, dx), dims=(2, 3))
    close(*(functional.noise_autocorrelation([n]) for n in (noise, shifted)))


def test_autocorrelation_of_known_maps():
    stripes = torch.tensor([1.0, -1.0]).repeat(8, 4)[None, None]  # one: alternates along x, constant along y
    assert functional.noise_autocorrelation([stripes]).item() == pytest.approx(2.0)
    # 16 px: the same at full size, then the 2 x 2 means are all 0.
    assert functional.noise_autocorrelation([stripes.repeat(1, 1, 2, 2)]).item() == pytest.approx(2.0)
    assert functional.noise_autocorrelation([torch.ones(1, 1, 16, 16)]).item() == pytest.approx(4.0)
    assert functional.noise_autocorrelation([torch.ones(1, 1, 4, 4)]).item() == pytest.approx(2.0)


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: losses.NoiseAutocorrelation()([]), "no noise maps"),
        (lambda: losses.NoiseAutocorrelation()([torch.rand(1, 1, 8, 16)]), "square"),
        (lambda: losses.NoiseAutocorrelation()([torch.rand(1, 1, 18, 18)]), "halved"),
        (lambda: losses.NoiseAutocorrelation()([torch.rand(1, 1, 8, 8), torch.rand(2, 1, 8, 8)]), "noise map 1"),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_levels_are_halved_while_larger_than_eight_pixels(float64, device):
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 1, 32, 32, generator=g, dtype=float64).to(device)
    expected = torch.zeros(2, dtype=float64, device=device)
    for factor in (1, 2, 4):
        level = torch.nn.functional.avg_pool2d(noise, factor)
        for dim in (2, 3):
            expected += (level * level.roll(1, dims=dim)).mean(dim=(1, 2, 3)).square()
    torch.testing.assert_close(functional.noise_autocorrelation([noise]), expected)
    small = noise[..., :4, :4]
    both = functional.noise_autocorrelation([noise, small])
    torch.testing.assert_close(both, expected + functional.noise_autocorrelation([small]))


@pytest.mark.parametrize("side", [1, 4, 5, 7, 8, 12, 16, 20])
def test_small_maps_and_those_that_halve_can_be_used(side):
    assert functional.noise_autocorrelation([torch.rand(1, 1, side, side)]).shape == (1,)


@pytest.mark.unhooked
@pytest.mark.parametrize("shape", [(1, 1, 9, 9), (1, 1, 34, 34), (1, 2, 8, 8), (1, 8, 8), (1, 1, 1, 8, 8)])
def test_maps_that_do_not_halve_or_have_channels_are_refused(shape):
    with pytest.raises(InputError, match="noise map 0 cannot be"):
        functional.noise_autocorrelation([torch.rand(shape)])
    with pytest.raises(InputError, match="noise map 0 is not a floating"):
        functional.noise_autocorrelation([torch.ones(1, 1, 8, 8, dtype=torch.long)])
