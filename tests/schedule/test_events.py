"""Events: what they may change, and of which images."""

import pytest
import torch

import maskedit as me
from tests.solve.runs import problem


@pytest.mark.unhooked
@pytest.mark.parametrize(
    "change",
    [
        me.Change(latent=torch.zeros(1, 3, 4)),
        me.Change(noises=[torch.zeros(2, 1, 4, 4)]),
        me.Change(grown=torch.zeros(2, 1, 4, 4)),
    ],
)
def test_an_event_that_returns_the_wrong_shape_is_named(change):
    def meddle(moment):
        return change

    schedule = me.Schedule(me.Stage("fit", 1, me.preserve("skin"), vary=me.latent(), after_step=[meddle]))
    with pytest.raises(me.RunError, match=r"meddle.*returned"):
        list(me.steps(problem(), schedule))


def test_events_of_ones_own_are_applied_to_moving_images_only():
    def reset(moment: me.Moment) -> me.Change:
        assert moment.stage == "fit"
        return me.Change(latent=torch.zeros_like(moment.latent))

    schedule = me.Schedule(
        me.Stage("fit", 6, me.preserve("skin"), vary=me.latent(lr=0.05), after_step=[reset], stop=me.Threshold(1e9))
    )
    assert (me.run(problem(), schedule).latent == 0).all()


def test_an_event_before_backward_may_move_the_latent_alone():
    def nudge(moment: me.Moment) -> me.Change:
        return me.Change(latent=moment.latent + 0.1)

    stage = me.Stage("fit", 2, me.preserve("skin"), vary=[me.latent(lr=0.0), me.noise(lr=0.0)], before_backward=[nudge])
    this = problem()
    result = me.run(this, me.Schedule(stage))
    torch.testing.assert_close(result.latent, this.start_latent() + 0.2)
    assert not any(noise.requires_grad for noise in result.noises)
