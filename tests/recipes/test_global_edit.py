"""Edits of the whole face."""

import maskedit as me
from tests import toys
from tests.recipes.written_out import check


def test_the_global_recipe_runs():
    schedule = me.recipes.global_edit("pale_skin", features=lambda x: [x, x**2], face=["skin", "mouth"], steps=(3, 2))
    this = me.Problem(toys.models(), toys.pictures(2), me.Edit("pale_skin", regions=["skin", "mouth"]), start="encoder")
    result = me.run(this, schedule)
    assert set(result.history.raw) == {"edit.perceptual", "edit.pale_skin", "detail.preserve", "detail.white_noise"}
    assert result.history.raw["edit.perceptual"].isfinite().all()


def features(image):
    return [image, image**2]


def test_it_is_written_out():
    face = ("skin", "mouth", "eyebrows", "eyes", "nose")
    look = me.attribute(["young", "pale_skin"], target=[0, 1], smoothing=0.1, hold=["smiling"])
    keep = me.perceptual(*face, features=features)
    detail = 2.0 * me.preserve(*face) + me.white_noise()
    options = {"features": features, "target": [0, 1], "smoothing": 0.1, "hold": ["smiling"]}
    for more, weight, steps in (({}, 0.03, (500, 500)), ({"weight": 0.5, "steps": (7, 8)}, 0.5, (7, 8))):
        check(
            me.recipes.global_edit(["young", "pale_skin"], **options, **more),
            me.Blend(kind="paste", preserve=()),
            me.Stage("edit", steps[0], keep + weight * look, vary=me.latent(lr=1e-3)),
            me.Stage("detail", steps[1], detail, vary=me.noise(lr=0.1), after_step=[me.NormalizeNoise()]),
        )


def test_by_default_the_attribute_is_set_with_a_little_smoothing():
    edit, _ = me.recipes.global_edit("young", features=features)
    look = 0.03 * me.attribute("young", target=1, smoothing=0.05)
    face = ("skin", "mouth", "eyebrows", "eyes", "nose")
    assert repr(edit.terms) == repr(me.perceptual(*face, features=features) + look)


def test_the_perceptual_term_sees_through_the_given_network(view, close):
    edit, _ = me.recipes.global_edit("smiling", features=features, face=["skin", "mouth"])
    this = view()
    expected = me.perceptual("skin", "mouth", features=features)(this)
    close(edit.terms(this).raw["perceptual"], expected)
    assert (expected > 0).all()
