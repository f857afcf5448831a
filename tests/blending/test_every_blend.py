"""What holds of every kind of blend, and of the mask that it is given."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import maskedit as me
from tests import toys
from tests.blending.pictures import disc, pictures

KINDS = (me.Paste, me.Pyramid, me.AddChange, me.Redraw, me.Tint)


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 2**16), st.sampled_from([0, 2]))
def test_outside_the_mask_not_a_bit_changes(kind, seed, softness):
    generated, fitted, original = pictures(seed)
    blend = kind(softness=softness)
    mask = blend.mask(disc(), torch.zeros(2, 1, 32, 32))
    blended = blend(generated, fitted, original, mask)
    outside = (disc() == 0).expand_as(original)
    assert torch.equal(blended[outside], original[outside])
    assert (blended[~outside] != original[~outside]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_that_changes_nothing_changes_nothing(kind):
    _, fitted, original = pictures(0)
    generated = fitted if kind.needs_fitted else original
    blended = kind()(generated, fitted, original, disc())
    torch.testing.assert_close(blended, original, rtol=0, atol=1e-6)


def test_the_blend_can_follow_the_generated_shape():
    def masks(target_from: str) -> dict[str, torch.Tensor]:
        schedule = me.Schedule(
            me.Stage("edit", 10, me.region_size("mouth", scale=3.0), vary=me.latent(lr=0.3)),
            blend=me.Paste(preserve=(), target_from=target_from),
        )
        return me.run(me.Problem(toys.models(), toys.pictures(1), "smiling"), schedule).masks

    before, after = masks("original"), masks("generated")
    torch.testing.assert_close(before["target"], after["target"])
    torch.testing.assert_close(before["blend"], before["target"])
    assert after["blend"].mean() > 1.3 * before["blend"].mean()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.Paste(softness=-1), "0 or more whole pixels"),
        (lambda: me.Paste(target_from="fitted"), "unknown source"),
        (lambda: me.Several(me.Paste(regions=["hair"])), "two blends or more; got 1"),
        (lambda: me.Several(me.Paste(), me.Tint(regions=["hair"])), "names no regions"),
        (lambda: me.Several(*[me.Paste(regions=["hair"])] * 2), "are the same"),
        (lambda: me.Several(me.Tint(regions=["hair"]), me.Redraw(regions=["mouth"], since="fit")), "different stages"),
    ],
)
@pytest.mark.unhooked
def test_what_cannot_be_is_refused_when_made(make, says):
    with pytest.raises(me.InputError, match=says):
        make()


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.Paste(softness=1.5), "whole pixels"),
    ],
)
def test_nonsense_is_refused_before_any_work(make, says):
    with pytest.raises(me.InputError, match=says):
        make()
