"""The paper's recipe and the released program's: weights, and where they differ."""

import pytest

import maskedit as me
from tests.recipes.written_out import check, line


@pytest.mark.parametrize("recipe", [me.recipes.paper, me.recipes.released])
def test_recipes_have_the_papers_weights(recipe):
    schedule = recipe(["black_hair", "smiling"], target=[1.0, 0.0], size={"mouth": 1.5})
    assert [stage.name for stage in schedule] == ["fit", "edit", "settle", "detail"]
    weights = {term.name: term.weight for stage in schedule for term in stage.terms}
    assert weights == {
        "preserve": 2.0,
        "black_hair+smiling": 0.005,
        "hair_shape": 0.5,
        "mouth_size": 1.0,
        "white_noise": 1.0,
    }
    assert "hair_shape" not in repr(recipe("smiling"))


def test_paper_and_released_differ_where_the_notes_say():
    paper, released = (recipe("wavy_hair") for recipe in (me.recipes.paper, me.recipes.released))
    assert (paper.blend.target_from, released.blend.target_from) == ("generated", "original")
    assert (paper.blend.preserve, released.blend.preserve) == (("skin",), ("skin", "ears"))
    assert "which may grow" in repr(paper)
    assert released.stages[2].on_enter == (me.RedrawNoise(),)
    assert paper.stages[2].on_enter == ()
    assert released.stages[3].before_backward == paper.stages[3].after_step == (me.NormalizeNoise(),)
    assert (paper.stages[3].steps, released.stages[3].steps) == (500, 501)
    assert "which may grow" not in repr(me.recipes.paper("black_hair"))


def test_the_papers_edit_of_hair_colour_and_mouth_written_out():
    schedule = me.recipes.paper(
        ["black_hair", "smiling"],
        target=[1, 0.4],
        smoothing=0.1,
        hold=["young"],
        size={"mouth": 1.5},
        steps=(5, 6, 7, 8),
    )
    keep = 2.0 * me.preserve("skin")
    look = me.attribute(["black_hair", "smiling"], target=[1, 0.4], smoothing=0.1, hold=["young"])
    edit = keep + 0.005 * look + 0.5 * me.shape("hair") + 1.0 * me.region_size("mouth", scale=1.5)
    check(
        schedule,
        me.Blend(kind="paste", preserve=("skin",), target_from="original"),
        me.Stage("fit", 5, keep, vary=me.latent(lr=1e-3)),
        me.Stage("edit", 6, edit, vary=me.latent(lr=1e-3), after_step=[me.GrowTarget()]),
        me.Stage("settle", 7, edit, vary=me.unchanged()),
        me.Stage("detail", 8, keep + me.white_noise(), vary=me.noise(lr=0.1), after_step=[me.NormalizeNoise()]),
    )


def test_the_papers_edit_of_hair_shape_written_out():
    keep = 2.0 * me.preserve("skin")
    edit = keep + 0.005 * me.attribute("wavy_hair", smoothing=0.05) + 0.5 * me.shape("hair", grow=True)
    check(
        me.recipes.paper("wavy_hair"),
        me.Blend(kind="paste", preserve=("skin",), target_from="generated"),
        me.Stage("fit", 500, keep, vary=me.latent(lr=1e-3)),
        me.Stage("edit", 200, edit, vary=me.latent(lr=1e-3), after_step=[me.GrowTarget()]),
        me.Stage("settle", 300, edit, vary=me.unchanged()),
        me.Stage("detail", 500, keep + me.white_noise(), vary=me.noise(lr=0.1), after_step=[me.NormalizeNoise()]),
    )


@pytest.mark.parametrize("name", ["wavy_hair", "straight_hair", "black_hair", "big_nose"])
def test_the_released_edits_written_out(name):
    ears = ("ears",) if name in ("wavy_hair", "straight_hair") else ()
    keep = 2.0 * me.preserve("skin", *ears)
    edit = keep + 0.005 * me.attribute(name, target=0.0, smoothing=0.2)
    if "hair" in name:
        edit = edit + 0.5 * me.shape("hair", *ears, grow=bool(ears))
    noise = {"vary": me.noise(lr=0.1), "before_backward": [me.NormalizeNoise()]}
    check(
        me.recipes.released(name, target=0.0, smoothing=0.2),
        me.Blend(kind="paste", preserve=("skin", *ears), target_from="original"),
        me.Stage("fit", 500, keep, vary=me.latent(lr=1e-3)),
        me.Stage("edit", 200, edit, vary=me.latent(lr=1e-3), after_step=[me.GrowTarget()]),
        me.Stage("settle", 300, edit, vary=me.unchanged(), on_enter=[me.RedrawNoise()]),
        me.Stage("detail", 501, keep + me.white_noise(), **noise),
    )


def test_the_released_edit_takes_sizes_and_what_is_held():
    schedule = me.recipes.released("smiling", hold=["young"], size={"mouth": 2.0}, steps=(1, 2, 3, 4))
    edit = 2.0 * me.preserve("skin") + 0.005 * me.attribute("smiling", smoothing=0.05, hold=["young"])
    edit = edit + me.region_size("mouth", scale=2.0)
    assert line(schedule.stages[1]) == line(
        me.Stage("edit", 2, edit, vary=me.latent(lr=1e-3), after_step=[me.GrowTarget()])
    )
    assert [stage.steps for stage in schedule] == [1, 2, 3, 4]
