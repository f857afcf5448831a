"""The change alone, added to the photo."""

import pytest
import torch

import maskedit as me
from tests import toys


def test_a_change_is_enlarged_to_the_photo():
    fitted = torch.zeros(1, 3, 8, 8)
    photo = torch.rand(1, 3, 32, 32)
    mask = torch.ones(1, 1, 8, 8)
    lighter = me.blend_change(fitted + 0.1, fitted, photo, mask)
    torch.testing.assert_close(lighter, photo + 0.1)
    mask[..., 4:] = 0
    half = me.blend_change(fitted + 0.1, fitted, photo, mask)
    assert torch.equal(half[..., 20:], photo[..., 20:])


@pytest.mark.parametrize("since", [None, "fit"])
def test_the_change_is_counted_from_where_the_schedule_says(since):
    keep = 2.0 * me.preserve("skin")
    schedule = me.Schedule(
        me.Stage("fit", 5, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", 5, keep + me.attribute("smiling"), vary=me.latent(lr=0.05)),
        blend=me.AddChange(since=since),
    )
    this = me.Problem(toys.models(), toys.pictures(2), "smiling")
    latents = [step.latent for step in me.steps(this, schedule)]
    result = me.run(this, schedule)
    begun = this.start_latent() if since is None else latents[4]
    torch.testing.assert_close(result.fitted, toys.ToyGenerator().synthesize(begun, []))
    expected = this.image + result.masks["blend"] * (result.generated - result.fitted)
    torch.testing.assert_close(result.image, expected)


def test_a_change_by_hand():
    fitted, edited = torch.full((1, 3, 1, 3), 0.25), torch.full((1, 3, 1, 3), 0.5)
    mask = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    photo = torch.full((1, 3, 1, 3), 0.6)
    blended = me.blend_change(edited, fitted, photo, mask)
    torch.testing.assert_close(blended, photo + torch.tensor([0.0, 0.125, 0.25]))
