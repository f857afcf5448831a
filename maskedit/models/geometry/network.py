"""Finds the mesh's points in aligned pictures."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.models.geometry.mesh import POINTS
from maskedit.models.networks.portraits import LandmarkNet
from maskedit.types import Image

WINDOW = (0.12, 0.22, 0.76)
"""Left and upper border and side of the part that is looked at: the face, give or take a tenth."""


class MeshNet(nn.Module):
    """Finds ``POINTS`` in aligned squares, so that a gradient says how the picture would have to change.

    Args:
        size: side in pixels that the face is brought to.
        widths: channels at 1/2, 1/4, ... of that.
    """

    def __init__(self, *, size: int = 96, widths: Sequence[int] = (24, 48, 72, 96)) -> None:
        super().__init__()
        self.inner = LandmarkNet(size=size, widths=widths, points=len(POINTS))

    def points(self, image: Image) -> Float[Tensor, "b points 2"]:
        """Positions (x, y) as shares of the square's side."""
        left, top, side = WINDOW
        size = max(self.inner.size, min(image.shape[-1], 2 * self.inner.size))
        at = (torch.arange(size, dtype=image.dtype, device=image.device) + 0.5) / size * side
        y, x = torch.meshgrid(2 * (at + top) - 1, 2 * (at + left) - 1, indexing="ij")
        grid = torch.stack([x, y], 2).expand(len(image), -1, -1, -1)
        face = F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return self.inner.landmarks(face) * side + image.new_tensor([left, top])

    forward = points
