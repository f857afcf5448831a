"""Face identity against the fixtures, and its own promises."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedit.errors import CheckpointError
from maskedit.models.networks.ir_se50 import FaceIdentity
from tests.models.networks.by_formula import close, close_gradient, ir_se50, keys, pictures, same_keys, values


@pytest.fixture(scope="module")
def recorded(fixtures: Path) -> Mapping[str, np.ndarray]:
    return values(fixtures, "ir_se50")


@pytest.fixture(scope="module")
def network(fixtures: Path) -> FaceIdentity:
    return FaceIdentity.from_state_dict(ir_se50(keys(fixtures, "ir_se50"))).double()


def tiny() -> FaceIdentity:
    return FaceIdentity(width=16, dim=5).eval().requires_grad_(False)


def test_features_cosine_and_gradient_are_the_recorded_ones(
    network: FaceIdentity, fixtures: Path, recorded: Mapping[str, np.ndarray]
) -> None:
    same_keys(network, keys(fixtures, "ir_se50"))
    # (x * 2 - 1 of bytes / 255 in float64 is bytes / 127.5 - 1 of float32 to its last bit.)
    image = pictures(recorded).double().requires_grad_()
    features = network.embed(image)
    close(features, recorded["features"])
    cosine = features[0] @ features[1]
    close(cosine, recorded["cosine"])
    (gradient,) = torch.autograd.grad(cosine, image)
    gradient = gradient / 2  # for the picture in [0, 1], twice that for [-1, 1]
    close_gradient(gradient[..., ::4, ::4], recorded["grad"])
    assert gradient.square().mean().sqrt().item() == pytest.approx(float(recorded["grad_rms"]), rel=1e-5)


def test_a_batch_is_its_pictures_one_by_one_and_larger_pictures_are_averaged() -> None:
    network, image = tiny(), torch.rand(2, 3, 256, 256)
    together = network(image)
    torch.testing.assert_close(together, torch.cat([network(image[:1]), network(image[1:])]))
    torch.testing.assert_close(network(image.repeat_interleave(2, 2).repeat_interleave(2, 3)), together)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(2))


def test_only_the_face_is_looked_at() -> None:
    network, image = tiny(), torch.rand(1, 3, 256, 256)
    changed = image.clone()
    changed[:, :, :35], changed[:, :, 223:], changed[..., :32], changed[..., 220:] = 0, 0, 0, 0
    assert torch.equal(network(image), network(changed))
    changed[:, :, 222, 219] += 1
    assert not torch.equal(network(image), network(changed))


def test_wrapped_and_half_weights_load_and_others_are_refused() -> None:
    network = tiny()
    state: dict[str, Tensor] = {f"module.{key}": value for key, value in network.state_dict().items()}
    again = FaceIdentity.from_state_dict(
        {key: v.half() if v.is_floating_point() else v for key, v in state.items() if "num_batches" not in key}
    )
    torch.testing.assert_close(
        again(torch.ones(1, 3, 256, 256)), network(torch.ones(1, 3, 256, 256)), atol=1e-2, rtol=0
    )
    assert not again.training
    with pytest.raises(CheckpointError, match=r"output_layer\.3\.weight"):
        FaceIdentity.from_state_dict({"input_layer.0.weight": torch.zeros(16, 3, 3, 3)})
