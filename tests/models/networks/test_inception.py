"""The Inception of FID against the fixtures, and its own promises."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedit.errors import CheckpointError
from maskedit.models.networks.inception import FIDInception
from tests.data import formula
from tests.models.networks.by_formula import close, close_gradient, filled, keys, pictures, same_keys, values


@pytest.fixture(scope="module")
def recorded(fixtures: Path) -> Mapping[str, np.ndarray]:
    return values(fixtures, "inception_fid")


@pytest.fixture(scope="module")
def state(fixtures: Path) -> dict[str, Tensor]:
    return filled(keys(fixtures, "inception_fid"))


@pytest.fixture(scope="module")
def network(state: Mapping[str, Tensor]) -> FIDInception:
    return FIDInception.from_state_dict(state)


def test_features_are_the_recorded_ones(
    network: FIDInception, fixtures: Path, recorded: Mapping[str, np.ndarray]
) -> None:
    same_keys(network, keys(fixtures, "inception_fid"))
    image = pictures(recorded)
    blocks = list(network.blocks(image))
    for i, (block, every) in enumerate(zip(blocks, (8009, 4001, 2003), strict=False)):
        close(block.flatten()[::every], recorded[f"block_{i}"])
    assert [block.shape[1] for block in blocks] == [64, 192, 768, 2048]
    close(blocks[-1].mean((2, 3)), recorded["features"])
    doubled = image[:1].repeat_interleave(2, 2).repeat_interleave(2, 3)
    close(network(doubled), recorded["features_doubled"][:1])


def test_the_gradient_is_the_recorded_one(state: Mapping[str, Tensor], recorded: Mapping[str, np.ndarray]) -> None:
    network = FIDInception.from_state_dict(state).double()
    image = pictures(recorded)[:1].double().requires_grad_()
    c = formula.normal(int(recorded["c_seed"]), 2, 2048)[:1]
    (gradient,) = torch.autograd.grad((network(image) * c.double()).sum() / (2 * 2048), image)
    close_gradient(gradient[..., ::4, ::4], recorded["grad"][:1])


def test_older_files_load_and_others_are_refused(network: FIDInception, state: Mapping[str, Tensor]) -> None:
    older = {key: weight for key, weight in state.items() if not key.endswith("num_batches_tracked")}
    again = FIDInception.from_state_dict(older)
    assert torch.equal(again.Mixed_7c.branch_pool.bn.bias, network.Mixed_7c.branch_pool.bn.bias)
    with pytest.raises(CheckpointError, match=r"no FIDInception; expected a state dict with 'fc\.weight'"):
        FIDInception.from_state_dict({"features.0.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"AuxLogits\.fc\.weight"):
        FIDInception.from_state_dict({**older, "AuxLogits.fc.weight": torch.zeros(1)})
