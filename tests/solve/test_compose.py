"""The composed picture: the same when a term looks at it and when the run returns it."""

import pytest
import torch

import maskedit as me
from maskedit.losses import SemanticKL
from tests import toys


@pytest.mark.parametrize("kind", [me.Paste, me.AddChange, me.Redraw, me.Tint])
def test_what_is_seen_after_the_blend_is_what_the_run_returns(problem, kind):
    """The classifier looks at the blended picture, which the first step's result is."""
    look = me.attribute("smiling", target=1.0, seen_in="blended")
    since = {} if kind is me.Paste else {"since": "fit"}
    schedule = me.Schedule(
        me.Stage("fit", 3, me.preserve("skin"), vary=me.latent(lr=0.05)),
        me.Stage("edit", 20, look, vary=me.latent(lr=0.05)),
        blend=kind(preserve=(), softness=1, **since),
    )
    this = problem()
    results = [step.result() for step in me.steps(this, schedule)]
    seen = results[-1].history.raw["edit.smiling"]
    loss = SemanticKL()
    for step in (0, 11):
        before = this.models.classifier.classify(results[3 + step - 1].image, ["smiling"])
        torch.testing.assert_close(seen[:, step], loss(before, torch.ones_like(before)))
    assert (seen[:, -1] < seen[:, 0]).all()


def test_the_blended_picture_is_seen_with_one_call_of_the_classifier_a_step(problem):
    look = me.attribute("smiling", seen_in="blended")
    schedule = me.Schedule(me.Stage("edit", 4, look, vary=me.latent()), blend=me.AddChange())
    this = problem()
    before = toys.calls(this.models)
    me.run(this, schedule)
    spent = toys.calls(this.models) - before
    assert spent["classifier"] == 1 + 4  # the input, and each step
    assert spent["parser"] == 1  # the input, for the mask
    assert spent["generator"] == 4 + 1 + 1  # each step, what the change is counted from, the result


def test_a_blended_picture_that_cannot_be_is_refused(problem):
    look = me.attribute("smiling", seen_in="blended")
    stages = me.Stage("fit", 1, look, vary=me.latent()), me.Stage("edit", 1, look, vary=me.latent())
    with pytest.raises(me.InputError, match="without a blend"):
        me.run(problem(), me.Schedule(*stages, blend=None))
    with pytest.raises(me.InputError, match="before there is one"):
        me.run(problem(), me.Schedule(*stages, blend=me.AddChange(since="fit")))
