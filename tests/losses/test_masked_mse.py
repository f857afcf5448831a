"""Eq. 2: keep the picture inside a mask."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskedit import functional, losses
from maskedit.errors import InputError
from tests.losses.cases import check_released, pictures


@given(st.integers(0, 2**16))
def test_pictures_outside_the_mask_do_not_count(dtype, device, seed):
    generated, original, mask, _ = pictures(seed=seed, dtype=dtype, device=device)
    mask = (mask > 0.5).to(dtype)
    other = torch.where(mask > 0, generated, torch.rand_like(generated))
    for normalize in ("image", "mask"):
        one, two = (functional.masked_mse(x, original, mask, normalize=normalize) for x in (generated, other))
        assert torch.equal(one, two)
        assert (one >= 0).all()
    assert (functional.masked_mse(original, original, mask) == 0).all()


@given(st.integers(0, 2**16), st.floats(0.1, 10))
def test_appearance_is_linear_in_the_mask(dtype, device, close, seed, factor):
    generated, original, mask, _ = pictures(seed=seed, dtype=dtype, device=device)
    scaled = functional.masked_mse(generated, original, factor * mask)
    close(scaled, factor * functional.masked_mse(generated, original, mask))
    by_area = functional.masked_mse(generated, original, factor * mask, normalize="mask")
    close(by_area, functional.masked_mse(generated, original, mask, normalize="mask"))


def test_masked_mse_by_hand():
    generated, original = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    mask = torch.tensor([[1.0, 0.5], [0.0, 0.0]])[None, None]
    assert functional.masked_mse(generated, original, mask).item() == pytest.approx(1.5 / 4)
    assert functional.masked_mse(generated, original, mask, normalize="mask").item() == pytest.approx(1.0)


def test_released_values_and_gradients(reference):
    check_released(
        reference,
        "appearance",
        "generated",
        lambda x: losses.MaskedMSE()(x, reference["image"], reference["skin"]),
    )


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: losses.MaskedMSE()(torch.rand(3, 8, 8), torch.rand(3, 8, 8), torch.rand(1, 8, 8)), r"x\[None\]"),
        (
            lambda: losses.MaskedMSE()(torch.rand(2, 3, 8, 8), torch.rand(1, 3, 8, 8), torch.rand(2, 1, 8, 8)),
            "original",
        ),
        (lambda: losses.MaskedMSE()(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8)), "channel"),
        (lambda: losses.MaskedMSE()(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), torch.rand(1, 1, 8, 8)), r"\[2, 1"),
        (lambda: losses.MaskedMSE()(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), torch.rand(2, 1, 4, 4)), r"8, 8\]"),
        (
            lambda: losses.MaskedMSE()(
                torch.randint(255, (1, 3, 8, 8)), torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
            ),
            "int64.*/ 255",
        ),
        (
            lambda: losses.MaskedMSE()(
                torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool)
            ),
            r"bool.*float\(\)",
        ),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()


@pytest.mark.parametrize("how", [losses.MaskedMSE(), functional.masked_mse])
def test_all_pixels_divide_by_default(how, dtype, device, close):
    generated, original, mask, _ = pictures(dtype=dtype, device=device)
    close(how(generated, original, mask), functional.masked_mse(generated, original, mask, normalize="image"))


@pytest.mark.unhooked
def test_an_unknown_normalisation_is_refused():
    generated, original, mask, _ = pictures()
    with pytest.raises(InputError, match="'image' or 'mask'.*'area'"):
        losses.MaskedMSE(normalize="area")
    with pytest.raises(InputError, match="'image' or 'mask'.*'area'"):
        functional.masked_mse(generated, original, mask, normalize="area")


@pytest.mark.unhooked
@pytest.mark.parametrize("which", range(3))
def test_every_input_is_checked(which):
    inputs = list(pictures()[:3])
    inputs[which] = inputs[which].long()
    with pytest.raises(InputError, match=f"{('generated', 'original', 'mask')[which]} is not a floating tensor"):
        losses.MaskedMSE()(*inputs)
    inputs[which] = torch.rand(2, 2, 8, 8)
    with pytest.raises(InputError, match=("generated", "original", "mask")[which]):
        losses.MaskedMSE()(*inputs)
