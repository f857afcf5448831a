"""Eq. 5-6: scale a region's share of the picture."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskedit import functional, losses
from maskedit.errors import InputError
from tests.losses.cases import check_released, pictures


@given(st.integers(0, 2**16), st.floats(0.1, 3))
def test_size_divergence_is_never_negative_and_zero_at_its_target(float64, device, seed, scale):
    _, _, original, generated = pictures(seed=seed, dtype=float64, device=device)
    original = original * 0.3
    assert (functional.component_size_kl(generated, original, scale=scale) >= 0).all()
    exact = functional.component_size_kl(original * scale, original, scale=scale)
    torch.testing.assert_close(exact, torch.zeros_like(exact), rtol=0, atol=1e-9)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_released_values_and_gradients(reference, scale):
    loss, before = losses.ComponentSizeKL(scale=scale), reference["target_image"]
    check_released(reference, f"size_{scale}", "target_generated", lambda x: loss(x, before))


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: losses.ComponentSizeKL()(torch.rand(2, 1, 8, 8), torch.rand(1, 1, 4, 4)), "mask that fits"),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_an_impossible_scale_is_refused():
    with pytest.raises(InputError, match="expected"):
        losses.ComponentSizeKL(scale=0.0)


def test_by_hand():
    before, after = torch.full((1, 1, 4, 4), 0.2), torch.full((1, 1, 4, 4), 0.25)
    expected = 0.3 * math.log(0.3 / 0.25) + 0.7 * math.log(0.7 / 0.75)
    assert functional.component_size_kl(after, before).item() == pytest.approx(expected, rel=1e-4)
    assert losses.ComponentSizeKL()(after, before).item() == pytest.approx(expected, rel=1e-4)
    other = 0.1 * math.log(0.1 / 0.25) + 0.9 * math.log(0.9 / 0.75)
    assert losses.ComponentSizeKL(scale=0.5)(after, before).item() == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_portions_stay_a_millionth_from_nothing_and_all(share, float64, device):
    half = torch.full((1, 1, 2, 2), 0.5, dtype=float64, device=device)
    extreme = torch.full_like(half, share)
    seen = functional.component_size_kl(extreme, half, scale=1.0).item()
    assert seen == pytest.approx(0.5 * math.log(0.5 / 1e-6) + 0.5 * math.log(0.5 / (1 - 1e-6)))
    wanted = functional.component_size_kl(half, extreme, scale=1.0).item()
    assert wanted == pytest.approx(1e-6 * math.log(1e-6 / 0.5) + (1 - 1e-6) * math.log((1 - 1e-6) / 0.5))


def test_the_smallest_scale_is_above_nothing():
    losses.ComponentSizeKL(scale=1e-3)
    with pytest.raises(InputError, match="must be positive"):
        losses.ComponentSizeKL(scale=-1.0)
