"""What a blend takes from the generated picture, as values that can be put into a picture of any size."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.types import Image, Mask


@dataclass(frozen=True, eq=False)
class Patch:
    """What is put into a picture: ``picture * (1 - weight * replaced) + weight * added``.

    Where the weight is 0 the picture keeps its very bits. Nothing is clamped to [0, 1].

    Args:
        weight: how much of the patch, in [0, 1] ``[b, 1, h, w]``.
        added: what is added ``[b, 3, h, w]``.
        replaced: how much of the picture gives way to it, in [0, 1] ``[b, 1, h, w]``: 1 pastes, 0 adds a change.
    """

    weight: Mask
    added: Image
    replaced: Mask

    def onto(self, picture: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 H W"]:
        """The picture with the patch in it; a patch of another size is resized to it, bilinearly."""
        weight, added, replaced = (_resize(part, picture) for part in (self.weight, self.added, self.replaced))
        return torch.where(weight > 0, picture * (1 - weight * replaced) + weight * added, picture)


def _resize(part: Tensor, like: Tensor) -> Tensor:
    if part.shape[-2:] == like.shape[-2:]:
        return part
    return F.interpolate(part, size=like.shape[-2:], mode="bilinear", align_corners=False)
