"""LPIPS against the fixtures, inside masks, and its own promises."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import maskedit as me
from maskedit.errors import CheckpointError, InputError
from maskedit.models.networks.lpips import LPIPS
from tests.models.networks.by_formula import close, close_gradient, filled, keys, pictures, same_keys, values

EVERY = {"alex": 997, "vgg": 7919}


@pytest.fixture(scope="module", params=["alex", "vgg"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def recorded(fixtures: Path, name: str) -> Mapping[str, np.ndarray]:
    return values(fixtures, f"lpips_{name}")


@pytest.fixture(scope="module")
def state(fixtures: Path, name: str) -> dict[str, Tensor]:
    """Trunk and linear layers, as their two files hold them."""
    shapes = keys(fixtures, f"lpips_{name}")
    trunk = filled({key: shape for key, shape in shapes["trunk"].items() if key.startswith("features.")})
    return trunk | {key: weight.abs() for key, weight in filled(shapes["linear"]).items()}


@pytest.fixture(scope="module")
def network(state: Mapping[str, Tensor]) -> LPIPS:
    return LPIPS.from_state_dict(state)


def test_keys_are_those_of_the_published_module(network: LPIPS, fixtures: Path, name: str) -> None:
    same_keys(network, keys(fixtures, f"lpips_{name}")["lpips_module"])


def test_distances_and_features_are_the_recorded_ones(
    network: LPIPS, recorded: Mapping[str, np.ndarray], name: str
) -> None:
    first, second = pictures(recorded, "first_uint8"), pictures(recorded, "second_uint8")
    close(network(first, second), recorded["distance"])
    close(network.per_layer(first, second), recorded["per_layer"])
    close(network.spatial(first, second)[:, 0, ::4, ::4], recorded["spatial"])
    for k, feature in enumerate(network.features(first)):
        close(feature.flatten()[:: EVERY[name]], recorded[f"feature_{k}"])


def test_the_gradient_is_the_recorded_one(state: Mapping[str, Tensor], recorded: Mapping[str, np.ndarray]) -> None:
    network = LPIPS.from_state_dict(state).double()
    first, second = (pictures(recorded, f"{which}_uint8").double() for which in ("first", "second"))
    (gradient,) = torch.autograd.grad(network(first.requires_grad_(), second).sum(), first)
    gradient = gradient / 2  # for the picture in [0, 1], twice that for [-1, 1]
    close_gradient(gradient[..., ::2, ::2], recorded["grad_first"])
    assert gradient.square().mean().sqrt().item() == pytest.approx(float(recorded["grad_rms"]), rel=1e-5)


def test_the_assembled_module_loads_too(network: LPIPS, state: Mapping[str, Tensor], fixtures: Path, name: str) -> None:
    again = LPIPS.from_state_dict({f"module.{key}": weight for key, weight in network.state_dict().items()})
    shapes = keys(fixtures, f"lpips_{name}")["trunk"]
    unused = {key: torch.zeros(shape) for key, shape in shapes.items() if key.startswith("classifier.")}
    whole = LPIPS.from_state_dict({**state, **unused})
    x, y = torch.rand(2, 2, 3, 32, 32)
    assert torch.equal(again(x, y), network(x, y))
    assert torch.equal(whole(x, y), network(x, y))


@pytest.mark.parametrize("normalize", ["image", "mask"])
def test_a_mask_weighs_each_pixel_of_each_map(state: Mapping[str, Tensor], normalize: str) -> None:
    network = LPIPS.from_state_dict(state, normalize=normalize)  # type: ignore[arg-type]
    x, y, mask = *torch.rand(2, 2, 3, 32, 32), torch.rand(2, 1, 64, 64)
    expected = torch.zeros(2)
    for a, b, linear in zip(network.features(x), network.features(y), network.lins, strict=True):
        difference = (F.normalize(a) - F.normalize(b)).square()
        weight = F.adaptive_avg_pool2d(mask, a.shape[-1])
        masked = (linear.model[1].weight[0] * difference).sum(1, keepdim=True) * weight
        expected += masked.sum((1, 2, 3)) / (a[0, 0].numel() if normalize == "image" else weight.sum((1, 2, 3)))
    torch.testing.assert_close(network(x, y, mask), expected)
    torch.testing.assert_close(network(x, y, torch.ones(2, 1, 32, 32)), network(x, y))
    assert network(x, y, torch.zeros(2, 1, 32, 32)).tolist() == [0, 0]


def test_a_batch_is_its_pictures_one_by_one_and_equal_pictures_have_no_distance(network: LPIPS) -> None:
    x, y, mask = *torch.rand(2, 2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    singles = torch.cat([network(x[i : i + 1], y[i : i + 1], mask[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(network(x, y, mask), singles)
    assert network(x, x).tolist() == [0, 0]
    assert (network(x, y) > 0).all()


def test_the_gradient_is_finite_where_a_map_is_empty(network: LPIPS, state: Mapping[str, Tensor]) -> None:
    empty = {key: -torch.ones_like(w) if key == "features.0.bias" else w for key, w in state.items()}
    empty["features.0.weight"] = torch.zeros_like(state["features.0.weight"])
    for net in (LPIPS.from_state_dict(empty), network):
        x = torch.zeros(1, 3, 32, 32, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(x, torch.rand(1, 3, 32, 32)).sum(), x)
        assert gradient.isfinite().all()


def test_what_is_no_lpips_is_refused(state: Mapping[str, Tensor]) -> None:
    trunk = {key: weight for key, weight in state.items() if key.startswith("features.")}
    for part in (trunk, {key: weight for key, weight in state.items() if key not in trunk}, {}):
        with pytest.raises(CheckpointError, match=r"Join them: \{\*\*trunk, \*\*linear\}"):
            LPIPS.from_state_dict(part)
    with pytest.raises(CheckpointError, match=r"features\.0\.other|unknown"):
        LPIPS.from_state_dict({**state, "features.0.other": torch.zeros(1)})


@pytest.mark.unhooked
def test_unknown_choices_are_refused() -> None:
    with pytest.raises(InputError, match="'alex' or 'vgg'; got 'squeeze'"):
        LPIPS(net="squeeze")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'image' or 'mask'"):
        LPIPS(normalize="area")  # type: ignore[arg-type]


def test_it_is_a_loss_of_a_term_as_it_is(network: LPIPS, name: str) -> None:
    term = 0.8 * me.Term("lpips", network, reads=lambda v: (v.image, v.original.image, v.original.region("skin")))
    assert repr(term).startswith("0.8 x LPIPS(")
    assert f"net={name!r}, normalize='image'" in repr(term)
