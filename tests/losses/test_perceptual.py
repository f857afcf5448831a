"""What a network sees inside a mask stays."""

import pytest
import torch
from torch import Tensor

from maskedit import functional, losses
from maskedit.errors import InputError
from tests.losses.cases import features, pictures


def layer(*pixels: tuple[float, float]) -> Tensor:
    """A feature map of one row: two channels, a pixel each."""
    return torch.tensor(pixels, dtype=torch.float32).T[None, :, None]


def test_by_hand():
    """(3, 4) is (0.6, 0.8) of unit length; (0, 2) is (0, 1): 0.36 + 0.04 apart, where the mask is on."""
    ours, theirs = layer((3, 4), (1, 0)), layer((0, 2), (0, 1))
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    assert functional.masked_perceptual([ours], [theirs], mask).item() == pytest.approx(0.4)
    assert functional.masked_perceptual([ours.mT], [theirs.mT], mask.mT).item() == pytest.approx(0.4)
    # Pixels weigh by the mask: (1 x 0.4 + 0.5 x 2) / 1.5.
    mask = torch.tensor([1.0, 0.5]).view(1, 1, 1, 2)
    assert functional.masked_perceptual([ours], [theirs], mask).item() == pytest.approx(1.4 / 1.5)


def test_the_length_of_features_does_not_matter(whole, device, close):
    generated, original, mask, _ = pictures(dtype=whole, device=device)
    ours, theirs = features(generated), features(original)
    scaled = functional.masked_perceptual([7 * f for f in ours], [0.3 * f for f in theirs], mask)
    close(scaled, functional.masked_perceptual(ours, theirs, mask))


def test_layers_are_summed_by_their_weights(whole, device, close):
    generated, original, mask, _ = pictures(dtype=whole, device=device)
    ours, theirs = features(generated), features(original)
    one, two = (functional.masked_perceptual([a], [b], mask) for a, b in zip(ours, theirs, strict=True))
    close(functional.masked_perceptual(ours, theirs, mask), one + two)
    close(functional.masked_perceptual(ours, theirs, mask, weights=[0.5, 3]), 0.5 * one + 3 * two)
    close(losses.MaskedPerceptual(features=features)(generated, original, mask), one + two)
    weighted = losses.MaskedPerceptual(features=features, weights=(0.5, 3))
    close(weighted(generated, original, mask), 0.5 * one + 3 * two)


def test_what_is_outside_the_mask_does_not_count(whole, device, close):
    generated, original, mask, _ = pictures(dtype=whole, device=device)
    left = torch.zeros_like(mask)
    left[..., :4] = 1
    changed = generated.clone()
    changed[..., 4:] = 0.5
    loss = losses.MaskedPerceptual(features=features)
    close(loss(changed, original, left), loss(generated, original, left))
    ones = torch.ones_like(mask)
    assert (loss(changed, original, ones) != loss(generated, original, ones)).all()
    assert (loss(generated, original, left) != loss(generated, original, ones)).all()


def test_the_mask_is_resized_by_area():
    """One of four pixels is on: the only feature pixel's weight is a quarter, and divided by a quarter."""
    ours, theirs = torch.ones(1, 1, 1, 2), -torch.ones(1, 1, 1, 2)
    theirs[..., 1] = 1
    mask = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 1]])[None, None]
    assert functional.masked_perceptual([ours], [theirs], mask).item() == pytest.approx(0.25 * 4 / 1.25)


def test_the_original_gives_no_gradient_and_an_empty_mask_is_zero(whole, device):
    generated, original, mask, _ = pictures(dtype=whole, device=device)
    loss = losses.MaskedPerceptual(features=features)
    original.requires_grad_()
    assert not loss(generated, original, mask).requires_grad
    assert loss(generated.requires_grad_(), original, mask).requires_grad
    assert (loss(generated, original, torch.zeros_like(mask)) == 0).all()


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: functional.masked_perceptual([torch.rand(1, 2, 4, 4)], [], torch.rand(1, 1, 4, 4)), "do not match"),
        (lambda: functional.masked_perceptual([], [], torch.rand(1, 1, 4, 4)), "do not match"),
        (
            lambda: functional.masked_perceptual(
                [torch.rand(1, 2, 4, 4)], [torch.rand(1, 2, 2, 2)], torch.rand(1, 1, 4, 4)
            ),
            "do not match",
        ),
        (
            lambda: functional.masked_perceptual(
                [torch.rand(1, 2, 4, 4)], [torch.rand(1, 2, 4, 4)], torch.rand(1, 1, 4, 4), weights=[1, 2]
            ),
            "one weight per layer; expected 1; got 2",
        ),
        (
            lambda: functional.masked_perceptual(
                [torch.rand(1, 2, 4, 4)], [torch.rand(1, 2, 4, 4)], torch.rand(1, 4, 4)
            ),
            "channel",
        ),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()
