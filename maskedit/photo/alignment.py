"""The square around a face, as FFHQ cuts it: turned upright, sized by the eyes and the mouth.

Points are (x, y) in pixels and a picture spans ``[0, w] x [0, h]``, so the centre of its first pixel is
(0.5, 0.5). Detectors that count from pixel centres are half a pixel off, which alignment hardly feels.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.photo.resample import Similarity, resample

Photo: TypeAlias = Float[Tensor, "1 3 h w"]
"""One RGB picture of any size, in [0, 1]."""

Square: TypeAlias = Float[Tensor, "1 3 _ _"]
"""The aligned part of a photo, as wide as high, in [0, 1]."""


@dataclass(frozen=True)
class Alignment:
    """Where a square lies in a photo. Points of the square are in [0, 1], whatever size it is cut at.

    Args:
        centre: (x, y) of the square's centre, in pixels of the photo.
        axis: (x, y) from the centre to the middle of the square's right side, in pixels of the photo.
        photo_size: (height, width) of the photo.
    """

    centre: tuple[float, float]
    axis: tuple[float, float]
    photo_size: tuple[int, int]

    @property
    def side(self) -> float:
        """Side of the square in the photo, in pixels."""
        return 2 * math.hypot(*self.axis)

    @property
    def angle(self) -> float:
        """How far the face is turned clockwise, in degrees."""
        return math.degrees(math.atan2(self.axis[1], self.axis[0]))

    @property
    def outside(self) -> float:
        """Share of the square that lies outside the photo, to about 0.01."""
        line = (torch.arange(100) + 0.5) / 100
        points = self.to_photo(torch.cartesian_prod(line, line))
        height, width = self.photo_size
        inside = (points >= 0).all(dim=1) & (points[:, 0] <= width) & (points[:, 1] <= height)
        return 1 - inside.float().mean().item()

    def square_to_photo(self, size: int) -> Similarity:
        """Takes pixels of the square, cut at ``size``, to pixels of the photo."""
        a, b = (2 * value / size for value in self.axis)
        return a, b, self.centre[0] - self.axis[0] + self.axis[1], self.centre[1] - self.axis[0] - self.axis[1]

    def photo_to_square(self, size: int) -> Similarity:
        """Takes pixels of the photo to pixels of the square, cut at ``size``."""
        a, b, x, y = self.square_to_photo(size)
        norm = a * a + b * b
        a, b = a / norm, -b / norm
        return a, b, -(a * x - b * y), -(b * x + a * y)

    def to_photo(self, points: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Points of the square, in [0, 1], as pixels of the photo."""
        return _move(points, self.square_to_photo(1))

    def to_square(self, points: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Pixels of the photo as points of the square, in [0, 1] inside it."""
        return _move(points, self.photo_to_square(1))


def align(landmarks: Float[Tensor, "points 2"], photo_size: tuple[int, int]) -> Alignment:
    """The square of FFHQ around a face.

    It stands upright with the face: its horizontal is the mean of the line through the eyes and the
    normal of the line from eyes to mouth. Its half side is the greater of 2 eye distances and 1.8 times
    the way from the eyes to the mouth, and its centre lies a tenth of that way below the eyes (Karras et
    al. 2018, appendix C; Karras et al. 2019, appendix A). Unlike there, what the square shows beyond the
    photo is reflected but not blurred.

    Args:
        landmarks: pixels x, y: the usual 68 points, or 5 (eyes, nose, corners of the mouth; of each pair
            the left one in the picture first).
        photo_size: (height, width) of the photo.

    Raises:
        InputError: on another number of points, values that are not finite, or points that fall together.
    """
    points = landmarks.detach().cpu()
    if points.shape not in ((68, 2), (5, 2)):
        raise InputError("wrong landmarks", expected="[68, 2] or [5, 2]", actual=str(list(points.shape)))
    if not points.isfinite().all():
        raise InputError("the landmarks have values that are not finite")
    if len(points) == 68:
        left, right = points[36:42].mean(dim=0), points[42:48].mean(dim=0)
        mouth = (points[48] + points[54]) / 2
    else:
        left, right, mouth = points[0], points[1], (points[3] + points[4]) / 2
    eyes, across = (left + right) / 2, right - left
    down = mouth - eyes
    direction = across + torch.stack((down[1], -down[0]))
    if min(across.norm(), down.norm(), direction.norm()) < 1e-3:
        raise InputError("the landmarks fall together", expected="eyes and mouth at different points")
    axis = direction / direction.norm() * max(2 * across.norm(), 1.8 * down.norm())
    centre = eyes + 0.1 * down
    (x, y), (u, v) = centre.tolist(), axis.tolist()
    return Alignment((x, y), (u, v), photo_size)


def crop(photo: Photo, alignment: Alignment, size: int) -> Square:
    """The aligned square, resampled once, reflected where it leaves the photo.

    Args:
        photo: ``[1, 3, h, w]`` in [0, 1].
        alignment: where the square lies.
        size: side of the result, in pixels.

    Returns:
        ``[1, 3, size, size]`` in [0, 1].

    Raises:
        InputError: if the alignment is that of a photo of another size.
    """
    check_size(photo, alignment)
    return resample(photo, alignment.square_to_photo(size), (size, size)).clamp(0, 1)


def check_size(photo: Photo, alignment: Alignment) -> None:
    """Raise ``InputError`` unless ``photo`` has the size that ``alignment`` was made for."""
    if photo.shape[0] != 1 or tuple(photo.shape[2:]) != alignment.photo_size:
        height, width = alignment.photo_size
        raise InputError(
            "the photo does not fit its alignment",
            expected=f"[1, 3, {height}, {width}]",
            actual=str(list(photo.shape)),
        )


def _move(points: Float[Tensor, "*n 2"], similarity: Similarity) -> Float[Tensor, "*n 2"]:
    a, b, x, y = similarity
    u, v = points.unbind(dim=-1)
    return torch.stack((a * u - b * v + x, b * u + a * v + y), dim=-1)
