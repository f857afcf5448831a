"""Dyeing: the broad colour of what the edit changed, and none of its detail. Not in the paper."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.blending.add_change import AddChange
from maskedit.blending.mask import broad
from maskedit.blending.patch import Patch
from maskedit.types import Image, Mask


@dataclass(frozen=True, kw_only=True)
class Tint(AddChange):
    """Add the broad colour of what the edit changed, averaged within the mask over a quarter of the side.

    A small generator colours hair in patches; hair is dyed evenly. Not in the paper.
    """

    def patch(self, generated: Image, fitted: Image | None, original: Float[Tensor, "b 3 H W"], mask: Mask) -> Patch:
        """The broad change; nothing of the original gives way to it."""
        assert fitted is not None  # the loop keeps it for these kinds
        return Patch(mask, tinted(generated, fitted, mask) - fitted, torch.zeros_like(mask))


def blend_tint(
    edited: Image, fitted: Image, original: Float[Tensor, "b 3 H W"], mask: Mask
) -> Float[Tensor, "b 3 H W"]:
    """Add the broad colour of what the edit changed, for hair of another colour; see :class:`Tint`. Not in the paper.

    Args:
        edited: the generated picture after the edit ``[b, 3, h, w]``.
        fitted: the generated picture before it ``[b, 3, h, w]``.
        original: ``[b, 3, H, W]``.
        mask: ``[b, 1, h, w]`` in [0, 1].
    """
    return Tint()(edited, fitted, original, mask)


def tinted(edited: Image, fitted: Image, mask: Mask) -> Image:
    """The fitted picture with the change averaged within the mask, over a quarter of the side ``[b, 3, h, w]``."""
    return fitted + broad(edited - fitted, mask, 1 / 4)
