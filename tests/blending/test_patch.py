"""What a blend takes, put into pictures of any size; several blends; a kind of one's own."""

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch

import maskedit as me
from tests import toys


def test_a_patch_by_hand():
    weight, added, replaced = (torch.full((1, c, 1, 1), v) for c, v in ((1, 0.5), (3, 0.2), (1, 0.25)))
    onto = me.Patch(weight, added, replaced).onto(torch.full((1, 3, 1, 1), 0.8))
    torch.testing.assert_close(onto, torch.full((1, 3, 1, 1), 0.8 * (1 - 0.5 * 0.25) + 0.5 * 0.2))
    picture = torch.rand(1, 3, 4, 4)
    assert torch.equal(me.Patch(0 * weight, added, replaced).onto(picture), picture)
    torch.testing.assert_close(me.Patch(weight, added, replaced).onto(picture), picture * 0.875 + 0.1)


@dataclass(frozen=True, kw_only=True)
class Darken(me.Blend):
    """A kind that the library does not know."""

    by: float = 0.1

    def patch(self, generated, fitted, original, mask):
        return me.Patch(mask, torch.full_like(original, -self.by), 0 * mask)


def schedule(blend: object) -> me.Schedule:
    keep = 2.0 * me.preserve("skin")
    return me.Schedule(
        me.Stage("fit", 2, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", 2, keep + me.attribute("smiling"), vary=me.latent(lr=0.05)),
        blend=blend,
    )


def test_a_kind_of_ones_own_prints_and_runs():
    blend = Darken(by=0.2, preserve=())
    assert "blend (darken by 0.2, preserving nothing, target of the input)" in repr(schedule(blend))
    this = me.Problem(toys.models(), toys.pictures(2), "smiling")
    result = me.run(this, schedule(blend))
    torch.testing.assert_close(result.image, this.image - 0.2 * result.masks["blend"])
    assert (
        pickle.loads(pickle.dumps(me.Tint(since="fit"))) == copy.deepcopy(me.Tint(since="fit")) == me.Tint(since="fit")
    )


@pytest.mark.unhooked
def test_several_blends_each_take_their_regions():
    """Each region shows what its own blend gives, the one upon the other where they overlap."""
    this = me.Problem(toys.models(), toys.pictures(2), me.Edit("smiling", regions=["mouth", "background"]))
    parts = me.Tint(regions=["background"], preserve=(), since="fit"), me.Redraw(regions=["mouth"], since="fit")
    result = me.run(this, schedule(me.Several(*parts)))
    first, second = result.patches
    seen = this.models.parser.parse(this.image, ["background", "mouth", "skin"])
    background, mouth, skin = torch.nn.functional.interpolate(seen, size=16, mode="bilinear").split(1, dim=1)
    torch.testing.assert_close(first.weight, background)
    torch.testing.assert_close(second.weight, (mouth + skin).clamp(0, 1))
    torch.testing.assert_close(result.image, second.onto(first.onto(this.image)))
    torch.testing.assert_close(result.masks["blend"], torch.maximum(first.weight, second.weight))
    alone = me.run(this, schedule(parts[0]))
    torch.testing.assert_close(alone.patches[0].added, first.added)
    text = repr(schedule(me.Several(*parts)))
    assert "blend (tint, preserving nothing, background of the input, the change since fit; redraw" in text


@pytest.mark.unhooked
def test_a_blend_takes_only_what_may_change():
    this = me.Problem(toys.models(), toys.pictures(1), "smiling")
    with pytest.raises(me.InputError, match="takes the background, which the problem's edit may not change"):
        me.run(this, schedule(me.Paste(regions=["background"])))
    several = me.Several(me.Paste(regions=["mouth"]), me.Paste(regions=["background"]))
    with pytest.raises(me.InputError, match="takes the background"):
        me.run(this, schedule(several))


def test_no_function_hides_a_module():
    import importlib
    import pkgutil

    import maskedit

    for found in pkgutil.walk_packages(maskedit.__path__, "maskedit."):
        if not found.name.startswith(("maskedit.blending", "maskedit.recipes")):
            continue
        parent, _, name = found.name.rpartition(".")
        importlib.import_module(found.name)
        shown = getattr(importlib.import_module(parent), name)
        assert type(shown).__name__ == "module", found.name
