"""The loop on the analytic trio: what it changes, how often it calls, batches, seeds."""

import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import maskedit as me
from tests import toys
from tests.solve.runs import edit, only, same
from tests.toys import Distance


def test_an_edit_changes_what_it_should_and_nothing_else():
    keep = 2.0 * me.preserve("skin")
    schedule = me.Schedule(
        me.Stage("fit", 60, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", 80, keep + 0.1 * me.attribute("wearing_lipstick", target=0.0), vary=me.latent(lr=0.05)),
    )
    this = me.Problem(toys.models(), toys.pictures(2), "wearing_lipstick")
    result = me.run(this, schedule)
    classify = toys.ToyClassifier().classify
    before, after = (classify(x, ["wearing_lipstick"]).sigmoid() for x in (this.image, result.image))
    assert (before > 0.6).all()
    assert (after < 0.2).all()
    outside = result.masks["blend"] < 1e-3
    assert outside.any()
    assert ((result.image - this.image).abs() * outside).max() < 1e-3
    skin = result.masks["preserve"] > 0.9
    assert ((result.image - this.image).abs() * skin).max() < 0.1
    assert result.status == ("Finished.",) * 2
    assert result.history.raw["edit.wearing_lipstick"].shape == (2, 80)
    assert result.history.total.shape == (2, 140)
    assert result.history.stages == (("fit", 60), ("edit", 80))


def test_rates_are_functions_of_the_step_in_their_stage(problem):
    seen: list[int] = []

    def ramp(step: int) -> float:
        seen.append(step)
        return step / 10

    keep = me.preserve("skin")
    schedule = me.Schedule(
        me.Stage("one", 2, keep, vary=me.latent(lr=0.01)),
        me.Stage("two", 3, ramp * keep, vary=me.latent(lr=lambda step: 0.0)),
    )
    steps = list(me.steps(problem(), schedule))
    assert seen == [0, 1, 2]
    for step in steps[2:]:
        torch.testing.assert_close(step.weighted["preserve"], step.step / 10 * step.raw["preserve"])
        assert torch.equal(step.latent, steps[1].latent)  # the rate is 0


def test_each_model_is_called_at_most_once_a_step_and_only_for_what_is_read(problem):
    trio = toys.models()
    schedule = edit()
    counts = []
    for step in me.steps(problem(models=trio), schedule):
        counts.append((step.stage, toys.calls(trio)))
    grew = [(stage, new - old) for (_, old), (stage, new) in itertools.pairwise(counts)]
    assert trio.parser.calls[0] == ("skin", "mouth")  # the input, once, for all that the schedule reads
    assert trio.classifier.calls[0] == ("smiling", "wearing_lipstick", "pale_skin")
    for stage, new in grew:
        wanted = {"generator": 1} | ({"parser": 1, "classifier": 1} if stage in ("edit", "settle") else {})
        assert new == wanted, stage
    assert set(trio.parser.calls[1:]) == {("skin", "mouth")}  # only the regions that the stage's terms name
    assert set(trio.classifier.calls) == {("smiling", "wearing_lipstick", "pale_skin")}


def test_a_term_that_reads_only_the_latent_draws_no_picture(problem):
    trio = toys.models()
    near = me.Term("near", Distance(), reads=lambda v: (v.latent, v.start.latent))
    schedule = me.Schedule(me.Stage("stay", 3, near, vary=me.latent(lr=0.1)), blend=None)
    steps = list(me.steps(problem(models=trio), schedule))
    assert toys.calls(trio) == {"generator": 0, "parser": 0, "classifier": 0}
    assert steps[0].image is None


@pytest.mark.parametrize("start", ["mean", "encoder", "given"])
def test_starts(start):
    trio, image = toys.models(), toys.pictures(2)
    given_ = torch.randn(2, 3, 4, dtype=torch.float64)
    this = me.Problem(trio, image, "smiling", start=given_ if start == "given" else start)
    step = next(iter(me.steps(this, me.Schedule(me.Stage("fit", 1, me.preserve("skin"), vary=me.latent(lr=0.0))))))
    expected = {"mean": trio.mean_latent.expand(2, 3, 4), "encoder": trio.encoder.encode(image), "given": given_}
    torch.testing.assert_close(step.latent, expected[start])


def test_models_weights_get_no_gradient(problem):
    class Weighted(toys.ToyGenerator):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

        def synthesize(self, latent, noises):
            return self.scale * super().synthesize(latent, noises)

    trio = toys.models(generator=Weighted())
    me.run(problem(models=trio), me.Schedule(me.Stage("fit", 2, me.preserve("skin"), vary=me.latent())))
    assert trio.generator.scale.grad is None


@pytest.mark.parametrize(
    "optimizer", [torch.optim.Adam, torch.optim.AdamW, partial(torch.optim.SGD, momentum=0.9), torch.optim.RMSprop]
)
def test_a_batch_of_edits_equals_the_same_edits_done_alone(problem64, optimizer):
    stages = [
        replace(s, vary=me.latent(lr=0.05, optimizer=optimizer)) if s.name in ("fit", "edit") else s for s in edit()
    ]
    schedule = me.Schedule(*stages)
    together = problem64(3)
    batch = me.run(together, schedule, seeds=[4, 5, 4])
    for i, seed in enumerate([4, 5, 4]):
        alone = me.run(only(i, together), schedule, seeds=[seed])
        torch.testing.assert_close(batch.latent[i : i + 1], alone.latent, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(batch.image[i : i + 1], alone.image, rtol=1e-6, atol=1e-6)
        for name, values in alone.history.raw.items():
            torch.testing.assert_close(batch.history.raw[name][i : i + 1], values, rtol=1e-6, atol=1e-6)


def test_a_batch_equals_its_singles_also_when_images_stop_at_different_steps(problem64):
    stop = me.Threshold("total", 2e-4)
    schedule = me.Schedule(
        me.Stage("fit", 40, 2.0 * me.preserve("skin"), vary=me.latent(lr=0.05), stop=stop),
        me.Stage("more", 5, me.preserve("skin"), vary=me.unchanged(), on_enter=[me.RedrawNoise()]),
    )
    together = problem64(3)
    batch = me.run(together, schedule)
    lengths = (~batch.history.total.isnan()).sum(dim=1).tolist()
    assert len(set(lengths)) > 1, lengths
    for i in range(3):
        alone = me.run(only(i, together), schedule)
        torch.testing.assert_close(batch.latent[i : i + 1], alone.latent, rtol=1e-6, atol=1e-6)
        assert batch.status[i] == alone.status[0]
        assert alone.history.total.shape[1] == lengths[i]


@given(st.permutations([0, 1, 2]))
@settings(max_examples=4)
def test_permuting_the_batch_permutes_the_results(problem64, order):
    this = problem64(3)
    seeds = [7, 8, 9]
    plain = me.run(this, edit(), seeds=seeds)
    mixed = me.run(
        replace(this, image=this.image[list(order)], models=toys.models()), edit(), seeds=[seeds[i] for i in order]
    )
    torch.testing.assert_close(mixed.latent, plain.latent[list(order)], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mixed.image, plain.image[list(order)], rtol=1e-9, atol=1e-9)


def test_seeds_decide_the_noise_and_global_randomness_does_not(problem):
    this = problem(2)
    one = me.run(this, edit(), seeds=[1, 2])
    torch.manual_seed(99)
    torch.rand(5)
    same(one, me.run(this, edit(), seeds=[1, 2]))
    other = me.run(this, edit(), seeds=[1, 3])
    assert torch.equal(one.noises[2][0], other.noises[2][0])
    assert not torch.equal(one.noises[2][1], other.noises[2][1])


def test_deterministic_algorithms_are_switched_on_inside_steps_only(problem):
    seen: list[bool] = []

    class Looks(nn.Module):
        def forward(self, x):
            seen.append(torch.are_deterministic_algorithms_enabled())
            if len(seen) == 2:
                raise RuntimeError("on purpose")
            return x.flatten(1).sum(1)

    schedule = me.Schedule(me.Stage("fit", 3, me.Term("looks", Looks(), reads=lambda v: v.latent), vary=me.latent()))
    steps = me.steps(problem(), schedule, deterministic=True)
    next(steps)
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="on purpose"):
        next(steps)
    assert seen == [True, True]
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("value", ["scalar", "row", "number"])
def test_a_loss_that_is_not_per_image_is_named(problem, value):
    class Wrong(nn.Module):
        def forward(self, x):
            return {"scalar": x.mean(), "row": x.flatten(1).mean(1)[None], "number": 1.0}[value]

    schedule = me.Schedule(
        me.Stage("fit", 1, me.Term("mine", Wrong(), reads=lambda v: v.image), vary=me.latent()), blend=None
    )
    with pytest.raises(me.RunError, match=r"'mine'.*\[2\]"):
        list(me.steps(problem(), schedule))


def test_an_objective_that_does_not_depend_on_what_varies_is_named(problem):
    schedule = me.Schedule(me.Stage("fit", 1, me.white_noise(), vary=me.latent()))
    with pytest.raises(me.RunError, match="'fit': no term depends"):
        list(me.steps(problem(), schedule))


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: me.steps(toys.without(), toys.plain(), seeds=3), "a list of 1 whole numbers; got 3"),
        (lambda: me.run(toys.without(), toys.plain(), save="no/such/folder/run"), "cannot be saved to no/such"),
    ],
)
def test_nonsense_is_refused_before_any_work(make, says):
    with pytest.raises(me.InputError, match=says):
        make()
