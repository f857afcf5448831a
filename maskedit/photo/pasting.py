"""An edited square back into its photo, at the photo's own size."""

import math

import torch

from maskedit.blending import Patch
from maskedit.errors import InputError
from maskedit.photo.alignment import Alignment, Photo, check_size
from maskedit.photo.resample import resample
from maskedit.types import Mask


def paste(photo: Photo, alignment: Alignment, *patches: Patch, fade: float | int = 0.04) -> Photo:
    """Put what a blend took into the photo, as it was put into the square. Where its weight is 0, every bit stays.

    Args:
        photo: ``[1, 3, h, w]`` in [0, 1].
        alignment: where the square was cut from.
        patches: of the square, each of one picture and any size; laid upon the photo in their order.
        fade: the weight falls to zero over this share of the side at the square's border, so that an edit
            of hair that goes on beyond the square ends softly. 0 cuts it.

    Returns:
        ``[1, 3, h, w]`` in [0, 1], of the photo's type.

    Raises:
        InputError: on shapes that do not fit each other.
    """
    check_size(photo, alignment)
    result = photo.detach().clone()
    left, top, right, bottom = _bounds(alignment)
    if left >= right or top >= bottom:
        return result
    under = result[:, :, top:bottom, left:right]
    for patch in patches:
        size = _size(patch)
        a, b, x, y = alignment.photo_to_square(size)
        similarity = a, b, a * left - b * top + x, b * left + a * top + y
        shape = (bottom - top, right - left)
        weight = (patch.weight * border_fade(size, fade).to(patch.weight)).clamp(0, 1).to(photo)
        there = Patch(
            resample(weight, similarity, shape, mode="bilinear", padding="zeros"),
            resample(patch.added.to(photo), similarity, shape, padding="border"),
            resample(patch.replaced.to(photo), similarity, shape, mode="bilinear", padding="border"),
        )
        under.copy_(torch.where(there.weight > 0, there.onto(under).clamp(0, 1), under))
    return result


def _size(patch: Patch) -> int:
    """The side of a patch of one square picture."""
    size = patch.weight.shape[-1]
    for name, part, channels in (
        ("weight", patch.weight, 1),
        ("added", patch.added, 3),
        ("replaced", patch.replaced, 1),
    ):
        if part.shape != (1, channels, size, size):
            raise InputError(
                f"what is pasted is not one square patch: its {name} has another shape",
                expected=f"[1, {channels}, {size}, {size}]",
                actual=str(list(part.shape)),
            )
    return size


def border_fade(size: int, share: float | int) -> Mask:
    """A mask ``[1, 1, size, size]`` that rises smoothly from the border, to one at ``share`` of the side."""
    if share <= 0:
        return torch.ones(1, 1, size, size)
    place = (torch.arange(size) + 0.5) / size
    rise = (torch.minimum(place, 1 - place) / share).clamp(0, 1)
    rise = rise * rise * (3 - 2 * rise)
    return (rise[:, None] * rise)[None, None]


def _bounds(alignment: Alignment) -> tuple[int, int, int, int]:
    """The photo's pixels (left, top, right, bottom) that the square may touch."""
    corners = alignment.to_photo(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    (left, top), (right, bottom) = corners.amin(dim=0).tolist(), corners.amax(dim=0).tolist()
    height, width = alignment.photo_size
    return (
        max(0, math.floor(left)),
        max(0, math.floor(top)),
        min(width, math.ceil(right)),
        min(height, math.ceil(bottom)),
    )
