"""Recipes held to stages written out by hand: weights, sizes, what is held, smoothing, rates, blends."""

import pytest

import maskedit as me
from tests.recipes.written_out import check

FACE = ("skin", "mouth", "eyebrows", "eyes", "nose", "hair", "ears", "below_face")


def test_the_papers_edit_of_hair_colour_and_mouth():
    keep = 2.0 * me.preserve("skin")
    look = me.attribute(["black_hair", "smiling"], target=[1, 0.4], smoothing=0.1, hold=["young"])
    edit = keep + 0.005 * look + 0.5 * me.shape("hair") + 1.0 * me.region_size("mouth", scale=1.5)
    wish = me.Edit({"black_hair": 1, "smiling": 0.4}, smoothing=0.1, hold=["young"], size={"mouth": 1.5})
    check(
        me.recipes.paper(wish, steps=(5, 6, 7, 8)),
        me.Paste(preserve=("skin",), target_from="original"),
        me.Stage("fit", 5, keep, vary=me.latent(lr=1e-3)),
        me.Stage("edit", 6, edit, vary=me.latent(lr=1e-3), after_step=[me.GrowTarget()]),
        me.Stage("settle", 7, edit, vary=me.unchanged()),
        me.Stage("detail", 8, keep + me.white_noise(), vary=me.noise(lr=0.1), after_step=[me.NormalizeNoise()]),
    )


def test_the_papers_edit_of_hair_shape():
    keep = 2.0 * me.preserve("skin")
    edit = keep + 0.005 * me.attribute("wavy_hair", smoothing=0.05) + 0.5 * me.shape("hair", grow=True)
    check(
        me.recipes.paper("wavy_hair"),
        me.Paste(preserve=("skin",), target_from="generated"),
        me.Stage("fit", 500, keep, vary=me.latent(lr=1e-3)),
        me.Stage("edit", 200, edit, vary=me.latent(lr=1e-3), after_step=[me.GrowTarget()]),
        me.Stage("settle", 300, edit, vary=me.unchanged()),
        me.Stage("detail", 500, keep + me.white_noise(), vary=me.noise(lr=0.1), after_step=[me.NormalizeNoise()]),
    )


@pytest.mark.parametrize("name", ["wavy_hair", "straight_hair", "black_hair", "big_nose"])
def test_the_released_edits(name):
    ears = ("ears",) if name in ("wavy_hair", "straight_hair") else ()
    keep = 2.0 * me.preserve("skin", *ears)
    edit = keep + 0.005 * me.attribute(name, target=0.0, smoothing=0.2)
    if "hair" in name:
        edit = edit + 0.5 * me.shape("hair", *ears, grow=bool(ears))
    noise = {"vary": me.noise(lr=0.1), "before_backward": [me.NormalizeNoise()]}
    check(
        me.recipes.released(me.Edit({name: 0}, smoothing=0.2)),
        me.Paste(preserve=("skin", *ears), target_from="original"),
        me.Stage("fit", 500, keep, vary=me.latent(lr=1e-3)),
        me.Stage("edit", 200, edit, vary=me.latent(lr=1e-3), after_step=[me.GrowTarget()]),
        me.Stage("settle", 300, edit, vary=me.unchanged(), on_enter=[me.RedrawNoise()]),
        me.Stage("detail", 501, keep + me.white_noise(), **noise),
    )


def test_fast():
    falling = me.recipes.Falling
    keep = 2.0 * me.preserve("skin")
    edit = keep + 0.005 * me.attribute("smiling", target=0.5, smoothing=0.05, hold=["young"])
    edit = edit + me.region_size("mouth", scale=1.2)
    detail = keep + me.white_noise()
    check(
        me.recipes.fast(me.Edit({"smiling": 0.5}, hold=["young"], size={"mouth": 1.2})),
        me.Paste(preserve=("skin",)),
        me.Stage("fit", 60, keep, vary=me.latent(lr=falling(0.02, 60))),
        me.Stage("edit", 40, edit, vary=me.latent(lr=0.02), after_step=[me.GrowTarget()]),
        me.Stage("settle", 60, edit, vary=me.latent(lr=falling(0.02, 60))),
        me.Stage("detail", 60, detail, vary=me.noise(lr=falling(0.2, 60)), after_step=[me.NormalizeNoise()]),
    )


@pytest.mark.parametrize(
    ("wish", "look", "prior", "lr", "keep", "moves", "blend", "regions"),
    [
        (
            me.Edit("black_hair", hold=["young"]),
            me.attribute("black_hair", smoothing=0.01, hold=["young"], seen_in="blended"),
            *(0.002, 0.05, 5.0, {"components": 64}),
            *(me.Tint(preserve=(), softness=1, since="fit"), ["hair"]),
        ),
        (
            me.Edit({"wavy_hair": 0.7}, smoothing=0.2),
            me.attribute("wavy_hair", target=0.7, smoothing=0.2, seen_in="blended"),
            *(0.002, 0.05, 5.0, {"components": 64}),
            *(me.AddChange(preserve=(), softness=1, since="fit"), ["hair"]),
        ),
        (
            me.Edit("big_nose", hold=["smiling"], size={"nose": 1.5}),
            me.attribute("big_nose", smoothing=0.01, hold=["smiling"], seen_in="blended"),
            *(0.05, 0.03, 5.0, {"components": 24}),
            *(me.Redraw(softness=1, since="fit"), ["nose"]),
        ),
        (
            me.Edit({"smiling": 0.8}, hold=["young"]),
            me.attribute("smiling", target=0.8, smoothing=0.03, hold=["young"]),
            *(0.01, 0.03, 0.05, {"along": ["smiling"]}),
            *(me.Redraw(softness=1, since="fit"), ["mouth"]),
        ),
    ],
)
def test_plausible(wish, look, prior, lr, keep, moves, blend, regions):
    kept = [name for name in FACE if name not in regions]
    edit = keep * me.preserve(*kept) + prior * me.latent_prior() + 0.03 * look
    if regions == ["hair"]:
        edit = edit + 0.5 * me.shape("hair")
    for region, scale in wish.size.items():
        edit = edit + 10.0 * me.region_size(region, scale=scale)
    fit = 5.0 * me.preserve(*FACE) + 0.002 * me.latent_prior()
    check(
        me.recipes.plausible(wish, steps=(3, 4)),
        blend,
        me.Stage("fit", 3, fit, vary=me.latent(lr=0.02)),
        me.Stage("edit", 4, edit, vary=me.latent(lr=lr, **moves), after_step=[me.GrowTarget()]),
    )
