"""The loop on the analytic trio: counts, batches, stops, freezing, saving, interrupts, determinism."""

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import maskedit as me
from maskedit.losses import SemanticKL
from tests import toys

ROOT = Path(__file__).parents[2]


def edit(**stage: object) -> me.Schedule:
    """All kinds of terms, both variables, moving masks and drawn noise, in four short stages."""
    keep = 2.0 * me.preserve("skin")
    change = (
        keep
        + 0.05 * me.attribute(["smiling", "wearing_lipstick"], target=[1.0, 0.0], hold=["pale_skin"])
        + 0.5 * me.shape("mouth", grow=True)
        + me.region_size("mouth", scale=1.2)
        + 1e-3 * me.latent_prior()
    )
    return me.Schedule(
        me.Stage("fit", 4, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", 5, change, vary=me.latent(lr=0.05), after_step=[me.GrowTarget()]),
        me.Stage("settle", 3, change, vary=me.unchanged(), on_enter=[me.RedrawNoise()]),
        me.Stage(
            "detail", 4, keep + me.white_noise(), vary=me.noise(lr=0.1), after_step=[me.NormalizeNoise()], **stage
        ),
    )


def problem(count: int = 2, **changes: object) -> me.Problem:
    trio = changes.pop("models", None) or toys.models()
    return me.Problem(trio, toys.pictures(count), attributes=["smiling"], **changes)


def only(image: int, of: me.Problem) -> me.Problem:
    start = of.start[image : image + 1] if isinstance(of.start, Tensor) else of.start
    return replace(of, image=of.image[image : image + 1], models=toys.models(), start=start)


def same(one: me.Result, other: me.Result) -> None:
    for a, b in zip((one.latent, *one.noises, one.image), (other.latent, *other.noises, other.image), strict=True):
        assert torch.equal(a, b)
    for name, values in one.history.raw.items():
        torch.testing.assert_close(values, other.history.raw[name], rtol=0, atol=0, equal_nan=True)


# --- what it does -----------------------------------------------------------------------------------------


def test_an_edit_changes_what_it_should_and_nothing_else():
    keep = 2.0 * me.preserve("skin")
    schedule = me.Schedule(
        me.Stage("fit", 60, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", 80, keep + 0.1 * me.attribute("wearing_lipstick", target=0.0), vary=me.latent(lr=0.05)),
    )
    this = me.Problem(toys.models(), toys.pictures(2), attributes=["wearing_lipstick"])
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


@pytest.mark.parametrize("kind", ["paste", "change", "redraw"])
def test_what_is_seen_after_the_blend_is_what_the_run_returns(kind):
    """The classifier looks at the blended picture, which the first step's result is."""
    look = me.attribute("smiling", target=1.0, seen_in="blended")
    since = "fit" if kind != "paste" else None
    schedule = me.Schedule(
        me.Stage("fit", 3, me.preserve("skin"), vary=me.latent(lr=0.05)),
        me.Stage("edit", 20, look, vary=me.latent(lr=0.05)),
        blend=me.Blend(kind=kind, preserve=(), softness=1, since=since),
    )
    this = problem()
    results = [step.result() for step in me.steps(this, schedule)]
    seen = results[-1].history.raw["edit.smiling"]
    loss = SemanticKL()
    for step in (0, 11):
        before = this.models.classifier.classify(results[3 + step - 1].image, ["smiling"])
        torch.testing.assert_close(seen[:, step], loss(before, torch.ones_like(before)))
    assert (seen[:, -1] < seen[:, 0]).all()


def test_the_blended_picture_is_seen_with_one_call_of_the_classifier_a_step():
    look = me.attribute("smiling", seen_in="blended")
    schedule = me.Schedule(me.Stage("edit", 4, look, vary=me.latent()), blend=me.Blend(kind="change"))
    this = problem()
    before = toys.calls(this.models)
    me.run(this, schedule)
    spent = toys.calls(this.models) - before
    assert spent["classifier"] == 1 + 4  # the input, and each step
    assert spent["parser"] == 1  # the input, for the mask
    assert spent["generator"] == 4 + 1 + 1  # each step, what the change is counted from, the result


def test_a_blended_picture_that_cannot_be_is_refused():
    look = me.attribute("smiling", seen_in="blended")
    stages = me.Stage("fit", 1, look, vary=me.latent()), me.Stage("edit", 1, look, vary=me.latent())
    with pytest.raises(me.InputError, match="without a blend"):
        me.run(problem(), me.Schedule(*stages, blend=None))
    with pytest.raises(me.InputError, match="before there is one"):
        me.run(problem(), me.Schedule(*stages, blend=me.Blend(kind="change", since="fit")))


def test_history_is_linear_in_the_weights():
    weight = 0.25
    schedule = me.Schedule(me.Stage("fit", 3, weight * me.preserve("skin"), vary=me.latent(lr=0.01)))
    history = me.run(problem(), schedule).history
    torch.testing.assert_close(history.weighted["fit.preserve"], weight * history.raw["fit.preserve"])
    torch.testing.assert_close(history.total, history.weighted["fit.preserve"])


def test_rates_are_functions_of_the_step_in_their_stage():
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


def test_each_model_is_called_at_most_once_a_step_and_only_for_what_is_read():
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


def test_a_term_that_reads_only_the_latent_draws_no_picture():
    trio = toys.models()
    near = me.Term("near", _Distance(), reads=lambda v: (v.latent, v.start.latent))
    schedule = me.Schedule(me.Stage("stay", 3, near, vary=me.latent(lr=0.1)), blend=None)
    steps = list(me.steps(problem(models=trio), schedule))
    assert toys.calls(trio) == {"generator": 0, "parser": 0, "classifier": 0}
    assert steps[0].image is None


def test_only_chosen_layers_move():
    schedule = me.Schedule(me.Stage("fit", 3, me.preserve("skin"), vary=me.latent(lr=0.1, layers=[1])))
    this = problem()
    moved = me.run(this, schedule).latent - this.start_latent()
    assert (moved[:, [0, 2]] == 0).all()
    assert (moved[:, 1] != 0).any()


def test_components_move_within_their_span():
    schedule = me.Schedule(me.Stage("fit", 5, me.preserve("skin"), vary=me.latent(lr=0.1, components=2)))
    this = problem()
    moved = (me.run(this, schedule).latent - this.start_latent()).flatten(1)
    basis = this.models.latents.components[:2]
    assert (moved.norm(dim=1) > 0.01).all()
    torch.testing.assert_close(moved @ basis.T @ basis, moved)


def test_a_direction_is_moved_along_and_nothing_else():
    schedule = me.Schedule(me.Stage("fit", 5, me.attribute("smiling"), vary=me.latent(lr=0.1, along=["smiling"])))
    this = problem()
    result = me.run(this, schedule)
    moved = result.latent - this.start_latent()
    direction = this.models.latents.directions["smiling"]
    assert (moved.flatten(1).norm(dim=1) > 0.01).all()
    along = (moved * direction).sum((1, 2)) / direction.square().sum()  # in times the difference that it makes
    torch.testing.assert_close(moved, along[:, None, None] * direction)


@pytest.mark.parametrize("start", ["mean", "encoder", "given"])
def test_starts(start):
    trio, image = toys.models(), toys.pictures(2)
    given_ = torch.randn(2, 3, 4, dtype=torch.float64)
    this = me.Problem(trio, image, attributes=["smiling"], start=given_ if start == "given" else start)
    step = next(iter(me.steps(this, me.Schedule(me.Stage("fit", 1, me.preserve("skin"), vary=me.latent(lr=0.0))))))
    expected = {"mean": trio.mean_latent.expand(2, 3, 4), "encoder": trio.encoder.encode(image), "given": given_}
    torch.testing.assert_close(step.latent, expected[start])


def test_several_variables_move_together():
    both = me.Stage("both", 3, me.preserve("skin"), vary=[me.latent(lr=0.1), me.noise(lr=0.1)])
    this = problem()
    result = me.run(this, me.Schedule(both))
    assert (result.latent != this.start_latent()).any()
    assert all((noise != 0).any() for noise in result.noises)


def test_unchanged_keeps_the_moments_and_a_new_variable_forgets_them():
    keep = me.preserve("skin")
    whole = me.Schedule(me.Stage("a", 6, keep, vary=me.latent(lr=0.05)))
    halves = me.Schedule(me.Stage("a", 3, keep, vary=me.latent(lr=0.05)), me.Stage("b", 3, keep, vary=me.unchanged()))
    fresh = me.Schedule(
        me.Stage("a", 3, keep, vary=me.latent(lr=0.05)), me.Stage("b", 3, keep, vary=me.latent(lr=0.05))
    )
    one, two, three = (me.run(problem(), schedule).latent for schedule in (whole, halves, fresh))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_models_weights_get_no_gradient():
    class Weighted(toys.ToyGenerator):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

        def synthesize(self, latent, noises):
            return self.scale * super().synthesize(latent, noises)

    trio = toys.models(generator=Weighted())
    me.run(problem(models=trio), me.Schedule(me.Stage("fit", 2, me.preserve("skin"), vary=me.latent())))
    assert trio.generator.scale.grad is None


# --- a batch is its singles -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer", [torch.optim.Adam, torch.optim.AdamW, partial(torch.optim.SGD, momentum=0.9), torch.optim.RMSprop]
)
def test_a_batch_of_edits_equals_the_same_edits_done_alone(optimizer):
    stages = [
        replace(s, vary=me.latent(lr=0.05, optimizer=optimizer)) if s.name in ("fit", "edit") else s for s in edit()
    ]
    schedule = me.Schedule(*stages)
    together = problem(3)
    batch = me.run(together, schedule, seeds=[4, 5, 4])
    for i, seed in enumerate([4, 5, 4]):
        alone = me.run(only(i, together), schedule, seeds=[seed])
        torch.testing.assert_close(batch.latent[i : i + 1], alone.latent, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(batch.image[i : i + 1], alone.image, rtol=1e-6, atol=1e-6)
        for name, values in alone.history.raw.items():
            torch.testing.assert_close(batch.history.raw[name][i : i + 1], values, rtol=1e-6, atol=1e-6)


def test_a_batch_equals_its_singles_also_when_images_stop_at_different_steps():
    stop = me.Threshold(2e-4)
    schedule = me.Schedule(
        me.Stage("fit", 40, 2.0 * me.preserve("skin"), vary=me.latent(lr=0.05), stop=stop),
        me.Stage("more", 5, me.preserve("skin"), vary=me.unchanged(), on_enter=[me.RedrawNoise()]),
    )
    together = problem(3)
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
def test_permuting_the_batch_permutes_the_results(order):
    this = problem(3)
    seeds = [7, 8, 9]
    plain = me.run(this, edit(), seeds=seeds)
    mixed = me.run(
        replace(this, image=this.image[list(order)], models=toys.models()), edit(), seeds=[seeds[i] for i in order]
    )
    torch.testing.assert_close(mixed.latent, plain.latent[list(order)], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mixed.image, plain.image[list(order)], rtol=1e-9, atol=1e-9)


def test_seeds_decide_the_noise_and_global_randomness_does_not():
    this = problem(2)
    one = me.run(this, edit(), seeds=[1, 2])
    torch.manual_seed(99)
    torch.rand(5)
    same(one, me.run(this, edit(), seeds=[1, 2]))
    other = me.run(this, edit(), seeds=[1, 3])
    assert torch.equal(one.noises[2][0], other.noises[2][0])
    assert not torch.equal(one.noises[2][1], other.noises[2][1])


# --- stopping ---------------------------------------------------------------------------------------------


def test_threshold_stops_each_image_by_itself():
    schedule = me.Schedule(
        me.Stage("fit", 50, me.preserve("skin"), vary=me.latent(lr=0.05), stop=me.Threshold(2e-4, of="preserve"))
    )
    result = me.run(problem(3), schedule)
    raw = result.history.raw["fit.preserve"]
    for i in range(3):
        values = raw[i][~raw[i].isnan()]
        assert values[-1] <= 2e-4
        assert (values[:-1] > 2e-4).all()
        assert f"stopped after {len(values)} of 50 steps (preserve <= 0.0002)" in result.status[i]


def test_plateau_waits_for_its_patience():
    flat = me.Schedule(
        me.Stage("fit", 50, me.preserve("skin"), vary=me.latent(lr=0.0), stop=me.Plateau(patience=7, tolerance=0.01))
    )
    assert me.run(problem(), flat).history.total.shape[1] == 8
    steady = {"total": torch.linspace(1, 0.1, 20)[None]}
    assert not me.Plateau(patience=5, tolerance=0.01)(steady).any()
    assert me.Plateau(patience=5, tolerance=0.99)(steady).all()


def test_keep_best_ends_at_the_lowest_total():
    def run(keep_best: bool) -> tuple[me.Result, Tensor]:
        stage = me.Stage("fit", 15, me.preserve("skin"), vary=me.latent(lr=1.5), keep_best=keep_best)
        steps, result = [], None
        for step in me.steps(problem(3), me.Schedule(stage)):
            steps.append(step)
        result = steps[-1].result()
        return result, torch.stack([s.latent for s in steps[:-1]])

    best, latents = run(keep_best=True)
    last, _ = run(keep_best=False)
    winners = best.history.total.argmin(dim=1)
    assert (winners < 14).any()
    assert not torch.equal(best.latent, last.latent)
    for i, winner in enumerate(winners.tolist()):
        if winner > 0:
            assert torch.equal(best.latent[i], latents[winner - 1, i])


# --- what goes wrong --------------------------------------------------------------------------------------


class _Distance(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).flatten(1).square().sum(1)


class _Breaks(nn.Module):
    """Turns one image's value, or only its gradient, into something that is not finite, from some call on."""

    def __init__(self, *, image: int, call: int, how: str) -> None:
        super().__init__()
        self.image, self.call, self.how, self.calls = image, call, how, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        value = x.flatten(1).square().mean(1)
        if self.calls > self.call:
            one = value[self.image]
            broken = one * float("nan") if self.how == "value" else one + (one - one.detach()).sqrt()
            value = torch.stack([broken if i == self.image else other for i, other in enumerate(value)])
        return value


@pytest.mark.parametrize("how", ["value", "gradient"])
def test_an_image_that_is_not_finite_is_frozen_and_named_and_the_others_go_on(how):
    def schedule(breaks: bool) -> me.Schedule:
        term = me.Term("risky", _Breaks(image=1, call=3 if breaks else 10**9, how=how), reads=lambda v: v.image)
        return me.Schedule(me.Stage("fit", 8, term + me.preserve("skin"), vary=me.latent(lr=0.05)))

    result = me.run(problem(3), schedule(True))
    whole = me.run(problem(3), schedule(False))
    what = "term 'risky'" if how == "value" else "the gradient"
    assert result.status[1] == f"Frozen in stage 'fit' at step 3: {what} is not finite."
    assert result.frozen.tolist() == [False, True, False]
    for i in (0, 2):
        assert torch.equal(result.latent[i], whole.latent[i])
        assert result.status[i] == "Finished."
    assert result.image.isfinite().all()
    raw = result.history.raw["fit.risky"]
    assert raw[1, 3:].isnan().all()
    assert raw[1, :3].isfinite().all()
    early = list(itertools.islice(me.steps(problem(3), schedule(False)), 2))[-1]
    assert torch.equal(result.latent[1], early.latent[1])  # the last latent whose loss was finite


def test_when_every_image_is_frozen_the_run_ends_and_returns_the_input():
    class Broken(toys.ToyGenerator):
        def synthesize(self, latent, noises):
            return super().synthesize(latent, noises) * float("nan")

    trio = toys.models(generator=Broken())
    this = problem(2, models=trio)
    result = me.run(this, edit())
    assert torch.equal(result.image, this.image)
    assert all("the generated image is not finite" in s and "the input is returned" in s for s in result.status)
    assert trio.generator.calls < 6


@pytest.mark.parametrize("value", ["scalar", "column", "number"])
def test_a_loss_that_is_not_per_image_is_named(value):
    class Wrong(nn.Module):
        def forward(self, x):
            return {"scalar": x.mean(), "column": x.flatten(1).mean(1, keepdim=True), "number": 1.0}[value]

    schedule = me.Schedule(
        me.Stage("fit", 1, me.Term("mine", Wrong(), reads=lambda v: v.image), vary=me.latent()), blend=None
    )
    with pytest.raises(me.RunError, match=r"'mine'.*\[2\].*flatten"):
        list(me.steps(problem(), schedule))


def test_an_objective_that_does_not_depend_on_what_varies_is_named():
    schedule = me.Schedule(me.Stage("fit", 1, me.white_noise(), vary=me.latent()))
    with pytest.raises(me.RunError, match="'fit': no term depends"):
        list(me.steps(problem(), schedule))


def test_a_region_that_a_term_did_not_declare_is_named():
    sneaky = me.Term("sneaky", _Distance(), reads=lambda v: (v.region("mouth"), v.region("mouth")))
    with pytest.raises(me.InputError, match=r"'mouth'.*regions=\['mouth'\]"):
        list(me.steps(problem(), me.Schedule(me.Stage("fit", 1, sneaky, vary=me.latent()), blend=None)))


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


def test_an_optimiser_that_needs_a_closure_is_refused():
    vary = me.latent(optimizer=torch.optim.LBFGS)
    with pytest.raises(me.InputError, match=r"LBFGS.*closure"):
        list(me.steps(problem(), me.Schedule(me.Stage("fit", 1, me.preserve("skin"), vary=vary))))


# --- stepping by hand, interrupting ----------------------------------------------------------------------


def test_steps_are_frozen_and_results_can_be_taken_after_any():
    steps = me.steps(problem(), edit())
    first = next(steps)
    with pytest.raises(FrozenInstanceError):
        first.stage = "x"
    with pytest.raises(TypeError):
        first.raw["preserve"] = 0
    result = first.result()
    assert "ended early in stage 'fit', after 1 of 4 steps" in result.status[0].lower()
    second = next(steps)
    assert (second.index, second.step, second.planned, second.steps) == (1, 1, 16, 4)
    with pytest.raises(me.RunError, match="gone on"):
        first.result()


def test_watching_sees_every_step():
    seen: list[me.Step] = []
    me.run(problem(), edit(), watch=seen.append)
    assert [s.index for s in seen] == list(range(16))
    assert [s.stage for s in seen] == ["fit"] * 4 + ["edit"] * 5 + ["settle"] * 3 + ["detail"] * 4


def test_control_c_returns_what_there_is_after_the_step_under_way(tmp_path):
    def watch(step: me.Step) -> None:
        if step.index == 6:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = me.run(problem(), edit(), watch=watch, save=tmp_path / "run.safetensors")
    assert signal.getsignal(signal.SIGINT) is before
    assert result.history.total.shape == (2, 7)
    assert "ended early in stage 'edit', after 3 of 5 steps" in result.status[0].lower()
    same(me.run(problem(), edit(), resume=tmp_path / "run.safetensors"), me.run(problem(), edit()))


def test_control_c_before_the_first_step_is_not_swallowed():
    class Stops(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    term = me.Term("stops", Stops(), reads=lambda v: v.latent)
    with pytest.raises(KeyboardInterrupt):
        me.run(problem(), me.Schedule(me.Stage("fit", 1, term, vary=me.latent())))


def test_deterministic_algorithms_are_switched_on_inside_steps_only():
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


# --- saving and resuming ----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(15))
def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(tmp_path, at):
    file = tmp_path / "run.safetensors"
    unbroken = me.run(problem(), edit(keep_best=True), seeds=[3, 4])
    for step in me.steps(problem(), edit(keep_best=True), seeds=[3, 4]):
        if step.index == at:
            step.save(file)
            break
    same(me.run(problem(), edit(keep_best=True), resume=file), unbroken)
    assert os.listdir(tmp_path) == ["run.safetensors"]


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9), torch.optim.NAdam])
@pytest.mark.parametrize("choice", [{}, {"layers": [0, 2]}, {"components": 3}, {"along": ["smiling"]}])
def test_every_variable_and_optimiser_resumes(tmp_path, optimizer, choice):
    stage = me.Stage("fit", 6, me.preserve("skin"), vary=me.latent(lr=0.05, optimizer=optimizer, **choice))
    schedule = me.Schedule(stage)
    for step in me.steps(problem(), schedule):
        if step.index == 2:
            step.save(tmp_path / "s")
    same(me.run(problem(), schedule, resume=tmp_path / "s"), me.run(problem(), schedule))


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from tests.solve.test_solve import edit, problem
import maskedit as me

def watch(step):
    if step.index == 10:
        os.kill(os.getpid(), signal.SIGKILL)

me.run(problem(), edit(), seeds=[1, 2], watch=watch, save=sys.argv[1], save_every=4)
"""


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    file = tmp_path / "run.safetensors"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file), str(ROOT)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed = me.run(problem(), edit(), resume=file)
        same(resumed, me.run(problem(), edit(), seeds=[1, 2]))
    finally:
        torch.set_num_threads(threads)


def test_resuming_refuses_another_run(tmp_path):
    file = tmp_path / "run"
    next(me.steps(problem(), edit())).save(file)
    with pytest.raises(me.CheckpointError, match="another schedule"):
        me.run(problem(), edit(stop=me.Threshold(0.0)), resume=file)
    with pytest.raises(me.CheckpointError, match="other inputs"):
        me.run(replace(problem(), image=problem().image * 0.9), edit(), resume=file)
    with pytest.raises(me.InputError, match="other seeds"):
        me.run(problem(), edit(), resume=file, seeds=[5, 5])
    with pytest.raises(me.CheckpointError, match="no file"):
        me.run(problem(), edit(), resume=tmp_path / "none")
    (tmp_path / "torn").write_bytes(file.read_bytes()[:100])
    with pytest.raises(me.CheckpointError, match="cannot be read"):
        me.run(problem(), edit(), resume=tmp_path / "torn")


def test_other_threads_are_warned_of(tmp_path):
    file = tmp_path / "run"
    next(me.steps(problem(), edit())).save(file)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.warns(UserWarning, match="not be the same to the last bit"):
            me.run(problem(), edit(), resume=file)
    finally:
        torch.set_num_threads(threads)


def test_an_event_before_backward_may_move_the_latent_alone():
    def nudge(moment: me.Moment) -> me.Change:
        return me.Change(latent=moment.latent + 0.1)

    stage = me.Stage("fit", 2, me.preserve("skin"), vary=[me.latent(lr=0.0), me.noise(lr=0.0)], before_backward=[nudge])
    this = problem()
    result = me.run(this, me.Schedule(stage))
    torch.testing.assert_close(result.latent, this.start_latent() + 0.2)
    assert not any(noise.requires_grad for noise in result.noises)
