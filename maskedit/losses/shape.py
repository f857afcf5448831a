"""Eq. 4: keep a region's shape."""

from torch import nn

from maskedit.losses._checks import check_masks, full
from maskedit.types import Mask, PerSample


def shape_loss(generated: Mask, original: Mask) -> PerSample:
    """Mean squared difference of two region masks (Eq. 4, as released: a mean, not a norm).

    Args:
        generated: the region in the generated image ``[b, 1, h, w]``.
        original: the region that it should have ``[b, 1, h, w]``.

    Returns:
        ``[b]``.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    check_masks(like=original, generated=generated, original=original)
    return (full(generated) - full(original)).square().mean(dim=(1, 2, 3))


class ShapeLoss(nn.Module):
    """Keep a region's shape: Eq. 4, :func:`~maskedit.functional.shape_loss`.

    Example:
        >>> import torch
        >>> region = torch.ones(1, 1, 8, 8)
        >>> ShapeLoss()(0.5 * region, region)
        tensor([0.2500])
    """

    def forward(self, generated: Mask, original: Mask) -> PerSample:
        """The mean squared difference of the two regions.

        Args:
            generated: the region in the generated picture ``[b, 1, h, w]``, in [0, 1].
            original: the region in the input ``[b, 1, h, w]``, in [0, 1].

        Returns:
            ``[b]``, in [0, 1].
        """
        return shape_loss(generated, original)
