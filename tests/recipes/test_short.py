"""The short recipes: the paper's objectives in fewer steps."""

import pytest

import maskedit as me


@pytest.mark.parametrize(("recipe", "share"), [(me.recipes.fast, 6), (me.recipes.balanced, 3)])
def test_the_short_recipes_have_the_papers_objectives(recipe, share):
    options = {"target": 0.0, "hold": ["pale_skin"], "size": {"mouth": 1.5}}
    paper, short = (make("wavy_hair", **options) for make in (me.recipes.paper, recipe))
    assert [repr(stage.terms) for stage in short] == [repr(stage.terms) for stage in paper]
    assert [stage.after_step for stage in short] == [stage.after_step for stage in paper]
    assert short.blend == paper.blend
    assert short.steps * share <= paper.steps


def test_the_rate_of_the_short_recipes_falls_to_nothing():
    rate = me.recipes.Falling(0.2, 10)
    rates = [rate(step) for step in range(12)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[10], rates[11]) == (0.2, pytest.approx(0), pytest.approx(0))
    assert "lr Falling(first=0.2, steps=60)" in repr(me.recipes.fast("smiling"))
