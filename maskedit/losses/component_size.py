"""Eq. 5-6: scale a region's share of the picture."""

from torch import nn

from maskedit.errors import InputError
from maskedit.losses._checks import check_masks, full
from maskedit.types import Mask, PerSample

PORTION_MARGIN = 1e-6
"""Region portions stay this far from 0 and 1, where the divergence of Eq. 6 is infinite."""


def component_size_kl(generated: Mask, original: Mask, *, scale: float | int = 1.5) -> PerSample:
    """Divergence of a region's share of the picture from ``scale`` times its share before (Eq. 5-6).

    ``KL(Bernoulli(scale s(I)) || Bernoulli(s(I_G)))`` with ``s`` the mean of the mask. Both portions are
    clamped to ``[1e-6, 1 - 1e-6]``, where the released program clamps neither.

    Args:
        generated: the region in the generated image ``[b, 1, h, w]``.
        original: the region in the original ``[b, 1, h, w]``; may have another size in pixels.
        scale: the paper's alpha: 1 keeps the size, 1.5 asks for half as much again.

    Returns:
        ``[b]``.

    Raises:
        InputError: on shapes that are not masks of one batch, or dtypes that are not floating.
    """
    check_masks(like=None, generated=generated, original=original)
    margin = PORTION_MARGIN
    share = full(generated).mean(dim=(1, 2, 3)).clamp(margin, 1 - margin)
    wanted = (scale * full(original).mean(dim=(1, 2, 3))).clamp(margin, 1 - margin)
    return wanted * (wanted / share).log() + (1 - wanted) * ((1 - wanted) / (1 - share)).log()


class ComponentSizeKL(nn.Module):
    """Scale a region's share of the picture: Eq. 5-6, :func:`~maskedit.functional.component_size_kl`.

    Args:
        scale: the paper's alpha, positive: 1 keeps the size.

    Raises:
        InputError: if the scale is not positive.

    Example:
        >>> import torch
        >>> region = torch.full((1, 1, 8, 8), 0.25)
        >>> ComponentSizeKL(scale=2)(2 * region, region)
        tensor([0.])
    """

    def __init__(self, *, scale: float | int = 1.5) -> None:
        super().__init__()
        if not scale > 0:
            raise InputError("the scale of a region must be positive", expected="scale > 0", actual=str(scale))
        self.scale = scale

    def forward(self, generated: Mask, original: Mask) -> PerSample:
        """The divergence of the region's share from ``scale`` times its share before.

        Args:
            generated: the region in the generated picture ``[b, 1, h, w]``, in [0, 1].
            original: the region in the input ``[b, 1, h, w]``, in [0, 1].

        Returns:
            ``[b]``, zero where the region has the wanted size.
        """
        return component_size_kl(generated, original, scale=self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"
