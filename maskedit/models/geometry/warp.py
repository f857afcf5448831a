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
BELOW = rows((*LOWER_LIP[1:-1], *LOWER_INNER[1:-1]))

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
        self.felt = tuple(flow.felt(points, points[:, sheet]) for sheet in (UPPER, LOWER))
        self.below = torch.zeros(len(POINTS), dtype=torch.bool, device=points.device)
        self.below[BELOW] = True

    def fields(
        self, shape: Float[Tensor, "b points 2"]
    ) -> tuple[Float[Tensor, "b 2 grid grid"], Float[Tensor, "b 2 grid grid"]]:
        """The fields from the own shape to another, of the sheets above and below the mouth's line."""
        offsets = shape - self.points
        return self.upper.field(offsets[:, UPPER]), self.lower.field(offsets[:, LOWER])

    def landed(self, shape: Float[Tensor, "b points 2"]) -> Float[Tensor, "b points 2"]:
        """Where the own points come to lie when another shape is asked for: by the functions, not by their grid."""
        offsets, found = shape - self.points, []
        for basis, sheet, felt in zip((self.upper, self.lower), (UPPER, LOWER), self.felt, strict=True):
            found.append(self.points + felt @ (basis.weights @ offsets[:, sheet]))
        return torch.where(self.below[:, None], found[1], found[0])

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
        mouth = Mouth(shape, places)
        closing, rims = self._closing(shape)
        above, below, between = (share.view(-1, 1, size, size) for share in mouth.sheets())
        upper, lower = (
            sample(image, places + enlarged(flow.inverse(field), size)) for field in self.fields(shape + rims)
        )
        if inside is None:
            inside = sample(image, mouth.within(self.points))
        seam = mouth.seam(closing).view(-1, 1, size, size)
        return (above * upper + below * lower + between * inside) * seam

    def own_inside(self, image: Image, shape: Float[Tensor, "b points 2"]) -> Image:
        """What the pictures themselves show between the lips, stretched into the place of another shape's mouth."""
        return sample(image, Mouth(shape, pixels(image)).within(self.points))

    def _closing(
        self, shape: Float[Tensor, "b points 2"]
    ) -> tuple[Float[Tensor, "b rim"], Float[Tensor, "b points 2"]]:
        """How nearly each point of the rims comes to meet the other lip, and how far lips are cut for it."""
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


class Mouth:
    """Places seen from a mouth: as shares of the way from its left corner to its right one, and distances across it.

    Args:
        shape: the face that the mouth is part of.
        places: where to look from it.
    """

    def __init__(self, shape: Float[Tensor, "b points 2"], places: Float[Tensor, "b n 2"]) -> None:
        self.left, self.way, self.down = _frame(shape)
        self.width = self.way.norm(dim=1, keepdim=True)
        self.along, self.across = self._seen(places)
        self.top, self.bottom = self.lines(shape, self.along)

    def _seen(self, places: Float[Tensor, "b n 2"]) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
        from_left = places - self.left[:, None]
        along = (from_left @ self.way[..., None])[..., 0] / self.width**2
        return along, (from_left @ self.down[..., None])[..., 0]

    def lines(
        self, shape: Float[Tensor, "b points 2"], along: Float[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
        """How far across the mouth the rims of both lips lie there; the corners' line beyond the corners."""
        upper, lower = (between(*self._seen(shape[:, rows(rim)]), along) for rim in (UPPER_INNER, LOWER_INNER))
        return upper, lower

    def sheets(self) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"], Float[Tensor, "b n"]]:
        """How much of each place is above the mouth's line, below it, and between the lips; together one.

        Beyond the corners of the mouth its line runs straight on and the edge grows softer.
        """
        edge = SOFT + (self.along - self.along.clamp(0, 1)).abs() * self.width
        above = ((self.top - self.across) / edge + 0.5).clamp(0, 1)
        below = ((self.across - self.bottom) / edge + 0.5).clamp(0, 1)
        total = (above + below).clamp(min=1)
        above, below = above / total, below / total
        return above, below, 1 - above - below

    def within(self, before: Float[Tensor, "b points 2"]) -> Float[Tensor, "b n 2"]:
        """Where the places were in another shape's mouth: as far along, and at the same share of the way across."""
        old = Mouth(before, before[:, :0])
        top, bottom = old.lines(before, self.along)
        stretch = ((bottom - top).clamp(min=0) + SOFT) / ((self.bottom - self.top).clamp(min=0) + SOFT)
        deep = top + (self.across - self.top) * stretch
        return old.left[:, None] + self.along[..., None] * old.way[:, None] + deep[..., None] * old.down[:, None]

    def seam(self, closing: Float[Tensor, "b rim"]) -> Float[Tensor, "b n"]:
        """What to multiply the picture with, so that a line is seen where lips meet."""
        if not closing.any():
            return torch.ones_like(self.along)
        at = torch.linspace(0, 1, closing.shape[1], dtype=closing.dtype, device=closing.device).expand_as(closing)
        off = (self.across - (self.top + self.bottom) / 2) / SEAM_WIDTH
        return 1 - (1 - SEAM) * between(at, closing, self.along) * torch.exp(-off.square())


def between(x: Float[Tensor, "b knots"], y: Float[Tensor, "b knots"], at: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """The straight lines from knot to knot at some places; beyond the knots the value of the last one."""
    x = x.cummax(1).values
    right = torch.searchsorted(x.detach().contiguous(), at.detach().contiguous()).clamp(1, x.shape[1] - 1)
    x0, x1, y0, y1 = x.gather(1, right - 1), x.gather(1, right), y.gather(1, right - 1), y.gather(1, right)
    return y0 + ((at - x0) / (x1 - x0).clamp(min=1e-6)).clamp(0, 1) * (y1 - y0)


def sheets(
    shape: Float[Tensor, "b points 2"], places: Float[Tensor, "b n 2"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"], Float[Tensor, "b n"]]:
    """:meth:`Mouth.sheets` of places in a shape."""
    return Mouth(shape, places).sheets()


def _frame(
    shape: Float[Tensor, "b points 2"],
) -> tuple[Float[Tensor, "b 2"], Float[Tensor, "b 2"], Float[Tensor, "b 2"]]:
    """The mouth's left corner, the way from there to the right one, and the way down across it, of length one."""
    left, right = (shape[:, row] for row in rows((UPPER_INNER[0], UPPER_INNER[-1])))
    way = right - left
    unit = F.normalize(way, dim=1)
    return left, way, torch.stack([-unit[:, 1], unit[:, 0]], 1)


def _gap(shape: Float[Tensor, "b points 2"]) -> Float[Tensor, "b rim"]:
    """How far apart the lips are at each point of their rims."""
    return (shape[:, rows(UPPER_INNER)] - shape[:, rows(LOWER_INNER)]).norm(dim=2)
