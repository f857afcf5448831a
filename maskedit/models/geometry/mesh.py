"""The points of a face that matter to its shape: 219 of the 478 of MediaPipe's face mesh, by their numbers there.

Positions are (x, y) fractions of the side of an aligned square, the picture spanning [0, 1]; "left" is at the left in
the picture. The irises' five points are the last of the 478.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

# fmt: off
OUTLINE = (
    10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148,
    152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356, 389, 251, 284, 332, 297, 338,
)
"""Around the face, from the top of the forehead by the left to the chin and back."""
BROWS = ((46, 53, 52, 65, 55, 107, 66, 105, 63, 70), (276, 283, 282, 295, 285, 336, 296, 334, 293, 300))
"""Each from its outer end along the lower edge inwards, and back along the upper one."""
EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)
"""Each from its outer corner along the upper lid inwards, and back along the lower one."""
IRISES = ((468, 469, 470, 471, 472), (473, 476, 475, 474, 477))
"""Each the middle, then right, top, left and bottom of the left eye's ring, mirrored for the right eye."""
NOSE = (168, 122, 188, 174, 198, 49, 64, 98, 97, 2, 326, 327, 294, 279, 420, 399, 412, 351)
"""Around the nose, from its root by the left wing to the base and back."""
RIDGE = (6, 197, 195, 5, 4, 1)
WINGS = (129, 48, 220, 45, 358, 278, 440, 275)
UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Rims of the lips, each from its left corner to its right one."""
CHEEKS = (
    117, 118, 101, 36, 50, 205, 203, 206, 207, 187, 216, 346, 347, 330, 266, 280, 425, 423, 426, 427, 411, 436,
)
CHIN = (164, 18, 200, 199, 83, 182, 204, 194, 211, 170, 313, 406, 424, 418, 431, 395)
FOREHEAD = (151, 9, 8, 108, 69, 104, 68, 337, 299, 333, 298)
# fmt: on

POINTS: tuple[int, ...] = tuple(
    sorted(
        {
            *chain(OUTLINE, *BROWS, *EYES, *IRISES, NOSE, RIDGE, WINGS),
            *chain(UPPER_LIP, LOWER_LIP, UPPER_INNER, LOWER_INNER, CHEEKS, CHIN, FOREHEAD),
        }
    )
)
"""The mesh's numbers of the points, in the order in which arrays hold them."""

_ROW = {number: row for row, number in enumerate(POINTS)}

OWN: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "mouth": tuple(dict.fromkeys(UPPER_LIP + LOWER_LIP + UPPER_INNER + LOWER_INNER)),
        "eyebrows": BROWS[0] + BROWS[1],
        "eyes": EYES[0] + EYES[1],
        "nose": NOSE + RIDGE + WINGS,
    }
)
"""The mesh's numbers of each region's own points."""

LOOPS: Mapping[str, tuple[tuple[int, ...], ...]] = MappingProxyType(
    {"mouth": (UPPER_LIP + LOWER_LIP[-2:0:-1],), "eyebrows": BROWS, "eyes": EYES, "nose": (NOSE,)}
)
"""The polygons that bound each region."""

RIGID: tuple[int, ...] = (
    *(10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2),
    *(33, 133, 263, 362, 127, 162, 21, 54, 103, 356, 389, 251, 284, 332, 234, 454, 104, 333, 68, 298),
)
"""Points that neither expression nor speech moves much: forehead, temples, corners of the eyes, ridge of the nose."""


def rows(numbers: Sequence[int]) -> list[int]:
    """Where points stand in arrays of ``POINTS``, by their numbers in the mesh."""
    return [_ROW[number] for number in numbers]


def polygon(points: Float[Tensor, "b points 2"], loop: Sequence[int]) -> Float[Tensor, "b corners 2"]:
    """The corners of one of ``LOOPS``."""
    return points[:, rows(loop)]


def area(points: Float[Tensor, "b points 2"], region: str) -> Float[Tensor, " b"]:
    """Share of the picture within a region's polygons (the shoelace formula)."""
    total = points.new_zeros(len(points))
    for loop in LOOPS[region]:
        x, y = polygon(points, loop).unbind(2)
        total = total + (x * y.roll(-1, 1) - x.roll(-1, 1) * y).sum(1).abs() / 2
    return total


def mask(points: Float[Tensor, "b points 2"], region: str, size: int) -> Bool[Tensor, "b size size"]:
    """Pixels whose middle lies in a region's polygons (the even-odd rule)."""
    at = (torch.arange(size, device=points.device, dtype=points.dtype) + 0.5) / size
    y, x = at[:, None], at[None, :]
    within = torch.zeros(len(points), size, size, dtype=torch.bool, device=points.device)
    for loop in LOOPS[region]:
        corners = polygon(points, loop)[..., None, None]
        crossed = torch.zeros_like(within)
        for first, second in zip(corners.unbind(1), corners.roll(-1, 1).unbind(1), strict=True):
            (x0, y0), (x1, y1) = first.unbind(1), second.unbind(1)
            rise = torch.where(y1 == y0, torch.ones_like(y0), y1 - y0)
            crossed ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / rise + x0)
        within |= crossed
    return within


def camera(
    points: Float[Tensor, "b points 2"], mean: Float[Tensor, "points 3"], ridge: float = 0.02
) -> Float[Tensor, "b 2 4"]:
    """The affine camera that shows the mean face most nearly as these points: ``p = camera[:, :3] m + camera[:, 3]``.

    Only ``RIGID`` points count, so it says how the head is turned and how large it is, whatever the expression.

    Args:
        points: positions in the pictures.
        mean: the mean face, seen from the front; z in the same unit as x and y, smaller is nearer.
        ridge: pull of the depth's column towards nothing, as a share of the points' own spread in depth.
    """
    chosen = rows(RIGID)
    known = torch.cat([mean[chosen], mean.new_ones(len(chosen), 1)], 1)
    pull = torch.zeros(4, 4, dtype=mean.dtype, device=mean.device)
    pull[2, 2] = ridge * known[:, 2].var() * len(chosen)
    return (torch.linalg.solve(known.T @ known + pull, known.T) @ points[:, chosen]).transpose(1, 2)


def _pairs() -> dict[int, int]:
    found: dict[int, int] = {}
    for left, right in (*zip(*BROWS, strict=True), *zip(*EYES, strict=True), *zip(*IRISES, strict=True)):
        found |= {left: right, right: left}
    for line in (UPPER_LIP, LOWER_LIP, UPPER_INNER, LOWER_INNER):
        found |= dict(zip(line, line[::-1], strict=True))
    for ring in (OUTLINE, NOSE):
        found |= dict(zip(ring, (ring[0], *ring[:0:-1]), strict=True))
    for group, middle in ((WINGS, 0), (CHEEKS, 0), (CHIN, 4), (FOREHEAD, 3)):
        sides = group[middle:]
        half = len(sides) // 2
        found |= dict(zip(sides, sides[half:] + sides[:half], strict=True))
    return found


_MIRROR = _pairs()
MIRROR: Int64[Tensor, " points"] = torch.tensor(rows([_MIRROR.get(number, number) for number in POINTS]))
"""For each point of ``POINTS`` the place of its counterpart in the mirror."""
