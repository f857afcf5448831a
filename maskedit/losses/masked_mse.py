"""Eq. 2: keep the picture inside a mask."""

from typing import Literal

import torch
from torch import nn

from maskedit.errors import InputError
from maskedit.losses._checks import check_masks, check_pictures, full, one_of
from maskedit.types import Image, Mask, PerSample


def masked_mse(
    generated: Image, original: Image, mask: Mask, *, normalize: Literal["image", "mask"] = "image"
) -> PerSample:
    """Squared difference of two images inside a mask (Eq. 2).

    ``sum(mask * (generated - original)^2) / (c h w)``

    Args:
        generated: ``[b, 3, h, w]``.
        original: ``[b, 3, h, w]``.
        mask: ``[b, 1, h, w]``, weights in [0, 1].
        normalize: ``"image"`` divides by all pixels and channels, as the released program does;
            ``"mask"`` divides by the mask's own area, so that small masks weigh the same as large ones.

    Returns:
        ``[b]``, zero for an empty mask.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    check_pictures(generated=generated, original=original)
    check_masks(like=generated, mask=mask)
    weight = full(mask)
    error = (weight * (full(generated) - full(original)).square()).mean(dim=(1, 2, 3))
    if normalize == "image":
        return error
    if normalize == "mask":
        return error / weight.mean(dim=(1, 2, 3)).clamp_min(torch.finfo(weight.dtype).tiny)
    raise InputError("unknown normalisation", expected="'image' or 'mask'", actual=repr(normalize))


class MaskedMSE(nn.Module):
    """Keep the picture inside a mask: Eq. 2, :func:`~maskedit.functional.masked_mse`.

    Args:
        normalize: ``"image"`` (as released) or ``"mask"``.

    Example:
        >>> import torch
        >>> image, mask = torch.zeros(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
        >>> MaskedMSE()(image + 0.5, image, mask)
        tensor([0.2500, 0.2500])
    """

    def __init__(self, *, normalize: Literal["image", "mask"] = "image") -> None:
        super().__init__()
        self.normalize = one_of(normalize, "image", "mask")

    def forward(self, generated: Image, original: Image, mask: Mask) -> PerSample:
        """The squared difference inside the mask.

        Args:
            generated: the picture that is drawn ``[b, 3, h, w]``.
            original: the picture to keep ``[b, 3, h, w]``.
            mask: where to keep it ``[b, 1, h, w]``, weights in [0, 1].

        Returns:
            ``[b]``, zero where the pictures agree inside the mask.
        """
        return masked_mse(generated, original, mask, normalize=self.normalize)

    def extra_repr(self) -> str:
        return f"normalize={self.normalize!r}"
