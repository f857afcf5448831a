"""Eq. 8: keep a region covered, and let it grow."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskedit import functional, losses
from maskedit.errors import InputError
from tests.losses.cases import check_released, pictures


def test_relaxed_masks_carry_no_gradient_by_default(whole, device, close):
    generated, original, preserve, target = pictures(dtype=whole, device=device)
    target.requires_grad_()
    assert not losses.RelaxedMaskedMSE()(generated, original, preserve, target).requires_grad
    value = losses.RelaxedShapeLoss()(target, preserve)
    (gradient,) = torch.autograd.grad(value.sum(), target)
    fixed = functional.relax_target(preserve, target.detach())
    expected = 2 * (target - fixed).detach() / (8 * 8)
    close(gradient, expected)


@given(st.integers(0, 2**16))
def test_relaxed_masks_stay_in_range_and_cover(whole, device, seed):
    _, _, preserve, target = pictures(seed=seed, dtype=whole, device=device)
    kept, grown = functional.relax_preserved(preserve, target), functional.relax_target(preserve, target)
    assert ((kept >= 0) & (kept <= preserve)).all()
    assert ((grown >= preserve) & (grown <= 1)).all()
    nothing = torch.zeros_like(target)
    assert torch.equal(functional.relax_preserved(preserve, nothing), preserve)
    assert torch.equal(functional.relax_target(preserve, nothing), preserve)
    assert (functional.relaxed_shape_loss(preserve, preserve.round()) >= 0).all()


def test_released_values_and_gradients(reference):
    r = reference
    check_released(r, "relaxed_shape", "target_generated", lambda x: losses.RelaxedShapeLoss()(x, r["target_image"]))


def test_the_wanted_region_is_the_original_and_what_it_has_grown_to(dtype, device, close):
    _, _, original, generated = pictures(dtype=dtype, device=device)
    close(functional.relax_target(original, generated), (original + generated).clamp(0, 1))
    assert (functional.relax_target(original, torch.ones_like(original)) == 1).all()
    expected = functional.shape_loss(generated, functional.relax_target(original, generated))
    close(functional.relaxed_shape_loss(generated, original), expected)
    close(losses.RelaxedShapeLoss()(generated, original), expected)


@pytest.mark.parametrize("through_mask", [False, True])
def test_gradient_goes_through_the_grown_mask_only_if_asked(through_mask, whole, device, close):
    _, _, original, generated = pictures(dtype=whole, device=device)
    original.requires_grad_()
    for how in (losses.RelaxedShapeLoss(through_mask=through_mask), functional.relaxed_shape_loss):
        options = {"through_mask": through_mask} if how is functional.relaxed_shape_loss else {}
        assert how(generated, original, **options).requires_grad is through_mask
    assert not functional.relaxed_shape_loss(generated, original).requires_grad


@pytest.mark.unhooked
def test_masks_of_other_sizes_are_refused():
    _, _, original, _ = pictures()
    with pytest.raises(InputError, match="mask that fits"):
        functional.relax_target(original, original[..., :4])
