"""Eq. 8: keep a region covered, and let it grow."""

from torch import nn

from maskedit.losses._checks import check_masks, full
from maskedit.losses.shape import shape_loss
from maskedit.types import Mask, PerSample


def relax_target(original: Mask, generated: Mask) -> Mask:
    """The target region, grown by what it now covers: ``clamp(original + generated, 0, 1)``.

    The mask of Eq. 8, where the printed ``max(., 1)`` is a misprint. It always covers the original.

    Args:
        original: the target region in the original ``[b, 1, h, w]``.
        generated: the target region in the generated image ``[b, 1, h, w]``.
    """
    check_masks(like=original, original=original, generated=generated)
    return (full(original) + full(generated)).clamp(0, 1)


def relaxed_shape_loss(generated: Mask, original: Mask, *, through_mask: bool = False) -> PerSample:
    """:func:`shape_loss` against the original region grown by the generated one (Eq. 8).

    It asks that the original region stays covered, and lets the region grow.

    Args:
        generated: the region in the generated image ``[b, 1, h, w]``.
        original: the region in the original ``[b, 1, h, w]``.
        through_mask: let gradient through the grown mask too; the released program does not.

    Returns:
        ``[b]``.

    Raises:
        InputError: on shapes that do not match, or dtypes that are not floating.
    """
    grown = relax_target(original, generated)
    return shape_loss(generated, grown if through_mask else grown.detach())


class RelaxedShapeLoss(nn.Module):
    """Keep a region covered and let it grow: Eq. 8, :func:`~maskedit.functional.relaxed_shape_loss`.

    Args:
        through_mask: let gradient through the grown mask.

    Example:
        >>> import torch
        >>> region = torch.zeros(1, 1, 8, 8)
        >>> RelaxedShapeLoss()(region + 0.5, region)
        tensor([0.])
    """

    def __init__(self, *, through_mask: bool = False) -> None:
        super().__init__()
        self.through_mask = through_mask

    def forward(self, generated: Mask, original: Mask) -> PerSample:
        """The mean squared difference from the region grown by the generated one.

        Args:
            generated: the region in the generated picture ``[b, 1, h, w]``, in [0, 1].
            original: the region in the input ``[b, 1, h, w]``, in [0, 1].

        Returns:
            ``[b]``, zero where the region covers what it covered before.
        """
        return relaxed_shape_loss(generated, original, through_mask=self.through_mask)

    def extra_repr(self) -> str:
        return f"through_mask={self.through_mask}"
