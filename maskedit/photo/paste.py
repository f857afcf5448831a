"""An edited square back into its photo, at the photo's own size."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.blending import redrawn, toned
from maskedit.errors import InputError
from maskedit.photo.align import Alignment, Photo, Square, check_size
from maskedit.photo.resample import resample
from maskedit.types import Mask


def paste(
    photo: Photo,
    alignment: Alignment,
    edited: Square,
    mask: Float[Tensor, "1 1 _ _"],
    *,
    fitted: Square | None = None,
    original: Square | None = None,
    fade: float | int = 0.04,
) -> Photo:
    """Put an edited square back. Where the mask is zero, the photo keeps its very bits.

    With ``edited`` alone, its pixels replace the photo's (Eq. 12, in the photo). With ``fitted`` too, the
    *change* that the edit made is added instead, ``photo + mask * (edited - fitted)``: skin and hair keep
    the photo's own detail, which a generator of lower resolution cannot draw. With ``original`` as well, that
    detail goes where the edit drew another structure, and broad colours stay (:func:`maskedit.blend_redraw`).

    Args:
        photo: ``[1, 3, h, w]`` in [0, 1].
        alignment: where the square was cut from.
        edited: the square after the edit ``[1, 3, s, s]``, of any size.
        mask: how much of it to use ``[1, 1, s, s]``, in [0, 1].
        fitted: the same square as the generator drew it before the edit ``[1, 3, s, s]``.
        original: the square as it was cut from the photo ``[1, 3, s, s]``; only with ``fitted``.
        fade: the mask falls to zero over this share of the side at the square's border, so that an edit
            of hair that goes on beyond the square ends softly. 0 cuts it.

    Returns:
        ``[1, 3, h, w]`` in [0, 1], of the photo's type.

    Raises:
        InputError: on shapes that do not fit each other.
    """
    check_size(photo, alignment)
    size = edited.shape[-1]
    for name, square, channels in (
        ("edited", edited, 3),
        ("mask", mask, 1),
        ("fitted", fitted, 3),
        ("original", original, 3),
    ):
        if square is not None and square.shape != (1, channels, size, size):
            raise InputError(
                f"{name} has another shape than the edited square",
                expected=f"[1, {channels}, {size}, {size}]",
                actual=str(list(square.shape)),
            )
    left, top, right, bottom = _bounds(alignment)
    result = photo.detach().clone()
    if left >= right or top >= bottom:
        return result
    under, size_there = result[:, :, top:bottom, left:right], (bottom - top, right - left)
    a, b, x, y = alignment.photo_to_square(size)
    similarity = a, b, a * left - b * top + x, b * left + a * top + y
    shown = edited if fitted is None else edited - fitted
    if fitted is not None and original is not None:
        lost = redrawn(edited, fitted)
        same = mask * (1 - lost)
        shown, bare = toned(edited, fitted, same) - fitted, toned(fitted, original, same)
    shown = resample(shown.to(photo), similarity, size_there, padding="border")
    weight = (mask * border_fade(size, fade).to(mask)).clamp(0, 1).to(photo)
    weight = resample(weight, similarity, size_there, mode="bilinear", padding="zeros")
    if fitted is not None and original is not None:
        lost = resample(lost.to(photo), similarity, size_there, mode="bilinear", padding="border")
        bare = resample(bare.to(photo), similarity, size_there, padding="border")
        shown = shown - lost * (under - bare)
    mixed = torch.lerp(under, shown, weight) if fitted is None else under + weight * shown
    under.copy_(torch.where(weight > 0, mixed.clamp(0, 1), under))
    return result


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
