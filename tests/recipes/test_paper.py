"""The paper's recipe and the released program's: weights, and where they differ."""

import pytest

import maskedit as me


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
