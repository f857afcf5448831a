"""Pyramids: each octave over a width of its own."""

import pytest
import torch

import maskedit as me
from tests.blending.pictures import disc


def test_a_pyramid_hides_a_seam_that_pasting_shows():
    original, generated = torch.zeros(2, 3, 64, 64), torch.full((2, 3, 64, 64), 0.5)
    mask = disc(64, 0.8)

    def steepest(blended: torch.Tensor) -> float:
        return blended.diff(dim=-1).abs().max().item()

    assert steepest(me.blend_paste(generated, original, mask)) == pytest.approx(0.5)
    assert steepest(me.blend_pyramid(generated, original, mask)) < 0.15
