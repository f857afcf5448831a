"""Blending each octave of detail over a width of its own: Burt and Adelson's Laplacian pyramid."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.blending.blend import Blend
from maskedit.blending.mask import feather
from maskedit.blending.paste import blend_paste
from maskedit.blending.patch import Patch
from maskedit.types import Image, Mask


@dataclass(frozen=True, kw_only=True)
class Pyramid(Blend):
    """Mix broad colours widely and fine detail narrowly, so that no seam shows (Burt and Adelson 1983).

    Args:
        levels: how many octaves; fewer where the picture is too small for them.
    """

    levels: int = 4

    def patch(self, generated: Image, fitted: Image | None, original: Float[Tensor, "b 3 H W"], mask: Mask) -> Patch:
        """The picture blended octave by octave, in the place of the original."""
        from kornia.geometry.transform import pyrdown

        small = original
        if original.shape[-2:] != generated.shape[-2:]:
            small = F.interpolate(original, size=generated.shape[-2:], mode="area")
        ours, theirs, inner = generated, small, mask
        details: list[Tensor] = []
        while len(details) < self.levels and min(ours.shape[-2:]) >= 8:
            coarse = pyrdown(ours), pyrdown(theirs)
            fine, finer = ours - _enlarged(coarse[0], ours), theirs - _enlarged(coarse[1], theirs)
            details.append(blend_paste(fine, finer, inner))
            (ours, theirs), inner = coarse, pyrdown(inner)
        blended = blend_paste(ours, theirs, inner)
        for detail in reversed(details):
            blended = _enlarged(blended, detail) + detail
        # The octaves spread over the mask's edge; a narrow ramp hides where they are cut off.
        return Patch(feather(mask, 2), blended, torch.ones_like(mask))


def blend_pyramid(generated: Image, original: Image, mask: Mask, *, levels: int = 4) -> Image:
    """Blend each octave of detail over a width of its own; see :class:`Pyramid`.

    Args:
        generated: ``[b, 3, h, w]``.
        original: ``[b, 3, h, w]``.
        mask: ``[b, 1, h, w]`` in [0, 1].
        levels: how many octaves; fewer where the picture is too small for them.
    """
    return Pyramid(levels=levels)(generated, None, original, mask)


def _enlarged(picture: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(picture, size=like.shape[-2:], mode="bilinear", align_corners=False)
