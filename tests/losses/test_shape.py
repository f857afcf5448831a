"""Eq. 4: keep a region's shape."""

import pytest
import torch

from maskedit import losses
from maskedit.errors import InputError
from tests.losses.cases import check_released


def test_released_values_and_gradients(reference):
    r = reference
    check_released(r, "shape", "target_generated", lambda x: losses.ShapeLoss()(x, r["target_image"]))


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: losses.ShapeLoss()(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 4, 4)), "mask that fits"),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_by_hand():
    generated = torch.tensor([0.0, 1.0, 0.5, 0.25]).view(1, 1, 2, 2)
    assert losses.ShapeLoss()(generated, torch.zeros(1, 1, 2, 2)).item() == pytest.approx((1 + 0.25 + 0.0625) / 4)
    assert losses.ShapeLoss()(generated, generated).item() == 0
