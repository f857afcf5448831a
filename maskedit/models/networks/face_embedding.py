"""A small network that places portraits in a space where like faces are near: a yardstick, not a recogniser."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.networks.portraits import Conv, Residual
from maskedit.models.preprocess import Preprocess
from maskedit.types import Image


class FaceEmbedding(nn.Module):
    """Maps aligned faces to a few numbers; in evaluation mode every image is independent of the others.

    Args:
        dim: how many numbers.
        size: side in pixels that images are brought to.
        widths: channels at 1/2, 1/4, ... of that.
    """

    def __init__(self, *, dim: int = 64, size: int = 64, widths: Sequence[int] = (24, 48, 64, 96)) -> None:
        super().__init__()
        self.dim, self.size = dim, size
        self.preprocess = Preprocess(size=size, resize="smooth", mean=0.5)
        self.levels = nn.ModuleList([Conv(inputs=3, outputs=widths[0], stride=2)])
        for before, width in pairwise(widths):
            self.levels.append(nn.Sequential(Conv(inputs=before, outputs=width, stride=2), Residual(channels=width)))
        # Faces are aligned: where something is seen counts, so nothing is averaged over the picture.
        self.head = nn.Linear(widths[-1] * (size >> len(widths)) ** 2, dim)

    def features(self, image: Image) -> list[Float[Tensor, "b _ _ _"]]:
        """Maps at 1/2, 1/4, ... of ``size``."""
        x, maps = self.preprocess(image), []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps

    def embed(self, image: Image) -> Float[Tensor, "b dim"]:
        """Vectors of length ``dim ** 0.5``: a number's mean square is 1."""
        numbers = self.head(rearrange(self.features(image)[-1], "b c h w -> b (c h w)"))
        return (F.normalize(numbers) * self.dim**0.5).to(image.dtype)

    forward = embed
