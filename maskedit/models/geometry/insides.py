"""What is seen between lips that were closed: a mean mouth, given how it opens and what light falls on the face.

A mouth is drawn in a box whose sides are the corners of the mouth and the rims of the lips, so that teeth hang from
the upper lip and the lower lip covers them. It is an affine function of a few numbers, fitted to many mouths
(``benchmarks/faces/insides.py``); nobody's own teeth are kept.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.models.geometry.mesh import EYES, LOWER_INNER, UPPER_INNER, rows
from maskedit.models.geometry.warp import Mouth, pixels
from maskedit.types import Image

WEIGHTS = Path(__file__).parents[1] / "weights"

BOX = (20, 40)
"""Rows and columns of the box."""

SKIN = (50, 280, 205, 425)
"""Points of the cheeks, whose colour is the skin's."""

WHITES = ((33, 468), (133, 468), (263, 473), (362, 473))
"""Corners of the eyes and the irises' middles: the white of the eye lies between them."""

OPEN = 0.35
"""A mouth is the photo's own where its gap was at least so large a share of the new one; below, the box takes over."""


def numbers(
    photos: Image, points: Float[Tensor, "b points 2"], shape: Float[Tensor, "b points 2"]
) -> Float[Tensor, "b numbers"]:
    """What a mouth is drawn from: opening, width and lift of the new shape, colour of skin and of the eyes' white.

    Args:
        photos: the faces.
        points: their points.
        shape: the points that the mouth shall fit.
    """
    corners = rows((EYES[0][0], EYES[1][0]))
    unit = (points[:, corners[0]] - points[:, corners[1]]).norm(dim=1)
    upper, lower = shape[:, rows(UPPER_INNER)], shape[:, rows(LOWER_INNER)]
    gap = (upper - lower).norm(dim=2).amax(1) / unit
    width = (upper[:, 0] - upper[:, -1]).norm(dim=1) / unit
    lift = ((upper[:, 5] + lower[:, 5] - upper[:, 0] - upper[:, -1]) / 2)[:, 1] / unit
    skin = colours(photos, points[:, rows(SKIN)]).mean(1)
    whites = torch.stack([(points[:, rows((a,))[0]] + points[:, rows((b,))[0]]) / 2 for a, b in WHITES], 1)
    white = colours(photos, whites).mean(2).amax(1)
    one = torch.ones_like(gap)
    return torch.cat([torch.stack([one, gap, width, lift, white, gap * white, gap * gap], 1), skin], 1)


def colours(photos: Image, places: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 3"]:
    """The photos' colours, a little blurred, at some places."""
    blurred = F.avg_pool2d(F.interpolate(photos, size=(128, 128), mode="area"), 3, 1, 1, count_include_pad=False)
    return F.grid_sample(blurred, 2 * places[:, None] - 1, align_corners=False)[:, :, 0].transpose(1, 2)


@dataclass(frozen=True)
class Insides:
    """Draws what is seen between lips.

    Args:
        weights: colours of the box's pixels for each of :func:`numbers`.
    """

    weights: Float[Tensor, "numbers pixels"]

    def __call__(
        self, photos: Image, points: Float[Tensor, "b points 2"], shape: Float[Tensor, "b points 2"], own: Image
    ) -> Image:
        """What is seen between the lips of the new shape, in its place.

        Args:
            photos: the faces.
            points: their points.
            shape: the new ones.
            own: the photos' own insides in that place; kept where the mouth was open enough.
        """
        drawn = (numbers(photos, points, shape) @ self.weights.to(photos)).view(-1, 3, *BOX).clamp(0, 1)
        size = own.shape[-1]
        mouth = Mouth(shape, pixels(own))
        deep = ((mouth.across - mouth.top) / (mouth.bottom - mouth.top).clamp(min=1e-4)).clamp(0, 1)
        grid = torch.stack([2 * mouth.along.clamp(0, 1) - 1, 2 * deep - 1], 2).unflatten(1, (size, size))
        seen = F.grid_sample(drawn, grid, padding_mode="border", align_corners=False)
        before, after = (_gap(where) for where in (points, shape))
        share = ((before / after.clamp(min=1e-4) - OPEN) / OPEN).clamp(0, 1)[:, None, None, None]
        return share * own + (1 - share) * seen


def _gap(shape: Float[Tensor, "b points 2"]) -> Float[Tensor, " b"]:
    return (shape[:, rows(UPPER_INNER)] - shape[:, rows(LOWER_INNER)]).norm(dim=2).amax(1)


@cache
def load_insides() -> Insides:
    """The mouths that come with maskedit; read once."""
    from safetensors.torch import load_file

    return Insides(load_file(WEIGHTS / "insides.safetensors")["weights"].float())
