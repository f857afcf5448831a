"""Adding only what the edit changed. Not in the paper, whose generator is as sharp as the photo."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.blending.blend import Blend
from maskedit.blending.patch import Patch
from maskedit.types import Image, Mask


@dataclass(frozen=True, kw_only=True)
class AddChange(Blend):
    """Add only what the edit changed, so that skin and hair keep the photo's own detail. Not in the paper.

    Args:
        since: the stage at whose end the picture counts as fitted; None is the start.
    """

    since: str | None = None  # type: ignore[misc]  # of all kinds, but only here it can be chosen
    needs_fitted: ClassVar[bool] = True

    def patch(self, generated: Image, fitted: Image | None, original: Float[Tensor, "b 3 H W"], mask: Mask) -> Patch:
        """The change; nothing of the original gives way to it."""
        assert fitted is not None  # the loop keeps it for these kinds
        return Patch(mask, generated - fitted, torch.zeros_like(mask))


def blend_change(
    edited: Image, fitted: Image, original: Float[Tensor, "b 3 H W"], mask: Mask
) -> Float[Tensor, "b 3 H W"]:
    """Add only what the edit changed: ``original + mask * (edited - fitted)``.

    Skin and hair keep the photo's own detail. The pictures and the mask may be smaller than the original;
    the change is then enlarged to it. Not in the paper, whose generator is as sharp as the photo.

    Args:
        edited: the generated picture after the edit ``[b, 3, h, w]``.
        fitted: the generated picture before it ``[b, 3, h, w]``.
        original: ``[b, 3, H, W]``.
        mask: ``[b, 1, h, w]`` in [0, 1].
    """
    return AddChange()(edited, fitted, original, mask)
