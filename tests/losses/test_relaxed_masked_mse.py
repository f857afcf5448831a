"""Eq. 7: keep the picture where the target has not grown."""

import pytest
import torch

from maskedit import functional, losses
from maskedit.errors import InputError
from tests.losses.cases import check_released, pictures


def test_gradcheck_through_the_relaxed_mask(float64, device):
    generated, original, preserve, target = pictures(dtype=float64, device=device)
    loss = losses.RelaxedMaskedMSE(through_mask=True)
    assert torch.autograd.gradcheck(lambda t: loss(generated, original, preserve, t), (target.requires_grad_(),))


def test_released_values_and_gradients(reference):
    r = reference
    check_released(
        r,
        "relaxed_appearance",
        "generated",
        lambda x: losses.RelaxedMaskedMSE()(x, r["image"], r["skin"], r["target_generated"]),
    )


def test_what_the_target_covers_is_not_kept(dtype, device, close):
    generated, original, preserve, target = pictures(dtype=dtype, device=device)
    kept = (preserve - target).clamp(0, 1)
    close(functional.relax_preserved(preserve, target), kept)
    assert (functional.relax_preserved(preserve, torch.ones_like(target)) == 0).all()
    assert functional.relax_preserved(preserve + 1, torch.zeros_like(target)).max() == 1
    for normalize in ("image", "mask"):
        expected = functional.masked_mse(generated, original, kept, normalize=normalize)
        value = losses.RelaxedMaskedMSE(normalize=normalize)(generated, original, preserve, target)
        close(value, expected)
        close(functional.relaxed_masked_mse(generated, original, preserve, target, normalize=normalize), expected)


@pytest.mark.parametrize("how", [losses.RelaxedMaskedMSE(), functional.relaxed_masked_mse])
def test_all_pixels_divide_by_default_and_the_mask_carries_no_gradient(how, whole, device, close):
    generated, original, preserve, target = pictures(dtype=whole, device=device)
    value = how(generated, original, preserve, target.requires_grad_())
    kept = functional.relax_preserved(preserve, target)
    close(value, functional.masked_mse(generated, original, kept, normalize="image").detach())
    assert not value.requires_grad


@pytest.mark.unhooked
def test_masks_of_other_sizes_are_refused():
    _, _, preserve, _ = pictures()
    with pytest.raises(InputError, match="mask that fits"):
        functional.relax_preserved(preserve, preserve[..., :4])
    with pytest.raises(InputError, match="'image' or 'mask'"):
        losses.RelaxedMaskedMSE(normalize="area")
