"""A face's own pixels, moved as its points move.

Three sheets lie over one another: what moves with everything above the mouth's line, what moves with everything below
it, and the inside of the mouth between the lips. A single field would fold where a mouth opens or closes.
"""

from itertools import chain

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.models.geometry import flow
from maskedit.models.geometry.mesh import (
    IRISES,
    LOWER_INNER,
    LOWER_LIP,
    OUTLINE,
    OWN,
    POINTS,
    UPPER_INNER,
    UPPER_LIP,
    rows,
)
from maskedit.types import Image

LEFT_OUT = (*IRISES[0], *IRISES[1])
UPPER = rows([n for n in POINTS if n not in (*LEFT_OUT, *LOWER_LIP[1:-1], *LOWER_INNER[1:-1])])
LOWER = rows([n for n in POINTS if n not in (*LEFT_OUT, *UPPER_LIP[1:-1], *UPPER_INNER[1:-1])])
"""The points that the sheets above and below the mouth's line go by."""

TIGHT = rows(tuple(chain(*OWN.values(), OUTLINE)))
LOOSE = 0.5
"""Points of regions, and of the face's outline, are met closely; the others, between them, by this ridge."""

SOFT = 1 / 256
"""Width of the edge between the sheets, in shares of the picture's side."""

INTO = 1 / 256
"""A lip that meets the other is cut so far inside its rim, where no tooth shines through."""

SEAM, SEAM_WIDTH = 0.45, 1.2 / 256
"""How bright the line is where lips meet that were apart, and how wide."""


class Warp:
    """Moves pictures from one shape to others.

    Args:
        points: the shape that the pictures have.
    """

    def __init__(self, points: Float[Tensor, "b points 2"]) -> None:
        self.points = points
        smoothing = torch.full((len(POINTS),), LOOSE)
        smoothing[TIGHT] = flow.SMOOTHING
        self.upper, self.lower = (flow.basis(points[:, sheet], smoothing[sheet]) for sheet in (UPPER, LOWER))

    def fields(
        self, shape: Float[Tensor, "b points 2"]
    ) -> tuple[Float[Tensor, "b 2 grid grid"], Float[Tensor, "b 2 grid grid"]]:
        """The fields from the own shape to another, of the sheets above and below the mouth's line."""
        offsets = shape - self.points
        return self.upper.field(offsets[:, UPPER]), self.lower.field(offsets[:, LOWER])

    def landed(self, shape: Float[Tensor, "b points 2"]) -> Float[Tensor, "b points 2"]:
        """Where the own points come to lie when another shape is asked for."""
        upper, lower = self.fields(shape)
        found = torch.empty_like(self.points)
        found[:, LOWER] = flow.moved(lower, self.points[:, LOWER])
        found[:, UPPER] = flow.moved(upper, self.points[:, UPPER])
        return found

    def smallest(self, shape: Float[Tensor, "b points 2"]) -> Float[Tensor, " b"]:
        """The smallest determinant of both fields, each where its sheet is seen: 0 or less where the face folds."""
        places = flow.cells(self.points).expand(len(self.points), -1, -1)
        seen = sheets(self.points, places)[:2]
        found = []
        for field, share in zip(self.fields(shape), seen, strict=True):
            inner = share.unflatten(1, (flow.GRID, flow.GRID))[:, 1:-1, 1:-1]
            found.append(torch.where(inner > 0.5, flow.determinant(field), torch.inf).flatten(1).amin(1))
        return torch.stack(found, 1).amin(1)

    def __call__(self, image: Image, shape: Float[Tensor, "b points 2"], inside: Image | None = None) -> Image:
        """The pictures in another shape, at their own size; differentiable in both.

        Args:
            image: what has the own shape.
            shape: the shape to bring it to.
            inside: what is to be seen between the lips, already in its place; by default the picture's own, which
                stretches as the lips part.
        """
        size = image.shape[-1]
        places = pixels(image)
        closing, rims = self._closing(shape)
        above, below, between = (share.view(-1, 1, size, size) for share in sheets(shape, places))
        upper, lower = (
            sample(image, places + enlarged(flow.inverse(field), size)) for field in self.fields(shape + rims)
        )
        if inside is None:
            inside = sample(image, _within(self.points, shape, places))
        seam = _seam(shape, closing, places).view(-1, 1, size, size)
        return (above * upper + below * lower + between * inside) * seam

    def _closing(
        self, shape: Float[Tensor, "b points 2"]
    ) -> tuple[Float[Tensor, "b rim"], Float[Tensor, "b points 2"]]:
        """How nearly each point of the rims meets the other lip's though it did not, and how far lips are cut for it."""
        before, after = _gap(self.points), _gap(shape)
        closing = ((before - after) / (4 * SOFT)).clamp(0, 1) * (1 - after / (2 * SOFT)).clamp(0, 1)
        _, _, down = _frame(shape)
        cut = INTO * closing[..., None] * down[:, None]
        rims = torch.zeros_like(shape)
        rims[:, rows(UPPER_INNER)] = cut
        rims[:, rows(LOWER_INNER)] = -cut
        return closing, rims


def pixels(image: Image) -> Float[Tensor, "b places 2"]:
    """The middles of a picture's pixels, row by row."""
    at = (torch.arange(image.shape[-1], dtype=image.dtype, device=image.device) + 0.5) / image.shape[-1]
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1).expand(len(image), -1, -1)


def sample(image: Image, places: Float[Tensor, "b places 2"]) -> Image:
    """The picture's colours at a place for each of its pixels; beyond its border they are those of the border."""
    grid = (2 * places - 1).unflatten(1, image.shape[2:])
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def enlarged(field: Float[Tensor, "b 2 h w"], size: int) -> Float[Tensor, "b places 2"]:
    """A field at each pixel of a picture."""
    large = F.interpolate(field, size=(size, size), mode="bicubic", align_corners=False)
    return large.flatten(2).transpose(1, 2)


def sheets(
    shape: Float[Tensor, "b points 2"], places: Float[Tensor, "b places 2"]
) -> tuple[Float[Tensor, "b places"], Float[Tensor, "b places"], Float[Tensor, "b places"]]:
    """How much of each place is above the mouth's line, below it, and between the lips; together one.

    Beyond the corners of the mouth its line runs straight on and the edge grows softer.
    """
    along, across, width = _mouth(shape, places)
    top, bottom = _line(shape, UPPER_INNER, along), _line(shape, LOWER_INNER, along)
    beyond = ((along - 1).clamp(min=0) + (-along).clamp(min=0)) * width
    edge = SOFT + beyond
    above = ((top - across) / edge + 0.5).clamp(0, 1)
    below = ((across - bottom) / edge + 0.5).clamp(0, 1)
    total = (above + below).clamp(min=1)
    above, below = above / total, below / total
    return above, below, 1 - above - below


def _frame(
    shape: Float[Tensor, "b points 2"],
) -> tuple[Float[Tensor, "b 2"], Float[Tensor, "b 2"], Float[Tensor, "b 2"]]:
    """The mouth's left corner, the way from there to the right one, and the direction across it, downwards, of length one."""
    left, right = (shape[:, row] for row in rows((UPPER_INNER[0], UPPER_INNER[-1])))
    way = right - left
    unit = F.normalize(way, dim=1)
    return left, way, torch.stack([-unit[:, 1], unit[:, 0]], 1)


def _mouth(
    shape: Float[Tensor, "b points 2"], places: Float[Tensor, "b n 2"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"], Float[Tensor, "b 1"]]:
    """Places as shares of the way along the mouth, and distances across it; and how long the way is."""
    left, way, down = _frame(shape)
    width = way.norm(dim=1, keepdim=True)
    from_left = places - left[:, None]
    along = (from_left * way[:, None]).sum(2) / width**2
    return along, (from_left * down[:, None]).sum(2), width


def _line(
    shape: Float[Tensor, "b points 2"], rim: tuple[int, ...], along: Float[Tensor, "b n"]
) -> Float[Tensor, "b n"]:
    """How far across the mouth a rim lies there: straight between its points, and the corners' line beyond."""
    x, y, _ = _mouth(shape, shape[:, rows(rim)])
    x = x.cummax(1).values
    right = torch.searchsorted(x.contiguous(), along.detach().contiguous()).clamp(1, len(rim) - 1)
    x0, x1, y0, y1 = x.gather(1, right - 1), x.gather(1, right), y.gather(1, right - 1), y.gather(1, right)
    share = ((along - x0) / (x1 - x0).clamp(min=1e-6)).clamp(0, 1)
    return y0 + share * (y1 - y0)


def _gap(shape: Float[Tensor, "b points 2"]) -> Float[Tensor, "b rim"]:
    """How far apart the lips are at each point of their rims."""
    return (shape[:, rows(UPPER_INNER)] - shape[:, rows(LOWER_INNER)]).norm(dim=2)


def _within(
    before: Float[Tensor, "b points 2"], after: Float[Tensor, "b points 2"], places: Float[Tensor, "b n 2"]
) -> Float[Tensor, "b n 2"]:
    """Where places of a mouth were: at the same share of its width, and of the way from lip to lip there."""
    along, across, _ = _mouth(after, places)
    top, bottom = _line(after, UPPER_INNER, along), _line(after, LOWER_INNER, along)
    old_top, old_bottom = _line(before, UPPER_INNER, along), _line(before, LOWER_INNER, along)
    stretch = ((old_bottom - old_top).clamp(min=0) + SOFT) / ((bottom - top).clamp(min=0) + SOFT)
    deep = old_top + (across - top) * stretch
    left, way, down = _frame(before)
    return left[:, None] + along[..., None] * way[:, None] + deep[..., None] * down[:, None]


def _seam(
    shape: Float[Tensor, "b points 2"], closing: Float[Tensor, "b rim"], places: Float[Tensor, "b n 2"]
) -> Float[Tensor, "b n"]:
    """What to multiply the picture with, so that a line is seen where lips meet."""
    along, across, _ = _mouth(shape, places)
    middle = (_line(shape, UPPER_INNER, along) + _line(shape, LOWER_INNER, along)) / 2
    at = torch.linspace(0, 1, closing.shape[1], dtype=along.dtype, device=along.device)
    met = (closing[:, None] * (1 - (along[..., None] - at).abs() * (len(at) - 1)).clamp(min=0)).sum(2)
    return 1 - (1 - SEAM) * met * torch.exp(-(((across - middle) / SEAM_WIDTH) ** 2))
