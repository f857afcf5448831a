"""Events: what they may change, and of which images."""

import pytest
import torch

import maskedit as me
from tests.solve.runs import only


@pytest.mark.unhooked
@pytest.mark.parametrize(
    "change",
    [
        me.Change(latent=torch.zeros(1, 3, 4)),
        me.Change(noises=[torch.zeros(2, 1, 4, 4)]),
        me.Change(grown=torch.zeros(2, 1, 4, 4)),
    ],
)
def test_an_event_that_returns_the_wrong_shape_is_named(problem, change):
    def meddle(moment):
        return change

    schedule = me.Schedule(me.Stage("fit", 1, me.preserve("skin"), vary=me.latent(), after_step=[meddle]))
    with pytest.raises(me.RunError, match=r"meddle.*returned"):
        list(me.steps(problem(), schedule))


def test_events_of_ones_own_are_applied_to_moving_images_only(problem):
    def reset(moment: me.Moment) -> me.Change:
        assert moment.stage == "fit"
        return me.Change(latent=torch.zeros_like(moment.latent))

    schedule = me.Schedule(me.Stage("fit", 6, me.preserve("skin"), vary=me.latent(lr=0.05), after_step=[reset]))
    assert (me.run(problem(), schedule).latent == 0).all()


def test_an_event_before_backward_may_move_the_latent_alone(problem):
    def nudge(moment: me.Moment) -> me.Change:
        return me.Change(latent=moment.latent + 0.1)

    stage = me.Stage("fit", 2, me.preserve("skin"), vary=[me.latent(lr=0.0), me.noise(lr=0.0)], before_backward=[nudge])
    this = problem()
    result = me.run(this, me.Schedule(stage))
    torch.testing.assert_close(result.latent, this.start_latent() + 0.2)
    assert not any(noise.requires_grad for noise in result.noises)


def test_masks_grow_for_images_that_still_move_only(problem64):
    """An image that has stopped keeps the mask that it stopped with, whatever the others do after."""
    grow = me.Stage(
        "edit",
        30,
        2.0 * me.preserve("skin") + 0.1 * me.region_size("mouth", scale=1.2),
        vary=me.latent(lr=0.1),
        after_step=[me.GrowTarget()],
        stop=me.Threshold(of="preserve", value=2e-4),
    )
    schedule = me.Schedule(grow)
    together = problem64(3)
    batch = me.run(together, schedule)
    lengths = (~batch.history.total.isnan()).sum(dim=1).tolist()
    assert len(set(lengths)) > 1, lengths
    for i in range(3):
        alone = me.run(only(i, together), schedule)
        mask = batch.masks["preserve"][i : i + 1]
        torch.testing.assert_close(mask, alone.masks["preserve"], rtol=1e-6, atol=1e-6)
        before = together.models.parser.parse(together.image[i : i + 1], ["skin"])
        assert (torch.nn.functional.avg_pool2d(mask, 2) - before).abs().max() > 1e-3  # it has grown at all


def test_the_target_is_where_it_is_seen_now(problem):
    seen = []

    def look(moment: me.Moment) -> None:
        seen.append(
            (me.GrowTarget()(moment).grown, moment.view.region("mouth"), me.GrowTarget(("skin",))(moment).grown)
        )

    keep = me.preserve("skin") + me.region_size("mouth", scale=1.0)
    me.run(problem(), me.Schedule(me.Stage("edit", 2, keep, vary=me.latent(), after_step=[look])))
    for grown, mouth, skin in seen:
        assert torch.equal(grown, mouth)
        assert not grown.requires_grad
        assert not torch.equal(skin, mouth)


def test_noise_is_drawn_from_each_images_own_generator_and_normalised(problem64):
    def draw(seeds: list[int]) -> list[torch.Tensor]:
        stage = me.Stage("fit", 1, me.preserve("skin"), vary=me.latent(lr=0.0), on_enter=[me.RedrawNoise()])
        return list(me.run(problem64(), me.Schedule(stage), seeds=seeds).noises)

    one, other = draw([1, 2]), draw([2, 1])
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b.flip(0))
        assert not torch.equal(a[0], a[1])
    assert one[-1].std().item() == pytest.approx(1, abs=0.2)
    stage = me.Stage(
        "fit", 1, me.preserve("skin"), vary=me.latent(), on_enter=[me.RedrawNoise()], after_step=[me.NormalizeNoise()]
    )
    for noise in me.run(problem64(), me.Schedule(stage)).noises:
        assert noise.mean(dim=(1, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-9)
        assert noise.std(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1])
