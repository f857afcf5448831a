"""Eq. 7: keep the picture inside a mask, except where the target grew over it."""

from typing import Literal

from torch import nn

from maskedit.losses._checks import check_masks, full, one_of
from maskedit.losses.masked_mse import masked_mse
from maskedit.types import Image, Mask, PerSample


def relax_preserved(preserve: Mask, target: Mask) -> Mask:
    """The preserved region less what the target now covers: ``clamp(preserve - target, 0, 1)``.

    The mask of Eq. 7, where the printed ``min(., 0)`` is a misprint (it would never be positive).

    Args:
        preserve: the region to keep, in the original ``[b, 1, h, w]``.
        target: the target region, in the generated image ``[b, 1, h, w]``.
    """
    check_masks(like=preserve, preserve=preserve, target=target)
    return (full(preserve) - full(target)).clamp(0, 1)


def relaxed_masked_mse(
    generated: Image,
    original: Image,
    preserve: Mask,
    target: Mask,
    *,
    normalize: Literal["image", "mask"] = "image",
    through_mask: bool = False,
) -> PerSample:
    """:func:`masked_mse` where the target has not grown over the preserved region (Eq. 7).

    Args:
        generated: ``[b, 3, h, w]``.
        original: ``[b, 3, h, w]``.
        preserve: the region to keep, in the original ``[b, 1, h, w]``.
        target: the target region, in the generated image ``[b, 1, h, w]``.
        normalize: as in :func:`masked_mse`.
        through_mask: let gradient through the mask to ``target``; the released program does not.

    Returns:
        ``[b]``.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    mask = relax_preserved(preserve, target)
    return masked_mse(generated, original, mask if through_mask else mask.detach(), normalize=normalize)


class RelaxedMaskedMSE(nn.Module):
    """Keep the picture, except where the target grew: Eq. 7, :func:`~maskedit.functional.relaxed_masked_mse`.

    Args:
        normalize: ``"image"`` (as released) or ``"mask"``.
        through_mask: let gradient through the mask.

    Example:
        >>> import torch
        >>> image, mask = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
        >>> RelaxedMaskedMSE()(image + 0.5, image, preserve=mask, target=mask)
        tensor([0.])
    """

    def __init__(self, *, normalize: Literal["image", "mask"] = "image", through_mask: bool = False) -> None:
        super().__init__()
        self.normalize = one_of(normalize, "image", "mask")
        self.through_mask = through_mask

    def forward(self, generated: Image, original: Image, preserve: Mask, target: Mask) -> PerSample:
        """The squared difference where the target has not grown over the preserved region.

        Args:
            generated: the picture that is drawn ``[b, 3, h, w]``.
            original: the picture to keep ``[b, 3, h, w]``.
            preserve: the region to keep, in the input ``[b, 1, h, w]``.
            target: the target region, in the generated picture ``[b, 1, h, w]``.

        Returns:
            ``[b]``, zero where the target covers all that was to be kept.
        """
        return relaxed_masked_mse(
            generated, original, preserve, target, normalize=self.normalize, through_mask=self.through_mask
        )

    def extra_repr(self) -> str:
        return f"normalize={self.normalize!r}, through_mask={self.through_mask}"
