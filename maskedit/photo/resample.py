"""One resampling, antialiased, for both ways between photo and square."""

import math
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Similarity: TypeAlias = tuple[float, float, float, float]
"""(a, b, x, y): the point (u, v) goes to (a u - b v + x, b u + a v + y)."""

STRIP = 2**22
"""Samples taken at once, so that a large photo needs little memory."""


def resample(
    source: Float[Tensor, "1 c h w"],
    similarity: Similarity,
    size: tuple[int, int],
    *,
    mode: str = "bicubic",
    padding: str = "reflection",
) -> Float[Tensor, "1 c height width"]:
    """A turned, scaled and shifted part of an image.

    Where the output is coarser than the source, each of its pixels is the mean of as many samples as it
    covers source pixels, which is what keeps fine patterns from aliasing.

    Args:
        source: any channels and range. Points span ``[0, w] x [0, h]``: pixels have their centres at halves.
        similarity: takes points of the output to points of the source.
        size: (height, width) of the output.
        mode: ``"bicubic"`` (may overshoot the source's range a little) or ``"bilinear"`` (does not).
        padding: beyond the source: ``"reflection"``, ``"border"`` or ``"zeros"``.
    """
    a, b, x, y = similarity
    height, width = size
    density = max(1, math.ceil(math.hypot(a, b) - 1e-6))
    rows = max(1, STRIP // (width * density**2))
    columns = _centres(0, width, density, like=source)
    strips = []
    for top in range(0, height, rows):
        down = _centres(top, min(top + rows, height), density, like=source)[:, None]
        grid = torch.stack(
            (
                (a * columns - b * down + x) * (2 / source.shape[3]) - 1,
                (b * columns + a * down + y) * (2 / source.shape[2]) - 1,
            ),
            dim=-1,
        )
        samples = F.grid_sample(source, grid[None], mode=mode, padding_mode=padding, align_corners=False)
        strips.append(F.avg_pool2d(samples, density) if density > 1 else samples)
    return torch.cat(strips, dim=2)


def _centres(first: int, last: int, density: int, *, like: Tensor) -> Float[Tensor, " n"]:
    """Where the samples of pixels ``first`` to ``last`` lie, ``density`` to a pixel."""
    count = (last - first) * density
    return first + (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / density
