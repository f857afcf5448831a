"""StyleGAN2-ADA's variants against reference values: classes, blocks, grey, filters, rates, clamps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.files.generators import generator_from_state
from maskedit.models.networks.resampling import DEFAULT_TAPS, blur, upsample
from maskedit.models.networks.stylegan2 import StyleGAN2
from tests.data import formula

NAMES = "cond resnet orig gray fp16 clamp filter2 filter6 filter8 mapping nolatent".split()


def by_formula(spec: Mapping[str, Any]) -> dict[str, Tensor]:
    """A variant's state dict, as the fixtures' README fills it."""
    arguments = spec["init_kwargs"]
    taps = torch.tensor(arguments["synthesis_kwargs"].get("resample_filter", DEFAULT_TAPS)).float()
    rate = arguments["mapping_kwargs"].get("lr_multiplier", 0.01)
    state = {}
    for key, shape in spec["state_dict"].items():
        if key.endswith("resample_filter"):
            along = torch.tensor(DEFAULT_TAPS) if key.endswith("conv1.resample_filter") else taps
            along = along / along.sum()
            state[key] = along if len(along) >= 8 else along.outer(along)
            assert list(state[key].shape) == shape
        else:
            weight = formula.fill(key, torch.zeros(shape), stylegan=True)
            state[key] = weight / rate if key.startswith("mapping.fc") else weight
    return state


def variant(fixtures: Path, name: str) -> tuple[dict[str, Any], Mapping[str, np.ndarray]]:
    specs = json.loads((fixtures / "networks/ada_variants.keys.json").read_text())
    assert specs.keys() == set(NAMES)
    return specs[name], np.load(fixtures / f"networks/ada_{name}.npz")


def loaded(spec: Mapping[str, Any]) -> StyleGAN2:
    arguments: dict[str, Any] = {"mapping_rate": spec["init_kwargs"]["mapping_kwargs"].get("lr_multiplier", 0.01)}
    arguments["clamp"] = spec["init_kwargs"]["synthesis_kwargs"].get("conv_clamp")
    generator = generator_from_state(by_formula(spec), **arguments)
    assert isinstance(generator, StyleGAN2)
    return generator


def close(actual: Tensor, expected: np.ndarray) -> None:
    wanted = torch.from_numpy(expected).to(actual.dtype)
    assert (actual - wanted).abs().max() <= 1e-4 * wanted.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_a_variant_equals_the_reference(fixtures: Path, name: str) -> None:
    spec, values = variant(fixtures, name)
    generator = loaded(spec)
    assert generator.latent_shape == (spec["num_ws"], 32)
    w = torch.from_numpy(values["w"])
    image = generator.synthesize(w, generator.constant_noises(2)) * 2 - 1
    assert image.shape == (2, 3, 32, 32)
    close(image[:, : values["image"].shape[1]], values["image"])
    if name == "mapping":  # it has no noise
        assert generator.noise_shapes == ()
    else:
        close((generator.synthesize(w) * 2 - 1)[:, : values["image"].shape[1]], values["image_no_noise"])
    z, label = (torch.from_numpy(values[key]) if key in values else None for key in ("z", "label"))
    close(generator.map(z, label=label)[:, 0], values["mapped"])
    close(generator.map(z, 0.7, label=label)[:, 0], values["mapped_psi"])
    close(generator.map(z, 0.7, label=label, cutoff=4), values["mapped_psi_cutoff"])

    exact, w = generator.double(), w.double().requires_grad_()
    image = (exact.synthesize(w, exact.constant_noises(2)) * 2 - 1)[:, : values["image"].shape[1]]
    factors = formula.normal(int(values["c_seed"]), *image.shape).double()
    (gradient,) = torch.autograd.grad((image * factors).mean(), w)
    wanted = torch.from_numpy(values["grad_w"]).double()
    assert (gradient - wanted).norm() <= 1e-5 * wanted.norm()


@pytest.mark.parametrize("name", ["resnet", "orig", "gray", "filter6"])
def test_a_batch_equals_its_singles_and_training_equals_use(fixtures: Path, name: str) -> None:
    generator = loaded(variant(fixtures, name)[0]).double().freeze()
    latent = torch.randn(3, *generator.latent_shape, dtype=torch.float64).requires_grad_()
    together = generator.synthesize(latent)
    for i in range(3):
        torch.testing.assert_close(generator.synthesize(latent[i : i + 1]), together[i : i + 1], rtol=0, atol=1e-11)
    trained = generator.requires_grad_().synthesize(latent)
    torch.testing.assert_close(trained, together, rtol=0, atol=1e-11)
    given = torch.randn_like(together)
    gradients = [torch.autograd.grad(image, latent, given)[0] for image in (together, trained)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-11)


def test_checkpointing_changes_no_number_of_residual_blocks() -> None:
    generators = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        sizes: dict[str, Any] = {"resolution": 16, "latent_dim": 4, "channels": (4, 3, 2), "architecture": "resnet"}
        generators.append(StyleGAN2(**sizes, checkpointed=checkpointed).freeze())
    latent = torch.randn(2, *generators[0].latent_shape).requires_grad_()
    images = [generator.synthesize(latent) for generator in generators]
    assert torch.equal(*images)
    assert torch.equal(*(torch.autograd.grad(image.sum(), latent)[0] for image in images))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 8])
def test_doubling_equals_zeros_between_pixels_and_a_whole_filter(count: int) -> None:
    taps = tuple(torch.rand(count).tolist())
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    weight = torch.randn(3, 3, 3, 3, dtype=torch.float64)
    filter = torch.tensor(taps, dtype=torch.float64)
    filter = (filter / filter.sum()).outer(filter / filter.sum()).flip(0, 1).expand(3, 1, -1, -1) * 4
    zeros = x.new_zeros(2, 3, 8, 10)
    zeros[:, :, ::2, ::2] = x
    before, after = (count + 1) // 2, (count - 2) // 2
    wanted = F.conv2d(F.pad(zeros, (before, after) * 2), filter, groups=3)
    torch.testing.assert_close(upsample(x, taps), wanted, check_dtype=True, rtol=1e-6, atol=1e-6)
    wide = F.conv2d(F.pad(zeros, (before + 1, after + 1) * 2), filter, groups=3)
    doubled = blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), taps)
    torch.testing.assert_close(doubled, F.conv2d(wide, weight.flip(2, 3)), rtol=1e-6, atol=1e-6)


def test_the_mean_of_classes_is_over_all_of_them() -> None:
    generator = StyleGAN2(resolution=4, latent_dim=4, channels=(2,), mapping_layers=1, classes=3).freeze()
    mean = generator.mean_latent(300, seed=1)
    each = [generator.map(torch.randn(300, 4), label=torch.eye(3)[[k]].expand(300, 3))[:, 0].mean(0) for k in range(3)]
    assert (mean[0] - torch.stack(each).mean(0)).norm() < 0.3 * torch.stack(each).std(0).norm()


@pytest.mark.unhooked
def test_misuse_gets_a_sentence(fixtures: Path) -> None:
    spec, _ = variant(fixtures, "nolatent")
    generator = loaded(spec)
    with pytest.raises(InputError, match=r"label does not fit this generator; expected \[b, 5\]; got none"):
        generator.map(None)
    with pytest.raises(InputError, match=r"code does not fit this generator; expected none; got \[1, 3\]"):
        generator.map(torch.zeros(1, 3), label=torch.zeros(1, 5))
    with pytest.raises(InputError, match="told no such thing; expected clamp, mapping_rate; got colour"):
        generator_from_state(by_formula(spec), colour=3)
    with pytest.raises(InputError, match="no such StyleGAN2.*skip, resnet, orig"):
        StyleGAN2(resolution=4, architecture="dense")
