"""Polygons of a face's 68 landmarks, in coordinates fixed to the face."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def inside(polygon: Float[Tensor, "n 2"], size: int) -> Bool[Tensor, "size size"]:
    """Pixels whose middle lies in a polygon of (x, y) fractions of the side."""
    at = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(at, at, indexing="ij")
    within = torch.zeros(size, size, dtype=torch.bool)
    for (x0, y0), (x1, y1) in zip(polygon.tolist(), polygon.roll(-1, 0).tolist(), strict=True):
        if y0 != y1:
            within ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return within


class Frame:
    """Coordinates fixed to a face: origin between the eyes, one unit their distance, u to the right, v downwards."""

    def __init__(self, points: Float[Tensor, "68 2"]) -> None:
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        self.origin, self.unit = (left + right) / 2, (right - left).norm()
        u = (right - left) / self.unit
        self.axes = torch.stack([u, torch.stack([-u[1], u[0]])])

    def to(self, positions: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        return (positions - self.origin) @ self.axes.T / self.unit

    def back(self, positions: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        return positions @ self.axes * self.unit + self.origin


def features(points: Float[Tensor, "68 2"]) -> Mapping[str, list[Float[Tensor, "_ 2"]]]:
    """Polygons of mouth, eyes, brows and nose, and of the ``face`` up to an assumed hairline."""
    frame = Frame(points)
    p = frame.to(points)

    def shifted(rows: Tensor, u: float, v: float) -> Tensor:
        return rows + rows.new_tensor([u, v])

    def swollen(rows: Tensor, by: float) -> Tensor:
        middle = rows.mean(0)
        return rows + F.normalize(rows - middle, dim=1) * by

    def brow(rows: Tensor) -> Tensor:
        return torch.cat([shifted(rows, 0.0, -0.035), shifted(rows, 0.0, 0.085).flip(0)])

    nose = torch.stack(
        [
            p[27] + p.new_tensor([-0.1, 0.0]),
            p[29] + p.new_tensor([-0.17, 0.0]),
            p[31] + p.new_tensor([-0.13, -0.1]),
            p[31] + p.new_tensor([-0.08, 0.03]),
            p[33] + p.new_tensor([0.0, 0.05]),
            p[35] + p.new_tensor([0.08, 0.03]),
            p[35] + p.new_tensor([0.13, -0.1]),
            p[29] + p.new_tensor([0.17, 0.0]),
            p[27] + p.new_tensor([0.1, 0.0]),
        ]
    )
    # The forehead is about as high as the nose is long: half an ellipse from temple to temple.
    brows = p[17:27, 1].mean()
    top = brows - 0.85 * (p[33, 1] - brows)
    middle, half = (p[0] + p[16]) / 2, (p[16] - p[0]) / 2
    turn = torch.linspace(0, torch.pi, 17)
    arch = middle + turn.cos()[:, None] * half + torch.stack([torch.zeros(17), turn.sin() * (top - middle[1])], 1)
    polygons = {
        "mouth": [swollen(p[48:60], 0.02)],
        "eyes": [swollen(p[36:42], 0.035), swollen(p[42:48], 0.035)],
        "eyebrows": [brow(p[17:22]), brow(p[22:27])],
        "nose": [nose],
        "face": [torch.cat([p[:17], arch])],
    }
    return {name: [frame.back(polygon) for polygon in group] for name, group in polygons.items()}


def masks(points: Float[Tensor, "68 2"], size: int) -> dict[str, Bool[Tensor, "size size"]]:
    """The polygons of :func:`features`, filled."""
    return {
        name: torch.stack([inside(polygon, size) for polygon in group]).any(0)
        for name, group in features(points).items()
    }
