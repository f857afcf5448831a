"""Blending: exact outside the mask, whatever the kind; by hand; and what each kind is for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import maskedit as me
from maskedit.blending import redrawn, toned
from tests import toys

KINDS = ("paste", "pyramid", "change", "redraw", "tint")


def pictures(seed: int, size: int = 32) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(2, 3, size, size, generator=g) for _ in range(3))


def disc(size: int = 32, radius: float = 0.5) -> torch.Tensor:
    line = torch.linspace(-1, 1, size)
    return ((line[:, None] ** 2 + line**2) < radius**2).float().expand(2, 1, -1, -1)


def test_equation_12_by_hand():
    mask = torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3)
    blended = me.blend(torch.ones(1, 3, 1, 3), torch.zeros(1, 3, 1, 3), mask)
    assert torch.equal(blended, mask.expand(1, 3, 1, 3))


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 2**16), st.sampled_from([0, 2]))
def test_outside_the_mask_not_a_bit_changes(kind, seed, softness):
    generated, fitted, original = pictures(seed)
    blend = me.Blend(kind=kind, softness=softness)
    mask = blend.mask(disc(), torch.zeros(2, 1, 32, 32))
    blended = blend(generated, fitted, original, mask)
    outside = (disc() == 0).expand_as(original)
    assert torch.equal(blended[outside], original[outside])
    assert (blended[~outside] != original[~outside]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_that_changes_nothing_changes_nothing(kind):
    _, fitted, original = pictures(0)
    generated = fitted if kind in ("change", "redraw", "tint") else original
    blended = me.Blend(kind=kind)(generated, fitted, original, disc())
    torch.testing.assert_close(blended, original, rtol=0, atol=1e-6)


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


def test_a_pyramid_hides_a_seam_that_pasting_shows():
    original, generated = torch.zeros(2, 3, 64, 64), torch.full((2, 3, 64, 64), 0.5)
    mask = disc(64, 0.8)

    def steepest(blended: torch.Tensor) -> float:
        return blended.diff(dim=-1).abs().max().item()

    assert steepest(me.blend(generated, original, mask)) == pytest.approx(0.5)
    assert steepest(me.blend_pyramid(generated, original, mask)) < 0.15


def test_a_change_is_enlarged_to_the_photo():
    fitted = torch.zeros(1, 3, 8, 8)
    photo = torch.rand(1, 3, 32, 32)
    mask = torch.ones(1, 1, 8, 8)
    lighter = me.blend_change(fitted + 0.1, fitted, photo, mask)
    torch.testing.assert_close(lighter, photo + 0.1)
    mask[..., 4:] = 0
    half = me.blend_change(fitted + 0.1, fitted, photo, mask)
    assert torch.equal(half[..., 20:], photo[..., 20:])


def test_redrawing_takes_the_ghost_and_leaves_the_strands():
    line = torch.linspace(-1, 1, 64)
    teeth = (line.abs() < 0.25)[None] & (line.abs() < 0.1)[:, None]
    fitted = torch.where(teeth, 0.9, 0.4).expand(1, 3, -1, -1)
    photo = torch.nn.functional.interpolate(fitted, scale_factor=4)
    mask = torch.ones(1, 1, 64, 64)
    closed = torch.full_like(fitted, 0.4)
    # The photo's teeth are sharper than the fitted ones: added to the photo, the change leaves their edges.
    soft = torch.nn.functional.avg_pool2d(fitted, 5, 1, 2, count_include_pad=False)
    ghost = me.blend_change(closed, soft, photo, mask).std()
    assert me.blend_redraw(closed, soft, photo, mask).std() < 0.7 * ghost
    # A colour that changes broadly changes nothing: a shape is no reason for another complexion.
    strands = photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    tinted = soft + 0.2 * torch.tensor([1.0, 0.0, -1.0]).view(3, 1, 1)
    torch.testing.assert_close(me.blend_redraw(tinted, soft, strands, mask), strands, rtol=0, atol=1e-3)
    # The teeth that went do not glow through: colours are compared where nothing was redrawn.
    glow = [toned(closed, fitted, same)[0, 0, 32, 32] - 0.4 for same in (mask, mask * (1 - redrawn(closed, soft)))]
    assert glow[1] < 0.4 * glow[0]


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


def test_the_blend_can_follow_the_generated_shape():
    def masks(target_from: str) -> dict[str, torch.Tensor]:
        schedule = me.Schedule(
            me.Stage("edit", 10, me.region_size("mouth", scale=3.0), vary=me.latent(lr=0.3)),
            blend=me.Blend(preserve=(), target_from=target_from),
        )
        return me.run(me.Problem(toys.models(), toys.pictures(1), attributes=["smiling"]), schedule).masks

    before, after = masks("original"), masks("generated")
    torch.testing.assert_close(before["target"], after["target"])
    torch.testing.assert_close(before["blend"], before["target"])
    assert after["blend"].mean() > 1.3 * before["blend"].mean()


@pytest.mark.parametrize("since", [None, "fit"])
def test_the_change_is_counted_from_where_the_schedule_says(since):
    keep = 2.0 * me.preserve("skin")
    schedule = me.Schedule(
        me.Stage("fit", 5, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", 5, keep + me.attribute("smiling"), vary=me.latent(lr=0.05)),
        blend=me.Blend(kind="change", since=since),
    )
    this = me.Problem(toys.models(), toys.pictures(2), attributes=["smiling"])
    latents = [step.latent for step in me.steps(this, schedule)]
    result = me.run(this, schedule)
    begun = this.start_latent() if since is None else latents[4]
    torch.testing.assert_close(result.fitted, toys.ToyGenerator().synthesize(begun, []))
    expected = this.image + result.masks["blend"] * (result.generated - result.fitted)
    torch.testing.assert_close(result.image, expected)
