"""Eq. 5-6: scale a region's share of the picture."""

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
