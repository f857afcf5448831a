"""StyleGAN3 against the reference values, and its own promises."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import maskedit as me
from maskedit.errors import InputError
from maskedit.models.files.generators import generator_from_state
from maskedit.models.networks.stylegan3 import Geometry, StyleGAN3, config_channels
from maskedit.models.networks.stylegan3_input import moved
from maskedit.protocols import Generator, TakesInputs
from tests.data import formula
from tests.toys import ToyClassifier, ToyParser


def small(**changes: Any) -> StyleGAN3:
    """Trained-looking, of a few channels."""
    torch.manual_seed(1)
    sizes = {"geometry": Geometry(resolution=16, layers=5, critical=2), "latent_dim": 6, "channels": (8, 8, 6, 5, 4)}
    generator = StyleGAN3(**{**sizes, **changes})
    with torch.no_grad():
        for key, tensor in generator.state_dict().items():
            if key.endswith((".bias", "magnitude_ema")):
                tensor.add_(0.2 * torch.rand_like(tensor))
        generator.synthesis.input.affine.weight.normal_(std=0.3)
        generator.mapping.w_avg.normal_()
    return generator


def radial(**changes: Any) -> StyleGAN3:
    return small(kernel=1, radial=True, **changes)


def close(actual: Tensor, expected: np.ndarray) -> None:
    """The fixtures' measure: largest difference over largest value."""
    wanted = torch.from_numpy(expected).to(actual.dtype)
    assert actual.shape == wanted.shape
    assert (actual - wanted).abs().max() <= 1e-4 * wanted.abs().max()


def by_formula(spec: dict[str, Any]) -> dict[str, Tensor]:
    """The state dict of a file, as the fixtures' README fills it."""
    arguments = spec["init_kwargs"]
    resolution = arguments["img_resolution"]
    designed = StyleGAN3(
        geometry=Geometry(resolution=resolution),
        latent_dim=arguments["w_dim"],
        channels=config_channels(
            Geometry(resolution=resolution), base=arguments["channel_base"], maximum=arguments["channel_max"]
        ),
        kernel=arguments.get("conv_kernel", 3),
        radial=arguments.get("use_radial_filters", False),
    ).state_dict()
    assert {key: list(tensor.shape) for key, tensor in designed.items()} == spec["state_dict"]
    state = {}
    for key, tensor in designed.items():
        if not key.endswith(("transform", "up_filter", "down_filter")):
            tensor = formula.fill(key, tensor, stylegan=True) * (100 if key.startswith("mapping.fc") else 1)
        state[key] = tensor
    return state


@pytest.mark.parametrize("config", ["t", "r"])
def test_64_px_equals_the_reference(fixtures: Path, config: str) -> None:
    spec = json.loads((fixtures / f"networks/stylegan3_{config}_64.keys.json").read_text())
    values = np.load(fixtures / f"networks/stylegan3_{config}_64.npz")
    generator = generator_from_state(by_formula(spec))
    assert isinstance(generator, StyleGAN3)
    seen: list[Tensor] = []
    hooks = [part.register_forward_hook(lambda *args: seen.append(args[2])) for part in generator.synthesis.children()]
    w = torch.from_numpy(values["w"])
    image = generator.synthesize(w) * 2 - 1
    for hook in hooks:
        hook.remove()
    close(seen[0].flatten()[::101], values["fourier_features"])
    close(seen[1].flatten()[::307], values["layer_0"])
    close(torch.stack([features.square().mean().sqrt() for features in seen[1:]]), values["layer_rms"])
    close(image, values["image"])
    close(image.mean((2, 3)), values["image_mean"])
    close(image.square().mean((2, 3)).sqrt(), values["image_rms"])
    inverse = torch.from_numpy(values["moved_inverse"]).float()
    close(generator.synthesize(w, transform=inverse) * 2 - 1, values["moved_image"])
    (cos, sin, x), (_, _, y), _ = values["moved_transform"]
    torch.testing.assert_close(moved(math.atan2(sin, cos), x, y), inverse)

    z = torch.from_numpy(values["z"])
    close(generator.map(z)[:, 0], values["mapped"])
    close(generator.map(z, 0.7)[:, 3], values["mapped_psi"])
    close(generator.map(z, 0.7, cutoff=4)[:, ::3], values["mapped_psi_cutoff"])
    close(generator.synthesize(generator.map(z))[:, :, ::2, ::2] * 2 - 1, values["image_of_z"])

    exact = generator.double()
    w = w.double().requires_grad_()
    image = exact.synthesize(w) * 2 - 1
    factors = formula.normal(int(values["c_seed"]), *image.shape).double()
    (gradient,) = torch.autograd.grad((image * factors).mean(), w)
    wanted = torch.from_numpy(values["grad_w"]).double()
    assert (gradient - wanted).norm() <= 1e-5 * wanted.norm()


@pytest.mark.parametrize("config", ["t", "r"])
def test_the_published_networks_have_their_keys(fixtures: Path, config: str) -> None:
    spec = json.loads((fixtures / f"networks/stylegan3_{config}_1024.keys.json").read_text())
    with torch.device("meta"):
        generator = StyleGAN3() if config == "t" else StyleGAN3(kernel=1, radial=True)
    assert {key: list(tensor.shape) for key, tensor in generator.state_dict().items()} == spec["state_dict"]
    assert generator.latent_shape == (spec["num_ws"], 512)
    for layer, wanted in zip(generator.synthesis.layers, spec["layers"].values(), strict=False):
        how = layer.resampling
        assert (how.up, how.down, how.before, how.size) == (
            wanted["up"],
            wanted["down"],
            wanted["padding"][0],
            wanted["out_size"],
        )


@pytest.mark.parametrize("make", [small, radial])
def test_frozen_values_and_gradients_equal_those_of_a_trained_network(make: Any) -> None:
    """Once with gradients written by hand, once by autograd where it can; one image and several."""
    frozen, trained = make().double().freeze(), make().double()
    for b in (1, 3):
        latent = torch.randn(b, *frozen.latent_shape, dtype=torch.float64).requires_grad_()
        images = [generator.synthesize(latent) for generator in (frozen, trained)]
        torch.testing.assert_close(*images, rtol=0, atol=1e-12)
        given = torch.randn_like(images[0])
        gradients = [torch.autograd.grad(image, latent, given)[0] for image in images]
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-11)


def test_gradcheck_of_latent_and_transform() -> None:
    generator = (
        small(geometry=Geometry(resolution=8, layers=3, critical=1, margin=2), channels=(3, 3, 2)).double().freeze()
    )
    latent = torch.randn(2, *generator.latent_shape, dtype=torch.float64).requires_grad_()
    transform = moved(0.3, 0.1, -0.2).double().requires_grad_()
    draw = lambda latent, transform: generator.synthesize(latent, transform=transform)  # noqa: E731
    assert torch.autograd.gradcheck(draw, (latent, transform), fast_mode=True)


def test_gradients_reach_all_weights() -> None:
    generator = small()
    generator.synthesize(torch.randn(2, *generator.latent_shape)).square().sum().backward()
    missing = [name for name, p in generator.synthesis.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


@pytest.mark.parametrize("make", [small, radial])
def test_a_batch_equals_its_singles(make: Any) -> None:
    generator = make().double().freeze()
    latent = torch.randn(3, *generator.latent_shape, dtype=torch.float64)
    latent[1] *= 10  # styles of other sizes
    transforms = torch.stack([moved(angle) for angle in (0.0, 0.5, 1.0)]).double()
    together = generator.synthesize(latent, transform=transforms)
    for i in range(3):
        alone = generator.synthesize(latent[i : i + 1], transform=transforms[i])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-12)


def test_checkpointing_changes_no_number() -> None:
    plain, again = small().freeze(), small(checkpointed=True).freeze()
    latent = torch.randn(2, *plain.latent_shape).requires_grad_()
    images = [generator.synthesize(latent) for generator in (plain, again)]
    assert torch.equal(*images)
    assert torch.equal(*(torch.autograd.grad(image.square().sum(), latent)[0] for image in images))


def test_a_shift_of_the_waves_shifts_the_picture() -> None:
    """By whole pixels, so that the filters' aliasing is no matter; far from the border."""
    generator = radial(geometry=Geometry(resolution=32, layers=5, critical=1, margin=10)).double().freeze()
    latent = torch.randn(1, *generator.latent_shape, dtype=torch.float64)
    still = generator.synthesize(latent)
    shifted = generator.transformed(moved(0.0, 4 / 32, 0.0)).synthesize(latent)
    assert (shifted[..., 12:28] - still[..., 8:24]).norm() < 0.1 * (still[..., 12:28] - still[..., 8:24]).norm()


def test_a_transformed_generator_shares_its_weights() -> None:
    generator = small().freeze()
    latent = torch.randn(1, *generator.latent_shape)
    before = generator.synthesize(latent)
    turned = generator.transformed(moved(0.7))
    torch.testing.assert_close(turned.synthesize(latent), generator.synthesize(latent, transform=moved(0.7)))
    assert torch.equal(generator.synthesize(latent), before)
    assert turned.synthesis.layers[0].weight is generator.synthesis.layers[0].weight
    torch.testing.assert_close(turned.transformed(torch.eye(3)).synthesize(latent), before)


def test_moved_undoes_a_turn_and_a_shift() -> None:
    angle, x, y = torch.tensor([0.0, 0.4]), torch.tensor([0.1, 0.2]), torch.tensor([-0.3, 0.5])
    zero, one = torch.zeros(2), torch.ones(2)
    rows = [angle.cos(), angle.sin(), x, -angle.sin(), angle.cos(), y, zero, zero, one]
    torch.testing.assert_close(moved(angle, x, y), torch.stack(rows, 1).view(2, 3, 3).inverse())


def test_bfloat16_autocast_stays_near_and_returns_float32() -> None:
    generator = small().freeze()
    latent = torch.randn(1, *generator.latent_shape).requires_grad_()
    exact = generator.synthesize(latent)
    with torch.autocast("cpu", torch.bfloat16):
        image = generator.synthesize(latent)
    assert image.dtype == torch.float32
    assert (image - exact).norm() < 0.02 * exact.norm()
    wanted, gradient = (torch.autograd.grad(picture.sum(), latent)[0] for picture in (exact, image))
    assert (gradient - wanted).norm() < 0.1 * wanted.norm()


def test_classes_and_grey_pictures() -> None:
    generator = small(classes=3, colours=1).freeze()
    z, label = torch.randn(2, 6), torch.eye(3)[:2]
    latent = generator.map(z, label=label)
    assert not torch.allclose(latent, generator.map(z, label=label.flip(0)))
    image = generator.synthesize(latent)
    assert image.shape == (2, 3, 16, 16)
    assert torch.equal(image[:, 0], image[:, 2])
    with pytest.raises(InputError, match=r"label does not fit.*\[b, 3\]; got none"):
        generator.map(z)


def test_freezing_follows_newly_loaded_weights() -> None:
    generator, other = small().freeze(), small()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    generator.load_state_dict(other.state_dict())
    latent = torch.randn(2, *generator.latent_shape)
    torch.testing.assert_close(generator.synthesize(latent), other.synthesize(latent))


def test_a_schedule_runs_without_noise() -> None:
    generator = small().double().freeze()
    assert isinstance(generator, Generator)
    models = me.Models(generator, ToyParser(), ToyClassifier(), mean_latent=generator.mean_latent())
    keep = 2.0 * me.preserve("skin")
    schedule = me.Schedule(
        me.Stage("fit", 2, keep, vary=me.latent(lr=0.05)),
        me.Stage("edit", 2, keep + 0.01 * me.attribute("smiling"), vary=me.latent(lr=0.05)),
    )
    problem = me.Problem(models, torch.rand(2, 3, 16, 16, dtype=torch.float64), "smiling")
    result = me.run(problem, schedule)
    assert result.noises == ()
    assert result.history.raw["edit.smiling"].isfinite().all()
    assert not torch.equal(result.latent[0], generator.mean_latent())
    with pytest.raises(me.MaskeditError, match="noise"):
        me.run(problem, me.Schedule(me.Stage("detail", 1, 1.0 * me.white_noise(), vary=me.noise(lr=0.1))))


@pytest.mark.unhooked
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda g: g.synthesize(torch.zeros(7, 6)), r"expected \[b, 7, 6\]; got \[7, 6\].*latent\[None\]"),
        (lambda g: g.synthesize(torch.zeros(1, 7, 6), [torch.zeros(1, 1, 4, 4)]), "takes no noise maps"),
        (
            lambda g: g.synthesize(torch.zeros(2, 7, 6), transform=torch.eye(2)),
            r"\[3, 3\] or \[2, 3, 3\]; got \[2, 2\]",
        ),
        (lambda g: g.map(torch.zeros(1, 5)), r"code does not fit.*\[b, 6\]; got \[1, 5\]"),
        (lambda g: g.map(torch.zeros(1, 6), label=torch.zeros(1, 2)), r"label does not fit.*none; got \[1, 2\]"),
        (lambda g: small(channels=(3, 3)), "5 numbers"),
        (lambda g: Geometry(resolution=48), "power of two"),
        (lambda g: Geometry(layers=2, critical=2), "fewer critical layers"),
    ],
)
def test_misuse_gets_a_sentence(call: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call(small())


@pytest.mark.filterwarnings("ignore:the generator's pictures")
def test_the_transform_is_a_named_input_that_may_move() -> None:
    generator = small().double()
    latent = torch.randn(2, *generator.latent_shape, dtype=torch.float64)
    assert isinstance(generator, TakesInputs)
    own = generator.inputs_of(latent, (), ["transform"])
    torch.testing.assert_close(generator.synthesize(latent, (), own), generator.synthesize(latent))
    turned = moved(0.2, 0.05, 0.0).double().expand(2, 3, 3)
    torch.testing.assert_close(
        generator.synthesize(latent, (), {"transform": turned}), generator.synthesize(latent, transform=turned)
    )
    goal = generator.synthesize(latent, transform=turned).detach().clamp(0, 1)
    problem = me.Problem(me.Models(generator=generator.freeze()), goal, start=latent)
    like = me.Term("like", me.each(torch.nn.MSELoss()))
    stage = me.Stage("turn", 5, like, vary=me.inputs("transform", lr=0.01))
    result = me.run(problem, me.Schedule(stage, blend=None))
    assert (result.history.total[:, -1] < result.history.total[:, 0]).all()
    assert result.moved["transform"].shape == (2, 3, 3)
