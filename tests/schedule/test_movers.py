"""Whatever moves: it gains, it resumes to the same bits, a batch equals its singles, and overlaps are refused."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import maskedit as me
from maskedit.schedule import Moving, MovingTensors, Steering
from tests.loops import toys

LBFGS = partial(torch.optim.LBFGS, max_iter=3, history_size=4)


class Scaled:
    """A variable of somebody's own: one factor for the whole latent."""

    name = "scale"

    def gives(self, problem: me.Problem) -> tuple[str, ...]:
        return ("latent", "scale")

    def check(self, problem: me.Problem) -> None:
        if len(problem.models.generator.latent_shape) != 2:
            raise me.InputError("scale needs a W+ latent")

    def begin(self, given, problem: me.Problem) -> Moving:
        base = given["latent"]

        class Factor(MovingTensors):
            def values(self, images):
                factors = super().values(images)["scale"]
                return {"latent": factors[:, None] * base[list(images)], "scale": factors}

        return Factor({"scale": base.new_ones(len(base), 1)}, Steering(0.05))

    def __str__(self) -> str:
        return "scale"


FIRST, SECOND = 0.5 * torch.randn(2, 1, 8, 16, generator=torch.Generator().manual_seed(3))

MOVERS = {
    "latent": [me.latent(lr=0.05)],
    "layers": [me.latent(lr=[0.05, 0.02, 0.01], layers=[1, 2, 5])],
    "one w": [me.latent(lr=0.05, space="w")],
    "shaken": [me.latent(lr=0.05, shake=lambda step: 0.1 / (step + 1))],
    "clipped": [me.latent(lr=0.05, gradient=[me.ClipNorm(1e-3)], optimizer=torch.optim.SGD)],
    "plateau": [me.latent(lr=me.OnPlateau(0.3, patience=1))],
    "lbfgs": [me.latent(lr=0.3, optimizer=LBFGS)],
    "noise": [me.noise(lr=0.1)],
    "styles": [me.styles(lr=0.02, layers=[0, 2, 3])],
    "features": [me.features(lr=0.05, at=8), me.latent(lr=0.02, layers=range(3, 8))],
    "weights": [me.weights(lr=1e-2, of=["layers.?.weight", "to_rgb.3.*"])],
    "all weights and noise": [me.weights(lr=1e-3), me.noise(lr=0.01)],
    "mix": [me.mix(FIRST, SECOND, lr=0.05, each="layer")],
    "pixels": [me.pixels(lr=0.02)],
    "target": [me.target_place(lr=0.01), me.latent(lr=0.02)],
    "one's own": [Scaled()],
}


def problem(count: int = 2, only: int | None = None) -> me.Problem:
    generator = toys.generator()
    g = torch.Generator().manual_seed(1)
    start, goal = (0.5 * torch.randn(count, 8, 16, generator=g) for _ in range(2))
    with torch.no_grad():
        image = generator.synthesize(goal, generator.constant_noises(count)).clamp(-1, 1)
    if only is not None:
        start, image = start[only : only + 1], image[only : only + 1]
    noises = generator.constant_noises(len(start))
    return me.Problem(me.Models(generator=generator), image, start=start, noises=noises, range=(-1, 1))


def schedule(vary: list, steps: int = 6) -> me.Schedule:
    like = me.Term("like", me.each(torch.nn.MSELoss()))
    return me.Schedule(me.Stage("move", steps, like, vary=vary), blend=None)


def values(result: me.Result) -> list[Tensor]:
    found: list[Tensor] = []
    for _, moved in sorted(result.moved.items()):
        several = [v for _, v in sorted(moved.items())] if isinstance(moved, dict) else moved
        found += [moved] if isinstance(moved, Tensor) else list(several)
    return found


pytestmark = pytest.mark.filterwarnings("ignore:the generator's pictures")


@pytest.mark.parametrize("vary", MOVERS.values(), ids=MOVERS)
def test_it_gains(vary):
    total = me.run(problem(), schedule(vary, 12)).history.total
    assert (total[:, -1] < total[:, 0]).all()


@pytest.mark.parametrize("vary", MOVERS.values(), ids=MOVERS)
def test_a_run_resumed_in_the_middle_is_the_unbroken_one_bit_for_bit(vary, tmp_path: Path):
    whole = me.run(problem(), schedule(vary), seeds=[1, 2])
    for step in me.steps(problem(), schedule(vary), seeds=[1, 2]):
        if step.index == 2:
            step.save(tmp_path / "run")
            break
    again = me.run(problem(), schedule(vary), resume=tmp_path / "run")
    assert set(again.moved) == set(whole.moved)
    assert all(torch.equal(a, b) for a, b in zip(values(again), values(whole), strict=True))
    assert torch.equal(again.image, whole.image)
    assert torch.equal(again.history.total, whole.history.total)


@pytest.mark.parametrize("vary", MOVERS.values(), ids=MOVERS)
def test_a_batch_equals_its_singles(vary):
    both = me.run(problem(), schedule(vary), seeds=[1, 2])
    for i in range(2):
        alone = me.run(problem(only=i), schedule(vary), seeds=[i + 1])
        for together, single in zip(values(both), values(alone), strict=True):
            assert (together[i] - single[0]).norm() <= 1e-4 * single[0].norm() + 1e-6


@pytest.mark.parametrize("vary", MOVERS.values(), ids=MOVERS)
def test_it_prints_in_a_line(vary):
    assert str(vary[0]) in str(schedule(vary))
    assert "object at" not in str(vary[0])


def test_the_result_says_what_moved_and_its_latent_stays_one():
    result = me.run(problem(), schedule(MOVERS["features"]))
    assert result.moved["features"].shape == (2, 16, 8, 8)
    assert result.latent.shape == (2, 8, 16)
    tuned = me.run(problem(), schedule(MOVERS["weights"]))
    assert set(tuned.moved["weights"]) == {*(f"layers.{i}.weight" for i in range(7)), *_last_colours()}
    assert tuned.moved["weights"]["layers.0.weight"].shape == (2, 16, 16, 3, 3)


def _last_colours() -> set[str]:
    return {f"to_rgb.3.{name}" for name in ("weight", "bias", "modulation.weight", "modulation.bias")}


def test_what_moved_stays_where_a_later_stage_moves_something_else():
    like = me.Term("like", me.each(torch.nn.MSELoss()))
    two = me.Schedule(
        me.Stage("tune", 4, like, vary=me.weights(lr=1e-2)),
        me.Stage("paint", 4, like, vary=me.pixels(lr=0.02)),
        blend=None,
    )
    result = me.run(problem(), two)
    assert {"weights", "pixels"} <= set(result.moved)
    total = result.history.total
    assert (total[:, 4] < total[:, 0]).all()
    assert (total[:, -1] < total[:, 4]).all()


@pytest.mark.parametrize(
    ("vary", "says"),
    [
        ([me.latent(), me.mix(FIRST, SECOND)], "latent and mix.*both move 'latent'"),
        ([me.latent(), Scaled()], "latent and scale.*both move 'latent'"),
        ([me.styles(), me.inputs("styles.2")], "styles and inputs.*both move 'styles.2'"),
        ([me.features(at=64)], "takes no 'features.64'"),
        ([me.styles(layers=[99])], "takes no 'styles.99'"),
        ([me.weights(of=["nothing.*"])], "'nothing.*'"),
        ([me.latent(lr=[0.1, 0.2])], "a rate for each layer; expected 8"),
        ([me.latent(components=2)], "latent distribution"),
        ([me.mix(FIRST[:, :4], SECOND)], "two latents of this generator"),
    ],
)
def test_what_cannot_move_is_refused_before_the_first_step(vary, says):
    with pytest.raises(me.InputError, match=says):
        next(iter(me.steps(problem(), schedule(vary))))


def test_a_generator_that_offers_nothing_is_named():
    class Plain:
        resolution, latent_shape, noise_shapes = 32, (8, 16), ()

        def synthesize(self, latent, noises):
            return latent.new_zeros(len(latent), 3, 32, 32)

    this = me.Problem(me.Models(generator=Plain()), torch.zeros(1, 3, 32, 32), start=torch.zeros(1, 8, 16))
    for vary, says in ((me.styles(), "takes styles"), (me.weights(), "an nn.Module"), (me.noise(), "needs noise maps")):
        with pytest.raises(me.InputError, match=says):
            next(iter(me.steps(this, schedule([vary]))))


def test_shaking_is_drawn_from_each_images_own_generator_and_leaves_the_state_alone():
    one, other = (me.run(problem(), schedule(MOVERS["shaken"]), seeds=seeds) for seeds in ([1, 2], [1, 3]))
    assert torch.equal(one.latent[0], other.latent[0])
    assert not torch.equal(one.latent[1], other.latent[1])
    still = me.latent(lr=0.0, shake=0.5)
    assert torch.equal(me.run(problem(), schedule([still])).latent, problem().start_latent())


def test_weights_hold_each_copy_once():
    """A step holds the generator, and for each image its copy, its gradient and two moments: no more."""
    this = problem(1)
    loop = iter(me.steps(this, schedule([me.weights()])))
    next(loop)
    step = next(loop)
    moving = step._loop.state.moving[0]
    for name, value in step.given.items():
        if name.startswith("weights."):
            assert value.data_ptr() in {p.data_ptr() for p in moving.all_parameters()}
            own = dict(this.models.generator.named_parameters())[name.removeprefix("weights.")]
            assert step._loop.state.good[name].data_ptr() == own.data_ptr()


def test_a_plateau_lowers_the_rate_of_each_image_by_itself():
    rate = me.OnPlateau(1.0, factor=0.5, patience=2, tolerance=0.01)
    series = {"total": torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])}
    assert [rate.seen(series, i) for i in range(2)] == [1.0, 0.5]
    with pytest.raises(me.InputError, match=r"in \(0, 1\)"):
        me.OnPlateau(1.0, factor=1.5)


def test_clipping_takes_all_gradients_of_an_image_together():
    clipped = me.ClipNorm(1.0)([torch.tensor([3.0]), torch.tensor([4.0])])
    torch.testing.assert_close(torch.cat(clipped), torch.tensor([0.6, 0.8]))
    same = [torch.tensor([0.3])]
    torch.testing.assert_close(me.ClipNorm(1.0)(same)[0], same[0])
