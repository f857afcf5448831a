"""Eq. 12."""

import torch

import maskedit as me


def test_equation_12_by_hand():
    mask = torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3)
    blended = me.blend_paste(torch.ones(1, 3, 1, 3), torch.zeros(1, 3, 1, 3), mask)
    assert torch.equal(blended, mask.expand(1, 3, 1, 3))
