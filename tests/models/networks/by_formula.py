"""Weights by formula for the networks of ../shared/fixtures/networks, and how near a rebuild must come."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.data import formula
from tests.models.files.checkpoint_files import blur_kernel

Shapes = Mapping[str, list[int]]


def keys(fixtures: Path, name: str) -> Any:
    """What a keys file holds: key -> shape, or entries of that."""
    return json.loads((fixtures / "networks" / f"{name}.keys.json").read_text())


def values(fixtures: Path, name: str) -> Mapping[str, np.ndarray]:
    """The recorded numbers."""
    return np.load(fixtures / "networks" / f"{name}.npz")


def filled(shapes: Shapes, *, stylegan: bool = False) -> dict[str, Tensor]:
    """A state dict by formula."""

    def empty(key: str, shape: list[int]) -> Tensor:
        if key.endswith(".kernel"):
            return blur_kernel() * 4
        return torch.zeros(shape, dtype=torch.int64 if key.endswith("num_batches_tracked") else torch.float32)

    return {key: formula.fill(key, empty(key, shape), stylegan=stylegan) for key, shape in shapes.items()}


def ir_se50(shapes: Shapes) -> dict[str, Tensor]:
    """A state dict by formula of a network with an IR-SE50 body, calmed as the fixtures' README says."""
    state = filled(shapes)
    for key, weight in state.items():
        if key.endswith(("input_layer.2.weight", "res_layer.2.weight")):
            weight *= 0.25
        elif key.endswith("res_layer.4.weight"):
            weight *= 0.5
    return state


def same_keys(network: nn.Module, shapes: Shapes) -> None:
    """The network's state dict has exactly these keys and shapes."""
    assert {key: list(weight.shape) for key, weight in network.state_dict().items()} == dict(shapes)


def close(actual: Tensor, expected: np.ndarray | Tensor, tolerance: float = 1e-4) -> None:
    """Outputs and features: largest difference over largest value."""
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


def close_gradient(actual: Tensor, expected: np.ndarray | Tensor, tolerance: float = 1e-5) -> None:
    """Gradients: norm of the difference over norm; 1e-5 in float64, 2e-2 in float32."""
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape
    assert (actual - expected).norm() <= tolerance * expected.norm()


def pictures(values: Mapping[str, np.ndarray], name: str = "image_uint8") -> Tensor:
    """Recorded pictures in [0, 1]."""
    return torch.from_numpy(values[name]).float() / 255
