"""The short recipes: the paper's objectives in fewer steps."""

import math

import pytest

import maskedit as me
from tests.recipes.written_out import check, line


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


def test_fast_written_out():
    falling = me.recipes.Falling
    keep = 2.0 * me.preserve("skin")
    edit = keep + 0.005 * me.attribute("smiling", target=0.5, smoothing=0.05, hold=["young"])
    edit = edit + me.region_size("mouth", scale=1.2)
    check(
        me.recipes.fast("smiling", target=0.5, hold=["young"], size={"mouth": 1.2}),
        me.Blend(kind="paste", preserve=("skin",)),
        me.Stage("fit", 60, keep, vary=me.latent(lr=falling(0.02, 60))),
        me.Stage("edit", 40, edit, vary=me.latent(lr=0.02), after_step=[me.GrowTarget()]),
        me.Stage("settle", 60, edit, vary=me.latent(lr=falling(0.02, 60))),
        me.Stage(
            "detail", 60, keep + me.white_noise(), vary=me.noise(lr=falling(0.2, 60)), after_step=[me.NormalizeNoise()]
        ),
    )


def test_balanced_is_fast_with_twice_the_steps():
    options = {"target": 0.0, "smoothing": 0.1, "hold": ["young"], "size": {"mouth": 2.0}}
    balanced = me.recipes.balanced("smiling", **options)
    fast = me.recipes.fast("smiling", **options, steps=(120, 80, 120, 120))
    assert [line(stage) for stage in balanced] == [line(stage) for stage in fast]
    assert "lr 0.5" in repr(me.recipes.fast("smiling", rate=0.5))


def test_a_falling_rate_is_half_a_cosine():
    rate = me.recipes.Falling(0.4, 8)
    assert [rate(step) for step in (0, 2, 4, 8, 80)] == pytest.approx(
        [0.4, 0.2 * (1 + math.sqrt(0.5)), 0.2, 0, 0], abs=1e-12
    )
