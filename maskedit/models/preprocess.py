"""From pictures in [0, 1] to what a network was trained on."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.types import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Number = int | float
Channels = Number | Sequence[Number]
"""One number for all of red, green and blue, or one for each."""


class Preprocess(nn.Module):
    """The size, range, mean and deviation of the pictures that a network takes, as one value.

    ``(low + (high - low) * picture - mean) / std`` of the picture at ``size`` pixels.

    >>> Preprocess(size=512, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    Preprocess(size=512, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

    Args:
        size: side of the pictures in pixels.
        resize: "area" for means over pixels, "smooth" for a bilinear filter as wide as the new pixels.
        input_range: the numbers that stand for black and white: (-1, 1), (0, 255).
        mean: subtracted from the input, after ``input_range``.
        std: divides the input, after ``mean``.

    Raises:
        InputError: if the size is not positive, or a number of channels is neither one nor three.
    """

    offset: Float[Tensor, "3 1 1"] | float
    scale: Float[Tensor, "3 1 1"] | float

    def __init__(
        self,
        *,
        size: int,
        resize: Literal["area", "smooth"] = "area",
        input_range: tuple[Number, Number] = (0.0, 1.0),
        mean: Channels = 0.0,
        std: Channels = 1.0,
    ) -> None:
        super().__init__()
        if size < 1:
            raise InputError("a network needs a positive input size", actual=str(size))
        self.size, self.resize = size, resize
        self._said = {"size": size, "resize": resize, "input_range": input_range, "mean": mean, "std": std}
        # All constants in two. Single numbers are no buffers: nothing has to be moved or filled.
        low, high = input_range
        self._constant("offset", [(m - low) / (high - low) for m in _channels(mean, "mean")])
        self._constant("scale", [s / (high - low) for s in _channels(std, "std")])

    def _constant(self, name: str, values: Sequence[float]) -> None:
        if len(values) == 1:
            setattr(self, name, values[0])
        else:
            self.register_buffer(name, rearrange(torch.tensor(values), "c -> c 1 1"), persistent=False)

    def forward(self, image: Image) -> Float[Tensor, "b 3 size size"]:
        """What the network takes, for pictures in [0, 1] of any size."""
        resized = resize_by_area(image, self.size) if self.resize == "area" else resize_smoothly(image, self.size)
        return (resized - self.offset) / self.scale

    def __repr__(self) -> str:
        usual = {"resize": "area", "input_range": (0.0, 1.0), "mean": 0.0, "std": 1.0}
        told = (f"{name}={value!r}" for name, value in self._said.items() if value != usual.get(name))
        return f"{type(self).__name__}({', '.join(told)})"


def resize_by_area(image: Image, size: int) -> Float[Tensor, "b 3 _ _"]:
    """The picture at ``size`` x ``size`` pixels, each the mean of the pixels that it covers."""
    height, width = image.shape[-2:]
    if (height, width) == (size, size):
        return image
    if height % size == 0 and width % size == 0:
        # The same numbers; unlike adaptive pooling's, its gradient is deterministic on CUDA.
        return F.avg_pool2d(image, (height // size, width // size))
    return F.interpolate(image, (size, size), mode="area")


def resize_smoothly(image: Image, size: int) -> Float[Tensor, "b 3 size size"]:
    """The picture at ``size`` x ``size`` pixels, without aliasing: bilinear, over as wide as the new pixels are."""
    if image.shape[-2:] == (size, size):
        return image
    return F.interpolate(image, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def _channels(values: Channels, name: str) -> list[float]:
    channels = [float(value) for value in (values if isinstance(values, Sequence) else [values])]
    if len(channels) not in (1, 3):
        raise InputError(f"{name} needs one value, or one for each of red, green and blue", actual=str(len(channels)))
    return channels
