"""The generator against reference values, against the formula as the paper writes it, and its own promises.

A gradient through leaky rectifiers jumps where a value before one crosses zero. Two right float32 programs disagree
about the sign of a handful of millions of such values, and each one moves the gradient by up to 1e-3 of its scale. So
tests/data records which side the reference took wherever a value was within 5e-5 of zero (``stylegan2_sides.py`` there
made the files), and the gradient is compared on the same sides.
"""

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.files.generators import generator_from_state
from maskedit.models.networks import fused
from maskedit.models.networks.resampling import blur, upsample
from maskedit.models.networks.stylegan2 import StyleGAN2, config_f_channels
from maskedit.protocols import Generator
from tests.data import formula
from tests.models.files.checkpoint_files import blur_kernel, rosinality_state, tiny_generator
from tests.models.networks.stylegan2_textbook import Textbook, blurred, up2

DATA = Path(__file__).parents[2] / "data"


def by_formula(keys: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """A full state dict of rosinality's, with the constants that the formula leaves alone."""
    constants = {key: blur_kernel() * 4 for key in keys if key.endswith("kernel")}
    weights = {key: torch.zeros(shape) for key, shape in keys.items() if key not in constants}
    return {key: formula.fill(key, weight, stylegan=True) for key, weight in weights.items()} | constants


def close(actual: Tensor, expected: np.ndarray | Tensor, tolerance: float = 1e-4) -> None:
    """The fixtures' measure: largest difference over largest value."""
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


def take_recorded_sides(monkeypatch: pytest.MonkeyPatch, recorded: Mapping[str, np.ndarray]) -> None:
    """Makes the generator's rectifiers take the reference's side of zero where a value is so near that it may round."""
    layers = itertools.count()

    def rectify(x: Tensor, slope: float, out: Tensor) -> None:
        layer, positive = next(layers), x.detach().contiguous() > 0
        near = torch.from_numpy(recorded[f"near_{layer}"]).long()
        assert x.detach().contiguous().view(-1)[near].abs().le(1e-4).all()
        positive.view(-1)[near] = torch.from_numpy(recorded[f"positive_{layer}"])
        # The sign too, which is how the gradient knows the side.
        out.copy_(x.abs() * torch.where(positive, 1.0, -slope))

    monkeypatch.setattr(fused, "rectify", rectify)
    monkeypatch.setattr(fused, "BLOCK", 1 << 40)  # a layer at once


def compare(
    monkeypatch: pytest.MonkeyPatch, values: Mapping[str, np.ndarray], size: int, seed: int, every: int
) -> None:
    keys = json.loads((DATA / f"stylegan2_{size}.keys.json").read_text())
    generator = generator_from_state(by_formula(keys))
    w, b = torch.from_numpy(values["w"]).requires_grad_(), len(values["w"])
    noises = [formula.normal(seed + 1 + i, b, 1, *s).requires_grad_() for i, s in enumerate(generator.noise_shapes)]
    take_recorded_sides(monkeypatch, np.load(DATA / f"stylegan2_{size}_sides.npz"))
    image = generator.synthesize(w, noises) * 2 - 1
    close(image[:, :, ::every, ::every].detach(), values["image"])
    close(image.mean((2, 3)).detach(), values["image_mean"])
    close(image.std((2, 3)).detach(), values["image_std"])
    (image * formula.normal(seed + 100, b, 3, size, size)).mean().backward()
    assert w.grad is not None
    close(w.grad, values["grad_w"])
    norms = torch.stack([noise.grad.norm() for noise in noises if noise.grad is not None])
    close(norms.double(), values["grad_noise_norm"])
    close(generator.map(torch.from_numpy(values["z"]))[:, 0], values["mapped"])


def test_64_px_equals_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    compare(monkeypatch, np.load(DATA / "stylegan2_64.npz"), 64, seed=1000, every=1)


def test_1024_px_equals_the_reference(monkeypatch: pytest.MonkeyPatch, fixtures: Path) -> None:
    compare(monkeypatch, np.load(fixtures / "stylegan2_1024.npz"), 1024, seed=2000, every=16)


def inputs(generator: StyleGAN2, b: int = 2, dtype: torch.dtype = torch.float32) -> tuple[Tensor, list[Tensor]]:
    random = torch.Generator().manual_seed(1)
    latent = torch.randn(b, *generator.latent_shape, generator=random).to(dtype)
    return latent, [torch.randn(b, 1, *s, generator=random).to(dtype) for s in generator.noise_shapes]


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("b", [1, 3])
def test_values_and_gradients_equal_the_textbook_in_float64(b: int, frozen: bool) -> None:
    generator = tiny_generator().double()
    reference = Textbook(rosinality_state(generator))
    parameters = [] if frozen else [p for n, p in generator.named_parameters() if not n.startswith("mapping")]
    if frozen:
        generator.freeze()
    latent, noises = inputs(generator, b, torch.float64)
    leaves = [latent.requires_grad_(), *(noise.requires_grad_() for noise in noises), *parameters]
    image, expected = generator.synthesize(latent, noises), reference(latent, noises) * 0.5 + 0.5
    assert image.dtype == torch.float64
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-12)
    cotangent = torch.randn(image.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    actual_grads = torch.autograd.grad(image, leaves, cotangent)
    for actual, wanted in zip(actual_grads, torch.autograd.grad(expected, leaves, cotangent), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-9, atol=1e-9)


def test_gradcheck() -> None:
    generator = tiny_generator(resolution=8, channels=(3, 2)).double().freeze()
    latent, noises = inputs(generator, 2, torch.float64)
    leaves = [latent.requires_grad_(), *(noise.requires_grad_() for noise in noises)]
    assert torch.autograd.gradcheck(lambda w, *n: generator.synthesize(w, n), leaves, fast_mode=True)


def test_second_derivatives_reach_the_weights() -> None:
    """Path-length regularisation needs them while training."""
    generator = tiny_generator()
    latent, noises = inputs(generator)
    image = generator.synthesize(latent.requires_grad_(), noises)
    (slope,) = torch.autograd.grad((image * torch.randn_like(image)).sum(), latent, create_graph=True)
    slope.square().sum().backward()
    assert all(conv.weight.grad is not None and conv.weight.grad.abs().sum() > 0 for conv in generator.convs)


@pytest.mark.parametrize("resolution", [4, 8, 32])
def test_sizes(resolution: int) -> None:
    levels = int(math.log2(resolution)) - 1
    generator = StyleGAN2(resolution=resolution, latent_dim=3, channels=[2] * levels, mapping_layers=1, z_dim=5)
    assert isinstance(generator, Generator)
    assert generator.latent_shape == (2 * levels, 3)
    assert generator.noise_shapes == tuple((s, s) for s in [4, 8, 8, 16, 16, 32, 32][: 2 * levels - 1])
    latent, noises = inputs(generator)
    assert generator.synthesize(latent, noises).shape == (2, 3, resolution, resolution)
    assert generator.map(torch.randn(6, 5)).shape == (6, 2 * levels, 3)


def test_config_f_is_the_published_one() -> None:
    assert config_f_channels(1024) == (512, 512, 512, 512, 512, 256, 128, 64, 32)


def test_a_batch_equals_its_singles() -> None:
    generator = tiny_generator().double().freeze()
    latent, noises = inputs(generator, 3, torch.float64)
    together = generator.synthesize(latent, noises)
    for i in range(3):
        alone = generator.synthesize(latent[i : i + 1], [noise[i : i + 1] for noise in noises])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=0, atol=1e-12)


def test_no_noise_is_zero_noise() -> None:
    generator = tiny_generator().freeze()
    latent, noises = inputs(generator)
    zeros = [torch.zeros_like(noise) for noise in noises]
    torch.testing.assert_close(generator.synthesize(latent), generator.synthesize(latent, zeros))
    assert not torch.allclose(generator.synthesize(latent), generator.synthesize(latent, noises))


def test_checkpointing_changes_no_number() -> None:
    plain, again = tiny_generator().freeze(), tiny_generator(checkpointed=True).freeze()
    latent, noises = inputs(plain)
    leaves = [latent.requires_grad_(), *(noise.requires_grad_() for noise in noises)]
    first, second = plain.synthesize(latent, noises), again.synthesize(latent, noises)
    assert torch.equal(first, second)
    grads = [torch.autograd.grad(image.square().sum(), leaves) for image in (first, second)]
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_checkpointing_recomputes_the_largest_resolutions_alone() -> None:
    generator = tiny_generator(resolution=64, channels=(6, 5, 4, 3, 2), checkpointed=True).freeze()
    latent, noises = inputs(generator)
    calls = [0] * len(generator.convs)
    for i, layer in enumerate(generator.convs):
        layer.register_forward_pre_hook(lambda *_, i=i: calls.__setitem__(i, calls[i] + 1))  # type: ignore[attr-defined]
    with torch.no_grad():
        generator.synthesize(latent, noises)
    assert calls == [1] * 9
    torch.autograd.grad(generator.synthesize(latent.requires_grad_(), noises).sum(), latent)
    assert calls == [2] * 3 + [3] * 6  # 4 and 8 px are kept


def test_channels_last_weights_change_little() -> None:
    generator = tiny_generator().freeze()
    latent, noises = inputs(generator)
    before = generator.synthesize(latent, noises)
    torch.testing.assert_close(generator.to(memory_format=torch.channels_last).synthesize(latent, noises), before)


def test_bfloat16_autocast_stays_near_and_returns_float32() -> None:
    generator = tiny_generator(resolution=32, channels=(16, 16, 8, 8)).freeze()
    latent, noises = inputs(generator)
    latent.requires_grad_()
    exact = generator.synthesize(latent, noises)
    (wanted,) = torch.autograd.grad(exact.sum(), latent)
    seen: list[tuple[torch.dtype, ...]] = []
    for layer in generator.convs:
        layer.register_forward_pre_hook(lambda _, args: seen.append(tuple(factor.dtype for factor in args[1])))
    with torch.autocast("cpu", torch.bfloat16):
        image = generator.synthesize(latent, noises)
    assert set(seen) == {(torch.float32, torch.float32)}  # styles and demodulation
    (gradient,) = torch.autograd.grad(image.sum(), latent)
    assert image.dtype == gradient.dtype == torch.float32
    assert (image - exact).norm() < 0.02 * exact.norm()
    assert (gradient - wanted).norm() < 0.05 * wanted.norm()


def test_clamp_bounds_the_features() -> None:
    """The clamp acts on features, after the rectifier's gain, and on what each layer adds to the picture."""
    generator = tiny_generator(clamp=0.5).freeze()
    latent, noises = inputs(generator)
    seen: list[Tensor] = []
    for layer in generator.convs:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))  # type: ignore[attr-defined]
    image = generator.synthesize(latent, noises)
    assert max(x.abs().max() for x in seen).item() == pytest.approx(0.5)
    assert not torch.allclose(image, tiny_generator().freeze().synthesize(latent, noises))


def test_freezing_follows_newly_loaded_weights() -> None:
    generator, other = tiny_generator().freeze(), tiny_generator()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    generator.load_state_dict(other.state_dict())
    latent, noises = inputs(generator)
    torch.testing.assert_close(generator.synthesize(latent, noises), other.synthesize(latent, noises))


def test_training_after_freezing_uses_the_trained_weights() -> None:
    generator = tiny_generator().freeze().requires_grad_()
    latent, noises = inputs(generator)
    with torch.no_grad():
        generator.convs[1].weight[0].mul_(3)
        generator.convs[1].weight[:, 0].mul_(3)
    reference = Textbook(rosinality_state(generator))
    torch.testing.assert_close(generator.synthesize(latent, noises), reference(latent, noises) * 0.5 + 0.5)


def test_what_is_frozen_is_saved_no_more_than_the_weights() -> None:
    assert tiny_generator().freeze().state_dict().keys() == tiny_generator().state_dict().keys()


def test_mapping_ignores_the_length_of_z() -> None:
    generator = tiny_generator()
    z = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(generator.map(3 * z), generator.map(z))


def test_mean_latent_is_the_mean_of_mapped_codes_and_comes_from_the_seed() -> None:
    generator = tiny_generator().eval()
    generator.latent_average = None
    with torch.no_grad():
        random = torch.Generator().manual_seed(5)
        z = torch.cat([torch.randn(count, 7, generator=random) for count in (1000, 1000, 500)])
        expected = generator.map(z).mean(0)
    torch.testing.assert_close(generator.mean_latent(2500, seed=5), expected)
    generator.latent_average = None
    assert not torch.equal(generator.mean_latent(2500, seed=6), expected)
    assert "latent_average" in generator.state_dict()


def test_truncation_moves_towards_the_mean() -> None:
    generator = tiny_generator().freeze()
    generator.latent_average = torch.arange(5.0)
    z = torch.randn(2, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(generator.map(z, truncation=0.0), generator.latent_average.expand(2, 6, 5))
    halfway = (generator.map(z) + generator.latent_average) / 2
    torch.testing.assert_close(generator.map(z, truncation=0.5), halfway)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 7))
def test_resampling_equals_zero_insertion(c: int, h: int, w: int) -> None:
    x = torch.randn(2, c, h, w, dtype=torch.float64, generator=torch.Generator().manual_seed(h * 7 + w))
    torch.testing.assert_close(upsample(x), up2(x))
    torch.testing.assert_close(blur(F.pad(x, (1, 1, 1, 1))), blurred(F.pad(x, (1, 1, 1, 1)), 1, 1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resolution": 48}, "power of two"),
        ({"resolution": 2}, "power of two"),
        ({"channels": (3, 3)}, "3 numbers"),
    ],
)
def test_impossible_sizes_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tiny_generator(**changes)


@pytest.mark.unhooked
def test_wrong_shapes_are_refused_with_a_hint() -> None:
    generator = tiny_generator().freeze()
    latent, noises = inputs(generator)
    with pytest.raises(InputError, match=r"expected \[b, 6, 5\]; got \[6, 5\].*latent\[None\]"):
        generator.synthesize(latent[0])
    for wrong in (noises[:-1], [noises[0][:1], *noises[1:]], [noises[1], noises[0], *noises[2:]]):
        with pytest.raises(InputError, match="noise maps do not fit"):
            generator.synthesize(latent, wrong)


def test_nothing_assumes_a_size() -> None:
    """Every parameter's size follows from the constructor's sizes."""
    for resolution, dim, depth in itertools.product((8, 16), (2, 9), (0, 3)):
        channels = tuple(range(3, 1 + resolution.bit_length()))
        generator = StyleGAN2(resolution=resolution, latent_dim=dim, channels=channels, mapping_layers=depth)
        latent, noises = inputs(generator, 1)
        assert generator.synthesize(latent, noises).isfinite().all()
        assert generator.map(torch.randn(1, dim)).shape == latent.shape
