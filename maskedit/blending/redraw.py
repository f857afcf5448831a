"""Taking the photo's structure away where the edit drew another, and leaving its tones. Not in the paper."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.blending.add_change import AddChange
from maskedit.blending.mask import broad, lowpass
from maskedit.blending.patch import Patch
from maskedit.types import Image, Mask


@dataclass(frozen=True, kw_only=True)
class Redraw(AddChange):
    """Add the detail of what the edit changed, and take the photo's away where the edit drew another structure.

    A mouth that closes does not leave the teeth: under :class:`AddChange` they stay as a ghost. And a
    shape is no reason for another complexion, so broad colours stay the photo's. Not in the paper.

    Args:
        tolerance: see :func:`redrawn`.
    """

    tolerance: float | int = 0.06

    def patch(self, generated: Image, fitted: Image | None, original: Float[Tensor, "b 3 H W"], mask: Mask) -> Patch:
        """The change in the photo's tones; where structure was redrawn, in the place of the original."""
        assert fitted is not None  # the loop keeps it for these kinds
        small = original
        if original.shape[-2:] != generated.shape[-2:]:
            small = F.interpolate(original, size=generated.shape[-2:], mode="area")
        lost = redrawn(generated, fitted, tolerance=self.tolerance)
        same = mask * (1 - lost)
        change, bare = toned(generated, fitted, same) - fitted, toned(fitted, small, same)
        return Patch(mask, change + lost * bare, lost)


def blend_redraw(
    edited: Image, fitted: Image, original: Float[Tensor, "b 3 H W"], mask: Mask, *, tolerance: float | int = 0.06
) -> Float[Tensor, "b 3 H W"]:
    """Add the detail of what the edit changed, in the place of the photo's; see :class:`Redraw`. Not in the paper.

    Args:
        edited: the generated picture after the edit ``[b, 3, h, w]``.
        fitted: the generated picture before it ``[b, 3, h, w]``.
        original: ``[b, 3, H, W]``, no smaller.
        mask: ``[b, 1, h, w]`` in [0, 1].
        tolerance: see :func:`redrawn`.
    """
    return Redraw(tolerance=tolerance)(edited, fitted, original, mask)


def redrawn(edited: Image, fitted: Image, *, tolerance: float | int = 0.06) -> Mask:
    """How far the edit drew another structure: 0 where it changed colours alone, 1 where edges moved ``[b, 1, h, w]``.

    Args:
        edited: the generated picture after the edit ``[b, 3, h, w]``.
        fitted: the generated picture before it ``[b, 3, h, w]``.
        tolerance: how large a change of detail counts, in parts of the range of colours.
    """
    change = edited - fitted
    energy = (change - lowpass(change)).square().mean(1, keepdim=True)
    return 1 - torch.exp(-lowpass(energy, 1 / 64) / tolerance**2)


def toned(picture: Image, original: Image, same: Mask) -> Image:
    """The picture in the original's broad colours, compared where both show the ``same`` ``[b, 3, h, w]``."""
    return picture + broad(original - picture, same, 1 / 8)
