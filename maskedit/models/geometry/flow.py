"""A smooth field that moves everything near some points with them.

It is a sum of Wendland's compactly supported functions around the points (Wendland 1995, the C2 function of plane and
space), kept on a coarse grid. It is linear in how far the points move: a field for new positions is two products with
matrices that depend on the old positions alone.

Positions are (x, y) fractions of a picture's side; a field is ``[b, 2, GRID, GRID]``, its values at the middles of the
grid's cells, in the same unit.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

RADIUS = 60 / 256
"""How far a point's motion is felt."""

SMOOTHING = 0.02
"""What the points may miss by, for a smoother field: the ridge of the fit, beside the function's one at its middle."""

GRID = 64

STEPS = 5
"""Fixed-point steps of the inverse."""


def wendland(r: Tensor) -> Tensor:
    """``(1 - r)^4 (4 r + 1)``, nothing from ``r = 1`` on."""
    return (1 - r).clamp(min=0).square().square() * (4 * r + 1)


def cells(like: Tensor) -> Float[Tensor, "places 2"]:
    """The middles of the grid's cells, row by row."""
    at = (torch.arange(GRID, dtype=like.dtype, device=like.device) + 0.5) / GRID
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


@dataclass(frozen=True)
class Basis:
    """What the fields around some points need of where the points are.

    Args:
        weights: the inverse of the functions' values among the points, with the ridge: offsets -> weights.
        reached: the functions' values at each cell: weights -> field.
    """

    weights: Float[Tensor, "b n n"]
    reached: Float[Tensor, "b places n"]

    def field(self, offsets: Float[Tensor, "b n 2"]) -> Float[Tensor, "b 2 grid grid"]:
        """The field in which the points move by ``offsets``."""
        return (self.reached @ (self.weights @ offsets)).transpose(1, 2).unflatten(2, (GRID, GRID))


def basis(points: Float[Tensor, "b n 2"], smoothing: Float[Tensor, " n"]) -> Basis:
    """For fields around these points.

    Args:
        points: where they are.
        smoothing: how far each may miss its place, as a ridge beside the function's one at its middle.
    """
    ridge = torch.diag(smoothing.to(points))
    reached = felt(cells(points).expand(len(points), -1, -1), points)
    return Basis(torch.linalg.inv(felt(points, points) + ridge), reached)


def felt(places: Float[Tensor, "b k 2"], points: Float[Tensor, "b n 2"]) -> Float[Tensor, "b k n"]:
    """How much each place feels of each point's function."""
    return wendland(torch.cdist(places, points) / RADIUS)


def at(field: Float[Tensor, "b 2 h w"], places: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 2"]:
    """A field's values at some places, linear between the cells."""
    values = F.grid_sample(field, 2 * places[:, None] - 1, mode="bilinear", padding_mode="border", align_corners=False)
    return values[:, :, 0].transpose(1, 2)


def moved(field: Float[Tensor, "b 2 h w"], places: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 2"]:
    """Where a field brings some places."""
    return places + at(field, places)


def inverse(field: Float[Tensor, "b 2 h w"], steps: int = STEPS) -> Float[Tensor, "b 2 h w"]:
    """The field that brings everything back: ``e(y) = -d(y + e(y))``, found by fixed-point steps from ``-d(y)``."""
    places = cells(field).expand(len(field), -1, -1)
    back = -at(field, places)
    for _ in range(steps):
        back = -at(field, places + back)
    return back.transpose(1, 2).unflatten(2, field.shape[2:])


def determinant(field: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b h2 w2"]:
    """How much larger each place becomes, at the grid's inner cells; negative where the field folds."""
    unit = 2 / field.shape[-1]
    dx = (field[:, :, 1:-1, 2:] - field[:, :, 1:-1, :-2]) / unit
    dy = (field[:, :, 2:, 1:-1] - field[:, :, :-2, 1:-1]) / unit
    return (1 + dx[:, 0]) * (1 + dy[:, 1]) - dx[:, 1] * dy[:, 0]
