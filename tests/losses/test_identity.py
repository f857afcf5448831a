"""Who is seen stays."""

import pytest
import torch

from maskedit import functional, losses
from maskedit.errors import InputError


def test_known_angles():
    ahead, half, across, back = torch.tensor([[1.0, 0], [1, 1], [0, 3], [-2, 0]])
    a = ahead.expand(4, 2)
    expected = torch.tensor([0, 1 - 0.5**0.5, 1, 2])
    torch.testing.assert_close(functional.identity_distance(a, torch.stack([5 * ahead, half, across, back])), expected)


def test_only_the_drawn_picture_gets_a_gradient():
    image, original = (torch.rand(1, 3, 4, 4, requires_grad=True) for _ in range(2))
    losses.Identity(embed=lambda x: x.mean((2, 3)))(image, original).sum().backward()
    assert image.grad is not None
    assert image.grad.any()
    assert original.grad is None


@pytest.mark.unhooked
def test_features_that_do_not_match_get_a_sentence():
    for features in (torch.rand(2, 4), torch.rand(2, 3, 1), torch.rand(1, 3)):
        with pytest.raises(InputError, match="do not match"):
            functional.identity_distance(torch.rand(2, 3), features)
