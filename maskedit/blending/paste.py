"""Pasting: the generated picture inside the mask, the original outside it (Eq. 12)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.blending.blend import Blend
from maskedit.blending.patch import Patch
from maskedit.types import Image, Mask


@dataclass(frozen=True, kw_only=True)
class Paste(Blend):
    """Put the generated pixels in the place of the original's (Eq. 12): the paper's blend."""

    def patch(self, generated: Image, fitted: Image | None, original: Float[Tensor, "b 3 H W"], mask: Mask) -> Patch:
        """The generated picture, in the place of the original."""
        return Patch(mask, generated, torch.ones_like(mask))


def blend_paste(generated: Image, original: Image, mask: Mask) -> Image:
    """``mask * generated + (1 - mask) * original`` (Eq. 12).

    Args:
        generated: ``[b, 3, h, w]``.
        original: ``[b, 3, h, w]``.
        mask: ``[b, 1, h, w]`` in [0, 1].
    """
    return Paste()(generated, None, original, mask)
