"""Softened edges of masks."""

import torch
from hypothesis import given
from hypothesis import strategies as st

import maskedit as me


@given(st.integers(0, 2**16), st.integers(1, 4))
def test_feathering_only_ever_lowers_the_mask_and_keeps_its_middle(seed, softness):
    mask = torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(seed)).round()
    soft = me.feather(mask, softness)
    assert ((soft >= 0) & (soft <= mask)).all()
    assert torch.equal(me.feather(mask, 0), mask)
    line = torch.zeros(1, 1, 24, 24)
    line[..., 12] = 1  # as thin as a brow may be
    torch.testing.assert_close(me.feather(line, softness), line / (softness + 1))
    full = torch.ones(1, 1, 16, 16)
    torch.testing.assert_close(me.feather(full, softness), full)
