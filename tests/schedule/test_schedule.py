"""Schedules: frozen, and checked against a problem before any work."""

from dataclasses import FrozenInstanceError

import pytest
from torch import nn

import maskedit as me
from tests import toys


def test_schedules_and_stages_are_frozen():
    schedule = me.recipes.paper("smiling")
    with pytest.raises(AttributeError):
        schedule.stages = ()
    with pytest.raises(FrozenInstanceError):
        schedule.stages[0].steps = 3


class Silent(toys.ToyGenerator):
    noise_shapes = ()


@pytest.mark.parametrize(
    ("objective", "vary", "extra", "problem", "says"),
    [
        (
            me.preserve("hair"),
            me.latent(),
            {},
            toys.without(),
            "'preserve' of stage 'late'.*'hair'.*skin, mouth",
        ),
        (me.preserve("skin"), me.latent(), {}, toys.without(parser=None), "needs a parser for 'skin'"),
        (me.attribute("bald"), me.latent(), {}, toys.without(), "'bald' of stage 'late'.*'bald'.*smiling"),
        (me.attribute("smiling"), me.latent(), {}, toys.without(classifier=None), "needs a classifier"),
        (me.latent_prior(), me.latent(), {}, toys.without(latents=None), "needs a latent distribution"),
        (me.preserve("skin"), me.latent(components=2), {}, toys.without(latents=None), "needs a latent distribution"),
        (me.preserve("skin"), me.latent(components=99), {}, toys.without(), "at most 6"),
        (
            me.preserve("skin"),
            me.latent(along=["smiling"]),
            {},
            toys.without(latents=None),
            "needs a latent distribution",
        ),
        (me.preserve("skin"), me.latent(along=["bald"]), {}, toys.without(), "moves along 'bald'.*one of smiling"),
        (
            me.preserve("skin"),
            me.latent(along=["bald"]),
            {},
            toys.without(latents=toys.spread()),
            "a distribution with directions",
        ),
        (me.preserve("skin"), me.latent(layers=[3]), {}, toys.without(), "layers from 0 to 2"),
        (me.preserve("skin"), me.noise(), {}, toys.without(generator=Silent()), "needs noise maps"),
        (me.white_noise(), me.latent(), {}, toys.without(generator=Silent()), "needs noise maps"),
        (me.preserve("skin"), me.latent(), {"after_step": [me.GrowTarget()]}, toys.without(), "names none"),
        (
            me.preserve("skin"),
            me.latent(),
            {"after_step": [me.GrowTarget(("hat",))]},
            toys.without(),
            "an event.*'hat'",
        ),
    ],
)
def test_a_problem_that_lacks_what_a_later_stage_needs_is_refused_before_any_work(
    objective, vary, extra, problem, says
):
    first = me.Term("near", nn.MSELoss(), reads=lambda v: v.latent)
    schedule = me.Schedule(
        me.Stage("early", 5, first, vary=me.latent()), me.Stage("late", 5, objective, vary=vary, **extra), blend=None
    )
    with pytest.raises(me.InputError, match=says):
        me.steps(problem, schedule)
    assert problem.models.generator.calls == 0


def test_a_blend_needs_its_regions():
    schedule = me.Schedule(me.Stage("a", 1, me.white_noise(), vary=me.noise()), blend=me.Paste(preserve=("hat",)))
    with pytest.raises(me.InputError, match="the blend needs the region 'hat'"):
        me.steps(toys.without(), schedule)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.Schedule(), "needs a stage"),
        (lambda: me.Schedule(*[me.Stage("a", 1, me.preserve("skin"), vary=me.latent())] * 2), "two stages"),
        (lambda: me.Schedule(me.Stage("a", 1, me.preserve("skin"), vary=me.unchanged())), "varies nothing"),
        (
            lambda: me.Schedule(me.Stage("a", 1, me.preserve("skin"), vary=me.latent()), blend=me.AddChange(since="b")),
            "one of a",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_made(make, says):
    with pytest.raises(me.InputError, match=says):
        make()
