"""StyleGAN2's synthesis as its paper writes it, to compare with: weights modulated and demodulated per image.

Slow, memory-hungry and plain. Keys are those of rosinality's state dicts.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Textbook:
    """Synthesis from a state dict; ``pre`` holds the values before each leaky rectifier of the last picture."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state
        self.pre: list[Tensor] = []

    def __call__(self, w: Tensor, noises: Sequence[Tensor]) -> Tensor:
        self.pre = []
        x = self.state["input.input"].repeat(len(w), 1, 1, 1)
        x = self.styled(x, w[:, 0], noises[0], "conv1")
        rgb = self.to_rgb(x, w[:, 1], "to_rgb1")
        for i in range(len(noises) // 2):
            x = self.styled(x, w[:, 2 * i + 1], noises[2 * i + 1], f"convs.{2 * i}", up=True)
            x = self.styled(x, w[:, 2 * i + 2], noises[2 * i + 2], f"convs.{2 * i + 1}")
            rgb = self.to_rgb(x, w[:, 2 * i + 3], f"to_rgbs.{i}") + up2(rgb)
        return rgb

    def modulated(self, x: Tensor, w: Tensor, key: str, *, demodulate: bool, up: bool = False) -> Tensor:
        weight = self.state[f"{key}.weight"]
        b, (inputs, size) = len(x), weight.shape[2:4]
        to_style = self.state[f"{key}.modulation.weight"] * w.shape[1] ** -0.5
        style = F.linear(w, to_style, self.state[f"{key}.modulation.bias"])
        weight = (inputs * size * size) ** -0.5 * weight * style[:, None, :, None, None]
        if demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4)) + 1e-8)[:, :, None, None, None]
        if up:
            y = F.conv_transpose2d(x.flatten(0, 1)[None], weight.transpose(1, 2).flatten(0, 1), stride=2, groups=b)
        else:
            y = F.conv2d(x.flatten(0, 1)[None], weight.flatten(0, 1), padding=size // 2, groups=b)
        y = y[0].unflatten(0, (b, -1))
        return blurred(y, 1, 1) if up else y

    def styled(self, x: Tensor, w: Tensor, noise: Tensor, key: str, *, up: bool = False) -> Tensor:
        x = self.modulated(x, w, f"{key}.conv", demodulate=True, up=up)
        x = x + self.state[f"{key}.noise.weight"] * noise + self.state[f"{key}.activate.bias"][:, None, None]
        self.pre.append(x.detach())
        return F.leaky_relu(x, 0.2) * 2**0.5

    def to_rgb(self, x: Tensor, w: Tensor, key: str) -> Tensor:
        return self.modulated(x, w, f"{key}.conv", demodulate=False) + self.state[f"{key}.bias"]


def blurred(x: Tensor, before: int, after: int) -> Tensor:
    """Outer product of [1, 3, 3, 1] with itself, of total gain 4."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype)
    kernel = (taps.outer(taps) / 16)[None, None]
    return F.conv2d(F.pad(x.flatten(0, 1)[:, None], (before, after) * 2), kernel)[:, 0].unflatten(0, x.shape[:2])


def up2(x: Tensor) -> Tensor:
    """Zeros between the pixels, then the filter."""
    b, c, h, w = x.shape
    y = x.new_zeros(b, c, h, 2, w, 2)
    y[:, :, :, 0, :, 0] = x
    return blurred(y.view(b, c, 2 * h, 2 * w), 2, 1)
