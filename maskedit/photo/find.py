"""Finding faces without a network connection: scikit-image's frontal cascade, then a landmark network.

The cascade proposes boxes, many of them wrong. In each, the network's landmarks and the crop that they ask
for are refined in turn until they agree. On a face it then gives the same points from slightly different
crops; on anything else it does not, which tells the two apart.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError, PhotoError
from maskedit.photo.alignment import Alignment, Photo, align, crop
from maskedit.photo.resample import resample

if TYPE_CHECKING:
    from skimage.feature import Cascade

Landmarks: TypeAlias = Float[Tensor, "n 68 2"]
"""The usual 68 points of each face: x, y in pixels of the photo."""

Box: TypeAlias = tuple[float | int, float | int, float | int, float | int]
"""(left, top, right, bottom) in pixels, about from the brows to the chin."""

Finder: TypeAlias = Callable[[Photo], Landmarks]
"""Finds the faces of a photo; any function that gives their landmarks will do."""


WIDTH = 4.2
"""Side in eye distances of the crops that the network expects."""

BOX_SCALE, BOX_SHIFT = 1.64, 0.11
"""From the cascade's boxes to such crops: how much larger, and how much of the box's height lower (measured)."""

LOOKED_AT = 1024
"""Larger photos are shrunk to this many pixels on their longer side first."""

SEARCHED, SMALLEST = 640, 24
"""The cascade looks at the photo shrunk to so many pixels, for faces of no fewer."""

STEADY = 0.04
"""On a face the points move by less than this share of the eye distance from crop to crop. Measured on 100
held-out faces in photos: at most 0.026 on a face, at least 0.049 in 116 boxes without one."""


def find_face(photo: Photo, *, finder: Finder | None = None, box: Box | None = None) -> Float[Tensor, "68 2"]:
    """The landmarks of the one face in a photo.

    Args:
        photo: ``[1, 3, h, w]`` in [0, 1].
        finder: what finds faces; :func:`find_faces` by default.
        box: where the face is, if it is known; the finder is not asked then.

    Returns:
        ``[68, 2]``, pixels x, y.

    Raises:
        PhotoError: if there is no face, also in the box, or more than one; the message says where they are.
        InputError: if the box is empty or lies outside the photo.
    """
    if box is not None:
        _check_box(box, photo)
        photo, scale = _shrunk(photo)
        height, width = photo.shape[2:]
        whole = Alignment((width / 2, height / 2), (width / 2, 0.0), (height, width))
        (left, top), (right, bottom) = whole.to_square(torch.tensor(box).view(2, 2) * scale).tolist()
        points, unsteadiness = locate(photo, [_part(whole, left, top, right, bottom)])
        if unsteadiness[0] >= STEADY:
            raise PhotoError(
                "the box holds no face",
                expected="a face that looks at the camera",
                hint="Draw it from the brows to the chin, or give the landmarks.",
            )
        return points[0] / scale
    found = (finder or find_faces)(photo)
    if len(found) == 1:
        return found[0]
    if len(found) == 0:
        raise PhotoError(
            "no face was found in the photo",
            expected="one face that looks at the camera",
            hint="Give its box or its landmarks if there is one.",
        )
    where = "; ".join(",".join(f"{value:.0f}" for value in box_around(face)) for face in found)
    raise PhotoError(
        "the photo shows more than one face",
        expected="one",
        actual=f"{len(found)}, in the boxes (left,top,right,bottom) {where}",
        hint="Give the box or the landmarks of the one that is meant.",
    )


def find_faces(photo: Photo) -> Landmarks:
    """All faces that look at the camera, from left to right.

    If none stands upright, the photo is searched again turned by 30 degrees either way, on its sides and
    upside down.

    Args:
        photo: ``[1, 3, h, w]`` in [0, 1]. Faces should be 5 % of its longer side at least.

    Returns:
        ``[n, 68, 2]``, pixels x, y; ``n`` may be 0.
    """
    photo, scale = _shrunk(photo)
    for degrees in (0, 30, -30, 90, -90, 180):
        points, unsteadiness = locate(photo, propose(photo, degrees))
        faces: list[Tensor] = []
        for index in unsteadiness.argsort().tolist():
            if unsteadiness[index] < STEADY and not any(_same(points[index], face) for face in faces):
                faces.append(points[index])
        if faces:
            return torch.stack(sorted(faces, key=lambda face: face[:, 0].mean().item())) / scale
    return photo.new_zeros(0, 68, 2)


def propose(photo: Photo, degrees: float | int = 0) -> list[Alignment]:
    """Squares that may hold a face, by the local binary patterns of scikit-image's cascade.

    Args:
        photo: ``[1, 3, h, w]`` in [0, 1].
        degrees: how far faces are turned clockwise.

    Raises:
        PhotoError: if scikit-image is not installed.
    """
    cascade = _cascade()
    height, width = photo.shape[2:]
    half = (max(height, width) if degrees % 90 == 0 else math.hypot(height, width)) / 2
    whole = _turned(Alignment((width / 2, height / 2), (half, 0.0), (height, width)), degrees, 1)
    size = max(SMALLEST, min(SEARCHED, math.ceil(2 * half)))
    small = resample(photo, whole.square_to_photo(size), (size, size), mode="bilinear", padding="zeros")
    found = cascade.detect_multi_scale(
        img=rearrange((small.clamp(0, 1) * 255).round().byte(), "1 c h w -> h w c").contiguous().cpu().numpy(),
        scale_factor=1.15,
        step_ratio=1,
        min_size=(max(SMALLEST, size // 20),) * 2,
        max_size=(size, size),
        min_neighbor_number=3,
    )
    corners = [(f["c"], f["r"], f["c"] + f["width"], f["r"] + f["height"]) for f in found]
    return [_part(whole, *(value / size for value in corner)) for corner in corners]


@torch.no_grad()
def locate(photo: Photo, squares: Sequence[Alignment]) -> tuple[Landmarks, Float[Tensor, " n"]]:
    """The landmarks near each square, and how far they move between slightly different crops.

    Args:
        photo: ``[1, 3, h, w]`` in [0, 1].
        squares: about where the faces are: ``WIDTH`` eye distances around the tips of the noses.

    Returns:
        ``[n, 68, 2]`` in pixels, and ``[n]`` in eye distances.
    """
    if not squares:
        return photo.new_zeros(0, 68, 2), photo.new_zeros(0)
    found = [_refine(photo, square) for square in squares]
    return torch.stack([points for points, _ in found]), torch.stack([moved for _, moved in found])


def box_around(face: Float[Tensor, "68 2"]) -> Box:
    """The box of a face, as the cascade would draw it; :func:`find_face` finds the face in it again."""
    square = _crop_of(face, (1, 1))
    half = square.side / BOX_SCALE / 2
    x, y = square.centre[0], square.centre[1] - BOX_SHIFT * 2 * half
    return x - half, y - half, x + half, y + half


def _refine(photo: Photo, begin: Alignment) -> tuple[Float[Tensor, "68 2"], Float[Tensor, ""]]:
    """Points near one square, the mean over some crops, and their spread over the eye distance."""
    square = begin
    for _ in range(3):
        points = _look(photo, [square])[0]
        try:
            square = _crop_of(points, begin.photo_size)
        except InputError:  # the points fall together: no face
            return points, points.new_tensor(math.inf)
    views = [_turned(square, degrees, scale) for degrees, scale in ((0, 1), (-10, 1), (10, 1), (0, 0.88), (0, 1.14))]
    several = _look(photo, views)
    points = several.mean(dim=0)
    spread = (several - points).norm(dim=-1).mean() / _eye_distance(points)
    strayed = math.dist(square.centre, begin.centre) > 0.6 * begin.side or not 0.4 < square.side / begin.side < 2.5
    return points, torch.full_like(spread, math.inf) if strayed else spread


def _look(photo: Photo, squares: Sequence[Alignment]) -> Float[Tensor, "n 68 2"]:
    """The network's points in each square, in pixels of the photo."""
    from maskedit.models import load_landmarks

    found = load_landmarks().to(photo.device).landmarks(torch.cat([crop(photo, square, 128) for square in squares]))
    return torch.stack([square.to_photo(points) for square, points in zip(squares, found, strict=True)])


def _crop_of(points: Float[Tensor, "68 2"], photo_size: tuple[int, int]) -> Alignment:
    """The crop in which the network would look for these points: upright with the face."""
    upright = align(points, photo_size)
    half = WIDTH * _eye_distance(points).item() / upright.side
    x, y = points[30].tolist()
    return Alignment((x, y), (upright.axis[0] * half, upright.axis[1] * half), photo_size)


def _turned(square: Alignment, degrees: float | int, scale: float | int) -> Alignment:
    x, y = square.axis
    cos, sin = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return Alignment(square.centre, (cos * x - sin * y, sin * x + cos * y), square.photo_size)


def _part(whole: Alignment, left: float, top: float, right: float, bottom: float) -> Alignment:
    """The crop for a box of the cascade, given in [0, 1] of a square."""
    side = max(right - left, bottom - top)
    middle = torch.tensor([(left + right) / 2, (top + bottom) / 2 + BOX_SHIFT * side])
    x, y = whole.to_photo(middle).tolist()
    return Alignment((x, y), (BOX_SCALE * side * whole.axis[0], BOX_SCALE * side * whole.axis[1]), whole.photo_size)


def _eye_distance(points: Float[Tensor, "68 2"]) -> Float[Tensor, ""]:
    return (points[36:42].mean(dim=0) - points[42:48].mean(dim=0)).norm()


def _same(one: Float[Tensor, "68 2"], other: Float[Tensor, "68 2"]) -> bool:
    """Whether two sets of points are of one face: each centre is within the other's outline."""
    reach = min((face.amax(dim=0) - face.amin(dim=0)).max().item() for face in (one, other)) / 2
    return (one.mean(dim=0) - other.mean(dim=0)).norm().item() < reach


def _check_box(box: Box, photo: Photo) -> None:
    left, top, right, bottom = box
    height, width = photo.shape[2:]
    if not (left < right and top < bottom and right > 0 and bottom > 0 and left < width and top < height):
        raise InputError(
            "the box holds no part of the photo",
            expected=f"left,top,right,bottom within {width} x {height} pixels",
            actual=",".join(f"{value:g}" for value in box),
        )


def _shrunk(photo: Photo) -> tuple[Float[Tensor, "1 3 _ _"], Float[Tensor, "2"]]:
    """The photo at ``LOOKED_AT`` pixels or fewer, and the scale of x and y."""
    height, width = photo.shape[2:]
    scale = min(1.0, LOOKED_AT / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = photo if scale == 1 else F.interpolate(photo, size=size, mode="bilinear", antialias=True)
    return small, photo.new_tensor([size[1] / width, size[0] / height])


def _cascade() -> "Cascade":
    try:
        from skimage import data
        from skimage.feature import Cascade
    except ImportError as error:
        raise PhotoError(
            "finding faces needs scikit-image",
            hint="Run: pip install 'maskedit[photo]'. Or give the face's box or landmarks.",
        ) from error
    return Cascade(data.lbp_frontal_face_cascade_filename())
