"""What a run records: values at every step, the best step, images that are not finite."""

import itertools

import pytest
import torch
from torch import Tensor, nn

import maskedit as me
from tests import toys
from tests.solve.runs import edit


def test_history_is_linear_in_the_weights(problem):
    weight = 0.25
    schedule = me.Schedule(me.Stage("fit", 3, weight * me.preserve("skin"), vary=me.latent(lr=0.01)))
    history = me.run(problem(), schedule).history
    torch.testing.assert_close(history.weighted["fit.preserve"], weight * history.raw["fit.preserve"])
    torch.testing.assert_close(history.total, history.weighted["fit.preserve"])


def test_keep_best_ends_at_the_lowest_total(problem):
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


class Breaks(nn.Module):
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
def test_an_image_that_is_not_finite_is_frozen_and_named_and_the_others_go_on(problem, how):
    def schedule(breaks: bool) -> me.Schedule:
        term = me.Term("risky", Breaks(image=1, call=3 if breaks else 10**9, how=how), reads=lambda v: v.image)
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


def test_when_every_image_is_frozen_the_run_ends_and_returns_the_input(problem):
    class Broken(toys.ToyGenerator):
        def synthesize(self, latent, noises):
            return super().synthesize(latent, noises) * float("nan")

    trio = toys.models(generator=Broken())
    this = problem(2, models=trio)
    result = me.run(this, edit())
    assert torch.equal(result.image, this.image)
    assert all("the generated image is not finite" in s and "the input is returned" in s for s in result.status)
    assert trio.generator.calls < 6
