"""The reference values of StarGAN, AttGAN and STGAN, and networks with the weights that they were made with."""

import copy
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.data.formula import fill, normal


class Reference:
    """The values of one method, in float64, and its keys."""

    def __init__(self, fixtures: Path, name: str) -> None:
        arrays = np.load(fixtures / "rivals" / f"{name}.npz")
        self.values = {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}
        self.keys = json.loads((fixtures / "rivals" / f"{name}.keys.json").read_text())
        self.attributes = [attribute.lower() for attribute in self.keys["attributes"]]
        self.image = self["image_uint8"] / 127.5 - 1

    def __getitem__(self, key: str) -> Tensor:
        return self.values[key].double()

    def filled(self, network: nn.Module, *, weaker: str | None = None) -> nn.Module:
        """The network, its weights by formula."""
        state = {key: fill(key, value) for key, value in network.state_dict().items()}
        if weaker is not None:
            state[weaker] = state[weaker] * 0.2
        network.load_state_dict(state)
        return network

    def shapes(self, which: str) -> dict[str, list[int]]:
        return self.keys[which]

    # In evaluation mode pictures do not know of one another: the first is edited in float64, where everything agrees
    # to 1e-6, the second in float32, where single rectifiers near zero switch.

    def check_picture(self, name: str, found: Tensor) -> None:
        """The first picture is the recorded one, in a third of its pixels."""
        assert found.dtype == torch.float64
        wanted = self[name]
        torch.testing.assert_close(
            found.detach()[..., ::3, ::3], wanted[:1], rtol=0, atol=1e-6 * float(wanted.abs().max())
        )

    def check_map(self, name: str, found: Tensor) -> None:
        """The first picture's feature map is the recorded one, in every so many of its numbers."""
        wanted = self[name]
        numbers = found.detach().flatten()[:: int(self[f"{name}_every"])]
        torch.testing.assert_close(numbers, wanted[: len(numbers)], rtol=0, atol=1e-6 * float(wanted.abs().max()))

    def check_gradient(self, name: str, image: Tensor, out: Tensor) -> None:
        weights = normal(int(self["c_seed"]), *self.image.shape)[:1].double()
        (gradient,) = torch.autograd.grad((out * weights).mean() / 2, image)  # the recorded mean is over two
        self.check_picture(name, gradient)

    def check_single(self, generator: nn.Module, told: str, out: str, gradient: str | None = None) -> None:
        """The second picture's edit, and its gradient, in float32."""
        network = copy.deepcopy(generator).float()
        image = self.image[1:].float().requires_grad_(gradient is not None)
        vector = self[told][1:] if told in self.values else torch.zeros(1, len(self.attributes))
        found = network(image, vector.float())
        torch.testing.assert_close(found.detach()[..., ::3, ::3], self[out][1:].float(), rtol=0, atol=1e-4)
        if gradient is not None:
            weights = normal(int(self["c_seed"]), *self.image.shape)[1:]
            (slope,) = torch.autograd.grad((found * weights).mean() / 2, image)
            wanted = self[gradient][1:]
            assert float((slope[..., ::3, ::3] - wanted).norm() / wanted.norm()) < 1e-2

    def close(self, name: str, found: Tensor) -> None:
        """Equal to 1e-4 of the largest value: a result in float32."""
        wanted = self[name].float()
        torch.testing.assert_close(found.detach(), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))

    def check_loss(self, name: str, found: Tensor) -> None:
        torch.testing.assert_close(found.detach(), self[name].float(), rtol=5e-4, atol=0)

    def check_norms(self, name: str, loss: Tensor, network: nn.Module) -> None:
        """The norm of the loss's gradient for each parameter, in the order of the keys file, in float32."""
        stored = ("running_mean", "running_var", "num_batches_tracked")
        parameters = dict(network.named_parameters())
        order = [key for key in self.shapes(name[0].upper()) if not key.endswith(stored)]
        found = torch.autograd.grad(loss, [parameters[key] for key in order])
        norms = torch.stack([gradient.norm() for gradient in found])
        torch.testing.assert_close(norms, self[name].float(), rtol=2e-3, atol=2e-3)


def shapes_of(network: nn.Module) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in network.state_dict().items()}
