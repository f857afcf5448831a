"""What a network sees inside a mask stays."""

import pytest
import torch

from maskedit import functional
from maskedit.errors import InputError


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: functional.masked_perceptual([torch.rand(1, 2, 4, 4)], [], torch.rand(1, 1, 4, 4)),
            "do not match",
        ),
    ],
)
def test_wrong_shapes_and_types_get_a_sentence(call, says):
    with pytest.raises(InputError, match=says):
        call()
