"""A broad colour, and none of the detail."""

import torch

import maskedit as me
from maskedit.blending import tinted
from tests.blending.pictures import blurred, disc


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


def test_a_tint_written_out():
    g = torch.Generator().manual_seed(1)
    edited, fitted, photo = torch.rand(3, 1, 3, 64, 64, generator=g)
    mask = disc(64)[:1]
    broad = blurred(mask * (edited - fitted), 16) / (blurred(mask, 16) + 1e-3)
    torch.testing.assert_close(tinted(edited, fitted, mask), fitted + broad)
    torch.testing.assert_close(me.blend_tint(edited, fitted, photo, mask), photo + mask * broad, rtol=0, atol=1e-6)
