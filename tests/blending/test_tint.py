"""A broad colour, and none of the detail."""

import torch

import maskedit as me
from tests.blending.pictures import disc


def test_a_tint_is_even_and_keeps_the_strands():
    generator = torch.Generator().manual_seed(0)
    photo, fitted = torch.rand(2, 1, 3, 64, 64, generator=generator)
    patches = 0.3 * (torch.rand(1, 1, 8, 8, generator=generator) > 0.5)
    edited = fitted + torch.nn.functional.interpolate(patches, scale_factor=8)
    mask = disc(64, 0.8)[:1]
    inside = mask.expand_as(photo) > 0
    spread = {how: (how(edited, fitted, photo, mask) - photo)[inside].std() for how in (me.blend_change, me.blend_tint)}
    assert spread[me.blend_tint] < 0.4 * spread[me.blend_change]
    # The same change everywhere stays what it was.
    torch.testing.assert_close(
        me.blend_tint(fitted + 0.2, fitted, photo, mask)[inside], (photo + 0.2)[inside], rtol=0, atol=2e-3
    )
