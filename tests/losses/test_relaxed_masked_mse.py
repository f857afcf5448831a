"""Eq. 7: keep the picture where the target has not grown."""

import torch

from maskedit import losses
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
